"""The limiter admits in order, at the pace, within the window, and everybody waits out a refusal. Time is virtual."""

import asyncio

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from virtual_time import run, virtual

from mediascribe.breaker import FAILURES_TO_OPEN, PROBE_EVERY_S
from mediascribe.job_sections import LimitsSection, ModelLimits
from mediascribe.limiter import Limiter
from mediascribe.quota import SPAN_S

GAP_S = SPAN_S / 60  # of 60 a minute


def limiter(*, own=None, jitter=0.0, **limits):
    clock = asyncio.get_running_loop().time
    return Limiter(LimitsSection(**limits), own=own, clock=clock, jitter=lambda: jitter)


def now():
    return asyncio.get_running_loop().time()


async def one(gate, lasts_s=0.0, tokens=0):
    """A request that takes *lasts_s*; gives its admission."""
    async with gate.slot(tokens) as admission:
        if lasts_s:
            await asyncio.sleep(lasts_s)
    return admission


async def waiting(gate, count=1, **request):
    """*count* requests that stand in line."""
    tasks = [asyncio.create_task(one(gate, **request)) for _ in range(count)]
    await asyncio.sleep(0)
    return tasks


async def opened(gate):
    """Let the breaker open."""
    for row in range(FAILURES_TO_OPEN):
        gate.failed(row, "503 from the gateway")


@virtual
async def test_requests_leave_one_gap_apart_from_the_first_on():
    """A bucket starts paced, not full."""
    gate = limiter(requests_per_minute=60.0)
    left = [(await one(gate)).at for _ in range(4)]
    assert left == pytest.approx([0.0, GAP_S, 2 * GAP_S, 3 * GAP_S])


@virtual
async def test_an_idle_quota_is_not_saved_up():
    """After an hour's pause the pace is the same: no burst."""
    gate = limiter(requests_per_minute=60.0)
    await one(gate)
    await asyncio.sleep(3600)
    left = [(await one(gate)).at for _ in range(3)]
    assert left == pytest.approx([3600.0, 3600 + GAP_S, 3600 + 2 * GAP_S])


@virtual
async def test_waiters_leave_in_the_order_in_which_they_came():
    """First come, first served."""
    gate, order = limiter(requests_per_minute=600.0, concurrency=2), []

    async def numbered(number):
        async with gate.slot():
            order.append(number)

    await asyncio.gather(*(numbered(number) for number in range(50)))
    assert order == list(range(50))


