"""The command report."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import msgspec
from cyclopts import Parameter
from rich.console import Console

from mediascribe.errors import ConfigError

if TYPE_CHECKING:
    from mediascribe.report.page import Scope

Json = Annotated[bool, Parameter(name="--json", negative=(), help="Print one JSON object for programs, no progress.")]
Output = Annotated[str | None, Parameter(help="The output of a job.")]
_PAGE: Final = Path("report.html")


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class Chosen:
    """What the page is about."""

    run: Annotated[str | None, Parameter(help="Only this run; the beginning of its id will do.")] = None
    month: Annotated[str | None, Parameter(help="Only this month (UTC): 2026-10, or this, or last.")] = None
    limit: Annotated[int | None, Parameter(help="Rows on the contact sheet, the newest. [default: 10000]")] = None
    media: Annotated[
        Path | None, Parameter(help="A folder of media: relative URLs that are found there get a picture or a player.")
    ] = None


def report(
    output: Output = None,
    *,
    out: Annotated[Path | None, Parameter(name=["--out", "-o"], help="A file. [default: report.html]")] = None,
    marks: Annotated[
        Path | None, Parameter(help="Marks that a page exported: written to --out as .parquet, .csv or .json, no page.")
    ] = None,
    chosen: Chosen | None = None,
    json: Json = False,
) -> int:
    """Write a page about the results: what they cost, and a sheet of all items to look through and to mark."""
    if marks:
        if output or chosen:
            raise ConfigError("--marks turns a file of marks into another one: leave out the output and other options")
        made = _marks(marks, out)
    elif output is None:
        raise ConfigError("which output? name one, such as: mediascribe report data/demo")
    else:
        made = _page(output, chosen or Chosen(), out or _PAGE)
    if json:
        print(msgspec.json.format(msgspec.json.encode(made)).decode())  # noqa: T201 - the command's product
    else:
        said = ", ".join(f"{value:,} {name}" for name, value in made.items() if isinstance(value, int))
        Console().print(f"wrote {made['file']}: {said}", highlight=False, soft_wrap=True, markup=False)
    return 0


def _page(output: str, chosen: Chosen, out: Path) -> dict[str, str | int]:
    from mediascribe.report import page  # noqa: PLC0415 - pandas and DuckDB take half a second to import

    now = datetime.now(UTC)
    html = page.page(output, _scope(output, chosen, now), now)
    page.save(html, out)
    return {"file": str(out), "bytes": len(html.encode())}


def _scope(output: str, chosen: Chosen, now: datetime) -> Scope:
    from mediascribe.dataset import results_at  # noqa: PLC0415 - pyarrow takes a moment to import
    from mediascribe.report import page  # noqa: PLC0415 - pandas and DuckDB take half a second to import

    if chosen.limit is not None and chosen.limit < 1:
        raise ConfigError(f"--limit {chosen.limit}: wants a number of rows, 1 or more")
    if chosen.media and not chosen.media.is_dir():
        raise ConfigError(f"--media {chosen.media}: is no folder")
    return page.Scope(
        run=page.run_named(results_at(output), chosen.run) if chosen.run else None,
        month=page.month_of(chosen.month, now.date()) if chosen.month else None,
        media=chosen.media,
        most_rows=chosen.limit or page.MOST_ROWS,
    )


def _marks(path: Path, out: Path | None) -> dict[str, str | int]:
    from mediascribe.report import formats, page  # noqa: PLC0415 - pandas takes half a second to import

    if out is None:
        raise ConfigError("--marks: name the file to write, such as -o marks.parquet")
    found = page.read_marks(path)
    formats.written(found, formats.format_of(None, out), out)
    return {"file": str(out), "marks": len(found)}
