"""Tables of any columns as text for people and as files for other programs."""

from __future__ import annotations

import io
import json
import math
from typing import TYPE_CHECKING, Any, Final, Literal

from rich.table import Table
from rich.text import Text

from mediascribe.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    import pandas as pd
    from rich.console import Console

TableFormat = Literal["table", "csv", "json", "parquet", "markdown"]

UNKNOWN: Final = "unknown"
_SEEN_USD: Final = 1e-6  # less than this would lose its digits at 7 decimals
_WORDS: Final = frozenset({"outlier", "name", "measure", "reason"})
_SUFFIXES: Final[Mapping[str, TableFormat]] = {
    ".csv": "csv",
    ".json": "json",
    ".parquet": "parquet",
    ".md": "markdown",
    ".markdown": "markdown",
}


def print_frame(frame: pd.DataFrame, console: Console, *, empty: str) -> None:
    """Show *frame* as it is; *empty* is what to say where it has no rows."""
    if frame.empty:
        console.print(empty, markup=False, highlight=False)
        return
    table = Table()
    for name in map(str, frame.columns):
        table.add_column(Text(name.replace("_", "\n")), justify="left" if name in _WORDS else "right", overflow="fold")
    for row in cells(frame):
        table.add_row(*(Text(_plain(name, value, row)) for name, value in row.items()))
    console.print(table)


def format_of(wanted: TableFormat | None, path: Path | None) -> TableFormat:
    """The format that is *wanted*, else the one that the suffix of *path* says, else a table.

    Raises:
        ConfigError: nothing says which, or Parquet is to go to the terminal.
    """
    chosen = wanted or (_SUFFIXES.get(path.suffix.lower()) if path else "table")
    if chosen is None:
        known = ", ".join(_SUFFIXES)
        raise ConfigError(f"{path}: no format has the suffix `{path.suffix if path else ''}`; say --format, or {known}")
    if chosen == "parquet" and path is None:
        raise ConfigError("parquet is no text: name a file with -o")
    return chosen


def written(frame: pd.DataFrame, form: TableFormat, path: Path | None) -> str | None:
    """*frame* as text of the format *form*, or in the file at *path*, which appears whole; then None.

    Raises:
        ConfigError: the file cannot be written.
    """
    content = _parquet(frame) if form == "parquet" else _TEXTS[form](frame).encode()
    if path is None:
        return content.decode()
    partial = path.with_name(path.name + ".partial")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        partial.write_bytes(content)
        partial.replace(path)
    except OSError as error:
        raise ConfigError(f"{path}: cannot be written: {error.strerror}") from None
    return None


def to_json(frame: pd.DataFrame) -> str:
    """A cost table as a JSON list with an object for each row; what is unknown is null."""
    return json.dumps(cells(frame), indent=2, ensure_ascii=False, default=str)


def to_csv(frame: pd.DataFrame) -> str:
    """A cost table as CSV with a header; dollars with 9 decimals, what is unknown empty."""
    exact = frame.copy()
    for name in map(str, frame.columns):
        if _is_money(name) or frame[name].dtype == object:
            exact[name] = [_exact(value) for value in frame[name]]
    return exact.to_csv(index=False, lineterminator="\n").rstrip("\n")


def to_markdown(frame: pd.DataFrame) -> str:
    """A cost table as Markdown; numbers are separated and stand on the right."""
    names = [str(name) for name in frame.columns]
    numeric = [all(not isinstance(value, str) for value in frame[name].dropna()) for name in names]
    lines = [names, [("---:" if right else "---") for right in numeric]]
    lines += [[_escaped(_plain(name, value, row)) for name, value in row.items()] for row in cells(frame)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def usd(value: float | None) -> str:
    """Dollars with 4 to 7 decimals, or 9 where 7 would show nothing."""
    if value is None:
        return UNKNOWN
    whole, _, decimals = f"{value:,.{9 if 0 < abs(value) < _SEEN_USD else 7}f}".partition(".")
    return f"{whole}.{decimals.rstrip('0').ljust(4, '0')}"


def cells(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """The rows of *frame* by column, what is unknown as None."""
    known = frame.astype(object).where(frame.notna(), None)
    return [dict(zip(frame.columns, row, strict=True)) for row in known.itertuples(index=False, name=None)]


def _parquet(frame: pd.DataFrame) -> bytes:
    to = io.BytesIO()
    frame.to_parquet(to, index=False)
    return to.getvalue()


_TEXTS: Final = {"json": to_json, "csv": to_csv, "markdown": to_markdown, "table": to_markdown}


def _exact(value: Any) -> Any:  # noqa: ANN401 - any cell
    """A cell of CSV: nano-dollars are shown, and no exponent."""
    if not isinstance(value, float):
        return value
    return None if math.isnan(value) else f"{value:.9f}"


def _is_money(name: str) -> bool:
    return name.endswith("_usd") or name.startswith("usd_")


def _plain(name: str, value: Any, row: Mapping[str, Any]) -> str:  # noqa: ANN401 - any cell
    """One value as words, in a table of any columns."""
    money = _is_money(name) or row.get("measure") == "cost_usd"
    if value is None:
        return ""
    if money and isinstance(value, int | float):
        return usd(value)
    if isinstance(value, float):
        return f"{value:,.1f}"
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value)


def _escaped(words: str) -> str:
    return words.replace("\\", "\\\\").replace("|", "\\|").replace("\n", " ")
