"""A file of rows, whatever its format: its columns, and the cells of every row.

Rules of this file:

- Memory is bounded by one row (CSV, JSONL) or one batch of rows (Parquet), never by the file.
- A row that cannot be read is a `BadRow` in its place, so rows are counted as the file counts them.
- A file that cannot be read at all, or that breaks off, is a ConfigError.
"""

from __future__ import annotations

import csv
import difflib
import gzip
import re
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import IO, Any, Final, Literal, cast

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq

from mediascribe.errors import ConfigError

Format = Literal["csv", "jsonl", "parquet"]
Row = Sequence[Any]

_ENDINGS: Final[dict[str, Format]] = {
    ".csv": "csv",
    ".tsv": "csv",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".parquet": "parquet",
}
_PEEKED_ROWS: Final = 1000
_BATCH_ROWS: Final = 1024
_READ_BYTES: Final = 2**20
_LONGEST_CELL: Final = 64 * 2**20
_BAD_BYTE = re.compile("[\udc80-\udcff]")


@dataclass(frozen=True, slots=True)
class BadRow:
    """A row that cannot be read, and why."""

    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """A file of rows on this machine, and how to read it."""

    path: Path
    format: Format
    delimiter: str = ","
    gzipped: bool = False


def locate(path: str, told: Literal["auto", "csv", "jsonl", "parquet"] = "auto") -> Source:
    """The file at *path*, read as *told*; `auto` goes by its ending, `.gz` may stand behind that.

    Raises:
        ConfigError: there is no such file, or its ending says nothing.
    """
    file = Path(path)
    if not file.is_file():
        raise ConfigError(f"{path}: {'is a folder, not a file' if file.is_dir() else _absent(file)}")
    endings = [ending.lower() for ending in file.suffixes]
    gzipped = endings[-1:] == [".gz"]
    ending = "".join(endings[-2:-1] if gzipped else endings[-1:])
    chosen = _ENDINGS.get(ending) if told == "auto" else told
    if chosen is None:
        known = ", ".join(_ENDINGS)
        raise ConfigError(f"{path}: its ending tells no format; known: {known}; or set `format` in [manifest]")
    if gzipped and chosen == "parquet":
        raise ConfigError(f"{path}: Parquet inside gzip is not read; unpack it (Parquet is compressed in itself)")
    return Source(path=file, format=chosen, delimiter="\t" if ending == ".tsv" else ",", gzipped=gzipped)


def columns(source: Source) -> tuple[str, ...]:
    """The column names in file order; in JSONL, those of the first 1,000 rows.

    Raises:
        ConfigError: the file cannot be read, or does not have what its format promises.
    """
    with _readable(source):
        match source.format:
            case "csv":
                with _text(source) as stream:
                    return tuple(_header(source, csv.reader(stream, delimiter=source.delimiter, strict=True)))
            case "jsonl":
                return _jsonl_columns(source)
            case "parquet":
                return tuple(pq.read_schema(source.path).names)


def cells(source: Source, wanted: Sequence[str]) -> Iterator[Row | BadRow]:
    """Every row in file order: its cells of the columns *wanted*, in that order; an empty CSV cell is None.

    Raises:
        ConfigError: the file breaks off, or is no longer what it was when its columns were read.
    """
    reader = {"csv": _csv_cells, "jsonl": _jsonl_cells, "parquet": _parquet_cells}[source.format]
    with _readable(source):
        yield from reader(source, wanted)


def row_count(source: Source) -> int | None:
    """The number of rows where the file tells it (Parquet), else None."""
    if source.format != "parquet":
        return None
    with _readable(source):
        return pq.read_metadata(source.path).num_rows


def size_and_mtime_ns(source: Source) -> tuple[int, int]:
    """The file's size in bytes and its time of change."""
    with _readable(source):
        state = source.path.stat()
    return state.st_size, state.st_mtime_ns


def _absent(file: Path) -> str:
    if "://" in str(file) or ":/" in str(file):
        return "is no file on this machine; copy the manifest here first"
    names = sorted(other.name for other in file.parent.glob("*")) if file.parent.is_dir() else []
    nearest = difflib.get_close_matches(file.name, names, n=1)
    return "there is no such file" + (f"; in {file.parent} there is: {nearest[0]}" if nearest else "")


@contextmanager
def _readable(source: Source) -> Iterator[None]:
    try:
        yield
    except (OSError, EOFError, zlib.error, pa.ArrowException) as error:
        gz = ", gzip" if source.gzipped else ""
        raise ConfigError(f"{source.path}: cannot be read as {source.format}{gz}: {error}") from None


