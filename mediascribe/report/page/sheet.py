"""The contact sheet of a page: the newest result of each item, and what the one before it said."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Any, Final, cast

import pyarrow as pa

from mediascribe.columns import SCHEMA
from mediascribe.part import read_part
from mediascribe.redact import redact_text, redact_url
from mediascribe.replacement import reading

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from mediascribe.report.page.scope import Scope
    from mediascribe.store import Store

SHOWN: Final = (
    "item_id",
    "run_id",
    "row_number",
    "media_kind",
    "media_urls",
    "model",
    "prompt_id",
    "reason",
    "status",
    "description",
    "error_class",
    "error_code",
    "error_message",
    "prompt_tokens",
    "completion_tokens",
    "wasted_tokens",
    "attempts",
    "flags",
    "cost_usd",
    "latency_s",
    "completed_at",
    "media_seconds",
    "media_width",
    "media_height",
)
"""The columns of a row on the sheet, in their order; then come the names in `EARLIER`."""
EARLIER: Final = ("changed", "earlier_status", "earlier_description")
_TEXT_MOST: Final = 4_000
_WANTED: Final = pa.schema([SCHEMA.field(name) for name in SHOWN])


@dataclass(frozen=True, slots=True, kw_only=True)
class Sheet:
    """The rows of a contact sheet by the names `SHOWN` and `EARLIER`, newest run first; `more`: older ones exist."""

    rows: list[dict[str, Any]]
    more: bool


def sheet(store: Store, scope: Scope) -> Sheet:
    """The newest rows of *scope*, one for each item; only as many parts are read as it takes.

    A row is changed where the item has an earlier one with another status or description.

    Raises:
        CorruptError: a part cannot be read.
    """
    return reading(store, lambda names: _sheet(store, names, scope))


@dataclass(slots=True)
class _Found:
    """The rows found so far by item, and the items whose earlier row is still looked for."""

    rows: dict[str, dict[str, Any]] = field(default_factory=dict)
    waiting: set[str] = field(default_factory=set)
    more: bool = False


def _sheet(store: Store, names: Sequence[str], scope: Scope) -> Sheet:
    found = _Found()
    for name in reversed(names):
        if found.more and not found.waiting:
            break
        _add(found, read_part(store, name, _WANTED), scope)
    return Sheet(rows=list(found.rows.values()), more=found.more)


def _add(found: _Found, table: pa.Table, scope: Scope) -> None:
    """Take what *found* lacks from one part, which is older than all before it."""
    columns = ("run_id", "item_id", "completed_at")
    runs, items, moments = (cast("list[Any]", table[name].to_pylist()) for name in columns)
    for place in sorted(range(len(runs)), key=lambda at: runs[at], reverse=True):
        item = items[place]
        if item in found.rows:
            if item in found.waiting and runs[place] < found.rows[item]["run_id"]:
                found.waiting.remove(item)
                _compare(found.rows[item], _row(table, place))
        elif scope.run not in (None, runs[place]) or not scope.has_day(_day(moments[place], runs[place])):
            continue
        elif len(found.rows) == scope.most_rows:
            found.more = True
        else:
            row = found.rows[item] = _shown(_row(table, place))
            if row["reason"] != "new":
                found.waiting.add(item)


def _row(table: pa.Table, place: int) -> dict[str, Any]:
    return table.slice(place, 1).to_pylist()[0]


def _day(completed_at: datetime | None, run_id: str) -> date:
    """The day of the answer, or of the run where there is none."""
    if completed_at:
        return completed_at.astimezone(UTC).date()
    return date(int(run_id[:4]), int(run_id[4:6]), int(run_id[6:8]))


def _shown(row: Mapping[str, Any]) -> dict[str, Any]:
    """*row* as the page has it: long texts cut, URLs without secrets, moments as text."""
    return {
        **row,
        "media_urls": [redact_url(url) for url in row["media_urls"] or () if url],
        "description": _cut(row["description"]),
        "error_message": row["error_message"] and _cut(redact_text(row["error_message"])),
        "completed_at": row["completed_at"] and row["completed_at"].astimezone(UTC).isoformat(timespec="seconds"),
        **dict.fromkeys(EARLIER),
    }


def _compare(row: dict[str, Any], earlier: Mapping[str, Any]) -> None:
    """Write into *row* what the *earlier* one of its item said, where that was something else."""
    said = _cut(earlier["description"])
    if (said, earlier["status"]) != (row["description"], row["status"]):
        row |= {"changed": True, "earlier_status": earlier["status"], "earlier_description": said}


def _cut(words: str | None) -> str | None:
    return words if words is None or len(words) <= _TEXT_MOST else f"{words[:_TEXT_MOST]} ..."
