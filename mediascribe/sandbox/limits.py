"""Limits: a sliding window over the last minute, with the clock as an argument."""

from __future__ import annotations

import time
from collections import deque
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


class Window:
    """Admits at most *limit* units in any 60 s; what it refuses counts for nothing."""

    def __init__(self, limit: float, *, clock: Callable[[], float] = time.monotonic, length_s: float = 60.0) -> None:
        self._limit = limit
        self._clock = clock
        self._length_s = length_s
        self._taken: deque[tuple[float, float]] = deque()
        self._sum = 0.0

    def take(self, units: float = 1) -> float:
        """Take *units* and give 0, or take none and give the seconds until there may be room.

        What is larger than the limit itself is admitted by an empty window, so that nobody waits for ever.
        """
        now = self._clock()
        self._forget(now)
        if self._sum + units <= self._limit or not self._taken:
            self._taken.append((now, units))
            self._sum += units
            return 0.0
        return self._wait_s(now, units)

    def _forget(self, now: float) -> None:
        while self._taken and self._taken[0][0] <= now - self._length_s:
            self._sum -= self._taken.popleft()[1]

    def _wait_s(self, now: float, units: float) -> float:
        left = self._sum
        freed_at = now
        for taken_at, taken in self._taken:
            if left + units <= self._limit:
                break
            left -= taken
            freed_at = taken_at + self._length_s
        return freed_at - now
