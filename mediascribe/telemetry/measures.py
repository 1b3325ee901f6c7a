"""Measures: the counters, histograms and gauges of a run.

Counts are kept here and read when they are exported, since that is ten times cheaper than to count in the SDK; gauges
are what the last look at the run saw, for exports come from another thread, which the run's parts must not meet.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Final

from opentelemetry.metrics import Observation

from mediascribe.domain import Failure
from mediascribe.report.progress import Meter as Progress
from mediascribe.report.standing import Gauge
from mediascribe.telemetry import names

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from opentelemetry.metrics import CallbackOptions, Meter

    from mediascribe.attempts import Watch
    from mediascribe.domain import Record, Usage
    from mediascribe.job import Job
    from mediascribe.pacing import Use
    from mediascribe.telemetry.spans import Ended

    Attributes = dict[str, str]
    Labels = tuple[str, ...]

# As the result's columns are called; all but the first two are parts of those two.
_KINDS: Final = (
    "prompt_tokens",
    "completion_tokens",
    "cached_tokens",
    "cache_write_tokens",
    "prompt_text_tokens",
    "prompt_image_tokens",
    "prompt_audio_tokens",
    "prompt_video_tokens",
    "completion_audio_tokens",
    "reasoning_tokens",
)
_KIND: Final = "mediascribe.token.kind"
_LANE: Final = "mediascribe.lane"
_CAUSE: Final = "mediascribe.cause"
_SHARED: Final = "shared"  # the lane of all models without a quota of their own


class Measures:
    """What is counted of one run. Belongs to one event loop; exports may read it from any thread."""

    def __init__(self, meter: Meter, job: Job) -> None:
        """Offer everything to *meter*; nothing is counted yet."""
        self._job: Attributes = {names.JOB: job.name}
        limits = job.limits.models.get(job.model, job.limits)
        self._gauge = Gauge(meter=Progress(total=0), job=job.name, run_id="", limits=limits)
        self._rows: Counter[Labels] = Counter()
        self._tokens: Counter[Labels] = Counter()
        self._nano_usd: Counter[Labels] = Counter()
        self._in_doubt: Counter[Labels] = Counter()
        self._refused: Counter[Labels] = Counter()
        self._waited_s: dict[Labels, float] = {}
        self._seen: dict[str, list[tuple[float, Attributes]]] = {}
        self._looked_at: float | None = None
        self._duration_s = meter.create_histogram(
            names.DURATION_S,
            "s",
            "how long a request took",
            explicit_bucket_boundaries_advisory=names.DURATION_BUCKETS_S,
        )
        self._usage = meter.create_histogram(
            names.TOKEN_USAGE, "{token}", "tokens of a request", explicit_bucket_boundaries_advisory=names.TOKEN_BUCKETS
        )
        self._offer_counts(meter)
        self._offer_gauges(meter)

    def landed(self, record: Record) -> None:
        """Count a row that has its result."""
        outcome = record.outcome
        self._rows[outcome.status, outcome.error_class if isinstance(outcome, Failure) else ""] += 1

    def attempted(self, ended: Ended) -> None:
        """Count an attempt, what it was billed, and how long it took."""
        model, spoken = (ended.request.model,), ended.spoken
        error = {names.ERROR: ended.error} if ended.error else {}
        self._duration_s.record(ended.seconds, {**spoken, **error})
        if ended.error == "rate_limit":
            self._refused[model] += 1
        if ended.spend is None:
            self._in_doubt[model] += 1
        else:
            self._nano_usd[model] += ended.spend.nano_usd
        if ended.usage:
            self._usage.record(ended.usage.prompt_tokens, {**spoken, names.TOKEN_TYPE: "input"})
            self._usage.record(ended.usage.completion_tokens, {**spoken, names.TOKEN_TYPE: "output"})
            self._count_tokens(ended.request.model, ended.usage)

    def look(self, watch: Watch, uses: Mapping[str, Use], now: float) -> None:
        """Keep how the run stands at *now*, in seconds on any clock."""
        pacing, share = watch.pacing, watch.budget.share
        if self._looked_at is not None and pacing.bound_by:
            cause = (pacing.bound_by,)
            self._waited_s[cause] = self._waited_s.get(cause, 0.0) + now - self._looked_at
        self._looked_at = now
        lanes = [({_LANE: name or _SHARED} | self._job, use) for name, use in uses.items()]
        self._seen = {
            "in_flight": [(use.in_flight, lane) for lane, use in lanes],
            "waiting": [(use.waiting, lane) for lane, use in lanes],
            "window": [(use.window, lane) for lane, use in lanes],
            "quota": self._one(self._gauge.standing(watch).quota_share),
            "pace": self._one(pacing.requests_per_minute),
            "cooldown": self._one(pacing.cooldown_s),
            "outage": self._one(pacing.outage.lasted_s if pacing.outage else 0.0),
            "budget": self._one(None if share is None else max(0.0, 1.0 - share)),
            "budget_waiting": self._one(watch.budget.waiting),
        }

    def _count_tokens(self, model: str, usage: Usage) -> None:
        for kind in _KINDS:
            if tokens := getattr(usage, kind):
                self._tokens[model, kind.removesuffix("_tokens")] += tokens

    def _one(self, value: float | None) -> list[tuple[float, Attributes]]:
        return [] if value is None else [(value, self._job)]

    def _offer_counts(self, meter: Meter) -> None:
        """Counters, by their labels."""
        by_model = (names.REQUEST_MODEL,)
        counters: tuple[tuple[str, str, str, Mapping[Labels, float], Labels, float], ...] = (
            ("rows", "{row}", "rows with a result", self._rows, ("mediascribe.status", names.ERROR), 1),
            ("tokens", "{token}", "tokens billed", self._tokens, (names.REQUEST_MODEL, _KIND), 1),
            ("cost.usd", "{USD}", "list price of what was billed", self._nano_usd, by_model, 1e9),
            ("in_doubt", "{request}", "requests that may have been billed", self._in_doubt, by_model, 1),
            ("rate_limited", "{request}", "requests refused by 429", self._refused, by_model, 1),
            ("waited", "s", "how long the next request waited, by cause", self._waited_s, (_CAUSE,), 1),
        )
        for name, unit, about, counts, labels, unit_size in counters:
            read = self._reader(counts, labels, unit_size)
            meter.create_observable_counter(f"mediascribe.{name}", [read], unit, about)

    def _offer_gauges(self, meter: Meter) -> None:
        """Gauges, by what the last look called them."""
        gauges = (
            ("in_flight", "requests.in_flight", "{request}", "requests on their way"),
            ("waiting", "requests.waiting", "{request}", "requests that wait for their turn"),
            ("window", "requests.window", "{request}", "requests that may be on their way"),
            ("quota", "quota.share", "1", "how much of the quota in force was used in the last minute"),
            ("pace", "quota.requests_per_minute", "{request}/min", "the quota in force, configured or learned"),
            ("cooldown", "cooldown", "s", "until the next request may leave after a 429"),
            ("outage", "outage", "s", "since the gateway has been down"),
            ("budget", "budget.left", "1", "how much is left of the cap that is used up most"),
            ("budget_waiting", "budget.waiting", "{request}", "requests that wait for room in the budget"),
        )
        for key, name, unit, about in gauges:
            meter.create_observable_gauge(f"mediascribe.{name}", [self._looker(key)], unit, about)

    def _reader(
        self, counts: Mapping[Labels, float], labels: Labels, unit_size: float
    ) -> Callable[[CallbackOptions], Iterable[Observation]]:
        def read(_: CallbackOptions) -> Iterable[Observation]:
            # One step of the interpreter: the run may count on meanwhile.
            now = list(counts.items())
            return [
                Observation(
                    count / unit_size if unit_size != 1 else count,
                    self._job | {label: value for label, value in zip(labels, values, strict=True) if value},
                )
                for values, count in now
            ]

        return read

    def _looker(self, key: str) -> Callable[[CallbackOptions], Iterable[Observation]]:
        def look(_: CallbackOptions) -> Iterable[Observation]:
            return [Observation(value, attributes) for value, attributes in self._seen.get(key, ())]

        return look
