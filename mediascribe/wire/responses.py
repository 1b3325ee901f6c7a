"""OpenAI responses (gateway notes 3.2): some models answer here only.

The request has the text first, then the pictures; sound and film have no part here. The answer is read leniently: every
member may be missing or of another type. A streamed answer is assembled to the same JSON before it comes here.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

import msgspec

from mediascribe.errors import ConfigError, TransientError
from mediascribe.subschemas import named
from mediascribe.wire import thinking
from mediascribe.wire.parameters import renamed, with_own
from mediascribe.wire.reading import Received, empty, opened, text_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from mediascribe.domain import Completion, CompletionStatus, MediaKind, Request, Thinking
    from mediascribe.wire import Answer, Carriage

CARRIES: Final[Mapping[MediaKind, frozenset[Carriage]]] = MappingProxyType({"image": frozenset({"url", "inline"})})
HEADERS: Final[Mapping[str, str]] = MappingProxyType({})

# Words of chat completions, the stronger one last, and what they are called here.
RENAMED: Final[Mapping[str, str]] = MappingProxyType(
    {"max_tokens": "max_output_tokens", "max_completion_tokens": "max_output_tokens"}
)

# For models of which `thinking` knows no family; `none` is the vendor's word for no thinking at all.
EFFORTS: Final[Mapping[Thinking, str]] = MappingProxyType(
    {"off": "none", "on": "medium", "low": "low", "medium": "medium", "high": "high"}
)

# Why an incomplete answer is that (gateway notes 3.2); with any other reason, or none, it was cut all the same.
INCOMPLETE: Final[Mapping[str, CompletionStatus]] = MappingProxyType(
    {"max_output_tokens": "truncated", "content_filter": "refused"}
)
UNFINISHED: Final = frozenset({"in_progress", "queued", "cancelled"})


def url(base_url: str, _request: Request) -> str:
    """Where responses are asked."""
    return f"{base_url}/responses"


def encode(request: Request) -> bytes:
    """The body that asks *request*.

    Raises:
        ConfigError: a medium that this dialect does not carry.
    """
    content: list[dict[str, Any]] = [{"type": "input_text", "text": request.prompt}]
    for media in request.media:
        if media.kind not in CARRIES:
            raise ConfigError(f"the responses dialect carries no {media.kind}: choose another dialect for this model")
        content.append({"type": "input_image", "image_url": media.url, "detail": request.detail})
    body: dict[str, Any] = {"model": request.model, "input": [{"role": "user", "content": content}]}
    if request.system is not None:
        body["instructions"] = request.system
    return msgspec.json.encode(body | _members(request) | {"stream": request.stream})


def _members(request: Request) -> dict[str, Any]:
    """The job's parameters in this dialect's words; what it says in them itself wins over what is derived."""
    given = request.parameters
    members = renamed(given, RENAMED)
    if request.thinking is not None:
        known = thinking.switch(request.model, request.thinking)
        effort = known.get("reasoning_effort", EFFORTS[request.thinking])
        members["reasoning"] = with_own({"effort": effort}, given.get("reasoning"))
    if request.schema is not None:
        wanted = {"type": "json_schema", **named(request.schema)}
        members["text"] = with_own({"format": wanted}, given.get("text"))
    return members


def decode(answer: Answer, request: Request) -> Completion:
    """The completion in *answer* to *request*.

    Raises:
        AttemptError: there is no answer to keep. What it cost all the same is in the failure's usage.
    """
    got, body = opened(answer, request)
    status = text_of(body.get("status"))
    if status == "failed":
        message = "the model failed, and the gateway did not say why"
        raise TransientError(got.failure("server", message, code=status, ended=status))
    if status in UNFINISHED:
        message = f"the gateway answered with a response that is {status}"
        raise TransientError(got.failure("malformed", message, code=status, ended=status))
    if not isinstance(body.get("output"), list):
        raise TransientError(got.failure("malformed", "the gateway's answer has no `output`", ended=status))
    return _completion(got, body)


def _completion(got: Received, body: Mapping[str, Any]) -> Completion:
    ended, status = _ending(body)
    items = list(_objects(body["output"]))
    parts = [part for item in items if item.get("type") == "message" for part in _parts(item.get("content"))]
    refusal = "".join(_texts(parts, "refusal"))
    text = refusal or "".join(_texts(parts, "text"))
    if refusal:
        status = "refused"
    if status != "refused" and not text.strip():
        raise empty(got, ended, truncated=status == "truncated")
    return got.completion(status, text, ended=ended, reasoning=_reasoning(items))


def _ending(body: Mapping[str, Any]) -> tuple[str | None, CompletionStatus]:
    """The gateway's own word for why the answer ended, and the status that follows."""
    status = text_of(body.get("status"))
    details = body.get("incomplete_details")
    reason = text_of(details.get("reason")) if isinstance(details, Mapping) else None
    if status != "incomplete" and reason is None:
        return status, "ok"
    return reason or status, INCOMPLETE.get(reason or "", "truncated")


def _reasoning(items: Iterable[Mapping[str, Any]]) -> str | None:
    """What the model thought: its summaries, or its thoughts where a model shows them instead."""
    thoughts: list[str] = []
    for item in items:
        if item.get("type") == "reasoning":
            thoughts += list(_texts(_parts(item.get("summary")), "text")) or _texts(_parts(item.get("content")), "text")
    return "\n\n".join(filter(str.strip, thoughts)) or None


def _parts(content: object) -> list[Mapping[str, Any]]:
    """The parts of a message's or a thought's content, which may be a plain string."""
    return [{"text": content}] if isinstance(content, str) else list(_objects(content))


def _objects(values: object) -> Iterator[Mapping[str, Any]]:
    return (value for value in values if isinstance(value, Mapping)) if isinstance(values, list) else iter(())


def _texts(parts: Iterable[Mapping[str, Any]], name: str) -> Iterator[str]:
    return (part[name] for part in parts if isinstance(part.get(name), str))
