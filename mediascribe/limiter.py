"""Limiter: when the next request may leave.

One line of waiters, first come first served. One pump looks at its head only, when something changed or when the head's
time has come; so a thousand waiters cost nothing and a lifted limit starts no stampede. A request leaves when all of
these allow it at once, and nobody holds a place in the window while waiting for anything else:

- `breaker.py`: the gateway is up, or it is time for a probe.
- `cooldown.py`: after a 429 everybody waits.
- `allowance.py`: what the gateway says is left of its quota.
- `quota.py`: requests/min and tokens/min, exactly: as configured, or as the lead of a fleet lends them for a while.
- `pace.py`: the requests a second that refusals have taught.
- `window.py`: requests in flight.

Every wait but that for a place has a time at which it ends; a place becomes free when a request in flight ends. A share
that has ended is waited for until the lead lends another.
"""

from __future__ import annotations

import asyncio
import math
import random
import time
from collections import OrderedDict
from typing import TYPE_CHECKING, Final

from mediascribe.allowance import Allowance
from mediascribe.breaker import Breaker
from mediascribe.cooldown import Cooldown
from mediascribe.pace import Pace
from mediascribe.pacing import Admission, Bound, Causes, Meter, Pacing, Use, why
from mediascribe.quota import Quotas
from mediascribe.slot import Slot
from mediascribe.window import Window

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from mediascribe.breaker import Outage
    from mediascribe.job_sections import LimitsSection, ModelLimits

__all__ = ["Admission", "Bound", "Limiter", "Pacing", "Use"]

_TICK_S: Final = 1e-6  # what a timer may come early, by rounding


