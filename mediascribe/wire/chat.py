"""OpenAI chat completions, as the gateway's reference page speaks them (gateway notes 3.1 and 5).

The request has the page's parts in the page's order: the text, then the media, each by its URL. The answer is read
leniently: every member may be missing or of another type.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final, Literal

import msgspec

from mediascribe.errors import AttemptError, PermanentError, TransientError
from mediascribe.subschemas import named
from mediascribe.wire import data_url, thinking
from mediascribe.wire.reading import Received, empty, opened, text_of

if TYPE_CHECKING:
    from mediascribe.domain import Completion, Media, MediaKind, Request
    from mediascribe.wire import Answer, Carriage

_Ending = Literal["ok", "truncated", "refused", "broken"]

_EITHER: Final[frozenset[Carriage]] = frozenset({"url", "inline"})
CARRIES: Final[Mapping[MediaKind, frozenset[Carriage]]] = MappingProxyType(
    {"image": _EITHER, "audio": _EITHER, "video": _EITHER}
)
HEADERS: Final[Mapping[str, str]] = MappingProxyType({})

# What `input_audio` calls a type; any other by its second half.
AUDIO_FORMATS: Final[Mapping[str, str]] = MappingProxyType(
    {"": "mp3", "audio/mpeg": "mp3", "audio/vnd.wave": "wav", "audio/wave": "wav", "audio/x-wav": "wav"}
)

# Lower-case finish reasons, those that the gateway passes through raw included (gateway notes 3.1). Others count as ok.
ENDINGS: Final[Mapping[str, _Ending]] = MappingProxyType(
    {
        "stop": "ok",
        "length": "truncated",
        "max_tokens": "truncated",
        "model_context_window_exceeded": "truncated",
        "content_filter": "refused",
        "refusal": "refused",
        "sensitive": "refused",
        "network_error": "broken",
    }
)

# Thinking that stands in the text, before the answer (gateway notes 1.1 and trap 11); cut off, it has no end.
_THINKING = re.compile(r"\s*<(think|budget:thinking)>(.*?)(?:</\1>\s*|\Z)", re.DOTALL)
_OPENAI = re.compile(r"(gpt-|o\d|chatgpt-)", re.IGNORECASE)


def url(base_url: str, _request: Request) -> str:
    """Where chat completions are asked."""
    return f"{base_url}/chat/completions"


def encode(request: Request) -> bytes:
    """The body that asks *request*.

    `max_tokens` stays what it is called: the gateway itself renames it for the models that want
    `max_completion_tokens`, and drops the sampling that they refuse (gateway notes 2.3).
    """
    content = [{"type": "text", "text": request.prompt}, *(_part(media, request) for media in request.media)]
    messages: list[dict[str, Any]] = [{"role": "user", "content": content}]
    if request.system is not None:
        messages.insert(0, {"role": "system", "content": request.system})
    body = {"model": request.model, "messages": messages, **_members(request), "stream": request.stream}
    return msgspec.json.encode(body)


def _part(media: Media, request: Request) -> dict[str, Any]:
    """The medium by its URL, which may be a data URL; a sound's bytes go into the part that the standard has for them.

    OpenAI wants them without the URL's prefix, Qwen with it (gateway notes 3.1, 4.4 and trap 5).
    """
    if media.kind == "audio" and (inline := data_url.split(media.url)):
        media_type, sound = inline
        form = AUDIO_FORMATS.get(media_type, media_type.rpartition("/")[2])
        sound = media.url if request.model.lower().startswith("qwen") else sound
        return {"type": "input_audio", "input_audio": {"data": sound, "format": form}}
    part = f"{media.kind}_url"
    seen: dict[str, Any] = {}
    if media.kind == "image" and request.detail != "auto":
        seen["detail"] = request.detail
    if media.kind == "video" and request.fps is not None:
        seen["fps"] = request.fps
    return {"type": part, part: {"url": media.url, **seen}}


def _members(request: Request) -> dict[str, Any]:
    """The job's parameters, and what follows from its other wishes; what they say themselves wins."""
    derived: dict[str, Any] = {}
    if request.thinking is not None:
        derived |= thinking.switch(request.model, request.thinking)
    if request.schema is not None:
        strict = _OPENAI.match(request.model)  # elsewhere the strict form's null unions gain nothing
        wanted = named(request.schema) if strict else {"name": "answer", "schema": request.schema, "strict": True}
        derived["response_format"] = {"type": "json_schema", "json_schema": wanted}
    if request.stream:
        derived["stream_options"] = {"include_usage": True}
    members = {
        **request.parameters,
        **{name: value for name, value in derived.items() if name not in request.parameters},
    }
    return thinking.made_to_fit(members) if request.model.lower().startswith("claude") else members


