"""Describer: asks about every item of a shard, and lands the answers in one part."""

from __future__ import annotations

import asyncio
import contextlib
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import TYPE_CHECKING, Final

import pyarrow as pa

from mediascribe import dataset, journal, plan
from mediascribe.ahead import Ahead
from mediascribe.attempts import Attempts
from mediascribe.case import Case
from mediascribe.desk import Desk, Row
from mediascribe.domain import Failure, Record, Shard
from mediascribe.errors import DrainError, MediaError, SpentError, StopRunError
from mediascribe.journal import Journal
from mediascribe.landing import ShardReport, Spot, disk_error, keep_report, publish, room
from mediascribe.pieced import Pieced

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from mediascribe.attempts import Reach, Watch
    from mediascribe.domain import Request
    from mediascribe.landing import Landing
    from mediascribe.plan import Due
    from mediascribe.question import Question

_SYNC_EVERY_S: Final = 1.0
_WORKERS_AT_MOST: Final = 1_000  # of "auto"
_BEGUN_AT_ONCE: Final = 50


class Describer:
    """Asks the gateway about shards, several at a time, under one limiter. Belongs to one event loop."""

    def __init__(self, question: Question, reach: Reach, landing: Landing, announce: Callable[[Record], None]) -> None:
        """Bring together what was made apart; *announce* hears of every record. Nothing is sent yet."""
        self._question, self._landing, self._announce = question, landing, announce
        # One part at a time, in one thread: two would take twice the memory, and keep it.
        self._lander = ThreadPoolExecutor(1, thread_name_prefix="landing")
        self._attempts, self._media, self._telemetry = Attempts(question, reach), reach.media, reach.telemetry

    def drain(self, why: str) -> None:
        """Send nothing more, and let what is in flight land: the run ends soon, and says *why*."""
        failure = Failure(error_class="config", message=why)
        self._attempts.stop(DrainError(failure))

    def watch(self) -> Watch:
        """What the rows wait for, and how much is spent, now."""
        return self._attempts.watch()

    async def describe(self, shard: Shard, spot: Spot | None = None) -> ShardReport:
        """Ask about every row of *shard* that has no result, and publish the part. Does nothing for a finished shard.

        Answers found in the shard's journal are not asked again. When the run has to stop, the answers in flight still
        land, and the part holds the rows that have a result.
        """
        with self._telemetry.shard(shard) as described:
            report = await self._describe(shard, spot)
            described.came_to(report)
        return report

    async def _describe(self, shard: Shard, spot: Spot | None) -> ShardReport:
        if await asyncio.to_thread(dataset.has_part, self._landing.store, shard):
            return ShardReport(name=shard.name, rows=0, part=dataset.part_name(shard), in_doubt=0, torn=(), spent={})
        spot = spot or Spot(folder=journal.place(self._landing.store.work, shard), seal=_ours)
        found = await asyncio.to_thread(journal.replay, spot.folder)
        desk = Desk(found, self._announce, self._question.facts, shard)
        try:
            with Journal(spot.folder, ballast=self._landing.ballast, on_full=self._full) as desk.log:
                await self._answer(Ahead(plan.read(shard)), desk)
                await asyncio.to_thread(desk.log.sync)
            loop = asyncio.get_running_loop()
            return await loop.run_in_executor(self._lander, self._land, shard, desk, spot)
        except* OSError as errors:
            raise disk_error(errors, self._landing) from None

    def _full(self, _: OSError) -> None:
        """Send nothing more, since the disk is full; the ballast's room is for what is in flight."""
        message = f"the disk is full: {room(self._landing)}"
        self._attempts.stop(StopRunError(Failure(error_class="config", message=message)))

    async def _answer(self, rows: Ahead[Due], desk: Desk) -> None:
        """Take *rows* to their records, as many at a time as the window may hold."""
        syncing = asyncio.create_task(_keep_synced(desk.log))
        try:
            async with asyncio.TaskGroup() as group:
                count = workers(self._question.job.limits.concurrency)
                if self._media is None:
                    await _begin_all(group, count, lambda: self._work(rows, desk))
                else:
                    ready: asyncio.Queue[Row | None] = asyncio.Queue(self._media.ahead)
                    group.create_task(self._look_ahead(rows, desk, ready, count))
                    await _begin_all(group, count, lambda: self._work_on(ready, desk))
        finally:
            syncing.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await syncing

    async def _work(self, rows: Ahead[Due], desk: Desk) -> None:
        """Ask about one of *rows* after the other."""
        while due := await rows.next():
            if self._attempts.stopped:
                return
            await self._through([due], desk)

    async def _work_on(self, ready: asyncio.Queue[Row | None], desk: Desk) -> None:
        """Ask about one of the rows that are *ready* after the other; when the run has to stop, only take them away."""
        while row := await ready.get():
            await self._through(await self._asked(row, desk), desk)

    async def _look_ahead(self, rows: Ahead[Due], desk: Desk, ready: asyncio.Queue[Row | None], workers_: int) -> None:
        """Make *rows* ready, several at a time and no more than are soon wanted; then tell each worker: no more."""
        assert self._media is not None  # noqa: S101 - the caller has seen to it

        async def look() -> None:
            while due := await rows.next():
                if self._attempts.stopped:
                    return
                waiting = [due]
                while waiting:
                    row, more = await self._prepared(waiting.pop(), desk)
                    waiting += more
                    if row:
                        await ready.put(row)

        async with asyncio.TaskGroup() as group:
            for _ in range(self._media.at_once):
                group.create_task(look())
        for _ in range(workers_):
            await ready.put(None)

    async def _through(self, rows: list[Due], desk: Desk) -> None:
        """Take *rows*, and those that follow from them, to their records."""
        while rows and not self._attempts.stopped:
            row, more = await self._prepared(rows.pop(), desk)
            rows += more
            if row:
                rows += await self._asked(row, desk)

    async def _prepared(self, due: Due, desk: Desk) -> tuple[Row | None, list[Due]]:
        """*due* ready to be asked, or None where it has its record, or waits for another's; and who is asked next."""
        item, entries = due.item, desk.found.rows.get(due.item.row_number, ())
        if item.problem:
            return None, desk.land(Record(item=item, reason=due.reason, outcome=item.problem))
        # One that was asked itself before a resume has entries of its own: it may lead, and waits for nobody.
        if due.leader is not None and not (entries and desk.is_led(due.leader)):
            shares, more = desk.shares(due.leader, due)
            if shares:
                return None, more
        try:
            request = self._question.request(item)
        except ValueError as error:
            problem = Failure(error_class="row", code="prompt", message=f"row {item.row_number}: {error}")
            return None, desk.land(Record(item=item, reason=due.reason, outcome=problem))
        row = Row(due, Case(item, due.reason, request, self._landing.prices, fit=self._question.fit))
        row.case.replay(entries)
        return await self._looked(row, desk) if self._media and row.case.outcome is None else (row, [])

    async def _looked(self, row: Row, desk: Desk) -> tuple[Row | None, list[Due]]:
        """*row* with its media as they are sent; or None, as `_prepared`."""
        assert self._media is not None  # noqa: S101 - the caller has seen to it
        try:
            row.prepared = await self._media.prepare(row.case.request, self._question.is_streamed)
        except MediaError as error:
            return None, desk.land(row.case.record_of(error.failure))
        part = row.prepared.parts[0]
        row.case.request, row.case.media = part.request, part.each
        if row.prepared.content and self._question.job.media.same_once and not row.case.account.attempts:
            key = (row.prepared.content, *_asked_beside_media(row.case.request))
            shares, more = desk.shares(key, row.due, row.media)
            if shares:
                self._media.release(row.prepared)
                return None, more
        return row, []

    async def _asked(self, row: Row, desk: Desk) -> list[Due]:
        """Ask about *row*, and land its record, if it has one before the run stops; gives the rows that are next."""
        try:
            record = await (self._in_pieces(row, desk) if row.is_pieced else self._at_once(row.case, desk))
        finally:
            if self._media and row.prepared:
                self._media.release(row.prepared)
        return desk.land(replace(record, media=row.media)) if record else []

    async def _at_once(self, case: Case, desk: Desk) -> Record | None:
        """What the only question of a row came to."""
        try:
            await self._ask(case, desk.log)
        finally:
            case.close()
            desk.cases.add(case)
        return case.record() if case.outcome else None

    async def _in_pieces(self, row: Row, desk: Desk) -> Record | None:
        """What the questions about the pieces of a row came to; a resumed row asks only those that are missing."""
        pieced = Pieced(row, desk.found.rows, self._landing.prices, self._question.fit)
        if entry := pieced.split():
            desk.log.append(entry)
        async with asyncio.TaskGroup() as group:
            for case in pieced.cases:
                group.create_task(self._at_once(case, desk))
        if self._question.job.media.join == "ask" and (joining := pieced.join()):
            await self._at_once(joining, desk)
        return pieced.record()

    async def _ask(self, case: Case, log: Journal) -> None:
        """Attempt until *case* has its outcome, with a second question where it wants one, or the run stops."""
        while True:
            if case.outcome is None:
                await self._attempts.take(case, log)
            entry = self._question.again(case)
            if entry is None:
                return
            log.append(entry)
            case.again(entry)

    def _land(self, shard: Shard, desk: Desk, spot: Spot) -> ShardReport:
        """Publish the part, note how the shard ended, and only then forget the journal."""
        results = desk.results()
        stopped = self._attempts.stopped
        report = ShardReport(
            name=shard.name,
            rows=len(results),
            part=dataset.part_name(shard) if len(results) else None,
            in_doubt=desk.cases.in_doubt,
            torn=desk.found.torn,
            spent=desk.cases.spent,
            stopped=str(stopped) if stopped else None,
            drained=isinstance(stopped, DrainError),
            over_budget=isinstance(stopped, SpentError),
        )
        spot.seal(report)
        publish(self._landing.store, self._question.facts, shard, results)
        del results
        pa.default_memory_pool().release_unused()  # what writing took: the next part is an hour away
        keep_report(spot.folder, report)
        return report


def _ours(_: ShardReport) -> None:
    """Nobody else works on it."""


def _asked_beside_media(request: Request) -> tuple[object, ...]:
    """What *request* asks, whatever its media."""
    kinds = tuple(media.kind for media in request.media)
    return (kinds, replace(request, media=(), identity=()).key)


def workers(concurrency: int | str) -> int:
    """How many rows of a shard are in hand at a time."""
    return concurrency if isinstance(concurrency, int) else _WORKERS_AT_MOST


async def _begin_all(group: asyncio.TaskGroup, count: int, work: Callable[[], Coroutine[None, None, None]]) -> None:
    """Have *count* of *group* at *work*; some at a time: each opens a connection, and others want the loop as well."""
    for begun in range(1, count + 1):
        group.create_task(work())
        if begun % _BEGUN_AT_ONCE == 0:
            await asyncio.sleep(0)


async def _keep_synced(log: Journal) -> None:
    """Make the journal safe against power loss, at most a second after each entry."""
    while True:
        await asyncio.sleep(_SYNC_EVERY_S)
        if not log.is_synced:
            await asyncio.to_thread(log.sync)
