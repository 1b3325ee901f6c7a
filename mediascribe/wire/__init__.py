"""Wire formats: a `Request` becomes a body, what came back becomes a `Completion`.

Everything in this package is a pure function over values: no HTTP, no clock, no state. One module per dialect, one
table of token fields (`usage`), one table of faults (`faults`).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Final, Literal, Protocol

from mediascribe.wire import chat, generate_content, messages, responses, stream

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from mediascribe.domain import Completion, MediaKind, Request

Carriage = Literal["url", "inline"]

ANSWER_HEADERS: Final = frozenset(
    {
        "content-type",
        "date",
        "llm_provider-retry-after",
        "request-id",
        "retry-after",
        "retry-after-ms",
        "x-dashscope-partialresponse",
        "x-oneapi-request-id",
        "x-request-id",
        "x-should-retry",
    }
)
ANSWER_HEADER_PREFIXES: Final = ("anthropic-ratelimit-", "x-ratelimit-")


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What came over HTTP. The names of `headers` are lower-case; those that `keep_header` refuses are not needed."""

    status: int
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Dialect:
    """One wire format.

    `url` gives the address for a base URL (which ends in /v1) and a request; `headers` go with every request. `carries`
    says how each kind of media can travel: by `url`, or `inline` as a data URL; a kind that is missing cannot. `decode`
    raises an `AttemptError` where there is no answer to keep, and never anything else; it wants the request because
    some gateways report tokens that only make sense beside it.
    """

    name: str
    url: Callable[[str, Request], str]
    carries: Mapping[MediaKind, frozenset[Carriage]]
    encode: Callable[[Request], bytes]
    decode: Callable[[Answer, Request], Completion]
    headers: Mapping[str, str] = field(default_factory=dict)


def keep_header(name: str) -> bool:
    """Whether the header *name* (any case) says something that a decoder reads."""
    name = name.lower()
    return name in ANSWER_HEADERS or name.startswith(ANSWER_HEADER_PREFIXES)


class _Module(Protocol):
    """What a dialect's module has."""

    CARRIES: Mapping[MediaKind, frozenset[Carriage]]
    HEADERS: Mapping[str, str]

    def url(self, base_url: str, request: Request, /) -> str: ...
    def encode(self, request: Request, /) -> bytes: ...
    def decode(self, answer: Answer, request: Request, /) -> Completion: ...


def _dialect(name: str, module: _Module) -> Dialect:
    return Dialect(
        name=name,
        url=module.url,
        carries=module.CARRIES,
        encode=module.encode,
        decode=_decode(name, module.decode),
        headers=module.HEADERS,
    )


def _decode(name: str, decode: Callable[[Answer, Request], Completion]) -> Callable[[Answer, Request], Completion]:
    """*decode* for streamed answers too."""

    def decode_either(answer: Answer, request: Request) -> Completion:
        return decode(stream.assemble(answer, name) if _is_stream(answer, request) else answer, request)

    return decode_either


def _is_stream(answer: Answer, request: Request) -> bool:
    """Whether *answer* may hold a stream; `assemble` leaves alone what is none.

    An error may be JSON in spite of its content type (gateway notes 2.5), and a stream may have another one.
    """
    said = answer.headers.get("content-type", "").lower().startswith("text/event-stream")
    return said or request.stream or answer.body.lstrip().startswith((b"data:", b"event:", b":"))


DIALECTS: Final[Mapping[str, Dialect]] = MappingProxyType(
    {
        "chat": _dialect("chat", chat),
        "responses": _dialect("responses", responses),
        "messages": _dialect("messages", messages),
        "generate_content": _dialect("generate_content", generate_content),
    }
)
