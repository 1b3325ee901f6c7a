"""The dataset: read as it was and as it is, verified, and the same for every reader."""

from __future__ import annotations

import duckdb
import pandas as pd
import pyarrow.dataset as ds
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mediascribe.columns import SCHEMA
from mediascribe.dataset import current, history, latest, runs, unknown_column, verify, write_run
from mediascribe.errors import ConfigError, CorruptError
from mediascribe.part import write_part
from mediascribe.store import open_store

DAY_1, DAY_2 = "20261123T014500Z-3fa9c1", "20261124T014500Z-000000"


class TestReading:
    """`history` and `current`."""

    def test_history_has_every_row_and_current_the_latest_of_each_item(self, store, build, publish):
        """An item that was asked again has two rows in history, and its later one in current."""
        publish([build.record("a", 1), build.record("b", 2, outcome=build.failure())], run_id=DAY_1)
        publish([build.record("b", 2, reason="failed"), build.record("c", 3)], run_id=DAY_2)
        columns = ["item_id", "run_id", "status"]
        assert [tuple(row.values()) for row in history(store.root, columns).to_pylist()] == [
            ("a", DAY_1, "ok"),
            ("b", DAY_1, "failed"),
            ("b", DAY_2, "ok"),
            ("c", DAY_2, "ok"),
        ]
        assert [tuple(row.values()) for row in current(store.root, columns).to_pylist()] == [
            ("a", DAY_1, "ok"),
            ("b", DAY_2, "ok"),
            ("c", DAY_2, "ok"),
        ]

    def test_a_later_failure_is_current(self, store, build, publish):
        """The latest row counts, whatever its status."""
        publish([build.record()], run_id=DAY_1)
        publish([build.record(outcome=build.failure())], run_id=DAY_2)
        assert current(store.root)["status"].to_pylist() == ["failed"]

    def test_the_later_run_is_later_whenever_it_was_written(self, store, build, publish):
        """The run's own time decides, not the order in which parts appeared."""
        publish([build.record()], run_id=DAY_2)
        publish([build.record(outcome=build.failure())], run_id=DAY_1)
        assert current(store.root)["run_id"].to_pylist() == [DAY_2]

    def test_an_output_without_parts_is_an_empty_table(self, store):
        """No rows, and every column of the schema."""
        store.path("results/v1").mkdir(parents=True)
        assert history(store.root).equals(SCHEMA.empty_table())
        assert current(str(store.root)).equals(SCHEMA.empty_table())

    def test_a_column_that_only_later_parts_have_is_kept(self, store, build, publish):
        """Carried columns of all runs are there, by name, null where a run had none."""
        publish([build.record("a")], run_id=DAY_1)
        publish([build.record("b", item=build.item("b", carried={"tag": "x"}))], run_id=DAY_2, carry={"tag": "string"})
        assert history(store.root)["tag"].to_pylist() == [None, "x"]
        assert current(store.root, ["tag", "item_id"]).to_pydict() == {"tag": [None, "x"], "item_id": ["a", "b"]}

    def test_a_carried_column_whose_type_changed_is_a_string(self, store, build, publish):
        """No value is lost when a job begins to carry a column as another type."""
        publish([build.record("a", item=build.item("a", carried={"n": 7}))], run_id=DAY_1, carry={"n": "int64"})
        publish([build.record("b", item=build.item("b", carried={"n": "x"}))], run_id=DAY_2, carry={"n": "string"})
        assert history(store.root, ["n"])["n"].to_pylist() == ["7", "x"]

    def test_an_unknown_column_is_refused_with_the_nearest(self, store, build, publish):
        """The message names the column that was meant."""
        publish([build.record()])
        with pytest.raises(ConfigError, match=r"no column `descripton`; did you mean `description`\?"):
            history(store.root, ["descripton"])

    def test_a_name_like_no_other_gets_the_list_only(self):
        """Where nothing is near, what there is stands alone."""
        assert str(unknown_column("zzz", ["model", "job"])) == "there is no column `zzz`; there are: model, job"

    @pytest.mark.parametrize("read", [history, current, verify])
    def test_a_folder_without_results_is_refused(self, tmp_path, read):
        """A mistyped output is no empty dataset."""
        with pytest.raises(ConfigError, match=r"no results in .*is it the job's `output`"):
            read(tmp_path / "outt")

    @given(rounds=st.lists(st.lists(st.sampled_from("abcdef"), unique=True, max_size=6), max_size=4))
    @settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
    def test_current_has_every_item_once_from_its_last_run(self, tmp_path_factory, build, rounds):
        """Whatever was asked in whichever run, each item's last run is its current one."""
        store = open_store(str(tmp_path_factory.mktemp("out")))
        store.path("results/v1").mkdir(parents=True)
        last = {}
        for number, items in enumerate(rounds):
            run_id = f"2026112{number}T000000Z-aaaaaa"
            facts, shard = build.facts(run_id=run_id), build.shard(run_id, rows=len(items))
            write_part(store, facts, shard, [build.record(item, at) for at, item in enumerate(items)])
            last |= dict.fromkeys(items, run_id)
        found = current(store.root, ["item_id", "run_id"]).to_pylist()
        assert len(found) == len(last)
        assert {row["item_id"]: row["run_id"] for row in found} == last


