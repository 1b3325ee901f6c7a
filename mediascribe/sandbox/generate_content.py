"""Generate content: Google's own dialect (gateway notes 3.4). Google fetches `fileUri`; usage tells every modality."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from mediascribe.sandbox import usage
from mediascribe.sandbox.dialect import Body, Dialect, Spoilt, renamed, replaced, without, zeroed
from mediascribe.sandbox.fetch import TYPES
from mediascribe.sandbox.look import KINDS
from mediascribe.sandbox.question import (
    ANY_OBJECT,
    Part,
    Question,
    contents,
    left_over,
    limit,
    rate,
    required_list,
    texts_in,
)
from mediascribe.sandbox.refusals import refused
from mediascribe.sandbox.streams import Event, slices

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from mediascribe.sandbox.answer import Answer

_FROM_URL_SAFE: Final = str.maketrans("-_", "+/")  # Google takes both alphabets, and its client writes this one
_JSON: Final = "application/json"
_OUTPUT_COUNTS: Final = ("candidatesTokenCount", "thoughtsTokenCount")


def question(body: Mapping[str, Any]) -> Question:
    """What *body* asks.

    Raises:
        RefusedError: no contents, or a member of the wrong type.
    """
    said = required_list(body, "contents")
    system, *parts_of = contents(map(_as_message, [_object(body, "systemInstruction") or {}, *said]))
    parts = [part for content in parts_of for part in content]
    config = _object(body, "generationConfig") or {}
    thinking = _object(config, "thinkingConfig") or {}
    return Question(
        texts=tuple(texts_in([*system, *parts], lambda part: part.get("thought") is not True)),
        parts=tuple(medium for part in parts for medium in _media(part)),
        parameters=left_over(body, "contents", "systemInstruction", "system_instruction", "stream"),
        max_tokens=limit(config, "maxOutputTokens", "max_output_tokens"),
        thinks=_thinks(thinking),
        shows_thoughts=_member(thinking, "includeThoughts") is True,
        schema=_schema(config),
        stream=bool(body.get("stream")),
    )


def _member(members: Mapping[str, Any], name: str) -> Any:  # noqa: ANN401 - JSON
    """The member *name*, in camels or in snakes: both are understood (gateway notes 3.4)."""
    snake = "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in name)
    return members.get(name, members.get(snake))


def _object(members: Mapping[str, Any], name: str) -> Mapping[str, Any] | None:
    found = _member(members, name)
    if not isinstance(found, dict | None):
        raise refused("bad_request", why=f"json: cannot unmarshal {name} into an object")
    return found


def _as_message(content: object) -> object:
    return {"content": content.get("parts")} if isinstance(content, dict) else content


def _thinks(wish: Mapping[str, Any]) -> bool:
    budget = _member(wish, "thinkingBudget")
    if budget is not None:
        return bool(budget != 0)
    level = str(_member(wish, "thinkingLevel")).lower()
    return _member(wish, "includeThoughts") is True or level in {"low", "medium", "high"}


def _schema(config: Mapping[str, Any]) -> Mapping[str, Any] | None:
    for name in ("responseJsonSchema", "responseSchema"):
        schema = _object(config, name)
        if schema is not None:
            return schema
    return ANY_OBJECT if _member(config, "responseMimeType") == _JSON else None


def _media(part: object) -> Iterator[Part]:
    if not isinstance(part, dict):
        raise refused("bad_request", why="json: cannot unmarshal a part")
    inline, file = _object(part, "inlineData"), _object(part, "fileData")
    fps = rate(_object(part, "videoMetadata"))
    if inline:
        mime = str(_member(inline, "mimeType") or "")
        content = str(inline.get("data")).translate(_FROM_URL_SAFE)
        yield Part(kind=_kind(mime), url=f"data:{mime};base64,{content}", fps=fps)
    if file:
        url = str(_member(file, "fileUri") or "")
        yield Part(kind=_kind(str(_member(file, "mimeType") or _type_by_name(url))), url=url, fps=fps)


def _kind(mime: str) -> str:
    """The kind that a type claims; the image's is the default, and the bytes decide later."""
    return next((kind for kind in KINDS if mime.startswith(f"{kind}/")), "image")


