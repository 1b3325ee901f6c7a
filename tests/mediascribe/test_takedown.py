"""A takedown removes an item from everything, keeps it away, and cannot be stopped half way."""

from __future__ import annotations

import contextlib
import hashlib
import json
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from killing import Killed, kill_after

from mediascribe import journal, plan, takedown
from mediascribe.columns import SCHEMA
from mediascribe.dataset import write_run
from mediascribe.errors import ConfigError, CorruptError
from mediascribe.journal import Answered, Journal, Sent
from mediascribe.part import read_part
from mediascribe.replacement import reading, settle
from mediascribe.takedown import forget, forgotten, look, mark, read_ids, resume, tombstones
from mediascribe.verification import verify

FIRST, SECOND = "20261120T010000Z-000001aaaa", "20261121T020000Z-000002bbbb"
OPEN = "20261122T020000Z-000003cccc"
NOW = datetime(2026, 11, 23, 5, 0, tzinfo=UTC)


def rows_of(store):
    """Item, run and status of every row."""
    tables = reading(store, lambda names: [read_part(store, name, SCHEMA) for name in names])
    columns = pa.concat_tables([SCHEMA.empty_table(), *tables]).select(["item_id", "run_id", "status"])
    return [tuple(row.values()) for row in columns.to_pylist()]


@pytest.fixture
def output(store, build, publish):
    """Items a to d in two closed runs; the run file of the first quotes what went wrong with b."""
    gone = build.failure(message="HTTP 404 at https://cdn.example/b.jpg")
    twice = build.failure(error_class="row", code="duplicate_id", message="row 4: its id 'b' stands in row 2 already")
    publish([build.record("a", 1), build.record("b", 2, outcome=gone)], run_id=FIRST)
    publish([build.record("c", 3), build.record("b#4", 4, outcome=twice)], run_id=FIRST, number=1)
    publish([build.record("b", 2), build.record("d", 5)], run_id=SECOND)
    examples = [gone.message, twice.message, "HTTP 500"]
    errors = [{"rows": 1, "example": one} for one in examples]
    by_status = {"ok": 2, "failed": 1, "skipped": 1}
    write_run(store, FIRST, {"wrote": {"by_status": by_status, "duplicates": 0, "errors": errors}})
    write_run(store, SECOND, {"wrote": {"by_status": {"ok": 2}, "duplicates": 0, "errors": []}})
    return store


@pytest.fixture
def unfinished(output, build):
    """A killed run that asked b, d and e: one shard's part is there and its journal too, the other's journal only."""
    items = [build.item("b", 1), build.item("d", 2), build.item("e", 3), build.item("f", 4)]
    facts = build.facts(run_id=OPEN, model="other")
    order = plan.Order(reasons=("new", "stale_model"), shard_rows=2, config_sha256="c" * 64)
    made = plan.make(items, facts, order, output)
    for shard in made.shards:
        with Journal(journal.place(output.work, shard)) as log:
            for item in plan.items(shard):
                log.append(Sent(row=item.row_number, key="k", at=1.0))
                text = f"the answer about {item.item_id}"
                log.append(Answered(row=item.row_number, at=2.0, latency_s=1.0, status=200, headers={}, text=text))
    return made


