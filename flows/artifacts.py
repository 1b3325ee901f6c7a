"""What Prefect's server shows of a run: its progress, its standing, its shards, and in the end its summary.

A board holds the pages; whoever has something new puts it there, which costs nothing, and a task of its own brings what
is new to the server now and then. A server that is slow or gone is told later, or never: the run does not wait for it.
"""

from __future__ import annotations

import asyncio
import json
import re
import shlex
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from prefect.client.orchestration import get_client
from prefect.client.schemas.actions import ArtifactCreate, ArtifactUpdate
from prefect.exceptions import ObjectNotFound

from flows.hooks import UNREACHED
from mediascribe.report.standing import cell

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from uuid import UUID

    from prefect.client.orchestration import PrefectClient

    from mediascribe.domain import Shard
    from mediascribe.landing import ShardReport
    from mediascribe.report.notes import Ending
    from mediascribe.run import Outcome, RunFile

FIRST_AFTER_S: Final = 2.0
EVERY_S: Final = 5.0
# In a long run less often: its server keeps an event for each of them.
_SHARE_OF_TIME: Final = 60
_RAREST_S: Final = 60.0
_TIMEOUT_S: Final = 4.0
_LAST_TIMEOUT_S: Final = 3.0
_CAUSES_SHOWN: Final = 10
_EXAMPLE_LENGTH: Final = 300


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """One artifact: `type` is Prefect's (`progress`, `markdown`, `table`), `content` what such a one holds."""

    name: str
    type: str
    content: float | str
    description: str | None = None


class Board:
    """The pages of one flow run. Belongs to one event loop."""

    def __init__(self, job: str, flow_run_id: UUID | None, *, clock: Callable[[], float] = time.monotonic) -> None:
        """Start with no page; without a flow run nothing is ever posted."""
        self._prefix = re.sub(r"[^a-z0-9]+", "-", job.lower()).strip("-")
        self._flow_run_id, self._clock = flow_run_id, clock
        self._pages: dict[str, Page] = {}
        self._posted: dict[str, Page] = {}
        self._ids: dict[str, UUID] = {}
        self.calls = 0
        self.missed: str | None = None

    def put(self, page: Page) -> None:
        """Have *page* posted in place of an earlier one of its name."""
        self._pages[page.name] = page

    async def keep_posted(self, refresh: Callable[[], None]) -> None:
        """Post what is new, now and then, until cancelled; *refresh* is called before, to put it."""
        began_at, wait_s = self._clock(), FIRST_AFTER_S
        while True:
            await asyncio.sleep(wait_s)
            refresh()
            if await self.post(_TIMEOUT_S):
                wait_s = min(_RAREST_S, max(EVERY_S, (self._clock() - began_at) / _SHARE_OF_TIME))
            else:
                wait_s = min(_RAREST_S, 2 * max(EVERY_S, wait_s))

    async def post(self, timeout_s: float = _LAST_TIMEOUT_S) -> bool:
        """Bring to the server what is new; whether that went well. Takes *timeout_s* at most."""
        new = [page for name, page in self._pages.items() if self._posted.get(name) != page]
        if self._flow_run_id is None or not new:
            return True
        missed: str | None = None
        try:
            async with asyncio.timeout(timeout_s), get_client() as client, asyncio.TaskGroup() as group:
                for page in new:
                    group.create_task(self._put(client, page))
        except* UNREACHED as errors:
            missed = self.missed or f"since {datetime.now(UTC):%H:%M:%S} UTC ({_first(errors)})"
        self.missed = missed
        return missed is None

    async def _put(self, client: PrefectClient, page: Page) -> None:
        self.calls += 1
        try:
            if page.name in self._ids:
                changes = ArtifactUpdate(data=page.content, description=page.description)
                await client.update_artifact(self._ids[page.name], changes)
            else:
                made = await client.create_artifact(
                    ArtifactCreate(
                        key=f"{self._prefix}-{page.name}",
                        type=page.type,
                        description=page.description,
                        data=page.content,
                        flow_run_id=self._flow_run_id,
                    )
                )
                self._ids[page.name] = made.id
        except ObjectNotFound:  # somebody has removed it, or the server has lost its database
            self._ids.pop(page.name, None)
            raise
        self._posted[page.name] = page


