"""Learned: the quota of a gateway that told nobody, from what all members together were accepted and refused.

`pace.py` does this for one process, request by request. Here the news are a slice old and a change needs another one to
take effect, so the same curve takes three times as long, feeling the way twice as long, and after a cut nobody judges
for two slices and a half.
"""

from __future__ import annotations

from collections import deque
from typing import Final

from mediascribe.curve import Curve, felt

_SLOWER: Final = 3.0
_FEELS_SLOWER: Final = 2.0
_SETTLES_S: Final = 7.5
_LOOK_S: Final = 12.0
_MINUTE_S: Final = 60.0
_BY_MINUTE_S: Final = 600.0
_REFUSED_SHARE: Final = 0.005
_MOSTLY: Final = 0.5
_LOWERED_AT_MOST: Final = 0.25
_BOUND: Final = 0.8  # of the pace in use: then the pace is what binds, and may grow
_SLOWEST_PER_S: Final = 1 / 60


class Learned:
    """The pace of a fleet on one quota, in requests a minute."""

    def __init__(self, known: float | None, *, feels_its_way: bool) -> None:
        """Know of no refusal; *known* is the configured quota, above which nothing is learned."""
        self._known = known
        self._felt_s = 0.0 if feels_its_way else None
        self._curve: Curve | None = None
        self._slices: deque[tuple[float, float, int, int]] = deque()  # from, to, accepted, refused
        self._heard_at: float | None = None
        self._cut_at = self._by_minute_until = float("-inf")

    @property
    def per_minute(self) -> float | None:
        """What may be lent in all; None: any number."""
        pace = self._per_s
        if pace is None:
            return self._known
        return pace * 60 if self._known is None else min(pace * 60, self._known)

    def heard(self, now: float, accepted: int, refused: int) -> None:
        """Learn what came back since the last time."""
        since, self._heard_at = self._heard_at, now
        if since is None or now <= since:
            return
        self._slices.append((since, now, accepted, refused))
        while self._slices[0][1] < now - _MINUTE_S:
            self._slices.popleft()
        if refused > _REFUSED_SHARE * (accepted + refused):
            self._refused(now, by_minute=refused > _MOSTLY * (accepted + refused))
        else:
            self._grow(now - since, accepted / (now - since))

    @property
    def _per_s(self) -> float | None:
        if self._curve:
            return self._curve.per_s
        return None if self._felt_s is None else felt(self._felt_s / _FEELS_SLOWER)

    def _grow(self, passed_s: float, per_s: float) -> None:
        pace = self._per_s
        if pace is None or per_s < _BOUND * pace:
            return
        if self._curve:
            self._curve = self._curve.aged(passed_s)
        elif self._felt_s is not None:
            self._felt_s += passed_s
        if self._known and pace * 60 >= self._known:
            self._curve = None

    def _refused(self, now: float, *, by_minute: bool) -> None:
        """Lower the ceiling to what was accepted, unless it was lowered a moment ago."""
        stalls = by_minute and now - self._cut_at < 2 * _SETTLES_S
        if now - self._cut_at < _SETTLES_S:
            return
        if stalls:
            self._by_minute_until = now + _BY_MINUTE_S
        look_s = _MINUTE_S if now < self._by_minute_until else _LOOK_S
        looked = [piece for piece in self._slices if piece[1] > now - look_s]
        took = sum(accepted for _, _, accepted, _ in looked) / max(look_s, now - looked[0][0])
        pace = self._per_s
        if pace is not None:
            took = min(max(took, pace * _LOWERED_AT_MOST), pace)
        self._curve, self._cut_at = Curve(ceiling=max(_SLOWEST_PER_S, took), slower=_SLOWER), now
