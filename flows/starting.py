"""How a run starts: it gives way by rule, takes from Prefect what its deployment leaves open, and learns its deadline.

Runs of the command line have no deployment: of all this they know a Secret block and an output in use only.
"""

from __future__ import annotations

import asyncio
import os
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from prefect.blocks.system import Secret
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import (
    FlowRunFilter,
    FlowRunFilterDeploymentId,
    FlowRunFilterExpectedStartTime,
    FlowRunFilterState,
    FlowRunFilterStateType,
)
from prefect.client.schemas.objects import StateType
from prefect.client.schemas.sorting import FlowRunSort
from prefect.context import FlowRunContext
from prefect.logging import get_run_logger
from prefect.states import Completed
from prefect.variables import Variable

from mediascribe import deadline as deadlines
from mediascribe import job as jobs
from mediascribe.errors import ConfigError, OutputInUse
from mediascribe.schedule import SETTLED, Due, gives_way

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable
    from uuid import UUID

    from prefect.client.orchestration import PrefectClient
    from prefect.client.schemas.objects import FlowRun, State

    from mediascribe.run import Outcome
    from mediascribe.schedule import Rules

    Ask = Callable[[str | None], Awaitable[State[Outcome]]]

BASE_URL: Final = "mediascribe_base_url"
KEY_BLOCK: Final = "mediascribe_key_block"
_BASE_URL_ENV: Final = "MEDIASCRIBE_BASE_URL"
_LOOK_AGAIN_S: Final = 20.0
_OTHERS_AT_MOST: Final = 50


async def started(job: str, rules: Rules, deadline: str | None, ask: Ask) -> State[Outcome]:
    """What *ask* gives, which gets the *deadline* as an ISO time; or Completed, named Skipped, with the reason.

    Raises:
        ConfigError: the deadline is no time, a Secret block is missing, or another run holds the output.
    """
    context = FlowRunContext.get()
    run = context.flow_run if context else None
    deployment = run.deployment_id if run else None
    reason = await _given_way(run, deployment, rules) if run and deployment else None
    if reason:
        return _skipped(reason)
    until = await _until(run, deployment, deadline) if deadline else None
    async with _borrowed(job, rules, deployed=deployment is not None):
        return await _in_turn(rules, lambda: ask(until))


async def _given_way(run: FlowRun, deployment: UUID, rules: Rules) -> str | None:
    """Why the rule about late *runs* passes this one over; a run that a person started is none of them."""
    if not run.auto_scheduled or rules.catch_up == "all":
        return None
    async with get_client() as client:
        due = run.expected_start_time or datetime.now(UTC)
        tried = [state.timestamp for state in await client.read_flow_run_states(run.id) if _is_try(state)]
        newer = await _newest(client, deployment, due)
    return gives_way(rules.catch_up, Due(at=due, tried=min(tried, default=datetime.now(UTC)), newer=newer))


def _is_try(state: State[object]) -> bool:
    """Whether something took the run up: also when it then had to wait for its turn."""
    return state.type != StateType.SCHEDULED or state.name == "AwaitingConcurrencySlot"


async def _newest(client: PrefectClient, deployment: UUID, due: datetime) -> datetime | None:
    """When the newest run of *deployment* was due, of those that were due later than *due* and are not cancelled.

    A server that sees no slot for a run may have cancelled it: then the older one is the one to be run.
    """
    others = await client.read_flow_runs(
        flow_run_filter=FlowRunFilter(
            deployment_id=FlowRunFilterDeploymentId(any_=[deployment]),
            expected_start_time=FlowRunFilterExpectedStartTime(after_=due, before_=datetime.now(UTC) - SETTLED),
            state=FlowRunFilterState(
                type=FlowRunFilterStateType(not_any_=[StateType.CANCELLED, StateType.CANCELLING]),
            ),
        ),
        sort=FlowRunSort.EXPECTED_START_TIME_DESC,
        limit=_OTHERS_AT_MOST,
    )
    times = [one.expected_start_time for one in others if one.auto_scheduled and one.expected_start_time]
    return max((moment for moment in times if moment > due), default=None)


async def _until(run: FlowRun | None, deployment: UUID | None, deadline: str) -> str:
    """The moment that *deadline* means; a time of day follows on when the run was due, in its schedule's zone."""
    zone = await _zone(run, deployment) if run and deployment else None
    due = run.expected_start_time if run and run.auto_scheduled else None
    return deadlines.parse(deadline, due or datetime.now(UTC), zone or "UTC").isoformat()


async def _zone(run: FlowRun, deployment: UUID) -> str | None:
    """The time zone of the schedule that made *run*; of the first one, where a person made it."""
    async with get_client() as client:
        found = await client.read_deployment(deployment)
    maker = run.created_by.id if run.created_by else None
    schedules = sorted(found.schedules, key=lambda one: one.id != maker)
    return getattr(schedules[0].schedule, "timezone", None) if schedules else None


@asynccontextmanager
async def _borrowed(job: str, rules: Rules, *, deployed: bool) -> AsyncIterator[None]:
    """While the body runs, the environment has what Prefect keeps: the key of a block, the base URL of a variable."""
    lent = {}
    block = rules.key_block or (await _variable(KEY_BLOCK) if deployed else None)
    if block:
        lent[jobs.load(job).gateway.api_key_env] = await _secret(block)
    if deployed and (base_url := await _variable(BASE_URL)):
        lent[_BASE_URL_ENV] = base_url
    before = {name: os.environ.get(name) for name in lent}
    os.environ.update(lent)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


async def _variable(name: str) -> str | None:
    value = await Variable.aget(name)
    if value is None or isinstance(value, str):
        return value
    raise ConfigError(f"the Prefect variable {name} is no text: set it with: prefect variable set {name} VALUE")


async def _secret(block: str) -> str:
    """The key that *block* holds; no message shows it, and none what stands in the place of the name."""
    how = "make one in Prefect's UI under Blocks, or in Python: Secret(value=...).save(NAME)"
    try:
        secret: Secret[Any] = await Secret.aload(block)
    except ValueError:
        raise ConfigError(f"Prefect has no Secret block of the name that `key_block` says: {how}") from None
    value = secret.value.get_secret_value()
    if not isinstance(value, str) or not value:
        raise ConfigError(f"the Secret block that `key_block` names holds no text: {how}")
    return value


async def _in_turn(rules: Rules, ask: Callable[[], Awaitable[State[Outcome]]]) -> State[Outcome]:
    """What *ask* gives as soon as no other run holds the output; refused, or skipped, where the rule says so."""
    told = False
    while True:
        try:
            return await ask()
        except OutputInUse as held:
            if rules.overlap == "refuse":
                raise
            if rules.overlap == "skip":
                return _skipped(str(held))
            if not told:
                get_run_logger().warning("waiting for the output: %s", held)
                told = True
        await asyncio.sleep(_LOOK_AGAIN_S)


def _skipped(reason: str) -> State[Outcome]:
    return Completed(name="Skipped", message=f"Skipped: {reason}")
