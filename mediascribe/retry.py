"""Retry: which attempt is the row's last, and how long to wait before the next.

The one place of this policy. Types decide (`errors.py`); the wait after a rate limit or in an outage is the limiter's
business, since it is everybody's. Ceilings below the job's own stand in `_ATTEMPTS_AT_MOST`.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from tenacity import AsyncRetrying, RetryCallState, retry_if_exception_type, stop_after_delay, wait_random_exponential
from tenacity.stop import stop_base

from mediascribe.errors import AttemptError, InDoubtError, OutageError, RateLimitedError, TransientError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from mediascribe.job_sections import RetrySection

# An answer without text comes back the same, and a request in doubt may be billed each time (reliability notes 3).
_ATTEMPTS_AT_MOST: Final = {"empty": 2}
_IN_DOUBT_AT_MOST: Final = 2
_EVERYBODY_WAITS: Final = (RateLimitedError, OutageError)


def policy(
    retry: RetrySection, *, used: int = 0, sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
) -> AsyncRetrying:
    """The policy for one row that has used up *used* attempts before (a resumed one); re-raises the last error."""
    return AsyncRetrying(
        retry=retry_if_exception_type((TransientError, *_EVERYBODY_WAITS)),
        stop=_attempts_used(retry.attempts, used) | stop_after_delay(retry.row_deadline_s),
        wait=_wait(retry),
        sleep=sleep,
        reraise=True,
    )


class _attempts_used(stop_base):  # noqa: N801 - tenacity's conditions are written like functions
    """Stop when the row's attempts are used up; rate limits and outages use none."""

    def __init__(self, attempts: int, used: int) -> None:
        self._attempts, self._used, self._in_doubt = attempts, used, 0

    def __call__(self, retry_state: RetryCallState) -> bool:
        error = _error(retry_state)
        if isinstance(error, _EVERYBODY_WAITS):
            return False
        self._used += 1
        self._in_doubt += isinstance(error, InDoubtError)
        ceiling = _ATTEMPTS_AT_MOST.get(error.failure.error_class, self._attempts)
        return self._used >= min(self._attempts, ceiling) or self._in_doubt >= _IN_DOUBT_AT_MOST


def _wait(retry: RetrySection) -> Callable[[RetryCallState], float]:
    """Full jitter, never less than the gateway asked for, never more than the job allows."""
    jitter = wait_random_exponential(multiplier=retry.first_wait_s, max=retry.max_wait_s)

    def wait_s(retry_state: RetryCallState) -> float:
        error = _error(retry_state)
        if isinstance(error, _EVERYBODY_WAITS):
            return 0.0
        return min(max(jitter(retry_state), error.wait_s or 0.0), retry.max_wait_s)

    return wait_s


def _error(retry_state: RetryCallState) -> AttemptError:
    error = retry_state.outcome.exception() if retry_state.outcome else None
    if not isinstance(error, AttemptError):
        raise TypeError(f"the policy retries attempts only, not {type(error).__name__}")
    return error
