"""Pace: requests a second, learned from refusals where no quota is known, or where the known one is refused too.

Until the first 429 it is unlimited, or, where nobody said how much is right, grows from a few requests a second with
the square of the time. From then on the ceiling is a little less than what the gateway took when it refused, and the
pace follows `curve.py` from there. What it took depends on how it counts; nobody has to say how:

- What it took in the second before a refusal is what a gateway takes that counts by the second, exactly, whatever the
  pace was, and whether or not nothing left for a part of that second. So this look needs no memory: after a quota is
  halved or doubled the first look that lies behind the change is right.
- From a full bucket more is taken than it is refilled with. But soon after the first refusal comes the next one then,
  with the stall between them in its look; a few such looks, in a second or two, come down to what is refilled.
- Refused again after a stall of a quarter of a second: the look has become smaller, and the smaller one counts.
- A stall of a second and more shows that a longer time is counted. Then all that was taken in it counts, the stall
  included; and a quota that stays full for 5 s counts by the minute: what it took in that minute is its quota.

One refusal below the ceiling may be chance, such as a moment in which nothing got through: then the ceiling falls only
half the way. The next one soon after is none, and is taken at its word.
"""

from __future__ import annotations

from typing import Final

from mediascribe.curve import Curve, felt
from mediascribe.quota import SPAN_S, Tally

# A refusal says that what was taken before is just too much.
_BELOW_TAKEN: Final = 0.98
_SLOWEST_PER_S: Final = 1 / 60
_LOOK_S: Final = 1.0
_LONGEST_LOOK_S: Final = 60.0
# Fewer requests in a look tell nothing: then more of the past has to, the last minute if need be. If that has few too,
# the pace is one a second at least, and a guess.
_FEWEST: Final = 4
_TELLING: Final = 10
_UNTOLD_PER_S: Final = 1.0
# A refusal after so long below the ceiling may be chance.
_SETTLED_S: Final = 2.0
# Refused for so long, a gateway counts a longer time than the look.
_LONG_STALL_S: Final = 1.0
_LOOK_BY_STALL: Final = 4.0
_SHORTEST_MEAN_S: Final = 2.0
# A quota that is full for so long counts by the minute; for so long this is believed.
_MINUTE_STALL_S: Final = 5.0
_BY_MINUTE_S: Final = 600.0
# A shorter stall than this share of the time is our own cooldown, not the gateway's doing.
_OWN_SHARE: Final = 0.05
_LOWERED_AT_MOST: Final = 0.25
_BURST_AT_MOST_S: Final = 0.1
_NEVER: Final = float("-inf")


