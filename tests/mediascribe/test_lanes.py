"""Models with a quota of their own have a lane of their own."""

import asyncio

import pytest
import virtual_time

from mediascribe.job_sections import LimitsSection
from mediascribe.lanes import Lanes


async def leave(lanes, model, times):
    """When *times* requests of *model* leave."""
    at = []
    for _ in range(times):
        async with lanes.of(model).slot():
            at.append(asyncio.get_running_loop().time())
    return at


def test_a_model_with_its_own_quota_neither_waits_for_others_nor_keeps_them_waiting():
    """Sixty a minute for all and six for one: both leave at their own pace, at the same time."""
    limits = LimitsSection(requests_per_minute=60.0, models={"slow": {"requests_per_minute": 6.0}})

    async def both():
        lanes = Lanes(limits, clock=asyncio.get_running_loop().time)
        return await asyncio.gather(leave(lanes, "slow", 4), leave(lanes, "any", 10), leave(lanes, "other", 10))

    slow, any_, other = virtual_time.run(both())
    assert slow == pytest.approx([0.0, 10.0, 20.0, 30.0], abs=0.5)
    assert sorted(any_ + other) == pytest.approx([float(second) for second in range(20)], abs=0.5)


def test_a_closed_run_keeps_nobody_waiting():
    """In no lane."""
    limits = LimitsSection(requests_per_minute=1.0, models={"slow": {"requests_per_minute": 1.0}})

    async def closed():
        lanes = Lanes(limits, clock=asyncio.get_running_loop().time)
        lanes.close()
        return await asyncio.gather(leave(lanes, "slow", 3), leave(lanes, "any", 3))

    assert virtual_time.run(closed()) == [[0.0] * 3] * 2


def test_progress_looks_at_the_busiest_lane():
    """What its requests wait for is what the run waits for."""
    limits = LimitsSection(requests_per_minute=60.0, models={"slow": {"requests_per_minute": 6.0}})

    async def busy():
        lanes = Lanes(limits, clock=asyncio.get_running_loop().time)
        async with lanes.of("slow").slot():
            return lanes.pacing()

    pacing = virtual_time.run(busy())
    assert (pacing.in_flight, pacing.requests_per_minute) == (1, 6.0)
