"""Certificate: whether what one run published is there, whole and once; reads its own parts, and nothing else.

`verification` asks the same of a whole dataset, which may be a thousand times as large.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from mediascribe import completeness
from mediascribe.errors import CorruptError
from mediascribe.part import UNREADABLE, open_part

if TYPE_CHECKING:
    from mediascribe.run import RunFile
    from mediascribe.store import Store

_BATCH_ROWS: Final = 8_192
_MORE: Final = "`mediascribe verify` says more"


def problems(store: Store, run: RunFile) -> list[str]:
    """What is wrong with the parts of *run*, in words; [] where every page is whole and every row stands once.

    That rows are missing since the run was stopped is no problem. A row takes 16 bytes of memory.

    Raises:
        StoreError: the store fails.
    """
    found: list[str] = []
    statuses: Counter[str] = Counter()
    rows: list[np.ndarray[Any, Any]] = []
    marks: list[np.ndarray[Any, Any]] = []
    for part_name in run.wrote.parts:
        try:
            with open_part(store, part_name) as part:
                # Every column is read, for its checksums.
                for batch in part.iter_batches(batch_size=_BATCH_ROWS):
                    columns: list[list[Any]] = [batch[name].to_pylist() for name in ("status", "item_id")]
                    statuses.update(columns[0])
                    marks.append(completeness.marks(columns[1]))
                    rows.append(batch["row_number"].to_numpy())
        except (CorruptError, KeyError, *UNREADABLE) as error:
            found.append(f"{part_name} cannot be read: {error.__cause__ or error}: restore it from a copy; {_MORE}")
    return found or _wrong_counts(run, statuses, rows, marks)


def _wrong_counts(run: RunFile, statuses: Counter[str], rows: list[Any], marks: list[Any]) -> list[str]:
    """Where the rows that were read differ from what the run says, or from what its plan had."""
    found = []
    if +Counter(run.wrote.by_status) != statuses:
        told, there = run.wrote.rows, statuses.total()
        found.append(f"the run file says {told:,} rows, of other statuses or more than the {there:,} there; {_MORE}")
    total = statuses.total()
    twice = total - min(_distinct(rows), _distinct(marks))
    if twice:
        found.append(f"{twice:,} rows repeat a row or an item of the run; {_MORE}")
    if run.stopped is None and total != run.rows_planned:
        found.append(f"{total:,} of {run.rows_planned:,} planned rows have a result; {_MORE}")
    return found


def _distinct(values: list[np.ndarray[Any, Any]]) -> int:
    return len(np.unique(np.concatenate(values))) if values else 0
