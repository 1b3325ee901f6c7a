"""Rows of a Parquet file, a batch at a time."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pyarrow as pa
import pyarrow.parquet as pq

from mediascribe.manifest.chunks import BadRow, Chunk, Column, Columns, Row
from mediascribe.manifest.csv_rows import require
from mediascribe.manifest.sources import File, native

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_BATCH_ROWS: Final = 16_384
_FEWEST_ROWS: Final = 16
_BATCH_BYTES: Final = 64 * 2**20
_READ_BYTES: Final = 2**20
_FETCHED_BYTES: Final = 4 * 2**20  # each is a request


def columns(file: File) -> tuple[str, ...]:
    """The names of the columns."""
    return tuple(schema(file).names)


def schema(file: File) -> pa.Schema:
    """The columns with their types."""
    with native(file) as stream:
        return pq.read_schema(stream)


def chunks(file: File, wanted: Sequence[str], *, by_column: bool) -> Iterator[Chunk]:
    """Every row in file order: its cells of the columns *wanted*, in that order.

    Raises:
        ConfigError: the file lost a column.
    """
    at_once = _READ_BYTES if isinstance(file.path, Path) else _FETCHED_BYTES
    with native(file) as stream, pq.ParquetFile(stream, buffer_size=at_once, pre_buffer=False) as opened:
        require(file, opened.schema_arrow.names, wanted)
        for batch in opened.iter_batches(batch_size=_batch_rows(opened.metadata), columns=list(wanted)):
            arrays = [_as_utc_micros(batch.column(name)) for name in wanted]
            try:
                cells = tuple(_column(array) for array in arrays)
            except (ValueError, OverflowError):
                yield list(_one_by_one(arrays, wanted))
            else:
                read = Columns(batch.num_rows, cells)
                yield read if by_column else read.each()


def _batch_rows(metadata: pq.FileMetaData) -> int:
    """As many rows as fit into some megabytes: a cell may hold a whole picture."""
    sizes = [metadata.row_group(number) for number in range(metadata.num_row_groups)]
    widest = max((group.total_byte_size / max(group.num_rows, 1) for group in sizes), default=1.0)
    return max(_FEWEST_ROWS, min(_BATCH_ROWS, int(_BATCH_BYTES / max(widest, 1.0))))


def _column(array: pa.Array[Any]) -> Column:
    """*array*, its texts checked to be UTF-8, where Arrow can go on with it; else its values as Python's."""
    kind = array.type
    if pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind):
        array.validate(full=True)
        return array.cast(pa.string())
    if pa.types.is_integer(kind) or pa.types.is_boolean(kind):
        return array
    return array.to_pylist()


def _as_utc_micros(array: pa.Array[Any]) -> pa.Array[Any]:
    """Times in microseconds, for Python has no finer ones, and in UTC, for it may not know their zone."""
    if not pa.types.is_timestamp(array.type):
        return array
    zone = array.type.tz and "UTC"
    if array.type.unit == "ns":
        return array.cast(pa.timestamp("us", zone), safe=False)
    return array.cast(pa.timestamp(array.type.unit, zone))


def _one_by_one(arrays: list[pa.Array[Any]], wanted: Sequence[str]) -> Iterator[Row | BadRow]:
    """The rows of a batch in which a value has no Python form: a year beyond 9999, text that is not UTF-8."""
    for number in range(len(arrays[0])):
        row: list[Any] = []
        for name, array in zip(wanted, arrays, strict=True):
            try:
                row.append(array[number].as_py())
            except (ValueError, OverflowError) as error:
                yield BadRow(f"column `{name}` cannot be read ({error})")
                break
        else:
            yield row
