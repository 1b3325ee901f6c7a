"""A limiter goes by shares that change and end, a budget by envelopes; neither lets a burst through."""

import asyncio
from datetime import UTC, datetime

import pytest
from fleets import now
from hypothesis import given, settings
from hypothesis import strategies as st
from virtual_time import run, virtual

from mediascribe.budget import Budget
from mediascribe.errors import SpentError
from mediascribe.job_sections import BudgetSection, LimitsSection
from mediascribe.lanes import SHARED, Lanes, Share
from mediascribe.limiter import Limiter
from mediascribe.quota import SPAN_S, Quota, Quotas
from mediascribe.spending import Spend

DAY = datetime(2026, 11, 23, tzinfo=UTC)


def limiter(**limits):
    return Limiter(LimitsSection(**limits), clock=asyncio.get_running_loop().time, jitter=lambda: 0.0)


async def asking(gate, left, until, *, lasts_s=0.1, tokens=0):
    """Ask without end; notes when each one left."""
    while now() < until:
        async with gate.slot(tokens) as admission:
            left.append(admission.at)
            await asyncio.sleep(lasts_s)


async def crowd(gate, until, count=20, **request):
    """When those left who asked until then; those who wait for ever are sent home."""
    left = []
    tasks = [asyncio.create_task(asking(gate, left, until, **request)) for _ in range(count)]
    await asyncio.sleep(until - now())
    gate.close()
    await asyncio.gather(*tasks)
    return [at for at in left if at < until]


RATE = st.sampled_from([0.0, 6.0, 60.0, 240.0])
RATES = st.lists(st.tuples(st.floats(1.0, 12.0), RATE), min_size=1, max_size=8)


