"""Comparison: two runs side by side, over all their rows and over the items that both have."""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING, Any, Final

from mediascribe.cost.money import NANO_USD, SAVED_NANO_USD
from mediascribe.cost.rows import ALL, ANSWERED, MONEY, SHARED, TOKENS, text
from mediascribe.cost.source import ROWS, opened
from mediascribe.domain import STATUSES
from mediascribe.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    import pandas as pd

    from mediascribe.cost.rows import Rows
    from mediascribe.store import Store

COLUMNS: Final = ("measure", "first", "second", "change", "first_common", "second_common", "change_common")

_SUMS: Final[Mapping[str, str]] = {
    "rows": "count(*)",
    **{status: f"count(*) filter (status = '{status}')" for status in STATUSES},
    **{name: f"coalesce(sum({name}), 0)" for name in TOKENS},
    "cost_usd": f"sum({NANO_USD})",
    "shared_saving_usd": f"coalesce(sum({SAVED_NANO_USD}) filter {SHARED}, 0)",
    "shared_rows": f"count(*) filter {SHARED}",
    "unpriced_rows": f"count(*) filter (cost_usd is null and {ANSWERED})",
}


def compare(outputs: Sequence[str | Path | Store], first: str, second: str, *, rows: Rows = ALL) -> pd.DataFrame:
    """What the run *second* has more or less than the run *first*, a line for each measure.

    The columns are `COLUMNS`; the last three are over the items that both runs have. Below the sums stand the statuses
    that common items went from and to (`ok -> failed`), with how many did in `second_common`. A run may be named by the
    beginning of its id.

    Raises:
        ConfigError: there is no such run, or more than one; see `cost_table`, too.
        CorruptError: a part cannot be read.
    """
    import pandas as pd  # noqa: PLC0415 - slow to import, for those who only want this package's names

    with opened(outputs, rows) as source:
        known = sorted(str(row["run_id"]) for row in source.ask(f"select distinct run_id from {ROWS}").to_pylist())  # noqa: S608 - no outside words
        pair = _run(first, known), _run(second, known)
        if pair[0] == pair[1]:
            raise ConfigError(f"{pair[0]} is one run: name two to compare")
        sums = source.ask(_sums_query(pair)).to_pylist()
        moves = source.ask(_moves_query(pair)).to_pylist()
    lines = [_line(measure, sums, pair) for measure in _SUMS]
    for move in moves:
        name = f"{move['before']} -> {move['after']}"
        lines.append(dict.fromkeys(COLUMNS) | {"measure": name, "second_common": move["items"]})
    return pd.DataFrame(lines, columns=list(COLUMNS), dtype=object)


def _run(name: str, known: Sequence[str]) -> str:
    found = [run for run in known if run == name] or [run for run in known if run.startswith(name)]
    if len(found) == 1:
        return found[0]
    if found:
        raise ConfigError(f"run `{name}` may be {' or '.join(found[:5])}: write more of it")
    nearest = difflib.get_close_matches(name, known, n=1)
    meant = f"did you mean {nearest[0]}?" if nearest else f"the latest is {known[-1]}" if known else "there are no rows"
    raise ConfigError(f"there is no run `{name}` among these rows; {meant}")


def _sums_query(pair: Sequence[str]) -> str:
    runs = ", ".join(text(run) for run in pair)
    sums = ", ".join(f"cast({sql} as bigint) as {name}" for name, sql in _SUMS.items())
    return (
        f"with of_both as (select item_id from {ROWS} where run_id in ({runs})"  # noqa: S608 - quoted
        " group by item_id having count(distinct run_id) = 2)"
        f" select run_id, item_id in (select item_id from of_both) as common, {sums} from {ROWS}"
        f" where run_id in ({runs}) group by all"
    )


def _moves_query(pair: Sequence[str]) -> str:
    before, after = (f"(select item_id, status from {ROWS} where run_id = {text(run)})" for run in pair)  # noqa: S608 - quoted
    return (
        "select one.status as before, other.status as after, count(*) as items"  # noqa: S608 - quoted
        f" from {before} as one join {after} as other using (item_id)"
        " where one.status <> other.status group by all order by items desc, before, after"
    )


def _line(measure: str, sums: Sequence[Mapping[str, Any]], pair: Sequence[str]) -> dict[str, Any]:
    """One measure of both runs; dollars where it is money, null where nobody knows."""
    values = [
        _value(measure, [row[measure] for row in sums if row["run_id"] == run and (row["common"] or not common)])
        for common in (False, True)
        for run in pair
    ]
    first, second, first_common, second_common = values
    return dict(
        zip(
            COLUMNS,
            (
                measure,
                first,
                second,
                _less(second, first),
                first_common,
                second_common,
                _less(second_common, first_common),
            ),
            strict=True,
        )
    )


def _value(measure: str, amounts: Sequence[int | None]) -> float | int | None:
    known = [amount for amount in amounts if amount is not None]
    if measure not in MONEY:
        return sum(known)
    return sum(known) / 1e9 if known else None


def _less(one: float | None, other: float | None) -> float | None:
    if one is None or other is None:
        return None
    return round(one - other, 9)
