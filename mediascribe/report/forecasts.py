"""Forecasts, as a terminal shows them: what is asked and why, and what that will come to."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from rich.table import Table
from rich.text import Text

from mediascribe.report.formats import UNKNOWN, usd
from mediascribe.report.progress import clock_time
from mediascribe.report.summary import printable

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from rich.console import Console

    from mediascribe.forecast import Expectation, Forecast, Line
    from mediascribe.plan import Example

_SHOWN: Final = 100
_BASIS: Final[Mapping[str, str]] = {
    "rules": "by the vendor's rules",
    "learned": "from earlier results of this job",
    "guess": "a guess",
    "rules+learned": "by the vendor's rules, where the media are known, else from earlier results",
    "rules+guess": "by the vendor's rules, where the media are known, else a guess",
}
_GUESS: Final = "; `mediascribe plan JOB --pilot 50` asks a few rows first, and narrows the interval"


def print_forecast(found: Forecast, counts: Mapping[str, int], console: Console) -> None:
    """Show *found* as a table by reason; *counts* are the manifest's rows by reason, asked or not."""
    _print_table(found, console)
    for name, what_if in zip(_names(found), found.what_ifs, strict=True):
        _say(f"{name}: {what_if}", console)
    asked = {line.reason for line in found.lines}
    left = [f"{rows:,} {reason}" for reason, rows in counts.items() if rows and reason not in asked]
    if left:
        _say(f"not asked: {', '.join(left)}", console)
    for words, rows in found.basis.items():
        hint = _GUESS if "guess" in words else ""
        _say(f"{rows:,} {'row' if rows == 1 else 'rows'}: media {_BASIS[words]}{hint}", console)
    if found.total.as_it_is.duration is None:
        _say("time: unknown: the job has no quota ([limits]), and no earlier run tells", console)
    for note in found.notes:
        _say(note, console, style="bold red")


def print_examples(examples: Sequence[Example], console: Console) -> None:
    """Show rows with what makes them due."""
    for one in examples:
        head = f"row {one.row_number:,}  {printable(one.item_id)}  {one.reason}"
        _say(f"{head}: {_cause(one)}" if one.old or one.new else head, console)


def _cause(one: Example) -> str:
    was, now = (None if said is None else _short(said) for said in (one.old, one.new))
    if was is None or now is None:
        return was or now or ""
    return f"{was} -> {now}"


def _print_table(found: Forecast, console: Console) -> None:
    table = Table(title="low and high: 90 of 100 cases lie between", title_justify="left", show_footer=True)
    for (name, footer), right in zip(_columns(found), [False, *[True] * 99], strict=False):
        table.add_column(Text(name), Text(footer), justify="right" if right else "left", overflow="fold")
    for line in found.lines:
        table.add_row(*map(Text, _cells(line)))
    console.print(table)


def _columns(found: Forecast) -> Iterator[tuple[str, str]]:
    """The name and the footer of each column."""
    names = ["reason", "rows", "tokens\nlow", "tokens", "tokens\nhigh", "USD\nlow", "USD", "USD\nhigh", "time"]
    for what_if in _names(found):
        names += [f"{what_if}\ntokens", f"{what_if}\nUSD", f"{what_if}\nchange"]
    return zip(names, _cells(found.total), strict=True)


def _names(found: Forecast) -> list[str]:
    """What the columns of each what-if are called."""
    if len(found.what_ifs) == 1:
        return ["what if"]
    return [f"what if {number}" for number in range(1, len(found.what_ifs) + 1)]


def _cells(line: Line) -> list[str]:
    name = "total" if line.reason is None else line.reason
    if line.error_class:
        name += f" ({line.error_class})"
    here = line.as_it_is
    cells = [name, f"{line.rows:,}", *_tokens(here), *_money(here), _time(here)]
    for other in line.what_if:
        cells += [f"{round(other.tokens.expected):,}", _usd(other), _change(here, other)]
    return cells


def _tokens(found: Expectation) -> tuple[str, str, str]:
    low, expected, high = (f"{round(one):,}" for one in (found.tokens.low, found.tokens.expected, found.tokens.high))
    return low, expected, high


def _money(found: Expectation) -> tuple[str, str, str]:
    if found.usd is None:
        return UNKNOWN, UNKNOWN, UNKNOWN
    low, expected, high = (_dollars(one) for one in (found.usd.low, found.usd.expected, found.usd.high))
    return low, expected, high


def _usd(found: Expectation) -> str:
    return UNKNOWN if found.usd is None else _dollars(found.usd.expected)


def _dollars(value: float) -> str:
    """Dollars; a forecast has no use for more digits than tell amounts apart."""
    return f"{value:,.2f}" if value >= 100 else usd(float(f"{value:.4g}"))  # noqa: PLR2004 - cents are exact enough


def _change(here: Expectation, other: Expectation) -> str:
    if here.usd is None or other.usd is None or not here.usd.expected:
        return UNKNOWN
    return f"{(other.usd.expected / here.usd.expected - 1) * 100:+.0f} %"


def _time(found: Expectation) -> str:
    return UNKNOWN if found.duration is None else clock_time(found.duration.hours * 3600)


def _short(said: str) -> str:
    line = printable(said)
    return line if len(line) <= _SHOWN else line[: _SHOWN - 1] + "…"


def _say(line: str, console: Console, *, style: str = "") -> None:
    console.print(Text(line, style=style), soft_wrap=True)
