"""Plan: which items a run asks, each with its reason, cut into shards; a file.

The manifest is staged as a Parquet file, compared with the current results by DuckDB out of core, and the rows to ask
are copied in manifest order: memory stays bounded, whatever the manifest's length. `comparison` finds the reasons,
`selection` narrows them down, `condition` reads a `where`, `files` writes and reads; `apart` does all that in another
process.

The plan is a Parquet file under `_work/plans/` with mode 0600 (its URLs are whole, signatures included) and a JSON file
beside it, written last: a plan without it was never finished. Both go when the run is closed.
"""

from __future__ import annotations

from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

import msgspec

from mediascribe.dataset import RunFacts
from mediascribe.domain import Reason, Shard
from mediascribe.errors import ConfigError
from mediascribe.manifest.listing import Items
from mediascribe.plan import files
from mediascribe.plan.files import Due, items, read
from mediascribe.plan.order import Example, Order

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    import pyarrow as pa

    from mediascribe.domain import Item
    from mediascribe.plan.condition import Condition
    from mediascribe.store import Store

__all__ = [
    "Due",
    "Example",
    "Order",
    "Plan",
    "begin",
    "changes",
    "default_shard_rows",
    "draw_up",
    "explain",
    "folder",
    "items",
    "make",
    "read",
    "remove",
    "unfinished",
]

_SHARD_ROWS: Final = 10_000
_SHARDS_AT_MOST: Final = 200
_LARGEST_SHARD: Final = 100_000


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """What a run will ask, and what it knows about itself: enough to finish or to recover it without the job file.

    `counts` has every row of the manifest by its reason, `done` and `forgotten` among them; `failed` those that failed
    by class; `rows` is how many are asked for, of which `shared` get the answer of another. `manifest_sha256` is the
    state of the manifest's files that was compared (None: not known). `examples` has some rows of each reason.
    """

    facts: RunFacts
    config_sha256: str
    reasons: tuple[Reason, ...]
    counts: dict[str, int]
    rows: int
    shard_rows: int
    path: str
    shared: int = 0
    failed: dict[str, int] = {}
    manifest_sha256: str | None = None
    examples: list[Example] = []

    @property
    def run_id(self) -> str:
        """The run that this plan is for."""
        return self.facts.run_id

    @property
    def shards(self) -> list[Shard]:
        """The slices, in manifest order."""
        starts = range(0, self.rows, self.shard_rows)
        return [
            Shard(run_id=self.run_id, number=number, rows=min(self.shard_rows, self.rows - start), plan_path=self.path)
            for number, start in enumerate(starts)
        ]


def make(items: Iterable[Item], facts: RunFacts, order: Order, store: Store) -> Plan:
    """Compare *items* with the current results in *store*, and write the plan of those to ask, by a run that begins.

    Raises like `draw_up`.
    """
    plan = draw_up(items, facts, order, store, folder(store))
    begin(plan, store)
    return plan


