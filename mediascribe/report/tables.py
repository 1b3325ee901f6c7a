"""Cost tables, as a terminal shows them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

from mediascribe.cost import MEASURES, MONEY, REPRICED, cost_total
from mediascribe.report.formats import UNKNOWN, cells, to_json, usd
from mediascribe.report.summary import asked_once

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    import pandas as pd
    from rich.console import Console

__all__ = ["SAME_TOKENS", "UNKNOWN", "print_cost", "to_json", "usd"]

NOTHING: Final = "-"
SAME_TOKENS: Final = (
    "repriced: the answers that were kept, with the same token counts; another model counts media and text otherwise"
)
_ALL: Final = (*MEASURES, *REPRICED)
_ALWAYS: Final = ("rows", "cost_usd", "repriced_usd", "change_usd")
_FIRST_TO_GO: Final = (
    "wasted_tokens",
    "reasoning_tokens",
    "cache_write_tokens",
    "completion_audio_tokens",
    "cached_tokens",
    "prompt_text_tokens",
    "prompt_video_tokens",
    "prompt_audio_tokens",
    "prompt_image_tokens",
    "refused",
    "truncated",
    "skipped",
    "ok",
    "cached_saving_usd",
    "shared_rows",
    "shared_saving_usd",
    "usd_per_1000_rows",
    "failed",
    "unsplit_rows",
    "unpriced_rows",
    "unrepriced_rows",
    "wasted_usd",
    "completion_tokens",
    "prompt_tokens",
)
"""What a narrow terminal does without, in this order."""


def print_cost(
    frame: pd.DataFrame, console: Console, *, total: Mapping[str, float | None] | None = None, more: int = 0
) -> None:
    """Show a cost table with its totals; a number is shown whole, or its column not at all.

    *total* is that of the whole table where *frame* has only the first lines of it, and *more* how many it lacks.
    Columns that are all zero are left out; on a narrow terminal the less telling ones as well, which a note names.
    """
    if frame.empty:
        console.print("no rows: there is nothing to count yet")
        return
    rows, total = cells(frame), total or cost_total(frame)
    names = [name for name in map(str, frame.columns) if name in _ALWAYS or total.get(name) != 0]
    removable = [name for name in _FIRST_TO_GO if name in names]
    left_out: list[str] = []
    table = _table(rows, names, total)
    while removable and _least_width(table, console) > console.width:
        left_out.append(removable.pop(0))
        names.remove(left_out[-1])
        table = _table(rows, names, total)
    console.print(table)
    for note in _notes(total, left_out, more):
        console.print(note, markup=False, highlight=False, soft_wrap=True)


def _table(rows: Iterable[Mapping[str, Any]], names: Sequence[str], total: Mapping[str, float | None]) -> Table:
    table = Table(show_footer=True)
    for position, name in enumerate(names):
        if name in _ALL:
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
    if name in MONEY:
        unknown = row.get("unrepriced_rows") if name in REPRICED else row["unpriced_rows"]
        return Text(NOTHING if value is None and not unknown else usd(value))
    if name in _ALL:
        return Text(f"{value:,}")
    return Text("" if value is None else str(value))


def _least_width(table: Table, console: Console) -> int:
    """The width at which no number and no word of *table* breaks."""
    return Measurement.get(console, console.options.update(max_width=10_000), table).minimum


def _notes(total: Mapping[str, float | None], left_out: Sequence[str], more: int) -> list[str]:
    notes = []
    if more:
        notes.append(f"{more:,} more {'line is' if more == 1 else 'lines are'} not shown; the total has all")
    if unpriced := total["unpriced_rows"]:
        notes.append(
            f"{unpriced:,} {'row has' if unpriced == 1 else 'rows have'} no price: the model is not in the price book, "
            "or the answer reported no tokens; the sums leave them out; see configs/prices.toml"
        )
    if unsplit := total.get("unsplit_rows"):
        notes.append(
            f"{unsplit:,} {'row has' if unsplit == 1 else 'rows have'} a cost whose share of waste or saving is not"
            " known: its price is in no book any more, or a fallback model answered"
        )
    if shared := total.get("shared_rows"):
        saved = total["shared_saving_usd"]
        notes.append(f"{asked_once(int(shared), saved)}; usd_per_1000_rows is over all rows, these among them")
    if "repriced_usd" in total:
        notes.append(SAME_TOKENS)
    if unrepriced := total.get("unrepriced_rows"):
        notes.append(f"{unrepriced:,} {'row has' if unrepriced == 1 else 'rows have'} no such price, or no tokens")
    if left_out:
        notes.append(f"left out for want of width: {', '.join(left_out)}; --json shows them")
    return notes
