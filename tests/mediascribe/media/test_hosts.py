"""Turns at hosts: how many at a time, when again, and when a host counts as down. The tests own the clock."""

from __future__ import annotations

import asyncio

import pytest

from mediascribe.domain import Failure
from mediascribe.errors import MediaError
from mediascribe.job_sections import MediaSection
from mediascribe.media import hosts as hosts_module
from mediascribe.media.hosts import DOWN, Hosts


class Time:
    """A clock that only sleepers move."""

    def __init__(self):
        self.now = 1000.0
        self.slept = []

    def __call__(self):
        return self.now

    async def sleep(self, wait_s):
        self.slept.append(wait_s)
        self.now += wait_s


@pytest.fixture
def time():
    return Time()


def open_hosts(time, **section):
    return Hosts(MediaSection(**section), clock=time, sleep=time.sleep)


def failure(error_class="server", message="HTTP 500 at http://a.example/x", code=None):
    return MediaError(Failure(error_class=error_class, message=message, code=code, unasked=True))


async def fail(hosts, name="a.example", *, again=False, **changes):
    with pytest.raises(MediaError) as caught:
        async with hosts.turn(name, again=again):
            raise failure(**changes)
    return caught.value.failure


async def succeed(hosts, name="a.example"):
    async with hosts.turn(name):
        pass


async def crowd(hosts, names):
    """How many had their turn at once when all who could had it."""
    there, everybody, gate = [], [], asyncio.Event()

    async def visit(name):
        async with hosts.turn(name):
            there.append(name)
            await gate.wait()

    everybody = [asyncio.create_task(visit(name)) for name in names]
    for _ in range(20):
        await asyncio.sleep(0)
    at_once = list(there)
    gate.set()
    await asyncio.gather(*everybody)
    assert sorted(there) == sorted(names)
    return at_once


async def test_a_host_has_few_visitors_at_a_time(time):
    """`per_host` is the most, and all get their turn in the end."""
    assert len(await crowd(open_hosts(time, per_host=3), ["a.example"] * 10)) == 3


async def test_all_hosts_share_the_room(time):
    """`concurrency` is the most in all."""
    names = [f"{number}.example" for number in range(10)]
    assert len(await crowd(open_hosts(time, per_host=8, concurrency=4), names)) == 4


async def test_those_in_line_at_one_host_take_no_room_from_others(time):
    """A host with a long line leaves the rest of the room free."""
    at_once = await crowd(open_hosts(time, per_host=2, concurrency=3), ["slow.example"] * 5 + ["b.example"])
    assert sorted(at_once) == ["b.example", "slow.example", "slow.example"]


async def test_a_host_that_is_well_is_forgotten(time):
    """A manifest may have a million hosts."""
    hosts = open_hosts(time)
    for number in range(100):
        await succeed(hosts, f"{number}.example")
    assert len(hosts) == 0


async def test_only_the_latest_hosts_in_trouble_are_remembered(time, monkeypatch):
    """The one that was in trouble longest ago is forgotten first."""
    monkeypatch.setattr(hosts_module, "REMEMBERED", 3)
    hosts = open_hosts(time)
    for _ in range(5):
        for name in ("a.example", "b.example", "c.example"):
            await fail(hosts, name)
    await fail(hosts, "d.example")
    assert len(hosts) == 3
    await succeed(hosts, "a.example")
    assert (await fail(hosts, "b.example")).code == DOWN


async def test_a_host_that_fails_five_media_is_down(time):
    """The next ones fail fast, and are told since when, why, and what will become of them."""
    hosts = open_hosts(time)
    for _ in range(5):
        assert (await fail(hosts)).code is None
        time.now += 1
    told = await fail(hosts)
    assert (told.error_class, told.code, told.status) == ("network", DOWN, "skipped")
    assert told.message == (
        "a.example has been failing for 5 s (HTTP 500 at http://a.example/x): it is tried every 10 s,"
        " and this medium by the next run"
    )


async def test_other_hosts_are_not_down(time):
    """Each host has its own breaker."""
    hosts = open_hosts(time)
    for _ in range(5):
        await fail(hosts)
    await succeed(hosts, "b.example")


