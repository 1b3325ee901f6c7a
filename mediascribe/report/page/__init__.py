"""The page: one HTML file about a dataset, with its money and a contact sheet of its rows; it needs no network.

The figures are those of `mediascribe.cost`; charts are drawn by Chart.js, which stands in the page.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from mediascribe.dataset import results_at
from mediascribe.errors import ConfigError
from mediascribe.report.page import markup, money, previews, sheet
from mediascribe.report.page.marks import read_marks
from mediascribe.report.page.scope import MOST_ROWS, Scope, month_of, run_named

if TYPE_CHECKING:
    from datetime import datetime
    from pathlib import Path

    from mediascribe.store import Store

__all__ = ["MOST_ROWS", "REPORTS", "Scope", "month_of", "page", "read_marks", "run_named", "save", "save_to_output"]

REPORTS: Final = "reports/"


def page(output: str | Path | Store, scope: Scope, now: datetime) -> str:
    """The page about *scope* of *output* as HTML, made at *now* (UTC), which says what day today is.

    Raises:
        ConfigError: there are no results at *output*.
        CorruptError: a part cannot be read.
    """
    store = results_at(output)
    shown = sheet.sheet(store, scope)
    columns = (*sheet.SHOWN, *sheet.EARLIER)
    media = [row["media_urls"] for row in shown.rows]
    heading = markup.Heading(output=store.address, scope=scope.name, made_at=f"{now:%Y-%m-%d %H:%M} UTC")
    blocks = {
        "money": money.money(store, scope, now.date()),
        "sheet": {
            "output": store.address,
            "columns": columns,
            "rows": [[row[name] for name in columns] for row in shown.rows],
            "more": shown.more,
        },
        "previews": previews.previews(media, scope.media) if scope.media else [],
    }
    return markup.markup(heading, blocks)


def save(html: str, path: Path) -> None:
    """Write *html* to *path*, which appears whole.

    Raises:
        ConfigError: it cannot be written.
    """
    partial = path.with_name(path.name + ".partial")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        partial.write_text(html, encoding="utf-8")
        partial.replace(path)
    except OSError as error:
        raise ConfigError(f"{path}: cannot be written: {error.strerror}") from None


def save_to_output(html: str, output: str | Path | Store, name: str) -> str:
    """Write *html* into the folder of reports at *output*, in place of an earlier one of that *name*; gives its place.

    Raises:
        FileNotFoundError: a run began in the same instant, and cleared what was half written: write again.
        StoreError: the store fails.
    """
    store = results_at(output)
    store.put_bytes(f"{REPORTS}{name}.html", html.encode())
    return f"{store.address}/{REPORTS}{name}.html"
