"""Part: one shard's Parquet file, immutable, whole or absent (design, section 4)."""

from __future__ import annotations

import collections
import contextlib
import difflib
import itertools
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, Final

import pyarrow as pa
import pyarrow.parquet as pq

from mediascribe import __version__
from mediascribe.columns import SCHEMA, SCHEMA_VERSION, schema, to_batch, with_carried
from mediascribe.errors import ConfigError, CorruptError, MediascribeError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from concurrent.futures import Future
    from pathlib import Path

    from mediascribe.columns import RunFacts
    from mediascribe.domain import Record, Shard
    from mediascribe.store import Store

RESULTS: Final = "results/v1/"
ROW_GROUP_ROWS: Final = 50_000  # 10 ms for a sum, 13 ms for a key (reliability notes 2.1)
ROW_GROUP_BYTES: Final = 128 * 2**20  # a viewer refuses groups beyond 286 MB (reliability notes 2.1)
BATCH_ROWS: Final = 1_000
_READ_AT_ONCE: Final = 4
UNREADABLE: Final = (OSError, ValueError, pa.ArrowException)  # what pyarrow raises at bytes that are no Parquet


def part_name(shard: Shard) -> str:
    """The part of *shard*, in the folder of its run's first day (UTC)."""
    run = shard.run_id
    return f"{RESULTS}date={run[:4]}-{run[4:6]}-{run[6:8]}/{shard.name}.parquet"


def has_part(store: Store, shard: Shard) -> bool:
    """Whether *shard* is done."""
    return find_part(store, shard) is not None


def find_part(store: Store, shard: Shard) -> str | None:
    """Where the rows of *shard* are: its part, or the one that a takedown put in its place."""
    name = part_name(shard)
    if store.exists(name):
        return name
    return next(iter(store.list(f"{name.removesuffix('.parquet')}-c")), None)


def write_part(store: Store, facts: RunFacts, shard: Shard, records: Iterable[Record] | pa.Table) -> str:
    """Write *shard*'s part whole or not at all, and give its name.

    *records*, or a table of them as `columns.to_batch` makes it, come sorted by row number. Memory holds one row group
    beside them. A part that exists already stays as it is, and ours is dropped.

    Raises:
        CorruptError: there are more or fewer records than the shard has rows; nothing is published.
        ConfigError: a carried column collides with one of the schema.
    """
    name = part_name(shard)
    staged = store.staged(f"{shard.name}.parquet")
    try:
        _write(staged, facts, shard, records)
        found = pq.read_metadata(staged).num_rows
        if found != shard.rows:
            raise CorruptError(f"{name}: {found} records for a shard of {shard.rows} rows: nothing published")
        store.put_if_absent(name, staged)
    finally:
        staged.unlink(missing_ok=True)
    return name


def open_part(store: Store, name: str) -> pq.ParquetFile:
    """The part *name*, whose pages are checked as they are read.

    Raises:
        CorruptError: it is no Parquet file.
        StoreError: the store fails.
    """
    try:
        return pq.ParquetFile(store.open(name), page_checksum_verification=True, pre_buffer=True)
    except UNREADABLE as error:
        raise CorruptError(f"{name} cannot be read: {error}") from error


def read_part(store: Store, name: str, wanted: pa.Schema) -> pa.Table:
    """All rows of the part *name* in the columns *wanted*; one that it lacks is null.

    Raises:
        CorruptError: it cannot be read, or a page is not what was written.
        StoreError: the store fails.
    """
    with open_part(store, name) as part:
        present = set(part.schema_arrow.names)
        try:
            table = part.read(columns=[column.name for column in wanted if column.name in present])
        except UNREADABLE as error:
            raise CorruptError(f"{name} cannot be read: {error}") from error
        rows = part.metadata.num_rows
    columns = [
        table[column.name].cast(column.type) if column.name in present else pa.nulls(rows, column.type)
        for column in wanted
    ]
    return pa.table(columns, schema=wanted)


def parts_schema(store: Store, names: Iterable[str]) -> pa.Schema:
    """Schema v1 with every column that the parts *names* carry; one whose type changed is a string.

    Raises:
        CorruptError: a part cannot be read.
    """
    carried: dict[str, pa.Field[Any]] = {}
    for name in names:
        with open_part(store, name) as part:
            found = part.schema_arrow
        for column in found:
            if column.name not in SCHEMA.names and carried.setdefault(column.name, column).type != column.type:
                carried[column.name] = pa.field(column.name, pa.string())
    return with_carried(carried.values())


