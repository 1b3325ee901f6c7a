"""Limits: what may pass in a minute, as real gateways count it, with the clock as an argument.

A `Window` slides: no stretch of its length holds more than its limit. A `Bucket` refills evenly and holds what was not
used, up to its capacity. Both admit what is larger than themselves when nothing else is in them, so that nobody waits
for ever.
"""

from __future__ import annotations

import time
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable

_DUST: Final = 1e-6  # what adding fractions may lose of a unit


@dataclass(frozen=True, slots=True, kw_only=True)
class Level:
    """How full a limit is: units that may pass now, and seconds until all may."""

    remaining: int
    reset_s: float


class Limit(Protocol):
    """Something that admits units; what it refuses counts for nothing."""

    def wait_s(self, units: float = 1) -> float:
        """0 if there is room for *units*, or the seconds until there may be; takes none."""
        ...

    def take(self, units: float = 1) -> float:
        """Take *units* and give 0, or take none and give the seconds until there may be room."""
        ...

    def level(self) -> Level:
        """How full it is."""
        ...


class Window:
    """Admits at most *limit* units in any *length_s* seconds."""

    def __init__(self, limit: float, *, clock: Callable[[], float] = time.monotonic, length_s: float = 60.0) -> None:
        self._limit = limit
        self._clock = clock
        self._length_s = length_s
        self._taken: deque[tuple[float, float]] = deque()
        self._sum = 0.0

    def wait_s(self, units: float = 1) -> float:
        """0 if there is room for *units*, or the seconds until there may be; takes none."""
        now = self._clock()
        self._forget(now)
        if self._sum + units <= self._limit or not self._taken:
            return 0.0
        left = self._sum
        freed_at = now
        for taken_at, taken in self._taken:
            if left + units <= self._limit:
                break
            left -= taken
            freed_at = taken_at + self._length_s
        return freed_at - now

    def take(self, units: float = 1) -> float:
        """Take *units* and give 0, or take none and give the seconds until there may be room."""
        wait_s = self.wait_s(units)
        if not wait_s:
            self._taken.append((self._clock(), units))
            self._sum += units
        return wait_s

    def level(self) -> Level:
        """What is left of the limit, and when the youngest of what was taken is forgotten."""
        now = self._clock()
        self._forget(now)
        reset_s = self._taken[-1][0] + self._length_s - now if self._taken else 0.0
        return Level(remaining=max(0, int(self._limit - self._sum)), reset_s=reset_s)

    def _forget(self, now: float) -> None:
        while self._taken and self._taken[0][0] <= now - self._length_s:
            self._sum -= self._taken.popleft()[1]


class Bucket:
    """Refills by *per_s* units a second, up to *capacity*, which it has at first."""

    def __init__(self, capacity: float, per_s: float, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._capacity = capacity
        self._per_s = per_s
        self._clock = clock
        self._held = capacity
        self._filled_at = clock()

    def wait_s(self, units: float = 1) -> float:
        """0 if it holds *units*, or the seconds until it does; takes none."""
        self._refill()
        missing = min(units, self._capacity) - self._held
        return missing / self._per_s if missing > _DUST else 0.0

    def take(self, units: float = 1) -> float:
        """Take *units* and give 0, or take none and give the seconds until it holds them."""
        wait_s = self.wait_s(units)
        if not wait_s:
            self._held -= units
        return wait_s

    def level(self) -> Level:
        """What it holds, and when it will be full."""
        self._refill()
        return Level(remaining=max(0, int(self._held + _DUST)), reset_s=(self._capacity - self._held) / self._per_s)

    def _refill(self) -> None:
        now = self._clock()
        self._held = min(self._capacity, self._held + (now - self._filled_at) * self._per_s)
        self._filled_at = now
