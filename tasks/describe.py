"""One shard, as Prefect sees it."""

from __future__ import annotations

from prefect import task
from prefect.cache_policies import NO_CACHE

from mediascribe.describe import Describer, ShardReport
from mediascribe.domain import Shard


@task(task_run_name="shard {shard.number}: {shard.rows} rows", cache_policy=NO_CACHE, retries=0)
async def describe_shard(describer: Describer, shard: Shard) -> ShardReport:
    """Ask about every item of *shard*, and publish its part."""
    return await describer.describe(shard)
