"""`verify` finds what is missing, twice, damaged or left over, and nothing in a whole dataset."""

from __future__ import annotations

import shutil
from collections import Counter
from datetime import UTC, date, datetime

import pyarrow.parquet as pq
import pytest

from mediascribe import completeness, journal, plan, takedown
from mediascribe.compaction import Order, compact
from mediascribe.dataset import parts, write_run
from mediascribe.domain import STATUSES
from mediascribe.errors import ConfigError
from mediascribe.journal import Answered, Journal, Sent
from mediascribe.verification import verify

FIRST, SECOND, OPEN = "20261120T010000Z-000001aaaa", "20261121T020000Z-000002bbbb", "20261122T020000Z-000003cccc"
NOW = datetime(2026, 11, 23, 5, 0, tzinfo=UTC)


def close(store, run_id, duplicates=0, **by_status):
    """Write a run file that says so many rows of each status."""
    counts = dict.fromkeys(STATUSES, 0) | by_status
    write_run(store, run_id, {"run_id": run_id, "wrote": {"by_status": counts, "duplicates": duplicates}})


@pytest.fixture
def output(store, build, publish):
    """Two closed runs: a and b in two shards, of which b failed; then b again, and c."""
    publish([build.record("a", 1)], run_id=FIRST)
    publish([build.record("b", 2, outcome=build.failure())], run_id=FIRST, number=1)
    publish([build.record("b", 2), build.record("c", 3)], run_id=SECOND)
    close(store, FIRST, ok=1, failed=1)
    close(store, SECOND, ok=2)
    return store


@pytest.fixture
def killed(store, build):
    """A run that was killed: the name of its plan, and a journal with an answer and one that never came."""
    store.put_bytes(f"_work/plans/{OPEN}.json", b"{}")
    with Journal(journal.place(store.work, build.shard(OPEN))) as log:
        log.append(Sent(row=1, key="k", at=1.0))
        log.append(Answered(row=1, at=2.0, latency_s=1.0, status=200, headers={}, text="{}"))
        log.append(Sent(row=2, key="k", at=1.0))
        return log.path


class TestCounts:
    """Rows against run files."""

    def test_a_whole_dataset_is_ok(self, output):
        """Rows are counted by status, with a 0 for each status that there is not."""
        found = verify(output.root)
        assert (found.ok, found.problems, found.unfinished, found.missing) == (True, (), (), None)
        assert (found.parts, found.rows, found.runs, found.duplicates, found.unreadable) == (3, 4, 2, 0, ())
        assert found.statuses == {"ok": 3, "truncated": 0, "refused": 0, "failed": 1, "skipped": 0}

    def test_a_compacted_dataset_is_as_whole(self, output):
        """A run's rows may lie in a part of another name."""
        before = verify(output.root)
        compact(output, Order(before=date(2026, 12, 1)))
        found = verify(output.root)
        assert (found.ok, found.parts, found.rows, found.statuses) == (True, 2, 4, before.statuses)

    def test_a_lost_part_is_missed(self, output):
        """The run file says what was there."""
        output.remove(parts(output)[1])
        (problem,) = verify(output.root).problems
        assert problem.startswith(f"run {FIRST} wrote 2 rows (1 ok, 1 failed), and 1 rows (1 ok) are there:")

    def test_a_run_of_which_nothing_is_left_is_missed(self, output):
        """Also when no part tells that it ever was."""
        output.remove(parts(output)[2])
        (problem,) = verify(output.root).problems
        assert problem.startswith(f"run {SECOND} wrote 2 rows (2 ok), and no rows are there")

    def test_rows_of_no_run_file_are_named(self, output):
        """Nobody can say whether they are all."""
        output.remove(f"runs/{FIRST}.json")
        (problem,) = verify(output.root).problems
        assert problem.startswith(f"run {FIRST} has 2 rows and no run file")

    def test_a_run_that_is_closed_meanwhile_is_no_defect(self, output, monkeypatch):
        """Its file was not there when the run files were read, and is when its rows are counted."""
        real, hidden = type(output).list, f"runs/{FIRST}.json"
        monkeypatch.setattr(type(output), "list", lambda self, prefix: (n for n in real(self, prefix) if n != hidden))
        assert verify(output.root).ok

    @pytest.mark.parametrize("content", [b"{", b"[]", b"{}", b'{"wrote": {"by_status": {"ok": "x"}}}'])
    def test_a_run_file_that_is_none_is_named(self, output, content):
        """The others count all the same, and so do the rows."""
        output.put_bytes(f"runs/{FIRST}.json", content)
        output.put_bytes("runs/notes.txt", b"")
        found = verify(output.root)
        assert found.problems[0].startswith(f"runs/{FIRST}.json is no run file (")
        assert (len(found.problems), found.rows) == (1, 4)

    def test_what_the_run_found_itself_is_told(self, output):
        """A certificate of duplicates is a defect for good."""
        close(output, SECOND, duplicates=1, ok=2)
        assert verify(output.root).problems == (f"runs/{SECOND}.json: the run itself found 1 rows twice",)

    def test_a_folder_without_results_is_refused(self, tmp_path):
        """A mistyped output is no empty dataset."""
        with pytest.raises(ConfigError, match="no results in"):
            verify(tmp_path / "outt")


