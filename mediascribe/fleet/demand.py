"""Demand: what a member could use of each quota and of the budget, from what it did use since its last note.

Who is bound by its share could use more: as many requests as it has at hand, divided by the time that each is on its
way (Little's law). Who is not wants a little more than it used, so that others get the rest, and asks for more as soon
as that is used up.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from mediascribe.fleet.notes import SLICE_S, LaneNote, Purse
from mediascribe.lanes import Share
from mediascribe.spending import Spend

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from mediascribe.budget import BudgetView
    from mediascribe.pacing import Use

_LITTLE_MORE: Final = 1.05
_USED_UP: Final = 0.9  # of a share: then it is what binds
_SPARE: Final = 1.15
_LEAST_PER_MINUTE: Final = 60.0  # so that the first row after a pause need not wait for a slice
_NEW_S: Final = 3 * SLICE_S  # who has just come is about to ask: what that will be, nobody knows
_ENVELOPE_S: Final = 30.0
_QUOTA: Final = frozenset({"requests_per_minute", "tokens_per_minute"})
_UNLENT: Final = Share(None, None)


@dataclass(frozen=True, slots=True)
class _Before:
    """What the last note said."""

    at: float
    left: int
    tokens: int


class Demand:
    """Remembers the last note. Time is *clock*'s."""

    def __init__(self, clock: Callable[[], float], slice_s: float = SLICE_S) -> None:
        """Nothing was used yet. *slice_s* is how often it is said."""
        self._clock, self._slice_s = clock, slice_s
        self._before: dict[str, _Before] = {}
        self._shares: Mapping[str, Share] = {}  # those under which the time since the last note passed
        self._next: Mapping[str, Share] = {}
        self._spent, self._spent_at = Spend(), clock()
        self._came_at = clock()

    def lent(self, shares: Mapping[str, Share]) -> None:
        """Go by *shares* from now on."""
        self._next = shares

    def lanes(self, uses: Mapping[str, Use]) -> dict[str, LaneNote]:
        """What to say of every lane."""
        notes = {name: self._lane(name, use) for name, use in uses.items()}
        self._shares = self._next
        return notes

    def purse(self, view: BudgetView, need: Spend) -> Purse:
        """What to say of the budget."""
        now, wants = self._clock(), None
        if need != Spend():
            part = _ENVELOPE_S / max(self._slice_s, now - self._spent_at)
            used = view.spent - self._spent
            # What waits is reserved at its worst before it is spent: a member that is lent no more than it spends would
            # have one request in flight for ever.
            wants = Spend(
                nano_usd=round(part * used.nano_usd) + view.waiting * need.nano_usd,
                tokens=round(part * used.tokens) + view.waiting * need.tokens,
                requests=round(part * used.requests) + view.waiting * need.requests,
            )
        self._spent, self._spent_at = view.spent, now
        return Purse(
            spent=view.spent,
            in_doubt=view.in_doubt,
            reserved=view.reserved,
            need=need,
            wants=wants,
            waiting=view.waiting,
        )

    def _lane(self, name: str, use: Use) -> LaneNote:
        now = self._clock()
        before = self._before.get(name) or _Before(now - self._slice_s, 0, 0)
        self._before[name] = _Before(now, use.left, use.tokens)
        minutes = max(now - before.at, self._slice_s / 2) / 60
        each = use.tokens / use.left if use.left else None
        used = _Used((use.left - before.left) / minutes, (use.tokens - before.tokens) / minutes)
        is_new = now < self._came_at + _NEW_S
        wants = None if is_new and use.latency_s is None else _wants(use, used, self._shares.get(name, _UNLENT))
        return LaneNote(
            left=use.left,
            refused=use.refused,
            tokens=use.tokens,
            in_flight=use.in_flight,
            waiting=use.waiting,
            window=use.window,
            wants=wants,
            wants_tokens=None if wants is None or each is None else max(0.0, wants * each),
            bound_by=use.bound_by,
        )


@dataclass(frozen=True, slots=True)
class _Used:
    """Per minute."""

    requests: float
    tokens: float


def _wants(use: Use, used: _Used, share: Share) -> float | None:
    """The requests a minute that a lane could use; None before that is known of one that has something to ask."""
    at_hand = use.in_flight + use.waiting
    if use.latency_s is None:
        return None if at_hand else _LEAST_PER_MINUTE
    if not use.window_may_grow:
        at_hand = min(at_hand, use.window)
    wants = _LITTLE_MORE * 60 * at_hand / max(use.latency_s, 1e-3)
    bound = [
        taken >= _USED_UP * lent
        for taken, lent in ((used.requests, share.requests), (used.tokens, share.tokens))
        if lent
    ]
    if bound and not any(bound) and use.bound_by not in _QUOTA:
        wants = min(wants, _SPARE * used.requests)
    return max(_LEAST_PER_MINUTE, wants)
