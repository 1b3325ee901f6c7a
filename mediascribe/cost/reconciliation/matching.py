"""Matching: which line of the bill is for which request of ours.

First by the request's id, of which a row that was asked in pieces has several. Then, where a side has none, by model,
tokens and time. A row has the ids of the answers that were kept only: the lines of its other attempts are known by the
tokens that it calls wasted, or by the same prompt, or as one of the requests that its run counted as in doubt. An
answer that reported no tokens is known by its time alone, and one piece without an id by the tokens that the row's
other pieces leave.

All but the first are the same question: lines are moments, and rows are spans of time, each with room for some lines.
The span that ends first is filled first, which leaves as few lines as can be.
"""

from __future__ import annotations

import heapq
from array import array
from typing import TYPE_CHECKING, Any, Final

import pyarrow as pa

from mediascribe.cost.reconciliation.workspace import insert, only

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from duckdb import DuckDBPyConnection

NEAR_US: Final = 300 * 10**6
"""Clocks differ, and a gateway writes its line when the upstream is done: a client that hung up is long gone."""
BY_ID, BY_TOKENS, BY_TIME, WASTED, IN_DOUBT = "request id", "tokens", "time", "wasted", "in doubt"
WAYS: Final = (BY_ID, BY_TOKENS, BY_TIME, WASTED, IN_DOUBT)

ALL_OF_PROMPT: Final = "prompt + case when claude then cache_tokens + cache_creation_tokens else 0 end"
"""The SQL of how long a line's prompt was: Claude's is told without what the cache had."""
ANSWERED: Final = f"way in ('{BY_ID}', '{BY_TOKENS}', '{BY_TIME}')"
"""The SQL of whether a link is with an answer that was kept."""

_BATCH: Final = 10_000
_LEFT: Final = "type = '2' and line not in (select line from links)"
# One attempt is that of the answer that was kept, or of each piece of it, whether its line is known or not.
_SPARE: Final = (
    f"(attempts - greatest(cast(expected as integer) * answers,"  # noqa: S608 - constants
    f" (select count(distinct row) from links where row = number and {ANSWERED}))"
    f" - (select count(*) from links where row = number and not {ANSWERED}))"
)
# A row in pieces has their prompts as well as their sum: its attempts to spare are then those of any of them.
_PROMPTS: Final = (
    "select number, prompt as long from ours union all"  # noqa: S608 - constants
    f" select row, {ALL_OF_PROMPT} from links join lines using (line) where type = '2' and {ANSWERED}"
    " and row in (select number from ours where answers > 1)"
)
_TOO_MANY: Final = (
    f"select line from (select line, row_number() over (partition by row order by line desc) <= -{_SPARE} as too_many"  # noqa: S608 - constants
    f" from links join ours on row = number where not {ANSWERED} and answers > 1) where too_many"
)
_AROUND: Final = f"from_us - {NEAR_US} as since, until_us + {NEAR_US} as till"

_KNOWN_WASTE: Final = (
    "coalesce((select sum(prompt + completion) from links join lines using (line)"  # noqa: S608 - constants
    f" where links.row = ours.number and way = '{WASTED}'), 0)"
)
# The key of a line, that of a row, which rows, how many lines each may have, and what the pair is called.
_SUREST: Final = (
    (f"model, {ALL_OF_PROMPT} + completion", "model, wasted", "wasted > 0", "1", WASTED),
    (f"model, {ALL_OF_PROMPT}", "model, long", f"wasted > {_KNOWN_WASTE}", _SPARE, WASTED),
)
_LESS_SURE: Final = (
    ("model", "model", f"wasted > {_KNOWN_WASTE}", _SPARE, WASTED),
    (f"model, {ALL_OF_PROMPT}", "model, long", "counted", _SPARE, IN_DOUBT),
)

Event = tuple[str, int, int | None, int | None, int]