@pytest.mark.wide
class TestTwice:
    """Duplicates."""

    def test_a_row_or_an_item_twice_in_one_run_is_a_problem(self, store, build, publish):
        """Also in different shards; in two runs it is none."""
        publish([build.record("a", 1), build.record("b", 2)], run_id=FIRST)
        publish([build.record("a", 3), build.record("c", 2)], run_id=FIRST, number=1)
        publish([build.record("a", 1)], run_id=SECOND)
        close(store, FIRST, ok=4)
        close(store, SECOND, ok=1)
        found = verify(store.root)
        assert found.duplicates == 1
        assert found.problems == (
            f"1 rows repeat a row or an item of their run, such as run {FIRST} row 2: remove the part that is a copy",
        )

    def test_an_item_twice_under_two_numbers_is_a_problem(self, store, build, publish):
        """No row number is twice, and yet the item is."""
        publish([build.record("a", 1), build.record("a", 2)], run_id=FIRST)
        close(store, FIRST, ok=2)
        (problem,) = verify(store.root).problems
        assert problem.startswith(f"1 rows repeat a row or an item of their run, such as run {FIRST}:")

    def test_a_copied_part_is_found(self, output):
        """Beside its original it repeats rows; behind other runs it stands apart; counts are off either way."""
        original = parts(output)[0]
        beside = original.replace("00000", "00000-copy")
        for copy, words in (
            (beside, "repeat a row"),
            ("results/v1/zzz.parquet", f"zzz.parquet: rows of run {FIRST} apart"),
        ):
            output.path(copy).write_bytes(output.read(original))
            problems = " ".join(verify(output.root).problems)
            assert words in problems
            assert f"run {FIRST} wrote 2 rows" in problems
            output.remove(copy)
        assert verify(output.root).ok


