"""What the current result of an item is, to every reader: its latest answer, else its latest row."""

import itertools

import duckdb
import pandas as pd
import pytest

from mediascribe import plan
from mediascribe.dataset import ANSWERED, current, latest
from mediascribe.domain import REASONS, STATUSES

pytestmark = pytest.mark.wide

RUNS = tuple(f"2026110{day}T000000Z-aaaaaa" for day in (1, 2, 3))
NOW = "20261104T000000Z-aaaaaa"
README_SQL = """
select * from read_parquet('{}/**/*.parquet', union_by_name = true)
qualify row_number() over (partition by item_id order by status in ('ok', 'truncated', 'refused') desc, run_id desc) = 1
"""


def outcome(build, status):
    if status in ANSWERED:
        return build.completion(status=status)
    return build.failure(error_class="row" if status == "skipped" else "media")


@pytest.fixture
def history(build, publish):
    """`history("ok", "failed")`: an item with these results, oldest first; each was asked with a prompt of its own."""

    def _history(*statuses):
        for run_id, status in zip(RUNS, statuses, strict=False):
            publish([build.record(outcome=outcome(build, status))], run_id=run_id, prompt_sha256=run_id)

    return _history


@pytest.mark.parametrize(
    ("statuses", "run"),
    [
        (("ok", "failed"), 0),
        (("ok", "skipped"), 0),
        (("refused", "failed", "skipped"), 0),
        (("truncated", "failed", "ok"), 2),
        (("ok", "refused", "failed"), 1),
        (("failed", "ok"), 1),
        (("failed", "skipped"), 1),
        (("skipped", "failed"), 1),
    ],
)
def test_the_latest_answer_is_current_and_a_failure_only_without_one(store, history, statuses, run):
    """A failed backfill never hides a good old answer; of answers the latest counts, as of failures."""
    history(*statuses)
    assert current(store)["run_id"].to_pylist() == [RUNS[run]]
    assert [row["run_id"] for row in latest(store, 5)] == [RUNS[run]]


@pytest.mark.parametrize("status", STATUSES)
def test_the_newest_rows_with_a_status_are_current_ones(store, build, publish, status):
    """`latest` never shows a failure that an older answer outlives."""
    publish([build.record("a", 1), build.record("b", 2, outcome=build.failure())], run_id=RUNS[0])
    publish([build.record(name, place, outcome=build.failure()) for place, name in enumerate("abc", 1)], run_id=RUNS[1])
    wanted = [row["item_id"] for row in current(store).to_pylist() if row["status"] == status]
    assert sorted(row["item_id"] for row in latest(store, 9, status=status)) == sorted(wanted)
    assert wanted == {"ok": ["a"], "failed": ["b", "c"]}.get(status, [])


@pytest.mark.wide
@pytest.mark.parametrize(
    ("statuses", "reason"),
    [
        (("ok", "failed"), "stale_prompt"),
        (("ok", "skipped"), "stale_prompt"),
        (("failed", "failed"), "failed"),
        (("ok", "failed", "ok"), "done"),
        (("skipped", "failed"), "failed"),
        (("failed", "skipped"), "new"),
    ],
)
def test_a_plan_compares_with_the_current_result(store, build, history, statuses, reason):
    """What failed in a backfill is due for the reason that it was asked for, not because it failed."""
    history(*statuses)
    order = plan.Order(reasons=REASONS, shard_rows=None, config_sha256="c" * 64, examples=1)
    facts = build.facts(run_id=NOW, prompt_sha256=RUNS[2])
    made = plan.make([build.item()], facts, order, store)
    assert made.counts == {reason: 1}
    if reason == "stale_prompt":
        assert [(one.old, one.new) for one in made.examples] == [(RUNS[0], RUNS[2])]


@pytest.mark.wide
@pytest.mark.long
@pytest.mark.parametrize("statuses", list(itertools.product(STATUSES, repeat=3)))
def test_every_reader_agrees(store, history, statuses):
    """`current`, `latest`, and README's lines for pandas and DuckDB name the same row, whatever came in which order."""
    history(*statuses)
    folder = store.path("results/v1")
    rows = pd.read_parquet(folder)
    rows["answered"] = rows["status"].isin(["ok", "truncated", "refused"])
    by_pandas = rows.sort_values(["answered", "run_id"]).drop_duplicates("item_id", keep="last")["run_id"].tolist()
    by_duckdb = [row[2] for row in duckdb.sql(README_SQL.format(folder)).fetchall()]
    by_us = current(store, ["run_id"])["run_id"].to_pylist()
    assert by_us == by_pandas == by_duckdb == [row["run_id"] for row in latest(store, 1)]
