"""Hosts: how many media are fetched at one host at a time, when it may be asked again, and whether it is down.

Other people's servers: a host is asked for a few media at a time, waits that it asks for are kept up to a minute, and
one that fails again and again is left alone but for a try every few seconds, so that its media fail fast instead of
holding the lane up. A manifest may have a million hosts: one that is well is forgotten as soon as nobody is there, and
of those in trouble only the latest are remembered.
"""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Final

from mediascribe.domain import Failure
from mediascribe.errors import MediaError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from mediascribe.job_sections import MediaSection

TRANSIENT: Final = frozenset({"server", "network", "timeout", "rate_limit"})  # classes: a later look may find better
DOWN: Final = "host_down"
FAILURES_TO_OPEN: Final = 5
TRY_EVERY_S: Final = 10.0
LONGEST_WAIT_S: Final = 60.0
REMEMBERED: Final = 4_096


class Hosts:
    """Turns at hosts, by name: `per_host` at a time at each, `concurrency` in all. Belongs to one event loop."""

    def __init__(
        self,
        section: MediaSection,
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        """Start with nobody anywhere."""
        self._per_host, self._clock, self._sleep = section.per_host, clock, sleep
        self._room = asyncio.Semaphore(section.concurrency)
        self._busy: dict[str, _Host] = {}
        self._troubled: OrderedDict[str, _Host] = OrderedDict()

    def __len__(self) -> int:
        """How many hosts are remembered."""
        return len(self._busy) + len(self._troubled)

    @asynccontextmanager
    async def turn(self, name: str, *, again: bool = False) -> AsyncIterator[Turn]:
        """A turn at the host *name*, as soon as there is one; a `MediaError` that leaves it is what came of it.

        *again* is for a medium that failed before: that it fails again says nothing new about the host.

        Raises:
            MediaError: the host is down: class `network`, code `host_down`.
        """
        host = self._entered(name)
        try:
            host.check(name, self._clock())
            # First a place at the host: whoever waits for a slow one must not take the room of all others.
            async with host.line:
                while (wait_s := host.open_at - self._clock()) > 0:
                    await self._sleep(wait_s)
                async with self._room:
                    host.admit(name, self._clock())
                    async with self._judged(host, again=again) as turn:
                        yield turn
        finally:
            self._left(name, host)

    @asynccontextmanager
    async def _judged(self, host: _Host, *, again: bool) -> AsyncIterator[Turn]:
        """A turn that the host learns from."""
        turn = Turn(host, self._clock)
        try:
            yield turn
        except MediaError as error:
            if error.failure.error_class not in TRANSIENT:
                host.answered()
            elif turn.is_news and not again:
                host.failed(error.failure.message, self._clock())
            raise
        host.answered()

    def _entered(self, name: str) -> _Host:
        host = self._busy.get(name) or self._troubled.pop(name, None) or _Host(self._per_host)
        self._busy[name] = host
        host.visitors += 1
        return host

    def _left(self, name: str, host: _Host) -> None:
        host.visitors -= 1
        if host.visitors:
            return
        del self._busy[name]
        if host.failures or host.open_at > self._clock():
            self._troubled[name] = host
            if len(self._troubled) > REMEMBERED:
                self._troubled.popitem(last=False)


class Turn:
    """One medium's turn at a host."""

    def __init__(self, host: _Host, clock: Callable[[], float]) -> None:
        """Begin now."""
        self._host, self._clock, self._began_at = host, clock, clock()
        self.is_news = True

    def told_to_wait(self, wait_s: float) -> None:
        """Learn that the host wants nobody for *wait_s* seconds; more than a minute is not waited.

        Whoever was on the way meanwhile is told the same, which is no further failure of the host.
        """
        now, host = self._clock(), self._host
        self.is_news = self._began_at >= host.told_at
        host.told_at, host.open_at = now, max(host.open_at, now + min(wait_s, LONGEST_WAIT_S))


class _Host:
    """What is known of one host: who is there, and how the last ones fared."""

    __slots__ = ("_since", "_try_at", "_why", "failures", "line", "open_at", "told_at", "visitors")

    def __init__(self, per_host: int) -> None:
        self.line = asyncio.Semaphore(per_host)
        self.visitors = 0
        self.failures = 0
        self.open_at = self.told_at = float("-inf")
        self._since = self._try_at = 0.0
        self._why = ""

    def check(self, name: str, now: float) -> None:
        """Return if the host is up, or may be tried again."""
        if self.failures < FAILURES_TO_OPEN or now >= self._try_at:
            return
        message = (
            f"{name} has been failing for {now - self._since:.0f} s ({self._why}): it is tried every"
            f" {TRY_EVERY_S:g} s, and this medium by the next run"
        )
        raise MediaError(Failure(error_class="network", code=DOWN, message=message, unasked=True))

    def admit(self, name: str, now: float) -> None:
        """Like `check`, and nobody else is admitted for a while where the host is down."""
        self.check(name, now)
        self._try_at = now + TRY_EVERY_S

    def failed(self, why: str, now: float) -> None:
        """Learn that the host failed one medium more."""
        if not self.failures:
            self._since = now
        self.failures += 1
        self._try_at, self._why = now + TRY_EVERY_S, why

    def answered(self) -> None:
        """Learn that the host answered: a missing medium is a good answer."""
        self.failures = 0
