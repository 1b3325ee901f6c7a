"""Chat: OpenAI's chat completions, with the gateway's parts for sound and video (gateway notes 3.1)."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Final

from mediascribe.sandbox.dialect import Body, Change, Dialect, Spoilt, renamed, replaced, without, zeroed
from mediascribe.sandbox.question import (
    ANY_OBJECT,
    Part,
    Question,
    contents,
    left_over,
    limit,
    members_of,
    rate,
    required_list,
    texts_in,
)
from mediascribe.sandbox.refusals import refused
from mediascribe.sandbox.streams import DONE, Event, slices

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from mediascribe.sandbox.answer import Answer

_MEDIA_PARTS: Final = {"image_url": "image", "audio_url": "audio", "video_url": "video"}
_IMAGES_IN_A_MESSAGE: Final = 16  # gateway notes 2.3
_EFFORTS: Final = frozenset({"low", "medium", "high", "xhigh"})


def question(body: Mapping[str, Any]) -> Question:
    """What *body* asks.

    Raises:
        RefusedError: no messages, a member of the wrong type, too many images.
    """
    messages = required_list(body, "messages")
    most = limit(body, "max_tokens", "max_completion_tokens")
    texts: list[str] = []
    parts: list[Part] = []
    for content in contents(messages):
        texts += texts_in(content, lambda part: part.get("type") == "text")
        media = [part for one in content for part in _media(one)]
        if sum(part.kind == "image" for part in media) > _IMAGES_IN_A_MESSAGE:
            raise refused("media_failed", why=f"too many images in the message, max allowed is {_IMAGES_IN_A_MESSAGE}")
        parts += media
    return Question(
        texts=tuple(texts),
        parts=tuple(parts),
        parameters=left_over(body, "messages"),
        max_tokens=most,
        thinks=_thinks(body),
        schema=_schema(members_of(body, "response_format")),
        stream=bool(body.get("stream")),
        tells_usage=members_of(body, "stream_options").get("include_usage") is not False,
    )


def _thinks(body: Mapping[str, Any]) -> bool:
    enabled = members_of(body, "thinking").get("type") == "enabled"
    return enabled or body.get("enable_thinking") is True or body.get("reasoning_effort") in _EFFORTS


def _schema(wish: Mapping[str, Any]) -> Mapping[str, Any] | None:
    if wish.get("type") == "json_schema":
        return members_of(members_of(wish, "json_schema"), "schema")
    return ANY_OBJECT if wish.get("type") == "json_object" else None


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
            yield Part(kind=_MEDIA_PARTS[kind], url=url, low=low, fps=rate(inner))


def body(answer: Answer) -> Body:
    """*answer* as the gateway sends it; the usage is in the shape of the model's family."""
    message = {"role": "assistant", "content": answer.text}
    if answer.reasoning:
        message["reasoning_content"] = answer.reasoning
    choice: Body = {"index": 0, "message": message, "finish_reason": answer.finish_reason}
    if answer.finish_reason is None:
        del choice["finish_reason"]
    made: Body = {
        "id": f"chatcmpl-{answer.request_id}",
        "model": answer.model.name,
        "object": "chat.completion",
        "created": int(time.time()),
        "choices": [choice],
        "usage": answer.model.usage(answer.tokens),
    }
    if answer.question.stream and answer.model.is_gemini:  # gateway notes 2.4: overwritten in streams
        made["usage"]["prompt_tokens_details"]["text_tokens"] = answer.tokens.prompt
    if answer.question.stream and not answer.question.tells_usage:
        del made["usage"]
    return made


def events(body: Body) -> list[Event]:
    """The chunks that add up to *body*: role, reasoning, text, finish; the usage with empty choices; `[DONE]`."""
    head = {"id": body["id"], "object": "chat.completion.chunk", "created": body["created"], "model": body["model"]}

    def chunk(delta: Body, reason: str | None = None, *, is_text: bool = False) -> Event:
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": reason}
        return Event(value={**head, "system_fingerprint": None, "choices": [choice]}, is_text=is_text)

    made = [event for choice in body.get("choices") or [] for event in _choice(choice, chunk)]
    if "usage" in body:
        made.append(Event(value={**head, "system_fingerprint": "", "choices": [], "usage": body["usage"]}))
    return [*made, Event(value=DONE, is_end=True)]


def _choice(choice: Body, chunk: Callable[..., Event]) -> Iterator[Event]:
    message = choice.get("message", {})
    content = message.get("content")
    yield chunk({"role": "assistant", "content": "" if isinstance(content, str) else None})
    for text in slices(message.get("reasoning_content")):
        yield chunk({"reasoning_content": text})
    for text in slices(content):
        yield chunk({"content": text}, is_text=True)
    if isinstance(content, list):
        yield chunk({"content": content}, is_text=True)
    if "refusal" in message:
        yield chunk({"refusal": message["refusal"]})
    if "finish_reason" in choice:
        yield chunk({}, choice["finish_reason"])


def _message(**changes: object) -> Change:
    """Members of the message replaced."""

    def change(body: Body) -> Body:
        body["choices"][0]["message"].update(changes)
        return body

    return change


def _finish(reason: str, **changes: object) -> Change:
    """Another finish reason, and members of the message replaced."""
    return lambda body: _message(**changes)(replaced("choices", 0, "finish_reason", value=reason)(body))


def _rewritten(write: Callable[[str], dict[str, object]]) -> Change:
    """The message rebuilt around its own text."""
    return lambda body: _message(**write(body["choices"][0]["message"]["content"]))(body)


_SPOILT: Final[Spoilt] = {
    "prompt_blocked_200": replaced("choices", value=[]),
    "empty_content": _message(content=""),
    "null_content": _message(content=None),
    "no_content": without("choices", 0, "message", "content"),
    "no_message": without("choices", 0, "message"),
    "no_choices": without("choices"),
    "content_array": _rewritten(lambda text: {"content": [{"type": "text", "text": text}]}),
    "reasoning_only": _rewritten(lambda text: {"content": "", "reasoning_content": text}),
    "think_tags": _rewritten(lambda text: {"content": f"<think>Let me look at it.</think>\n\n{text}"}),
    "no_finish_reason": without("choices", 0, "finish_reason"),
    "empty_finish_reason": _finish(""),
    "vendor_finish_reason": _finish("network_error"),
    "content_filter": _finish("content_filter", content=""),
    "refusal": _finish("stop", content=None, refusal="I cannot help with describing this."),
    "no_usage": lambda body: {name: value for name, value in body.items() if name != "usage"},
    "zero_usage": lambda body: zeroed("usage")(body) if "usage" in body else body,
    "renamed_model": renamed("model"),
}

DIALECT: Final = Dialect(
    name="chat",
    endpoint="openai",
    question=question,
    body=body,
    events=events,
    spoilt=_SPOILT,
    broken=Event(
        value={
            "error": {
                "message": "The upstream is overloaded, try again later",
                "type": "overloaded_error",
                "param": "",
                "code": "overloaded_error",
            }
        }
    ),
    rebuilds_streams=True,
)
