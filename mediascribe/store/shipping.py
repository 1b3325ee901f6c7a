"""Shipping: plans and journals of a run that writes to a bucket are copied there, for when this machine is lost.

Rules of this file (reliability notes 1.3):

1. A segment of a journal is written by one process ever, and only grows. What is new in it, up to its last whole line,
   becomes one immutable object, `<segment>-<epoch>-<from byte>-<to byte>.jsonl`: a holder that was taken over cannot
   overwrite what its follower ships.
2. A plan's JSON file is shipped last, so that a plan with one is whole.
3. What is here is never made shorter by what is there.

A local output's journals lie beside its results: there only the leftovers of closed runs are removed.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import re
import shutil
import threading
from typing import TYPE_CHECKING, Final, NamedTuple, Self

from mediascribe.errors import StoreError
from mediascribe.store.local import LocalStore

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from mediascribe.store import Store
    from mediascribe.store.objects import ObjectStore

_JOURNAL: Final = "_work/journal/"
_PLANS: Final = "_work/plans/"
_RUNS: Final = "runs/"
_SLICE_BYTES: Final = 8 * 2**20
_SLICE_NAME: Final = re.compile(r"(.+)-(\d+)-(\d+)-(\d+)\.jsonl")


class Shipper:
    """Ships plans and journals every *every_s* seconds while its block runs, in a thread, and once more at its end.

    A bucket that fails stops nothing, since everything is on this machine's disk: `problem` says why the copy is
    behind, and is None when it is not.
    """

    def __init__(self, store: Store, *, epoch: int, every_s: float = 2.0) -> None:
        """*epoch* is the lease's."""
        self.problem: str | None = None
        self._store = store
        self._epoch, self._every_s = epoch, every_s
        self._shipped: dict[str, int] | None = None  # by segment, the bytes that are in the bucket
        self._plans: set[str] = set()
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._run, name="shipping", daemon=True)

    def __enter__(self) -> Self:
        if not isinstance(self._store, LocalStore):
            self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        if self._thread.is_alive():
            self._thread.join()

    def ship(self) -> None:
        """Copy what is new.

        Raises:
            StoreError: the bucket fails; what was not copied is copied next time.
            OSError: a journal or plan cannot be read.
        """
        if isinstance(self._store, LocalStore):
            return
        if self._shipped is None:
            slices = _slices(self._store.bucket.names(_JOURNAL))
            self._shipped = {name: _covered(found)[-1].stop if _covered(found) else 0 for name, found in slices}
        self._ship_plans(self._store)
        for path in sorted((self._store.work / "journal").rglob("*.jsonl")):
            with contextlib.suppress(FileNotFoundError):  # its part was published meanwhile
                self._ship_segment(self._store, path, self._shipped)

    def _run(self) -> None:
        last = False
        while not last:
            last = self._done.wait(self._every_s)
            try:
                self.ship()
                self.problem = None
            except (StoreError, OSError) as error:
                self.problem = str(error)

    def _ship_plans(self, store: ObjectStore) -> None:
        for path in sorted((store.work / "plans").glob("*.json")):
            if path.stem in self._plans:
                continue
            if store.bucket.size(_PLANS + path.name) is None:
                with contextlib.suppress(FileNotFoundError):  # its run was closed meanwhile
                    store.bucket.replace(f"{_PLANS}{path.stem}.parquet", path.with_suffix(".parquet"))
                    store.bucket.replace(_PLANS + path.name, path.read_bytes())
            self._plans.add(path.stem)

    def _ship_segment(self, store: ObjectStore, path: Path, shipped: dict[str, int]) -> None:
        segment = _JOURNAL + path.relative_to(store.work / "journal").with_suffix("").as_posix()
        start = shipped.get(segment, 0)
        for lines in _whole_lines(path, start):
            stop = start + len(lines)
            store.bucket.create(f"{segment}-{self._epoch:06d}-{start:012d}-{stop:012d}.jsonl", lines)
            shipped[segment] = start = stop


def fetch(store: Store) -> list[str]:
    """Bring what a lost machine had shipped into the work folder, to be recovered; a line for each run that came.

    Leftovers of closed runs are removed, here and there, and plans that were never finished here. For the holder of the
    lease.

    Raises:
        StoreError: the bucket fails.
    """
    names = [*store.list(_PLANS), *store.list(_JOURNAL)]
    if not isinstance(store, LocalStore):
        names += [*store.bucket.names(_PLANS), *store.bucket.names(_JOURNAL)]
    told = []
    for run_id in sorted({name.split("/")[2].partition(".")[0] for name in names}):
        if store.exists(f"{_RUNS}{run_id}.json"):
            _remove_leftovers(store, run_id)
        elif not isinstance(store, LocalStore) and (
            fetched := _fetch_plan(store, run_id) + _fetch_segments(store, run_id)
        ):
            told.append(f"run {run_id}: {fetched:,} bytes of its plan and journals fetched from {store.address}")
    for name in store.list(_PLANS):
        if not store.exists(f"{name.partition('.')[0]}.json"):
            store.remove(name)  # half a plan, of a process that was killed while it planned
    return told


