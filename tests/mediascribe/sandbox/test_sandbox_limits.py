"""Windows and buckets, with the clock in the test's hand, and what a behaviour makes of them."""

from __future__ import annotations

from collections import deque
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mediascribe.sandbox import rate_headers
from mediascribe.sandbox.behaviour import Behaviour, Fault
from mediascribe.sandbox.conduct import Conduct
from mediascribe.sandbox.limits import Bucket, Level, Window
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


def test_a_window_tells_its_level(clock):
    """What is left, and when all of it is there again: a window's length after the last unit was taken."""
    window = Window(10, clock=clock, length_s=20)
    assert window.level() == Level(remaining=10, reset_s=0)
    window.take(3)
    clock.now += 5
    window.take(4)
    clock.now += 6
    assert window.level() == Level(remaining=3, reset_s=14)
    clock.now += 9  # the first three are 20 s old
    assert window.level() == Level(remaining=6, reset_s=5)


def test_bucket_refills_evenly(clock):
    """A bucket of 10 at 2 a second: full at first, and 2 more for each second that it is not full."""
    bucket = Bucket(10, 2, clock=clock)
    assert bucket.take(10) == 0
    assert bucket.take(1) == 0.5
    clock.now += 3
    assert bucket.level() == Level(remaining=6, reset_s=2)
    assert bucket.take(6) == 0
    clock.now += 100
    assert bucket.take(11) == 0  # more than it can hold: passes when it is full
    assert bucket.take(1) == 1  # one is still owed


@settings(max_examples=40)
@given(steps=st.lists(st.tuples(st.floats(0, 5), st.integers(1, 7)), max_size=60))
def test_no_stretch_passes_more_than_a_bucket_holds_and_gains(steps):
    """From any request to any other no more is admitted than the capacity and what was refilled meanwhile."""
    clock = Clock()
    bucket = Bucket(7, 1.5, clock=clock)
    admitted: list[tuple[float, int]] = []
    for step, units in steps:
        clock.now += step
        if bucket.take(units) == 0:
            admitted.append((clock.now, units))
        for place, (since, _) in enumerate(admitted):
            assert sum(units for _, units in admitted[place:]) <= 7 + 1.5 * (clock.now - since) + 1e-3


def test_a_wait_that_was_told_is_enough(clock):
    """Whoever waits as long as it was told is admitted, though fractions add up badly."""
    bucket = Bucket(1, 0.1, clock=clock)
    for _ in range(50):
        assert bucket.take(1) == 0
        wait_s = bucket.take(1)
        assert wait_s > 0
        clock.now += wait_s


def test_the_length_of_a_window_is_told(clock):
    """600 a minute by the second are 10 in any second."""
    conduct = Conduct(Behaviour(requests_per_minute=600, window_s=1, retry_after=True), clock=clock)
    for _ in range(10):
        conduct.admit_request()
    with pytest.raises(RefusedError) as refused:
        conduct.admit_request()
    assert refused.value.retry_after_s == 1
    clock.now += 1
    conduct.admit_request()


def test_a_bucket_saves_up(clock):
    """600 a minute in a bucket of 2 s: 20 at once, then one each 0.1 s."""
    conduct = Conduct(Behaviour(requests_per_minute=600, window_s=2, limiter="bucket"), clock=clock)
    for _ in range(20):
        conduct.admit_request()
    with pytest.raises(RefusedError):
        conduct.admit_request()
    clock.now += 0.1
    conduct.admit_request()
    with pytest.raises(RefusedError):
        conduct.admit_request()


def test_a_day_is_a_day(clock):
    """The third of two a day is refused for 24 h; a request that the day refuses is none of the minute's."""
    conduct = Conduct(Behaviour(requests_per_day=2, requests_per_minute=3, retry_after=True), clock=clock)
    conduct.admit_request()
    conduct.admit_request()
    with pytest.raises(RefusedError) as refused:
        conduct.admit_request()
    assert refused.value.retry_after_s == 86_400
    clock.now += 86_400
    conduct.admit_request()


def test_requests_at_a_time(clock):
    """The third of two at a time is refused, until one has left."""
    conduct = Conduct(Behaviour(max_in_flight=2), clock=clock)
    conduct.enter()
    conduct.enter()
    with pytest.raises(RefusedError) as refused:
        conduct.enter()
    assert "Too many concurrent requests." in refused.value.reply("r1").body.decode()
    conduct.leave()
    conduct.enter()


def test_an_outage_has_a_time(clock):
    """Down from 10 s on, for 60 s, and in its own way."""
    conduct = Conduct(Behaviour(outage_s=60, outage_after_s=10, outage="reset_before"), clock=clock)
    told = []
    for step in (0, 9.9, 0.1, 59.9, 0.1):
        clock.now += step
        told.append(conduct.outage())
    assert told == [None, None, "reset_before", "reset_before", None]
    assert Conduct(Behaviour(), clock=clock).outage() is None


def test_openai_tells_what_is_left(clock):
    """The limits by the minute, what is left, and a duration; a 429 says the same."""
    quota = Behaviour(requests_per_minute=60, tokens_per_minute=1000, rate_headers="openai")
    conduct = Conduct(quota, clock=clock)
    conduct.admit_request()
    conduct.admit_tokens(300)
    assert conduct.headers() == {
        "x-ratelimit-limit-requests": "60",
        "x-ratelimit-remaining-requests": "59",
        "x-ratelimit-reset-requests": "1m0s",
        "x-ratelimit-limit-tokens": "1000",
        "x-ratelimit-remaining-tokens": "700",
        "x-ratelimit-reset-tokens": "1m0s",
    }


def test_the_day_is_told_where_no_minute_is():
    """Requests by the day stand under the same name; limits that are not there are not told."""
    conduct = Conduct(Behaviour(requests_per_day=5, rate_headers="openai"))
    assert conduct.headers() == {
        "x-ratelimit-limit-requests": "5",
        "x-ratelimit-remaining-requests": "5",
        "x-ratelimit-reset-requests": "0ms",
    }
    assert Conduct(Behaviour(requests_per_minute=5)).headers() == {}


@pytest.mark.parametrize(
    ("seconds", "told"),
    [(0, "0ms"), (0.0171, "18ms"), (0.9995, "1s"), (1.5, "1.5s"), (60, "1m0s"), (359.9996, "6m0s"), (86400, "1440m0s")],
)
def test_durations_are_openais(seconds, told):
    """Milliseconds, seconds, or minutes and seconds, never less than there is to wait."""
    assert rate_headers.duration(seconds) == told


def test_anthropic_tells_a_moment(clock):
    """The reset is a moment in RFC 3339, of whole seconds."""
    conduct = Conduct(Behaviour(requests_per_minute=60, rate_headers="anthropic"), clock=clock)
    conduct.admit_request()
    before = datetime.now(UTC)
    headers = conduct.headers()
    told = datetime.fromisoformat(headers.pop("anthropic-ratelimit-requests-reset"))
    assert timedelta(seconds=60) <= told - before <= timedelta(seconds=62)
    assert headers == {"anthropic-ratelimit-requests-limit": "60", "anthropic-ratelimit-requests-remaining": "59"}


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
