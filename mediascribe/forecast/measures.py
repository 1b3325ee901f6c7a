"""Measures: what is forecast, with its 90 % interval; and how a mean or a ratio is estimated, as draws of a total.

Rules of this file:

- A quantity is known as draws: its possible values, equally likely. Sums of quantities are sums of draws, so what two
  sums share (one learned mean) does not cancel out.
- Three observations or more are believed, with Student's t for how far their mean may be off; fewer are a hint, and
  none a guess, which may be off by a factor either way in 90 of 100 cases.
- Draws are made from fixed seeds: the same plan has the same forecast.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import msgspec
import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    Draws = np.ndarray[Any, np.dtype[np.float64]]

DRAWS: Final = 2000
ENOUGH: Final = 3
_LOW, _HIGH = 5, 95
_Z: Final = 1.645  # of a normal distribution, 90 % lie within so many deviations
_HINT_FACTOR: Final = 2.0
_RULE_FACTOR: Final = 1.25  # vendors' own statements differ by as much (gateway notes 4.1)
_RULE_SPREAD: Final = 0.1
_GUESS_SPREAD: Final = 0.5
_FAR: Final = 3.0  # in logarithms
_SURE: Final = (
    0.005  # what a mean or a ratio may be off, as a share of it, even where all that was observed is the same
)


class Range(msgspec.Struct, frozen=True, kw_only=True):
    """An amount: in 90 of 100 cases from `low` to `high`."""

    low: float
    expected: float
    high: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Quantity:
    """A mean (or ratio) as draws, and the deviation of a single row from it."""

    mean: float
    draws: Draws
    row_deviation: float

    def total(self, rows: float, rng: np.random.Generator) -> Draws:
        """Draws of the sum over *rows* rows; never below nothing."""
        return np.maximum(0.0, rows * self.draws + noise(rows, self.row_deviation, rng))


def ranged(expected: float, draws: Draws) -> Range:
    """The range of *draws* around what is *expected*."""
    low, high = np.percentile(draws, (_LOW, _HIGH))
    return Range(low=min(float(low), expected), expected=expected, high=max(float(high), expected))


def noise(rows: float, row_deviation: float, rng: np.random.Generator) -> Draws:
    """What the sum of *rows* independent rows may be off their mean."""
    return rng.normal(0.0, row_deviation * math.sqrt(rows), DRAWS)


def mean_of(observed: Sequence[float] | Draws, guess: Quantity, rng: np.random.Generator) -> Quantity:
    """The mean of what was *observed*; where that is too little, a hint, or the *guess*."""
    values = np.asarray(observed, np.float64)
    if len(values) >= ENOUGH and values.any():
        mean, deviation = float(values.mean()), _deviation(values)
        off = rng.standard_t(len(values) - 1, DRAWS) * max(deviation / mean / math.sqrt(len(values)), _SURE)
        return Quantity(mean=mean, draws=mean * np.exp(np.clip(off, -_FAR, _FAR)), row_deviation=deviation)
    if len(values) >= ENOUGH:
        return Quantity(mean=0.0, draws=np.zeros(DRAWS), row_deviation=0.0)
    if len(values) and values.mean() > 0:
        return guessed(float(values.mean()), rng, factor=_HINT_FACTOR)
    return guess


def _deviation(values: Draws) -> float:
    """How far one of *values* is off their mean, long tails included.

    Lengths of sounds and films are skewed: of few, the longest are missing, and the plain deviation is too small. That
    of their logarithms, by which a lognormal quantity would have this much, is better; it counts up to the double.
    """
    plain = float(values.std(ddof=1))
    positive = values[values > 0]
    if len(positive) < ENOUGH:
        return plain
    spread = min(float(np.log(positive).var(ddof=1)), _FAR)
    return min(max(plain, float(values.mean()) * math.sqrt(math.expm1(spread))), 2 * plain)


def guessed(mean: float, rng: np.random.Generator, *, factor: float) -> Quantity:
    """A guess that may be off by *factor* either way."""
    return Quantity(mean=mean, draws=mean * _off(factor, rng), row_deviation=mean * _GUESS_SPREAD)


def ratio_of(rule: Sequence[float], observed: Sequence[float], rng: np.random.Generator) -> Quantity:
    """What was *observed* for each token by *rule*; its deviation is that of a row in tokens, not of the ratio."""
    by_rule, values = np.asarray(rule, np.float64), np.asarray(observed, np.float64)
    if len(values) < ENOUGH or not by_rule.sum():
        spread = _RULE_SPREAD * float(by_rule.mean()) if len(by_rule) else 0.0
        return Quantity(mean=1.0, draws=_off(_RULE_FACTOR, rng), row_deviation=spread)
    billed = values > 0
    if billed.sum() < ENOUGH:
        billed[:] = True
    ratio = float(values[billed].sum() / by_rule[billed].sum())
    off = max(_residual(by_rule[billed], values[billed], ratio) / math.sqrt(billed.sum()), ratio * _SURE)
    draws = np.maximum(0.0, ratio + rng.standard_t(int(billed.sum()) - 1, DRAWS) * off)
    share = float(billed.mean())
    # That none of a few rows failed does not say that none will (Jeffreys' interval of a share).
    draws *= rng.beta(billed.sum() + 0.5, (~billed).sum() + 0.5, DRAWS)
    deviation = _residual(by_rule, values, ratio * share) * float(by_rule.mean())
    return Quantity(mean=ratio * share, draws=draws, row_deviation=deviation)


def _residual(by_rule: Draws, values: Draws, ratio: float) -> float:
    """How far one of *values* is off its rule times *ratio*, as a ratio."""
    squares = float(np.sum((values - ratio * by_rule) ** 2))
    return math.sqrt(squares / (len(values) - 1)) / float(by_rule.mean())


def _off(factor: float, rng: np.random.Generator) -> Draws:
    """Draws around 1, 90 % of which lie within *factor*; 1 on average."""
    deviation = math.log(factor) / _Z
    return np.exp(rng.normal(-(deviation**2) / 2, deviation, DRAWS))
