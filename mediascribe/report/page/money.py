"""The money side of a page: what `mediascribe.cost` says, in the shape that the page's script reads."""

from __future__ import annotations

from datetime import date, timedelta
from typing import TYPE_CHECKING, Any, Final

from mediascribe import cost, dataset
from mediascribe.cost import ANSWER_DAY, Rows
from mediascribe.report.formats import cells
from mediascribe.report.page.forecast import LATEST_DAYS, forecast
from mediascribe.report.page.scope import first_day, month_end

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import pandas as pd

    from mediascribe.report.page.forecast import Forecast
    from mediascribe.report.page.scope import Scope
    from mediascribe.store import Store

_SPLITS: Final = {"model": "model", "media_kind": "kind of media"}
_COUNTED: Final = ("cost_usd", "wasted_usd", "rows", "unpriced_rows")
_SERIES_MOST: Final = 7  # more colours than that nobody tells apart
_DAYS_MOST: Final = 1_000
_OUTLIERS_EACH: Final = 12
_NO_MEDIA: Final = "no media"


def money(store: Store, scope: Scope, today: date) -> dict[str, Any]:
    """The figures of *scope*: totals, groups, days, outliers and the forecast of the month; unknown money is None."""
    table = cost.table(store, (ANSWER_DAY, *_SPLITS), rows=scope.rows)
    days = _days(table)
    return {
        "total": cost.cost_total(table),
        "by": {key: _groups(table, key) for key in _SPLITS},
        "days": [str(day) for day in days],
        "trend": {key: _trend(table, key, days) for key in _SPLITS} if days else {},
        "outliers": cells(cost.outliers([store], rows=scope.rows, each=_OUTLIERS_EACH)),
        "forecast": None if scope.run else _month(store, scope.month or today.replace(day=1), today),
        "in_doubt": sum(_in_doubt(run) for run in dataset.runs(store) if scope.run in (None, run.get("run_id"))),
    }


def _groups(table: pd.DataFrame, key: str) -> list[dict[str, Any]]:
    """One line for each value of *key*, dearest first."""
    found = [
        {"name": _named(value), **cost.cost_total(group)}
        for value, group in table.groupby(table[key].fillna(_NO_MEDIA), sort=True)
    ]
    return sorted(found, key=lambda line: -(line["cost_usd"] or 0.0))


def _named(value: object) -> str:
    return value if isinstance(value, str) else str(value)


def _days(table: pd.DataFrame) -> list[date]:
    """Every day from the first to the last of *table*."""
    seen = sorted({date.fromisoformat(day) for day in table[ANSWER_DAY]})
    if not seen or (seen[-1] - seen[0]).days >= _DAYS_MOST:
        return seen
    return [seen[0] + timedelta(days=number) for number in range((seen[-1] - seen[0]).days + 1)]


def _trend(table: pd.DataFrame, key: str, days: Sequence[date]) -> list[dict[str, Any]]:
    """A series for each value of *key*, dearest first, with a value for each of *days*; the last ones together."""
    names = table[key].fillna(_NO_MEDIA)
    order = [line["name"] for line in _groups(table, key)]
    if len(order) > _SERIES_MOST:
        rest = f"{len(order) - _SERIES_MOST + 1} others"
        names = names.where(names.isin(order[: _SERIES_MOST - 1]), rest)
        order = [*order[: _SERIES_MOST - 1], rest]
    spread = table.assign(series=names).groupby(["series", ANSWER_DAY])[list(_COUNTED)].sum(min_count=1)
    series = []
    for name in order:
        own = cells(spread.loc[name].reindex([str(day) for day in days]))
        series.append({"name": name} | {measure: [_round(row[measure]) for row in own] for measure in _COUNTED})
    return series


def _round(value: float | None) -> float | None:
    return None if value is None else round(value, 9)


def _month(store: Store, month: date, today: date) -> dict[str, Any]:
    """The forecast of *month*, and what each of its days has cost so far."""
    first, last = month - timedelta(days=LATEST_DAYS), month_end(month)
    table = cost.table(store, (ANSWER_DAY,), rows=Rows(since=first, until=last))
    spent = {date.fromisoformat(row[ANSWER_DAY]): row["cost_usd"] or 0.0 for row in cells(table)}
    said = forecast(spent, month, today, begun=first_day(store))
    return _told(said, spent)


def _told(said: Forecast, spent: Mapping[date, float]) -> dict[str, Any]:
    days = [said.month + timedelta(days=number) for number in range(month_end(said.month).day)]
    return {
        "month": f"{said.month:%B %Y}",
        "today": str(said.today),
        "days": [str(day) for day in days],
        "spent_usd": [round(spent.get(day, 0.0), 9) if day <= said.today else None for day in days],
        "so_far_usd": round(said.so_far_usd, 9),
        "mean_usd": _round(said.mean_usd),
        "over_days": said.over_days,
        "end_usd": _round(said.end_usd),
        "is_over": said.today > days[-1],
    }


def _in_doubt(run: Mapping[str, Any]) -> int:
    """The requests of *run* that were sent and not answered; older run files do not say."""
    count = run.get("in_doubt")
    return count if isinstance(count, int) else 0
