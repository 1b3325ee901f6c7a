"""The scheduled job: whatever in the manifest has no result yet; or a plan that was made for it before."""

from __future__ import annotations

from prefect import flow
from prefect.client.schemas.objects import State

from flows.steps import fill, finish
from mediascribe.report.progress import Style
from mediascribe.run import Outcome


@flow(name="caption", flow_run_name="caption {job}", retries=0)
async def caption(job: str, plan: str | None = None, progress: Style = "auto") -> State[Outcome]:
    """Ask about every item of the *job* file's manifest that has no result yet; with a *plan*, about its rows.

    Args:
        job: The job file, such as configs/jobs/demo.toml.
        plan: A plan of that job, as `mediascribe plan` made it.
        progress: How it is shown in the terminal.
    """
    return await (fill(job, ("new",), progress) if plan is None else finish(plan, progress))
