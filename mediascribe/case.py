"""Case: one row on its way from its first attempt to its record.

The same steps are taken live and on replay, so that a record is a pure function of the journal: `Describer` journals an
entry and then hands it to the case; a resumed shard hands over the entries that it finds.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, assert_never, cast

from mediascribe.domain import NO_USAGE, Completion, Cost, ErrorClass, Failure, Item, Reason, Record, Request, Usage
from mediascribe.errors import AttemptError, InDoubtError, PermanentError, RateLimitedError
from mediascribe.journal import Answered, Entry, GaveUp, Sent, Unanswered

if TYPE_CHECKING:
    from collections.abc import Iterable

    from mediascribe.pricing import PriceBook
    from mediascribe.wire import Dialect


class Case:
    """What the attempts of one row have come to so far.

    `attempts` were sent, `used` of them count against the row, and `in_doubt` of them brought no answer that settles
    whether they were billed.
    """

    __slots__ = (
        "_billed",
        "_completed_at",
        "_dialect",
        "_last",
        "_latency_s",
        "_requested_at",
        "attempts",
        "in_doubt",
        "item",
        "key",
        "outcome",
        "reason",
        "request",
        "used",
    )

    def __init__(
        self, item: Item, reason: Reason, request: Request, dialect: Dialect, *, key: str | None = None
    ) -> None:
        """Open the case of *item*; *key* stands in for the request's own where the whole request is not known."""
        self.item, self.reason, self.request, self._dialect = item, reason, request, dialect
        self.key = key or request.key
        self.attempts = self.used = self.in_doubt = 0
        self.outcome: Completion | Failure | None = None
        self._billed: list[Usage] = []
        self._last: Failure | None = None
        self._requested_at: float | None = None
        self._completed_at: float | None = None
        self._latency_s: float | None = None

    def replay(self, entries: Iterable[Entry]) -> None:
        """Take the steps that *entries* tell of; what an attempt met is remembered, not raised."""
        for entry in entries:
            if self.outcome is not None:
                return
            try:
                self._step(entry)
            except AttemptError:
                continue

    def sent(self, at: float) -> None:
        """An attempt leaves at *at* (UTC, seconds since 1970)."""
        self.attempts += 1
        self.in_doubt += 1
        if self._requested_at is None:
            self._requested_at = at

    def answered(self, entry: Answered) -> None:
        """An answer came: it is the outcome, or raises what is wrong with it (an `AttemptError`)."""
        self._completed_at, self._latency_s = entry.at, entry.latency_s
        try:
            self.outcome = self._dialect.decode(entry.answer, self.request)
        except AttemptError as error:
            self.in_doubt -= not isinstance(error, InDoubtError)
            self._failed(error.failure, costs_attempt=not isinstance(error, RateLimitedError))
            if isinstance(error, PermanentError):
                self.outcome = error.failure
            raise
        self.in_doubt -= 1

    def unanswered(self, failure: Failure, at: float, *, in_doubt: bool) -> None:
        """The attempt ended without a whole answer; *in_doubt* says that it may have been billed."""
        self.in_doubt -= not in_doubt
        self._completed_at, self._latency_s = at, None
        self._failed(failure, costs_attempt=True)

    def give_up(self) -> None:
        """No further attempt: what the last one met is the outcome."""
        self.outcome = self._last

    @property
    def wasted_tokens(self) -> int:
        """Tokens billed by attempts whose answer is not the outcome."""
        return sum(usage.total_tokens for usage in self._wasted())

    def record(self, prices: PriceBook) -> Record:
        """The result row. Its cost is all that the row was billed for, wasted attempts included."""
        if self.outcome is None:
            raise ValueError(f"row {self.item.row_number} has no outcome yet")
        return Record(
            item=self.item,
            reason=self.reason,
            outcome=self.outcome,
            request_key=self.key,
            cost=self._cost(prices),
            attempts=self.attempts,
            wasted_tokens=self.wasted_tokens,
            requested_at=_utc(self._requested_at),
            completed_at=_utc(self._completed_at),
            latency_s=self._latency_s,
        )

    def _step(self, entry: Entry) -> None:
        match entry:
            case Sent():
                self.sent(entry.at)
            case Answered():
                self.answered(entry)
            case Unanswered():
                error_class = cast("ErrorClass", entry.error_class)
                failure = Failure(error_class=error_class, message=entry.message)
                self.unanswered(failure, entry.at, in_doubt=entry.in_doubt)
            case GaveUp():
                self.give_up()
            case _:
                assert_never(entry)

    def _failed(self, failure: Failure, *, costs_attempt: bool) -> None:
        self.used += costs_attempt
        self._last = failure
        if failure.usage.source != "missing":
            self._billed.append(failure.usage)

    def _wasted(self) -> list[Usage]:
        kept = self.outcome.usage if self.outcome else NO_USAGE
        return [usage for usage in self._billed if usage is not kept]

    def _cost(self, prices: PriceBook) -> Cost | None:
        """The sum over all billed attempts; None as soon as one of them has no price."""
        kept = self.outcome.usage if self.outcome else NO_USAGE
        billed = [usage for usage in (*self._wasted(), kept) if usage.source != "missing"]
        on = datetime.fromtimestamp(self._completed_at or 0, UTC).date()
        costs = [cost for usage in billed if (cost := prices.cost(usage, self.request.model, on))]
        if not billed or len(costs) < len(billed):
            return None
        return Cost(nano_usd=sum(cost.nano_usd for cost in costs), price_version=costs[-1].price_version)


def _utc(at: float | None) -> datetime | None:
    return None if at is None else datetime.fromtimestamp(at, UTC)
