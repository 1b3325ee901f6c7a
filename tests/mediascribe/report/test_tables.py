"""Cost tables on a terminal and as JSON."""

from __future__ import annotations

import io
import json

import pandas as pd
import pytest
from rich.console import Console

from mediascribe.cost import MEASURES, REPRICED, cost_total
from mediascribe.report.tables import SAME_TOKENS, print_cost, to_json, usd


def cost_frame(*rows, keys=("model",)):
    """A cost table of *rows*, each a mapping of what is not 0."""
    filled = [dict.fromkeys(MEASURES, 0) | row for row in rows]
    frame = pd.DataFrame(filled, columns=[*keys, *MEASURES])
    money = [name for name in frame if "usd" in name]
    return frame.astype(dict.fromkeys(money, "float64"))


GEMINI = {
    "model": "gemini-2.0-flash",
    "rows": 1_234_567,
    "ok": 1_234_000,
    "failed": 567,
    "prompt_tokens": 2_451_849_750,
    "completion_tokens": 102_469_061,
    "cost_usd": 415.8021656,
    "usd_per_1000_rows": 0.3368,
}
OTHER = {"model": "other", "rows": 1, "ok": 1, "cost_usd": None, "usd_per_1000_rows": None, "unpriced_rows": 1}


def printed(frame, width=160):
    """What the terminal shows."""
    console = Console(file=io.StringIO(), width=width)
    print_cost(frame, console)
    return console.file.getvalue()


