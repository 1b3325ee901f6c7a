"""How large a picture is, by its header alone.

Rules of this file:

- Nothing is decoded, and nothing of what a header claims is allocated. Pillow is not asked: it opens no WebP and no
  AVIF of which only the head is there, allocates the canvas of a WebP, decodes a PNG to reach its EXIF, and warns
  through a switch that all threads share. The tests hold these sizes against Pillow's.
- Sizes are as shown: EXIF's orientation is applied, as `exif_transpose` does.
- None: the header is not all there, or it is none. No loop here ends by itself: a `Glimpse` ends them all.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Final

from mediascribe.media import boxes
from mediascribe.media.glimpse import Told

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from mediascribe.media.glimpse import Glimpse

_TAGS: Final = 10_000  # no more are read
_FRAMES: Final = 1_000  # no more are counted
_WIDTH, _HEIGHT, _ORIENTATION = 256, 257, 274  # tags of TIFF and EXIF
_LYING: Final = frozenset({5, 6, 7, 8})  # orientations that swap width and height
_SIZES: Final = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}  # markers of JPEG with a size
_ALONE: Final = frozenset({0x01, *range(0xD0, 0xD9)})  # markers of JPEG without a length


def told(glimpse: Glimpse, mime: str) -> Told | None:
    """What the header of a picture of type *mime* tells."""
    parser = _PARSERS.get(mime)
    if parser is None:  # a type that nobody takes: its size would help nobody
        return Told()
    try:
        found = parser(glimpse)
    except (struct.error, IndexError):
        return None
    return found if found and found.width and found.height else None


def _jpeg(glimpse: Glimpse) -> Told | None:
    """The size stands in the frame header, behind EXIF, colour profile and whatever else there is."""
    at, orientation = 2, None
    while True:
        head = glimpse.at(at, 4)
        if head[0] != 0xFF or head[1] == 0xFF or head[1] in _ALONE:  # noqa: PLR2004 - a marker begins so
            at += 2 if head[0] == 0xFF and head[1] in _ALONE else 1  # noqa: PLR2004 - likewise
            continue
        length = int.from_bytes(head[2:4], "big")
        if head[1] in {0xD9, 0xDA} or len(head) < 4 or length < 2:  # noqa: PLR2004 - the end, the pixels, or broken
            return None
        if head[1] in _SIZES:
            height, width = struct.unpack(">HH", glimpse.at(at + 5, 4))
            return _shown(width, height, orientation)
        if head[1] == 0xE1 and glimpse.at(at + 4, 6) == b"Exif\0\0":  # noqa: PLR2004 - APP1
            orientation = orientation or _orientation(glimpse, at + 10)
        at += 2 + length
    return None


def _png(glimpse: Glimpse) -> Told | None:
    name, width, height = struct.unpack(">4sII", glimpse.at(12, 12))
    frames = orientation = None
    for kind, at in _png_chunks(glimpse) if name == b"IHDR" else ():
        if kind == b"acTL":
            frames = int.from_bytes(glimpse.at(at, 4), "big")
        if kind == b"eXIf":
            orientation = _orientation(glimpse, at)
    return _shown(width, height, orientation, frames) if name == b"IHDR" else None


def _png_chunks(glimpse: Glimpse) -> Iterator[tuple[bytes, int]]:
    """Kind and start of what stands before the pixels, as far as it is there."""
    at = 33
    while True:
        head = glimpse.at(at, 8)
        if len(head) < 8 or head[4:] in {b"IDAT", b"IEND"}:  # noqa: PLR2004 - length and kind
            return
        length = int.from_bytes(head[:4], "big")
        yield head[4:], at + 8
        at += 12 + length


def _gif(glimpse: Glimpse) -> Told:
    head = glimpse.at(0, 13)
    width, height = struct.unpack_from("<HH", head, 6)
    return _shown(width, height, None, _gif_frames(glimpse, 13 + _palette(head[10])))


def _gif_frames(glimpse: Glimpse, at: int) -> int:
    """How many frames there are to see, skipped block by block."""
    frames, inside = 0, False
    while True:
        mark = glimpse.at(at, 1)
        if inside and mark:
            at, inside = at + 1 + mark[0], mark[0] > 0
        elif mark == b"!":
            at, inside = at + 2, True
        elif mark == b"," and frames < _FRAMES and len(head := glimpse.at(at, 10)) == 10:  # noqa: PLR2004 - its header
            frames, at, inside = frames + 1, at + 11 + _palette(head[9]), True
        else:
            break
    return frames


def _palette(flags: int) -> int:
    return 3 << (flags & 7) + 1 if flags & 0x80 else 0


def _bmp(glimpse: Glimpse) -> Told:
    head = glimpse.at(0, 26)
    if head[14] == 12:  # noqa: PLR2004 - the length of the oldest header
        return _shown(*struct.unpack_from("<HH", head, 18))
    width, height = struct.unpack_from("<ii", head, 18)
    return _shown(width, abs(height))  # a negative height: from the top down


def _tiff(glimpse: Glimpse) -> Told | None:
    tags = _tags(glimpse, 0)
    return _shown(tags.get(_WIDTH, 0), tags.get(_HEIGHT, 0), tags.get(_ORIENTATION))


def _webp(glimpse: Glimpse) -> Told | None:
    head = glimpse.at(12, 18)
    if head[:4] == b"VP8X":
        return _extended(glimpse, head[8], *(1 + int.from_bytes(head[at : at + 3], "little") for at in (12, 15)))
    if head[:4] == b"VP8L" and head[8] == 0x2F:  # noqa: PLR2004 - its signature
        bits = int.from_bytes(head[9:13], "little")
        return _shown(1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF))
    if head[:4] == b"VP8 " and head[11:14] == b"\x9d\x01\x2a":
        return _shown(*(side & 0x3FFF for side in struct.unpack("<HH", head[14:18])))
    return None


def _extended(glimpse: Glimpse, flags: int, width: int, height: int) -> Told:
    """A WebP with a canvas: its frames and its EXIF stand among its chunks."""
    frames = orientation = None
    at = 30
    while flags & 0x0A:  # animation, EXIF
        head = glimpse.at(at, 8)
        if len(head) < 8:  # noqa: PLR2004 - kind and length
            break
        if head[:4] == b"ANMF":
            frames = (frames or 0) + 1
        if head[:4] == b"EXIF":
            orientation = _orientation(glimpse, at + 8 + 6 * (glimpse.at(at + 8, 6) == b"Exif\0\0"))
        length = int.from_bytes(head[4:], "little")
        at += 8 + length + length % 2
    return _shown(width, height, orientation, frames)


def _orientation(glimpse: Glimpse, start: int) -> int | None:
    """EXIF's orientation; None: it has none, or is broken, which is no fault of the picture."""
    try:
        return _tags(glimpse, start).get(_ORIENTATION)
    except (struct.error, IndexError):
        return None


