"""When a run that the clock started gives way."""

from datetime import UTC, datetime, timedelta

import pytest
from pydantic import ValidationError

from mediascribe.schedule import PUNCTUAL, USUAL, Due, Rules, gives_way

NIGHT = datetime(2026, 11, 23, 1, 0, tzinfo=UTC)
LATER = NIGHT + timedelta(days=1)


def due(*, late=timedelta(0), newer=None):
    return Due(at=NIGHT, tried=NIGHT + late, newer=newer)


def test_every_run_is_run_where_nobody_chose():
    """However late, and whatever is newer."""
    assert gives_way(USUAL.catch_up, due(late=timedelta(days=9), newer=LATER)) is None


def test_only_the_latest_of_late_runs_is_run():
    """The others name the newer one, and the rule."""
    assert gives_way("latest", due(late=timedelta(days=9))) is None
    reason = gives_way("latest", due(newer=LATER))
    assert reason == "due at 2026-11-23 01:00 UTC, and the run of 2026-11-24 01:00 UTC is newer (catch-up: latest)"


def test_no_late_run_is_run_where_they_are_skipped():
    """Late is more than a quarter of an hour; that something newer is due does not matter."""
    assert gives_way("skip", due(late=PUNCTUAL, newer=LATER)) is None
    reason = gives_way("skip", due(late=timedelta(hours=8)))
    assert reason == "due at 2026-11-23 01:00 UTC, and not tried before 2026-11-23 09:00 UTC (catch-up: skip)"


def test_times_are_told_in_utc():
    """Whatever the zone in which they came."""
    there = NIGHT.astimezone(tz=None)
    assert "01:00 UTC" in gives_way("skip", Due(at=there, tried=there + timedelta(days=1), newer=None))


@pytest.mark.parametrize("wrong", [{"catch_up": "some"}, {"overlap": "kill"}, {"key": "x"}, {"key_block": "x" * 201}])
def test_what_is_no_rule_is_refused(wrong):
    """An unknown value as well as an unknown name."""
    with pytest.raises(ValidationError):
        Rules.model_validate(wrong)
