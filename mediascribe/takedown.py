"""Takedown: items are removed from everything that an output holds, and do not come back.

Rules of this file:

1. The tombstone comes first: `forgotten/<time>.json` has the SHA-256 of each id, never the id, and how many rows of
   which run go. Plans leave out what it names. Once it is there, the takedown happens: a start that finds one whose
   work was cut short finishes it (`resume`), and every step may be repeated.
2. Run files lose the words of removed rows before the rows go, since the rows are what those are found by; journals
   lose the entries before the plan, which says whose they are.
3. A part is replaced as a compaction does it: a new one appears that names the old in its footer, then the old goes.
4. A hash hides an id from the eye, not from whoever can guess it.
"""

from __future__ import annotations

import csv
import hashlib
import itertools
import json
import os
import shutil
from collections import Counter
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq

from mediascribe import journal, plan
from mediascribe.errors import ConfigError, CorruptError
from mediascribe.part import UNREADABLE, has_part, read_part
from mediascribe.replacement import live_parts, replace, settle
from mediascribe.store import shipping

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from mediascribe.plan import Plan
    from mediascribe.store import Store

FORGOTTEN: Final = "forgotten/"
_DUPLICATE: Final = "duplicate_id"
_LOOKED_AT: Final = ("item_id", "error_code", "run_id", "status", "error_message")


class Tombstone(msgspec.Struct, frozen=True, kw_only=True):
    """What was taken down: `items` are SHA-256 hashes of ids, `removed` counts rows by run and status.

    `parts` are those that held the rows, `unfinished_rows` the rows of runs that were not yet closed. Only a `complete`
    one is done.
    """

    at: datetime
    items: list[str]
    removed: dict[str, dict[str, int]]
    parts: list[str]
    unfinished_rows: int
    complete: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Findings:
    """What is there of the items to forget, before anything is changed."""

    ids: tuple[str, ...]
    unknown: tuple[str, ...]
    removed: dict[str, dict[str, int]]
    parts: tuple[str, ...]
    unfinished_rows: int

    @property
    def rows(self) -> int:
        """The result rows that go."""
        return sum(sum(statuses.values()) for statuses in self.removed.values())


def forgotten(store: Store) -> frozenset[str]:
    """The marks of all items that were taken down: a plan's order wants them.

    Raises:
        CorruptError: a tombstone cannot be read.
    """
    return frozenset(item for _, stone in tombstones(store) for item in stone.items)


def mark(item_id: str, error_code: str | None = None) -> str:
    """The SHA-256 of an id; the row of a repeated id, which has a `#` and its number behind, has that id's own."""
    named = item_id.rpartition("#")[0] if error_code == _DUPLICATE else item_id
    return hashlib.sha256(named.encode("utf-8", "replace")).hexdigest()


def look(store: Store, ids: Collection[str]) -> Findings:
    """What *store* holds of the items *ids*; changes nothing.

    Raises:
        CorruptError: a part cannot be read, so nobody knows what it holds.
    """
    marks = {mark(item_id): item_id for item_id in ids}
    removed: dict[str, Counter[str]] = {}
    met: set[str] = set()
    parts = []
    for name in live_parts(store):
        hits = _hits(store, name, marks)
        parts += [name] if hits else []
        for hit in hits:
            removed.setdefault(hit["run_id"], Counter())[hit["status"]] += 1
            met.add(hit["mark"])
    unfinished = [found for one in plan.unfinished(store) for found, _, _ in _planned(store, one, marks)]
    unknown = sorted(item_id for found, item_id in marks.items() if found not in met.union(unfinished))
    return Findings(
        ids=tuple(ids),
        unknown=tuple(unknown),
        removed={run_id: dict(statuses) for run_id, statuses in removed.items()},
        parts=tuple(parts),
        unfinished_rows=len(unfinished),
    )


def forget(store: Store, ids: Collection[str], now: datetime) -> Tombstone:
    """Remove the items *ids* for good, and give the receipt; the caller holds the lease.

    Raises:
        CorruptError: a part cannot be read; what was begun is finished by the next `resume`.
    """
    settle(store)
    resume(store)
    found = look(store, ids)
    stone = Tombstone(
        at=now,
        items=sorted(map(mark, ids)),
        removed=found.removed,
        parts=list(found.parts),
        unfinished_rows=found.unfinished_rows,
    )
    name = f"{FORGOTTEN}{now.astimezone(UTC):%Y%m%dT%H%M%SZ-%f}.json"
    if not store.put_bytes_if_absent(name, _encoded(stone)):
        raise ConfigError(f"{name} is there already: another takedown began in the same instant; try again")
    return _carry_out(store, name, stone)


def resume(store: Store) -> list[Tombstone]:
    """Finish the takedowns that were cut short; the caller holds the lease."""
    return [_carry_out(store, name, stone) for name, stone in tombstones(store) if not stone.complete]


def tombstones(store: Store) -> list[tuple[str, Tombstone]]:
    """Every takedown with the name of its file, oldest first.

    Raises:
        CorruptError: a file holds none.
    """
    found = []
    for name in store.list(FORGOTTEN):
        try:
            found.append((name, msgspec.json.decode(store.read(name), type=Tombstone)))
        except msgspec.DecodeError as error:
            raise CorruptError(
                f"{name} is no tombstone: {error}; restore it: it keeps items from coming back"
            ) from None
    return found


