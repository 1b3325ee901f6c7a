"""Part: one shard's Parquet file, immutable, whole or absent (design, section 4)."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any, Final

import pyarrow as pa
import pyarrow.parquet as pq

from mediascribe import __version__
from mediascribe.columns import SCHEMA, SCHEMA_VERSION, schema, to_batch, with_carried
from mediascribe.errors import CorruptError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from mediascribe.columns import RunFacts
    from mediascribe.domain import Record, Shard
    from mediascribe.store import Store

RESULTS: Final = "results/v1/"
ROW_GROUP_ROWS: Final = 50_000  # 10 ms for a sum, 13 ms for a key (reliability notes 2.1)
ROW_GROUP_BYTES: Final = 128 * 2**20  # a viewer refuses groups beyond 286 MB (reliability notes 2.1)
BATCH_ROWS: Final = 1_000
UNREADABLE: Final = (OSError, ValueError, pa.ArrowException)  # what pyarrow raises at bytes that are no Parquet


def part_name(shard: Shard) -> str:
    """The part of *shard*, in the folder of its run's first day (UTC)."""
    run = shard.run_id
    return f"{RESULTS}date={run[:4]}-{run[4:6]}-{run[6:8]}/{shard.name}.parquet"


def parts(store: Store) -> list[str]:
    """The names of all parts, sorted by run and shard."""
    return [name for name in store.list(RESULTS) if name.endswith(".parquet")]


def has_part(store: Store, shard: Shard) -> bool:
    """Whether *shard* is done."""
    return store.exists(part_name(shard))


def write_part(store: Store, facts: RunFacts, shard: Shard, records: Iterable[Record]) -> str:
    """Write *shard*'s part whole or not at all, and give its name; *records* come sorted by row number.

    Memory holds one row group. A part that exists already stays as it is, and ours is dropped.

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
    """
    try:
        return pq.ParquetFile(store.path(name), page_checksum_verification=True)
    except UNREADABLE as error:
        raise CorruptError(f"{name} cannot be read: {error}") from error


def read_part(store: Store, name: str, wanted: pa.Schema) -> pa.Table:
    """All rows of the part *name* in the columns *wanted*; one that it lacks is null.

    Raises:
        CorruptError: it cannot be read, or a page is not what was written.
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


def _write(staged: Path, facts: RunFacts, shard: Shard, records: Iterable[Record]) -> None:
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
        for group in _row_groups(facts, shard, records):
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