class Limiter:
    """Admission to one gateway quota. Belongs to one event loop, whose time must pass as *clock*'s does."""

    def __init__(
        self,
        limits: LimitsSection,
        *,
        own: ModelLimits | None = None,
        clock: Callable[[], float] = time.monotonic,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        """Start with paces that begin now. *own* are limits of one model, in place of those of all."""
        quota = own or limits
        per_minute = quota.requests_per_minute
        self._clock = clock
        self._quotas = Quotas(quota, limits.burst_s)
        unknown = per_minute is None and limits.concurrency == "auto"
        self._pace = Pace(per_minute / 60 if per_minute else None, limits.burst_s, feels_its_way=unknown)
        self._window = Window(limits.concurrency)
        self._cooldown = Cooldown(jitter)
        self._allowance = Allowance()
        self._breaker = Breaker(clock)
        self._line: OrderedDict[asyncio.Future[Admission], int] = OrderedDict()
        self._bound: Bound | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._in_flight = 0
        self._meter = Meter(window_may_grow=limits.concurrency == "auto")
        self._lent_until: float | None = None  # None: the quota is ours alone
        self._closed = False

    @property
    def in_flight(self) -> int:
        """Requests that left and did not end."""
        return self._in_flight

    @property
    def window(self) -> int:
        """Requests that may be in flight now."""
        return self._window.size

    @property
    def cooldown_s(self) -> float:
        """Seconds until the next request may leave after a rate limit; 0 when none is in force."""
        return max(0.0, self._cooldown.open_at - self._clock())

    def allow(self, *, requests_per_minute: float | None, tokens_per_minute: float | None, until: float) -> None:
        """Go on with a share of the quota that ends at *until* on the clock, unless another follows.

        None: any number. From the first share on, what refusals teach is the lead's to learn, who hears of them all.
        """
        now = self._clock()
        if self._lent_until is None:
            self._pace = Pace(None, 0.0)
        if now >= (self._lent_until or 0.0):
            self._quotas.hold(min(now, self._lent_until or now))
        self._quotas.allow(now, requests_per_minute, tokens_per_minute)
        self._lent_until = until
        self._pump()

    def use(self) -> Use:
        """What was made of the quota so far, and what could be made of it now."""
        seen = self._in_flight, len(self._line), self.window
        return self._meter.use(*seen, self._bound_now())

    def slot(self, tokens: int = 0) -> Slot:
        """Wait for this caller's turn, and hold a place in the window; *tokens* is what the answer may cost in all."""
        return Slot(self, tokens)

    def settle(self, admission: Admission, tokens: int) -> None:
        """Learn what the answer really cost in tokens; 0 for one that billed nothing."""
        self._quotas.correct(admission.at, tokens=tokens - admission.tokens)
        self._meter.count(0, tokens - admission.tokens)
        self._pump()

    def heard(self, headers: Mapping[str, str]) -> None:
        """Learn what the headers of an answer say about the quota; their names are lower case."""
        if self._allowance.heard(headers, self._clock()):
            self._pump()

    def succeeded(self, admission: Admission) -> None:
        """Learn that a request was answered well."""
        now = self._clock()
        self._up(now)
        if self._cooldown.succeeded(admission.at):
            self._pace.resumed(admission.at)
        if admission.in_last_place:
            self._window.succeeded(admission.window, now - admission.at)
        self._pump()

    def refused(self, admission: Admission, wait_s: float | None) -> None:
        """Learn of a 429; the gateway asked for *wait_s*, if it said so.

        A refusal is blamed on the window where the request took its last place, and on the pace where none is known,
        where the request did not take the last place, and where the gateway goes on refusing.
        """
        now = self._clock()
        self._up(now)
        self._meter.refused += 1
        self._pace.returned(admission.at)
        if not self._cooldown.refused(admission.at, now, wait_s):
            return
        again = self._cooldown.refusals > 1
        free_at = self._pace.minute_over_at(now)
        if wait_s is None and free_at is not None and free_at > now:
            if again:
                self._cooldown.cut(now, free_at)
            elif self._pace.counts_by_minute(now):
                self._cooldown.extend(free_at)
        if admission.in_last_place and not admission.paced:
            self._window.refused()
        blamed = again or admission.paced or not admission.in_last_place or not self._pace.is_learned
        if blamed and self._lent_until is None:
            self._pace.refused(now, again=again)
        self._quotas.restart(self._cooldown.open_at)

    def answered(self) -> None:
        """Learn that the gateway answered, though not with what was asked for."""
        self._up(self._clock())
        self._pump()

    def failed(self, row: object, why: str) -> bool:
        """Learn that *row* met a failure of the gateway's; whether the row is excused, as the gateway is down."""
        return self._breaker.failed(row, why)

    def outage(self) -> Outage | None:
        """The gateway's outage, if it is down."""
        return self._breaker.outage()

    def close(self) -> None:
        """Let everybody through who waits: the run is over, and they will not send."""
        self._closed = True
        self._pump()

    def pacing(self) -> Pacing:
        """What everybody waits for, now."""
        pace, known = self._pace.per_s, self._quotas.requests
        bound = self._bound_now()
        return Pacing(
            in_flight=self._in_flight,
            window=self.window,
            cooldown_s=self.cooldown_s,
            outage=self.outage(),
            requests_per_minute=pace * 60 if pace else known.per_minute if known else None,
            bound_by=bound,
            why=why(bound, self._causes()),
        )

    async def turn(self, tokens: int) -> Admission:
        """Stand in line until it is this caller's turn; `left_window` ends what this began."""
        now = self._clock()
        if not self._line and self._hold(now, tokens)[0] <= now + _TICK_S:
            return self._admit(now, tokens, waited_for=None)
        turn: asyncio.Future[Admission] = asyncio.get_running_loop().create_future()
        self._line[turn] = tokens
        if len(self._line) == 1:
            self._pump()
        try:
            return await turn
        except asyncio.CancelledError:
            if turn.cancelled():
                self._line.pop(turn, None)
                self._pump()
            else:
                self._unused(turn.result())
            raise

    def _pump(self) -> None:
        """Let leave whoever may, in order; come back when the head's time has come."""
        if self._timer:
            self._timer.cancel()
            self._timer = None
        while self._line:
            turn, tokens = next(iter(self._line.items()))
            if turn.done():
                self._line.popitem(last=False)
                continue
            now = self._clock()
            at, bound = self._hold(now, tokens)
            if at > now + _TICK_S:
                self._bound = bound
                at = min(at, max(self._cooldown.ends_at, now))  # the end of a series may lift the pace
                if at < math.inf:
                    self._timer = asyncio.get_running_loop().call_later(at - now, self._pump)
                return
            self._line.popitem(last=False)
            turn.set_result(self._admit(now, tokens, waited_for=self._bound))

    def _hold(self, now: float, tokens: int) -> tuple[float, Bound | None]:
        """Until when a request of *tokens* has to wait, and for what; without end for a place, or for a share."""
        if self._closed:
            return now, None
        if self._lent_until is not None and now >= self._lent_until:
            return math.inf, "requests_per_minute"
        if (over_at := self._cooldown.over_at(now)) is not None:
            self._pace.resumed(over_at)
        if self._in_flight >= self._window.size and not self._breaker.is_open:
            return math.inf, "window"
        at: float
        bound: Bound | None
        at, bound = self._quotas.ready_at(now, tokens)
        if (ready_at := self._pace.ready_at) > at:
            at, bound = ready_at, "learned_pace"
        if (ready_at := max(self._cooldown.ready_at(), self._allowance.ready_at(now, tokens))) > at:
            at, bound = ready_at, "cooldown"
        if self._breaker.is_open and (ready_at := self._breaker.probe_at) > at:
            at, bound = ready_at, "outage"
        return at, bound

    def _admit(self, now: float, tokens: int, *, waited_for: Bound | None) -> Admission:
        """Count a request that leaves now."""
        self._quotas.take(now, tokens, waited=waited_for is not None)
        self._pace.left(now, bound=waited_for == "learned_pace")
        self._cooldown.left(now)
        self._allowance.left(tokens)
        is_probe = self._breaker.is_open and not self._closed
        if is_probe:
            self._breaker.probing()
        self._in_flight += 1
        self._meter.count(1, tokens)
        window = self.window
        full = self._in_flight >= window
        return Admission(now, tokens, window, in_last_place=full, paced=waited_for == "learned_pace", is_probe=is_probe)

    def left_window(self, admission: Admission) -> None:
        """Give back the place in the window."""
        self._in_flight -= 1
        self._meter.ended(self._clock() - admission.at)
        if admission.is_probe:
            self._breaker.probed()
        self._pump()

    def _up(self, now: float) -> None:
        """The gateway is not down."""
        if self._breaker.is_open:
            self._quotas.restart(now)
        self._breaker.answered()

    def _unused(self, admission: Admission) -> None:
        """Give back what a caller got who was cancelled in the same instant."""
        self._quotas.correct(admission.at, requests=-1, tokens=-admission.tokens)
        self._pace.returned(admission.at)
        self._meter.count(-1, -admission.tokens)
        self.left_window(admission)

    def _bound_now(self) -> Bound | None:
        """What the head of the line waits for."""
        return self._hold(self._clock(), next(iter(self._line.values())))[1] if self._line else None

    def _causes(self) -> Causes:
        lent = self._lent_until is not None
        silent = lent and self._clock() >= (self._lent_until or 0.0)
        return Causes(self._quotas, self._pace, self.outage(), self.window, self.cooldown_s, lent, silent)
