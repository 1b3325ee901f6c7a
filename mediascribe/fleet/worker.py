"""Worker: one process that takes shards of a run, wherever it runs, and asks about their rows.

What a run asks travels with the shard: such a process needs mediascribe, the key in its environment, and the way to the
output and the gateway; no job file, no manifest, no prompt. It has connections and limits of its own.
"""

from __future__ import annotations

import asyncio
import os
import socket
import threading
import uuid
from contextlib import AsyncExitStack
from contextvars import ContextVar
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from mediascribe import __version__, telemetry
from mediascribe.attempts import Reach
from mediascribe.budget import Budget
from mediascribe.describe import Describer
from mediascribe.domain import Failure
from mediascribe.errors import ConfigError
from mediascribe.fleet import takeover
from mediascribe.fleet.errand import fetched_rows
from mediascribe.fleet.member import Member
from mediascribe.fleet.notes import Rows
from mediascribe.fleet.pulse import LEAD, LostError, Pulse, Watch
from mediascribe.job_sections import BudgetSection
from mediascribe.landing import ShardReport, Spot
from mediascribe.session import connected
from mediascribe.store import LocalStore, shipping
from mediascribe.store.terms import Terms
from mediascribe.weights import Weights

if TYPE_CHECKING:
    from collections.abc import Awaitable, Coroutine
    from concurrent.futures import Future

    from mediascribe.domain import Record, Shard
    from mediascribe.fleet.errand import Errand
    from mediascribe.store import Store

_OPENING_S: Final = 120.0
_ORPHANED: Final = 10  # terms without a sign of the lead


def _nobody(_: str) -> None:
    """Nobody listens."""


