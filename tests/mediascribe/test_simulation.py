"""Whole runs in virtual time: limiter, breaker and retry policy against gateways that tell nobody their quota."""

import asyncio
import random

import pytest
from hidden_quotas import AtOnce, Bucket, EachSecond, Gateway, Sliding
from virtual_time import run

from mediascribe import retry
from mediascribe.domain import Failure
from mediascribe.errors import AttemptError, OutageError, RateLimitedError, TransientError
from mediascribe.job_sections import LimitsSection, RetrySection
from mediascribe.limiter import Limiter

pytestmark = pytest.mark.wide


def failure(error_class):
    return Failure(error_class=error_class, message=error_class)


async def attempt(limiter, share, gateway, row):
    """One attempt, judged as `attempts.py` does."""
    async with limiter.slot() as admission:
        share.sent()
        status = await gateway.ask()
    if status == 200:
        limiter.succeeded(admission)
    elif status == 429:
        limiter.refused(admission, None)
        raise RateLimitedError(failure("rate_limit"))
    elif limiter.failed(row, "503"):
        raise OutageError(failure("server"))
    else:
        raise TransientError(failure("server"))


async def describe(rows, limiter, gateway, *, workers):
    """Ask about *rows*; how many failed, and when the last one ended."""
    loop = asyncio.get_running_loop()
    share = retry.RetryShare(RetrySection().share, clock=loop.time)
    failed = 0

    async def work():
        nonlocal failed
        for row in rows:
            try:
                async for each in retry.policy(RetrySection(), share=share):
                    with each:
                        await attempt(limiter, share, gateway, row)
            except AttemptError:
                failed += 1

    await asyncio.gather(*(work() for _ in range(workers)))
    return failed, loop.time()


def whole_run(gateway, rows, *, workers=200, **limits):
    async def main():
        limiter = Limiter(LimitsSection(**limits), clock=asyncio.get_running_loop().time, jitter=lambda: 0.5)
        return await describe(iter(range(rows)), limiter, gateway, workers=workers)

    return run(main())


async def steady(gateway, until, *, quotas=(), jitter=lambda: 0.5, **limits):
    """Ask without end until then; *quotas* are (time, requests a second) from then on."""
    loop = asyncio.get_running_loop()
    limiter = Limiter(LimitsSection(**limits), clock=loop.time, jitter=jitter)

    def rows():
        number = 0
        while loop.time() < until:
            yield (number := number + 1)

    async def change():
        for at, per_s in quotas:
            await asyncio.sleep(at - loop.time())
            gateway.quota.per_s = per_s

    changing = asyncio.create_task(change())
    failed, _ = await describe(rows(), limiter, gateway, workers=200)
    await changing
    return failed


def share_of_refusals(gateway, start, end):
    return gateway.refused(start, end) / gateway.taken(start, end)


# The table of reliability notes 3.1: 20,000 rows, 20 requests a second at most, down for 120 s; at best 1,120 s.
OUTAGE = (300.0, 420.0)


def test_an_unknown_limit_and_an_outage_fail_no_row():
    """Row F: 0 rows failed, 1.09 of the best time, 1.03 calls a row, 222 refusals, 314 calls in the outage at most."""
    gateway = Gateway(Bucket(20.0), outages=(OUTAGE,))
    failed, took_s = whole_run(gateway, 20_000, concurrency="auto")
    assert failed == 0
    assert took_s <= 1.09 * 1120
    assert gateway.calls.total() <= 1.03 * 20_000
    assert gateway.calls["refused"] <= 222
    assert gateway.calls["outage"] <= 314


@pytest.mark.long
def test_a_known_limit_is_never_refused():
    """Row H: 0 rows failed, 0 refusals, at most 1.03 of the time at best, 83 calls in the outage, 1.00 calls a row."""
    gateway = Gateway(Bucket(20.0), outages=(OUTAGE,))
    failed, took_s = whole_run(gateway, 20_000, concurrency=200, requests_per_minute=1200.0)
    assert (failed, gateway.calls["refused"]) == (0, 0)
    assert took_s <= 1.03 * 1120
    assert gateway.calls.total() <= 1.005 * 20_000
    assert gateway.calls["outage"] <= 83


