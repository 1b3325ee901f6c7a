"""A streamed answer becomes the answer that its dialect gives unstreamed, so that no decoder knows of streams.

Rules of this file (gateway notes 2.4, 2.5 and 5, trap 23):

- An answer is whole when the model said why it stopped. `[DONE]` proves nothing: the gateway sends it after a cut too.
- `OUTCOMES` is read from the top, the first row whose signs were all seen decides.
- Text that was received may have been billed: what broke after it is in doubt.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final, Literal, TypeVar

import msgspec

from mediascribe.domain import Request
from mediascribe.errors import AttemptError, InDoubtError, RateLimitedError, TransientError
from mediascribe.wire import sse
from mediascribe.wire.faults import fault
from mediascribe.wire.reading import Received, received, text_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from mediascribe.wire import Answer

Sign = Literal["finished", "error", "text", "unstreamed", "chunks", "ended"]
_Object = Mapping[str, Any]
_T = TypeVar("_T")

_CHAT_IDS: Final[Mapping[str, type[object]]] = MappingProxyType({"id": str, "created": int, "model": str})
_CHAT_TEXTS: Final = ("content", "reasoning_content", "reasoning", "refusal")
_BLOCK_TEXTS: Final = MappingProxyType({"text": "text", "thinking": "thinking", "signature": "thinking"})
_TEXT_PART: Final = frozenset({"text", "thought", "thoughtSignature"})


@dataclass(frozen=True, slots=True)
class Outcome:
    """A stream that shows all of `signs` becomes an answer, a fault of its own words, or stays in doubt as `code`."""

    signs: frozenset[Sign]
    becomes: Literal["answer", "as_it_is", "fault", "doubted_fault", "in_doubt"]
    code: str | None = None
    message: str = ""


def _signs(*signs: Sign) -> frozenset[Sign]:
    return frozenset(signs)


OUTCOMES: Final = (
    # The model said why it stopped. What follows is the bill, `[DONE]`, or noise; a cut there costs no text.
    Outcome(_signs("finished"), "answer"),
    # An error object among the chunks, or bare (gateway notes 2.5).
    Outcome(_signs("error", "text"), "doubted_fault"),
    Outcome(_signs("error"), "fault"),
    # One JSON value, or a status that is no success: the dialect's decoder names it.
    Outcome(_signs("unstreamed"), "as_it_is"),
    # gateway notes 0 and 2.4: cut upstream, the gateway ends as ever, with a usage that it estimated.
    Outcome(
        _signs("chunks", "ended"),
        "in_doubt",
        "stream_cut",
        "the answer was cut behind the gateway: its stream has an end, but no reason for it",
    ),
    Outcome(_signs("chunks"), "in_doubt", "stream_cut", "the stream broke off before the end of the answer"),
    Outcome(_signs(), "in_doubt", "stream_empty", "the stream ended without a chunk"),
)


def assemble(answer: Answer, dialect: str) -> Answer:
    """*answer*, whose body is a whole received stream of *dialect*, with the JSON body that is the same unstreamed.

    A web page, and an answer that was not streamed after all, stay as they are.

    Raises:
        AttemptError: there is no whole answer in it. What it cost all the same is in the failure's usage.
    """
    if answer.body.lstrip().startswith(b"<"):
        return answer
    read = sse.read(answer.body, dialect)
    joined = JOINS[dialect](read.chunks)
    known = JOINS[dialect]([*read.chunks, *read.later]) if read.later else joined
    signs = _seen(answer, read, finished=joined.finished, has_text=known.has_text)
    outcome = next(outcome for outcome in OUTCOMES if outcome.signs <= signs)
    if outcome.becomes == "answer":
        return _with_body(answer, msgspec.json.encode(joined.body))
    if outcome.becomes == "as_it_is":
        return answer if read.unstreamed is None else _with_body(answer, read.unstreamed)
    got = _received(answer, dialect, known.body)
    if outcome.becomes == "in_doubt":
        message = f"{outcome.message} ({len(answer.body)} bytes)"
        raise InDoubtError(got.failure("malformed", message, code=outcome.code))
    raise _fault(got, read.error or b"", doubted=outcome.becomes == "doubted_fault")


def _seen(answer: Answer, read: sse.Stream, *, finished: bool, has_text: bool) -> frozenset[Sign]:
    seen: Mapping[Sign, bool] = {
        "finished": finished,
        "error": read.error is not None,
        "text": has_text,
        "unstreamed": read.unstreamed is not None or not 200 <= answer.status < 300,  # noqa: PLR2004 - the successes
        "chunks": bool(read.chunks or read.later or read.is_broken),
        "ended": read.ended,
    }
    return frozenset(sign for sign, is_seen in seen.items() if is_seen)


def _with_body(answer: Answer, body: bytes) -> Answer:
    return replace(answer, headers={**answer.headers, "content-type": "application/json"}, body=body)


def _received(answer: Answer, dialect: str, body: _Object) -> Received:
    """What *body* says of itself. The question is not known here: its model is the one that answered."""
    model = text_of(body.get("model")) or text_of(body.get("modelVersion")) or ""
    asked = Request(model=model, dialect=dialect, prompt="", media=(), identity=(), stream=True)
    return received(answer, body, asked)


def _fault(got: Received, said: bytes, *, doubted: bool) -> AttemptError:
    error = fault(replace(got.answer, body=said), usage=got.usage)
    failure = replace(
        error.failure,
        model_returned=got.model_returned,
        response_id=got.response_id,
        gateway_request_id=error.failure.gateway_request_id or got.gateway_request_id,
    )
    kind = InDoubtError if doubted and isinstance(error, TransientError | RateLimitedError) else type(error)
    return kind(failure, wait_s=error.wait_s)


# From chunks to a body, by dialect


@dataclass(frozen=True, slots=True, kw_only=True)
class _Joined:
    """What chunks are together: the unstreamed body, whether the model said why it stopped, whether it said a word."""

    body: dict[str, Any]
    finished: bool
    has_text: bool


def _chat(chunks: Sequence[_Object]) -> _Joined:
    """Gateway notes 3.1: deltas of the first choice; the usage comes in a last chunk without a choice."""
    choices: list[_Object] = []
    deltas: list[_Object] = []
    for chunk in chunks:
        choice = next((one for one in _objects(chunk, "choices") if one.get("index") in (0, None)), {})
        if chunk.get("object") == "chat.completion" and "message" in choice:
            deltas.clear()  # the whole message once more, at its end
        choices.append(choice)
        deltas.extend(_every([choice], "delta", dict) or _every([choice], "message", dict))
    texts = {member: [text for delta in deltas for text in _texts(delta.get(member))] for member in _CHAT_TEXTS}
    message = {member: "".join(pieces) for member, pieces in texts.items() if pieces}
    ended = _last(_every(choices, "finish_reason", str))
    role = (*_every(deltas, "role", str), "assistant")[0]
    first = {"index": 0, "message": {"role": role, "content": None, **message}, "finish_reason": ended}
    body: dict[str, Any] = {"object": "chat.completion", "choices": [first]}
    body |= {member: ids[0] for member, kind in _CHAT_IDS.items() if (ids := _every(chunks, member, kind))}
    if usage := _last(_every(chunks, "usage", dict)) or _last(_every(choices, "usage", dict)):
        body["usage"] = usage
    return _Joined(body=body, finished=ended is not None, has_text=any(message.values()))


def _responses(chunks: Sequence[_Object]) -> _Joined:
    """Gateway notes 3.2: the last event holds the whole response, the first ones its id and model."""
    ends = [chunk for chunk in chunks if text_of(chunk.get("type")) in sse.LAST_TYPES["responses"]]
    whole = _last(_every(ends, "response", dict))
    known = whole or _last(_every(chunks, "response", dict)) or {}
    if not known.get("output"):  # new-api issue 4362: the last event's output is empty, that of the items is not
        dones = [chunk for chunk in chunks if chunk.get("type") == "response.output_item.done"]
        known = {**known, "output": _every(dones, "item", dict)}
    return _Joined(body=known, finished=whole is not None, has_text=bool(_every(chunks, "delta", str)))


def _messages(chunks: Sequence[_Object]) -> _Joined:
    """Gateway notes 3.3: a message without content, its blocks by their index, then why it ended and what it cost."""
    starts = _every(chunks, "message", dict)
    ends = _every([chunk for chunk in chunks if chunk.get("type") == "message_delta"], "delta", dict)
    blocks = _blocks(chunks)
    body: dict[str, Any] = {**(_last(starts) or {}), "content": blocks}
    for told in ends:
        body |= {member: value for member, value in told.items() if value is not None}
    usage: dict[str, Any] = {}
    for told in _every([*starts, *chunks], "usage", dict):
        usage |= {member: _newer(usage.get(member), value) for member, value in told.items()}
    if usage:
        body["usage"] = usage
    has_text = any(_every(blocks, "text", str)) or any(_every(blocks, "thinking", str))
    return _Joined(body=body, finished=bool(_every(ends, "stop_reason", str)), has_text=has_text)


def _blocks(chunks: Sequence[_Object]) -> list[dict[str, Any]]:
    blocks: dict[int, dict[str, Any]] = {}
    pieces: dict[int, dict[str, list[str]]] = {}
    for chunk in chunks:
        index = chunk["index"] if isinstance(chunk.get("index"), int) else 0
        for block in _every([chunk], "content_block", dict):
            blocks.setdefault(index, block)
        for delta in _every([chunk], "delta", dict):
            for member, kind in _BLOCK_TEXTS.items():
                for piece in _every([delta], member, str):
                    start = blocks.setdefault(index, {"type": kind})
                    texts = pieces.setdefault(index, {})
                    texts.setdefault(member, _every([start], member, str)).append(piece)
    return [
        {**blocks[index], **{member: "".join(texts) for member, texts in pieces.get(index, {}).items()}}
        for index in sorted(blocks)
    ]


def _newer(known: object, told: object) -> object:
    """What was told last, except that zero and null may mean "not told here" (gateway notes 3.3)."""
    if isinstance(known, dict) and isinstance(told, dict):
        return {**known, **{member: value for member, value in told.items() if value or member not in known}}
    return told if told or known is None else known


def _generate_content(chunks: Sequence[_Object]) -> _Joined:
    """Gateway notes 3.4: each chunk is an answer of its own, its usage counts all that was said so far."""
    candidates = [one for chunk in chunks for one in _objects(chunk, "candidates") if one.get("index") in (0, None)]
    contents = _every(candidates, "content", dict)
    parts = _parts(part for content in contents for part in _objects(content, "parts"))
    body = _latest(chunks, but="candidates")
    if candidates:
        content = {"content": {**_latest(contents, but="parts"), "parts": parts}} if parts else {}
        body["candidates"] = [{**_latest(candidates, but="content"), **content}]
    ended = _every(candidates, "finishReason", str) or _every([_object(body.get("promptFeedback"))], "blockReason", str)
    return _Joined(body=body, finished=bool(ended), has_text=bool(_every(parts, "text", str)))


def _parts(parts: Iterable[_Object]) -> list[dict[str, Any]]:
    """*parts*, neighbouring texts as one where both are thought or neither is."""
    joined: list[tuple[dict[str, Any], list[str]]] = []
    for part in parts:
        pieces = _every([part], "text", str)
        last = joined[-1][0] if joined else {}
        alike = "text" in last and last.keys() | part.keys() <= _TEXT_PART
        if alike and bool(last.get("thought")) == bool(part.get("thought")):
            last.update(part)
            joined[-1][1].extend(pieces)
        else:
            joined.append((dict(part), pieces))
    return [{**part, "text": "".join(pieces)} if pieces else part for part, pieces in joined]


# From JSON of any kind


def _every(objects: Iterable[_Object], member: str, kind: type[_T]) -> list[_T]:
    """The values of *member* that are of *kind* and not empty, in order."""
    return [value for one in objects if isinstance(value := one.get(member), kind) and value]


def _last(values: Sequence[_T]) -> _T | None:
    return values[-1] if values else None


def _latest(objects: Iterable[_Object], *, but: str) -> dict[str, Any]:
    """Every member *but* one as it was last told."""
    return {member: value for one in objects for member, value in one.items() if value and member != but}


def _object(value: object) -> _Object:
    return value if isinstance(value, Mapping) else {}


def _objects(one: _Object, member: str) -> list[_Object]:
    values = one.get(member)
    return [value for value in values if isinstance(value, Mapping)] if isinstance(values, list) else []


def _texts(content: object) -> Iterator[str]:
    """The texts of *content*, which is one or a list of parts."""
    for part in content if isinstance(content, list) else [content]:
        text = part.get("text") if isinstance(part, Mapping) else part
        if isinstance(text, str):
            yield text


JOINS: Final[Mapping[str, Callable[[Sequence[_Object]], _Joined]]] = MappingProxyType(
    {"chat": _chat, "responses": _responses, "messages": _messages, "generate_content": _generate_content}
)
