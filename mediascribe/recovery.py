"""Recovery: what a killed run had received becomes results; nothing is asked."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

from mediascribe import dataset, journal, plan
from mediascribe.case import Case
from mediascribe.describe import ShardReport, journal_folder, publish
from mediascribe.domain import Request
from mediascribe.journal import Sent

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mediascribe.describe import Landing
    from mediascribe.domain import Shard
    from mediascribe.plan import Plan
    from mediascribe.store import Store


def recover(unfinished: Plan, landing: Landing) -> list[ShardReport]:
    """Publish the answers that a run received before it was killed; asks nothing.

    Rows without a result are left for the next plan. Shards that have their part are left alone.
    """
    reports = []
    for shard in unfinished.shards:
        folder = journal_folder(landing.store, shard)
        if dataset.has_part(landing.store, shard) or not folder.is_dir():
            continue
        found = journal.replay(folder)
        cases = list(_cases(unfinished, shard, found))
        records = [case.record(landing.prices) for case in cases if case.outcome]
        part = publish(landing.store, unfinished.facts, shard, records)
        in_doubt = sum(case.in_doubt for case in cases)
        reports.append(ShardReport(name=shard.name, rows=len(records), part=part, in_doubt=in_doubt, torn=found.torn))
    return reports


def forget(plan_: Plan, store: Store) -> None:
    """Remove the journals that a closed run left behind."""
    shutil.rmtree(store.work / "journal" / plan_.run_id, ignore_errors=True)


def _cases(unfinished: Plan, shard: Shard, found: journal.Replay) -> Iterator[Case]:
    """The rows of *shard* that were begun, as far as the journal knows them."""
    facts = unfinished.facts
    for item, reason in plan.read(shard):
        entries = found.rows.get(item.row_number)
        if not entries:
            continue
        # The prompt may have changed since: the key is the journal's, and decoding needs model and media only.
        request = Request(model=facts.model, dialect=facts.dialect, prompt="", media=item.media, identity=item.media)
        key = next((entry.key for entry in entries if isinstance(entry, Sent)), None)
        case = Case(item, reason, request, key=key)
        case.replay(entries)
        case.close()
        yield case
