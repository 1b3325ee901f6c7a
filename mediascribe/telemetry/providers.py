"""Providers: the SDK's ends of what the variables ask for, opened and closed so that a run does not notice them.

The global providers are left alone: Prefect and other libraries ask those for spans of their own.
"""

from __future__ import annotations

import asyncio
import logging
import sys
import threading
import time
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from opentelemetry.metrics import NoOpMeterProvider
from opentelemetry.sdk.metrics import AlwaysOffExemplarFilter, MeterProvider
from opentelemetry.sdk.metrics.export import ConsoleMetricExporter, PeriodicExportingMetricReader
from opentelemetry.sdk.resources import OTELResourceDetector, Resource
from opentelemetry.sdk.trace import SpanLimits, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, ConsoleSpanExporter, SimpleSpanProcessor
from opentelemetry.sdk.trace.sampling import ALWAYS_ON
from opentelemetry.trace import NoOpTracerProvider

from mediascribe import __version__
from mediascribe.redact import redact_text

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Sequence

    from opentelemetry.metrics import MeterProvider as AnyMeterProvider
    from opentelemetry.sdk.metrics.export import MetricReader
    from opentelemetry.sdk.trace import SpanProcessor
    from opentelemetry.trace import TracerProvider as AnyTracerProvider

    from mediascribe.telemetry.settings import Wanted

_CLOSE_S: Final = 5.0  # at most, for what was not sent yet
_POLL_S: Final = 0.05
_LONGEST_VALUE: Final = 256  # of what a gateway says of its answer
_LONGEST_LINE: Final = 300
_LOGGER: Final = "opentelemetry"
_LISTENER: Final = "mediascribe.telemetry"


@dataclass(frozen=True, slots=True, kw_only=True)
class Providers:
    """Where spans and metrics go; each of `closing` sends what is left, or frees a port, and may block."""

    tracers: AnyTracerProvider
    meters: AnyMeterProvider
    closing: tuple[Callable[[], object], ...] = ()
    notes: tuple[str, ...] = ()


def build(wanted: Wanted) -> Providers:
    """Open what *wanted* names.

    Raises:
        ModuleNotFoundError: an exporter is not installed.
    """
    ours = resource()
    tracers: AnyTracerProvider = NoOpTracerProvider()
    meters: AnyMeterProvider = NoOpMeterProvider()
    closing: list[Callable[[], object]] = []
    notes: list[str] = []
    if wanted.traces:
        tracers = traced = TracerProvider(
            sampler=ALWAYS_ON,  # what is not to be traced never gets that far
            resource=ours,
            shutdown_on_exit=False,
            span_limits=SpanLimits(max_attribute_length=_LONGEST_VALUE),
        )
        for name in wanted.traces:
            traced.add_span_processor(_processor(name))
        closing.append(traced.shutdown)
    if readers := [reader for name in wanted.metrics for reader in _readers(name, wanted, closing, notes)]:
        never = AlwaysOffExemplarFilter()
        meters = measured = MeterProvider(readers, ours, exemplar_filter=never, shutdown_on_exit=False)
        closing.append(measured.shutdown)
    return Providers(tracers=tracers, meters=meters, closing=tuple(closing), notes=tuple(notes))


@asynccontextmanager
async def opened(providers: Providers, wanted: Wanted, tell: Callable[[str], None]) -> AsyncIterator[None]:
    """Export while the body runs; *tell* hears of the first trouble.

    Leaving it sends what is left, for some seconds at most, and no longer than until a collector proves unreachable.
    """
    for note in providers.notes:
        tell(f"telemetry: {note}")
    troubles = _Troubles(tell, wanted.secrets)
    troubles.listen()
    try:
        yield
    finally:
        troubles.met.clear()
        ended = threading.Event()
        # Daemons, for which the end of the process does not wait; what they have to say is not shown even then.
        threading.Thread(target=_close, args=(providers.closing, troubles, ended), daemon=True).start()
        await asyncio.to_thread(_wait, ended, troubles.met)


