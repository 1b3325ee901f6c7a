"""The rows of a manifest, whatever its format: their columns, and their cells, in chunks or one by one.

Rules of this file:

- Memory is bounded by one chunk, never by a file.
- A row that cannot be read is a `BadRow` in its place, so rows are counted as the file counts them.
- A file that cannot be read at all, or that breaks off, is a ConfigError.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from mediascribe.manifest import csv_rows, jsonl_rows, parquet_rows
from mediascribe.manifest.chunks import Columns
from mediascribe.manifest.sources import File, Source, readable

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import pyarrow as pa

    from mediascribe.manifest.chunks import BadRow, Chunk, Row


def columns(source: Source) -> tuple[str, ...]:
    """The column names of the first file in its order; in JSONL, those of the first 1,000 rows.

    Raises:
        ConfigError: the file cannot be read, or does not have what its format promises.
    """
    first = source.files[0]
    with readable(first):
        match source.format:
            case "csv":
                return csv_rows.columns(first)
            case "jsonl":
                return jsonl_rows.columns(source.files)
            case "parquet":
                return parquet_rows.columns(first)


def chunks(source: Source, wanted: Sequence[str], *, by_column: bool = True) -> Iterator[tuple[File, Chunk]]:
    """All rows in order, each chunk with its file; with *by_column*, as Columns wherever a chunk is plain.

    Raises:
        ConfigError: a file breaks off, or is no longer what it was when its columns were read.
    """
    reader = {"csv": csv_rows.chunks, "jsonl": jsonl_rows.chunks, "parquet": parquet_rows.chunks}[source.format]
    for file in source.files:
        with readable(file):
            for chunk in reader(file, wanted, by_column=by_column):
                yield file, chunk


def cells(source: Source, wanted: Sequence[str]) -> Iterator[tuple[File, Row | BadRow]]:
    """Every row in order, with its file: its cells of the columns *wanted*, in that order; raises like `chunks`."""
    for file, chunk in chunks(source, wanted, by_column=False):
        rows = chunk.each() if isinstance(chunk, Columns) else chunk
        yield from ((file, row) for row in rows)


def parquet_schema(source: Source) -> pa.Schema | None:
    """The types of the columns where the first file tells them (Parquet), else None."""
    if source.format != "parquet":
        return None
    with readable(source.files[0]):
        return parquet_rows.schema(source.files[0])
