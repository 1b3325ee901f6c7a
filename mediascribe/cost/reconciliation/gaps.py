"""Gaps: what the bill has more or less than our rows, and which rule makes how much of it.

A line that belongs to an answer which was kept is taken from the charge back to our cost in steps, each of which puts
one thing of ours in the place of one of the gateway's; what a step changes is that thing's share of the gap:

    the charge - (rounding) - by its terms - (key_group) - without the group's ratio - (audio) - sound counted as here
               - (cached) - cached as here - (tokens) - our tokens - (price) - our prices = our cost

So the shares add up to the gap to the nano-dollar. A row that was asked in pieces goes beside each of its lines with a
portion of its own (`pieces`). Only what the line's own terms give belongs to a rule: the rest is
unexplained, and so is a line or a row that has no other side.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from mediascribe.cost.reconciliation.matching import ANSWERED, NEAR_US, WASTED
from mediascribe.cost.reconciliation.ours import OWN
from mediascribe.cost.reconciliation.terms import OF_LINE, RATES, RATIOS, RELATIONS, SCALE, rates, relations
from mediascribe.cost.reconciliation.workspace import insert, nano

if TYPE_CHECKING:
    from collections.abc import Mapping

    from duckdb import DuckDBPyConnection

EFFECTS: Final[Mapping[str, str]] = {
    "price": "the gateway's rates of text and answer are not those of our price",
    "key_group": "the ratio of the key's group",
    "audio": "sound is counted otherwise: by a rate of its own, or through the audio path",
    "cached": "tokens from a cache, or written to one, are charged otherwise",
    "tokens": "the gateway charged other numbers of tokens than it reported",
    "retries": "attempts whose answer was not kept are charged otherwise than we counted them",
    "in_doubt": "requests were charged of which no whole answer came back",
    "unpriced": "our row has no price, or its answer reported no tokens",
    "refunds": "the gateway gave back what it had charged",
    "rounding": "a charge is a whole number of quota, at least 1",
    "unexplained": "no rule says why",
}
"""The shares of a gap, and what each means."""

UNBILLED: Final = "unbilled"
IN_TIME: Final = (
    f"coalesce(until_us between (select min(at_us) from lines) - {NEAR_US}"  # noqa: S608 - constants
    f" and (select max(at_us) from lines) + {NEAR_US}, false)"
)
"""The SQL of whether a row is of the time that the bill is about."""

_ROUNDED_OFF: Final = 2000  # nano-dollars; some paths cut the fraction off, others round it (gateway notes 2.2)
_CLAUDE_CACHE: Final = "case when claude then cache_tokens + cache_creation_tokens else 0 end"
_INSIDE: Final = f"prompt + {_CLAUDE_CACHE} - cache_tokens - cache_creation_tokens - image_output"
_FIRST: Final = f"{ANSWERED} and (is_piece or line = first_answer)"
_ROLE: Final = (
    "case when type = '6' then 'refund' when way is null then 'none'"
    f" when {_FIRST} and kept is not null then 'kept' when {_FIRST} and expected then 'unpriced'"
    f" when way = '{WASTED}' or ({ANSWERED} and not ({_FIRST})) then 'retry' else 'in_doubt' end"
)
# A row's wasted cost is one sum: the first line of its wasted attempts stands for it.
_OWN: Final = "case when role = 'kept' then kept when line = first_wasted then share else 0 end"
_SHARES: Final[Mapping[str, str]] = {
    "rounding": "case when not fits or role in ('refund', 'none') then 0 when term is not null then nano - exact"
    " when role = 'kept' then nano - own else 0 end",
    "key_group": "case when term is null or role in ('refund', 'none') then 0 else exact - without_group end",
    "audio": "case when role = 'kept' and term is not null then without_group - sound_as_here else 0 end",
    "cached": "case when role = 'kept' and term is not null then sound_as_here - cached_as_here else 0 end",
    "tokens": "case when role = 'kept' and term is not null then cached_as_here - our_tokens else 0 end",
    "price": "case when role = 'kept' and term is not null then our_tokens - (own - misfit) else 0 end",
    "retries": "case when role = 'retry' then coalesce(without_group, nano) - own else 0 end",
    "in_doubt": "case when role = 'in_doubt' then coalesce(without_group, nano) else 0 end",
    "unpriced": "case when role = 'unpriced' then coalesce(without_group, nano) else 0 end",
    "refunds": "case when role = 'refund' then nano else 0 end",
}


def terms(db: DuckDBPyConnection) -> None:
    """Make the table `terms` of the ratios that lines have, as rates; without those that make no sense."""
    listed = ", ".join(RATIOS)
    found = db.execute(f"select distinct {listed} from lines order by all").fetchall()  # noqa: S608 - constants
    rows: list[dict[str, object]] = []
    for values in found:
        told = dict(zip(RATIOS, values, strict=True))
        if (made := rates(told)) is not None:
            rows.append({"term": len(rows)} | told | made)
    types = {"term": "bigint"} | dict.fromkeys(RATIOS, "varchar") | dict.fromkeys(RATES, "hugeint")
    insert(db, "terms", types, rows)


def account(db: DuckDBPyConnection) -> None:
    """Make the table `pieces`: every line, and every rest of a row, with its shares.

    It is made of `lines`, `terms`, `links`, `ours`, and what `pieces.split` made. The columns are
    line, row, way, day, model, billed and own (nano-dollars), and those of `EFFECTS`.
    """
    _relations(db)
    known = " - ".join(f"({sql})" for sql in _SHARES.values())
    shares = dict(_SHARES) | {"unexplained": f"nano - own - {known}"}
    effects = ", ".join(f"cast({shares[name]} as bigint) as {name}" for name in EFFECTS)
    db.execute(
        f"create table pieces as select line, number as row, way, day, model, nano as billed, own, {effects} from"  # noqa: S608 - constants
        f" (select *, abs(nano - coalesce(exact, own)) < {_ROUNDED_OFF} as fits from"
        f" (select *, {_OWN} as own from ({_steps()})))"
    )
    _rests(db)


def _relations(db: DuckDBPyConnection) -> None:
    """Make the table `relations`: the gateway's rates in our proportions, for each of its terms beside our price."""
    of_terms = {row[0]: dict(zip(RATES, row[1:], strict=True)) for row in _rows(db, "terms", ("term", *RATES))}
    of_prices = {row[0]: tuple(map(int, row[1:])) for row in _rows(db, "prices", ("price", *OWN))}
    met = db.execute(
        f"select distinct term, price from owned join lines using (line) join terms on {OF_LINE} order by all"  # noqa: S608 - constants
    ).fetchall()
    rows = [{"term": term, "price": price} | relations(of_terms[term], of_prices.get(price)) for term, price in met]
    insert(db, "relations", {"term": "bigint", "price": "bigint"} | dict.fromkeys(RELATIONS, "hugeint"), rows)