async def test_a_host_that_is_down_is_tried_every_ten_seconds(time):
    """One medium at a time finds out; the others go on failing fast."""
    hosts = open_hosts(time)
    for _ in range(5):
        await fail(hosts)
    time.now += 9.9
    assert (await fail(hosts)).code == DOWN
    time.now += 0.1
    async with hosts.turn("a.example"):
        assert (await fail(hosts)).code == DOWN
    await succeed(hosts)


async def test_a_failed_try_keeps_it_down(time):
    """The next one is ten seconds later."""
    hosts = open_hosts(time)
    for _ in range(5):
        await fail(hosts)
    time.now += 10
    assert (await fail(hosts)).code is None
    assert (await fail(hosts)).code == DOWN
    time.now += 10
    await succeed(hosts)
    assert len(hosts) == 0


async def test_those_in_line_fail_fast_too(time):
    """A line of a thousand at a dead host is through at once."""
    hosts, entered = open_hosts(time, per_host=1), []

    async def visit():
        async with hosts.turn("a.example"):
            entered.append(1)
            await asyncio.sleep(0)
            raise failure()

    ends = await asyncio.gather(*(visit() for _ in range(50)), return_exceptions=True)
    assert len(entered) == 5
    assert [end.failure.code for end in ends] == [None] * 5 + [DOWN] * 45


@pytest.mark.parametrize("error_class", ["server", "network", "timeout", "rate_limit"])
async def test_what_may_pass_counts_against_the_host(error_class):
    """Four classes say that a later look may find better."""
    hosts = open_hosts(Time())
    for _ in range(5):
        await fail(hosts, error_class=error_class)
    assert (await fail(hosts)).code == DOWN


async def test_a_missing_medium_is_a_good_answer(time):
    """A host that says 404 is up, and so is one whose medium is too long."""
    hosts = open_hosts(time)
    for _ in range(4):
        await fail(hosts)
    await fail(hosts, error_class="media")
    for _ in range(4):
        assert (await fail(hosts)).code is None
    await succeed(hosts)


async def test_one_bad_medium_says_little_about_its_host(time):
    """Its second failure does not count, so that few bad media do not close a host."""
    hosts = open_hosts(time)
    for _ in range(4):
        await fail(hosts)
        await fail(hosts, again=True)
    assert (await fail(hosts)).code is None
    assert (await fail(hosts)).code == DOWN


async def test_the_wait_that_a_host_asks_for_is_kept(time):
    """Nobody goes there earlier; others go elsewhere meanwhile."""
    hosts = open_hosts(time)
    async with hosts.turn("a.example") as turn:
        turn.told_to_wait(30)
    assert len(hosts) == 1
    await succeed(hosts, "b.example")
    assert time.slept == []
    await succeed(hosts, "a.example")
    assert time.slept == [30]
    assert len(hosts) == 0


async def test_no_wait_is_longer_than_a_minute(time):
    """A host may ask for a day; its media are tried again before that, or by the next run."""
    hosts = open_hosts(time)
    async with hosts.turn("a.example") as turn:
        turn.told_to_wait(86_400)
    await succeed(hosts)
    assert time.slept == [60]


async def test_a_shorter_wait_does_not_cut_a_longer_one(time):
    """The longest counts."""
    hosts = open_hosts(time)
    async with hosts.turn("a.example") as turn:
        turn.told_to_wait(30)
        turn.told_to_wait(1)
    await succeed(hosts)
    assert time.slept == [30]


async def test_one_refusal_of_many_at_once_counts_once(time):
    """Eight on the way meet the same limit: that host is busy, not down."""
    hosts, everybody = open_hosts(time, per_host=8), asyncio.Barrier(8)

    async def visit():
        async with hosts.turn("a.example") as turn:
            await everybody.wait()
            time.now += 0.01
            turn.told_to_wait(5)
            raise failure("rate_limit")

    for round_number in range(5):
        ends = await asyncio.gather(*(visit() for _ in range(8)), return_exceptions=True)
        assert [end.failure.code for end in ends] == [None] * 8, round_number
        time.now += 5
    assert (await fail(hosts)).code == DOWN


async def test_who_is_cancelled_in_turn_or_in_line_leaves_no_trace(time):
    """Its place is free, and the host is none the worse."""
    hosts = open_hosts(time, per_host=1)

    async def visit():
        async with hosts.turn("a.example"):
            await asyncio.Event().wait()

    tasks = [asyncio.create_task(visit()) for _ in range(3)]
    await asyncio.sleep(0)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    await succeed(hosts)
    assert len(hosts) == 0
