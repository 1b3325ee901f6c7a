"""Google generateContent (gateway notes 3.4): the only dialect whose bill tells pictures and video apart.

The request has the text first, then the media. The gateway does not fetch a medium's URL here: the vendor does, or
refuses. The answer is read leniently: every member may be missing or of another type. A streamed answer is assembled to
the same JSON before it comes here.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final, Literal
from urllib.parse import quote

import msgspec

from mediascribe.errors import AttemptError, PermanentError, TransientError
from mediascribe.redact import redact_text
from mediascribe.wire import data_url
from mediascribe.wire.faults import shorten
from mediascribe.wire.parameters import with_own
from mediascribe.wire.reading import Received, empty, opened, text_of

if TYPE_CHECKING:
    from mediascribe.domain import Completion, Media, MediaKind, Request, Thinking
    from mediascribe.wire import Answer, Carriage

_Ending = Literal["ok", "truncated", "refused", "broken"]

_EITHER: Final[frozenset[Carriage]] = frozenset({"url", "inline"})
CARRIES: Final[Mapping[MediaKind, frozenset[Carriage]]] = MappingProxyType(
    {"image": _EITHER, "audio": _EITHER, "video": _EITHER}
)
HEADERS: Final[Mapping[str, str]] = MappingProxyType({})

# By the ending of a URL's path; "" is for any other. The vendor's own words for the types.
MIME_TYPES: Final[Mapping[MediaKind, Mapping[str, str]]] = MappingProxyType(
    {
        "image": {
            "": "image/jpeg",
            "gif": "image/gif",
            "heic": "image/heic",
            "heif": "image/heif",
            "png": "image/png",
            "webp": "image/webp",
        },
        "audio": {
            "": "audio/mpeg",
            "aac": "audio/aac",
            "aiff": "audio/aiff",
            "flac": "audio/flac",
            "m4a": "audio/mp4",
            "mp4": "audio/mp4",
            "oga": "audio/ogg",
            "ogg": "audio/ogg",
            "opus": "audio/ogg",
            "wav": "audio/wav",
            "webm": "audio/webm",
        },
        "video": {
            "": "video/mp4",
            "3gp": "video/3gpp",
            "avi": "video/avi",
            "flv": "video/x-flv",
            "mov": "video/mov",
            "mpeg": "video/mpeg",
            "mpg": "video/mpg",
            "webm": "video/webm",
            "wmv": "video/wmv",
        },
    }
)

# Words of chat completions, the stronger one last, and what they are called in `generationConfig`.
RENAMED: Final[Mapping[str, str]] = MappingProxyType(
    {
        "max_tokens": "maxOutputTokens",
        "max_completion_tokens": "maxOutputTokens",
        "temperature": "temperature",
        "top_p": "topP",
        "top_k": "topK",
        "stop": "stopSequences",
        "seed": "seed",
        "presence_penalty": "presencePenalty",
        "frequency_penalty": "frequencyPenalty",
    }
)
# Other members of `generationConfig`; whatever else a job says stands beside it.
CONFIG_MEMBERS: Final = frozenset(
    {
        *RENAMED.values(),
        *("audioTimestamp", "candidateCount", "logprobs", "mediaResolution", "responseJsonSchema", "responseLogprobs"),
        *("responseMimeType", "responseModalities", "responseSchema", "thinkingConfig"),
    }
)

# What thinks least in each family, the first that matches: the vendor's pro models cannot stop, Gemini 3 has levels.
LEAST_THINKING: Final[tuple[tuple[str, Mapping[str, Any]], ...]] = (
    (r"gemini-3[\d.]*-pro", {"thinkingLevel": "low"}),
    (r"gemini-3", {"thinkingLevel": "minimal"}),
    (r"gemini-2\.5-pro", {"thinkingBudget": 128}),
    (r"", {"thinkingBudget": 0}),
)
BUDGETS: Final[Mapping[Thinking, int]] = MappingProxyType({"on": -1, "low": 1024, "medium": 8192, "high": 24_576})

# Finish reasons of gateway notes 3.4. OTHER is a filter's word too: through chat it becomes content_filter (3.1).
# Those that are not listed count as ok.
ENDINGS: Final[Mapping[str, _Ending]] = MappingProxyType(
    {
        "STOP": "ok",
        "MAX_TOKENS": "truncated",
        "SAFETY": "refused",
        "RECITATION": "refused",
        "LANGUAGE": "refused",
        "OTHER": "refused",
        "BLOCKLIST": "refused",
        "PROHIBITED_CONTENT": "refused",
        "SPII": "refused",
        "IMAGE_SAFETY": "refused",
        "IMAGE_PROHIBITED_CONTENT": "refused",
        "IMAGE_RECITATION": "refused",
        "MODEL_ARMOR": "refused",
        "MALFORMED_FUNCTION_CALL": "broken",
        "MALFORMED_RESPONSE": "broken",
        "UNEXPECTED_TOOL_CALL": "broken",
        "TOO_MANY_TOOL_CALLS": "broken",
    }
)


def url(base_url: str, request: Request) -> str:
    """Where *request* is asked: the model stands in the address, and so does whether the answer is streamed."""
    method = "streamGenerateContent?alt=sse" if request.stream else "generateContent"
    return f"{re.sub(r'/v1$', '/v1beta', base_url)}/models/{quote(request.model)}:{method}"


def encode(request: Request) -> bytes:
    """The body that asks *request*; whether it is streamed stands in the address."""
    parts = [{"text": request.prompt}, *(_part(media, request.fps) for media in request.media)]
    body: dict[str, Any] = {"contents": [{"role": "user", "parts": parts}]}
    if request.system is not None:
        body["systemInstruction"] = {"parts": [{"text": request.system}]}
    if config := _config(request):
        body["generationConfig"] = config
    own = {*RENAMED, *CONFIG_MEMBERS, "generationConfig"}
    return msgspec.json.encode(body | {name: value for name, value in request.parameters.items() if name not in own})


def _part(media: Media, fps: float | None) -> dict[str, Any]:
    types = MIME_TYPES[media.kind]
    read = {"videoMetadata": {"fps": fps}} if media.kind == "video" and fps is not None else {}
    if inline := data_url.split(media.url):
        mime_type, content = inline
        return {"inlineData": {"mimeType": mime_type or types[""], "data": content}, **read}
    name = re.split(r"[?#]", media.url)[0].rpartition("/")[2]
    mime_type = types.get(name.rpartition(".")[2].lower(), types[""])
    return {"fileData": {"fileUri": media.url, "mimeType": mime_type}, **read}


def _config(request: Request) -> dict[str, Any]:
    """`generationConfig`: what the job says in this dialect's own words wins over what is derived."""
    given = request.parameters
    config = {new: given[old] for old, new in RENAMED.items() if old in given}
    if isinstance(config.get("stopSequences"), str):
        config["stopSequences"] = [config["stopSequences"]]
    if request.thinking is not None:
        config["thinkingConfig"] = _thinking(request.model, request.thinking)
    if request.detail != "auto":
        config["mediaResolution"] = f"MEDIA_RESOLUTION_{request.detail.upper()}"
    if request.schema is not None:
        config |= {"responseMimeType": "application/json", "responseJsonSchema": request.schema}
    config |= {name: value for name, value in given.items() if name in CONFIG_MEMBERS}
    return with_own(config, given.get("generationConfig"))


