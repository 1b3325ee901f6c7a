"""The dataset: read as it was and as it is, verified, and the same for every reader."""

from __future__ import annotations

import contextlib

import duckdb
import obstore
import pandas as pd
import pyarrow.dataset as ds
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from obstore.exceptions import PermissionDeniedError

from mediascribe.columns import SCHEMA
from mediascribe.dataset import current, history, latest, parts, runs, scanned, unknown_column, write_run
from mediascribe.errors import ConfigError, CorruptError
from mediascribe.part import write_part
from mediascribe.store import open_store
from mediascribe.verification import verify

pytestmark = pytest.mark.wide

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

    def test_a_later_failure_hides_no_answer(self, store, build, publish):
        """An answer stays current when asking again failed; `test_current.py` has every case."""
        publish([build.record()], run_id=DAY_1)
        publish([build.record(outcome=build.failure())], run_id=DAY_2)
        assert current(store.root)["status"].to_pylist() == ["ok"]

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
    publish([build.record("a", 1, outcome=build.failure()), build.record("b", 2)], run_id="20261101T000000Z-aaaaaa")
    publish([build.record("a", 1)], run_id="20261102T000000Z-bbbbbb")
    found = [(row["item_id"], row["status"]) for row in latest(tmp_path / "out", 5)]
    assert found == [("a", "ok"), ("b", "ok")]
    assert latest(tmp_path / "out", 5, status="failed") == []
    assert [row["item_id"] for row in latest(tmp_path / "out", 1)] == ["a"]


class TestBuckets:
    """The same calls for a dataset in a bucket."""

    @pytest.fixture
    def filled(self, bucket_store, build):
        """Two runs: `a` and `b`, then `b` again with a carried column."""
        later = build.record("b", 2, item=build.item("b", carried={"n": 7}))
        for run_id, carry, records in (
            (DAY_1, {}, [build.record("a", 1), build.record("b", 2, outcome=build.failure())]),
            (DAY_2, {"n": "int64"}, [later]),
        ):
            facts = build.facts(run_id=run_id, carry=carry)
            write_part(bucket_store, facts, build.shard(run_id, rows=len(records)), records)
        write_run(bucket_store, DAY_1, {"run_id": DAY_1})
        return bucket_store

    def test_it_reads_as_from_a_folder(self, filled):
        """History, current, latest, runs and verification."""
        assert history(filled, ["item_id", "n"])["n"].to_pylist() == [None, None, 7]
        assert current(filled, ["item_id", "status"]).to_pydict() == {"item_id": ["a", "b"], "status": ["ok", "ok"]}
        assert [row["item_id"] for row in latest(filled, 1)] == ["b"]
        assert runs(filled) == [{"run_id": DAY_1}]
        assert verify(filled).duplicates == 0

    def test_a_bucket_without_results_is_refused(self, bucket_store):
        """The message names the bucket."""
        with pytest.raises(ConfigError, match="no results in memory://bucket/out: "):
            history(bucket_store)

    def test_a_bucket_that_cannot_be_reached_is_the_callers_affair(self, bucket_store, monkeypatch):
        """Nothing is wrong with the parts: the message says what to do about the store."""

        def refused(*_, **__):
            raise PermissionDeniedError("status code: 403 F")

        monkeypatch.setattr(obstore, "list", refused)
        with pytest.raises(ConfigError, match=r"output `memory://bucket/out` cannot be read: .*permission denied"):
            history(bucket_store)

    def test_a_damaged_part_is_named(self, filled):
        """A flipped bit is found, and a torn object."""
        name = next(filled.list("results/"))
        filled.put_bytes(name, filled.read(name)[:-9])
        assert [part for part, _ in verify(filled).unreadable] == [name]


class TestScanned:
    """`scanned`."""

    def test_duckdb_reads_any_store(self, any_store, build):
        """Many small parts, in the order of history; a column whose type changed is a string."""
        for number, (carried, kind) in enumerate([(7, "int64"), ("x", "string")] * 4):
            run_id = f"2026112{number}T000000Z-aaaaaa"
            record = build.record("a", item=build.item("a", carried={"n": carried}))
            write_part(any_store, build.facts(run_id=run_id, carry={"n": kind}), build.shard(run_id), [record])
        with scanned(any_store, parts(any_store), ["n", "run_id"]) as rows, duckdb.connect() as db:
            db.register("results", rows)
            found = db.execute("select n, run_id from results where n <> 'y'").fetchall()
        assert [n for n, _ in found] == ["7", "x"] * 4
        assert [run_id[7] for _, run_id in found] == list("01234567")

    def test_a_store_without_parts_gives_no_rows(self, store):
        """The schema's columns are there."""
        with scanned(store, parts(store), ["status"]) as rows:
            assert rows.read_all().to_pydict() == {"status": []}

    def test_many_parts_are_read_in_order(self, store, build, publish):
        """Some are read ahead, and each stands where its run does."""
        days = [f"2026112{number}T000000Z-aaaaaa" for number in range(8)]
        for day in reversed(days):
            publish([build.record()], run_id=day)
        assert history(store, ["run_id"])["run_id"].to_pylist() == days
        with scanned(store, parts(store), ["run_id"]) as rows:
            assert rows.read_all()["run_id"].to_pylist() == days

    def test_a_torn_part_is_named(self, store, build, publish):
        """Also where nobody hears of the error that reading it raised."""
        name = publish([build.record()])
        with pytest.raises(CorruptError, match=f"{name} cannot be read"):
            self.tear_and_ignore(store, name)

    def tear_and_ignore(self, store, name):
        with scanned(store, parts(store), ["status"]) as rows:
            store.path(name).write_bytes(b"PAR1 torn")
            with contextlib.suppress(CorruptError):
                rows.read_all()

    def test_a_damaged_part_is_named_not_duckdbs_error(self, store, build, publish):
        """What DuckDB makes of it is of no use to anybody."""
        name = publish([build.record()])
        with duckdb.connect() as db, pytest.raises(CorruptError, match=f"{name} cannot be read"):
            self.tear_and_read(db, store, name)

    def tear_and_read(self, db, store, name):
        with scanned(store, parts(store), ["status"]) as rows:
            db.register("results", rows)
            flipped = bytearray(store.read(name))
            flipped[4:2000] = bytes(1996)
            store.path(name).write_bytes(flipped)
            db.execute("select * from results").fetchall()

    def test_other_errors_of_the_block_are_its_own(self, store):
        """A mistake in a query stays what it is."""
        with (
            duckdb.connect() as db,
            pytest.raises(duckdb.Error, match="nothing"),
            scanned(store, parts(store), ["status"]),
        ):
            db.execute("select nothing from nowhere")
