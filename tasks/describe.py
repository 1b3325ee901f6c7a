"""One shard, as Prefect sees it."""

from __future__ import annotations

from prefect import task
from prefect.cache_policies import NO_CACHE

from mediascribe.describe import Describer
from mediascribe.domain import Shard
from mediascribe.fleet.lead import Fleet
from mediascribe.landing import ShardReport


@task(name="shard", task_run_name="{job}: shard {shard.number}, {shard.rows:,} rows", cache_policy=NO_CACHE, retries=0)
async def describe_shard(describer: Describer | Fleet, shard: Shard, job: str) -> ShardReport:
    """Ask about every item of *shard* of the *job*, and publish its part."""
    del job  # the name of the task run has it
    return await describer.describe(shard)
