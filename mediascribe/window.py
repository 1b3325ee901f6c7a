"""Window: how many requests may be in flight.

AIMD on refusals, not on latency: the length of an answer dominates its latency (reliability notes 3.1). A window grows
only when it was full, by one for every window of successes, twice as much after every two of them without a refusal;
a refusal takes a tenth. `auto` starts small and doubles each round trip until the first sign of resistance. Such a sign
is also that answers take longer in proportion: twice as many in flight, and each takes as much longer, bring nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

AUTO_START: Final = 4
AUTO_MOST: Final = 1000
_SHRINK: Final = 0.9
_ROUNDS_TO_DOUBLE_STEP: Final = 2
_MOST_ROUNDS: Final = 32.0  # then a step is larger than any window; the run may go on for millions of them
_SAMPLES: Final = 16
_RESISTANCE: Final = 1.6  # of 2.0, which is no gain at all
_ROUNDS_OF_REST: Final = 32


class Window:
    """Places for requests in flight."""

    def __init__(self, concurrency: int | Literal["auto"]) -> None:
        """Start full where the size is given, and small with `auto`."""
        self._auto = concurrency == "auto"
        self._most = AUTO_MOST if concurrency == "auto" else concurrency
        self._size = float(AUTO_START if concurrency == "auto" else concurrency)
        self._starting = self._auto
        self._rounds = 0.0
        self._latencies: dict[int, _Mean] = {}

    @property
    def size(self) -> int:
        """Requests that may be in flight now."""
        return int(self._size)

    def succeeded(self, size_then: int, latency_s: float) -> None:
        """Learn of a success after *latency_s*, of a request that left in the last place of *size_then*."""
        if self._auto and self._resisted(size_then, latency_s):
            return
        self._rounds = min(self._rounds + 1 / self._size, _MOST_ROUNDS)
        if self._rounds < 0:
            return
        step = self._size if self._starting else min(self._size, 2.0 ** (self._rounds // _ROUNDS_TO_DOUBLE_STEP))
        self._size = min(self._most, self._size + step / self._size)

    def refused(self) -> None:
        """Learn that the window was too large."""
        self._starting = False
        self._rounds = 0.0
        self._size = max(1.0, self._size * _SHRINK)

    def _resisted(self, size_then: int, latency_s: float) -> bool:
        """Whether the last doubling brought nothing; then the window goes back to before, and rests there."""
        octave = size_then.bit_length()
        here = self._latencies.setdefault(octave, _Mean())
        here.add(latency_s)
        below = self._latencies.get(octave - 1)
        if not below or min(here.count, below.count) < _SAMPLES or here.mean_s < _RESISTANCE * below.mean_s:
            return False
        self._starting = False
        self._rounds = -float(_ROUNDS_OF_REST)
        self._size = min(self._size, 2.0 ** (octave - 1))
        self._latencies.clear()
        return True


@dataclass(slots=True)
class _Mean:
    """A mean in the making."""

    count: int = 0
    total_s: float = 0.0

    @property
    def mean_s(self) -> float:
        return self.total_s / self.count

    def add(self, latency_s: float) -> None:
        self.count += 1
        self.total_s += latency_s
