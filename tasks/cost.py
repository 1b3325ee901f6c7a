"""Cost questions as steps of a flow."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import pandas as pd
from prefect import task
from prefect.cache_policies import NO_CACHE
from pydantic import BaseModel, ConfigDict, Field

from mediascribe import cost
from mediascribe.cost import Rows
from mediascribe.report import page


class CostQuestion(BaseModel):
    """What the flow `cost` is asked; Prefect makes a form of it."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    outputs: list[str] = Field(
        min_length=1, title="Outputs", description="outputs of jobs, such as data/demo or s3://bucket/captions"
    )
    tables: list[list[str]] = Field(
        default=[["day", "model"], ["model", "media_kind"]],
        title="Tables",
        description="one table over all outputs for each list of columns to group by: day, model, media_kind, job,"
        " prompt_id, status, or any carried column",
    )
    month: str | None = Field(
        default=None, title="Month", description="2026-10, or this, or last (UTC); unset: all results"
    )
    report: bool = Field(
        default=True, title="Report", description="write a page into the folder of reports of each output"
    )
    most_rows: int = Field(
        default=page.MOST_ROWS, ge=1, title="Rows", description="the newest rows that the page's contact sheet has"
    )

    def scope(self, now: datetime) -> page.Scope:
        """Which results are meant, as of *now*.

        Raises:
            ConfigError: the month is none.
        """
        month = page.month_of(self.month, now.date()) if self.month else None
        return page.Scope(month=month, most_rows=self.most_rows)


@task(name="cost table", task_run_name="cost by {by}", cache_policy=NO_CACHE, retries=0)
def cost_table(outputs: Sequence[str], by: Sequence[str], rows: Rows) -> pd.DataFrame:
    """What *rows* of *outputs* cost, grouped *by* columns."""
    return cost.cost_table(outputs, by=by, rows=rows)


# Once more, since a run that begins in the same instant clears what is half written.
@task(name="report", task_run_name="report {output}", cache_policy=NO_CACHE, retries=1)
def write_report(output: str, scope: page.Scope, now: datetime) -> str:
    """Write the page about *scope* of *output* into its folder of reports, named by month or day; gives where."""
    name = f"{scope.month:%Y-%m}" if scope.month else f"{now:%Y-%m-%d}"
    return page.save_to_output(page.page(output, scope, now), output, name)
