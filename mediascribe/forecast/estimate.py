"""Estimate: tokens and money of strata, by rules where their media are known, and by what was learned where not."""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from mediascribe.domain import MEDIA_KINDS, Usage
from mediascribe.forecast.measures import DRAWS, ENOUGH, Quantity, guessed, mean_of, noise, ratio_of
from mediascribe.forecast.whatif import Scale
from mediascribe.media.tokens import ANSWER_GUESS

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from mediascribe.domain import MediaKind
    from mediascribe.forecast.lessons import Seen
    from mediascribe.forecast.measures import Draws
    from mediascribe.forecast.strata import Kind, Row, Stratum
    from mediascribe.models import Model
    from mediascribe.pricing import Price

    Shares = tuple[float, float, float]

# A medium of which nothing is known: a picture of 800 x 600, a minute of sound, half a minute of film.
GUESSES: Final[Mapping[MediaKind, float]] = {"image": 1_000, "audio": 1_500, "video": 9_000}
_MEDIA_FACTOR: Final = 4.0
_ANSWER_FACTOR: Final = 3.0
_OTHER_MODEL_FACTOR: Final = 2.0
_GEMINI_FILM_SOUND: Final = 32 / 290  # of a second of film: a frame of 258, and its sound (gateway notes 4.1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """Who is asked, at what price, and how media weigh there. `answer_limit` is what an answer is cut at."""

    name: str
    model: Model | None
    price: Price | None
    scale: Scale
    answer_limit: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Amount:
    """Tokens and nano-dollars (None: no price) of some rows: what to expect, and draws of it."""

    tokens: float
    token_draws: Draws
    nano_usd: float | None
    nano_usd_draws: Draws | None
    requests: float

    def __add__(self, other: Amount) -> Amount:
        money, draws = None, None
        if self.nano_usd is not None and other.nano_usd is not None:
            money = self.nano_usd + other.nano_usd
        if self.nano_usd_draws is not None and other.nano_usd_draws is not None:
            draws = self.nano_usd_draws + other.nano_usd_draws
        return Amount(
            tokens=self.tokens + other.tokens,
            token_draws=self.token_draws + other.token_draws,
            nano_usd=money,
            nano_usd_draws=draws,
            requests=self.requests + other.requests,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Habit:
    """How rows of one kind weigh: billed tokens for each by rule, tokens of unknown media, answers, attempts.

    `shares` are those of image, audio and video in the tokens of media; `basis` says where this is from.
    """

    ratio: Quantity
    media: Quantity
    answer: Quantity
    attempts: float
    shares: Shares
    basis: str


def amounts(strata: Sequence[Stratum], seen: Sequence[Seen], setting: Setting) -> list[tuple[Amount, str | None]]:
    """What each of *strata* comes to in *setting*, having *seen* what earlier rows did, and on which basis.

    The basis is `rules`, `learned` or `guess`, joined by +; None for rows that are not asked.
    """
    rng = np.random.default_rng(0)
    kinds = dict.fromkeys(one.kind for one in strata if one.kind)
    samples = {kind: [row for one in strata if one.kind == kind for row in one.sample] for kind in kinds}
    habits = {kind: _habit(kind, samples[kind], seen, setting, rng) for kind in kinds}
    return [_amount(one, habits, setting, rng) for one in strata]


def nothing(setting: Setting) -> Amount:
    """Of no rows."""
    zero = np.zeros(1)
    priced = setting.price is not None
    return Amount(
        tokens=0.0,
        token_draws=zero,
        nano_usd=0.0 if priced else None,
        nano_usd_draws=zero if priced else None,
        requests=0.0,
    )


def _amount(
    stratum: Stratum, habits: Mapping[Kind, Habit], setting: Setting, rng: np.random.Generator
) -> tuple[Amount, str | None]:
    if stratum.kind is None:
        return nothing(setting), None
    habit = habits[stratum.kind]
    weighed = [(row.text, _by_rule(row, setting.scale)) for row in stratum.sample]
    known = [(text, media) for text, media in weighed if media is not None]
    blind = [text for text, media in weighed if media is None]
    parts = [
        _ruled(stratum, known, habit.ratio, rng),
        _certain(sum(blind) * stratum.rows / len(weighed)),
        _blind(stratum.rows * len(blind) / len(weighed), habit.media, rng),
        _blind(stratum.rows, habit.answer, rng),
    ]
    means, draws = zip(*parts, strict=True)
    rates = _rates(setting.price, habit.shares, known, sum(means[:3]) / stratum.rows)
    requests = stratum.rows * habit.attempts
    amount = Amount(
        tokens=sum(means),
        token_draws=np.asarray(sum(draws)),
        nano_usd=None if rates is None else _dot(means, rates.tokens) + rates.per_call * requests,
        nano_usd_draws=None if rates is None else np.asarray(_dot(draws, rates.tokens) + rates.per_call * requests),
        requests=requests,
    )
    return amount, _basis(habit, known=bool(known), blind=bool(blind))


def _ruled(
    stratum: Stratum, known: Sequence[tuple[int, int]], ratio: Quantity, rng: np.random.Generator
) -> tuple[float, Draws]:
    """Prompts of rows whose media are known; where a sample stands for more rows, those may be others."""
    rows = stratum.rows * len(known) / len(stratum.sample)
    by_rule = np.array([text + media for text, media in known] or [0], np.float64)
    total = float(by_rule.mean()) * rows
    unsampled = math.sqrt(max(0.0, stratum.rows / len(stratum.sample) - 1))
    off = noise(rows, ratio.row_deviation, rng) + noise(rows, float(by_rule.std()) * ratio.mean * unsampled, rng)
    return total * ratio.mean, np.maximum(0.0, total * ratio.draws + off)


def _certain(total: float) -> tuple[float, Draws]:
    return total, np.full(DRAWS, total)


def _blind(rows: float, each: Quantity, rng: np.random.Generator) -> tuple[float, Draws]:
    return rows * each.mean, each.total(rows, rng)


def _dot(parts: Iterable[Any], rates: Iterable[float]) -> Any:  # noqa: ANN401 - numbers or draws, as the parts are
    return sum(part * rate for part, rate in zip(parts, rates, strict=True))


@dataclass(frozen=True, slots=True)
class _Rates:
    """Nano-dollars a token: of prompts by rule, of text, of unknown media, of answers; and of a request."""

    tokens: tuple[float, float, float, float]
    per_call: int


def _rates(price: Price | None, shares: Shares, known: Sequence[tuple[int, int]], prompt_mean: float) -> _Rates | None:
    """What tokens cost beside a usual prompt; the known rows each at their own tier."""
    if price is None:
        return None
    per_call = price.nano_usd(Usage())
    cost = functools.partial(_cost, price, shares, per_call)
    prompt = max(1, round(prompt_mean))
    text, media = cost(prompt, 0) / prompt, cost(prompt, prompt) / prompt
    ruled = sum(cost(text + media, media) for text, media in known) / (sum(map(sum, known)) or 1)
    beside = price.nano_usd(Usage(prompt_tokens=prompt, completion_tokens=1000))
    answer = (beside - price.nano_usd(Usage(prompt_tokens=prompt))) / 1000
    return _Rates((ruled, text, media, answer), per_call)


def _cost(price: Price, shares: Shares, per_call: int, prompt: int, media: int) -> int:
    """Nano-dollars of a *prompt* with so many tokens of *media*, the price of the call left out."""
    image, audio = (round(media * share) for share in shares[:2])
    return price.nano_usd(Usage(prompt_tokens=prompt, prompt_image_tokens=image, prompt_audio_tokens=audio)) - per_call


def _habit(
    kind: Kind, sample: Sequence[Row], seen: Sequence[Seen], setting: Setting, rng: np.random.Generator
) -> Habit:
    """How rows of *kind* weigh: as the same model's did, where there were enough."""
    own = [one for one in seen if one.kind == kind and one.model == setting.name]
    text = float(np.mean([row.text for row in sample])) if sample else 0.0
    plain = Scale(model=setting.model, sharp=setting.scale.sharp, media=setting.scale.media)
    pairs = [(text + rule, _prompt(one, text)) for one in own if (rule := _seen_by_rule(one, plain)) is not None]
    media = [_fitted(one, text, kind, setting.scale) for one in own]
    guess = guessed(_guess(sample, setting.scale), rng, factor=_MEDIA_FACTOR)
    return Habit(
        ratio=ratio_of([rule for rule, _ in pairs], [billed for _, billed in pairs], rng),
        media=mean_of(media, guess, rng),
        answer=_answer(own, seen, setting, rng),
        attempts=float(np.mean([one.attempts for one in own])) if own else 1.0,
        shares=_shares(own, sample, setting),
        basis="learned" if len(media) >= ENOUGH else "guess",
    )


def _answer(own: Sequence[Seen], seen: Sequence[Seen], setting: Setting, rng: np.random.Generator) -> Quantity:
    """How long answers are: those to the same kind, else those of the same model, else those of any."""
    limit = setting.answer_limit or float("inf")
    for some in (own, [one for one in seen if one.model == setting.name]):
        if len(some) >= ENOUGH:
            return mean_of([min(one.completion, limit) for one in some], guessed(0, rng, factor=1), rng)
    if len(seen) >= ENOUGH:
        mean = float(np.mean([min(one.completion, limit) for one in seen]))
        return guessed(mean, rng, factor=_OTHER_MODEL_FACTOR)
    guess = guessed(min(ANSWER_GUESS, limit), rng, factor=_ANSWER_FACTOR)
    cut = np.minimum(guess.draws, limit)
    return Quantity(mean=guess.mean, draws=cut, row_deviation=guess.row_deviation)


def _prompt(one: Seen, text: float) -> float:
    """What *one* was billed for its prompt, with *text* tokens of text instead of those that another prompt had."""
    return one.prompt if one.same_prompt or one.text is None else max(0.0, one.prompt - one.text + text)


def _fitted(one: Seen, text: float, kind: Kind, scale: Scale) -> float:
    """The media of *one* in tokens, no more than the what-if's largest side allows."""
    own_text = text if one.text is None else one.text
    media = max(0.0, one.prompt - own_text)
    bound = scale.picture_at_most if kind.name == "image" else None
    return media if bound is None else min(media, bound * kind.media)


def _seen_by_rule(one: Seen, scale: Scale) -> int | None:
    """What the one medium of *one* weighs by rule."""
    if one.kind.media != 1:
        return None
    kind: MediaKind = next(kind for kind in MEDIA_KINDS if kind == one.kind.name)
    return scale.weigh(kind, one.facts)


def _by_rule(row: Row, scale: Scale) -> int | None:
    """What all media of *row* weigh by rule; None where that of one is not known."""
    total = 0
    for medium, facts in zip(row.item.media, row.facts, strict=True):
        weight = scale.weigh(medium.kind, facts)
        if weight is None:
            return None
        total += weight
    return total


def _guess(sample: Sequence[Row], scale: Scale) -> float:
    """What the media of a row weigh where nothing was learned."""
    bound = scale.picture_at_most
    total = 0.0
    for row in sample:
        for medium, facts in zip(row.item.media, row.facts, strict=True):
            by_rule = scale.weigh(medium.kind, facts)
            guess = GUESSES[medium.kind] if by_rule is None else by_rule
            total += min(guess, bound) if bound is not None and medium.kind == "image" else guess
    return total / max(1, len(sample))


def _shares(own: Sequence[Seen], sample: Sequence[Row], setting: Setting) -> Shares:
    """The shares of image, audio and video in the tokens of media: as billed, else by rule."""
    totals = [float(sum(one.split[place] for one in own)) for place in range(3)]
    if not sum(totals):
        for row in sample:
            for medium, facts in zip(row.item.media, row.facts, strict=True):
                weight = setting.scale.weigh(medium.kind, facts) or GUESSES[medium.kind]
                totals[MEDIA_KINDS.index(medium.kind)] += weight
        if setting.model and setting.model.family == "gemini":
            sound = totals[2] * _GEMINI_FILM_SOUND
            totals[1], totals[2] = totals[1] + sound, totals[2] - sound
    whole = sum(totals) or 1.0
    return totals[0] / whole, totals[1] / whole, totals[2] / whole


def _basis(habit: Habit, *, known: bool, blind: bool) -> str:
    words = (["rules"] if known else []) + ([habit.basis] if blind else [])
    return "+".join(words)
