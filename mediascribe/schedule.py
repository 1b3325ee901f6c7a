"""Schedule: when a run that the clock started gives way, by a rule that a person chose beforehand.

A scheduler that was down has runs on its list that are late by then; and a run may find another one still at work.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final, Literal

from pydantic import BaseModel, ConfigDict, Field

CatchUp = Literal["latest", "skip", "all"]
Overlap = Literal["refuse", "wait", "skip"]
# Schedulers look every few seconds, and what starts the runs may be restarted: so little is no downtime.
PUNCTUAL: Final = timedelta(minutes=15)
# What is due only now is the next occasion, not a newer run of the same backlog: it may not have been tried yet.
SETTLED: Final = timedelta(minutes=1)


class Rules(BaseModel):
    """When a run gives way to another one, and whose key it uses."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    catch_up: CatchUp = Field(
        "all",
        title="Late runs",
        description="after a time in which nothing could start them: run all of them, the latest only, or none (skip)",
    )
    overlap: Overlap = Field(
        "refuse",
        title="Output in use",
        description="while another run writes to it: refuse fails and says who it is, wait waits, skip gives way",
    )
    key_block: str | None = Field(
        None,
        max_length=200,
        title="Secret block",
        description="name of the Secret block with the gateway's key (never the key); unset: the worker's environment",
    )


USUAL: Final = Rules()


@dataclass(frozen=True, slots=True, kw_only=True)
class Due:
    """A run that the clock started: when it was due, when it was first tried, and when the newest other one was due.

    `newer` is None where no later run stands beside it.
    """

    at: datetime
    tried: datetime
    newer: datetime | None


def gives_way(catch_up: CatchUp, due: Due) -> str | None:
    """Why the run that was *due* is passed over, if so."""
    if catch_up == "latest" and due.newer is not None:
        return f"due at {_said(due.at)}, and the run of {_said(due.newer)} is newer (catch-up: latest)"
    if catch_up == "skip" and due.tried - due.at > PUNCTUAL:
        return f"due at {_said(due.at)}, and not tried before {_said(due.tried)} (catch-up: skip)"
    return None


def _said(moment: datetime) -> str:
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M} UTC"
