"""Terms: how the gateway says that it came to a charge, as exact rates for each kind of token.

A line of the log has the ratios of its model and of the key's group (`other`). They give the charge again, to the
fraction of a quota that was rounded off, and with one of them in the place of another what that alone makes of it.

Arithmetic of the gateway (gateway notes 2.2): a token of the prompt costs `model_ratio` x 2 USD a million, the answer
that x `completion_ratio`, cached tokens that x `cache_ratio`; all of it x `group_ratio`. Sound has a price of its own
(`audio_input_price`, USD a million), or the whole request goes through the audio path, which counts text and sound
only. A model that is paid by the call costs `model_price` USD.
"""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING, Final

from mediascribe.pricing import KINDS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mediascribe.pricing import Price

SCALE: Final = 10**9
"""What rates are multiplied by, to be whole: a billionth of a nano-dollar a token is nothing even in long prompts."""

RATIOS: Final = (
    "model_ratio",
    "completion_ratio",
    "group_ratio",
    "model_price",
    "cache_ratio",
    "cache_creation_ratio",
    "cache_creation_ratio_5m",
    "cache_creation_ratio_1h",
    "image_ratio",
    "audio_ratio",
    "audio_completion_ratio",
    "audio_input_price",
    "billing_mode",
)
OF_LINE: Final = " and ".join(f"lines.{name} is not distinct from terms.{name}" for name in RATIOS)
"""The SQL of whether a line has these terms."""
TOKENS: Final = (
    "cache_tokens",
    "cache_creation_tokens",
    "cache_creation_tokens_5m",
    "cache_creation_tokens_1h",
    "image_output",
    "audio_input",
    "audio_output",
    "text_input",
    "text_output",
    "audio_input_token_count",
)
FLAGS: Final = ("audio", "claude")
RATES: Final = (
    "t_in",
    "t_out",
    "t_cached",
    "t_write",
    "t_write_5m",
    "t_write_1h",
    "t_image",
    "t_audio",
    "t_spoken",
    "t_sound",
    "t_call",
    "t_group",
)
"""The rates of a line's terms without the group's ratio, times `SCALE`; `t_group` is that ratio, times `SCALE`.

`t_audio` and `t_spoken` are those of the audio path, `t_sound` that of sound with a price of its own (0: as text),
`t_call` what the call costs beside its tokens.
"""
RELATIONS: Final = ("x_audio", "x_cached", "x_cached_audio", "x_write", "x_spoken")
"""What the gateway's rate of a kind would be if it stood to its rate of text as it does in our price, times `SCALE`."""

_NANO_PER_RATIO: Final = 2000  # a ratio of 1 is 2 USD for a million tokens
_NANO_PER_USD: Final = 10**9
_DEAREST: Final = 10**9 * SCALE  # a dollar a token; more is no rate
_HIGHEST_GROUP: Final = 1000 * SCALE


def rates(told: Mapping[str, str | None]) -> dict[str, int] | None:
    """The `RATES` of the ratios *told*; None where they do not say how the charge came about."""
    ratios = {name: _number(told.get(name)) for name in RATIOS}
    model, call = ratios["model_ratio"], ratios["model_price"]
    if told.get("billing_mode") == "tiered_expr" or (not call and None in (model, ratios["completion_ratio"])):
        return None
    unit = Fraction(0) if call or model is None else model * _NANO_PER_RATIO

    def times(*names: str) -> Fraction:
        product = unit
        for name in names:
            ratio = ratios[name]
            product *= 1 if ratio is None else ratio
        return product

    exact = {
        "t_in": unit,
        "t_out": times("completion_ratio"),
        "t_cached": times("cache_ratio"),
        "t_write": times("cache_creation_ratio"),
        "t_write_5m": times("cache_creation_ratio_5m"),
        "t_write_1h": times("cache_creation_ratio_1h"),
        "t_image": times("image_ratio"),
        "t_audio": times("audio_ratio"),
        "t_spoken": times("audio_ratio", "audio_completion_ratio"),
        "t_sound": 0 if call else (ratios["audio_input_price"] or 0) * 1000,
        "t_call": (call or 0) * _NANO_PER_USD,
        "t_group": 1 if (group := ratios["group_ratio"]) is None else group,
    }
    whole = {name: round(amount * SCALE) for name, amount in exact.items()}
    dear = max(rate for name, rate in whole.items() if name != "t_call") > _DEAREST
    return None if dear or whole["t_group"] > _HIGHEST_GROUP else whole


def price_rates(price: Price) -> list[tuple[int, int, tuple[int, ...]]]:
    """*price* by the prompt beyond which it holds (-1: any): its amount for a call, and its rates in order of `KINDS`.

    All are nano-dollars times `SCALE`.
    """
    divisor, per_call, tiers = price.exact
    return [
        (start, _scaled(per_call, divisor), tuple(_scaled(rate, divisor) for rate in of_tier))
        for start, of_tier in tiers
    ]


def relations(terms: Mapping[str, int], own: tuple[int, ...] | None) -> dict[str, int]:
    """The `RELATIONS` of *terms* beside our rates *own*; None, or a price that is free: every kind costs as text."""
    ours = dict(zip(KINDS, own or (), strict=False))

    def as_ours(kind: str, base: str, unit: str) -> int:
        if not ours or not ours[base]:
            return terms[unit]
        return round(Fraction(terms[unit] * ours[kind], ours[base]))

    return {
        "x_audio": as_ours("audio_in", "input", "t_in"),
        "x_cached": as_ours("cached", "input", "t_in"),
        "x_cached_audio": as_ours("cached_audio", "input", "t_in"),
        "x_write": as_ours("cache_write", "input", "t_in"),
        "x_spoken": as_ours("audio_out", "output", "t_out"),
    }


def _number(said: str | None) -> Fraction | None:
    """*said* as a ratio; None where it is none, or stands for none: the gateway writes -1."""
    try:
        number = Fraction(said or "none")
    except (ValueError, ZeroDivisionError):
        return None
    return number if number >= 0 else None


def _scaled(amount: int, divisor: int) -> int:
    return round(Fraction(amount * SCALE, divisor))
