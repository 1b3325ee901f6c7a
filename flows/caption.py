"""The scheduled job: whatever in the manifest has no result yet."""

from __future__ import annotations

from prefect import flow
from prefect.client.schemas.objects import State

from flows.steps import fill
from mediascribe.report.progress import Style
from mediascribe.run import Outcome


@flow(name="caption", flow_run_name="caption {job}", retries=0)
async def caption(job: str, progress: Style = "auto") -> State[Outcome]:
    """Ask about every item of the *job* file's manifest that has no result yet."""
    return await fill(job, ("new",), progress)
