"""Budget: the ledger that is never passed.

Before a request leaves, the worst that it can cost is reserved; when its answer is in, what it did cost takes its
place. Rules of this file:

- What is spent and what is reserved stay together within every cap: of the run, of the day, of the month (UTC).
- First come, first served: where the first in line does not fit, nobody passes it.
- Whoever waits, waits for reservations that may still come back. Where that cannot make room any more, all who wait get
  a `SpentError`, and the run stops, resumable.
- A request whose end is not known counts at its worst: it may have been billed.
- At midnight the period's spending begins anew, and what is reserved is carried into it.
- In a fleet (`fleet/`), the lead's budget has the caps, and each member's has an envelope, which is refilled: who waits
  for room in that goes on waiting until the lead says that there is no more.
"""

from __future__ import annotations

import asyncio
from collections import deque
from datetime import UTC, date, datetime, time, timedelta
from typing import TYPE_CHECKING, Final, NamedTuple

import msgspec

from mediascribe.caps import REQUESTS, TOKENS, USD, Cap, amounts, caps_of
from mediascribe.domain import Failure
from mediascribe.errors import DrainError, SpentError
from mediascribe.spending import Spend, Spent
from mediascribe.worst import check, worst_cost

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from mediascribe.caps import Period
    from mediascribe.errors import StopRunError
    from mediascribe.job_sections import BudgetSection

__all__ = ["Budget", "BudgetView", "Envelope", "Reservation", "Spend", "SpentError", "check", "since", "worst_cost"]

Envelope = tuple[int | None, int | None, int | None]  # nano-dollars, tokens, requests; None: any number
_LENT: Final = "the envelope of this member"
_OVER: Final = "the run is over: nothing more is sent"


class BudgetView(msgspec.Struct, frozen=True, kw_only=True):
    """Where a run's budget stands.

    `spent` is the run's own, `in_doubt` the part of it that may not have been billed, `reserved` what requests hold.
    `nearest` names the cap that is used up most, as "42 % of budget.usd", and `share` is that share; None without caps.
    `beyond` counts requests that came to more than was reserved for them: then a rule of `media/` is wrong.
    """

    spent: Spend
    in_doubt: Spend
    reserved: Spend
    waiting: int
    beyond: int
    nearest: str | None
    share: float | None


class Reservation:
    """What one request may cost, until it is settled or released."""

    __slots__ = ("is_open", "worst")

    def __init__(self, worst: Spend) -> None:
        """Hold *worst*."""
        self.worst, self.is_open = worst, True


class _Waiter(NamedTuple):
    worst: Spend
    granted: asyncio.Future[Reservation]


