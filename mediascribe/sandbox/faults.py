"""Faults: every way in which the sandbox can misbehave on order (gateway notes 2.5 and 5), in one table.

`FAULTS` maps a name to what happens. A `Refusal`, a `Reply` or a `Bare` error stands in for the answer, and nothing is
billed; an `Altered` answer was made, billed, and then spoilt; a `Delivered` one has trouble with the connection.
Whether the request is billed is part of each row (`bills`).

A fault that makes no sense in a dialect is not played there (`makes_sense`): `ONLY` says where those make sense that do
not everywhere, `Dialect.spoilt` does so for those that are made in the answer's JSON, and what begins with `stream_`
happens to streams only.
"""

from __future__ import annotations

import difflib
import gzip
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from mediascribe.errors import ConfigError
from mediascribe.sandbox import replies, spoiling, streams
from mediascribe.sandbox.refusals import REFUSALS, Refusal
from mediascribe.sandbox.replies import Reply, Sent, json_reply, stream_reply, to_bytes

if TYPE_CHECKING:
    from aiohttp import web

    from mediascribe.sandbox.answer import Answer
    from mediascribe.sandbox.dialect import Dialect
    from mediascribe.sandbox.streams import Event

INDEX_PAGE: Final = b"<!doctype html><html><head><title>New API</title></head><body><div id=root></div></body></html>"

