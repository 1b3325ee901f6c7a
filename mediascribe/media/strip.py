"""A picture's file without its metadata, its pixels untouched.

EXIF, GPS, XMP, ICC, previews, comments and whatever follows the picture are left out.

Rules of this file:

- What stays is listed, not what goes: segments and chunks without which the same pixels would not be shown.
- Pure bytes; nothing is decoded. A file whose structure is not as its format says gives None.
"""

from __future__ import annotations

import re
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

# The next marker behind entropy-coded data: neither a stuffed FF 00, nor a restart marker, nor a fill byte.
_JPEG_MARKER: Final = re.compile(rb"\xff[^\x00\xff\xd0-\xd7]")
_JPEG_END, _JPEG_SCAN, _JPEG_JFIF, _JPEG_ADOBE, _JPEG_COMMENT = 0xD9, 0xDA, 0xE0, 0xEE, 0xFE
_JPEG_STARTS: Final = b"\xff\xd8"
_JFIF_BYTES: Final = 14  # with no preview
_PNG_STARTS: Final = b"\x89PNG\r\n\x1a\n"
_PNG_KEPT: Final = frozenset({b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND"})
_WEBP_KEPT: Final = frozenset({b"VP8 ", b"VP8L", b"VP8X", b"ALPH"})
_WEBP_ALPHA: Final = 0x10


def stripped(content: bytes, mime: str) -> bytes | None:
    """*content* without metadata; None where it cannot be told apart from the picture."""
    strip = _BY_TYPE.get(mime)
    return strip(content) if strip else None


def _jpeg(content: bytes) -> bytes | None:
    """Tables, frames and scans as far as the end of the picture; of the application's own segments JFIF and Adobe's."""
    kept, at = [_JPEG_STARTS], 2
    while content[at : at + 1] == b"\xff" and at + 4 <= len(content):
        marker, end = content[at + 1], at + 2 + int.from_bytes(content[at + 2 : at + 4])
        if end > len(content):
            return None
        if marker == _JPEG_SCAN:
            found = _JPEG_MARKER.search(content, end)
            if found is None:
                return None
            end = found.start()
            if content[end + 1] == _JPEG_END:
                return b"".join((*kept, content[at : end + 2]))
        kept.append(_segment(marker, content[at:end]))
        at = end
    return None


def _segment(marker: int, segment: bytes) -> bytes:
    """*segment*, or what of it says how the pixels are to be read."""
    if marker == _JPEG_JFIF and segment[4:9] == b"JFIF\0":
        return segment[:2] + (_JFIF_BYTES + 2).to_bytes(2) + segment[4 : 2 + _JFIF_BYTES] + b"\0\0"
    if marker == _JPEG_ADOBE and segment[4:9] == b"Adobe":
        return segment
    return b"" if _JPEG_JFIF <= marker < _JPEG_JFIF + 16 or marker == _JPEG_COMMENT else segment


def _png(content: bytes) -> bytes | None:
    kept, at = [_PNG_STARTS], len(_PNG_STARTS)
    while at + 12 <= len(content):
        end = at + 12 + int.from_bytes(content[at : at + 4])
        name = content[at + 4 : at + 8]
        if name in _PNG_KEPT:
            kept.append(content[at:end])
        if name == b"IEND" and end <= len(content):
            return b"".join(kept)
        at = end
    return None


def _webp(content: bytes) -> bytes | None:
    """The picture's chunk alone; with one of its own for transparency, and then the extended head that this wants."""
    kept = {name: chunk for name, chunk in _chunks(content) if name in _WEBP_KEPT}
    picture = kept.get(b"VP8L") or kept.get(b"VP8 ")
    if picture is None:
        return None
    head, alpha = kept.get(b"VP8X", b""), kept.get(b"ALPH", b"")
    extended = head[:8] + bytes([_WEBP_ALPHA]) + head[9:] + alpha if head and alpha else b""
    body = b"WEBP" + extended + picture
    return b"RIFF" + len(body).to_bytes(4, "little") + body


def _chunks(content: bytes) -> Iterator[tuple[bytes, bytes]]:
    """The chunks of a RIFF file with their names, their heads and their padding; those that are whole."""
    at = 12
    while at + 8 <= len(content):
        size = int.from_bytes(content[at + 4 : at + 8], "little")
        end = at + 8 + size + size % 2
        if at + 8 + size <= len(content):
            yield content[at : at + 4], content[at:end].ljust(end - at, b"\0")
        at = end


_BY_TYPE: Final[Mapping[str, Callable[[bytes], bytes | None]]] = MappingProxyType(
    {"image/jpeg": _jpeg, "image/png": _png, "image/webp": _webp}
)
