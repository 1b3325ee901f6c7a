"""Cooldown: after a 429 everybody waits, as long as the gateway says, or else a moment that doubles.

A series of refusals is over with the first success of a request that left after the last one, or when such a request
has been on its way for long enough that a refusal would be back. During a series of several only one request leaves at
a time, to find out; the waits double, so that trying costs no more time than was lost already.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

_FIRST_S: Final = 0.25
_DOUBLINGS: Final = 10  # more than it takes to the longest
_LONGEST_S: Final = 60.0
_LONGEST_TOLD_S: Final = 600.0
_JITTER: Final = 0.1  # so that the machines of one quota do not come back together
_ROUND_TRIPS: Final = 3.0
_SHORTEST_PATIENCE_S: Final = 0.25
_LONGEST_PATIENCE_S: Final = 10.0


class Cooldown:
    """Who may try a quota that was full a moment ago, and when. *jitter* gives numbers from 0 to 1."""

    def __init__(self, jitter: Callable[[], float]) -> None:
        """Start open."""
        self._jitter = jitter
        self.open_at = 0.0
        self.refusals = 0
        self._began_at = float("-inf")
        self._tried_at: float | None = None
        self._refused_after_s = 0.0

    def ready_at(self) -> float:
        """When the next request may leave."""
        if self.refusals > 1 and self._tried_at is not None:
            return max(self.open_at, self.ends_at)
        return self.open_at

    @property
    def ends_at(self) -> float:
        """When the series will be over if nobody is refused until then; without end when none goes on."""
        return math.inf if self._tried_at is None else self._tried_at + self._patience_s

    def left(self, now: float) -> None:
        """Learn that a request leaves."""
        if self.refusals and self._tried_at is None:
            self._tried_at = now

    def over_at(self, now: float) -> float | None:
        """When the series came to its end, if it did as nobody was refused for long enough; says so once."""
        tried_at = self._tried_at
        if tried_at is None or now < self.ends_at:
            return None
        self._end()
        return tried_at

    def succeeded(self, left_at: float) -> bool:
        """Learn that a request that left at *left_at* was answered well; whether that ends a series."""
        if not self.refusals or left_at <= self._began_at:
            return False
        self._end()
        return True

    def refused(self, left_at: float, now: float, wait_s: float | None) -> bool:
        """Learn of a 429 to a request that left at *left_at*; whether that says anything new.

        A refusal of a request that left before the last cooldown began does not, unless the gateway asks for a longer
        wait.
        """
        if wait_s is not None:
            self._open_not_before(now, min(wait_s, _LONGEST_TOLD_S), _LONGEST_TOLD_S)
        if left_at <= self._began_at:
            return False
        self._began_at, self._tried_at = now, None
        self._refused_after_s = max(now - left_at, self._refused_after_s / 2)
        if wait_s is None:
            self._open_not_before(now, min(_FIRST_S * 2 ** min(self.refusals, _DOUBLINGS), _LONGEST_S), _LONGEST_S)
        self.refusals += 1
        return True

    def extend(self, free_at: float) -> None:
        """Try at *free_at* and not before, as there should be no room until then."""
        self.open_at = max(self.open_at, free_at)

    def cut(self, now: float, free_at: float) -> None:
        """Try at *free_at* already, when there should be room again, but wait for a quarter of the cooldown."""
        self.open_at = min(self.open_at, max(free_at, now + (self.open_at - now) / 4))

    @property
    def _patience_s(self) -> float:
        return min(_LONGEST_PATIENCE_S, max(_SHORTEST_PATIENCE_S, _ROUND_TRIPS * self._refused_after_s))

    def _open_not_before(self, now: float, wait_s: float, longest_s: float) -> None:
        jittered_s = min(wait_s * (1 + _JITTER * self._jitter()), longest_s)
        self.open_at = max(self.open_at, now + jittered_s)

    def _end(self) -> None:
        self.refusals, self._tried_at = 0, None
