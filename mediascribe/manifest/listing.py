"""The items of a manifest, each checked: one by one, or as Arrow batches with further columns beside them."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

import msgspec
import pyarrow as pa

from mediascribe.manifest import batch, cells, rows, vector
from mediascribe.manifest.chunks import BadRow, Columns

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from mediascribe.domain import Failure, Item
    from mediascribe.job_sections import ColumnType
    from mediascribe.manifest.chunks import Chunk, Row
    from mediascribe.manifest.layout import Layout
    from mediascribe.manifest.sources import File, Source

EXTRA: Final = "cell_"
_TYPES: Final[Mapping[ColumnType, pa.DataType]] = {
    "string": pa.string(),
    "int64": pa.int64(),
    "float64": pa.float64(),
    "bool": pa.bool_(),
    "timestamp": pa.timestamp("us", "UTC"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Items:
    """Every item of a manifest in its order, with the problem that `check` finds where the row itself has none.

    Of two rows with the same kinds of media, all by URL, `check` must find the same; its messages may differ. `columns`
    are the names of all columns of the manifest.
    """

    source: Source
    layout: Layout
    columns: tuple[str, ...]
    check: Callable[[Item], Failure | None] = field(default=lambda _: None)

    def __iter__(self) -> Iterator[Item]:
        """One Item after the other; raises like `batches`."""
        first = 1
        begun: File | None = None
        for number, (file, row) in enumerate(rows.cells(self.source, self.layout.wanted), 1):
            if file != begun:
                begun, first = file, number
            yield self._checked(self.layout.item(number, row, self._where(file, number - first + 1)))

    def batches(self, extra: Sequence[str] = ()) -> Iterator[pa.RecordBatch]:
        """The same, as batches of `batch.ITEMS`, with the columns *extra* of the manifest as `cell_0`, `cell_1` ...

        Raises:
            ConfigError: a file breaks off, or was changed since it was opened.
        """
        wanted = tuple(dict.fromkeys((*self.layout.wanted, *extra)))
        types = {wanted.index(name): self.column_type(name) for name in extra}
        number, start, begun = 1, 1, None
        for file, chunk in rows.chunks(self.source, wanted):
            if file != begun:
                begun, start = file, number
            made = self._batch(file, chunk, number, number - start + 1)
            for place, kind in types.items():
                made = made.append_column(f"{EXTRA}{made.num_columns - len(batch.ITEMS)}", _extra(chunk, place, kind))
            number += made.num_rows
            yield made

    def column_type(self, name: str) -> pa.DataType:
        """The type of a column as it stands beside the items: as carried, as Parquet has it, else text."""
        for place, kind in self.layout.carried:
            if self.layout.wanted[place] == name:
                return _TYPES[kind]
        if schema := rows.parquet_schema(self.source):
            found = schema.field(name).type
            if pa.types.is_timestamp(found):
                return pa.timestamp("us", found.tz and "UTC")
            if pa.types.is_integer(found) or pa.types.is_floating(found) or pa.types.is_boolean(found):
                return found
        return pa.string()

    def fingerprint(self) -> str:
        """The state of the manifest's files; see `Manifest.fingerprint`."""
        return self.source.fingerprint()

    def _batch(self, file: File, chunk: Chunk, first: int, first_in_file: int) -> pa.RecordBatch:
        """The items of *chunk*, whose rows are numbered from *first*, in their file from *first_in_file*."""

        def made(place: int, row: Row | BadRow) -> Item:
            return self._checked(self.layout.item(first + place, row, self._where(file, first_in_file + place)))

        if isinstance(chunk, Columns):
            return vector.items(self.layout, chunk, first, lambda place: made(place, chunk.row(place)))
        return batch.from_items(made(place, row) for place, row in enumerate(chunk))

    def _where(self, file: File, number: int) -> str:
        """How a message names the row *number* of *file*."""
        return f"row {number}" if len(self.source.files) == 1 else f"{file.path.name}, row {number}"

    def _checked(self, item: Item) -> Item:
        problem = item.problem or self.check(item)
        return item if problem is item.problem else replace(item, problem=problem)


def _extra(chunk: Chunk, place: int, kind: pa.DataType) -> pa.Array[Any]:
    """A column of *chunk* in its type; a cell that has none of it is null."""
    if isinstance(chunk, Columns):
        column = chunk.cells[place]
        if isinstance(column, pa.Array):
            if column.type == kind:
                return column
            column = column.to_pylist()
    else:
        column = [None if isinstance(row, BadRow) else row[place] for row in chunk]
    return pa.array([_as(value, kind) for value in column], kind)


def _as(value: object, kind: pa.DataType) -> object:
    """*value* as a column of *kind* holds it, None where it cannot."""
    if value is None:
        return None
    try:
        if pa.types.is_timestamp(kind):
            moment = value if isinstance(value, datetime) else datetime.fromisoformat(cells.CONVERT["timestamp"](value))
            return moment if kind.tz or moment.tzinfo is None else moment.replace(tzinfo=None)
        if pa.types.is_string(kind):
            said = cells.json_value(value)
            return said if isinstance(said, str) else msgspec.json.encode(said).decode()
        if pa.types.is_boolean(kind):
            return cells.CONVERT["bool"](value)
        return cells.CONVERT["int64" if pa.types.is_integer(kind) else "float64"](value)
    except (ValueError, OverflowError):
        return None
