"""Lessons: what earlier results of the same job weighed, and what they, or the manifest, tell of the media to come."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from mediascribe import dataset
from mediascribe.columns import SCHEMA
from mediascribe.forecast.strata import Kind
from mediascribe.media.tokens import Facts, facts_of
from mediascribe.part import read_part

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from mediascribe.domain import Media
    from mediascribe.forecast.strata import Row, Stratum
    from mediascribe.manifest.listing import Items
    from mediascribe.store import Store

LESSON_ROWS: Final = 20_000  # the newest
_READ: Final = (
    *("item_id", "job", "media_kind", "media_urls", "model", "prompt_sha256", "status", "error_class", "flags"),
    *("prompt_tokens", "completion_tokens", "total_tokens", "wasted_tokens", "attempts", "usage_source", "latency_s"),
    *("prompt_text_tokens", "prompt_image_tokens", "prompt_audio_tokens", "prompt_video_tokens"),
    *("media_width", "media_height", "media_seconds"),
)
_WANTED: Final = pa.schema([SCHEMA.field(name) for name in _READ])
_NOTHING: Final = Facts()
_ANOTHER_QUESTION: Final = frozenset({"fallback", "longer", "repaired"})
# Columns of a manifest that say what a medium is like, in any case of letters.
FACT_COLUMNS: Final[Mapping[str, str]] = {
    "width": "width",
    "media_width": "width",
    "height": "height",
    "media_height": "height",
    "seconds": "seconds",
    "duration": "seconds",
    "duration_s": "seconds",
    "media_seconds": "seconds",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What one earlier row weighed: all that it was billed for, wasted attempts included; nothing if it was not billed.

    `text` is None where the answer did not say. `split` has the image, audio and video tokens of the prompt.
    """

    item_id: str
    kind: Kind
    model: str
    same_prompt: bool
    prompt: float
    text: int | None
    completion: float
    split: tuple[int, int, int]
    attempts: int
    facts: Facts


@dataclass(slots=True, kw_only=True)
class Lessons:
    """What the results tell: rows to learn from; and of items in question, the class of failure, and their facts."""

    seen: list[Seen] = field(default_factory=list)
    error_classes: dict[str, str | None] = field(default_factory=dict)
    facts: dict[str, Facts] = field(default_factory=dict)


def learn(store: Store, job: str, prompt_sha256: str, items: Collection[str]) -> Lessons:
    """Learn from the newest results of *job* in *store*; *items* are the ids of rows that have a result already.

    Raises:
        CorruptError: a part cannot be read.
    """
    lessons, waiting = Lessons(), pa.array(sorted(items), pa.string())
    rng = np.random.default_rng(0)
    for name in reversed(dataset.parts(store)):
        if len(lessons.seen) >= LESSON_ROWS and not len(waiting):
            break
        table = read_part(store, name, _WANTED)
        if len(waiting):
            _look_up(lessons, table.filter(pc.is_in(table["item_id"], waiting)).to_pylist())
        if (room := LESSON_ROWS - len(lessons.seen)) > 0:
            asked = table.filter((pc.field("job") == job) & (pc.field("attempts") > 0))
            if len(asked) > room:
                asked = asked.take(np.sort(rng.choice(len(asked), room, replace=False)))
            lessons.seen += [one for row in asked.to_pylist() if (one := _seen(row, prompt_sha256))]
    return lessons


def sharpen(strata: Sequence[Stratum], lessons: Lessons, items: Items) -> tuple[list[Stratum], list[Seen]]:
    """*strata* and what was *seen*, with all that is known of their media; failed rows by their class.

    The manifest is read once more, if it has columns of facts, or media in itself.

    Raises:
        ConfigError: the manifest cannot be read.
    """
    told = _told(strata, lessons, items)
    sharper = [_by_class(_known(stratum, told, lessons.facts), lessons) for stratum in strata]
    seen = [_with_facts(one, told.get(one.item_id)) for one in lessons.seen]
    return [one for some in sharper for one in some], seen


def _look_up(lessons: Lessons, rows: list[dict[str, Any]]) -> None:
    """Remember of *rows*, newest first, the class of failure and the facts of each item."""
    for row in reversed(rows):
        lessons.error_classes.setdefault(row["item_id"], row["error_class"])
        facts = _facts(row)
        if facts != _NOTHING:
            lessons.facts.setdefault(row["item_id"], facts)


def _facts(row: Mapping[str, Any]) -> Facts:
    return Facts(width=row["media_width"], height=row["media_height"], seconds=row["media_seconds"])


