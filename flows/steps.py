"""The order of steps that `caption` and `backfill` share: recover, plan, describe shard by shard, publish, verify."""

from __future__ import annotations

import asyncio
import logging
import time
from contextlib import asynccontextmanager, nullcontext
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from prefect.context import FlowRunContext, SyncClientContext
from prefect.states import Cancelled, Completed, Failed

from flows import hooks
from flows.artifacts import Board, Landed, Page, shard_page, summary_page
from flows.signals import draining
from flows.terminal import console
from mediascribe import deadline as deadlines
from mediascribe import forecast
from mediascribe.errors import MediascribeError
from mediascribe.fleet.common import joined
from mediascribe.fleet.lead import Fleet, fleet
from mediascribe.job_sections import EngineSection
from mediascribe.means import FULL, Means, within
from mediascribe.plan import kept
from mediascribe.report import notes, standing
from mediascribe.report.progress import Meter, Style, shown
from mediascribe.session import Session, session
from mediascribe.wanted import EVERYTHING, Wanted
from tasks.describe import describe_shard
from tasks.plan import begin_plan, plan_run, recover_runs
from tasks.publish import add_notes, drop_plan, mark_incomplete, publish_run, verify_run

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from prefect.client.schemas.objects import State

    from mediascribe.describe import Describer
    from mediascribe.domain import Reason, Shard
    from mediascribe.landing import ShardReport
    from mediascribe.plan import Plan
    from mediascribe.run import Outcome, RunFile

# Under one limiter: the next shard begins while the last answers of the one before come in.
_SHARDS_AT_ONCE: Final = 2
# A forecast reads the plan and all results: of so many rows in a second or two, beside the run.
_FORECAST_ROWS: Final = 200_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Way:
    """How a run goes about its rows, whichever they are: the fields of the form that every flow has."""

    progress: Style
    deadline: str | None = None
    workers: int | None = None


async def fill(
    job: str, reasons: tuple[Reason, ...], way: Way, wanted: Wanted = EVERYTHING, means: Means = FULL
) -> State[Outcome]:
    """Ask about the items of the *job* file's manifest that are due for one of *reasons* and *wanted*, within *means*.

    The state is Completed when every planned row has a result and all of them are found whole; else Failed, under a
    name that says why (`notes.Ending`), or Cancelled: what was answered is kept all the same.
    """
    return await _run(job, lambda opened: plan_run(opened, reasons, wanted), way, means)


async def finish(plan: str, way: Way) -> State[Outcome]:
    """Ask about the rows of the kept *plan* that have no result since it was made; the state is as `fill` gives it."""
    made = kept.load(plan)
    state = await _run(made.job_path, lambda opened: begin_plan(opened, made), way, FULL)
    if state.is_completed():
        kept.remove(made)
    return state


async def _run(job: str, draw_up: Callable[[Session], Plan], way: Way, means: Means) -> State[Outcome]:
    hooks.ended.set(None)
    due_at = deadlines.parse(way.deadline, datetime.now(UTC)) if way.deadline else None
    # A task that is no coroutine would make a client of its own, which takes longer than all else Prefect does for it.
    with SyncClientContext.get_or_create() if FlowRunContext.get() else nullcontext():
        async with session(job, _tell) as held:
            opened = within(held, means)
            recovered = recover_runs(opened)
            plan = draw_up(opened)
            course = _Course(opened, plan, due_at, _engine(opened, way.workers))
            closed, problems = None, []
            if plan.rows:
                closed = publish_run(opened, plan, await course.describe(way.progress))
                problems = verify_run(opened, closed)
                closed = mark_incomplete(opened, closed, problems) if problems else closed
            else:
                drop_plan(opened, plan)
            outcome = opened.inputs.outcome(plan, recovered=recovered, closed=closed)
            return await course.conclude(outcome, problems)


def _tell(line: str) -> None:
    """Tell the person at the terminal what a start waits for."""
    console().print(f"mediascribe: {line}", highlight=False, soft_wrap=True)


def _engine(opened: Session, workers: int | None) -> EngineSection:
    """Where shards are asked about: as the job says, or on so many *workers* of this machine."""
    given = opened.inputs.job.engine
    return EngineSection(workers=workers, dead_after_s=given.dead_after_s) if workers else given