class TestReaders:
    """The same figures from every reader."""

    def test_pandas_duckdb_and_pyarrow_agree(self, store, build, publish):
        """Rows, tokens and money are the same, worked by hand: 3 rows, 2 x 263 tokens, 336,800 + 1 nano-dollars."""
        never_asked = build.record("s", 3, outcome=build.failure(error_class="row"))
        publish([build.record("a", 1, nano_usd=336_800)], run_id=DAY_1)
        publish([build.record("b", 2, nano_usd=1), never_asked], run_id=DAY_2)
        folder = store.path("results/v1")
        frame = pd.read_parquet(folder)
        table = ds.dataset(folder, format="parquet").to_table()
        select = "select count(*), sum(prompt_tokens), sum(cost_usd) from read_parquet(?)"
        by_duckdb = duckdb.connect().execute(select, [str(folder / "**" / "*.parquet")]).fetchall()[0]
        by_pandas = (len(frame), frame["prompt_tokens"].sum(), frame["cost_usd"].sum())
        by_arrow = (
            len(table),
            sum(table["prompt_tokens"].to_pylist()),
            sum(filter(None, table["cost_usd"].to_pylist())),
        )
        for rows, tokens, cost_usd in (by_duckdb, by_pandas, by_arrow):
            assert (rows, tokens) == (3, 526)
            assert cost_usd == pytest.approx(0.000336801, abs=1e-12)

    def test_pandas_keeps_tokens_whole(self, store, build, publish):
        """Token columns are int64 in pandas, beside rows that have none."""
        publish([build.record("a"), build.record("b", outcome=build.failure())])
        frame = pd.read_parquet(store.path("results/v1"))
        assert {str(frame[name].dtype) for name in frame if name.endswith("_tokens")} == {"int64"}
        assert str(frame["completed_at"].dtype) == "datetime64[us, UTC]"