@pytest.mark.wide
class TestForget:
    """`look` and `forget`."""

    def test_a_look_changes_nothing_and_counts_what_would_go(self, output):
        """Every row of the item in every run, the row of its repeated id among them; unknown ids are listed."""
        before = list(output.list(""))
        found = look(output, ["b", "zebra"])
        assert found.removed == {FIRST: {"failed": 1, "skipped": 1}, SECOND: {"ok": 1}}
        assert (found.rows, len(found.parts), found.unknown) == (3, 3, ("zebra",))
        assert list(output.list("")) == before

    def test_every_row_of_the_item_goes_and_no_other(self, output):
        """What is left are the other items, in their order; the receipt says what went."""
        receipt = forget(output, ["b"], NOW)
        assert [item for item, _, _ in rows_of(output)] == ["a", "c", "d"]
        assert receipt.complete
        assert (sum(receipt.removed[FIRST].values()), receipt.removed[SECOND]) == (2, {"ok": 1})
        assert len(receipt.parts) == 3

    def test_no_byte_of_the_item_is_left(self, output, unfinished):
        """Neither its URL nor its answer nor its id stands in any file, compressed ones read in full."""
        forget(output, ["b"], NOW)
        for path in output.root.rglob("*"):
            if not path.is_file():
                continue
            text = (
                str(pq.read_table(path, partitioning=None).to_pylist())
                if path.suffix == ".parquet"
                else path.read_text()
            )
            for trace in ("/b.jpg", "about b", "'b'", '"b"', "`b`"):
                assert trace not in text, path
        assert unfinished.rows == 4

    def test_the_tombstone_has_hashes_and_counts(self, output):
        """Its file names the time, and holds no id."""
        forget(output, ["b", "zebra"], NOW)
        ((name, stone),) = tombstones(output)
        assert name == "forgotten/20261123T050000Z-000000.json"
        assert stone.items == sorted(hashlib.sha256(item.encode()).hexdigest() for item in ("b", "zebra"))
        assert forgotten(output) == set(stone.items)

    def test_an_item_that_was_forgotten_is_not_planned(self, output, build):
        """Its manifest row is due for nothing, whatever the reasons, nor is that of its repeated id."""
        forget(output, ["b"], NOW)
        items = [build.item("b", 1), build.item("b", 2), build.item("z", 3)]
        order = plan.Order(reasons=("new",), shard_rows=None, config_sha256="c", forgotten=forgotten(output))
        made = plan.make(items, build.facts(run_id=OPEN), order, output)
        assert [item.item_id for shard in made.shards for item in plan.items(shard)] == ["z"]

    def test_a_part_of_nothing_else_goes_entirely(self, store, build, publish):
        """No empty part stays."""
        publish([build.record("a")], run_id=FIRST)
        forget(store, ["a"], NOW)
        assert list(store.list("results/")) == []

    def test_the_run_file_no_longer_quotes_it(self, output):
        """Examples of others stay."""
        forget(output, ["b"], NOW)
        errors = json.loads(output.read(f"runs/{FIRST}.json"))["wrote"]["errors"]
        assert [group["example"] for group in errors] == [None, None, "HTTP 500"]

    def test_unfinished_runs_forget_too(self, output, unfinished):
        """Plan and journals lose the rows of the item; those of others are recovered as before."""
        receipt = forget(output, ["b", "f"], NOW)
        assert receipt.unfinished_rows == 2
        left = [[item.item_id for item in plan.items(shard)] for shard in unfinished.shards]
        assert left == [["d"], ["e"]]
        journals = [journal.replay(journal.place(output.work, shard)).rows for shard in unfinished.shards]
        assert [sorted(rows) for rows in journals] == [[2], [3]]
        assert Path(unfinished.path).stat().st_mode & 0o777 == 0o600

    def test_a_journal_whose_part_is_there_is_spent(self, output, unfinished, build, publish):
        """A part that was rewritten has another name, and its journal must not bring the rows a second time."""
        publish([build.record("b", 1), build.record("d", 2)], run_id=OPEN)
        forget(output, ["b"], NOW)
        first, second = (journal.place(output.work, shard) for shard in unfinished.shards)
        assert (journal.segments(first), len(journal.segments(second))) == ([], 1)
        assert [item for item, run_id, _ in rows_of(output) if run_id == OPEN] == ["d"]

    def test_two_in_the_same_instant_are_told_apart(self, output):
        """The second is refused before it changes anything."""
        forget(output, ["b"], NOW)
        with pytest.raises(ConfigError, match="another takedown began in the same instant"):
            forget(output, ["a"], NOW)
        assert ("a", FIRST, "ok") in rows_of(output)

    def test_a_file_that_is_no_tombstone_is_named(self, store):
        """Guessing would let items come back."""
        store.put_bytes("forgotten/x.json", b"{}")
        with pytest.raises(CorruptError, match=r"forgotten/x\.json is no tombstone"):
            forgotten(store)


