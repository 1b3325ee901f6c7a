"""Conduct: a behaviour at work, with its limits and its counts of faults played."""

from __future__ import annotations

import hashlib
import math
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from mediascribe.sandbox import length
from mediascribe.sandbox.limits import Bucket, Limit, Window
from mediascribe.sandbox.rate_headers import SPELLINGS, Quota
from mediascribe.sandbox.refusals import REFUSALS, RefusedError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from mediascribe.sandbox.answer import Answer
    from mediascribe.sandbox.behaviour import Behaviour
    from mediascribe.sandbox.refusals import Refusal

_MINUTE_S: Final = 60.0
_DAY_S: Final = 86_400.0


class Conduct:
    """One behaviour and what it has seen so far."""

    def __init__(self, behaviour: Behaviour, *, clock: Callable[[], float] = time.monotonic) -> None:
        self.behaviour = behaviour
        self._clock = clock
        self._minute = _limit(behaviour, behaviour.requests_per_minute, clock)
        self._tokens = _limit(behaviour, behaviour.tokens_per_minute, clock)
        per_day = behaviour.requests_per_day
        self._day = Window(per_day, clock=clock, length_s=_DAY_S) if per_day else None
        self._in_flight = 0
        self._began_at = clock()
        self._seen = 0
        self._played = [0] * len(behaviour.faults)

    def outage(self) -> str | None:
        """The fault that every request meets just now, while the gateway is down."""
        if not self.behaviour.outage_s:
            return None
        since_s = self._clock() - self._began_at - self.behaviour.outage_after_s
        return self.behaviour.outage if 0 <= since_s < self.behaviour.outage_s else None

    def enter(self) -> None:
        """Count one request more at a time, until it leaves.

        Raises:
            RefusedError: 429, too many are here already.
        """
        if self._in_flight >= (self.behaviour.max_in_flight or math.inf):
            raise self._refused(replace(REFUSALS["http_429"], message="Too many concurrent requests."), 1.0)
        self._in_flight += 1

    def leave(self) -> None:
        """Count one less."""
        self._in_flight -= 1

    def admit_request(self) -> None:
        """Count one request, of the minute and of the day.

        Raises:
            RefusedError: 429, one of them is full; then neither has counted it.
        """
        for limit, refusal in ((self._day, REFUSALS["http_429"]), (self._minute, REFUSALS["rate_limited"])):
            wait_s = limit.wait_s() if limit else 0.0
            if wait_s:
                raise self._refused(refusal.filled(limit=self.behaviour.requests_per_minute or 0), wait_s)
        for limit in (self._day, self._minute):
            if limit:
                limit.take()

    def admit_tokens(self, tokens: int) -> None:
        """Count *tokens*.

        Raises:
            RefusedError: 429 in the words of an upstream, since the gateway itself counts no tokens.
        """
        wait_s = self._tokens.take(tokens) if self._tokens else 0.0
        if wait_s:
            raise self._refused(REFUSALS["http_429"], wait_s)

    def fault(self, number: int, makes_sense: Callable[[str], bool] = bool) -> str | None:
        """The name of the fault that request *number* meets: the first that *makes_sense* and whose draw says so."""
        self._seen += 1
        for place, fault in enumerate(self.behaviour.faults):
            if not makes_sense(fault.name):
                continue
            used_up = fault.times is not None and self._played[place] >= fault.times
            if self._seen > fault.skip and not used_up and self._draw(number, place) < fault.rate:
                self._played[place] += 1
                return fault.name
        return None

    def latency_s(self, number: int) -> float:
        """How long request *number* is to take."""
        jitter_s = self.behaviour.jitter_s
        return self.behaviour.latency_s + (jitter_s * self._draw(number, -1) if jitter_s else 0.0)

    def lengthened(self, made: Answer, number: int) -> Answer:
        """The answer to request *number*, as long as the behaviour wants it."""
        manner = self.behaviour.answer_tokens
        if manner is None:
            return made
        tokens = length.chosen(manner, made.question.max_tokens, lambda: self._draw(number, -2))
        return length.of_tokens(made, tokens)

    def headers(self) -> Mapping[str, str]:
        """What every answer says about the limits: the requests by the minute, or else by the day, and the tokens."""
        told = (
            ("requests", self.behaviour.requests_per_minute, self._minute),
            ("requests", None if self._minute else self.behaviour.requests_per_day, self._day),
            ("tokens", self.behaviour.tokens_per_minute, self._tokens),
        )
        spelled = SPELLINGS[self.behaviour.rate_headers]
        return spelled(
            Quota(what=what, limit=most, level=limit.level()) for what, most, limit in told if most and limit
        )

    def _refused(self, refusal: Refusal, wait_s: float) -> RefusedError:
        told_s = math.ceil(wait_s) if self.behaviour.retry_after else None
        return RefusedError(refusal, retry_after_s=told_s, empty=self.behaviour.empty_429)

    def _draw(self, number: int, place: int) -> float:
        """A number from 0 up to 1, the same for the same seed, request and place."""
        seeded = f"{self.behaviour.seed}/{number}/{place}".encode()
        return int.from_bytes(hashlib.sha256(seeded).digest()[:6]) / 2**48


def _limit(behaviour: Behaviour, per_minute: float | None, clock: Callable[[], float]) -> Limit | None:
    if per_minute is None:
        return None
    share = per_minute * behaviour.window_s / _MINUTE_S
    if behaviour.limiter == "bucket":
        return Bucket(share, per_minute / _MINUTE_S, clock=clock)
    return Window(share, clock=clock, length_s=behaviour.window_s)
