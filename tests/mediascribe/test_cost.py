"""Cost tables, worked by hand.

The dataset of most tests: on 23 November two images that cost 336,800 and 163,200 nano-dollars, a sound that failed
without a bill and 40 wasted tokens, and a row that was never asked; on the 24th an image from a model without a price.
"""

from __future__ import annotations

import os
import subprocess
import sys
from datetime import UTC, datetime

import pandas as pd
import pyarrow.parquet as pq
import pytest

from mediascribe.cost import MEASURES, cost_table, cost_total
from mediascribe.domain import Media
from mediascribe.errors import ConfigError, CorruptError
from mediascribe.part import write_part
from mediascribe.store import open_store

pytestmark = pytest.mark.wide

PRINT_DAYS = """
import sys
from mediascribe.cost import cost_table
print(sorted(cost_table([sys.argv[1]], by=["day"])["day"]))
"""
DAY_1, DAY_2 = "20261123T014500Z-3fa9c1", "20261124T014500Z-000000"


@pytest.fixture
def store(tmp_path):
    """An output whose path holds a quote, spaces, and what other programs take for patterns."""
    return open_store(str(tmp_path / "it's [an] *odd* path?"))


@pytest.fixture
def output(store, build, publish):
    """The dataset of the module's docstring."""
    sound = build.item("c", 3, media=(Media(kind="audio", url="https://cdn.example/c.mp3"),))
    records = [
        build.record("a", 1, nano_usd=336_800),
        build.record("b", 2, nano_usd=163_200),
        build.record(item=sound, outcome=build.failure(), wasted_tokens=40),
        build.record(
            item=build.item("d", 4, media=()),
            outcome=build.failure(error_class="row"),
            requested_at=None,
            completed_at=None,
        ),
    ]
    publish(records, run_id=DAY_1)
    later = datetime(2026, 11, 24, 1, 45, tzinfo=UTC)
    publish([build.record("e", 5, completed_at=later)], run_id=DAY_2, model="other")
    return str(store.root)


def rows_of(frame, *names):
    """The values of the columns *names*, row by row, what is unknown as None."""
    chosen = frame[list(names)].astype(object)
    return [tuple(row) for row in chosen.where(chosen.notna(), None).itertuples(index=False)]


