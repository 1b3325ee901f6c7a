"""Order: what to plan; and the example rows that say why."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime  # noqa: TC003 - a value's own field
from pathlib import Path  # noqa: TC003 - likewise

import msgspec

from mediascribe.domain import Reason  # noqa: TC001 - likewise


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """What to plan: the reasons that count, the rows in a shard (None: by the plan's size), the job's digest.

    The rest narrows down what is asked, all of it together; what it leaves out stays in the plan's counts.

    Attributes:
        where: a SQL condition over columns of the manifest and of the row's current result.
        since: rows whose current result was completed at this time or later.
        until: ... before this time.
        ids: rows with these ids; a file has one id a line.
        error_classes: of the failed rows, those of these classes.
        sample: so many rows at most, drawn at random by `seed`, of each kind of media its share, one at least.
        limit: so many rows at most, the first ones.
        forgotten: SHA-256 (hex) of ids that are never asked again; counted as `forgotten`.
        same_once: of rows that ask the same about the same media, one is asked.
        examples: so many rows of each reason are kept with their cause.
    """

    reasons: tuple[Reason, ...]
    shard_rows: int | None
    config_sha256: str
    where: str | None = None
    since: datetime | None = None
    until: datetime | None = None
    ids: frozenset[str] | Path | None = None
    error_classes: frozenset[str] | None = None
    sample: int | None = None
    seed: int = 0
    limit: int | None = None
    forgotten: frozenset[str] = frozenset()
    same_once: bool = False
    examples: int = 0


class Example(msgspec.Struct, frozen=True, kw_only=True):
    """A row with what makes it due: what was `old` and is `new` now; None where there was, or is, nothing."""

    row_number: int
    item_id: str
    reason: str
    old: str | None
    new: str | None
