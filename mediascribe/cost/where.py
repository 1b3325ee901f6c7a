"""Where: a condition that a person wrote, found to be one expression over columns and nothing else.

DuckDB's own parser reads it. What its tree holds beside comparisons, logic, arithmetic, casts and plain functions is
refused: no subquery, no window, no second statement. The connection that runs it can open the parts and no other file.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

from mediascribe.dataset import unknown_column
from mediascribe.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping

    from duckdb import DuckDBPyConnection

_ALLOWED: Final = frozenset(
    {"CONJUNCTION", "COMPARISON", "FUNCTION", "COLUMN_REF", "CONSTANT", "OPERATOR", "CAST", "TYPE", "CASE", "BETWEEN"}
)
_PLAIN_MACROS: Final = frozenset({"nullif", "split_part", "if", "fmod", "fdiv"})
_SELECT: Final = "select 1 where "
_FUNCTIONS: Final = (
    "select function_name from duckdb_functions() group by all"
    " having bool_and(function_type = 'scalar' and stability = 'CONSISTENT')"
)


def condition(said: str, columns: Collection[str], connection: DuckDBPyConnection) -> str:
    """*said*, a condition on *columns*, as SQL that is safe to stand in parentheses.

    Raises:
        ConfigError: it is no single condition, or has what a condition here may not have.
    """
    given, plain = _tree(f"({said}\n)", said, connection), _tree("true", said, connection)
    expression = given.pop("where_clause", None)
    plain.pop("where_clause")
    if not said.strip() or given != plain:
        raise ConfigError(f"where `{said}`: write one condition, such as: status = 'ok' and attempts > 1")
    folded = {name.casefold(): name for name in columns}
    functions = _PLAIN_MACROS.union(name for (name,) in connection.execute(_FUNCTIONS).fetchall())
    for node in _nodes(expression):
        if node["class"] not in _ALLOWED:
            what = str(node["class"]).lower().replace("_", " ")
            raise ConfigError(f"where `{said}`: a condition here has no {what}: compare columns and values")
        if node["class"] == "FUNCTION" and node["function_name"] not in functions:
            raise ConfigError(f"where `{said}`: the function {node['function_name']}() is not for conditions here")
        if node["class"] == "COLUMN_REF" and ".".join(node["column_names"]).casefold() not in folded:
            raise unknown_column(".".join(node["column_names"]), columns)
    return f"{said}\n"


def _tree(expression: str, said: str, connection: DuckDBPyConnection) -> dict[str, Any]:
    """The parsed SELECT that has *expression* for its condition."""
    found = connection.execute("select json_serialize_sql(?)", [_SELECT + expression]).fetchall()
    parsed: Mapping[str, Any] = json.loads(found[0][0])
    statements = parsed.get("statements") or []
    if parsed["error"] or len(statements) != 1:
        why = parsed.get("error_message", "write one condition")
        raise ConfigError(f"where `{said}`: {why}; write one condition, such as: status = 'ok' and attempts > 1")
    node: dict[str, Any] = statements[0]["node"]
    return node


def _nodes(tree: object) -> Iterator[dict[str, Any]]:
    """Every expression in *tree*."""
    if isinstance(tree, dict):
        if "class" in tree:
            yield tree
        for value in tree.values():
            yield from _nodes(value)
    elif isinstance(tree, list):
        for value in tree:
            yield from _nodes(value)
