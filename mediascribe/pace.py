"""Pace: requests a second, learned from refusals where no quota is known, or where the known one is refused too.

Until the first 429 it is unlimited, or, where nobody said how much is right, grows from a few requests a second with
the square of the time, so that few are in flight at the first refusal. From then on the ceiling is what the gateway
really took, which three kinds of gateway want measured in three ways; nobody has to say which kind it is:

- a bucket is empty at each refusal: what it took from one to the next is its rate, the time that it refused included;
- a gateway without burst takes its peak for ever, so the peak of the last seconds is tried, and distrusted for a while
  when it is refused soon after;
- a window of a minute is full at a refusal and stays full for long: what it took in that minute is its quota.

The pace follows a curve like CUBIC's from a little below the ceiling: a plateau, slow probing, and faster growth until
the double, where it begins anew; so a doubled quota is found within half a minute, and refusals stay below 1 %.
"""

from __future__ import annotations

from typing import Final

from mediascribe.quota import SPAN_S, Tally

# The curve starts at 93 % of the ceiling, passes it after 16 s, and its double after 24 s.
_BELOW: Final = 0.07
_PLATEAU_S: Final = 16.0
_DOUBLES_S: Final = 8.0
# Below this pace probing is stretched, so that it costs no larger a share of the requests.
_PROBED_PER_S: Final = 5.0
_STRETCHED_AT_MOST: Final = 4.0
# Where nothing is known: 100 a second after 9 s, 1,000 after 31 s.
_FELT_FROM_PER_S: Final = 16.0
_SLOWEST_PER_S: Final = 1 / 60
_SHORTEST_LOOK_S: Final = 2.0
_LONGEST_LOOK_S: Final = 60.0
_LOOK_BY_STALL: Final = 4.0
# A quota that is full for so long counts by the minute; for so long this is believed.
_MINUTE_STALL_S: Final = 5.0
_BY_MINUTE_S: Final = 600.0
# A shorter stall than this share of the look is our own cooldown, not the gateway's doing.
_OWN_SHARE: Final = 0.05
_LOWERED_AT_MOST: Final = 0.25
# The peak before a refusal is what a gateway without burst takes; refused so soon after, it was drawn from a burst.
_TOO_SOON_S: Final = 5.0
_DISTRUSTED_FOR: Final = 10
# A pace that far above what was measured last is no burst: the quota has grown.
_GROWN: Final = 1.4
_BURST_AT_MOST_S: Final = 0.1
# Fewer requests than this tell little: then the last minute counts, and if that has no more, the pace is one a second
# at least, and its probing is not stretched.
_TELLING: Final = 10
_UNTOLD_PER_S: Final = 1.0
_NEVER: Final = float("-inf")


