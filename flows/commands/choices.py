"""Options that commands which plan and ask have in common."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal  # noqa: TC003 - cyclopts reads the annotations
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from mediascribe.domain import ErrorClass, Reason
from mediascribe.errors import ConfigError

if TYPE_CHECKING:
    from mediascribe.means import Means
    from mediascribe.wanted import Wanted

Json = Annotated[bool, Parameter(name="--json", negative=(), help="Print one JSON object for programs, no progress.")]
JobPath = Annotated[Path, Parameter(help="The job file, such as configs/jobs/demo.toml.")]
Reasons = Annotated[
    list[Reason] | None, Parameter(name="--reason", negative=(), help="Rows due for this reason; may be given again.")
]


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class Filters:
    """Which of the rows that are due are asked; all options together."""

    where: Annotated[
        str | None, Parameter(help='A SQL condition on the manifest\'s row and its current result: "attempts > 1".')
    ] = None
    since: Annotated[str | None, Parameter(help="Rows whose current result is of this day or later (UTC).")] = None
    until: Annotated[str | None, Parameter(help="Rows whose current result is of this day at the latest.")] = None
    ids: Annotated[Path | None, Parameter(help="A file of item ids, one a line.")] = None
    error_class: Annotated[
        list[ErrorClass] | None, Parameter(negative=(), help="Of failed rows, those of this class; again for more.")
    ] = None
    limit: Annotated[int | None, Parameter(help="The first so many rows.")] = None
    sample: Annotated[int | None, Parameter(help="So many rows at random, of each kind of media its share.")] = None

    def wanted(self) -> Wanted:
        """The same, as a flow takes it.

        Raises:
            ConfigError: a value cannot be.
        """
        from mediascribe.wanted import Wanted  # noqa: PLC0415 - other commands do without

        for name, number in (("--limit", self.limit), ("--sample", self.sample)):
            if number is not None and number < 1:
                raise ConfigError(f"{name} {number}: wants a number of rows, 1 or more")
        until = _moment(self.until, "--until")
        return Wanted(
            where=self.where,
            since=_moment(self.since, "--since"),
            until=until and until + timedelta(days=1),
            ids_file=self.ids and str(self.ids),
            error_classes=self.error_class,
            limit=self.limit,
            sample=self.sample,
        )


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class Own:
    """What this run may use, in place of what the job says."""

    budget_usd: Annotated[Decimal | None, Parameter(help="Stop before more than this is spent by this run.")] = None
    budget_tokens: Annotated[int | None, Parameter(help="The same in tokens.")] = None
    share: Annotated[float, Parameter(help="Of the quota, this share: 0.3 leaves 70 % to other runs.")] = 1.0

    def means(self) -> Means:
        """The same, as a flow takes it.

        Raises:
            ConfigError: a value cannot be.
        """
        from pydantic import ValidationError  # noqa: PLC0415 - takes a moment to import, and help does without

        from mediascribe.job_sections import Caps  # noqa: PLC0415 - other commands do without
        from mediascribe.means import Means  # noqa: PLC0415 - likewise

        try:
            caps = Caps(usd=self.budget_usd, tokens=self.budget_tokens, requests=None)
            return Means(budget=None if caps == Caps() else caps, share=self.share)
        except ValidationError as error:
            first = error.errors()[0]
            raise ConfigError(f"{first['loc'][-1]} {first['input']}: {first['msg'].lower()}") from None


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class Looking:
    """What a plan shows."""

    explain: Annotated[int, Parameter(help="Show so many rows of each reason, with the cause.")] = 0
    what_if: Annotated[
        list[str] | None,
        Parameter(
            negative=(), help="model=NAME,max_side=PIXELS,detail=low,max_tokens=N: columns beside; again for more."
        ),
    ] = None
    pilot: Annotated[
        int | None, Parameter(help="Really ask so many rows first, drawn at random, and forecast the rest from them.")
    ] = None


def _moment(text: str | None, option: str) -> datetime | None:
    """The beginning of the day that *text* says (UTC)."""
    if text is None:
        return None
    try:
        return datetime.combine(date.fromisoformat(text), datetime.min.time(), UTC)
    except ValueError:
        raise ConfigError(f"{option} {text}: write a day, such as 2026-10-01") from None
