"""Quota: how much may leave in a minute, exactly, and in even steps.

Two rules, both always in force:

- `Tally`: no 60 s hold more than the limit, wherever they start. What left is counted for half a second longer than a
  minute, since a request may be late on its way and the next one early.
- `Gaps`: units leave one gap apart, from the first on; nothing is saved up while nobody waits. What came too late to
  somebody who waited (a timer fires a millisecond late, the window was full) may be caught up, within the burst.

A quota that is shared with others (`fleet/`) changes every few seconds. Then what is owed, and what the last minute
holds, is weighed anew: half the quota makes both twice as heavy. So what leaves in a minute is never more than what the
shares of that minute come to, and no change lets a burst through. Time without a share earns nothing.

Time is an argument everywhere.
"""

from __future__ import annotations

import math
from collections import OrderedDict, deque
from typing import TYPE_CHECKING, Final, Literal

if TYPE_CHECKING:
    from mediascribe.job_sections import ModelLimits

Name = Literal["requests_per_minute", "tokens_per_minute"]

SPAN_S: Final = 60.5
SHARED_BURST_S: Final = 0.25  # many who catch up at once are a burst
_SLOTS_A_SECOND: Final = 10


class Tally:
    """Units by the tenth of a second in which they left, as far back as the span: constant in memory."""

    def __init__(self, span_s: float = SPAN_S) -> None:
        """Start with nothing counted."""
        self._kept = round(span_s * _SLOTS_A_SECOND)
        self._slots: OrderedDict[int, float] = OrderedDict()
        self._sum: float = 0

    def add(self, at: float, units: int) -> None:
        """Count *units* that leave now, *at*."""
        self._forget(at)
        slot = int(at * _SLOTS_A_SECOND)
        self._slots[slot] = self._slots.get(slot, 0) + units
        self._sum += units

    def correct(self, at: float, units: float) -> None:
        """Add *units*, which may be negative, to what left *at* a time in the past; nothing if that is forgotten."""
        slot = int(at * _SLOTS_A_SECOND)
        if slot in self._slots:
            self._slots[slot] += units
            self._sum += units

    def weigh(self, factor: float) -> None:
        """Count all that is counted *factor* times."""
        for slot in self._slots:
            self._slots[slot] *= factor
        self._sum = sum(self._slots.values())

    def total(self, now: float) -> float:
        """What counts now."""
        self._forget(now)
        return self._sum

    def between(self, start: float, end: float) -> float:
        """What left from *start* to *end*, in whole slots, both included."""
        first, last = int(start * _SLOTS_A_SECOND), int(end * _SLOTS_A_SECOND)
        units: float = 0
        for slot in reversed(self._slots):
            if slot < first:
                break
            if slot <= last:
                units += self._slots[slot]
        return units

    def since(self, start: float, end: float) -> tuple[float, float]:
        """What left from *start*, or up to a slot sooner, to *end*, and over how many seconds that is."""
        return self.between(start, end), end - int(start * _SLOTS_A_SECOND) / _SLOTS_A_SECOND

    def oldest_at(self, start: float) -> float | None:
        """When the first of what left at *start* or later left; None if nothing did."""
        first = int(start * _SLOTS_A_SECOND)
        return next((slot / _SLOTS_A_SECOND for slot, units in self._slots.items() if slot >= first and units), None)

    def room_at(self, now: float, units: int, limit: float) -> float:
        """When *units* fit below *limit*; what is larger than the limit itself fits when nothing else counts."""
        self._forget(now)
        left, at = self._sum, now
        for slot, taken in self._slots.items():
            if left + units <= limit:
                break
            left -= taken
            at = (slot + self._kept) / _SLOTS_A_SECOND
        return at

    def _forget(self, now: float) -> None:
        oldest = int(now * _SLOTS_A_SECOND) - self._kept
        while self._slots and next(iter(self._slots)) <= oldest:
            self._sum -= self._slots.popitem(last=False)[1]


class Gaps:
    """Even steps: each unit keeps the next one waiting for *gap_s*."""

    def __init__(self, burst_s: float) -> None:
        """Start now: the first unit waits for nothing."""
        self._burst_s = burst_s
        self.ready_at = 0.0

    def take(self, now: float, length_s: float, *, waited: bool) -> None:
        """Let something leave that keeps the next one waiting for *length_s*; lateness counts for who *waited*."""
        self.ready_at = max(self.ready_at, now - self._burst_s if waited else now) + length_s

    def give_back(self, length_s: float) -> None:
        """Take back what was taken and not used."""
        self.ready_at -= length_s

    def restart(self, at: float) -> None:
        """Begin again *at*, with nothing to catch up on."""
        self.ready_at = max(self.ready_at, at)

    def weigh(self, now: float, factor: float) -> None:
        """Make what is owed, or may be caught up, *factor* times as long; of the latter no more than the burst."""
        self.ready_at = now + (max(self.ready_at, now - self._burst_s) - now) * factor