def match(db: DuckDBPyConnection, runs: Sequence[Mapping[str, Any]]) -> None:
    """Make the table `links` (line, row, way) of the tables `lines` and `ours`; *runs* are those of the output.

    Of a line in doubt that no row explains, the row is null.
    """
    db.execute("create table links (line bigint, row bigint, way varchar)")
    db.execute(
        "insert into links select line, first, $way from lines join"
        " (select request_id, min(number) as first from"
        " (select unnest(string_split(request_id, ' ')) as request_id, number from ours) group by all)"
        " using (request_id)",
        {"way": BY_ID},
    )
    _by_tokens(db)
    _by_rest(db)
    _attempts(db, _SUREST)
    _by_time(db)
    _attempts(db, _LESS_SURE)
    _in_doubt(db, runs)


def pairs(events: Iterable[Event]) -> Iterator[tuple[int, int]]:
    """The moments of *events*, each with the span that it is given to.

    An event is `(key, at, until, room, number)`: a span from `at` until `until` with room for `room` moments, or, where
    these are None, a moment. They come sorted by key and `at`, spans before moments; only equal keys go together.
    """
    open_spans: list[list[int]] = []
    current: str | None = None
    for key, at, until, room, number in events:
        if key != current:
            open_spans, current = [], key
        if until is not None and room is not None:
            heapq.heappush(open_spans, [until, number, room])
            continue
        while open_spans and open_spans[0][0] < at:
            heapq.heappop(open_spans)
        if open_spans:
            first = open_spans[0]
            yield number, first[1]
            first[2] -= 1
            if not first[2]:
                heapq.heappop(open_spans)


def _by_tokens(db: DuckDBPyConnection) -> None:
    """Link answers that were kept and lines of the same model, with the same tokens, at about the same time."""
    spans = (
        f"select concat_ws('/', by_model, prompt, completion) as key, until_us - {NEAR_US} as since,"  # noqa: S608 - constants
        f" until_us + {NEAR_US} as till, 1 as room, number from ours"
        " where counted and until_us is not null and number not in (select row from links)"
    )
    moments = (
        f"select concat_ws('/', model, {ALL_OF_PROMPT}, completion) as key, at_us as since, line"  # noqa: S608 - constants
        f" from lines where {_LEFT}"
    )
    if only(db, "select 1 from links limit 1") is None:  # the ids of both sides have nothing to do with each other
        _link(db, moments, spans, BY_TOKENS)
        return
    _link(db, f"{moments} and request_id is null", spans, BY_TOKENS)
    _link(db, f"{moments} and request_id is not null", f"{spans} and request_id is null", BY_TOKENS)


def _by_rest(db: DuckDBPyConnection) -> None:
    """Link the one piece of an answer that no id tells, by the tokens that the row's other pieces leave.

    A line with an id of its own is one only where the row has an attempt to spare. The row has then one answer more.
    """
    db.execute(
        "create table rests as select number, concat_ws('/', by_model, prompt - sum(long), completion - sum(said))"  # noqa: S608 - constants
        f" as key, {_AROUND}, answers, attempts, count(*) as found from (select distinct on (row, request_id) row,"
        f" {ALL_OF_PROMPT} as long, completion as said from links join lines using (line) where way = '{BY_ID}' and"
        " type = '2' and row in (select number from ours where attempts > 1 and counted) order by line)"
        " join ours on row = number"
        " group by number, by_model, prompt, completion, from_us, until_us, answers, attempts having prompt > sum(long)"
    )
    moments = (
        f"select concat_ws('/', model, {ALL_OF_PROMPT}, completion) as key, at_us as since, line"  # noqa: S608 - constants
        f" from lines where {_LEFT}"
    )
    spans = "select key, since, till, 1 as room, number from rests where"
    _link(db, f"{moments} and request_id is null", f"{spans} attempts > answers or found < answers", BY_TOKENS)
    others = f"{spans} attempts > answers and number not in (select row from links where way = '{BY_TOKENS}')"  # noqa: S608 - constants
    _link(db, f"{moments} and request_id is not null", others, BY_TOKENS)
    db.execute(
        "update ours set answers = answers + 1 where number in (select number from rests where found = answers)"  # noqa: S608 - constants
        f" and number in (select row from links where way = '{BY_TOKENS}')"
    )


