"""Condition: a `where` of the user's, found to be one plain SQL expression over columns that exist."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import duckdb
import pyarrow as pa

from mediascribe import dataset
from mediascribe.columns import schema
from mediascribe.errors import ConfigError
from mediascribe.plan.comparison import refused

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mediascribe.columns import RunFacts
    from mediascribe.manifest.listing import Items

_PLAIN: Final = frozenset(
    {
        "CONSTANT",
        "COLUMN_REF",
        "COMPARISON",
        "CONJUNCTION",
        "FUNCTION",
        "CAST",
        "OPERATOR",
        "CASE",
        "BETWEEN",
        "COLLATE",
        "TYPE",
    }
)
_OURS: Final = ("item_id", "row_number")
_QUERY: Final = "select 1 from manifest left join result on true where ({where}\n)"


@dataclass(frozen=True, slots=True, kw_only=True)
class Condition:
    """A SQL expression over `manifest` and `result`, and the columns of each that it uses."""

    sql: str
    manifest_columns: tuple[str, ...]
    result_columns: tuple[str, ...]


def read(where: str, items: Items | None, facts: RunFacts) -> Condition:
    """The condition *where*, over columns of the manifest (`manifest.x`) and of the row's current result (`result.x`).

    A name that only one of them has needs no prefix. `item_id` and `row_number` are the manifest's. A column that is
    carried has its type; one of a Parquet manifest that of the file; any other is a text.

    Raises:
        ConfigError: it is no SQL, more than one expression, or names a column that does not exist or that both have.
    """
    there = [name for name in (items.columns if items else ()) if name not in _OURS]
    known = schema(facts.carry, facts.answer)
    results = [name for name in known.names if name not in _OURS]
    used = list(dict.fromkeys(_side(where, names, there, results) for names in _columns(where)))
    found = Condition(
        sql=where,
        manifest_columns=tuple(name for side, name in used if side == "manifest" and name not in _OURS),
        result_columns=tuple(name for side, name in used if side == "result"),
    )
    _try(found, items, known)
    return found


def _columns(where: str) -> Iterator[list[str]]:
    """The names of every column that *where* uses, as it has them; only if it is a plain expression."""
    with duckdb.connect() as db:
        texts = [_QUERY.format(where=one) for one in (where, "true")]
        parsed, plain = (
            json.loads(db.execute("select json_serialize_sql(?)", [text]).fetchall()[0][0]) for text in texts
        )
    if parsed["error"]:
        raise ConfigError(f"where `{where}`: is no SQL condition: {parsed['error_message']}")
    nodes = [one["statements"][0]["node"] for one in (parsed, plain)]
    condition, _ = (node.pop("where_clause", None) for node in nodes)
    if len(parsed["statements"]) != 1 or nodes[0] != nodes[1]:
        raise ConfigError(f"where `{where}`: is more than one condition; write one expression, without a statement")
    yield from _named(where, condition)


def _named(where: str, node: Any) -> Iterator[list[str]]:  # noqa: ANN401 - any JSON value
    if isinstance(node, list):
        for one in node:
            yield from _named(where, one)
    elif isinstance(node, dict):
        kind = node.get("class")
        if kind is not None and kind not in _PLAIN:
            raise ConfigError(
                f"where `{where}`: has a {kind.lower()} in it; only a plain condition on one row is taken"
            )
        if kind == "COLUMN_REF":
            yield node["column_names"]
        for one in node.values():
            yield from _named(where, one)


def _side(where: str, names: list[str], there: list[str], results: list[str]) -> tuple[str, str]:
    """Whether a column is the manifest's or the result's, and its name as that has it."""
    sides = {"manifest": [*_OURS, *there], "result": results}
    if len(names) > 1 and names[0].lower() in sides:
        sides = {names[0].lower(): sides[names[0].lower()]}
        names = names[1:]
    found = [(side, one) for side, known in sides.items() for one in known if one.lower() == names[0].lower()]
    if not found:
        raise ConfigError(
            f"where `{where}`: {dataset.unknown_column(names[0], (n for s in sides.values() for n in s))}"
        )
    if len(found) > 1:
        both = f"manifest.{names[0]} or result.{names[0]}"
        raise ConfigError(f"where `{where}`: manifest and result both have `{names[0]}`; write {both}")
    return found[0]


def _try(condition: Condition, items: Items | None, known: pa.Schema) -> None:
    """Bind the expression to empty tables, locked in.

    Raises:
        ConfigError: types do not fit, or there is no such function.
    """
    manifest: list[pa.Field[Any]] = [pa.field("item_id", pa.string()), pa.field("row_number", pa.int64())]
    manifest += [pa.field(name, items.column_type(name)) for name in condition.manifest_columns] if items else []
    names = condition.result_columns or ("run_id",)
    with duckdb.connect(config={"enable_external_access": "false"}) as db:
        db.register("manifest", pa.schema(manifest).empty_table())
        db.register("result", pa.schema([known.field(name) for name in names]).empty_table())
        try:
            db.execute("explain " + _QUERY.format(where=condition.sql))
        except duckdb.Error as error:
            raise refused(condition.sql, error) from None
