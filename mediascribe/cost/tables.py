"""Cost tables: what rows cost, by any of their columns; what the same usage would have cost at other prices."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from mediascribe.cost import frames, money
from mediascribe.cost.rows import ALL, ANSWERED, MEASURES, MONEY, REPRICED, SHARED, TOKENS, quoted
from mediascribe.cost.source import ANSWER_DAY, ROWS, opened
from mediascribe.domain import STATUSES
from mediascribe.errors import ConfigError
from mediascribe.pricing import of_record

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import date
    from pathlib import Path

    import pandas as pd

    from mediascribe.cost.money import Branch
    from mediascribe.cost.rows import Rows
    from mediascribe.cost.source import Source
    from mediascribe.pricing import Price, PriceBook
    from mediascribe.store import Store

_LOST: Final = "status in ('failed', 'truncated')"  # their whole cost bought nothing


@dataclass(frozen=True, slots=True, kw_only=True)
class Reprice:
    """Other prices for the same usage: those of *book*, for *model* (None: each row's own).

    They are those of the day *on* (None: of each row's own day); *batch* takes what requests in a batch pay.
    """

    book: PriceBook
    model: str | None = None
    on: date | None = None
    batch: bool = False

    def price(self, model: str, day: date) -> Price | None:
        """The price for a row of *model* that was answered on *day*; None where there is none."""
        price = self.book.price_of(self.model or model, self.on or day)
        return price.batched() if price and self.batch else price


def cost_table(
    outputs: Sequence[str | Path | Store],
    *,
    by: Sequence[str],
    rows: Rows = ALL,
    reprice: Reprice | None = None,
    prices: PriceBook | None = None,
) -> pd.DataFrame:
    """What *rows* of *outputs* cost, one line for each combination of the columns *by*, dearest first.

    *by* takes any column of the schema, any carried one, and `day`: the UTC date of the answer, or of the run where
    there is none. The columns are *by*, then `MEASURES`, then, with *reprice*, `REPRICED`. Counts are int64; money is
    float64, null where unknown. *prices* is the book in which the rows' price versions are looked up; None: those of
    the folder `configs`.

    Raises:
        ConfigError: an output has no results, *by* names no column, or one that is itself summed; *rows* are chosen by
            what is no condition, or nobody lists the price that *reprice* asks for.
        CorruptError: a part cannot be read. DuckDB checks no checksums: `dataset.verify` does.
    """
    with opened(outputs, rows, by) as source:
        keys = {key: source.key(key) for key in dict.fromkeys(by)}
        recorded = money.as_recorded(source, prices or of_record(), keys)
        table = source.ask(_query(keys, recorded, _other_prices(source, reprice) if reprice else None))
    return frames.frame(table, list(keys), (*MEASURES, *REPRICED) if reprice else MEASURES)


def cost_total(frame: pd.DataFrame) -> dict[str, int | float | None]:
    """The sums of a cost table's lines, by the names of its measures."""
    measures = [name for name in (*MEASURES, *REPRICED) if name in frame.columns]
    total: dict[str, int | float | None] = {}
    for name in measures:
        if name in MONEY:
            nano_usd = [round(usd * 1e9) for usd in frame[name].dropna()]
            total[name] = sum(nano_usd) / 1e9 if nano_usd else None
        else:
            total[name] = int(frame[name].sum())
    priced, cost_usd = (total["rows"] or 0) - (total["unpriced_rows"] or 0), total["cost_usd"]
    total["usd_per_1000_rows"] = None if cost_usd is None else cost_usd * 1000 / priced
    return total


_WASTEFUL: Final = f"wasted_tokens > 0 and not {_LOST}"
_COUNTS: Final[Mapping[str, str]] = {
    "rows": "count(*)",
    **{name: f"coalesce(sum({name}), 0)" for name in TOKENS},
    "shared_rows": f"count(*) filter {SHARED}",
    "unpriced_rows": f"count(*) filter (cost_usd is null and {ANSWERED})",
    "cost_nano": f"sum({money.NANO_USD})",
    "shared_nano": f"sum({money.SAVED_NANO_USD}) filter {SHARED}",
    "wasted_nano": f"sum({money.NANO_USD}) filter ({_LOST})",
}
_SPLITS: Final[Mapping[str, str]] = {
    "unsplit_rows": "count(*) filter (cost_usd is not null"
    f" and ({_WASTEFUL} and kept__ is null or cached_tokens > 0 and in_full__ is null))",
    "wasted_nano": f"sum({money.NANO_USD} - kept__) filter ({_WASTEFUL})",
    "saving_nano": "sum(in_full__ - kept__) filter (cost_usd is not null)",
}
_OTHER_COUNTS: Final[Mapping[str, str]] = {
    "repriced_nano": "sum(other__)",
    "change_nano": f"sum(other__ - {money.NANO_USD}) filter (wasted_tokens = 0)",
    "unrepriced_rows": f"count(*) filter ({ANSWERED} and not {SHARED} and other__ is null)",
}
_OTHER_SPLITS: Final[Mapping[str, str]] = {"change_nano": "sum(other__ - kept__) filter (wasted_tokens > 0)"}


def _other_prices(source: Source, reprice: Reprice) -> list[Branch]:
    """What *reprice* asks for, by the rows' models and days."""
    branches = money.by_day(source, reprice.price, any_model=reprice.model is not None)
    if reprice.model and not branches:
        said = f"`{reprice.model}`" + (f" on {reprice.on}" if reprice.on else "")
        kind = "batch price" if reprice.batch else "price"
        raise ConfigError(f"nobody lists a {kind} of {said}: add a [[price]], or name a model that has one")
    return branches


def _query(keys: Mapping[str, str], recorded: Sequence[Branch] | None, other: Sequence[Branch] | None) -> str:
    """One line for each combination of *keys*, with the sums of rows by the prices *recorded*, and by *other* ones.

    Rows are summed by status first, which is cheap, and then together. Rows with something to split, which are few, are
    looked at once more: prices are dear to work out beside rows that need none.
    """
    counts, splits = {**_COUNTS}, {**_SPLITS}
    priced = {} if other is None else {"other__": money.cost_sql(other)}
    if other is not None:
        counts |= _OTHER_COUNTS
        splits |= _OTHER_SPLITS
    halves = [_summed(keys, counts, priced, ROWS)]
    if recorded is not None:
        priced |= {
            "kept__": f"case when wasted_tokens > 0 then {money.cost_sql(recorded)} else {money.NANO_USD} end",
            "in_full__": f"case when cached_tokens > 0 then {money.cost_sql(recorded, cached='0')} end",
        }
        halves.append(_summed(keys, splits, priced, money.SPLIT_ROWS))
    nothing = ", ".join(f"null as {name}__" for name in splits if name not in counts)
    outer = [
        *(_shown(key, sql) for key, sql in keys.items()),
        *(f"cast({_together(name)} as bigint) as {quoted(name)}" for name in {**counts, **splits}),
        *(f"cast(coalesce(sum(rows__) filter (status__ = '{one}'), 0) as bigint) as {quoted(one)}" for one in STATUSES),
    ]
    order = ["cost_nano desc nulls last", *(f"{quoted(key)} nulls last" for key in keys)]
    both = " union all by name ".join([f"select *, {nothing} from ({halves[0]})", *halves[1:]])  # noqa: S608 - likewise
    return (
        f"select {', '.join(outer)} from ({both})"  # noqa: S608 - names are quoted
        f" group by all having sum(rows__) > 0 order by {', '.join(order)}"
    )


def _summed(keys: Mapping[str, str], sums: Mapping[str, str], priced: Mapping[str, str], rows: str) -> str:
    """The *sums* of the table *rows* by *keys* and status, in terms of what is *priced* for each row."""
    columns = [f"{sql} as {quoted(key)}" for key, sql in keys.items()]
    columns += ["status as status__", *(f"{sql} as {name}__" for name, sql in sums.items())]
    amounts = "".join(f", {sql} as {name}" for name, sql in priced.items())
    return f"select {', '.join(columns)} from (select *{amounts} from {rows}) group by all"  # noqa: S608 - quoted


def _together(name: str) -> str:
    """The sum of *name* over both halves: a count of nothing is 0, money of nothing unknown."""
    return f"sum({name}__)" if name.endswith("_nano") else f"coalesce(sum({name}__), 0)"


def _shown(key: str, sql: str) -> str:
    """A key as the table has it: a day is written out for each line, not for each row."""
    return f"strftime({quoted(key)}, '%Y-%m-%d') as {quoted(key)}" if sql == ANSWER_DAY else quoted(key)
