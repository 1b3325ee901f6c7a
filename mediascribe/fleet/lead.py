"""Lead: the process of the flow, which hands shards to others, lends them quota and budget, and hears how they end.

What comes back is how a shard ended. One that came back lost, or not at all, is handed out again, unless that happened
to it several times on end. What stops one process stops all.
"""

from __future__ import annotations

import asyncio
import contextlib
import pickle
import time
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import msgspec

from mediascribe import journal
from mediascribe.attempts import Watch
from mediascribe.errors import StoreError
from mediascribe.fleet import engine, takeover
from mediascribe.fleet.common import joined
from mediascribe.fleet.errand import errand_of, ship_rows
from mediascribe.fleet.ledger import Ledger
from mediascribe.fleet.office import Office
from mediascribe.fleet.pulse import LEAD, LostError, Pulse, order
from mediascribe.fleet.sublet import Sublet
from mediascribe.landing import ShardReport, keep_report
from mediascribe.pacing import Pacing
from mediascribe.spending import Spent
from mediascribe.store.terms import Terms

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterable

    from mediascribe.budget import Budget
    from mediascribe.domain import Shard
    from mediascribe.fleet.errand import Errand
    from mediascribe.fleet.shelf import Shelf
    from mediascribe.fleet.standing import FleetStanding
    from mediascribe.job_sections import EngineSection
    from mediascribe.pacing import Bound
    from mediascribe.plan import Plan
    from mediascribe.report.progress import Meter
    from mediascribe.session import Session

_TURNS: Final = 5  # of a shard that comes back lost
_AGAIN_S: Final = 1.0
_AT_ONCE: Final = 16  # shards handed out, at least: workers may join
_FULL: Final = 0.9  # of the quota
_LEAVING_S: Final = 20.0
_TOLD_EVERY_S: Final = 60.0


class Accounts(NamedTuple):
    """The quota and the budget of the run, and who lends them."""

    ledger: Ledger
    budget: Budget


def _nobody(_: str) -> None:
    """Nobody listens."""


class Fleet:
    """The processes of one run, as a `Describer` of its shards. Belongs to one event loop."""

    def __init__(self, client: Any, errand: Errand, accounts: Accounts, meter: Meter) -> None:  # noqa: ANN401 - Dask's
        """Nothing is handed out yet. *meter* shows what the processes say."""
        self._client, self._errand, self._shelf = client, errand, errand.shelf
        self._accounts, self._meter = accounts, meter
        self._order = pickle.dumps(errand)
        self._stopping = asyncio.Event()
        self._why, self._drained = "", False
        self.common: Callable[[], str | None] = lambda: None  # what is lent of a quota in common with other runs

    @property
    def at_once(self) -> int:
        """How many shards to ask for at a time, so that no process waits for one."""
        processes = len(self._client.scheduler_info(n_workers=-1)["workers"])
        return max(_AT_ONCE, 2 * engine.SHARDS_AT_ONCE * processes)

    def standing(self) -> FleetStanding:
        """Where the processes stand, as they said last."""
        return self._accounts.ledger.standing()

    def watch(self) -> Watch:
        """What the rows wait for, and how much is spent, now; the meter is brought up to date."""
        standing, meter = self.standing(), self._meter
        done = min(standing.rows.done, meter.total)
        meter.by_status["failed"] = min(standing.rows.failed, done)
        meter.by_status["ok"] = done - meter.by_status["failed"]
        meter.tokens, meter.nano_usd = standing.spent.tokens, standing.spent.nano_usd
        meter.note = " · ".join(filter(None, [line(standing), self.common()]))
        return Watch(pacing=self._pacing(standing), budget=self._accounts.budget.view())

    async def describe(self, shard: Shard) -> ShardReport:
        """Have the rows of *shard* asked about by some process, and its part published.

        Raises:
            StoreError: it was lost time and again.
        """
        if self._errand.plan_path is None:
            await asyncio.to_thread(ship_rows, self._shelf, shard)
        losses: tuple[type[BaseException], ...] = (LostError, *engine.losses())
        why: BaseException | None = None
        for turn in range(_TURNS):
            try:
                report = await self._handed_out(shard, turn)
            except losses as error:
                why = error
                await asyncio.sleep(_AGAIN_S)
            else:
                return await self._landed(shard, report)
        raise StoreError(f"shard {shard.number} was lost {_TURNS} times on end, at last: {why}")

    def drain(self, why: str) -> None:
        """Send nothing more anywhere, and let what is in flight land: the run ends soon, and says *why*."""
        self._stop(why, drained=True)

    async def settled(self, shards: Iterable[Shard], reports: Iterable[ShardReport]) -> list[ShardReport]:
        """*reports*, with what lost processes had sent that came to light since; for when all shards have ended."""
        await self.dismiss()
        return [await asyncio.to_thread(self._with_late, *ended) for ended in zip(shards, reports, strict=True)]

    def _with_late(self, shard: Shard, report: ShardReport) -> ShardReport:
        spent = dict(report.spent)
        found = takeover.late(self._shelf, shard)
        for sent in found:
            day = f"{datetime.fromtimestamp(sent.at, UTC):%Y-%m-%d}"
            worst = Spent(nano_usd=sent.nano_usd, tokens=sent.tokens, requests=1, in_doubt_nano_usd=sent.nano_usd)
            spent[day] = spent.get(day, Spent()) + worst
        return msgspec.structs.replace(report, in_doubt=report.in_doubt + len(found), spent=spent)

    async def dismiss(self) -> None:
        """Let every process leave the run; one that does not answer is left alone."""
        with contextlib.suppress(*engine.losses(), OSError, TimeoutError):
            leaving = self._client.run(engine.leave, self._order, on_error="ignore")
            await asyncio.wait_for(leaving, _LEAVING_S)

    def _stop(self, why: str, *, drained: bool) -> None:
        if not self._stopping.is_set():
            self._why, self._drained = why, drained
            order(self._shelf, "drain", why)
            self._stopping.set()

    async def _landed(self, shard: Shard, report: ShardReport) -> ShardReport:
        """Note how *shard* ended; what stops one process stops all."""
        if report.drained:
            report = msgspec.structs.replace(report, stopped=self._why, drained=self._drained)
        elif report.stopped:
            self._stop(report.stopped, drained=False)
        await asyncio.to_thread(_keep, self._shelf, shard, report)
        for name in await asyncio.to_thread(takeover.ousted, self._shelf, shard.number):
            self._accounts.ledger.declare_dead(name)
        await asyncio.to_thread(takeover.forget, self._shelf, shard.number)
        return report

    async def _handed_out(self, shard: Shard, turn: int) -> ShardReport:
        """How *shard* ended; one that nobody had begun when the run was told to stop is left."""
        key = f"{shard.name}-{turn}"
        future = self._client.submit(engine.work, self._order, shard.number, key=key, pure=False, retries=0)
        asked = asyncio.ensure_future(future.result())
        stopping = asyncio.create_task(self._stopping.wait())
        try:
            await asyncio.wait({asked, stopping}, return_when=asyncio.FIRST_COMPLETED)
            if not asked.done() and not await asyncio.to_thread(takeover.is_begun, self._shelf, shard.number):
                await future.cancel()
                left = ShardReport(name=shard.name, rows=0, part=None, in_doubt=0, torn=(), spent={})
                return msgspec.structs.replace(left, stopped=self._why, drained=self._drained)
            report: ShardReport = await asked
        finally:
            stopping.cancel()
        return report

    def _pacing(self, standing: FleetStanding) -> Pacing:
        """What the processes wait for, as one process would say it."""
        full = standing.quota_share is not None and standing.quota_share >= _FULL
        bound: Bound | None = "requests_per_minute" if full else "window" if standing.more_would_help else None
        return Pacing(
            in_flight=standing.in_flight,
            window=standing.in_flight + 1,
            cooldown_s=0.0,
            outage=None,
            requests_per_minute=self._errand.job.limits.requests_per_minute,
            bound_by=bound,
            why=standing.why,
        )


