"""Deployments for tests, and a server that knows of them.

Imports Prefect, which reads its settings at that moment: to be imported after the tests' server is known.
"""

from __future__ import annotations

from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from uuid import uuid4

from prefect.blocks.system import Secret
from prefect.client.schemas.objects import StateType
from prefect.client.schemas.schedules import CronSchedule, IntervalSchedule
from prefect.settings import PREFECT_API_URL, temporary_settings
from prefect.states import AwaitingConcurrencySlot, Completed, Pending, Running, Scheduled
from prefect.utilities.schema_tools.validation import ValidationError, validate

from flows import deployment, starting
from flows.__main__ import main
from flows.backfill import backfill
from flows.caption import caption
from flows.cost import cost
from mediascribe.schedule import Rules

__all__ = [
    "FLOWS",
    "NIGHT",
    "PREFECT_API_URL",
    "AwaitingConcurrencySlot",
    "Completed",
    "Secret",
    "Server",
    "StateType",
    "ValidationError",
    "deployment",
    "form",
    "history",
    "hourly",
    "main",
    "other",
    "starting",
    "temporary_settings",
    "there",
    "validate",
    "wish",
]

NIGHT = datetime(2026, 11, 23, 1, 0, tzinfo=UTC)
FLOWS = {"caption": caption, "backfill": backfill, "cost": cost}


def wish(*, cron=("0 1 * * *", "Europe/Berlin"), **changes):
    """What a deployment is to be."""
    usual = {
        "flow": caption,
        "name": "t",
        "job": "job.toml",
        "rules": Rules(catch_up="latest", overlap="wait"),
        "deadline": None,
        "schedule": CronSchedule(cron=cron[0], timezone=cron[1]) if cron else None,
        "pool": "p",
        "folder": "/here",
    }
    return deployment.Wish(**(usual | changes))


def there(of, **changes):
    """The deployment that a server would give back."""
    usual = {
        "schedules": [SimpleNamespace(schedule=of.schedule)] if of.schedule else [],
        "parameters": of.parameters,
        "concurrency_options": of.collisions,
        "global_concurrency_limit": SimpleNamespace(limit=1),
        "work_pool_name": of.pool,
        "entrypoint": of.entrypoint,
        "pull_steps": of.pull_steps,
        "version": deployment.facts(of)["version"],
        "description": of.flow.description,
        "parameter_openapi_schema": of.form,
    }
    return SimpleNamespace(**(usual | changes))


def hourly():
    """A schedule as somebody may have made it by hand."""
    return SimpleNamespace(id=uuid4(), schedule=IntervalSchedule(interval=timedelta(hours=1)))


def form(name):
    """The schema of a flow's parameters, as a server gets it."""
    return FLOWS[name].parameters.model_dump(mode="json", exclude_unset=True)


class Server:
    """What a server says of one run of a deployment, of the others, of the schedules, and of its variables."""

    def __init__(self, states, others, variables, *, by_hand):
        self.states, self.others, self.variables = states, others, variables
        nightly = SimpleNamespace(id=uuid4(), schedule=CronSchedule(cron="0 1 * * *", timezone="Europe/Berlin"))
        self.schedules = [hourly(), nightly]
        self.run = SimpleNamespace(
            id=uuid4(),
            deployment_id=uuid4(),
            auto_scheduled=not by_hand,
            expected_start_time=NIGHT,
            created_by=None if by_hand else SimpleNamespace(id=nightly.id),
        )

    @asynccontextmanager
    async def client(self):
        yield self

    async def aget(self, name):
        return self.variables.get(name)

    async def read_flow_run_states(self, _):
        return self.states

    async def read_flow_runs(self, *, flow_run_filter, **_):
        self.asked = flow_run_filter
        return self.others

    async def read_deployment(self, _):
        return SimpleNamespace(schedules=self.schedules)


def history(*, late):
    """The states of a run that was first tried so *late*."""
    moments = [
        (Scheduled(scheduled_time=NIGHT), NIGHT - timedelta(days=1)),
        (Pending(), NIGHT + late),
        (Running(), NIGHT + late + timedelta(hours=9)),
    ]
    return [state.model_copy(update={"timestamp": moment}) for state, moment in moments]


def other(*, days=1, auto=True):
    """Another run of the deployment, due so many days later."""
    return SimpleNamespace(expected_start_time=NIGHT + timedelta(days=days), auto_scheduled=auto)