class _Course:
    """A run on its way, and who is to know of it."""

    def __init__(self, opened: Session, plan: Plan, due_at: datetime | None, engine: EngineSection) -> None:
        context, job = FlowRunContext.get(), opened.inputs.job
        self._opened, self._plan, self._due_at, self._engine = opened, plan, due_at, engine
        self._board = Board(job.name, context.flow_run.id if context and context.flow_run else None)
        self._landed = {shard.number: Landed(shard=shard) for shard in plan.shards}
        self._gauge = standing.Gauge(
            meter=Meter(total=plan.rows),
            job=job.name,
            run_id=plan.run_id,
            limits=job.limits.models.get(job.model, job.limits),
            looks_at_media=job.media.mode != "url",
        )
        self._budget: str | None = None

    async def describe(self, progress: Style) -> list[ShardReport]:
        """Ask about every shard of the plan, a few at a time; gives how they ended."""
        async with self._describer() as describer:
            return await self._describe(describer, progress)

    @asynccontextmanager
    async def _describer(self) -> AsyncIterator[Describer | Fleet]:
        """Who asks: this process, or the processes of a fleet."""
        if not self._engine.is_used:
            async with joined(self._opened.inputs.job, self._opened.lanes, self._gauge.meter):
                yield self._opened.describer(self._plan, self._gauge.announce)
            return
        async with fleet(self._opened, self._plan, self._engine, self._gauge.meter, hooks.logger().info) as many:
            yield many

    async def _describe(self, describer: Describer | Fleet, progress: Style) -> list[ShardReport]:
        turns = asyncio.Semaphore(describer.at_once if isinstance(describer, Fleet) else _SHARDS_AT_ONCE)
        self._log_plan()

        async def in_turn(shard: Shard) -> ShardReport:
            async with turns:
                began_at = time.monotonic()
                report = await describe_shard(describer, shard, self._opened.inputs.job.name)
                self._land(shard, report, time.monotonic() - began_at)
                return report

        with draining(describer.drain):
            async with (
                shown(self._gauge.meter, describer.watch, console(), progress),
                self._watched(describer),
                asyncio.TaskGroup() as group,
            ):
                running = [group.create_task(in_turn(shard)) for shard in self._plan.shards]
        reports = [task.result() for task in running]
        return await describer.settled(self._plan.shards, reports) if isinstance(describer, Fleet) else reports

    async def conclude(self, outcome: Outcome, problems: list[str]) -> State[Outcome]:
        """The state of the flow run, after everybody was told who can be reached."""
        ended = notes.ending(outcome, problems)
        note = notes.at_the_end(outcome, ended, job=self._opened.inputs.job.name, budget=self._budget)
        hooks.ended.set(hooks.Ended(outcome, note))
        self._board.put(summary_page(outcome, ended, notes.resume(outcome)))
        await self._board.post()
        if self._board.missed:
            await self._tell_unreached(outcome.run, note)
        if outcome.run and outcome.run.status == "interrupted" and await hooks.is_being_cancelled():
            await hooks.send(notes.cancelled(note))
            return Cancelled(message=ended.message, data=outcome)
        if ended.name == "Completed":
            return Completed(message=ended.message, data=outcome)
        return Failed(name=ended.name, message=ended.message, data=outcome)

    @asynccontextmanager
    async def _watched(self, describer: Describer | Fleet) -> AsyncIterator[None]:
        """While the body runs, what there is to know of it is logged, told and posted."""
        resume = notes.resume_command(self._opened.inputs.job_path, self._plan.reasons)
        watcher = hooks.Watcher(lambda: self._gauge.standing(describer.watch()), self._due_at, resume)

        def refresh() -> None:
            page = standing.markdown(watcher.standing, datetime.now(UTC), watcher.deadline)
            about = standing.headline(watcher.standing)
            share = Page(name="progress", type="progress", content=100 * watcher.standing.share, description=about)
            self._board.put(share)
            self._board.put(Page(name="standing", type="markdown", content=page, description=about))
            self._board.put(shard_page([*self._landed.values()]))

        at_work = (watcher.watch(), self._board.keep_posted(refresh), self._log_forecast())
        running = [asyncio.create_task(one) for one in at_work]
        naming = asyncio.create_task(hooks.name_run(self._opened.inputs.job.name, self._plan.rows))
        try:
            yield
        finally:
            for task in running:
                task.cancel()
            # Whatever befell those who only look on: the run ends as it would without them.
            for fault in await asyncio.gather(naming, *running, return_exceptions=True):
                if isinstance(fault, Exception):
                    hooks.logger().error("the run could not be watched to its end", exc_info=fault)
            watcher.look()
            refresh()
            self._budget = watcher.standing.budget
            await watcher.delivered()

    def _log_plan(self) -> None:
        counts = {reason: rows for reason, rows in self._plan.counts.items() if rows and reason in self._plan.reasons}
        due = ", ".join(f"{rows:,} {reason}" for reason, rows in counts.items())
        until = f"; to be done by {self._due_at:%Y-%m-%d %H:%M %Z}" if self._due_at else ""
        line = "run %s: %s rows to ask (due: %s), shards: %s%s"
        hooks.logger().info(line, self._plan.run_id, f"{self._plan.rows:,}", due, len(self._landed), until)

    async def _log_forecast(self) -> None:
        """Log what the plan will come to, where somebody reads that, and finding it out takes no more than a moment."""
        many = sum(self._plan.counts.values()) > _FORECAST_ROWS
        if many or not hooks.logger().isEnabledFor(logging.INFO):
            return
        try:
            found = await asyncio.to_thread(forecast.forecast, self._opened.inputs, self._plan)
        except MediascribeError as error:
            hooks.logger().info("there is no forecast: %s", error)
        else:
            hooks.logger().info("forecast, low and high in 90 of 100 cases: %s", notes.forecast_line(found))

    def _land(self, shard: Shard, report: ShardReport, seconds: float) -> None:
        self._landed[shard.number] = Landed(shard=shard, report=report, seconds=seconds)
        landed = sum(one.report is not None for one in self._landed.values())
        line = "shard %s landed, %s of %s: %s of %s rows, %.0f s"
        rows = (f"{report.rows:,}", f"{shard.rows:,}")
        hooks.logger().info(line, shard.number, landed, len(self._landed), *rows, seconds)

    async def _tell_unreached(self, closed: RunFile | None, note: notes.Note) -> None:
        """Say that Prefect's server knows too little: at the terminal, in the run file, and by a note."""
        line = f"Prefect's server was not reached {self._board.missed}: what it shows of this run is not the last word"
        _tell(line)
        if closed:
            add_notes(self._opened, closed, [line])
        await hooks.send(note)
