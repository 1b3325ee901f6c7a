"""Chat: one completion request from the connection to the connection, with every step written into the ledger.

The order is the gateway's: key, body, model, requests of the minute, then (or a fault instead of) the media, the
answer, the tokens of the minute. From then on the request is billed, whatever becomes of the answer on its way, also
when the client has left: a request that timed out costs its full price (gateway notes 5.22).
"""

from __future__ import annotations

import asyncio
import hmac
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import aiohttp
from aiohttp import web

from mediascribe.sandbox import replies
from mediascribe.sandbox.answer import Answer, answer
from mediascribe.sandbox.desk import Desk
from mediascribe.sandbox.faults import FAULTS, Altered, Delivered, Delivery
from mediascribe.sandbox.fetch import load
from mediascribe.sandbox.ledger import prompt_sha256
from mediascribe.sandbox.look import UnreadableError
from mediascribe.sandbox.question import parsed, question
from mediascribe.sandbox.refusals import REFUSALS, Refusal, RefusedError, refused
from mediascribe.sandbox.replies import Reply

if TYPE_CHECKING:
    from mediascribe.sandbox.conduct import Conduct
    from mediascribe.sandbox.ledger import Entry, Line
    from mediascribe.sandbox.look import Facts
    from mediascribe.sandbox.models import ServedModel
    from mediascribe.sandbox.question import Question

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


async def complete(request: web.Request) -> web.StreamResponse:
    """Answer `POST /v1/chat/completions`."""
    desk = request.app[DESK]
    line = desk.ledger.open(request[REQUEST_ID])
    with desk.occupied():
        try:
            outcome = await _outcome(request, line)
        except RefusedError as refusal:
            outcome = _Outcome(reply=refusal.reply(request[REQUEST_ID]))
        sent = await outcome.how(request, outcome.reply, outcome.pause_s)
        line.note(status=sent.status, finished=sent.finished)
    if not desk.quiet:
        sys.stderr.write(_told(line.entry))
    return sent.response


def authorise(request: web.Request) -> None:
    """Check the bearer token, whose prefix `sk-` may be missing.

    Raises:
        RefusedError: 401 or 403.
    """
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    token = token.strip()
    if scheme.lower() != "bearer" or not token:
        raise refused("no_token")
    token = "sk-" + token.removeprefix("sk-")
    if token in _KEYS_REFUSED:
        raise refused(_KEYS_REFUSED[token])
    key = "sk-" + request.app[DESK].api_key.removeprefix("sk-")
    if not hmac.compare_digest(token.encode(), key.encode()):
        raise refused("unknown_token")


async def _outcome(request: web.Request, line: Line) -> _Outcome:
    """What becomes of the request.

    Raises:
        RefusedError: it is refused.
    """
    desk = request.app[DESK]
    authorise(request)
    body = parsed(await _body(request))
    line.note(model=body["model"].partition("+")[0])
    model, conduct = desk.served(body["model"]), desk.conduct(body["model"])
    conduct.admit_request()
    number = line.entry.number
    fault = conduct.fault(number)
    fate = FAULTS[fault] if fault else Altered()
    if isinstance(fate, Refusal | Reply) or (isinstance(fate, Delivered) and not fate.handled):
        line.note(fault=fault)
        return await _instead(fate, conduct, line)
    asked = question(body)
    line.note(
        media=tuple(part.seen for part in asked.parts),
        prompt_sha256=prompt_sha256(asked.texts),
        parameters=asked.parameters,
    )
    made = answer(line.entry.request_id, model, asked, await _facts(request, model, asked))
    conduct.admit_tokens(made.tokens.total)
    await asyncio.sleep(conduct.latency_s(number))
    line.note(fault=fault)
    return _answered(made, fate, conduct, line)


async def _body(request: web.Request) -> bytes:
    if (request.content_length or 0) > MAX_BODY_BYTES:
        raise refused("too_large")
    try:
        return await request.read()
    except web.HTTPRequestEntityTooLarge:
        raise refused("too_large") from None
    except (web.RequestPayloadError, ConnectionError):
        raise refused("bad_request", why="the body cannot be read") from None


async def _instead(fate: Refusal | Reply | Delivered, conduct: Conduct, line: Line) -> _Outcome:
    """What an unbilled fault sends in place of an answer."""
    if isinstance(fate, Delivered):
        return _Outcome(reply=Reply(body=b""), how=fate.how)
    await asyncio.sleep(conduct.latency_s(line.entry.number))
    if isinstance(fate, Reply):
        return _Outcome(reply=fate)
    raise RefusedError(fate.filled(model=line.entry.model or ""))


def _answered(made: Answer, fate: Altered | Delivered, conduct: Conduct, line: Line) -> _Outcome:
    """The answer on its way, billed."""
    how, altered = (fate.how, Altered()) if isinstance(fate, Delivered) else (replies.whole, fate)
    made = altered.answer(made) if altered.answer else made
    line.note(**_bill(made))
    return _Outcome(reply=altered.made(made), how=how, pause_s=conduct.behaviour.byte_pause_s)


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


async def _facts(request: web.Request, model: ServedModel, asked: Question) -> list[Facts]:
    """What the media of *asked* hold, in order.

    Raises:
        RefusedError: one cannot be had or read, or the model does not take its kind.
    """
    facts = []
    for part in asked.parts:
        loaded = await load(request.app[SESSION], part, is_gemini=model.is_gemini)
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
            facts.append(await request.app[DESK].look(loaded))
        except UnreadableError as error:
            raise RefusedError(REFUSALS["media_failed"].filled(why=str(error))) from None
    return facts


def _told(entry: Entry) -> str:
    fault = f" fault {entry.fault}" if entry.fault else ""
    tokens = f"{entry.prompt_tokens}+{entry.completion_tokens} tokens"
    return f"{entry.number} {entry.status or 'cut'} {entry.model or '-'}{fault} {tokens}\n"
