"""Progress says what is done, how fast, at what price, and what everybody waits for."""

import asyncio
import io
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from types import SimpleNamespace

import pytest
from rich.console import Console

from mediascribe.breaker import Outage
from mediascribe.report import progress
from mediascribe.report.progress import Meter, clock_time, shown


def watch(*, nearest=None, **pacing):
    """What a run's describer shows at one instant."""
    plain = {"in_flight": 0, "window": 32, "cooldown_s": 0.0, "outage": None}
    return SimpleNamespace(pacing=SimpleNamespace(**plain | pacing), budget=SimpleNamespace(nearest=nearest))


@dataclass
class Clock:
    now: float = 0.0

    def __call__(self):
        return self.now


def test_the_meter_counts_rows_tokens_and_money(build):
    """Each record adds its status, all of its tokens, and its price."""
    meter = Meter(total=4)
    meter.announce(build.record(nano_usd=2_000_000, wasted_tokens=17))
    meter.announce(build.record(outcome=build.failure()))
    assert (meter.done, meter.tokens, meter.nano_usd) == (2, 300, 2_000_000)
    assert meter.line(watch()) == "1 failed · 300 tokens · $0.0020"


def test_a_row_without_a_price_is_never_free(build):
    """What is unknown is said to be unknown."""
    meter = Meter(total=2)
    meter.announce(build.record())
    assert "price unknown" in meter.line(watch())
    meter.announce(build.record(nano_usd=1_000_000))
    assert "$0.0010 + 1 rows without a price" in meter.line(watch())


def test_a_row_that_was_never_billed_needs_no_price(build):
    """A skipped row does not make the price unknown."""
    meter = Meter(total=1)
    meter.announce(build.record(outcome=build.failure(error_class="row")))
    assert "$0.0000" in meter.line(watch())


def test_the_rate_is_that_of_the_last_half_minute(build):
    """Ten rows in ten seconds are one a second, whatever came long before."""
    clock = Clock()
    meter = Meter(total=200, clock=clock)
    assert meter.rate() is None
    for _ in range(100):
        meter.announce(build.record())
    clock.now = 10
    assert meter.rate() == 10.0
    clock.now = 50
    assert meter.rate() == 0.0
    for _ in range(10):
        meter.announce(build.record())
    clock.now = 60
    assert meter.rate() == 1.0
    assert "1.0 rows/s" in meter.line(watch())
    assert "1:30 left" in meter.line(watch())


def test_a_cooldown_is_told(build):
    """A quiet minute has a reason that a person can read."""
    assert "the gateway refuses for now: waiting 12 s" in Meter(total=1).line(watch(cooldown_s=12.4))


def test_an_outage_is_told():
    """Rows wait, and the line says why, since when, and when the gateway is tried next, by the clock on the wall."""
    now = datetime.now(UTC).astimezone()
    line = Meter(total=1).line(watch(outage=Outage(lasted_s=75.0, why="503 from the gateway", probe_in_s=4.2)))
    told = re.search(r"paused: 503 from the gateway since (\S+), next probe (\S+)$", line)
    since, probe = (datetime.strptime(f"{now:%Y%m%d %z} {one}", "%Y%m%d %z %H:%M:%S") for one in told.groups())
    assert (probe - since).total_seconds() % 86_400 in {79, 80}


def test_the_nearest_cap_is_told():
    """How much of the budget is gone stands beside the cost."""
    assert "$0.0000 · 41% of $5.00" in Meter(total=1).line(watch(nearest="41% of $5.00"))


@pytest.mark.parametrize(("seconds", "text"), [(0, "0:00"), (61, "1:01"), (3600, "1:00:00"), (7325.4, "2:02:05")])
def test_times_read_like_a_clock(seconds, text):
    """Minutes and seconds, and hours where there are any."""
    assert clock_time(seconds) == text


async def show(meter, style, *, terminal):
    console = Console(file=io.StringIO(), force_terminal=terminal, width=200)
    async with shown(meter, watch, console, style):
        for _ in range(5):
            await asyncio.sleep(0)
    return console.file.getvalue()


async def test_plain_lines_where_there_is_no_terminal(build):
    """A log gets lines, the last of them with the final count."""
    meter = Meter(total=2, clock=Clock())
    meter.announce(build.record(nano_usd=1_000))
    assert await show(meter, "auto", terminal=False) == "1/2 rows (50%) · 283 tokens · $0.0000\n"


async def test_a_line_every_now_and_then(build, monkeypatch):
    """While the run goes on, a line follows a line."""
    monkeypatch.setattr(progress, "_LINE_EVERY_S", 0)
    monkeypatch.setattr(progress, "_REFRESH_EVERY_S", 0)
    assert (await show(Meter(total=2), "plain", terminal=True)).count("0/2 rows") >= 2


async def test_a_pause_is_told_at_once(monkeypatch):
    """Where there is no terminal, a line says when the gateway goes down, without waiting for its turn."""
    monkeypatch.setattr(progress, "_REFRESH_EVERY_S", 0)
    down = watch(outage=Outage(lasted_s=0.0, why="503", probe_in_s=5.0))
    console = Console(file=io.StringIO(), width=200)
    async with shown(Meter(total=2), lambda: down, console, "plain"):
        for _ in range(5):
            await asyncio.sleep(0)
    assert console.file.getvalue().count("paused: 503 since") == 2


async def test_a_bar_on_a_terminal(build, monkeypatch):
    """A person sees a bar with the count and the line."""
    monkeypatch.setattr(progress, "_REFRESH_EVERY_S", 0)
    meter = Meter(total=2)
    meter.announce(build.record())
    out = await show(meter, "auto", terminal=True)
    assert "1/2 rows" in out
    assert "━" in out


@pytest.mark.parametrize(("total", "style"), [(2, "none"), (0, "auto")])
async def test_nothing_to_show(total, style):
    """Neither when told so, nor when there is nothing to ask."""
    assert await show(Meter(total=total), style, terminal=True) == ""
