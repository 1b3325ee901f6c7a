"""The dataset: every part together, read in two ways; and the runs that made it (design, section 4).

`history` is every row of every run, `current` the latest answer of each item; where nothing was ever answered, the
latest row: a failure never hides a good old answer. Parts are listed by run, and a run's id begins with its time, so a
later row is a later answer.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from mediascribe.columns import SCHEMA, RunFacts, schema
from mediascribe.errors import ConfigError, CorruptError, StoreError
from mediascribe.part import (
    RESULTS,
    find_part,
    has_part,
    part_name,
    parts_schema,
    read_part,
    read_parts,
    scanned,
    unknown_column,
    wanted_columns,
    write_part,
)
from mediascribe.replacement import live_parts, reading
from mediascribe.store import store_at

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from mediascribe.store import Store

__all__ = [
    "ANSWERED",
    "SCHEMA",
    "RunFacts",
    "current",
    "find_part",
    "has_part",
    "history",
    "latest",
    "part_name",
    "parts",
    "parts_schema",
    "results_at",
    "runs",
    "scanned",
    "schema",
    "unknown_column",
    "write_part",
    "write_run",
]

RUNS: Final = "runs/"
ANSWERED: Final = ("ok", "truncated", "refused")
"""Of these rows of an item, the latest is its current result; of the others, only where there is none of these."""
_RANKED_BY: Final = pa.schema([SCHEMA.field("item_id"), SCHEMA.field("status")])


def parts(store: Store) -> list[str]:
    """The names of the parts that together hold every row once, sorted by run and shard."""
    return live_parts(store)


def history(output: str | Path | Store, columns: Sequence[str] | None = None) -> pa.Table:
    """Every row of every run, oldest run first; all columns, or *columns* in that order.

    A column that a part lacks is null there; a carried column whose type changed between runs is a string.

    Raises:
        ConfigError: there are no results at *output*, or no such column.
        CorruptError: a part cannot be read.
    """
    store = results_at(output)

    def read(names: list[str]) -> pa.Table:
        wanted = wanted_columns(store, names, columns)
        return pa.concat_tables([wanted.empty_table(), *read_parts(store, names, wanted)])

    return reading(store, read)


def current(output: str | Path | Store, columns: Sequence[str] | None = None) -> pa.Table:
    """The current row of each item, in the order of `history`; raises like it.

    That is its latest answer (ok, truncated, refused); an item that has none has its latest row, failed or skipped.
    Memory holds the item ids of all rows, and what is returned.
    """
    store = results_at(output)
    return reading(store, lambda names: _current(store, names, columns))


def _current(store: Store, names: list[str], columns: Sequence[str] | None) -> pa.Table:
    wanted = wanted_columns(store, names, columns)
    is_current = _is_current(pa.concat_tables([_RANKED_BY.empty_table(), *read_parts(store, names, _RANKED_BY)]))
    tables, start = [wanted.empty_table()], 0
    for table in read_parts(store, names, wanted):
        tables.append(table.filter(pa.array(is_current[start : start + len(table)])))
        start += len(table)
    return pa.concat_tables(tables)


def latest(output: str | Path | Store, rows: int, *, status: str | None = None) -> list[dict[str, Any]]:
    """The newest *rows* of `current` that have *status* (None: any), the newest part first; all columns.

    Only as many parts are read as it takes.

    Raises:
        ConfigError: there are no results at *output*.
        CorruptError: a part cannot be read.
    """
    store = results_at(output)
    return reading(store, lambda names: _latest(store, names, rows, status))


def _latest(store: Store, names: list[str], rows: int, status: str | None) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    seen: set[str] = set()
    for number, name in reversed(list(enumerate(names))):
        table = read_part(store, name, parts_schema(store, [name]))
        had: list[tuple[str, str]] = list(zip(*(table[key].to_pylist() for key in _RANKED_BY.names), strict=True))
        failed = {one for one, what in had if what not in ANSWERED}.difference(seen)
        hidden = _answered(store, names[:number], failed)
        for place, (item_id, what) in enumerate(had):
            if item_id in seen or (what not in ANSWERED and item_id in hidden):
                continue
            if status in (None, what):
                found += table.slice(place, 1).to_pylist()
            seen.add(item_id)
            if len(found) == rows:
                return found
    return found


def _answered(store: Store, names: list[str], items: set[str]) -> set[str]:
    """Those of *items* that have an answer in one of the parts *names*; none are read that need not be."""
    found: set[str] = set()
    for name in reversed(names):
        if found == items:
            break
        table = read_part(store, name, _RANKED_BY)
        answers = table.filter(pc.is_in(table["status"], pa.array(ANSWERED)))["item_id"]
        found |= items.intersection(answers.to_pylist())
    return found


def runs(output: str | Path | Store) -> list[dict[str, Any]]:
    """What each run wrote about itself, oldest first.

    Raises:
        CorruptError: a run file holds no JSON object.
    """
    store = store_at(output)
    return [_read_run(store, name) for name in store.list(RUNS) if name.endswith(".json")]


def write_run(store: Store, run_id: str, mapping: Mapping[str, Any]) -> None:
    """Write the run file of *run_id*, in place of an earlier one."""
    text = json.dumps(mapping, indent=2, ensure_ascii=False) + "\n"
    store.put_bytes(f"{RUNS}{run_id}.json", text.encode())


def results_at(output: str | Path | Store) -> Store:
    """The store at *output*, which has a folder of results.

    Raises:
        ConfigError: it has none, or it cannot be reached.
    """
    store = store_at(output)
    try:
        found = store.has_folder(RESULTS)
    except StoreError as error:
        raise ConfigError(f"output `{store.address}` cannot be read: {error}") from None
    if not found:
        raise ConfigError(f"no results in {store.address}: has a run finished a shard, and is it the job's `output`?")
    return store


def _is_current(rows: pa.Table) -> np.ndarray[Any, np.dtype[np.bool_]]:
    """For each of *rows* (`_RANKED_BY`) whether it is its item's latest answer, or latest of all without one."""
    rank = np.arange(len(rows)) + len(rows) * np.asarray(pc.is_in(rows["status"], pa.array(ANSWERED)))
    ranked = rows.select(["item_id"]).append_column("rank", pa.array(rank))
    best = ranked.group_by("item_id").aggregate([("rank", "max")])["rank_max"].to_numpy()
    current = np.zeros(len(rows), bool)
    current[best % max(1, len(rows))] = True
    return current


def _read_run(store: Store, name: str) -> dict[str, Any]:
    try:
        run = json.loads(store.read(name))
    except ValueError as error:
        raise CorruptError(f"{store.address}/{name} is no JSON: {error}") from error
    if not isinstance(run, dict):
        raise CorruptError(f"{store.address}/{name} is no JSON object")
    return run
