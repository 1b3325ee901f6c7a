"""Question: the body of a completion request, checked in the order and with the errors of the gateway."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from mediascribe.sandbox.ledger import Seen
from mediascribe.sandbox.refusals import refused

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_MEDIA_PARTS: Final = {"image_url": "image", "audio_url": "audio", "video_url": "video"}
_IMAGES_IN_A_MESSAGE: Final = 16  # gateway notes 2.3
_ROLES_OF_THE_BODY: Final = {"model", "messages"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """One medium as it was sent: the kind that its part claims, its URL or base64 text, whether low detail will do."""

    kind: str
    url: str
    low: bool = False

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


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """What is asked: texts and media in order, and the parameters, as they came."""

    texts: tuple[str, ...]
    parts: tuple[Part, ...]
    parameters: Mapping[str, Any]

    @property
    def max_tokens(self) -> int | None:
        """How long the answer may be; 0 is dropped by the gateway (notes 2.3)."""
        return self.parameters.get("max_tokens") or self.parameters.get("max_completion_tokens") or None

    @property
    def thinks(self) -> bool:
        """Whether reasoning is asked for."""
        thinking = self.parameters.get("thinking")
        enabled = isinstance(thinking, dict) and thinking.get("type") == "enabled"
        return enabled or self.parameters.get("enable_thinking") is True


def parsed(content: bytes) -> dict[str, Any]:
    """The JSON object in *content*, with a model name in it.

    Raises:
        RefusedError: 400 without an object, 500 without a model.
    """
    try:
        body = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise refused("bad_request", why=f"invalid JSON: {type(error).__name__}") from None
    if not isinstance(body, dict) or not isinstance(body.get("model", ""), str):
        raise refused("bad_request", why="json: cannot unmarshal the body into a request")
    if not body.get("model"):
        raise refused("invalid_request", why="model is required")
    return body


def question(body: Mapping[str, Any]) -> Question:
    """What *body* asks.

    Raises:
        RefusedError: no messages, a member of the wrong type, too many images, or `stream`.
    """
    messages = body.get("messages")
    if messages is not None and not isinstance(messages, list):
        raise refused("bad_request", why="json: cannot unmarshal messages into a list")
    if not messages:
        raise refused("invalid_request", why="field messages is required")
    if body.get("stream"):
        raise refused("not_implemented")
    for name in ("max_tokens", "max_completion_tokens"):
        limit = body.get(name)
        if limit is not None and (isinstance(limit, bool) or not isinstance(limit, int) or limit < 0):
            raise refused("bad_request", why=f"json: {name} must be a whole number, 0 or more")
    texts, parts = _contents(messages)
    parameters = {name: value for name, value in body.items() if name not in _ROLES_OF_THE_BODY}
    return Question(texts=texts, parts=parts, parameters=parameters)


def _contents(messages: list[Any]) -> tuple[tuple[str, ...], tuple[Part, ...]]:
    texts: list[str] = []
    parts: list[Part] = []
    for message in messages:
        content = message.get("content") if isinstance(message, dict) else message
        if not isinstance(message, dict) or not isinstance(content, list | str | None):
            raise refused("bad_request", why="json: cannot unmarshal a message")
        found = [{"type": "text", "text": content}] if isinstance(content, str) else content or []
        texts += [text for one in found if (text := _text(one)) is not None]
        media = [part for one in found for part in _media(one)]
        if sum(part.kind == "image" for part in media) > _IMAGES_IN_A_MESSAGE:
            raise refused("media_failed", why=f"too many images in the message, max allowed is {_IMAGES_IN_A_MESSAGE}")
        parts += media
    return tuple(texts), tuple(parts)


def _text(part: object) -> str | None:
    if isinstance(part, dict) and part.get("type") == "text" and isinstance(part.get("text"), str):
        return str(part["text"]).encode(errors="replace").decode()  # half of a surrogate pair is no text
    return None


def _media(part: object) -> Iterator[Part]:
    """The medium in *part*; a part of another type is dropped without a word, as the gateway does (notes 0.2)."""
    if not isinstance(part, dict):
        return
    kind = part.get("type")
    inner = part.get(kind) if isinstance(kind, str) else None
    if kind == "input_audio" and isinstance(inner, dict):
        sound = (inner.get("data"), inner.get("format"))
        if all(isinstance(one, str) for one in sound):
            yield Part(kind="audio", url=f"data:audio/{sound[1]};base64,{sound[0]}")
    elif isinstance(kind, str) and kind in _MEDIA_PARTS:
        url = inner.get("url") if isinstance(inner, dict) else inner
        if isinstance(url, str) and url:
            low = isinstance(inner, dict) and inner.get("detail") == "low"
            yield Part(kind=_MEDIA_PARTS[kind], url=url, low=low)
