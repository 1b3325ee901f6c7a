"""Reconciliation: the gateway's bill beside our rows: which line is for which request, and why they differ.

The bill is the gateway's own log of charges (gateway notes 2.2); ours is the list price of what it reported. Both are
whole nano-dollars. Every line and every row is in the sums once, and the shares of the gap add up to it exactly.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from mediascribe.cost.frames import typed
from mediascribe.cost.reconciliation import bill, gaps, matching, ours, pieces
from mediascribe.cost.reconciliation.bill import COLUMNS, Export
from mediascribe.cost.reconciliation.gaps import EFFECTS, IN_TIME, UNBILLED
from mediascribe.cost.reconciliation.matching import BY_ID, BY_TIME, BY_TOKENS, WAYS
from mediascribe.cost.reconciliation.workspace import only, workspace
from mediascribe.cost.rows import ALL
from mediascribe.cost.source import opened
from mediascribe.dataset import runs
from mediascribe.pricing import of_record

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    import pandas as pd
    from duckdb import DuckDBPyConnection

    from mediascribe.cost.reconciliation.bill import Read
    from mediascribe.pricing import PriceBook
    from mediascribe.store import Store

__all__ = ["COLUMNS", "EFFECTS", "MATCHED_SHARE", "Export", "Reconciliation", "reconcile"]

MATCHED_SHARE: Final = 0.999
"""How much of a bill is to be matched for it to be in order."""

_UNMATCHED: Final = "no request of ours had this model then, or all that could be are matched"
_UNBILLED: Final = "the bill has no line for this row"
_LACKING: Final = "format('the bill has no line for {} of the {} pieces of this row', lacking, answers)"


@dataclass(frozen=True, slots=True, kw_only=True)
class Reconciliation:
    """A bill beside our rows; money in nano-dollars.

    `ways` has the lines by how they were matched. `rows` had to be on the bill, `unbilled_rows` of them are not, or not
    with all of their pieces; `rows_outside` are of another time than the bill is about, and in no sum. `other_lines`
    charge nothing, or are of another key; `repeated_lines` stood twice. `by_day` has a line for each model and day, in
    dollars, with the shares of its gap (`EFFECTS`); `unmatched` the lines of the bill and the rows, or what is left of
    rows in pieces, that have no other side. `strayed` is the sum of what is unexplained, over and under, and
    `differing` that of all gaps likewise, line by line.
    """

    lines: int
    ways: Mapping[str, int]
    rows: int
    unbilled_rows: int
    rows_outside: int
    other_lines: int
    repeated_lines: int
    billed: int
    own: int
    effects: Mapping[str, int]
    strayed: int
    differing: int
    by_day: pd.DataFrame
    unmatched: pd.DataFrame

    @property
    def matched_lines(self) -> int:
        """Lines that are for a request of ours."""
        return sum(self.ways.values())

    @property
    def matched_share(self) -> float:
        """How much of the bill's lines is matched."""
        return self.matched_lines / self.lines

    @property
    def explained_share(self) -> float:
        """How much of what differs is explained; 1 where nothing differs."""
        return 1 - self.strayed / self.differing if self.differing else 1.0

    @property
    def ok(self) -> bool:
        """Whether the bill is matched, and all that differs explained."""
        return self.matched_share >= MATCHED_SHARE and not self.strayed

    def to_json(self) -> dict[str, Any]:
        """The sums as a JSON value, money in dollars."""
        return {
            "ok": self.ok,
            "lines": self.lines,
            "matched_lines": self.matched_lines,
            "matched_share": self.matched_share,
            "matched_by": {way.replace(" ", "_"): count for way, count in self.ways.items()},
            "rows": self.rows,
            "unbilled_rows": self.unbilled_rows,
            "rows_outside": self.rows_outside,
            "other_lines": self.other_lines,
            "repeated_lines": self.repeated_lines,
            "billed_usd": self.billed / 1e9,
            "own_usd": self.own / 1e9,
            "gap_usd": (self.billed - self.own) / 1e9,
            "explained_share": self.explained_share,
            **{f"{name}_usd": amount / 1e9 for name, amount in self.effects.items()},
        }


