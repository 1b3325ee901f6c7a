"""How the limiter finds a quota that nobody told, in virtual time, at gateways that count in different ways.

    python tests/bench/hidden.py [--seeds N] [--only NAME ...]     # 3 seeds, all classes: a minute or two of one core
    python tests/bench/hidden.py --seeds 1 --only sec10 min10

It prints a Markdown table, a row for each class of gateway as it is done. Workers ask without end through one limiter,
which is told nothing; the gateway has a quota in three phases: whole, halved, and whole again. The first three shares
are those of the quota of a phase that is used from its 30th second to its end; then come the 429s among all requests,
and the share of all three quotas that is used over the whole run. Each is a mean over the seeds, which decide how long
answers take and when in a second the run begins; time is virtual, so that the same seeds give the same figures on any
machine.

100 % is what the quota lets pass evenly, and not the most that can: at the start and at each change the gateway counts
anew, so that a bucket is full and a minute unused. 120 % can pass in all through a bucket of 10 s or a sliding minute,
more in minutes of the clock, 102 % in the others. So a share far above 100 % is no merit: the quota was found late, and
what had lain unused until then came after the 30th second. Where a minute is counted phases are 150 s, others 50 s; a
minute's quota may be used up in its first half, and the shares say more of when than of how much: there read the last.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import sys
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING, Final, Protocol

from tables import head, row

from mediascribe.job_sections import LimitsSection
from mediascribe.limiter import Limiter
from mediascribe.sandbox.limits import Bucket, Window

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    Clock = Callable[[], float]

sys.path.insert(0, str(Path(__file__).parents[1] / "support"))
from virtual_time import run  # of the tests

QUOTAS: Final = (1.0, 0.5, 1.0)  # of each phase, as shares of the first
SETTLE_S: Final = 30.0  # from the beginning of a phase until its quota should be found
LATE_S: Final = 0.0005  # what each timer comes late, as real ones do
STALL_CHANCE: Final = 0.02  # at each look
LOOK_EVERY_S: Final = 0.01
CALM_S: Final = 1.0  # from the end of a stall to the next look


class Limit(Protocol):
    """What a gateway counts with."""

    def take(self) -> float:
        """Take one request and give 0, or take none and give the seconds until there may be room."""
        ...


class Fixed:
    """Admits so many in each *length_s* of the clock, whenever in it they come."""

    def __init__(self, per_s: float, length_s: float, clock: Clock) -> None:
        self._limit = per_s * length_s
        self._length_s = length_s
        self._clock = clock
        self._number = -1.0
        self._taken = 0

    def take(self) -> float:
        """Take one request and give 0, or take none and give the seconds until the next stretch."""
        number, into_s = divmod(self._clock(), self._length_s)
        if number != self._number:
            self._number, self._taken = number, 0
        if self._taken >= self._limit:
            return self._length_s - into_s
        self._taken += 1
        return 0.0


def sliding(per_s: float, length_s: float, clock: Clock) -> Limit:
    """So many in any *length_s*."""
    return Window(per_s * length_s, clock=clock, length_s=length_s)


def bucket(per_s: float, length_s: float, clock: Clock) -> Limit:
    """So many a second, and what was not used for *length_s*."""
    return Bucket(per_s * length_s, per_s, clock=clock)


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """A class of gateway, its quota, and who asks it. *name* is a part of the seed."""

    name: str
    said: str
    counts: Callable[[float, float, Clock], Limit]
    length_s: float
    per_s: float
    phase_s: float = 50.0
    workers: int = 300
    latency_s: tuple[float, float] = (0.2, 0.3)
    refusal_s: float = 0.004
    way_s: float = 0.002  # to the gateway, on average
    stall_s: float | None = None  # how long nothing gets through now and then, on average


CASES: Final = (
    Case(name="sec10", said="second, sliding, 10/s", counts=sliding, length_s=1.0, per_s=10.0),
    Case(name="sec30", said="second, sliding, 30/s", counts=sliding, length_s=1.0, per_s=30.0),
    Case(name="sec100", said="second, sliding, 100/s", counts=sliding, length_s=1.0, per_s=100.0),
    Case(name="sec500", said="second, sliding, 500/s", counts=sliding, length_s=1.0, per_s=500.0, workers=1000),
    Case(
        name="sec100-2s",
        said="second, sliding, 100/s, answers after 2 s",
        counts=sliding,
        length_s=1.0,
        per_s=100.0,
        latency_s=(2.0, 2.2),
    ),
    Case(
        name="sec100-rtt.1",
        said="second, sliding, 100/s, refusals after 0.1 s",
        counts=sliding,
        length_s=1.0,
        per_s=100.0,
        refusal_s=0.1,
    ),
    Case(
        name="sec100-busy",
        said="second, sliding, 100/s, with a network that stalls",
        counts=sliding,
        length_s=1.0,
        per_s=100.0,
        stall_s=0.05,
    ),
    Case(name="clock20", said="second of the clock, 20/s", counts=Fixed, length_s=1.0, per_s=20.0),
    Case(name="clock100", said="second of the clock, 100/s", counts=Fixed, length_s=1.0, per_s=100.0),
    Case(name="b1-20", said="bucket of 1 s, 20/s", counts=bucket, length_s=1.0, per_s=20.0),
    Case(name="b1-100", said="bucket of 1 s, 100/s", counts=bucket, length_s=1.0, per_s=100.0),
    Case(name="b10-10", said="bucket of 10 s, 10/s", counts=bucket, length_s=10.0, per_s=10.0),
    Case(name="b10-100", said="bucket of 10 s, 100/s", counts=bucket, length_s=10.0, per_s=100.0),
    Case(name="min10", said="minute, sliding, 600/min", counts=sliding, length_s=60.0, per_s=10.0, phase_s=150.0),
    Case(name="min100", said="minute, sliding, 6,000/min", counts=sliding, length_s=60.0, per_s=100.0, phase_s=150.0),
    Case(name="fix10", said="minute of the clock, 600/min", counts=Fixed, length_s=60.0, per_s=10.0, phase_s=150.0),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """What was made of the quotas of one run, as shares: of each phase once settled, and of all; and the 429s."""

    settled: tuple[float, ...]
    refused: float
    used: float


class Gateway:
    """Takes or refuses as its case says, tells nobody its quota, and keeps when it did what."""

    def __init__(self, case: Case, dice: random.Random, clock: Clock) -> None:
        self._case, self._dice, self._clock = case, dice, clock
        self._stalled_until, self._look_at = 0.0, CALM_S
        self._limit: Limit
        self.taken: list[float] = []
        self.refused: list[float] = []

    def set_quota(self, share: float) -> None:
        """Have *share* of the quota from now on, of which nothing is used."""
        self._limit = self._case.counts(self._case.per_s * share, self._case.length_s, self._clock)

    async def ask(self) -> int:
        """Send one request; the HTTP status of its answer."""
        await self._get_through()
        await asyncio.sleep(self._dice.expovariate(1 / self._case.way_s))
        if self._limit.take():
            self.refused.append(self._clock())
            await asyncio.sleep(self._case.refusal_s)
            return 429
        self.taken.append(self._clock())
        await asyncio.sleep(self._dice.uniform(*self._case.latency_s))
        return 200

    async def _get_through(self) -> None:
        """Wait for the end of a stall, which may begin now."""
        if self._case.stall_s is None:
            return
        now = self._clock()
        if now > self._look_at:
            self._look_at = now + LOOK_EVERY_S
            if self._dice.random() < STALL_CHANCE:
                self._stalled_until = now + self._dice.expovariate(1 / self._case.stall_s)
                self._look_at = self._stalled_until + CALM_S
        if now < self._stalled_until:
            await asyncio.sleep(self._stalled_until - now)


def main() -> None:
    """Take the classes that the command line names, and print what was found."""
    names = [case.name for case in CASES]
    asked = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    asked.add_argument("--seeds", type=int, default=3, metavar="N", help="runs of each class; default: 3")
    asked.add_argument("--only", nargs="+", action="extend", choices=names, metavar="NAME", help=", ".join(names))
    told = asked.parse_args()
    if told.seeds < 1:
        asked.error(f"--seeds is {told.seeds}, and a class needs 1 run at least")
    head("the gateway counts by", "after the start", "after it was halved", "after it was doubled", "429s", "over all")
    for case in CASES:
        if told.only is None or case.name in told.only:
            show(case, [trial(case, seed) for seed in range(told.seeds)])


def show(case: Case, runs: Sequence[Found]) -> None:
    """The row of *case*: the means of its *runs*."""
    settled = [fmean(shares) for shares in zip(*(each.settled for each in runs), strict=True)]
    refused = fmean(each.refused for each in runs)
    used = fmean(each.used for each in runs)
    row(case.said, *(f"{share * 100:.1f} %" for share in settled), f"{refused * 100:.2f} %", f"{used * 100:.1f} %")


def trial(case: Case, seed: int) -> Found:
    """One run of *case*; the same for the same *seed*."""
    dice = random.Random(f"{case.name}{seed}")  # noqa: S311 - the same run each time
    found: Found = run(whole_run(case, dice), late_s=LATE_S)
    return found


async def whole_run(case: Case, dice: random.Random) -> Found:
    """Ask the gateway of *case* through all its phases."""
    clock = asyncio.get_running_loop().time
    gateway = Gateway(case, dice, clock)
    gateway.set_quota(QUOTAS[0])
    limiter = Limiter(LimitsSection(concurrency="auto"), clock=clock, jitter=dice.random)
    await asyncio.sleep(dice.random())  # a run begins anywhere in a second of the clock
    starts = [clock() + number * case.phase_s for number in range(len(QUOTAS))]
    end = starts[-1] + case.phase_s
    workers = (work(limiter, gateway, clock, end) for _ in range(case.workers))
    await asyncio.gather(change(gateway, clock, starts), *workers)
    return judged(case, gateway, starts)


async def change(gateway: Gateway, clock: Clock, starts: Sequence[float]) -> None:
    """Give the gateway the quota of each later phase when that starts."""
    for start, share in list(zip(starts, QUOTAS, strict=True))[1:]:
        await asyncio.sleep(start - clock())
        gateway.set_quota(share)


async def work(limiter: Limiter, gateway: Gateway, clock: Clock, end: float) -> None:
    """Ask until *end*. What was refused is asked again at once: when it may leave is the limiter's business."""
    while clock() < end:
        async with limiter.slot() as admission:
            status = await gateway.ask()
        if status == 200:
            limiter.succeeded(admission)
        else:
            limiter.refused(admission, None)


def judged(case: Case, gateway: Gateway, starts: Sequence[float]) -> Found:
    """What was made of the quotas of the phases from *starts* on, until the last one ends."""
    begin, end = starts[0], starts[-1] + case.phase_s
    settled_s = case.phase_s - SETTLE_S
    counts = [between(gateway.taken, start + SETTLE_S, start + case.phase_s) for start in starts]
    taken, refused = between(gateway.taken, begin, end), between(gateway.refused, begin, end)
    return Found(
        settled=tuple(count / (settled_s * case.per_s * share) for count, share in zip(counts, QUOTAS, strict=True)),
        refused=refused / (taken + refused),
        used=taken / (case.phase_s * case.per_s * sum(QUOTAS)),
    )


def between(times: Sequence[float], start: float, end: float) -> int:
    """How many of *times* lie from *start* to *end*."""
    return sum(start <= at < end for at in times)


if __name__ == "__main__":
    main()
