"""Which attempt is the last, and how long the wait is."""

import asyncio

import pytest

from mediascribe import retry
from mediascribe.domain import Failure
from mediascribe.errors import InDoubtError, OutageError, PermanentError, RateLimitedError, StopRunError, TransientError
from mediascribe.job_sections import RetrySection
from mediascribe.retry import RetryShare


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


class Time:
    """A clock that moves only in sleep."""

    now = 0.0

    def __call__(self):
        return self.now

    async def sleep(self, seconds):
        self.now += seconds


async def retries_at(sent, retries, *, share=0.1):
    """When each of *retries* is let through, *sent* requests having left at 0."""
    time = Time()
    limit = RetryShare(share, clock=time, sleep=time.sleep)
    for _ in range(sent):
        limit.sent()
    at = []
    for _ in range(retries):
        await limit.take()
        at.append(time.now)
    return at


async def test_retries_are_a_share_of_what_is_sent():
    """Of 1,000 requests in a minute a tenth may be retries; the next one waits until the minute is over."""
    at = await retries_at(1_000, 101)
    assert at[:100] == [0.0] * 100
    assert 60 <= at[100] <= 61


async def test_a_short_run_may_retry_too():
    """Ten retries a minute always may, and no row waits for ever."""
    at = await retries_at(1, 11)
    assert at[:10] == [0.0] * 10
    assert 60 <= at[10] <= 61


async def test_nobody_waits_for_a_share_once_the_run_is_over():
    """A closed share lets everybody through."""
    time = Time()
    limit = RetryShare(0.1, clock=time, sleep=time.sleep)
    limit.close()
    for _ in range(50):
        await limit.take()
    assert time.now == 0.0


async def test_only_what_may_be_repeated_in_vain_takes_of_the_share():
    """Transient errors do; rate limits and outages, whose waits are everybody's, do not."""
    taken = []

    class Counted(RetryShare):
        async def take(self):
            taken.append(1)

    tries = retry.policy(RetrySection(first_wait_s=0.0), share=Counted(0.1), sleep=asyncio.sleep)
    errors = iter([REFUSED, TRANSIENT, OutageError(failure()), TRANSIENT])
    async for attempt in tries:
        with attempt:
            if error := next(errors, None):
                raise error
    assert len(taken) == 2


async def test_waits_of_everybody_do_not_use_up_a_rows_time():
    """A row that waited out an outage of a day is tried on."""
    section = RetrySection(row_deadline_s=0.001, first_wait_s=0.0)
    assert await attempts(REFUSED, REFUSED, None, section=section) == (3, [0.0, 0.0], None)


@pytest.mark.parametrize(("in_doubt", "made"), [("resend", 2), ("hold", 1)])
async def test_a_request_in_doubt_is_sent_once_more_or_not_at_all(in_doubt, made):
    """As the job says: it may have been billed each time."""
    error = InDoubtError(failure("network"))
    section = RetrySection(first_wait_s=0.0, in_doubt=in_doubt)
    assert (await attempts(error, section=section))[0] == made


async def test_a_row_that_met_an_outage_waits_as_long_as_the_gateway_asked():
    """Once the gateway is up again, a 503 that asked for two seconds is not followed at once."""
    told = OutageError(failure(), wait_s=2.0)
    made, waits, error = 0, [], None

    async def sleep(seconds):
        waits.append(seconds)

    async for attempt in retry.policy(RetrySection(), sleep=sleep):
        with attempt:
            made += 1
            error = {1: told, 2: OutageError(failure()), 3: OutageError(failure(), wait_s=9_999.0)}.get(made)
            if error:
                raise error
    assert waits == [2.0, 0.0, 60.0]