class TestTerminal:
    """`print_cost`."""

    def test_numbers_have_separators_and_a_total(self):
        """1,234,567 and 1 rows are 1,234,568."""
        shown = printed(cost_frame(GEMINI, OTHER))
        for number in ("1,234,567", "2,451,849,750", "415.8021656", "1,234,568", "0.3368"):
            assert number in shown
        assert next(line for line in shown.splitlines() if "total" in line).split("│")[2].strip() == "1,234,568"

    def test_numbers_stand_on_the_right(self):
        """The last digits of a column are below each other."""
        lines = [line for line in printed(cost_frame(GEMINI, OTHER)).splitlines() if line.startswith("│")]
        cells = [line.split("│")[2] for line in lines]
        assert cells == [" 1,234,567 ", "         1 ", " 1,234,568 "]

    def test_columns_that_are_all_zero_are_left_out(self):
        """Nothing was refused and no sound was heard: neither has a column, and no note says so."""
        shown = printed(cost_frame(GEMINI))
        assert "refused" not in shown
        assert "audio" not in shown
        assert "left out" not in shown

    def test_an_unknown_cost_is_said_to_be_unknown(self):
        """The row says so, and a note below counts it."""
        shown = printed(cost_frame(OTHER))
        assert "unknown" in shown
        assert "0.0000" not in shown
        assert "1 row has no price: " in shown
        assert "see configs/prices.toml" in shown

    def test_several_unknown_costs_are_counted(self):
        """The note has the sum."""
        assert "2 rows have no price: " in printed(cost_frame(OTHER, OTHER))

    @pytest.mark.parametrize("width", [45, 60, 80, 100, 160])
    def test_no_number_is_ever_cut(self, width):
        """On any terminal a number is whole or its column is named as left out; rows and cost always show."""
        shown = printed(cost_frame(GEMINI, OTHER), width)
        assert "…" not in shown
        assert "1,234,568" in shown
        assert "415.8021656" in shown
        for name, number in (("completion_tokens", "102,469,061"), ("prompt_tokens", "2,451,849,750")):
            assert (number in shown) != (name in shown)

    def test_a_long_key_is_folded(self):
        """A key that is longer than its column goes on below."""
        shown = printed(cost_frame(GEMINI | {"model": "m" * 100}), 100)
        assert shown.count("m" * 20) >= 3

    def test_a_key_is_not_taken_for_markup(self):
        """Square brackets in a name are shown; a missing key is blank."""
        shown = printed(cost_frame(GEMINI | {"model": "[bold]x[/bold]"}, GEMINI | {"model": None}))
        assert "[bold]x[/bold]" in shown
        assert "None" not in shown

    def test_a_table_by_nothing_is_its_total(self):
        """Without keys there is still a table."""
        assert "415.8021656" in printed(cost_frame(GEMINI, keys=()))

    def test_no_rows_are_said_to_be_none(self):
        """An empty table is a sentence."""
        assert printed(cost_frame()) == "no rows: there is nothing to count yet\n"

    def test_the_total_of_a_cut_table_is_that_of_the_whole(self):
        """One of two lines is shown, and both are in the total; a note says so."""
        frame = cost_frame(GEMINI, OTHER)
        console = Console(file=io.StringIO(), width=160)
        print_cost(frame.head(1), console, total=cost_total(frame), more=1)
        shown = console.file.getvalue()
        assert "1,234,568" in shown
        assert "1 more line is not shown; the total has all" in shown

    @pytest.mark.parametrize(("rows", "says"), [(1, "1 row has a cost whose share"), (2, "2 rows have a cost whose")])
    def test_rows_that_cannot_be_split_are_counted(self, rows, says):
        """Waste and saving leave them out, and say so."""
        assert says in printed(cost_frame(GEMINI | {"unsplit_rows": rows}))

    def test_what_asking_once_saved_is_told(self):
        """With the columns, and what a thousand rows are."""
        shown = printed(cost_frame(GEMINI | {"shared_rows": 1_234, "shared_saving_usd": 0.41}), width=200)
        assert "│  1,234 │" in shown
        note = shown.strip().splitlines()[-1]
        assert note.startswith("asked once: 1,234 rows have the answer of another, 0.4100 USD saved; usd_per_1000_rows")
        assert note.endswith("is over all rows, these among them")
        assert "shared" not in printed(cost_frame(GEMINI))

    def test_a_repriced_table_says_what_it_assumes(self):
        """The other price, its unknown ones, and that the tokens are taken as they are."""
        frame = cost_frame(GEMINI, OTHER)
        frame[list(REPRICED)] = [[1.5, 0.25, 0], [None, None, 1]]
        shown = printed(frame, 200)
        assert SAME_TOKENS in shown
        assert "1 row has no such price, or no tokens" in shown
        assert "1.5000" in shown
        assert shown.count("unknown") >= 2


class TestMoney:
    """`usd`."""

    @pytest.mark.parametrize(
        ("value", "shown"),
        [
            (0.0003368, "0.0003368"),
            (12.5, "12.5000"),
            (1234567.1, "1,234,567.1000"),
            (0.0, "0.0000"),
            (1e-9, "0.000000001"),
            (3.368e-7, "0.000000337"),
            (0.1234567, "0.1234567"),
            (None, "unknown"),
        ],
    )
    def test_dollars_show_their_decimals(self, value, shown):
        """Between 4 and 7 decimals, more where they would show nothing."""
        assert usd(value) == shown


class TestJson:
    """`to_json`."""

    def test_a_table_is_a_list_of_objects(self):
        """Counts are whole, money is a number, what is unknown is null."""
        first, second = json.loads(to_json(cost_frame(GEMINI, OTHER)))
        assert first == dict.fromkeys(MEASURES, 0) | GEMINI
        assert isinstance(first["rows"], int)
        assert second["cost_usd"] is None

    def test_a_time_is_text(self):
        """Keys of any type can be written."""
        frame = cost_frame(GEMINI | {"model": pd.Timestamp("2026-11-23T01:45:00Z")})
        assert json.loads(to_json(frame))[0]["model"] == "2026-11-23 01:45:00+00:00"

    def test_an_empty_table_is_an_empty_list(self):
        """No rows, no objects."""
        assert json.loads(to_json(cost_frame())) == []
