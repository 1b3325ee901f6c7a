"""A run is complete when its own parts are whole and every planned row stands in them once."""

from types import SimpleNamespace

import pyarrow.parquet as pq
import pytest

from mediascribe.certificate import problems


@pytest.fixture
def run_of():
    """`run_of(parts, ok=2)`: what a run file says that matters here."""

    def _run_of(parts, *, planned=2, stopped=None, **by_status):
        wrote = SimpleNamespace(parts=parts, rows=sum(by_status.values()), by_status={"failed": 0} | by_status)
        return SimpleNamespace(wrote=wrote, rows_planned=planned, stopped=stopped)

    return _run_of


def test_a_whole_run_has_no_problem(store, build, publish, run_of):
    """All pages of all parts are read, and what is counted is what the run file says."""
    first = publish([build.record("a", 1)], number=0)
    second = publish([build.record("b", 2, outcome=build.failure())], number=1)
    assert problems(store, run_of([first, second], ok=1, failed=1)) == []


def test_parts_of_other_runs_are_not_read(store, build, publish, run_of):
    """However many there are, and in whatever state."""
    name = publish([build.record("a", 1)])
    other = publish([build.record("b", 1)], run_id="20261123T014500Z-other0")
    store.path(other).write_bytes(b"torn")
    assert problems(store, run_of([name], planned=1, ok=1)) == []


@pytest.mark.parametrize("column", ["item_id", "description", "latency_s"])
def test_a_flipped_bit_is_found_in_any_column(store, build, publish, run_of, column):
    """Also in one that nobody sums up; the problem names the part and the way out."""
    name = publish([build.record(f"item{number}", number) for number in range(200)])
    path = store.path(name)
    group = pq.read_metadata(path).row_group(0)
    columns = [group.column(number) for number in range(group.num_columns)]
    page = next(one for one in columns if one.path_in_schema == column)
    content = bytearray(path.read_bytes())
    content[page.dictionary_page_offset + page.total_compressed_size - 1] ^= 1
    path.chmod(0o600)
    path.write_bytes(content)
    (problem,) = problems(store, run_of([name], planned=200, ok=200))
    assert problem.startswith(f"{name} cannot be read: ")
    assert problem.endswith("restore it from a copy; `mediascribe verify` says more")


@pytest.mark.parametrize("damage", [b"", b"PAR1 no parquet PAR1"])
def test_what_is_no_part_is_found(store, build, publish, run_of, damage):
    """Cut to nothing, or something else."""
    name = publish([build.record("a", 1)])
    store.path(name).chmod(0o600)
    store.path(name).write_bytes(damage)
    assert "cannot be read" in problems(store, run_of([name], planned=1, ok=1))[0]


def test_a_lost_part_is_found(store, run_of):
    """It was there when the run file was written."""
    name = "results/v1/date=2026-11-23/lost.parquet"
    assert problems(store, run_of([name], planned=1, ok=1))[0].startswith(f"{name} cannot be read")


def test_rows_that_stand_twice_are_found(store, build, publish, run_of):
    """By their number, or by their item."""
    again = publish([build.record("a", 1), build.record("b", 1)])
    assert "1 rows repeat" in problems(store, run_of([again], ok=2))[0]
    other = publish([build.record("a", 1), build.record("a", 2)], number=1)
    assert "1 rows repeat" in problems(store, run_of([other], ok=2))[0]


def test_counts_that_differ_are_found(store, build, publish, run_of):
    """One row of another status, one row less than planned."""
    name = publish([build.record("a", 1)])
    (problem,) = problems(store, run_of([name], planned=1, failed=1))
    assert problem.startswith("the run file says 1 rows")
    assert problems(store, run_of([name], planned=2, ok=1)) == [
        "1 of 2 planned rows have a result; `mediascribe verify` says more"
    ]


def test_a_run_that_was_stopped_may_lack_rows(store, build, publish, run_of):
    """Also all of them."""
    name = publish([build.record("a", 1)])
    assert problems(store, run_of([name], planned=9, stopped="so", ok=1)) == []
    assert problems(store, run_of([], planned=9, stopped="so")) == []
