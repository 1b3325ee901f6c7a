"""The journal keeps what it was given, up to the first bad line, whatever happens to it."""

import os
import resource
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mediascribe import journal
from mediascribe.journal import Answered, GaveUp, Journal, Sent, Unanswered
from mediascribe.wire import Answer

ENTRIES = [
    Sent(row=1, key="k1", at=1.5),
    Answered(
        row=1, at=2.0, latency_s=0.5, status=200, headers={"content-type": "application/json"}, text='{"a": "é\\n"}'
    ),
    Sent(row=2, key="k2", at=2.5),
    Unanswered(row=2, at=3.0, error_class="network", message="the connection broke", in_doubt=True),
    GaveUp(row=2, at=3.5),
]


def written(folder, entries=ENTRIES):
    with Journal(folder) as log:
        for entry in entries:
            log.append(entry)
        return log.path


def read(folder):
    return [entry for entries in journal.replay(folder).rows.values() for entry in entries]


def test_replay_gives_back_what_was_appended(tmp_path):
    """Every kind of entry comes back equal, grouped by row, in order."""
    written(tmp_path)
    assert journal.replay(tmp_path).rows == {1: ENTRIES[:2], 2: ENTRIES[2:]}
    assert journal.replay(tmp_path).torn == ()


def test_a_missing_folder_is_an_empty_journal(tmp_path):
    """A shard that was never begun has nothing to replay."""
    assert journal.replay(tmp_path / "none").rows == {}


def test_an_empty_segment_leaves_no_file(tmp_path):
    """A journal that was opened and not used leaves nothing behind."""
    assert not written(tmp_path, []).exists()


def test_each_opening_starts_a_new_segment(tmp_path):
    """Two processes in turn write two files, replayed in the order of their opening."""
    first, second = written(tmp_path, ENTRIES[:1]), written(tmp_path, ENTRIES[1:])
    assert [first, second] == journal.segments(tmp_path)
    assert read(tmp_path) == ENTRIES


def test_only_the_owner_may_read_a_segment(tmp_path):
    """Answers are quoted in full, so the files are private."""
    assert written(tmp_path / "j").stat().st_mode & 0o777 == 0o600
    assert (tmp_path / "j").stat().st_mode & 0o777 == 0o700


@given(cut=st.integers(0, 700))
def test_a_torn_tail_costs_only_the_torn_entry(tmp_path_factory, cut):
    """Cut at any byte, the whole entries before it are read and the rest is reported."""
    folder = tmp_path_factory.mktemp("journal")
    path = written(folder)
    whole = path.read_bytes()
    path.write_bytes(whole[:cut])
    found = journal.replay(folder)
    assert read(folder) == ENTRIES[: whole[:cut].count(b"\n")]
    kept = whole[:cut].rfind(b"\n") + 1
    assert bool(found.torn) == (kept < len(whole[:cut]))


@given(place=st.integers(0, 700), bit=st.integers(0, 7))
def test_a_flipped_bit_is_never_believed(tmp_path_factory, place, bit):
    """Whatever bit flips, replay gives a prefix of what was written, and says what it left out."""
    folder = tmp_path_factory.mktemp("journal")
    path = written(folder)
    damaged = bytearray(path.read_bytes())
    place %= len(damaged)
    damaged[place] ^= 1 << bit
    path.write_bytes(damaged)
    line = bytes(damaged)[:place].count(b"\n")
    assert read(folder)[:line] == ENTRIES[:line]
    assert len(read(folder)) <= line
    assert len(journal.replay(folder).torn) == 1


def test_a_tail_of_zeros_is_left_out(tmp_path):
    """A file system that lost the last pages shows zeros, which are no entry."""
    with written(tmp_path).open("ab") as file:
        file.write(bytes(4096))
    assert read(tmp_path) == ENTRIES
    assert "4,096 bytes" in journal.replay(tmp_path).torn[0]


def test_a_checksum_over_something_else_is_no_entry(tmp_path):
    """A line with a right checksum that is none of ours ends the segment."""
    path = written(tmp_path, [])
    path.write_bytes(b"%08x {}\n" % zlib.crc32(b"{}"))
    assert read(tmp_path) == []
    assert len(journal.replay(tmp_path).torn) == 1


def test_a_full_disk_leaves_no_half_entry(tmp_path):
    """A write that fails half way is cut back, the entries before it stay, and later ones may follow."""
    log = Journal(tmp_path)
    log.append(ENTRIES[0])
    size = log.path.stat().st_size
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size + 20, hard))
    try:
        with pytest.raises(OSError, match="too large"):
            log.append(ENTRIES[1])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert log.path.stat().st_size == size
    log.append(ENTRIES[2])
    log.close()
    assert read(tmp_path) == [ENTRIES[0], ENTRIES[2]]


def test_one_entry_is_one_write(tmp_path, monkeypatch):
    """Nothing is buffered: each entry reaches the system by itself, whole."""
    writes = []
    real = os.write
    monkeypatch.setattr(os, "write", lambda fd, line: writes.append(line) or real(fd, line))
    written(tmp_path)
    assert [line.endswith(b"\n") for line in writes] == [True] * len(ENTRIES)


def test_sync_is_remembered_until_the_next_entry(tmp_path):
    """`is_synced` says whether a power loss could take anything."""
    with Journal(tmp_path) as log:
        assert log.is_synced
        log.append(ENTRIES[0])
        assert not log.is_synced
        log.sync()
        assert log.is_synced


def test_a_body_that_is_no_text_survives(tmp_path):
    """An answer in another encoding comes back byte for byte."""
    answer = Answer(status=200, headers={}, body=b'{"a": "\xe9"}')
    written(tmp_path, [Answered.of(1, answer, at=1.0, latency_s=0.1)])
    (entry,) = read(tmp_path)
    assert entry.answer == answer
