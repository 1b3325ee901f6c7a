"""Replacement: one part in place of others, and no reader of ours ever sees a row twice or not at all.

Rules of this file:

1. A part that replaces others names them in its footer (`mediascribe.replaces`). Rows and record appear in the same
   instant, so no crash can come between them: the footer is all that a later start needs to finish the work.
2. Publish, then remove. No instant is without a row; between the two, the rows lie there twice.
3. `live_parts` leaves out what another part replaces, and lists until two lists agree: one that is taken while parts
   come and go may lack both the old and the new, but two in a row that do are never equal. `reading` begins again when
   parts vanish under it. Who reads by these two is exact at every instant.
4. A new part has the place of the last of the old ones in the order of names, and those are neighbours: the order of
   parts stays the order of runs, and so does that of rows, by run_id and row_number.
"""

from __future__ import annotations

import hashlib
import json
import re
from typing import TYPE_CHECKING, Final, TypeVar

import pyarrow as pa
import pyarrow.parquet as pq

from mediascribe import __version__
from mediascribe.columns import SCHEMA_VERSION
from mediascribe.errors import CorruptError, MediascribeError, OutputInUse
from mediascribe.part import RESULTS, ROW_GROUP_BYTES, ROW_GROUP_ROWS, UNREADABLE, open_part

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    from mediascribe.store import Store

    Change = Callable[[pa.Table], pa.Table]

T = TypeVar("T")
REPLACES: Final = b"mediascribe.replaces"
_JOINED: Final = (
    b"mediascribe.run_id",
    b"mediascribe.job",
    b"mediascribe.prompt_sha256",
    b"mediascribe.price_versions",
)
_REPLACING: Final = re.compile(r"-c[0-9a-f]{16}\.parquet$")
_BATCH_ROWS: Final = 8_192


def live_parts(store: Store) -> list[str]:
    """The parts that together hold every row once, sorted by run and shard; see rule 3.

    Raises:
        CorruptError: a part that replaces others cannot be read.
    """
    listed = _listed(store)
    while True:
        again = _listed(store)
        if again != listed:
            listed = again
            continue
        try:
            return sorted(set(listed).difference(_replaced(store, listed)))
        except MediascribeError:
            again = _listed(store)
            if again == listed:
                raise
            listed = again


def reading(store: Store, read: Callable[[list[str]], T]) -> T:
    """What *read* makes of the live parts; it is called again where parts were replaced while it read.

    Raises:
        MediascribeError: from *read*, and no part has come or gone.
    """
    while True:
        names = live_parts(store)
        try:
            return read(names)
        except MediascribeError:
            if live_parts(store) == names:
                raise


def settle(store: Store) -> list[str]:
    """Remove the parts that others replace: what a compaction or takedown that was killed had left to do.

    Raises:
        CorruptError: a part that replaces others cannot be read; nothing is removed.
    """
    listed = _listed(store)
    left = sorted(_replaced(store, listed).intersection(listed))
    for name in left:
        store.remove(name)
    return left


def replace(
    store: Store, names: Sequence[str], change: Change | None = None, *, lost: Callable[[], bool] = bool
) -> tuple[str | None, int]:
    """Put one part in place of *names*, which are neighbours, sorted, and of one schema; then remove those.

    Gives its name and its rows. *change* gives what is to stay of a table; where nothing stays there is no new part.

    Raises:
        CorruptError: one of *names* cannot be read, or what was written is not what was read; nothing is changed.
        OutputInUse: the lease is lost; nothing is changed.
    """
    name = _replacing_name(names)
    staged = store.staged(name.rpartition("/")[2])
    try:
        rows = _write(store, names, staged, change)
        if lost():
            raise OutputInUse(f"{names[0]}: not replaced: another process may hold the output by now; try again later")
        if rows:
            store.put_if_absent(name, staged)
    finally:
        staged.unlink(missing_ok=True)
    for old in names:
        store.remove(old)
    return name if rows else None, rows


def _listed(store: Store) -> list[str]:
    return [name for name in store.list(RESULTS) if name.endswith(".parquet")]


def _replaced(store: Store, listed: Iterable[str]) -> set[str]:
    """The parts that any of *listed* replaces, whether they are still there or not."""
    replaced: set[str] = set()
    for name in filter(_REPLACING.search, listed):
        with open_part(store, name) as part:
            replaced.update(json.loads((part.metadata.metadata or {}).get(REPLACES, b"[]")))
    return replaced


def _replacing_name(names: Sequence[str]) -> str:
    """A name in the place of the last of *names*, always the same for the same ones, and for them only."""
    place = _REPLACING.sub("", names[-1]).removesuffix(".parquet")
    return f"{place}-c{hashlib.sha256(json.dumps(list(names)).encode()).hexdigest()[:16]}.parquet"


def _write(store: Store, names: Sequence[str], staged: Path, change: Change | None) -> int:
    """Write the rows of *names* to *staged*, read that back, and give their number."""
    with open_part(store, names[0]) as part:
        schema = part.schema_arrow.remove_metadata()
    footers: list[Mapping[bytes, bytes]] = []
    rows = 0
    with pq.ParquetWriter(
        staged, schema, compression="zstd", compression_level=3, write_page_index=True, write_page_checksum=True
    ) as writer:
        for table in _row_groups(_tables(store, names, footers, change)):
            writer.write_table(table, row_group_size=ROW_GROUP_ROWS)
            rows += len(table)
        writer.add_key_value_metadata(_footer(names, footers))
    with pq.ParquetFile(staged, page_checksum_verification=True) as part:
        found = sum(len(batch) for batch in part.iter_batches(batch_size=_BATCH_ROWS))
    if found != rows:
        raise CorruptError(f"{staged.name}: {found:,} rows where {rows:,} were written; nothing is replaced")
    return rows


def _tables(
    store: Store, names: Sequence[str], footers: list[Mapping[bytes, bytes]], change: Change | None
) -> Iterator[pa.Table]:
    """The rows of *names* in order, a row group at a time; *footers* gets what each part says about itself."""
    for name in names:
        with open_part(store, name) as part:
            footers.append(part.metadata.metadata or {})
            for group in range(part.num_row_groups):
                try:
                    table = part.read_row_group(group).replace_schema_metadata(None)
                except UNREADABLE as error:
                    raise CorruptError(f"{name} cannot be read: {error}") from error
                yield change(table) if change else table


def _row_groups(tables: Iterable[pa.Table]) -> Iterator[pa.Table]:
    """*tables* gathered to row groups of the usual size, at most."""
    waiting: list[pa.Table] = []
    rows = size = 0
    for table in tables:
        if waiting and (rows + len(table) > ROW_GROUP_ROWS or size + table.nbytes > ROW_GROUP_BYTES):
            yield pa.concat_tables(waiting)
            waiting, rows, size = [], 0, 0
        waiting.append(table)
        rows, size = rows + len(table), size + table.nbytes
    if rows:
        yield pa.concat_tables(waiting)


def _footer(names: Sequence[str], footers: Sequence[Mapping[bytes, bytes]]) -> dict[str, str]:
    """What the parts said about themselves, each word once; and which they are."""
    joined = {
        key.decode(): ",".join(
            dict.fromkeys(word for footer in footers for word in footer.get(key, b"").decode().split(",") if word)
        )
        for key in _JOINED
    }
    return {
        "mediascribe.schema": SCHEMA_VERSION,
        "mediascribe.writer": f"mediascribe {__version__}",
        **joined,
        REPLACES.decode(): json.dumps(list(names)),
    }