@dataclass(frozen=True, slots=True, kw_only=True)
class Landed:
    """A shard, and how it ended after so many seconds; None while it is at work or waits."""

    shard: Shard
    report: ShardReport | None = None
    seconds: float | None = None


def shard_page(shards: Sequence[Landed]) -> Page:
    """The table of *shards*."""
    rows: list[dict[str, Any]] = [
        {
            "shard": one.shard.number,
            "planned": one.shard.rows,
            "written": one.report.rows if one.report else None,
            "seconds": None if one.seconds is None else round(one.seconds, 1),
            "in doubt": one.report.in_doubt if one.report else None,
            "part": one.report.part if one.report else None,
            "stopped": one.report.stopped if one.report else None,
        }
        for one in shards
    ]
    landed = sum(one.report is not None for one in shards)
    return Page(
        name="shards",
        type="table",
        content=json.dumps(rows),
        description=f"{landed:,} of {len(shards):,} shards landed",
    )


def summary_page(outcome: Outcome, ended: Ending, resume: str) -> Page:
    """The last word on a run: what came of the rows, why some have no answer, where all of it is, and what to do."""
    lines = [f"**{ended.message}**", ""]
    if run := outcome.run:
        lines += [*_facts(outcome, run), *_causes(run)]
    lines += ["", f"Results: `{outcome.output}/results/v1`"]
    if outcome.run and not outcome.run.complete:
        lines.append(f"To go on, once the cause is gone: `{resume}`")
    elif outcome.run and outcome.run.wrote.by_status.get("failed"):
        lines.append(f"To ask the failed rows again: `mediascribe backfill {shlex.quote(outcome.job)} --reason failed`")
    return Page(name="summary", type="markdown", content="\n".join(lines), description=ended.name)


def _facts(outcome: Outcome, run: RunFile) -> list[str]:
    spent = sum(day.nano_usd for day in run.spent.values()) / 1e9
    seconds = max((run.finished_at - run.started_at).total_seconds(), 0.0)
    facts = {
        "run": run.run_id,
        "model": run.model,
        "rows": f"{run.wrote.rows:,} of {run.rows_planned:,}",
        "by status": ", ".join(f"{rows:,} {status}" for status, rows in run.wrote.by_status.items() if rows),
        "tokens": f"{run.wrote.tokens['prompt_tokens']:,} in, {run.wrote.tokens['completion_tokens']:,} out",
        "spent": "unknown: rows without a price" if run.wrote.unpriced_rows else f"{spent:,.6f} USD at list price",
        "in doubt": f"{run.in_doubt:,} requests" if run.in_doubt else "",
        "time": f"{seconds:,.0f} s",
        "parts": "<br>".join(f"`{part}`" for part in run.wrote.parts[:_CAUSES_SHOWN]),
        "run file": f"`{outcome.output}/runs/{run.run_id}.json`",
    }
    return ["| | |", "| --- | --- |", *(f"| {name} | {cell(text)} |" for name, text in facts.items() if text)]


def _causes(run: RunFile) -> list[str]:
    if not run.wrote.errors:
        return []
    lines = ["", "| rows | status | cause | such as |", "| ---: | --- | --- | --- |"]
    for group in run.wrote.errors[:_CAUSES_SHOWN]:
        cause = "/".join(filter(None, (group.error_class, group.error_code)))
        example = cell((group.example or "")[:_EXAMPLE_LENGTH])
        lines.append(f"| {group.rows:,} | {group.status} | {cell(cause)} | {example} |")
    if len(run.wrote.errors) > _CAUSES_SHOWN:
        lines.append(f"| | | {len(run.wrote.errors) - _CAUSES_SHOWN:,} more | in the run file |")
    return lines


def _first(errors: BaseExceptionGroup[BaseException]) -> str:
    """The name of one of *errors*."""
    error: BaseException = errors
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return type(error).__name__
