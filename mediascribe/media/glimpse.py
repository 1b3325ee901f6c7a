"""The bytes of a medium as far as they can be seen: some of the beginning, all of them, or ranges read when wanted.

Rules of this file:

- What lies outside is no error: less comes back, and the first such place is noted in `missing`. Nor is a range that
  cannot be read: it is noted in `failure`, for a library would lose it or wrap it; nothing is read after that.
- Whoever looks too often, or reads too much, sees no more: so no parser of hostile bytes runs long.
- A `Glimpse` is a file for whoever wants one (`read`, `seek`, `tell`), and gives bytes by place for parsers (`at`).
"""

from __future__ import annotations

import io
import sys
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from mediascribe.errors import MediaError

if TYPE_CHECKING:
    from collections.abc import Callable

LOOKS: Final = 100_000  # a tenth of a second
READ_BYTES: Final = 2**22  # less than a second of the smallest chunks that a demuxer steps over
BLOCK_BYTES: Final = 2**18
BLOCKS: Final = 24  # 6 MiB of a medium, and 24 requests, tell its length or nothing does
RANGES_S: Final = 60.0  # hosts may be slow


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """What a header tells of its medium; None: nothing. `film` and `sound` say whether it has such a track."""

    width: int | None = None
    height: int | None = None
    seconds: float | None = None
    frames: int | None = None
    film: bool | None = None
    sound: bool | None = None


@dataclass(slots=True)
class Glimpse:
    """*source* gives bytes by start and length, of a medium of *total_bytes*, None where that is not known.

    `missing` is the first place, and its length, that was wanted and did not come; `failure` why a range did not.
    `patience_s` is how long a library may take over it.
    """

    source: Callable[[int, int], bytes]
    total_bytes: int | None
    patience_s: float = 5.0
    missing: tuple[int, int] | None = None
    failure: MediaError | None = None
    _place: int = 0
    _looks: int = 0
    _read: int = 0

    @property
    def end(self) -> int:
        """Behind the last byte of the medium, or as far as a number goes."""
        return sys.maxsize if self.total_bytes is None else self.total_bytes

    def at(self, start: int, length: int) -> bytes:
        """The *length* bytes from *start*, or as many of them as there are to see."""
        length = min(length, self.end - start)
        self._looks += 1
        if start < 0 or length <= 0 or self._looks > LOOKS:
            return b""
        seen = b"" if self.failure else self._seen(start, length)
        if len(seen) < length and self.missing is None:
            self.missing = (start + len(seen), length - len(seen))
        return seen

    def _seen(self, start: int, length: int) -> bytes:
        try:
            return self.source(start, length)
        except MediaError as error:
            self.failure = error
            return b""

    def read(self, length: int) -> bytes:
        """The next *length* bytes, or as many of them as there are to see."""
        if self._read >= READ_BYTES:
            self.missing = self.missing or (self._place, length)
            return b""
        seen = self.at(self._place, length)
        self._place += len(seen)
        self._read += len(seen)
        return seen

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Go to *offset*, counted as files count it."""
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._place, io.SEEK_END: self.end}[whence]
        self._place = base + offset
        return self._place

    def tell(self) -> int:
        """Where the next byte comes from."""
        return self._place

    def seekable(self) -> bool:
        """Whether the end is known: what counts from there would go wrong."""
        return self.total_bytes is not None


def of_bytes(content: bytes, total_bytes: int | None) -> Glimpse:
    """The glimpse of *content*, the beginning of a medium of *total_bytes*."""
    return Glimpse(lambda start, length: content[start : start + length], total_bytes)


def of_ranges(read: Callable[[int, int], bytes], total_bytes: int) -> Glimpse:
    """The glimpse of a medium whose ranges *read* gives by start and length; no more than `BLOCKS` of them are read."""
    return Glimpse(_Blocks(read, total_bytes).at, total_bytes, patience_s=RANGES_S)


@dataclass(slots=True)
class _Blocks:
    """Ranges of a medium, each read once."""

    read: Callable[[int, int], bytes]
    total_bytes: int
    seen: dict[int, bytes] = field(default_factory=dict)

    def at(self, start: int, length: int) -> bytes:
        found = bytearray()
        while len(found) < length:
            number, skip = divmod(start + len(found), BLOCK_BYTES)
            piece = self._block(number)[skip : skip + length - len(found)]
            if not piece:
                break
            found += piece
        return bytes(found)

    def _block(self, number: int) -> bytes:
        if number not in self.seen and len(self.seen) < BLOCKS:
            first = number * BLOCK_BYTES
            wanted = min(BLOCK_BYTES, self.total_bytes - first)
            self.seen[number] = self.read(first, wanted)[:wanted]
        return self.seen.get(number, b"")
