"""Worst: what a request may cost at most, at the prices of a day."""

from __future__ import annotations

from decimal import ROUND_CEILING, Decimal
from typing import TYPE_CHECKING

from mediascribe.caps import PERIODS, USD, caps_of
from mediascribe.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from datetime import date

    from mediascribe.caps import Period
    from mediascribe.domain import MediaKind
    from mediascribe.job_sections import BudgetSection
    from mediascribe.media.tokens import Weight
    from mediascribe.pricing import Price, PriceBook, Rate


def worst_cost(weight: Weight, model: str, prices: PriceBook, on: date) -> int | None:
    """The nano-dollars that a request of *weight* costs at most on the day *on*; None where *model* has no price.

    Each token pays the dearest rate that its kind may be billed at, in any tier that the prompt can reach; what is
    asked for the call itself comes on top.
    """
    price = prices.price_of(model, on)
    if price is None:
        return None
    kinds = [(_dearest(_rates(price, kind), weight.prompt), tokens) for kind, tokens in weight.media.items()]
    kinds.append((_dearest(_rates(price, None), weight.prompt), weight.text))
    total, left = weight.answer * _dearest((price.output, price.audio_out), weight.prompt), weight.prompt
    for rate, tokens in sorted(kinds, reverse=True):
        total += min(left, tokens) * rate
        left -= min(left, tokens)
    return int((total * 1000 + (price.per_call or 0) * 10**9).to_integral_value(ROUND_CEILING))


def check(caps: BudgetSection, models: Iterable[str], prices: PriceBook, on: date) -> None:
    """See that every cap in USD can be kept.

    Raises:
        ConfigError: one of *models* has no price on the day *on*.
    """
    accounts: dict[Period, list[int]] = {period: [] for period in PERIODS}
    name = next((cap.name for cap in caps_of(caps, None, accounts) if cap.unit == USD), None)
    unpriced = [f"`{model}`" for model in dict.fromkeys(models) if prices.price_of(model, on) is None]
    if name and unpriced:
        raise ConfigError(
            f"`{name}` cannot be kept: no price of {' and '.join(unpriced)} is known; add a [[price]] to"
            f" configs/prices.toml, or set `{name.removesuffix('usd')}tokens` instead"
        )


def _rates(price: Price, kind: MediaKind | None) -> Sequence[Rate | None]:
    """What a token of *kind* (None: text) may be billed at; the sound of a video is billed as sound."""
    text = (price.input, price.cached, price.cache_write)
    sound, picture = (price.audio_in, price.cached_audio), (price.image_in,)
    return (*text, *(() if kind in {None, "image"} else sound), *(() if kind in {None, "audio"} else picture))


def _dearest(rates: Sequence[Rate | None], prompt_tokens: int) -> Decimal:
    known = [rate for rate in rates if rate]
    tiers = [dear for rate in known for start, dear in rate.tiers if prompt_tokens > start]
    return max([*(rate.base for rate in known), *tiers])