class TestDamage:
    """Parts that cannot be read, and what is no part."""

    def test_damaged_parts_are_named_and_the_others_counted(self, output):
        """A torn file and a flipped bit are both found, with the reason."""
        torn, flipped, _ = parts(output)
        content = output.read(torn)
        output.path(torn).write_bytes(content[: len(content) // 2])
        page = pq.read_metadata(output.path(flipped)).row_group(0).column(0)
        content = bytearray(output.read(flipped))
        content[page.dictionary_page_offset + page.total_compressed_size - 1] ^= 1
        output.path(flipped).write_bytes(content)
        found = verify(output.root)
        assert [name for name, _ in found.unreadable] == [torn, flipped]
        assert (found.parts, found.rows) == (3, 2)
        assert [problem.partition(" cannot be read: ")[0] for problem in found.problems[:2]] == [torn, flipped]

    def test_strangers_are_named(self, output):
        """A Parquet file without our columns, and a file that some readers take for a part."""
        table = pq.read_table(output.path(parts(output)[0]), partitioning=None).drop_columns(["status"])
        pq.write_table(table, output.path("results/v1/other.parquet"))
        output.put_bytes("results/v1/part-2.parquet.tmp", b"")
        other, stray = verify(output.root).problems
        assert other == "results/v1/other.parquet: not of schema v1: status missing or of another type"
        assert stray.startswith("results/v1/part-2.parquet.tmp: not a part")

    def test_a_part_from_before_a_column_was_added_is_whole(self, output):
        """Columns are only ever added, and then may be null."""
        name = parts(output)[0]
        table = pq.read_table(output.path(name), partitioning=None).drop_columns(["flags"])
        output.remove(name)
        pq.write_table(table, output.path(name), write_page_checksum=True)
        assert verify(output.root).ok


@pytest.mark.wide
class TestUnfinished:
    """What runs left under `_work`."""

    @pytest.mark.usefixtures("killed")
    def test_a_killed_run_is_no_defect_and_is_told(self, output):
        """How many answers wait, and what publishes them."""
        found = verify(output.root)
        assert found.ok
        (line,) = found.unfinished
        assert line.startswith(
            f"run {OPEN} is at work, or was killed: 1 answers in its journals; if nobody runs it now"
        )

    def test_a_torn_tail_is_told(self, output, killed):
        """What replay leaves out is named with its file."""
        with killed.open("ab") as file:
            file.write(b"torn")
        assert "4 bytes after byte" in verify(output.root).unfinished[1]

    @pytest.mark.usefixtures("killed")
    def test_parts_of_an_open_run_need_no_run_file_yet(self, output, build, publish):
        """Its file is written when it is closed."""
        publish([build.record("x", 1)], run_id=OPEN)
        assert verify(output.root).ok

    def test_a_plan_without_a_journal_is_told(self, output, killed):
        """A run that was killed before its first answer."""
        shutil.rmtree(killed.parents[1])
        assert "0 answers" in verify(output.root).unfinished[0]

    @pytest.mark.usefixtures("killed")
    def test_answers_without_a_plan_are_a_defect(self, output):
        """They are paid for, and nobody knows whose they are."""
        output.remove(f"_work/plans/{OPEN}.json")
        (problem,) = verify(output.root).problems
        assert problem.startswith(f"run {OPEN} has 1 answers in ")
        assert f"restore _work/plans/{OPEN}.json and .parquet" in problem

    @pytest.mark.usefixtures("killed")
    def test_spent_journals_are_told(self, output, build, publish):
        """A closed run needs them no more."""
        output.remove(f"_work/plans/{OPEN}.json")
        publish([build.record("x", 1)], run_id=OPEN)
        close(output, OPEN, ok=1)
        found = verify(output.root)
        assert found.ok
        assert found.unfinished[0].startswith(f"run {OPEN} left journals that nothing needs: remove ")

    def test_a_real_plan_is_known_by_its_name(self, output, build):
        """What `plan` writes is what is looked for."""
        order = plan.Order(reasons=("new",), shard_rows=None, config_sha256="c" * 64)
        plan.make([build.item("z", 1)], build.facts(run_id=OPEN), order, output)
        assert verify(output.root).unfinished[0].startswith(f"run {OPEN} is at work, or was killed")


@pytest.mark.wide
class TestForgotten:
    """Takedowns."""

    def test_rows_that_were_taken_down_are_not_missed(self, output):
        """The run files say what was written, the tombstones what went."""
        takedown.forget(output, ["b"], NOW)
        found = verify(output.root)
        assert (found.ok, found.rows) == (True, 2)
        takedown.forget(output, ["a"], NOW.replace(hour=6))
        assert verify(output.root).ok

    def test_a_takedown_cut_short_is_a_defect(self, output):
        """What is left of the item is named, and the run's count is no second defect."""
        stone = takedown.Tombstone(
            at=NOW,
            items=[takedown.mark("b")],
            removed={FIRST: {"failed": 1}, SECOND: {"ok": 1}},
            parts=parts(output)[1:],
            unfinished_rows=0,
        )
        output.put_bytes("forgotten/x.json", takedown.msgspec.json.encode(stone))
        cut, *left = verify(output.root).problems
        assert cut.startswith("forgotten/x.json: a takedown was cut short")
        assert [problem.partition(":")[0] for problem in left] == [
            f"{name} holds 1 items that were taken down" for name in parts(output)[1:]
        ]


class TestManifest:
    """Every manifest row has a current result."""

    def test_a_row_without_a_result_is_named(self, output, build):
        """Row and id, and the command that asks it."""
        items = [build.item("a", 1), build.item("b", 2), build.item("c", 3), build.item("d", 4)]
        assert verify(output.root, lambda: items[:3]).missing == 0
        found = verify(output.root, lambda: items)
        assert (found.missing, found.ok) == (1, False)
        assert found.problems == ("row 4 of the manifest (`d`) has no result: `mediascribe run JOB` asks it",)

    def test_a_row_that_was_forgotten_is_not_missed(self, output, build):
        """It has no result, and is to have none."""
        takedown.forget(output, ["b"], NOW)
        assert verify(output.root, lambda: [build.item("a", 1), build.item("b", 2)]).missing == 0

    def test_a_repeated_id_is_looked_for_under_the_rows_own(self, store, build, publish):
        """The first row has the id, a later one `<id>#<row>`, as the plan names them."""
        publish([build.record("a", 1), build.record("a#3", 3)], run_id=FIRST)
        close(store, FIRST, ok=2)
        items = [build.item("a", 1), build.item("a", 3), build.item("a", 4)]
        found = verify(store.root, lambda: items)
        assert found.problems == ("row 4 of the manifest (`a#4`) has no result: `mediascribe run JOB` asks it",)

    def test_a_long_list_is_cut(self, output, build):
        """Twenty are named, the rest counted."""
        items = [build.item(f"x{row}", row) for row in range(1, 26)]
        found = verify(output.root, lambda: items)
        assert (found.missing, len(found.problems)) == (25, 21)
        assert found.problems[-1] == "and 5 more rows of the manifest have none"

    def test_an_empty_dataset_misses_all(self, build):
        """Nothing is known."""
        assert completeness.missing(lambda: [build.item("a", 1)], [], frozenset())[0] == 1
        assert completeness.missing(list, [], frozenset()) == (0, [])
        assert Counter(completeness.marks(["a", "a", "b"]).tolist()).most_common(1)[0][1] == 2
