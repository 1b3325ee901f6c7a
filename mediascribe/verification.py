"""Verification: whether everything that was paid for is there, once, and as it was written; changes nothing.

What a run that is at work, or was killed, has yet to do is no defect: it is told in `unfinished`, with what to do. Run
files and plans are read before the parts, so that a run beside it is never taken for a broken one.
"""

from __future__ import annotations

import itertools
import json
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from mediascribe import completeness, journal, takedown
from mediascribe.columns import SCHEMA
from mediascribe.dataset import RUNS, results_at
from mediascribe.domain import STATUSES
from mediascribe.errors import CorruptError
from mediascribe.part import RESULTS, UNREADABLE, open_part
from mediascribe.replacement import live_parts
from mediascribe.store import LocalStore

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    import pyarrow as pa

    from mediascribe.completeness import Items
    from mediascribe.store import Store

_PLANS: Final = "_work/plans/"
_BATCH_ROWS: Final = 8_192
_READ: Final = ("run_id", "row_number", "item_id", "error_code", "status")


@dataclass(frozen=True, slots=True, kw_only=True)
class Verification:
    """What reading every page of a dataset found.

    `rows` and `statuses` count the rows of readable parts, by every status; `duplicates` the rows whose number or item
    their run has already; `unreadable` names parts, with the reason; `missing` counts manifest rows without a result
    (None: no manifest was given). `problems` says all of it, and more, in words; `unfinished` what is no defect.
    """

    parts: int
    rows: int
    runs: int
    statuses: Mapping[str, int]
    duplicates: int
    unreadable: tuple[tuple[str, str], ...]
    missing: int | None
    problems: tuple[str, ...]
    unfinished: tuple[str, ...]

    @property
    def ok(self) -> bool:
        """Whether nothing is wrong."""
        return not self.problems


def verify(output: str | Path, items: Items | None = None) -> Verification:
    """Check every row of every part, and of *items* where they are given: the manifest, which is read twice.

    Each page against its checksum; no row and no item twice in a run; as many rows of each status as the run files say,
    wherever a compaction has put them, less what was taken down, of which nothing is left. Every item has a current
    result. One run's rows take 16 bytes each in memory; with *items*, all rows and all items 8 more.

    Raises:
        ConfigError: there are no results at *output*, or the manifest cannot be read.
        CorruptError: the parts cannot be told apart: one that replaces others cannot be read.
    """
    store = results_at(output)
    found = _Findings(keep=items is not None)
    runs, open_runs = _run_files(store, found), _open_runs(store)
    removed = _removed(store, found)
    names = live_parts(store)
    for name in names:
        _read_part(store, name, found)
    _close_run(found)
    _compare(store, found, runs, removed, open_runs)
    _tell_leftovers(store, found, open_runs)
    missing = None
    if items is not None:
        missing, words = completeness.missing(items, found.all_marks, found.forgotten)
        found.problems += words
    if found.twice:
        found.problems.append(
            f"{found.twice:,} rows repeat a row or an item of their run, such as {found.example}:"
            " remove the part that is a copy"
        )
    return Verification(
        parts=len(names),
        rows=sum(counts.total() for counts in found.runs.values()),
        runs=len(found.runs),
        statuses={status: sum(counts[status] for counts in found.runs.values()) for status in STATUSES},
        duplicates=found.twice,
        unreadable=tuple(found.unreadable),
        missing=missing,
        problems=tuple(found.problems),
        unfinished=tuple(found.unfinished),
    )


@dataclass(slots=True, kw_only=True)
class _Findings:
    """What `verify` has found so far; `rows` and `marks` are of the run whose parts are being read."""

    keep: bool
    forgotten: frozenset[str] = frozenset()
    runs: dict[str, Counter[str]] = field(default_factory=dict)
    run_id: str | None = None
    rows: list[np.ndarray[Any, Any]] = field(default_factory=list)
    marks: list[np.ndarray[Any, Any]] = field(default_factory=list)
    all_marks: list[np.ndarray[Any, Any]] = field(default_factory=list)
    twice: int = 0
    example: str | None = None
    unreadable: list[tuple[str, str]] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    unfinished: list[str] = field(default_factory=list)


