"""Account: what the attempts of one row came to, in requests, tokens and money.

An attempt is open from when it leaves until its end is known. What it was billed is what its answer reports; where no
answer says, it counts at the worst that was reserved for it, since it may have been billed as much.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, NamedTuple

from mediascribe.domain import Cost, Usage
from mediascribe.spending import Spend, Spent

if TYPE_CHECKING:
    from mediascribe.journal import Sent
    from mediascribe.pricing import PriceBook


class Account:
    """The account of one row.

    `attempts` were sent, and `in_doubt` of them brought no answer that settles whether they were billed. `last` is what
    the latest attempt came to, None as long as nobody knows. `spent` has each day (UTC, YYYY-MM-DD).
    """

    __slots__ = ("_bills", "_open", "_prices", "attempts", "in_doubt", "last", "spent")

    def __init__(self, prices: PriceBook) -> None:
        """Open an account in which nothing was sent."""
        self._prices = prices
        self._bills: list[_Bill] = []
        self._open: Sent | None = None
        self.attempts = self.in_doubt = 0
        self.last: Spend | None = None
        self.spent: dict[str, Spent] = {}

    def sent(self, entry: Sent) -> None:
        """An attempt leaves: until its end is known it is in doubt, and counts at its worst."""
        self._open, self.last = entry, None
        self.attempts += 1
        self.in_doubt += 1
        self._book(
            Spent(nano_usd=entry.nano_usd, tokens=entry.tokens, requests=1, in_doubt_nano_usd=entry.nano_usd), entry.at
        )

    def answered(self, usage: Usage, model: str, at: float, *, billed: bool) -> None:
        """The answer of the attempt is whole, and reports *usage* of *model*.

        *billed* says that such an answer is paid for: where it reports nothing, nobody knows how much.
        """
        self.in_doubt -= 1
        self._bill(usage, model, at)
        if usage.source != "missing" or not billed:
            self._settle(usage)

    def unbilled(self) -> None:
        """The attempt ended before it reached the gateway, or was refused at the door."""
        self.in_doubt -= 1
        self._settle(Usage())

    def broken(self, usage: Usage, model: str, at: float) -> None:
        """The attempt ended without a whole answer, and stays in doubt; *usage* is what was heard all the same."""
        self._bill(usage, model, at)
        if usage.source != "missing":
            self._settle(usage)

    def wasted_tokens(self, kept: Usage | None) -> int:
        """Tokens billed by attempts whose answer is not the one *kept*."""
        return sum(bill.usage.total_tokens for bill in self._bills if bill.usage is not kept)

    def cost(self) -> Cost | None:
        """The sum over all billed attempts; None as soon as one of them has no price."""
        billed = [bill for bill in self._bills if bill.usage.source != "missing"]
        costs = [bill.cost for bill in billed if bill.cost]
        if not billed or len(costs) < len(billed):
            return None
        return Cost(nano_usd=sum(cost.nano_usd for cost in costs), price_version=costs[-1].price_version)

    def _bill(self, usage: Usage, model: str, at: float) -> None:
        known = usage.source != "missing"
        on = datetime.fromtimestamp(at, UTC).date()
        self._bills.append(_Bill(usage, self._prices.cost(usage, model, on) if known else None))

    def _settle(self, usage: Usage) -> None:
        """Put what is known in the place of the worst that was booked."""
        if (entry := self._open) is None:
            return
        cost = self._bills[-1].cost if self._bills and self._bills[-1].usage is usage else None
        nano_usd, tokens = cost.nano_usd if cost else 0, usage.total_tokens
        self.last = Spend(nano_usd=nano_usd, tokens=tokens, requests=1)
        change = (nano_usd - entry.nano_usd, tokens - entry.tokens)
        self._book(Spent(nano_usd=change[0], tokens=change[1], requests=0, in_doubt_nano_usd=-entry.nano_usd), entry.at)
        self._open = None

    def _book(self, change: Spent, at: float) -> None:
        day = datetime.fromtimestamp(at, UTC).date().isoformat()
        self.spent[day] = change if day not in self.spent else self.spent[day] + change


class _Bill(NamedTuple):
    usage: Usage
    cost: Cost | None
