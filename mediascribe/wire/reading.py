"""What every dialect's answers have in common: ids, usage, and the ways in which there is no answer in them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

import msgspec

from mediascribe.domain import MEDIA_KINDS, Completion, Failure
from mediascribe.errors import AttemptError, InDoubtError, PermanentError, StopRunError, TransientError
from mediascribe.wire.faults import fault, is_web_page, json_or_none
from mediascribe.wire.usage import read

if TYPE_CHECKING:
    from mediascribe.domain import CompletionStatus, ErrorClass, Flag, MediaKind, Request, Usage
    from mediascribe.wire import Answer

BYTES_PER_TOKEN: Final = 4  # of text; most of it needs more tokens than that
FRAME_TOKENS: Final = 20  # around the text: roles, and system messages that models bring along

_USAGE: Final[Mapping[str, str]] = MappingProxyType({"generate_content": "usageMetadata"})
_TYPED_ERRORS: Final = frozenset({"responses", "messages"})  # `"type": "error"` alone says that an object is one
# As what a medium may be billed: a video as frames, or as its sound alone.
_COUNTED_AS: Final[Mapping[MediaKind, tuple[MediaKind, ...]]] = MappingProxyType(
    {"image": ("image", "video"), "audio": ("audio",), "video": MEDIA_KINDS}
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Received:
    """An answer, and what is known of it before its text is."""

    answer: Answer
    usage: Usage
    model_returned: str | None
    response_id: str | None
    gateway_request_id: str | None
    flags: tuple[Flag, ...] = ()

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
            flags=self.flags,
            finish_reason=ended,
            model_returned=self.model_returned,
            response_id=self.response_id,
            gateway_request_id=self.gateway_request_id,
        )

    def completion(
        self, status: CompletionStatus, text: str, *, ended: str | None, reasoning: str | None = None
    ) -> Completion:
        """The completion of this answer."""
        return Completion(
            status=status,
            text=text,
            usage=self.usage,
            flags=self.flags,
            finish_reason=ended,
            reasoning=reasoning,
            model_returned=self.model_returned,
            response_id=self.response_id,
            gateway_request_id=self.gateway_request_id,
        )


def opened(answer: Answer, request: Request) -> tuple[Received, Mapping[str, Any]]:
    """What is known of *answer* before its text is, and the object that it is.

    Raises:
        AttemptError: it is an error, in 200 too, or no object.
    """
    body = json_or_none(answer.body)
    got = received(answer, body, request)
    if not 200 <= answer.status < 300 or _is_error(body, request.dialect):  # noqa: PLR2004 - the successes
        raise fault(answer, usage=got.usage)
    if not isinstance(body, Mapping):
        raise _no_object(got)
    return got, body


def _is_error(body: object, dialect: str) -> bool:
    if not isinstance(body, Mapping):
        return False
    typed = dialect in _TYPED_ERRORS and body.get("type") == "error"
    return typed or bool(body.get("error")) or body.get("success") is False


def _no_object(got: Received) -> AttemptError:
    """The error for a 200 that is no JSON object."""
    answer = got.answer
    if is_web_page(answer):
        message = "the gateway answered with a web page: `gateway.base_url` must end in /v1"
        return StopRunError(got.failure("config", message))
    if json_or_none(answer.body) is not None or answer.body.strip() == b"null":
        return TransientError(got.failure("malformed", "the gateway answered with JSON that is no object"))
    message = f"the gateway's answer is cut or no JSON ({len(answer.body)} bytes)"
    return InDoubtError(got.failure("malformed", message))


def received(answer: Answer, body: object, request: Request) -> Received:
    """What the top of *body* says, whatever the dialect: ids, model, usage."""
    members: Mapping[str, Any] = body if isinstance(body, Mapping) else {}
    response_id = text_of(members.get("id")) or text_of(members.get("responseId"))
    # The gateway's own ids are its request ids behind this prefix (gateway notes 0 and trap 25).
    own_id = response_id.removeprefix("chatcmpl-") if response_id and response_id.startswith("chatcmpl-") else None
    vendors_id = answer.headers.get("x-request-id") or answer.headers.get("request-id")
    request_id = answer.headers.get("x-oneapi-request-id") or own_id or vendors_id
    found = read(
        members.get(_USAGE.get(request.dialect, "usage")),
        dialect=request.dialect,
        model=request.model,
        media_kinds={media.kind for media in request.media},
        stream=request.stream,
    )
    return Received(
        answer=answer,
        usage=found.usage,
        model_returned=text_of(members.get("model")) or text_of(members.get("modelVersion")),
        response_id=response_id,
        gateway_request_id=request_id or None,
        flags=("media_ignored", *found.flags) if _ignores_media(found.usage, request) else found.flags,
    )


def _ignores_media(usage: Usage, request: Request) -> bool:
    """Whether a medium that was sent can be seen to be missing from the bill (gateway notes 0 and trap 3).

    Only a complete split shows it for sure. Without a text count, no more than the text's own tokens is the sign: those
    are set low, since a small picture costs less than a long text's error (54 tokens at Claude, gateway notes 4.3).
    """
    if not usage.prompt_tokens or all(_billed(usage, media.kind) for media in request.media):
        return False
    rest = usage.prompt_tokens - usage.prompt_text_tokens - sum(_counted(usage, kind) for kind in MEDIA_KINDS)
    if usage.prompt_text_tokens:
        return rest == 0
    schema = msgspec.json.encode(request.schema).decode() if request.schema else ""
    text = f"{request.prompt}{request.system or ''}{schema}"
    return rest <= len(text.encode(errors="replace")) // BYTES_PER_TOKEN + FRAME_TOKENS


def _billed(usage: Usage, kind: MediaKind) -> bool:
    return any(_counted(usage, counted) for counted in _COUNTED_AS[kind])


def _counted(usage: Usage, kind: MediaKind) -> int:
    if kind == "image":
        return usage.prompt_image_tokens
    return usage.prompt_audio_tokens if kind == "audio" else usage.prompt_video_tokens


def text_of(value: object) -> str | None:
    """*value* where it is a text with something in it."""
    return value if isinstance(value, str) and value else None


def empty(got: Received, ended: str | None, *, truncated: bool) -> AttemptError:
    """The error for an answer without text."""
    if truncated:
        message = "no text within the token limit: raise `max_tokens`, thinking counts too"
        return PermanentError(got.failure("empty", message, code=ended, ended=ended))
    return TransientError(got.failure("empty", "the gateway answered without text", ended=ended))
