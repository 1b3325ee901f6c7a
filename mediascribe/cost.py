"""Cost: what a dataset's rows cost, by any of its columns; DuckDB in, pandas out.

Every row of `history` counts, since every one was paid for. Money is summed as whole nano-dollars. A cost that nobody
knows is null, and counted in `unpriced_rows`; it is never 0.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

import pyarrow as pa

from mediascribe.dataset import SCHEMA, parts, parts_schema, results_at, unknown_column
from mediascribe.domain import STATUSES
from mediascribe.errors import ConfigError, CorruptError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import pandas as pd

DAY: Final = "day"
TOKENS: Final = (
    "prompt_tokens",
    "prompt_text_tokens",
    "prompt_image_tokens",
    "prompt_audio_tokens",
    "prompt_video_tokens",
    "cached_tokens",
    "completion_tokens",
    "reasoning_tokens",
    "wasted_tokens",
)
MEASURES: Final = ("rows", *STATUSES, *TOKENS, "cost_usd", "usd_per_1000_rows", "unpriced_rows")
"""The columns of a cost table, after those that it is by.

`unpriced_rows` were answered, or report tokens, and have no cost; `usd_per_1000_rows` is over all others.
"""

_MONEY: Final = ("cost_usd", "usd_per_1000_rows")
_PARTS: Final = "read_parquet($files, union_by_name = true, hive_partitioning = false)"
_DAY_OF_RUN: Final = "strptime(left(run_id, 8), '%Y%m%d')"
# The moment is taken as microseconds since 1970, which have no time zone: casts from TIMESTAMPTZ follow the machine's.
_DAY_SQL: Final = f"strftime(coalesce(make_timestamp(epoch_us(completed_at)), {_DAY_OF_RUN}), '%Y-%m-%d')"
_UNPRICED: Final = "cost_usd is null and (usage_source <> 'missing' or status in ('ok', 'truncated', 'refused'))"
_SUMS: Final[Mapping[str, str]] = {
    "rows": "count(*)",
    **{status: f"count(*) filter (status = '{status}')" for status in STATUSES},
    **{name: f"sum({name})" for name in TOKENS},
    "unpriced_rows": f"count(*) filter ({_UNPRICED})",
    "nano_usd": "sum(cast(round(cost_usd * 1e9) as bigint))",
}


def cost_table(outputs: Sequence[str], *, by: Sequence[str]) -> pd.DataFrame:
    """What the rows of *outputs* cost, one row for each combination of the columns *by*, dearest first.

    *by* takes any column of the schema, any carried one, and `day`: the UTC date of the answer, or of the run where
    there is none. The columns are *by*, then `MEASURES`. Counts are int64; money is float64, null where unknown.

    Raises:
        ConfigError: an output has no results, or *by* names no column, or one that is itself summed.
        CorruptError: a part cannot be read. DuckDB checks no checksums: `dataset.verify` does.
    """
    files, columns = _sources(outputs)
    keys = list(dict.fromkeys(by))
    for key in keys:
        if key in MEASURES:
            raise ConfigError(f"a cost table cannot be by `{key}`, which it sums up or counts")
        if key not in columns:
            raise unknown_column(key, [name for name in columns if name not in MEASURES])
    return _frame(_summed(files, {key: columns[key] for key in keys}), keys)


def cost_total(frame: pd.DataFrame) -> dict[str, int | float | None]:
    """The sums of a cost table's rows, by the names of `MEASURES`."""
    nano_usd = [round(usd * 1e9) for usd in frame["cost_usd"].dropna()]
    cost_usd = sum(nano_usd) / 1e9 if nano_usd else None
    counts = {name: int(frame[name].sum()) for name in MEASURES if name not in _MONEY}
    priced = counts["rows"] - counts["unpriced_rows"]
    money = {"cost_usd": cost_usd, "usd_per_1000_rows": None if cost_usd is None else cost_usd * 1000 / priced}
    return {name: money[name] if name in _MONEY else counts[name] for name in MEASURES}


def _sources(outputs: Sequence[str]) -> tuple[list[str], dict[str, str]]:
    """The files of *outputs*, each output once; and what a table can be by, with the SQL that gives it."""
    stores = {store.root.resolve(): store for store in map(results_at, outputs)}
    files: list[str] = []
    columns = {DAY: _DAY_SQL}
    for store in stores.values():
        names = parts(store)
        files += [_no_pattern(str(store.path(name))) for name in names]
        columns |= {field.name: _key_sql(field) for field in parts_schema(store, names)}
    return files, columns


def _no_pattern(path: str) -> str:
    """*path* with what DuckDB would take for a pattern taken literally."""
    return re.sub(r"([*?\[])", r"[\1]", path)


def _key_sql(field: pa.Field[Any]) -> str:
    name = _quoted(field.name)
    return f"array_to_string({name}, ' ')" if pa.types.is_list(field.type) else name


def _summed(files: list[str], keys: Mapping[str, str]) -> pa.Table:
    """One row for each combination of *keys* (name and SQL), with counts and whole nano-dollars."""
    import duckdb  # noqa: PLC0415 - slow to import, for those who only want this module's names

    selected = [f"{sql} as {_quoted(key)}" for key, sql in keys.items()]
    selected += [f"cast({sql} as bigint) as {_quoted(name)}" for name, sql in _SUMS.items()]
    order = ["nano_usd desc nulls last", *(f"{_quoted(key)} nulls last" for key in keys)]
    query = (
        f"select {', '.join(selected)} from {_PARTS if files else 'no_parts'} "  # noqa: S608 - names are quoted
        f"group by all having count(*) > 0 order by {', '.join(order)}"
    )
    with duckdb.connect() as connection:
        connection.execute("set timezone = 'UTC'")
        connection.register("no_parts", SCHEMA.empty_table())
        try:
            table: pa.Table = connection.sql(query, params={"files": files} if files else None).to_arrow_table()
        except duckdb.Error as error:
            raise CorruptError(f"the parts cannot be summed up: {error}; `verify` names damaged parts") from error
    return table


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _frame(table: pa.Table, keys: list[str]) -> pd.DataFrame:
    """The cost table of *table*: keys that may be null stay whole numbers, nano-dollars become dollars."""
    import pandas as pd  # noqa: PLC0415 - slow to import, for those who only want this module's names

    whole: dict[pa.DataType, Any] = {
        pa.int64(): pd.Int64Dtype(),
        pa.int32(): pd.Int32Dtype(),
        pa.bool_(): pd.BooleanDtype(),
    }
    frame = table.select(keys).to_pandas(types_mapper=whole.get)
    counts = table.select([name for name in MEASURES if name not in _MONEY]).to_pandas()
    usd = [None if nano is None else nano / 1e9 for nano in table["nano_usd"].to_pylist()]
    counts["cost_usd"] = pd.Series(usd, dtype="float64")
    counts["usd_per_1000_rows"] = counts["cost_usd"] * 1000 / (counts["rows"] - counts["unpriced_rows"])
    return frame.join(counts[list(MEASURES)])