def _seen(row: Mapping[str, Any], prompt_sha256: str) -> Seen | None:
    """What *row* teaches; None where nobody knows what it was billed for, or it had a second question."""
    unknown = row["usage_source"] == "missing" and row["status"] != "failed"
    if unknown or _ANOTHER_QUESTION.intersection(row["flags"] or ()):
        return None
    billed = row["total_tokens"]
    more = 1 + row["wasted_tokens"] / billed if billed else 0.0
    split = tuple(row[f"prompt_{kind}_tokens"] for kind in ("image", "audio", "video"))
    text = row["prompt_text_tokens"]
    return Seen(
        item_id=row["item_id"],
        kind=Kind(row["media_kind"] or "", len(row["media_urls"] or ())),
        model=row["model"],
        same_prompt=row["prompt_sha256"] == prompt_sha256,
        prompt=row["prompt_tokens"] * more if billed else float(row["wasted_tokens"]),
        text=text if sum(split) and text else None,
        completion=row["completion_tokens"] * more,
        split=split,
        attempts=row["attempts"],
        facts=_facts(row),
    )


def _told(strata: Sequence[Stratum], lessons: Lessons, items: Items) -> dict[str, Facts]:
    """What the manifest says about the media of the rows in question, by item: its columns, and data URLs."""
    rows = [row for stratum in strata for row in stratum.sample]
    inline = any(facts != _NOTHING for row in rows for facts in row.facts)
    columns = {name: FACT_COLUMNS[name.casefold()] for name in items.columns if name.casefold() in FACT_COLUMNS}
    if not columns and not (inline and lessons.seen):
        return {}
    wanted = pa.array(sorted({row.item.item_id for row in rows}.union(one.item_id for one in lessons.seen)))
    told: dict[str, Facts] = {}
    for some in items.batches(tuple(columns)):
        kept = some.filter(pc.is_in(some["item_id"], wanted))
        extra = [kept.column(len(kept.schema) - len(columns) + place).to_pylist() for place in range(len(columns))]
        for row, *cells in zip(kept.to_pylist(), *extra, strict=True):
            facts = _of_cells(dict(zip(columns.values(), cells, strict=True)))
            if facts == _NOTHING and len(row["media_urls"]) == 1 and row["media_urls"][0][:5].lower() == "data:":
                facts = facts_of(_media(row))
            told.setdefault(row["item_id"], facts)
    return told


def _media(row: Mapping[str, Any]) -> Media:
    from mediascribe.manifest import batch  # noqa: PLC0415 - for rows with their media in them only

    return batch.item(row).media[0]


def _of_cells(cells: Mapping[str, Any]) -> Facts:
    numbers = {name: number for name, cell in cells.items() if (number := _number(cell)) is not None}
    sides = {name: round(number) for name, number in numbers.items() if name != "seconds" and number >= 1}
    return Facts(width=sides.get("width"), height=sides.get("height"), seconds=numbers.get("seconds"))


def _number(cell: object) -> float | None:
    """A number above 0 and below a million; None for anything else."""
    try:
        number = float(cell)  # type: ignore[arg-type]  # whatever a manifest has
    except (TypeError, ValueError):
        return None
    return number if 0 < number < 1e6 else None  # noqa: PLR2004 - neither pixels nor seconds beyond


def _known(stratum: Stratum, told: Mapping[str, Facts], found: Mapping[str, Facts]) -> Stratum:
    """*stratum* with facts by item: of a row with one medium, what the manifest or an earlier result says."""
    return replace(stratum, sample=[_with_own(row, told, found) for row in stratum.sample])


def _with_own(row: Row, told: Mapping[str, Facts], found: Mapping[str, Facts]) -> Row:
    if len(row.facts) != 1:
        return row
    of_item = row.item.item_id
    facts = next((one for one in (*row.facts, told.get(of_item), found.get(of_item)) if one and one != _NOTHING), None)
    return replace(row, facts=(facts,)) if facts else row


def _with_facts(one: Seen, facts: Facts | None) -> Seen:
    return replace(one, facts=facts) if facts and one.kind.media == 1 and one.facts == _NOTHING else one


def _by_class(stratum: Stratum, lessons: Lessons) -> list[Stratum]:
    """*stratum* once for each class of failure in it."""
    if stratum.reason != "failed" or not stratum.sample:
        return [stratum]
    found: dict[str | None, list[Row]] = {}
    for row in stratum.sample:
        found.setdefault(lessons.error_classes.get(row.item.item_id), []).append(row)
    share = stratum.rows / len(stratum.sample)
    return [
        replace(stratum, rows=len(rows) * share, sample=rows, error_class=name)
        for name, rows in sorted(found.items(), key=lambda one: one[0] or "")
    ]