@asynccontextmanager
async def fleet(
    opened: Session, made: Plan, section: EngineSection, meter: Meter, tell: Callable[[str], None] = _nobody
) -> AsyncIterator[Fleet]:
    """The fleet of the run of *made*, while the block runs; *tell* hears every minute how it stands.

    Raises:
        ConfigError: Dask is not installed, or no cluster answers at the address.
    """
    async with engine.client(section) as client:
        errand = await asyncio.to_thread(errand_of, opened, made, section.dead_after_s)
        pulse = Pulse(shelf=errand.shelf, name=LEAD, terms=Terms(ttl_s=errand.ttl_s))
        async with _accounts(opened, made) as (accounts, common):
            many = Fleet(client, errand, accounts, meter)
            many.common = common
            telling = asyncio.create_task(_tell(many, tell))
            try:
                with pulse:
                    yield many
            finally:
                telling.cancel()
                await many.dismiss()


@asynccontextmanager
async def _accounts(opened: Session, made: Plan) -> AsyncIterator[tuple[Accounts, Callable[[], str | None]]]:
    """The quota and the budget of the run, lent to its processes; and what says how much the run was lent itself."""
    inputs, hold = opened.inputs, opened.hold
    budget = await asyncio.to_thread(inputs.budget)
    epoch, lost = (hold.lease.epoch, hold.lost) if hold else (1, lambda: None)
    office, limits = Office(epoch=epoch, lost=lost), inputs.job.limits
    sublet = Sublet(time.monotonic) if limits.common is not None else None
    async with AsyncExitStack() as stack:
        ledger = Ledger(inputs.store, made.run_id, limits, budget, office=office, source=sublet)
        common: Callable[[], str | None] = lambda: None  # noqa: E731 - it is a default
        if sublet:
            sublet.lend(ledger)
            common = await stack.enter_async_context(joined(inputs.job, sublet))
        yield Accounts(await stack.enter_async_context(ledger), budget), common


async def _tell(many: Fleet, tell: Callable[[str], None]) -> None:
    while True:
        await asyncio.sleep(_TOLD_EVERY_S)
        tell(line(many.standing()))


def line(standing: FleetStanding) -> str:
    """*standing* in one line: who is at work, how fast, and what bounds them."""
    others = [f"{count} {name}" for name, count in (("late", standing.late), ("dead", standing.dead)) if count]
    words = [f"workers: {standing.alive}" + (f" ({', '.join(others)})" if others else "")]
    words += [f"{standing.quota_share:.0%} of the quota"] if standing.quota_share is not None else []
    return " · ".join([*words, standing.why, *([standing.problem] if standing.problem else [])])


def _keep(shelf: Shelf, shard: Shard, report: ShardReport) -> None:
    """Note how *shard* ended where a start after this one looks for it, should this process be killed."""
    folder = journal.place(shelf.store.work, shard)
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    keep_report(folder, report)
