"""What a run left behind, certified."""

from __future__ import annotations

from collections.abc import Sequence

from prefect import task
from prefect.cache_policies import NO_CACHE

from mediascribe import plan as plans
from mediascribe import run
from mediascribe.describe import ShardReport
from mediascribe.plan import Plan
from mediascribe.run import RunFile
from mediascribe.session import Session


@task(name="publish", cache_policy=NO_CACHE, retries=0)
def publish_run(session: Session, plan: Plan, reports: Sequence[ShardReport]) -> RunFile:
    """Count what the parts of *plan* hold, and write the run file."""
    return run.close(plan, reports, session.landing())


def drop_plan(session: Session, plan: Plan) -> None:
    """Forget a plan that asks nothing: there was no run, and there is no run file."""
    plans.remove(plan, session.inputs.store)