class Quota:
    """*per_minute* units in any minute, evenly."""

    def __init__(self, per_minute: float, burst_s: float) -> None:
        """Start with nothing used."""
        self.per_minute = per_minute
        self._gap_s = SPAN_S / per_minute
        self._tally = Tally()
        self._gaps = Gaps(burst_s)
        self._held_at: float | None = None
        self._weighed: deque[tuple[float, float]] = deque()

    def hold(self, now: float) -> None:
        """Let nothing leave until `allow`."""
        if self._held_at is None:
            self._held_at = now

    def allow(self, now: float, per_minute: float) -> None:
        """Go on with another limit. After a hold the first unit has to be earned, so that many begin evenly."""
        factor = per_minute / self.per_minute
        self.per_minute, self._gap_s = per_minute, SPAN_S / per_minute
        self._tally.weigh(factor)
        if self._held_at is not None:
            self._gaps.ready_at += now - self._held_at
        self._gaps.weigh(now, 1 / factor)
        if self._held_at is not None:
            self._gaps.restart(now + self._gap_s)
            self._held_at = None
        self._weighed.append((now, factor))
        while self._weighed[0][0] < now - SPAN_S:
            self._weighed.popleft()

    def ready_at(self, now: float, units: int) -> float:
        """When *units* may leave; without end where nothing may."""
        if self._held_at is not None:
            return math.inf
        return max(self._gaps.ready_at, self._tally.room_at(now, units, self.per_minute))

    def take(self, now: float, units: int, *, waited: bool) -> None:
        """Let *units* leave."""
        self._gaps.take(now, units * self._gap_s, waited=waited)
        self._tally.add(now, units)

    def correct(self, at: float, units: int) -> None:
        """Learn that what left *at* was *units* more, or less when negative."""
        weight = units * math.prod(factor for changed_at, factor in self._weighed if changed_at > at)
        self._gaps.give_back(-units * self._gap_s)
        self._tally.correct(at, weight)

    def restart(self, at: float) -> None:
        """Go on *at* in even steps, with nothing to catch up on."""
        self._gaps.restart(at)


class Quotas:
    """What is configured, or lent: requests/min, tokens/min, both or neither."""

    def __init__(self, limits: ModelLimits, burst_s: float) -> None:
        """Start with nothing used."""
        self._shared_burst_s = min(burst_s, SHARED_BURST_S)
        self.requests = Quota(limits.requests_per_minute, burst_s) if limits.requests_per_minute else None
        self.tokens = Quota(limits.tokens_per_minute, burst_s) if limits.tokens_per_minute else None

    def hold(self, now: float) -> None:
        """Let nothing leave until `allow`."""
        self.requests = self.requests or Quota(1.0, self._shared_burst_s)
        for quota in (self.requests, self.tokens):
            if quota:
                quota.hold(now)

    def allow(self, now: float, requests_per_minute: float | None, tokens_per_minute: float | None) -> None:
        """Go on with a share of the quota; None: any number, 0: nothing."""
        self.requests = self._shared(self.requests, now, requests_per_minute)
        self.tokens = self._shared(self.tokens, now, tokens_per_minute)

    def ready_at(self, now: float, tokens: int) -> tuple[float, Name | None]:
        """When a request of *tokens* may leave, and which quota it has to wait for until then."""
        at: float = now
        name: Name | None = None
        if self.requests and (ready_at := self.requests.ready_at(now, 1)) > at:
            at, name = ready_at, "requests_per_minute"
        if self.tokens and (ready_at := self.tokens.ready_at(now, tokens)) > at:
            at, name = ready_at, "tokens_per_minute"
        return at, name

    def take(self, now: float, tokens: int, *, waited: bool) -> None:
        """Let a request of *tokens* leave."""
        if self.requests:
            self.requests.take(now, 1, waited=waited)
        if self.tokens:
            self.tokens.take(now, tokens, waited=waited)

    def correct(self, at: float, *, requests: int = 0, tokens: int = 0) -> None:
        """Learn that what left *at* was so much more, or less when negative."""
        if self.requests and requests:
            self.requests.correct(at, requests)
        if self.tokens and tokens:
            self.tokens.correct(at, tokens)

    def restart(self, at: float) -> None:
        """Go on *at* in even steps: what was missed meanwhile is not caught up."""
        for quota in (self.requests, self.tokens):
            if quota:
                quota.restart(at)

    def _shared(self, quota: Quota | None, now: float, per_minute: float | None) -> Quota | None:
        if per_minute is None:
            return None
        if quota is None:
            quota = Quota(per_minute or 1.0, self._shared_burst_s)
            quota.hold(now)
        if per_minute:
            quota.allow(now, per_minute)
        else:
            quota.hold(now)
        return quota