Delivery = Callable[["web.Request", Reply, float], Awaitable[Sent]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Altered:
    """What becomes of an answer, in this order.

    Of its text and tokens (`answer`; billed as they are then), of its JSON (`spoilt`, a name in `Dialect.spoilt`), of
    the stream's `events` and their `pieces`, of all the bytes (`reply`).
    """

    answer: Callable[[Answer], Answer] | None = None
    spoilt: str | None = None
    events: Callable[[Sequence[Event], Dialect], list[Event]] | None = None
    pieces: Callable[[Sequence[bytes]], list[bytes]] | None = None
    reply: Callable[[bytes], Reply] | None = None

    def made(self, answer: Answer, dialect: Dialect) -> Reply:
        """The reply; *answer* has been through `answer` before."""
        body = dialect.body(answer)
        if self.spoilt:
            body = dialect.spoilt[self.spoilt](body)
        if not answer.question.stream:
            content = to_bytes(body)
            return self.reply(content) if self.reply else Reply(body=content)
        events = dialect.events(body)
        events = self.events(events, dialect) if self.events else events
        pieces = [event.encoded() for event in events]
        pieces = self.pieces(pieces) if self.pieces else pieces
        return self.reply(b"".join(pieces)).in_stream() if self.reply else stream_reply(pieces)


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivered:
    """How an answer travels; `handled` False: the connection breaks before the request was read."""

    how: Delivery
    handled: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Bare:
    """An error in a stream that has begun with a keep-alive comment: JSON without `data:`, status 200 (notes 2.5)."""

    refusal: Refusal

    def reply(self, dialect: Dialect, request_id: str) -> Reply:
        """It as it is sent."""
        return stream_reply([streams.PING, to_bytes(dialect.error(self.refusal, request_id))])


Fate = Refusal | Reply | Bare | Altered | Delivered


def bills(name: str) -> bool:
    """Whether a request that meets the fault *name* is billed."""
    fate = FAULTS[name]
    return isinstance(fate, Altered) or (isinstance(fate, Delivered) and fate.handled)


def makes_sense(name: str, dialect: Dialect, *, stream: bool) -> bool:
    """Whether the fault *name* can happen to an answer in *dialect*, streamed or not."""
    fate = FAULTS[name]
    if isinstance(fate, Altered) and fate.spoilt and fate.spoilt not in dialect.spoilt:
        return False
    return dialect.name in ONLY.get(name, (dialect.name,)) and (stream or not name.startswith("stream_"))


def check_name(name: str) -> None:
    """Nothing, if *name* is in the table.

    Raises:
        ConfigError: it is not; the message says which comes nearest.
    """
    if name not in FAULTS:
        nearest = difflib.get_close_matches(name, FAULTS, n=1, cutoff=0)[0]
        raise ConfigError(f"there is no fault called {name!r}; did you mean {nearest!r}?")


def _cut_off(events: Sequence[Event], dialect: Dialect) -> list[Event]:
    """An upstream's cut: where the gateway writes the stream it ends it in good order, elsewhere nothing follows."""
    return list(events) if dialect.rebuilds_streams else streams.until_text(events)


def _with_error(events: Sequence[Event], dialect: Dialect) -> list[Event]:
    """An error after some text, and nothing more."""
    return [*streams.half_of_text(events), dialect.broken]


def _html(status: int, title: str) -> Reply:
    page = f"<!doctype html><html><head><title>{title}</title></head><body><center>{title}</center></body></html>"
    return Reply(body=page.encode(), status=status, content_type="text/html")


_REPLIES: Final[dict[str, Reply]] = {
    "rate_limited_empty": Reply(body=b"", status=429),
    "html_200": Reply(body=INDEX_PAGE, content_type="text/html; charset=utf-8"),
    "cdn_502": _html(502, "502 Bad Gateway"),
    "success_false_200": json_reply({"success": False, "message": "the system is busy, try again later"}),
    "null_200": json_reply(None),
    "list_200": json_reply([{"error": {"message": "UnsupportedParamsError", "type": None}}]),
    "no_body_200": Reply(body=b""),
}

_SPOILT: Final = (
    "empty_content",
    "null_content",
    "no_content",
    "no_message",
    "no_choices",
    "content_array",
    "reasoning_only",
    "think_tags",
    "no_finish_reason",
    "empty_finish_reason",
    "vendor_finish_reason",
    "content_filter",
    "refusal",
    "no_usage",
    "zero_usage",
    "renamed_model",
)

_ALTERED: Final[dict[str, Altered]] = {
    **{name: Altered(spoilt=name) for name in _SPOILT},
    "prompt_blocked_200": Altered(answer=spoiling.blocked, spoilt="prompt_blocked_200"),
    "cdn_524": Altered(reply=lambda _: _html(524, "524: A timeout occurred")),
    "length": Altered(answer=spoiling.halved),
    "round_usage": Altered(answer=spoiling.estimated),
    "media_dropped": Altered(answer=spoiling.unseen),
    "fenced_json": Altered(answer=spoiling.fenced_json),
    "broken_json": Altered(answer=spoiling.broken_json),
    "wrong_schema": Altered(answer=spoiling.wrong_schema),
    "cut_json": Altered(reply=lambda content: Reply(body=content[: len(content) // 2])),
    "latin1": Altered(
        answer=spoiling.accented, reply=lambda content: Reply(body=content.decode().encode("latin-1", "replace"))
    ),
    "huge_body": Altered(answer=spoiling.padded),
    "gzip_bomb": Altered(
        answer=spoiling.padded,
        reply=lambda content: Reply(body=gzip.compress(content), headers={"Content-Encoding": "gzip"}),
    ),
    "stream_cut": Altered(answer=spoiling.broken_off, events=_cut_off),
    "stream_error": Altered(answer=spoiling.broken_off, events=_with_error),
    "stream_no_done": Altered(events=lambda events, _: streams.without_end(events)),
    "stream_no_usage": Altered(spoilt="no_usage"),
    "stream_comments": Altered(pieces=streams.commented),
    "stream_split": Altered(pieces=streams.split_oddly),
}

_DELIVERED: Final[dict[str, Delivered]] = {
    "reset_before": Delivered(how=replies.reset, handled=False),
    "reset_after": Delivered(how=replies.reset),
    "cut_body": Delivered(how=replies.half),
    "stall": Delivered(how=replies.stall),
    "slow_body": Delivered(how=replies.drop_by_drop),
    "stream_reset": Delivered(how=replies.reset_midway),
}

_BARE: Final = {"stream_error_bare": Bare(refusal=REFUSALS["http_503"])}

FAULTS: Final[dict[str, Fate]] = {**REFUSALS, **_REPLIES, **_ALTERED, **_DELIVERED, **_BARE}

_GEMINI: Final = ("chat", "generate_content")
ONLY: Final[dict[str, tuple[str, ...]]] = {
    "error_in_200": ("chat", "responses"),  # gateway notes 2.5
    "prompt_blocked_400": _GEMINI,
    "empty_response_500": _GEMINI,
    "dialect_missing": ("responses", "messages", "generate_content"),  # every channel speaks chat
    "image_url_refused": ("chat", "responses"),
    "file_uri_refused": ("generate_content",),
    "part_unknown": ("responses",),
    "upstream_invalid": ("messages",),
    "media_failed": ("chat", "messages"),  # elsewhere the vendor fetches (notes 2.3, 3.4)
    "count_token_failed": ("chat", "messages"),
    "list_200": ("chat",),
    "round_usage": ("chat", "responses"),  # elsewhere the vendor's usage is passed through
    "stream_no_done": ("chat", "messages"),  # elsewhere no event says only that
}
