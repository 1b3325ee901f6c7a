"""The command cost."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from pathlib import Path  # noqa: TC003 - cyclopts reads the annotations
from typing import TYPE_CHECKING, Annotated, Final

from cyclopts import Parameter
from rich.console import Console

from mediascribe.errors import ConfigError
from mediascribe.report.formats import TableFormat  # noqa: TC001 - cyclopts reads the annotations

if TYPE_CHECKING:
    import pandas as pd

    from mediascribe.cost import Reprice, Rows

Json = Annotated[bool, Parameter(name="--json", negative=(), help="Print one JSON object for programs, no progress.")]
Outputs = Annotated[str, Parameter(help="Outputs of jobs, such as data/demo.")]
_BY: Final = "model"
_BY_OF_OUTLIERS: Final = ("model", "media_kind")


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class Chosen:
    """Which rows a cost question is about."""

    since: Annotated[str | None, Parameter(help="From this day on, such as 2026-10-01 (UTC).")] = None
    until: Annotated[str | None, Parameter(help="Up to this day, it included.")] = None
    where: Annotated[str | None, Parameter(help="A SQL condition: \"media_kind = 'audio' and attempts > 1\".")] = None


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class Asked:
    """What is asked beside what the rows cost."""

    reprice: Annotated[
        str | None, Parameter(help="MODEL or MODEL@DAY: what the same tokens would have cost at that price.")
    ] = None
    reprice_book: Annotated[Path | None, Parameter(help="A price file: the same, each model at its own price.")] = None
    batch: Annotated[bool, Parameter(negative=(), help="With --reprice: as requests in a batch.")] = False
    outliers: Annotated[
        bool, Parameter(negative=(), help="Rows, hosts and prompts that cost far above their group, and why.")
    ] = False
    compare: Annotated[
        tuple[str, str] | None, Parameter(negative=(), help="Two runs side by side; the beginning of an id will do.")
    ] = None


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class Shown:
    """How the answer is shown."""

    sort: Annotated[str | None, Parameter(help="A column: numbers largest first. Else the dearest first.")] = None
    limit: Annotated[int | None, Parameter(help="The first lines only.")] = None
    format: Annotated[TableFormat | None, Parameter(help="Else what the file's suffix says, or a table.")] = None
    out: Annotated[Path | None, Parameter(name=["--out", "-o"], help="A file to write to.")] = None


def cost(
    *outputs: Outputs,
    by: Annotated[
        str | None, Parameter(help="Columns to group by, with commas: day, model, media_kind, ... [default: model]")
    ] = None,
    chosen: Chosen | None = None,
    asked: Asked | None = None,
    shown: Shown | None = None,
    json: Json = False,
) -> int:
    """Show what the results cost, from the Parquet alone."""
    from mediascribe import cost as costs  # noqa: PLC0415 - pandas and DuckDB take half a second to import
    from mediascribe.report import formats  # noqa: PLC0415 - likewise

    asked, shown, rows = asked or Asked(), shown or Shown(), _rows(chosen or Chosen())
    _check(asked, shown)
    form = "json" if json else formats.format_of(shown.format, shown.out)
    keys = tuple(name.strip() for name in by.split(",") if name.strip()) if by is not None else None
    total = None
    if asked.compare:
        found = costs.compare(outputs, *asked.compare, rows=rows)
    elif asked.outliers:
        found = costs.outliers(outputs, by=_BY_OF_OUTLIERS if keys is None else keys, rows=rows)
    else:
        found = costs.cost_table(outputs, by=(_BY,) if keys is None else keys, rows=rows, reprice=_reprice(asked))
        total = costs.cost_total(found)
    lines = costs.ordered(found, shown.sort, shown.limit)
    if form == "table" and shown.out is None:
        _print(lines, total, more=len(found) - len(lines))
    elif text := formats.written(lines, form, shown.out):
        print(text)  # noqa: T201 - the command's product
    return 0


def _check(asked: Asked, shown: Shown) -> None:
    """Refuse what cannot be asked together."""
    kinds = {"--reprice": asked.reprice, "--reprice-book": asked.reprice_book, "--outliers": asked.outliers}
    given = [name for name, value in (kinds | {"--compare": asked.compare}).items() if value]
    if len(given) > 1:
        raise ConfigError(f"{' and '.join(given)}: ask one of them at a time")
    if asked.batch and not (asked.reprice or asked.reprice_book):
        raise ConfigError("--batch says how to reprice: add --reprice MODEL or --reprice-book FILE")
    if shown.limit is not None and shown.limit < 1:
        raise ConfigError(f"--limit {shown.limit}: wants a number of lines, 1 or more")


def _rows(chosen: Chosen) -> Rows:
    from mediascribe.cost import Rows  # noqa: PLC0415 - pandas and DuckDB take half a second to import

    since, until = day_of(chosen.since, "--since"), day_of(chosen.until, "--until")
    if since and until and since > until:
        raise ConfigError(f"--since {since} is after --until {until}: there are no such days")
    return Rows(since=since, until=until, where=chosen.where)


def day_of(text: str | None, option: str) -> date | None:
    """The day that *text* says, which was given for *option*."""
    if text is None:
        return None
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise ConfigError(f"{option} {text}: write a day, such as 2026-10-01") from None


def _reprice(asked: Asked) -> Reprice | None:
    from mediascribe import pricing  # noqa: PLC0415 - other commands do without
    from mediascribe.cost import Reprice  # noqa: PLC0415 - pandas and DuckDB take half a second to import

    if asked.reprice_book:
        return Reprice(book=pricing.load(asked.reprice_book), batch=asked.batch)
    if asked.reprice is None:
        return None
    model, _, day = asked.reprice.partition("@")
    return Reprice(book=pricing.of_record(), model=model, on=day_of(day or None, "--reprice"), batch=asked.batch)


def _print(lines: pd.DataFrame, total: dict[str, int | float | None] | None, *, more: int) -> None:
    from mediascribe.report import formats, tables  # noqa: PLC0415 - pandas and DuckDB take half a second to import

    if total is None:
        formats.print_frame(lines, Console(), empty="nothing costs far above its group")
    else:
        tables.print_cost(lines, Console(), total=total, more=more)
