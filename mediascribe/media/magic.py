"""What a medium is, by the first bytes that it has: never by its name, nor by what its host says.

Rules of this file:

- Pure and fast, and nothing but bytes: the first 64 KiB are enough, fewer do where the mark itself is there.
- A type is called by its registered name where it has one, else by the usual one.
- A container that may hold either is a film here; `look` sees whether there is a picture in it.
- What is no medium has no kind: a web page, an error in JSON or XML, a document, an archive.
"""

from __future__ import annotations

import re
import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

    from mediascribe.domain import MediaKind

_UNPACKED_BYTES: Final = 4096
_PACKET: Final = 188  # of an MPEG transport stream
_ID3_BYTES: Final = 10
_KBPS: Final = {  # by version (1, or 2 and 2.5) and layer of MPEG audio, in the order of the header's index
    (1, 1): (32, 64, 96, 128, 160, 192, 224, 256, 288, 320, 352, 384, 416, 448),
    (1, 2): (32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384),
    (1, 3): (32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
    (2, 1): (32, 48, 56, 64, 80, 96, 112, 128, 144, 160, 176, 192, 224, 256),
    (2, 2): (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
    (2, 3): (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
}
_HERTZ: Final = (44_100, 48_000, 32_000)  # of version 1; half of it in version 2, a quarter in 2.5


@dataclass(frozen=True, slots=True)
class Magic:
    """A type, and its kind of medium; no kind: no medium."""

    mime: str
    kind: MediaKind | None


def magic(head: bytes) -> Magic | None:
    """What begins with *head*; None: nothing that is known."""
    marked = next((found for mark, found in _MARKS if head.startswith(mark)), None)
    return marked or next((found for test in _TESTS if (found := test(head))), None)


def id3_bytes(head: bytes) -> int:
    """How long the ID3 tag is that *head* begins with; 0 without one."""
    if len(head) < _ID3_BYTES or not head.startswith(b"ID3") or max(head[6:10]) > 0x7F:  # noqa: PLR2004 - 7 bits each
        return 0
    size = head[6] << 21 | head[7] << 14 | head[8] << 7 | head[9]
    return _ID3_BYTES + size + (_ID3_BYTES if head[5] & 0x10 else 0)


def _riff(head: bytes) -> Magic | None:
    if head[:4] not in {b"RIFF", b"RF64", b"BW64"}:
        return None
    forms = {b"WAVE": _WAV, b"WEBP": Magic("image/webp", "image"), b"AVI ": Magic("video/x-msvideo", "video")}
    return forms.get(head[8:12])


def _iso(head: bytes) -> Magic | None:
    """MP4, its relatives, and HEIF: the brands decide, the major one first."""
    if head[4:8] != b"ftyp":
        old = head[4:8] in {b"moov", b"mdat", b"wide", b"pnot"} and head[:1] in {b"\0", b"\1"}
        return Magic("video/quicktime", "video") if old else None
    length = min(int.from_bytes(head[:4], "big"), 1024)
    brands = [head[8:12], *(head[at : at + 4] for at in range(16, min(length, len(head)), 4))]
    if brands[0] in _SOME_HEIF:
        brands.sort(key=_SOME_HEIF.__contains__)  # what is more exact first
    return next((_BRANDS[brand] for brand in brands if brand in _BRANDS), Magic("video/mp4", "video"))


def _matroska(head: bytes) -> Magic | None:
    if not head.startswith(b"\x1a\x45\xdf\xa3"):
        return None
    webm = b"\x42\x82\x84webm" in head[:128] or b"webm" in head[:64]
    return Magic("video/webm", "video") if webm else Magic("video/x-matroska", "video")


def _ogg(head: bytes) -> Magic | None:
    """A film where one of its first pages begins a picture stream."""
    if not head.startswith(b"OggS"):
        return None
    films = (b"\x80theora", b"BBCD\0", b"OVP80")
    return Magic("video/ogg", "video") if any(mark in head[:512] for mark in films) else Magic("audio/ogg", "audio")


def _windows(head: bytes) -> Magic | None:
    """WMV and WMA: whether it has a stream of pictures stands in its header."""
    if not head.startswith(bytes.fromhex("3026b2758e66cf11a6d900aa0062ce6c")):
        return None
    film, sound = (bytes.fromhex(f"{part}4d5bcf11a8fd00805f5c442b") in head for part in ("c0ef19bc", "409e69f8"))
    return Magic("audio/x-ms-wma", "audio") if sound and not film else Magic("video/x-ms-wmv", "video")


def _iff(head: bytes) -> Magic | None:
    aiff = head.startswith(b"FORM") and head[8:12] in {b"AIFF", b"AIFC"}
    return Magic("audio/aiff", "audio") if aiff else None


def _bitmap(head: bytes) -> Magic | None:
    fits = head.startswith(b"BM") and head[14:18] in {bytes([size, 0, 0, 0]) for size in (12, 40, 52, 56, 64, 108, 124)}
    return Magic("image/bmp", "image") if fits else None


def _transport(head: bytes) -> Magic | None:
    """A transport stream: a sync byte every 188 bytes, behind 4 bytes of time on discs."""
    for first, step in ((0, _PACKET), (4, _PACKET + 4)):
        marks = head[first : first + 4 * step : step]
        if len(marks) > 1 and marks.strip(b"G") == b"":
            return Magic("video/mp2t", "video")
    return None


def _tagged(head: bytes) -> Magic | None:
    """What stands behind an ID3 tag, nearly always MP3."""
    if not (skip := id3_bytes(head)):
        return None
    if head[skip : skip + 4] == b"fLaC":
        return _FLAC
    return _AAC if _adts_bytes(head[skip:]) else _MP3


def _mpeg_audio(head: bytes) -> Magic | None:
    """Bare frames: the second must follow where the first one ends, as far as *head* goes."""
    for length, found in ((_mp3_bytes, _MP3), (_adts_bytes, _AAC)):
        size = length(head)
        if size and (len(head) < size + 4 or length(head[size:])):
            return found
    return None


def _mp3_bytes(frame: bytes) -> int:
    """How long a frame of MPEG audio is; 0: it is none."""
    if len(frame) < 4 or frame[0] != 0xFF or frame[1] & 0xE0 != 0xE0:  # noqa: PLR2004 - the sync bits
        return 0
    version = {3: 1, 2: 2, 0: 4}.get(frame[1] >> 3 & 3)  # 4 stands for 2.5
    layer, rate, hertz = 4 - (frame[1] >> 1 & 3), frame[2] >> 4, frame[2] >> 2 & 3
    if version is None or layer == 4 or not 0 < rate < 15 or hertz == 3:  # noqa: PLR2004 - reserved values
        return 0
    bits, padding = _KBPS[min(version, 2), layer][rate - 1] * 1000, frame[2] >> 1 & 1
    per_s = _HERTZ[hertz] // version
    if layer == 1:
        return (12 * bits // per_s + padding) * 4
    return (72 if layer == 3 and version > 1 else 144) * bits // per_s + padding  # noqa: PLR2004 - layer III


def _adts_bytes(frame: bytes) -> int:
    """How long a frame of AAC is; 0: it is none."""
    if len(frame) < 7 or frame[0] != 0xFF or frame[1] & 0xF6 != 0xF0 or frame[2] >> 2 & 15 > 12:  # noqa: PLR2004 - sync
        return 0
    size = (frame[3] & 3) << 11 | frame[4] << 3 | frame[5] >> 5
    return size if size > 7 else 0  # noqa: PLR2004 - longer than its header


def _unpacked(head: bytes) -> Magic | None:
    """What a web server left packed: a page is a page all the same."""
    if not head.startswith(b"\x1f\x8b\x08"):
        return None
    try:
        inside = zlib.decompressobj(wbits=31).decompress(head, _UNPACKED_BYTES)
    except zlib.error:
        inside = b""
    found = None if inside.startswith(b"\x1f\x8b") else _text(inside)
    return Magic("application/gzip", None) if found in {None, _PLAIN} else found


def _text(head: bytes) -> Magic | None:
    """A page, a drawing, an error body, or plain words."""
    if (text := _decoded(head)) is None:
        return None
    start = _PROLOG.sub("", text[: _UNPACKED_BYTES * 4], count=1)
    for pattern, found in _TEXTS:
        if pattern.match(start):
            return found
    return _XML if text.lstrip().startswith("<?xml") else _PLAIN


def _decoded(head: bytes) -> str | None:
    """*head* as text; None: it is none."""
    encoding = "utf-16" if head[:2] in {b"\xff\xfe", b"\xfe\xff"} else "utf-8-sig"
    try:
        text = head[: len(head) // 2 * 2].decode("utf-16") if encoding == "utf-16" else _whole_letters(head)
    except UnicodeDecodeError:
        text = head.decode("latin-1") if _TAG.match(head) else "\0"  # a page in another encoding is still a page
    return None if not text.strip() or _CONTROL.search(text[:_UNPACKED_BYTES]) else text


def _whole_letters(head: bytes) -> str:
    """*head* without a last letter that was cut."""
    try:
        return head.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        if error.start < len(head) - 3:
            raise
        return head[: error.start].decode("utf-8-sig")


_WAV: Final = Magic("audio/wav", "audio")
_MP3: Final = Magic("audio/mpeg", "audio")
_AAC: Final = Magic("audio/aac", "audio")
_FLAC: Final = Magic("audio/flac", "audio")
_M4A: Final = Magic("audio/mp4", "audio")
_HTML: Final = Magic("text/html", None)
_XML: Final = Magic("application/xml", None)
_PLAIN: Final = Magic("text/plain", None)

_MARKS: Final = (
    (b"\xff\xd8\xff", Magic("image/jpeg", "image")),
    (b"\x89PNG\r\n\x1a\n", Magic("image/png", "image")),
    (b"GIF87a", Magic("image/gif", "image")),
    (b"GIF89a", Magic("image/gif", "image")),
    (b"II*\0", Magic("image/tiff", "image")),
    (b"MM\0*", Magic("image/tiff", "image")),
    (b"II+\0\x08\0\0\0", Magic("image/tiff", "image")),
    (b"MM\0+\0\x08\0\0", Magic("image/tiff", "image")),
    (b"\0\0\0\x0cJXL \r\n\x87\n", Magic("image/jxl", "image")),
    (b"\xff\x0a", Magic("image/jxl", "image")),
    (b"\0\0\0\x0cjP  \r\n\x87\n", Magic("image/jp2", "image")),
    (b"\0\0\1\0\1\0", Magic("image/vnd.microsoft.icon", "image")),
    (b"8BPS\0\1", Magic("image/vnd.adobe.photoshop", "image")),
    (b"fLaC", _FLAC),
    (b"#!AMR", Magic("audio/amr", "audio")),
    (b"caff\0\1", Magic("audio/x-caf", "audio")),
    (b"FLV\1", Magic("video/x-flv", "video")),
    (b"\0\0\1\xba", Magic("video/mpeg", "video")),
    (b"\0\0\1\xb3", Magic("video/mpeg", "video")),
    (b"%PDF-", Magic("application/pdf", None)),
    (b"PK\3\4", Magic("application/zip", None)),
    (b"Rar!\x1a\7", Magic("application/vnd.rar", None)),
    (b"7z\xbc\xaf\x27\x1c", Magic("application/x-7z-compressed", None)),
    (b"#EXTM3U", Magic("application/vnd.apple.mpegurl", None)),
)
_TESTS: Final[tuple[Callable[[bytes], Magic | None], ...]] = (
    _riff, _iso, _matroska, _ogg, _tagged, _mpeg_audio, _windows, _iff, _bitmap, _transport, _unpacked, _text
)  # fmt: skip
_SOME_HEIF: Final = frozenset({b"mif1", b"msf1", b"miaf"})
_BRANDS: Final = (
    {brand: Magic("image/heic", "image") for brand in (b"heic", b"heix", b"hevc", b"hevx", b"heim", b"heis")}
    | {brand: Magic("image/avif", "image") for brand in (b"avif", b"avis")}
    | {brand: Magic("image/heif", "image") for brand in _SOME_HEIF}
    | dict.fromkeys((b"M4A ", b"M4B ", b"M4P ", b"F4A ", b"F4B "), _M4A)
    | {brand: Magic("video/3gpp", "video") for brand in (b"3gp4", b"3gp5", b"3gp6", b"3gp7", b"3gp8", b"3gp9", b"3gr6")}
    | {brand: Magic("video/3gpp2", "video") for brand in (b"3g2a", b"3g2b", b"3g2c")}
    | {b"qt  ": Magic("video/quicktime", "video")}
    | {brand: Magic("video/mp4", "video") for brand in (b"isom", b"mp41", b"mp42", b"avc1", b"M4V ", b"dash", b"f4v ")}
)
_PROLOG: Final = re.compile(
    r"(?:\s+|<\?xml[^>]*>|<!--.*?-->|<!doctype\s+(?!html|svg)[^>]*>)*", re.IGNORECASE | re.DOTALL
)
_TAG: Final = re.compile(rb"\s*<[!?a-z]", re.IGNORECASE)
_CONTROL: Final = re.compile(r"[\x00-\x08\x0e-\x1a\x1c-\x1f\x7f]")
_PAGE: Final = "html|head|body|title|script|style|meta|link|div|p|a|table|h[1-6]|br|b|iframe|font|center|form|noscript"
_TEXTS: Final = (
    (re.compile(r"<!--|<!doctype\s+html\b", re.IGNORECASE), _HTML),
    (re.compile(r"<svg\b|<!doctype\s+svg\b", re.IGNORECASE), Magic("image/svg+xml", None)),
    (re.compile(rf"<(?:{_PAGE})(?=[\s/>]|$)", re.IGNORECASE), _HTML),
    (re.compile(r"[{\[]"), Magic("application/json", None)),
)
