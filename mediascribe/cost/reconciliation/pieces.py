"""Pieces: a row that was asked in pieces, as one portion of it beside each of its lines.

The row has the sums of its pieces' tokens and costs; the bill has a line for each, at its own rates. What of the row's
sums goes beside a line is told by the line's size, so that the portions are the row again to the token and the
nano-dollar, and each has the price of its own prompt. What a sum is too much for its lines is the pieces' whose lines
are not on the bill.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from mediascribe.cost.reconciliation.matching import ALL_OF_PROMPT, ANSWERED
from mediascribe.cost.reconciliation.ours import COUNTS, OWN
from mediascribe.cost.reconciliation.terms import OF_LINE, SCALE
from mediascribe.cost.reconciliation.workspace import nano

if TYPE_CHECKING:
    from collections.abc import Mapping

    from duckdb import DuckDBPyConnection

# What of a row stands beside a line.
_OF_ROW: Final[Mapping[str, str]] = {
    **{name: name for name in ("number", "price", "kept", "share", "misfit", "expected", "counted", *COUNTS)},
    "own_prompt": "prompt",
    "own_completion": "completion",
}
# By what a row is divided among its lines: how much of it a line has, how much the row has if lines are missing, and
# what stands for it where no line has any.
_SIZES: Final[Mapping[str, tuple[str, str, str | None]]] = {
    "each": ("1", "answers", None),
    "prompt": (ALL_OF_PROMPT, "own_prompt", "each"),
    "completion": ("completion", "own_completion", "each"),
    "tokens": (f"{ALL_OF_PROMPT} + completion", "own_prompt + own_completion", "each"),
    "charge": ("nano", "nano", "tokens"),
    "sound": (
        "case when audio then audio_input else audio_input_token_count end",
        "n_audio + n_cached_audio",
        "prompt",
    ),
    "cached": ("cache_tokens", "n_cached + n_cached_audio", "prompt"),
    "written": ("cache_creation_tokens", "n_write", "prompt"),
}
# What is divided by which size; text is what is left of each prompt and each answer.
_DIVIDED: Final[Mapping[str, str]] = {
    "own_prompt": "prompt",
    "own_completion": "completion",
    "n_image": "prompt",
    "n_audio": "sound",
    "n_cached": "cached",
    "n_cached_audio": "cached",
    "n_write": "written",
    "n_spoken": "completion",
}
_NOT_TEXT: Final = ("n_image", "n_audio", "n_cached", "n_cached_audio", "n_write")


def split(db: DuckDBPyConnection) -> None:
    """Make the view `owned` of `links` and `ours`: what of a row stands beside each line that is linked with it.

    `is_piece` says that the line is that of one of several pieces. The table `missing` has what is left of rows with
    pieces whose lines are not on the bill. `kept` and `share` of rows in pieces are set to what their lines make sure.
    """
    _measure(db)
    _divide(db)
    _settle(db)
    plain = ", ".join(f"{sql} as {name}" for name, sql in _OF_ROW.items())
    db.execute(
        f"create view owned as select line, {plain}, false as is_piece from links join ours on row = number"  # noqa: S608 - constants
        " where line not in (select line from portions) union all by name"
        f" select line, {', '.join(_OF_ROW)}, true as is_piece from portions"
    )


def _measure(db: DuckDBPyConnection) -> None:
    """Make the table `sized`: the first line for each piece of a row, beside the row, with its sizes.

    Of each size: `size_` is the line's, `upto_` that of all until it, `found_` that of all, `whole_` that of the row.
    """
    sizes = ", ".join(f"{of_line} as size_{name}" for name, (of_line, *_) in _SIZES.items())
    of_row = ", ".join(f"ours.{sql} as {name}" for name, sql in _OF_ROW.items())
    further = (
        "nano, listed, wasted, answers, sure, by_model, price_version, prompt as of_prompt, completion as of_answer"
    )
    firsts = (
        f"select distinct on (row, request_id) row, line, request_id as id, term, {sizes}"  # noqa: S608 - constants
        f" from links join lines using (line) left join terms on {OF_LINE} where type = '2' and {ANSWERED}"
        " and row in (select number from ours where answers > 1) order by line"
    )
    sums = [
        f"sum(size_{name}) over so_far as upto_{name}, sum(size_{name}) over all_of_it as found_{name},"
        f" greatest(sum(size_{name}) over all_of_it, case when lacking > 0 then {of_row} else 0 end) as whole_{name}"
        for name, (_, of_row, _) in _SIZES.items()
    ]
    counted = "select *, greatest(answers - count(*) over (partition by number), 0) as lacking"
    db.execute(
        f"create table sized as select *, {', '.join(sums)} from ({counted} from (select {of_row}, {further}, firsts.*"  # noqa: S608 - constants
        f" from ({firsts}) as firsts join ours on row = ours.number))"
        " window so_far as (partition by number order by line rows unbounded preceding),"
        " all_of_it as (partition by number)"
    )


def _divide(db: DuckDBPyConnection) -> None:
    """Make the table `portions` of `sized`: the row's tokens beside each line, and what they cost by their price."""
    divided = {f"p_{name}": _portion(name, size) for name, size in _DIVIDED.items()} | {
        "p_odd": _portion(f"(n_in + {' + '.join(_NOT_TEXT)} - own_prompt)", "prompt"),  # tokens of two kinds at once
        "p_nano": _portion("nano", "tokens"),
    }
    tokens = {name: f"p_{name}" for name in _DIVIDED} | {
        "n_in": " - ".join(["p_own_prompt + p_odd", *(f"p_{name}" for name in _NOT_TEXT)]),
        "n_out": "p_own_completion - p_n_spoken",
    }
    replaced = ", ".join(f"cast({sql} as bigint) as {name}" for name, sql in tokens.items())
    charges = [f"cast({count} as hugeint) * {rate}" for count, rate in zip(COUNTS, OWN, strict=True)]
    listed = nano(" + ".join(["o_call", *charges]), SCALE)
    db.execute(
        "create table portions as select rows.* exclude (price), prices.price,"  # noqa: S608 - constants
        f" case when kept is null then null when prices.price is null then p_nano else {listed} end as cost"
        f" from (select * replace ({replaced}) from"
        f" (select *, {', '.join(f'{sql} as {name}' for name, sql in divided.items())} from sized)) as rows"
        " asof left join prices on rows.by_model = prices.by_model and rows.price_version = prices.price_version"
        " and own_prompt > start"
    )


