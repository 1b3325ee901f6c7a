"""Settings: what the `OTEL_*` variables ask for, in the words of OpenTelemetry's specification.

Endpoints, headers, timeouts, intervals, batches and resource attributes are read by the SDK itself. Rules of our own:

- Off by default. A signal is exported where its `OTEL_*_EXPORTER` names an exporter, or where an OTLP endpoint is set.
- The sampler is asked about attempts; shards are always traced, unless it is `always_off`. Without one, an attempt in
  a thousand is traced.
- An empty variable is one that is not set, and what cannot be understood is told and passed over, as the specification
  has it ("Environment Variable Specification").
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

if TYPE_CHECKING:
    from collections.abc import Mapping

Signal = Literal["traces", "metrics"]

_OTLP: Final = "otlp"
_EXPORTERS: Final[dict[Signal, tuple[str, ...]]] = {
    "traces": (_OTLP, "console"),
    "metrics": (_OTLP, "prometheus", "console"),
}
_PROTOCOL: Final = "http/protobuf"
_RATIO: Final = 0.001
_RATIOS: Final = {"always_on": 1.0, "parentbased_always_on": 1.0, "always_off": 0.0, "parentbased_always_off": 0.0}
_BY_RATIO: Final = ("traceidratio", "parentbased_traceidratio")
_HOST: Final = "127.0.0.1"
_PORT: Final = 9464  # the specification's default
_LAST_PORT: Final = 65_535


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What is to be exported, and how: `traces` and `metrics` name exporters; `notes` say what was passed over.

    `ratio` of the attempts are traced. `secrets` are values that no message may show.
    """

    traces: tuple[str, ...] = ()
    metrics: tuple[str, ...] = ()
    ratio: float = _RATIO
    host: str = _HOST
    port: int = _PORT
    secrets: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


def read(environ: Mapping[str, str]) -> Wanted:
    """What *environ* asks for."""
    given = {name: value.strip() for name, value in environ.items() if name.startswith("OTEL_") and value.strip()}
    if not given or given.get("OTEL_SDK_DISABLED", "").lower() == "true":
        return Wanted()
    notes: list[str] = []
    traces, metrics = _exporters(given, "traces", notes), _exporters(given, "metrics", notes)
    ratio = _ratio(given, notes) if traces else _RATIO
    return Wanted(
        traces=() if given.get("OTEL_TRACES_SAMPLER", "").endswith("always_off") else traces,
        metrics=metrics,
        ratio=ratio,
        host=given.get("OTEL_EXPORTER_PROMETHEUS_HOST", _HOST),
        port=_port(given, notes) if "prometheus" in metrics else _PORT,
        secrets=_secrets(given),
        notes=tuple(notes),
    )


def _exporters(given: Mapping[str, str], signal: Signal, notes: list[str]) -> tuple[str, ...]:
    """The exporters of *signal* that are asked for, and that there are."""
    name = f"OTEL_{signal.upper()}_EXPORTER"
    endpoints = ("OTEL_EXPORTER_OTLP_ENDPOINT", f"OTEL_EXPORTER_OTLP_{signal.upper()}_ENDPOINT")
    asked = given.get(name, _OTLP if any(endpoint in given for endpoint in endpoints) else "none")
    known = []
    for exporter in dict.fromkeys(one.strip().lower() for one in asked.split(",")):
        if exporter in _EXPORTERS[signal]:
            known.append(exporter)
        elif exporter != "none":
            notes.append(f"{name}={exporter} is passed over: there are none, {', '.join(_EXPORTERS[signal])}")
    if _OTLP in known and (note := _other_protocol(given, signal)):
        known.remove(_OTLP)
        notes.append(note)
    return tuple(known)


def _other_protocol(given: Mapping[str, str], signal: Signal) -> str | None:
    """What to say where OTLP is to speak a protocol that we do not have."""
    for name in (f"OTEL_EXPORTER_OTLP_{signal.upper()}_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL"):
        if (protocol := given.get(name, _PROTOCOL)) != _PROTOCOL:
            return f"{name}={protocol} is not spoken, no {signal} are sent: set {_PROTOCOL} (usually port 4318)"
        if name in given:
            return None
    return None


def _ratio(given: Mapping[str, str], notes: list[str]) -> float:
    """The share of the attempts that is traced."""
    sampler = given.get("OTEL_TRACES_SAMPLER", _BY_RATIO[0]).lower()
    if sampler in _RATIOS:
        return _RATIOS[sampler]
    if sampler not in _BY_RATIO:
        notes.append(
            f"OTEL_TRACES_SAMPLER={sampler} is passed over: there are {', '.join(sorted((*_RATIOS, *_BY_RATIO)))}"
        )
    argument = given.get("OTEL_TRACES_SAMPLER_ARG", str(_RATIO))
    try:
        ratio = float(argument)
    except ValueError:
        ratio = -1.0
    if 0 <= ratio <= 1:
        return ratio
    notes.append(f"OTEL_TRACES_SAMPLER_ARG={argument} is passed over: it must be a number from 0 to 1")
    return _RATIO


def _port(given: Mapping[str, str], notes: list[str]) -> int:
    """Where Prometheus' text is served."""
    port = given.get("OTEL_EXPORTER_PROMETHEUS_PORT", str(_PORT))
    if port.isdecimal() and int(port) <= _LAST_PORT:
        return int(port)
    notes.append(f"OTEL_EXPORTER_PROMETHEUS_PORT={port} is passed over: it must be a port; {_PORT} is used")
    return _PORT


def _secrets(given: Mapping[str, str]) -> tuple[str, ...]:
    """The values of the headers with which a collector is asked; they hold its keys."""
    lists = (value for name, value in given.items() if name.endswith("_HEADERS"))
    return tuple(pair.partition("=")[2].strip() for many in lists for pair in many.split(",") if "=" in pair)
