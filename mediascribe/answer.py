"""Structured output: a job's JSON Schema, and what becomes of an answer that is to follow it.

Some channels drop the schema in silence, and models wrap their JSON in fences and prose (gateway notes 2.3, traps 8 and
11). So every answer is searched for its JSON and validated here, whatever the request asked for. All functions but
`load_schema` are pure, and none takes more than linear time, whatever the text is.
"""

from __future__ import annotations

import functools
import json
import operator
import re
import sys
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import islice
from typing import TYPE_CHECKING, Any, Final, Literal

from jsonschema.exceptions import best_match

from mediascribe.answer_schema import Schema, load_schema
from mediascribe.redact import redact_text

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from jsonschema import ValidationError


__all__ = ["Mismatch", "Schema", "Structured", "load_schema", "read", "repair_prompt"]

MismatchKind = Literal["cut_json", "schema", "no_json"]

_KINDS: Final[tuple[MismatchKind, ...]] = ("cut_json", "schema", "no_json")  # the first of them tells most
_MOST_LEVELS: Final = 32  # of nesting; validation takes a few stack frames for each
_MOST_OBJECTS: Final = 16  # that are tried in a text: the last bound on the time it can take
_MOST_ERRORS: Final = 100
_MOST_PROBLEMS: Final = 3
_PROBLEM_CHARACTERS: Final = 200
_QUOTED_CHARACTERS: Final = 2000

# Where an answer may start. Quantifiers are possessive, as a long run of blanks would be tried quadratically often.
# A list of objects is an answer too, a wrong one: its first object must not pass for the whole.
_OPENINGS: Final = (
    re.compile(r"\A[\s\ufeff]*+(?=\{|\[\s*+\{)"),
    re.compile(r"```[ \t]*+[\w+-]*+\s*+(?=\{|\[\s*+\{)"),
    re.compile(r"(?=\{\s*+\"|\[\s*+\{\s*+\")"),
)
_TOKENS: Final = re.compile(r'"(?:[^"\\]++|\\.)*+"?|[][{}]', re.DOTALL)
_LEVELS: Final = {"{": 1, "[": 1, "}": -1, "]": -1}
_BEGUN: Final = re.compile(
    r"[\w.+\\-]{0,12}\s*\Z"
)  # the rest of a text that ends within a literal, a number, an escape
_LONE_SURROGATE: Final = re.compile("[\ud800-\udfff]")


@dataclass(frozen=True, slots=True, kw_only=True)
class Structured:
    """An answer that fits its schema: its value, and the same as compact JSON with sorted members."""

    value: dict[str, Any]
    json: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Mismatch:
    """Why an answer does not fit: at most three problems, fit for a person, each with its place as a JSON pointer.

    `cut_json` ends before its end, `no_json` has no object that can be parsed, `schema` has one that does not validate.
    """

    kind: MismatchKind
    problems: tuple[str, ...]


_NOTHING: Final = Mismatch(kind="no_json", problems=("there is no JSON object in the answer",))
_TOO_DEEP: Final = Mismatch(kind="no_json", problems=(f"the JSON is nested deeper than {_MOST_LEVELS} levels",))


def read(text: str, schema: Schema) -> Structured | Mismatch:
    """The first JSON object in *text* that fits *schema*, or what is wrong.

    A text that starts with its JSON is read from there, else the code fences are tried, else the prose. A member that
    is null where the schema wants something else counts as absent, as strict mode has no other way to leave one out
    (`subschemas.strict`).
    """
    mismatches = []
    for found in _objects(text):
        outcome = found if isinstance(found, Mismatch) else _fitted(found, schema)
        if isinstance(outcome, Structured):
            return outcome
        mismatches.append(outcome)
    return min(mismatches, key=lambda one: _KINDS.index(one.kind), default=_NOTHING)


def repair_prompt(prompt: str, text: str, mismatch: Mismatch, schema: Schema | None = None) -> str:
    """The prompt that asks once more: *prompt*, what was wrong with the answer *text*, and what is wanted.

    With *schema*, its text is in the prompt: the channel may have dropped it from the first request.
    """
    wanted = f" that follows this JSON Schema:\n{json.dumps(schema.schema, ensure_ascii=False)}\n" if schema else ". "
    asked = "\n".join(
        (
            f"{prompt}\n",
            "An earlier answer to this could not be used:",
            *(f"- {problem}" for problem in mismatch.problems),
            f"\nThe earlier answer was:\n{_shortened(text.strip(), _QUOTED_CHARACTERS)}\n",
            f"Answer again, correctly, with one JSON object{wanted}Write that object only: no prose, no code fence.",
        )
    )
    return asked.encode("utf-8", "replace").decode()  # an answer may have lone surrogates, a request may not