def _rows(db: DuckDBPyConnection, table: str, columns: tuple[str, ...]) -> list[tuple[int, ...]]:
    return db.execute(f"select {', '.join(columns)} from {table}").fetchall()  # noqa: S608 - constants


def _steps() -> str:
    """The SQL of every line beside its row, with its role, and with what each step of the way back comes to."""
    firsts = (
        f"select row, min(line) filter ({ANSWERED}) as first_answer,"  # noqa: S608 - constants
        f" min(line) filter (way = '{WASTED}') as first_wasted from links join lines using (line)"
        " where type = '2' and row is not null group by row"
    )
    beside = (
        f"select lines.*, links.way, owned.* exclude (line), terms.term, {', '.join(RATES)}, {', '.join(RELATIONS)},"  # noqa: S608 - constants
        " first_answer, first_wasted"
        " from lines left join links using (line)"
        " left join owned on owned.line = lines.line"
        f" left join ({firsts}) as firsts on firsts.row = owned.number"
        f" left join terms on {OF_LINE}"
        " left join relations on relations.term = terms.term and relations.price is not distinct from owned.price"
    )
    steps = ", ".join(f"case when term is not null then {sql} end as {name}" for name, sql in _amounts().items())
    return f"select *, {steps} from (select *, {_ROLE} as role from ({beside}))"  # noqa: S608 - constants


