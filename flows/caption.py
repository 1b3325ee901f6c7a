"""The scheduled job: whatever in the manifest has no result yet; or a plan that was made for it before."""

from __future__ import annotations

from prefect import flow
from prefect.client.schemas.objects import State

from flows.form import DeadlineField, JobField, PlanField, ProgressField, RulesField, WorkersField
from flows.hooks import tell_end
from flows.starting import started
from flows.steps import Way, fill, finish
from mediascribe.run import Outcome
from mediascribe.schedule import USUAL


@flow(
    name="caption",
    flow_run_name="caption {job}",
    retries=0,
    on_completion=[tell_end],
    on_failure=[tell_end],
    on_crashed=[tell_end],
)
async def caption(  # noqa: PLR0913, PLR0917 - each is a field of the form that Prefect makes
    job: JobField,
    plan: PlanField = None,
    deadline: DeadlineField = None,
    rules: RulesField = USUAL,
    workers: WorkersField = None,
    progress: ProgressField = "auto",
) -> State[Outcome]:
    """Ask about every item of the *job* file's manifest that has no result yet; with a *plan*, about its rows.

    Args:
        job: The job file, such as configs/jobs/demo.toml.
        plan: A plan of that job, as `mediascribe plan` made it.
        deadline: When it is to be done: 06:00, or 06:00 Europe/Berlin, or 2026-10-01T06:00+02:00.
        rules: When it gives way to another run, and whose key it uses.
        workers: So many processes of this machine ask about its shards, in place of what the job says.
        progress: How it is shown in the terminal.
    """

    async def ask(until: str | None) -> State[Outcome]:
        way = Way(progress=progress, deadline=until, workers=workers)
        return await fill(job, ("new",), way) if plan is None else await finish(plan, way)

    return await started(job, rules, deadline, ask)
