"""Case: one row on its way from its first attempt to its record.

The same steps are taken live and on replay, so that a record is a pure function of the journal: `Describer` journals an
entry and then hands it to the case; a resumed shard hands over the entries that it finds.

A row may be asked a second question (`Again`), once. Then the better of the two outcomes is its result, and both are in
its cost.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final, assert_never, cast

from mediascribe.account import Account
from mediascribe.domain import Completion, ErrorClass, Failure, Item, Reason, Record, Request
from mediascribe.errors import AttemptError, InDoubtError, PermanentError, RateLimitedError
from mediascribe.journal import Again, Answered, Entry, Excused, GaveUp, Sent, Split, Unanswered
from mediascribe.wire import DIALECTS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from mediascribe.journal import Cause
    from mediascribe.media.token_rules import Facts
    from mediascribe.pricing import PriceBook

    Fit = Callable[[Completion, "Case"], Completion | Failure]

IN_DOUBT: Final = "in_doubt"  # the code of a failure whose request may have been billed
# Which of two outcomes is worth more to whoever asked.
_RANK: Final = {"ok": 4, "truncated": 3, "refused": 2, "failed": 1, "skipped": 0}


class Case:
    """What the attempts of one row have come to so far.

    `account` has the attempts that were sent, `used` of them count against the row. `media` has what is known of each
    medium of the request; None: what its data URLs say.
    """

    __slots__ = (
        "_cause",
        "_completed_at",
        "_first",
        "_fit",
        "_key",
        "_last",
        "_latency_s",
        "_requested_at",
        "account",
        "item",
        "media",
        "outcome",
        "reason",
        "request",
        "used",
    )

    def __init__(
        self, item: Item, reason: Reason, request: Request, prices: PriceBook, *, fit: Fit | None = None
    ) -> None:
        """Open the case of *item*; *fit* judges what an answer says (by the job's schema)."""
        self.item, self.reason, self.request = item, reason, request
        self.account = Account(prices)
        self.media: tuple[Facts, ...] | None = None
        self.used = 0
        self.outcome: Completion | Failure | None = None
        self._fit = fit
        self._key: str | None = None
        self._cause: Cause | None = None
        self._first: Completion | Failure | None = None
        self._last: Failure | None = None
        self._requested_at: float | None = None
        self._completed_at: float | None = None
        self._latency_s: float | None = None

    @property
    def key(self) -> str:
        """The key of the row's first question: what was sent, even if the prompt has changed since."""
        if self._key is None:
            self._key = self.request.key
        return self._key

    def replay(self, entries: Iterable[Entry]) -> None:
        """Take the steps that *entries* tell of; what an attempt met is remembered, not raised."""
        for entry in entries:
            if self.outcome is not None and not isinstance(entry, Again):
                return
            try:
                self._step(entry)
            except AttemptError:
                continue

    def sent(self, entry: Sent) -> None:
        """An attempt leaves."""
        self.account.sent(entry)
        self._key = entry.key
        if self._requested_at is None:
            self._requested_at = entry.at

    def answered(self, entry: Answered) -> Completion | Failure:
        """An answer came: gives what it says, and makes that the outcome; or raises what is wrong with it.

        That is an `AttemptError`. The outcome may still be that of the first question, where this one's is worse.
        """
        self._completed_at, self._latency_s = entry.at, entry.latency_s
        model = self.request.model
        try:
            completion = DIALECTS[self.request.dialect].decode(entry.answer, self.request)
        except AttemptError as error:
            if isinstance(error, InDoubtError):
                self.account.broken(error.failure.usage, model, entry.at)
            else:
                self.account.answered(error.failure.usage, model, entry.at, billed=False)
            self._failed(error.failure, costs_attempt=not isinstance(error, RateLimitedError))
            if isinstance(error, PermanentError):
                self._settle(error.failure)
            raise
        outcome = self._fit(completion, self) if self._fit else completion
        self.account.answered(outcome.usage, model, entry.at, billed=True)
        self._settle(outcome)
        return outcome

    def unanswered(self, failure: Failure, at: float, *, in_doubt: bool) -> None:
        """The attempt ended without a whole answer; *in_doubt* says that it may have been billed."""
        if in_doubt:
            self.account.broken(failure.usage, self.request.model, at)
        else:
            self.account.unbilled()
        self._completed_at, self._latency_s = at, None
        self._failed(replace(failure, code=failure.code or IN_DOUBT) if in_doubt else failure, costs_attempt=True)

    def excused(self) -> None:
        """The gateway was down: the last attempt costs the row none of its own."""
        self.used -= 1

    def give_up(self) -> None:
        """No further attempt: what the last one met is the outcome."""
        if self._last:
            self._settle(self._last)

    def hold(self) -> None:
        """Keep a row that was sent and not answered from being asked again by itself: it may have been billed."""
        if self.outcome is None and self.account.in_doubt:
            message = "the run was ended before the answer came; it may have been billed: ask again by a backfill"
            self.outcome = Failure(error_class="network", code=IN_DOUBT, message=message)

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

    def record(self) -> Record:
        """The result row. Its cost is all that the row was billed for, wasted attempts included."""
        if self.outcome is None:
            raise ValueError(f"row {self.item.row_number} has no outcome yet")
        return Record(
            item=self.item,
            reason=self.reason,
            outcome=self.outcome,
            request_key=self.key,
            cost=self.account.cost(),
            attempts=self.account.attempts,
            wasted_tokens=self.account.wasted_tokens(self.outcome.usage),
            requested_at=_utc(self._requested_at),
            completed_at=_utc(self._completed_at),
            latency_s=self._latency_s,
        )

    def record_of(self, failure: Failure) -> Record:
        """The result row where *failure* was found before its first attempt, or before a further one."""
        self.outcome = self.outcome or failure
        return self.record()

    def _step(self, entry: Entry) -> None:
        match entry:
            case Sent():
                self.sent(entry)
            case Answered():
                self.answered(entry)
            case Unanswered():
                error_class = cast("ErrorClass", entry.error_class)
                failure = Failure(error_class=error_class, message=entry.message)
                self.unanswered(failure, entry.at, in_doubt=entry.in_doubt)
            case Excused():
                self.excused()
            case GaveUp():
                self.give_up()
            case Again():
                self.again(entry)
            case Split():  # its pieces are cases of their own
                pass
            case _:
                assert_never(entry)

    def _failed(self, failure: Failure, *, costs_attempt: bool) -> None:
        self.used += costs_attempt
        self._last = failure

    def _settle(self, outcome: Completion | Failure) -> None:
        """Make *outcome* the row's, unless the first question had a better one."""
        first, cause = self._first, self._cause
        if first and cause:
            better = _RANK[outcome.status] >= _RANK[first.status]
            outcome = replace(outcome, flags=(*outcome.flags, cause)) if better else first
        self.outcome = outcome


def _utc(at: float | None) -> datetime | None:
    return None if at is None else datetime.fromtimestamp(at, UTC)
