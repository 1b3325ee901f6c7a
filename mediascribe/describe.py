"""Describer: asks about every item of a shard, and lands the answers in one part.

Order of the guards, outermost first: retry policy, limiter slot, one attempt. The answer of an attempt is in the
journal before it is decoded, priced or counted.
"""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from mediascribe import dataset, journal, plan, retry
from mediascribe.case import Case
from mediascribe.domain import Failure, Item, Reason, Record, Shard
from mediascribe.errors import (
    AttemptError,
    InDoubtError,
    OutageError,
    PermanentError,
    RateLimitedError,
    StopRunError,
    TransientError,
)
from mediascribe.journal import Answered, GaveUp, Journal, Sent, Unanswered
from mediascribe.wire import DIALECTS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from mediascribe.client import Client
    from mediascribe.dataset import RunFacts
    from mediascribe.limiter import Limiter
    from mediascribe.pricing import PriceBook
    from mediascribe.question import Question
    from mediascribe.store import Store

_SYNC_EVERY_S: Final = 1.0
_GATEWAY_SIDE: Final = frozenset({"server", "network", "timeout"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Landing:
    """Where answers land: the dataset, priced by the book."""

    store: Store
    prices: PriceBook


@dataclass(frozen=True, slots=True, kw_only=True)
class Reach:
    """How the gateway is reached: the connections to it, and the one quota that all shards share."""

    client: Client
    limiter: Limiter


@dataclass(frozen=True, slots=True, kw_only=True)
class ShardReport:
    """How a shard ended. `stopped` says why the run cannot go on; then the part holds the rows that have a result."""

    name: str
    rows: int
    part: str | None
    in_doubt: int
    torn: tuple[str, ...]
    stopped: str | None = None


class _Desk:
    """One shard at work: what its journal held, the segment that is open, and what has come of its rows."""

    def __init__(self, found: journal.Replay) -> None:
        self.found = found
        self.log: Journal
        self.records: list[Record] = []
        self.in_doubt = 0


class Describer:
    """Asks the gateway about shards, several at a time, under one limiter. Belongs to one event loop."""

    def __init__(self, question: Question, reach: Reach, landing: Landing, announce: Callable[[Record], None]) -> None:
        """Bring together what was made apart; *announce* hears of every record. Nothing is sent yet."""
        self._question, self._landing, self._announce = question, landing, announce
        self._client, self._limiter = reach.client, reach.limiter
        self._stop: StopRunError | None = None
        self._stopping = asyncio.Event()

    async def describe(self, shard: Shard) -> ShardReport:
        """Ask about every row of *shard* that has no result, and publish the part. Does nothing for a finished shard.

        Answers found in the shard's journal are not asked again. When the run has to stop, the answers in flight still
        land, and the part holds the rows that have a result.
        """
        store = self._landing.store
        if dataset.has_part(store, shard):
            return ShardReport(name=shard.name, rows=0, part=dataset.part_name(shard), in_doubt=0, torn=())
        folder = journal_folder(store, shard)
        desk = _Desk(journal.replay(folder))
        with Journal(folder) as desk.log:
            await self._answer(plan.read(shard), desk)
        return await asyncio.to_thread(self._land, shard, desk)

    async def _answer(self, rows: Iterator[tuple[Item, Reason]], desk: _Desk) -> None:
        """Take *rows* to their records, as many at a time as the window may hold."""

        async def work() -> None:
            for item, reason in rows:
                if self._stop:
                    return
                record = await self._row(item, reason, desk)
                if record:
                    desk.records.append(record)
                    self._announce(record)

        syncing = asyncio.create_task(_keep_synced(desk.log))
        try:
            async with asyncio.TaskGroup() as group:
                for _ in range(self._question.job.limits.concurrency):
                    group.create_task(work())
        finally:
            syncing.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await syncing

    async def _row(self, item: Item, reason: Reason, desk: _Desk) -> Record | None:
        """The record of one row, or None when the run stopped before it had one."""
        if item.problem:
            return Record(item=item, reason=reason, outcome=item.problem)
        try:
            request = self._question.request(item)
        except ValueError as error:
            problem = Failure(error_class="row", code="prompt", message=f"row {item.row_number}: {error}")
            return Record(item=item, reason=reason, outcome=problem)
        case = Case(item, reason, request, fit=self._question.fit)
        case.replay(desk.found.rows.get(item.row_number, ()))
        await self._ask(case, desk.log)
        case.close()
        desk.in_doubt += case.in_doubt
        return case.record(self._landing.prices) if case.outcome else None

    async def _ask(self, case: Case, log: Journal) -> None:
        """Attempt until *case* has its outcome, with a second question where it wants one, or the run stops."""
        while True:
            if case.outcome is None:
                await self._try(case, log)
            entry = self._question.again(case)
            if entry is None:
                return
            log.append(entry)
            case.again(entry)

    async def _try(self, case: Case, log: Journal) -> None:
        """Attempt until *case* has an outcome, or the run stops."""
        body = DIALECTS[case.request.dialect].encode(case.request)
        try:
            async for attempt in retry.policy(self._question.job.retry, used=case.used, sleep=self._pause):
                with attempt:
                    await self._attempt(case, body, log)
        except StopRunError as error:
            self._stop = self._stop or error
            self._stopping.set()
            self._limiter.close()
        except AttemptError:
            if case.outcome is None:
                log.append(GaveUp(row=case.item.row_number, at=time.time()))
                case.give_up()

    async def _attempt(self, case: Case, body: bytes, log: Journal) -> None:
        """One exchange, journalled on both sides; raises what is wrong with the answer."""
        row, dialect = case.item.row_number, DIALECTS[case.request.dialect]
        async with self._limiter.slot() as admitted_at:
            if self._stop:
                raise self._stop
            sent_at, started = time.time(), time.perf_counter()
            log.append(Sent(row=row, key=case.key, at=sent_at))
            case.sent(sent_at)
            try:
                answer = await self._client.post(
                    dialect.url(self._client.base_url, case.request), body, dialect.headers
                )
            except AttemptError as error:
                _journal_unanswered(case, error, log)
                raise self._judged(error, row) from None
            latency_s = time.perf_counter() - started
            entry = Answered.of(row, answer, at=sent_at + latency_s, latency_s=latency_s)
            log.append(entry)
        try:
            case.answered(entry)
        except RateLimitedError as error:
            self._limiter.refused(admitted_at, error.wait_s)
            raise
        except AttemptError as error:
            raise self._judged(error, row) from None
        self._limiter.succeeded()

    def _judged(self, error: AttemptError, row: int) -> AttemptError:
        """*error*, or what it means when the gateway is down: an outage costs no attempt, a long one stops the run.

        A request in doubt keeps its type: it may have been billed, whatever the state of the gateway.
        """
        if not isinstance(error, TransientError) or error.failure.error_class not in _GATEWAY_SIDE:
            self._limiter.answered()
            return error
        excused = self._limiter.failed(row, error.failure.message)
        outage = self._limiter.outage()
        if outage and outage.lasted_s > self._question.job.limits.outage_stop_s:
            message = f"the gateway has been down for {outage.lasted_s / 60:.0f} min: {outage.why}"
            return StopRunError(replace(error.failure, message=message))
        return OutageError(error.failure) if excused and not isinstance(error, InDoubtError) else error

    async def _pause(self, wait_s: float) -> None:
        """Sleep, but no longer than the run goes on."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._stopping.wait(), wait_s)

    def _land(self, shard: Shard, desk: _Desk) -> ShardReport:
        """Publish the part, and only then forget the journal."""
        part = publish(self._landing.store, self._question.facts, shard, desk.records)
        shutil.rmtree(journal_folder(self._landing.store, shard))
        return ShardReport(
            name=shard.name,
            rows=len(desk.records),
            part=part,
            in_doubt=desk.in_doubt,
            torn=desk.found.torn,
            stopped=str(self._stop) if self._stop else None,
        )


def journal_folder(store: Store, shard: Shard) -> Path:
    """Where *shard*'s attempts and answers are until its part is published."""
    return store.work / "journal" / shard.run_id / f"{shard.number:05d}"


def publish(store: Store, facts: RunFacts, shard: Shard, records: list[Record]) -> str | None:
    """Write the part in manifest order; a shard without any result has none."""
    if not records:
        return None
    held = replace(shard, rows=len(records))
    return dataset.write_part(store, facts, held, sorted(records, key=lambda record: record.item.row_number))


def _journal_unanswered(case: Case, error: AttemptError, log: Journal) -> None:
    failure, at = error.failure, time.time()
    in_doubt = isinstance(error, InDoubtError | PermanentError)
    row = case.item.row_number
    log.append(Unanswered(row=row, at=at, error_class=failure.error_class, message=failure.message, in_doubt=in_doubt))
    case.unanswered(failure, at, in_doubt=in_doubt)


async def _keep_synced(log: Journal) -> None:
    """Make the journal safe against power loss, at most a second after each entry."""
    while True:
        await asyncio.sleep(_SYNC_EVERY_S)
        if not log.is_synced:
            await asyncio.to_thread(log.sync)