def _type_by_name(url: str) -> str:
    try:
        path = urlsplit(url).path
    except ValueError:
        return ""
    return TYPES.get(path[path.rfind(".") :].lower(), "")


def body(answer: Answer) -> Body:
    """*answer* as Google sends it, which the gateway passes through."""
    parts: list[Body] = [{"text": answer.text}] if answer.text else []
    if answer.reasoning and answer.question.shows_thoughts:
        parts.insert(0, {"text": answer.reasoning, "thought": True})
    content: Body = {"parts": parts, "role": "model"} if parts else {"role": "model"}
    candidate: Body = {"content": content, "index": 0}
    if answer.finish_reason is not None:
        candidate["finishReason"] = {"stop": "STOP", "length": "MAX_TOKENS"}[answer.finish_reason]
    return {
        "candidates": [candidate],
        "usageMetadata": usage.generate_content(answer.tokens),
        "modelVersion": answer.model.name,
        "responseId": answer.request_id,
    }


def events(body: Body) -> list[Event]:
    """The chunks that add up to *body*: each has the prompt's usage, the last one all of it and the finish reason."""
    running = dict(body)
    if "usageMetadata" in body:
        counts = body["usageMetadata"]
        prompt = {name: value for name, value in counts.items() if name not in _OUTPUT_COUNTS}
        running["usageMetadata"] = prompt | {"totalTokenCount": counts["promptTokenCount"]}
    made = []
    for candidate in body.get("candidates") or []:
        for part in (candidate.get("content") or {}).get("parts") or []:
            for text in slices(part["text"]):
                chunk = {"content": {"parts": [part | {"text": text}], "role": "model"}, "index": 0}
                made.append(Event(value=running | {"candidates": [chunk]}, is_text="thought" not in part))
    return [*made, Event(value=_last(body) if made else body)]


def _last(body: Body) -> Body:
    """What is left of *body* when its texts have been sent."""
    nothing = {"parts": [{"text": ""}], "role": "model"}
    return body | {"candidates": [candidate | {"content": nothing} for candidate in body["candidates"]]}


def _blocked(body: Body) -> Body:
    feedback = {"promptFeedback": {"blockReason": "PROHIBITED_CONTENT"}}
    return feedback | {name: value for name, value in body.items() if name != "candidates"}


def _only_thoughts(body: Body) -> Body:
    for part in body["candidates"][0]["content"].get("parts", []):
        part["thought"] = True
    return body


def _safety(body: Body) -> Body:
    return body | {"candidates": [{"finishReason": "SAFETY", "index": 0}]}


_CANDIDATE: Final = ("candidates", 0)
_SPOILT: Final[Spoilt] = {
    "prompt_blocked_200": _blocked,
    "empty_content": replaced(*_CANDIDATE, "content", "parts", value=[{"text": ""}]),
    "null_content": replaced(*_CANDIDATE, "content", value=None),
    "no_content": replaced(*_CANDIDATE, "content", value={"role": "model"}),
    "no_message": without(*_CANDIDATE, "content"),
    "no_choices": without("candidates"),
    "reasoning_only": _only_thoughts,
    "no_finish_reason": without(*_CANDIDATE, "finishReason"),
    "empty_finish_reason": replaced(*_CANDIDATE, "finishReason", value=""),
    "vendor_finish_reason": replaced(*_CANDIDATE, "finishReason", value="MALFORMED_RESPONSE"),
    "content_filter": _safety,
    "no_usage": without("usageMetadata"),
    "zero_usage": zeroed("usageMetadata"),
    "renamed_model": renamed("modelVersion"),
}

DIALECT: Final = Dialect(
    name="generate_content",
    endpoint="gemini",
    question=question,
    body=body,
    events=events,
    spoilt=_SPOILT,
    broken=Event(value={"error": {"code": 503, "message": "The model is overloaded.", "status": "UNAVAILABLE"}}),
    key_headers=("x-goog-api-key",),
    key_query="key",
    unfetched="file_uri_refused",
)
