"""The commands that hand a job to Prefect's clock: deploy, serve."""

from __future__ import annotations

import re
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final, Literal

from cyclopts import Parameter
from rich.console import Console

from flows.commands.choices import JobPath, Json  # noqa: TC001 - cyclopts reads the annotations
from flows.commands.telling import print_json, say
from mediascribe.errors import ConfigError

if TYPE_CHECKING:
    from prefect.client.schemas.schedules import CronSchedule

    from flows.deployment import Applied, Wish

_NOT_IN_NAMES: Final = frozenset("/%&><")
_UNSHOWN: Final = frozenset({"form", "description"})  # too long for a line, or a hash


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class When:
    """When runs are started, and when one gives way."""

    cron: Annotated[str | None, Parameter(help='Such as "0 1 * * *"; without it a person starts every run.')] = None
    timezone: Annotated[str, Parameter(help="Of --cron and --deadline, such as Europe/Berlin.")] = "UTC"
    deadline: Annotated[
        str | None, Parameter(help="When a run is to be done, such as 06:00; that it will not be is said early.")
    ] = None
    catch_up: Annotated[
        Literal["latest", "skip", "all"],
        Parameter(help="Of runs that are late because nothing could start them: these are run."),
    ] = "latest"
    overlap: Annotated[
        Literal["wait", "skip"], Parameter(help="What a run does while another one writes to the output.")
    ] = "wait"


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class What:
    """What is deployed, and under which names."""

    name: Annotated[str | None, Parameter(help="Of the deployment. [default: the job's name]")] = None
    backfill: Annotated[bool, Parameter(negative=(), help="The flow backfill in place of caption.")] = False
    key_block: Annotated[
        str | None, Parameter(help="The Prefect Secret block with the gateway's key; else the worker's environment.")
    ] = None


def deploy(
    job: JobPath,
    *,
    when: When | None = None,
    what: What | None = None,
    pool: Annotated[str, Parameter(help="The work pool; made for processes if there is none.")] = "mediascribe",
    json: Json = False,
) -> int:
    """Create or update the deployment of a job at the Prefect server. The same again changes nothing, and says so.

    Its runs start in this folder, by `prefect worker start --pool mediascribe`.
    """
    import asyncio  # noqa: PLC0415 - takes a moment to import, and help does without

    wish = _wish(job, when or When(), what or What(), pool)
    from flows import deployment  # noqa: PLC0415 - Prefect takes a second to import

    applied = asyncio.run(deployment.apply(wish))
    if json:
        print_json({"outcome": applied.outcome, **asdict(applied)})
    else:
        _print(applied, wish, Console())
    return 0


def serve(job: JobPath, *, when: When | None = None, what: What | None = None) -> int:
    """Deploy a job and run it from this very process, without worker and pool, until Ctrl-C."""
    import asyncio  # noqa: PLC0415 - takes a moment to import, and help does without

    wish = _wish(job, when or When(), what or What(), None)
    from flows import deployment  # noqa: PLC0415 - Prefect takes a second to import

    say(f"serving {wish.full_name} ({_times(wish)}); Ctrl-C ends it")
    asyncio.run(deployment.serve(wish))
    return 0


def _wish(job: Path, when: When, what: What, pool: str | None) -> Wish:
    """What the options say, found good before any server is asked."""
    from mediascribe.job import load  # noqa: PLC0415 - other commands do without

    read = load(job)
    name = what.name or read.name
    if not name.strip() or _NOT_IN_NAMES & set(name):
        raise ConfigError(f"--name {name}: write a name without / % & > <")
    from flows import deployment  # noqa: PLC0415 - Prefect takes a second to import
    from flows.backfill import backfill  # noqa: PLC0415 - likewise
    from flows.caption import caption  # noqa: PLC0415 - likewise
    from mediascribe.schedule import Rules  # noqa: PLC0415 - other commands do without

    schedule = _schedule(when)
    return deployment.Wish(
        flow=backfill if what.backfill else caption,
        name=name,
        job=str(job),
        rules=Rules(catch_up=when.catch_up, overlap=when.overlap, key_block=what.key_block),
        deadline=_deadline(when),
        schedule=schedule,
        pool=pool,
        folder=str(Path.cwd()),
    )


def _schedule(when: When) -> CronSchedule | None:
    """When the clock starts a run, as Prefect wants it."""
    from prefect.client.schemas.schedules import CronSchedule  # noqa: PLC0415 - Prefect takes a second to import
    from pydantic import ValidationError  # noqa: PLC0415 - help does without

    try:
        zone = CronSchedule(cron="0 0 * * *", timezone=when.timezone)
    except ValidationError:
        raise ConfigError(f"--timezone {when.timezone}: there is no such zone: write Europe/Berlin, or so") from None
    if when.cron is None:
        return None
    try:
        return CronSchedule(cron=when.cron, timezone=zone.timezone)
    except ValidationError:
        raise ConfigError(
            f'--cron {when.cron}: write minute, hour, day, month and weekday: "0 1 * * *" is one o\'clock every night'
        ) from None


def _deadline(when: When) -> str | None:
    """The deadline as every run gets it: a time of day names its zone."""
    if when.deadline is None:
        return None
    from mediascribe import deadline  # noqa: PLC0415 - other commands do without

    deadline.parse(when.deadline, datetime.now(UTC), when.timezone)
    of_day = re.fullmatch(r"[\d:]+", when.deadline.strip())
    return f"{when.deadline.strip()} {when.timezone}" if of_day else when.deadline


def _print(applied: Applied, wish: Wish, console: Console) -> None:
    """Say what came of *wish*, and what is left to do."""
    lines = [f"{applied.outcome} {applied.name}: {_times(wish)}"]
    if applied.url:
        lines.append(f"  {applied.url}")
    for one in applied.changes:
        said = "renewed" if one.what in _UNSHOWN else f"{one.before or 'none'} -> {one.after or 'none'}"
        lines.append(f"  {one.what}: {said}")
    if applied.new_pool:
        lines.append(f"created the work pool {applied.new_pool}")
    if applied.outcome != "unchanged":
        lines.append(f"its runs need a worker:  prefect worker start --pool {wish.pool}")
    for line in lines:
        console.print(line, markup=False, highlight=False, soft_wrap=True)


def _times(wish: Wish) -> str:
    """When it runs, in one line."""
    when = f"{wish.schedule.cron} {wish.schedule.timezone}" if wish.schedule else "started by hand"
    until = f", deadline {wish.deadline}" if wish.deadline else ""
    late = f", late runs: {wish.rules.catch_up}" if wish.schedule else ""
    return f"{when}{until}{late}, output in use: {wish.rules.overlap}"
