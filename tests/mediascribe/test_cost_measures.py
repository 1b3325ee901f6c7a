"""Waste, saving, and which rows a cost table is about; worked by hand at 0.10, 0.025 and 0.40 USD per million."""

from __future__ import annotations

from datetime import UTC, date, datetime

import pytest

from mediascribe import cost
from mediascribe.cost import Rows, cost_table, cost_total, ordered
from mediascribe.domain import Cost
from mediascribe.errors import ConfigError
from mediascribe.part import write_part
from mediascribe.store import open_store

pytestmark = pytest.mark.wide

GOOGLE = "2025-02-05 google"
KEPT = 263 * 100 + 20 * 400  # the nano-dollars of the plain answer: 34,300


def paid(build, nano_usd, version=GOOGLE, **changes):
    """A row that cost *nano_usd* at the price *version*."""
    return build.record(**{"cost": Cost(nano_usd=nano_usd, price_version=version)} | changes)


def only(store, **asked):
    """The one line of a table by nothing, as a mapping."""
    return cost_table([str(store.root)], by=[], **asked).to_dict("records")[0]


class TestWaste:
    """`wasted_usd`."""

    def test_failed_and_truncated_rows_are_waste(self, store, build, publish):
        """What they cost bought nothing: 10 + 7; an answered and a refused row are none."""
        cut = build.completion(status="truncated")
        refused = build.completion(status="refused")
        publish(
            [
                paid(build, 10, item=build.item("a"), outcome=cut),
                paid(build, 7, item=build.item("b"), outcome=build.failure(usage=build.usage()), wasted_tokens=9),
                paid(build, 5, item=build.item("c"), outcome=refused),
                paid(build, 3, item=build.item("d")),
            ]
        )
        found = only(store)
        assert (found["cost_usd"], found["wasted_usd"], found["unsplit_rows"]) == (25e-9, 17e-9, 0)

    def test_attempts_that_were_not_kept_are_waste(self, store, build, publish):
        """The row paid 50,000, the kept answer is 34,300 of that: 15,700 went for the other attempt."""
        publish([paid(build, 50_000, wasted_tokens=100, attempts=2)])
        assert only(store)["wasted_usd"] == (50_000 - KEPT) / 1e9

    @pytest.mark.parametrize(
        "changes", [{"version": "2024-01-01 forgotten"}, {"flags": ("fallback",)}], ids=["no such price", "fallback"]
    )
    def test_where_the_price_is_not_known_the_share_is_not_either(self, store, build, publish, changes):
        """The row is counted as unsplit, and in no sum of waste; its cost stands."""
        outcome = build.completion(flags=changes.pop("flags", ()))
        publish([paid(build, 50_000, outcome=outcome, wasted_tokens=100, **changes)])
        found = only(store)
        assert (found["cost_usd"], found["wasted_usd"], found["unsplit_rows"]) == (50_000e-9, 0.0, 1)

    def test_a_row_without_a_cost_has_no_waste_either(self, store, build, publish):
        """Unknown, not 0."""
        publish([build.record(wasted_tokens=100)])
        found = cost_total(cost_table([str(store.root)], by=["model"]))
        assert (found["wasted_usd"], found["cached_saving_usd"], found["unsplit_rows"]) == (None, None, 0)


class TestSaving:
    """`cached_saving_usd`."""

    def test_cached_tokens_save_what_they_would_have_cost_in_full(self, store, build, publish):
        """200 tokens at 0.025 in place of 0.10: 15,000 nano-dollars."""
        usage = build.usage(cached_tokens=200)
        publish([paid(build, 63 * 100 + 200 * 25 + 20 * 400, outcome=build.completion(usage=usage))])
        found = only(store)
        assert (found["cached_saving_usd"], found["cached_tokens"], found["unsplit_rows"]) == (15_000e-9, 200, 0)

    def test_nothing_cached_saves_nothing(self, store, build, publish):
        """0, since it is known."""
        publish([paid(build, KEPT)])
        assert only(store)["cached_saving_usd"] == 0

    def test_a_saving_at_an_unknown_price_is_unsplit(self, store, build, publish):
        """No saving is claimed for it."""
        usage = build.usage(cached_tokens=200)
        publish([paid(build, 9, "2024-01-01 forgotten", outcome=build.completion(usage=usage))])
        found = only(store)
        assert (found["cached_saving_usd"], found["unsplit_rows"]) == (0, 1)


@pytest.fixture
def days(store, build, publish):
    """A run of the 22nd that goes on into the 24th, and one of the 24th; a row each day, and one without an answer."""
    first, second = "20261122T230000Z-000000", "20261124T010000Z-000000"
    publish(
        [
            build.record("a", 1, nano_usd=1, completed_at=datetime(2026, 11, 22, 23, 30, tzinfo=UTC)),
            build.record("b", 2, nano_usd=2, completed_at=datetime(2026, 11, 23, 0, 0, tzinfo=UTC)),
            build.record("c", 3, nano_usd=4, completed_at=datetime(2026, 11, 24, 0, 0, tzinfo=UTC)),
            build.record("d", 4, outcome=build.failure(), requested_at=None, completed_at=None),
        ],
        run_id=first,
    )
    publish([build.record("e", 1, nano_usd=8, completed_at=datetime(2026, 11, 24, 2, tzinfo=UTC))], run_id=second)
    return store


