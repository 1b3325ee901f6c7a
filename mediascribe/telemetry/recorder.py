"""Recorder: is told what happens in a run, and hands it to its measures and spans."""

from __future__ import annotations

import asyncio
import contextlib
import random
import time
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Final, Self
from urllib.parse import urlsplit

from mediascribe import __version__
from mediascribe.telemetry import names
from mediascribe.telemetry.measures import Measures
from mediascribe.telemetry.spans import Ended, Spans, error_of

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Mapping
    from contextlib import AbstractContextManager
    from types import TracebackType

    from mediascribe.attempts import Watch
    from mediascribe.case import Case
    from mediascribe.domain import Completion, Failure, Record, Request, Shard
    from mediascribe.job import Job
    from mediascribe.pacing import Use
    from mediascribe.telemetry.providers import Providers
    from mediascribe.telemetry.settings import Wanted
    from mediascribe.telemetry.spans import ShardSpan

_LOOK_EVERY_S: Final = 1.0
_PORTS: Final = {"http": 80, "https": 443}


@asynccontextmanager
async def recording(providers: Providers, wanted: Wanted, job: Job, base_url: str) -> AsyncIterator[Recorder]:
    """The recorder of the run of *job* at the gateway *base_url*; looks at the run as long as it is open."""
    measures = Measures(providers.meters.get_meter(names.SCOPE, __version__), job)
    spans = Spans(providers.tracers.get_tracer(names.SCOPE, __version__), wanted.ratio, random.random)
    recorder = Recorder(measures, spans, job.name, base_url)
    looking = asyncio.create_task(recorder.keep_looking())
    try:
        yield recorder
    finally:
        looking.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await looking
        recorder.look()


class Recorder:
    """Telemetry that is on. Belongs to one event loop."""

    def __init__(
        self,
        measures: Measures,
        spans: Spans,
        job: str,
        base_url: str,
        *,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        """Record attempts of *job* at the gateway *base_url*."""
        self._measures, self._spans, self._job, self.clock = measures, spans, job, clock
        parts = urlsplit(base_url)
        self._server: dict[str, str | int] = {names.ADDRESS: parts.hostname or ""}
        self._server[names.PORT] = parts.port or _PORTS.get(parts.scheme, 0)
        self._spoken: dict[tuple[str, str], dict[str, str | int]] = {}
        self._watched: tuple[Callable[[], Watch], Callable[[], Mapping[str, Use]]] | None = None

    def attempt(self, case: Case) -> Attempt:
        """What times one attempt of *case*, from when it leaves until its answer is read."""
        return Attempt(self, case)

    def shard(self, shard: Shard) -> AbstractContextManager[ShardSpan]:
        """What traces the work on *shard*; attempts within it are its children."""
        return self._spans.shard(shard, self._job)

    def landed(self, record: Record) -> None:
        """Count a row that has its result."""
        self._measures.landed(record)

    def watching(self, watch: Callable[[], Watch], uses: Callable[[], Mapping[str, Use]]) -> None:
        """From now on, look at how the run stands by *watch*, and at its lanes by *uses*."""
        self._watched = watch, uses
        self.look()

    def look(self) -> None:
        """Keep how the run stands now, for the next export."""
        if self._watched:
            watch, uses = self._watched
            self._measures.look(watch(), uses(), self.clock())

    async def keep_looking(self) -> None:
        """Look about once a second."""
        while True:
            self.look()
            await asyncio.sleep(_LOOK_EVERY_S)

    def ended(self, attempt: Attempt, error: BaseException | None) -> None:
        """Record an *attempt* that is over; *error* is what it raised."""
        case, outcome = attempt.case, attempt.outcome
        failed = getattr(error, "failure", None)
        ended = Ended(
            request=case.request,
            spoken=self._spoken_by(case.request),
            number=case.account.attempts,
            row=case.item.row_number,
            began_ns=attempt.began_ns,
            seconds=self.clock() - attempt.began_at,
            outcome=outcome or failed,
            error=error_of(outcome, error),
            spend=case.account.last,
        )
        self._measures.attempted(ended)
        self._spans.attempted(ended)

    def _spoken_by(self, request: Request) -> dict[str, str | int]:
        """What all attempts of the model and the dialect of *request* have in common."""
        key = request.model, request.dialect
        if (known := self._spoken.get(key)) is None:
            provider, operation = names.SPOKEN[request.dialect]
            asked = {names.OPERATION: operation, names.PROVIDER: provider, names.REQUEST_MODEL: request.model}
            known = self._spoken[key] = {**asked, **self._server}
        return known


class Attempt:
    """One attempt while it lasts."""

    __slots__ = ("_recorder", "began_at", "began_ns", "case", "outcome")

    def __init__(self, recorder: Recorder, case: Case) -> None:
        """It has not left yet."""
        self._recorder, self.case = recorder, case
        self.outcome: Completion | Failure | None = None
        self.began_at, self.began_ns = 0.0, 0

    def __enter__(self) -> Self:
        self.began_at, self.began_ns = self._recorder.clock(), time.time_ns()
        return self

    def came_to(self, outcome: Completion | Failure) -> None:
        """The answer was read, and says *outcome*."""
        self.outcome = outcome

    def __exit__(self, _: type[BaseException] | None, error: BaseException | None, __: TracebackType | None) -> None:
        self._recorder.ended(self, error)