def _run_files(store: Store, found: _Findings) -> dict[str, dict[str, int]]:
    """By run, how many rows of each status its run file says that it wrote."""
    wrote: dict[str, dict[str, int]] = {}
    for name in store.list(RUNS):
        if not name.endswith(".json"):
            continue
        try:
            told = json.loads(store.read(name))["wrote"]
            wrote[name.removeprefix(RUNS).removesuffix(".json")] = {
                status: int(rows) for status, rows in told["by_status"].items()
            }
            if told["duplicates"]:
                found.problems.append(f"{name}: the run itself found {told['duplicates']:,} rows twice")
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            found.problems.append(f"{name} is no run file ({type(error).__name__}: {error}): its rows are not counted")
    return wrote


def _open_runs(store: Store) -> set[str]:
    """The runs that have a plan, here or shipped by another machine: at work, or killed."""
    shipped = () if isinstance(store, LocalStore) else store.bucket.names(_PLANS)
    names = (*(path.name for path in (store.work / "plans").glob("*.json")), *shipped)
    return {name.removeprefix(_PLANS).removesuffix(".json") for name in names if name.endswith(".json")}


def _removed(store: Store, found: _Findings) -> dict[str, Counter[str] | None]:
    """By run, the rows that were taken down; None where that is not finished, so that nobody can tell."""
    removed: dict[str, Counter[str] | None] = {}
    marks: set[str] = set()
    for name, stone in takedown.tombstones(store):
        marks.update(stone.items)
        if not stone.complete:
            found.problems.append(f"{name}: a takedown was cut short; `mediascribe compact` or any run finishes it")
        for run_id, statuses in stone.removed.items():
            before = removed.get(run_id, Counter())
            removed[run_id] = before + Counter(statuses) if stone.complete and before is not None else None
    found.forgotten = frozenset(marks)
    return removed


def _read_part(store: Store, name: str, found: _Findings) -> None:
    """Add what the part *name* holds to *found*: all of it, or only what is wrong with it."""
    batches = []
    try:
        with open_part(store, name) as part:
            if lacking := _lacking(part.schema_arrow):
                found.problems.append(f"{name}: not of schema v1: {', '.join(lacking)} missing or of another type")
                return
            # Every column is read, for its checksums; few are kept.
            batches = [batch.select(list(_READ)) for batch in part.iter_batches(batch_size=_BATCH_ROWS)]
    except (CorruptError, *UNREADABLE) as error:
        reason = str(error.__cause__ or error)
        found.unreadable.append((name, reason))
        found.problems.append(f"{name} cannot be read: {reason}: restore it from a copy, or remove it and run again")
        return
    for batch in batches:
        _count(name, batch, found)


def _lacking(there: pa.Schema) -> list[str]:
    """The columns of schema v1 that are missing or of another type; one that may be null may have been added later."""
    fields = list(there)
    needed = [column for column in SCHEMA if column.name in (*there.names, *_READ) or not column.nullable]
    return [column.name for column in needed if column not in fields]


def _count(name: str, batch: pa.RecordBatch, found: _Findings) -> None:
    """Add the rows of *batch*, run by run: those of a run stand together, in the order of names."""
    columns: list[list[Any]] = [batch[key].to_pylist() for key in ("item_id", "error_code", "status", "run_id")]
    ids, codes, statuses, runs = columns
    if left := found.forgotten.intersection(map(takedown.mark, ids, codes)):
        found.problems.append(f"{name} holds {len(left):,} items that were taken down: run `mediascribe forget` again")
    numbers, marks = batch["row_number"].to_numpy(), completeness.marks(ids)
    cuts = [0, *(at for at in range(1, len(runs)) if runs[at] != runs[at - 1]), len(runs)]
    for start, end in itertools.pairwise(cuts):
        if runs[start] != found.run_id:
            _close_run(found)
            found.run_id = runs[start]
            if runs[start] in found.runs:
                found.problems.append(f"{name}: rows of run {runs[start]} apart from its others, perhaps a second time")
        found.runs.setdefault(runs[start], Counter()).update(statuses[start:end])
        found.rows.append(numbers[start:end])
        found.marks.append(marks[start:end])


