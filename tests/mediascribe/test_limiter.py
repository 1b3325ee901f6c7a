"""The limiter admits in order, at the pace, within the window, and everybody waits out a refusal."""

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mediascribe.job_sections import LimitsSection
from mediascribe.limiter import Limiter


class Time:
    """A clock that moves only when somebody sleeps."""

    def __init__(self):
        self.now = 100.0

    def clock(self):
        return self.now

    async def sleep(self, seconds):
        self.now += seconds
        await asyncio.sleep(0)


def limiter(time, **limits):
    return Limiter(LimitsSection(**limits), clock=time.clock, sleep=time.sleep)


async def settle():
    for _ in range(20):
        await asyncio.sleep(0)


async def test_a_minute_holds_no_more_than_its_requests():
    """At 60 a minute, requests leave a second apart, from the first on."""
    time, left = Time(), []
    gate = limiter(time, requests_per_minute=60.0)
    for _ in range(5):
        async with gate.slot() as at:
            left.append(at)
    assert left == [100.0, 101.0, 102.0, 103.0, 104.0]


async def test_an_idle_quota_is_not_saved_up():
    """After a pause the pace is the same: no burst."""
    time = Time()
    gate = limiter(time, requests_per_minute=60.0)
    async with gate.slot():
        pass
    time.now += 3600
    left = []
    for _ in range(3):
        async with gate.slot() as at:
            left.append(at)
    assert left == [3700.0, 3701.0, 3702.0]


async def test_waiters_leave_in_the_order_in_which_they_came():
    """First come, first served."""
    time, order = Time(), []
    gate = limiter(time, requests_per_minute=600.0)

    async def one(number):
        async with gate.slot():
            order.append(number)

    await asyncio.gather(*(one(number) for number in range(50)))
    assert order == list(range(50))


@given(concurrency=st.integers(1, 5), holds=st.lists(st.integers(0, 5), min_size=1, max_size=20))
async def test_the_window_is_never_passed(concurrency, holds):
    """However long requests take, no more are in flight than the job allows, and all of them get through."""
    time, done = Time(), []
    gate = limiter(time, concurrency=concurrency)
    most = 0

    async def one(turns):
        nonlocal most
        async with gate.slot():
            most = max(most, gate.in_flight)
            for _ in range(turns):
                await asyncio.sleep(0)
        done.append(turns)

    await asyncio.gather(*map(one, holds))
    assert len(done) == len(holds)
    assert most == min(concurrency, most)
    assert gate.in_flight == 0


async def test_waiting_for_the_pace_holds_no_place_in_the_window():
    """The head of the line takes its place only when it leaves."""
    gate = Limiter(
        LimitsSection(concurrency=2, requests_per_minute=1.0), clock=lambda: 100.0, sleep=lambda _: asyncio.sleep(3600)
    )
    async with gate.slot():
        waiting = asyncio.create_task(gate.slot().__aenter__())
        await settle()
        assert gate.in_flight == 1
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting


async def test_everybody_waits_as_long_as_the_gateway_asks():
    """A 429 with a wait stops the next request until it is over."""
    time = Time()
    gate = limiter(time)
    async with gate.slot() as at:
        pass
    gate.refused(at, 7.0)
    assert gate.cooldown_s == 7.0
    async with gate.slot() as next_at:
        assert next_at == 107.0


async def test_refusals_without_a_wait_double_the_cooldown():
    """1, 2, 4 seconds while the gateway keeps refusing, and 1 again after a success."""
    time, waits = Time(), []
    gate = limiter(time)
    for _ in range(3):
        async with gate.slot() as at:
            pass
        gate.refused(at, None)
        waits.append(gate.cooldown_s)
    assert waits == [1.0, 2.0, 4.0]
    async with gate.slot() as at:
        gate.succeeded()
    gate.refused(at, None)
    assert gate.cooldown_s == 1.0


async def test_refusals_from_before_the_cooldown_say_nothing_new():
    """A whole window refused at once is one refusal."""
    time = Time()
    gate = limiter(time, concurrency=8)
    admitted = []
    for _ in range(8):
        async with gate.slot() as at:
            admitted.append(at)
    time.now += 1
    for at in admitted:
        gate.refused(at, None)
    assert gate.cooldown_s == 1.0
    assert gate.window == 4


async def test_no_wait_is_longer_than_ten_minutes():
    """A gateway that asks for a day is asked again after ten minutes."""
    time = Time()
    gate = limiter(time)
    async with gate.slot() as at:
        pass
    gate.refused(at, 86_400.0)
    assert gate.cooldown_s == 600.0


async def test_the_window_halves_on_a_refusal_and_grows_back():
    """Refused at 8, four may be in flight; successes bring the eight back, and no more."""
    time = Time()
    gate = limiter(time, concurrency=8)
    async with gate.slot() as at:
        pass
    gate.refused(at, None)
    assert gate.window == 4
    for _ in range(4 + 5):
        gate.succeeded()
    assert gate.window == 5
    for _ in range(100):
        gate.succeeded()
    assert gate.window == 8


async def test_the_window_never_closes():
    """Refused again and again, one request may still leave."""
    time = Time()
    gate = limiter(time, concurrency=4)
    for _ in range(6):
        async with gate.slot() as at:
            pass
        gate.refused(at, None)
    assert gate.window == 1


async def test_a_cancelled_waiter_does_not_block_the_line():
    """Whoever waits behind a cancelled caller is served."""
    time = Time()
    gate = limiter(time, concurrency=1)
    first = gate.slot()
    await first.__aenter__()
    second = asyncio.create_task(gate.slot().__aenter__())
    third = asyncio.create_task(gate.slot().__aenter__())
    await settle()
    second.cancel()
    await settle()
    await first.__aexit__(None, None, None)
    await settle()
    assert third.done()
