"""What to ask, and what an earlier run left behind."""

from __future__ import annotations

from prefect import task
from prefect.cache_policies import NO_CACHE

from mediascribe import plan, recovery, run
from mediascribe.domain import Reason
from mediascribe.plan import Plan, kept
from mediascribe.plan.kept import Kept
from mediascribe.run import RunFile
from mediascribe.session import Session
from mediascribe.wanted import EVERYTHING, Wanted


@task(name="recover", task_run_name="{session.inputs.job.name}: recover", cache_policy=NO_CACHE, retries=0)
def recover_runs(session: Session) -> list[RunFile]:
    """Publish what killed runs had received, and close them; asks nothing."""
    landing, hold = session.landing(), session.inputs.job.retry.in_doubt == "hold"
    return [
        run.close(unfinished, recovery.recover(unfinished, landing, hold=hold), landing, interrupted=True)
        for unfinished in plan.unfinished(landing.store)
    ]


@task(name="plan", task_run_name="{session.inputs.job.name}: plan", cache_policy=NO_CACHE, retries=0)
def plan_run(session: Session, reasons: tuple[Reason, ...], wanted: Wanted = EVERYTHING) -> Plan:
    """Compare the manifest with the current results: of the rows to ask for one of *reasons*, those *wanted*."""
    return session.inputs.plan(reasons, wanted)


@task(name="begin plan", task_run_name="{session.inputs.job.name}: begin plan", cache_policy=NO_CACHE, retries=0)
def begin_plan(session: Session, made: Kept) -> Plan:
    """Take up the plan *made* earlier: the rows of it that got no result since."""
    kept.check(made, session.inputs)
    return kept.begin(made, session.inputs.facts(), session.inputs.store)
