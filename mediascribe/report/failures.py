"""Failures: the rows without a full answer, by cause, with an example of each, what to do, and what asks them again.

The results know the name of the job that asked, and not its file: that is looked for where job files usually are.
"""

from __future__ import annotations

import difflib
import shlex
import tomllib
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import msgspec
import pyarrow as pa
import pyarrow.compute as pc
from rich.table import Table
from rich.text import Text

from mediascribe import dataset
from mediascribe.errors import ConfigError
from mediascribe.redact import redact_text, redact_url
from mediascribe.report.summary import printable

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rich.console import Console

    from mediascribe.domain import ErrorClass

JOBS: Final = Path("configs/jobs")
_UNKNOWN_FILE: Final = "JOB"
_WITHOUT_ANSWER: Final = ("failed", "skipped", "refused")
_COLUMNS: Final = (
    "item_id",
    "job",
    "status",
    "error_class",
    "error_code",
    "http_status",
    "error_message",
    "media_urls",
)
_RETRY: Final = "mediascribe backfill JOB --reason failed"
_RUN: Final = "mediascribe run JOB"
_SHOWN: Final = 300
# What to do about each class (reliability notes 3), and the command that asks its rows again, once that is done.
ADVICE: Final[Mapping[ErrorClass, tuple[str, str]]] = {
    "row": ("repair these rows of the manifest; they are asked as soon as they can be", _RUN),
    "media": ("open the URL as the gateway would: public, alive, of a format and size that the model takes?", _RETRY),
    "request": ("the gateway refuses this very request: look for a parameter, a length or a number of media", _RETRY),
    "safety": ("a content filter blocked it, and would again: reword the prompt, or take another model", _RETRY),
    "config": ("the model or the address is wrong for every row: `mediascribe doctor JOB` says which", _RETRY),
    "auth": ("the key was not accepted: renew it, then `mediascribe doctor JOB`", _RETRY),
    "quota": ("balance or quota was used up: add to it, or wait for the next day", _RETRY),
    "rate_limit": ("too many requests: set [limits] to what the quota really is", _RETRY),
    "server": ("the gateway or the model behind it failed: later may go better; one item always: its media", _RETRY),
    "network": ("no connection, or it broke: look at the network and the gateway; it may have been billed", _RETRY),
    "timeout": ("no answer in time: raise gateway.total_timeout_s, or stream; it may have been billed", _RETRY),
    "malformed": ("an answer that was none: later may go better; if not, another dialect or model", _RETRY),
    "empty": ("an answer without text: raise max_tokens (thinking uses them too), or reword the prompt", _RETRY),
    "oversize": ("the answer was longer than gateway.max_answer_bytes: raise that, or lower max_tokens", _RETRY),
    "schema": ("the answer did not fit the schema: set answer.repair, loosen the schema, or name the fields", _RETRY),
}
_REFUSED: Final = (
    "the model declined: reword the prompt, or take another model; then every row is asked that had the old one",
    "mediascribe backfill JOB --reason stale_prompt --reason stale_model",
)
_UNKNOWN: Final = ("nothing is known of this class: it was written by another version", _RETRY)


class FailureGroup(msgspec.Struct, frozen=True, kw_only=True):
    """Rows without a full answer for one cause: how many, one of them, what to do, and what asks them again.

    `url` is the example's first, redacted; None where it has none. `job` is the name of the job that asked; `command`
    has its file, or `JOB` where no one file of that name is known.
    """

    job: str
    status: str
    error_class: str | None
    error_code: str | None
    rows: int
    item_id: str
    url: str | None
    http_status: int | None
    message: str | None
    advice: str
    command: str


def failure_groups(output: str | Path, run_id: str | None = None, *, jobs: Path = JOBS) -> list[FailureGroup]:
    """The current rows of *output* without a full answer, or those of one run, by cause; the most frequent first.

    The files of their jobs are looked for in the folder *jobs*.

    Raises:
        ConfigError: there are no results at *output*, or no such run among them.
        CorruptError: a part cannot be read.
    """
    if run_id is None:
        rows = dataset.current(output, _COLUMNS)
    else:
        rows = _of_run(dataset.history(output, (*_COLUMNS, "run_id")), run_id)
    counts: Counter[tuple[Any, ...]] = Counter()
    examples: dict[tuple[Any, ...], dict[str, Any]] = {}
    for batch in rows.filter(pc.is_in(rows["status"], pa.array(_WITHOUT_ANSWER))).to_batches():
        for row in batch.to_pylist():
            cause = (row["job"], row["status"], row["error_class"], row["error_code"])
            counts[cause] += 1
            examples.setdefault(cause, row)
    files = {name: _file(name, jobs) for name in {cause[0] for cause in counts}}
    return [_group(examples[cause], number, files[cause[0]]) for cause, number in counts.most_common()]