class Pace:
    """A rate that nobody told us."""

    def __init__(self, most_per_s: float | None, burst_s: float, *, feels_its_way: bool = False) -> None:
        """Know no rate; *most_per_s* is the configured one, above which nothing is learned.

        *feels_its_way*: start slowly, and not as fast as anything else allows.
        """
        self._felt_s = 0.0 if feels_its_way else None
        self._most_per_s = most_per_s
        self._accepted = Tally(span_s=2 * _LONGEST_LOOK_S)
        self._burst_s = min(burst_s, _BURST_AT_MOST_S)
        self._due_at = _NEVER
        self._started_at: float | None = None
        self._left_at = 0.0
        self._curve: Curve | None = None
        self._refused_pace: float | None = None
        self._lately: float | None = None
        self._full_at: float | None = None
        self._full_before: float | None = None
        self._stall_s = 0.0
        self._by_minute_until = _NEVER

    @property
    def per_s(self) -> float | None:
        """Requests a second that may leave now; None: any number."""
        if self._curve:
            return self._curve.per_s
        return None if self._felt_s is None else felt(self._felt_s)

    @property
    def is_learned(self) -> bool:
        """Whether a refusal has taught it."""
        return self._curve is not None

    @property
    def ready_at(self) -> float:
        """When the next request may leave."""
        pace = self.per_s
        return self._due_at + 1 / pace if pace else _NEVER

    def left(self, now: float, *, bound: bool) -> None:
        """Learn that a request leaves; *bound*: this pace is what it had waited for. Only then does the pace grow."""
        if self._started_at is None:
            self._started_at = now
        self._accepted.add(now, 1)
        self._due_at = max(self.ready_at, now - self._burst_s if bound else now)
        if bound:
            self._grow(now - self._left_at)
        self._left_at = now
        if self._curve and self._most_per_s and self._curve.per_s >= self._most_per_s:
            self._curve = None

    def returned(self, at: float) -> None:
        """Learn that the request that left *at* was not taken: refused, or never sent."""
        self._accepted.correct(at, -1)

    def refused(self, now: float, *, again: bool) -> None:
        """Learn that the quota is full, *again* if it was never free meanwhile; the next request is not held up."""
        lately = self._look(now)
        if again and self._full_at is not None:
            self._stall_s = now - self._full_at
            self._lately = min(lately, self._lately) if lately and self._lately else None
            if self._stall_s >= _MINUTE_STALL_S:
                self._by_minute_until = now + _BY_MINUTE_S
        else:
            self._full_before, self._full_at, self._stall_s = self._full_at, now, 0.0
            self._lately, self._refused_pace = lately, self._curve.per_s if self._curve else None
            if lately and self._curve and self._curve.age_s >= _SETTLED_S:
                self._lately = max(lately, (lately + self._curve.ceiling) / 2)
        self.resumed(now)
        self._due_at = _NEVER

    def resumed(self, now: float) -> None:
        """Take the ceiling from what was accepted up to *now*, when the quota was found free again, or full still."""
        if self._full_at is None or self._started_at is None:
            return
        if self.counts_by_minute(now):
            taken = self._accepted.between(self._full_at - _LONGEST_LOOK_S, self._full_at)
            took = taken / _LONGEST_LOOK_S
        elif self._lately and self._stall_s < _LONG_STALL_S:
            taken, took = _TELLING, self._lately
        else:
            taken, took = self._mean(now, self._full_at, self._started_at)
        is_guess = taken < _TELLING
        if is_guess:  # a gateway that refused from the start tells nothing about its quota
            took = max(took, _UNTOLD_PER_S)
        if self._refused_pace is not None:
            took = min(max(took, self._refused_pace * _LOWERED_AT_MOST), self._refused_pace)
        self._curve = Curve(ceiling=max(_SLOWEST_PER_S, _BELOW_TAKEN * took), is_guess=is_guess)

    def counts_by_minute(self, now: float) -> bool:
        """Whether the gateway was found to count by the minute."""
        return now < self._by_minute_until

    def minute_over_at(self, now: float) -> float | None:
        """When the oldest request of the last minute is a minute old: then a window of a minute has room again."""
        oldest_at = self._accepted.oldest_at(now - _LONGEST_LOOK_S)
        return None if oldest_at is None else oldest_at + SPAN_S

    def _grow(self, seconds: float) -> None:
        if self._curve:
            self._curve = self._curve.aged(seconds)
        elif self._felt_s is not None:
            self._felt_s += seconds

    def _look(self, now: float) -> float | None:
        """Requests a second accepted in the last second, the stall included; None if they are too few to tell."""
        taken, seconds = self._accepted.since(max(now - _LOOK_S, self._started_at or 0.0), now)
        if taken < _FEWEST:
            return None
        seconds = max(seconds, _LOOK_S / 2)
        if self._curve is None or self._curve.age_s <= _LOOK_S:
            return taken / seconds
        paced = self._curve.aged(-_LOOK_S / 2).per_s  # more exact than a count, which is whole, where both agree
        return max(taken / seconds, min(paced, (taken + 1) / seconds))

    def _mean(self, now: float, full_at: float, started_at: float) -> tuple[float, float]:
        """Requests accepted since the quota was last full, or in the last seconds, and how many a second that is."""
        if self._full_before is not None and full_at - self._full_before <= _LONGEST_LOOK_S:
            start = min(self._full_before, full_at - _SHORTEST_MEAN_S)
        else:
            start = full_at - max(_SHORTEST_MEAN_S, _LOOK_BY_STALL * (now - full_at))
        start = max(start, started_at)
        end = full_at if now - full_at < _OWN_SHARE * (now - start) else now
        taken = self._accepted.between(start, end)
        if taken < _TELLING:
            start = max(full_at - _LONGEST_LOOK_S, started_at)
            taken = self._accepted.between(start, end)
        return taken, taken / max(end - start, _SHORTEST_MEAN_S / 2)
