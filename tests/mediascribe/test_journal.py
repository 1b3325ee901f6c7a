"""The journal keeps what it was given, up to the first bad line, whatever happens to it."""

import contextlib
import errno
import os
import resource
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mediascribe import journal
from mediascribe.ballast import Ballast
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


@contextlib.contextmanager
def file_size_limit(limit_bytes):
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit_bytes, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_an_entry_beyond_the_file_size_limit_leaves_no_half_entry(tmp_path):
    """A write that fails half way, in a new segment too, is cut back; what stood stays, and later ones may follow."""
    log = Journal(tmp_path)
    log.append(ENTRIES[0])
    first, size = log.path, log.path.stat().st_size
    with file_size_limit(size + 20), pytest.raises(OSError, match="too large"):
        log.append(ENTRIES[1])
    assert first.stat().st_size == size
    log.append(ENTRIES[2])
    log.close()
    assert read(tmp_path) == [ENTRIES[0], ENTRIES[2]]
    assert journal.replay(tmp_path).torn == ()


def test_a_segment_at_the_file_size_limit_is_followed_by_another(tmp_path):
    """A limit on one file stops nothing: each entry that fits a file of its own gets one."""
    longest = max(map(len, written(tmp_path / "unlimited").read_bytes().splitlines(keepends=True)))
    with file_size_limit(longest + 20), Journal(tmp_path) as log:
        for entry in ENTRIES:
            log.append(entry)
        assert not log.is_synced
        log.sync()
        assert log.is_synced
    assert len(journal.segments(tmp_path)) > 1
    assert read(tmp_path) == ENTRIES
    assert journal.replay(tmp_path).torn == ()


@pytest.fixture
def full_disk(monkeypatch):
    """`full_disk(code, has_room)`: a disk that takes half of each write and no more, until `has_room()`."""
    real = os.write

    def install(code, has_room):
        def write(descriptor, line):
            if has_room():
                return real(descriptor, line)
            if len(line) > 60:
                return real(descriptor, line[:30])
            raise OSError(code, os.strerror(code))

        monkeypatch.setattr(os, "write", write)

    return install


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT])
def test_a_full_disk_takes_the_answer_all_the_same(tmp_path, full_disk, code):
    """The ballast is freed, the owner hears of it before the second try, and the entry is there, whole."""
    ballast = Ballast(tmp_path, 4096)
    ballast.lay()
    heard = []
    with Journal(tmp_path / "j", ballast=ballast, on_full=heard.append) as log:
        log.append(ENTRIES[0])
        full_disk(code, lambda: not ballast.path.exists())
        log.append(ENTRIES[1])
        log.append(ENTRIES[2])
    assert read(tmp_path / "j") == ENTRIES[:3]
    assert [error.errno for error in heard] == [code]


def test_a_disk_that_stays_full_is_an_error_and_no_half_entry(tmp_path):
    """Without a ballast, or when it was not enough, the entry fails and those before it stand."""
    for ballast in (None, Ballast(tmp_path, 4096)):
        folder = tmp_path / str(ballast is None)
        with Journal(folder, ballast=ballast) as log, pytest.MonkeyPatch.context() as patch:
            log.append(ENTRIES[0])
            patch.setattr(os, "write", _refuse)
            with pytest.raises(OSError, match="No space left"):
                log.append(ENTRIES[1])
        assert read(folder) == ENTRIES[:1]
        assert journal.replay(folder).torn == ()


def _refuse(*_):
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_another_error_of_the_disk_is_no_matter_of_room(tmp_path, monkeypatch):
    """A broken disk frees no ballast."""
    ballast = Ballast(tmp_path, 4096)
    ballast.lay()

    def broken(*_):
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    with Journal(tmp_path / "j", ballast=ballast) as log:
        monkeypatch.setattr(os, "write", broken)
        with pytest.raises(OSError, match="Input/output error"):
            log.append(ENTRIES[0])
    assert ballast.path.exists()


def test_rows_can_be_taken_out(tmp_path):
    """No entry of the rows is left in any segment, what was torn is gone, and the others stand as they were."""
    written(tmp_path, ENTRIES[:3])
    with written(tmp_path, ENTRIES[3:]).open("ab") as file:
        file.write(b"torn, and of row 2 perhaps")
    assert journal.drop_rows(tmp_path, {2}) == 3
    assert read(tmp_path) == ENTRIES[:2]
    assert journal.replay(tmp_path).torn == ()
    assert {path.stat().st_mode & 0o777 for path in tmp_path.iterdir()} == {0o600}
    assert journal.drop_rows(tmp_path / "none", {2}) == 0


def test_a_shard_has_a_folder_of_its_own(tmp_path, build):
    """The run's folder, and in it the shard's number."""
    shard = build.shard("20261123T014500Z-3fa9c1", 7)
    assert journal.place(tmp_path, shard) == tmp_path / "journal/20261123T014500Z-3fa9c1/00007"


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
