"""Frames: what DuckDB answers as pandas, with whole numbers whole and nano-dollars as dollars."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import pyarrow as pa

from mediascribe.cost.rows import MONEY
from mediascribe.dataset import unknown_column

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pandas as pd

_NANO: Final = {
    "cost_usd": "cost_nano",
    "wasted_usd": "wasted_nano",
    "cached_saving_usd": "saving_nano",
    "shared_saving_usd": "shared_nano",
    "repriced_usd": "repriced_nano",
    "change_usd": "change_nano",
}
_NOTHING_IS_NONE: Final = ("wasted_usd", "cached_saving_usd")  # where rows have a cost, and none of it is this


def frame(table: pa.Table, keys: Sequence[str], measures: Sequence[str]) -> pd.DataFrame:
    """The cost table of *table*: keys that may be null stay whole numbers, nano-dollars become dollars."""
    import pandas as pd  # noqa: PLC0415 - slow to import, for those who only want this package's names

    columns = typed(table.select(list(keys)))
    counts = table.select([name for name in measures if name not in MONEY]).to_pandas()
    for name, nano in _NANO.items():
        if name in measures:
            usd = [None if amount is None else amount / 1e9 for amount in table[nano].to_pylist()]
            counts[name] = pd.Series(usd, dtype="float64")
    for name in _NOTHING_IS_NONE:
        counts[name] = counts[name].fillna(0.0).where(counts["cost_usd"].notna())
    counts["shared_saving_usd"] = counts["shared_saving_usd"].mask(counts["shared_rows"] == 0, 0.0)
    counts["usd_per_1000_rows"] = counts["cost_usd"] * 1000 / (counts["rows"] - counts["unpriced_rows"])
    return columns.join(counts[list(measures)])


def typed(table: pa.Table) -> pd.DataFrame:
    """*table* as pandas, whole numbers and truths that may be null as what they are."""
    import pandas as pd  # noqa: PLC0415 - slow to import, for those who only want this package's names

    whole: dict[pa.DataType, Any] = {
        pa.int64(): pd.Int64Dtype(),
        pa.int32(): pd.Int32Dtype(),
        pa.bool_(): pd.BooleanDtype(),
    }
    return table.to_pandas(types_mapper=whole.get)


def ordered(table: pd.DataFrame, sort: str | None, limit: int | None) -> pd.DataFrame:
    """The first *limit* lines of *table* by its column *sort*: numbers largest first, words in their order.

    Raises:
        ConfigError: it has no such column.
    """
    import pandas as pd  # noqa: PLC0415 - slow to import, for those who only want this package's names

    if sort is not None:
        if sort not in table.columns:
            raise unknown_column(sort, [str(name) for name in table.columns])
        words = not pd.api.types.is_numeric_dtype(table[sort])
        table = table.sort_values(sort, ascending=words, kind="stable", na_position="last").reset_index(drop=True)
    return table if limit is None else table.head(limit)
