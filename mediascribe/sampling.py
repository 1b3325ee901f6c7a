"""Sampling: some rows of a manifest that stand for all of it, and what all of it would come to at their rate."""

from __future__ import annotations

import tempfile
from collections import Counter, defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import msgspec
import pyarrow.compute as pc

from mediascribe import plan, takedown
from mediascribe.domain import MEDIA_KINDS
from mediascribe.plan import Order
from mediascribe.store import LocalStore

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    import pyarrow as pa

    from mediascribe.domain import Item
    from mediascribe.inputs import Inputs
    from mediascribe.manifest.listing import Items

    Row = Mapping[str, Any]

_ANSWERED = ("ok", "truncated", "refused")


@dataclass(frozen=True, slots=True, kw_only=True)
class Draw:
    """How many rows to draw; another seed draws others."""

    rows: int = 20
    seed: int = 0


class Estimate(msgspec.Struct, frozen=True, kw_only=True):
    """What all `rows` of a manifest come to at the rate of a sample, kind by kind; None where nobody can tell.

    `unasked` names the kinds of which no row was asked.
    """

    rows: int
    cost_usd: float | None
    tokens: int | None
    unasked: list[str] = []


def draw(inputs: Inputs, wanted: Draw) -> list[Item]:
    """Rows of the manifest in its order, drawn at random, of each kind of media its share, one at least.

    They are drawn from all rows, whether they have a result or not, but for those that were taken down. Their problems
    are those of the rows themselves: what a model cannot take is not looked at.
    """
    with tempfile.TemporaryDirectory(prefix="mediascribe-") as folder:
        place = LocalStore(root=Path(folder))
        place.prepare()
        order = Order(
            reasons=("new",),
            shard_rows=max(wanted.rows, 1),
            config_sha256="",
            sample=wanted.rows,
            seed=wanted.seed,
            forgotten=takedown.forgotten(inputs.store),
        )
        made = plan.make(inputs.manifest.checked(lambda _: None), inputs.facts(), order, place)
        return [item for shard in made.shards for item in plan.items(shard)]


def kinds(items: Items) -> dict[str | None, int]:
    """How many rows there are of each kind of media, as the column `media_kind` names it."""
    counts: Counter[str | None] = Counter()
    for batch in items.batches():
        joined = cast("list[str]", cast("pa.Array[Any]", pc.binary_join(batch["media_kinds"], "+")).to_pylist())
        for words, rows in Counter(joined).items():
            there = words.split("+")
            counts["+".join(kind for kind in MEDIA_KINDS if kind in there) or None] += rows
    return dict(counts)


def estimate(sample: Iterable[Row], counts: Mapping[str | None, int]) -> Estimate:
    """What a manifest with *counts* rows of each kind comes to, at what rows of that kind came to in *sample*.

    A kind without a row in *sample*, and a row that was billed and has no price, leave the cost unknown.
    """
    by_kind: dict[str | None, list[Row]] = defaultdict(list)
    for row in sample:
        by_kind[row["media_kind"]].append(row)
    total = sum(counts.values())
    if unasked := [kind or "no media" for kind in counts if kind not in by_kind]:
        return Estimate(rows=total, cost_usd=None, tokens=None, unasked=unasked)
    nano_usd, tokens = 0.0, 0.0
    priced = True
    for kind, rows in counts.items():
        alike = by_kind[kind]
        known = nano_usd_of(alike)
        priced = priced and known is not None
        nano_usd += (known or 0) / len(alike) * rows
        tokens += sum(row["total_tokens"] + row["wasted_tokens"] for row in alike) / len(alike) * rows
    return Estimate(rows=total, cost_usd=round(nano_usd) / 1e9 if priced else None, tokens=round(tokens))


def nano_usd_of(rows: Iterable[Row]) -> int | None:
    """What *rows* cost together, in nano-dollars; None where one was billed and has no price."""
    total = 0
    for row in rows:
        if row["cost_usd"] is not None:
            total += round(row["cost_usd"] * 1e9)
        elif row["usage_source"] != "missing" or row["status"] in _ANSWERED:
            return None
    return total
