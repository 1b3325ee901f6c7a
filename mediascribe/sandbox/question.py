"""Question: what a completion request asks, in whichever dialect, checked as the gateway and its upstreams check it.

The four dialects fill in the same `Question`; what they share in reading their bodies is here too.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from mediascribe.sandbox.ledger import Seen
from mediascribe.sandbox.refusals import refused

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

_MOST_FPS: Final = 60
ANY_OBJECT: Final[Mapping[str, Any]] = {
    "type": "object",
    "properties": {"description": {"type": "string"}},
    "required": ["description"],
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """One medium as it was sent: the kind that its part claims, its URL or base64 text, whether low detail will do.

    `fps` is how many frames a second of a film are asked for; None: as many as the model reads.
    """

    kind: str
    url: str
    low: bool = False
    fps: float | None = None

    @property
    def seen(self) -> Seen:
        """It for the ledger: host and path of a URL, the type of a data URL."""
        if self.url[:4].lower() != "http":
            head = self.url.partition(",")[0] if self.url[:5] == "data:" else "base64"
            return Seen(kind=self.kind, where=head[:80])
        try:
            parts = urlsplit(self.url)
        except ValueError:
            return Seen(kind=self.kind, where="no URL")
        return Seen(kind=self.kind, where=parts.netloc.rpartition("@")[2] + parts.path)


def rate(metadata: object) -> float | None:
    """The frames a second that the metadata of a film ask for; None where they ask for none."""
    fps = metadata.get("fps") if isinstance(metadata, dict) else None
    return float(fps) if isinstance(fps, int | float) and not isinstance(fps, bool) and 0 < fps <= _MOST_FPS else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """What is asked: texts (a system prompt first) and media in order, and the parameters, as they came.

    `thinks` says whether reasoning is asked for, `shows_thoughts` whether it is to be told as well; `schema` is a JSON
    Schema for the answer; `tells_usage` False leaves the usage out of a stream.
    """

    texts: tuple[str, ...]
    parts: tuple[Part, ...]
    parameters: Mapping[str, Any]
    max_tokens: int | None = None
    thinks: bool = False
    shows_thoughts: bool = True
    schema: Mapping[str, Any] | None = None
    stream: bool = False
    tells_usage: bool = True


def parsed(content: bytes, address: Mapping[str, str]) -> dict[str, Any]:
    """The JSON object in *content*, with a model name in it.

    Google's dialect has model and manner in the *address*: they become members, as they are in the other dialects.

    Raises:
        RefusedError: 400 without an object, 500 without a model.
    """
    try:
        body = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise refused("bad_request", why=f"invalid JSON: {type(error).__name__}") from None
    if not isinstance(body, dict) or not isinstance(body.get("model", ""), str):
        raise refused("bad_request", why="json: cannot unmarshal the body into a request")
    if address:
        body |= {"model": address["model"], "stream": address["action"] == "streamGenerateContent"}
    if not body.get("model"):
        raise refused("invalid_request", why="model is required")
    if not isinstance(body.get("stream"), bool | None):
        raise refused("bad_request", why="json: cannot unmarshal stream into a truth value")
    return body


def members_of(body: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    """The object *name* of *body*; an empty one where there is no object."""
    inner = body.get(name)
    return inner if isinstance(inner, dict) else {}


def required_list(body: Mapping[str, Any], name: str) -> list[Any]:
    """The list *name* of *body*, which must not be empty.

    Raises:
        RefusedError: 400, it is no list; 500, there is nothing in it.
    """
    found = body.get(name)
    if found is not None and not isinstance(found, list):
        raise refused("bad_request", why=f"json: cannot unmarshal {name} into a list")
    if not found:
        raise refused("invalid_request", why=f"field {name} is required")
    return found


def limit(members: Mapping[str, Any], *names: str) -> int | None:
    """How long the answer may be, by the first of *names* that says so; the gateway drops a 0 (notes 2.3).

    Raises:
        RefusedError: 400, one of them is no whole number.
    """
    for name in names:
        given = members.get(name)
        if given is not None and (isinstance(given, bool) or not isinstance(given, int) or given < 0):
            raise refused("bad_request", why=f"json: {name} must be a whole number, 0 or more")
    return next((members[name] for name in names if members.get(name)), None)


def left_over(body: Mapping[str, Any], *names: str) -> dict[str, Any]:
    """The parameters: *body* without its model and the members *names*, which hold what is asked."""
    return {name: value for name, value in body.items() if name not in {"model", *names}}


def contents(messages: Iterable[Any]) -> list[list[Any]]:
    """The content parts of each message; a content that is a string is one part of type `text`.

    Raises:
        RefusedError: 400, a message is no object, or its content neither text nor list.
    """
    found = []
    for message in messages:
        content = message.get("content") if isinstance(message, dict) else message
        if not isinstance(message, dict) or not isinstance(content, list | str | None):
            raise refused("bad_request", why="json: cannot unmarshal a message")
        found.append([{"type": "text", "text": content}] if isinstance(content, str) else content or [])
    return found


def texts_in(parts: Iterable[Any], wanted: Callable[[Mapping[str, Any]], bool]) -> list[str]:
    """The texts of those *parts* that are *wanted* and have one; half of a surrogate pair is no text."""
    texts = [part.get("text") for part in parts if isinstance(part, dict) and wanted(part)]
    return [text.encode(errors="replace").decode() for text in texts if isinstance(text, str)]
