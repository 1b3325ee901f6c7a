"""The files of a plan: the staged manifest, which every comparison reads, and the rows to ask, shard by shard."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any, Final, cast

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from mediascribe.domain import REASONS
from mediascribe.manifest import batch

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

    from mediascribe.domain import Item, Reason, Shard

    Numbers = np.ndarray[Any, np.dtype[np.int64]]

_BATCH_ROWS: Final = 1_000
_GROUP_ROWS: Final = 10_000
KEPT: Final = [name for name in batch.ITEMS.names if name != "redacted_urls"]
_PLAN: Final = pa.schema(
    [
        *(batch.ITEMS.field(name) for name in KEPT),
        pa.field("reason", pa.string()),
        pa.field("leader", pa.int64()),
        pa.field("shard", pa.int32()),
    ]
)
_WITHOUT_SHARD: Final = pa.schema([field for field in _PLAN if field.name != "shard"])


def batches(items: Iterable[Item]) -> Iterator[pa.RecordBatch]:
    """*items* in batches."""
    iterator = iter(items)
    while some := list(islice(iterator, _BATCH_ROWS)):
        yield batch.from_items(some)


def stage(path: Path, items: Iterable[pa.RecordBatch]) -> None:
    """Write the batches *items* to a private file at *path*; it is read soon, and only here."""
    path.touch(mode=0o600)
    rest = iter(items)
    first = next(rest, None)
    schema = batch.ITEMS if first is None else first.schema
    with pq.ParquetWriter(
        path, schema, compression="lz4", use_dictionary=False, write_statistics=["row_number"]
    ) as writer:
        if first is not None:
            writer.write_batch(first)
            for one in rest:
                writer.write_batch(one)


def write(
    path: Path,
    staged: Path,
    chosen: Iterator[pa.RecordBatch],
    shard_rows: int,
    followers: Iterator[pa.RecordBatch] = iter(()),  # noqa: B008 - an empty one has no state
) -> None:
    """Copy the rows *chosen* (row_number, reason, first_row, leader; ascending) of *staged* into a private file.

    Each row that leads others has them behind it: *followers*, whole rows with `reason` and `leader`, in that order. No
    row group has rows of two shards, so that reading a shard reads nothing else.
    """
    path.touch(mode=0o600)
    rows, behind = _Chosen(chosen), _Followers(followers)
    with pq.ParquetFile(staged) as items, pq.ParquetWriter(path, _PLAN, compression="zstd") as writer:
        shards = _Shards(writer, shard_rows)
        for group in range(items.num_row_groups):
            last = _last_row(items.metadata.row_group(group))
            wanted = rows.until(last)
            if len(wanted[0]):
                table = items.read_row_group(group, columns=KEPT)
                places = np.searchsorted(np.asarray(table["row_number"]), wanted[0])
                shards.add(behind.put_in(_due(table.take(pa.array(places, pa.int64())), *wanted[1:]), last))
        shards.close()


def copy(path: Path, source: Path, keep: Callable[[pa.Table], pa.Table], shard_rows: int) -> int:
    """Copy the rows of the plan's file *source* that *keep* leaves of each group into a private one; gives how many."""
    path.touch(mode=0o600)
    with pq.ParquetFile(source) as old, pq.ParquetWriter(path, _PLAN, compression="zstd") as writer:
        shards = _Shards(writer, shard_rows)
        for group in range(old.num_row_groups):
            shards.add(keep(old.read_row_group(group)).drop_columns(["shard"]))
        shards.close()
    return shards.written


@dataclass(frozen=True, slots=True, kw_only=True)
class Due:
    """A row to ask; `leader` is the row of its shard that asks the same first: its answer is good for this row too."""

    item: Item
    reason: Reason
    leader: int | None = None


def read(shard: Shard) -> Iterator[Due]:
    """The rows of *shard* in the order of the manifest, but each behind its leader; streamed."""
    led: tuple[int, int] | None = None  # the leader that is meant, and the first row of its group that is here
    for row in _rows(shard):
        item, meant = batch.item(row), row["leader"]
        if meant is None:
            led = None
        elif led is None or led[0] != meant:  # the first one may lie in another shard, or have its answer already
            led = (meant, item.row_number)
        yield Due(item=item, reason=row["reason"], leader=led and led[1])


def items(shard: Shard) -> Iterator[Item]:
    """The items of `read`."""
    return (due.item for due in read(shard))


def _rows(shard: Shard) -> Iterator[dict[str, Any]]:
    """Row groups are of one shard each, and say which in their statistics."""
    with pq.ParquetFile(shard.plan_path) as file:
        column = file.schema_arrow.names.index("shard")
        for group in range(file.num_row_groups):
            statistics = file.metadata.row_group(group).column(column).statistics
            if statistics is not None and statistics.min != shard.number:
                continue
            for part in file.iter_batches(_BATCH_ROWS, row_groups=[group]):
                yield from (row for row in part.to_pylist() if row["shard"] == shard.number)


