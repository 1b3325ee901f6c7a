"""The dataset: every part together, read in two ways and verified; and the runs that made it (design, section 4).

`history` is every row of every run, `current` the latest row of each item. Parts are listed by run, and a run's id
begins with its time, so a later row is a later answer.
"""

from __future__ import annotations

import collections
import difflib
import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pyarrow as pa

from mediascribe.columns import SCHEMA, RunFacts, schema
from mediascribe.domain import STATUSES
from mediascribe.errors import ConfigError, CorruptError
from mediascribe.part import (
    RESULTS,
    UNREADABLE,
    has_part,
    open_part,
    part_name,
    parts,
    parts_schema,
    read_part,
    write_part,
)
from mediascribe.store import Store, local_path

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

__all__ = [
    "SCHEMA",
    "RunFacts",
    "Verification",
    "current",
    "has_part",
    "history",
    "latest",
    "part_name",
    "parts",
    "parts_schema",
    "results_at",
    "runs",
    "schema",
    "unknown_column",
    "verify",
    "write_part",
    "write_run",
]

RUNS: Final = "runs/"


@dataclass(frozen=True, slots=True, kw_only=True)
class Verification:
    """What reading every page of a dataset found.

    `rows` and `statuses` count the rows of readable parts, by every status; `duplicates` the rows whose item their run
    has already; `unreadable` names parts, with the reason; `problems` says all of it, and more, in words.
    """

    parts: int
    rows: int
    statuses: Mapping[str, int]
    duplicates: int
    unreadable: tuple[tuple[str, str], ...]
    problems: tuple[str, ...]

    @property
    def ok(self) -> bool:
        """Whether nothing is wrong."""
        return not self.problems


def history(output: str | Path, columns: Sequence[str] | None = None) -> pa.Table:
    """Every row of every run, oldest run first; all columns, or *columns* in that order.

    A column that a part lacks is null there; a carried column whose type changed between runs is a string.

    Raises:
        ConfigError: there are no results at *output*, or no such column.
        CorruptError: a part cannot be read.
    """
    store = results_at(output)
    names = parts(store)
    wanted = _wanted(store, names, columns)
    return pa.concat_tables([wanted.empty_table(), *(read_part(store, name, wanted) for name in names)])


def current(output: str | Path, columns: Sequence[str] | None = None) -> pa.Table:
    """The latest row of each item, whatever its status, in the order of `history`; raises like it.

    Memory holds the item ids of all rows, and what is returned.
    """
    store = results_at(output)
    names = parts(store)
    wanted = _wanted(store, names, columns)
    ids = pa.schema([SCHEMA.field("item_id")])
    latest = _is_latest(pa.concat_tables([ids.empty_table(), *(read_part(store, name, ids) for name in names)]))
    tables, start = [wanted.empty_table()], 0
    for name in names:
        table = read_part(store, name, wanted)
        tables.append(table.filter(pa.array(latest[start : start + len(table)])))
        start += len(table)
    return pa.concat_tables(tables)


def latest(output: str | Path, rows: int, *, status: str | None = None) -> list[dict[str, Any]]:
    """The newest *rows* of `current` that have *status* (None: any), the newest part first; all columns.

    Only as many parts are read as it takes.

    Raises:
        ConfigError: there are no results at *output*.
        CorruptError: a part cannot be read.
    """
    store = results_at(output)
    found: list[dict[str, Any]] = []
    seen: set[str] = set()
    for name in reversed(parts(store)):
        table = read_part(store, name, parts_schema(store, [name]))
        for place, (item_id, had) in enumerate(
            zip(*(table[key].to_pylist() for key in ("item_id", "status")), strict=True)
        ):
            if item_id not in seen and status in (None, had):
                found += table.slice(place, 1).to_pylist()
            seen.add(item_id)
            if len(found) == rows:
                return found
    return found


def verify(output: str | Path) -> Verification:
    """Read every page of every part against its checksum, count, and look for items that one run has twice.

    A batch of rows and the item ids of one run are held in memory.

    Raises:
        ConfigError: there are no results at *output*.
    """
    store = results_at(output)
    names = parts(store)
    found = _Findings()
    for name in names:
        _verify_part(store, name, found)
    found.problems += [
        f"{name}: not a part, but some readers take it for one: remove it"
        for name in store.list(RESULTS)
        if not name.endswith(".parquet")
    ]
    if found.twice:
        found.problems.append(f"{len(found.twice)} rows repeat an item of their run, such as {found.twice[0]}")
    return Verification(
        parts=len(names),
        rows=found.statuses.total(),
        statuses={status: found.statuses[status] for status in STATUSES},
        duplicates=len(found.twice),
        unreadable=tuple(found.unreadable),
        problems=tuple(found.problems),
    )


