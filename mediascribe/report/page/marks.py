"""Marks: what a person said about items on the contact sheet, as an overlay keyed by item id."""

from __future__ import annotations

import csv
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from mediascribe.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    import pandas as pd

COLUMNS: Final = ("item_id", "mark", "note", "run_id", "marked_at")
_MARKS: Final = ("good", "bad", "")


def read_marks(path: Path) -> pd.DataFrame:
    """The marks in the CSV at *path*, which a page exported: one line for each item, the last that was said of it.

    `mark` is good, bad, or null for a note alone; `marked_at` is UTC.

    Raises:
        ConfigError: the file cannot be read, or is no such overlay; names the line.
    """
    import pandas as pd  # noqa: PLC0415 - slow to import, for those who only want this package's names

    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file, strict=True)
            _check_header(path, reader.fieldnames or ())
            said = {line["item_id"]: line for line in (_line(path, reader.line_num, row) for row in reader)}
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise ConfigError(f"{path}: cannot be read as CSV: {error}") from None
    frame = pd.DataFrame(list(said.values()), columns=list(COLUMNS)).astype(dict.fromkeys(COLUMNS[:4], "string"))
    return frame.assign(marked_at=pd.to_datetime(frame["marked_at"], utc=True).astype("datetime64[us, UTC]"))


def _check_header(path: Path, names: Any) -> None:  # noqa: ANN401 - csv says Sequence, or None
    missing = [name for name in ("item_id", "mark") if name not in names]
    if missing:
        raise ConfigError(f"{path}: has no column {' and '.join(missing)}: export the marks from a report's page")


def _line(path: Path, number: int, row: Mapping[str, str | None]) -> dict[str, Any]:
    """One mark; *number* is its line."""
    item, mark = row["item_id"], (row["mark"] or "").strip().lower()
    if not item:
        raise ConfigError(f"{path}, line {number}: has no item_id")
    if mark not in _MARKS:
        raise ConfigError(f"{path}, line {number}: mark `{mark}` is neither good nor bad, nor empty")
    at = row.get("marked_at")
    try:
        marked_at = datetime.fromisoformat(at).astimezone(UTC) if at else None
    except ValueError:
        raise ConfigError(
            f"{path}, line {number}: marked_at `{at}` is no moment, such as 2026-10-01T12:00:00Z"
        ) from None
    return {
        "item_id": item,
        "mark": mark or None,
        "note": row.get("note") or None,
        "run_id": row.get("run_id") or None,
        "marked_at": marked_at,
    }
