"""Live progress of a run: a bar on a terminal, a plain line now and then elsewhere."""

from __future__ import annotations

import asyncio
import contextlib
import time
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Literal, Protocol

from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn

from mediascribe.domain import STATUSES, Completion, Status

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from rich.console import Console

    from mediascribe.breaker import Outage
    from mediascribe.domain import Record

Style = Literal["auto", "plain", "none"]
_LINE_EVERY_S: Final = 10.0
_REFRESH_EVERY_S: Final = 0.5
_RATE_OVER_S: Final = 30.0
_WHY_LENGTH: Final = 80


class Pacing(Protocol):
    """What progress asks of the limiter."""

    @property
    def in_flight(self) -> int: ...  # noqa: D102 - the limiter's own words

    @property
    def cooldown_s(self) -> float: ...  # noqa: D102

    def outage(self) -> Outage | None: ...  # noqa: D102


@dataclass(slots=True, kw_only=True)
class Meter:
    """The running totals of a run. `nano_usd` sums the priced rows; `unpriced` counts billed rows without a price."""

    total: int
    clock: Callable[[], float] = time.monotonic
    by_status: dict[Status, int] = field(default_factory=lambda: dict.fromkeys(STATUSES, 0))
    tokens: int = 0
    nano_usd: int = 0
    unpriced: int = 0
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

    def line(self, pacing: Pacing) -> str:
        """Rows failed, speed, tokens, USD, time left, and what everybody waits for, in one line."""
        rate = self.rate()
        left = self.total - self.done
        parts = [f"{self.by_status['failed']:,} failed"] if self.by_status["failed"] else []
        parts += [f"{rate:,.1f} rows/s"] if rate is not None else []
        parts += [f"{self.tokens:,} tokens", self._usd()]
        parts += [f"{clock_time(left / rate)} left"] if rate and left else []
        if outage := pacing.outage():
            down = f"down for {clock_time(outage.lasted_s)}, next probe in {outage.probe_in_s:.0f} s"
            parts.append(f"the gateway is {down}: {outage.why[:_WHY_LENGTH]}")
        elif pacing.cooldown_s > 0:
            parts.append(f"the gateway refuses for now: waiting {pacing.cooldown_s:.0f} s")
        return " · ".join(parts)

    def _usd(self) -> str:
        known = f"${self.nano_usd / 1e9:,.4f}"
        if self.unpriced:
            return f"{known} + {self.unpriced:,} rows without a price" if self.nano_usd else "price unknown"
        return known


@asynccontextmanager
async def shown(meter: Meter, pacing: Pacing, console: Console, style: Style) -> AsyncIterator[None]:
    """Show *meter* while the body runs."""
    if style == "none" or not meter.total:
        yield
        return
    show = _bar if style == "auto" and console.is_terminal else _lines
    showing = asyncio.create_task(show(meter, pacing, console))
    try:
        yield
    finally:
        showing.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await showing


async def _bar(meter: Meter, pacing: Pacing, console: Console) -> None:
    count = TextColumn("{task.completed:,.0f}/{task.total:,.0f} rows")
    text = TextColumn("{task.fields[line]}")
    with Progress(BarColumn(24), TaskProgressColumn(), count, text, console=console, auto_refresh=False) as bar:
        row = bar.add_task("", total=meter.total, line="")
        try:
            while True:
                bar.update(row, completed=meter.done, line=meter.line(pacing), refresh=True)
                await asyncio.sleep(_REFRESH_EVERY_S)
        finally:
            bar.update(row, completed=meter.done, line=meter.line(pacing), refresh=True)


async def _lines(meter: Meter, pacing: Pacing, console: Console) -> None:
    try:
        while True:
            meter.rate()
            await asyncio.sleep(_LINE_EVERY_S)
            _print_line(meter, pacing, console)
    finally:
        _print_line(meter, pacing, console)


def _print_line(meter: Meter, pacing: Pacing, console: Console) -> None:
    share = meter.done / meter.total
    text = f"{meter.done:,}/{meter.total:,} rows ({share:.0%}) · {meter.line(pacing)}"
    console.print(text, highlight=False, soft_wrap=True)


def clock_time(seconds: float) -> str:
    """*seconds* as h:mm:ss, or m:ss under an hour."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
