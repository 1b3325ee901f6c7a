"""A deadline is a moment, and that it will be missed is known as early as can be."""

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mediascribe.deadline import Outlook, announcement, done_at, grade, parse
from mediascribe.errors import ConfigError

NOON = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)


def outlook(rows_left=600, *, watched_s=60.0, rows_per_s=1.0, most=None):
    return Outlook(rows_left=rows_left, watched_s=watched_s, rows_per_s=rows_per_s, most_rows_per_s=most)


@pytest.mark.parametrize(
    ("text", "zone", "expected"),
    [
        ("06:00", "UTC", "2026-11-24T06:00+00:00"),  # six has passed today
        ("18:30", "UTC", "2026-11-23T18:30+00:00"),
        ("12:00", "UTC", "2026-11-24T12:00+00:00"),  # later than now, not now
        ("6:00:30", "UTC", "2026-11-24T06:00:30+00:00"),
        ("06:00", "Europe/Berlin", "2026-11-24T06:00+01:00"),
        ("06:00 Europe/Berlin", "UTC", "2026-11-24T06:00+01:00"),
        ("05:00", "Asia/Tokyo", "2026-11-24T05:00+09:00"),  # it is 21:00 there
        ("2026-11-24T06:00+02:00", "UTC", "2026-11-24T06:00+02:00"),
        ("2026-11-24 06:00", "Europe/Berlin", "2026-11-24T06:00+01:00"),
        ("2026-11-20T06:00", "UTC", "2026-11-20T06:00+00:00"),  # a date that has passed stays what it is
    ],
)
def test_a_deadline_is_the_next_such_time_of_day_or_a_moment(text, zone, expected):
    """In its zone, which it may name itself."""
    assert parse(text, NOON, zone) == datetime.fromisoformat(expected)


@pytest.mark.parametrize("text", ["", "soon", "25:00", "06:61", "6", "2026-11-24", "06:00 Europe/", "06:00 ../etc"])
def test_what_is_no_time_is_refused(text):
    """The message shows what to write."""
    with pytest.raises(ConfigError, match="deadline"):
        parse(text, NOON)


def test_a_zone_that_there_is_not_is_refused():
    """The message names it."""
    with pytest.raises(ConfigError, match="no time zone `Europe/Berln`"):
        parse("06:00 Europe/Berln", NOON)


def test_a_time_that_the_clocks_leave_out_is_a_moment_all_the_same():
    """On 2026-03-29 Berlin has no 02:30: an hour after 01:30 +01:00 is 03:30 +02:00."""
    night = datetime(2026, 3, 28, 23, 0, tzinfo=UTC)
    assert parse("02:30 Europe/Berlin", night).isoformat() == "2026-03-29T03:30:00+02:00"


@settings(max_examples=50)
@given(
    st.integers(1_577_836_800, 1_893_456_000).map(lambda at: datetime.fromtimestamp(at, UTC)),  # 2020 to 2030
    st.integers(0, 23),
    st.sampled_from(["UTC", "Europe/Berlin", "America/St_Johns", "Asia/Kathmandu"]),
)
def test_a_time_of_day_is_never_in_the_past_and_never_a_day_and_an_hour_ahead(now, hour, zone):
    """An hour more than a day is the night in which the clocks are put back."""
    assert now < parse(f"{hour}:00", now, zone) <= now + timedelta(hours=25)


@pytest.mark.parametrize(
    ("left_s", "rest", "expected"),
    [
        (601, outlook(), None),  # 600 rows at 1/s
        (599, outlook(), "likely"),
        (599, outlook(most=2.0), "likely"),  # the quota would do
        (299, outlook(most=2.0), "certain"),  # nor would the quota
        (299, outlook(most=2.0, watched_s=1.0), "certain"),
        (599, outlook(watched_s=29.0), None),  # too early to tell
        (599, outlook(rows_per_s=None), None),
        (599, outlook(rows_per_s=0.0), "likely"),  # nothing moves
        (0, outlook(rows_per_s=None), "certain"),
        (-1, outlook(0), None),  # done in time, or late: there is nothing left to be late
    ],
)
def test_two_grades(left_s, rest, expected):
    """Certain where all of the quota could not do it, likely where the pace does not."""
    assert grade(NOON + timedelta(seconds=left_s), NOON, rest) == expected


def test_when_the_rest_is_done():
    """600 rows at 2/s take 5 minutes; at no pace, nobody knows; nor in some thousand years."""
    assert done_at(NOON, outlook(rows_per_s=2.0)) == NOON + timedelta(minutes=5)
    assert done_at(NOON, outlook(rows_per_s=0.0)) is None
    assert done_at(NOON, outlook(rows_left=10**9, rows_per_s=1e-9)) is None


def test_what_is_announced_says_by_what_reckoning():
    """In the deadline's own zone."""
    at = datetime(2026, 11, 23, 13, 5, tzinfo=timezone(timedelta(hours=1), "CET"))
    when = "the deadline 2026-11-23 13:05 CET"
    certain = announcement(at, NOON, outlook(most=1.0), "certain")
    assert (
        certain
        == f"{when} will be missed: 600 rows are left, and all of the quota (60 rows/min) takes 0:10:00 for them"
    )
    likely = announcement(at, NOON, outlook(), "likely")
    done = "at 1.0 rows/s they are done 2026-11-23 13:10 CET"
    assert likely == f"{when} will probably be missed: 600 rows are left, {done}"
    still = announcement(at, NOON, outlook(rows_per_s=0.0), "likely")
    assert still.endswith("600 rows are left, and nothing moves")
    passed = announcement(at, NOON + timedelta(minutes=5), outlook(), "certain")
    assert passed == f"{when} has passed: 600 rows are left"
