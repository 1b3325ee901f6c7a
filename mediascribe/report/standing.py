"""Standing: how a run that is at work stands: rows, pace, quota, failures, money, time left, and what bounds it."""

from __future__ import annotations

import time
from collections import Counter, deque
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final, Literal, NamedTuple

from mediascribe.deadline import Outlook
from mediascribe.domain import STATUSES, Failure
from mediascribe.report.formats import usd
from mediascribe.report.progress import clock_time, waits_for

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from mediascribe.attempts import Watch
    from mediascribe.domain import Record
    from mediascribe.job_sections import ModelLimits
    from mediascribe.limiter import Bound, Pacing
    from mediascribe.report.progress import Meter

Bounds = Literal["quota", "gateway latency", "media hosts", "CPU", "gateway refuses", "gateway down"]

_OVER_S: Final = 60.0
_PAUSE_EVERY_S: Final = 60.0
_SAMPLE_EVERY_S: Final = 1.0
_TELLING_ROWS: Final = 100
_BUSY: Final = 0.85  # of one core: the rest is the kernel's, and other threads'
_FULL: Final = 0.9  # of the window
_BY_BOUND: Final[Mapping[Bound, Bounds]] = {
    "window": "gateway latency",
    "requests_per_minute": "quota",
    "tokens_per_minute": "quota",
    "learned_pace": "quota",
    "cooldown": "gateway refuses",
    "outage": "gateway down",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """How a run stands at one instant.

    `failures` counts rows without an answer by class. `rows_per_s` is the pace of the last minute, `most_rows_per_s`
    what the configured quota allows, `quota_share` how much of the quota in force, configured or learned, is used.
    `nano_usd` is what was spent, in doubt at its worst; `unpriced` counts billed rows without a price; `budget` names
    the cap that is used up most, and `budget_share` is that share. None: unknown, or there is none.
    """

    job: str
    run_id: str
    total: int
    by_status: Mapping[str, int]
    failures: Mapping[str, int]
    watched_s: float
    rows_per_s: float | None
    most_rows_per_s: float | None
    quota_share: float | None
    requests_per_minute: float | None
    tokens: int
    nano_usd: int
    unpriced: int
    budget: str | None
    budget_share: float | None
    bound_by: Bounds | None
    waits_for: str | None

    @property
    def done(self) -> int:
        """Rows that have their result."""
        return sum(self.by_status.values())

    @property
    def share(self) -> float:
        """How much of the plan is done, from 0 to 1."""
        return self.done / self.total if self.total else 1.0

    @property
    def outlook(self) -> Outlook:
        """What is known of the rest."""
        return Outlook(
            rows_left=self.total - self.done,
            watched_s=self.watched_s,
            rows_per_s=self.rows_per_s,
            most_rows_per_s=self.most_rows_per_s,
        )

    @property
    def left_s(self) -> float | None:
        """Seconds until the rest is done at this pace; None where nobody knows."""
        return (self.total - self.done) / self.rows_per_s if self.rows_per_s else None

    @property
    def rows(self) -> str:
        """The rows by status."""
        return ", ".join(f"{rows:,} {status}" for status, rows in self.by_status.items() if rows) or "none yet"

    @property
    def money(self) -> str:
        """What was spent, and how much of the budget that is."""
        spent = f"{usd(self.nano_usd / 1e9)} USD"
        if self.unpriced:
            spent = f"{spent}, and {self.unpriced:,} rows without a price" if self.nano_usd else "price unknown"
        return f"{spent}, {self.budget}" if self.budget else spent


class _Sample(NamedTuple):
    at: float
    done: int
    requests: int
    tokens: int
    cpu_s: float


@dataclass(slots=True, kw_only=True)
class Gauge:
    """What a run's standing is read from. `meter` counts its rows; *limits* are the quota of its model.

    *looks_at_media* says that media are looked at or fetched before they are sent. Ask for the standing about once a
    second: the pace is that of the last minute.
    """

    meter: Meter
    job: str
    run_id: str
    limits: ModelLimits
    looks_at_media: bool = False
    clock: Callable[[], float] = time.monotonic
    cpu_clock: Callable[[], float] = time.process_time
    failures: Counter[str] = field(default_factory=Counter)
    _samples: deque[_Sample] = field(default_factory=deque)
    _began_at: float | None = None

    def announce(self, record: Record) -> None:
        """Count *record*."""
        self.meter.announce(record)
        if isinstance(record.outcome, Failure):
            self.failures[record.outcome.error_class] += 1

    def standing(self, watch: Watch) -> Standing:
        """How the run stands now, with what *watch* sees."""
        now = self._sample(watch)
        first = self._samples[0]
        elapsed_s = now.at - first.at
        budget = watch.budget
        return Standing(
            job=self.job,
            run_id=self.run_id,
            total=self.meter.total,
            by_status={status: self.meter.by_status[status] for status in STATUSES},
            failures=dict(self.failures.most_common()),
            watched_s=now.at - (now.at if self._began_at is None else self._began_at),
            rows_per_s=(now.done - first.done) / elapsed_s if elapsed_s > 0 else None,
            most_rows_per_s=self._most_rows_per_s(now),
            quota_share=self._quota_share(watch, first, now),
            requests_per_minute=watch.pacing.requests_per_minute,
            tokens=self.meter.tokens,
            nano_usd=budget.spent.nano_usd,
            unpriced=self.meter.unpriced,
            budget=budget.nearest,
            budget_share=budget.share,
            bound_by=self._bound_by(watch.pacing, first, now),
            waits_for=waits_for(watch.pacing),
        )

    def _sample(self, watch: Watch) -> _Sample:
        """What is counted now; kept for later where the last one is a second old."""
        spent = watch.budget.spent
        now = _Sample(self.clock(), self.meter.done, spent.requests, spent.tokens, self.cpu_clock())
        if self._began_at is None:
            self._began_at = now.at
        while len(self._samples) > 1 and now.at - self._samples[0].at > _OVER_S:
            self._samples.popleft()
        if not self._samples or now.at - self._samples[-1].at >= _SAMPLE_EVERY_S:
            self._samples.append(now)
        return now

    def _most_rows_per_s(self, now: _Sample) -> float | None:
        """What the configured quota allows, at as many requests and tokens a row as it took so far.

        A row takes one request, or less where several share an answer; retries may go away. Tokens are believed from
        some rows on.
        """
        per_s = []
        if self.limits.requests_per_minute:
            requests = min(1.0, now.requests / now.done) if now.done >= _TELLING_ROWS else 1.0
            per_s += [self.limits.requests_per_minute / 60 / requests] if requests else []
        if self.limits.tokens_per_minute and now.done >= _TELLING_ROWS and now.tokens:
            per_s.append(self.limits.tokens_per_minute / 60 / (now.tokens / now.done))
        return min(per_s, default=None)

    def _quota_share(self, watch: Watch, first: _Sample, now: _Sample) -> float | None:
        """How much of the quota in force is used; of several, the one that is used most."""
        minutes = (now.at - first.at) / 60
        if minutes <= 0:
            return None
        used = (
            (watch.pacing.requests_per_minute, now.requests - first.requests),
            (self.limits.tokens_per_minute, now.tokens - first.tokens),
        )
        return max((units / minutes / quota for quota, units in used if quota), default=None)

    def _bound_by(self, pacing: Pacing, first: _Sample, now: _Sample) -> Bounds | None:
        """What the run would have to have more of, to be faster."""
        if pacing.outage:
            return "gateway down"
        if pacing.bound_by not in (None, "window"):
            return _BY_BOUND[pacing.bound_by]
        elapsed_s = now.at - first.at
        if elapsed_s > 0 and (now.cpu_s - first.cpu_s) / elapsed_s >= _BUSY:
            return "CPU"
        if pacing.bound_by == "window" or pacing.in_flight >= _FULL * pacing.window:
            return "gateway latency"
        return "media hosts" if self.looks_at_media and pacing.in_flight < pacing.window else None


@dataclass(slots=True, kw_only=True)
class Pauses:
    """When everybody began to wait for the gateway, and when that ended: a line for each, of short waits few."""

    clock: Callable[[], float] = time.monotonic
    _paused: bool = False
    _next_at: float = 0.0

    def line(self, standing: Standing) -> str | None:
        """What is new about it."""
        now, is_down = self.clock(), standing.bound_by == "gateway down"
        if standing.waits_for is None:
            ended, self._paused = self._paused, False
            return "the gateway answers again: the run goes on" if ended else None
        if self._paused or (now < self._next_at and not is_down):
            return None
        self._paused, self._next_at = is_down, now + _PAUSE_EVERY_S
        return standing.waits_for


def markdown(standing: Standing, now: datetime, deadline: str | None = None) -> str:
    """*standing* as a page to read at *now*; *deadline* is what is known of it, in words."""
    lines = [
        ("rows", standing.rows),
        ("without an answer", ", ".join(f"{rows:,} {name}" for name, rows in standing.failures.items())),
        ("pace", _pace(standing)),
        ("bound by", standing.bound_by),
        ("waits for", standing.waits_for),
        ("spent", standing.money),
        ("tokens", f"{standing.tokens:,}"),
        ("time left", _time_left(standing, now)),
        ("deadline", deadline),
    ]
    head = (
        f"**{standing.job}**: {headline(standing)}; run {standing.run_id}, {now.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"
    )
    return "\n".join(
        [head, "", "| | |", "| --- | --- |", *(f"| {name} | {cell(text)} |" for name, text in lines if text)]
    )


def headline(standing: Standing) -> str:
    """The rows that are done, in a few words."""
    return f"{standing.done:,} of {standing.total:,} rows ({standing.share:.0%})"


def cell(text: str) -> str:
    """*text* as a cell of a Markdown table."""
    return text.replace("\\", "\\\\").replace("|", "\\|").replace("\n", " ")


def _pace(standing: Standing) -> str | None:
    if standing.rows_per_s is None:
        return None
    words = [f"{standing.rows_per_s:,.1f} rows/s"]
    if standing.quota_share is not None:
        words.append(f"{standing.quota_share:.0%} of the quota")
    if standing.requests_per_minute:
        words.append(f"{standing.requests_per_minute:,.0f} requests/min allowed")
    return ", ".join(words)


def _time_left(standing: Standing, now: datetime) -> str | None:
    if (left_s := standing.left_s) is None or left_s > timedelta(days=365).total_seconds():
        return None
    ends = now.astimezone(UTC) + timedelta(seconds=left_s)
    return f"{clock_time(left_s)}, done about {ends:%Y-%m-%d %H:%M} UTC"
