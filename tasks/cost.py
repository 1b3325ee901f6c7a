"""Cost questions as steps of a flow."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd
from prefect import task
from prefect.cache_policies import NO_CACHE

from mediascribe import cost


@task(name="cost table", cache_policy=NO_CACHE, retries=0)
def cost_table(outputs: Sequence[str], by: Sequence[str]) -> pd.DataFrame:
    """What the rows of *outputs* cost, grouped *by* columns."""
    return cost.cost_table(outputs, by=by)
