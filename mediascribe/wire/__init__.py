"""Wire formats: a `Request` becomes a body, what came back becomes a `Completion`.

Everything in this package is a pure function over values: no HTTP, no clock, no state. One module per dialect, one
table of token fields (`usage`), one table of faults (`faults`).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Final, Literal

from mediascribe.wire import chat

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from mediascribe.domain import Completion, MediaKind, Request

Carriage = Literal["url", "inline"]

ANSWER_HEADERS: Final = frozenset(
    {
        "content-type",
        "date",
        "llm_provider-retry-after",
        "retry-after",
        "retry-after-ms",
        "x-dashscope-partialresponse",
        "x-oneapi-request-id",
        "x-request-id",
        "x-should-retry",
    }
)
ANSWER_HEADER_PREFIXES: Final = ("x-ratelimit-",)


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


EITHER: Final[frozenset[Carriage]] = frozenset({"url", "inline"})
DIALECTS: Final[Mapping[str, Dialect]] = MappingProxyType(
    {
        "chat": Dialect(
            name="chat",
            url=chat.url,
            carries=MappingProxyType({"image": EITHER, "audio": EITHER, "video": EITHER}),
            encode=chat.encode,
            decode=chat.decode,
        )
    }
)