def _tags(glimpse: Glimpse, start: int) -> dict[int, int]:
    """The whole numbers of the first directory of a TIFF, or of EXIF, at *start*."""
    head = glimpse.at(start, 16)
    order = "<" if head[:2] == b"II" else ">"
    if struct.unpack_from(f"{order}H", head, 2)[0] == 43:  # noqa: PLR2004 - BigTIFF
        place, entry, count = start + struct.unpack_from(f"{order}Q", head, 8)[0], f"{order}HHQ8s", f"{order}Q"
    else:
        place, entry, count = start + struct.unpack_from(f"{order}I", head, 4)[0], f"{order}HHI4s", f"{order}H"
    first, size = place + struct.calcsize(count), struct.calcsize(entry)
    entries = glimpse.at(first, size * min(_TAGS, struct.unpack(count, glimpse.at(place, struct.calcsize(count)))[0]))
    whole = entries[: len(entries) // size * size]
    forms = {3: f"{order}H", 4: f"{order}I"}  # types with a place for one number
    return {
        tag: struct.unpack_from(forms[form], value)[0]
        for tag, form, _, value in struct.iter_unpack(entry, whole)
        if form in forms
    }


def _shown(width: int, height: int, orientation: int | None = None, frames: int | None = None) -> Told:
    if orientation in _LYING:
        width, height = height, width
    return Told(width=width, height=height, frames=frames if frames and frames > 1 else None)


_PARSERS: Final[dict[str, Callable[[Glimpse], Told | None]]] = {
    "image/jpeg": _jpeg,
    "image/png": _png,
    "image/gif": _gif,
    "image/bmp": _bmp,
    "image/tiff": _tiff,
    "image/webp": _webp,
    "image/heic": boxes.still,
    "image/heif": boxes.still,
    "image/avif": boxes.still,
}
