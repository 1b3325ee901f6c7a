"""How a run stands: what is done, how fast, within which quota, at what price, and what bounds it."""

from dataclasses import dataclass
from datetime import UTC, datetime

import pytest

from mediascribe.attempts import Watch
from mediascribe.breaker import Outage
from mediascribe.budget import BudgetView
from mediascribe.job_sections import ModelLimits
from mediascribe.limiter import Pacing
from mediascribe.report.progress import Meter
from mediascribe.report.standing import Gauge, Pauses, cell, headline, markdown
from mediascribe.spending import Spend

NOW = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)


@dataclass
class Clock:
    now: float = 100.0

    def __call__(self):
        return self.now


class Run:
    """A run whose clocks the test owns."""

    def __init__(self, *, total=1_000, looks_at_media=False, **limits):
        self.clock, self.cpu = Clock(), Clock()
        self.gauge = Gauge(
            meter=Meter(total=total),
            job="nightly",
            run_id="r1",
            limits=ModelLimits(**limits),
            looks_at_media=looks_at_media,
            clock=self.clock,
            cpu_clock=self.cpu,
        )
        self.requests = self.tokens = 0

    def answer(self, build, rows, **spent):
        for _ in range(rows):
            self.gauge.announce(build.record())
        self.requests += spent.get("requests", rows)
        self.tokens += spent.get("tokens", 0)

    def look(self, *, budget=None, share=None, nano_usd=0, **pacing):
        plain = {
            "in_flight": 0,
            "window": 32,
            "cooldown_s": 0.0,
            "outage": None,
            "requests_per_minute": None,
            "bound_by": None,
            "why": None,
        }
        view = BudgetView(
            spent=Spend(nano_usd, self.tokens, self.requests),
            in_doubt=Spend(),
            reserved=Spend(),
            waiting=0,
            beyond=0,
            nearest=budget,
            share=share,
        )
        return self.gauge.standing(Watch(pacing=Pacing(**plain | pacing), budget=view))

    def after(self, seconds, cpu_s=0.0):
        self.clock.now += seconds
        self.cpu.now += cpu_s
        return self


def test_rows_and_failures_are_counted(build):
    """By status and by class, the most frequent class first."""
    run = Run(total=8)
    run.answer(build, 2)
    for error_class in ("timeout", "media", "media", "row"):
        run.gauge.announce(build.record(outcome=build.failure(error_class=error_class)))
    standing = run.look()
    assert (standing.done, standing.share, standing.outlook.rows_left) == (6, 0.75, 2)
    assert standing.rows == "2 ok, 3 failed, 1 skipped"
    assert list(standing.failures.items()) == [("media", 2), ("timeout", 1), ("row", 1)]
    assert headline(standing) == "6 of 8 rows (75%)"


def test_a_run_without_rows_is_done():
    """Nothing is divided by nothing."""
    standing = Run(total=0).look()
    assert (standing.share, standing.rows, standing.left_s) == (1.0, "none yet", None)


def test_the_pace_is_that_of_the_last_minute(build):
    """60 rows in the first minute, none in the second: then none a second, and the time left is unknown."""
    run = Run()
    assert run.look().rows_per_s is None
    for _ in range(60):
        run.answer(build, 1)
        standing = run.after(1).look()
    assert standing.rows_per_s == pytest.approx(1.0)
    assert standing.left_s == pytest.approx(940.0)
    for _ in range(61):
        standing = run.after(1).look()
    assert (standing.rows_per_s, standing.left_s, standing.watched_s) == (0.0, None, 121.0)


def test_looks_within_a_second_change_nothing(build):
    """Who looks more often gets the same pace, and no more memory is taken."""
    run = Run()
    run.look()
    for _ in range(100):
        run.answer(build, 1)
        standing = run.after(0.01).look()
    assert standing.rows_per_s == pytest.approx(100.0)


def test_the_share_of_the_quota_counts_requests_not_rows(build):
    """45 requests for 30 rows in half a minute use 75 % of 120 a minute; of two quotas the fuller one counts."""
    run = Run(requests_per_minute=120, tokens_per_minute=1_000)
    run.look(requests_per_minute=120.0)
    run.answer(build, 30, requests=45, tokens=450)
    standing = run.after(30).look(requests_per_minute=120.0)
    assert standing.quota_share == pytest.approx(0.9)
    run.tokens = 0
    assert run.look(requests_per_minute=120.0).quota_share == pytest.approx(0.75)
    assert Run().look().quota_share is None


def test_what_the_quota_allows_is_reckoned_from_what_rows_took(build):
    """One request a row until 100 rows tell: 50 for 100 rows allow twice as many; then tokens count too."""
    run = Run(requests_per_minute=60, tokens_per_minute=6_000)
    assert run.look().most_rows_per_s == 1.0
    run.answer(build, 99, requests=200, tokens=99)
    assert run.look().most_rows_per_s == 1.0
    run.answer(build, 1, requests=0, tokens=1)
    run.requests = 50
    assert run.look().most_rows_per_s == 2.0
    run.tokens = 10_000  # 100 a row: 60 rows a minute
    assert run.look().most_rows_per_s == 1.0
    run.requests = 300  # retries may go away
    assert run.look().most_rows_per_s == 1.0
    assert Run().look().most_rows_per_s is None


