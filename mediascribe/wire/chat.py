"""OpenAI chat completions, as the gateway's reference page speaks them (gateway notes 3.1 and 5).

The request has the page's parts in the page's order: the text, then the media, each by its URL. The answer is read
leniently: every member may be missing or of another type.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final, Literal

import msgspec

from mediascribe.domain import Completion, Failure
from mediascribe.errors import AttemptError, InDoubtError, PermanentError, StopRunError, TransientError
from mediascribe.wire.faults import fault, is_web_page, json_or_none
from mediascribe.wire.usage import normalise

if TYPE_CHECKING:
    from mediascribe.domain import ErrorClass, Request, Usage
    from mediascribe.wire import Answer

_Ending = Literal["ok", "truncated", "refused", "broken"]

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


def encode(request: Request) -> bytes:
    """The body that asks *request*, not streamed."""
    content: list[dict[str, Any]] = [{"type": "text", "text": request.prompt}]
    for media in request.media:
        part = f"{media.kind}_url"
        content.append({"type": part, part: {"url": media.url}})
    messages: list[dict[str, Any]] = [{"role": "user", "content": content}]
    if request.system is not None:
        messages.insert(0, {"role": "system", "content": request.system})
    body = {"model": request.model, "messages": messages, **request.parameters, "stream": False}
    return msgspec.json.encode(body)


def decode(answer: Answer, request: Request) -> Completion:
    """The completion in *answer* to *request*.

    Raises:
        AttemptError: there is no answer to keep. What it cost all the same is in the failure's usage.
    """
    body = json_or_none(answer.body)
    received = _received(answer, body, request)
    refused = isinstance(body, Mapping) and (bool(body.get("error")) or body.get("success") is False)
    if refused or not 200 <= answer.status < 300:  # noqa: PLR2004 - the successes
        raise fault(answer, usage=received.usage)
    if not isinstance(body, Mapping):
        raise _no_object(received)
    choices = body.get("choices")
    if not isinstance(choices, list) or not choices:
        raise _no_choices(received, request, said="choices" in body)
    return _completion(received, choices[0] if isinstance(choices[0], Mapping) else {})


@dataclass(frozen=True, slots=True, kw_only=True)
class _Received:
    """An answer, and what is known of it before its text is."""

    answer: Answer
    usage: Usage
    names: Mapping[str, str | None]  # of model and ids, as `Completion` and `Failure` call them

    def failure(
        self, error_class: ErrorClass, message: str, code: str | None = None, ended: str | None = None
    ) -> Failure:
        """The failure of this answer."""
        return Failure(
            error_class=error_class,
            message=message,
            code=code,
            http_status=self.answer.status,
            usage=self.usage,
            finish_reason=ended,
            **self.names,
        )


def _received(answer: Answer, body: object, request: Request) -> _Received:
    members: Mapping[str, Any] = body if isinstance(body, Mapping) else {}
    response_id = _text(members.get("id"))
    # The gateway's own ids are its request ids behind this prefix (gateway notes 0 and trap 25).
    own_id = response_id.removeprefix("chatcmpl-") if response_id and response_id.startswith("chatcmpl-") else None
    request_id = answer.headers.get("x-oneapi-request-id") or own_id or answer.headers.get("x-request-id")
    return _Received(
        answer=answer,
        usage=normalise(
            members.get("usage"),
            dialect="chat",
            model=request.model,
            media_kinds={media.kind for media in request.media},
        ),
        names={
            "model_returned": _text(members.get("model")),
            "response_id": response_id,
            "gateway_request_id": request_id or None,
        },
    )


def _text(value: object) -> str | None:
    return value if isinstance(value, str) and value else None


def _no_object(received: _Received) -> AttemptError:
    """The error for a 200 that is no JSON object."""
    answer = received.answer
    if is_web_page(answer):
        message = "the gateway answered with a web page: `gateway.base_url` must end in /v1"
        return StopRunError(received.failure("config", message))
    if json_or_none(answer.body) is not None or answer.body.strip() == b"null":
        return TransientError(received.failure("malformed", "the gateway answered with JSON that is no object"))
    message = f"the gateway's answer is cut or no JSON ({len(answer.body)} bytes)"
    return InDoubtError(received.failure("malformed", message))


def _no_choices(received: _Received, request: Request, *, said: bool) -> AttemptError:
    """The error for an object without a choice.

    Gemini's prompt block came as 200 with `"choices": []`, and so did an empty answer (gateway notes 2.5). The bill
    tells them apart as far as anything does: a blocked prompt was counted and nothing was written.
    """
    usage = received.usage
    if not said:
        return TransientError(received.failure("malformed", "the gateway's answer has no `choices`"))
    if request.model.lower().startswith("gemini") and usage.prompt_tokens and not usage.completion_tokens:
        message = "the prompt or its media were blocked: the gateway answered without a choice"
        return PermanentError(received.failure("safety", message, code="prompt_blocked"))
    return TransientError(received.failure("empty", "the gateway answered without a choice"))


def _completion(received: _Received, choice: Mapping[str, Any]) -> Completion:
    ended = _text(choice.get("finish_reason"))
    message = choice.get("message")
    message = message if isinstance(message, Mapping) else {}
    text, reasoning = _split_thinking(message)
    refusal = _refusal(message)
    ending = "refused" if refusal else _ending(received.answer, ended)
    if ending == "ok" and not text and reasoning and not received.usage.reasoning_tokens:
        # The whole answer stands where reasoning should (trap 11), and was not billed as such.
        text, reasoning = reasoning, None
    if ending == "broken":
        raise TransientError(received.failure("server", "the model's connection broke", code=ended, ended=ended))
    if ending != "refused" and not text.strip():
        raise _empty(received, ended, truncated=ending == "truncated")
    return Completion(
        status=ending,
        text=refusal or text,
        usage=received.usage,
        finish_reason=ended,
        reasoning=reasoning,
        **received.names,
    )


def _ending(answer: Answer, ended: str | None) -> _Ending:
    ending = ENDINGS.get((ended or "").lower(), "ok")
    # DashScope cuts an answer after 180 s and still says `stop` (gateway notes 4.4).
    if ending == "ok" and answer.headers.get("x-dashscope-partialresponse") == "true":
        return "truncated"
    return ending


def _empty(received: _Received, ended: str | None, *, truncated: bool) -> AttemptError:
    if truncated:
        message = "no text within the token limit: raise `max_tokens`, thinking counts too"
        return PermanentError(received.failure("empty", message, code=ended, ended=ended))
    return TransientError(received.failure("empty", "the gateway answered without text", ended=ended))


def _split_thinking(message: Mapping[str, Any]) -> tuple[str, str | None]:
    """The text without what the model thought before it, and that."""
    text = _joined(message.get("content"))
    thoughts = [_text(message.get("reasoning_content")) or _text(message.get("reasoning")) or ""]
    start = 0
    while block := _THINKING.match(text, start):
        thoughts.append(block[2].strip())
        start = block.end()
    return text[start:].lstrip("\r\n"), "\n\n".join(filter(str.strip, thoughts)) or None


def _joined(content: object) -> str:
    """The text of a message, which may be a string, a list of parts (the texts are kept), or missing."""
    if not isinstance(content, list):
        return _text(content) or ""
    texts = (part.get("text") if isinstance(part, Mapping) else part for part in content)
    return "".join(text for text in texts if isinstance(text, str))


def _refusal(message: Mapping[str, Any]) -> str | None:
    """The model's refusal; litellm moves it aside (reliability notes 3)."""
    aside = message.get("provider_specific_fields")
    aside = aside if isinstance(aside, Mapping) else {}
    return _text(message.get("refusal")) or _text(aside.get("refusal"))