def runs(output: str | Path) -> list[dict[str, Any]]:
    """What each run wrote about itself, oldest first.

    Raises:
        CorruptError: a run file holds no JSON object.
    """
    store = Store(root=local_path(output))
    return [_read_run(store, name) for name in store.list(RUNS) if name.endswith(".json")]


def write_run(store: Store, run_id: str, mapping: Mapping[str, Any]) -> None:
    """Write the run file of *run_id*, in place of an earlier one."""
    text = json.dumps(mapping, indent=2, ensure_ascii=False) + "\n"
    store.put_bytes(f"{RUNS}{run_id}.json", text.encode())


def results_at(output: str | Path) -> Store:
    """The store at *output*, which has a folder of results.

    Raises:
        ConfigError: it has none.
    """
    store = Store(root=local_path(output))
    if not store.path(RESULTS).is_dir():
        raise ConfigError(f"no results in {output}: has a run finished a shard, and is it the job's `output`?")
    return store


def unknown_column(name: str, known: Iterable[str]) -> ConfigError:
    """The error that says which column *name* may have meant."""
    names = list(known)
    nearest = difflib.get_close_matches(name, names, n=1)
    meant = f"; did you mean `{nearest[0]}`?" if nearest else ""
    return ConfigError(f"there is no column `{name}`{meant}; there are: {', '.join(names)}")


def _wanted(store: Store, names: Sequence[str], columns: Sequence[str] | None) -> pa.Schema:
    whole = parts_schema(store, names)
    for column in columns or ():
        if column not in whole.names:
            raise unknown_column(column, whole.names)
    return whole if columns is None else pa.schema([whole.field(column) for column in columns])


def _is_latest(rows: pa.Table) -> np.ndarray[Any, np.dtype[np.bool_]]:
    """For each of *rows* whether no later one has its item."""
    numbered = rows.append_column("position", pa.array(np.arange(len(rows))))
    last = numbered.group_by("item_id").aggregate([("position", "max")])["position_max"]
    latest = np.zeros(len(rows), bool)
    latest[last.to_numpy()] = True
    return latest


@dataclass(slots=True, kw_only=True)
class _Findings:
    """What `verify` has found so far; `seen` are the items of the run whose parts are being read."""

    statuses: collections.Counter[str] = field(default_factory=collections.Counter)
    twice: list[str] = field(default_factory=list)
    unreadable: list[tuple[str, str]] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    run_id: str | None = None
    seen: set[str] = field(default_factory=set)


def _verify_part(store: Store, name: str, found: _Findings) -> None:
    """Add what the part *name* holds to *found*: all of it, or only what is wrong with it."""
    statuses: collections.Counter[str] = collections.Counter()
    items: list[tuple[str, str]] = []
    try:
        with open_part(store, name) as part:
            there = list(part.schema_arrow)
            if lacking := [column.name for column in SCHEMA if column not in there]:
                found.problems.append(f"{name}: not of schema v1: {', '.join(lacking)} missing or of another type")
                return
            for batch in part.iter_batches(batch_size=8_192):
                cells: list[list[Any]] = [batch[name].to_pylist() for name in ("status", "run_id", "item_id")]
                statuses.update(cells[0])
                items += zip(cells[1], cells[2], strict=True)
    except (CorruptError, *UNREADABLE) as error:
        reason = str(error.__cause__ or error)
        found.unreadable.append((name, reason))
        found.problems.append(f"{name} cannot be read: {reason}")
        return
    found.statuses += statuses
    _count_items(items, found)


def _count_items(items: Iterable[tuple[str, str]], found: _Findings) -> None:
    for run_id, item_id in items:
        if run_id != found.run_id:
            found.run_id, found.seen = run_id, set()
        if item_id in found.seen:
            found.twice.append(f"`{item_id}` in run {run_id}")
        found.seen.add(item_id)


def _read_run(store: Store, name: str) -> dict[str, Any]:
    try:
        run = json.loads(store.read(name))
    except ValueError as error:
        raise CorruptError(f"{store.path(name)} is no JSON: {error}") from error
    if not isinstance(run, dict):
        raise CorruptError(f"{store.path(name)} is no JSON object")
    return run
