"""Fetch: a media part becomes bytes and a kind, downloaded or decoded as the gateway does it (gateway notes 2.3).

Like the gateway it trusts the origin's Content-Type and does not look at the origin's status, so a 404 page fails as
"text/html" and a placeholder picture is described. Every failure is a 500 `convert_request_failed`, which other
dialects tell otherwise (`Dialect.unfetched`). Unlike the gateway
it has no filter of private addresses: the samples lie on loopback.
"""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

import aiohttp

from mediascribe.sandbox.look import KINDS, Kind
from mediascribe.sandbox.refusals import MASKED_URL, RefusedError, refused

if TYPE_CHECKING:
    from mediascribe.sandbox.question import Part

MAX_BYTES: Final = 20 * 2**20
TIMEOUT: Final = aiohttp.ClientTimeout(total=10)
OCTETS: Final = "application/octet-stream"
GEMINI_TYPES: Final = frozenset(
    ["application/pdf", "audio/mpeg", "audio/mp3", "audio/wav", "image/png", "image/jpeg", "image/webp", "text/plain"]
    + [f"video/{name}" for name in ("mov", "mpeg", "mp4", "mpg", "avi", "wmv", "mpegps", "flv")]
)
TYPES: Final = {
    ".jpg": "image/jpeg",
    ".jpeg": "image/jpeg",
    ".png": "image/png",
    ".webp": "image/webp",
    ".gif": "image/gif",
    ".svg": "image/svg+xml",
    ".wav": "audio/wav",
    ".mp3": "audio/mpeg",
    ".ogg": "audio/ogg",
    ".flac": "audio/flac",
    ".mp4": "video/mp4",
    ".mov": "video/quicktime",
    ".webm": "video/webm",
    ".html": "text/html",
    ".txt": "text/plain",
    ".csv": "text/csv",
    ".jsonl": "application/jsonl",
    ".json": "application/json",
    ".pdf": "application/pdf",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Loaded:
    """The bytes of a medium, and what their type says they are."""

    kind: Kind
    content: bytes


async def load(session: aiohttp.ClientSession, part: Part, *, is_gemini: bool, probed: bool = False) -> Loaded:
    """The bytes behind *part*; *probed* wants a 200 from the origin, as the gateway does for streams (notes 2.4).

    Raises:
        RefusedError: `convert_request_failed`, for any reason but the origin's status: `count_token_failed`.
    """
    if part.url[:4].lower() == "http":
        mime, content = await _download(session, part.url, probed=probed)
        if is_gemini and mime not in GEMINI_TYPES:
            raise _unsupported(mime)
        return Loaded(kind=_kind(mime), content=content)
    if part.url[:5].lower() == "data:":
        head, _, text = part.url.partition(",")
        if not head.endswith(";base64"):
            raise _failed("the data URL is not base64")
        return Loaded(kind=_kind(head[5:].partition(";")[0].lower()), content=_decoded(text))
    return Loaded(kind=_kind(f"{part.kind}/bare"), content=_decoded(part.url))


async def _download(session: aiohttp.ClientSession, url: str, *, probed: bool) -> tuple[str, bytes]:
    """The type and the bytes at *url*, whatever the status, unless *probed*."""
    content = bytearray()
    try:
        async with session.get(url, timeout=TIMEOUT) as response:
            if probed and response.status != HTTPStatus.OK:
                raise refused("count_token_failed", why=f"failed to get file type of '{MASKED_URL}'")
            async for piece in response.content.iter_any():
                content += piece
                if len(content) > MAX_BYTES:
                    raise _failed("file size exceeds maximum allowed size: 20MB")
    except TimeoutError:
        raise _failed(f"get file base64 from url '{MASKED_URL}' failed: timeout") from None
    except (aiohttp.ClientError, ValueError) as error:
        raise _failed(f"get file base64 from url '{MASKED_URL}' failed: {type(error).__name__}") from None
    mime = response.headers.get("Content-Type", "").partition(";")[0].strip().lower()
    return (_type_by_name(url) if mime == OCTETS else mime), bytes(content)


def _type_by_name(url: str) -> str:
    path = urlsplit(url).path
    return TYPES.get(path[path.rfind(".") :].lower(), OCTETS)


def _kind(mime: str) -> Kind:
    for kind in KINDS:
        if mime.startswith(f"{kind}/"):
            return kind
    raise _unsupported(mime)


def _decoded(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise _failed("decode base64 failed: illegal base64 data") from None


def _unsupported(mime: str) -> RefusedError:
    supported = ", ".join(sorted(GEMINI_TYPES))
    return _failed(f"mime type is not supported: '{mime}', url: '{MASKED_URL}', supported types are: [{supported}]")


def _failed(why: str) -> RefusedError:
    return refused("media_failed", why=why)
