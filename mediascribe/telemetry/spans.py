"""Spans: a shard is traced, and of the attempts within it a few.

An attempt's span is written when it has ended, so that those which are not traced cost one random number. Nothing that
a person or a model wrote goes into a span: of an error its class, never its message.
"""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from opentelemetry.trace import SpanKind, Status, StatusCode, use_span

from mediascribe.domain import Completion, Failure
from mediascribe.errors import AttemptError
from mediascribe.telemetry import names

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from opentelemetry.trace import Span, Tracer

    from mediascribe.domain import Request, Shard, Usage
    from mediascribe.landing import ShardReport
    from mediascribe.spending import Spend

    Value = str | int | float | bool | list[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """One attempt that is over. `spoken` are the attributes that it shares with all of its model and dialect.

    `spend` is None where nobody knows what it was billed, and `usage` where no answer says.
    """

    request: Request
    spoken: Mapping[str, str | int]
    number: int
    row: int
    began_ns: int
    seconds: float
    outcome: Completion | Failure | None
    error: str | None
    spend: Spend | None

    @property
    def usage(self) -> Usage | None:
        """The tokens that its answer reports."""
        return self.outcome.usage if self.outcome and self.outcome.usage.source != "missing" else None


class Spans:
    """What is traced of one run."""

    def __init__(self, tracer: Tracer, ratio: float, draw: Callable[[], float]) -> None:
        """Trace all shards, and *ratio* of the attempts, by lots from *draw* (0 to below 1)."""
        self._tracer, self._ratio, self._draw = tracer, ratio, draw

    def attempted(self, ended: Ended) -> None:
        """Write the span of an attempt, if the lot falls on it."""
        if self._draw() >= self._ratio:
            return
        span = self._tracer.start_span(
            f"{ended.spoken[names.OPERATION]} {ended.request.model}",
            kind=SpanKind.CLIENT,
            attributes=dict(_known(ended)),
            start_time=ended.began_ns,
        )
        if ended.error:
            _fail(span, ended.error)
        span.end(ended.began_ns + round(ended.seconds * 1e9))

    @contextmanager
    def shard(self, shard: Shard, job: str) -> Iterator[ShardSpan]:
        """The span of *shard* while the body runs, and the parent of the attempts in it."""
        attributes: dict[str, Value] = {
            names.JOB: job,
            "mediascribe.run": shard.run_id,
            "mediascribe.shard": shard.number,
            "mediascribe.shard.rows": shard.rows,
        }
        span = self._tracer.start_span("shard", attributes=attributes)
        with use_span(span, end_on_exit=True, record_exception=False, set_status_on_exception=False):
            try:
                yield ShardSpan(span)
            except BaseException as error:
                _fail(span, type(error).__qualname__)
                raise


class ShardSpan:
    """The span of a shard at work."""

    def __init__(self, span: Span) -> None:
        """Nothing came of it yet."""
        self._span = span

    def came_to(self, report: ShardReport) -> None:
        """The shard ended as *report* says."""
        self._span.set_attribute("mediascribe.shard.landed", report.rows)
        self._span.set_attribute("mediascribe.shard.in_doubt", report.in_doubt)
        if report.stopped:
            _fail(self._span, "drained" if report.drained else "stopped")


def error_of(outcome: Completion | Failure | None, error: BaseException | None) -> str | None:
    """The class of what went wrong: ours, where it is one of ours; None where nothing did."""
    if isinstance(error, AttemptError):
        return error.failure.error_class
    if error is not None:
        return type(error).__qualname__
    return outcome.error_class if isinstance(outcome, Failure) else None


def _known(ended: Ended) -> Iterator[tuple[str, Value]]:
    """The attributes of an attempt's span; what is unknown is missing."""
    request, outcome, usage = ended.request, ended.outcome, ended.usage
    of_request = {
        "gen_ai.request.max_tokens": request.parameters.get("max_tokens"),
        "gen_ai.request.temperature": request.parameters.get("temperature"),
        "gen_ai.request.stream": request.stream,
        "gen_ai.output.type": "json" if request.schema else "text",
        "mediascribe.row": ended.row,
        "mediascribe.attempt": ended.number,
    }
    of_answer = (
        {}
        if outcome is None
        else {
            "gen_ai.response.model": outcome.model_returned,
            "gen_ai.response.id": outcome.response_id,
            "gen_ai.response.finish_reasons": [outcome.finish_reason] if outcome.finish_reason else None,
            names.HTTP_STATUS: outcome.http_status if isinstance(outcome, Failure) else None,
        }
    )
    of_usage = (
        {}
        if usage is None
        else {
            "gen_ai.usage.input_tokens": usage.prompt_tokens,
            "gen_ai.usage.output_tokens": usage.completion_tokens,
            "gen_ai.usage.cache_read.input_tokens": usage.cached_tokens,
            "gen_ai.usage.cache_creation.input_tokens": usage.cache_write_tokens,
            "gen_ai.usage.reasoning.output_tokens": usage.reasoning_tokens,
        }
    )
    for name, value in {**ended.spoken, **of_request, **of_answer, **of_usage}.items():
        if isinstance(value, str | int | float | list):
            yield name, value


def _fail(span: Span, error: str) -> None:
    span.set_attribute(names.ERROR, error)
    span.set_status(Status(StatusCode.ERROR))
