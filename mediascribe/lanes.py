"""Lanes: one limiter for each quota. A model with limits of its own has its own lane, all others share one."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final, NamedTuple

from mediascribe.limiter import Limiter

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from mediascribe.job_sections import LimitsSection
    from mediascribe.limiter import Pacing, Use

SHARED: Final = ""  # the lane of all models without a quota of their own


class Share(NamedTuple):
    """Requests and tokens a minute, lent for a while; None: any number."""

    requests: float | None
    tokens: float | None


NOTHING: Final = Share(0.0, 0.0)


class Lanes:
    """The limiters of one gateway and key. Belongs to one event loop."""

    def __init__(self, limits: LimitsSection, *, clock: Callable[[], float] = time.monotonic) -> None:
        """Open a lane for every quota that *limits* names."""
        self._shared = Limiter(limits, clock=clock)
        self._own = {model: Limiter(limits, own=own, clock=clock) for model, own in limits.models.items()}

    def of(self, model: str) -> Limiter:
        """The lane of *model*."""
        return self._own.get(model, self._shared)

    def allow(self, shares: Mapping[str, Share], until: float) -> None:
        """Go on in every lane with a share of its quota until then: by model, the shared lane by "".

        A lane without a share waits.
        """
        for name, lane in self._by_name():
            share = shares.get(name, NOTHING)
            lane.allow(requests_per_minute=share.requests, tokens_per_minute=share.tokens, until=until)

    def uses(self) -> dict[str, Use]:
        """What every lane made of its quota, by model, the shared lane by ""."""
        return {name: lane.use() for name, lane in self._by_name()}

    def close(self) -> None:
        """Let everybody through who waits: the run is over, and they will not send."""
        for _, lane in self._by_name():
            lane.close()

    def pacing(self) -> Pacing:
        """What the rows wait for, in the lane with the most in flight."""
        return max((self._shared, *self._own.values()), key=lambda lane: lane.in_flight).pacing()

    def _by_name(self) -> Iterator[tuple[str, Limiter]]:
        yield SHARED, self._shared
        yield from self._own.items()
