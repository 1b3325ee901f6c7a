"""Money: a price as SQL that gives each row's cost, to the nano-dollar what `Price.nano_usd` gives."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from mediascribe.cost.rows import SHARED, quoted, text
from mediascribe.cost.source import ANSWER_DAY, ROWS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from datetime import date

    from mediascribe.cost.source import Source
    from mediascribe.pricing import Price, PriceBook

UNKNOWN: Final = "cast(null as hugeint)"
NANO_USD: Final = "cast(round(cost_usd * 1e9) as bigint)"
SAVED_NANO_USD: Final = "cast(round(saved_usd * 1e9) as bigint)"
SPLIT_ROWS: Final = "split_rows"
"""The rows whose cost is not that of the kept answer at full rates alone."""
_SPLIT: Final = "cached_tokens > 0 or wasted_tokens > 0"
_PRICED_BY: Final = (
    "model",
    "price_version",
    "status",
    "cost_usd",
    "usage_source",
    "flags",
    ANSWER_DAY,
    "prompt_tokens",
    "prompt_audio_tokens",
    "prompt_image_tokens",
    "cached_tokens",
    "cache_write_tokens",
    "completion_tokens",
    "completion_audio_tokens",
    "wasted_tokens",
)
BY_FALLBACK: Final = "coalesce(list_contains(flags, 'fallback'), false)"

_SOUND, _PICTURES = "prompt_audio_tokens", "prompt_image_tokens"
_PLAIN: Final = f"(prompt_tokens - {_SOUND} - {_PICTURES})"


@dataclass(frozen=True, slots=True, kw_only=True)
class Branch:
    """A price, and the SQL of the rows that it is for."""

    rows: str
    price: Price


def cost_sql(branches: Iterable[Branch], *, cached: str = "cached_tokens") -> str:
    """The nano-dollars of a row's kept answer by the first of *branches* that is for it; null where none is.

    *cached* is the SQL of how many tokens the cache served. A row that has the answer of another costs nothing.
    """
    cases = " ".join(f"when {one.rows} then {_nano_usd(one.price, cached)}" for one in branches)
    return f"case when usage_source = 'missing' then null when {SHARED} then 0 {cases} end" if cases else UNKNOWN


def as_recorded(source: Source, book: PriceBook, keys: Mapping[str, str]) -> list[Branch] | None:
    """The prices that rows with something to split name, as *book* knows them; None where there are no such rows.

    Makes the table `SPLIT_ROWS` of those rows, with what their prices and *keys* need: they are few, and read but once.
    A row that a fallback model answered names the price of that model, and not the model: it has none here.
    """
    own = [quoted(name) for name in _PRICED_BY]
    columns = dict.fromkeys([*own, *(quoted(key) for key, sql in keys.items() if sql != ANSWER_DAY)])
    source.ask(f"create temp table {SPLIT_ROWS} as select {', '.join(columns)} from {ROWS} where {_SPLIT}")  # noqa: S608 - quoted
    found = source.ask(
        f"select model, price_version, max({ANSWER_DAY}) as last from {SPLIT_ROWS} group by all"  # noqa: S608 - no outside words
    )
    branches = []
    for row in found.to_pylist():
        price = row["price_version"] and book.recorded(row["model"], row["price_version"], row["last"])
        if price:
            named = f"model = {text(row['model'])} and price_version = {text(row['price_version'])}"
            branches.append(Branch(rows=f"{named} and not {BY_FALLBACK}", price=price))
    return branches if found.num_rows else None


def by_day(source: Source, price_on: Callable[[str, date], Price | None], *, any_model: bool) -> list[Branch]:
    """The prices that *price_on* gives for the rows' models and days; with *any_model* the model is no matter."""
    model = "null" if any_model else "model"
    found = source.ask(f"select distinct {model} as model, {ANSWER_DAY} as answered from {ROWS} order by all")  # noqa: S608 - likewise
    branches = []
    for name, days in itertools.groupby(found.to_pylist(), key=lambda row: row["model"]):
        for price, held in itertools.groupby([row["answered"] for row in days], key=lambda on: price_on(name, on)):
            if price:
                branches.append(Branch(rows=_rows(name, list(held)), price=price))
    return branches


def _rows(model: str | None, days: Sequence[date]) -> str:
    between = f"{ANSWER_DAY} between date '{days[0]}' and date '{days[-1]}'"
    return between if model is None else f"model = {text(model)} and {between} and not {BY_FALLBACK}"


def _nano_usd(price: Price, cached: str) -> str:
    """The SQL of `Price.nano_usd`."""
    divisor, per_call, tiers = price.exact
    *longer, (_, base) = ((start, _amount(rates, per_call, cached)) for start, rates in tiers)
    amount = base
    if longer:
        cases = " ".join(f"when prompt_tokens > {start} then {sql}" for start, sql in longer)
        amount = f"(case {cases} else {base} end)"
    return amount if divisor == 1 else _rounded(amount, divisor)


def _amount(rates: Sequence[int], per_call: int, cached: str) -> str:
    """The sum of every token at its rate: the steps of `Price.nano_usd`, in its order."""
    taken = f"({cached} + cache_write_tokens)"
    rest = f"greatest({taken} - {_PLAIN}, 0)"
    later_rest = f"greatest({rest} - {_PICTURES}, 0)"
    cached_sound = f"greatest({cached} - (prompt_tokens - {_SOUND}), 0)"
    counts = (
        f"greatest({_PLAIN} - {taken}, 0)",
        f"greatest({_PICTURES} - {rest}, 0)",
        f"greatest({_SOUND} - {later_rest}, 0)",
        f"({cached} - {cached_sound})",
        cached_sound,
        "cache_write_tokens",
        "(completion_tokens - completion_audio_tokens)",
        "completion_audio_tokens",
    )
    charges = [f"cast({count} as hugeint) * {rate}" for count, rate in zip(counts, rates, strict=True) if rate]
    return f"({' + '.join([f'cast({per_call} as hugeint)', *charges])})"


def _rounded(amount: str, divisor: int) -> str:
    """*amount* of which *divisor* are one, rounded half to even."""
    size = f"abs({amount})"
    whole, rest = f"({size} // {divisor})", f"({size} % {divisor})"
    up = f"2 * {rest} > {divisor} or (2 * {rest} = {divisor} and {whole} % 2 = 1)"
    return f"(sign({amount}) * ({whole} + case when {up} then 1 else 0 end))"
