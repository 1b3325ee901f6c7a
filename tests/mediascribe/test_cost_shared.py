"""Rows that have the answer of another: what they saved, and that no figure takes them for rows that were paid.

Worked by hand: the plain answer is 263 tokens in and 20 out, and costs 34,300 nano-dollars.
"""

from __future__ import annotations

import dataclasses

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from mediascribe import plan, pricing, run
from mediascribe.columns import SCHEMA
from mediascribe.cost import Reprice, compare, cost_table, cost_total, outliers
from mediascribe.cost.reconciliation import ours
from mediascribe.cost.reconciliation.workspace import workspace
from mediascribe.cost.rows import ALL
from mediascribe.cost.source import opened
from mediascribe.domain import Cost
from mediascribe.landing import Landing
from mediascribe.plan import Due
from mediascribe.sharing import shared

pytestmark = pytest.mark.wide

GOOGLE = "2025-02-05 google"
KEPT = 263 * 100 + 20 * 400


def paid(build, nano_usd=KEPT, **changes):
    """The row `a`, which was asked."""
    cost = None if nano_usd is None else Cost(nano_usd=nano_usd, price_version=GOOGLE)
    return build.record("a", cost=cost, **changes)


def sharing(build, record, count):
    """*record*, and *count* rows that have its answer."""
    dues = [Due(item=build.item(f"s{number}", number), reason="new") for number in range(2, count + 2)]
    return [record, *(shared(record, due) for due in dues)]


def only(store, **asked):
    """The one line of a table by nothing, as a mapping; what is unknown is None."""
    frame = cost_table([str(store.root)], by=[], **asked)
    return frame.astype(object).where(frame.notna(), None).to_dict("records")[0]


class TestTable:
    """`cost_table`."""

    def test_each_shared_row_saves_what_the_answer_cost(self, store, build, publish):
        """Three rows with one answer cost it once, and save it twice; a thousand rows cost a third of it each."""
        publish(sharing(build, paid(build), 2))
        found = only(store)
        assert (found["rows"], found["shared_rows"], found["unpriced_rows"]) == (3, 2, 0)
        assert (found["cost_usd"], found["shared_saving_usd"]) == (KEPT / 1e9, 2 * KEPT / 1e9)
        assert found["usd_per_1000_rows"] == pytest.approx(KEPT / 1e9 / 3 * 1000)
        assert (found["prompt_tokens"], found["wasted_usd"], found["cached_saving_usd"]) == (263, 0, 0)

    def test_where_all_were_asked_nothing_was_saved(self, store, build, publish):
        """0 rows and 0 USD, both known, even where there is no price."""
        publish([paid(build, None)])
        found = only(store)
        assert (found["shared_rows"], found["shared_saving_usd"], found["cost_usd"]) == (0, 0, None)

    def test_without_a_price_the_saving_is_unknown(self, store, build, publish):
        """An answer without a price makes all rows that have it unpriced; what they saved is not 0."""
        publish(sharing(build, paid(build, None), 2))
        found = only(store)
        assert (found["shared_rows"], found["shared_saving_usd"], found["unpriced_rows"]) == (2, None, 3)
        assert cost_total(cost_table([str(store.root)], by=["model"]))["shared_saving_usd"] is None

    def test_a_shared_failure_that_was_not_billed_is_not_unpriced(self, store, build, publish):
        """A dead URL that stands three times costs nothing three times."""
        publish(sharing(build, build.record("a", outcome=build.failure()), 2))
        found = only(store)
        assert (found["failed"], found["shared_rows"], found["unpriced_rows"]) == (3, 2, 0)
        assert (found["cost_usd"], found["shared_saving_usd"]) == (None, None)

    def test_the_sums_of_lines_add_up(self, store, build, publish):
        """By item: the total saves what its lines do."""
        publish(sharing(build, paid(build), 3))
        frame = cost_table([str(store.root)], by=["item_id"])
        total = cost_total(frame)
        assert (total["shared_rows"], total["shared_saving_usd"]) == (3, 3 * KEPT / 1e9)
        assert sorted(frame["shared_saving_usd"]) == [0.0, KEPT / 1e9, KEPT / 1e9, KEPT / 1e9]

    def test_parts_of_older_versions_have_no_shared_rows(self, store, build, publish):
        """They lack the columns: every row of theirs was asked."""
        path = store.path(publish([paid(build)]))
        table = pq.read_table(path, partitioning=None).drop_columns(["answered_by", "saved_usd"])
        pq.write_table(table, path)
        found = only(store)
        assert (found["rows"], found["shared_rows"], found["shared_saving_usd"]) == (1, 0, 0)

    def test_shared_rows_cost_nothing_at_other_prices_either(self, store, build, publish):
        """263 and 20 tokens at 0.30 and 2.50 USD per million are 128,900 nano-dollars, once."""
        publish(sharing(build, paid(build), 2))
        book = pricing.of_record()
        found = only(store, reprice=Reprice(book=book, model="gemini-2.5-flash"))
        assert found["repriced_usd"] == (263 * 300 + 20 * 2500) / 1e9
        assert found["change_usd"] == (263 * 300 + 20 * 2500 - KEPT) / 1e9
        assert found["unrepriced_rows"] == 0

    def test_without_another_price_shared_rows_lack_none(self, store, build, publish):
        """Of three rows of a model that nobody prices one would have to be paid."""
        publish(sharing(build, paid(build), 2), model="nobody's")
        assert only(store, reprice=Reprice(book=pricing.of_record()))["unrepriced_rows"] == 1


