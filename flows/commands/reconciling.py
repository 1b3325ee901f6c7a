"""The command reconcile."""

from __future__ import annotations

import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import msgspec
from cyclopts import Parameter
from rich.console import Console

from mediascribe.errors import ConfigError

if TYPE_CHECKING:
    from mediascribe.cost.reconciliation.log import Fetched

Json = Annotated[bool, Parameter(name="--json", negative=(), help="Print one JSON object for programs, no progress.")]
Outputs = Annotated[str, Parameter(help="Outputs of the jobs that the bill is for, such as data/demo.")]


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class Billed:
    """Where the bill is, and how it is to be read."""

    bill: Annotated[Path | None, Parameter(help="The gateway's log: CSV, JSON, JSON lines or Parquet.")] = None
    from_gateway: Annotated[Path | None, Parameter(help="A job file: ask its gateway for the log of its key.")] = None
    column: Annotated[
        list[str] | None,
        Parameter(help="What is in a column of another name, such as request_id=trace; may be given again."),
    ] = None
    token: Annotated[str | None, Parameter(help="Only lines of the key with this name (token_name).")] = None


def reconcile(
    *outputs: Outputs,
    billed: Billed | None = None,
    out: Annotated[
        Path | None, Parameter(name=["--out", "-o"], help="A .csv or .parquet file for what has no other side.")
    ] = None,
    json: Json = False,
) -> int:
    """Compare the results with the gateway's bill: what matches, what differs, and which rule says why."""
    from mediascribe.cost import reconciliation  # noqa: PLC0415 - pandas and DuckDB take half a second to import
    from mediascribe.report import formats, reconciled  # noqa: PLC0415 - likewise

    asked = billed or Billed()
    if not outputs:
        raise ConfigError("name the output, or outputs, that the bill is for, such as data/demo")
    if (asked.bill is None) == (asked.from_gateway is None):
        raise ConfigError("say where the bill is: --bill FILE, or --from-gateway JOB")
    form = formats.format_of(None, out) if out else None
    with tempfile.TemporaryDirectory(prefix="mediascribe-") as folder:
        path, name = _place(asked, Path(folder))
        columns = _columns(asked.column or [])
        export = reconciliation.Export(path=path, name=name, columns=columns, token=asked.token)
        found = reconciliation.reconcile(outputs, export)
    if out and form:
        formats.written(found.unmatched, form, out)
    if json:
        told = found.to_json() | {"by_day": formats.cells(found.by_day)}
        print(msgspec.json.format(msgspec.json.encode(told)).decode())  # noqa: T201 - the command's product
    else:
        reconciled.print_reconciliation(found, Console())
    return 0 if found.ok else 1


def _columns(said: list[str]) -> dict[str, str]:
    """The columns that *said* names, each as `part=column`."""
    columns = {}
    for one in said:
        part, equals, name = one.partition("=")
        if not (part and equals and name):
            raise ConfigError(f"--column {one}: write a part of the bill and its column, such as request_id=trace")
        columns[part] = name
    return columns


def _place(asked: Billed, folder: Path) -> tuple[Path, str]:
    """Where the bill is, and what to call it; one that a gateway is asked for is in *folder*."""
    if asked.bill:
        return asked.bill, str(asked.bill)
    import asyncio  # noqa: PLC0415 - takes a moment to import, and help does without

    job = asked.from_gateway or folder
    fetched = asyncio.run(_fetch(job, folder / "log.jsonl"))
    if fetched.is_cut:
        said = f"note: the gateway gave {fetched.lines:,} lines; there may be older ones, which only an export has"
        print(said, file=sys.stderr)  # noqa: T201 - beside the product
    return folder / "log.jsonl", f"the log of the gateway of {job}"


async def _fetch(job: Path, path: Path) -> Fetched:
    from mediascribe.cost.reconciliation import log  # noqa: PLC0415 - pandas takes half a second to import
    from mediascribe.inputs import check  # noqa: PLC0415 - other commands do without
    from mediascribe.session import connected  # noqa: PLC0415 - likewise

    inputs = check(str(job))
    if inputs.key is None:
        raise ConfigError(f"{job}: the embedded sandbox runs as long as its run; its log is gone")
    async with connected(inputs) as opened:
        return await log.fetch(opened.client, inputs.key, path)
