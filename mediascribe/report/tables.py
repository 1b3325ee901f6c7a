"""Cost tables, as a terminal shows them and as JSON."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

from mediascribe.cost import MEASURES, cost_total

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    import pandas as pd
    from rich.console import Console

UNKNOWN: Final = "unknown"
NOTHING: Final = "-"
_USD: Final = ("cost_usd", "usd_per_1000_rows")
_SEEN_USD: Final = 1e-6  # less than this would lose its digits at 7 decimals
_ALWAYS: Final = ("rows", "cost_usd")
_FIRST_TO_GO: Final = (
    "wasted_tokens",
    "reasoning_tokens",
    "cached_tokens",
    "prompt_text_tokens",
    "prompt_video_tokens",
    "prompt_audio_tokens",
    "prompt_image_tokens",
    "refused",
    "truncated",
    "skipped",
    "ok",
    "usd_per_1000_rows",
    "failed",
    "unpriced_rows",
    "completion_tokens",
    "prompt_tokens",
)
"""What a narrow terminal does without, in this order."""


def print_cost(frame: pd.DataFrame, console: Console) -> None:
    """Show a cost table with its totals; a number is shown whole, or its column not at all.

    Columns that are all zero are left out; on a narrow terminal the less telling ones as well, which a note names.
    """
    if frame.empty:
        console.print("no rows: there is nothing to count yet")
        return
    rows, total = _cells(frame), cost_total(frame)
    names = [name for name in map(str, frame.columns) if name in _ALWAYS or total.get(name) != 0]
    removable = [name for name in _FIRST_TO_GO if name in names]
    left_out: list[str] = []
    table = _table(rows, names, total)
    while removable and _least_width(table, console) > console.width:
        left_out.append(removable.pop(0))
        names.remove(left_out[-1])
        table = _table(rows, names, total)
    console.print(table)
    for note in _notes(total, left_out):
        console.print(note, markup=False, highlight=False, soft_wrap=True)


def to_json(frame: pd.DataFrame) -> str:
    """A cost table as a JSON list with an object for each row; what is unknown is null."""
    return json.dumps(_cells(frame), indent=2, ensure_ascii=False, default=str)


def usd(value: float | None) -> str:
    """Dollars with 4 to 7 decimals, or 9 where 7 would show nothing."""
    if value is None:
        return UNKNOWN
    whole, _, decimals = f"{value:,.{9 if 0 < abs(value) < _SEEN_USD else 7}f}".partition(".")
    return f"{whole}.{decimals.rstrip('0').ljust(4, '0')}"


def _cells(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """The rows of *frame* by column, what is unknown as None."""
    known = frame.astype(object).where(frame.notna(), None)
    return [dict(zip(frame.columns, row, strict=True)) for row in known.itertuples(index=False, name=None)]


def _table(rows: Iterable[Mapping[str, Any]], names: Sequence[str], total: Mapping[str, float | None]) -> Table:
    table = Table(show_footer=True)
    for position, name in enumerate(names):
        if name in MEASURES:
            title = name.replace("_", "\n")
            table.add_column(title, _cell(name, total), justify="right", no_wrap=True)
        else:
            table.add_column(Text(name), "" if position else "total", max_width=40, overflow="fold")
    for row in rows:
        table.add_row(*(_cell(name, row) for name in names))
    return table


def _cell(name: str, row: Mapping[str, Any]) -> Text:
    """One value of *row*; money is unknown where a billed row has no price, and nothing where nothing was billed."""
    value = row[name]
    if name in _USD:
        return Text(NOTHING if value is None and not row["unpriced_rows"] else usd(value))
    if name in MEASURES:
        return Text(f"{value:,}")
    return Text("" if value is None else str(value))


def _least_width(table: Table, console: Console) -> int:
    """The width at which no number and no word of *table* breaks."""
    return Measurement.get(console, console.options.update(max_width=10_000), table).minimum


def _notes(total: Mapping[str, float | None], left_out: Sequence[str]) -> list[str]:
    notes = []
    if unpriced := total["unpriced_rows"]:
        notes.append(
            f"{unpriced:,} {'row has' if unpriced == 1 else 'rows have'} no price: the model is not in the price book, "
            "or the answer reported no tokens; the sums leave them out; see configs/prices.toml"
        )
    if left_out:
        notes.append(f"left out for want of width: {', '.join(left_out)}; --json shows them")
    return notes
