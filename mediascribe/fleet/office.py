"""Office: what makes a process the lead, and where the quota comes from that it lends."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from mediascribe.fleet.notes import SLICE_S

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from mediascribe.lanes import Share


@dataclass(frozen=True, slots=True, kw_only=True)
class Office:
    """What makes a process the lead: the *epoch* of its lease; when that is *lost*, nothing more is lent.

    It lends every *slice_s*. An office that *passes_on* is another's next, whose members stay. *held* asks the store
    whether it is ours, between the reading of notes and the lending that answers them: so what is lent late lives from
    before another began.
    """

    epoch: int = 1
    lost: Callable[[], str | None] = lambda: None
    passes_on: bool = False
    slice_s: float = SLICE_S
    held: Callable[[], Awaitable[bool]] | None = None


class Source(Protocol):
    """Where the quota comes from that is lent on, where it is itself lent."""

    def most(self, lane: str) -> Share:
        """What may be lent of a lane now."""

    def until(self) -> float:
        """When that ends."""
