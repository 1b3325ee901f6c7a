"""How well the quota is used: a real-time benchmark of limiter, client and retries against the sandbox.

    python tests/bench/admission.py [--quick] [--only NAME ...] [--json]

It prints a Markdown table; the full run takes about 14 minutes, `--quick` 3. The sandbox has a process of its own and
is the judge: shares are counted from its ledger. Its minute slides unless the step says otherwise.
"""

from __future__ import annotations

import asyncio
import sys
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from asking import Crowd
from served import Served
from tables import Figure, by_steps

from mediascribe.job_sections import LimitsSection
from mediascribe.limiter import Limiter
from mediascribe.sandbox import Behaviour

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from served import Visit

LATENCY = {"latency_s": 0.2, "jitter_s": 0.1}
HIDDEN_RPM = 6000
WAITERS = 5000


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """How long things take: seconds before and of a steady measurement, of a phase, and of an outage."""

    warm_s: float = 5.0
    steady_s: float = 60.0
    settle_s: float = 30.0
    phase_s: float = 50.0
    outage_s: float = 60.0


FULL, QUICK = Pace(), Pace(warm_s=2.0, steady_s=8.0, settle_s=10.0, phase_s=15.0, outage_s=12.0)


async def known_requests(step: str, pace: Pace, *, rpm: float) -> list[Figure]:
    """The share of a known number of requests a minute that is used, and the 429s."""
    limits = LimitsSection(concurrency=1000, requests_per_minute=rpm)
    with Served() as served:
        served.behave(Behaviour(requests_per_minute=rpm, **LATENCY))
        before_s = served.cpu_s()
        asked = await Crowd(limits).ask(served, pace.warm_s + pace.steady_s + 1)
        gateway_s = served.cpu_s() - before_s
        visits = served.visits()
    steady = between(visits, visits[0].at + pace.warm_s, pace.steady_s)
    share = answered(steady) / (rpm * pace.steady_s / 60)
    each_us = 1e6 / len(visits)
    return [
        Figure(step=step, what="quota used", value=share * 100, unit="%", goal=">= 98", good=share >= 0.98),
        refusals(step, visits, most=0.0),
        note(step, "client, processor time a request", asked.cpu_s * each_us, "us"),
        note(step, "sandbox, processor time a request", gateway_s * each_us, "us"),
    ]


async def known_tokens(step: str, pace: Pace, *, tpm: float, max_tokens: int = 1000) -> list[Figure]:
    """The share of a known number of tokens a minute that is used by answers of any length, and the 429s."""
    limits = LimitsSection(concurrency=1000, tokens_per_minute=tpm)
    with Served() as served:
        served.behave(Behaviour(tokens_per_minute=tpm, answer_tokens="random", **LATENCY))
        await Crowd(limits, max_tokens=max_tokens).ask(served, pace.warm_s + pace.steady_s + 1)
        visits = served.visits()
    steady = between(visits, visits[0].at + pace.warm_s, pace.steady_s)
    share = sum(visit.tokens for visit in steady) / (tpm * pace.steady_s / 60)
    return [
        Figure(step=step, what="quota used", value=share * 100, unit="%", goal=">= 98", good=share >= 0.98),
        refusals(step, visits, most=0.0),
    ]


async def hidden(step: str, pace: Pace, *, window_s: float, limiter: str = "window") -> list[Figure]:
    """How much of a quota that nobody told is delivered, once found, halved, and doubled; and the 429s.

    At each change the sandbox counts anew: what a sliding minute holds, and what a bucket of *window_s* holds, may come
    at once, so that more than the quota is delivered in all.
    """
    began = []

    async def change() -> None:
        for rpm in (HIDDEN_RPM, HIDDEN_RPM / 2, HIDDEN_RPM):
            quota = Behaviour(requests_per_minute=rpm, window_s=window_s, limiter=limiter, **LATENCY)
            began.append((served.behave(quota), rpm))
            await asyncio.sleep(pace.phase_s)

    with Served() as served:
        changing = asyncio.create_task(change())
        await Crowd(LimitsSection(concurrency="auto")).ask(served, 3 * pace.phase_s)
        await changing
        visits = served.visits()
    figures = []
    for what, (at, rpm) in zip(("found", "halved", "doubled"), began, strict=True):
        found = between(visits, at + pace.settle_s, pace.phase_s - pace.settle_s)
        share = answered(found) / (rpm * (pace.phase_s - pace.settle_s) / 60)
        told = f"{what}: delivered from second {pace.settle_s:.0f} on"
        in_all = answered(between(visits, at, pace.phase_s)) / (rpm * pace.phase_s / 60)
        figures += [
            Figure(step=step, what=told, value=share * 100, unit="%", goal=">= 90", good=share >= 0.9),
            note(step, f"{what}: delivered in all", in_all * 100, "%"),
        ]
    return [*figures, refusals(step, visits, most=0.01)]


