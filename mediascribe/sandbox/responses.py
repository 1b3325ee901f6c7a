"""Responses: OpenAI's responses (gateway notes 3.2). The vendor fetches the URLs, and takes images only."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Final

from mediascribe.sandbox import usage
from mediascribe.sandbox.dialect import Body, Change, Dialect, Spoilt, renamed, replaced, without, zeroed
from mediascribe.sandbox.question import (
    ANY_OBJECT,
    Part,
    Question,
    contents,
    left_over,
    limit,
    members_of,
    required_list,
    texts_in,
)
from mediascribe.sandbox.refusals import refused
from mediascribe.sandbox.streams import Event, named, slices

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from mediascribe.sandbox.answer import Answer

_TEXTS: Final = frozenset({"text", "input_text", "output_text"})  # `text` is a message whose content is a string
_DROPPED: Final = frozenset({"input_file", "refusal"})
_EFFORTS: Final = frozenset({"low", "medium", "high", "xhigh"})


def question(body: Mapping[str, Any]) -> Question:
    """What *body* asks.

    Raises:
        RefusedError: no input, a member of the wrong type, a part that the vendor does not know.
    """
    given = body.get("input")
    said = {"input": [{"content": given}] if given else []} if isinstance(given, str) else body
    items = required_list(said, "input")
    parts = [part for content in contents(items) for part in content]
    instructions = [{"type": "text", "text": body.get("instructions")}]
    reasoning = members_of(body, "reasoning")
    return Question(
        texts=tuple(texts_in([*instructions, *parts], lambda part: part.get("type") in _TEXTS)),
        parts=tuple(medium for part in parts for medium in _media(part)),
        parameters=left_over(body, "input", "instructions"),
        max_tokens=limit(body, "max_output_tokens"),
        thinks=reasoning.get("effort") in _EFFORTS,
        shows_thoughts=reasoning.get("summary") is not None,
        schema=_schema(members_of(members_of(body, "text"), "format")),
        stream=bool(body.get("stream")),
    )


def _schema(wish: Mapping[str, Any]) -> Mapping[str, Any] | None:
    if wish.get("type") == "json_schema":
        return members_of(wish, "schema")
    return ANY_OBJECT if wish.get("type") == "json_object" else None


def _media(part: object) -> Iterator[Part]:
    kind = part.get("type") if isinstance(part, dict) else None
    if not isinstance(part, dict) or not isinstance(kind, str):
        raise refused("part_unknown", why="input_text, input_image, input_file, input_audio")
    if kind == "input_image":
        if isinstance(part.get("image_url"), str):
            yield Part(kind="image", url=part["image_url"], low=part.get("detail") == "low")
    elif kind == "input_audio":
        sound = members_of(part, "input_audio")
        yield Part(kind="audio", url=f"data:audio/{sound.get('format')};base64,{sound.get('data')}")
    elif kind not in _TEXTS | _DROPPED:
        raise refused("part_unknown", why="input_text, input_image, input_file, input_audio")


def body(answer: Answer) -> Body:
    """*answer* as the vendor sends it, which the gateway passes through."""
    status = {"stop": "completed", "length": "incomplete", None: "in_progress"}[answer.finish_reason]
    text = {"type": "output_text", "text": answer.text, "annotations": [], "logprobs": []}
    message = {"id": f"msg_{answer.request_id}", "type": "message", "role": "assistant"}
    output: list[Body] = [
        message | {"status": "incomplete" if status == "incomplete" else "completed", "content": [text]}
    ]
    if answer.tokens.reasoning:
        summary = [{"type": "summary_text", "text": answer.reasoning}] if answer.question.shows_thoughts else []
        output.insert(0, {"id": f"rs_{answer.request_id}", "type": "reasoning", "summary": summary})
    return {
        "id": f"resp_{answer.request_id}",
        "object": "response",
        "created_at": int(time.time()),
        "status": status,
        "error": None,
        "incomplete_details": {"reason": "max_output_tokens"} if status == "incomplete" else None,
        "instructions": None,
        "max_output_tokens": answer.question.max_tokens,
        "model": answer.model.name,
        "output": output,
        "parallel_tool_calls": True,
        "previous_response_id": None,
        "temperature": None,
        "text": {"format": {"type": "json_object" if answer.question.schema else "text"}},
        "tool_choice": "auto",
        "tools": [],
        "top_p": None,
        "truncation": "disabled",
        "usage": usage.responses(answer.tokens),
        "metadata": {},
    }


def events(body: Body) -> list[Event]:
    """The events that add up to *body*, numbered; the last one holds all of it."""
    begun = {name: value for name, value in body.items() if name not in {"status", "output", "usage"}}
    begun |= {"status": "in_progress", "output": [], "usage": None}
    made = [
        named({"type": "response.created", "response": begun}),
        named({"type": "response.in_progress", "response": begun}),
    ]
    for place, item in enumerate(body.get("output") or []):
        made += _item(place, item)
    ending = {"incomplete": "response.incomplete", "failed": "response.failed"}
    made.append(named({"type": ending.get(body.get("status", ""), "response.completed"), "response": body}))
    return [
        Event(value={**event.value, "sequence_number": number}, name=event.name, is_text=event.is_text)
        for number, event in enumerate(made)
        if isinstance(event.value, dict)
    ]


def _item(place: int, item: Body) -> Iterator[Event]:
    members = "summary" if item["type"] == "reasoning" else "content"
    yield named({"type": "response.output_item.added", "output_index": place, "item": item | {members: []}})
    where = {"item_id": item["id"], "output_index": place}
    for number, part in enumerate(item.get(members) or []):
        yield from _part({**where, f"{members}_index": number}, part)
    yield named({"type": "response.output_item.done", "output_index": place, "item": item})


def _part(where: Body, part: Body) -> Iterator[Event]:
    around, stem, member = _STEMS[part["type"]]
    extra: Body = {"logprobs": []} if stem == "output_text" else {}
    empty = part | {member: ""}
    yield named({"type": f"response.{around}.added", **where, "part": empty})
    for text in slices(part[member]):
        delta = {"type": f"response.{stem}.delta", **where, **extra, "delta": text}
        yield named(delta, is_text=stem == "output_text")
    yield named({"type": f"response.{stem}.done", **where, **extra, member: part[member]})
    yield named({"type": f"response.{around}.done", **where, "part": part})


_STEMS: Final = {
    "output_text": ("content_part", "output_text", "text"),
    "refusal": ("content_part", "refusal", "refusal"),
    "summary_text": ("reasoning_summary_part", "reasoning_summary_text", "text"),
}


def _message(**changes: object) -> Change:
    """Members of the message, which is the last item, replaced."""

    def change(body: Body) -> Body:
        body["output"][-1].update(changes)
        return body

    return change


def _only_reasoning(body: Body) -> Body:
    text = body["output"][-1]["content"][0]["text"]
    thought = {"id": "rs_1", "type": "reasoning", "summary": [{"type": "summary_text", "text": text}]}
    return body | {"output": [thought]}


def _incomplete(reason: str) -> Change:
    return lambda body: body | {"status": "incomplete", "incomplete_details": {"reason": reason}}


_SPOILT: Final[Spoilt] = {
    "empty_content": replaced("output", -1, "content", 0, "text", value=""),
    "null_content": _message(content=None),
    "no_content": without("output", -1, "content"),
    "no_message": replaced("output", value=[]),
    "no_choices": without("output"),
    "reasoning_only": _only_reasoning,
    "no_finish_reason": without("status"),
    "vendor_finish_reason": _incomplete("network_error"),
    "content_filter": lambda body: _incomplete("content_filter")(body) | {"output": []},
    "refusal": _message(content=[{"type": "refusal", "refusal": "I cannot help with describing this."}]),
    "no_usage": without("usage"),
    "zero_usage": zeroed("usage"),
    "renamed_model": renamed("model"),
}

DIALECT: Final = Dialect(
    name="responses",
    endpoint="openai-response",
    question=question,
    body=body,
    events=events,
    spoilt=_SPOILT,
    broken=named(
        {
            "type": "error",
            "code": "server_error",
            "message": "The server had an error while processing your request",
            "param": None,
            "sequence_number": 99,
        }
    ),
    unfetched="image_url_refused",
)
