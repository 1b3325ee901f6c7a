"""Outliers: rows, hosts and prompts that cost far more than their group, and what of them costs so much.

A row is far out where it costs more than twice the median of its group, and lies more than six deviations beyond it;
the deviation is the median distance from the median, scaled to that of a normal distribution, which no outlier moves.
A host or a prompt is far out where its own median row is. A group of fewer than `FEWEST` rows has no outliers. Rows
that were not asked, since they have the answer of another, are left out.
"""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING, Any, Final

from mediascribe.cost.money import NANO_USD
from mediascribe.cost.rows import ALL, SHARED
from mediascribe.cost.source import ANSWER_DAY, ROWS, opened
from mediascribe.pricing import of_record

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    import pandas as pd
    import pyarrow as pa

    from mediascribe.cost.rows import Rows
    from mediascribe.pricing import Price, PriceBook
    from mediascribe.store import Store

FEWEST: Final = 5
_DEVIATIONS: Final = 6
_TO_NORMAL: Final = 1.4826  # the standard deviation of a normal distribution by its median distance from the median
_AT_LEAST_TIMES: Final = 2
_EACH: Final = 20

# What of a row can cost: the SQL of its tokens, and what a person calls it.
_PARTS: Final[Mapping[str, tuple[str, str]]] = {
    "answer": ("completion_tokens - reasoning_tokens", "long answer"),
    "reasoning": ("reasoning_tokens", "reasoning"),
    "pictures": ("prompt_image_tokens + prompt_video_tokens", "many media tokens"),
    "sound": ("prompt_audio_tokens", "many media tokens (sound)"),
    "text": (
        "prompt_tokens - prompt_image_tokens - prompt_video_tokens - prompt_audio_tokens",
        "long prompt, or media that are not told apart",
    ),
    "wasted": ("wasted_tokens", "attempts whose answer was not kept"),
}
_HOST: Final = "nullif(regexp_extract(media_urls[1], '^[a-zA-Z][a-zA-Z0-9+.-]*://([^/?#]+)', 1), '')"
_KINDS: Final[Mapping[str, str]] = {"row": "item_id", "host": _HOST, "prompt": "prompt_id"}
COLUMNS: Final = ("rows", "cost_usd", "median_usd", "times", "reason")


def outliers(
    outputs: Sequence[str | Path | Store],
    *,
    by: Sequence[str] = ("model", "media_kind"),
    rows: Rows = ALL,
    each: int = _EACH,
    prices: PriceBook | None = None,
) -> pd.DataFrame:
    """The rows, hosts and prompts that cost far above their group *by* columns; the most money beyond it first.

    The columns are `outlier` (row, host or prompt), `name`, *by*, and `COLUMNS`: how many rows, what they cost
    together, the median cost of a row of the group, how many times that the (median) row costs, and why. There are
    *each* at most of every kind.

    Raises:
        ConfigError: see `cost_table`.
        CorruptError: a part cannot be read.
    """
    import pandas as pd  # noqa: PLC0415 - slow to import, for those who only want this package's names

    book = prices or of_record()
    with opened(outputs, rows, by) as source:
        keys = {key: source.key(key) for key in dict.fromkeys(by)}
        found = {kind: source.ask(_query(kind, keys, each)) for kind in _KINDS}
    lines = [line for kind, table in found.items() for line in _lines(kind, table, keys, book)]
    columns = ["outlier", "name", *keys, *COLUMNS]
    return pd.DataFrame(lines, columns=columns)


def _query(kind: str, keys: Mapping[str, str], each: int) -> str:
    """The outliers of *kind*, beside the medians of their group."""
    names = [f"key_{number}" for number in range(len(keys))]
    tokens = ", ".join(f"{sql} as {part}" for part, (sql, _) in _PARTS.items())
    keyed = "".join(f"{sql} as {name}, " for name, sql in zip(names, keys.values(), strict=True))
    listed = "".join(f"{name}, " for name in names)
    same = " and ".join([f"costs.{name} is not distinct from usual.{name}" for name in names]) or "true"
    medians = ", ".join(f"median({part}) as usual_{part}" for part in _PARTS)
    own = ", ".join(f"median({part}) as {part}, any_value(usual_{part}) as usual_{part}" for part in _PARTS)
    single = kind == "row"
    return (
        f"with costs as (select {keyed}{_KINDS[kind]} as name, run_id, model, price_version, {ANSWER_DAY} as answered,"  # noqa: S608 - names are quoted
        f" {NANO_USD} as nano, {tokens} from {ROWS} where cost_usd is not null and not {SHARED}),"
        f" usual as (select {listed}median(nano) as middle, count(*) as size, {medians} from costs group by all),"
        f" spread as (select {listed.replace('key_', 'costs.key_')}middle, size,"
        f" {', '.join(f'usual_{part}' for part in _PARTS)}, median(abs(nano - middle)) as distance"
        f" from costs join usual on {same} group by all)"
        f" select {listed}name, count(*) as rows, cast(sum(nano) as bigint) as total_nano, any_value(middle) as middle,"
        f" median(nano) as own_middle, max(model) as model, max(price_version) as price_version,"
        f" max(answered) as answered, {own}"
        f" from (select costs.*, middle, size, distance, {', '.join(f'usual_{part}' for part in _PARTS)}"
        f" from costs join spread as usual on {same} where size >= {FEWEST}) as beside"
        f" where name is not null group by {listed}name{', run_id' if single else ''}"
        f" having median(nano) > any_value(greatest({_AT_LEAST_TIMES} * middle,"
        f" middle + {_DEVIATIONS * _TO_NORMAL} * distance)){'' if single else f' and count(*) >= {FEWEST}'}"
        f" order by sum(nano) - count(*) * any_value(middle) desc, name limit {each}"
    )


def _lines(kind: str, table: pa.Table, keys: Mapping[str, str], book: PriceBook) -> Iterator[dict[str, Any]]:
    for row in table.to_pylist():
        price = row["price_version"] and book.recorded(row["model"], row["price_version"], row["answered"])
        yield {
            "outlier": kind,
            "name": row["name"],
            **{key: _day_as_text(row[f"key_{number}"]) for number, key in enumerate(keys)},
            "rows": row["rows"],
            "cost_usd": row["total_nano"] / 1e9,
            "median_usd": row["middle"] / 1e9,
            "times": row["own_middle"] / row["middle"] if row["middle"] else None,
            "reason": _reason(row, price or None),
        }


def _day_as_text(value: object) -> object:
    return str(value) if type(value) is date else value


def _reason(row: Mapping[str, Any], price: Price | None) -> str:
    """What of *row* costs most beyond what is usual in its group, in words."""
    beyond = {part: (row[part] - row[f"usual_{part}"]) * _weight(part, price) for part in _PARTS}
    part = max(beyond, key=lambda name: beyond[name])
    if beyond[part] <= 0:
        return "another price, or no more tokens than usual"
    return f"{_PARTS[part][1]}: {row[part]:,.0f} tokens, {row[f'usual_{part}']:,.0f} in its group"


def _weight(part: str, price: Price | None) -> float:
    """What a token of *part* costs, roughly: to say which part weighs most, not to add up."""
    if price is None:
        return 4.0 if part in {"answer", "reasoning"} else 1.0  # an answer's tokens cost about four times a prompt's
    sound, pictures = price.audio_in or price.input, price.image_in or price.input
    rates = {"answer": price.output, "reasoning": price.output, "sound": sound, "pictures": pictures}
    return float(rates.get(part, price.input).base)
