"""Caps: what must not be passed, each beside the account of its period, and what is said when one is full."""

from __future__ import annotations

from datetime import date, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Final, Literal, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from mediascribe.job_sections import BudgetSection
    from mediascribe.spending import Spend, Spent

Period = Literal["run", "day", "month"]
PERIODS: Final[tuple[Period, ...]] = ("run", "day", "month")
USD, TOKENS, REQUESTS = range(3)  # the places of an account

_QUOTA: Final = "limits.requests_per_day"
_WHEN: Final[Mapping[Period, str]] = {"run": "", "day": " today", "month": " this month"}
_LOOSE: Final = 0.97  # a run that stops at less than this share of a cap was stopped by a large reservation


class Cap(NamedTuple):
    """One cap, as the job file calls it. `spent` is the account of its period, and is not the cap's to change."""

    name: str
    period: Period
    unit: int
    limit: int
    spent: list[int]

    @property
    def share(self) -> float:
        """How much of it is used up; 1 is all."""
        return self.spent[self.unit] / self.limit

    def message(self, worst: Spend, day: date) -> str:
        """What to tell a person on *day*, when a request that may cost *worst* has no room: the cap, and how to go on.

        The quota of the day is no budget of anybody's, and cannot be raised here.
        """
        after = day + timedelta(days=1) if self.period == "day" else _next_month(day)
        later = f"run again after {after} 00:00 UTC"
        spent, limit = self.spent[self.unit], _said(self.unit, self.limit)
        if self.name == _QUOTA:
            return f"the quota of the day is used up: {_QUOTA} is {self.limit:,}, {spent:,} were sent today; {later}"
        advice = f"raise {self.name} to go on" if self.period == "run" else f"raise {self.name}, or {later}"
        if self.unit != REQUESTS and self.share < _LOOSE:
            advice += "; a smaller budget.media_tokens or max_tokens makes a request's worst case smaller"
        return (
            f"the budget is spent: {self.name} is {limit}, {_said(self.unit, spent)} are spent{_WHEN[self.period]}, and"
            f" the next request may cost {_said(self.unit, amounts(worst)[self.unit])}; {advice}"
        )


def caps_of(
    section: BudgetSection, requests_per_day: int | None, accounts: Mapping[Period, list[int]]
) -> Iterator[Cap]:
    """The caps that *section* sets, and the quota of the day where there is one."""
    for period, caps in zip(PERIODS, (section, section.day, section.month), strict=True):
        prefix = "budget" if period == "run" else f"budget.{period}"
        nano_usd = None if caps.usd is None else int(caps.usd * 10**9)
        for unit, (word, limit) in enumerate((("usd", nano_usd), ("tokens", caps.tokens), ("requests", caps.requests))):
            if limit is not None:
                yield Cap(f"{prefix}.{word}", period, unit, limit, accounts[period])
    if requests_per_day is not None:
        yield Cap(_QUOTA, "day", REQUESTS, requests_per_day, accounts["day"])


def amounts(spend: Spend | Spent) -> tuple[int, int, int]:
    """*spend* by unit, in the order of an account."""
    return spend.nano_usd, spend.tokens, spend.requests


def _said(unit: int, amount: int) -> str:
    if unit == USD:
        return f"{Decimal(amount).scaleb(-9).normalize():f} USD"
    return f"{amount:,} {'token' if unit == TOKENS else 'request'}{'' if amount == 1 else 's'}"


def _next_month(day: date) -> date:
    return (day.replace(day=1) + timedelta(days=31)).replace(day=1)
