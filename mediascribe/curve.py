"""Curve: how a pace that refusals have taught is tried out again, by one process (`pace.py`) or a fleet (`learned.py`).

Like CUBIC's: from 5 % below the ceiling quickly towards it, a plateau, slow probing, and faster growth until the
double, where it begins anew. Each refusal costs what would have left in a quarter of a second and more, so the plateau
is long; a doubled quota is to be found in half a minute, so it is no longer.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

# It passes the ceiling after 17 s, and the double after 24 s.
_BELOW: Final = 0.05
_PLATEAU_S: Final = 17.0
_DOUBLES_S: Final = 7.0
# Below this pace it is stretched, so that a refusal is no larger a share of the requests.
_PROBED_PER_S: Final = 6.0
_STRETCHED_AT_MOST: Final = 4.0
_FELT_FROM_PER_S: Final = 16.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Curve:
    """A pace that has been in use for *age_s*; *slower*: so many times as long takes everything, at least."""

    ceiling: float
    """Requests a second."""
    age_s: float = 0.0
    slower: float = 1.0
    is_guess: bool = False
    """Nothing speaks for this ceiling: however low it is, it is probed as fast as any."""

    @property
    def per_s(self) -> float:
        """Requests a second that may leave now."""
        beyond_s = self.age_s / self._stretch - _PLATEAU_S
        return self.ceiling * (1 + (_BELOW * (beyond_s / _PLATEAU_S) ** 3 if beyond_s < 0 else _grown(beyond_s)))

    def aged(self, seconds: float) -> Curve:
        """The same after *seconds* more; from its double on a new one, since growth is fast then, but never faster."""
        aged = replace(self, age_s=self.age_s + seconds)
        if aged.per_s < 2 * self.ceiling:
            return aged
        doubled = replace(self, ceiling=aged.per_s)
        return replace(doubled, age_s=_PLATEAU_S * doubled._stretch)  # noqa: SLF001 - its own class

    @property
    def _stretch(self) -> float:
        by_pace = 1.0 if self.is_guess else min(_STRETCHED_AT_MOST, _PROBED_PER_S / self.ceiling)
        return max(self.slower, by_pace)


def felt(age_s: float) -> float:
    """Requests a second where nothing is known yet: 100 after 9 s, 1,000 after 31 s, so that few are in flight then."""
    return _FELT_FROM_PER_S + age_s**2


def _grown(beyond_s: float) -> float:
    return (beyond_s / _DOUBLES_S) ** 3
