"""Streams: an answer as server-sent events, and what can happen to them on their way (gateway notes 2.4, 5.23)."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from mediascribe.sandbox.replies import to_bytes

if TYPE_CHECKING:
    from collections.abc import Sequence

DONE: Final = "[DONE]"
PING: Final = b": PING\n\n"
_WORDS_IN_A_SLICE: Final = 3
_MOST_SLICES: Final = 64
_ODD_BYTES: Final = 7


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """One event: its JSON value, or a bare word such as `[DONE]`; its name, where the dialect has names.

    `is_text` marks a piece of the answer, `is_end` what only says that the stream is over.
    """

    value: object
    name: str | None = None
    is_text: bool = False
    is_end: bool = False

    def encoded(self) -> bytes:
        """It as it is sent."""
        head = b"" if self.name is None else f"event: {self.name}\n".encode()
        return (
            head + b"data: " + (self.value.encode() if isinstance(self.value, str) else to_bytes(self.value)) + b"\n\n"
        )


def named(value: dict[str, Any], **marks: bool) -> Event:
    """The event of a dialect that names its events by their `type`."""
    return Event(value=value, name=value["type"], **marks)


def slices(text: object) -> list[str]:
    """*text* in slices of a few words, at most 64; what is no text, or an empty one, has none."""
    if not isinstance(text, str):
        return []
    words = re.findall(r"\s*\S+|\s+$", text)
    size = max(_WORDS_IN_A_SLICE, math.ceil(len(words) / _MOST_SLICES))
    return ["".join(words[start : start + size]) for start in range(0, len(words), size)]


def until_text(events: Sequence[Event]) -> list[Event]:
    """*events* up to the last that carries text: what an upstream sent before it broke off."""
    last = max((place for place, event in enumerate(events) if event.is_text), default=0)
    return list(events[: last + 1])


def half_of_text(events: Sequence[Event]) -> list[Event]:
    """*events* up to the middle one of those that carry text."""
    places = [place for place, event in enumerate(events) if event.is_text] or [0]
    return list(events[: places[(len(places) - 1) // 2] + 1])


def without_end(events: Sequence[Event]) -> list[Event]:
    """*events* without what only says that they are over."""
    return [event for event in events if not event.is_end]


def commented(pieces: Sequence[bytes]) -> list[bytes]:
    """Keep-alive comments before, and between, *pieces*."""
    return [one for piece in pieces for one in (PING, piece)]


def split_oddly(pieces: Sequence[bytes]) -> list[bytes]:
    """The same stream as the standard allows it: CRLF, no space behind the colon, cut anywhere, also in a character."""
    lines = b"".join(pieces).split(b"\n")
    tight = [re.sub(rb"^(data|event): ", rb"\1:", line) for line in lines]
    content = b"\r\n".join(tight)
    return [content[start : start + _ODD_BYTES] for start in range(0, len(content), _ODD_BYTES)]
