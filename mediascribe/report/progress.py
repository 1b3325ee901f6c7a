"""Live progress of a run: a bar on a terminal, a plain line now and then elsewhere."""

from __future__ import annotations

import asyncio
import contextlib
import time
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final, Literal

from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn

from mediascribe.domain import STATUSES, Completion, Status

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from rich.console import Console

    from mediascribe.attempts import Watch
    from mediascribe.domain import Record
    from mediascribe.limiter import Pacing

    Look = Callable[[], Watch]

Style = Literal["auto", "plain", "none"]
_LINE_EVERY_S: Final = 10.0
_REFRESH_EVERY_S: Final = 0.5
_RATE_OVER_S: Final = 30.0
_WHY_LENGTH: Final = 80


@dataclass(slots=True, kw_only=True)
class Meter:
    """The running totals of a run. `nano_usd` sums the priced rows; `unpriced` counts billed rows without a price.

    `note` is what else there is to say, in a few words.
    """

    total: int
    clock: Callable[[], float] = time.monotonic
    by_status: dict[Status, int] = field(default_factory=lambda: dict.fromkeys(STATUSES, 0))
    tokens: int = 0
    nano_usd: int = 0
    unpriced: int = 0
    note: str | None = None
    _samples: list[tuple[float, int]] = field(default_factory=list)

    def announce(self, record: Record) -> None:
        """Count *record*."""
        self.by_status[record.outcome.status] += 1
        self.tokens += record.outcome.usage.total_tokens + record.wasted_tokens
        if record.cost:
            self.nano_usd += record.cost.nano_usd
        elif isinstance(record.outcome, Completion) or record.outcome.usage.source != "missing":
            self.unpriced += 1

    @property
    def done(self) -> int:
        """Rows that have their result."""
        return sum(self.by_status.values())

    def rate(self) -> float | None:
        """Rows per second over the last half minute; None before there is anything to divide. Call it now and then."""
        now = self.clock()
        self._samples = [sample for sample in self._samples if now - sample[0] <= _RATE_OVER_S] or self._samples[-1:]
        self._samples.append((now, self.done))
        (since, before), elapsed = self._samples[0], now - self._samples[0][0]
        return (self.done - before) / elapsed if elapsed > 0 and since < now else None

    def line(self, watch: Watch) -> str:
        """Rows failed, speed, tokens, USD, time left, and what everybody waits for, in one line."""
        rate = self.rate()
        left = self.total - self.done
        parts = [f"{self.by_status['failed']:,} failed"] if self.by_status["failed"] else []
        parts += [f"{rate:,.1f} rows/s"] if rate is not None else []
        parts += [f"{self.tokens:,} tokens", self._usd()]
        parts += [budget] if (budget := watch.budget.nearest) else []
        parts += [f"{clock_time(left / rate)} left"] if rate and left else []
        parts += [waiting] if (waiting := waits_for(watch.pacing)) else []
        parts += [self.note] if self.note else []
        return " · ".join(parts)

    def _usd(self) -> str:
        known = f"${self.nano_usd / 1e9:,.4f}"
        if self.unpriced:
            return f"{known} + {self.unpriced:,} rows without a price" if self.nano_usd else "price unknown"
        return known


def waits_for(pacing: Pacing) -> str | None:
    """What everybody waits for, if it is the gateway: since when, and until when, by the clock on the wall."""
    if outage := pacing.outage:
        now = datetime.now(UTC).astimezone()
        since = now - timedelta(seconds=outage.lasted_s)
        probe = now + timedelta(seconds=outage.probe_in_s)
        why = outage.why if len(outage.why) <= _WHY_LENGTH else f"{outage.why[: _WHY_LENGTH - 1]}…"
        return f"paused: {why} since {since:%H:%M:%S}, next probe {probe:%H:%M:%S}"
    if pacing.cooldown_s >= 1:
        return f"the gateway refuses for now: waiting {pacing.cooldown_s:.0f} s"
    return None


@asynccontextmanager
async def shown(meter: Meter, look: Look, console: Console, style: Style) -> AsyncIterator[None]:
    """Show *meter*, and what *look* sees, while the body runs."""
    if style == "none" or not meter.total:
        yield
        return
    show = _bar if style == "auto" and console.is_terminal else _lines
    showing = asyncio.create_task(show(meter, look, console))
    try:
        yield
    finally:
        showing.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await showing


async def _bar(meter: Meter, look: Look, console: Console) -> None:
    count = TextColumn("{task.completed:,.0f}/{task.total:,.0f} rows")
    text = TextColumn("{task.fields[line]}")
    with Progress(BarColumn(24), TaskProgressColumn(), count, text, console=console, auto_refresh=False) as bar:
        row = bar.add_task("", total=meter.total, line="")
        try:
            while True:
                bar.update(row, completed=meter.done, line=meter.line(look()), refresh=True)
                await asyncio.sleep(_REFRESH_EVERY_S)
        finally:
            bar.update(row, completed=meter.done, line=meter.line(look()), refresh=True)


async def _lines(meter: Meter, look: Look, console: Console) -> None:
    """A line now and then, and at once when a pause begins or ends."""
    paused, next_at = False, meter.clock() + _LINE_EVERY_S
    try:
        while True:
            meter.rate()
            await asyncio.sleep(_REFRESH_EVERY_S)
            watch = look()
            if meter.clock() >= next_at or paused != (watch.pacing.outage is not None):
                paused, next_at = watch.pacing.outage is not None, meter.clock() + _LINE_EVERY_S
                _print_line(meter, watch, console)
    finally:
        _print_line(meter, look(), console)


def _print_line(meter: Meter, watch: Watch, console: Console) -> None:
    share = meter.done / meter.total
    text = f"{meter.done:,}/{meter.total:,} rows ({share:.0%}) · {meter.line(watch)}"
    console.print(text, highlight=False, soft_wrap=True)


def clock_time(seconds: float) -> str:
    """*seconds* as h:mm:ss, or m:ss under an hour."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
