"""Completeness: which rows of a manifest have no result, in 8 bytes of memory an item."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from mediascribe import takedown
from mediascribe.domain import Item

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

Items = Callable[[], Iterable[Item]]
Marks = np.ndarray[Any, np.dtype[np.uint64]]
_NAMED_AT_MOST: Final = 20
_NONE: Final = np.empty(0, np.uint64)


def marks(item_ids: Iterable[str]) -> Marks:
    """64 bits of the hash of each id: of 100,000,000, two are equal by chance in one dataset of some 4,000."""
    return np.fromiter(map(_mark, item_ids), np.uint64)


def missing(items: Items, known: Sequence[Marks], forgotten: Collection[str]) -> tuple[int, list[str]]:
    """The number of *items* that are not among *known*, and a line for each of the first of them.

    *items* is called twice, and gives the manifest each time. A repeated id is looked for as the plan names its row. An
    item that is *forgotten* (`takedown.forgotten`) is not missed.
    """
    there, repeated = np.unique(np.concatenate([_NONE, *known])), _repeated(items)
    seen: set[int] = set()
    words: list[str] = []
    count = 0
    for item in items():
        found, name = _mark(item.item_id), item.item_id
        if found in repeated:
            name = f"{name}#{item.row_number}" if found in seen else name
            seen.add(found)
        if _holds(there, _mark(name)) or (forgotten and takedown.mark(item.item_id) in forgotten):
            continue
        count += 1
        if count <= _NAMED_AT_MOST:
            words.append(
                f"row {item.row_number} of the manifest (`{name}`) has no result: `mediascribe run JOB` asks it"
            )
    if count > _NAMED_AT_MOST:
        words.append(f"and {count - _NAMED_AT_MOST:,} more rows of the manifest have none")
    return count, words


def _repeated(items: Items) -> frozenset[int]:
    """The marks of ids that stand in more than one row."""
    found, times = np.unique(marks(item.item_id for item in items()), return_counts=True)
    return frozenset(found[times > 1].tolist())


def _mark(item_id: str) -> int:
    return int.from_bytes(hashlib.sha256(item_id.encode("utf-8", "replace")).digest()[:8], "big")


def _holds(known: Marks, one: int) -> bool:
    at = int(np.searchsorted(known, np.uint64(one)))
    return at < len(known) and int(known[at]) == one
