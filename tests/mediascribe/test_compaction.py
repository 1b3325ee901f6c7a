"""Compaction and replacement: exact for every reader of ours at every instant, whatever is cut short."""

from __future__ import annotations

import contextlib
import threading
from datetime import date

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from killing import Killed, kill_after

from mediascribe import replacement
from mediascribe.columns import SCHEMA
from mediascribe.compaction import Order, compact
from mediascribe.dataset import write_run
from mediascribe.domain import STATUSES
from mediascribe.errors import CorruptError, OutputInUse
from mediascribe.part import open_part, read_part
from mediascribe.replacement import live_parts, reading, replace, settle
from mediascribe.verification import verify

pytestmark = pytest.mark.wide

FIRST, SECOND, NEXT_DAY = "20261120T010000Z-000001aaaa", "20261120T020000Z-000002bbbb", "20261121T010000Z-000003cccc"
ALL_DAYS = Order(before=date(2026, 11, 22))


def parts(store):
    """Every part that lies there, replaced or not."""
    return [name for name in store.list("results/v1/") if name.endswith(".parquet")]


def history(store):
    """Every row, as a reader of ours sees it."""
    tables = reading(store, lambda names: [read_part(store, name, SCHEMA) for name in names])
    return pa.concat_tables([SCHEMA.empty_table(), *tables])


def size_of(store, name):
    """The compressed bytes of all columns."""
    group = pq.read_metadata(store.path(name)).row_group(0)
    return sum(group.column(column).total_compressed_size for column in range(group.num_columns))


@pytest.fixture
def three_days(build, publish):
    """Two runs of one day in five parts, one run of the next in one: 12 rows."""

    def publish_all(**facts):
        for run_id, shards in ((FIRST, 3), (SECOND, 2), (NEXT_DAY, 1)):
            for number in range(shards):
                rows = range(2 * number + 1, 2 * number + 3)
                publish([build.record(f"i{row}", row) for row in rows], run_id=run_id, number=number, **facts)

    return publish_all


