"""One price: rates by kind of token, and what a usage costs by them, to the nano-dollar."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple

if TYPE_CHECKING:
    from datetime import date

    from mediascribe.domain import Usage

Layer = Literal["gateway", "file", "genai-prices"]

KINDS: Final = ("input", "image_in", "audio_in", "cached", "cached_audio", "cache_write", "output", "audio_out")
"""The rates of a price, in the order of `Exact.tiers`."""


@dataclass(frozen=True, slots=True)
class Rate:
    """USD per million tokens. A prompt longer than a tier's start pays that tier's rate, for all its tokens."""

    base: Decimal
    tiers: tuple[tuple[int, Decimal], ...] = ()

    def at(self, prompt_tokens: int) -> Decimal:
        """The rate beside a prompt of *prompt_tokens*."""
        return next((rate for start, rate in reversed(self.tiers) if prompt_tokens > start), self.base)

    def times(self, factor: Decimal) -> Rate:
        """The rate at *factor* of it."""
        return Rate(self.base * factor, tuple((start, rate * factor) for start, rate in self.tiers))


class Exact(NamedTuple):
    """A price in whole numbers, of which `divisor` are a nano-dollar.

    `tiers` has the prompt beyond which each holds (-1: any) and a token's rate for each of `KINDS`; longest first.
    """

    divisor: int
    per_call: int
    tiers: tuple[tuple[int, tuple[int, ...]], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Price:
    """What a model's tokens cost from a day on (None: since ever), in USD, whatever the `currency` of the list is.

    Where a rate is None, its tokens cost what `input` (`output` for `audio_out`, `cached` for `cached_audio`) says.
    `per_call` is USD for each request, beside its tokens. `batch` is the share of the rates that a request pays which
    is sent in a batch; None where the list has no such discount.
    """

    model: str
    from_date: date | None
    version: str
    source: str
    input: Rate
    output: Rate
    cached: Rate | None = None
    cache_write: Rate | None = None
    audio_in: Rate | None = None
    cached_audio: Rate | None = None
    image_in: Rate | None = None
    audio_out: Rate | None = None
    per_call: Decimal | None = None
    batch: Decimal | None = None
    currency: str = "USD"
    layer: Layer = "file"
    exact: Exact = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Work out the whole numbers that every cost is made of."""
        object.__setattr__(self, "exact", _exact(self))

    @property
    def rates(self) -> dict[str, Rate]:
        """The rates that the list has, by their names."""
        return {kind: rate for kind in KINDS if (rate := getattr(self, kind)) is not None}

    def batched(self) -> Price | None:
        """The price of requests that are sent in a batch; None where the list has none."""
        if self.batch is None:
            return None
        reduced: dict[str, Any] = {kind: rate.times(self.batch) for kind, rate in self.rates.items()}
        return replace(self, version=f"{self.version} batch", batch=None, **reduced)

    def nano_usd(self, usage: Usage) -> int:
        """The cost of *usage* in whole nano-dollars.

        What the cache served is a subset of the prompt whose kind is not reported: it counts as text (and video)
        first, then as pictures, then as sound; what was written to the cache comes after it, in the same order.
        """
        divisor, total, tiers = self.exact
        prompt, sound, pictures = usage.prompt_tokens, usage.prompt_audio_tokens, usage.prompt_image_tokens
        rates = tiers[0][1] if len(tiers) == 1 else next(rates for start, rates in tiers if prompt > start)
        text_rate, image_rate, audio_rate, cached_rate, cached_audio_rate, write_rate, output_rate, spoken_rate = rates
        taken, plain = usage.cached_tokens + usage.cache_write_tokens, prompt - sound - pictures
        if taken or plain < 0:
            cached_sound = max(0, usage.cached_tokens - (prompt - sound))
            plain, rest = _less(plain, taken)
            pictures, rest = _less(pictures, rest)
            sound, _ = _less(sound, rest)
            total += (usage.cached_tokens - cached_sound) * cached_rate + cached_sound * cached_audio_rate
            total += usage.cache_write_tokens * write_rate
        spoken = usage.completion_audio_tokens
        total += plain * text_rate + pictures * image_rate + sound * audio_rate
        total += (usage.completion_tokens - spoken) * output_rate + spoken * spoken_rate
        return total if divisor == 1 else _rounded(total, divisor)


def _less(tokens: int, taken: int) -> tuple[int, int]:
    """*tokens* without those *taken*, and how many of the taken are still to be found elsewhere."""
    return (tokens - taken, 0) if taken <= tokens else (0, taken - tokens)


def _rounded(amount: int, divisor: int) -> int:
    """*amount* of which *divisor* are one, rounded half to even."""
    whole, rest = divmod(amount, divisor)
    return whole + (2 * rest > divisor or (2 * rest == divisor and whole % 2 == 1))


def _exact(price: Price) -> Exact:
    """The whole numbers of *price*: the smallest unit that holds every rate of it."""
    cached = price.cached or price.input
    in_order = (
        price.input,
        price.image_in or price.input,
        price.audio_in or price.input,
        cached,
        price.cached_audio or cached,
        price.cache_write or price.input,
        price.output,
        price.audio_out or price.output,
    )
    starts = sorted({start for rate in in_order for start, _ in rate.tiers}, reverse=True)
    per_call = (price.per_call or Decimal(0)) * 10**9
    # A rate in USD per million tokens is a thousand nano-dollars a token.
    tiers = [(start, [rate.at(start + 1) * 1000 for rate in in_order]) for start in (*starts, -1)]
    digits = max(_decimals(amount) for amount in (per_call, *(rate for _, rates in tiers for rate in rates)))
    divisor = 10**digits
    return Exact(
        divisor,
        int(per_call * divisor),
        tuple((start, tuple(int(rate * divisor) for rate in rates)) for start, rates in tiers),
    )


def _decimals(amount: Decimal) -> int:
    exponent = amount.normalize().as_tuple().exponent
    return max(0, -exponent) if isinstance(exponent, int) else 0
