"""Retry: which attempt is the row's last, and how long to wait before the next.

The one place of this policy. Types decide (`errors.py`). The wait after a rate limit is the limiter's business, since
it is everybody's; in an outage a row waits for as long as the gateway asks, and then for the limiter. Ceilings below
the job's own stand in `_ATTEMPTS_AT_MOST`.

All rows together may retry only a share of what is sent (`RetryShare`): when much fails, first attempts go before
retries, and a gateway in trouble is not asked several times as much (reliability notes 3.1: the budget saves it).
"""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Final

from tenacity import AsyncRetrying, RetryCallState, retry_if_exception_type, wait_random_exponential
from tenacity.stop import stop_base

from mediascribe.errors import AttemptError, InDoubtError, OutageError, RateLimitedError, TransientError
from mediascribe.quota import Tally

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from mediascribe.job_sections import RetrySection

# An answer without text comes back the same, and a request in doubt may be billed each time (reliability notes 3).
_ATTEMPTS_AT_MOST: Final = {"empty": 2}
_IN_DOUBT_AT_MOST: Final = {"resend": 2, "hold": 1}
_EVERYBODY_WAITS: Final = (RateLimitedError, OutageError)
_WINDOW_S: Final = 60.0
_ALWAYS_ALLOWED: Final = 10  # retries in a window, however little is sent: a short run may retry too
_LOOK_EVERY_S: Final = 0.5


class RetryShare:
    """How many retries the rows of one run may send: *share* of the requests of the last minute.

    Waits for a rate limit or an outage to end are no retries. Belongs to one event loop.
    """

    def __init__(
        self,
        share: float,
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        """Start with nothing sent."""
        self._share, self._clock, self._sleep = share, clock, sleep
        self._requests, self._retries = Tally(_WINDOW_S), Tally(_WINDOW_S)
        self._line = asyncio.Lock()
        self._closed = False

    def sent(self) -> None:
        """Count one request."""
        self._requests.add(self._clock(), 1)

    async def take(self) -> None:
        """Wait until one retry more is within the share, first come first served."""
        async with self._line:
            while not self._closed and not self._has_room(self._clock()):
                await self._sleep(_LOOK_EVERY_S)
            self._retries.add(self._clock(), 1)

    def close(self) -> None:
        """Let everybody through who waits: the run is over, and they will not send."""
        self._closed = True

    def _has_room(self, now: float) -> bool:
        return self._retries.total(now) < max(_ALWAYS_ALLOWED, self._share * self._requests.total(now))


def policy(
    retry: RetrySection,
    *,
    used: int = 0,
    spent_s: float = 0.0,
    share: RetryShare | None = None,
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
) -> AsyncRetrying:
    """The policy for one row that has used up *used* attempts before (a resumed one); re-raises the last error.

    *spent_s* of its time have gone before. A retry also waits for *share*, which all rows share.
    """

    async def allowed(retry_state: RetryCallState) -> None:
        if share and not isinstance(_error(retry_state), _EVERYBODY_WAITS):
            await share.take()

    return AsyncRetrying(
        retry=retry_if_exception_type((TransientError, *_EVERYBODY_WAITS)),
        stop=_attempts_used(retry, used, spent_s),
        wait=_wait(retry),
        before_sleep=allowed,
        sleep=sleep,
        reraise=True,
    )


class _attempts_used(stop_base):  # noqa: N801 - tenacity's conditions are written like functions
    """Stop when the row's attempts are used up, or its time; rate limits and outages use up neither."""

    def __init__(self, retry: RetrySection, used: int, spent_s: float) -> None:
        self._attempts, self._used, self._in_doubt = retry.attempts, used, 0
        self._in_doubt_at_most = _IN_DOUBT_AT_MOST[retry.in_doubt]
        self._deadline_s = retry.row_deadline_s - spent_s

    def __call__(self, retry_state: RetryCallState) -> bool:
        error = _error(retry_state)
        if isinstance(error, _EVERYBODY_WAITS):
            return False
        self._used += 1
        self._in_doubt += isinstance(error, InDoubtError)
        ceiling = _ATTEMPTS_AT_MOST.get(error.failure.error_class, self._attempts)
        too_late = (retry_state.seconds_since_start or 0.0) >= self._deadline_s
        used_up = self._used >= min(self._attempts, ceiling) or self._in_doubt >= self._in_doubt_at_most
        return used_up or too_late


def _wait(retry: RetrySection) -> Callable[[RetryCallState], float]:
    """Full jitter, never less than the gateway asked for, never more than the job allows."""
    jitter = wait_random_exponential(multiplier=retry.first_wait_s, max=retry.max_wait_s)

    def wait_s(retry_state: RetryCallState) -> float:
        error = _error(retry_state)
        if isinstance(error, RateLimitedError):
            return 0.0
        if isinstance(error, OutageError):
            return min(error.wait_s or 0.0, retry.max_wait_s)
        return min(max(jitter(retry_state), error.wait_s or 0.0), retry.max_wait_s)

    return wait_s


def _error(retry_state: RetryCallState) -> AttemptError:
    error = retry_state.outcome.exception() if retry_state.outcome else None
    if not isinstance(error, AttemptError):
        raise TypeError(f"the policy retries attempts only, not {type(error).__name__}")
    return error
