"""Scope: which results a page is about."""

from __future__ import annotations

import calendar
import difflib
import re
from dataclasses import dataclass
from datetime import date, timedelta
from typing import TYPE_CHECKING, Final

from mediascribe.cost import Rows
from mediascribe.cost.rows import text
from mediascribe.dataset import RUNS, parts
from mediascribe.errors import ConfigError
from mediascribe.part import RESULTS

if TYPE_CHECKING:
    from pathlib import Path

    from mediascribe.store import Store

MOST_ROWS: Final = 10_000
_NAMED_MONTHS: Final = ("this", "last")
_RUN_OF_PART: Final = re.compile(r"^(.+)-\d+(?:-c[0-9a-f]+)?\.parquet$")


@dataclass(frozen=True, slots=True, kw_only=True)
class Scope:
    """Which results a page is about: those of one run, of one month (its first day), or all.

    `media` is the folder that relative media URLs are looked for in; None: none has a picture. The sheet has the newest
    `most_rows` rows.
    """

    run: str | None = None
    month: date | None = None
    media: Path | None = None
    most_rows: int = MOST_ROWS

    @property
    def rows(self) -> Rows:
        """The same, as a cost question has it."""
        run = None if self.run is None else f"run_id = {text(self.run)}"
        if self.month is None:
            return Rows(where=run)
        return Rows(since=self.month, until=month_end(self.month), where=run)

    @property
    def name(self) -> str:
        """The same, in words."""
        said = [f"run {self.run}"] if self.run else []
        said += [f"{self.month:%B %Y}"] if self.month else []
        return ", ".join(said) or "all results"

    def has_day(self, day: date) -> bool:
        """Whether a row that was answered on *day* is meant."""
        return self.month is None or self.month <= day <= month_end(self.month)


def month_of(said: str, today: date) -> date:
    """The first day of the month *said*: such as 2026-10, or `this` or `last`, as *today* has it.

    Raises:
        ConfigError: it is no month.
    """
    this = today.replace(day=1)
    if said in _NAMED_MONTHS:
        return this if said == "this" else (this - timedelta(days=1)).replace(day=1)
    try:
        if re.fullmatch(r"\d{4}-\d\d", said):
            return date.fromisoformat(f"{said}-01")
    except ValueError:
        pass
    raise ConfigError(f"--month {said}: write a year and a month, such as 2026-10, or this, or last")


def month_end(month: date) -> date:
    """The last day of the month that begins on *month*."""
    return month + timedelta(days=calendar.monthrange(month.year, month.month)[1] - 1)


def run_named(store: Store, said: str) -> str:
    """The run of *store* that is called *said*, or whose id alone begins so.

    Raises:
        ConfigError: there is none, or more than one.
    """
    closed = {name.removeprefix(RUNS).removesuffix(".json") for name in store.list(RUNS) if name.endswith(".json")}
    known = sorted(closed.union(_runs_of_parts(store)))
    found = [run for run in known if run == said] or [run for run in known if run.startswith(said)]
    if len(found) == 1:
        return found[0]
    if found:
        raise ConfigError(f"--run {said}: may be {' or '.join(found[:5])}: write more of it")
    near = difflib.get_close_matches(said, known, n=1)
    meant = f"did you mean {near[0]}?" if near else f"the latest is {known[-1]}" if known else "there are no runs yet"
    raise ConfigError(f"--run {said}: there is no such run in {store.address}; {meant}")


def first_day(store: Store) -> date | None:
    """The day on which the first run of *store* that has results began."""
    for name in parts(store):
        if found := re.match(rf"{RESULTS}date=(\d{{4}}-\d\d-\d\d)/", name):
            return date.fromisoformat(found[1])
    return None


def _runs_of_parts(store: Store) -> set[str]:
    found = (_RUN_OF_PART.match(name.rpartition("/")[2]) for name in parts(store))
    return {match[1] for match in found if match}
