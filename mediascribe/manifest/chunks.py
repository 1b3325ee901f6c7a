"""Chunk: some rows of a file as they come, by columns where they are plain, else row by row."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

if TYPE_CHECKING:
    import pyarrow as pa

Row = Sequence[Any]
Array: TypeAlias = "pa.Array[Any]"
Column: TypeAlias = "pa.Array[Any] | list[Any]"


@dataclass(frozen=True, slots=True)
class BadRow:
    """A row that cannot be read, and why."""

    reason: str


@dataclass(frozen=True, slots=True)
class Columns:
    """Rows of which every one could be read, by the columns wanted.

    A column is an Arrow array of texts, whole numbers or truth values, else a list of Python's values. What `row` gives
    is the same either way.
    """

    rows: int
    cells: tuple[Column, ...]

    def row(self, place: int) -> Row:
        """The cells of the row at *place*."""
        return [column[place] if isinstance(column, list) else column[place].as_py() for column in self.cells]

    def each(self) -> list[Row | BadRow]:
        """Every row."""
        return list(
            zip(*(column if isinstance(column, list) else column.to_pylist() for column in self.cells), strict=True)
        )


Chunk = Columns | list[Row | BadRow]