class Budget:
    """The ledger of one run. Belongs to one event loop; tests own the calendar through *now*."""

    def __init__(
        self,
        caps: BudgetSection,
        requests_per_day: int | None,
        *,
        spent: Iterable[Mapping[str, Spent]],
        now: Callable[[], datetime],
    ) -> None:
        """Begin with what earlier runs of the job *spent*, each by day; *now* is aware of its time zone."""
        self._now = now
        self._day = now().astimezone(UTC).date()
        self._midnight = _midnight(self._day)
        today, month = since(spent, self._day)
        self._spent: dict[Period, list[int]] = {"run": [0, 0, 0], "day": [*amounts(today)], "month": [*amounts(month)]}
        self._caps = tuple(caps_of(caps, requests_per_day, self._spent))
        self._held, self._in_doubt = [0, 0, 0], [0, 0, 0]
        self._line: deque[_Waiter] = deque()
        self._beyond = 0
        self._checked = self._caps  # and the envelope, in a fleet
        self._lender_is_out: str | None = None
        self._last_worst = Spend()
        self._closed = False

    async def reserve(self, worst: Spend) -> Reservation:
        """Wait for this caller's turn, and hold *worst* for it. Each reservation is settled or released, once.

        Raises:
            SpentError: a cap has no room for it, and none will come free.
            DrainError: the budget is closed.
        """
        if self._closed:
            raise DrainError(Failure(error_class="quota", code="run_over", message=_OVER))
        self._last_worst = worst
        if self._checked:
            self._turn_the_page()
            if self._line or self._full(worst):
                return await self._wait(worst)
        return self._hold(worst)

    def settle(self, reservation: Reservation, actual: Spend | None) -> None:
        """Put what the request did cost in the place of what was reserved; None: nobody knows, so all of that."""
        self._let_go(reservation)
        worst = reservation.worst
        billed = worst if actual is None else actual
        self._turn_the_page()
        for account in self._spent.values():
            _add(account, billed)
        if actual is None:
            _add(self._in_doubt, worst)
        elif actual.nano_usd > worst.nano_usd or actual.tokens > worst.tokens or actual.requests > worst.requests:
            self._beyond += 1
        self._admit()

    def release(self, reservation: Reservation) -> None:
        """Give back what was reserved: the request was never sent."""
        self._let_go(reservation)
        self._turn_the_page()
        self._admit()

    def grant(self, envelope: Envelope, *, out: str | None = None) -> None:
        """Spend up to *envelope* since the start; *out* says why there will never be more, once that is so.

        An envelope may be smaller than the one before: what is spent or reserved above it stays.
        """
        self._lender_is_out = out
        account = self._spent["run"]
        lent = (Cap(_LENT, "run", unit, most, account) for unit, most in enumerate(envelope) if most is not None)
        self._checked = (*self._caps, *lent)
        self._admit()

    def need(self) -> Spend:
        """The worst that the next request may cost: of the first in line, else as the last one's."""
        return next((waiter.worst for waiter in self._line if not waiter.granted.done()), self._last_worst)

    def book(self, spent: Spend, in_doubt: Spend) -> None:
        """Count what a member *spent*, of which *in_doubt* may not have been billed."""
        self._turn_the_page()
        for account in self._spent.values():
            _add(account, spent)
        _add(self._in_doubt, in_doubt)
        self._admit()

    def rest(self) -> Envelope:
        """What all caps leave to be reserved."""
        self._turn_the_page()
        usd, tokens, requests = (
            min(
                (cap.limit - cap.spent[unit] - self._held[unit] for cap in self._caps if cap.unit == unit), default=None
            )
            for unit in (USD, TOKENS, REQUESTS)
        )
        return usd, tokens, requests

    def refusal(self, worst: Spend) -> str | None:
        """What to tell a person where *worst* fits no more, beside what is spent; None where it does."""
        self._turn_the_page()
        asked = amounts(worst)
        full = (cap for cap in self._caps if cap.spent[cap.unit] + asked[cap.unit] > cap.limit)
        return next((cap.message(worst, self._day) for cap in full), None)

    def close(self) -> None:
        """Let everybody go who waits, by a `DrainError`: the run is over, and nothing more is sent."""
        self._closed = True
        self._dismiss(DrainError, _OVER, "run_over")

    def view(self) -> BudgetView:
        """Where the budget stands now."""
        self._turn_the_page()
        nearest = max(self._caps, key=lambda cap: cap.share, default=None)
        return BudgetView(
            spent=Spend(*self._spent["run"]),
            in_doubt=Spend(*self._in_doubt),
            reserved=Spend(*self._held),
            waiting=sum(not waiter.granted.done() for waiter in self._line),
            beyond=self._beyond,
            nearest=f"{nearest.share * 100:.0f} % of {nearest.name}" if nearest else None,
            share=nearest.share if nearest else None,
        )

    async def _wait(self, worst: Spend) -> Reservation:
        granted: asyncio.Future[Reservation] = asyncio.get_running_loop().create_future()
        self._line.append(_Waiter(worst, granted))
        self._admit()
        try:
            return await granted
        except asyncio.CancelledError:
            if granted.cancelled():
                self._admit()
            elif granted.exception() is None:  # granted in the instant in which the caller was cancelled
                self.release(granted.result())
            raise

    def _admit(self) -> None:
        """Let go who fits, in order; everybody, with an error, once the first in line can never fit."""
        while self._line:
            worst, granted = self._line[0]
            if granted.done():
                self._line.popleft()
            elif (full := self._full(worst)) is None:
                self._line.popleft()
                granted.set_result(self._hold(worst))
            else:
                if message := self._never(full, worst):
                    self._dismiss(SpentError, message, "budget_spent")
                return

    def _never(self, full: Cap, worst: Spend) -> str | None:
        """What to say where *worst* will never fit into the *full* cap; None where something may come back."""
        if full.name is _LENT:
            return self._lender_is_out
        fits = full.spent[full.unit] + amounts(worst)[full.unit] <= full.limit
        return None if fits else full.message(worst, self._day)

    def _dismiss(self, error: type[StopRunError], message: str, code: str) -> None:
        failure = Failure(error_class="quota", code=code, message=message)
        while self._line:
            granted = self._line.popleft().granted
            if not granted.done():
                granted.set_exception(error(failure))

    def _full(self, worst: Spend) -> Cap | None:
        """The first cap that has no room for *worst* now; None where all have."""
        asked, held = amounts(worst), self._held
        for cap in self._checked:
            _, _, unit, limit, spent = cap
            if spent[unit] + held[unit] + asked[unit] > limit:
                return cap
        return None

    def _hold(self, worst: Spend) -> Reservation:
        _add(self._held, worst)
        return Reservation(worst)

    def _let_go(self, reservation: Reservation) -> None:
        if not reservation.is_open:
            raise ValueError("this reservation is settled or released already")
        reservation.is_open = False
        for unit, amount in enumerate(amounts(reservation.worst)):
            self._held[unit] -= amount

    def _turn_the_page(self) -> None:
        """Begin the accounts of a new day, and of a new month; a clock that is set back changes nothing."""
        now = self._now()
        if now < self._midnight:
            return
        day = now.astimezone(UTC).date()
        if (day.year, day.month) != (self._day.year, self._day.month):
            self._spent["month"][:] = [0, 0, 0]
        self._spent["day"][:] = [0, 0, 0]
        self._day, self._midnight = day, _midnight(day)


def since(day_spends: Iterable[Mapping[str, Spent]], day: date) -> tuple[Spend, Spend]:
    """What *day_spends* (by YYYY-MM-DD) come to on *day*, and in its month."""
    today, month = [0, 0, 0], [0, 0, 0]
    for days in day_spends:
        for name, spent in days.items():
            if name[:7] == f"{day:%Y-%m}":
                _add(month, spent)
            if name == f"{day:%Y-%m-%d}":
                _add(today, spent)
    return Spend(*today), Spend(*month)


def _add(account: list[int], spend: Spend | Spent) -> None:
    account[USD] += spend.nano_usd
    account[TOKENS] += spend.tokens
    account[REQUESTS] += spend.requests


def _midnight(day: date) -> datetime:
    return datetime.combine(day + timedelta(days=1), time(), UTC)