def _text(source: Source) -> IO[str]:
    """The text of a CSV file; a byte that is no UTF-8 becomes a lone surrogate, so that it spoils its row only."""
    opener = gzip.open if source.gzipped else open
    stream = opener(source.path, "rt", encoding="utf-8-sig", errors="surrogateescape", newline="")
    return cast("IO[str]", stream)


def _header(source: Source, reader: Iterator[list[str]]) -> list[str]:
    try:
        header = next((row for row in reader if row), None)
    except csv.Error as error:
        raise ConfigError(f"{source.path}: line 1 is no CSV header: {error}") from None
    if header is None:
        raise ConfigError(f"{source.path}: is empty; a CSV manifest begins with a line of column names")
    if _BAD_BYTE.search("".join(header)):
        raise ConfigError(f"{source.path}: line 1 is not UTF-8 text; save the file as UTF-8 CSV")
    return [name.strip() for name in header]


def _csv_cells(source: Source, wanted: Sequence[str]) -> Iterator[Row | BadRow]:
    # The limit is the process's own and 128 KiB at first, less than a data URL; so it is only ever raised, and a quote
    # that nobody closes still ends somewhere.
    csv.field_size_limit(max(csv.field_size_limit(), _LONGEST_CELL))
    with _text(source) as stream:
        reader = csv.reader(stream, delimiter=source.delimiter, strict=True)
        header = _header(source, reader)
        _require(source, header, wanted)
        at = [header.index(name) for name in wanted]
        line = reader.line_num + 1
        while (row := _next_csv_row(reader, line, len(header))) is not None:
            line = reader.line_num + 1
            if isinstance(row, BadRow):
                yield row
            elif row:  # a blank line is no row
                yield [row[index] or None for index in at]


def _next_csv_row(reader: Iterator[list[str]], line: int, width: int) -> list[str] | BadRow | None:
    """The next row, which begins in *line*; [] for a blank line, None at the end.

    Strict reading is on purpose: otherwise a quote that is never closed takes the rest of the file into one cell.
    """
    try:
        row = next(reader, None)
    except csv.Error as error:
        return BadRow(f"line {line} is no CSV ({error}); look at its quotes")
    if not row:
        return row
    if len(row) != width:
        return BadRow(f"line {line} has {len(row)} cells where the header has {width}")
    text = "".join(row)
    if not text.isascii() and _BAD_BYTE.search(text):
        return BadRow(f"line {line} is not UTF-8 text")
    return row


def _jsonl_columns(source: Source) -> tuple[str, ...]:
    names: dict[str, None] = {}
    seen = 0
    for row in islice(_jsonl_objects(source), _PEEKED_ROWS):
        seen += 1
        if isinstance(row, dict):
            names.update(dict.fromkeys(row))
    if not names:
        why = "none of its lines is a JSON object with members" if seen else "is empty"
        raise ConfigError(f"{source.path}: {why}; a JSONL manifest has one object a line")
    return tuple(names)


def _jsonl_cells(source: Source, wanted: Sequence[str]) -> Iterator[Row | BadRow]:
    for row in _jsonl_objects(source):
        yield [row.get(name) for name in wanted] if isinstance(row, dict) else row


def _jsonl_objects(source: Source) -> Iterator[dict[str, Any] | BadRow]:
    decode = msgspec.json.Decoder().decode
    opener = gzip.open if source.gzipped else open
    with cast("IO[bytes]", opener(source.path, "rb")) as stream:
        for number, line in enumerate(stream, 1):
            text = line.removeprefix(b"\xef\xbb\xbf").strip() if number == 1 else line.strip()
            if not text:
                continue
            try:
                row = decode(text)
            except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
                yield BadRow(f"line {number} is no JSON ({error})")
            else:
                yield row if isinstance(row, dict) else BadRow(f"line {number} is JSON, but no object")


def _parquet_cells(source: Source, wanted: Sequence[str]) -> Iterator[Row | BadRow]:
    with pq.ParquetFile(source.path, buffer_size=_READ_BYTES, pre_buffer=False) as file:
        _require(source, file.schema_arrow.names, wanted)
        for batch in file.iter_batches(batch_size=_BATCH_ROWS, columns=list(wanted)):
            arrays = [_as_utc_micros(batch.column(name)) for name in wanted]
            try:
                values = [array.to_pylist() for array in arrays]
            except (ValueError, OverflowError):
                yield from _one_by_one(arrays, wanted)
            else:
                yield from zip(*values, strict=True)


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


def _require(source: Source, header: Sequence[str], wanted: Sequence[str]) -> None:
    gone = [name for name in wanted if name not in header]
    if gone:
        raise ConfigError(f"{source.path}: column `{gone[0]}` is gone: the file was changed while it was in use")
