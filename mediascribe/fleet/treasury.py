"""Treasury: the budget of a fleet, lent to its members in envelopes, and booked as they say what they spent."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from mediascribe.fleet import purses
from mediascribe.spending import Spend

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from mediascribe.budget import Budget, Envelope
    from mediascribe.fleet.account import Account, Heard

SETTLED_S: Final = 120.0  # of silence, after which a member's worst is what it spent


class Treasury:
    """Lends *budget*. `out` says why nobody gets more, once that is so."""

    def __init__(self, budget: Budget) -> None:
        """Nothing is lent yet."""
        self._budget = budget
        self.out: str | None = None

    def book(self, news: Heard) -> None:
        """Count what a member spent."""
        self._budget.book(news.spent, news.in_doubt)

    def envelopes(
        self, accounts: Mapping[str, Account], alive: Mapping[str, Account], now: float
    ) -> dict[str, Envelope]:
        """How much money each may have spent in all."""
        self._give_up((account for account in accounts.values() if now > account.seen_at + SETTLED_S), now)
        rest = self._budget.rest()
        for member, account in accounts.items():
            if member not in alive:
                rest = _less(rest, account)
        holders = [account.holder() for account in alive.values()]
        unsettled = any(account.health(now) == "dead" and not account.settled for account in accounts.values())
        self.out = None
        if not unsettled and purses.is_dry(holders, rest):
            needs = (account.note.purse.need for account in alive.values() if account.note.purse.waiting)
            self.out = next(filter(None, map(self._budget.refusal, needs)), None)
        return dict(zip(alive, purses.fill(holders, rest), strict=True))

    def _give_up(self, silent: Iterable[Account], now: float) -> None:
        """Count what the dead may have spent as spent, where nobody has said better for long."""
        for account in silent:
            if account.health(now) == "dead" and not account.settled:
                worst = Spend(*account.committed())
                self.book(account.settle(worst, worst - account.booked))


def _less(rest: Envelope, account: Account) -> Envelope:
    """*rest* without what *account* may have spent beyond what is booked."""
    committed, booked = account.committed(), account.booked
    gone = [most - had for most, had in zip(committed, (booked.nano_usd, booked.tokens, booked.requests), strict=True)]
    usd, tokens, requests = (None if most is None else most - out for most, out in zip(rest, gone, strict=True))
    return usd, tokens, requests