@pytest.mark.long
def test_a_window_of_a_minute_is_used_up_too():
    """The same with 6,000 rows against a window that is full for most of its first minute; at best 420 s."""
    gateway = Gateway(Sliding(20.0), outages=((100.0, 220.0),))
    failed, took_s = whole_run(gateway, 6000, concurrency=200)
    assert failed == 0
    assert took_s <= 1.09 * 420
    assert gateway.calls["refused"] <= 0.03 * 6000


def test_every_outage_ends_with_a_probe():
    """The first success comes 5 s and a round trip after the gateway is back, at the latest."""
    gateway = Gateway(Bucket(20.0), outages=((30.0, 90.0),))
    failed, _ = whole_run(gateway, 2500, concurrency="auto")
    assert failed == 0
    assert gateway.taken(90, 96) > 0


@pytest.mark.parametrize("quota", [Bucket, EachSecond])
@pytest.mark.long
def test_a_hidden_quota_is_found_in_half_a_minute(quota):
    """85 % of it from then on, over 90 % in the long run, with less than 1 % refused."""
    gateway = Gateway(quota(20.0))
    assert run(steady(gateway, 300, concurrency="auto")) == 0
    assert gateway.taken(30, 60) >= 0.85 * 30 * 20
    assert gateway.taken(60, 300) >= 0.9 * 240 * 20
    assert share_of_refusals(gateway, 60, 300) < 0.01


@pytest.mark.long
def test_a_hidden_window_of_a_minute_is_used_in_every_minute():
    """90 % of each minute's quota, with less than 1 % refused after the first."""
    gateway = Gateway(Sliding(20.0))
    assert run(steady(gateway, 300, concurrency="auto")) == 0
    assert gateway.taken(0, 60) >= 0.9 * 60 * 20
    assert gateway.taken(60, 300) >= 0.9 * 240 * 20
    assert share_of_refusals(gateway, 60, 300) < 0.01


@pytest.mark.parametrize("quota", [Bucket, EachSecond])
@pytest.mark.long
def test_a_quota_that_halves_and_doubles_is_found_again(quota):
    """Half a minute after each change at least 85 % of the new quota is used."""
    gateway = Gateway(quota(20.0))
    assert run(steady(gateway, 360, concurrency="auto", quotas=((120, 10.0), (240, 20.0)))) == 0
    assert gateway.taken(150, 180) >= 0.85 * 30 * 10
    assert gateway.taken(180, 240) >= 0.9 * 60 * 10
    assert gateway.taken(270, 300) >= 0.85 * 30 * 20
    assert gateway.taken(300, 360) >= 0.9 * 60 * 20


def shares_by_the_second(per_s, seed):
    """Of a hidden quota by the second, halved after 50 s and doubled after 50 more: the shares used from 30 s on.

    The last of the four is that of the refusals, from the start on.
    """
    dice = random.Random(seed)  # noqa: S311 - the same run each time
    gateway = Gateway(Sliding(per_s, length_s=1.0), latency_s=(0.2, 0.3), dice=dice)
    halved_at = 49.0 + dice.random()
    changes = (halved_at, per_s / 2), (halved_at + 50, per_s)
    assert run(steady(gateway, 150, quotas=changes, jitter=dice.random, concurrency="auto"), late_s=0.0005) == 0
    used = [gateway.taken(start, start + 19) / 19 for start in (30, 80, 130)]
    return used[0] / per_s, used[1] / per_s * 2, used[2] / per_s, share_of_refusals(gateway, 0, 150)


