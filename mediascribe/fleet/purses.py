"""Purses: who gets how much of what is left of a budget. Pure: no clock, no store.

Rules of this file:

- What all may still spend, in the worst case, and what is spent come to the caps at most.
- An envelope lasts for about half a minute, and is at most the half of an equal part of what is left: so envelopes
  shrink with the rest, and all of it can be spent, up to less than one request.
- An envelope holds one request in its worst case, or nothing: what is too small for one comes back for another member.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from mediascribe.budget import Envelope

Amounts = tuple[int, int, int]  # nano-dollars, tokens, requests
_ANY: Final = 2**62


@dataclass(frozen=True, slots=True, kw_only=True)
class Holder:
    """One member's money. `committed` is the most that it may have spent in the end, by all that it was granted.

    `wants` is what it would use up in half a minute; None: not known yet. `waits`: a request of it has no room.
    """

    spent: Amounts
    reserved: Amounts
    committed: Amounts
    need: Amounts
    wants: Amounts | None
    waits: bool


def fill(holders: Sequence[Holder], rest: Envelope) -> list[Envelope]:
    """The envelope of each holder, counted from its start; *rest* is what the caps leave beside what is spent."""
    limit = _amounts(_ANY if most is None else most for most in rest)
    free = _amounts(
        most - sum(holder.committed[unit] - holder.spent[unit] for holder in holders) for unit, most in enumerate(limit)
    )
    rises: list[Amounts] = []
    for holder, wanted in zip(holders, _wanted(holders, limit), strict=True):
        lowest = _amounts(holder.spent[unit] + holder.reserved[unit] for unit in range(3))
        rise = _amounts(lowest[unit] + wanted[unit] - holder.committed[unit] for unit in range(3))
        rise = _amounts(min(more, max(0, free[unit])) for unit, more in enumerate(rise))
        free = _amounts(free[unit] - max(0, more) for unit, more in enumerate(rise))
        rises.append(_amounts(holder.committed[unit] + rise[unit] for unit in range(3)))
    return [
        (
            None if rest[0] is None else usd,
            None if rest[1] is None else tokens,
            None if rest[2] is None else requests,
        )
        for usd, tokens, requests in rises
    ]


def is_dry(holders: Sequence[Holder], rest: Envelope) -> bool:
    """Whether somebody waits, nobody who waits can ever be served, and nothing that is reserved may come back."""
    waiting = [holder for holder in holders if holder.waits]
    if not waiting or any(any(holder.reserved) for holder in holders):
        return False
    return not any(_fits(holder.need, _amounts(_ANY if most is None else most for most in rest)) for holder in waiting)


def _wanted(holders: Sequence[Holder], limit: Amounts) -> list[Amounts]:
    """What each holder should have beside what it has reserved; those who wait come first."""
    pool = _amounts(most - sum(holder.reserved[unit] for holder in holders) for unit, most in enumerate(limit))
    part = _amounts(max(0, most) // (2 * len(holders) or 1) for most in pool)
    wanted: list[Amounts] = [(0, 0, 0)] * len(holders)
    for place in sorted(range(len(holders)), key=lambda place: not holders[place].waits):
        holder = holders[place]
        if _fits(holder.need, pool):
            wishes = holder.wants or part
            wanted[place] = _amounts(max(holder.need[unit], min(wishes[unit], part[unit])) for unit in range(3))
            pool = _amounts(pool[unit] - wanted[place][unit] for unit in range(3))
    return wanted


def _fits(need: Amounts, room: Amounts) -> bool:
    return all(asked <= most for asked, most in zip(need, room, strict=True))


def _amounts(values: Iterable[int]) -> Amounts:
    usd, tokens, requests = values
    return usd, tokens, requests
