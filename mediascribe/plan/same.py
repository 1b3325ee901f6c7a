"""Same: rows to ask that ask the same question about the same media. One of them is asked, the others get its answer.

Rules of this file:

- Rows are the same when their media (kinds and URLs, whatever the signature in them) and all that their prompt uses
  are; each such group is led by its first row, and stands in the plan behind it, so that it lies within one shard.
- A group has at most `GROUP_ROWS` rows, and the next one begins anew: memory stays bounded, and of a million equal rows
  a hundred are asked.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

    import duckdb
    import pyarrow as pa

GROUP_ROWS: Final = 10_000
_BATCH_ROWS: Final = 10_000
_SAME: Final = """
create table same as
with asked as (
    select row_number, md5_number(
        to_json([media_kinds::text, coalesce(redacted_urls, media_urls)::text, variables])::text
    ) as content
    from staged semi join chosen using (row_number) anti join repeated using (row_number)
    where problem is null
), several as (
    select row_number, content, row_number() over (partition by content order by row_number) as nth
    from asked semi join (select content from asked group by content having count(*) > 1) using (content)
)
select row_number, min(row_number) over (partition by content, (nth - 1) // {most}) as leader
from several
"""
_NONE: Final = "create table same (row_number bigint, leader bigint)"
_FOLLOWERS: Final = """
select {columns}, reason, leader
from staged join same using (row_number) join verdicts using (row_number)
where row_number > leader order by leader, row_number
"""


def find(db: duckdb.DuckDBPyConnection, *, wanted: bool) -> int:
    """Fill the table `same` (row_number, leader) with the groups among the rows `chosen`; how many follow a leader.

    Empty where that is not *wanted*.
    """
    db.execute(_SAME.format(most=GROUP_ROWS) if wanted else _NONE)
    ((rows,),) = db.execute("select count(*) from same where row_number > leader").fetchall()
    return int(rows)


def followers(db: duckdb.DuckDBPyConnection, columns: list[str]) -> Iterator[pa.RecordBatch]:
    """The rows behind their leaders: *columns* of the staged manifest, `reason` as a number, `leader`; by leader."""
    return iter(db.sql(_FOLLOWERS.format(columns=", ".join(columns))).to_arrow_reader(_BATCH_ROWS))
