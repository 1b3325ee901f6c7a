"""The ad-hoc job: what failed or is stale, and what is new beside it; within means of its own."""

from __future__ import annotations

from prefect import flow
from prefect.client.schemas.objects import State

from flows.form import DeadlineField, JobField, MeansField, ProgressField, ReasonsField, RulesField, WantedField
from flows.hooks import tell_end
from flows.starting import started
from flows.steps import Way, fill
from mediascribe.job_sections import Caps
from mediascribe.means import FULL, Means
from mediascribe.run import Outcome
from mediascribe.schedule import USUAL
from mediascribe.wanted import EVERYTHING


@flow(
    name="backfill",
    flow_run_name="backfill {job}",
    retries=0,
    on_completion=[tell_end],
    on_failure=[tell_end],
    on_crashed=[tell_end],
)
async def backfill(  # noqa: PLR0913, PLR0917 - each is a field of the form that Prefect makes
    job: JobField,
    reasons: ReasonsField = ("new", "failed"),
    wanted: WantedField = EVERYTHING,
    means: MeansField = FULL,
    deadline: DeadlineField = None,
    rules: RulesField = USUAL,
    progress: ProgressField = "auto",
) -> State[Outcome]:
    """Ask about the items of the *job* file's manifest that are due for one of *reasons*.

    Old results stay as history. A failure never hides an older answer: that stays the item's current result.

    Args:
        job: The job file, such as configs/jobs/demo.toml.
        reasons: Why rows are due; good rows are asked for these reasons only.
        wanted: Which of the rows that are due.
        means: A budget of its own, and its share of the quota.
        deadline: When it is to be done: 06:00, or 06:00 Europe/Berlin, or 2026-10-01T06:00+02:00.
        rules: When it gives way to another run, and whose key it uses.
        progress: How it is shown in the terminal.
    """

    async def ask(until: str | None) -> State[Outcome]:
        return await fill(job, reasons, Way(progress=progress, deadline=until), wanted, _own(means))

    return await started(job, rules, deadline, ask)


def _own(means: Means) -> Means:
    """*means*, where a budget that caps nothing is none: a form that was opened and left empty lifts no cap."""
    return means.model_copy(update={"budget": None}) if means.budget == Caps() else means
