"""Gateways in virtual time that tell nobody their quota, each of a kind that is met."""

import asyncio
import random
from collections import Counter, deque
from dataclasses import dataclass, field


class Sliding:
    """So many in any 60 s, or *length_s*; all of them at once, if asked so."""

    def __init__(self, per_s, length_s=60.0):
        self.per_s, self.length_s, self.left = per_s, length_s, deque()

    def take(self, now):
        while self.left and self.left[0] <= now - self.length_s:
            self.left.popleft()
        if len(self.left) >= self.per_s * self.length_s:
            return False
        self.left.append(now)
        return True


class Bucket:
    """Refills evenly; holds what was not used for *burst_s*."""

    def __init__(self, per_s, burst_s=1.0):
        self.per_s, self.burst_s, self.held, self.at = per_s, burst_s, per_s * burst_s, 0.0

    def take(self, now):
        self.held = min(self.per_s * self.burst_s, self.held + (now - self.at) * self.per_s)
        self.at = now
        if self.held < 1:
            return False
        self.held -= 1
        return True


class EachSecond:
    """So many in each second of the clock."""

    def __init__(self, per_s):
        self.per_s, self.second, self.taken = per_s, -1, 0

    def take(self, now):
        if int(now) != self.second:
            self.second, self.taken = int(now), 0
        self.taken += 1
        return self.taken <= self.per_s


class AtOnce:
    """So many in flight."""

    def __init__(self, places):
        self.places, self.in_flight = places, 0

    def take(self, _now):
        if self.in_flight >= self.places:
            return False
        self.in_flight += 1
        return True


@dataclass
class Gateway:
    """Answers after 1 to 3 s, refuses after 50 ms, and is down in *outages*."""

    quota: object
    outages: tuple = ()
    calls: Counter = field(default_factory=Counter)
    taken_in: Counter = field(default_factory=Counter)
    refused_in: Counter = field(default_factory=Counter)
    latency_s: tuple = (1.0, 3.0)
    dice: random.Random = field(default_factory=lambda: random.Random(1))  # noqa: S311 - the same run each time

    async def ask(self):
        loop = asyncio.get_running_loop()
        now = loop.time()
        if any(start <= now < end for start, end in self.outages):
            self.calls["outage"] += 1
            await asyncio.sleep(0.05)
            return 503
        if not self.quota.take(now):
            self.calls["refused"] += 1
            self.refused_in[int(now)] += 1
            await asyncio.sleep(0.05)
            return 429
        self.calls["answered"] += 1
        self.taken_in[int(now)] += 1
        await asyncio.sleep(self.dice.uniform(*self.latency_s))
        if isinstance(self.quota, AtOnce):
            self.quota.in_flight -= 1
        return 200

    def taken(self, start, end):
        return sum(self.taken_in[second] for second in range(start, end))

    def refused(self, start, end):
        return sum(self.refused_in[second] for second in range(start, end))
