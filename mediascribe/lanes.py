"""Lanes: one limiter for each quota. A model with limits of its own has its own lane, all others share one."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from mediascribe.limiter import Limiter

if TYPE_CHECKING:
    from collections.abc import Callable

    from mediascribe.job_sections import LimitsSection
    from mediascribe.limiter import Pacing


class Lanes:
    """The limiters of one gateway and key. Belongs to one event loop."""

    def __init__(self, limits: LimitsSection, *, clock: Callable[[], float] = time.monotonic) -> None:
        """Open a lane for every quota that *limits* names."""
        self._shared = Limiter(limits, clock=clock)
        self._own = {model: Limiter(limits, own=own, clock=clock) for model, own in limits.models.items()}

    def of(self, model: str) -> Limiter:
        """The lane of *model*."""
        return self._own.get(model, self._shared)

    def close(self) -> None:
        """Let everybody through who waits: the run is over, and they will not send."""
        for lane in (self._shared, *self._own.values()):
            lane.close()

    def pacing(self) -> Pacing:
        """What the rows wait for, in the lane with the most in flight."""
        return max((self._shared, *self._own.values()), key=lambda lane: lane.in_flight).pacing()
