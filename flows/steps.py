"""The order of steps that `caption` and `backfill` share: recover, plan, describe shard by shard, publish."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from prefect.states import Completed, Failed
from rich.console import Console

from flows.signals import draining
from mediascribe.means import FULL, Means, within
from mediascribe.plan import kept
from mediascribe.report.progress import Meter, Style, shown
from mediascribe.session import Session, session
from mediascribe.wanted import EVERYTHING, Wanted
from tasks.describe import describe_shard
from tasks.plan import begin_plan, plan_run, recover_runs
from tasks.publish import drop_plan, publish_run

if TYPE_CHECKING:
    from collections.abc import Callable

    from prefect.client.schemas.objects import State

    from mediascribe.describe import ShardReport
    from mediascribe.domain import Reason, Shard
    from mediascribe.plan import Plan
    from mediascribe.run import Outcome

# Under one limiter: the next shard begins while the last answers of the one before come in.
_SHARDS_AT_ONCE: Final = 2


async def fill(
    job: str,
    reasons: tuple[Reason, ...],
    progress: Style,
    wanted: Wanted = EVERYTHING,
    means: Means = FULL,
) -> State[Outcome]:
    """Ask about the items of the *job* file's manifest that are due for one of *reasons* and *wanted*, within *means*.

    The state is Failed, named Stopped, when the run ended before its plan did; what was answered is kept all the same.
    """
    return await _run(job, lambda opened: plan_run(opened, reasons, wanted), progress, means)


async def finish(plan: str, progress: Style) -> State[Outcome]:
    """Ask about the rows of the kept *plan* that have no result since it was made; the state is as `fill` gives it."""
    made = kept.load(plan)
    state = await _run(made.job_path, lambda opened: begin_plan(opened, made), progress, FULL)
    if state.is_completed():
        kept.remove(made)
    return state


async def _run(job: str, draw_up: Callable[[Session], Plan], progress: Style, means: Means) -> State[Outcome]:
    async with session(job, _tell) as held:
        opened = within(held, means)
        recovered = recover_runs(opened)
        plan = draw_up(opened)
        run = publish_run(opened, plan, await _describe(opened, plan, progress)) if plan.rows else None
        if run is None:
            drop_plan(opened, plan)
    outcome = opened.inputs.outcome(plan, recovered=recovered, closed=run)
    if run and run.stopped:
        return Failed(name=run.status.capitalize(), message=run.stopped, data=outcome)
    return Completed(data=outcome)


def _tell(line: str) -> None:
    """Tell the person at the terminal what a start waits for."""
    Console(stderr=True).print(f"mediascribe: {line}", highlight=False, soft_wrap=True)


async def _describe(opened: Session, plan: Plan, progress: Style) -> list[ShardReport]:
    meter = Meter(total=plan.rows)
    describer = opened.describer(plan, meter.announce)
    turns = asyncio.Semaphore(_SHARDS_AT_ONCE)

    async def in_turn(shard: Shard) -> ShardReport:
        async with turns:
            return await describe_shard(describer, shard)

    with draining(describer.drain):
        async with shown(meter, describer.watch, Console(stderr=True), progress), asyncio.TaskGroup() as group:
            running = [group.create_task(in_turn(shard)) for shard in plan.shards]
    return [task.result() for task in running]
