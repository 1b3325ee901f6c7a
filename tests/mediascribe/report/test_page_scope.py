"""Which results a page is about."""

from __future__ import annotations

from datetime import date

import pytest
import report_rows as rows

from mediascribe.dataset import write_run
from mediascribe.errors import ConfigError
from mediascribe.report.page.scope import Scope, first_day, month_of, run_named

TODAY = date(2026, 1, 31)


class TestMonth:
    """`month_of`."""

    @pytest.mark.parametrize(
        ("said", "first"),
        [("2026-10", date(2026, 10, 1)), ("this", date(2026, 1, 1)), ("last", date(2025, 12, 1))],
    )
    def test_months_that_a_person_writes(self, said, first):
        """A year and a month, or this or the last one, as today has it."""
        assert month_of(said, TODAY) == first

    @pytest.mark.parametrize("said", ["2026-13", "2026-1", "october", "2026-10-01", ""])
    def test_what_is_no_month_is_refused(self, said):
        """The message says how to write one."""
        with pytest.raises(ConfigError, match="such as 2026-10"):
            month_of(said, TODAY)


class TestRun:
    """`run_named`."""

    @pytest.fixture
    def runs(self, store):
        """Three runs: two of one day, and one without a result."""
        for number in (1, 2):
            rows.write(store, date(2026, 11, 3), [rows.row("a", date(2026, 11, 3))], number=number)
        write_run(store, rows.run_id(date(2026, 11, 9)), {})
        return store

    @pytest.mark.parametrize("said", ["20261103T020000Z-000002", "20261103T020000Z-000002a1b2"])
    def test_the_beginning_of_an_id_will_do(self, runs, said):
        """The whole id, or the beginning of it, names the run."""
        assert run_named(runs, said) == rows.run_id(date(2026, 11, 3), 2)

    def test_a_run_without_results_is_a_run(self, runs):
        """Its run file says that it was."""
        assert run_named(runs, "20261109") == rows.run_id(date(2026, 11, 9))

    def test_a_beginning_of_two_is_refused(self, runs):
        """The message names both."""
        with pytest.raises(ConfigError, match=r"000001a1b2 or .*000002a1b2"):
            run_named(runs, "20261103")

    def test_a_slip_is_answered_with_the_nearest(self, runs):
        """One wrong digit does not hide what was meant."""
        with pytest.raises(ConfigError, match="did you mean 20261109T020000Z-000000a1b2"):
            run_named(runs, "20261109T020000Z-000000a1b3")

    def test_a_stranger_is_answered_with_the_latest(self, runs):
        """Where nothing is near, the latest run is named."""
        with pytest.raises(ConfigError, match="the latest is 20261109"):
            run_named(runs, "x")

    def test_no_runs_at_all(self, store):
        """A fresh output has none to name."""
        with pytest.raises(ConfigError, match="there are no runs yet"):
            run_named(store, "x")


class TestScope:
    """`Scope`."""

    def test_its_name_says_what_is_meant(self):
        """Run, month, both or all."""
        october = date(2026, 10, 1)
        scopes = [Scope(), Scope(run="r1"), Scope(month=october), Scope(run="r1", month=october)]
        assert [scope.name for scope in scopes] == ["all results", "run r1", "October 2026", "run r1, October 2026"]

    def test_a_run_is_quoted_in_its_condition(self):
        """A quote in a run's name ends no text of SQL."""
        assert Scope(run="r' or 'a").rows.where == "run_id = 'r'' or ''a'"

    def test_a_month_is_its_days(self):
        """October has 31 days, the first and the last included."""
        october = Scope(month=date(2026, 10, 1))
        assert (october.rows.since, october.rows.until) == (date(2026, 10, 1), date(2026, 10, 31))
        days = [date(2026, 9, 30), date(2026, 10, 1), date(2026, 10, 31), date(2026, 11, 1)]
        assert [october.has_day(day) for day in days] == [False, True, True, False]


def test_the_first_day_is_that_of_the_first_run(store):
    """Parts lie by the day of their run; without parts there is none."""
    assert first_day(store) is None
    for day in (date(2026, 11, 9), date(2026, 10, 3)):
        rows.write(store, day, [rows.row("a", day)])
    assert first_day(store) == date(2026, 10, 3)
