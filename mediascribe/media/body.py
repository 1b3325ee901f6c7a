"""Body: which bytes of a medium an answer holds, how they are unpacked, and whether its host lets machines have it."""

from __future__ import annotations

import re
import zlib
from http import HTTPStatus
from typing import TYPE_CHECKING, Final

from mediascribe.media.url import refused, shown

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from aiohttp import ClientResponse

_PART: Final = re.compile(r"bytes\s+(?:([0-9]{1,18})-[0-9]{1,18}|\*)/([0-9]{1,18}|\*)", re.IGNORECASE)
_STRONG_ETAG: Final = re.compile(r'"[!#-~\x80-\xff]+"')

_AGENT: Final = "mediascribe"
_AGENT_NAME: Final = re.compile(r"[a-z0-9_.*-]+")
_NOT_AGENTS: Final = frozenset({"unavailable_after", "max-snippet", "max-image-preview", "max-video-preview"})
_TO_ALL: Final = frozenset({"noai", "noimageai"})
_TO_US: Final = _TO_ALL | {"none", "noindex", "noimageindex"}

_GZIP: Final = 16 + zlib.MAX_WBITS
_PACKED: Final = frozenset({"gzip", "x-gzip", "deflate"})
_PACKED_OTHERWISE: Final = frozenset({"br", "zstd", "compress", "x-compress", "dcb", "dcz"})
_ZLIB_METHOD: Final = 8  # low bits of the first byte; `deflate` without it has no zlib frame, as some servers send it


async def read(response: ClientResponse, most: int) -> tuple[bytes, bool]:
    """The first *most* bytes of the body, unpacked, and whether these are all of it.

    A body that is packed though nobody asked for that is unpacked only so far: a few bytes may stand for gigabytes.

    Raises:
        MediaError: it is packed in a way that is not unpacked here, or wrongly; code `encoded`.
    """
    coding = response.headers.get("Content-Encoding", "").strip().lower()
    if coding in _PACKED_OTHERWISE or "," in coding:
        raise refused(
            "encoded", f"{shown(str(response.url))} comes as {coding!r}, though nothing was asked to be packed"
        )
    content, unpack = bytearray(), _Unpacking(coding) if coding in _PACKED else None
    try:
        async for piece in response.content.iter_any():
            # One byte more than wanted tells a whole body from a cut one.
            room = most + 1 - len(content)
            content += unpack.next(piece, room) if unpack else piece[:room]
            if len(content) > most:
                break
    except zlib.error as error:
        raise refused("encoded", f"{shown(str(response.url))} cannot be unpacked from {coding}: {error}") from None
    ended = len(content) <= most and response.content.at_eof() and (unpack is None or unpack.ended)
    return bytes(memoryview(content)[:most]), ended


def extent(response: ClientResponse) -> tuple[int | None, int | None]:
    """Where the body begins in the medium, and how many bytes the medium has, as far as the host says."""
    packed = response.headers.get("Content-Encoding", "").strip().lower() in _PACKED
    if response.status == HTTPStatus.OK:
        return 0, None if packed else response.content_length
    found = _PART.fullmatch(response.headers.get("Content-Range", "").strip())
    if not found:
        return None, None
    total = None if packed or found[2] == "*" else int(found[2])
    return int(found[1]) if found[1] else None, total


def strong_etag(headers: Mapping[str, str]) -> str | None:
    """The mark that changes with every byte of the medium, if the host gives one."""
    text = headers.get("ETag", "").strip()
    return text if _STRONG_ETAG.fullmatch(text) else None


def opt_out(robots: Iterable[str]) -> str | None:
    """The word in the `X-Robots-Tag` headers *robots* that keeps the medium from us; None if none does.

    `noai` and `noimageai` are meant for every machine that learns or describes, unless another one is named before
    them; what is said to `mediascribe` by name also counts when it is said about indexing.
    """
    for value in robots:
        agent = "*"
        for member in value.lower().split(","):
            name, colon, rest = member.strip().partition(":")
            if colon and name not in _NOT_AGENTS and _AGENT_NAME.fullmatch(name):
                agent, name = name, rest.strip()
            if name in {"*": _TO_ALL, _AGENT: _TO_US}.get(agent, ()):
                return name
    return None


class _Unpacking:
    """Unpacks a stream piece by piece, as many bytes at a time as there is room for."""

    def __init__(self, coding: str) -> None:
        self._coding = coding
        self._stream: zlib._Decompress | None = None

    @property
    def ended(self) -> bool:
        """Whether the stream came to its own end."""
        return self._stream is not None and self._stream.eof

    def next(self, piece: bytes, room: int) -> bytes:
        """At most *room* bytes, which must be used up before a next piece."""
        if self._stream is None:
            bare = self._coding == "deflate" and piece[0] & 0xF != _ZLIB_METHOD
            wbits = -zlib.MAX_WBITS if bare else zlib.MAX_WBITS
            self._stream = zlib.decompressobj(wbits if self._coding == "deflate" else _GZIP)
        return self._stream.decompress(piece, room)
