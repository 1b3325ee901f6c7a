"""Workspace: a DuckDB of its own on disk, so that a bill of any length is worked through in bounded memory."""

from __future__ import annotations

import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pyarrow as pa

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from duckdb import DuckDBPyConnection

_MEMORY: Final = "512MB"


@contextmanager
def workspace() -> Iterator[tuple[DuckDBPyConnection, Path]]:
    """An empty database, and the folder in which it lies; both are gone in the end."""
    import duckdb  # noqa: PLC0415 - slow to import, for those who only want this package's names

    with tempfile.TemporaryDirectory(prefix="mediascribe-") as folder:
        place = Path(folder)
        with duckdb.connect(str(place / "bill.duckdb")) as connection:
            connection.execute(f"set memory_limit = '{_MEMORY}'")
            connection.execute("set timezone = 'UTC'")
            yield connection, place


def insert(
    db: DuckDBPyConnection, table: str, columns: Mapping[str, str], rows: Sequence[Mapping[str, object]]
) -> None:
    """Make *table* of *rows*, whose *columns* have these types; whole numbers may be longer than 64 bits."""
    db.execute(f"create table {table} ({', '.join(f'{name} {kind}' for name, kind in columns.items())})")
    if rows:
        texts = {name: [None if row[name] is None else str(row[name]) for row in rows] for name in columns}
        db.register("incoming", pa.table({name: pa.array(values, pa.string()) for name, values in texts.items()}))
        db.execute(f"insert into {table} select * from incoming")  # noqa: S608 - a name of this package
        db.unregister("incoming")


def only(db: DuckDBPyConnection, query: str, *values: object) -> tuple[Any, ...] | None:
    """The first row of the answer to *query*; None where it has none."""
    # All are fetched: a connection that still holds an answer refuses other work.
    return next(iter(db.execute(query, list(values)).fetchall()), None)


def nano(amount: str, divisor: int) -> str:
    """The SQL of *amount*, of which *divisor* are a nano-dollar, in whole ones; it may be negative."""
    size = f"cast({amount} as hugeint)"
    return f"cast(sign({size}) as bigint) * {rounded(f'abs({size})', divisor)}"


def rounded(amount: str, divisor: int) -> str:
    """The SQL of *amount*, which is not negative and of which *divisor* are one, rounded half to even."""
    whole, rest = f"({amount} // {divisor})", f"({amount} % {divisor})"
    up = f"2 * {rest} > {divisor} or (2 * {rest} = {divisor} and {whole} % 2 = 1)"
    return f"cast({whole} + case when {up} then 1 else 0 end as bigint)"
