"""Pilot: the few rows to ask first, so that the forecast of the rest is as sharp as it can be.

The rows are drawn at random from strata: kinds of media, and thirds by expected weight where that is known. A stratum
gets rows by its size times the doubt about its rows (Neyman's allocation), since a few films are most of the money.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from mediascribe import forecast
from mediascribe.domain import Usage
from mediascribe.forecast.estimate import GUESSES
from mediascribe.forecast.measures import ENOUGH
from mediascribe.media.tokens import ANSWER_GUESS

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from mediascribe.domain import MediaKind
    from mediascribe.forecast.estimate import Setting
    from mediascribe.forecast.strata import Kind, Row, Stratum
    from mediascribe.forecast.whatif import Scale
    from mediascribe.inputs import Inputs
    from mediascribe.plan import Plan

_THIRDS: Final = 3
# How much the weights of rows differ, as a share of what is expected: most pictures are of a few sizes.
_DOUBT: Final[Mapping[MediaKind, float]] = {"image": 0.5, "audio": 1.0, "video": 1.0}
_DOUBT_BY_RULE: Final = 0.1
_ANSWER_DOUBT: Final = ANSWER_GUESS / 2
_TOKENS: Final = 1000


@dataclass(frozen=True, slots=True)
class _Cell:
    """Rows that are drawn from together, how many rows they stand for, and the doubt about one, in money if priced."""

    ids: list[str]
    rows: float
    doubt: float


def of_plan(inputs: Inputs, made: Plan, rows: int) -> frozenset[str]:
    """The ids of *rows* rows of the plan *made*, by what is known of their media; sends nothing.

    Raises like `forecast.forecast`.
    """
    asked, _ = forecast.look(inputs, made)
    return choose(asked, forecast.setting(inputs), rows)


def choose(asked: Sequence[Stratum], setting: Setting, rows: int, *, seed: int = 0) -> frozenset[str]:
    """The ids of *rows* of the rows *asked*, or of all where there are no more, to be asked in *setting*."""
    kinds: dict[Kind, list[Stratum]] = {}
    for stratum in asked:
        if stratum.kind is not None:
            kinds.setdefault(stratum.kind, []).append(stratum)
    cells = [cell for some in kinds.values() for cell in _cells(some, setting)]
    rng = np.random.default_rng(seed)
    chosen: set[str] = set()
    for cell, size in zip(cells, _sizes(cells, rows), strict=True):
        chosen.update(cell.ids[place] for place in rng.choice(len(cell.ids), size, replace=False))
    return frozenset(chosen)


def _cells(strata: Sequence[Stratum], setting: Setting) -> Iterator[_Cell]:
    """The rows of one kind: those of unknown weight, and the thirds of the others."""
    sample = [row for stratum in strata for row in stratum.sample]
    share = sum(stratum.rows for stratum in strata) / len(sample)
    weighed = [(_weight(row, setting.scale), row) for row in sample]
    blind = [row for weight, row in weighed if weight is None]
    if blind:
        doubts = (GUESSES[one.kind] * _DOUBT[one.kind] * _rate(setting, one.kind) for one in blind[0].item.media)
        yield _cell(blind, share, sum(doubts), setting)
    known = sorted(((weight, row) for weight, row in weighed if weight is not None), key=lambda one: one[0])
    for third in np.array_split(np.arange(len(known)), _THIRDS):
        if len(third):
            mean = float(np.mean([known[place][0] for place in third]))
            rows = [known[place][1] for place in third]
            doubt = mean * _DOUBT_BY_RULE * _rate(setting, rows[0].item.media[0].kind)
            yield _cell(rows, share, doubt, setting)


def _cell(rows: Sequence[Row], share: float, doubt: float, setting: Setting) -> _Cell:
    doubt += _ANSWER_DOUBT * _rate(setting, None)
    return _Cell([row.item.item_id for row in rows], len(rows) * share, doubt)


def _rate(setting: Setting, kind: MediaKind | None) -> float:
    """What a token of *kind* costs (None: of an answer), as far as that matters: 1 each without a price."""
    if setting.price is None:
        return 1.0
    usage = {
        "image": Usage(prompt_tokens=_TOKENS, prompt_image_tokens=_TOKENS),
        "audio": Usage(prompt_tokens=_TOKENS, prompt_audio_tokens=_TOKENS),
        "video": Usage(prompt_tokens=_TOKENS),
        None: Usage(completion_tokens=_TOKENS),
    }
    return setting.price.nano_usd(usage[kind]) / _TOKENS


def _weight(row: Row, scale: Scale) -> int | None:
    weights = [scale.weigh(one.kind, facts) for one, facts in zip(row.item.media, row.facts, strict=True)]
    known = [weight for weight in weights if weight is not None]
    return sum(known) if len(known) == len(weights) else None


def _sizes(cells: Sequence[_Cell], rows: int) -> list[int]:
    """How many to draw from each of *cells*: enough to learn from as far as *rows* go, the rest by size and doubt."""
    room = np.array([len(cell.ids) for cell in cells])
    sizes = np.zeros(len(cells), int)
    weights = np.array([cell.rows * cell.doubt for cell in cells])
    for least in range(1, ENOUGH + 1):
        for place in np.argsort(-weights, kind="stable"):
            if sizes.sum() < rows and sizes[place] < min(least, room[place]):
                sizes[place] += 1
    while (left := min(rows, int(room.sum())) - int(sizes.sum())) > 0:
        _share_out(sizes, room, weights, left)
    return [int(size) for size in sizes]


def _share_out(sizes: Any, room: Any, weights: Any, left: int) -> None:  # noqa: ANN401 - arrays of one length
    """Give *left* rows more, by weight, to those that have room; one at least."""
    open_ones = np.where(sizes < room, weights, 0.0)
    given = np.minimum((left * open_ones / open_ones.sum()).astype(int), room - sizes)
    if not given.sum():
        given[int(np.argmax(np.where(sizes < room, weights / (sizes + 1), -1.0)))] = 1
    sizes += given
