"""Sublet: a share of a common quota that a fleet lends on to its workers.

What the workers hold ends before the share does, and the share counts as given back only when they hold no more.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from mediascribe.lanes import NOTHING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from mediascribe.fleet.ledger import Ledger
    from mediascribe.fleet.notes import LaneNote
    from mediascribe.lanes import Share

_DUST: Final = 1e-6  # what adding fractions may lose of a unit


class Sublet:
    """A lane's worth of quota for the ledger of a fleet. Time is *clock*'s."""

    def __init__(self, clock: Callable[[], float]) -> None:
        """Nothing is lent to us yet, and nobody lends it on."""
        self._clock = clock
        self._shares: Mapping[str, Share] = {}
        self._until = clock()
        self._ledger: Ledger | None = None

    def lend(self, ledger: Ledger) -> None:
        """*ledger* lends what there is."""
        self._ledger = ledger

    def allow(self, shares: Mapping[str, Share], until: float) -> None:
        """Go on with *shares* until then."""
        self._shares, self._until = shares, until

    def most(self, lane: str) -> Share:
        """What may be lent of a lane now."""
        return self._shares.get(lane, NOTHING) if self._clock() < self._until else NOTHING

    def until(self) -> float:
        """When that ends."""
        return self._until

    def notes(self) -> dict[str, LaneNote]:
        """What the workers made of each quota, and what they could use."""
        return self._ledger.lanes() if self._ledger else {}

    def is_within(self, shares: Mapping[str, Share]) -> bool:
        """Whether all that the workers hold is within *shares*."""
        held = self._ledger.held() if self._ledger else {}
        return all(
            most is None or lent <= most * (1 + _DUST)
            for lane, share in held.items()
            for lent, most in zip(share, shares.get(lane, NOTHING), strict=True)
            if lent is not None
        )