class TestTable:
    """`cost_table`."""

    def test_by_model_and_media_kind(self, output):
        """Dearest first, then what has no price by its keys; unknown cost is null, not 0."""
        frame = cost_table([output], by=["model", "media_kind"])
        names = ("model", "media_kind", "rows", "ok", "failed", "skipped", "cost_usd", "unpriced_rows")
        assert rows_of(frame, *names) == [
            ("gemini-2.0-flash", "image", 2, 2, 0, 0, 0.0005, 0),
            ("gemini-2.0-flash", "audio", 1, 0, 1, 0, None, 0),
            ("gemini-2.0-flash", None, 1, 0, 0, 1, None, 0),
            ("other", "image", 1, 1, 0, 0, None, 1),
        ]

    def test_tokens_are_sums_of_whole_numbers(self, output):
        """Three answers of 263 = 5 + 258 and 20 tokens; 40 were wasted; every count is int64."""
        frame = cost_table([output], by=[])
        names = ("prompt_tokens", "prompt_text_tokens", "prompt_image_tokens", "completion_tokens", "wasted_tokens")
        assert rows_of(frame, *names) == [(789, 15, 774, 60, 40)]
        assert {str(frame[name].dtype) for name in MEASURES if "usd" not in name} == {"int64"}

    def test_the_columns_are_the_keys_then_the_measures(self, output):
        """A key that is asked for twice stands once."""
        assert list(cost_table([output], by=["job", "job"])) == ["job", *MEASURES]

    def test_a_thousand_rows_cost_what_the_priced_ones_do(self, output):
        """0.0005 USD over the 4 rows that are not unpriced: 0.125 USD a thousand."""
        assert rows_of(cost_table([output], by=[]), "cost_usd", "usd_per_1000_rows") == [(0.0005, pytest.approx(0.125))]

    def test_by_day_is_the_day_of_the_answer_in_utc(self, output, build, publish):
        """A row without an answer counts on its run's day; an answer after midnight on its own."""
        late = datetime(2026, 11, 25, 0, 0, 1, tzinfo=UTC)
        publish([build.record("f", completed_at=late, nano_usd=1)], run_id=DAY_2, number=1)
        frame = cost_table([output], by=["day"])
        assert rows_of(frame, "day", "rows", "cost_usd") == [
            ("2026-11-23", 4, 0.0005),
            ("2026-11-25", 1, 1e-9),
            ("2026-11-24", 1, None),
        ]

    @pytest.mark.wide
    def test_the_day_does_not_follow_the_machines_time_zone(self, output):
        """The same days come out in New York, where 01:45 UTC is the evening before."""
        command = [sys.executable, "-c", PRINT_DAYS, output]
        there = os.environ | {"TZ": "America/New_York"}
        found = subprocess.run(command, env=there, capture_output=True, text=True, check=True)
        assert found.stdout == "['2026-11-23', '2026-11-24']\n"

    def test_every_row_that_was_paid_counts(self, store, build, publish):
        """An item that was asked in two runs was paid for twice."""
        publish([build.record(nano_usd=10)], run_id=DAY_1)
        publish([build.record(nano_usd=20)], run_id=DAY_2)
        assert rows_of(cost_table([str(store.root)], by=["item_id"]), "item_id", "rows", "cost_usd") == [("a", 2, 3e-8)]

    def test_money_is_summed_without_drift(self, store, build, publish):
        """1,000 rows of 100,000,001 nano-dollars, which no float holds, are exactly 100.000001 USD."""
        publish([build.record(f"i{number}", number, nano_usd=100_000_001) for number in range(1_000)])
        assert cost_table([str(store.root)], by=[])["cost_usd"].item() == 100.000001

    def test_an_answer_without_usage_has_an_unknown_cost(self, store, build, publish):
        """A gateway that reports no tokens has charged for the answer all the same."""
        silent = build.usage(source="missing", raw=None)
        publish([build.record(outcome=build.completion(usage=silent)), build.record("b", outcome=build.failure())])
        assert cost_table([str(store.root)], by=[])["unpriced_rows"].item() == 1

    def test_a_failure_that_reports_tokens_has_an_unknown_cost(self, store, build, publish):
        """A billed failure without a price is unpriced."""
        publish([build.record(outcome=build.failure(usage=build.usage()))])
        assert cost_table([str(store.root)], by=["status"])["unpriced_rows"].item() == 1

    def test_outputs_add_up_and_the_same_one_counts_once(self, output):
        """Two names of one folder are one output."""
        once = cost_table([output], by=[])
        assert cost_table([output, output + "/."], by=[]).equals(once)

    def test_outputs_of_two_jobs_are_one_table(self, output, tmp_path, build):
        """Rows of both are there, by job."""
        other = open_store(str(tmp_path / "other"))
        write_part(other, build.facts(job="second"), build.shard(), [build.record(nano_usd=5)])
        frame = cost_table([output, str(other.root)], by=["job"])
        assert rows_of(frame, "job", "rows") == [("demo", 5), ("second", 1)]

    def test_by_a_carried_column_with_quotes_in_its_name(self, store, build, publish):
        """Any carried name can be a key, and null in the runs that lack it."""
        name = 'a "b" c'
        tagged = build.record(item=build.item("a", carried={name: 7}), nano_usd=1)
        publish([tagged], run_id=DAY_1, carry={name: "int64"})
        publish([build.record("b")], run_id=DAY_2)
        frame = cost_table([str(store.root)], by=[name])
        assert rows_of(frame, name, "rows") == [(7, 1), (None, 1)]
        assert str(frame[name].dtype) == "Int64"

    def test_a_carried_day_is_the_day(self, store, build, publish):
        """The job's own `day` comes before the derived one."""
        publish([build.record(item=build.item(carried={"day": "Monday"}))], carry={"day": "string"})
        assert rows_of(cost_table([str(store.root)], by=["day"]), "day") == [("Monday",)]

    def test_by_a_list_or_a_time(self, store, build, publish):
        """URLs are joined by spaces, times are UTC."""
        media = tuple(Media(kind="image", url=f"https://x.example/{number}") for number in (1, 2))
        publish([build.record(item=build.item(media=media))])
        frame = cost_table([str(store.root)], by=["media_urls", "requested_at"])
        assert rows_of(frame, "media_urls", "requested_at") == [
            ("https://x.example/1 https://x.example/2", pd.Timestamp("2026-11-23T01:45:00Z"))
        ]

    def test_a_dataset_without_rows_has_an_empty_table(self, store):
        """All columns, no rows, whole numbers."""
        store.path("results/v1").mkdir(parents=True)
        for by in (["model", "day"], []):
            frame = cost_table([str(store.root)], by=by)
            assert list(frame) == [*by, *MEASURES]
            assert len(frame) == 0
            assert str(frame["rows"].dtype) == "int64"
            assert cost_total(frame)["cost_usd"] is None

    def test_an_unknown_column_is_refused_with_the_nearest_and_the_list(self, output):
        """The message names what was meant and what there is."""
        with pytest.raises(ConfigError) as refused:
            cost_table([output], by=["modell"])
        message = str(refused.value)
        assert message.startswith("there is no column `modell`; did you mean `model`?; there are: day, item_id, ")
        assert "prompt_tokens" not in message

    def test_a_measure_is_no_key(self, output):
        """A table cannot be by what it sums up."""
        with pytest.raises(ConfigError, match="cannot be by `prompt_tokens`"):
            cost_table([output], by=["prompt_tokens"])

    def test_a_missing_output_is_refused(self, tmp_path):
        """A mistyped output is named."""
        with pytest.raises(ConfigError, match=r"no results in .*nowhere"):
            cost_table([str(tmp_path / "nowhere")], by=[])

    def test_a_damaged_part_is_refused(self, output, store):
        """What DuckDB cannot read is an error of the dataset, with the way to find the part."""
        name = next(store.list("results/"))
        content = bytearray(store.read(name))
        footer = len(content) - 8 - int.from_bytes(content[-8:-4], "little")
        content[4:footer] = bytes(footer - 4)
        store.path(name).write_bytes(content)
        with pytest.raises(CorruptError, match=r"cannot be summed up: .*`verify` names damaged parts"):
            cost_table([output], by=["model"])

    @pytest.mark.wide
    def test_a_torn_part_is_refused(self, output, store):
        """A file that ends too early has no columns to speak of."""
        name = next(store.list("results/"))
        store.path(name).write_bytes(store.read(name)[:-20])
        with pytest.raises(CorruptError, match="`verify` names damaged parts"):
            cost_table([output], by=["model"])

    @pytest.mark.wide
    def test_a_cost_that_no_number_holds_is_refused(self, store, build, publish):
        """A sum beyond 9 billion USD is no sum of ours."""
        publish([build.record(nano_usd=10**30)])
        with pytest.raises(CorruptError, match="cannot be summed up"):
            cost_table([str(store.root)], by=["model"])

    @pytest.mark.wide
    def test_parts_of_an_earlier_schema_count_as_well(self, store, output):
        """A part that lacks a later column, such as flags, has nothing there."""
        name = next(store.list("results/"))
        table = pq.read_table(store.path(name), partitioning=None).drop_columns(["flags", "cache_write_tokens"])
        before = cost_table([output], by=["model"])
        pq.write_table(table, store.path(name))
        assert cost_table([output], by=["model"]).equals(before)


class TestTotal:
    """`cost_total`."""

    def test_the_total_of_a_table_is_that_of_its_rows(self, output):
        """Whatever the table is by, its total is the one-row table."""
        total = cost_total(cost_table([output], by=["model", "media_kind", "day"]))
        assert total == cost_table([output], by=[]).to_dict("records")[0]
        assert list(total) == list(MEASURES)

    def test_a_total_of_unknown_costs_is_unknown(self, store, build, publish):
        """Nothing priced: the total is None, not 0."""
        publish([build.record()])
        total = cost_total(cost_table([str(store.root)], by=["model"]))
        assert (total["rows"], total["cost_usd"], total["usd_per_1000_rows"]) == (1, None, None)