class TestVerify:
    """`verify`."""

    def test_a_whole_dataset_is_ok(self, store, build, publish):
        """Rows are counted by status, with a 0 for each status that there is not."""
        publish([build.record("a"), build.record("b", outcome=build.failure())], run_id=DAY_1)
        publish([build.record("a")], run_id=DAY_2)
        found = verify(store.root)
        assert found.ok
        assert (found.parts, found.rows, found.duplicates, found.unreadable) == (2, 3, 0, ())
        assert found.statuses == {"ok": 2, "truncated": 0, "refused": 0, "failed": 1, "skipped": 0}

    def test_an_item_twice_in_one_run_is_a_problem(self, store, build, publish):
        """Also when the two rows are in different shards; in two runs it is none."""
        publish([build.record("a"), build.record("b")], run_id=DAY_1, number=0)
        publish([build.record("a"), build.record("a")], run_id=DAY_1, number=1)
        publish([build.record("a")], run_id=DAY_2)
        found = verify(store.root)
        assert not found.ok
        assert found.duplicates == 2
        assert found.problems == (f"2 rows repeat an item of their run, such as `a` in run {DAY_1}",)

    def test_damaged_parts_are_named_and_the_others_counted(self, store, build, publish):
        """A torn file and a flipped bit are both found; the whole part beside them counts."""
        torn, flipped = publish([build.record("a")], number=0), publish([build.record("b")], number=1)
        publish([build.record("c")], number=2)
        content = store.read(torn)
        store.path(torn).write_bytes(content[: len(content) // 2])
        first_page = pq.read_metadata(store.path(flipped)).row_group(0).column(0)
        content = bytearray(store.read(flipped))
        content[first_page.dictionary_page_offset + first_page.total_compressed_size - 1] ^= 1
        store.path(flipped).write_bytes(content)
        found = verify(store.root)
        assert [name for name, _ in found.unreadable] == [torn, flipped]
        assert (found.parts, found.rows) == (3, 1)
        assert [problem.partition(" cannot be read: ")[0] for problem in found.problems] == [torn, flipped]

    def test_a_foreign_parquet_file_is_a_problem(self, store, build, publish):
        """A file without the schema's columns is said to be none of ours, with what is missing."""
        publish([build.record()])
        table = history(store.root).drop_columns(["status"])
        pq.write_table(table, store.path("results/v1/other.parquet"))
        found = verify(store.root)
        assert found.rows == 1
        assert found.problems == ("results/v1/other.parquet: not of schema v1: status missing or of another type",)

    def test_a_stray_file_is_a_problem(self, store, build, publish):
        """What is no part lies where some readers take it for one."""
        publish([build.record()])
        store.put_bytes("results/v1/part-2.parquet.tmp", b"")
        (problem,) = verify(store.root).problems
        assert problem.startswith("results/v1/part-2.parquet.tmp: not a part")


class TestRuns:
    """`runs` and `write_run`."""

    def test_run_files_come_back_oldest_first(self, store):
        """What a run wrote last about itself is what stands."""
        write_run(store, DAY_2, {"run_id": DAY_2, "rows": 1})
        write_run(store, DAY_1, {"run_id": DAY_1, "job": "Bäume"})
        write_run(store, DAY_2, {"run_id": DAY_2, "rows": 2})
        assert runs(store.root) == [{"run_id": DAY_1, "job": "Bäume"}, {"run_id": DAY_2, "rows": 2}]

    def test_an_output_without_runs_has_none(self, tmp_path):
        """There is nothing to read before the first run."""
        assert runs(tmp_path / "out") == []

    @pytest.mark.parametrize("content", [b"{", b"[]"])
    def test_a_run_file_that_is_no_object_is_named(self, store, content):
        """The message names the file."""
        store.put_bytes("runs/r.json", content)
        with pytest.raises(CorruptError, match=r"runs/r\.json is no JSON"):
            runs(store.root)


def test_the_newest_rows_come_first_and_once(publish, build, tmp_path):
    """`latest` reads from the newest part on, and shows an item only as it stands now."""
    publish([build.record("a", 1), build.record("b", 2)], run_id="20261101T000000Z-aaaaaa")
    publish([build.record("a", 1, outcome=build.failure())], run_id="20261102T000000Z-bbbbbb")
    found = [(row["item_id"], row["status"]) for row in latest(tmp_path / "out", 5)]
    assert found == [("a", "failed"), ("b", "ok")]
    assert [row["item_id"] for row in latest(tmp_path / "out", 5, status="ok")] == ["b"]
    assert [row["item_id"] for row in latest(tmp_path / "out", 1)] == ["a"]
