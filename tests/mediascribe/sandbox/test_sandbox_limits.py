"""The windows, with the clock in the test's hand, and what a behaviour makes of them."""

from __future__ import annotations

from collections import deque

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mediascribe.sandbox.behaviour import Behaviour, Fault
from mediascribe.sandbox.conduct import Conduct
from mediascribe.sandbox.limits import Window
from mediascribe.sandbox.refusals import RefusedError


class Clock:
    """A clock that stands still until it is moved."""

    def __init__(self):
        self.now = 1000.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock() -> Clock:
    """A clock to move."""
    return Clock()


def test_window_fills_and_empties(clock):
    """The third of two is refused until the first is a minute old."""
    window = Window(2, clock=clock)
    assert window.take() == 0
    clock.now += 10
    assert window.take() == 0
    assert window.take() == 50
    clock.now += 49.5
    assert window.take() == 0.5
    clock.now += 0.5
    assert window.take() == 0
    assert window.take() == 10


def test_large_units_wait_for_room(clock):
    """Many units wait until enough old ones are gone."""
    window = Window(100, clock=clock)
    assert window.take(60) == 0
    clock.now += 5
    assert window.take(30) == 0
    assert window.take(80) == 60  # both must go: at 1065
    assert window.take(50) == 55


def test_more_than_the_limit_passes_an_empty_window(clock):
    """A request larger than the limit is admitted alone."""
    window = Window(100, clock=clock)
    assert window.take(500) == 0
    assert window.take(1) == 60
    clock.now += 60
    assert window.take(500) == 0


@settings(max_examples=40)
@given(limit=st.integers(1, 10), steps=st.lists(st.floats(0, 20), max_size=60))
def test_no_minute_holds_more(limit, steps):
    """No 60 s hold more than the limit, whenever requests come."""
    clock = Clock()
    window = Window(limit, clock=clock)
    admitted: deque[float] = deque()
    for step in steps:
        clock.now += step
        if window.take() == 0:
            admitted.append(clock.now)
        assert sum(clock.now - 60 < at for at in admitted) <= limit


def test_requests_are_refused(clock):
    """A full minute is a 429 with the gateway's message, and without Retry-After."""
    conduct = Conduct(Behaviour(requests_per_minute=1), clock=clock)
    conduct.admit_request()
    with pytest.raises(RefusedError) as refused:
        conduct.admit_request()
    reply = refused.value.reply("r1")
    assert reply.status == 429
    assert "1分钟内最多请求1次 (request id: r1)" in reply.body.decode()
    assert reply.headers == {}


def test_retry_after_and_empty_body(clock):
    """A behaviour may send Retry-After, rounded up, and an empty body."""
    conduct = Conduct(Behaviour(requests_per_minute=1, retry_after=True, empty_429=True), clock=clock)
    conduct.admit_request()
    clock.now += 0.5
    with pytest.raises(RefusedError) as refused:
        conduct.admit_request()
    reply = refused.value.reply("r1")
    assert (reply.status, reply.body, reply.headers) == (429, b"", {"Retry-After": "60"})


def test_tokens_are_refused(clock):
    """A full minute of tokens is a 429 in an upstream's words."""
    conduct = Conduct(Behaviour(tokens_per_minute=100), clock=clock)
    conduct.admit_tokens(70)
    with pytest.raises(RefusedError) as refused:
        conduct.admit_tokens(31)
    assert "Resource has been exhausted" in refused.value.reply("r1").body.decode()
    conduct.admit_tokens(30)


def test_no_limits():
    """Without limits everything is admitted."""
    conduct = Conduct(Behaviour())
    for _ in range(100):
        conduct.admit_request()
        conduct.admit_tokens(10**9)


def test_faults_in_order():
    """The first fault that is drawn is played; `times` and `skip` are kept."""
    conduct = Conduct(Behaviour(faults=(Fault("stall", 0.0), Fault("panic", times=2, skip=1), Fault("http_500"))))
    assert [conduct.fault(number) for number in range(1, 6)] == ["http_500", "panic", "panic", "http_500", "http_500"]


def test_draws_are_repeatable():
    """The same seed draws the same; another seed draws otherwise; a rate is kept on the whole."""

    def drawn(seed):
        conduct = Conduct(Behaviour(faults=(Fault("panic", 0.3),), seed=seed))
        return [conduct.fault(number) for number in range(1000)]

    assert drawn(1) == drawn(1)
    assert drawn(1) != drawn(2)
    assert 250 < sum(fault is not None for fault in drawn(1)) < 350


def test_latency_has_jitter():
    """Latency lies between its floor and its floor with all of the jitter."""
    conduct = Conduct(Behaviour(latency_s=1.0, jitter_s=0.5))
    times = {conduct.latency_s(number) for number in range(20)}
    assert len(times) == 20
    assert all(1.0 <= time < 1.5 for time in times)
