"""What a run left behind, certified."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
from prefect import task
from prefect.cache_policies import NO_CACHE

from mediascribe import certificate, dataset, run
from mediascribe import plan as plans
from mediascribe.landing import ShardReport
from mediascribe.plan import Plan
from mediascribe.run import RunFile
from mediascribe.session import Session


@task(name="publish", task_run_name="{plan.facts.job}: publish {plan.rows:,} rows", cache_policy=NO_CACHE, retries=0)
def publish_run(session: Session, plan: Plan, reports: Sequence[ShardReport]) -> RunFile:
    """Count what the parts of *plan* hold, and write the run file."""
    return run.close(plan, reports, session.landing())


@task(name="verify", task_run_name="{closed.job}: verify {closed.wrote.rows:,} rows", cache_policy=NO_CACHE, retries=0)
def verify_run(session: Session, closed: RunFile) -> list[str]:
    """Read every page of the parts of the run that was *closed*; gives what is wrong, in words."""
    return certificate.problems(session.inputs.store, closed)


def mark_incomplete(session: Session, closed: RunFile, problems: Sequence[str]) -> RunFile:
    """Say in the run file of *closed* that it is not complete, because of *problems*."""
    why = f"the results do not pass verification: {'; '.join(problems)}"
    marked = msgspec.structs.replace(closed, status="stopped", stopped=why, complete=False)
    dataset.write_run(session.inputs.store, closed.run_id, msgspec.to_builtins(marked))
    return marked


def add_notes(session: Session, closed: RunFile, notes: Sequence[str]) -> None:
    """Write *notes* into the run file of *closed*: what a reader of the results should know of the run beside them."""
    told = msgspec.structs.replace(closed, notes=[*notes])
    dataset.write_run(session.inputs.store, closed.run_id, msgspec.to_builtins(told))


def drop_plan(session: Session, plan: Plan) -> None:
    """Forget a plan that asks nothing: there was no run, and there is no run file."""
    plans.remove(plan, session.inputs.store)
