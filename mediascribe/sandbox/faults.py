"""Faults: every way in which the sandbox can misbehave on order (gateway notes 2.5 and 5), in one table.

`FAULTS` maps a name to what happens. A `Refusal` or a `Reply` stands in for the answer, and nothing is billed; an
`Altered` answer was made, billed, and then spoilt; a `Delivered` one has trouble with the connection. Whether the
request is billed is part of each row (`bills`).
"""

from __future__ import annotations

import dataclasses
import difflib
import gzip
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from mediascribe.errors import ConfigError
from mediascribe.sandbox import replies
from mediascribe.sandbox.refusals import REFUSALS, Refusal
from mediascribe.sandbox.replies import Reply, Sent, json_reply, to_bytes

if TYPE_CHECKING:
    from aiohttp import web

    from mediascribe.sandbox.answer import Answer

HUGE_BYTES: Final = 12 * 2**20  # beyond any sane cap of a client
INDEX_PAGE: Final = b"<!doctype html><html><head><title>New API</title></head><body><div id=root></div></body></html>"
_ESTIMATES: Final = {"image": 520, "audio": 256, "video": 8192}  # gateway notes 2.4
_COMMENT: Final = "Caf\xe9 au lait, \xe0 c\xf4t\xe9. "

Delivery = Callable[["web.Request", Reply, float], Awaitable[Sent]]
Body = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Altered:
    """What becomes of an answer: of its text and tokens (billed as they are then), of its JSON, of its bytes."""

    answer: Callable[[Answer], Answer] | None = None
    body: Callable[[Body], object] | None = None
    reply: Callable[[bytes], Reply] | None = None

    def made(self, answer: Answer) -> Reply:
        """The reply; *answer* has been through `answer` before."""
        body = answer.body()
        content = to_bytes(self.body(body) if self.body else body)
        return self.reply(content) if self.reply else Reply(body=content)


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivered:
    """How an answer travels; `handled` False: the connection breaks before the request was read."""

    how: Delivery
    handled: bool = True


Fate = Refusal | Reply | Altered | Delivered


def bills(name: str) -> bool:
    """Whether a request that meets the fault *name* is billed."""
    fate = FAULTS[name]
    return isinstance(fate, Altered) or (isinstance(fate, Delivered) and fate.handled)


def check_name(name: str) -> None:
    """Nothing, if *name* is in the table.

    Raises:
        ConfigError: it is not; the message says which comes nearest.
    """
    if name not in FAULTS:
        nearest = difflib.get_close_matches(name, FAULTS, n=1, cutoff=0)[0]
        raise ConfigError(f"there is no fault called {name!r}; did you mean {nearest!r}?")


def _message(**changes: object) -> Altered:
    """Members of the message replaced."""

    def change(body: Body) -> Body:
        body["choices"][0]["message"].update(changes)
        return body

    return Altered(body=change)


def _finish(reason: str, **changes: object) -> Altered:
    """Another finish reason, and members of the message replaced."""

    def change(body: Body) -> Body:
        body["choices"][0]["finish_reason"] = reason
        body["choices"][0]["message"].update(changes)
        return body

    return Altered(body=change)


def _without(*path: str | int) -> Altered:
    """The member at the end of *path* gone."""

    def change(body: Body) -> Body:
        inner: Any = body
        for step in path[:-1]:
            inner = inner[step]
        del inner[path[-1]]
        return body

    return Altered(body=change)


def _rewritten(write: Callable[[str], dict[str, object]]) -> Altered:
    """The message rebuilt around its own text."""

    def change(body: Body) -> Body:
        message = body["choices"][0]["message"]
        message.update(write(message["content"]))
        return body

    return Altered(body=change)


def _renamed(body: Body) -> Body:
    return body | {"model": f"{body['model']}-001"}


def _zeroed(body: Body) -> Body:
    def zero(value: object) -> object:
        if isinstance(value, dict):
            return {name: zero(inner) for name, inner in value.items()}
        return 0 if isinstance(value, int) else value

    return body | {"usage": zero(body["usage"])}


def _blocked(answer: Answer) -> Answer:
    counts = dataclasses.replace(answer.tokens, completion=0, reasoning=0)
    return dataclasses.replace(answer, text="", reasoning="", tokens=counts)


def _estimated(answer: Answer) -> Answer:
    """The gateway's own estimate in place of the tokens, without a mark: round numbers for each medium."""
    counts = dict.fromkeys(_ESTIMATES, 0)
    for part in answer.question.parts:
        counts[part.kind] += _ESTIMATES[part.kind]
    return dataclasses.replace(answer, tokens=dataclasses.replace(answer.tokens, **counts))


def _halved(answer: Answer) -> Answer:
    return answer.shortened(max(1, answer.tokens.completion // 2))


def _accented(body: Body) -> Body:
    message = body["choices"][0]["message"]
    return body | {"choices": [body["choices"][0] | {"message": message | {"content": _COMMENT + message["content"]}}]}


def _padded(body: Body) -> Body:
    body["choices"][0]["message"]["content"] += " and so on" * (HUGE_BYTES // 10)
    return body


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

_ALTERED: Final[dict[str, Altered]] = {
    "prompt_blocked_200": Altered(answer=_blocked, body=lambda body: body | {"choices": []}),
    "cdn_524": Altered(reply=lambda _: _html(524, "524: A timeout occurred")),
    "empty_content": _message(content=""),
    "null_content": _message(content=None),
    "no_content": _without("choices", 0, "message", "content"),
    "no_message": _without("choices", 0, "message"),
    "no_choices": _without("choices"),
    "content_array": _rewritten(lambda text: {"content": [{"type": "text", "text": text}]}),
    "reasoning_only": _rewritten(lambda text: {"content": "", "reasoning_content": text}),
    "think_tags": _rewritten(lambda text: {"content": f"<think>Let me look at it.</think>\n\n{text}"}),
    "no_finish_reason": _without("choices", 0, "finish_reason"),
    "empty_finish_reason": _finish(""),
    "vendor_finish_reason": _finish("network_error"),
    "content_filter": _finish("content_filter", content=""),
    "refusal": _finish("stop", content=None, refusal="I cannot help with describing this."),
    "length": Altered(answer=_halved),
    "no_usage": _without("usage"),
    "zero_usage": Altered(body=_zeroed),
    "round_usage": Altered(answer=_estimated),
    "renamed_model": Altered(body=_renamed),
    "cut_json": Altered(reply=lambda content: Reply(body=content[: len(content) // 2])),
    "latin1": Altered(body=_accented, reply=lambda content: Reply(body=content.decode().encode("latin-1", "replace"))),
    "huge_body": Altered(body=_padded),
    "gzip_bomb": Altered(
        body=_padded, reply=lambda content: Reply(body=gzip.compress(content), headers={"Content-Encoding": "gzip"})
    ),
}

_DELIVERED: Final[dict[str, Delivered]] = {
    "reset_before": Delivered(how=replies.reset, handled=False),
    "reset_after": Delivered(how=replies.reset),
    "cut_body": Delivered(how=replies.half),
    "stall": Delivered(how=replies.stall),
    "slow_body": Delivered(how=replies.drop_by_drop),
}

FAULTS: Final[dict[str, Fate]] = {**REFUSALS, **_REPLIES, **_ALTERED, **_DELIVERED}
