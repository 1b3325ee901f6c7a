"""Commands that look after results: verify, errors, compact, forget."""

from __future__ import annotations

import contextlib
import re
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path  # noqa: TC003 - cyclopts reads the annotations
from typing import TYPE_CHECKING, Annotated, Final

import msgspec
from cyclopts import Parameter
from rich.console import Console

from flows.commands.telling import print_json
from mediascribe.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mediascribe.compaction import Compacted
    from mediascribe.completeness import Items
    from mediascribe.store import Lease, Store
    from mediascribe.takedown import Findings
    from mediascribe.verification import Verification

Json = Annotated[bool, Parameter(name="--json", negative=(), help="Print one JSON object for programs, no progress.")]
Output = Annotated[str, Parameter(help="The output of a job.")]
_AGES: Final = {"h": "hours", "d": "days", "w": "weeks"}
_NAMED_AT_MOST: Final = 20


def verify(
    output: Output,
    *,
    job: Annotated[Path | None, Parameter(help="A job file: look for manifest rows without a result, too.")] = None,
    json: Json = False,
) -> int:
    """Check the results: every page, no row twice, as many rows as the runs wrote; with --job, none missing."""
    from mediascribe.verification import verify as check  # noqa: PLC0415 - pyarrow takes a moment to import

    found = check(output, _items(job) if job else None)
    if json:
        print_json({**msgspec.to_builtins(found), "ok": found.ok})
    else:
        _print_verification(found, Console())
    return 0 if found.ok else 1


def errors(
    output: Output,
    *,
    run: Annotated[str | None, Parameter(help="Only the rows of this run.")] = None,
    json: Json = False,
) -> int:
    """Show why rows have no answer: by cause, with an example, what to do, and the command that asks them again."""
    from mediascribe.report.failures import failure_groups, print_failures  # noqa: PLC0415 - likewise

    groups = failure_groups(output, run)
    if json:
        print_json(msgspec.to_builtins(groups))
    else:
        print_failures(groups, Console())
    return 0


def compact(
    output: Output,
    *,
    older_than: Annotated[str, Parameter(help="Leave alone the parts of days that are not that long past.")] = "1d",
    target_mb: Annotated[int, Parameter(help="Merge up to this size; parts of half of it stay as they are.")] = 256,
    json: Json = False,
) -> int:
    """Merge the small parts of past days into large ones. Nothing is lost or doubled, whenever it is stopped."""
    from mediascribe import compaction, plan  # noqa: PLC0415 - pyarrow takes a moment to import

    if target_mb < 1:
        raise ConfigError(f"--target-mb {target_mb}: wants a number of megabytes, 1 or more")
    before = (datetime.now(UTC) - _age(older_than)).date() + timedelta(days=1)
    with _held(output, "compact") as (store, held):
        order = compaction.Order(
            before=before,
            open_runs=[unfinished.run_id for unfinished in plan.unfinished(store)],
            target_bytes=target_mb * 2**20,
            lost=lambda: held.lost,
        )
        done = compaction.compact(store, order)
    if json:
        print_json(msgspec.to_builtins(done))
    else:
        _print_compacted(done, Console())
    return 1 if done.problems else 0


def forget(
    output: Output,
    *,
    ids: Annotated[Path, Parameter(help="Ids to forget: one a line, or a CSV or Parquet file with item_id.")],
    yes: Annotated[bool, Parameter(negative=(), help="Do it. Without this, only show what would be removed.")] = False,
    json: Json = False,
) -> int:
    """Remove items from all results, journals and plans, for good, and keep them from being asked again."""
    from mediascribe import takedown  # noqa: PLC0415 - pyarrow takes a moment to import

    wanted = takedown.read_ids(ids)
    with _held(output, "forget") as (store, _):
        found = takedown.look(store, wanted)
        receipt = takedown.forget(store, wanted, datetime.now(UTC)) if yes else None
    if json:
        print_json({"found": msgspec.to_builtins(found), "receipt": msgspec.to_builtins(receipt)})
    else:
        _print_findings(found, Console(), removed=yes)
    if not yes:
        print("nothing was removed: say --yes to remove it", file=sys.stderr)  # noqa: T201 - beside the product
    return 0 if yes else 2


@contextlib.contextmanager
def _held(output: str, command: str) -> Iterator[tuple[Store, Lease]]:
    """The store at *output* under its lease, with what lost machines left, and earlier takedowns finished."""
    from mediascribe import pricing, takedown, trial_spending  # noqa: PLC0415 - pyarrow takes a moment to import
    from mediascribe.dataset import results_at  # noqa: PLC0415 - likewise
    from mediascribe.store import lease, open_store, shipping  # noqa: PLC0415 - likewise

    results_at(output)  # a mistyped name is to create nothing
    store = open_store(output)
    with lease(store, holder=f"mediascribe {command} {output}") as held:
        shipping.fetch(store)
        takedown.resume(store)
        trial_spending.settle(store, pricing.of_record())  # what a killed trial left is counted, and goes
        yield store, held


def _items(job: Path) -> Items:
    """The manifest rows of *job*, to be read as often as needed."""
    from mediascribe.inputs import check  # noqa: PLC0415 - other commands do without

    return check(str(job), keyless=True).items


def _age(text: str) -> timedelta:
    found = re.fullmatch(r"(\d{1,5})([hdw])", text)
    if not found:
        raise ConfigError(f"--older-than {text}: write a number and h, d or w, such as 36h, 1d or 2w")
    return timedelta(**{_AGES[found[2]]: int(found[1])})


def _print_verification(found: Verification, console: Console) -> None:
    counts = ", ".join(f"{rows:,} {status}" for status, rows in found.statuses.items() if rows)
    console.print(
        f"{found.rows:,} rows of {found.runs:,} runs in {found.parts:,} parts: {counts or 'none'}", highlight=False
    )
    for line in found.unfinished:
        console.print(f"unfinished: {line}", style="yellow", highlight=False, soft_wrap=True, markup=False)
    for problem in found.problems:
        console.print(f"defect: {problem}", style="red", highlight=False, soft_wrap=True, markup=False)
    console.print("verified" if found.ok else "not sound", highlight=False)


def _print_compacted(done: Compacted, console: Console) -> None:
    taken = sum(map(len, done.merged.values()))
    if done.leftovers:
        console.print(f"removed {len(done.leftovers):,} parts that an earlier compaction had replaced", highlight=False)
    if done.merged:
        console.print(f"merged {taken:,} parts into {len(done.merged):,}: {done.rows:,} rows", highlight=False)
    else:
        console.print("nothing to merge", highlight=False)
    for problem in done.problems:
        console.print(f"left alone: {problem}", style="red", highlight=False, soft_wrap=True, markup=False)


def _print_findings(found: Findings, console: Console, *, removed: bool) -> None:
    verb = "removed" if removed else "would remove"
    console.print(
        f"{verb} {found.rows:,} rows of {len(found.removed):,} runs in {len(found.parts):,} parts, and"
        f" {found.unfinished_rows:,} rows of unfinished runs: {len(found.ids) - len(found.unknown):,} of"
        f" {len(found.ids):,} ids",
        highlight=False,
    )
    for unknown in found.unknown[:_NAMED_AT_MOST]:
        console.print(f"unknown here: {unknown}", style="yellow", highlight=False, soft_wrap=True, markup=False)
    if len(found.unknown) > _NAMED_AT_MOST:
        console.print(f"and {len(found.unknown) - _NAMED_AT_MOST:,} more unknown ids", style="yellow", highlight=False)
