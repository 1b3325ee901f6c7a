"""Runs, their ids and their files."""

from datetime import UTC, datetime, timedelta, timezone

from hypothesis import given
from hypothesis import strategies as st

from mediascribe import run

MOMENTS = st.datetimes(min_value=datetime(2020, 1, 1), max_value=datetime(2099, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001


@given(earlier=MOMENTS, microseconds=st.integers(1, 10**9))
def test_a_later_run_sorts_behind(earlier, microseconds):
    """Even where both began in the same second: the latest run has the current result."""
    assert run.new_id(earlier) < run.new_id(earlier + timedelta(microseconds=microseconds))


def test_two_runs_of_one_moment_have_two_ids():
    """On two machines, say."""
    now = datetime(2026, 11, 23, 1, 45, tzinfo=UTC)
    assert len({run.new_id(now) for _ in range(20)}) > 1


def test_an_id_tells_when_its_run_began():
    """In UTC, whatever the clock's zone."""
    now = datetime(2026, 11, 23, 2, 45, 7, 123, tzinfo=timezone(timedelta(hours=1)))
    assert run.new_id(now).startswith("20261123T014507Z-000123")
    assert run.started_at(run.new_id(now)) == datetime(2026, 11, 23, 1, 45, 7, tzinfo=UTC)


def test_an_id_sorts_behind_the_newest_run_even_when_the_clock_was_set_back():
    """The clock says yesterday: the id counts on from the newest one, to the microsecond."""
    newest = run.new_id(datetime(2026, 11, 23, 23, 59, 59, 999_999, tzinfo=UTC))
    later = run.new_id(datetime(2026, 11, 22, tzinfo=UTC), behind=newest)
    assert later > newest
    assert later.startswith("20261124T000000Z-000000")
    assert run.new_id(datetime(2026, 11, 25, tzinfo=UTC), behind=newest).startswith("20261125T000000Z-000000")