def read_parts(store: Store, names: Sequence[str], wanted: pa.Schema) -> Iterator[pa.Table]:
    """The columns *wanted* of the parts *names*, in that order; some are read ahead; raises like `read_part`."""
    waiting: collections.deque[Future[pa.Table]] = collections.deque()
    with ThreadPoolExecutor(_READ_AT_ONCE) as pool:
        for name in names:
            waiting.append(pool.submit(read_part, store, name, wanted))
            if len(waiting) > _READ_AT_ONCE:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()


@contextlib.contextmanager
def scanned(store: Store, names: Sequence[str], columns: Sequence[str]) -> Iterator[pa.RecordBatchReader]:
    """*columns* of every row of the parts *names*, in that order, to be read once; for DuckDB, from any store.

    With no parts at all there are the schema's columns. When a part could not be read, the block ends with that error,
    not with what DuckDB made of it.

    Raises:
        ConfigError: there is no such column.
        CorruptError: a part cannot be read.
        StoreError: the store fails.
    """
    wanted = wanted_columns(store, names, columns)
    met: list[MediascribeError] = []

    def batches() -> Iterator[pa.RecordBatch]:
        try:
            for table in read_parts(store, names, wanted):
                yield from table.to_batches()
        except MediascribeError as error:
            met.append(error)
            raise

    try:
        yield pa.RecordBatchReader.from_batches(wanted, batches())
    finally:
        if met:
            raise met[0] from None


def wanted_columns(store: Store, names: Sequence[str], columns: Sequence[str] | None) -> pa.Schema:
    """What the parts *names* can be read as: *columns* in that order, or all of `parts_schema`.

    Raises:
        ConfigError: there is no such column.
        CorruptError: a part cannot be read.
    """
    whole = parts_schema(store, names)
    for column in columns or ():
        if column not in whole.names:
            raise unknown_column(column, whole.names)
    return whole if columns is None else pa.schema([whole.field(column) for column in columns])


def unknown_column(name: str, known: Iterable[str]) -> ConfigError:
    """The error that says which column *name* may have meant."""
    names = list(known)
    nearest = difflib.get_close_matches(name, names, n=1)
    meant = f"; did you mean `{nearest[0]}`?" if nearest else ""
    return ConfigError(f"there is no column `{name}`{meant}; there are: {', '.join(names)}")


def _write(staged: Path, facts: RunFacts, shard: Shard, records: Iterable[Record] | pa.Table) -> None:
    """Write the file at *staged*; after an exception it may be valid and half (reliability notes 2.4)."""
    prices: set[str] = set()
    with pq.ParquetWriter(
        staged,
        schema(facts.carry, facts.answer),
        compression="zstd",
        compression_level=3,
        write_page_index=True,
        write_page_checksum=True,
    ) as writer:
        groups = _slices(records) if isinstance(records, pa.Table) else _row_groups(facts, shard, records)
        for group in groups:
            writer.write_table(group, row_group_size=ROW_GROUP_ROWS)
            prices.update(version for version in group["price_version"].unique().to_pylist() if version)
        writer.add_key_value_metadata(_footer(facts, prices))


def _row_groups(facts: RunFacts, shard: Shard, records: Iterable[Record]) -> Iterator[pa.Table]:
    """*records* as tables of one row group each; what waits for a group to fill is in Arrow's compact form."""
    waiting: list[pa.RecordBatch] = []
    rest = iter(records)
    while batch := list(itertools.islice(rest, BATCH_ROWS)):
        waiting.append(to_batch(facts, shard, batch))
        if len(waiting) * BATCH_ROWS >= ROW_GROUP_ROWS or sum(one.nbytes for one in waiting) >= ROW_GROUP_BYTES:
            yield pa.Table.from_batches(waiting)
            waiting = []
    if waiting:
        yield pa.Table.from_batches(waiting)


def _slices(rows: pa.Table) -> Iterator[pa.Table]:
    """*rows* as row groups."""
    fitting = len(rows) * ROW_GROUP_BYTES // max(1, rows.nbytes)
    size = max(1, min(ROW_GROUP_ROWS, fitting))
    return (rows.slice(at, size) for at in range(0, len(rows), size))


def _footer(facts: RunFacts, prices: set[str]) -> dict[str, str]:
    """What a part says about itself to whoever finds it alone."""
    return {
        "mediascribe.schema": SCHEMA_VERSION,
        "mediascribe.writer": f"mediascribe {__version__}",
        "mediascribe.run_id": facts.run_id,
        "mediascribe.job": facts.job,
        "mediascribe.prompt_sha256": facts.prompt_sha256,
        "mediascribe.price_versions": ",".join(sorted(prices)),
    }
