"""The ad-hoc job: what failed or is stale, and what is new beside it."""

from __future__ import annotations

from prefect import flow
from prefect.client.schemas.objects import State

from flows.steps import fill
from mediascribe.domain import Reason
from mediascribe.report.progress import Style
from mediascribe.run import Outcome


@flow(name="backfill", flow_run_name="backfill {job}", retries=0)
async def backfill(
    job: str, reasons: tuple[Reason, ...] = ("new", "failed"), progress: Style = "auto"
) -> State[Outcome]:
    """Ask about every item of the *job* file's manifest that is due for one of *reasons*."""
    return await fill(job, reasons, progress)