def read_ids(path: str | Path) -> list[str]:
    """The ids in the file at *path*, each once: its column `item_id` (.csv, .parquet), or its lines.

    Raises:
        ConfigError: the file cannot be read, has no such column, or no id.
    """
    file = Path(path).expanduser()
    try:
        ids = list(dict.fromkeys(filter(None, _READERS.get(file.suffix.lower(), _lines)(file))))
    except KeyError:
        raise ConfigError(f"{path} has no column `item_id`: name the column of the ids so") from None
    except UNREADABLE as error:
        raise ConfigError(f"{path} cannot be read as a list of ids: {error}") from None
    if not ids:
        raise ConfigError(f"{path} has no ids: one a line, or a CSV or Parquet file with the column `item_id`")
    return ids


def _lines(file: Path) -> list[str]:
    return [line.strip() for line in file.read_text(encoding="utf-8-sig").splitlines()]


def _csv_column(file: Path) -> list[str]:
    with file.open(encoding="utf-8-sig", newline="") as rows:
        return [row["item_id"] or "" for row in csv.DictReader(rows)]


def _parquet_column(file: Path) -> list[str]:
    part = pq.ParquetFile(file)
    if "item_id" not in part.schema_arrow.names:
        raise KeyError("item_id")
    return [str(item_id) for item_id in part.read(columns=["item_id"])["item_id"].to_pylist() if item_id is not None]


_READERS: Final = {".csv": _csv_column, ".parquet": _parquet_column}


def _carry_out(store: Store, name: str, stone: Tombstone) -> Tombstone:
    """Do what *stone* says, as far as it is not yet done, and say so in its file."""
    marks = frozenset(stone.items)
    settle(store)
    held = {part: hits for part in live_parts(store) if (hits := _hits(store, part, marks))}
    words: dict[str, set[str]] = {}
    for hit in itertools.chain.from_iterable(held.values()):
        words.setdefault(hit["run_id"], set()).add(hit["error_message"])
    for run_id, messages in words.items():
        _take_words(store, run_id, messages - {None})
    for unfinished in plan.unfinished(store):
        _clear_plan(store, unfinished, marks)
    for folder in ("duckdb", "planned"):  # what a killed plan had spilled; plans kept for later, with their URLs
        shutil.rmtree(store.work / folder, ignore_errors=True)
    for part in held:
        replace(store, [part], lambda table: table.filter(pa.array([one not in marks for one in _marks(table)])))
    done = msgspec.structs.replace(stone, complete=True)
    store.put_bytes(name, _encoded(done))
    return done


def _encoded(stone: Tombstone) -> bytes:
    return msgspec.json.format(msgspec.json.encode(stone)) + b"\n"


def _marks(table: pa.Table, code: str = "error_code") -> list[str]:
    ids: list[Any] = table["item_id"].to_pylist()
    return [mark(item_id, why) for item_id, why in zip(ids, table[code].to_pylist(), strict=True)]


def _hits(store: Store, name: str, marks: Collection[str]) -> list[dict[str, Any]]:
    """The rows of the part *name* that are of *marks*, each with its `mark`."""
    table = read_part(store, name, pa.schema([(key, pa.string()) for key in _LOOKED_AT]))
    found = _marks(table)
    hits = table.append_column("mark", pa.array(found)).filter(pa.array([one in marks for one in found]))
    return hits.to_pylist()


def _take_words(store: Store, run_id: str, messages: Collection[str]) -> None:
    """Remove *messages* from the examples that the run file of *run_id* quotes."""
    name = f"runs/{run_id}.json"
    if not store.exists(name):
        return
    run = json.loads(store.read(name))
    quoting = [group for group in run.get("wrote", {}).get("errors", ()) if group.get("example") in messages]
    for group in quoting:
        group["example"] = None
    if quoting:
        store.put_bytes(name, (json.dumps(run, indent=2, ensure_ascii=False) + "\n").encode())


def _planned(store: Store, unfinished: Plan, marks: Collection[str]) -> Iterator[tuple[str, int, int]]:
    """Mark, shard and number of each row of a run that is not closed, where it is one of *marks*."""
    with pq.ParquetFile(_plan_file(store, unfinished)) as file:
        for group in range(file.num_row_groups):
            table = file.read_row_group(group, columns=["item_id", "problem_code", "shard", "row_number"])
            places: list[list[Any]] = [table[name].to_pylist() for name in ("shard", "row_number")]
            for found, shard, row in zip(_marks(table, "problem_code"), *places, strict=True):
                if found in marks:
                    yield found, shard, row


def _clear_plan(store: Store, unfinished: Plan, marks: Collection[str]) -> None:
    """Take the rows of *marks* out of a plan and its journals; segments whose part is published go entirely."""
    rows: dict[int, set[int]] = {}
    for _, number, row in _planned(store, unfinished, marks):
        rows.setdefault(number, set()).add(row)
    if not rows:
        return
    shipping.drop(store, unfinished.run_id)  # first: what is left here is shipped anew
    for shard in unfinished.shards:
        folder = journal.place(store.work, shard)
        if has_part(store, shard):
            for spent in journal.segments(folder):
                spent.unlink()
        elif shard.number in rows:
            journal.drop_rows(folder, rows[shard.number])
    _rewrite(_plan_file(store, unfinished), marks)


def _plan_file(store: Store, unfinished: Plan) -> Path:
    return plan.folder(store) / f"{unfinished.run_id}.parquet"


def _rewrite(path: Path, marks: Collection[str]) -> None:
    """Write a plan's file anew without the rows of *marks*, whole or not at all."""
    partial = path.with_suffix(".partial")
    partial.touch(mode=0o600)
    with pq.ParquetFile(path) as file, pq.ParquetWriter(partial, file.schema_arrow, compression="zstd") as writer:
        for group in range(file.num_row_groups):
            table = file.read_row_group(group)
            writer.write_table(table.filter(pa.array([one not in marks for one in _marks(table, "problem_code")])))
    with partial.open("rb") as written:
        os.fsync(written.fileno())
    partial.replace(path)