def print_failures(groups: list[FailureGroup], console: Console) -> None:
    """Print *groups* for a person: a line for each, and below it the example and the way out."""
    if not groups:
        console.print("no row failed, was refused or skipped")
        return
    table = Table(box=None, show_header=True, header_style="bold", pad_edge=False)
    table.add_column("rows", justify="right")
    table.add_column("status")
    table.add_column("cause")
    table.add_column("example, and what to do", overflow="fold")
    for group in groups:
        cause = "/".join(filter(None, (group.error_class, group.error_code))) or "-"
        table.add_row(f"{group.rows:,}", group.status, Text(printable(cause)), _story(group))
    console.print(table)
    _print_commands(groups, console)


def _print_commands(groups: list[FailureGroup], console: Console) -> None:
    """What asks the rows again; where a job's file is not known, what to write in its place."""
    rows: Counter[tuple[str, str]] = Counter()
    for group in groups:
        rows[group.command, group.job] += group.rows
    unknown = sorted({job for command, job in rows if _UNKNOWN_FILE in command.split()})
    console.print("to ask them again, once the cause is gone:", highlight=False)
    for (command, job), number in rows.items():
        of_job = f" of the job {printable(job)}" if len(unknown) > 1 else ""
        line = f"  {command}   # {number:,} of these rows{of_job}"
        console.print(line, highlight=False, soft_wrap=True, markup=False)
    if unknown:
        jobs = " or ".join(f"`{printable(job)}`" for job in unknown)
        said = f"for {_UNKNOWN_FILE} write the path of the file of the job {jobs}: {JOBS} has no one file of that name"
        console.print(said, highlight=False, soft_wrap=True, markup=False)


def _of_run(rows: pa.Table, run_id: str) -> pa.Table:
    found = rows.filter(pc.equal(rows["run_id"], pa.scalar(run_id)))
    if not len(found):
        known: list[Any] = pc.unique(rows["run_id"]).to_pylist()
        nearest = difflib.get_close_matches(run_id, known, n=1)
        meant = f"; did you mean `{nearest[0]}`?" if nearest else ""
        raise ConfigError(f"there are no rows of a run `{run_id}` in these results{meant}")
    return found


def _file(name: str, jobs: Path) -> str:
    """The one job file in the folder *jobs* that has this *name*, as a shell takes it; `JOB` where there is not one."""
    found = [path for path in sorted(jobs.glob("*.toml")) if _name(path) == name]
    return shlex.quote(str(found[0])) if len(found) == 1 else _UNKNOWN_FILE


def _name(path: Path) -> object:
    """The name of the job at *path*; None where that is no job file."""
    try:
        return tomllib.loads(path.read_text(encoding="utf-8")).get("name")
    except (OSError, ValueError):
        return None


def _group(row: Mapping[str, Any], rows: int, file: str) -> FailureGroup:
    advice, command = _REFUSED if row["status"] == "refused" else ADVICE.get(row["error_class"], _UNKNOWN)
    if row["status"] == "skipped":
        command = _RUN
    urls, message = row["media_urls"], row["error_message"]
    return FailureGroup(
        job=row["job"],
        status=row["status"],
        error_class=row["error_class"],
        error_code=row["error_code"],
        rows=rows,
        item_id=row["item_id"],
        url=redact_url(urls[0]) if urls else None,
        http_status=row["http_status"],
        message=None if message is None else redact_text(message),
        advice=advice.replace(f" {_UNKNOWN_FILE}`", f" {file}`"),
        command=command.replace(_UNKNOWN_FILE, file),
    )


def _story(group: FailureGroup) -> Text:
    """The example and the advice, each on its line, free of what a terminal would act on."""
    head = " ".join(filter(None, (group.item_id, group.url)))
    said = printable(group.message or "")
    lines = [printable(head), said if len(said) <= _SHOWN else said[: _SHOWN - 1] + "…", f"-> {group.advice}"]
    return Text("\n".join(filter(None, lines)))
