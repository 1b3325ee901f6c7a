"""Journal: one shard's attempts and received answers, on disk before anything else happens to them.

Rules of this file:

- A line is 8 hex digits of CRC-32, a space, one JSON entry, a newline: `cut -c10-` gives plain JSON lines.
- One entry is one unbuffered `write`: a killed process loses nothing that it had received. `sync` makes it safe
  against power loss; whoever owns the journal calls it at most a second after the first unsynced entry.
- Each opening starts a new segment, so that a torn tail can only stand at the end of a file. Replay takes each segment
  up to its first bad line, and says what it left.
- A write that fails leaves no half line: the segment is cut back to its last whole entry.
- A write that finds the disk full, or its quota used up, frees the ballast, says so, and is tried once more. One that
  meets the limit on a file's size goes into a new segment: a ballast cannot help there, and nothing need stop.
"""

from __future__ import annotations

import errno
import os
import zlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Literal, Self

import msgspec

from mediascribe.ballast import FULL
from mediascribe.wire import Answer

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping
    from pathlib import Path

    from mediascribe.ballast import Ballast
    from mediascribe.domain import Shard

Cause = Literal["fallback", "longer", "repaired"]
_HEAD_LENGTH: Final = 9


class Sent(msgspec.Struct, frozen=True, kw_only=True, tag="sent"):
    """The next attempt for *row* is about to leave. Times are UTC, seconds since 1970.

    It may cost *nano_usd* and *tokens*, at most: that much counts as spent if its end is never known.
    """

    row: int
    key: str
    at: float
    nano_usd: int = 0
    tokens: int = 0


class Answered(msgspec.Struct, frozen=True, kw_only=True, tag="answered"):
    """An HTTP answer arrived whole: raw body, and the headers that matter."""

    row: int
    at: float
    latency_s: float
    status: int
    headers: dict[str, str]
    text: str | None = None
    binary: bytes | None = None

    @classmethod
    def of(cls, row: int, answer: Answer, *, at: float, latency_s: float) -> Self:
        """The entry for *answer*; a body that is no UTF-8 goes as base64."""
        try:
            text, binary = answer.body.decode(), None
        except UnicodeDecodeError:
            text, binary = None, answer.body
        headers = dict(answer.headers)
        return cls(row=row, at=at, latency_s=latency_s, status=answer.status, headers=headers, text=text, binary=binary)

    @property
    def answer(self) -> Answer:
        """The answer as it came."""
        body = self.text.encode() if self.text is not None else self.binary or b""
        return Answer(status=self.status, headers=self.headers, body=body)


class Unanswered(msgspec.Struct, frozen=True, kw_only=True, tag="unanswered"):
    """The attempt ended without a whole answer; *in_doubt* says that it may have been billed."""

    row: int
    at: float
    error_class: str
    message: str
    in_doubt: bool


class Excused(msgspec.Struct, frozen=True, kw_only=True, tag="excused"):
    """The gateway was down: the attempt before this costs the row none of its own."""

    row: int
    at: float


class GaveUp(msgspec.Struct, frozen=True, kw_only=True, tag="gave_up"):
    """The row will not be tried again: what its last attempt met is its result."""

    row: int
    at: float


class Again(msgspec.Struct, frozen=True, kw_only=True, tag="again"):
    """The row's outcome so far is not good enough, and it is asked a second question, which stands here whole."""

    row: int
    at: float
    cause: Cause
    model: str
    dialect: str
    prompt: str
    parameters: dict[str, Any]


class Split(msgspec.Struct, frozen=True, kw_only=True, tag="split"):
    """The row is asked in pieces: of each the first second and the last. They have numbers of their own."""

    row: int
    at: float
    seconds: list[tuple[float, float]]


Entry = Sent | Answered | Unanswered | Excused | GaveUp | Again | Split

_encoder = msgspec.json.Encoder()
_decoder: msgspec.json.Decoder[Entry] = msgspec.json.Decoder(Entry)


