"""Dialect: one of the wire formats that the gateway speaks (gateway notes 3), as the functions that make it up."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mediascribe.sandbox.refusals import Refusal, openai_error

if TYPE_CHECKING:
    from mediascribe.sandbox.answer import Answer
    from mediascribe.sandbox.question import Question
    from mediascribe.sandbox.streams import Event

Body = dict[str, Any]
Change = Callable[[Body], Body]
Spoilt = Mapping[str, Change]


@dataclass(frozen=True, slots=True, kw_only=True)
class Dialect:
    """One wire format.

    `endpoint` is its name in `supported_endpoint_types`. `question` reads a body, `body` writes an answer, and `events`
    makes a stream of such a body, also of a spoilt one; `error` is the body of a refusal. `spoilt` has the faults that
    are made in the answer's JSON, by name; a name that is missing makes no sense here. `broken` is an error amidst a
    stream. `rebuilds_streams` says that the gateway writes the stream itself and ends it after any cut (notes 2.4).
    `key_headers` and `key_query` are other places for the key (notes 2.2). `unfetched` names the refusal for media that
    cannot be had.
    """

    name: str
    endpoint: str
    question: Callable[[Mapping[str, Any]], Question]
    body: Callable[[Answer], Body]
    events: Callable[[Body], list[Event]]
    spoilt: Spoilt
    broken: Event
    error: Callable[[Refusal, str], object] = openai_error
    rebuilds_streams: bool = False
    key_headers: tuple[str, ...] = ()
    key_query: str | None = None
    unfetched: str = "media_failed"


def without(*path: str | int) -> Change:
    """The member at the end of *path* gone."""

    def change(body: Body) -> Body:
        del _at(body, path[:-1])[path[-1]]
        return body

    return change


def replaced(*path: str | int, value: object) -> Change:
    """The member at the end of *path* replaced by *value*."""

    def change(body: Body) -> Body:
        _at(body, path[:-1])[path[-1]] = value
        return body

    return change


def zeroed(member: str) -> Change:
    """Every number in the object *member* 0."""

    def zero(value: object) -> object:
        if isinstance(value, dict):
            return {name: zero(inner) for name, inner in value.items()}
        if isinstance(value, list):
            return [zero(inner) for inner in value]
        return 0 if isinstance(value, int) else value

    return lambda body: body | {member: zero(body[member])}


def renamed(member: str) -> Change:
    """The model's name, which is *member*, with the end of a dated snapshot."""
    return lambda body: body | {member: f"{body[member]}-001"}


def _at(body: Body, path: tuple[str | int, ...]) -> Any:  # noqa: ANN401 - JSON
    inner: Any = body
    for step in path:
        inner = inner[step]
    return inner
