"""Selection: of the rows that are due, those that an order wants."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Final

import duckdb
import pyarrow as pa

from mediascribe.domain import REASONS
from mediascribe.errors import ConfigError
from mediascribe.manifest.listing import EXTRA
from mediascribe.plan.comparison import CLASSES, refused

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from mediascribe.plan.comparison import Comparison
    from mediascribe.plan.condition import Condition
    from mediascribe.plan.order import Order

# The names that the condition may not mean have a character that nobody writes.
_WHERE: Final = """
create or replace table chosen as
select distinct "·row" as row_number
from (select row_number, item_id{manifest} from staged) as manifest
join (select row_number as "·row", key as "·key" from verdicts semi join chosen using (row_number)) as "·due"
  on manifest.row_number = "·row"
left join (
    select md5_number(item_id) as "·of"{result}
    from ranked join last on last.key = md5_number(item_id) and last.packed >> 32 = ranked.rank
) as result on "·of" = "·key"
where ({condition}
)
"""
_KINDS: Final = """
create or replace table kinds as
select row_number, md5(item_id || ':' || $seed) as lot,
       list_aggregate(list_sort(list_distinct(media_kinds)), 'string_agg', '+') as kind
from staged semi join chosen using (row_number)
"""
_SAMPLE: Final = """
create or replace table chosen as
with drawn as (select *, row_number() over (partition by kind order by lot, row_number) as nth from kinds)
select row_number from drawn join shares on drawn.kind is not distinct from shares.kind where nth <= share
"""


class Selection:
    """Narrows the rows of a comparison down to the table `chosen`."""

    def __init__(self, comparison: Comparison, order: Order, wanted: Condition | None) -> None:
        """What *order* wants of *comparison*; *wanted* is its `where`."""
        self._db, self._order, self._wanted = comparison.db, order, wanted

    def rows(self) -> int:
        """Fill `chosen`, and give the number of rows in it.

        Raises:
            ConfigError: the order cannot be followed: an unknown class, a missing file, a condition that fails.
        """
        tests = " and ".join(self._tests())
        self._db.execute(f"create table chosen as select row_number from verdicts where {tests}")  # noqa: S608 - numbers
        if self._wanted:
            self._where(self._wanted)
        if self._order.sample is not None:
            self._sample(self._order.sample)
        if self._order.limit is not None:
            first = "select row_number from chosen order by row_number limit $limit"
            self._db.execute(f"create or replace table chosen as {first}", {"limit": self._order.limit})
        return self._count("chosen")

    def _tests(self) -> Iterator[str]:
        """What is told by the verdicts alone, as SQL of numbers."""
        order = self._order
        yield f"reason in ({', '.join(str(REASONS.index(reason)) for reason in order.reasons) or 'null'})"
        if order.error_classes is not None:
            classes = ", ".join(str(_class(name)) for name in sorted(order.error_classes)) or "null"
            yield f"(reason <> {REASONS.index('failed')} or class in ({classes}))"
        if order.since is not None:
            yield f"completed_us >= {_micros(order.since)}"
        if order.until is not None:
            yield f"completed_us < {_micros(order.until)}"
        if order.ids is not None:
            self._db.register("ids", pa.table({"item_id": pa.array(_ids(order.ids), pa.string())}))
            yield "key in (select md5_number(item_id) from ids)"

    def _where(self, wanted: Condition) -> None:
        named = enumerate(wanted.manifest_columns)
        manifest = "".join(f", {EXTRA}{place} as {_quoted(name)}" for place, name in named)
        result = "".join(f", {_quoted(name)}" for name in wanted.result_columns)
        try:
            self._db.execute(_WHERE.format(manifest=manifest, result=result, condition=wanted.sql))
        except duckdb.Error as error:
            raise refused(wanted.sql, error) from None

    def _sample(self, rows: int) -> None:
        self._db.execute(_KINDS, {"seed": str(self._order.seed)})
        counts = dict(self._db.execute("select kind, count(*) from kinds group by kind order by kind").fetchall())
        shares = _shares(counts, rows)
        kinds = pa.array(list(shares), pa.string())
        self._db.register("shares", pa.table({"kind": kinds, "share": pa.array(shares.values(), pa.int64())}))
        self._db.execute(_SAMPLE)

    def _count(self, table: str) -> int:
        ((rows,),) = self._db.execute(f"select count(*) from {table}").fetchall()  # noqa: S608 - a name of ours
        return int(rows)


def _quoted(name: str) -> str:
    """*name* as SQL has it."""
    return '"' + name.replace('"', '""') + '"'


def _shares(counts: Mapping[str, int], rows: int) -> dict[str, int]:
    """*rows* shared out by *counts*: one each as far as they go, what is left by size, the largest rests first."""
    total = sum(counts.values())
    if total <= rows:
        return dict(counts)
    exact = {kind: rows * count / total for kind, count in counts.items()}
    shares = {kind: max(int(share), 1) for kind, share in exact.items()}
    for _ in range(sum(shares.values()) - rows):  # more kinds than rows to draw, or small ones that were rounded up
        shares[max(shares, key=lambda kind: shares[kind])] -= 1
    left = rows - sum(shares.values())
    for kind in sorted(exact, key=lambda kind: int(exact[kind]) - exact[kind])[:left]:
        shares[kind] += 1
    return shares


def _ids(ids: frozenset[str] | Path) -> list[str]:
    """The ids, from a file one a line.

    Raises:
        ConfigError: the file cannot be read.
    """
    if not isinstance(ids, Path):
        return sorted(ids)
    try:
        lines = ids.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{ids}: cannot be read as a list of ids, one a line: {error}") from None
    return [line.strip() for line in lines if line.strip()]


def _class(name: str) -> int:
    if name not in CLASSES:
        raise ConfigError(f"there is no error class `{name}`; there are: {', '.join(CLASSES)}")
    return CLASSES.index(name) + 1


def _micros(moment: datetime) -> int:
    """Microseconds since 1970; a time without zone is UTC."""
    aware = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return (aware - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)
