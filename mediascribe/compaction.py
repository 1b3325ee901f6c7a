"""Compaction: small parts of past days become large ones.

Only the holder of the lease compacts, and only runs that are closed: an open run knows its parts by their names. Every
crash is finished by the next start (`replacement.settle`), and `dataset` and `cost` are exact at every instant.

A plain reader of `results/v1/**` cannot be, since two files cannot be swapped at once (reliability notes 2.2). From the
appearance of a merged part until its last old one is removed, about 2 ms for each on a local disk, it counts rows
twice; with a list from before it fails on a file that is gone; if it lists in that very moment it may miss some. The
latest row of each item does not change while rows are there twice, nor does:

    select distinct on (run_id, row_number) * from read_parquet('.../results/v1/**/*.parquet')
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from mediascribe.errors import CorruptError
from mediascribe.part import RESULTS, open_part
from mediascribe.replacement import live_parts, replace, settle

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator
    from datetime import date

    import pyarrow as pa

    from mediascribe.store import Store

TARGET_BYTES: Final = 256 * 2**20
_DATE: Final = re.compile(rf"{RESULTS}date=(\d{{4}}-\d\d-\d\d)/([^/]+)\.parquet")
_RUN: Final = re.compile(r"(.+)-\d{5,}(?:-c[0-9a-f]{16})?$")


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """What to merge: parts of runs that began before the day *before* (UTC) and are not in *open_runs*.

    Parts below half of *target_bytes* are merged, up to that size. *lost* says whether the lease is: then all stops.
    """

    before: date
    open_runs: Collection[str] = ()
    target_bytes: int = TARGET_BYTES
    lost: Callable[[], bool] = bool


@dataclass(slots=True, kw_only=True)
class Compacted:
    """What a compaction did: new parts with those that each replaces, leftovers removed, and what it left as it is."""

    merged: dict[str, tuple[str, ...]] = field(default_factory=dict)
    rows: int = 0
    leftovers: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)


def compact(store: Store, order: Order) -> Compacted:
    """Merge small parts as *order* says; the caller holds the lease. Does nothing where it was done already.

    A damaged part is left alone, with those that it would have been merged with, and named. Memory holds a row group.

    Raises:
        CorruptError: a part that replaces others cannot be read.
        OutputInUse: the lease is lost.
    """
    done = Compacted(leftovers=settle(store))
    for group in _groups(store, order, done.problems):
        try:
            name, rows = replace(store, group, lost=order.lost)
        except CorruptError as error:
            done.problems.append(f"{error}; it and its neighbours are left as they are")
            continue
        done.rows += rows
        if name:
            done.merged[name] = tuple(group)
    return done


def _groups(store: Store, order: Order, problems: list[str]) -> Iterator[list[str]]:
    """Neighbours to merge: of one day and one schema, small, closed, and together no larger than the target."""
    group: list[str] = []
    facts: tuple[str, pa.Schema] | None = None
    size = 0
    for name in live_parts(store):
        day = _closed_day(name, order)
        footer = _small(store, name, order, problems) if day else None
        own = (day, footer[0]) if day and footer else None
        more = footer[1] if footer else 0
        if own is None or own != facts or size + more > order.target_bytes:
            if len(group) > 1:
                yield group
            group, size = [], 0
        facts = own
        if own:
            group.append(name)
            size += more
    if len(group) > 1:
        yield group


def _closed_day(name: str, order: Order) -> str | None:
    """The day of the part *name*, where that has passed and its run is closed."""
    found, run = _DATE.fullmatch(name), _run_of(name)
    if found is None or run is None or run in order.open_runs or found[1] >= order.before.isoformat():
        return None
    return found[1]


def _small(store: Store, name: str, order: Order, problems: list[str]) -> tuple[pa.Schema, int] | None:
    """The schema and the size in bytes of the part *name*; None where it is large enough, or damaged."""
    try:
        with open_part(store, name) as part:
            schema, footer = part.schema_arrow.remove_metadata(), part.metadata
    except CorruptError as error:
        problems.append(f"{error}; left as it is")
        return None
    size = sum(
        footer.row_group(group).column(column).total_compressed_size
        for group in range(footer.num_row_groups)
        for column in range(footer.num_columns)
    )
    return (schema, size) if 2 * size < order.target_bytes else None


def _run_of(name: str) -> str | None:
    """The (last) run of the part *name*; None where the name is none of ours."""
    found = _DATE.fullmatch(name)
    run = _RUN.fullmatch(found[2]) if found else None
    return run[1] if run else None
