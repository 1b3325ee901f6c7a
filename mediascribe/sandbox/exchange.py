"""Exchange: one completion request, in any dialect, from connection to connection, every step written into the ledger.

The order is the gateway's: key, body, model, requests at a time, of the day and of the minute, then (or a fault instead
of) the media, the answer, the tokens of the minute; in an outage nothing follows the model. From then on the request is
billed, whatever becomes of the answer on its way, also when the client has left: a request that timed out costs its
full price (gateway notes 5.22). The dialect changes the words, never the bill.
"""

from __future__ import annotations

import asyncio
import hmac
import sys
from contextlib import ExitStack
from dataclasses import dataclass, replace
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final

import aiohttp
from aiohttp import web

from mediascribe.sandbox import replies
from mediascribe.sandbox.answer import Answer, answer
from mediascribe.sandbox.desk import Desk
from mediascribe.sandbox.faults import FAULTS, Altered, Bare, Delivered, Delivery, makes_sense
from mediascribe.sandbox.fetch import load
from mediascribe.sandbox.ledger import prompt_sha256
from mediascribe.sandbox.look import UnreadableError
from mediascribe.sandbox.question import parsed
from mediascribe.sandbox.refusals import Refusal, RefusedError, refused
from mediascribe.sandbox.replies import Reply

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from mediascribe.sandbox.conduct import Conduct
    from mediascribe.sandbox.dialect import Dialect
    from mediascribe.sandbox.fetch import Loaded
    from mediascribe.sandbox.ledger import Line
    from mediascribe.sandbox.look import Facts
    from mediascribe.sandbox.models import ServedModel
    from mediascribe.sandbox.question import Part, Question