def _objects(text: str) -> Iterator[Any]:
    """What could be the answer in *text*, in the order to try: JSON values, and mismatches where JSON breaks off."""
    for opening in _OPENINGS:
        position, parsed = 0, False
        for _ in range(_MOST_OBJECTS):
            start = opening.search(text, position)
            if start is None:
                break
            found, position = _parsed(text, start.end())
            yield found
            if found is _TOO_DEEP or (isinstance(found, Mismatch) and found.kind == "cut_json"):
                return
            parsed |= not isinstance(found, Mismatch)
        if parsed:
            return


def _parsed(text: str, start: int) -> tuple[Any, int]:
    """The JSON value at *start*, or what is wrong with it; and where to look for the next."""
    unfit: list[str] = []
    problem = None
    try:
        value, end = _decoder(unfit).raw_decode(text, start)
    except RecursionError:
        return _TOO_DEEP, len(text)
    except json.JSONDecodeError as error:
        value, end, problem = None, error.pos, error
    # How deep the parser gets depends on its caller's stack; what is too deep must not.
    if _levels(text, start, end) > _MOST_LEVELS:
        return _TOO_DEEP, len(text)
    if problem and (problem.msg.startswith("Unterminated") or _BEGUN.match(text, end)):
        return Mismatch(kind="cut_json", problems=(f"the JSON is cut off at character {len(text)}",)), len(text)
    if problem:
        where = f"line {problem.lineno}, column {problem.colno}"
        return Mismatch(kind="no_json", problems=(f"not valid JSON at {where}: {problem.msg}",)), max(end, start + 1)
    if unfit:
        return Mismatch(kind="no_json", problems=(f"{_shortened(unfit[0], 40)} is no number that JSON can hold",)), end
    return value, end


def _decoder(unfit: list[str]) -> json.JSONDecoder:
    """A decoder that puts into *unfit* what Python takes for a number and other readers of JSON do not."""

    def number(digits: str, kind: type[int | float]) -> int | float | None:
        # The length first: a number of many digits takes quadratic time to read.
        value = kind(digits) if kind is float or len(digits) <= sys.float_info.max_10_exp + 2 else float("inf")
        if abs(value) <= sys.float_info.max:
            return value
        unfit.append(digits)
        return None

    return json.JSONDecoder(
        parse_int=lambda digits: number(digits, int),
        parse_float=lambda digits: number(digits, float),
        parse_constant=unfit.append,
    )


def _levels(text: str, start: int, end: int) -> int:
    """How deep the JSON in *text* from *start* to *end* is nested."""
    depth = deepest = 0
    for token in _TOKENS.finditer(text, start, end):
        depth += _LEVELS.get(token[0], 0)
        deepest = max(deepest, depth)
    return deepest


def _fitted(value: Any, schema: Schema) -> Structured | Mismatch:  # noqa: ANN401 - any JSON value
    """*value* as far as it fits; takes members out of it that are null for absent."""
    try:
        errors = list(islice(schema.validator.iter_errors(value), _MOST_ERRORS))
        problems = tuple(_problem(error) for error in errors[:_MOST_PROBLEMS])
        if errors and not (_drop_nulls(value, errors) and schema.validator.is_valid(value)):
            return Mismatch(kind="schema", problems=problems)
    except RecursionError:  # a schema that takes very many stack frames for each level
        return _TOO_DEEP
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"), sort_keys=True)
    return Structured(value=value, json=_LONE_SURROGATE.sub(lambda found: f"\\u{ord(found[0]):04x}", text))


def _problem(error: ValidationError) -> str:
    worst = best_match([error]) or error
    names = (str(name).replace("~", "~0").replace("/", "~1") for name in worst.absolute_path)
    place = "/".join(("#", *names))
    # Shortened before as well, since a message quotes the value, which may be all of a long answer.
    return _shortened(redact_text(_shortened(f"{place}: {worst.message}", 2 * _QUOTED_CHARACTERS)), _PROBLEM_CHARACTERS)


def _drop_nulls(value: Any, errors: Iterable[ValidationError]) -> bool:  # noqa: ANN401 - any JSON value
    """Take the members out of *value* that are null and for that in *errors*; says whether there was any."""
    dropped = False
    waiting = list(errors)
    while waiting:
        error = waiting.pop()
        waiting += error.context or ()
        path = list(error.absolute_path)
        if error.instance is None and path and isinstance(path[-1], str):
            functools.reduce(operator.getitem, path[:-1], value).pop(path[-1], None)
            dropped = True
    return dropped


def _moment(text: str) -> datetime | None:
    """A moment in ISO 8601; without an offset it is UTC."""
    try:
        moment = datetime.fromisoformat(text)
        return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)
    except (OverflowError, ValueError):
        return None


def _shortened(text: str, characters: int) -> str:
    """*text* without its middle: what a message says of a value stands after it."""
    if len(text) <= characters:
        return text
    half = characters // 2 - 2
    return f"{text[:half]} … {text[-half:]}"