class TestOthers:
    """What else is made of the rows."""

    def test_shared_rows_do_not_make_paid_ones_outliers(self, store, build, publish):
        """Six rows at the usual cost and twenty that were not asked: nothing is dear."""
        asked = [dataclasses.replace(paid(build), item=build.item(f"i{number}", number)) for number in range(6)]
        publish([*asked, *sharing(build, paid(build), 20)])
        assert outliers([str(store.root)]).empty

    def test_a_comparison_tells_what_asking_once_saved(self, store, build, publish):
        """The first run asked about both rows, the second about one."""
        again = [paid(build), dataclasses.replace(paid(build), item=build.item("s2", 2))]
        publish(again, run_id="20261122T010000Z-aaaaaa")
        publish(sharing(build, paid(build), 1), run_id="20261123T010000Z-bbbbbb")
        frame = compare([str(store.root)], "20261122", "20261123").set_index("measure")
        assert list(frame.loc["shared_rows", ["first", "second", "second_common"]]) == [0, 1, 1]
        assert list(frame.loc["shared_saving_usd", ["first", "second", "change"]]) == [0, KEPT / 1e9, KEPT / 1e9]
        assert frame.loc["cost_usd", "change"] == -KEPT / 1e9
        assert frame.loc["unpriced_rows", "second"] == 0

    @pytest.mark.parametrize("attempts", [0, 1])
    def test_a_bill_is_not_searched_for_shared_rows(self, store, build, publish, attempts):
        """No request of theirs exists, whatever they say of attempts."""
        first, *others = sharing(build, paid(build), 2)
        publish([first, *(dataclasses.replace(other, attempts=attempts) for other in others)])
        with workspace() as (db, _), opened([str(store.root)], ALL) as source:
            ours.load(db, source, pricing.of_record())
            assert db.execute("select item_id, expected from ours").fetchall() == [("a", True)]


class TestTally:
    """`run.close`: what the run file says was written."""

    @pytest.fixture
    def closed(self, store, build):
        """Close a run that wrote *records*."""

        def close(records):
            facts = build.facts()
            made = plan.Plan(
                facts=facts,
                config_sha256="",
                reasons=("new",),
                counts={"new": len(records)},
                rows=len(records),
                shard_rows=len(records),
                path=str(store.work / "none.parquet"),
            )
            return run.close(made, [], Landing(store=store, prices=pricing.of_record())).wrote

        return close

    def test_the_run_file_says_what_was_saved(self, build, publish, closed):
        """Two rows have the answer of a third: they are counted, and what it cost is saved twice."""
        records = sharing(build, paid(build), 2)
        publish(records)
        wrote = closed(records)
        assert (wrote.rows, wrote.shared_rows, wrote.shared_saving_usd) == (3, 2, 2 * KEPT / 1e9)
        assert (wrote.cost_usd, wrote.unpriced_rows) == (KEPT / 1e9, 0)

    def test_without_a_price_no_saving_is_claimed(self, build, publish, closed):
        """The answer and the rows that have it are unpriced."""
        records = sharing(build, paid(build, None), 2)
        publish(records)
        wrote = closed(records)
        assert (wrote.shared_rows, wrote.shared_saving_usd, wrote.unpriced_rows) == (2, None, 3)

    def test_a_shared_failure_leaves_the_cost_known(self, build, publish, closed):
        """Nothing was billed for it."""
        failed = sharing(build, build.record("a", outcome=build.failure()), 2)
        records = [*failed, dataclasses.replace(paid(build), item=build.item("b", 9))]
        publish(records)
        wrote = closed(records)
        assert (wrote.cost_usd, wrote.unpriced_rows, wrote.shared_rows) == (KEPT / 1e9, 0, 2)

    def test_a_part_of_an_older_version_is_counted_as_well(self, store, build, publish, closed):
        """A run that an older version began has parts without the columns."""
        records = [paid(build)]
        path = store.path(publish(records))
        table = pq.read_table(path, partitioning=None)
        older = pa.schema([field for field in SCHEMA if field.name not in {"answered_by", "saved_usd"}])
        pq.write_table(table.select(older.names), path)
        wrote = closed(records)
        assert (wrote.rows, wrote.shared_rows, wrote.shared_saving_usd) == (1, 0, None)
