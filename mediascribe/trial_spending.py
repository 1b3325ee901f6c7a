"""Spendings: what trials spent counts against the caps of the day and the month, though no row of theirs is kept.

A trial leaves a run file without rows, of the reason `trial`. One that was killed leaves its folder, with a plan and a
journal that tell what it spent: whoever holds the output's lease next settles it.
"""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING, Final

import msgspec

from mediascribe import dataset, plan, recovery, run
from mediascribe.domain import STATUSES
from mediascribe.landing import Landing
from mediascribe.run import RunFile, Tally
from mediascribe.store import LocalStore

if TYPE_CHECKING:
    from mediascribe.pricing import PriceBook
    from mediascribe.store import Store

FOLDER: Final = "trials"
REASON: Final = "trial"
_NO_ROWS: Final = Tally(
    rows=0,
    by_status=dict.fromkeys(STATUSES, 0),
    tokens=dict.fromkeys(run.TOKEN_COLUMNS, 0),
    cost_usd=None,
    unpriced_rows=0,
    duplicates=0,
    parts=[],
    errors=[],
)


def settle(output: Store, prices: PriceBook) -> None:
    """Count what trials spent that have ended, or were killed, and remove what they left; for the lease's holder."""
    for folder in sorted((output.work / FOLDER).glob("*")):
        place = LocalStore(root=folder)
        if place.work.is_dir():
            landing = Landing(store=place, prices=prices)
            for unfinished in plan.unfinished(place):
                run.close(unfinished, recovery.recover(unfinished, landing), landing, interrupted=True)
        for name in place.list(dataset.RUNS):
            _count(output, msgspec.json.decode(place.read(name), type=RunFile))
        shutil.rmtree(folder)


def _count(output: Store, closed: RunFile) -> None:
    """Leave the run file of a trial: of what it spent, and without rows, since none went into the dataset."""
    counted = msgspec.structs.replace(closed, reasons=(REASON,), plan={}, rows_planned=0, wrote=_NO_ROWS, complete=True)
    dataset.write_run(output, closed.run_id, msgspec.to_builtins(counted))
