"""The doctor's lines on a terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from rich.text import Text

from mediascribe.report.summary import printable

if TYPE_CHECKING:
    from rich.console import Console

    from mediascribe.doctor import Check

_COLOURS: Final = {"pass": "green", "fail": "bold red", "unknown": "yellow"}


def print_check(check: Check, console: Console) -> None:
    """Print one line for *check*, and one for what to do about it."""
    head = (f"{check.verdict:<8}", _COLOURS[check.verdict])
    console.print(Text.assemble(head, (f"{check.name:<9}", "bold"), printable(check.said)), soft_wrap=True)
    if check.advice:
        console.print(Text(f"{'':17}{printable(check.advice)}"), soft_wrap=True)
