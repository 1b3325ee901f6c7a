"""Trial: some rows really asked, under the job's limits and budget, whose answers go into no dataset.

Rules of this file:

- A trial holds the output's lease, as a run does: what is spent beside each other could pass a cap.
- Plan, journal and answers lie in a folder of their own, `_work/trials/<id>`, as a dataset of the trial alone, and go
  when it ends.
- What a trial spent counts (`trial_spending`), even if it is killed.
- All sides of a trial share one quota and one budget.
"""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from mediascribe import columns, models, plan, recovery, run, store, takedown, trial_spending
from mediascribe.attempts import Reach
from mediascribe.describe import Describer
from mediascribe.errors import ConfigError
from mediascribe.fleet.common import joined
from mediascribe.job_sections import Caps
from mediascribe.landing import Landing
from mediascribe.plan import Order
from mediascribe.session import connected, session
from mediascribe.store import LocalStore, shipping
from mediascribe.weights import Weights

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Sequence

    from mediascribe.attempts import Watch
    from mediascribe.budget import Budget
    from mediascribe.dataset import RunFacts
    from mediascribe.domain import Item, Record
    from mediascribe.inputs import Inputs
    from mediascribe.landing import ShardReport
    from mediascribe.lanes import Lanes
    from mediascribe.plan import Plan
    from mediascribe.run import RunFile
    from mediascribe.sampling import Draw
    from mediascribe.session import Session
    from mediascribe.store import Store


@dataclass(frozen=True, slots=True, kw_only=True)
class Side:
    """One way to ask the rows: a job, or a variant of it, and what it is called."""

    name: str
    inputs: Inputs


@dataclass(frozen=True, slots=True, kw_only=True)
class Ears:
    """Who hears of every record, and of what a start waits for."""

    announce: Callable[[Record], None] = lambda _: None
    tell: Callable[[str], None] = lambda _: None


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """What came of one side: its `rows` in manifest order, each with the columns of the dataset; how it ended."""

    name: str
    facts: RunFacts
    rows: list[dict[str, Any]]
    run: RunFile


@dataclass(frozen=True, slots=True, kw_only=True)
class _Table:
    name: str
    made: Plan
    describer: Describer
    landing: Landing
    records: list[Record]


class Bench:
    """Sides whose rows are chosen and whose gateway is connected. Belongs to one event loop."""

    def __init__(self, tables: Sequence[_Table]) -> None:
        """One table for each side; nothing is sent yet."""
        self._tables = tables

    @property
    def rows(self) -> int:
        """How many rows are asked, by all sides together."""
        return sum(table.made.rows for table in self._tables)

    def drain(self, why: str) -> None:
        """Send nothing more, and let what is in flight land."""
        for table in self._tables:
            table.describer.drain(why)

    def watch(self) -> Watch:
        """What the rows wait for, and how much is spent, now."""
        return self._tables[0].describer.watch()

    async def ask(self) -> list[Trial]:
        """Ask every row of every side, all at a time as far as the limits allow.

        Where the trial has to stop, what was answered is there.

        Raises:
            DiskError: an answer could not be written down.
        """
        try:
            async with asyncio.TaskGroup() as group:
                running = [
                    [group.create_task(table.describer.describe(shard)) for shard in table.made.shards]
                    for table in self._tables
                ]
        except BaseExceptionGroup as errors:
            raise _first(errors) from None
        told = [[task.result() for task in tasks] for tasks in running]
        return [_closed(table, reports) for table, reports in zip(self._tables, told, strict=True)]


@asynccontextmanager
async def bench(
    sides: Sequence[Side], items: Sequence[Item], *, holder: str, ears: Ears | None = None
) -> AsyncIterator[Bench]:
    """The *sides*, ready to ask about *items*; all have the output, the limits and the budget of the first one.

    Raises:
        OutputInUse: another run holds the output, to which *holder* would give its name.
        ConfigError: what an interrupted run spent is not counted yet, and has to be.
        StoreError: the output's bucket cannot be reached.
    """
    first, ears = sides[0].inputs, ears or Ears()
    async with AsyncExitStack() as stack:
        holding = store.lease(first.store, holder=holder, tell=ears.tell)
        held = await asyncio.to_thread(stack.enter_context, holding)
        for line in await asyncio.to_thread(shipping.fetch, first.store):
            ears.tell(line)
        trial_spending.settle(first.store, first.prices)
        _see_that_all_is_counted(first)
        stack.callback(trial_spending.settle, first.store, first.prices)
        opened = [await stack.enter_async_context(connected(side.inputs)) for side in sides]
        await stack.enter_async_context(joined(first.job, opened[0].lanes))
        asked = _Asked(
            items=items,
            place=_place(first.store),
            lanes=opened[0].lanes,
            budget=first.budget(),
            lost=lambda: "the lease of the output could not be renewed" if held.lost else None,
        )
        yield Bench([_table(side.name, one, asked, ears) for side, one in zip(sides, opened, strict=True)])