class Station:
    """One process at work for one run, in a thread with an event loop of its own; several shards at a time.

    Once it is `lost` it is lost for ever: whoever has one opens another.
    """

    def __init__(self, errand: Errand) -> None:
        """Connect, and begin to give signs of life.

        Raises:
            ConfigError: this process cannot do the errand: another version, no key.
            StoreError: the output cannot be reached.
        """
        if errand.version != __version__:
            raise ConfigError(
                f"this worker has mediascribe {__version__}, and the run is of {errand.version}:"
                " install the same version on every machine"
            )
        self.name = f"{socket.gethostname()}-{os.getpid()}-{uuid.uuid4().hex[:6]}"
        self._errand, self._shelf = errand, errand.shelf
        _prepare(self._shelf.store)
        takeover.deliver(self._shelf)
        self._terms, self._progress = Terms(ttl_s=errand.ttl_s), _Progress()
        lead = Watch(self._shelf, LEAD, Terms(ttl_s=_ORPHANED * errand.ttl_s))
        self._pulse = Pulse(shelf=self._shelf, name=self.name, terms=self._terms, heard=self._heard, lead=lead)
        self._turns, self._active = threading.Condition(), 0
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._live, name="station", daemon=True)
        self._thread.start()
        self._opened = self._call(self._open())
        try:
            self._describer: Describer = self._opened.result(_OPENING_S)
        except BaseException:  # whatever ends it, its loop and connections are closed
            self._leave()
            raise

    def lost(self) -> str | None:
        """Why it may write nothing more, if so."""
        return self._pulse.lost() or self._member.lost()

    def run(self, number: int) -> ShardReport:
        """Ask about every row of the shard *number* that has no answer yet, and publish its part.

        Safe to call for a shard that another process has, had, or finished. Waits; call it from any thread.

        Raises:
            LostError: the shard, or all of this process's, may be another's by now; what was received is kept.
            StoreError: the output fails.
        """
        with self._turns:
            self._active += 1
        try:
            return self._run(number)
        finally:
            with self._turns:
                self._active -= 1
                self._turns.notify_all()

    def _run(self, number: int) -> ShardReport:
        if why := self.lost():
            raise LostError(why)
        errand, shard = self._errand, self._errand.shard(number)
        held = takeover.take(self._shelf, shard, self.name, self._terms)
        if isinstance(held, ShardReport):
            return held
        if errand.plan_path is None:
            shard = replace(shard, plan_path=fetched_rows(self._shelf, number))
        with shipping.Shipper(held.nook, epoch=held.epoch) as shipper:

            def seal(report: ShardReport) -> None:
                if why := self.lost():
                    raise LostError(why)
                shipper.ship()
                held.seal(report)

            spot = Spot(folder=held.journal, seal=seal)
            describing = self._describer.describe(shard, spot)
            report: ShardReport = self._call(self._progress.at(shard, describing)).result()
            return takeover.told(self._shelf, number) or report

    def close(self) -> None:
        """Leave the run, once its shards have ended: a last sign says that nothing more comes."""
        with self._turns:
            self._turns.wait_for(lambda: not self._active)
        self._leave()
        if not isinstance(self._shelf.store, LocalStore):
            self._shelf.sweep()

    def _call(self, coroutine: Coroutine[Any, Any, Any]) -> Future[Any]:
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop)

    def _live(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_forever()
        self._loop.close()

    async def _open(self) -> Describer:
        self._stack = AsyncExitStack()
        opened = await self._stack.enter_async_context(connected(self._errand.inputs()))
        self._stack.enter_context(self._pulse)
        job = opened.inputs.job
        budget = Budget(BudgetSection(), None, spent=[], now=lambda: datetime.now(UTC))  # the lead has the caps
        self._member = Member(
            self._shelf.store, self._shelf.run_id, self.name, opened.lanes, budget, rows=self._progress.rows
        )
        await self._stack.enter_async_context(self._member)
        told = await self._stack.enter_async_context(telemetry.opened(job, opened.client.base_url, _nobody))
        reach = Reach(
            client=opened.client,
            lanes=opened.lanes,
            budget=budget,
            weights=Weights(opened.inputs.models, opened.inputs.prices, job.budget.media_tokens),
            lost=self.lost,
            media=opened.media,
            telemetry=told,
        )

        def landed(record: Record) -> None:
            told.landed(record)
            self._progress.announce(record)

        describer = Describer(opened.question(self._errand.facts), reach, opened.landing(), landed)
        told.watching(describer.watch, opened.lanes.uses)
        return describer

    def _heard(self, _order: str, why: str) -> None:
        """Send nothing more, and let what is in flight land; told by the thread of the beats."""
        if self._opened.done():
            self._loop.call_soon_threadsafe(self._describer.drain, why)

    def _leave(self) -> None:
        async def leave() -> None:
            await self._stack.aclose()

        if self._thread.is_alive():
            self._call(leave()).result(_OPENING_S)
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join()


@dataclass(slots=True)
class _Progress:
    """How far the shards of this process are."""

    in_hand: dict[int, int] = field(default_factory=dict)  # rows of each
    counts: dict[int, tuple[int, int]] = field(default_factory=dict)  # done, and of these failed
    shard: ContextVar[int] = field(default_factory=lambda: ContextVar("shard"))

    async def at(self, shard: Shard, work: Awaitable[ShardReport]) -> ShardReport:
        """What *work* on *shard* comes to; whatever that is, nothing of it waits afterwards."""
        self.shard.set(shard.number)  # for all tasks that come of it
        self.in_hand[shard.number], self.counts[shard.number] = shard.rows, (0, 0)
        try:
            return await work
        finally:
            del self.in_hand[shard.number]

    def announce(self, record: Record) -> None:
        """Count *record*, which came of the shard of this task."""
        number = self.shard.get()
        done, failed = self.counts[number]
        self.counts[number] = done + 1, failed + isinstance(record.outcome, Failure)

    def rows(self) -> Rows:
        """The same, as a member says it."""
        waiting = sum(rows - self.counts[number][0] for number, rows in self.in_hand.items())
        return Rows(waiting=waiting, shards=dict(self.counts))


def _prepare(store: Store) -> None:
    """See that the output is there from here as well, and make the work folder of a bucket.

    Raises:
        ConfigError: the output is a folder that this machine does not share.
    """
    if not isinstance(store, LocalStore):
        store.local.prepare()
    elif not store.work.is_dir():
        raise ConfigError(
            f"output `{store.address}` is not there on {socket.gethostname()}: workers on several machines want"
            " a folder that all of them share, at the same path, or a bucket (s3://...)"
        )
