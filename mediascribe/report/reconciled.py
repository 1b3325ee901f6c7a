"""A bill beside our rows, as a terminal shows it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from rich.table import Table
from rich.text import Text

from mediascribe.cost.reconciliation import EFFECTS
from mediascribe.report.formats import usd

if TYPE_CHECKING:
    import pandas as pd
    from rich.console import Console

    from mediascribe.cost.reconciliation import Reconciliation

_COLUMNS: Final = ("day", "model", "lines", "matched", "unbilled rows", "billed USD", "ours USD", "gap USD", "of it")
_WORDS: Final = frozenset({"day", "model", "of it"})
_SHOWN_UNMATCHED: Final = 5


def print_reconciliation(found: Reconciliation, console: Console) -> None:
    """Show what matched, the gap by day and model, which rule makes how much of it, and what has no other side."""
    _say(console, _matched(found))
    for note in _notes(found):
        _say(console, note, "yellow")
    console.print(_days(found.by_day))
    console.print(_shares(found))
    share = f"{found.explained_share:.2%} of what differs is explained"
    verdict = "the bill is in order" if found.ok else "the bill is not in order"
    _say(console, f"{share}; {verdict}", "" if found.ok else "red")
    for row in found.unmatched.head(_SHOWN_UNMATCHED).to_dict("records"):
        what = f"line {row['bill_line']:.0f}" if row["side"] == "bill" else f"item {row['item_id']} of {row['run_id']}"
        _say(console, f"{row['side']}: {what}, {row['model']}, {usd(row['amount_usd'])} USD: {row['why']}")
    if len(found.unmatched) > _SHOWN_UNMATCHED:
        _say(
            console, f"and {len(found.unmatched) - _SHOWN_UNMATCHED:,} more without another side; -o FILE has them all"
        )


def _matched(found: Reconciliation) -> str:
    ways = ", ".join(f"{count:,} by {_WAYS.get(way, way)}" for way, count in found.ways.items() if count)
    return (
        f"{found.matched_lines:,} of {found.lines:,} lines matched ({found.matched_share:.2%}): {ways or 'none'};"
        f" {found.rows - found.unbilled_rows:,} of {found.rows:,} rows are on the bill"
    )


_WAYS: Final = {
    "tokens": "model, tokens and time",
    "time": "model and time",
    "wasted": "wasted attempts",
    "in doubt": "requests in doubt",
}


def _notes(found: Reconciliation) -> list[str]:
    notes = []
    if found.rows_outside:
        notes.append(f"{found.rows_outside:,} rows are of another time than the bill is about, and in no sum")
    if found.repeated_lines:
        notes.append(f"{found.repeated_lines:,} lines stand twice in the bill, and count once")
    if found.other_lines:
        notes.append(f"{found.other_lines:,} lines charge nothing, or are of another key, and were left out")
    return notes


def _days(by_day: pd.DataFrame) -> Table:
    """The gap of each day and model, and what it is made of, the largest share first."""
    table = Table()
    for name in _COLUMNS:
        table.add_column(Text(name), justify="left" if name in _WORDS else "right", overflow="fold")
    for row in by_day.to_dict("records"):
        shares = {name: row[f"{name}_usd"] for name in EFFECTS if row[f"{name}_usd"]}
        told = [f"{name} {usd(shares[name])}" for name in sorted(shares, key=lambda name: -abs(shares[name]))]
        counts = [f"{row[name]:,}" for name in ("lines", "matched_lines", "unbilled_rows")]
        money = [usd(row[name]) for name in ("billed_usd", "own_usd", "gap_usd")]
        table.add_row(*map(Text, (row["day"], row["model"], *counts, *money, ", ".join(told))))
    return table


def _shares(found: Reconciliation) -> Table:
    table = Table()
    for name in ("what", "USD", "why"):
        table.add_column(name, justify="right" if name == "USD" else "left", overflow="fold")
    table.add_row("billed", usd(found.billed / 1e9), f"{found.lines:,} lines")
    table.add_row("ours", usd(found.own / 1e9), "list price of what was reported")
    table.add_row("gap", usd((found.billed - found.own) / 1e9), "", end_section=True)
    for name, amount in found.effects.items():
        if amount:
            style = "red" if name == "unexplained" else ""
            table.add_row(Text(name, style), usd(amount / 1e9), EFFECTS[name])
    return table


def _say(console: Console, line: str, style: str = "") -> None:
    console.print(line, style=style, markup=False, highlight=False, soft_wrap=True)
