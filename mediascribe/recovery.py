"""Recovery: what a killed run had received becomes results; nothing is asked."""

from __future__ import annotations

import shutil
from dataclasses import replace
from typing import TYPE_CHECKING

import msgspec

from mediascribe import journal, pieced, plan
from mediascribe.case import Case
from mediascribe.desk import Cases, Desk
from mediascribe.domain import Request
from mediascribe.fleet.shelf import Shelf
from mediascribe.landing import REPORT, ShardReport, publish
from mediascribe.store import shipping

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mediascribe.domain import Record, Shard
    from mediascribe.landing import Landing
    from mediascribe.plan import Due, Plan
    from mediascribe.store import Store


def recover(unfinished: Plan, landing: Landing, *, hold: bool = False) -> list[ShardReport]:
    """Publish the answers that a run received before it was killed; asks nothing.

    Rows without a result are left for the next plan; with *hold*, those in doubt become failures, so that no run asks
    them again by itself.
    """
    folders = ((shard, journal.place(landing.store.work, shard)) for shard in unfinished.shards)
    return [_report(unfinished, shard, landing, hold=hold) for shard, folder in folders if folder.is_dir()]


def _report(unfinished: Plan, shard: Shard, landing: Landing, *, hold: bool) -> ShardReport:
    """How *shard* ended, as it said itself, or else as its journal tells it."""
    folder = journal.place(landing.store.work, shard)
    if (folder / REPORT).is_file():
        return msgspec.json.decode((folder / REPORT).read_bytes(), type=ShardReport)
    found = journal.replay(folder)
    cases, desk = Cases(), Desk(found, _unheard, unfinished.facts, shard)
    for due, case in _cases(unfinished, shard, found, landing):
        if case is None:
            desk.follow(due)
            continue
        if hold:
            case.hold()
        cases.add(case)
        if record := case.record() if case.outcome else _pieced(case, found, landing, cases):
            desk.lead(due)
            desk.land(record)
    results = desk.results()
    part = publish(landing.store, unfinished.facts, shard, results)
    return ShardReport(
        name=shard.name, rows=len(results), part=part, in_doubt=cases.in_doubt, torn=found.torn, spent=cases.spent
    )


def forget(plan_: Plan, store: Store) -> None:
    """Remove the journals that a closed run left behind, those in a bucket as well."""
    shipping.drop(store, plan_.run_id)
    Shelf(store=store, run_id=plan_.run_id).clear()
    shutil.rmtree(store.work / "journal" / plan_.run_id, ignore_errors=True)


def _pieced(whole: Case, found: journal.Replay, landing: Landing, cases: Cases) -> Record | None:
    """The record of a row that was asked in pieces, where all of them have an answer; all count as spent."""
    pieces = pieced.pieces_of(found.rows[whole.item.row_number])
    if pieces is None:
        return None
    places = range(len(pieces) + 1)
    numbers = {place: pieced.number(whole.item.row_number, place) for place in places}
    asked = {}
    for place, row in numbers.items():
        if entries := found.rows.get(row):
            case = asked[place] = Case(replace(whole.item, row_number=row), whole.reason, whole.request, landing.prices)
            case.replay(entries)
            case.close()
            cases.add(case)
    if not all(place in asked and asked[place].outcome for place in places if place):
        return None
    joining = asked.get(0)
    if joining and joining.outcome is None:
        return None
    return pieced.record(whole, pieces, [asked[place] for place in places if place], joining)


def _unheard(_: Record) -> None:
    """Nobody waits for the records of a run that is over."""


def _cases(
    unfinished: Plan, shard: Shard, found: journal.Replay, landing: Landing
) -> Iterator[tuple[Due, Case | None]]:
    """The rows of *shard*; those that were begun as far as the journal knows them."""
    facts = unfinished.facts
    for due in plan.read(shard):
        item = due.item
        if entries := found.rows.get(item.row_number):
            # Decoding needs model and media only; the key is in the journal.
            request = Request(
                model=facts.model, dialect=facts.dialect, prompt="", media=item.media, identity=item.media
            )
            case = Case(item, due.reason, request, landing.prices)
            case.replay(entries)
            case.close()
            yield due, case
        elif due.leader is not None:
            yield due, None
