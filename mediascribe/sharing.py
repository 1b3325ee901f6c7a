"""Sharing: rows of a shard that ask the same about the same media; the first is asked, the others get its answer.

Rules of this file:

- Rows are the same by their plan (same URLs), or by their media's content once that was looked at.
- An answer is good for all, and so is a failure that lies in what was asked (`_IN_THE_QUESTION`). After any other
  failure the next of the rows is asked itself: it may have better luck.
- A shared row has the answer and says whose it is (`answered_by`); it was billed nothing, and says what it saved. What
  belongs to the exchange (ids, times, usage) stands in the row that was asked, and nowhere twice.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from mediascribe.domain import Completion, Cost, Record, Usage

if TYPE_CHECKING:
    from collections.abc import Hashable

    from mediascribe.domain import ErrorClass, MediaFacts
    from mediascribe.plan import Due

SHARED: Final = Usage(source="shared")
# Failures that any row with the same question would meet.
_IN_THE_QUESTION: Final[frozenset[ErrorClass]] = frozenset({"media", "request", "safety"})


@dataclass(slots=True)
class _Group:
    """Rows that ask the same: what is known of their answer, and who waits for it."""

    waiting: list[tuple[Due, MediaFacts | None]]
    record: Record | None = None


class Sharing:
    """The groups of one shard; it belongs to one event loop."""

    def __init__(self) -> None:
        """No row has come yet."""
        self._groups: dict[Hashable, _Group] = {}

    def __contains__(self, key: Hashable) -> bool:
        return key in self._groups

    def enter(self, key: Hashable, due: Due, media: MediaFacts | None = None) -> Record | bool:
        """*due* comes, as one of the group *key*: its record, or True: it leads and is asked, or False: it waits."""
        group = self._groups.get(key)
        if group is None:
            self._groups[key] = _Group([])
            return True
        if group.record is not None:
            return shared(group.record, due, media)
        group.waiting.append((due, media))
        return False

    def known(self, key: Hashable) -> Record | None:
        """The record that is good for the group *key*, if there is one by now."""
        group = self._groups.get(key)
        return group.record if group else None

    def settle(self, key: Hashable, record: Record) -> tuple[list[Record], Due | None]:
        """The leader of *key* came to *record*.

        Gives the records of those that waited, or, where its failure is its own, the row that is to be asked next.
        """
        group = self._groups[key]
        if is_good_for_all(record):
            group.record = record
            waiting, group.waiting = group.waiting, []
            return [shared(record, due, media) for due, media in waiting], None
        if group.waiting:
            return [], group.waiting.pop(0)[0]
        del self._groups[key]  # the next one leads
        return [], None


def is_good_for_all(record: Record) -> bool:
    """Whether any row with the same question may have the outcome of *record*."""
    return isinstance(record.outcome, Completion) or record.outcome.error_class in _IN_THE_QUESTION


def shared(record: Record, due: Due, media: MediaFacts | None = None) -> Record:
    """The record of *due*, which asks what the row of *record* was asked; *media* is what is known of its own."""
    outcome = replace(record.outcome, usage=SHARED, response_id=None, gateway_request_id=None)
    cost = record.cost
    return Record(
        item=due.item,
        reason=due.reason,
        outcome=outcome,
        request_key=record.request_key,
        cost=cost and Cost(nano_usd=0, price_version=cost.price_version),
        completed_at=record.completed_at,
        media=media or record.media,
        answered_by=record.answered_by or record.item.item_id,
        saved=record.saved if record.answered_by else cost,
    )
