"""What a deployment of a flow is to be, against what the Prefect server has; and the changes, which are none twice."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from prefect.client.orchestration import get_client
from prefect.client.schemas.actions import DeploymentScheduleCreate, WorkPoolCreate
from prefect.client.schemas.objects import ConcurrencyLimitConfig, ConcurrencyLimitStrategy, ConcurrencyOptions
from prefect.exceptions import ObjectNotFound
from prefect.runner import Runner
from prefect.schedules import Cron
from prefect.settings import get_current_settings
from prefect.types.entrypoint import EntrypointType
from prefect.utilities.urls import url_for
from prefect.workers.process import ProcessWorker

from mediascribe import __version__
from mediascribe.domain import digest
from mediascribe.errors import ConfigError

if TYPE_CHECKING:
    from uuid import UUID

    from prefect import Flow
    from prefect.client.orchestration import PrefectClient
    from prefect.client.schemas.responses import DeploymentResponse
    from prefect.client.schemas.schedules import CronSchedule

    from mediascribe.schedule import Rules

_TO_START: Final = (
    "start one with: prefect server start, and say where it is with:"
    " prefect config set PREFECT_API_URL=http://127.0.0.1:4200/api"
)
# One run of a deployment at a time; further ones stand in line, or are cancelled by the server.
_COLLISIONS: Final = {
    "wait": ConcurrencyLimitStrategy.ENQUEUE,
    "skip": ConcurrencyLimitStrategy.CANCEL_NEW,
    "refuse": ConcurrencyLimitStrategy.CANCEL_NEW,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What a deployment is to be. The worker starts its runs in `folder`, to which the paths of jobs are relative."""

    flow: Flow[..., Any]
    name: str
    job: str
    rules: Rules
    deadline: str | None
    schedule: CronSchedule | None
    pool: str | None
    folder: str

    @property
    def full_name(self) -> str:
        """As Prefect's commands want it."""
        return f"{self.flow.name}/{self.name}"

    @property
    def entrypoint(self) -> str:
        """Where a worker finds the flow: as a module, installed or in its folder."""
        return f"{self.flow.fn.__module__}.{self.flow.fn.__name__}"

    @property
    def parameters(self) -> dict[str, Any]:
        """What its runs get."""
        given = {"job": self.job, "deadline": self.deadline, "rules": self.rules.model_dump(exclude_none=True)}
        return {name: value for name, value in given.items() if value is not None}

    @property
    def collisions(self) -> ConcurrencyOptions:
        """What the server does with a run that is due while another one is under way."""
        return ConcurrencyOptions(collision_strategy=_COLLISIONS[self.rules.overlap])

    @property
    def form(self) -> dict[str, Any]:
        """The schema of its parameters, of which the UI makes the form."""
        return self.flow.parameters.model_dump(mode="json", exclude_unset=True)

    @property
    def pull_steps(self) -> list[dict[str, Any]]:
        """What a worker does before a run."""
        return [{"prefect.deployments.steps.set_working_directory": {"directory": self.folder}}]


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """What is another one now; None: there is, or was, none."""

    what: str
    before: str | None
    after: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Applied:
    """What came of a wish: a deployment that was created, changed, or left alone."""

    name: str
    url: str | None
    created: bool
    new_pool: str | None
    changes: list[Change]

    @property
    def outcome(self) -> str:
        """In one word."""
        return "created" if self.created else "changed" if self.changes or self.new_pool else "unchanged"


async def apply(wish: Wish) -> Applied:
    """Make the deployment what *wish* says; what it is already is left alone, and so are its planned runs.

    What a person has set by hand and no wish speaks of stays: pauses, tags, variables of the worker's jobs.

    Raises:
        ConfigError: no Prefect server is configured, or it does not answer.
    """
    _require_configured()
    async with get_client() as client:
        await _reached(client)
        new_pool = await _new_pool(client, wish.pool) if wish.pool else None
        found = await _found(client, wish)
        changes = differences(facts_of(found) if found else {}, facts(wish))
        made = await _put(client, wish, found) if found is None or changes else found.id
    return Applied(
        name=wish.full_name,
        url=url_for("deployment", obj_id=made),
        created=found is None,
        new_pool=new_pool,
        changes=changes if found else [],
    )


async def serve(wish: Wish) -> None:
    """Run the deployment of *wish* from this process until a signal ends it; its schedule stays.

    Raises:
        ConfigError: no Prefect server is configured, or it does not answer.
    """
    _require_configured()
    async with get_client() as client:
        await _reached(client)
    runner = Runner(name="mediascribe", pause_on_shutdown=False)
    await runner.aadd_deployment(
        await wish.flow.ato_deployment(
            wish.name,
            schedule=Cron(wish.schedule.cron, timezone=wish.schedule.timezone) if wish.schedule else None,
            concurrency_limit=ConcurrencyLimitConfig(limit=1, collision_strategy=_COLLISIONS[wish.rules.overlap]),
            parameters=wish.parameters,
            version=__version__,
            entrypoint_type=EntrypointType.MODULE_PATH,
        )
    )
    await runner.start()