class TestRows:
    """`Rows`."""

    @pytest.mark.parametrize(
        ("since", "until", "ids"),
        [
            (None, None, "abcde"),
            (22, 22, "ad"),
            (23, None, "bce"),
            (23, 23, "b"),
            (None, 23, "abd"),
            (24, 24, "ce"),
            (25, None, ""),
            (None, 21, ""),
        ],
    )
    def test_days_are_those_of_the_answer_both_included(self, days, since, until, ids):
        """A row without an answer belongs to the day of its run; no day before or after counts."""
        rows = Rows(since=since and date(2026, 11, since), until=until and date(2026, 11, until))
        assert "".join(sorted(cost_table([str(days.root)], by=["item_id"], rows=rows)["item_id"])) == ids

    @pytest.mark.parametrize(
        ("where", "ids"),
        [
            ("status = 'failed'", "d"),
            ("cost_usd * 1e9 > 1 and not (item_id in ('c', 'e'))", "b"),
            ("day = '2026-11-24' or DAY is null", "ce"),
            ("item_id like 'a%' -- a comment", "a"),
            ("case when attempts = 1 then lower(item_id) end between 'a' and 'b'", "ab"),
            ("list_contains(media_urls, 'https://cdn.example/e.jpg')", "e"),
            ("coalesce(completed_at::date, date '2020-01-01') < '2026-11-23'", "ad"),
        ],
    )
    def test_a_condition_chooses_rows(self, days, where, ids):
        """Any expression over columns and `day`."""
        frame = cost_table([str(days.root)], by=["item_id"], rows=Rows(where=where))
        assert "".join(sorted(frame["item_id"])) == ids

    @pytest.mark.parametrize(
        ("where", "says"),
        [
            ("item_id in (select item_id from all_rows)", "no subquery"),
            ("exists (from read_text('/etc/hostname'))", "no subquery"),
            ("true) union all select * from (select 1", "write one condition"),
            ("true) limit (1", "write one condition"),
            ("true; drop view all_rows", "write one condition"),
            ("true) or (row_number() over () = 1", "no window"),
            ("sum(attempts) > 1", r"the function sum\(\) is not for conditions"),
            ("current_setting('threads') = 2", r"current_setting\(\)"),
            ("attempts > $1", "no parameter"),
            ("len(list_filter(flags, lambda x: true)) = 0", "no lambda"),
            ("statuss = 'ok'", "there is no column `statuss`; did you mean `status`"),
            ("main.status = 'ok'", "there is no column `main.status`"),
            ("status > ", "syntax error"),
            ("", "write one condition"),
            ("attempts = 'two'", "where `attempts = 'two'`"),
            ("item_id::int = 1", "where `item_id::int = 1`"),
            ("status || 1 + 1", "where `status"),
            ("sqrt(media_urls) > 1", "where `sqrt"),
        ],
    )
    def test_what_is_no_condition_over_columns_is_refused(self, days, where, says):
        """No subquery, no other file, no second statement; what it says is quoted with the reason."""
        with pytest.raises(ConfigError, match=says):
            cost_table([str(days.root)], by=[], rows=Rows(where=where))


class TestFace:
    """`mediascribe.cost.table`, `ordered`."""

    def test_a_table_is_by_model_unless_said(self, days):
        """One output or several, as a text or a path."""
        one = cost.table(days.root)
        assert list(one["model"]) == ["gemini-2.0-flash"]
        assert cost.table([str(days.root), days.root], by=["model"]).equals(one)
        assert cost.table(str(days.root), rows=Rows(where="item_id = 'e'"))["cost_usd"].item() == 8e-9

    def test_a_table_can_be_sorted_and_cut(self, days):
        """Numbers largest first, words in their order; the first lines only."""
        frame = cost_table([str(days.root)], by=["item_id"])
        assert list(ordered(frame, None, 2)["item_id"]) == ["e", "c"]
        assert list(ordered(frame, "item_id", None)["item_id"]) == list("abcde")
        assert list(ordered(frame, "failed", 1)["item_id"]) == ["d"]
        with pytest.raises(ConfigError, match="did you mean `rows`"):
            ordered(frame, "row", None)

    def test_a_table_of_a_bucket_is_that_of_a_folder(self, days, build):
        """Parts that DuckDB cannot reach by itself are read for it."""
        bucket = open_store("memory://cost/table")
        other = open_store("memory://cost/other")
        facts = build.facts(carry={"place": "string"}, run_id="20261125T010000Z-000000")
        record = build.record(item=build.item(carried={"place": "here"}), nano_usd=16)
        write_part(bucket, facts, build.shard("20261125T010000Z-000000"), [record])
        write_part(other, facts, build.shard("20261125T010000Z-000000"), [record])
        frame = cost_table([str(days.root), bucket, other], by=["place"])
        assert next((row.place, row.rows, row.cost_usd) for row in frame.itertuples()) == ("here", 2, 32e-9)
        assert cost_table([bucket], by=["description"])["description"].item() == "A red square."