class _Troubles:
    """What the SDK has to say, of which a person is told the first line."""

    def __init__(self, tell: Callable[[str], None], secrets: Sequence[str]) -> None:
        self._tell, self._secrets = tell, secrets
        self._loop = asyncio.get_running_loop()
        self._told = False
        self._listener = logging.Handler(logging.WARNING)
        self._listener.name = _LISTENER
        self._listener.addFilter(self._hear)
        self.met = threading.Event()

    def listen(self) -> None:
        """From now on, what the SDK logs comes here and nowhere else."""
        logger = logging.getLogger(_LOGGER)
        logger.propagate = False
        logger.setLevel(logging.WARNING)  # whatever those above it are quieted to
        logger.addHandler(self._listener)

    def leave(self) -> None:
        """What the SDK logs goes where it went before, unless another run listens."""
        logger = logging.getLogger(_LOGGER)
        logger.removeHandler(self._listener)
        if all(listener.name != _LISTENER for listener in logger.handlers):
            logger.propagate = True
            logger.setLevel(logging.NOTSET)

    def _hear(self, record: logging.LogRecord) -> bool:
        """Called by any thread."""
        self.met.set()
        if not self._told:
            self._told = True
            said = redact_text(record.getMessage(), *self._secrets)[:_LONGEST_LINE]
            line = f"telemetry: {said} (the run goes on, and no more is said about this)"
            with suppress(RuntimeError):  # the loop is closed: nobody listens any more
                self._loop.call_soon_threadsafe(self._tell, line)
        return False


def _wait(ended: threading.Event, trouble: threading.Event) -> None:
    """Until it has *ended*, or there is *trouble*, or it has taken long enough."""
    give_up_at = time.monotonic() + _CLOSE_S
    while not ended.wait(_POLL_S) and not trouble.is_set() and time.monotonic() < give_up_at:
        pass


def _close(closing: Sequence[Callable[[], object]], troubles: _Troubles, ended: threading.Event) -> None:
    """Close all at once: none waits for another's collector."""
    threads = [threading.Thread(target=close, daemon=True) for close in closing]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    troubles.leave()
    ended.set()


def resource() -> Resource:
    """Who we are, as far as the variables do not say otherwise."""
    given = OTELResourceDetector().detect().attributes
    ours = {"service.name": "mediascribe", "service.version": __version__}
    return Resource.create({name: value for name, value in ours.items() if name not in given})


def _processor(exporter: str) -> SpanProcessor:
    if exporter == "console":
        return SimpleSpanProcessor(ConsoleSpanExporter(out=sys.stderr))
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import (  # noqa: PLC0415 - for those who ask for it
        OTLPSpanExporter,
    )

    return BatchSpanProcessor(OTLPSpanExporter())


def _readers(
    exporter: str, wanted: Wanted, closing: list[Callable[[], object]], notes: list[str]
) -> list[MetricReader]:
    """What reads the metrics for *exporter*; none, with a note, where its port is taken."""
    if exporter == "prometheus":
        return _prometheus(wanted, closing, notes)
    if exporter == "console":
        return [PeriodicExportingMetricReader(ConsoleMetricExporter(out=sys.stderr))]
    from opentelemetry.exporter.otlp.proto.http.metric_exporter import (  # noqa: PLC0415 - for those who ask for it
        OTLPMetricExporter,
    )

    return [PeriodicExportingMetricReader(OTLPMetricExporter())]


def _prometheus(wanted: Wanted, closing: list[Callable[[], object]], notes: list[str]) -> list[MetricReader]:
    from opentelemetry.exporter.prometheus import PrometheusMetricReader  # noqa: PLC0415 - for those who ask for it
    from prometheus_client import CollectorRegistry, start_http_server  # noqa: PLC0415 - likewise

    registry = CollectorRegistry()  # our own: the process-wide one has Prefect's metrics
    try:
        server, _ = start_http_server(wanted.port, wanted.host, registry)
    except OSError as error:
        why = error.strerror or str(error)
        notes.append(f"Prometheus' text cannot be served on {wanted.host}:{wanted.port}: {why}")
        return []

    def stop() -> None:
        server.shutdown()
        server.server_close()

    closing.append(stop)
    return [PrometheusMetricReader(registry=registry)]
