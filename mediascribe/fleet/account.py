"""Account: what the lead knows of one member: its last note, and what it may still use of what was lent to it."""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Literal

from mediascribe.fleet.notes import COMMON_SLICE_S, LIFE_S, SLICE_S, LaneNote, Note
from mediascribe.fleet.purses import Holder
from mediascribe.spending import Spend

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mediascribe.budget import Envelope
    from mediascribe.fleet.purses import Amounts
    from mediascribe.lanes import Share

Health = Literal["alive", "late", "dead", "left"]

GUARD_S: Final = 1.0  # what left at the last moment is on its way; clocks run unevenly
_LATE_S: Final = 2.5 * SLICE_S
_UNLENT: Final = LaneNote()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Loan:
    """One grant: until when its shares may be in use."""

    number: int
    ends_at: float
    shares: Mapping[str, Share]
    envelope: Envelope


@dataclass(frozen=True, slots=True, kw_only=True)
class Heard:
    """What a note says beyond the one before: accepted and refused requests, tokens, and money."""

    accepted: dict[str, int]
    refused: dict[str, int]
    spent: Spend
    in_doubt: Spend


@dataclass(slots=True)
class Account:
    """One member. `seen_at` is when its last note had been read, on the lead's clock.

    `booked` is what counts as spent; once it is `settled`, that is all, and `presumed` the part that nobody reported.
    """

    note: Note
    seen_at: float
    declared_dead: bool = False
    booked: Spend = field(default_factory=Spend)
    presumed: Spend = field(default_factory=Spend)
    settled: bool = False
    per_minute: dict[str, tuple[float, float]] = field(default_factory=dict)
    rows_per_s: float = 0.0
    _loans: deque[_Loan] = field(default_factory=deque)

    def health(self, now: float) -> Health:
        """How it is: late where it was silent for a while, dead once all that was lent to it has ended."""
        if self.note.left:
            return "left"
        if self.declared_dead or now >= self.seen_at + LIFE_S:
            return "dead"
        return "late" if now >= self.seen_at + _LATE_S else "alive"

    def heard(self, note: Note, now: float, *, epoch: int) -> Heard:
        """Take *note* for its word, and forget the loans that it goes by no more; gives what is new in it."""
        before, self.note, self.seen_at = self.note, note, now
        while self._loans and (note.left or (note.epoch == epoch and self._loans[0].number < note.grants)):
            self._loans.popleft()
        if before.number in {0, note.number}:  # the first one; what another lead heard before us is no news
            is_new = note.epoch in {0, epoch}
            before = Note(member=note.member, name=note.name, number=0, up_s=0.0) if is_new else note
        minutes = max(note.up_s - before.up_s, COMMON_SLICE_S / 4) / 60
        self.rows_per_s = (note.rows.done - before.rows.done) / minutes / 60
        purse = note.purse
        news = Heard(
            accepted={}, refused={}, spent=purse.spent - self.booked, in_doubt=purse.in_doubt - before.purse.in_doubt
        )
        for name, lane in note.lanes.items():
            was = before.lanes.get(name, _UNLENT)
            news.refused[name] = lane.refused - was.refused
            news.accepted[name] = lane.left - was.left - news.refused[name]
            self.per_minute[name] = (lane.left - was.left) / minutes, (lane.tokens - was.tokens) / minutes
        self.booked, self.settled = purse.spent, False
        return news

    def settle(self, spent: Spend, presumed: Spend) -> Heard:
        """Count *spent* as all that it spent, and *presumed* of it as in doubt; gives what that changes."""
        changes = Heard(accepted={}, refused={}, spent=spent - self.booked, in_doubt=presumed - self.presumed)
        self.booked, self.presumed, self.settled = spent, presumed, True
        return changes

    def lend(self, number: int, shares: Mapping[str, Share], envelope: Envelope, life_s: float = LIFE_S) -> None:
        """Remember what is lent to it, for *life_s*, in answer to its last note."""
        ends_at = self.seen_at + life_s + GUARD_S
        self._loans.append(_Loan(number=number, ends_at=ends_at, shares=shares, envelope=envelope))

    def held(self, lane: str, place: int, now: float) -> float:
        """The most that it may use now, of requests (place 0) or tokens (1) a minute; without end: any number."""
        rates = (loan.shares[lane][place] for loan in self._loans if loan.ends_at > now and lane in loan.shares)
        return max((math.inf if rate is None else rate for rate in rates), default=0.0)

    def holder(self) -> Holder:
        """Its money."""
        purse = self.note.purse
        spent, reserved = _amounts(self.booked), _amounts(purse.reserved)
        return Holder(
            spent=spent,
            reserved=reserved,
            committed=self.committed(),
            need=_amounts(purse.need),
            wants=None if purse.wants is None else _amounts(purse.wants),
            waits=purse.waiting > 0,
        )

    def committed(self) -> Amounts:
        """The most that it may have spent in the end."""
        purse = self.note.purse
        if self.settled or self.note.left:
            return _amounts(self.booked)
        lowest = _amounts(self.booked + purse.reserved)
        most = [max([lowest[unit], *(loan.envelope[unit] or 0 for loan in self._loans)]) for unit in range(3)]
        return most[0], most[1], most[2]


def _amounts(spend: Spend) -> Amounts:
    return spend.nano_usd, spend.tokens, spend.requests
