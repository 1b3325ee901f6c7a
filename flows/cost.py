"""What the results of one or more outputs cost: the scheduled accounts."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

from prefect import flow
from prefect.artifacts import create_markdown_artifact, create_table_artifact

from flows.form import Plain, titled
from mediascribe.cost import cost_total
from mediascribe.report.formats import cells, to_markdown, usd
from tasks.cost import CostQuestion, cost_table, write_report

if TYPE_CHECKING:
    import pandas as pd


@flow(name="cost", flow_run_name="cost of {asked.outputs}", retries=0)
def cost(asked: Annotated[CostQuestion, Plain(), titled("Question")]) -> list[str]:
    """Write cost tables as artifacts, and a report into each output; gives where the reports are.

    Args:
        asked: What is asked about the results of which outputs.
    """
    now = datetime.now(UTC)
    scope = asked.scope(now)
    for by in asked.tables:
        _publish(cost_table(asked.outputs, by, scope.rows), by, f"{', '.join(asked.outputs)}: {scope.name}")
    return [write_report(output, scope, now) for output in asked.outputs] if asked.report else []


def _publish(table: pd.DataFrame, by: list[str], about: str) -> None:
    """Put *table* among Prefect's artifacts twice: to read, and to sort."""
    key = re.sub(r"[^a-z0-9]+", "-", f"cost by {' '.join(by)}".lower()).strip("-")  # all that Prefect takes
    total = cost_total(table)
    said = f"{about}; {total['rows']:,} rows, {usd(total['cost_usd'])} USD by {', '.join(by)}"
    create_markdown_artifact(key=key, markdown=f"{said}\n\n{to_markdown(table)}\n", description=said)
    create_table_artifact(key=f"{key}-table", table=cells(table), description=said)
