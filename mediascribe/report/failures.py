"""Failures: the rows without a full answer, by cause, with an example of each, what to do, and what asks them again."""

from __future__ import annotations

import difflib
from collections import Counter
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
    from pathlib import Path

    from rich.console import Console

    from mediascribe.domain import ErrorClass

_WITHOUT_ANSWER: Final = ("failed", "skipped", "refused")
_COLUMNS: Final = ("item_id", "status", "error_class", "error_code", "http_status", "error_message", "media_urls")
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

    `url` is the example's first, redacted; None where it has none. `command` has `JOB` for the job file.
    """

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


def failure_groups(output: str | Path, run_id: str | None = None) -> list[FailureGroup]:
    """The current rows of *output* without a full answer, or those of one run, by cause; the most frequent first.

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
            cause = (row["status"], row["error_class"], row["error_code"])
            counts[cause] += 1
            examples.setdefault(cause, row)
    return [_group(examples[cause], number) for cause, number in counts.most_common()]


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
    console.print("to ask them again (JOB is the job file), once the cause is gone:", highlight=False)
    for command in dict.fromkeys(group.command for group in groups):
        rows = sum(group.rows for group in groups if group.command == command)
        console.print(f"  {command}   # {rows:,} of these rows", highlight=False, soft_wrap=True)


def _of_run(rows: pa.Table, run_id: str) -> pa.Table:
    found = rows.filter(pc.equal(rows["run_id"], pa.scalar(run_id)))
    if not len(found):
        known: list[Any] = pc.unique(rows["run_id"]).to_pylist()
        nearest = difflib.get_close_matches(run_id, known, n=1)
        meant = f"; did you mean `{nearest[0]}`?" if nearest else ""
        raise ConfigError(f"there are no rows of a run `{run_id}` in these results{meant}")
    return found


def _group(row: Mapping[str, Any], rows: int) -> FailureGroup:
    advice, command = _REFUSED if row["status"] == "refused" else ADVICE.get(row["error_class"], _UNKNOWN)
    if row["status"] == "skipped":
        command = _RUN
    urls, message = row["media_urls"], row["error_message"]
    return FailureGroup(
        status=row["status"],
        error_class=row["error_class"],
        error_code=row["error_code"],
        rows=rows,
        item_id=row["item_id"],
        url=redact_url(urls[0]) if urls else None,
        http_status=row["http_status"],
        message=None if message is None else redact_text(message),
        advice=advice,
        command=command,
    )


def _story(group: FailureGroup) -> Text:
    """The example and the advice, each on its line, free of what a terminal would act on."""
    head = " ".join(filter(None, (group.item_id, group.url)))
    said = printable(group.message or "")
    lines = [printable(head), said if len(said) <= _SHOWN else said[: _SHOWN - 1] + "…", f"-> {group.advice}"]
    return Text("\n".join(filter(None, lines)))