@settings(max_examples=30)
@given(
    concurrency=st.integers(1, 5),
    per_minute=st.none() | st.floats(60, 6000),
    requests=st.lists(st.tuples(st.floats(0, 3), st.integers(0, 500), st.booleans()), min_size=1, max_size=20),
)
def test_the_window_is_never_passed_and_everybody_gets_through(concurrency, per_minute, requests):
    """However long requests take, cancelled ones among them, no more are in flight than the job allows."""

    async def main():
        gate = limiter(concurrency=concurrency, requests_per_minute=per_minute, tokens_per_minute=6000.0)
        most = done = 0

        async def work(lasts_s, tokens):
            nonlocal most, done
            async with gate.slot(tokens) as admission:
                most = max(most, gate.in_flight)
                await asyncio.sleep(lasts_s)
            gate.settle(admission, tokens // 2)
            gate.succeeded(admission)
            done += 1

        tasks = [asyncio.create_task(work(lasts_s, tokens)) for lasts_s, tokens, _ in requests]
        await asyncio.sleep(0.1)
        for task, (_, _, is_cancelled) in zip(tasks, requests, strict=True):
            if is_cancelled:
                task.cancel()
        ended = await asyncio.gather(*tasks, return_exceptions=True)
        return most, done + sum(isinstance(end, asyncio.CancelledError) for end in ended), gate.in_flight

    most, ended, in_flight = run(main())
    assert most <= concurrency
    assert (ended, in_flight) == (len(requests), 0)


@virtual
async def test_waiting_for_the_pace_holds_no_place_in_the_window():
    """The head of the line takes its place only when it leaves."""
    gate = limiter(concurrency=2, requests_per_minute=1.0)
    async with gate.slot():
        await waiting(gate)
        await asyncio.sleep(30)
        assert gate.in_flight == 1


@virtual
async def test_tokens_are_reserved_and_corrected():
    """600 of 600 tokens reserved, 60 billed: the next 60 leave after 6 s instead of a minute."""
    gate = limiter(tokens_per_minute=600.0)
    gate.settle(await one(gate, tokens=600), 60)
    assert (await one(gate, tokens=60)).at == pytest.approx(60 * SPAN_S / 600)


@virtual
async def test_a_model_has_limits_of_its_own():
    """They replace those of all models."""
    gate = limiter(own=ModelLimits(requests_per_minute=120.0), requests_per_minute=1.0, tokens_per_minute=1.0)
    assert [(await one(gate, tokens=50)).at for _ in range(2)] == pytest.approx([0.0, SPAN_S / 120])


@virtual
async def test_a_cancelled_waiter_does_not_block_the_line():
    """Whoever waits behind a cancelled caller is served, also when its turn had just come."""
    gate = limiter(concurrency=1)
    async with gate.slot():
        second, third, fourth = await waiting(gate, 3)
        second.cancel()
        await asyncio.sleep(1)
    third.cancel()
    await fourth
    assert third.cancelled()
    assert gate.in_flight == 0


@virtual
async def test_what_a_cancelled_caller_was_given_is_given_back():
    """A turn that nobody took does not count against the quota."""
    gate = limiter(concurrency=1, requests_per_minute=1.0, tokens_per_minute=100.0, burst_s=60)
    async with gate.slot():
        (second,) = await waiting(gate, tokens=50)
        await asyncio.sleep(100)
    second.cancel()
    with pytest.raises(asyncio.CancelledError):
        await second
    assert (await one(gate, tokens=50)).at == 100.0


@virtual
async def test_everybody_waits_as_long_as_the_gateway_asks():
    """A 429 with a wait stops the next request until it is over."""
    gate = limiter()
    gate.refused(await one(gate), 7.0)
    assert gate.cooldown_s == 7.0
    assert (await one(gate)).at == 7.0


@virtual
async def test_a_refusal_in_the_last_place_takes_places():
    """A whole window refused at once takes a tenth, once; successes of a full window bring it back."""
    gate = limiter(concurrency=10)
    admitted = await asyncio.gather(*(one(gate, lasts_s=1.0) for _ in range(10)))
    for admission in reversed(admitted):
        gate.refused(admission, None)
    assert gate.window == 9
    full = [admission for admission in admitted if admission.in_last_place]
    for _ in range(20):
        gate.succeeded(full[0])
    assert gate.window == 10


@virtual
async def test_a_refused_quota_is_paced_below_what_was_configured():
    """Configured at 6,000/min and refused at 50/s: a pace below that is in force, and given up when outgrown."""
    gate = limiter(requests_per_minute=6000.0)
    for _ in range(300):
        admission = await one(gate)
    gate.refused(admission, None)
    assert gate.pacing().requests_per_minute < 6000
    while now() < 60:
        gate.succeeded(await one(gate))
    assert gate.pacing().requests_per_minute == 6000.0


@virtual
async def test_headers_that_say_nothing_is_left_are_heeded():
    """Nobody leaves until the quota is whole again."""
    gate = limiter()
    gate.heard({"content-type": "text/html"})
    gate.heard({"x-ratelimit-remaining-requests": "0", "x-ratelimit-reset-requests": "9s"})
    await waiting(gate)
    assert (gate.pacing().bound_by, gate.pacing().why) == ("cooldown", "the gateway's quota is used up")
    assert (await one(gate)).at == 9.0


@virtual
async def test_while_the_gateway_is_down_probes_leave_one_by_one():
    """The first one 4 s after it went down, each further one 4 s after the one before; an answer lets all leave."""
    gate, left = limiter(concurrency=8), []
    await opened(gate)

    async def work(row):
        while True:
            left.append((await one(gate, lasts_s=0.1)).at)
            if now() > 14:
                return gate.answered()
            gate.failed(row, "503")

    await asyncio.gather(*(work(row) for row in range(8)))
    assert left[:4] == pytest.approx([4.0, 8.0, 12.0, 16.0])
    assert left[4:] == pytest.approx([16.1] * 7)


@virtual
async def test_requests_that_hang_do_not_hold_up_the_probe():
    """A full window without any answer, and the probe leaves all the same."""
    gate = limiter(concurrency=4)
    hanging = await waiting(gate, 4, lasts_s=1000.0)
    await opened(gate)
    assert (await one(gate)).at == PROBE_EVERY_S
    for task in hanging:
        task.cancel()


@virtual
async def test_a_closed_limiter_keeps_nobody():
    """The run is over: who waits leaves, whatever for."""
    gate = limiter(requests_per_minute=1.0, concurrency=1)
    async with gate.slot():
        tasks = await waiting(gate, 3)
        gate.close()
        await asyncio.gather(*tasks)
    assert now() == 0.0


@virtual
async def test_nobody_waits_for_nothing():
    """Without a line there is nothing to wait for."""
    pacing = limiter(concurrency=7).pacing()
    assert (pacing.in_flight, pacing.window, pacing.cooldown_s, pacing.outage) == (0, 7, 0.0, None)
    assert (pacing.requests_per_minute, pacing.bound_by, pacing.why) == (None, None, None)


@pytest.mark.parametrize(
    ("limits", "bound_by", "why"),
    [
        ({"concurrency": 1}, "window", "as many requests are in flight as may be: 1"),
        ({"requests_per_minute": 1200.0}, "requests_per_minute", "quota of 1,200 requests/min"),
        ({"tokens_per_minute": 2_000_000.0}, "tokens_per_minute", "quota of 2,000,000 tokens/min"),
    ],
)
def test_what_everybody_waits_for_is_said(limits, bound_by, why):
    """Each limit names itself."""

    async def main():
        gate = limiter(**limits)
        await waiting(gate, 2, lasts_s=1.0, tokens=1000)
        return gate.pacing()

    pacing = run(main())
    assert (pacing.bound_by, pacing.why) == (bound_by, why)


@virtual
async def test_a_refusal_and_what_it_taught_are_said():
    """First the cooldown, then the pace that was learned."""
    gate = limiter()
    for _ in range(20):
        admission = await one(gate, lasts_s=0.1)
    gate.refused(admission, None)
    tasks = await waiting(gate, 20)
    assert (gate.pacing().bound_by, gate.pacing().why) == ("cooldown", "the gateway refuses: 429")
    await asyncio.sleep(0.3)
    pacing = gate.pacing()
    assert pacing.bound_by == "learned_pace"
    assert pacing.why.startswith("the gateway refuses more than about ")
    await asyncio.gather(*tasks)


@virtual
async def test_an_outage_is_said():
    """Why, since when, and when the next probe leaves."""
    gate = limiter()
    await opened(gate)
    await waiting(gate)
    await asyncio.sleep(2)
    pacing = gate.pacing()
    assert (pacing.bound_by, pacing.why) == ("outage", "the gateway is down: 503 from the gateway")
    assert (pacing.outage.lasted_s, pacing.outage.probe_in_s) == (2.0, 2.0)
    assert gate.outage() == pacing.outage
