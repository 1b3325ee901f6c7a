"""Server-sent events, read leniently: the bytes of a whole stream become its events, and these its chunks.

Rules of this file (gateway notes 2.4, 2.5 and 5, trap 23):

- Lines end with LF, CRLF or CR. Comments, `id` and `retry` say nothing about an answer.
- The last event counts without the blank line that should end it: whether it is whole, its JSON says.
- JSON that stands in the stream without `data:` is an event of its own kind, `bare`: an error after a keep-alive
  comes so, and an answer that was not streamed at all.
"""

from __future__ import annotations

import codecs
from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import chain
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final, Literal

import msgspec

from mediascribe.wire.faults import json_or_none

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

Kind = Literal["data", "bare"]
_Field = Literal["data", "event", "unread", "comment", "blank", "bare", "other", "end"]

DONE: Final = "[DONE]"

# The types of the last event, in the dialects that have types (gateway notes 3.2 and 3.3).
LAST_TYPES: Final[Mapping[str, frozenset[str]]] = MappingProxyType(
    {
        "responses": frozenset({"response.completed", "response.incomplete", "response.failed"}),
        "messages": frozenset({"message_stop"}),
    }
)

_FIELDS: Final[Mapping[bytes, _Field]] = MappingProxyType(
    {b"data": "data", b"event": "event", b"id": "unread", b"retry": "unread"}
)
# What ends an event of each kind. Bare JSON may go over many lines, blank ones among them.
_ENDS: Final[Mapping[Kind, frozenset[_Field]]] = MappingProxyType(
    {
        "data": frozenset[_Field]({"blank", "bare", "end"}),
        "bare": frozenset[_Field]({"data", "event", "unread", "comment", "end"}),
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """One event: its text, the lines joined by LF, and its name where it has one."""

    kind: Kind = "data"
    name: str | None = None
    data: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Stream:
    """The JSON objects of a stream, up to an `error` object.

    `chunks` stand before the first that cannot be read, `later` ones behind it. `unstreamed` is the one JSON value that
    came in place of a stream; there are no chunks then. `ended` as the function says.
    """

    chunks: Sequence[Mapping[str, Any]]
    later: Sequence[Mapping[str, Any]]
    is_broken: bool
    error: bytes | None
    unstreamed: bytes | None
    ended: bool


def read(body: bytes, dialect: str) -> Stream:
    """What the bytes of a stream hold. A chunk without `type` has its event's name as that."""
    found = events(body)
    chunks: list[Mapping[str, Any]] = []
    later: list[Mapping[str, Any]] = []
    is_broken, error = False, None
    for event, value in _values(found):
        if _is_error(event, value):
            error = msgspec.json.encode(value) if isinstance(value, Mapping) else event.data.encode()
            break
        if isinstance(value, Mapping):
            named = event.name is not None and "type" not in value
            (later if is_broken else chunks).append({"type": event.name, **value} if named else value)
        else:
            is_broken = True
    unstreamed = _unstreamed(found, dialect) if error is None else None
    return Stream(
        chunks=chunks if unstreamed is None else (),
        later=later,
        is_broken=is_broken,
        error=error,
        unstreamed=unstreamed,
        ended=ended(found, dialect),
    )


def events(body: bytes) -> list[Event]:
    """The events of a stream in their order, without those that have no text."""
    body = body.removeprefix(codecs.BOM_UTF8)
    if body.lstrip().startswith((b"{", b"[")) and json_or_none(body) is not None:
        return [Event(kind="bare", data=body.decode(errors="replace"))]
    found: list[Event] = []
    kind: Kind = "data"
    name: str | None = None
    lines: list[bytes] = []
    for field, value in chain(map(_field, body.splitlines()), [("end", b"")]):
        if field in _ENDS[kind]:
            if any(lines):
                found.append(Event(kind=kind, name=name, data=b"\n".join(lines).decode(errors="replace")))
            kind, name, lines = "data", None if lines or field == "blank" else name, []
        if field == "event":
            name = value.decode(errors="replace") or None
        elif field in {"data", "bare"}:
            kind = "bare" if field == "bare" else "data"
            lines.append(value)
        elif kind == "bare":
            lines.append(value)
    return found


def ended(found: Sequence[Event], dialect: str) -> bool:
    """Whether the stream of *found* came to the end that *dialect* puts there.

    That is no proof of a whole answer: the gateway sends `[DONE]` after a cut as well (gateway notes 2.4).
    """
    if dialect == "chat":
        return any(event.data.rpartition("\n")[2].strip() == DONE for event in found)
    last = next((event for event in reversed(found) if event.data != DONE), None)
    if last is None:
        return False
    body: Any = json_or_none(last.data.encode())
    if dialect in LAST_TYPES:
        kind = body.get("type", last.name) if isinstance(body, Mapping) else None
        return isinstance(kind, str) and kind in LAST_TYPES[dialect]
    chunk = body[-1] if isinstance(body, list) and body else body
    candidates = chunk.get("candidates") if isinstance(chunk, Mapping) else None
    first = candidates[0] if isinstance(candidates, list) and candidates else None
    return isinstance(first, Mapping) and bool(first.get("finishReason"))


def _values(found: Iterable[Event]) -> Iterator[tuple[Event, Any]]:
    """The JSON values of events in their order; None where there should be one. Other texts say nothing."""
    for event in found:
        value = json_or_none(event.data.encode())
        first, *more = event.data.split("\n") if value is None else [event.data]
        if more and json_or_none(first.encode()) is not None:  # the gateway forgot the blank lines between its events
            yield from _values(replace(event, data=line) for line in (first, *more))
        elif isinstance(value, list):  # Gemini's chunks, where the gateway does not know `alt=sse`
            yield from ((event, one) for one in value)
        elif isinstance(value, Mapping) or _is_error(event, value):
            yield event, value
        elif event.data.lstrip().startswith(("{", "[")) and event.data.strip() != DONE:
            yield event, None


def _is_error(event: Event, value: object) -> bool:
    if not isinstance(value, Mapping):
        return event.name == "error"
    return bool(value.get("error")) or value.get("success") is False or "error" in (event.name, value.get("type"))


def _unstreamed(found: Sequence[Event], dialect: str) -> bytes | None:
    if len(found) != 1 or found[0].kind != "bare":
        return None
    body = found[0].data.encode()
    value = json_or_none(body)
    is_chunks = isinstance(value, list) and dialect == "generate_content"
    return None if value is None or is_chunks else body


def _field(line: bytes) -> tuple[_Field, bytes]:
    """What *line* is, and what it says."""
    if not line:
        return "blank", line
    if line.startswith(b":"):
        return "comment", line
    name, _, value = line.partition(b":")
    if field := _FIELDS.get(name):
        return field, value.removeprefix(b" ")
    return "bare" if line.lstrip().startswith((b"{", b"[")) else "other", line
