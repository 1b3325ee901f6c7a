"""The money side of a page: `mediascribe.cost` in the shape that the page reads."""

from __future__ import annotations

from datetime import date

import pytest
import report_rows as rows

from mediascribe.dataset import write_run
from mediascribe.domain import Item
from mediascribe.plan import Due
from mediascribe.report.page.money import money
from mediascribe.report.page.scope import Scope
from mediascribe.sharing import shared

pytestmark = pytest.mark.wide  # many questions to DuckDB

FIRST, THIRD, TODAY = date(2026, 11, 1), date(2026, 11, 3), date(2026, 11, 4)


@pytest.fixture
def spent(store):
    """0.3 USD by one model on the 1st; 0.5 USD by another on the 3rd, of which a row has no price."""
    rows.write(store, FIRST, [rows.row(name, FIRST, nano_usd=150_000_000) for name in "ab"], model="one")
    later = [rows.row("c", THIRD, nano_usd=500_000_000), rows.row("d", THIRD, nano_usd=None)]
    rows.write(store, THIRD, later, model="two")
    return store


class TestMoney:
    """`money`."""

    def test_totals_are_those_of_the_cost_table(self, spent):
        """0.3 and 0.5 USD are 0.8, of four rows, one of them without a price: 0.8 / 3 x 1,000 per thousand."""
        total = money(spent, Scope(), TODAY)["total"]
        assert (total["rows"], total["cost_usd"], total["unpriced_rows"]) == (4, 0.8, 1)
        assert round(total["usd_per_1000_rows"], 6) == 266.666667

    def test_groups_are_dearest_first(self, spent):
        """The model of 0.5 USD stands before that of 0.3."""
        found = money(spent, Scope(), TODAY)["by"]["model"]
        assert [(line["name"], line["cost_usd"]) for line in found] == [("two", 0.5), ("one", 0.3)]

    def test_a_day_without_rows_is_in_the_trend(self, spent):
        """The 2nd stands between the 1st and the 3rd, with nothing known."""
        found = money(spent, Scope(), TODAY)
        assert found["days"] == ["2026-11-01", "2026-11-02", "2026-11-03"]
        assert [(line["name"], line["cost_usd"]) for line in found["trend"]["model"]] == [
            ("two", [None, None, 0.5]),
            ("one", [0.3, None, None]),
        ]

    def test_more_models_than_colours_stand_together(self, store):
        """Of nine models six have a series of their own, and three share one."""
        for number in range(9):
            record = rows.row("a", FIRST, nano_usd=(9 - number) * 1_000_000_000)
            rows.write(store, FIRST, [record], number=number, model=f"m{number}")
        found = money(store, Scope(), TODAY)["trend"]["model"]
        assert [line["name"] for line in found] == ["m0", "m1", "m2", "m3", "m4", "m5", "3 others"]
        assert found[-1]["cost_usd"] == [6.0]

    def test_rows_without_media_are_a_kind_of_their_own(self, store):
        """Unknown is shown in words, not left out."""
        rows.write(store, FIRST, [rows.row("a", FIRST, item=Item(item_id="a", row_number=1))])
        assert [line["name"] for line in money(store, Scope(), TODAY)["by"]["media_kind"]] == ["no media"]

    def test_a_month_has_its_forecast(self, spent):
        """0.8 USD in the three whole days since the 1st are 0.8 / 3 a day, for the 4th and the 26 days after it."""
        found = money(spent, Scope(), TODAY)["forecast"]
        assert (found["month"], found["so_far_usd"], found["over_days"]) == ("November 2026", 0.8, 3)
        assert round(found["end_usd"], 6) == round(0.8 + 0.8 / 3 * 27, 6)
        assert found["spent_usd"][:5] == [0.3, 0, 0.5, 0, None]
        assert len(found["days"]) == 30
        assert not found["is_over"]

    def test_a_run_has_no_forecast(self, spent):
        """One run says nothing about a month; its figures are its own."""
        found = money(spent, Scope(run=rows.run_id(FIRST)), TODAY)
        assert (found["forecast"], found["total"]["cost_usd"]) == (None, 0.3)

    def test_a_month_leaves_other_months_out(self, spent):
        """October has nothing, and says so."""
        found = money(spent, Scope(month=date(2026, 10, 1)), TODAY)
        assert (found["total"]["rows"], found["days"], found["by"]["model"]) == (0, [], [])
        assert found["forecast"]["is_over"]

    def test_requests_in_doubt_are_those_of_the_run_files(self, spent):
        """Three in one run and two in another are five; those of one run are its own; an old file does not say."""
        write_run(spent, "r1", {"run_id": "r1", "in_doubt": 3})
        write_run(spent, "r2", {"run_id": "r2", "in_doubt": 2})
        write_run(spent, "r3", {"run_id": "r3"})
        assert money(spent, Scope(), TODAY)["in_doubt"] == 5
        assert money(spent, Scope(run="r2"), TODAY)["in_doubt"] == 2

    @pytest.mark.parametrize(("kind", "value"), [("string", "Monday"), ("string", "2020-02-02"), ("int64", 3)])
    def test_a_carried_day_leaves_the_trend_alone(self, store, kind, value):
        """A job's own column `day` is no day of an answer, whatever is in it."""
        record = rows.row("a", FIRST, item=Item(item_id="a", row_number=1, carried={"day": value}), nano_usd=10**9)
        rows.write(store, FIRST, [record], carry={"day": kind})
        found = money(store, Scope(), TODAY)
        assert (found["days"], found["trend"]["model"][0]["cost_usd"]) == (["2026-11-01"], [1.0])
        assert found["forecast"]["so_far_usd"] == 1.0

    def test_a_day_carried_once_leaves_the_trend_alone(self, store):
        """Where only older parts carry such a column, as well."""
        record = rows.row("a", FIRST, item=Item(item_id="a", row_number=1, carried={"day": "Monday"}))
        rows.write(store, FIRST, [record], carry={"day": "string"})
        rows.write(store, THIRD, [rows.row("b", THIRD)])
        assert money(store, Scope(), TODAY)["days"] == ["2026-11-01", "2026-11-02", "2026-11-03"]

    def test_what_asking_once_saved_is_in_the_total(self, store):
        """One answer of 0.1 USD serves two rows more."""
        paid = rows.row("a", FIRST, nano_usd=100_000_000)
        others = [shared(paid, Due(item=Item(item_id=name, row_number=2), reason="new")) for name in "bc"]
        rows.write(store, FIRST, [paid, *others])
        total = money(store, Scope(), TODAY)["total"]
        assert (total["cost_usd"], total["shared_rows"], total["shared_saving_usd"]) == (0.1, 2, 0.2)

    def test_a_dear_row_is_an_outlier(self, store):
        """Nineteen rows of 0.1 USD and one of 9 USD: that one is named, with what is usual."""
        plain = [rows.row(f"i{number:02}", FIRST, nano_usd=100_000_000) for number in range(19)]
        rows.write(store, FIRST, [*plain, rows.row("dear", FIRST, nano_usd=9_000_000_000)])
        found = money(store, Scope(), TODAY)["outliers"]
        assert [(line["name"], line["cost_usd"], line["median_usd"]) for line in found if line["outlier"] == "row"] == [
            ("dear", 9.0, 0.1)
        ]

    def test_days_far_apart_are_not_filled(self, store):
        """A thousand and more days between two runs are left out."""
        for day in (date(2020, 1, 1), FIRST):
            rows.write(store, day, [rows.row("a", day)])
        assert money(store, Scope(), TODAY)["days"] == ["2020-01-01", "2026-11-01"]
