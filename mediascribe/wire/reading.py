"""What every dialect's answers have in common: ids, usage, and the ways in which there is no answer in them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mediascribe.domain import Completion, Failure
from mediascribe.errors import AttemptError, InDoubtError, PermanentError, StopRunError, TransientError
from mediascribe.wire.faults import is_web_page, json_or_none
from mediascribe.wire.usage import normalise

if TYPE_CHECKING:
    from mediascribe.domain import CompletionStatus, ErrorClass, Flag, Request, Usage
    from mediascribe.wire import Answer


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


def received(answer: Answer, body: object, request: Request) -> Received:
    """What the top of *body* says, whatever the dialect: ids, model, usage."""
    members: Mapping[str, Any] = body if isinstance(body, Mapping) else {}
    response_id = text_of(members.get("id"))
    # The gateway's own ids are its request ids behind this prefix (gateway notes 0 and trap 25).
    own_id = response_id.removeprefix("chatcmpl-") if response_id and response_id.startswith("chatcmpl-") else None
    request_id = answer.headers.get("x-oneapi-request-id") or own_id or answer.headers.get("x-request-id")
    return Received(
        answer=answer,
        usage=normalise(
            members.get("usage"),
            dialect="chat",
            model=request.model,
            media_kinds={media.kind for media in request.media},
        ),
        model_returned=text_of(members.get("model")),
        response_id=response_id,
        gateway_request_id=request_id or None,
    )


def text_of(value: object) -> str | None:
    """*value* where it is a text with something in it."""
    return value if isinstance(value, str) and value else None


def no_object(got: Received) -> AttemptError:
    """The error for a 200 that is no JSON object."""
    answer = got.answer
    if is_web_page(answer):
        message = "the gateway answered with a web page: `gateway.base_url` must end in /v1"
        return StopRunError(got.failure("config", message))
    if json_or_none(answer.body) is not None or answer.body.strip() == b"null":
        return TransientError(got.failure("malformed", "the gateway answered with JSON that is no object"))
    message = f"the gateway's answer is cut or no JSON ({len(answer.body)} bytes)"
    return InDoubtError(got.failure("malformed", message))


def empty(got: Received, ended: str | None, *, truncated: bool) -> AttemptError:
    """The error for an answer without text."""
    if truncated:
        message = "no text within the token limit: raise `max_tokens`, thinking counts too"
        return PermanentError(got.failure("empty", message, code=ended, ended=ended))
    return TransientError(got.failure("empty", "the gateway answered without text", ended=ended))