class Journal:
    """The open segment of one shard. Not safe for threads, but for `sync`."""

    def __init__(
        self, folder: Path, *, ballast: Ballast | None = None, on_full: Callable[[OSError], None] | None = None
    ) -> None:
        """Open a new segment in *folder*, which is created with mode 0700 (the entries quote answers in full).

        *on_full* hears of every write that found the disk full, once *ballast* is freed and before it is tried again:
        it stops the sending, so that what is in flight has room to land.
        """
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._folder, self._ballast, self._on_full = folder, ballast, on_full
        self._full: list[int] = []
        self._written = self._synced = 0
        self._open_segment()

    def append(self, entry: Entry) -> None:
        """Write *entry*, whole or not at all.

        Raises:
            OSError: the disk is full, ballast and all, or broken; the segment ends at the entry before.
        """
        line = _line(entry)
        try:
            self._write(line)
        except OSError as error:
            self._make_room(error)
            self._write(line)
        self._size += len(line)
        self._written += len(line)

    @property
    def is_synced(self) -> bool:
        """Whether every entry is safe against power loss."""
        return self._synced == self._written

    def sync(self) -> None:
        """Make the entries so far safe against power loss. May be called from another thread."""
        written = self._written  # read before the descriptor: a segment is synced before it is left
        os.fdatasync(self._fd)
        self._synced = written

    def close(self) -> None:
        """Sync and close; an empty segment is removed."""
        if not self._size:
            self.path.unlink()
        elif not self.is_synced:
            self.sync()
        for descriptor in (*self._full, self._fd):
            os.close(descriptor)

    def _open_segment(self) -> None:
        number = 1 + max((int(path.stem) for path in segments(self._folder)), default=0)
        self.path = self._folder / f"{number:06d}.jsonl"
        self._fd = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND, 0o600)
        self._size = 0

    def _write(self, line: bytes) -> None:
        try:
            written = os.write(self._fd, line)
            while written < len(line):
                written += os.write(self._fd, line[written:])
        except OSError:
            os.ftruncate(self._fd, self._size)
            raise

    def _make_room(self, error: OSError) -> None:
        """Do what can be done about *error* before the write is tried once more, or raise it."""
        if error.errno == errno.EFBIG and self._size:
            os.fdatasync(self._fd)
            self._full.append(self._fd)  # closed at the end: another thread may be syncing it
            self._open_segment()
        elif error.errno in FULL and self._ballast:
            self._ballast.free()
            if self._on_full:
                self._on_full(error)
        else:
            raise error

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


@dataclass(frozen=True, slots=True, kw_only=True)
class Replay:
    """What a shard's segments hold: each row's entries in order, and one line for each tail that was left out."""

    rows: Mapping[int, list[Entry]] = field(default_factory=dict)
    torn: tuple[str, ...] = ()


def replay(folder: Path) -> Replay:
    """Read all segments of *folder*, each up to its first bad line. A missing folder is an empty journal."""
    rows: dict[int, list[Entry]] = {}
    torn = []
    for path in segments(folder):
        read = 0
        for length, entry in _entries(path):
            rows.setdefault(entry.row, []).append(entry)
            read += length
        if lost := path.stat().st_size - read:
            torn.append(f"{path}: {lost:,} bytes after byte {read:,} are no whole entry; left out")
    return Replay(rows=rows, torn=tuple(torn))


def place(work: Path, shard: Shard) -> Path:
    """The folder of *shard*'s journal in the folder *work*."""
    return work / "journal" / shard.run_id / f"{shard.number:05d}"


def segments(folder: Path) -> list[Path]:
    """The segments of *folder*, oldest first."""
    return sorted(folder.glob("*.jsonl"))


def drop_rows(folder: Path, rows: Collection[int]) -> int:
    """Write the segments of *folder* anew without the entries of *rows*, and give how many entries that took out.

    Each segment changes whole or not at all. What `replay` leaves out goes as well: it may be of any row.
    """
    dropped = 0
    for path in segments(folder):
        entries = [entry for _, entry in _entries(path)]
        kept = [entry for entry in entries if entry.row not in rows]
        partial = path.with_suffix(".partial")
        with os.fdopen(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as lines:
            lines.writelines(map(_line, kept))
            lines.flush()
            os.fsync(lines.fileno())
        partial.replace(path)
        dropped += len(entries) - len(kept)
    return dropped


def _line(entry: Entry) -> bytes:
    body = _encoder.encode(entry)
    return b"%08x %b\n" % (zlib.crc32(body), body)


def _entries(path: Path) -> Iterator[tuple[int, Entry]]:
    """Each entry with the bytes that it takes, up to the first bad line."""
    with path.open("rb") as lines:
        for line in lines:
            head, body = line[:_HEAD_LENGTH], line[_HEAD_LENGTH:-1]
            if line[-1:] != b"\n" or head != b"%08x " % zlib.crc32(body):
                return
            try:
                entry = _decoder.decode(body)
            except (msgspec.DecodeError, UnicodeDecodeError):
                return
            yield len(line), entry