@pytest.mark.parametrize(
    "per_s", [30.0, *(pytest.param(each, marks=pytest.mark.long) for each in (10.0, 100.0, 500.0))]
)
def test_a_hidden_quota_by_the_second_is_found_halved_and_doubled_within_half_a_minute(per_s):
    """In each of the three windows 92 % of it in the mean of several runs, and less than 1 % of each run refused."""
    runs = [shares_by_the_second(per_s, seed) for seed in range(2 if per_s > 100 else 4)]
    for used in zip(*(each[:3] for each in runs), strict=True):
        assert sum(used) / len(used) >= 0.92
        assert min(used) >= 0.88
    assert max(each[3] for each in runs) < 0.01


@pytest.mark.long
def test_a_window_of_a_minute_that_halves_and_doubles_is_used_up_again():
    """What the window still holds counts: 600 in any minute after the change, 1,200 after the next."""
    gateway = Gateway(Sliding(20.0))
    assert run(steady(gateway, 420, concurrency="auto", quotas=((120, 10.0), (240, 20.0)))) == 0
    assert gateway.taken(150, 240) >= 0.85 * 90 * 10
    assert gateway.taken(270, 420) >= 0.85 * 150 * 20


@pytest.mark.long
def test_places_at_once_are_found_too():
    """A gateway that answers 40 at a time: 75 % of that at least, with less than 1 % refused."""
    gateway = Gateway(AtOnce(40))
    assert run(steady(gateway, 240, concurrency="auto")) == 0
    assert gateway.taken(60, 240) >= 0.75 * 180 * 40 / 2
    assert share_of_refusals(gateway, 60, 240) < 0.01


def test_a_quota_of_a_few_a_minute_is_used_up():
    """Five a minute: three quarters of them in ten minutes, and no more refusals than answers."""
    gateway = Gateway(Sliding(5 / 60))
    assert run(steady(gateway, 600, concurrency="auto")) == 0
    assert gateway.taken(0, 600) >= 0.75 * 50
    assert gateway.calls["refused"] <= gateway.calls["answered"]


@pytest.mark.long
def test_a_gateway_that_refuses_everything_for_an_hour_is_tried_and_found_again():
    """Each minute a request or two; when it answers again, the pace is back within five minutes."""
    gateway = Gateway(Bucket(20.0))
    assert run(steady(gateway, 4500, concurrency="auto", quotas=((60, 1e-9), (3660, 20.0)))) == 0
    assert gateway.refused(120, 3660) <= 3600 / 60 * 2
    assert gateway.taken(3960, 4500) >= 0.9 * 540 * 20


def test_poison_rows_fail_alone():
    """Every fiftieth row meets a 500, four times: only these fail, and the gateway never counts as down."""
    gateway = Gateway(Bucket(50.0))

    async def main():
        loop = asyncio.get_running_loop()
        limiter = Limiter(LimitsSection(concurrency=50), clock=loop.time)
        outages, healthy = [], gateway.ask

        async def describe_poisoned(row):
            async with limiter.slot() as admission:
                status = 500 if row % 50 == 0 else await healthy()
            if status == 200:
                return limiter.succeeded(admission)
            return outages.append(limiter.failed(row, "500"))

        await asyncio.gather(*(describe_poisoned(row) for row in range(1000)))
        return outages

    assert run(main()) == [False] * 20


@pytest.mark.parametrize("per_minute", [600.0, 6000.0, 30_000.0])
@pytest.mark.long
def test_a_quota_is_used_although_timers_are_late(per_minute):
    """With timers 1 ms late, a steady minute holds 98 % of the quota at least, and never more than all of it."""

    async def main():
        loop, left = asyncio.get_running_loop(), []
        gate = Limiter(LimitsSection(requests_per_minute=per_minute, concurrency=1000), clock=loop.time)

        async def work():
            while loop.time() < 125:
                async with gate.slot() as admission:
                    left.append(admission.at)
                    await asyncio.sleep(0.5)

        await asyncio.gather(*(work() for _ in range(400)))
        return left

    left = run(main(), late_s=0.001)
    for start in (0.0, 30.0, 60.0):
        minute = sum(start <= at < start + 60 for at in left)
        assert 0.98 * per_minute <= minute <= per_minute