def _thinking(model: str, thinking: Thinking) -> dict[str, Any]:
    """How much to think; what is thought is asked for, to be kept beside the answer."""
    least = next(member for family, member in LEAST_THINKING if re.match(family, model.lower()))
    if thinking == "off":
        return dict(least)
    if "thinkingLevel" not in least:
        return {"thinkingBudget": BUDGETS[thinking], "includeThoughts": True}
    # Left alone, Gemini 3 decides for itself.
    return ({} if thinking == "on" else {"thinkingLevel": thinking}) | {"includeThoughts": True}


def decode(answer: Answer, request: Request) -> Completion:
    """The completion in *answer* to *request*.

    Raises:
        AttemptError: there is no answer to keep. What it cost all the same is in the failure's usage.
    """
    got, body = opened(answer, request)
    candidates = body.get("candidates")
    if not isinstance(candidates, list) or not candidates:
        raise _no_candidates(got, body)
    return _completion(got, candidates[0] if isinstance(candidates[0], Mapping) else {})


def _no_candidates(got: Received, body: Mapping[str, Any]) -> AttemptError:
    """The error for an object without a candidate: a blocked prompt says so, and in 200 (gateway notes 3.4)."""
    feedback = body.get("promptFeedback")
    feedback = feedback if isinstance(feedback, Mapping) else {}
    if reason := text_of(feedback.get("blockReason")):
        message = f"the prompt or its media were blocked ({reason})"
        if said := text_of(feedback.get("blockReasonMessage")):
            message += f": {said}"
        message = shorten(redact_text(message))
        return PermanentError(got.failure("safety", message, code="prompt_blocked", ended=reason))
    # An empty list is left out of this vendor's JSON, so that a bill alone is an empty answer.
    if "candidates" in body or "usageMetadata" in body:
        return TransientError(got.failure("empty", "the gateway answered without a candidate"))
    return TransientError(got.failure("malformed", "the gateway's answer has no `candidates`"))


def _completion(got: Received, candidate: Mapping[str, Any]) -> Completion:
    ended = text_of(candidate.get("finishReason"))
    ending = ENDINGS.get((ended or "").upper(), "ok")
    parts = _parts(candidate.get("content"))
    text = "".join(part["text"] for part in parts if part.get("thought") is not True)
    if ending == "broken":
        message = f"the model broke its answer off ({ended})"
        raise TransientError(got.failure("server", message, code=ended, ended=ended))
    if ending == "refused":
        text = text or text_of(candidate.get("finishMessage")) or ""
    elif not text.strip():
        raise empty(got, ended, truncated=ending == "truncated")
    thoughts = "".join(part["text"] for part in parts if part.get("thought") is True)
    return got.completion(ending, text, ended=ended, reasoning=thoughts.strip() or None)


def _parts(content: object) -> list[Mapping[str, Any]]:
    """The parts that have a text; a candidate may have no content, and content no parts (gateway notes 3.4)."""
    parts = content.get("parts") if isinstance(content, Mapping) else None
    if not isinstance(parts, list):
        return []
    return [part for part in parts if isinstance(part, Mapping) and isinstance(part.get("text"), str)]
