"""Division: who gets how much of a quota. Pure: no clock, no store.

`fair` is max-min fairness: who wants less than an equal part gets that, and the others share the rest. Who asks for a
share of the whole gets that much, no more while others want theirs, and of what those leave as much as it wants.
`lend` goes there without ever lending twice what somebody may still use.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

# A member's last unit may be on its way when the next minute is counted, so one for each is kept back; and who would
# get less than this many a minute gets nothing for a turn, so that what is kept back is a fortieth at most.
WORTH_WHILE: Final = 40.0
_PROMISED: Final = 0.9  # of the whole, at most, to those with a share of it while others want theirs


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """What one member wants, its share of the whole (1: an equal part), and what it may still use by earlier grants."""

    wants: float
    share: float = 1.0
    held: float = 0.0


def fair(claims: Sequence[Claim], total: float) -> list[float]:
    """What each claim gets: never more than it wants, and all of *total* where the wants come to that."""
    wants, total = [claim.wants for claim in claims], max(0.0, total)
    equal = [float(claim.share >= 1) for claim in claims]
    parts = [claim.share if claim.share < 1 else 0.0 for claim in claims]
    most = _PROMISED if any(equal) else 1.0
    each = total * min(1.0, most / sum(parts)) if any(parts) else 0.0
    given = [min(want, part * each) for want, part in zip(wants, parts, strict=True)]
    for weights in (equal, parts):
        left = [want - got for want, got in zip(wants, given, strict=True)]
        more = _level(left, weights, total - sum(given))
        given = [min(want, got + extra) for want, got, extra in zip(wants, given, more, strict=True)]
    return given


def lend(claims: Sequence[Claim], total: float) -> list[float]:
    """What to grant now: `fair`, as far as what others still hold leaves room for it.

    The greater of what each one holds and is granted comes to *total* at most, unless more is held already.
    """
    targets = fair(claims, total)
    room = max(0.0, total - sum(claim.held for claim in claims))
    rises = [max(0.0, target - claim.held) for claim, target in zip(claims, targets, strict=True)]
    part = min(1.0, room / wanted) if (wanted := sum(rises)) else 0.0
    return [min(target, claim.held) + rise * part for claim, target, rise in zip(claims, targets, rises, strict=True)]


def served(members: Sequence[str], most: float, turn: int) -> Sequence[str]:
    """Those of *members* whose turn it is where no more than *most* of them can be served; all, where they can."""
    count = max(1, math.floor(min(most, len(members))))
    if count >= len(members):
        return members
    first = turn * count % len(members)
    return (*members[first:], *members[:first])[:count]


def _level(wants: Sequence[float], weights: Sequence[float], total: float) -> list[float]:
    """Weighted max-min fairness among those that have a weight."""
    shares = [0.0] * len(wants)
    weighed = [place for place, weight in enumerate(weights) if weight]
    weight = math.fsum(weights)
    for place in sorted(weighed, key=lambda place: wants[place] / weights[place]):
        part = weights[place] / max(weight, weights[place])
        shares[place] = min(wants[place], max(0.0, total) * part)
        total -= shares[place]
        weight -= weights[place]
    return shares