def _amounts() -> dict[str, str]:
    """The SQL of each step, in nano-dollars."""
    as_here = (
        f"cast({_INSIDE} - n_audio - n_cached_audio as hugeint) * t_in"
        " + cast(n_audio + n_cached_audio as hugeint) * x_audio"
        f" + {_sum(image_output='t_image')} + cast(completion - n_spoken as hugeint) * t_out"
        f" + {_sum(n_spoken='x_spoken')} + {_cache()} + t_call"
    )
    tokens = (
        f"cast(prompt + {_CLAUDE_CACHE} - own_prompt as hugeint) * t_in"
        " + cast(completion - own_completion as hugeint) * t_out"
    )
    cached_as_here = (
        f"cast(n_in + n_image - image_output as hugeint) * t_in + {_sum(image_output='t_image', n_audio='x_audio')}"
        f" + {_sum(n_cached='x_cached', n_cached_audio='x_cached_audio', n_write='x_write')}"
        f" + {_sum(n_out='t_out', n_spoken='x_spoken')} + t_call"
    )
    return {
        "exact": nano(f"({_charge()}) * t_group", SCALE * SCALE),
        "without_group": nano(_charge(), SCALE),
        "sound_as_here": nano(as_here, SCALE),
        "cached_as_here": nano(f"{cached_as_here} + {tokens}", SCALE),
        "our_tokens": nano(cached_as_here, SCALE),
    }


def _charge() -> str:
    """The SQL of what a line's terms make of its tokens, without the group's ratio."""
    sound = "case when t_sound > 0 then audio_input_token_count else 0 end"
    in_full = (
        f"cast({_INSIDE} - {sound} as hugeint) * t_in + cast({sound} as hugeint) * t_sound"
        f" + {_sum(completion='t_out', image_output='t_image')} + {_cache()} + t_call"
    )
    by_sound = _sum(text_input="t_in", text_output="t_out", audio_input="t_audio", audio_output="t_spoken")
    return f"case when audio then {by_sound} + t_call else {in_full} end"


def _cache() -> str:
    """The SQL of what cached tokens, and those that were written to a cache, cost by a line's terms."""
    rest = "greatest(cache_creation_tokens - cache_creation_tokens_5m - cache_creation_tokens_1h, 0)"
    of_a_term = _sum(
        cache_tokens="t_cached", cache_creation_tokens_5m="t_write_5m", cache_creation_tokens_1h="t_write_1h"
    )
    return f"{of_a_term} + cast({rest} as hugeint) * t_write"


def _sum(**rated: str) -> str:
    return " + ".join(f"cast({count} as hugeint) * {rate}" for count, rate in rated.items())


def _rests(db: DuckDBPyConnection) -> None:
    """Add to `pieces` what of our rows, or of their pieces, no line stands for, of the time that the bill is about."""
    answered = f"number in (select row from links where {ANSWERED})"  # noqa: S608 - constants
    wasted = f"number in (select row from links where way = '{WASTED}')"  # noqa: S608 - constants
    shares = ", ".join(name if name in ("retries", "unexplained") else "0" for name in EFFECTS)
    rests = (
        f"select number, '{UNBILLED}', day, by_model, coalesce(kept, 0) as own, 0 as retries,"  # noqa: S608 - constants
        f" -coalesce(kept, 0) as unexplained, until_us from ours where expected and not {answered} union all"
        f" select number, null, day, by_model, share, case when {answered} then -share else 0 end,"
        f" case when {answered} then 0 else -share end, until_us from ours where share > 0 and not {wasted} union all"
        f" select number, '{UNBILLED}', day, by_model, own, 0, -own, until_us from missing join ours using (number)"
        f" where from_us >= (select min(at_us) from lines) - {NEAR_US}"
    )
    db.execute(
        "insert into pieces select null, number, * exclude (number, own, retries, unexplained, until_us),"  # noqa: S608 - constants
        f" 0, own, {shares} from ({rests}) where {IN_TIME}"
    )
