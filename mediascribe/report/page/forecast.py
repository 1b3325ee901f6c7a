"""Forecast: what a month will have cost at its end, if the days that are left are like the latest ones."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Final

from mediascribe.report.page.scope import month_end

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import date

LATEST_DAYS: Final = 7


@dataclass(frozen=True, slots=True, kw_only=True)
class Forecast:
    """What was spent in `month` until `today`, and what will have been at its end.

    `mean_usd` is what the latest `over_days` whole days cost each; None where the month is over, and with no whole day
    to go by: then there is no forecast, and `end_usd` is what was spent, or None.
    """

    month: date
    today: date
    so_far_usd: float
    mean_usd: float | None
    over_days: int
    end_usd: float | None


def forecast(spent: Mapping[date, float], month: date, today: date, *, begun: date | None) -> Forecast:
    """What *month* will have cost, from the dollars *spent* on each day; *begun* is the first day of all.

    Each day that is left costs the mean of the last seven whole days, or of as many as there were since *begun*; and so
    does *today*, unless it has cost more already.
    """
    last = month_end(month)
    so_far = sum(usd for day, usd in spent.items() if month <= day <= min(today, last))
    over_days = min(LATEST_DAYS, (today - begun).days) if begun and month <= today <= last else 0
    mean = end = None
    if today > last:
        end = so_far
    elif over_days > 0:
        latest = [today - timedelta(days=back) for back in range(1, over_days + 1)]
        mean = sum(spent.get(day, 0.0) for day in latest) / over_days
        end = so_far + max(0.0, mean - spent.get(today, 0.0)) + mean * (last - today).days
    return Forecast(
        month=month, today=today, so_far_usd=so_far, mean_usd=mean, over_days=max(over_days, 0), end_usd=end
    )
