"""Errand: what a process must know of a run to ask about its shards; it travels with every shard.

No secret of anybody's is in it, but what stands in the job file.
"""

from __future__ import annotations

import io
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import urlsplit

from mediascribe import __version__, answer, prompt
from mediascribe.domain import Shard
from mediascribe.errors import StoreError
from mediascribe.fleet.shelf import PLACE, Shelf
from mediascribe.inputs import Inputs, key_of
from mediascribe.job_sections import SANDBOX_URL
from mediascribe.models import Model, ModelTable
from mediascribe.store import LocalStore, store_at

if TYPE_CHECKING:
    from mediascribe.dataset import RunFacts
    from mediascribe.job import Job
    from mediascribe.manifest import Manifest
    from mediascribe.plan import Plan
    from mediascribe.pricing import PriceBook
    from mediascribe.session import Session


@dataclass(frozen=True, slots=True, kw_only=True)
class Errand:
    """What a process must know of a run to ask about its shards; no secret of anybody's is in it.

    `job` has its prompt and schema whole, and the gateway's address; `key` is that of the embedded sandbox, None
    otherwise: then the environment has it. `plan_path` is where the rows are; None: in the bucket.
    """

    version: str
    job: Job
    facts: RunFacts
    output: str
    prices: PriceBook
    models: dict[str, Model]
    stems: dict[str, Model]
    schema: dict[str, Any] | None
    media_base_url: str | None
    rows: int
    shard_rows: int
    plan_path: str | None
    key: str | None
    ttl_s: float

    @property
    def shelf(self) -> Shelf:
        """The small shared files of the run."""
        return Shelf(store=store_at(self.output), run_id=self.facts.run_id)

    def shard(self, number: int) -> Shard:
        """One slice; its rows have yet to be brought here where they are in the bucket."""
        rows = min(self.shard_rows, self.rows - number * self.shard_rows)
        return Shard(run_id=self.facts.run_id, number=number, rows=rows, plan_path=self.plan_path or "")

    def inputs(self) -> Inputs:
        """What `connected` wants to know; there is no manifest, since the rows come with the plan.

        Raises:
            ConfigError: this process has no key.
        """
        job, table = self.job, ModelTable(models=self.models, stems=self.stems)
        return Inputs(
            job_path="the job",
            job=job,
            prompt=prompt.load(job.prompt),
            manifest=cast("Manifest", None),
            store=self.shelf.store,
            models=table,
            model=table.get(job.model),
            dialect=self.facts.dialect,
            schema=answer.load_schema(self.schema, None),
            prices=self.prices,
            key=self.key or key_of(job.gateway, "the job"),
        )


def errand_of(opened: Session, made: Plan, ttl_s: float) -> Errand:
    """What other processes must know of the run of *made*; one that is silent for *ttl_s* is dead.

    Raises:
        ConfigError: they could not reach what the job names.
    """
    inputs = opened.inputs
    store = inputs.store
    local = isinstance(store, LocalStore)
    return Errand(
        version=__version__,
        job=_whole(opened),
        facts=made.facts,
        output=str(store.root.resolve()) if local else store.address,
        prices=inputs.prices,
        models=dict(inputs.models.models),
        stems=dict(inputs.models.stems),
        schema=dict(inputs.schema.schema) if inputs.schema else None,
        media_base_url=opened.media_base_url,
        rows=made.rows,
        shard_rows=made.shard_rows,
        plan_path=str(Path(made.path).resolve()) if local else None,
        key=opened.sandbox_key,
        ttl_s=ttl_s,
    )


def ship_rows(shelf: Shelf, shard: Shard) -> None:
    """Put the rows of *shard* where any process finds them: its slice of the plan, in the bucket."""
    import pyarrow.dataset as ds  # noqa: PLC0415 - for those who write to a bucket
    import pyarrow.parquet as pq  # noqa: PLC0415 - likewise

    rows = ds.dataset(shard.plan_path, format="parquet").to_table(filter=ds.field("shard") == shard.number)
    held = io.BytesIO()
    pq.write_table(rows, held, compression="zstd")
    shelf.create(_rows_name(shard.number), held.getvalue())


def fetched_rows(shelf: Shelf, number: int) -> str:
    """The file with the rows of a shard, brought here; private, since its URLs are whole."""
    content = shelf.read(_rows_name(number))
    if content is None:
        raise StoreError(f"run {shelf.run_id} has no rows of shard {number} in {shelf.store.address}: it was ended")
    path = shelf.store.work / PLACE / shelf.run_id / _rows_name(number)
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    path.touch(mode=0o600)
    path.write_bytes(content)
    return str(path)


def _rows_name(number: int) -> str:
    return f"rows/{number:05d}/rows.parquet"


def _whole(opened: Session) -> Job:
    """The job with what its files hold, and with the addresses that the sandbox has."""
    inputs = opened.inputs
    job = inputs.job
    asked = job.prompt.model_copy(update={"text": inputs.prompt.template, "file": None})
    gateway = job.gateway.model_copy(update={"base_url": opened.client.base_url, "dialect": inputs.dialect})
    changes: dict[str, Any] = {"prompt": asked, "gateway": gateway}
    if job.media.base_url == SANDBOX_URL and opened.media_base_url:
        there = urlsplit(opened.media_base_url)
        allow, ports = [*job.media.allow, there.hostname], [*job.media.ports, there.port]
        changes["media"] = job.media.model_copy(
            update={"base_url": opened.media_base_url, "allow": allow, "ports": ports}
        )
    return job.model_copy(update=changes)