def test_rows_that_take_no_request_know_no_quota(build):
    """A hundred rows skipped say nothing of how many requests are wanted."""
    run = Run(requests_per_minute=60)
    run.answer(build, 100, requests=0)
    assert run.look().most_rows_per_s is None


OUTAGE = Outage(lasted_s=10.0, why="status 503", probe_in_s=2.0)


@pytest.mark.parametrize(
    ("pacing", "expected"),
    [
        ({"bound_by": "requests_per_minute"}, "quota"),
        ({"bound_by": "tokens_per_minute"}, "quota"),
        ({"bound_by": "learned_pace"}, "quota"),
        ({"bound_by": "cooldown"}, "gateway refuses"),
        ({"bound_by": "outage", "outage": OUTAGE}, "gateway down"),
        ({"outage": OUTAGE}, "gateway down"),
        ({"bound_by": "window", "in_flight": 32}, "gateway latency"),
        ({"in_flight": 29}, "gateway latency"),  # nobody waits in line, since all who could are in flight
        ({"in_flight": 3}, None),
    ],
)
def test_what_bounds_a_run(pacing, expected):
    """The limiter's word, else how full the window is."""
    assert Run().after(1).look(**pacing).bound_by == expected


def test_a_window_with_room_waits_for_media():
    """Where media are looked at before: then their hosts are slow."""
    assert Run(looks_at_media=True).look(in_flight=3).bound_by == "media hosts"


def test_a_busy_core_bounds_a_run():
    """9 s of CPU time in 10 s, whatever else is full; a quota that is used up still comes first."""
    run = Run(looks_at_media=True)
    run.look()
    run.after(10, cpu_s=9)
    assert run.look(in_flight=32, bound_by="window").bound_by == "CPU"
    assert run.look(in_flight=3).bound_by == "CPU"
    assert run.look(bound_by="learned_pace").bound_by == "quota"


def test_money_is_what_was_spent_beside_the_budget(build):
    """A row without a price makes it unknown, never nothing."""
    run = Run()
    assert run.look(nano_usd=2_500_000_000).money == "2.5000 USD"
    assert run.look(nano_usd=2_500_000_000, budget="50 % of budget.usd").money == "2.5000 USD, 50 % of budget.usd"
    run.answer(build, 2)
    assert run.look().money == "price unknown"
    assert run.look(nano_usd=10**9).money == "1.0000 USD, and 2 rows without a price"


def test_the_page_has_a_line_for_everything_that_is_known(build):
    """And none for the rest."""
    run = Run(total=100, requests_per_minute=60)
    lines = markdown(run.look(), NOW).splitlines()
    assert lines[0] == "**nightly**: 0 of 100 rows (0%); run r1, 2026-11-23 12:00:00 UTC"
    assert [line.split(" | ")[0] for line in lines[4:]] == ["| rows", "| spent", "| tokens"]
    run.answer(build, 30)
    run.gauge.announce(build.record(outcome=build.failure(error_class="media")))
    standing = run.after(31).look(
        requests_per_minute=60.0, bound_by="cooldown", cooldown_s=5.0, budget="9 % of budget.usd"
    )
    lines = markdown(standing, NOW, "06:00 | UTC").splitlines()
    assert lines[4:] == [
        "| rows | 30 ok, 1 failed |",
        "| without an answer | 1 media |",
        "| pace | 1.0 rows/s, 97% of the quota, 60 requests/min allowed |",
        "| bound by | gateway refuses |",
        "| waits for | the gateway refuses for now: waiting 5 s |",
        f"| spent | {standing.money} |",
        f"| tokens | {run.gauge.meter.tokens:,} |",
        "| time left | 1:09, done about 2026-11-23 12:01 UTC |",
        "| deadline | 06:00 \\| UTC |",
    ]


def test_a_time_left_of_years_is_not_told(build):
    """A pace of next to nothing has no date."""
    run = Run(total=10**9)
    run.look()
    run.answer(build, 1)
    assert "time left" not in markdown(run.after(60).look(), NOW)


def test_a_cell_is_one_cell():
    """Whatever a gateway said."""
    assert cell("a|b\n\\c") == "a\\|b \\\\c"


def test_an_outage_is_told_once_when_it_begins_and_once_when_it_ends():
    """Whatever it says meanwhile."""
    run, clock = Run(), Clock()
    pauses = Pauses(clock=clock)
    assert pauses.line(run.look()) is None
    assert pauses.line(run.look(outage=OUTAGE)).startswith("paused: status 503 since")
    assert pauses.line(run.look(outage=OUTAGE)) is None
    assert pauses.line(run.look()) == "the gateway answers again: the run goes on"
    assert pauses.line(run.look()) is None
    assert pauses.line(run.look(outage=OUTAGE)) is not None


def test_of_many_short_waits_one_a_minute_is_told():
    """A gateway that refuses now and then fills no log."""
    run, clock = Run(), Clock()
    pauses = Pauses(clock=clock)
    lines = []
    for _ in range(60):
        lines += [pauses.line(run.look(cooldown_s=2.0, bound_by="cooldown")), pauses.line(run.look())]
        clock.now += 2
    assert [line for line in lines if line] == ["the gateway refuses for now: waiting 2 s"] * 2
