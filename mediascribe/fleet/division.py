"""Division: who gets how much of a quota. Pure: no clock, no store.

`fair` is weighted max-min fairness: who wants less than an equal share gets that, and the others share the rest.
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """What one member wants, its weight among all, and what it may still use by earlier grants."""

    wants: float
    weight: float = 1.0
    held: float = 0.0


def fair(claims: Sequence[Claim], total: float) -> list[float]:
    """The share of each claim: never more than it wants, all of *total* where the wants come to that, by weight."""
    shares = [0.0] * len(claims)
    weight = sum(claim.weight for claim in claims)
    for place in sorted(range(len(claims)), key=lambda place: claims[place].wants / claims[place].weight):
        claim = claims[place]
        shares[place] = min(claim.wants, max(0.0, total) * claim.weight / weight)
        total -= shares[place]
        weight -= claim.weight
    return shares


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
