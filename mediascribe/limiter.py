"""Limiter: when the next request may leave.

One line of waiters, first come first served; only its head watches the clock, so a thousand waiters cost nothing and a
lifted limit starts no stampede. A request leaves when the cooldown is over, the pace allows it and the window has room,
all three at once: nobody holds a place in the window while waiting for anything else.

- Pace: requests/min as even gaps (GCRA without burst), so that no minute, wherever it starts, holds more.
- Window: requests in flight; halved by a rate limit, widened by one for every window of successes, up to the job's.
- Breaker: while the gateway is down one probe leaves at a time (`breaker.py`).
- Cooldown: after a 429 everybody waits, as long as the gateway says (10 min at most) or else 1, 2, 4 ... 60 s while it
  keeps refusing.
"""

from __future__ import annotations

import asyncio
import time
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Final

from mediascribe.breaker import Breaker

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from mediascribe.breaker import Outage
    from mediascribe.job_sections import LimitsSection

_FIRST_COOLDOWN_S: Final = 1.0
_LONGEST_COOLDOWN_S: Final = 60.0
_LONGEST_TOLD_S: Final = 600.0
_LOOK_EVERY_S: Final = 1.0  # so that a closed limiter keeps nobody waiting


class Limiter:
    """Admission to one gateway quota. Belongs to one event loop; tests own time through *clock* and *sleep*."""

    def __init__(
        self,
        limits: LimitsSection,
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        """Start with a full window and a pace that begins now."""
        self._concurrency = limits.concurrency
        self._gap_s = 60 / limits.requests_per_minute if limits.requests_per_minute else 0.0
        self._clock, self._sleep = clock, sleep
        self._line = asyncio.Lock()
        self._room = asyncio.Event()
        self._window = float(limits.concurrency)
        self._in_flight = 0
        self._next_at = self._open_at = self._cooling_since = clock()
        self._refusals = 0
        self._breaker = Breaker(clock)
        self._closed = False

    @property
    def in_flight(self) -> int:
        """Requests that left and did not end."""
        return self._in_flight

    @property
    def window(self) -> int:
        """Requests that may be in flight now."""
        return int(self._window)

    @property
    def cooldown_s(self) -> float:
        """Seconds until the next request may leave after a rate limit; 0 when none is in force."""
        return max(0.0, self._open_at - self._clock())

    @asynccontextmanager
    async def slot(self) -> AsyncIterator[float]:
        """Wait for this caller's turn, and hold a place in the window; gives the time of admission."""
        async with self._line:
            await self._turn()
            admitted_at = self._clock()
            self._next_at = max(self._next_at, admitted_at) + self._gap_s
            self._in_flight += 1
        try:
            yield admitted_at
        finally:
            self._in_flight -= 1
            self._room.set()

    def outage(self) -> Outage | None:
        """The gateway's outage, if it is down."""
        return self._breaker.outage()

    def close(self) -> None:
        """Let everybody through who waits: the run is over, and they will not send."""
        self._closed = True
        self._room.set()

    def failed(self, row: object, why: str) -> bool:
        """Learn that *row* met a failure of the gateway's; whether the row is excused, as the gateway is down."""
        return self._breaker.failed(row, why)

    def answered(self) -> None:
        """Learn that the gateway answered, though not with what was asked for."""
        self._breaker.answered()

    def succeeded(self) -> None:
        """Learn that a request was answered well: refusals are over, the window may widen."""
        self._breaker.answered()
        self._refusals = 0
        self._window = min(self._concurrency, self._window + 1 / self._window)

    def refused(self, admitted_at: float, wait_s: float | None) -> None:
        """Learn of a 429 to a request admitted at *admitted_at*; the gateway asked for *wait_s*, if it said so.

        A refusal of a request that left before the last cooldown began says nothing new and changes nothing, unless the
        gateway asks for a longer wait.
        """
        self._breaker.answered()
        now = self._clock()
        if wait_s is not None:
            self._open_at = max(self._open_at, now + min(wait_s, _LONGEST_TOLD_S))
        if admitted_at < self._cooling_since:
            return
        self._cooling_since = now
        self._window = max(1.0, self._window / 2)
        if wait_s is None:
            self._open_at = max(self._open_at, now + min(_FIRST_COOLDOWN_S * 2**self._refusals, _LONGEST_COOLDOWN_S))
        self._refusals += 1

    async def _turn(self) -> None:
        """Return at an instant at which cooldown, breaker, pace and window all allow one request."""
        while not self._closed:
            ready_at = max(self._open_at, self._next_at, self._breaker.probe_at)
            room = 1 if self._breaker.is_open else int(self._window)
            if (wait_s := ready_at - self._clock()) > 0:
                await self._sleep(min(wait_s, _LOOK_EVERY_S))
            elif self._in_flight >= room:
                self._room.clear()
                await self._room.wait()
            else:
                return
