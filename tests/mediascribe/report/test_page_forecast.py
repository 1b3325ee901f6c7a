"""The forecast of a month's end."""

from __future__ import annotations

from datetime import date, timedelta

from hypothesis import given
from hypothesis import strategies as st

from mediascribe.report.page.forecast import forecast
from mediascribe.report.page.scope import month_end

NOVEMBER = date(2026, 11, 1)


def day(number):
    return date(2026, 11, number)


class TestForecast:
    """`forecast`."""

    def test_days_left_cost_the_mean_of_seven(self):
        """7 USD in the 7 days before the 21st are 1 a day: 7 so far, 1 for the 21st and 9 for the 22nd to the 30th."""
        spent = {day(number): 1.0 for number in range(14, 21)}
        found = forecast(spent, NOVEMBER, day(21), begun=day(14))
        assert (found.so_far_usd, found.mean_usd, found.over_days, found.end_usd) == (7.0, 1.0, 7, 17.0)

    def test_today_counts_once(self):
        """0.4 USD spent today are part of the 1 USD that a day costs; 3 USD are all that today will cost."""
        spent = {day(number): 1.0 for number in range(14, 21)}
        assert forecast(spent | {day(21): 0.4}, NOVEMBER, day(21), begun=day(1)).end_usd == 17.0
        assert forecast(spent | {day(21): 3.0}, NOVEMBER, day(21), begun=day(1)).end_usd == 19.0

    def test_idle_days_are_days(self):
        """One day of 7 USD in a week is 1 USD a day."""
        assert forecast({day(15): 7.0}, NOVEMBER, day(21), begun=day(1)).mean_usd == 1.0

    def test_a_young_output_has_fewer_days(self):
        """2 USD on each of the two days since it began are 2 a day, not 4 / 7."""
        found = forecast({day(1): 2.0, day(2): 2.0}, NOVEMBER, day(3), begun=day(1))
        assert (found.mean_usd, found.over_days) == (2.0, 2)

    def test_the_first_day_has_no_forecast(self):
        """With no whole day to go by, nothing is said about the end."""
        found = forecast({day(3): 2.0}, NOVEMBER, day(3), begun=day(3))
        assert (found.so_far_usd, found.mean_usd, found.end_usd) == (2.0, None, None)

    def test_the_mean_reaches_into_the_month_before(self):
        """On the 2nd, the latest seven days are the 26th of October to the 1st."""
        spent = {date(2026, 10, 26) + timedelta(days=number): 0.7 for number in range(7)}
        found = forecast(spent, NOVEMBER, day(2), begun=date(2026, 1, 1))
        assert found.so_far_usd == 0.7
        assert round(found.mean_usd, 9) == 0.7

    def test_a_month_that_is_over_is_what_it_cost(self):
        """October's end is its sum, in November."""
        found = forecast({date(2026, 10, 3): 2.0, day(1): 9.0}, date(2026, 10, 1), day(2), begun=date(2026, 10, 3))
        assert (found.so_far_usd, found.end_usd, found.mean_usd) == (2.0, 2.0, None)

    def test_a_month_to_come_is_unknown(self):
        """Nothing is said about December in November."""
        found = forecast({day(1): 9.0}, date(2026, 12, 1), day(2), begun=day(1))
        assert (found.so_far_usd, found.end_usd) == (0, None)

    @given(
        spent=st.dictionaries(st.dates(date(2026, 10, 1), date(2026, 11, 30)), st.floats(0, 1e6), max_size=20),
        today=st.dates(NOVEMBER, date(2026, 11, 30)),
    )
    def test_the_end_is_never_below_what_was_spent(self, spent, today):
        """A forecast adds to what was spent."""
        found = forecast(spent, NOVEMBER, today, begun=date(2026, 10, 1))
        assert found.end_usd >= found.so_far_usd


def test_a_month_ends_on_its_last_day():
    """February of a leap year has 29 days."""
    assert month_end(date(2028, 2, 1)) == date(2028, 2, 29)