@asynccontextmanager
async def kept(job_path: str, wanted: Draw, ears: Ears | None = None) -> AsyncIterator[Bench]:
    """A plain run of a sample of the rows that have no result yet: its answers are results of the dataset.

    Raises:
        ConfigError: see `session`; or there is no such row.
    """
    ears = ears or Ears()
    async with session(job_path, ears.tell) as opened:
        inputs, landing = opened.inputs, opened.landing()
        trial_spending.settle(inputs.store, inputs.prices)
        for unfinished in plan.unfinished(inputs.store):
            reports = recovery.recover(unfinished, landing, hold=inputs.job.retry.in_doubt == "hold")
            run.close(unfinished, reports, landing, interrupted=True)
        order = replace(_order(inputs), sample=wanted.rows, seed=wanted.seed)
        made = plan.make(inputs.items(), inputs.facts(), order, inputs.store)
        if not made.rows:
            plan.remove(made, inputs.store)
            raise ConfigError(f"{job_path}: every row has its result: leave out --keep to ask some all the same")
        records: list[Record] = []
        describer = opened.describer(made, _both(records.append, ears.announce))
        async with joined(inputs.job, opened.lanes):
            yield Bench([_Table(name="job", made=made, describer=describer, landing=landing, records=records)])


def _see_that_all_is_counted(inputs: Inputs) -> None:
    """Refuse to spend beside a run that was interrupted, where a cap has to hold for both."""
    caps, limits = inputs.job.budget, inputs.job.limits
    is_capped = limits.requests_per_day or caps.day != Caps() or caps.month != Caps()
    unfinished = plan.unfinished(inputs.store)
    if unfinished and is_capped:
        raise ConfigError(
            f"{inputs.job_path}: run {unfinished[0].run_id} was interrupted, and what it spent is not counted yet, as"
            f" the caps of the day and the month need; nothing was sent: first go on with it: mediascribe run"
            f" {inputs.job_path}"
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Asked:
    """What all sides of a trial share."""

    items: Sequence[Item]
    place: LocalStore
    lanes: Lanes
    budget: Budget
    lost: Callable[[], str | None]


def _place(output: Store) -> LocalStore:
    place = LocalStore(
        root=output.work / trial_spending.FOLDER / run.new_id(datetime.now(UTC), behind=run.newest_id(output))
    )
    place.prepare()
    return place


def _table(name: str, opened: Session, asked: _Asked, ears: Ears) -> _Table:
    """One side's rows, planned in the trial's own folder; those that its model cannot take are skipped."""
    inputs, facts = opened.inputs, opened.inputs.facts()
    items = [
        replace(item, problem=item.problem or models.refusal(inputs.model, inputs.dialect, item, inputs.job.media))
        for item in asked.items
    ]
    made = plan.make(items, facts, _order(inputs), asked.place)
    landing = Landing(store=asked.place, prices=inputs.prices)
    reach = Reach(
        client=opened.client,
        lanes=asked.lanes,
        budget=asked.budget,
        weights=Weights(inputs.models, inputs.prices, inputs.job.budget.media_tokens),
        lost=asked.lost,
        media=opened.media,
    )
    records: list[Record] = []
    describer = Describer(opened.question(facts), reach, landing, _both(records.append, ears.announce))
    return _Table(name=name, made=made, describer=describer, landing=landing, records=records)


def _order(inputs: Inputs) -> Order:
    return Order(
        reasons=("new",),
        shard_rows=None,
        config_sha256=inputs.job.config_sha256,
        forgotten=takedown.forgotten(inputs.store),
    )


def _both(first: Callable[[Record], None], second: Callable[[Record], None]) -> Callable[[Record], None]:
    def announce(record: Record) -> None:
        first(record)
        second(record)

    return announce


def _closed(table: _Table, reports: list[ShardReport]) -> Trial:
    """How one side ended; its plan and journal go."""
    closed = run.close(table.made, reports, table.landing)
    facts, shards = table.made.facts, table.made.shards
    records = sorted(table.records, key=lambda record: record.item.row_number)
    rows = columns.to_batch(facts, shards[0], records).to_pylist() if shards else []
    return Trial(name=table.name, facts=facts, rows=rows, run=closed)


def _first(errors: BaseExceptionGroup[BaseException]) -> BaseException:
    error: BaseException = errors
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error