DESK: Final = web.AppKey("desk", Desk)
SESSION: Final = web.AppKey("session", aiohttp.ClientSession)
REQUEST_ID: Final = web.RequestKey("request_id", str)
MAX_BODY_BYTES: Final = 64 * 2**20
_KEYS_REFUSED: Final = {
    "sk-expired": "expired",
    "sk-disabled": "disabled",
    "sk-used-up": "used_up",
    "sk-empty": "balance_empty",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Outcome:
    """What to send, and how."""

    reply: Reply
    how: Delivery = replies.whole
    pause_s: float = 0.0

    def saying(self, headers: Mapping[str, str]) -> _Outcome:
        """The same with *headers* beside the reply's own."""
        return replace(self, reply=self.reply.saying(headers)) if headers else self


@dataclass(frozen=True, slots=True, kw_only=True)
class _Case:
    """A request, the dialect of its route, and its line in the ledger."""

    request: web.Request
    dialect: Dialect
    line: Line

    @property
    def request_id(self) -> str:
        """The id that the answer's header has."""
        return self.request[REQUEST_ID]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Asked:
    """Whom a request asks, and how they behave."""

    body: dict[str, Any]
    model: ServedModel
    conduct: Conduct


def complete(dialect: Dialect) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
    """What answers completion requests in *dialect*."""

    async def answered(request: web.Request) -> web.StreamResponse:
        desk = request.app[DESK]
        case = _Case(request=request, dialect=dialect, line=desk.ledger.open(request[REQUEST_ID]))
        case.line.note(dialect=dialect.name)
        with desk.occupied(), ExitStack() as stay:
            outcome = await _outcome(case, stay)
            sent = await outcome.how(request, outcome.reply, outcome.pause_s)
            case.line.note(status=sent.status, finished=sent.finished)
        if not desk.quiet:
            sys.stderr.write(case.line.entry.told() + "\n")
        return sent.response

    return answered


def authorise(request: web.Request, dialect: Dialect | None = None) -> None:
    """Check the bearer token, whose prefix `sk-` may be missing, or the key in a place that *dialect* has besides.

    Raises:
        RefusedError: 401 or 403.
    """
    token = _token(request, dialect)
    if not token:
        raise refused("no_token")
    token = "sk-" + token.removeprefix("sk-")
    if token in _KEYS_REFUSED:
        raise refused(_KEYS_REFUSED[token])
    key = "sk-" + request.app[DESK].api_key.removeprefix("sk-")
    if not hmac.compare_digest(token.encode(), key.encode()):
        raise refused("unknown_token")


def _token(request: web.Request, dialect: Dialect | None) -> str:
    given = [request.headers.get(name, "") for name in (dialect.key_headers if dialect else ())]
    if dialect and dialect.key_query:
        given.append(request.query.get(dialect.key_query, ""))
    scheme, _, bearer = request.headers.get("Authorization", "").partition(" ")
    given.append(bearer.strip() if scheme.lower() == "bearer" else "")
    return next((token for token in given if token), "")


def _refusal(case: _Case, refusal: RefusedError) -> Reply:
    """The answer to a request that is refused; a stream's headers are out when the upstream refuses."""
    reply = refusal.reply(case.request_id, case.dialect.error)
    return reply.in_stream() if case.line.entry.stream and refusal.refusal.late else reply


async def _outcome(case: _Case, stay: ExitStack) -> _Outcome:
    """What becomes of the request, which is in flight for its conduct until *stay* ends."""
    try:
        asked = await _asked(case)
    except RefusedError as refusal:
        return _Outcome(reply=_refusal(case, refusal))
    try:
        outcome = await _conducted(case, asked, stay)
    except RefusedError as refusal:
        outcome = _Outcome(reply=_refusal(case, refusal))
    return outcome.saying(asked.conduct.headers())


async def _asked(case: _Case) -> _Asked:
    """The request, read as far as it says whom it asks.

    Raises:
        RefusedError: the key is not good, the body cannot be read, or the model is not served.
    """
    authorise(case.request, case.dialect)
    body = parsed(await _body(case.request), case.request.match_info)
    case.line.note(model=body["model"].partition("+")[0], stream=bool(body.get("stream")))
    desk = case.request.app[DESK]
    model = desk.served(body["model"], case.dialect.endpoint)
    return _Asked(body=body, model=model, conduct=desk.conduct(body["model"]))


async def _conducted(case: _Case, asked: _Asked, stay: ExitStack) -> _Outcome:
    """What the model's conduct makes of the request.

    Raises:
        RefusedError: it is refused.
    """
    conduct, line = asked.conduct, case.line
    down = conduct.outage()
    if down is None:
        conduct.enter()
        stay.callback(conduct.leave)
        conduct.admit_request()
    fault = down or conduct.fault(
        line.entry.number, lambda name: makes_sense(name, case.dialect, stream=line.entry.stream)
    )
    fate = FAULTS[fault] if fault else Altered()
    if isinstance(fate, Refusal | Reply | Bare) or (isinstance(fate, Delivered) and not fate.handled):
        line.note(fault=fault)
        return await _instead(fate, conduct, case)
    made = await _made(case, asked)
    conduct.admit_tokens(made.tokens.total)
    await asyncio.sleep(conduct.latency_s(line.entry.number))
    line.note(fault=fault)
    return _answered(made, fate, conduct, case)


async def _made(case: _Case, asked: _Asked) -> Answer:
    """The answer, before anything happens to it.

    Raises:
        RefusedError: the question cannot be read, or its media cannot be had.
    """
    dialect, line, model = case.dialect, case.line, asked.model
    question = dialect.question(asked.body)
    line.note(
        media=tuple(part.seen for part in question.parts),
        prompt_sha256=prompt_sha256(question.texts),
        parameters=question.parameters,
    )
    if dialect.endpoint not in model.endpoints:
        raise refused(model.missing)
    facts = await _facts(case, model, question)
    made = answer(line.entry.request_id, model, question, facts, endpoint=dialect.endpoint)
    return asked.conduct.lengthened(made, line.entry.number)


async def _body(request: web.Request) -> bytes:
    if (request.content_length or 0) > MAX_BODY_BYTES:
        raise refused("too_large")
    try:
        return await request.read()
    except web.HTTPRequestEntityTooLarge:
        raise refused("too_large") from None
    except (web.RequestPayloadError, ConnectionError):
        raise refused("bad_request", why="the body cannot be read") from None


async def _instead(fate: Refusal | Reply | Bare | Delivered, conduct: Conduct, case: _Case) -> _Outcome:
    """What an unbilled fault sends in place of an answer."""
    if isinstance(fate, Delivered):
        return _Outcome(reply=Reply(body=b""), how=fate.how)
    entry = case.line.entry
    await asyncio.sleep(conduct.latency_s(entry.number))
    if isinstance(fate, Bare):
        return _Outcome(reply=fate.reply(case.dialect, case.request_id))
    if isinstance(fate, Reply):
        return _Outcome(reply=fate.in_stream() if entry.stream and fate.status == HTTPStatus.OK else fate)
    raise RefusedError(fate.filled(model=entry.model or ""))


def _answered(made: Answer, fate: Altered | Delivered, conduct: Conduct, case: _Case) -> _Outcome:
    """The answer on its way, billed."""
    how, altered = (fate.how, Altered()) if isinstance(fate, Delivered) else (replies.whole, fate)
    made = altered.answer(made) if altered.answer else made
    case.line.note(**_bill(made))
    behaviour = conduct.behaviour
    pause_s = behaviour.byte_pause_s if how is replies.drop_by_drop else behaviour.chunk_pause_s
    return _Outcome(reply=altered.made(made, case.dialect), how=how, pause_s=pause_s)


def _bill(made: Answer) -> dict[str, Any]:
    tokens = made.tokens
    return {
        "billed": True,
        "prompt_tokens": tokens.prompt,
        "text_tokens": tokens.text,
        "image_tokens": tokens.image,
        "audio_tokens": tokens.audio,
        "video_tokens": tokens.video,
        "completion_tokens": tokens.completion,
        "reasoning_tokens": tokens.reasoning,
        "nano_usd": made.model.charge(tokens),
    }


async def _facts(case: _Case, model: ServedModel, asked: Question) -> list[Facts]:
    """What the media of *asked* hold, in order.

    Raises:
        RefusedError: one cannot be had or read, or the model does not take its kind.
    """
    facts = []
    for part in asked.parts:
        loaded = await _loaded(case, model, part)
        if loaded.kind not in model.takes:
            raise RefusedError(
                Refusal(
                    status=400,
                    message=f"Invalid content: this model does not take {loaded.kind} input.",
                    type="invalid_request_error",
                    code="invalid_value",
                    relayed=True,
                )
            )
        try:
            facts.append(await case.request.app[DESK].look(loaded))
        except UnreadableError as error:
            raise refused(case.dialect.unfetched, why=str(error)) from None
    return facts


async def _loaded(case: _Case, model: ServedModel, part: Part) -> Loaded:
    """The bytes of *part*; where the vendor fetches and not the gateway, the failure is in the vendor's words."""
    own = case.dialect.unfetched == "media_failed"
    try:
        return await load(
            case.request.app[SESSION], part, is_gemini=model.is_gemini, probed=own and case.line.entry.stream
        )
    except RefusedError as refusal:
        if own:
            raise
        raise refused(case.dialect.unfetched, why=refusal.refusal.message) from None
