"""What the boxes of MP4, QuickTime and 3GP (ISO/IEC 14496-12), of HEIC and AVIF (23008-12) tell.

Read here and not with PyAV, which cannot say how a film is turned without decoding a frame, opens no file whose index
is cut, reads the whole index of a long film for its length, and knows no HEIC by its head. Boxes are skipped by their
lengths, so of an index at the end only a few bytes are read. None: the box that tells is not there.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from mediascribe.media.glimpse import Told

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mediascribe.media.glimpse import Glimpse

_LINKS: Final = 10_000  # no more are read
_HEAD: Final = 8
_LONG_HEAD: Final = 16
_LENGTH: Final = {False: ((12, 4), (16, 4)), True: ((20, 4), (24, 8))}  # by version: time scale, length


@dataclass(frozen=True, slots=True)
class _Box:
    """A box: its kind, and from where to where its content goes."""

    kind: bytes
    start: int
    end: int


def film(glimpse: Glimpse) -> Told | None:
    """Length, size as shown and tracks, as its index (`moov`) has them."""
    index = _first(glimpse, b"moov", 0, glimpse.end)
    if index is None:
        return None
    seconds: float | None = None
    sizes: dict[bytes, tuple[int, int]] = {}  # of the first track of each kind
    for box in _boxes(glimpse, index.start, index.end):
        if box.kind == b"mvhd":
            seconds = _seconds(glimpse, box, index)
        elif box.kind == b"trak":
            kind, size = _track(glimpse, box)
            sizes.setdefault(kind, size)
    width, height = sizes.get(b"vide", (0, 0))
    cut = glimpse.missing is not None  # then what is not there may come
    return Told(
        width=width or None,
        height=height or None,
        seconds=seconds,
        film=b"vide" in sizes or (None if cut else False),
        sound=b"soun" in sizes or (None if cut else False),
    )


def _seconds(glimpse: Glimpse, header: _Box, index: _Box) -> float | None:
    """What `mvhd` says, or `mehd` of a film in fragments; None: 0 or all ones, which stand for unknown."""
    wide = glimpse.at(header.start, 1) == b"\1"
    per_s, length = (_number(glimpse, header.start + at, size) for at, size in _LENGTH[wide])
    if not length and (more := _first(glimpse, b"mvex", index.start, index.end)):
        whole = _first(glimpse, b"mehd", more.start, more.end)
        length = _number(glimpse, whole.start + 4, 8 if glimpse.at(whole.start, 1) == b"\1" else 4) if whole else 0
    unknown = length in {0, 2**32 - 1, 2**64 - 1} or not per_s
    return None if unknown else length / per_s


def _track(glimpse: Glimpse, track: _Box) -> tuple[bytes, tuple[int, int]]:
    """The kind of a track, and the size in pixels in which it is shown."""
    kind, size = b"", (0, 0)
    for box in _boxes(glimpse, track.start, track.end):
        if box.kind == b"tkhd":
            skip = 52 if glimpse.at(box.start, 1) == b"\1" else 40
            across, down, width, height = (_number(glimpse, box.start + skip + at, 4) for at in (0, 4, 36, 40))
            size = (width >> 16, height >> 16)
            if across == 0 and down != 0:  # turned by a quarter
                size = size[::-1]
        elif box.kind == b"mdia" and (of := _first(glimpse, b"hdlr", box.start, box.end)):
            kind = glimpse.at(of.start + 8, 4)
    return kind, size


def _number(glimpse: Glimpse, start: int, size: int) -> int:
    """The number at *start*; 0 where it is not there."""
    seen = glimpse.at(start, size)
    return int.from_bytes(seen, "big") if len(seen) == size else 0


def still(glimpse: Glimpse) -> Told | None:
    """The size as shown of the main picture of a HEIF file."""
    meta = _first(glimpse, b"meta", 0, glimpse.end)
    if meta is None:
        return None
    main, properties, links = None, [], {}
    for box in _boxes(glimpse, meta.start + 4, meta.end):
        if box.kind == b"pitm":
            main = int.from_bytes(glimpse.at(box.start + 4, 2 if glimpse.at(box.start, 1) == b"\0" else 4), "big")
        elif box.kind == b"iprp":
            for part in _boxes(glimpse, box.start, box.end):
                if part.kind == b"ipco":
                    properties = list(_boxes(glimpse, part.start, part.end))
                elif part.kind == b"ipma":
                    links = _links(glimpse.at(part.start, part.end - part.start))
    own = [properties[number - 1] for number in links.get(main or 0, ()) if 0 < number <= len(properties)]
    return _still(glimpse, own)


def _still(glimpse: Glimpse, properties: list[_Box]) -> Told | None:
    size, turned = None, False
    for box in properties:
        if box.kind == b"ispe":
            size = struct.unpack(">II", glimpse.at(box.start + 4, 8))
        elif box.kind == b"irot":
            turned = glimpse.at(box.start, 1)[0] % 2 == 1
    if size is None:
        return None
    width, height = reversed(size) if turned else size
    return Told(width=width, height=height)


def _links(content: bytes) -> dict[int, list[int]]:
    """The numbers of the properties of each item, from 1, as `ipma` has them."""
    wide_item, wide_number = content[0] > 0, content[3] & 1
    count, at = struct.unpack_from(">I", content, 4)[0], 8
    links = {}
    for _ in range(min(count, _LINKS)):
        item, size = struct.unpack_from(">IB" if wide_item else ">HB", content, at)
        at += 5 if wide_item else 3
        numbers = struct.unpack_from(f">{size}{'H' if wide_number else 'B'}", content, at)
        at += size * (2 if wide_number else 1)
        links[item] = [number & (0x7FFF if wide_number else 0x7F) for number in numbers]
    return links


def _first(glimpse: Glimpse, kind: bytes, start: int, end: int) -> _Box | None:
    return next((box for box in _boxes(glimpse, start, end) if box.kind == kind), None)


def _boxes(glimpse: Glimpse, start: int, end: int) -> Iterator[_Box]:
    """The boxes from *start* to *end*, as far as they can be seen."""
    while True:
        head = glimpse.at(start, min(_LONG_HEAD, end - start))
        if len(head) < _HEAD:
            return
        length, skip = int.from_bytes(head[:4], "big"), _HEAD
        if length == 1:
            length, skip = int.from_bytes(head[8:16], "big"), _LONG_HEAD
        elif length == 0:  # up to the end
            length = end - start
        if length < skip:
            return
        yield _Box(head[4:8], start + skip, min(start + length, end))
        start += length
