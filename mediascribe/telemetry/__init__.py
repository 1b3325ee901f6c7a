"""Telemetry: what a run tells OpenTelemetry about itself. Off unless an `OTEL_*` variable asks for it.

Rules of this package:

- Where it is off, nothing of OpenTelemetry is imported, and a row costs a few calls that do nothing.
- No text of a prompt, no address of a medium, no key and no answer goes into a span or a metric.
- Whatever befalls the collector, the run goes on as it would without, and the terminal gets one line about it.

`settings` reads the variables, `providers` opens what they name, `recorder` is told what happens, `measures` counts it
and `spans` traces it.
"""

from __future__ import annotations

import os
from contextlib import asynccontextmanager, nullcontext
from typing import TYPE_CHECKING, Final, Protocol

from mediascribe.telemetry import settings

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Mapping
    from contextlib import AbstractContextManager

    from mediascribe.attempts import Watch
    from mediascribe.case import Case
    from mediascribe.domain import Completion, Failure, Record, Shard
    from mediascribe.job import Job
    from mediascribe.landing import ShardReport
    from mediascribe.pacing import Use

__all__ = ["OFF", "Described", "Off", "Telemetry", "Tried", "opened"]

EXTRA: Final = "mediascribe[telemetry]"


class Tried(Protocol):
    """One attempt while it lasts; what it raises is seen."""

    def came_to(self, outcome: Completion | Failure) -> None:
        """The answer was read, and says *outcome*."""


class Described(Protocol):
    """One shard while it is at work."""

    def came_to(self, report: ShardReport) -> None:
        """The shard ended as *report* says."""


class Telemetry(Protocol):
    """The face of this package to the pipeline. Belongs to one event loop."""

    def attempt(self, case: Case) -> AbstractContextManager[Tried]:
        """What times one attempt of *case*, from when it leaves until its answer is read."""

    def shard(self, shard: Shard) -> AbstractContextManager[Described]:
        """What traces the work on *shard*; attempts within it are its children."""

    def landed(self, record: Record) -> None:
        """Count a row that has its result."""

    def watching(self, watch: Callable[[], Watch], uses: Callable[[], Mapping[str, Use]]) -> None:
        """From now on, look about once a second at how the run stands, and what its lanes make of their quotas."""


class Off:
    """Telemetry that nobody asked for."""

    def __init__(self) -> None:
        """Nothing is opened."""
        self._unseen = nullcontext(_Unseen())

    def attempt(self, _: Case) -> AbstractContextManager[Tried]:
        """Nothing is timed."""
        return self._unseen

    def shard(self, _: Shard) -> AbstractContextManager[Described]:
        """Nothing is traced."""
        return self._unseen

    def landed(self, record: Record) -> None:
        """Nothing is counted."""

    def watching(self, watch: Callable[[], Watch], uses: Callable[[], Mapping[str, Use]]) -> None:
        """Nothing is looked at."""


class _Unseen:
    __slots__ = ()

    def came_to(self, _: object) -> None:
        """Nobody asks."""


OFF: Final[Telemetry] = Off()


@asynccontextmanager
async def opened(
    job: Job, base_url: str, tell: Callable[[str], None], environ: Mapping[str, str] = os.environ
) -> AsyncIterator[Telemetry]:
    """Telemetry of the run of *job* at the gateway *base_url*, as *environ* asks for it; *tell* hears of troubles.

    Leaving it sends what is left, within some seconds.
    """
    wanted = settings.read(environ)
    for note in wanted.notes:
        tell(f"telemetry: {note}")
    if not wanted.traces and not wanted.metrics:
        yield OFF
        return
    try:
        from mediascribe.telemetry import providers, recorder  # noqa: PLC0415 - costs 0.3 s, and may be missing

        found = providers.build(wanted)
    except ModuleNotFoundError as missing:
        if missing.name is None or not missing.name.startswith("opentelemetry"):
            raise
        tell(f"telemetry: OTEL_* variables ask for it, but {missing.name} is missing: pip install '{EXTRA}'")
        yield OFF
        return
    async with providers.opened(found, wanted, tell), recorder.recording(found, wanted, job, base_url) as recording:
        yield recording