def decode(answer: Answer, request: Request) -> Completion:
    """The completion in *answer* to *request*.

    Raises:
        AttemptError: there is no answer to keep. What it cost all the same is in the failure's usage.
    """
    got, body = opened(answer, request)
    choices = body.get("choices")
    if not isinstance(choices, list) or not choices:
        raise _no_choices(got, request, said="choices" in body)
    return _completion(got, choices[0] if isinstance(choices[0], Mapping) else {})


def _no_choices(got: Received, request: Request, *, said: bool) -> AttemptError:
    """The error for an object without a choice.

    Gemini's prompt block came as 200 with `"choices": []`, and so did an empty answer (gateway notes 2.5). The bill
    tells them apart as far as anything does: a blocked prompt was counted and nothing was written.
    """
    usage = got.usage
    if not said:
        return TransientError(got.failure("malformed", "the gateway's answer has no `choices`"))
    if request.model.lower().startswith("gemini") and usage.prompt_tokens and not usage.completion_tokens:
        message = "the prompt or its media were blocked: the gateway answered without a choice"
        return PermanentError(got.failure("safety", message, code="prompt_blocked"))
    return TransientError(got.failure("empty", "the gateway answered without a choice"))


def _completion(got: Received, choice: Mapping[str, Any]) -> Completion:
    ended = text_of(choice.get("finish_reason"))
    message = choice.get("message")
    message = message if isinstance(message, Mapping) else {}
    text, reasoning = _split_thinking(message)
    refusal = _refusal(message)
    ending = "refused" if refusal else _ending(got.answer, ended)
    if ending == "ok" and not text and reasoning and not got.usage.reasoning_tokens:
        # The whole answer stands where reasoning should (trap 11), and was not billed as such.
        text, reasoning = reasoning, None
    if ending == "broken":
        raise TransientError(got.failure("server", "the model's connection broke", code=ended, ended=ended))
    if ending != "refused" and not text.strip():
        raise empty(got, ended, truncated=ending == "truncated")
    return got.completion(ending, refusal or text, ended=ended, reasoning=reasoning)


def _ending(answer: Answer, ended: str | None) -> _Ending:
    ending = ENDINGS.get((ended or "").lower(), "ok")
    # DashScope cuts an answer after 180 s and still says `stop` (gateway notes 4.4).
    if ending == "ok" and answer.headers.get("x-dashscope-partialresponse") == "true":
        return "truncated"
    return ending


def _split_thinking(message: Mapping[str, Any]) -> tuple[str, str | None]:
    """The text without what the model thought before it, and that."""
    text = _joined(message.get("content"))
    thoughts = [text_of(message.get("reasoning_content")) or text_of(message.get("reasoning")) or ""]
    start = 0
    while block := _THINKING.match(text, start):
        thoughts.append(block[2].strip())
        start = block.end()
    return text[start:].lstrip("\r\n"), "\n\n".join(filter(str.strip, thoughts)) or None


def _joined(content: object) -> str:
    """The text of a message, which may be a string, a list of parts (the texts are kept), or missing."""
    if not isinstance(content, list):
        return text_of(content) or ""
    texts = (part.get("text") if isinstance(part, Mapping) else part for part in content)
    return "".join(text for text in texts if isinstance(text, str))


def _refusal(message: Mapping[str, Any]) -> str | None:
    """The model's refusal; litellm moves it aside (reliability notes 3)."""
    aside = message.get("provider_specific_fields")
    aside = aside if isinstance(aside, Mapping) else {}
    return text_of(message.get("refusal")) or text_of(aside.get("refusal"))
