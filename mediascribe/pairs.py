"""Pairs: the same rows asked twice, side by side, and what is more or less of on the second side."""

from __future__ import annotations

import statistics
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import msgspec

from mediascribe.domain import STATUSES
from mediascribe.sampling import nano_usd_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    Row = Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """One item on both sides, each with the columns of the dataset."""

    first: Row
    second: Row

    @property
    def is_identical(self) -> bool | None:
        """Whether both say the same, to the letter; structured answers by their values. None where one says nothing."""
        said = _said(self.first), _said(self.second)
        return None if None in said else said[0] == said[1]


class Measure(msgspec.Struct, frozen=True, kw_only=True):
    """A number on both sides, and what the second has more; None where it is not known."""

    name: str
    first: float | None
    second: float | None
    change: float | None


def pairs(first: Iterable[Row], second: Iterable[Row]) -> list[Pair]:
    """The items that both sides have, in the order of the first."""
    there = {row["item_id"]: row for row in second}
    return [Pair(first=row, second=there[row["item_id"]]) for row in first if row["item_id"] in there]


def identical(found: Sequence[Pair]) -> float | None:
    """The share of identical answers among the pairs that have two; None where no pair has."""
    compared = [pair.is_identical for pair in found if pair.is_identical is not None]
    return sum(compared) / len(compared) if compared else None


def measures(found: Sequence[Pair]) -> list[Measure]:
    """Rows by status, tokens, the mean length of answers, the median time, and the cost of *found*."""
    sides = [pair.first for pair in found], [pair.second for pair in found]
    return [_measure(name, *(count(side) for side in sides)) for name, count in _COUNTS.items()]


def _measure(name: str, first: float | None, second: float | None) -> Measure:
    change = None
    if first is not None and second is not None:
        change = round(second - first, 9)
    return Measure(name=name, first=first, second=second, change=change)


def _said(row: Row) -> str | None:
    """What the row's answer says; a text that is no answer (it does not fit the schema) is none."""
    if row["status"] in {"failed", "skipped"}:
        return None
    said: str | None = row["answer_json"] or row["description"]
    return said


def _status(status: str) -> Callable[[Sequence[Row]], float]:
    return lambda rows: sum(row["status"] == status for row in rows)


def _sum(*names: str) -> Callable[[Sequence[Row]], float]:
    return lambda rows: sum(row[name] for row in rows for name in names)


def _length(rows: Sequence[Row]) -> float | None:
    said = [len(text) for row in rows if (text := _said(row)) is not None]
    return round(statistics.fmean(said), 1) if said else None


def _latency(rows: Sequence[Row]) -> float | None:
    known = [row["latency_s"] for row in rows if row["latency_s"] is not None]
    return round(statistics.median(known), 3) if known else None


def _usd(rows: Sequence[Row]) -> float | None:
    nano_usd = nano_usd_of(rows)
    return None if nano_usd is None else nano_usd / 1e9


_COUNTS: Final[Mapping[str, Callable[[Sequence[Row]], float | None]]] = {
    "rows": len,
    **{status: _status(status) for status in STATUSES},
    "prompt_tokens": _sum("prompt_tokens"),
    "completion_tokens": _sum("completion_tokens"),
    "wasted_tokens": _sum("wasted_tokens"),
    "answer_characters": _length,
    "latency_s": _latency,
    "cost_usd": _usd,
}
