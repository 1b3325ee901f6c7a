"""The ad-hoc job: what failed or is stale, and what is new beside it; within means of its own."""

from __future__ import annotations

from prefect import flow
from prefect.client.schemas.objects import State

from flows.steps import fill
from mediascribe.domain import Reason
from mediascribe.means import FULL, Means
from mediascribe.report.progress import Style
from mediascribe.run import Outcome
from mediascribe.wanted import EVERYTHING, Wanted


@flow(name="backfill", flow_run_name="backfill {job}", retries=0)
async def backfill(
    job: str,
    reasons: tuple[Reason, ...] = ("new", "failed"),
    wanted: Wanted = EVERYTHING,
    means: Means = FULL,
    progress: Style = "auto",
) -> State[Outcome]:
    """Ask about the items of the *job* file's manifest that are due for one of *reasons*.

    Old results stay as history. A failure never hides an older answer: that stays the item's current result.

    Args:
        job: The job file, such as configs/jobs/demo.toml.
        reasons: Why rows are due; good rows are asked for these reasons only.
        wanted: Which of the rows that are due.
        means: A budget of its own, and its share of the quota.
        progress: How it is shown in the terminal.
    """
    return await fill(job, reasons, progress, wanted, means)
