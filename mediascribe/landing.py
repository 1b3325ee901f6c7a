"""Landing: where the answers of a shard go, and what is told of how it ended."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

import msgspec

from mediascribe import dataset, journal
from mediascribe.errors import DiskError
from mediascribe.spending import Spent

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import pyarrow as pa

    from mediascribe.ballast import Ballast
    from mediascribe.dataset import RunFacts
    from mediascribe.domain import Shard
    from mediascribe.pricing import PriceBook
    from mediascribe.store import Store

REPORT: Final = "report.json"
_PART_BYTES: Final = 32 * 2**20  # a part of 50,000 rows has about 12 MB (reliability notes 2.2)


@dataclass(frozen=True, slots=True, kw_only=True)
class Landing:
    """Where answers land: the dataset, priced by the book; *ballast* is the room for those in flight."""

    store: Store
    prices: PriceBook
    ballast: Ballast | None = None


class ShardReport(msgspec.Struct, frozen=True, kw_only=True):
    """How a shard ended, kept in its journal's place until the run is closed.

    `stopped` says why the run cannot go on; then the part holds the rows that have a result. `drained` says that it
    was told to stop, `over_budget` that a budget or the day's quota was used up. `spent` has what its requests came to
    on each day, those of rows without a result among them.
    """

    name: str
    rows: int
    part: str | None
    in_doubt: int
    torn: tuple[str, ...]
    spent: dict[str, Spent]
    stopped: str | None = None
    drained: bool = False
    over_budget: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Spot:
    """Where a shard is worked on, where that is not its usual place: the journal's folder.

    *seal* is told how the shard ended, before its part is published; what it raises keeps that from being done.
    """

    folder: Path
    seal: Callable[[ShardReport], None]


def disk_error(errors: BaseExceptionGroup[OSError], landing: Landing) -> DiskError:
    """What a person can do about a disk that does not take what we write."""
    error: BaseException = errors
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    said = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return DiskError(
        f"{landing.store.work} cannot be written: {said}; every answer written so far is kept: {room(landing)}"
    )


def room(landing: Landing) -> str:
    """What a person can do about a disk that is full."""
    needed = landing.ballast.needed_bytes if landing.ballast else 0
    return f"free at least {(needed + _PART_BYTES) / 2**20:,.0f} MiB in {landing.store.work}"


def keep_report(folder: Path, report: ShardReport) -> None:
    """Put *report* in the place of the segments in *folder*."""
    written = folder / "report.part"
    written.write_bytes(msgspec.json.encode(report))
    written.replace(folder / REPORT)
    for segment in journal.segments(folder):
        segment.unlink()


def publish(store: Store, facts: RunFacts, shard: Shard, results: pa.Table) -> str | None:
    """Write the part of *results*, which are in manifest order; a shard without any has none."""
    if not len(results):
        return None
    return dataset.write_part(store, facts, replace(shard, rows=len(results)), results)
