"""What the results of one or more outputs cost."""

from __future__ import annotations

from prefect import flow

from mediascribe.report import tables
from tasks.cost import cost_table


@flow(name="cost", flow_run_name="cost by {by}", retries=0)
def cost(outputs: list[str], by: list[str]) -> str:
    """The cost of all rows of *outputs* grouped *by* columns, as JSON."""
    return tables.to_json(cost_table(outputs, by))
