"""A fleet in virtual time: members whose requests are counted by the tick, and a store that takes its time."""

import asyncio
import random
from collections import Counter, deque
from dataclasses import dataclass, field
from datetime import UTC, datetime

from mediascribe.budget import Budget
from mediascribe.errors import StoreError
from mediascribe.fleet.ledger import Ledger
from mediascribe.fleet.member import Member
from mediascribe.job_sections import BudgetSection, LimitsSection, ModelLimits
from mediascribe.lanes import NOTHING, SHARED
from mediascribe.pacing import Use
from mediascribe.quota import SHARED_BURST_S, Quotas

TICK_S = 0.02
DAY = datetime(2026, 11, 23, tzinfo=UTC)


def now():
    return asyncio.get_running_loop().time()


class SlowBoard:
    """What all see; every call takes 20 to 200 ms, and its effect is somewhere in between."""

    def __init__(self, seed=1, latency_s=(0.02, 0.2)):
        self.held, self.calls = {}, Counter()
        self.dice, self.latency_s = random.Random(seed), latency_s  # noqa: S311 - the same run each time

    async def get(self, name):
        return await self._slowly("get", lambda: self.held.get(name))

    async def put(self, name, content):
        await self._slowly("put", lambda: self.held.__setitem__(name, content))

    async def create(self, name, content):
        return await self._slowly("create", lambda: name not in self.held and not self.held.update({name: content}))

    async def names(self, prefix):
        return await self._slowly("list", lambda: sorted(filter(lambda name: name.startswith(prefix), self.held)))

    async def remove(self, name):
        await self._slowly("remove", lambda: self.held.pop(name, None))

    def close(self):
        pass

    async def _slowly(self, what, effect):
        self.calls[what] += 1
        before = self.dice.uniform(*self.latency_s) / 2
        await asyncio.sleep(before)
        found = effect()
        await asyncio.sleep(self.dice.uniform(*self.latency_s) / 2)
        return found


class Link:
    """One process's way to the board: `cut` fails every call, `frozen` lets none go on, be it in the middle."""

    def __init__(self, board):
        self.board, self.cut, self.frozen = board, False, False

    async def get(self, name):
        return await self._through(self.board.get, name)

    async def put(self, name, content):
        await self._through(self.board.put, name, content)

    async def create(self, name, content):
        return await self._through(self.board.create, name, content)

    async def names(self, prefix):
        return await self._through(self.board.names, prefix)

    async def remove(self, name):
        await self._through(self.board.remove, name)

    def close(self):
        pass

    async def _through(self, call, *given):
        await self._thaw()
        if self.cut:
            await asyncio.sleep(1.0)
            raise StoreError("the store cannot be reached")
        found = await call(*given)
        await self._thaw()
        return found

    async def _thaw(self):
        while self.frozen:  # noqa: ASYNC110 - a process that wakes is late by some time
            await asyncio.sleep(0.1)


class Gateway:
    """Counts what arrives in each tenth of a second."""

    def __init__(self):
        self.arrived = Counter()

    def take(self, at, units):
        self.arrived[int(at * 10)] += units

    def most_in(self, span_s, start=0.0, end=None):
        """The most in any *span_s* seconds, by steps of a tenth."""
        first, last, span = int(start * 10), int((end or max(self.arrived) / 10) * 10), round(span_s * 10)
        held = most = sum(self.arrived[slot] for slot in range(first, first + span))
        for slot in range(first + span, last + 1):
            held += self.arrived[slot] - self.arrived[slot - span]
            most = max(most, held)
        return most

    def between(self, start, end):
        return sum(self.arrived[slot] for slot in range(round(start * 10), round(end * 10)))