@pytest.mark.wide
@pytest.mark.parametrize(
    "operations", [pytest.param(count, marks=[pytest.mark.long] if count % 5 else []) for count in range(26)]
)
def test_a_takedown_cut_short_is_finished_by_the_next_start(output, unfinished, monkeypatch, operations):
    """Killed after any change of a name: before the tombstone nothing went, after it the next start completes it."""
    before = rows_of(output)
    with monkeypatch.context() as dying, contextlib.suppress(Killed):
        kill_after(dying, operations)
        forget(output, ["b"], NOW)
    others = [row for row in before if not row[0].startswith("b")]
    assert [row for row in rows_of(output) if not row[0].startswith("b")] == others
    settle(output)
    resume(output)
    stones = tombstones(output)
    assert all(stone.complete for _, stone in stones)
    assert rows_of(output) == (others if stones else before)
    assert verify(output.root).ok
    if stones:
        assert stones[0][1].removed[SECOND] == {"ok": 1}
        assert look(output, ["b"]).unknown == ("b",)
        assert [item.item_id for shard in unfinished.shards for item in plan.items(shard)] == ["d", "e", "f"]
    assert resume(output) == []


class TestMarks:
    """`mark`."""

    def test_a_mark_is_the_sha_256_of_the_id(self):
        """Worked out by hand for the id of one letter."""
        assert mark("a") == "ca978112ca1bbdcafac231b39a23dc4da786eff8147c4e72b9807785afee48bb"

    def test_the_row_of_a_repeated_id_has_the_ids_mark(self):
        """Only where the code says so: an id may have a # of its own."""
        assert mark("a#5", "duplicate_id") == mark("a")
        assert mark("a#5") != mark("a")

    def test_an_id_that_is_no_text_has_the_mark_of_what_is_stored(self):
        """A lone surrogate is stored as a question mark."""
        assert mark("\ud800") == mark("?")


class TestIds:
    """`read_ids`."""

    def test_a_text_file_has_one_id_a_line(self, tmp_path):
        """Blank lines and repeated ids do not count."""
        file = tmp_path / "ids.txt"
        file.write_text("\ufeffa\n\n b \na\n", encoding="utf-8")
        assert read_ids(file) == ["a", "b"]

    def test_tables_have_a_column_of_that_name(self, tmp_path):
        """CSV and Parquet, whatever other columns there are; a number is an id as well."""
        (tmp_path / "ids.csv").write_text("n,item_id\n1,a\n2,b\n3\n")
        pq.write_table(pa.table({"item_id": [7, None, 8]}), tmp_path / "ids.parquet")
        assert read_ids(tmp_path / "ids.csv") == ["a", "b"]
        assert read_ids(str(tmp_path / "ids.parquet")) == ["7", "8"]

    def test_what_holds_no_ids_is_refused(self, tmp_path):
        """A missing file, another column, damage, nothing at all: each by name."""
        (tmp_path / "other.csv").write_text("id\na\n")
        pq.write_table(pa.table({"id": ["a"]}), tmp_path / "other.parquet")
        (tmp_path / "torn.parquet").write_bytes(b"PAR1")
        (tmp_path / "empty.txt").write_text("\n")
        for name, words in (
            ("other.csv", "no column `item_id`"),
            ("other.parquet", "no column `item_id`"),
            ("torn.parquet", "cannot be read as a list of ids"),
            ("gone.txt", "cannot be read as a list of ids"),
            ("empty.txt", "has no ids"),
        ):
            with pytest.raises(ConfigError, match=f"{name}.*{words}"):
                read_ids(tmp_path / name)


@pytest.mark.wide
def test_an_unread_run_file_is_no_matter(output):
    """A run without a run file, such as one that is still open, has no words to lose."""
    output.remove(f"runs/{FIRST}.json")
    assert takedown.forget(output, ["b"], NOW).complete
