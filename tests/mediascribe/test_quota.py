"""A quota holds in every minute, wherever it starts, and is used in even steps."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mediascribe.job_sections import ModelLimits
from mediascribe.quota import SPAN_S, Gaps, Quota, Quotas, Tally


def test_units_count_for_a_minute_and_a_little_more():
    """What left at 0.25 s is still counted at 60.6 s, and no more at 60.7 s, when its slot is 60.5 s old."""
    tally = Tally()
    tally.add(0.25, 3)
    assert (tally.total(60.6), tally.total(60.71)) == (3, 0)


def test_a_correction_lands_where_the_units_left():
    """Estimated at 100 and billed at 30: 30 are forgotten with the slot, and what is forgotten stays so."""
    tally = Tally()
    tally.add(1.0, 100)
    tally.add(2.0, 5)
    tally.correct(1.0, -70)
    assert tally.total(3.0) == 35
    assert tally.total(61.6) == 5
    tally.correct(1.0, -30)
    assert tally.total(61.7) == 5


def test_room_comes_when_enough_is_forgotten():
    """At 10 of 10, four more fit when the first two slots of 3 are forgotten."""
    tally = Tally()
    for at in (0.0, 1.0, 2.0):
        tally.add(at, 3)
    tally.add(3.0, 1)
    assert tally.room_at(3.0, 4, 10) == pytest.approx(1.0 + SPAN_S)
    assert tally.room_at(3.0, 0, 10) == 3.0


def test_what_is_larger_than_the_limit_waits_for_an_empty_minute():
    """A request of 50 under a limit of 10 leaves at once when nothing counts, else when everything is forgotten."""
    tally = Tally()
    assert tally.room_at(5.0, 50, 10) == 5.0
    tally.add(5.0, 1)
    assert tally.room_at(6.0, 50, 10) == pytest.approx(5.0 + SPAN_S)


def test_a_rate_counts_whole_slots():
    """Asked from the middle of a tenth of a second on, it counts that whole tenth, and says so."""
    tally = Tally()
    for at in (10.02, 10.06, 10.5, 11.0):
        tally.add(at, 1)
    assert tally.since(10.05, 11.05) == (4, pytest.approx(1.05))
    assert tally.since(10.15, 11.05) == (2, pytest.approx(0.95))


def test_the_past_can_be_asked():
    """Units between two times, and the first that left since a time; what was taken back does not count."""
    tally = Tally()
    for at in (1.0, 2.0, 3.0):
        tally.add(at, 2)
    assert tally.between(1.5, 3.0) == 4
    assert tally.between(1.0, 2.0) == 4
    assert tally.oldest_at(1.5) == 2.0
    tally.correct(2.0, -2)
    assert tally.oldest_at(1.5) == 3.0
    assert tally.oldest_at(4.0) is None


@given(st.lists(st.tuples(st.floats(0, 30), st.integers(1, 40)), min_size=1, max_size=60), st.integers(20, 100))
def test_no_minute_holds_more_than_the_limit(requests, limit):
    """Whenever requests come and however large they are: in any 60 s leaves at most the limit, or one large one."""
    quota, now, left = Quota(limit, burst_s=60.0), 0.0, []
    for pause_s, units in requests:
        now = max(now + pause_s, quota.ready_at(now + pause_s, units))
        quota.take(now, units, waited=True)
        left.append((now, units))
    for start, first in left:
        minute = [units for at, units in left if start <= at <= start + 60]
        assert sum(minute) <= limit or minute == [first]


def test_late_steps_are_caught_up_within_the_burst():
    """One unit a second, burst 2 s: who waited for 10 s may let three leave at once, and no more."""
    gaps, left = Gaps(burst_s=2.0), 0
    gaps.take(0.0, 1.0, waited=False)
    while gaps.ready_at <= 10.0:
        gaps.take(10.0, 1.0, waited=True)
        left += 1
    assert left == 3


def test_nothing_is_saved_up_while_nobody_waits():
    """After an idle minute the second request still waits for its gap."""
    gaps = Gaps(burst_s=2.0)
    gaps.take(60.0, 1.0, waited=False)
    assert gaps.ready_at == 61.0


def test_what_was_reserved_too_high_is_given_back():
    """A reservation of 600 at 600/min keeps the next one waiting for a minute; 10 billed, for a second."""
    quota = Quota(600, burst_s=0.0)
    quota.take(100.0, 600, waited=False)
    quota.correct(100.0, -590)
    assert quota.ready_at(100.0, 10) == pytest.approx(100.0 + 10 * SPAN_S / 600)


def test_both_limits_hold_and_the_later_one_is_named():
    """60 requests and 600 tokens a minute: ten tokens take as long as a request, twenty twice as long."""
    quotas = Quotas(ModelLimits(requests_per_minute=60.0, tokens_per_minute=600.0), burst_s=0.0)
    quotas.take(0.0, 5, waited=False)
    assert quotas.ready_at(0.0, 5) == (pytest.approx(SPAN_S / 60), "requests_per_minute")
    quotas.correct(0.0, tokens=15)
    assert quotas.ready_at(0.0, 5) == (pytest.approx(20 * SPAN_S / 600), "tokens_per_minute")
    quotas.correct(0.0, requests=-1, tokens=-20)
    assert quotas.ready_at(0.0, 5) == (0.0, None)


def test_after_a_pause_it_goes_on_evenly():
    """A restart in the future puts both limits off, and without limits nothing happens."""
    quotas = Quotas(ModelLimits(requests_per_minute=60.0), burst_s=60.0)
    quotas.restart(50.0)
    assert quotas.ready_at(1.0, 0) == (50.0, "requests_per_minute")
    quotas.take(50.0, 0, waited=True)
    assert quotas.ready_at(50.0, 0)[0] == pytest.approx(50.0 + SPAN_S / 60)
    free = Quotas(ModelLimits(), burst_s=1.0)
    free.take(0.0, 10, waited=False)
    free.correct(0.0, requests=1, tokens=1)
    free.restart(9.0)
    assert free.ready_at(1.0, 10) == (1.0, None)
