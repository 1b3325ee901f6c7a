"""Speed: how long requests take at the quota, or as fast as earlier runs were."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

import msgspec

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from mediascribe.job_sections import LimitsSection

_TELLING_ROWS: Final = 20
_TELLING_S: Final = 2.0
_RUNS: Final = 5


class Duration(msgspec.Struct, frozen=True, kw_only=True):
    """Hours, and what they come from: `requests_per_minute`, `tokens_per_minute` or `earlier runs`."""

    hours: float
    bound_by: str


def duration(
    requests: float, tokens: float, limits: LimitsSection, model: str, rows_per_s: float | None
) -> Duration | None:
    """How long *requests* with so many *tokens* take; None where there is neither a quota nor a run to learn from."""
    quota = limits.models.get(model, limits)
    bounds = []
    if quota.requests_per_minute:
        bounds.append(Duration(hours=requests / quota.requests_per_minute / 60, bound_by="requests_per_minute"))
    if quota.tokens_per_minute:
        bounds.append(Duration(hours=tokens / quota.tokens_per_minute / 60, bound_by="tokens_per_minute"))
    if not bounds and rows_per_s:
        bounds.append(Duration(hours=requests / rows_per_s / 3600, bound_by="earlier runs"))
    return max(bounds, key=lambda one: one.hours, default=None)


def rows_per_s(runs: Iterable[Mapping[str, Any]]) -> float | None:
    """How fast the last runs with enough rows were; *runs* are run files, oldest first. None: there were none."""
    told = []
    for run in runs:
        rows = run.get("wrote", {}).get("rows", 0)
        seconds = _seconds(run)
        if rows >= _TELLING_ROWS and seconds >= _TELLING_S:
            told.append((rows, seconds))
    last = told[-_RUNS:]
    return sum(rows for rows, _ in last) / sum(seconds for _, seconds in last) if last else None


def _seconds(run: Mapping[str, Any]) -> float:
    """How long a run took; 0 where its file does not say."""
    try:
        began, ended = (datetime.fromisoformat(str(run[key])) for key in ("started_at", "finished_at"))
    except (KeyError, ValueError):
        return 0.0
    return (ended - began).total_seconds()
