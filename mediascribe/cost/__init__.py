"""Cost: what a dataset's rows cost, by any of its columns; DuckDB in, pandas out.

Every row of `history` counts, since what an older one cost was paid as well. Money is summed as whole nano-dollars. A
cost that nobody knows is null, and counted in `unpriced_rows`; it is never 0.
"""

from __future__ import annotations

import collections.abc
from typing import TYPE_CHECKING

from mediascribe.cost.comparison import compare
from mediascribe.cost.frames import ordered
from mediascribe.cost.outliers import outliers
from mediascribe.cost.rows import ALL, DAY, MEASURES, MONEY, REPRICED, TOKENS, Rows
from mediascribe.cost.source import ANSWER_DAY
from mediascribe.cost.tables import Reprice, cost_table, cost_total

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    import pandas as pd

    from mediascribe.store import Store

__all__ = [
    "ALL",
    "ANSWER_DAY",
    "DAY",
    "MEASURES",
    "MONEY",
    "REPRICED",
    "TOKENS",
    "Reprice",
    "Rows",
    "compare",
    "cost_table",
    "cost_total",
    "ordered",
    "outliers",
    "table",
]


def table(
    output: str | Path | Store | Sequence[str | Path | Store], by: Sequence[str] = ("model",), *, rows: Rows = ALL
) -> pd.DataFrame:
    """What the results of *output*, or of several, cost *by* columns: `cost_table` as a person asks for it.

    One line for each combination, dearest first: the columns *by*, then `MEASURES`.

        mediascribe.cost.table("data/demo", by=["day", "model"])

    Raises:
        ConfigError: see `cost_table`.
        CorruptError: a part cannot be read.
    """
    if isinstance(output, str) or not isinstance(output, collections.abc.Sequence):
        output = [output]
    return cost_table(output, by=by, rows=rows)