@settings(max_examples=25, deadline=None)
@given(RATES)
def test_what_leaves_is_never_more_than_the_shares_come_to(rates):
    """Shares that change every few seconds, also to nothing: between any times no more than they allow, and one."""
    quotas, at, left, lent = Quotas(LimitsSection(), 1.0), 0.0, [], []
    quotas.hold(0.0)
    for lasts_s, rate in rates:
        quotas.allow(at, rate, None)
        lent.append((at, at + lasts_s, rate))
        end = at + lasts_s
        while (ready_at := max(at, quotas.ready_at(at, 0)[0])) < end:
            at = ready_at
            quotas.take(at, 0, waited=True)
            left.append(at)
        at = end
    step = max(1, len(left) // 12)
    for first in range(0, len(left), step):
        for last in range(first, len(left), step):
            start, stop = left[first], left[last]
            allowed = sum(
                rate / SPAN_S * max(0.0, min(to, stop) - max(since, start - 0.25)) for since, to, rate in lent
            )
            assert last - first + 1 <= allowed + 1.01


def test_a_correction_weighs_as_much_as_the_units_that_it_corrects():
    """1,000 leave at 1,000 a minute, after 10 s the share falls to a tenth, 500 come back: the rest is owed, slowly."""
    quota = Quota(1000.0, 0.25)
    quota.take(0.0, 1000, waited=True)
    quota.allow(10.0, 100.0)
    owed = 1000 - 10 * 1000 / SPAN_S
    assert quota.ready_at(10.0, 1) == pytest.approx(10 + owed * SPAN_S / 100)
    quota.correct(0.0, -500)
    assert quota.ready_at(10.0, 1) == pytest.approx(10 + (owed - 500) * SPAN_S / 100)


def test_time_without_a_share_earns_nothing():
    """Owed when it was taken away, owed when it comes back."""
    quota = Quota(60.0, 0.25)
    quota.take(0.0, 10, waited=True)
    quota.hold(1.0)
    assert quota.ready_at(5.0, 1) == float("inf")
    quota.allow(100.0, 60.0)
    assert quota.ready_at(100.0, 1) == pytest.approx(99.0 + 10 * SPAN_S / 60)


@virtual
async def test_a_larger_share_is_used_at_once_and_evenly():
    """From 1 to 10 a second: no burst at the change, and the new pace from then on."""
    gate = limiter(requests_per_minute=60_000.0)
    gate.allow(requests_per_minute=60.5, tokens_per_minute=None, until=100.0)
    asked = asyncio.create_task(crowd(gate, 20.0))
    await asyncio.sleep(10.0)
    gate.allow(requests_per_minute=605.0, tokens_per_minute=None, until=100.0)
    left = await asked
    assert sum(at < 10.0 for at in left) in {9, 10}
    assert sum(10.0 <= at < 11.0 for at in left) in {10, 11}
    assert sum(10.0 <= at < 20.0 for at in left) == pytest.approx(100, abs=2)


@virtual
async def test_nothing_leaves_after_a_share_has_ended():
    """It says what it waits for, goes on with the next share, and what was missed is not caught up."""
    gate = limiter()
    gate.allow(requests_per_minute=605.0, tokens_per_minute=None, until=5.0)
    asked = asyncio.create_task(crowd(gate, 30.0))
    await asyncio.sleep(10.0)
    assert (gate.pacing().bound_by, gate.pacing().why) == ("requests_per_minute", "waiting for a share of the quota")
    await asyncio.sleep(10.0)
    gate.allow(requests_per_minute=605.0, tokens_per_minute=None, until=100.0)
    await asyncio.sleep(1.0)
    assert gate.pacing().why == "share of the quota: 605 requests/min"
    left = await asked
    assert sum(5.0 <= at < 20.0 for at in left) == 0
    assert sum(20.0 <= at < 30.0 for at in left) == pytest.approx(100, abs=2)


@virtual
async def test_a_share_of_nothing_lets_nothing_leave():
    """And one without a number lets everything leave that has a place."""
    gate = limiter(concurrency=5)
    gate.allow(requests_per_minute=0.0, tokens_per_minute=None, until=100.0)
    asked = asyncio.create_task(crowd(gate, 20.0))
    await asyncio.sleep(10.0)
    gate.allow(requests_per_minute=None, tokens_per_minute=None, until=100.0)
    left = await asked
    assert sum(at < 10.0 for at in left) == 0
    assert len(left) == pytest.approx(5 * 10 / 0.1, abs=10)


@virtual
async def test_shares_of_tokens_bind_as_well():
    """Six hundred tokens a minute, a hundred each: one request in ten seconds."""
    gate = limiter()
    gate.allow(requests_per_minute=None, tokens_per_minute=605.0, until=100.0)
    asked = asyncio.create_task(crowd(gate, 45.0, tokens=100))
    await asyncio.sleep(25.0)
    assert gate.pacing().why == "share of the quota: 605 tokens/min"
    assert len(await asked) == 5


@virtual
async def test_a_refusal_teaches_a_member_no_pace():
    """The lead learns, who hears of all: the next requests leave at the share's pace once the cooldown ends."""
    gate = limiter()
    gate.allow(requests_per_minute=605.0, tokens_per_minute=None, until=100.0)
    async with gate.slot() as admission:
        gate.refused(admission, None)
    left = await crowd(gate, 10.0)
    assert gate.pacing().requests_per_minute == 605.0
    assert len(left) == pytest.approx(100, abs=5)
    assert gate.use().refused == 1


@virtual
async def test_use_is_what_left_and_what_could_leave():
    """Five leave and take 2 s each, three wait for a place; one brought fewer tokens than was thought."""
    gate = limiter(concurrency=5)
    tasks = [asyncio.create_task(asking(gate, [], 0.1, lasts_s=2.0, tokens=10)) for _ in range(8)]
    await asyncio.sleep(1.0)
    use = gate.use()
    assert (use.left, use.tokens, use.in_flight, use.waiting, use.window) == (5, 50, 5, 3, 5)
    assert (use.latency_s, use.bound_by, use.window_may_grow) == (None, "window", False)
    await asyncio.sleep(4.0)
    await asyncio.gather(*tasks)
    async with gate.slot(10) as admission:
        gate.settle(admission, 3)
    use = gate.use()
    assert (use.left, use.tokens, use.in_flight) == (9, 83, 0)
    assert use.latency_s == pytest.approx(2.0, abs=0.2)


@virtual
async def test_every_lane_has_its_share():
    """By model, the shared lane by the empty name; a lane without a share waits."""
    limits = LimitsSection(requests_per_minute=60.0, models={"own": {"requests_per_minute": 6.0}})
    lanes = Lanes(limits, clock=asyncio.get_running_loop().time)
    lanes.allow({SHARED: Share(6050.0, None)}, until=100.0)
    left = await crowd(lanes.of("any"), 5.0)
    waiting = asyncio.create_task(asking(lanes.of("own"), [], 1000.0))
    await asyncio.sleep(5.0)
    assert len(left) == pytest.approx(500, abs=10)
    assert {name: (use.left > 0, use.waiting) for name, use in lanes.uses().items()} == {
        SHARED: (True, 0),
        "own": (False, 1),
    }
    waiting.cancel()


def budget(**caps):
    return Budget(BudgetSection.model_validate(caps), None, spent=[], now=lambda: DAY)


def tokens(number):
    return Spend(0, number, 1)


async def test_who_waits_for_an_envelope_gets_it_when_it_is_refilled():
    """Not before, and never an error meanwhile."""
    purse = budget()
    purse.grant((None, 10, None))
    first = await purse.reserve(tokens(8))
    second = asyncio.create_task(purse.reserve(tokens(5)))
    await asyncio.sleep(0)
    purse.settle(first, tokens(6))
    assert not second.done()
    assert (purse.need(), purse.view().waiting) == (tokens(5), 1)
    purse.grant((None, 11, None))
    purse.settle(await second, tokens(5))
    assert purse.view().spent == Spend(0, 11, 2)


async def test_an_envelope_may_shrink_and_what_is_reserved_stays():
    """The next one waits until there is room below the smaller one."""
    purse = budget()
    purse.grant((None, 20, None))
    held = await purse.reserve(tokens(10))
    purse.grant((None, 5, None))
    waits = asyncio.create_task(purse.reserve(tokens(4)))
    await asyncio.sleep(0)
    assert not waits.done()
    purse.settle(held, tokens(1))
    assert (await waits).worst == tokens(4)


async def test_who_waits_is_told_when_there_is_no_more():
    """With the lead's own words."""
    purse = budget()
    purse.grant((None, 10, None))
    waits = asyncio.create_task(purse.reserve(tokens(11)))
    await asyncio.sleep(0)
    purse.grant((None, 10, None), out="the budget is spent: raise budget.tokens")
    with pytest.raises(SpentError, match="the budget is spent"):
        await waits


def test_the_lead_books_what_members_spend():
    """The rest is that of the narrowest cap, in each unit that has one; a refusal names the cap that is full."""
    master = budget(tokens=100, usd=1, day={"tokens": 50})
    master.book(Spend(10**8, 40, 4), Spend(0, 5, 1))
    assert master.rest() == (9 * 10**8, 10, None)
    assert (master.view().spent, master.view().in_doubt) == (Spend(10**8, 40, 4), Spend(0, 5, 1))
    assert master.refusal(tokens(10)) is None
    assert "budget.day.tokens is 50 tokens" in master.refusal(tokens(11))


def test_the_need_is_that_of_the_last_where_nobody_waits():
    """Nothing before the first request."""

    async def needs():
        purse = budget()
        before = purse.need()
        await purse.reserve(tokens(3))
        return before, purse.need()

    assert run(needs()) == (Spend(), tokens(3))
