"""Conduct: a behaviour at work, with its windows and its counts of faults played."""

from __future__ import annotations

import hashlib
import math
import time
from typing import TYPE_CHECKING

from mediascribe.sandbox.limits import Window
from mediascribe.sandbox.refusals import REFUSALS, RefusedError

if TYPE_CHECKING:
    from collections.abc import Callable

    from mediascribe.sandbox.behaviour import Behaviour


class Conduct:
    """One behaviour and what it has seen so far."""

    def __init__(self, behaviour: Behaviour, *, clock: Callable[[], float] = time.monotonic) -> None:
        self.behaviour = behaviour
        self._requests = _window(behaviour.requests_per_minute, clock)
        self._tokens = _window(behaviour.tokens_per_minute, clock)
        self._seen = 0
        self._played = [0] * len(behaviour.faults)

    def admit_request(self) -> None:
        """Count one request.

        Raises:
            RefusedError: 429, the minute is full.
        """
        wait_s = self._requests.take() if self._requests else 0.0
        if wait_s:
            limit = self.behaviour.requests_per_minute or 0
            raise RefusedError(
                REFUSALS["rate_limited"].filled(limit=limit),
                retry_after_s=self._retry_after_s(wait_s),
                empty=self.behaviour.empty_429,
            )

    def admit_tokens(self, tokens: int) -> None:
        """Count *tokens*.

        Raises:
            RefusedError: 429 in the words of an upstream, since the gateway itself counts no tokens.
        """
        wait_s = self._tokens.take(tokens) if self._tokens else 0.0
        if wait_s:
            raise RefusedError(
                REFUSALS["http_429"],
                retry_after_s=self._retry_after_s(wait_s),
                empty=self.behaviour.empty_429,
            )

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
        return self.behaviour.latency_s + self.behaviour.jitter_s * self._draw(number, -1)

    def _retry_after_s(self, wait_s: float) -> int | None:
        return math.ceil(wait_s) if self.behaviour.retry_after else None

    def _draw(self, number: int, place: int) -> float:
        """A number from 0 up to 1, the same for the same seed, request and place."""
        seeded = f"{self.behaviour.seed}/{number}/{place}".encode()
        return int.from_bytes(hashlib.sha256(seeded).digest()[:6]) / 2**48


def _window(limit: float | None, clock: Callable[[], float]) -> Window | None:
    return None if limit is None else Window(limit, clock=clock)