class Pace:
    """A rate that nobody told us."""

    def __init__(self, most_per_s: float | None, burst_s: float, *, feels_its_way: bool = False) -> None:
        """Know no rate; *most_per_s* is the configured one, above which nothing is learned.

        *feels_its_way*: start slowly, and not as fast as anything else allows.
        """
        self._feels_its_way = feels_its_way
        self._most_per_s = most_per_s
        self._accepted = Tally(span_s=2 * _LONGEST_LOOK_S)
        self._burst_s = min(burst_s, _BURST_AT_MOST_S)
        self._due_at = _NEVER
        self._started_at: float | None = None
        self._left_at = 0.0
        self._ceiling: float | None = None
        self._age_s = 0.0
        self._measured = self._measured_before = 0.0
        self._refused_pace: float | None = None
        self._full_at: float | None = None
        self._full_before: float | None = None
        self._by_minute_until = _NEVER
        self._is_thin = False
        self._by_peak = False
        self._distrusted = 0

    @property
    def per_s(self) -> float | None:
        """Requests a second that may leave now; None: any number."""
        if self._ceiling is None:
            return _FELT_FROM_PER_S + self._age_s**2 if self._feels_its_way else None
        beyond_s = self._age_s / self._stretch(self._ceiling) - _PLATEAU_S
        curve = _BELOW * (beyond_s / _PLATEAU_S) ** 3 if beyond_s < 0 else (beyond_s / _DOUBLES_S) ** 3
        return self._ceiling * (1 + curve)

    @property
    def is_learned(self) -> bool:
        """Whether a refusal has taught it."""
        return self._ceiling is not None

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
            self._age_s += now - self._left_at
            self._rebase()
        self._left_at = now
        if self._most_per_s and (self.per_s or 0.0) >= self._most_per_s:
            self._ceiling = None

    def returned(self, at: float) -> None:
        """Learn that the request that left *at* was not taken: refused, or never sent."""
        self._accepted.correct(at, -1)

    def refused(self, now: float, *, again: bool) -> None:
        """Learn that the quota is full, *again* if it was never free meanwhile; the next request is not held up."""
        if not again:
            self._judge_peak()
            self._full_before, self._full_at = self._full_at, now
            self._refused_pace = self.per_s if self.is_learned else None
            self._measured_before = self._measured
        elif self._full_at is not None and now - self._full_at >= _MINUTE_STALL_S:
            self._by_minute_until = now + _BY_MINUTE_S
        self.resumed(now)
        self._due_at = _NEVER

    def resumed(self, now: float) -> None:
        """Take the ceiling from what was accepted up to *now*, when the quota was found free again, or full still."""
        if self._full_at is None or self._started_at is None:
            return
        if self.counts_by_minute(now):
            taken = self._accepted.between(self._full_at - _LONGEST_LOOK_S, self._full_at)
            took = taken / _LONGEST_LOOK_S
            self._is_thin = taken < _TELLING
            if self._is_thin:  # a gateway that refused from the start tells nothing about its quota
                took = max(took, _UNTOLD_PER_S)
        else:
            took = self._or_peak(self._took(now, self._full_at, self._started_at), self._full_at)
        if self._refused_pace is not None:
            took = min(max(took, self._refused_pace * _LOWERED_AT_MOST), self._refused_pace)
        self._ceiling = self._measured = max(_SLOWEST_PER_S, took)
        self._age_s = 0.0

    def counts_by_minute(self, now: float) -> bool:
        """Whether the gateway was found to count by the minute."""
        return now < self._by_minute_until

    def minute_over_at(self, now: float) -> float | None:
        """When the oldest request of the last minute is a minute old: then a window of a minute has room again."""
        oldest_at = self._accepted.oldest_at(now - _LONGEST_LOOK_S)
        return None if oldest_at is None else oldest_at + SPAN_S

    def _rebase(self) -> None:
        """Start from the double once that is reached: growth is fast then, but not ever faster."""
        pace = self.per_s
        if self._ceiling and pace and pace >= 2 * self._ceiling:
            self._ceiling, self._age_s = pace, _PLATEAU_S * self._stretch(pace)

    def _or_peak(self, took: float, full_at: float) -> float:
        """*took*, or the peak before the refusal, as long as that was not found to be a burst."""
        grown = (self._refused_pace or 0.0) > _GROWN * self._measured_before
        look_s = _SHORTEST_LOOK_S / 2 if grown else _SHORTEST_LOOK_S  # a pace that grows fast is a mean of slower ones
        peak = self._accepted.between(full_at - look_s, full_at) / look_s
        self._by_peak = peak > took and (grown or not self._distrusted)
        return peak if self._by_peak else took

    def _judge_peak(self) -> None:
        """Find out whether the last ceiling, if it was a peak, held."""
        if self._by_peak and self._age_s < _TOO_SOON_S:
            self._distrusted = _DISTRUSTED_FOR
        else:
            self._distrusted = max(0, self._distrusted - 1)

    def _took(self, now: float, full_at: float, started_at: float) -> float:
        """Requests a second accepted since the quota was last full, or in the last seconds, the stall included."""
        if self._full_before is not None and full_at - self._full_before <= _LONGEST_LOOK_S:
            start = min(self._full_before, full_at - _SHORTEST_LOOK_S)
        else:
            start = full_at - max(_SHORTEST_LOOK_S, _LOOK_BY_STALL * (now - full_at))
        start = max(start, started_at)
        end = full_at if now - full_at < _OWN_SHARE * (now - start) else now
        taken = self._accepted.between(start, end)
        if taken < _TELLING:
            start = max(full_at - _LONGEST_LOOK_S, started_at)
            taken = self._accepted.between(start, end)
        self._is_thin = taken < _TELLING
        took = taken / max(end - start, _SHORTEST_LOOK_S / 2)
        return max(took, _UNTOLD_PER_S) if self._is_thin else took

    def _stretch(self, ceiling: float) -> float:
        """How much slower a pace is probed than one of 5 requests a second."""
        return 1.0 if self._is_thin else min(_STRETCHED_AT_MOST, max(1.0, _PROBED_PER_S / ceiling))