def draw_up(items: Iterable[Item], facts: RunFacts, order: Order, store: Store, into: Path) -> Plan:
    """Compare *items* with the current results in *store*, and write the rows to ask *into* a folder.

    *items* come in the order of their row numbers. `manifest.Items` are read many at a time, any others one by one;
    only the former have columns for `order.where`.

    Raises:
        ConfigError: the manifest cannot be read (from *items*) or was changed meanwhile; or `order.where` is no plain
            condition.
        CorruptError: the results cannot be read.
    """
    # DuckDB, for those who plan: a process that asks about a plan of another's making does without.
    from mediascribe.plan import condition, same  # noqa: PLC0415 - as above
    from mediascribe.plan.comparison import Comparison  # noqa: PLC0415 - as above
    from mediascribe.plan.selection import Selection  # noqa: PLC0415 - as above

    listed = items if isinstance(items, Items) else None
    fingerprint = listed.fingerprint() if listed else None
    wanted = condition.read(order.where, listed, facts) if order.where else None
    path = into / f"{facts.run_id}.parquet"
    with _staged(items, wanted, facts, store) as staged:
        if listed and listed.fingerprint() != fingerprint:
            raise ConfigError(f"{listed.source.path}: the manifest was changed while it was read: plan again")
        more = wanted.result_columns if wanted else ()
        with Comparison(staged, facts, order, store, more) as comparison:
            counts, failed = comparison.counts()
            rows = Selection(comparison, order, wanted).rows()
            shared = same.find(comparison.db, wanted=order.same_once)
            shard_rows = order.shard_rows or default_shard_rows(rows)
            with comparison.db.cursor() as other:  # two results are read side by side
                files.write(path, staged, comparison.chosen(), shard_rows, same.followers(other, files.KEPT))
            examples = comparison.examples(order.examples)
    return Plan(
        facts=facts,
        config_sha256=order.config_sha256,
        reasons=order.reasons,
        counts=counts,
        rows=rows,
        shared=shared,
        shard_rows=shard_rows,
        path=str(path),
        failed=failed,
        manifest_sha256=fingerprint,
        examples=examples,
    )


def begin(plan: Plan, store: Store) -> None:
    """Write what makes *plan* that of a run: a start that finds it takes the run for a killed one."""
    store.put_bytes(_name(plan.run_id), msgspec.json.encode(plan))


def unfinished(store: Store) -> list[Plan]:
    """The plans of runs that were never closed, oldest first; wherever they were made, their rows lie beside them."""
    found = [(path, msgspec.json.decode(path.read_bytes(), type=Plan)) for path in sorted(folder(store).glob("*.json"))]
    return [msgspec.structs.replace(plan, path=str(path.with_suffix(".parquet"))) for path, plan in found]


def remove(plan: Plan, store: Store) -> None:
    """Forget *plan*; its run is closed."""
    store.path(_name(plan.run_id)).unlink(missing_ok=True)
    Path(plan.path).unlink(missing_ok=True)


def folder(store: Store) -> Path:
    """The folder of plans, made when missing."""
    path = store.work / "plans"
    path.mkdir(exist_ok=True, mode=0o700)
    return path


def explain(plan: Plan, rows: int) -> list[Example]:
    """The first *rows* of every reason with their cause; no more than the plan was ordered to keep."""
    given: dict[str, int] = {}
    chosen = []
    for example in plan.examples:
        given[example.reason] = given.get(example.reason, 0) + 1
        if given[example.reason] <= rows:
            chosen.append(example)
    return chosen


def changes(plan: Plan, *, config_sha256: str, manifest_sha256: str) -> list[str]:
    """What was changed since *plan* was made, in words; [] where it still says what there is to ask."""
    now = {
        "the job file": (plan.config_sha256, config_sha256),
        "the manifest": (plan.manifest_sha256, manifest_sha256),
    }
    return [f"{name} was changed" for name, (then, found) in now.items() if then not in (None, found)]


def default_shard_rows(rows: int) -> int:
    """10,000, and more for a long plan, so that Prefect sees a few hundred shards at most."""
    return min(max(_SHARD_ROWS, -(-rows // _SHARDS_AT_MOST)), _LARGEST_SHARD)


@contextmanager
def _staged(items: Iterable[Item], wanted: Condition | None, facts: RunFacts, store: Store) -> Iterator[Path]:
    """The items as a file for the length of the block."""
    path = store.staged(f"{facts.run_id}-items.parquet")
    try:
        files.stage(path, _batches(items, wanted))
        yield path
    finally:
        path.unlink(missing_ok=True)


def _batches(items: Iterable[Item], wanted: Condition | None) -> Iterator[pa.RecordBatch]:
    if isinstance(items, Items):
        return items.batches(wanted.manifest_columns if wanted else ())
    return files.batches(items)


def _name(run_id: str) -> str:
    return f"_work/plans/{run_id}.json"
