"""What the bytes of a medium say: type, size, length. Pixels and samples are never decoded.

Rules of this file:

- Bytes decide, never a name or what a host says. What no bytes tell is None.
- The head of a medium is enough where its format allows it. `needs_more` says what else would tell; with a range that
  follows on what is there, `look` again at both together, else `look_at_ranges`.
- Whatever the bytes are, a `Looked` or a `MediaError` comes of them, soon and with little memory.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from mediascribe.domain import Failure
from mediascribe.errors import MediaError
from mediascribe.media import boxes, pictures, streams
from mediascribe.media.glimpse import Told, of_bytes, of_ranges
from mediascribe.media.magic import id3_bytes, magic
from mediascribe.media.token_rules import Facts

if TYPE_CHECKING:
    from collections.abc import Callable

    from mediascribe.domain import MediaKind
    from mediascribe.media.glimpse import Glimpse

HEAD_BYTES: Final = 2**16
TAIL_BYTES: Final = 2**18  # holds the last time stamp of a film
NEAR_BYTES: Final = 2**20  # a gap so small is read rather than left out

_BOXED: Final = frozenset({"video/mp4", "video/quicktime", "video/3gpp", "video/3gpp2", "audio/mp4"})
# What is called a film until it turns out to be a sound alone.
_SOUND_TYPES: Final = {"video/quicktime": "audio/mp4", "video/x-ms-wmv": "audio/x-ms-wma"}
_NO_MEDIA: Final = {
    "application/json": "an answer in JSON, often an error",
    "application/xml": "an XML document, often an error of an object store",
    "application/pdf": "a PDF document; make pictures of its pages",
    "application/vnd.apple.mpegurl": "a playlist; name a file of the film itself",
    "text/plain": "plain text",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Looked:
    """What was seen of a medium; None: its bytes do not tell.

    Sizes are as shown, turned by EXIF or as a film says. `frames` is that of an animated picture, at least 2 and at
    most 1,000: those that were there to see. `has_sound` is that of a film.
    """

    mime: str
    kind: MediaKind
    width: int | None = None
    height: int | None = None
    seconds: float | None = None
    frames: int | None = None
    has_sound: bool | None = None

    def facts(self) -> Facts:
        """What the rules of tokens want to know."""
        return Facts(width=self.width, height=self.height, seconds=self.seconds)


def look(content: bytes, *, whole: bool, total_bytes: int | None = None) -> Looked:
    """What *content* shows: the *whole* medium, or the head of one that has *total_bytes* where that is known.

    Raises:
        MediaError: it is empty, no medium, of no type that anybody takes, or cannot be opened at all.
    """
    return _looked(of_bytes(content, len(content) if whole else total_bytes), content[:HEAD_BYTES])


def needs_more(content: bytes, total_bytes: int | None = None) -> tuple[int, int] | None:
    """Start and length of a further range that would tell size or length; None: *content* tells, or no range would.

    A range that starts where *content* ends may be followed by another one: how often is up to the caller. The end of
    sounds and films whose length stands there is named only where *total_bytes* is known.
    """
    if (found := magic(content[:HEAD_BYTES])) is None or found.kind is None:
        return None
    told = _told(glimpse := of_bytes(content, total_bytes), found.mime)
    if glimpse.missing is None or _is_enough(told, found.kind):
        return None
    if found.mime in streams.BY_THE_END and total_bytes is not None:
        start = max(len(content), total_bytes - TAIL_BYTES)
        return start, total_bytes - start
    if found.mime in streams.DEMUXERS and told is not None:  # it does not say at the beginning
        return None
    start, length = glimpse.missing
    stop = start + max(length, HEAD_BYTES)
    if start <= len(content) + NEAR_BYTES:  # twice as much each time, or as much as the tag in front has
        start, stop = len(content), max(stop, 2 * len(content), id3_bytes(content) + HEAD_BYTES)
    return start, min(stop, glimpse.end) - start


def look_at_ranges(read: Callable[[int, int], bytes], total_bytes: int) -> Looked:
    """What a medium of *total_bytes* shows, whose ranges *read* gives by start and length; blocks while it reads.

    At most 6 MiB are read, in at most 24 ranges, each once. What that does not tell is None.

    Raises:
        MediaError: as `look` does, or as *read* did.
    """
    glimpse = of_ranges(read, total_bytes)
    head = glimpse.at(0, HEAD_BYTES)
    try:
        return _looked(glimpse, head)
    finally:
        if glimpse.failure:  # goes before what was made of the bytes that did come
            raise glimpse.failure


def unasked(code: str, message: str) -> Failure:
    """Why a medium is not sent."""
    return Failure(error_class="media", code=code, message=message, unasked=True)


def _looked(glimpse: Glimpse, head: bytes) -> Looked:
    mime, kind = _medium(head)
    told = _told(glimpse, mime)
    if told is None and glimpse.missing is None:
        raise _corrupt(mime)
    told = told or Told()
    if kind == "video" and told.film is False:
        if not told.sound:
            raise _corrupt(mime)
        kind, mime = "audio", _SOUND_TYPES.get(mime, mime.replace("video/", "audio/"))
    shown = kind != "audio"
    return Looked(
        mime=mime,
        kind=kind,
        width=told.width if shown else None,
        height=told.height if shown else None,
        seconds=told.seconds,
        frames=told.frames,
        has_sound=told.sound if kind == "video" else None,
    )


def _medium(head: bytes) -> tuple[str, MediaKind]:
    """The type and the kind of the medium that begins with *head*.

    Raises:
        MediaError: it is none.
    """
    if not head:
        raise MediaError(unasked("empty", "there is nothing in it: 0 bytes"))
    found = magic(head)
    if found is not None and found.kind is not None:
        return found.mime, found.kind
    if found is not None and found.mime == "text/html":
        what = "it is a web page, not a medium: the link is dead, wants a login, or leads to a page about the medium"
        raise MediaError(unasked("html", what))
    if found is not None and found.mime == "image/svg+xml":
        raise MediaError(unasked("wrong_type", "it is a drawing in SVG, which no model takes; convert it to PNG"))
    what = _NO_MEDIA.get(found.mime, f"of type {found.mime}") if found else "of no type that is known"
    raise MediaError(unasked("no_media", f"it is no image, sound or film: it is {what}"))


def _told(glimpse: Glimpse, mime: str) -> Told | None:
    if mime.startswith("image/"):
        return pictures.told(glimpse, mime)
    return boxes.film(glimpse) if mime in _BOXED else streams.told(glimpse, mime)


def _is_enough(told: Told | None, kind: MediaKind) -> bool:
    """Whether what can be told of a medium of *kind* was."""
    if told is None or kind == "image":
        return told is not None
    return told.seconds is not None and (kind == "audio" or told.width is not None or told.film is False)


def _corrupt(mime: str) -> MediaError:
    return MediaError(unasked("corrupt", f"it begins like {mime} and cannot be opened: it is broken or cut off"))