def reconcile(
    outputs: Sequence[str | Path | Store], export: Export, *, prices: PriceBook | None = None
) -> Reconciliation:
    """The bill *export* beside all rows of *outputs*.

    *prices* is the book in which the rows' price versions are looked up; None: those of the folder `configs`. A bill of
    any length is worked through in bounded memory.

    Raises:
        ConfigError: an output has no results, or the bill cannot be read; the message names file and line.
        CorruptError: a part, or a run file, cannot be read.
    """
    with workspace() as (db, folder):
        read = bill.load(db, export, folder)
        with opened(outputs, ALL) as source:
            ours.load(db, source, prices or of_record())
        matching.match(db, [run for output in outputs for run in runs(output)])
        gaps.terms(db)
        pieces.split(db)
        gaps.account(db)
        return _summed(db, read)


def _summed(db: DuckDBPyConnection, read: Read) -> Reconciliation:
    sums = ", ".join(f"coalesce(sum({name}), 0)::bigint" for name in ("billed", "own", *EFFECTS))
    strayed = "sum(abs(unexplained))::bigint, sum(greatest(abs(billed - own), abs(unexplained)))::bigint"
    billed, own, *rest = _one(db, f"select {sums}, {strayed} from pieces")  # noqa: S608 - constants
    ways = dict(db.execute("select way, count(*) from links group by all").fetchall())
    rows = _one(db, "select count(*) from ours where expected")[0]
    (outside,) = _one(
        db,
        "select count(*) from ours where expected and number not in"  # noqa: S608 - constants
        f" (select row from links where way in ('{BY_ID}', '{BY_TOKENS}', '{BY_TIME}')) and not {IN_TIME}",
    )
    unmatched = _unmatched(db)
    return Reconciliation(
        lines=_one(db, "select count(*) from lines")[0],
        ways={way: ways.get(way, 0) for way in WAYS},
        rows=rows - outside,
        unbilled_rows=int((unmatched["side"] == "output").sum()),
        rows_outside=outside,
        other_lines=read.other_lines,
        repeated_lines=read.repeated_lines,
        billed=billed,
        own=own,
        effects=dict(zip(EFFECTS, rest, strict=False)),
        strayed=rest[-2],
        differing=rest[-1],
        by_day=_by_day(db),
        unmatched=unmatched,
    )


def _by_day(db: DuckDBPyConnection) -> pd.DataFrame:
    """A line for each day and model: counts, then what was billed, our cost, the gap and its shares, in dollars."""
    shares = ", ".join(f"sum({name}) / 1e9 as {name}_usd" for name in EFFECTS)
    return _frame(
        db,
        "select strftime(day, '%Y-%m-%d') as day, model, count(line) as lines,"  # noqa: S608 - constants
        f" count(line) filter (way is not null) as matched_lines,"
        f" count(*) filter (way = '{UNBILLED}') as unbilled_rows,"
        f" sum(billed) / 1e9 as billed_usd, sum(own) / 1e9 as own_usd, sum(billed - own) / 1e9 as gap_usd, {shares}"
        " from pieces group by all order by day, model",
    )


def _unmatched(db: DuckDBPyConnection) -> pd.DataFrame:
    """The lines and the rows that have no other side: where they are from, what they cost, and why they are here."""
    return _frame(
        db,
        "select 'bill' as side, to_timestamp(at_us / 1e6) as at, lines.model, prompt as prompt_tokens,"  # noqa: S608 - constants
        " completion as completion_tokens, nano / 1e9 as amount_usd, request_id, line as bill_line,"
        f" null::varchar as item_id, null::varchar as run_id, '{_UNMATCHED}' as why"
        " from lines where line not in (select line from links) union all"
        " select 'output', to_timestamp(until_us / 1e6), by_model, coalesce(rest_prompt, prompt),"
        " coalesce(rest_completion, completion), case when lacking is null then nano else own end / 1e9,"
        f" coalesce(rest_ids, request_id), null, item_id, run_id, coalesce({_LACKING}, '{_UNBILLED}')"
        f" from ours left join missing using (number) where number in (select row from pieces where way = '{UNBILLED}')"
        " order by all",
    )


def _one(db: DuckDBPyConnection, query: str) -> tuple[int, ...]:
    return tuple(int(value) for value in only(db, query) or ())


def _frame(db: DuckDBPyConnection, query: str) -> pd.DataFrame:
    return typed(db.sql(query).to_arrow_table())