def _close_run(found: _Findings) -> None:
    """Look for what the run that was read has twice."""
    if found.rows:
        rows, marks = np.concatenate(found.rows), np.concatenate(found.marks)
        again = len(rows) - min(len(np.unique(rows)), len(np.unique(marks)))
        if again:
            numbers, times = np.unique(rows, return_counts=True)
            row = f" row {numbers[times > 1][0]}" if (times > 1).any() else ""
            found.twice, found.example = found.twice + again, found.example or f"run {found.run_id}{row}"
        found.all_marks += [marks] if found.keep else []
    found.rows, found.marks = [], []


def _compare(
    store: Store,
    found: _Findings,
    runs: Mapping[str, Mapping[str, int]],
    removed: Mapping[str, Counter[str] | None],
    open_runs: Iterable[str],
) -> None:
    """Hold the rows that were found of each run against what its run file says."""
    for run_id in sorted({*runs, *found.runs}.difference(open_runs)):
        gone, there = removed.get(run_id, Counter()), found.runs.get(run_id, Counter())
        if run_id not in runs:
            if not store.exists(f"{RUNS}{run_id}.json"):
                found.problems.append(
                    f"run {run_id} has {there.total():,} rows and no run file: restore {RUNS}{run_id}.json"
                )
            continue
        wrote = Counter(runs[run_id])
        if gone is not None and wrote - gone != +there:
            found.problems.append(
                f"run {run_id} wrote {_counts(wrote - gone)}, and {_counts(there)} are there:"
                " a part is lost, damaged or twice; restore it from a copy, or run again to ask for what is lost"
            )


def _counts(counts: Counter[str]) -> str:
    listed = ", ".join(f"{counts[status]:,} {status}" for status in STATUSES if counts[status])
    return f"{counts.total():,} rows ({listed})" if listed else "no rows"


def _tell_leftovers(store: Store, found: _Findings, open_runs: Iterable[str]) -> None:
    """Name what lies beside the parts: strangers, and what runs left under `_work`."""
    found.problems += [
        f"{name}: not a part, but some readers take it for one: remove it"
        for name in store.list(RESULTS)
        if not name.endswith(".parquet")
    ]
    journals = {path.name: path for path in sorted((store.work / "journal").glob("*"))}
    for run_id in sorted({*open_runs, *journals}):
        answers, torn = _answers(journals[run_id]) if run_id in journals else (0, [])
        if run_id in open_runs:
            kept = f"{answers:,} answers in its journals; if nobody runs it now, `mediascribe run JOB` publishes them"
            found.unfinished.append(f"run {run_id} is at work, or was killed: {kept}")
        elif run_id in found.runs or not answers:
            found.unfinished.append(f"run {run_id} left journals that nothing needs: remove {journals[run_id]}")
        else:
            found.problems.append(
                f"run {run_id} has {answers:,} answers in {journals[run_id]} and no plan that says whose they are:"
                f" restore _work/plans/{run_id}.json and .parquet, then run again"
            )
        found.unfinished += torn


def _answers(folder: Path) -> tuple[int, list[str]]:
    """The rows with an answer in the journals of a run, and the tails that cannot be read."""
    answers = 0
    torn: list[str] = []
    for shard in sorted(folder.iterdir()):
        held = journal.replay(shard)
        answers += sum(any(isinstance(one, journal.Answered) for one in entries) for entries in held.rows.values())
        torn += held.torn
    return answers, torn