class TestCompact:
    """`compact`."""

    def test_the_small_parts_of_a_day_become_one(self, store, three_days):
        """Parts of one day are merged, whatever their run; another day has its own folder and stays."""
        three_days()
        before = history(store)
        done = compact(store, ALL_DAYS)
        merged, alone = parts(store)
        assert done.merged == {merged: tuple(f"results/v1/date=2026-11-20/{part}.parquet" for part in NAMES)}
        assert merged.startswith(f"results/v1/date=2026-11-20/{SECOND}-00001-c")
        assert alone.endswith(f"{NEXT_DAY}-00000.parquet")
        assert (done.rows, done.problems, done.leftovers) == (10, [], [])
        assert history(store).equals(before)

    def test_rows_are_sorted_by_run_and_number(self, store, three_days):
        """A merged part has its runs one after the other, each in the order of its rows."""
        three_days()
        compact(store, ALL_DAYS)
        keys = [
            (row["run_id"], row["row_number"]) for row in history(store).select(["run_id", "row_number"]).to_pylist()
        ]
        assert keys == sorted(keys)
        assert len(set(keys)) == 12

    def test_a_second_compaction_does_nothing(self, store, three_days):
        """What is merged is not merged again."""
        three_days()
        compact(store, ALL_DAYS)
        there = parts(store)
        assert compact(store, ALL_DAYS).merged == {}
        assert parts(store) == there

    def test_a_part_says_what_it_replaces_and_where_it_is_from(self, store, three_days):
        """The footer has every run, each word once, and the names of the old parts."""
        three_days()
        compact(store, ALL_DAYS)
        with open_part(store, parts(store)[0]) as part:
            footer = part.metadata.metadata
            chunk = part.metadata.row_group(0).column(0)
        assert footer[b"mediascribe.run_id"].decode() == f"{FIRST},{SECOND}"
        assert footer[b"mediascribe.job"] == b"demo"
        assert footer[b"mediascribe.schema"] == b"1"
        assert footer[b"mediascribe.replaces"].count(b".parquet") == 5
        assert (chunk.compression, chunk.has_offset_index) == ("ZSTD", True)

    @pytest.mark.wide
    def test_days_that_are_not_past_and_open_runs_are_left_alone(self, store, three_days):
        """A run that is not closed knows its parts by name, and breaks a row of neighbours."""
        three_days()
        assert compact(store, Order(before=date(2026, 11, 20))).merged == {}
        (group,) = compact(store, Order(before=date(2026, 11, 22), open_runs=[SECOND])).merged.values()
        assert [name.rpartition("/")[2] for name in group] == [f"{FIRST}-0000{number}.parquet" for number in range(3)]

    @pytest.mark.wide
    def test_merged_parts_stay_below_the_target(self, store, three_days):
        """With room for about two parts, five become two of two, and one is left alone."""
        three_days()
        size = max(size_of(store, name) for name in parts(store))
        done = compact(store, Order(before=date(2026, 11, 22), target_bytes=int(2.2 * size)))
        assert [len(group) for group in done.merged.values()] == [2, 2]

    def test_a_part_that_is_large_enough_stays(self, store, three_days):
        """Half of the target is enough."""
        three_days()
        size = min(size_of(store, name) for name in parts(store))
        assert compact(store, Order(before=date(2026, 11, 22), target_bytes=2 * size)).merged == {}

    def test_parts_without_rows_leave_nothing(self, store, publish):
        """Two empty parts become none."""
        publish([], run_id=FIRST, number=0)
        publish([], run_id=FIRST, number=1)
        assert compact(store, ALL_DAYS).merged == {}
        assert parts(store) == []

    def test_parts_of_other_columns_are_not_mixed(self, store, build, publish):
        """Neighbours with other carried columns stay apart, so that nothing changes its type."""
        publish([build.record("a")], run_id=FIRST, number=0, carry={"n": "int64"})
        publish([build.record("b")], run_id=FIRST, number=1, carry={"n": "string"})
        assert compact(store, ALL_DAYS).merged == {}

    @pytest.mark.wide
    def test_a_stranger_among_the_parts_is_left_alone(self, store, three_days):
        """A name that is none of ours is neither merged nor passed over."""
        three_days()
        stranger = f"results/v1/date=2026-11-20/{FIRST}-00001-copy.parquet"
        store.path(stranger).write_bytes(store.read(parts(store)[1]))
        done = compact(store, ALL_DAYS)
        assert parts(store)[:2] == [f"results/v1/date=2026-11-20/{FIRST}-00000.parquet", stranger]
        assert [len(group) for group in done.merged.values()] == [4]

    @pytest.mark.wide
    @pytest.mark.parametrize("damage", ["torn", "flipped"])
    def test_a_damaged_part_is_named_and_kept(self, store, three_days, damage):
        """No row beside a damaged one is touched, and the message says which part it is."""
        three_days()
        bad = parts(store)[0]
        content = bytearray(store.read(bad))
        if damage == "torn":
            del content[len(content) // 2 :]
        else:
            chunk = pq.read_metadata(store.path(bad)).row_group(0).column(0)
            content[chunk.dictionary_page_offset + chunk.total_compressed_size - 1] ^= 1
        store.path(bad).write_bytes(content)
        done = compact(store, ALL_DAYS)
        assert done.problems[0].startswith(f"{bad} cannot be read: ")
        assert bad in parts(store)
        assert bad not in [name for group in done.merged.values() for name in group]

    def test_a_lost_lease_stops_before_anything_changes(self, store, three_days):
        """Another machine may hold the output by now: nothing is published, nothing removed."""
        three_days()
        there = list(store.list(""))
        with pytest.raises(OutputInUse, match="another process may hold the output"):
            compact(store, Order(before=date(2026, 11, 22), lost=lambda: True))
        assert list(store.list("")) == there


NAMES = [*(f"{FIRST}-0000{number}" for number in range(3)), *(f"{SECOND}-0000{number}" for number in range(2))]


class TestCrash:
    """A kill at any instant."""

    @pytest.mark.wide
    @pytest.mark.parametrize("operations", range(10))
    def test_history_is_exact_at_once_and_after_the_next_start(self, store, three_days, monkeypatch, operations):
        """Killed after any change of a name: no row is twice or missing, and `settle` leaves each in one part."""
        three_days()
        for run_id, rows in ((FIRST, 6), (SECOND, 4), (NEXT_DAY, 2)):
            by_status = dict.fromkeys(STATUSES, 0) | {"ok": rows}
            write_run(store, run_id, {"wrote": {"by_status": by_status, "duplicates": 0}})
        before = history(store)
        with monkeypatch.context() as dying, contextlib.suppress(Killed):
            kill_after(dying, operations)
            compact(store, ALL_DAYS)
        assert history(store).equals(before)
        assert verify(store.root).ok
        settle(store)
        assert live_parts(store) == parts(store)
        assert history(store).equals(before)
        assert verify(store.root).ok
        assert len(parts(store)) == (2 if operations else 6)  # the link is the first change
        compact(store, ALL_DAYS)
        assert len(parts(store)) == 2


class TestReading:
    """`live_parts` and `reading`, beside a compaction."""

    def test_an_output_without_parts_has_none(self, store):
        """Nothing to list, nothing to read."""
        assert live_parts(store) == []
        assert reading(store, list) == []

    def test_parts_that_vanish_are_listed_and_read_anew(self, store, three_days):
        """A reader that had its list before a compaction reads every row once all the same."""
        three_days()
        before = history(store)
        calls = []

        def read(names):
            calls.append(names)
            if len(calls) == 1:
                compact(store, ALL_DAYS)
            return pa.concat_tables([read_part(store, name, SCHEMA) for name in names])

        assert reading(store, read).equals(before)
        assert [len(names) for names in calls] == [6, 2]

    @pytest.mark.wide
    def test_a_reader_beside_a_compaction_is_exact_all_the_time(self, store, build, publish):
        """However reading and merging fall together, every look has each of 60 rows once."""
        for number in range(60):
            publish(
                [build.record(f"i{number}", number)],
                run_id=f"202611{20 + number // 20}T010000Z-00000aaaa",
                number=number,
            )
        seen, done = [], threading.Event()

        def look():
            while not done.is_set():
                seen.append(sorted(history(store)["row_number"].to_pylist()))

        reader = threading.Thread(target=look)
        reader.start()
        try:
            compact(store, Order(before=date(2026, 12, 1)))
        finally:
            done.set()
            reader.join()
        assert len(parts(store)) == 3
        assert [rows for rows in seen if rows != list(range(60))] == []

    def test_a_damaged_part_is_an_error_and_no_loop(self, store, three_days):
        """Where nothing changes, the error comes out."""
        three_days()
        store.path(parts(store)[0]).write_bytes(b"PAR1 torn")
        with pytest.raises(CorruptError, match="cannot be read"):
            history(store)

    def test_a_damaged_part_that_replaces_others_is_an_error(self, store, three_days):
        """Nobody can tell which parts count, so none are removed."""
        three_days()
        compact(store, ALL_DAYS)
        store.path(parts(store)[0]).write_bytes(b"PAR1 torn")
        with pytest.raises(CorruptError, match="cannot be read"):
            live_parts(store)
        with pytest.raises(CorruptError, match="cannot be read"):
            settle(store)

    def test_a_list_taken_while_parts_change_is_taken_again(self, store, three_days, monkeypatch):
        """A list that lacks the old parts and the new one is not believed."""
        three_days()
        compact(store, ALL_DAYS)
        whole = parts(store)
        lists = iter([whole[1:], whole, whole])
        monkeypatch.setattr(replacement, "_listed", lambda _: next(lists))
        assert live_parts(store) == whole

    def test_a_merged_part_that_was_itself_merged_meanwhile_is_listed_anew(self, store, three_days, monkeypatch):
        """A footer that vanished between list and look is no damage."""
        three_days()
        compact(store, ALL_DAYS)
        whole = parts(store)
        gone = f"results/v1/date=2026-11-20/{FIRST}-00009-c{'0' * 16}.parquet"
        lists = iter([[gone, *whole], [gone, *whole], whole, whole])
        monkeypatch.setattr(replacement, "_listed", lambda _: next(lists))
        assert live_parts(store) == whole


@pytest.mark.wide
class TestReplace:
    """`replace`."""

    def test_row_groups_are_gathered_up_to_their_usual_size(self, store, three_days, monkeypatch):
        """Five groups of two rows become groups of four, four and two."""
        monkeypatch.setattr(replacement, "ROW_GROUP_ROWS", 5)
        three_days()
        name, rows = replace(store, live_parts(store)[:5])
        with open_part(store, name) as part:
            groups = [part.metadata.row_group(group).num_rows for group in range(part.num_row_groups)]
        assert (rows, groups) == (10, [4, 4, 2])

    def test_where_no_row_stays_there_is_no_part(self, store, three_days):
        """The old part goes, and nothing comes in its place."""
        three_days()
        assert replace(store, parts(store)[:1], lambda table: table.slice(0, 0)) == (None, 0)
        assert len(parts(store)) == 5

    def test_rows_that_do_not_come_back_replace_nothing(self, store, three_days, monkeypatch):
        """What was written is read before anything old is removed."""
        three_days()
        there = parts(store)
        monkeypatch.setattr(replacement.pq.ParquetWriter, "write_table", lambda *_, **__: None)
        with pytest.raises(CorruptError, match="0 rows where 10 were written; nothing is replaced"):
            replace(store, there[:5])
        assert parts(store) == there
