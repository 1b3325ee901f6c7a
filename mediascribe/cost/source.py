"""Source: the rows of a question as one view in DuckDB, with nothing else within its reach.

Local parts are read where they lie, and only those that can have such days: a part lies in the folder of the day on
which its run began, and no answer comes before that. Parts in a bucket are read into a table of the connection first.
"""

from __future__ import annotations

import re
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from mediascribe.cost.rows import DAY, MEASURES, quoted, text
from mediascribe.cost.where import condition
from mediascribe.dataset import SCHEMA, parts, results_at, unknown_column
from mediascribe.errors import ConfigError, CorruptError
from mediascribe.part import parts_schema, scanned
from mediascribe.store import LocalStore

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    import pyarrow as pa
    from duckdb import DuckDBPyConnection

    from mediascribe.cost.rows import Rows
    from mediascribe.store import Store

ROWS: Final = "chosen_rows"
ANSWER_DAY: Final = "answer_day__"
"""The UTC date of the answer, or of the run where there is none, as a column that a table can always be by; `day` is
the same unless the job carries a `day`."""

_LONG: Final = frozenset({"description", "answer_json", "reasoning", "error_message", "usage_json"})
# The moment is taken as microseconds since 1970, which have no time zone: casts from TIMESTAMPTZ follow the machine's.
_DAY_SQL: Final = (
    "coalesce(make_date(cast(epoch_us(completed_at) // 86400000000 as integer)),"
    " cast(strptime(left(run_id, 8), '%Y%m%d') as date))"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """The rows of a question. `columns` are those that there are, with the SQL of their value in a table."""

    connection: DuckDBPyConnection
    columns: Mapping[str, str]
    rows: Rows

    def key(self, name: str) -> str:
        """The SQL of the column *name*, which a table can be by.

        Raises:
            ConfigError: there is no such column, or it is one that is summed.
        """
        if name == ANSWER_DAY:
            return ANSWER_DAY
        if name in MEASURES:
            raise ConfigError(f"a cost table cannot be by `{name}`, which it sums up or counts")
        if name not in self.columns:
            raise unknown_column(name, [column for column in self.columns if column not in MEASURES])
        return self.columns[name]

    def ask(self, query: str) -> pa.Table:
        """The answer to *query*, which is about the view `ROWS`.

        Raises:
            ConfigError: the condition fails at the value of a row.
            CorruptError: a part cannot be read. DuckDB checks no checksums: `dataset.verify` does.
        """
        import duckdb  # noqa: PLC0415 - slow to import, for those who only want this package's names

        try:
            answer: pa.Table = self.connection.sql(query).to_arrow_table()
        except duckdb.DataError as error:
            if self.rows.where is None:
                raise _unreadable(error) from error
            raise ConfigError(f"where `{self.rows.where}`: {error}") from None
        except duckdb.Error as error:
            raise _unreadable(error) from error
        return answer


@contextmanager
def opened(outputs: Sequence[str | Path | Store], rows: Rows, keys: Sequence[str] = ()) -> Iterator[Source]:
    """*rows* of *outputs*, each output once. Of long texts only those are there that *keys* or the condition name.

    Raises:
        ConfigError: an output has no results, or *rows* are chosen by what is no condition.
        CorruptError: a part cannot be read.
    """
    import duckdb  # noqa: PLC0415 - slow to import, for those who only want this package's names

    stores = {_place(store): store for store in map(results_at, outputs)}
    with duckdb.connect() as connection:
        connection.execute("set timezone = 'UTC'")
        connection.execute("set parquet_metadata_cache = true")  # footers are needed by every query
        try:
            _read(connection, list(stores.values()), rows, keys)
            found = connection.execute("describe all_rows").fetchall()
        except duckdb.Error as error:
            raise _unreadable(error) from error
        columns = {name: _key_sql(name, kind) for name, kind, *_ in found}
        del columns[ANSWER_DAY]
        own_day = {} if DAY in columns else {DAY: ANSWER_DAY}
        source = Source(connection=connection, columns=own_day | columns, rows=rows)
        _choose(source, own_day=bool(own_day))
        yield source


def _place(store: Store) -> str:
    return str(store.root.resolve()) if isinstance(store, LocalStore) else store.address


def _read(connection: DuckDBPyConnection, stores: Sequence[Store], rows: Rows, keys: Sequence[str]) -> None:
    """Make the view `all_rows` of *stores*: every part that can have rows of the days of *rows*."""
    connection.register("no_parts", SCHEMA.empty_table())  # for the columns that older parts lack
    selected, files = ["from no_parts"], list[str]()
    for number, store in enumerate(stores):
        if isinstance(store, LocalStore):
            early, others = _in_time(store, rows)
            files += [*early, *others]
            if early:
                selected.append(f"{_scan(early)} where completed_at >= timestamptz '{rows.since} 00:00:00+00'")
            selected += [_scan(others)] if others else []
        else:
            selected.append(_copied(connection, store, f"bucket_{number}", (*keys, rows.where or "")))
    _lock(connection, files)
    together = " union all by name ".join(f"({one})" for one in selected)
    connection.execute(f"create view all_rows as select *, {_DAY_SQL} as {ANSWER_DAY} from ({together})")  # noqa: S608 - quoted


def _lock(connection: DuckDBPyConnection, files: Sequence[str]) -> None:
    """Keep *connection* from opening anything but *files* from now on."""
    # A path with a pattern's characters is asked for as it is written, and as it is escaped.
    allowed = ", ".join(text(path) for path in {name for path in files for name in (path, _no_pattern(path))})
    connection.execute(f"set allowed_paths = [{allowed}]")
    connection.execute("set enable_external_access = false")
    connection.execute("set lock_configuration = true")


def _copied(connection: DuckDBPyConnection, store: Store, table: str, wanted: Sequence[str]) -> str:
    """The parts of *store*, which DuckDB cannot reach by itself, copied into *table* of the connection."""
    names = parts(store)
    there = parts_schema(store, names).names
    columns = [name for name in there if name not in _LONG or any(name in words for words in wanted)]
    with scanned(store, names, columns) as batches:
        connection.register("scanned_parts", batches)
        connection.execute(f"create table {table} as from scanned_parts")
        connection.unregister("scanned_parts")
    return f"from {table}"


def _in_time(store: LocalStore, rows: Rows) -> tuple[list[str], list[str]]:
    """The files of *store* whose run began before the days of *rows*, and during them; those of later runs are not.

    Where there would be none, there is one, for its columns.
    """
    names = parts(store)
    begun = {name: found[1] if (found := re.search(r"date=(\d{4}-\d\d-\d\d)/", name)) else None for name in names}
    until, since = (None if day is None else str(day) for day in (rows.until, rows.since))
    kept = [name for name in names if not (until and (day := begun[name]) and day > until)] or names[-1:]
    early = [name for name in kept if since and (day := begun[name]) and day < since]
    others = [name for name in kept if name not in set(early)]
    return [str(store.path(name)) for name in early], [str(store.path(name)) for name in others]


def _scan(paths: Sequence[str]) -> str:
    listed = ", ".join(text(_no_pattern(path)) for path in paths)
    return f"from read_parquet([{listed}], union_by_name = true, hive_partitioning = false)"


def _no_pattern(path: str) -> str:
    """*path* with what DuckDB would take for a pattern taken literally."""
    return re.sub(r"([*?\[])", r"[\1]", path)


def _choose(source: Source, *, own_day: bool) -> None:
    """Make the view `ROWS` of those rows that the question is about."""
    import duckdb  # noqa: PLC0415 - slow to import, for those who only want this package's names

    rows, wanted = source.rows, []
    if rows.since:
        wanted.append(f"{ANSWER_DAY} >= date '{rows.since}'")
    if rows.until:
        wanted.append(f"{ANSWER_DAY} <= date '{rows.until}'")
    if rows.where is not None:
        wanted.append(condition(rows.where, source.columns, source.connection))
    day = f", {ANSWER_DAY} as {DAY}" if own_day else ""
    chosen = f"select * from (select *{day} from all_rows) where ({') and ('.join(wanted) or 'true'})"  # noqa: S608 - checked
    try:
        source.connection.execute(f"create view {ROWS} as {chosen}")
    except duckdb.Error as error:
        raise ConfigError(f"where `{rows.where}`: {error}") from None


def _key_sql(name: str, kind: str) -> str:
    return f"array_to_string({quoted(name)}, ' ')" if kind.endswith("[]") else quoted(name)


def _unreadable(error: Exception) -> CorruptError:
    return CorruptError(f"the parts cannot be summed up: {error}; `verify` names damaged parts")
