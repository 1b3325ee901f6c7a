"""Which attempt is the last, and how long the wait is."""

import pytest

from mediascribe import retry
from mediascribe.domain import Failure
from mediascribe.errors import InDoubtError, PermanentError, RateLimitedError, StopRunError, TransientError
from mediascribe.job_sections import RetrySection


async def attempts(*errors, section=None, used=0):
    """How many attempts are made when attempt n meets errors[n] (the last one for ever), the waits, and the end."""
    made, waits = 0, []

    async def sleep(seconds):
        waits.append(seconds)

    try:
        async for attempt in retry.policy(section or RetrySection(), used=used, sleep=sleep):
            with attempt:
                made += 1
                error = errors[min(made, len(errors)) - 1]
                if error:
                    raise error
    except (TransientError, RateLimitedError, PermanentError, StopRunError) as error:
        return made, waits, error
    return made, waits, None


def failure(error_class="server"):
    return Failure(error_class=error_class, message="no")


TRANSIENT = TransientError(failure())
REFUSED = RateLimitedError(failure("rate_limit"))


async def test_a_transient_error_is_tried_as_often_as_the_job_says():
    """Four attempts by default, and the last error comes out."""
    assert await attempts(TRANSIENT, section=RetrySection(first_wait_s=0.0)) == (4, [0.0] * 3, TRANSIENT)


async def test_the_first_success_ends_it():
    """Two failures and a success are three attempts."""
    made, waits, error = await attempts(TRANSIENT, TRANSIENT, None)
    assert (made, len(waits), error) == (3, 2, None)


@pytest.mark.parametrize("error", [PermanentError(failure("media")), StopRunError(failure("auth"))])
async def test_what_cannot_succeed_is_not_tried_again(error):
    """A permanent failure, and one that ends the run, come out at once."""
    assert await attempts(error) == (1, [], error)


async def test_a_rate_limit_uses_up_no_attempt():
    """Twenty refusals, and the row still has its attempts; the limiter does the waiting."""
    made, waits, error = await attempts(*[REFUSED] * 20, None)
    assert (made, waits, error) == (21, [0.0] * 20, None)


async def test_an_empty_answer_is_asked_again_once():
    """It comes back the same, and is billed each time."""
    made, _, error = await attempts(TransientError(failure("empty")))
    assert (made, error.failure.error_class) == (2, "empty")


async def test_a_request_in_doubt_is_sent_again_once():
    """Each sending may be billed."""
    made, _, _ = await attempts(InDoubtError(failure("timeout")))
    assert made == 2


async def test_attempts_before_a_resume_count():
    """A row that had used three attempts has one left."""
    made, _, _ = await attempts(TRANSIENT, used=3)
    assert made == 1


async def test_waits_are_random_under_a_doubling_ceiling():
    """Full jitter: the n-th wait lies between 0 and first_wait_s x 2^(n-1)."""
    section = RetrySection(attempts=6, first_wait_s=2.0, max_wait_s=10.0)
    _, waits, _ = await attempts(TRANSIENT, section=section)
    assert len(waits) == 5
    assert all(0 <= wait <= ceiling for wait, ceiling in zip(waits, [2, 4, 8, 10, 10], strict=True))


async def test_no_wait_is_shorter_than_the_gateway_asks():
    """Retry-After is a floor."""
    _, waits, _ = await attempts(TransientError(failure(), wait_s=9.0), None)
    assert waits == [9.0]


async def test_no_wait_is_longer_than_the_job_allows():
    """A gateway that asks for an hour gets the job's ceiling."""
    _, waits, _ = await attempts(TransientError(failure(), wait_s=3600.0), None, section=RetrySection(max_wait_s=30.0))
    assert waits == [30.0]


async def test_another_error_is_not_swallowed():
    """The policy is for attempts; a defect comes out as itself."""
    with pytest.raises(ZeroDivisionError):
        await attempts(ZeroDivisionError())
