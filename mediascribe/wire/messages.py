"""Anthropic messages (gateway notes 3.3).

The request has the text first, then the pictures; sound and film have no part here. The answer is read leniently: every
member may be missing or of another type. A streamed answer is assembled to the same JSON before it comes here.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

import msgspec

from mediascribe.errors import ConfigError, TransientError
from mediascribe.subschemas import strict
from mediascribe.wire import data_url, thinking
from mediascribe.wire.parameters import renamed, with_own
from mediascribe.wire.reading import Received, empty, opened, text_of

if TYPE_CHECKING:
    from mediascribe.domain import Completion, CompletionStatus, MediaKind, Request, Thinking
    from mediascribe.wire import Answer, Carriage

CARRIES: Final[Mapping[MediaKind, frozenset[Carriage]]] = MappingProxyType({"image": frozenset({"url", "inline"})})

# The version that takes `temperature` and its kin: the vendor's later one refuses them.
HEADERS: Final[Mapping[str, str]] = MappingProxyType({"anthropic-version": "2023-06-01"})

DEFAULT_MAX_TOKENS: Final = 1024  # the member must be there (gateway notes 3.3)

# Words of chat completions, and what they are called here.
RENAMED: Final[Mapping[str, str]] = MappingProxyType({"max_completion_tokens": "max_tokens", "stop": "stop_sequences"})

# Stop reasons of gateway notes 3.3; others count as ok.
ENDINGS: Final[Mapping[str, CompletionStatus]] = MappingProxyType(
    {
        "end_turn": "ok",
        "stop_sequence": "ok",
        "tool_use": "ok",
        "pause_turn": "ok",
        "max_tokens": "truncated",
        "model_context_window_exceeded": "truncated",
        "refusal": "refused",
    }
)


def url(base_url: str, _request: Request) -> str:
    """Where messages are asked."""
    return f"{base_url}/messages"


def encode(request: Request) -> bytes:
    """The body that asks *request*.

    Raises:
        ConfigError: a medium that this dialect does not carry.
    """
    content: list[dict[str, Any]] = [{"type": "text", "text": request.prompt}]
    for media in request.media:
        if media.kind not in CARRIES:
            raise ConfigError(f"the messages dialect carries no {media.kind}: choose another dialect for this model")
        content.append({"type": "image", "source": _source(media.url)})
    body: dict[str, Any] = {"model": request.model, "messages": [{"role": "user", "content": content}]}
    if request.system is not None:
        body["system"] = request.system
    return msgspec.json.encode(body | _members(request) | {"stream": request.stream})


def _source(address: str) -> dict[str, str]:
    """Where the picture is: its URL, or its bytes where that is a data URL."""
    inline = data_url.split(address)
    if inline is None:
        return {"type": "url", "url": address}
    media_type, content = inline
    return {"type": "base64", "media_type": media_type, "data": content}


def _members(request: Request) -> dict[str, Any]:
    """The job's parameters in this dialect's words; what it says in them itself wins over what is derived."""
    given = request.parameters
    members = {"max_tokens": DEFAULT_MAX_TOKENS, **renamed(given, RENAMED)}
    if isinstance(members.get("stop_sequences"), str):
        members["stop_sequences"] = [members["stop_sequences"]]
    if request.thinking is not None:
        members.setdefault("thinking", _thinking(request.thinking))
    if request.schema is not None:
        wanted = {"format": {"type": "json_schema", "schema": strict(request.schema) or request.schema}}
        members["output_config"] = with_own(wanted, given.get("output_config"))
    return thinking.made_to_fit(members)


def _thinking(switch: Thinking) -> dict[str, Any]:
    if switch == "off":
        return {"type": "disabled"}
    return {"type": "enabled", "budget_tokens": thinking.CLAUDE_BUDGETS[switch]}


def decode(answer: Answer, request: Request) -> Completion:
    """The completion in *answer* to *request*.

    Raises:
        AttemptError: there is no answer to keep. What it cost all the same is in the failure's usage.
    """
    got, body = opened(answer, request)
    if not isinstance(body.get("content"), list | str):
        message = "the gateway's answer has no `content`"
        raise TransientError(got.failure("malformed", message, ended=text_of(body.get("stop_reason"))))
    return _completion(got, body)


def _completion(got: Received, body: Mapping[str, Any]) -> Completion:
    ended = text_of(body.get("stop_reason"))
    status = ENDINGS.get((ended or "").lower(), "ok")
    text = "".join(_texts(body["content"], "text"))
    if status == "refused":
        text = text or _explanation(body.get("stop_details"))
    elif not text.strip():
        raise empty(got, ended, truncated=status == "truncated")
    # Blocks of `redacted_thinking` hold nothing that could be read.
    thoughts = filter(str.strip, _texts(body["content"], "thinking"))
    return got.completion(status, text, ended=ended, reasoning="\n\n".join(thoughts) or None)


def _texts(content: list[object] | str, kind: str) -> list[str]:
    """The texts of the blocks of *kind*, which is also the name of the member that holds them."""
    if isinstance(content, str):
        return [content] if kind == "text" else []
    blocks = (block for block in content if isinstance(block, Mapping) and block.get("type") == kind)
    return [block[kind] for block in blocks if isinstance(block.get(kind), str)]


def _explanation(details: object) -> str:
    """The vendor's words about a refusal, where it has any."""
    return (text_of(details.get("explanation")) if isinstance(details, Mapping) else None) or ""
