"""Messages: Anthropic's messages (gateway notes 3.3). The gateway fetches the images; no sound, no video."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from mediascribe.sandbox import usage
from mediascribe.sandbox.dialect import Body, Dialect, Spoilt, renamed, replaced, without, zeroed
from mediascribe.sandbox.question import Part, Question, contents, left_over, limit, members_of, required_list, texts_in
from mediascribe.sandbox.refusals import anthropic_error, refused
from mediascribe.sandbox.streams import Event, named, slices

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from mediascribe.sandbox.answer import Answer

_DROPPED: Final = frozenset({"text", "document", "thinking", "redacted_thinking"})
_KNOWN: Final = "'text', 'image', 'document', 'thinking', 'redacted_thinking'"


def question(body: Mapping[str, Any]) -> Question:
    """What *body* asks.

    Raises:
        RefusedError: no messages, no `max_tokens`, a member of the wrong type, a block that the vendor does not know.
    """
    messages = required_list(body, "messages")
    most = limit(body, "max_tokens")
    if most is None:
        raise refused("upstream_invalid", why="max_tokens: Field required")
    system, *said = contents([{"content": body.get("system")}, *messages])
    blocks = [block for content in said for block in content]
    wish = members_of(members_of(body, "output_config"), "format")
    return Question(
        texts=tuple(texts_in([*system, *blocks], lambda block: block.get("type") == "text")),
        parts=tuple(medium for block in blocks for medium in _media(block)),
        parameters=left_over(body, "messages", "system"),
        max_tokens=most,
        thinks=members_of(body, "thinking").get("type") in {"enabled", "adaptive"},
        schema=members_of(wish, "schema") if wish.get("type") == "json_schema" else None,
        stream=bool(body.get("stream")),
    )


def _media(block: object) -> Iterator[Part]:
    kind = block.get("type") if isinstance(block, dict) else None
    if not isinstance(block, dict) or kind not in _DROPPED | {"image"}:
        why = f"messages: Input tag '{kind}' found using 'type' does not match any of the expected tags: {_KNOWN}"
        raise refused("upstream_invalid", why=why)
    if kind == "image":
        source = members_of(block, "source")
        names = {"url": ("url",), "base64": ("media_type", "data")}.get(source.get("type", ""), ("type",))
        found = [source.get(name) for name in names]
        if names == ("type",) or not all(isinstance(one, str) for one in found):
            raise refused("upstream_invalid", why=f"messages: image.source.{names[-1]}: Field required")
        yield Part(kind="image", url=str(found[0]) if len(found) == 1 else f"data:{found[0]};base64,{found[1]}")


def body(answer: Answer) -> Body:
    """*answer* as Claude sends it."""
    content: list[Body] = [{"type": "text", "text": answer.text}] if answer.text else []
    if answer.reasoning:
        content.insert(0, {"type": "thinking", "thinking": answer.reasoning, "signature": "c2FuZGJveA=="})
    return {
        "id": f"msg_bdrk_{answer.request_id}",
        "type": "message",
        "role": "assistant",
        "model": answer.model.name,
        "content": content,
        "stop_reason": {"stop": "end_turn", "length": "max_tokens", None: None}[answer.finish_reason],
        "stop_sequence": None,
        "usage": usage.messages(answer.tokens),
    }


def events(body: Body) -> list[Event]:
    """The events that add up to *body*: the input's usage comes with the first, the output's with the last but one."""
    begun = body | {"content": [], "stop_reason": None}
    end: Body = {"type": "message_delta", "delta": {"stop_sequence": None}}
    if "stop_reason" in body:
        end["delta"]["stop_reason"] = body["stop_reason"]
    if "usage" in body:
        begun["usage"] = body["usage"] | {"output_tokens": 0}
        end["usage"] = {"output_tokens": body["usage"]["output_tokens"]}
    made = [named({"type": "message_start", "message": begun}), named({"type": "ping"})]
    for place, block in enumerate(body.get("content") or []):
        made += _block(place, block)
    return [*made, named(end), named({"type": "message_stop"}, is_end=True)]


def _block(place: int, block: Body) -> Iterator[Event]:
    kind = block["type"]
    empty = {"text": {"text": ""}, "thinking": {"thinking": "", "signature": ""}}[kind]
    yield named({"type": "content_block_start", "index": place, "content_block": {"type": kind, **empty}})
    for text in slices(block[kind]):
        delta = {"type": f"{kind}_delta", kind: text}
        yield named({"type": "content_block_delta", "index": place, "delta": delta}, is_text=kind == "text")
    if kind == "thinking":
        delta = {"type": "signature_delta", "signature": block["signature"]}
        yield named({"type": "content_block_delta", "index": place, "delta": delta})
    yield named({"type": "content_block_stop", "index": place})


def _only_thinking(body: Body) -> Body:
    text = "".join(block.get("text", "") for block in body["content"])
    return body | {"content": [{"type": "thinking", "thinking": text, "signature": "c2FuZGJveA=="}]}


_SPOILT: Final[Spoilt] = {
    "empty_content": replaced("content", value=[]),
    "null_content": replaced("content", value=None),
    "no_content": without("content"),
    "reasoning_only": _only_thinking,
    "no_finish_reason": without("stop_reason"),
    "empty_finish_reason": replaced("stop_reason", value=""),
    "vendor_finish_reason": replaced("stop_reason", value="model_context_window_exceeded"),
    "refusal": lambda body: body | {"content": [], "stop_reason": "refusal"},
    "no_usage": without("usage"),
    "zero_usage": zeroed("usage"),
    "renamed_model": renamed("model"),
}

DIALECT: Final = Dialect(
    name="messages",
    endpoint="anthropic",
    question=question,
    body=body,
    events=events,
    spoilt=_SPOILT,
    broken=named({"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}),
    error=anthropic_error,
    key_headers=("x-api-key",),
)
