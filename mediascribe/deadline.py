"""Deadline: when a run has to be done, and as soon as it is known, that it will not be.

Two grades: `likely` when the rows that are left take too long at the pace of late, `certain` when they take too long
even at all of the quota that is known, or when the time has come.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from typing import Final, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from mediascribe.errors import ConfigError

Grade = Literal["likely", "certain"]

# A pace of a few seconds says nothing: the window, the caches and the pace itself are still being learned.
TELLING_S: Final = 30.0
_TIME_OF_DAY: Final = re.compile(r"(\d{1,2}):(\d{2})(?::(\d{2}))?(?:\s+([A-Za-z][\w+/-]*))?")


@dataclass(frozen=True, slots=True, kw_only=True)
class Outlook:
    """What is known of the rest of a run.

    `rows_per_s` is the pace of late, watched for `watched_s`; `most_rows_per_s` what the known quota allows. None:
    nobody knows.
    """

    rows_left: int
    watched_s: float
    rows_per_s: float | None
    most_rows_per_s: float | None


def parse(text: str, after: datetime, zone: str = "UTC") -> datetime:
    """The deadline that *text* names (aware): the first such time of day later than *after*, or an ISO time.

    A time of day is one of *zone*, unless it names its own: `06:00 Europe/Berlin`. An ISO time without an offset is
    one of *zone* as well.

    Raises:
        ConfigError: it is neither, or there is no such zone.
    """
    found = _TIME_OF_DAY.fullmatch(text.strip())
    if not found:
        return _iso(text, zone)
    hours, minutes, seconds, own = found.groups()
    here = _zone(own or zone)
    try:
        of_day = time(int(hours), int(minutes), int(seconds or 0))
    except ValueError:
        raise _wrong(text) from None
    day = after.astimezone(here).date()
    # By way of UTC: a local time that the clocks leave out is an hour later then, and any two can be compared.
    first, second = (datetime.combine(day + timedelta(days), of_day, here).astimezone(UTC) for days in (0, 1))
    return (first if first > after else second).astimezone(here)


def grade(at: datetime, now: datetime, outlook: Outlook) -> Grade | None:
    """How sure it is at *now* that rows will be left when it is *at*; None while there is hope."""
    if not outlook.rows_left:
        return None
    left_s = (at - now).total_seconds()
    if left_s <= 0 or (outlook.most_rows_per_s and outlook.rows_left / outlook.most_rows_per_s > left_s):
        return "certain"
    if outlook.watched_s < TELLING_S or outlook.rows_per_s is None:
        return None
    return "likely" if outlook.rows_left > outlook.rows_per_s * left_s else None


def done_at(now: datetime, outlook: Outlook) -> datetime | None:
    """When the rest is done at the pace of late; None where nobody knows, or it stands still."""
    if not outlook.rows_per_s:
        return None
    try:
        return now + timedelta(seconds=outlook.rows_left / outlook.rows_per_s)
    except OverflowError:
        return None


def announcement(at: datetime, now: datetime, outlook: Outlook, how_sure: Grade) -> str:
    """That the deadline will be missed, as *how_sure* says, and by what reckoning; for a person."""
    left, when = f"{outlook.rows_left:,} rows are left", f"the deadline {_clock(at)}"
    if at <= now:
        return f"{when} has passed: {left}"
    if how_sure == "certain":
        most = (outlook.most_rows_per_s or 0.0) * 60
        needed = timedelta(seconds=round(outlook.rows_left / (outlook.most_rows_per_s or 1.0)))
        return f"{when} will be missed: {left}, and all of the quota ({most:,.0f} rows/min) takes {needed} for them"
    done = done_at(now, outlook)
    pace = f"{outlook.rows_per_s or 0.0:,.1f} rows/s"
    ends = f"at {pace} they are done {_clock(done.astimezone(at.tzinfo))}" if done else "and nothing moves"
    return f"{when} will probably be missed: {left}, {ends}"


def _iso(text: str, zone: str) -> datetime:
    try:
        found = datetime.fromisoformat(text.strip())
    except ValueError:
        raise _wrong(text) from None
    if ":" not in text:
        raise _wrong(text)
    return found if found.tzinfo else found.replace(tzinfo=_zone(zone))


def _zone(name: str) -> ZoneInfo:
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise ConfigError(f"deadline: there is no time zone `{name}`; take one such as UTC or Europe/Berlin") from None


def _wrong(text: str) -> ConfigError:
    return ConfigError(
        f"deadline `{text}` is no time: take a time of day, such as 06:00 or 06:00 Europe/Berlin,"
        " or an ISO time, such as 2026-11-24T06:00+01:00"
    )


def _clock(at: datetime) -> str:
    return f"{at:%Y-%m-%d %H:%M} {at.tzname()}"