def _remove_leftovers(store: Store, run_id: str) -> None:
    """Finish the closing of a run that was killed once it had its run file, which must not be written from less."""
    drop(store, run_id)
    shutil.rmtree(store.work / "journal" / run_id, ignore_errors=True)
    for name in store.list(f"{_PLANS}{run_id}."):
        store.remove(name)


def drop(store: Store, run_id: str, shard: int | None = None) -> None:
    """Remove what was shipped of a run that is closed, or of one of its shards whose part is published.

    Raises:
        StoreError: the bucket fails; `fetch` removes the leftovers later.
    """
    if isinstance(store, LocalStore):
        return
    folder = f"{_JOURNAL}{run_id}/" if shard is None else f"{_JOURNAL}{run_id}/{shard:05d}/"
    names = store.bucket.names(folder)
    if shard is None:
        names += [f"{_PLANS}{run_id}.json", f"{_PLANS}{run_id}.parquet"]
    store.bucket.delete(names)


class _Slice(NamedTuple):
    """A shipped piece of a segment, by its place in it."""

    start: int
    stop: int
    name: str


def _slices(names: Iterable[str]) -> Iterator[tuple[str, list[_Slice]]]:
    """The segments that *names* are slices of, each with its slices in order."""
    found = (
        (match[1], _Slice(int(match[3]), int(match[4]), match[0]))
        for match in map(_SLICE_NAME.fullmatch, names)
        if match
    )
    for segment, group in itertools.groupby(sorted(found), key=lambda one: one[0]):
        yield segment, [piece for _, piece in group]


def _covered(slices: Iterable[_Slice]) -> list[_Slice]:
    """Those of *slices* that follow each other without a gap from the start; their bytes may overlap."""
    kept: list[_Slice] = []
    at = 0
    for piece in slices:
        if piece.start <= at < piece.stop:
            kept.append(piece)
            at = piece.stop
    return kept


def _whole_lines(path: Path, start: int) -> Iterator[bytes]:
    """The lines of *path* from byte *start* on that are whole, some megabytes at a time."""
    with path.open("rb") as file:
        file.seek(start)
        while piece := file.read(_SLICE_BYTES):
            if not piece.endswith(b"\n"):
                piece += file.readline()
            whole = piece[: piece.rfind(b"\n") + 1]
            if whole:
                yield whole
            if len(whole) < len(piece):
                return


def _fetch_plan(store: ObjectStore, run_id: str) -> int:
    """Fetch the plan of a run, if it is whole there and not here; gives its bytes."""
    written = f"{_PLANS}{run_id}.json"
    if store.local.exists(written) or store.bucket.size(written) is None:
        return 0
    (store.work / "plans").mkdir(mode=0o700, exist_ok=True)
    rows = store.staged(f"{run_id}.parquet")
    rows.touch(mode=0o600)
    store.bucket.download(f"{_PLANS}{run_id}.parquet", rows)
    size, data = rows.stat().st_size, store.bucket.get(written)
    store.local.replace(f"{_PLANS}{run_id}.parquet", rows)
    store.local.put_bytes(written, _moved(data, store.local.path(f"{_PLANS}{run_id}.parquet")))
    return size + len(data)


def _moved(plan: bytes, rows: Path) -> bytes:
    """*plan* with the place of its *rows* here: what it names is on the lost machine, and not ours to touch."""
    told = json.loads(plan)
    if "path" not in told:
        return plan
    return json.dumps(told | {"path": str(rows)}, ensure_ascii=False).encode()


def _fetch_segments(store: ObjectStore, run_id: str) -> int:
    """Fetch the segments of a run of which more is there than here; gives their bytes."""
    fetched = 0
    for segment, slices in _slices(store.bucket.names(f"{_JOURNAL}{run_id}/")):
        covered, name = _covered(slices), f"{segment}.jsonl"
        length = covered[-1].stop if covered else 0
        path = store.local.path(name)
        if length <= (path.stat().st_size if path.exists() else 0):
            continue
        staged = store.staged("segment.jsonl")
        staged.touch(mode=0o600)
        with staged.open("r+b") as file:
            for piece in covered:
                file.seek(piece.start)
                file.write(store.bucket.get(piece.name))
        store.local.replace(name, staged)
        fetched += length
    return fetched