def _portion(amount: str, size: str) -> str:
    """The SQL of how much of a row's *amount* is a line's by its *size*; of all lines together it is all of it."""
    all_of_it, whole, other = f"cast({amount} as hugeint)", f"whole_{size}", _SIZES[size][2]
    by_size = f"({all_of_it} * upto_{size} // {whole} - {all_of_it} * (upto_{size} - size_{size}) // {whole})"
    return f"case when found_{size} > 0 then {by_size} else {_portion(amount, other)} end" if other else by_size


def _settle(db: DuckDBPyConnection) -> None:
    """Give the portions their part of what the rows say that they cost, and make the table `missing` of the rest.

    What the prices make of the portions may differ from what the row says: the first line has the difference. Where no
    line says how its charge came about, all are compared with the row together: its cost is divided as they charge.
    """
    of_row = ("nano", "listed", "wasted", "answers", "sure", "lacking", "expected")
    apart = "least(case when lacking > 0 then greatest(listed, cost) else cost end, nano)"
    db.execute(
        "create table settled as select *, kept - cost - own as odd, case when wasted = 0 and sure and lacking = 0"  # noqa: S608 - constants
        " and abs(kept - cost) > answers then kept - cost else 0 end as misfit from"
        " (select *, case when lacking > 0 then greatest(kept - cost, 0) else 0 end as own from"
        f" (select *, case when cost is null then null when wasted = 0 then nano else {apart} end as kept from"
        f" (select number, {', '.join(f'any_value({name}) as {name}' for name in of_row)}, min(line) as first,"
        " bool_and(term is null and lacking = 0) as blind,"
        " list(id) as ids, cast(sum(cost) as bigint) as cost, of_prompt - sum(own_prompt) as rest_prompt,"
        " of_answer - sum(own_completion) as rest_completion from portions group by number, of_prompt, of_answer)))"
    )
    db.execute(
        f"update portions set kept = case when blind then {_portion('settled.kept', 'charge')}"  # noqa: S608 - constants
        " else portions.cost + case when line = first then odd else 0 end end,"
        " misfit = case when line = first then settled.misfit else 0 end from settled"
        " where portions.number = settled.number"
    )
    db.execute(
        "update ours set kept = settled.kept, share = ours.nano - settled.kept from settled"
        " where ours.number = settled.number and settled.kept is not null"
    )
    db.execute(
        "create table missing as select number, lacking, coalesce(own, 0) as own, rest_prompt, rest_completion,"
        " array_to_string(list_filter(string_split(request_id, ' '), lambda id: not list_contains(ids, id)), ' ')"
        " as rest_ids from settled join ours using (number) where lacking > 0 and settled.expected"
    )
