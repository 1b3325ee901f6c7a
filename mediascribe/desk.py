"""Desk: one shard at work: what its journal held, what came of its rows, and which wait for another's answer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from mediascribe.columns import schema, to_batch
from mediascribe.pile import Pile
from mediascribe.sharing import Sharing, shared

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable

    import pyarrow as pa

    from mediascribe import journal
    from mediascribe.case import Case
    from mediascribe.columns import RunFacts
    from mediascribe.domain import MediaFacts, Record, Shard
    from mediascribe.journal import Journal
    from mediascribe.media.prepared import Prepared
    from mediascribe.plan import Due
    from mediascribe.spending import Spent

_BATCH_ROWS: Final = 128


class Cases:
    """What the rows of a shard came to together, those without a result among them."""

    def __init__(self) -> None:
        """No row yet."""
        self.in_doubt = 0
        self.spent: dict[str, Spent] = {}

    def add(self, case: Case) -> None:
        """Add what *case* came to."""
        self.in_doubt += case.account.in_doubt
        for day, spent in case.account.spent.items():
            self.spent[day] = self.spent[day] + spent if day in self.spent else spent


@dataclass(slots=True)
class Row:
    """One row that is to be asked."""

    due: Due
    case: Case
    prepared: Prepared | None = None

    @property
    def is_pieced(self) -> bool:
        """Whether it is asked in pieces."""
        return self.prepared is not None and len(self.prepared.parts) > 1

    @property
    def media(self) -> MediaFacts | None:
        """What is known of its media."""
        return self.prepared.facts if self.prepared else None


class Desk:
    """The rows of one shard on their way. Belongs to one event loop."""

    log: Journal

    def __init__(
        self, found: journal.Replay, announce: Callable[[Record], None], facts: RunFacts, shard: Shard
    ) -> None:
        """Start from what the journal *found* of *shard*; *announce* hears of every record."""
        self.found, self._facts, self._shard = found, facts, shard
        self._pile = Pile(schema(facts.carry, facts.answer))
        self._records: list[Record] = []
        self.cases = Cases()
        self._announce = announce
        self._sharing = Sharing()
        self._led: dict[int, list[Hashable]] = {}

    def results(self) -> pa.Table:
        """All records in the order of the manifest, as rows of the part; for once, when no more will land."""
        self._pack()
        return self._pile.take()

    def _pack(self) -> None:
        """Turn the last records into Arrow's compact form: a few at a time, so that nobody waits for long."""
        if self._records:
            self._pile.add(to_batch(self._facts, self._shard, self._records))
            self._records = []

    def shares(self, key: Hashable, due: Due, media: MediaFacts | None = None) -> tuple[bool, list[Due]]:
        """Whether *due* gets the answer of another row of the group *key*, now or later; and who is asked instead.

        The latter are rows that waited for *due*, when it has come to a failure of that other's.
        """
        led = self._led.setdefault(due.item.row_number, [])
        if key in led:
            return False, []
        met = self._sharing.enter(key, due, media)
        if met is True:
            led.append(key)
            return False, []
        return True, [] if met is False else self.land(met)

    def is_led(self, key: Hashable) -> bool:
        """Whether a row leads the group *key*, asked or answered."""
        return key in self._sharing

    def lead(self, due: Due) -> None:
        """*due* has its own record, which is good for those of its group that `follow`."""
        if due.leader is not None and not self.is_led(due.leader):
            self.shares(due.leader, due)

    def follow(self, due: Due) -> None:
        """*due* was not asked: it has the answer of its group, if there is one by now."""
        known = self._sharing.known(due.leader)
        if known:
            self.land(shared(known, due))

    def land(self, record: Record) -> list[Due]:
        """*record* is the result of its row, and of those that waited for it; gives the rows that are to be asked next.

        Those waited for a row that failed for a reason of its own.
        """
        self._records.append(record)
        if len(self._records) >= _BATCH_ROWS:
            self._pack()
        self._announce(record)
        following: list[Due] = []
        for key in self._led.pop(record.item.row_number, ()):
            others, heir = self._sharing.settle(key, record)
            for other in others:
                following += self.land(other)
            if heir:
                self._led.setdefault(heir.item.row_number, []).append(key)
                following.append(heir)
        return following
