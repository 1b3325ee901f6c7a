"""Plan: which items a run asks, each with its reason, cut into shards; a file.

The manifest streams through DuckDB, which joins it with the current results out of core: memory stays bounded, whatever
the manifest's length. The plan is a Parquet file under `_work/plans/` with mode 0600 (its URLs are whole, signatures
included) and a JSON file beside it, written last: a plan without it was never finished. Both go when the run is closed.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import duckdb
import msgspec
import pyarrow as pa
import pyarrow.dataset as ds

from mediascribe import dataset
from mediascribe.dataset import RunFacts
from mediascribe.domain import Failure, Item, Media, Reason, Shard
from mediascribe.errors import MediascribeError
from mediascribe.redact import redact_url

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping

    from mediascribe.store import Store

_BATCH_ROWS: Final = 2_000
_SHARD_ROWS: Final = 10_000
_SHARDS_AT_MOST: Final = 200
_LARGEST_SHARD: Final = 100_000

_TEXT, _TEXTS = pa.string(), pa.list_(pa.string())
_ITEM_FIELDS: Final[list[pa.Field[Any]]] = [
    pa.field("row_number", pa.int64()),
    pa.field("item_id", _TEXT),
    pa.field("media_kinds", _TEXTS),
    pa.field("media_urls", _TEXTS),
    pa.field("redacted_urls", _TEXTS),
    pa.field("variables", _TEXT),
    pa.field("carried", _TEXT),
    pa.field("problem_code", _TEXT),
    pa.field("problem", _TEXT),
]
_ITEMS: Final = pa.schema(_ITEM_FIELDS)

# Tables beyond this spill to disk; the order is the query's business, so none need be kept.
_OUT_OF_CORE: Final[dict[str, str | bool | int | float | list[str]]] = {
    "memory_limit": "1GB",
    "preserve_insertion_order": "false",
}
# The order of the cases is the order in which reasons win: a failed row is asked because it failed, whatever else.
_PLAN: Final = """
create table plan as
with numbered as (
    select *, row_number() over (partition by item_id order by row_number) as nth,
           min(row_number) over (partition by item_id) as first_row
    from manifest
), items as (
    select row_number, media_kinds, media_urls, redacted_urls, variables, carried,
           case when nth = 1 then item_id else item_id || '#' || row_number end as item_id,
           case when nth = 1 then problem_code else 'duplicate_id' end as problem_code,
           case when nth = 1 then problem
                else 'row ' || row_number || ': its id ''' || item_id || ''' stands in row ' || first_row
                     || ' already; give every row an id of its own' end as problem
    from numbered
), current as (
    select item_id, arg_max({status: status, model: model, prompt: prompt_sha256, parameters: parameters_sha256,
                             urls: media_urls}, run_id) as last
    from results group by item_id
)
select items.*, case
    when current.item_id is null then 'new'
    when last.status = 'skipped' and problem is null then 'new'
    when problem is not null or last.status = 'skipped' then 'done'
    when last.status = 'failed' then 'failed'
    when last.urls is distinct from redacted_urls then 'media_changed'
    when last.model <> $model then 'stale_model'
    when last.prompt <> $prompt then 'stale_prompt'
    when last.parameters <> $parameters then 'stale_parameters'
    else 'done' end as reason
from items left join current using (item_id)
"""
_NO_RESULTS: Final = """
select null::varchar as item_id, null::varchar as status, null::varchar as model, null::varchar as prompt_sha256,
       null::varchar as parameters_sha256, null::varchar[] as media_urls, null::varchar as run_id where false
"""
_COPY: Final = """
copy (select row_number, item_id, media_kinds, media_urls, variables, carried, problem_code, problem, reason,
             cast((row_number() over (order by row_number) - 1) // $shard_rows as integer) as shard
      from plan where list_contains($reasons, reason) order by row_number)
to '{path}' (format parquet, compression zstd, row_group_size 10000, use_tmp_file false)
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """What to plan: the reasons that count, the rows in a shard (None: by the plan's size), the job's digest."""

    reasons: tuple[Reason, ...]
    shard_rows: int | None
    config_sha256: str


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """What a run will ask, and what it knows about itself: enough to finish or to recover it without the job file.

    `counts` has every row of the manifest by its reason, `done` among them; `rows` is how many of them are asked.
    """

    facts: RunFacts
    config_sha256: str
    reasons: tuple[Reason, ...]
    counts: dict[str, int]
    rows: int
    shard_rows: int
    path: str

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
    """Compare *items* with the current results in *store*, and write the plan of those to ask.

    Raises:
        ConfigError: the manifest cannot be read (from *items*).
    """
    path = folder(store) / f"{facts.run_id}.parquet"
    with duckdb.connect(config=_OUT_OF_CORE | {"temp_directory": str(store.work / "duckdb")}) as db:
        counts = _compare(db, items, facts, store)
        rows = sum(counts.get(reason, 0) for reason in order.reasons)
        shard_rows = order.shard_rows or default_shard_rows(rows)
        _write(db, path, order.reasons, shard_rows)
    plan = Plan(
        facts=facts,
        config_sha256=order.config_sha256,
        reasons=order.reasons,
        counts=counts,
        rows=rows,
        shard_rows=shard_rows,
        path=str(path),
    )
    store.put_bytes(_name(facts.run_id), msgspec.json.encode(plan))
    return plan


def unfinished(store: Store) -> list[Plan]:
    """The plans of runs that were never closed, oldest first."""
    return [msgspec.json.decode(path.read_bytes(), type=Plan) for path in sorted(folder(store).glob("*.json"))]


def remove(plan: Plan, store: Store) -> None:
    """Forget *plan*; its run is closed."""
    store.path(_name(plan.run_id)).unlink(missing_ok=True)
    Path(plan.path).unlink(missing_ok=True)


def folder(store: Store) -> Path:
    """The folder of plans, made when missing."""
    path = store.work / "plans"
    path.mkdir(exist_ok=True, mode=0o700)
    return path


def read(shard: Shard) -> Iterator[tuple[Item, Reason]]:
    """The items of *shard* in manifest order, each with its reason; streamed."""
    rows = ds.dataset(shard.plan_path, format="parquet").to_batches(
        filter=ds.field("shard") == shard.number, batch_size=_BATCH_ROWS, batch_readahead=1, fragment_readahead=1
    )
    for batch in rows:
        for row in batch.to_pylist():
            yield _item(row), row["reason"]


def _name(run_id: str) -> str:
    return f"_work/plans/{run_id}.json"


def _compare(db: duckdb.DuckDBPyConnection, items: Iterable[Item], facts: RunFacts, store: Store) -> dict[str, int]:
    """Fill the table `plan` with every row of the manifest; give the number of rows by reason."""
    _load(db, items)
    parts = [str(store.path(name)) for name in dataset.parts(store)]
    results = db.read_parquet(parts, union_by_name=True, hive_partitioning=False) if parts else db.sql(_NO_RESULTS)
    db.register("results", results)
    asked = {"model": facts.model, "prompt": facts.prompt_sha256, "parameters": facts.parameters_sha256}
    db.execute(_PLAN, asked)
    return dict(db.execute("select reason, count(*) from plan group by reason").fetchall())


def _load(db: duckdb.DuckDBPyConnection, items: Iterable[Item]) -> None:
    """Stream *items* into the table `manifest`; an error of theirs comes out as itself, not as DuckDB's."""
    met: list[MediascribeError] = []

    def watched() -> Iterator[Item]:
        try:
            yield from items
        except MediascribeError as error:
            met.append(error)
            raise

    db.register("batches", pa.RecordBatchReader.from_batches(_ITEMS, _batches(watched())))
    try:
        db.execute("create table manifest as select * from batches")
    except duckdb.Error:
        if met:
            raise met[0] from None
        raise


def default_shard_rows(rows: int) -> int:
    """10,000, and more for a long plan, so that Prefect sees a few hundred shards at most."""
    return min(max(_SHARD_ROWS, -(-rows // _SHARDS_AT_MOST)), _LARGEST_SHARD)


def _write(db: duckdb.DuckDBPyConnection, path: Path, reasons: Collection[str], shard_rows: int) -> None:
    """Copy the rows to ask into the plan file at *path*."""
    path.touch(mode=0o600)
    target = str(path).replace("'", "''")
    db.execute(_COPY.format(path=target), {"reasons": list(reasons), "shard_rows": shard_rows})


def _batches(items: Iterable[Item]) -> Iterator[pa.RecordBatch]:
    iterator = iter(items)
    while rows := [_row(item) for item in islice(iterator, _BATCH_ROWS)]:
        yield pa.RecordBatch.from_pylist(rows, schema=_ITEMS)


def _row(item: Item) -> dict[str, Any]:
    return {
        "row_number": item.row_number,
        "item_id": item.item_id,
        "media_kinds": [media.kind for media in item.media],
        "media_urls": [media.url for media in item.media],
        "redacted_urls": [redact_url(media.url) for media in item.media],
        "variables": msgspec.json.encode(item.variables).decode(),
        "carried": msgspec.json.encode(item.carried).decode(),
        "problem_code": item.problem.code if item.problem else None,
        "problem": item.problem.message if item.problem else None,
    }


def _item(row: Mapping[str, Any]) -> Item:
    problem = None
    if row["problem"] is not None:
        problem = Failure(error_class="row", code=row["problem_code"], message=row["problem"])
    return Item(
        item_id=row["item_id"],
        row_number=row["row_number"],
        media=tuple(Media(kind=kind, url=url) for kind, url in zip(row["media_kinds"], row["media_urls"], strict=True)),
        variables=msgspec.json.decode(row["variables"]),
        carried=msgspec.json.decode(row["carried"]),
        problem=problem,
    )