def _require_configured() -> None:
    """Refuse to go on where no server is named: an embedded one would forget the deployment at once."""
    if get_current_settings().api.url is None:
        raise ConfigError(f"no Prefect server is configured: {_TO_START}")


def facts(wish: Wish) -> dict[str, str]:
    """What *wish* says, one line a matter."""
    return _facts(
        schedules=[wish.schedule] if wish.schedule else [],
        parameters=wish.parameters,
        collisions=wish.collisions,
        others={
            "work pool": wish.pool,
            "entrypoint": wish.entrypoint,
            "folder": _folder(wish.pull_steps),
            "version": __version__,
            "description": wish.flow.description,
            "form": digest(wish.form),
        },
    )


def facts_of(found: DeploymentResponse) -> dict[str, str]:
    """The same of a deployment that the server has."""
    return _facts(
        schedules=[one.schedule for one in found.schedules],
        parameters=found.parameters,
        collisions=found.concurrency_options if found.global_concurrency_limit else None,
        others={
            "work pool": found.work_pool_name,
            "entrypoint": found.entrypoint,
            "folder": _folder(found.pull_steps or []),
            "version": found.version,
            "description": found.description,
            "form": digest(found.parameter_openapi_schema),
        },
    )


def differences(before: dict[str, str], after: dict[str, str]) -> list[Change]:
    """What is another one *after* than *before*, by name."""
    return [
        Change(what=what, before=before.get(what), after=after.get(what))
        for what in sorted(before.keys() | after.keys())
        if before.get(what) != after.get(what)
    ]


def _facts(
    *,
    schedules: list[Any],
    parameters: dict[str, Any],
    collisions: ConcurrencyOptions | None,
    others: dict[str, object],
) -> dict[str, str]:
    when = ", ".join(sorted(_written(one) for one in schedules))
    rules = parameters.get("rules")
    given = {**parameters, **{f"rules.{name}": value for name, value in (rules or {}).items()}}
    said = {f"parameter {name}": str(value) for name, value in given.items() if name != "rules"}
    said |= {what: str(value) for what, value in others.items() if value is not None}
    said |= {"schedule": when} if when else {}
    return said | ({"one run at a time": collisions.collision_strategy.value} if collisions else {})


def _folder(pull_steps: list[dict[str, Any]]) -> str:
    """Where a run starts; steps that were written by hand as they are."""
    match pull_steps:
        case [{"prefect.deployments.steps.set_working_directory": {"directory": str(folder)}}]:
            return folder
        case _:
            return str(pull_steps)


def _written(schedule: Any) -> str:  # noqa: ANN401 - Prefect has three kinds, and they have nothing in common
    """A *schedule* as a person writes it; one that was made by hand may be of another kind."""
    cron = getattr(schedule, "cron", None)
    return f"{cron} {schedule.timezone or 'UTC'}" if cron else repr(schedule)


async def _reached(client: PrefectClient) -> None:
    problem = await client.api_healthcheck()
    if problem is not None:
        said = f"{type(problem).__name__}: {problem}".rstrip(": ")
        raise ConfigError(f"the Prefect server at {client.api_url} does not answer ({said}): {_TO_START}")


async def _new_pool(client: PrefectClient, name: str) -> str | None:
    """The work pool's *name* where there was none of that name: it is made, for workers of this kind of machine."""
    try:
        await client.read_work_pool(name)
    except ObjectNotFound:
        template = ProcessWorker.get_default_base_job_template()
        await client.create_work_pool(WorkPoolCreate(name=name, type="process", base_job_template=template))
        return name
    return None


async def _found(client: PrefectClient, wish: Wish) -> DeploymentResponse | None:
    try:
        return await client.read_deployment_by_name(wish.full_name)
    except ObjectNotFound:
        return None


async def _put(client: PrefectClient, wish: Wish, found: DeploymentResponse | None) -> UUID:
    """Write the whole deployment; what was *found* gives all that no wish speaks of."""
    active = all(one.active for one in found.schedules) if found else True
    schedules = [DeploymentScheduleCreate(schedule=wish.schedule, active=active)] if wish.schedule else []
    return await client.create_deployment(
        flow_id=await client.create_flow_from_name(wish.flow.name),
        name=wish.name,
        version=__version__,
        schedules=schedules,
        concurrency_limit=1,
        concurrency_options=wish.collisions,
        parameters=wish.parameters,
        description=wish.flow.description,
        work_pool_name=wish.pool,
        tags=found.tags if found else None,
        entrypoint=wish.entrypoint,
        parameter_openapi_schema=wish.form,
        paused=found.paused if found else None,
        pull_steps=wish.pull_steps,
        enforce_parameter_schema=True,
        job_variables=found.job_variables if found else None,
    )
