"""A quota that several share, by the gateway's own count: real requests against the sandbox, in real time."""

import asyncio
from contextlib import AsyncExitStack
from datetime import UTC, datetime

import msgspec
import pytest

from mediascribe.budget import Budget
from mediascribe.client import Client
from mediascribe.fleet.common import joined
from mediascribe.fleet.ledger import Ledger
from mediascribe.fleet.member import Member
from mediascribe.job_sections import BudgetSection, GatewaySection, LimitsSection
from mediascribe.lanes import Lanes
from mediascribe.sandbox import Behaviour, Sandbox
from mediascribe.sandbox.limits import Window
from mediascribe.store import LocalStore

pytestmark = [pytest.mark.wide, pytest.mark.long]
KEY = "sk-canary0123456789abcdef"
PER_MINUTE = 1200
JOINED_S, STEADY_S = 15, 60
# Model, which has a latency of its own, and requests in flight: each alone could use 0.8 to 1.5 of the quota.
UNEVEN = {"gemini-2.0-flash": (0.1, 2), "gemini-2.5-flash": (0.5, 8), "gpt-4o-mini": (2.0, 60)}


@pytest.fixture
def gateway():
    with Sandbox(api_key=KEY) as sandbox:
        for model, (latency_s, _) in UNEVEN.items():
            sandbox.behave(model, Behaviour(latency_s=latency_s))
        yield sandbox


def budget():
    return Budget(BudgetSection(), None, spent=[], now=lambda: datetime.now(UTC))


async def ask(client, lanes, model):
    """Ask without end."""
    body = msgspec.json.encode({"model": model, "messages": [{"role": "user", "content": "hello"}], "max_tokens": 5})
    lane = lanes.of(model)
    while True:
        async with lane.slot() as admission:
            answer = await client.post(f"{client.base_url}/chat/completions", body)
            (lane.succeeded if answer.status == 200 else lambda turn: lane.refused(turn, None))(admission)


async def all_asking(stack, gateway, members):
    """For every model of UNEVEN, as *members* give them lanes, so many tasks that ask."""
    tasks = []
    for model, (_, places) in UNEVEN.items():
        lanes = Lanes(LimitsSection(concurrency=places, **members.limits))
        client = Client(GatewaySection(base_url=gateway.url), KEY, connections=places)
        await stack.enter_async_context(client)
        await stack.enter_async_context(members(model, lanes))
        tasks += [asyncio.create_task(ask(client, lanes, model)) for _ in range(places)]
        stack.callback(lanes.close)
    return tasks


def judged(gateway, skip_s, steady_s):
    """What arrived in the steady time; how many of all a window of the quota's size would have refused."""
    times = sorted(entry.arrived_at.timestamp() for entry in gateway.ledger())
    moment = [0.0]
    window, refused = Window(PER_MINUTE, clock=lambda: moment[0]), 0
    for moment[0] in times:
        refused += window.take() > 0
    since = times[0] + skip_s
    return sum(since <= at < since + steady_s for at in times), refused


class Workers:
    """Workers of one run."""

    limits = {}  # noqa: RUF012 - nobody changes it

    def __init__(self, store):
        self._store = store

    def __call__(self, name, lanes):
        return Member(self._store, "run", name, lanes, budget())


class Runs:
    """Runs of several jobs at one place."""

    def __init__(self, place):
        self.limits = {"requests_per_minute": PER_MINUTE, "common": str(place)}

    def __call__(self, name, lanes):
        job = type("Job", (), {"name": name, "limits": LimitsSection(**self.limits)})
        return joined(job, lanes)


@pytest.mark.parametrize("who", ["workers", "runs"])
async def test_uneven_members_use_the_quota_and_no_more(gateway, tmp_path, who):
    """2, 8 and 60 in flight at 0.1, 0.5 and 2 s: 95 % in a steady minute, and no minute holds more than the quota."""
    async with AsyncExitStack() as stack:
        if who == "workers":
            store, limits = LocalStore(root=tmp_path), LimitsSection(requests_per_minute=PER_MINUTE)
            await stack.enter_async_context(Ledger(store, "run", limits, budget()))
        tasks = await all_asking(stack, gateway, Workers(store) if who == "workers" else Runs(tmp_path / "quota"))
        await asyncio.sleep(JOINED_S + STEADY_S + 3)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    arrived, refused = judged(gateway, JOINED_S, STEADY_S)
    assert refused == 0
    assert 0.95 * PER_MINUTE <= arrived <= PER_MINUTE