@dataclass
class Traffic:
    """A lane under a real quota whose requests are counted by the tick: *places* of them, each *latency_s* on its way.

    *limit* says how many the gateway takes, where it tells nobody.
    """

    gateway: Gateway
    places: int
    latency_s: float
    dice: random.Random
    tokens: int = 0
    limit: object = None
    left: int = 0
    refused: int = 0
    in_flight: deque = field(default_factory=deque)
    flying: int = 0
    until: float | None = None
    quotas: Quotas = field(default_factory=lambda: Quotas(ModelLimits(), SHARED_BURST_S))

    def allow(self, shares, until):
        """As `Limiter.allow`."""
        share = shares.get(SHARED, NOTHING)
        if now() >= (self.until or 0.0):
            self.quotas.hold(min(now(), self.until or now()))
        self.quotas.allow(now(), share.requests, share.tokens)
        self.until = until

    def uses(self):
        return {
            SHARED: Use(
                left=self.left,
                refused=self.refused,
                tokens=self.left * self.tokens,
                in_flight=self.flying,
                waiting=max(0, self.places - self.flying),
                window=self.places,
                latency_s=self.latency_s,
                bound_by="requests_per_minute" if self.flying < self.places else None,
            )
        }

    def tick(self):
        at, sent = now(), 0
        while self.in_flight and self.in_flight[0][0] <= at:
            self.flying -= self.in_flight.popleft()[1]
        if self.until is None or at >= self.until:
            return
        while self.flying + sent < self.places and self.quotas.ready_at(at, self.tokens)[0] <= at:
            self.quotas.take(at, self.tokens, waited=True)
            sent += 1
        if sent:
            self.left += sent
            taken = sent if self.limit is None else self.limit(at, sent)
            self.refused += sent - taken
            self.flying += taken
            self.in_flight.append((at + self.latency_s, taken))
            self.gateway.take(at + self.dice.uniform(0.0, 0.1), taken)


class Process:
    """A member with its traffic."""

    def __init__(self, fleet, name, places, latency_s, *, following=None, **traffic):
        self.name, self.link = name, Link(fleet.board)
        dice = random.Random(name)  # noqa: S311 - the same run each time
        self.traffic = Traffic(fleet.gateway, places, latency_s, dice, **traffic)
        self.budget = Budget(BudgetSection(), None, spent=[], now=lambda: DAY)
        self.member = Member(self.link, "run", name, self.traffic, self.budget, following=following, clock=now)
        self.life = asyncio.create_task(self._live())
        self.leaving = asyncio.Event()

    async def _live(self):
        async with self.member:
            while not self.leaving.is_set():
                if not self.link.frozen and not self.member.lost():
                    self.traffic.tick()
                await asyncio.sleep(TICK_S)

    def kill(self):
        """As by kill -9: no last word."""
        self.link.frozen = True
        self.traffic.places = 0

    async def leave(self):
        self.leaving.set()
        await self.life


class Fleet:
    """A lead, a board, a gateway, and any number of processes."""

    def __init__(self, *, seed=1, budget=None, latency_s=(0.02, 0.2), **limits):
        self.board, self.gateway = SlowBoard(seed, latency_s), Gateway()
        self.lead = Link(self.board)
        self.budget = Budget(BudgetSection.model_validate(budget or {}), None, spent=[], now=lambda: DAY)
        self.limits = LimitsSection(**limits)
        self.ledger = Ledger(self.lead, "run", self.limits, self.budget, clock=now)
        self.processes = []

    def start(self, name, places, latency_s=1.0, **traffic):
        process = Process(self, name, places, latency_s, **traffic)
        self.processes.append(process)
        return process

    async def __aenter__(self):
        await self.ledger.__aenter__()
        return self

    async def __aexit__(self, *_):
        for process in self.processes:
            process.life.cancel()
            process.link.frozen = process.link.cut = False
        await asyncio.gather(*(process.life for process in self.processes), return_exceptions=True)
        self.lead.cut, self.lead.frozen = self.lead.frozen, False  # a lead that is frozen has no last word
        await self.ledger.__aexit__()
