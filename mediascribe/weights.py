"""Weights: what a request may cost at most, and what it is expected to weigh.

The most comes from rules alone, for the budget must hold whatever the gateway answers. The expectation, for the tokens
of a minute, comes from the answers so far to the same model about the same kinds of media, and from rules before.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from mediascribe.budget import Spend, worst_cost
from mediascribe.media.tokens import weigh

if TYPE_CHECKING:
    from collections.abc import Hashable, Sequence

    from mediascribe.domain import Request
    from mediascribe.media.token_rules import Facts
    from mediascribe.media.tokens import Weight
    from mediascribe.models import Model, ModelTable
    from mediascribe.pricing import PriceBook

_FIRST_GUESS: Final = 2_000  # tokens of a medium of which nothing is known: between an image and a short video
_SLOWEST: Final = 0.02  # the last fifty answers weigh as much as all before them
_REMEMBERED: Final = 4_096


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """What one request asks of budget and quota."""

    worst: Spend
    expected_tokens: int


class Weights:
    """What the requests of a run weigh. Belongs to one event loop."""

    def __init__(self, table: ModelTable, prices: PriceBook, media_tokens: int | None) -> None:
        """*media_tokens* is the job's word for what a medium has at most; None: what the rules allow."""
        self._table, self._prices, self._media_tokens = table, prices, media_tokens
        self._seen: dict[tuple[str, ...], tuple[int, float]] = {}
        self._models: dict[str, Model | None] = {}
        self._costs: dict[tuple[Hashable, ...], int | None] = {}

    def load(self, request: Request, media: Sequence[Facts] | None = None) -> Load:
        """What *request* may cost, and what it is expected to weigh; *media*: what is known of each of its media."""
        if request.model not in self._models:
            self._models[request.model] = self._table.get(request.model)
        weight = weigh(request, self._models[request.model], self._media_tokens, media)
        worst = Spend(nano_usd=self._at_most(weight, request.model) or 0, tokens=weight.at_most_tokens, requests=1)
        _, mean = self._seen.get(_alike(request), (0, None))
        expected = weight.expected_tokens(_FIRST_GUESS) if mean is None else mean
        return Load(worst=worst, expected_tokens=min(round(expected), worst.tokens))

    def _at_most(self, weight: Weight, model: str) -> int | None:
        """The worst cost of *weight* today; most requests of a run weigh the same as one before."""
        today = datetime.now(UTC).date()
        alike = (model, today, weight.text, weight.prompt, weight.answer, *weight.media.items())
        if alike not in self._costs:
            if len(self._costs) >= _REMEMBERED:
                self._costs.clear()
            self._costs[alike] = worst_cost(weight, model, self._prices, today)
        return self._costs[alike]

    def learn(self, request: Request, spent: Spend | None) -> None:
        """Remember what the answer to *request* weighed, where it says."""
        if spent is None or not spent.tokens:
            return
        count, mean = self._seen.get(_alike(request), (0, 0.0))
        mean += (spent.tokens - mean) * max(1 / (count + 1), _SLOWEST)
        self._seen[_alike(request)] = count + 1, mean


def _alike(request: Request) -> tuple[str, ...]:
    """Requests that weigh about the same: one model, the same kinds of media."""
    return (request.model, *(media.kind for media in request.media))