async def outage(step: str, pace: Pace, *, before_s: float = 10.0, after_s: float = 15.0) -> list[Figure]:
    """How soon after the gateway is back a row succeeds, how often it was asked meanwhile, and the rows that failed."""
    limits = LimitsSection(concurrency=256, requests_per_minute=HIDDEN_RPM)
    down = Behaviour(requests_per_minute=HIDDEN_RPM, outage_s=pace.outage_s, outage_after_s=before_s, **LATENCY)
    with Served() as served:
        down_at = served.behave(down) + before_s
        asked = await Crowd(limits).ask(served, before_s + pace.outage_s + after_s)
        visits = served.visits()
    up_at = down_at + pace.outage_s
    first = min((visit.at for visit in visits if visit.at >= up_at and visit.status == 200), default=None)
    wait_s = float("inf") if first is None else first - up_at
    failed = len(asked.failed)
    return [
        Figure(step=step, what="first success after its end", value=wait_s, unit="s", goal="< 5", good=wait_s < 5),
        Figure(step=step, what="rows failed", value=failed, unit="", goal="0", good=failed == 0),
        note(step, "requests into the outage", len(between(visits, down_at, pace.outage_s)), ""),
    ]


async def cost(step: str, _pace: Pace, *, rounds: int = 10) -> list[Figure]:
    """What one admission, settled and reported, costs while 5,000 rows wait; beside it a plain semaphore's."""
    limiter, plain = Limiter(LimitsSection(concurrency=64)), asyncio.Semaphore(64)

    async def bare() -> None:
        for _ in range(rounds):
            await asyncio.sleep(0)

    async def through_limiter() -> None:
        for _ in range(rounds):
            async with limiter.slot(100) as admission:
                await asyncio.sleep(0)
            limiter.settle(admission, 50)
            limiter.succeeded(admission)

    async def through_semaphore() -> None:
        for _ in range(rounds):
            async with plain:
                await asyncio.sleep(0)

    bare_us = await each_us(bare, rounds)
    limited_us = await each_us(through_limiter, rounds) - bare_us
    plain_us = await each_us(through_semaphore, rounds) - bare_us
    return [
        Figure(step=step, what="one admission", value=limited_us, unit="us", goal="< 20", good=limited_us < 20),
        note(step, "the same through asyncio.Semaphore", plain_us, "us"),
    ]


async def each_us(row: Callable[[], Awaitable[None]], rounds: int) -> float:
    """The processor time of one round of *row* among many rows, in microseconds."""
    began_s = time.process_time()
    await asyncio.gather(*(row() for _ in range(WAITERS)))
    return (time.process_time() - began_s) / (WAITERS * rounds) * 1e6


def between(visits: Sequence[Visit], at: float, seconds: float) -> list[Visit]:
    """Those of *visits* that came in the *seconds* from *at* on."""
    return [visit for visit in visits if at <= visit.at < at + seconds]


def answered(visits: Sequence[Visit]) -> int:
    """How many of *visits* were answered well."""
    return sum(visit.status == 200 for visit in visits)


def refusals(step: str, visits: Sequence[Visit], *, most: float) -> Figure:
    """The share of 429s among *visits*."""
    share = sum(visit.status == 429 for visit in visits) / len(visits)
    good = share < most or share == 0.0
    goal = f"< {most * 100:g}" if most else "0"
    return Figure(step=step, what="429s", value=share * 100, unit="%", goal=goal, good=good)


def note(step: str, what: str, value: float, unit: str) -> Figure:
    """A number without a goal."""
    return Figure(step=step, what=what, value=value, unit=unit)


Step = tuple["Callable[..., Awaitable[list[Figure]]]", dict[str, object]]

STEPS: dict[str, Step] = {
    "600 requests/min": (known_requests, {"rpm": 600.0}),
    "6,000 requests/min": (known_requests, {"rpm": 6000.0}),
    "30,000 requests/min": (known_requests, {"rpm": 30_000.0}),
    "2,000,000 tokens/min": (known_tokens, {"tpm": 2_000_000.0}),
    "hidden, by the second": (hidden, {"window_s": 1.0}),
    "hidden, bucket of 10 s": (hidden, {"window_s": 10.0, "limiter": "bucket"}),
    "hidden, sliding minute": (hidden, {"window_s": 60.0}),
    "outage": (outage, {}),
    "cost": (cost, {}),
}


def main() -> int:
    """Run the steps; the exit status says whether every goal was met."""

    def measure(name: str, quick: bool) -> list[Figure]:  # noqa: FBT001 - as `by_steps` calls it
        step, members = STEPS[name]
        return asyncio.run(step(name, QUICK if quick else FULL, **members))

    return by_steps("How well the quota is used.", STEPS, measure)


if __name__ == "__main__":
    sys.exit(main())
