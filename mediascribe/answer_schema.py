"""The JSON Schema of a job: read, found good before anything is sent, and what follows from it.

Beyond JSON Schema's own rules (draft 2020-12), a job's schema is self-contained, as nothing is ever fetched for it; and
its top level is an object, whose scalars become columns of the dataset.
"""

from __future__ import annotations

import difflib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import unquote

from jsonschema import Draft202012Validator
from jsonschema.exceptions import best_match
from referencing import Registry

from mediascribe.columns import ANSWER_PREFIX
from mediascribe.domain import digest
from mediascribe.errors import ConfigError
from mediascribe.subschemas import children, escaped, places

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mediascribe.job_sections import ColumnType

_TAKEN: Final = frozenset({"json"})  # `answer_json` holds the whole answer

# The schemas under these speak of the same value as the schema that they stand in: a circle of them has no end.
_SAME_VALUE: Final = frozenset({"allOf", "anyOf", "dependentSchemas", "else", "if", "not", "oneOf", "then"})

_COLUMN_TYPES: Final[Mapping[str, ColumnType]] = {
    "string": "string",
    "integer": "int64",
    "number": "float64",
    "boolean": "bool",
}
_JSON_TYPES: Final[Mapping[type, str]] = {
    str: "string",
    int: "integer",
    float: "number",
    bool: "boolean",
    list: "array",
    dict: "object",
    type(None): "null",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Schema:
    """A job's JSON Schema, found good.

    `columns` are the typed columns of its top-level scalars, by their name in the dataset (`answer_<property>`), in the
    schema's order. Objects, lists and values of several types have none: they stand in `answer_json` only.
    """

    schema: dict[str, Any]
    sha256: str
    columns: dict[str, ColumnType]
    validator: Draft202012Validator = field(compare=False, repr=False)


def load_schema(inline: Mapping[str, Any] | None, file: str | None, *, job_path: str | None = None) -> Schema | None:
    """The schema that a job writes as a table, or in the JSON file *file*, counted from the current folder; or None.

    *job_path* is for messages.

    Raises:
        ConfigError: the file cannot be read, or its schema cannot be used; the message names the place in the schema.
    """
    where = f"{job_path}: `answer.schema`" if job_path else "`answer.schema`"
    if file is not None:
        where, inline = file, _from_file(file, f"{job_path}: " if job_path else "")
    if inline is None:
        return None
    schema = _as_json(inline, where)
    try:
        within = dict(places(schema))
        _check(schema, within, where)
    except RecursionError:
        raise ConfigError(f"{where}: the schema is nested too deeply") from None
    return Schema(
        schema=schema,
        sha256=digest(schema),
        columns=_columns(schema, within, where),
        validator=Draft202012Validator(schema, registry=Registry()),  # an empty registry fetches nothing
    )


def _from_file(file: str, in_job: str) -> Mapping[str, Any]:
    path = Path(file)
    where = f"{in_job}`answer.schema_file`: {file}"
    try:
        schema = json.loads(path.read_text(encoding="utf-8-sig"))
    except FileNotFoundError:
        raise ConfigError(f"{where}: there is no such file{_similar_file(path)}") from None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{where}: cannot be read as UTF-8 text: {error}") from None
    except json.JSONDecodeError as error:
        raise ConfigError(f"{file}, line {error.lineno}, column {error.colno}: not valid JSON: {error.msg}") from None
    except (RecursionError, ValueError) as error:
        raise ConfigError(f"{file}: not valid JSON: {error}") from None
    if not isinstance(schema, Mapping):
        raise ConfigError(f'{file}: a schema is a JSON object, such as {{"type": "object", "properties": {{…}}}}')
    return schema


def _similar_file(path: Path) -> str:
    names = sorted(other.name for other in path.parent.glob("*.json")) if path.parent.is_dir() else []
    nearest = difflib.get_close_matches(path.name, names, n=1) or names[:3]
    return f"; in {path.parent} there is: {', '.join(nearest)}" if nearest else f" (counted from {Path.cwd()})"


def _as_json(schema: Mapping[str, Any], where: str) -> dict[str, Any]:
    """A copy of *schema* as JSON holds it: TOML has dates and infinities besides."""
    try:
        copy: dict[str, Any] = json.loads(json.dumps(schema, allow_nan=False), parse_int=_integer)
        digest(copy)
    except (OverflowError, RecursionError, TypeError, ValueError) as error:
        raise ConfigError(f"{where}: is no JSON (no dates, no nan, no integers beyond 64 bits): {error}") from None
    return copy


def _integer(digits: str) -> int:
    number = int(digits)
    if not -(2**63) <= number < 2**63:  # validation divides by it, which a float cannot
        raise OverflowError(f"{digits[:40]} is too large")
    return number


def _check(schema: Mapping[str, Any], within: Mapping[str, Mapping[str, Any]], where: str) -> None:
    rules = Draft202012Validator(Draft202012Validator.META_SCHEMA, format_checker=Draft202012Validator.FORMAT_CHECKER)
    if worst := best_match(rules.iter_errors(schema)):
        place = "/".join(("#", *map(escaped, map(str, worst.absolute_path))))
        reasons = [one.message for one in worst.context or ()] or [worst.message]
        raise ConfigError(f"{where}: no valid JSON Schema at {place}: {'; or: '.join(reasons)}")
    if schema.get("type") != "object":
        raise ConfigError(f'{where}: the top level must say "type": "object"; put a list or a scalar into a property')
    for place, one in within.items():
        _check_references(place, one, within, where)
    circles = {place: list(_same_value(place, one)) for place, one in within.items()}
    try:
        TopologicalSorter(circles).prepare()
    except CycleError as error:
        raise ConfigError(f"{where}: {' -> '.join(error.args[1])}: the schema refers to itself without end") from None


def _check_references(
    place: str, schema: Mapping[str, Any], within: Mapping[str, Mapping[str, Any]], where: str
) -> None:
    if "$dynamicRef" in schema or ("$id" in schema and place != "#"):
        name = "$dynamicRef" if "$dynamicRef" in schema else "$id"
        raise ConfigError(f"{where}: {place}/{name}: not supported here; use a plain `$ref` such as #/$defs/name")
    reference = schema.get("$ref", "#")
    if reference != "#" and not reference.startswith("#/"):
        raise ConfigError(
            f"{where}: {place}/$ref: `{reference}` points outside the schema, and nothing is fetched: "
            "put the other schema under $defs and refer to it as #/$defs/name"
        )
    if unquote(reference) not in within:
        known = difflib.get_close_matches(unquote(reference), within, n=1)
        meant = f"; did you mean `{known[0]}`?" if known else ""
        raise ConfigError(f"{where}: {place}/$ref: there is no schema at `{reference}`{meant}")


def _same_value(place: str, schema: Mapping[str, Any]) -> Iterator[str]:
    """The places of the schemas that are applied to the same value as *schema* is."""
    if "$ref" in schema:
        yield unquote(schema["$ref"])
    for keyword, child_place, child in children(place, schema):
        if keyword in _SAME_VALUE and isinstance(child, Mapping):
            yield child_place


def _columns(schema: Mapping[str, Any], within: Mapping[str, Mapping[str, Any]], where: str) -> dict[str, ColumnType]:
    columns: dict[str, ColumnType] = {}
    taken = dict.fromkeys(_TAKEN, "the dataset's own column")
    for name, one in schema.get("properties", {}).items():
        place = f"{where}: #/properties/{escaped(name)}"
        if not name.isidentifier():
            raise ConfigError(f"{place}: a top-level property names a column: letters, digits and _ only")
        kind = _column_type(one, within) if isinstance(one, Mapping) else None
        if kind is None:
            continue
        if other := taken.get(name.casefold()):
            raise ConfigError(f"{place}: its column `{ANSWER_PREFIX}{name}` collides with {other}: rename the property")
        taken[name.casefold()] = f"that of `{name}`"
        columns[f"{ANSWER_PREFIX}{name}"] = kind
    return columns


def _column_type(schema: Mapping[str, Any], within: Mapping[str, Mapping[str, Any]]) -> ColumnType | None:
    """The column for a value of *schema*; None where it is no scalar, or of several types."""
    kinds = _kinds(schema, within) - {"null"}
    if kinds == {"integer", "number"}:
        return "float64"
    if kinds == {"string/date-time"}:
        return "timestamp"
    return _COLUMN_TYPES.get(kinds.pop()) if len(kinds) == 1 else None


def _kinds(schema: Mapping[str, Any], within: Mapping[str, Mapping[str, Any]]) -> set[str]:
    """The JSON types that a value of *schema* can have, as far as it names them; a date-time is one of its own."""
    if "type" in schema:
        said = schema["type"]
        kinds = set(said if isinstance(said, list) else [said])
        moment = "string" in kinds and schema.get("format") == "date-time"
        return (kinds - {"string"}) | {"string/date-time"} if moment else kinds
    if "const" in schema or "enum" in schema:
        return {_JSON_TYPES[type(one)] for one in schema.get("enum", [schema.get("const")])}
    if "$ref" in schema:
        return _kinds(within[unquote(schema["$ref"])], within)
    branches = schema.get("anyOf") or schema.get("oneOf") or schema.get("allOf") or [True]
    if "allOf" in schema and len(branches) > 1:
        return set(_JSON_TYPES.values())
    each = [_kinds(one, within) if isinstance(one, Mapping) else set(_JSON_TYPES.values()) for one in branches]
    return set().union(*each)
