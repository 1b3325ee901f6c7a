"""Ours: the rows of an output as requests that a bill may name, with what each is known to have cost and why."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from mediascribe.cost.money import BY_FALLBACK, NANO_USD
from mediascribe.cost.reconciliation.terms import SCALE, price_rates
from mediascribe.cost.reconciliation.workspace import insert, rounded
from mediascribe.cost.rows import ANSWERED, SHARED
from mediascribe.cost.source import ANSWER_DAY, ROWS
from mediascribe.pricing import KINDS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from duckdb import DuckDBPyConnection

    from mediascribe.cost.source import Source
    from mediascribe.pricing import PriceBook

COUNTS: Final = ("n_in", "n_image", "n_audio", "n_cached", "n_cached_audio", "n_write", "n_out", "n_spoken")
"""How many tokens of a row pay each of the rates of a price, in their order: the steps of `Price.nano_usd`."""
OWN: Final = tuple(f"o_{kind}" for kind in KINDS)

# Where an answer reported no tokens, all that the row cost is that of its other attempts. What the pieces of a row cost
# apart from wasted attempts is known once they have their lines (`pieces.split`).
_KEPT: Final = (
    "case when counted then case when wasted > 0 and answers = 1 then coalesce(least(listed, nano), nano)"
    " else nano end end"
)
# Not where a prompt may be of a higher tier, another model or another day, nor where the number of calls is not known.
_SURE: Final = (
    "coalesce(start = -1 and not fell_back and (o_call = 0 or attempts = answers)"
    " and from_us // 86400000000 = until_us // 86400000000, false)"
)
_BATCH_ROWS: Final = 100_000
_SOUND, _PICTURES = "prompt_audio_tokens", "prompt_image_tokens"
_PLAIN: Final = f"(prompt_tokens - {_SOUND} - {_PICTURES})"
_TAKEN: Final = "(cached_tokens + cache_write_tokens)"
_REST: Final = f"greatest({_TAKEN} - {_PLAIN}, 0)"
_CACHED_SOUND: Final = f"greatest(cached_tokens - (prompt_tokens - {_SOUND}), 0)"
_COUNTED: Final = (
    f"case when {_TAKEN} > 0 or {_PLAIN} < 0 then greatest({_PLAIN} - {_TAKEN}, 0) else {_PLAIN} end",
    f"greatest({_PICTURES} - {_REST}, 0)",
    f"greatest({_SOUND} - greatest({_REST} - {_PICTURES}, 0), 0)",
    f"(cached_tokens - {_CACHED_SOUND})",
    _CACHED_SOUND,
    "cache_write_tokens",
    "(completion_tokens - completion_audio_tokens)",
    "completion_audio_tokens",
)
_SELECTED: Final[Mapping[str, str]] = {
    "number": "row_number() over ()",
    "item_id": "item_id",
    "run_id": "run_id",
    "day": ANSWER_DAY,
    "model": "model",
    "by_model": f"case when {BY_FALLBACK} then coalesce(model_returned, model) else model end",
    "request_id": "gateway_request_id",
    "answers": "coalesce(len(string_split(gateway_request_id, ' ')), 1)",
    "fell_back": BY_FALLBACK,
    "prompt": "prompt_tokens",
    "completion": "completion_tokens",
    "counted": "usage_source <> 'missing'",
    "expected": ANSWERED,
    "attempts": "attempts",
    "wasted": "wasted_tokens",
    "nano": NANO_USD,
    "price_version": "price_version",
    "from_us": "epoch_us(coalesce(requested_at, completed_at))",
    "until_us": "epoch_us(completed_at)",
    **dict(zip(COUNTS, _COUNTED, strict=True)),
}


def load(db: DuckDBPyConnection, source: Source, book: PriceBook) -> None:
    """Make the table `ours` in *db*: the rows of *source* that sent anything, with their prices from *book*.

    Rows that have the answer of another sent nothing, and no bill has a line for them.

    `kept` is what the answer that was kept cost in nano-dollars, `share` what the row's other attempts did; `misfit` is
    how far `nano` lies from `listed`, which is what the price that it names makes of its tokens. `answers` is
    how many the row is known to have the sum of: two or more where it was asked in pieces. `sure` says that the price
    of each can be told from their sum.
    """
    chosen = ", ".join(f"{sql} as {name}" for name, sql in _SELECTED.items())
    asked = f"select {chosen} from {ROWS} where attempts > 0 and not {SHARED}"  # noqa: S608 - constants
    db.register("incoming", source.connection.sql(asked).to_arrow_reader(_BATCH_ROWS))
    db.execute("create table sent as from incoming")
    db.unregister("incoming")
    _prices(db, book)
    _price(db)


def _prices(db: DuckDBPyConnection, book: PriceBook) -> None:
    """Make the table `prices` of those that the rows name, as *book* knows them; one line for each tier."""
    named = db.execute(
        "select by_model, price_version, max(day) from sent where price_version is not null group by all order by all"
    ).fetchall()
    rows: list[Mapping[str, object]] = []
    for model, version, last in named:
        price = book.recorded(model, version, last)
        for start, per_call, of_tier in price_rates(price) if price else ():
            one = {"price": len(rows), "by_model": model, "price_version": version, "start": start, "o_call": per_call}
            rows.append(one | dict(zip(OWN, of_tier, strict=True)))
    columns = {"price": "bigint", "by_model": "varchar", "price_version": "varchar", "start": "bigint"}
    insert(db, "prices", columns | dict.fromkeys(("o_call", *OWN), "hugeint"), rows)


def _price(db: DuckDBPyConnection) -> None:
    """Make the table `ours` of `sent`, each row with the price of its tier."""
    charges = " + ".join(f"cast({count} as hugeint) * {rate}" for count, rate in zip(COUNTS, OWN, strict=True))
    listed = f"case when counted then {rounded(f'(o_call * answers + {charges})', SCALE)} end"
    db.execute(
        "create table ours as select *,"  # noqa: S608 - constants
        f" {_KEPT} as kept, coalesce(nano - {_KEPT}, case when counted then 0 else nano end, 0) as share,"
        " case when wasted = 0 and answers = 1 then coalesce(nano - listed, 0) else 0 end as misfit"
        f" from (select sent.*, price, {_SURE} as sure, {listed} as listed from sent asof left join prices on"
        " sent.by_model = prices.by_model and sent.price_version = prices.price_version and prompt > start)"
    )
    db.execute("drop table sent")