def _attempts(db: DuckDBPyConnection, ways: Iterable[tuple[str, str, str, str, str]]) -> None:
    """Link the lines of attempts whose answer was not kept with rows that had such attempts, in *ways*."""
    for line_key, row_key, rows, room, way in ways:
        moments = f"select concat_ws('/', {line_key}) as key, at_us as since, line from lines where {_LEFT}"  # noqa: S608 - constants
        spans = (
            f"select distinct concat_ws('/', {row_key}) as key, {_AROUND}, {room} as room, number"  # noqa: S608 - constants
            f" from ours join ({_PROMPTS}) as prompts using (number)"
            f" where attempts > 1 and until_us is not null and {_SPARE} > 0 and {rows}"
        )
        _link(db, moments, spans, way)
        db.execute(f"delete from links where not {ANSWERED} and line in ({_TOO_MANY})")  # noqa: S608 - constants


def _by_time(db: DuckDBPyConnection) -> None:
    """Link answers that reported no tokens and lines of the same model at about the same time."""
    moments = f"select model as key, at_us as since, line from lines where {_LEFT}"  # noqa: S608 - constants
    spans = (
        f"select by_model as key, {_AROUND}, 1 as room, number from ours where expected and not counted"  # noqa: S608 - constants
        f" and until_us is not null and number not in (select row from links where {ANSWERED})"
    )
    _link(db, moments, spans, BY_TIME)


def _in_doubt(db: DuckDBPyConnection, runs: Sequence[Mapping[str, Any]]) -> None:
    """Link what is left with the requests that *runs* counted as in doubt, as many as they counted."""
    told = [
        {
            "run": number,
            "run_id": run["run_id"],
            "model": run["model"],
            "in_doubt": int(run.get("in_doubt") or 0),
            "started": run["started_at"],
            "finished": run["finished_at"],
        }
        for number, run in enumerate(runs)
    ]
    types = {"run": "bigint", "run_id": "varchar", "model": "varchar", "in_doubt": "bigint"}
    insert(db, "runs", types | {"started": "timestamptz", "finished": "timestamptz"}, told)
    known = (
        "(select count(*) from links join ours on row = number"  # noqa: S608 - constants
        f" where way = '{IN_DOUBT}' and ours.run_id = runs.run_id)"
    )
    moments = f"select model as key, at_us as since, line from lines where {_LEFT}"  # noqa: S608 - constants
    spans = (
        f"select model as key, epoch_us(started) - {NEAR_US} as since, epoch_us(finished) + {NEAR_US} as till,"  # noqa: S608 - constants
        f" in_doubt - {known} as room, run as number from runs where in_doubt > {known}"
    )
    _link(db, moments, spans, IN_DOUBT, keep_row=False)


def _link(db: DuckDBPyConnection, moments: str, spans: str, way: str, *, keep_row: bool = True) -> None:
    """Add to `links` the `pairs` of *moments* (key, since, line) and *spans* (key, since, till, room, number)."""
    events = db.cursor().execute(
        f"select key, since, till, room, number from ({spans}) where key is not null"  # noqa: S608 - constants
        f" union all select key, since, null, null, line from ({moments}) order by key, since, till is null, till, 5"
    )
    lines, rows = array("q"), array("q")
    for line, row in pairs(_fetched(events)):
        lines.append(line)
        rows.append(row)
    db.register("incoming", pa.table({"line": pa.array(lines, pa.int64()), "row": pa.array(rows, pa.int64())}))
    kept = "row" if keep_row else "null"
    db.execute(f"insert into links select line, {kept}, $way from incoming", {"way": way})  # noqa: S608 - constants
    db.unregister("incoming")


def _fetched(events: DuckDBPyConnection) -> Iterator[Event]:
    while batch := events.fetchmany(_BATCH):
        yield from batch
