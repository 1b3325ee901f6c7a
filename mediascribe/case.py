"""Case: one row on its way from its first attempt to its record.

The same steps are taken live and on replay, so that a record is a pure function of the journal: `Describer` journals an
entry and then hands it to the case; a resumed shard hands over the entries that it finds.

A row may be asked a second question (`Again`), once. Then the better of the two outcomes is its result, and both are in
its cost.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final, NamedTuple, assert_never, cast

from mediascribe.domain import Completion, Cost, ErrorClass, Failure, Item, Reason, Record, Request, Usage
from mediascribe.errors import AttemptError, InDoubtError, PermanentError, RateLimitedError
from mediascribe.journal import Again, Answered, Entry, GaveUp, Sent, Unanswered
from mediascribe.wire import DIALECTS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from mediascribe.journal import Cause
    from mediascribe.pricing import PriceBook

    Fit = Callable[[Completion], Completion | Failure]

# Which of two outcomes is worth more to whoever asked.
_RANK: Final = {"ok": 4, "truncated": 3, "refused": 2, "failed": 1, "skipped": 0}


class Case:
    """What the attempts of one row have come to so far.

    `attempts` were sent, `used` of them count against the row, and `in_doubt` of them brought no answer that settles
    whether they were billed.
    """

    __slots__ = (
        "_billed",
        "_cause",
        "_completed_at",
        "_first",
        "_fit",
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
        self, item: Item, reason: Reason, request: Request, *, fit: Fit | None = None, key: str | None = None
    ) -> None:
        """Open the case of *item*.

        *fit* judges what an answer says (by the job's schema); *key* stands in for the request's own where the whole
        request is not known.
        """
        self.item, self.reason, self.request = item, reason, request
        self.key = key or request.key
        self.attempts = self.used = self.in_doubt = 0
        self.outcome: Completion | Failure | None = None
        self._fit = fit
        self._cause: Cause | None = None
        self._first: Completion | Failure | None = None
        self._billed: list[_Billed] = []
        self._last: Failure | None = None
        self._requested_at: float | None = None
        self._completed_at: float | None = None
        self._latency_s: float | None = None

    def replay(self, entries: Iterable[Entry]) -> None:
        """Take the steps that *entries* tell of; what an attempt met is remembered, not raised."""
        for entry in entries:
            if self.outcome is not None and not isinstance(entry, Again):
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
            completion = DIALECTS[self.request.dialect].decode(entry.answer, self.request)
        except AttemptError as error:
            self.in_doubt -= not isinstance(error, InDoubtError)
            self._failed(error.failure, costs_attempt=not isinstance(error, RateLimitedError))
            if isinstance(error, PermanentError):
                self._settle(error.failure)
            raise
        self.in_doubt -= 1
        outcome = self._fit(completion) if self._fit else completion
        self._bill(outcome.usage)
        self._settle(outcome)

    def unanswered(self, failure: Failure, at: float, *, in_doubt: bool) -> None:
        """The attempt ended without a whole answer; *in_doubt* says that it may have been billed."""
        self.in_doubt -= not in_doubt
        self._completed_at, self._latency_s = at, None
        self._failed(failure, costs_attempt=True)

    def give_up(self) -> None:
        """No further attempt: what the last one met is the outcome."""
        if self._last:
            self._settle(self._last)

    def again(self, entry: Again) -> None:
        """Ask the second question *entry*, with fresh attempts."""
        self._first, self._cause, self.outcome = self.outcome, entry.cause, None
        self.used, self._last = 0, None
        self.request = replace(
            self.request, model=entry.model, dialect=entry.dialect, prompt=entry.prompt, parameters=entry.parameters
        )

    def close(self) -> None:
        """No further answer will come: where the second question has none, the first one's outcome stands."""
        if self.outcome is None:
            self.outcome = self._first

    @property
    def asked_again(self) -> bool:
        """Whether this is the second question already."""
        return self._cause is not None

    @property
    def wasted_tokens(self) -> int:
        """Tokens billed by attempts whose answer is not the outcome."""
        kept = self.outcome.usage if self.outcome else None
        return sum(billed.usage.total_tokens for billed in self._billed if billed.usage is not kept)

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
            case Again():
                self.again(entry)
            case _:
                assert_never(entry)

    def _failed(self, failure: Failure, *, costs_attempt: bool) -> None:
        self.used += costs_attempt
        self._last = failure
        self._bill(failure.usage)

    def _bill(self, usage: Usage) -> None:
        self._billed.append(_Billed(usage=usage, model=self.request.model))

    def _settle(self, outcome: Completion | Failure) -> None:
        """Make *outcome* the row's, unless the first question had a better one."""
        first, cause = self._first, self._cause
        if first and cause:
            better = _RANK[outcome.status] >= _RANK[first.status]
            outcome = replace(outcome, flags=(*outcome.flags, cause)) if better else first
        self.outcome = outcome

    def _cost(self, prices: PriceBook) -> Cost | None:
        """The sum over all billed attempts; None as soon as one of them has no price."""
        on = datetime.fromtimestamp(self._completed_at or 0, UTC).date()
        billed = [one for one in self._billed if one.usage.source != "missing"]
        costs = [cost for one in billed if (cost := prices.cost(one.usage, one.model, on))]
        if not billed or len(costs) < len(billed):
            return None
        return Cost(nano_usd=sum(cost.nano_usd for cost in costs), price_version=costs[-1].price_version)


class _Billed(NamedTuple):
    usage: Usage
    model: str


def _utc(at: float | None) -> datetime | None:
    return None if at is None else datetime.fromtimestamp(at, UTC)
