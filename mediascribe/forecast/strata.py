"""Strata: the rows that a plan asks, by reason and media; of long strata a sample stands for the rest.

The plan's file is read twice: narrow columns of all rows, then whole rows of the sample. Memory holds a
few bytes a row.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pyarrow.compute as pc
import pyarrow.parquet as pq

from mediascribe import prompt
from mediascribe.domain import MEDIA_KINDS
from mediascribe.manifest import batch
from mediascribe.media.tokens import facts_of, text_expected

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from mediascribe.domain import Item
    from mediascribe.media.tokens import Facts
    from mediascribe.plan import Plan
    from mediascribe.prompt import Prompt

SAMPLED_ROWS: Final = 5_000  # of each stratum
_NARROW: Final = ["reason", "media_kinds", "problem_code", "row_number", "leader"]
_WIDE: Final = [*batch.ITEMS.names]


@dataclass(frozen=True, slots=True)
class Kind:
    """What rows have in common that weigh alike: the kinds of their media, and how many those are."""

    name: str
    media: int

    def __str__(self) -> str:
        return self.name if self.media == self.name.count("+") + 1 else f"{self.name} ({self.media} media)"


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One row of the sample: its text in tokens, and what is known of each of its media."""

    item: Item
    text: int
    facts: tuple[Facts, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Stratum:
    """Rows that are asked for one reason about media of one kind. `sample` stands for all `rows` of them.

    `kind` is None for rows that are not asked themselves, which cost nothing. `error_class` is that of failed rows.
    """

    reason: str
    kind: Kind | None
    rows: float
    sample: list[Row] = field(default_factory=list)
    error_class: str | None = None


def kind_of(kinds: Sequence[str]) -> Kind:
    """The kind of a row with media of *kinds*."""
    return Kind("+".join(kind for kind in MEDIA_KINDS if kind in kinds), len(kinds))


def read(plan: Plan, asked: Prompt, *, most: int = SAMPLED_ROWS) -> list[Stratum]:
    """The strata of *plan*, whose rows are asked with the prompt *asked*."""
    codes, names = _codes(plan)
    rng = np.random.default_rng(0)
    chosen: dict[int, int] = {}
    for code in range(len(names)):
        places = np.flatnonzero(codes == code)
        if names[code][1] is not None:
            drawn = places if len(places) <= most else np.sort(rng.choice(places, most, replace=False))
            chosen |= dict.fromkeys(drawn.tolist(), code)
    strata = [
        Stratum(reason=reason, kind=kind, rows=int((codes == code).sum())) for code, (reason, kind) in enumerate(names)
    ]
    spoiled = [0] * len(names)
    for code, item in _items(plan, chosen):
        if row := _row(item, asked):
            strata[code].sample.append(row)
        else:
            spoiled[code] += 1
    return list(_without(strata, spoiled))


def _codes(plan: Plan) -> tuple[np.ndarray[Any, np.dtype[np.int32]], list[tuple[str, Kind | None]]]:
    """The stratum of each row of *plan* as a number, and what each number means."""
    numbers: dict[tuple[str, Kind | None], int] = {}
    codes: list[np.ndarray[Any, np.dtype[np.int32]]] = [np.empty(0, np.int32)]
    with pq.ParquetFile(plan.path) as file:
        for rows in file.iter_batches(columns=_NARROW):
            joined = pc.binary_join(rows["media_kinds"], "+")
            follows = pc.greater(rows["row_number"], pc.coalesce(rows["leader"], rows["row_number"]))
            problem = pc.if_else(pc.or_(pc.is_valid(rows["problem_code"]), follows), "x", "")
            words = pc.binary_join_element_wise(rows["reason"], joined, problem, "|").dictionary_encode()
            mapped = [numbers.setdefault(_meant(word), len(numbers)) for word in words.dictionary.to_pylist()]
            codes.append(np.asarray(mapped, np.int32)[np.asarray(words.indices)])
    return np.concatenate(codes), list(numbers)


def _meant(word: str) -> tuple[str, Kind | None]:
    reason, kinds, problem = word.split("|")
    return reason, None if problem else kind_of(kinds.split("+"))


def _items(plan: Plan, chosen: dict[int, int]) -> Iterator[tuple[int, Item]]:
    """The rows whose places are *chosen*, each with its stratum."""
    places = np.asarray(sorted(chosen), np.int64)
    start = 0
    with pq.ParquetFile(plan.path) as file:
        for group in range(file.num_row_groups):
            end = start + file.metadata.row_group(group).num_rows
            here = places[np.searchsorted(places, start) : np.searchsorted(places, end)]
            if len(here):
                table = file.read_row_group(group, columns=[n for n in _WIDE if n in file.schema_arrow.names])
                for place, row in zip(here.tolist(), table.take(here - start).to_pylist(), strict=True):
                    yield chosen[place], batch.item(row)
            start = end


def _row(item: Item, asked: Prompt) -> Row | None:
    """*item* with what is known before it is sent; None where its prompt cannot be written, so it will be skipped."""
    try:
        text, system = prompt.render(asked, item.variables)
    except ValueError:
        return None
    weight = text_expected(text) + (text_expected(system) if system else 0)
    return Row(item=item, text=weight, facts=tuple(facts_of(media) for media in item.media))


def _without(strata: list[Stratum], spoiled: list[int]) -> Iterator[Stratum]:
    """*strata*, with those rows of each apart whose prompt cannot be written."""
    for stratum, lost in zip(strata, spoiled, strict=True):
        cut = stratum.rows * lost / (lost + len(stratum.sample)) if lost else 0
        if stratum.rows > cut:
            yield Stratum(reason=stratum.reason, kind=stratum.kind, rows=stratum.rows - cut, sample=stratum.sample)
        if cut:
            yield Stratum(reason=stratum.reason, kind=None, rows=cut)