def repeated(item_id: str, number: int, first: int) -> dict[str, str]:
    """What becomes of row *number*, whose id the row *first* has already: item_id, problem_code, problem."""
    return {
        "item_id": f"{item_id}#{number}",
        "problem_code": "duplicate_id",
        "problem": f"row {number}: its id '{item_id}' stands in row {first} already; give every row an id of its own",
    }


class _Chosen:
    """The chosen rows, given as far as a row number at a time."""

    def __init__(self, chosen: Iterator[pa.RecordBatch]) -> None:
        self._rest = chosen
        self._here: tuple[Numbers, ...] = _columns(None)

    def until(self, last: int) -> tuple[Numbers, ...]:
        """Row numbers up to *last* that were not given yet, their reasons, the rows that have their ids, leaders."""
        parts = []
        while True:
            cut = int(np.searchsorted(self._here[0], last, side="right"))
            parts.append(tuple(column[:cut] for column in self._here))
            whole = cut == len(self._here[0])
            self._here = tuple(column[cut:] for column in self._here)
            if not whole or (more := next(self._rest, None)) is None:
                break
            self._here = _columns(more)
        return tuple(np.concatenate(columns) for columns in zip(*parts, strict=True))


def _columns(rows: pa.RecordBatch | None) -> tuple[Numbers, ...]:
    """The four columns of chosen rows; 0 where there is none."""
    if rows is None:
        return (np.zeros(0, np.int64),) * 4
    return tuple(np.asarray(column.cast(pa.int64()).fill_null(0)) for column in rows.columns)


class _Followers:
    """The rows that follow others, put in behind them."""

    def __init__(self, rest: Iterator[pa.RecordBatch]) -> None:
        self._rest = rest
        self._here: pa.Table | None = None

    def put_in(self, rows: pa.Table, last: int) -> pa.Table:
        """*rows* and those behind them: all whose leader is at or before the row *last*."""
        parts = [rows]
        while (here := self._here or self._next()) is not None:
            cut = int(np.searchsorted(np.asarray(here["leader"]), last, side="right"))
            parts.append(here.slice(0, cut))
            self._here = here.slice(cut) if cut < here.num_rows else None
            if self._here is not None:
                break
        if len(parts) == 1:
            return rows
        table = pa.concat_tables(parts)
        groups = pc.coalesce(table["leader"], table["row_number"])
        order = pa.table([groups, table["row_number"]], ["leader", "row"])
        return table.take(pc.sort_indices(order, [("leader", "ascending"), ("row", "ascending")]))

    def _next(self) -> pa.Table | None:
        batch_ = next(self._rest, None)
        if batch_ is None:
            return None
        table = pa.Table.from_batches([batch_])
        reasons = _names(np.asarray(table["reason"]))
        return table.set_column(table.schema.get_field_index("reason"), "reason", reasons).cast(_WITHOUT_SHARD)


@dataclass(slots=True)
class _Shards:
    """Writes rows as they come, in row groups of one shard."""

    writer: pq.ParquetWriter
    shard_rows: int
    written: int = 0
    waiting: pa.Table | None = None

    def add(self, rows: pa.Table) -> None:
        """Write *rows* as far as they fill row groups."""
        self.waiting = rows if self.waiting is None else pa.concat_tables([self.waiting, rows])
        while self.waiting.num_rows >= self._room():
            self._group(self._room())

    def close(self) -> None:
        """Write what is left."""
        if self.waiting is not None and self.waiting.num_rows:
            self._group(self.waiting.num_rows)

    def _room(self) -> int:
        return min(_GROUP_ROWS, self.shard_rows - self.written % self.shard_rows)

    def _group(self, size: int) -> None:
        assert self.waiting is not None  # noqa: S101 - both callers have seen to it
        rows, self.waiting = self.waiting.slice(0, size), self.waiting.slice(size)
        shard = pa.repeat(pa.scalar(self.written // self.shard_rows, pa.int32()), size)
        self.writer.write_table(rows.append_column("shard", shard), row_group_size=size)
        self.written += size


def _last_row(group: pq.RowGroupMetaData) -> int:
    """The highest row number in a staged row group."""
    statistics = group.column(0).statistics
    if statistics is None or not statistics.has_min_max:
        return 2**63 - 1
    return int(cast("int", statistics.max))


def _due(rows: pa.Table, reasons: Numbers, firsts: Numbers, leaders: Numbers) -> pa.Table:
    """*rows* with reasons and leaders; one whose id stands in a first row gets an id and a problem of its own."""
    if firsts.any():
        made = rows.to_pylist()
        for row, first in zip(made, firsts.tolist(), strict=True):
            if first:
                row.update(repeated(row["item_id"], row["row_number"], first))
        rows = pa.Table.from_pylist(made, schema=rows.schema)
    leading = pa.array(leaders, pa.int64(), mask=leaders == 0)
    return rows.append_column("reason", _names(reasons)).append_column("leader", leading)


def _names(reasons: np.ndarray[Any, Any]) -> pa.Array[Any]:
    return pa.DictionaryArray.from_arrays(pa.array(reasons, pa.int8()), pa.array(REASONS)).cast(pa.string())
