"""What to ask, and what an earlier run left behind."""

from __future__ import annotations

from prefect import task
from prefect.cache_policies import NO_CACHE

from mediascribe import plan, recovery, run
from mediascribe.domain import Reason
from mediascribe.plan import Plan
from mediascribe.run import RunFile
from mediascribe.session import Session


@task(name="recover", cache_policy=NO_CACHE, retries=0)
def recover_runs(session: Session) -> list[RunFile]:
    """Publish what killed runs had received, and close them; asks nothing."""
    landing, hold = session.landing(), session.inputs.job.retry.in_doubt == "hold"
    return [
        run.close(unfinished, recovery.recover(unfinished, landing, hold=hold), landing, interrupted=True)
        for unfinished in plan.unfinished(landing.store)
    ]


@task(name="plan", cache_policy=NO_CACHE, retries=0)
def plan_run(session: Session, reasons: tuple[Reason, ...]) -> Plan:
    """Compare the manifest with the current results: the rows to ask for one of *reasons*."""
    return session.inputs.plan(reasons)
