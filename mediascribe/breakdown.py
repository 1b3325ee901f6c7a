"""Breakdown: what one row's answer cost, each kind of token at its rate."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final

import msgspec

from mediascribe.columns import USAGE_COLUMNS
from mediascribe.domain import Usage
from mediascribe.pricing import KINDS, Rate

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from mediascribe.pricing import Price, PriceBook

_NOTHING: Final = Rate(Decimal(0))
_ONE_NANO_USD: Final = Rate(Decimal("0.001"))  # USD per million tokens: one nano-dollar a token
_MILLION: Final = 10**6


class Line(msgspec.Struct, frozen=True, kw_only=True):
    """Tokens of one kind, what a million of them costs, and what these do; `usd` is exact."""

    kind: str
    tokens: int
    usd_per_million: Decimal
    usd: Decimal


class Breakdown(msgspec.Struct, frozen=True, kw_only=True):
    """What a row was billed: `lines` for the answer that was kept, and beside it what its other attempts came to.

    `per_call_usd` is what the request costs beside its tokens; `answer_usd` is the sum of it and the lines, in whole
    nano-dollars.
    """

    price_version: str
    source: str
    lines: list[Line]
    per_call_usd: Decimal
    answer_usd: float
    beside_usd: float


def breakdown(row: Mapping[str, Any], prices: PriceBook) -> Breakdown | None:
    """Why *row* cost what it did; None where it has no cost, or nobody knows its price any more.

    The answer of a fallback model was billed at that model's price, of which the row knows the version only: None.
    """
    if row["cost_usd"] is None or row["requested_at"] is None or "fallback" in (row["flags"] or ()):
        return None
    price = prices.recorded(row["model"], row["price_version"], row["requested_at"].date())
    if price is None:
        return None
    usage = Usage(**{name: row[name] for name in USAGE_COLUMNS}, source=row["usage_source"])
    answered = usage.source != "missing"
    answer = price.nano_usd(usage) if answered else 0
    return Breakdown(
        price_version=price.version,
        source=price.source,
        lines=list(_lines(price, usage)) if answered else [],
        per_call_usd=(price.per_call or Decimal(0)) if answered else Decimal(0),
        answer_usd=answer / 1e9,
        beside_usd=(round(row["cost_usd"] * 1e9) - answer) / 1e9,
    )


def _lines(price: Price, usage: Usage) -> Iterator[Line]:
    """The kinds that *usage* has tokens of.

    How many are of a kind is asked of the price itself, by one that charges for this kind alone: so the lines never
    differ from what was charged.
    """
    free: dict[str, Any] = dict.fromkeys(KINDS, _NOTHING)
    rates = next(rates for start, rates in price.exact.tiers if usage.prompt_tokens > start)
    for kind, rate in zip(KINDS, rates, strict=True):
        tokens = replace(price, per_call=None, **free | {kind: _ONE_NANO_USD}).nano_usd(usage)
        if tokens:
            nano_usd = Decimal(rate) / price.exact.divisor
            yield Line(
                kind=kind,
                tokens=tokens,
                usd_per_million=(nano_usd * _MILLION / 10**9).normalize(),
                usd=(nano_usd * tokens / 10**9).normalize(),
            )
