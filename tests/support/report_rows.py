"""Outputs for reports: rows with a date, a model, a status and a cost, written as real parts."""

from __future__ import annotations

import random
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Any

from mediascribe.columns import RunFacts
from mediascribe.domain import Completion, Cost, Failure, Item, Media, Record, Shard, Usage
from mediascribe.part import write_part

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mediascribe.store import Store

MODELS = ("gemini-2.0-flash", "gemini-2.5-flash", "gpt-4o-mini")
KINDS = ("image", "image", "image", "audio", "video")
WORDS = ("red", "square", "white", "table", "beside", "an", "old", "door", "light", "left", "two", "people", "wait")


def run_id(day: date, number: int = 0) -> str:
    """The id of a run that began on *day* at two o'clock."""
    return f"{day:%Y%m%d}T020000Z-{number:06d}a1b2"


def row(item_id: str, day: date, *, nano_usd: int | None = 100_000, url: str | None = None, **changes: Any) -> Record:
    """An answered image row of *day* which costs *nano_usd*; *changes* are the record's own fields."""
    at = datetime(day.year, day.month, day.day, 2, 30, tzinfo=UTC)
    usage = Usage(prompt_tokens=263, prompt_image_tokens=258, completion_tokens=20, total_tokens=283, source="reported")
    fields = {
        "item": Item(
            item_id=item_id,
            row_number=1,
            media=(Media(kind="image", url=f"https://cdn.example/{item_id}.jpg" if url is None else url),),
        ),
        "reason": "new",
        "outcome": Completion(status="ok", text=f"What {item_id} shows.", usage=usage),
        "cost": None if nano_usd is None else Cost(nano_usd=nano_usd, price_version="2026-01-01"),
        "attempts": 1,
        "requested_at": at,
        "completed_at": at + timedelta(seconds=2),
        "latency_s": 2.0,
    }
    return Record(**fields | changes)


def write(store: Store, day: date, records: Sequence[Record], *, number: int = 0, **facts: Any) -> str:
    """Write *records* as the run *number* of *day*, and give its id."""
    run = RunFacts(
        **{
            "run_id": run_id(day, number),
            "job": "captions",
            "model": MODELS[0],
            "dialect": "chat",
            "prompt_id": "describe",
            "prompt_sha256": "9" * 64,
            "parameters_sha256": "8" * 64,
            "carry": {},
        }
        | facts
    )
    shard = Shard(run_id=run.run_id, number=0, rows=len(records), plan_path="_work/plans/plan.parquet")
    write_part(store, run, shard, records)
    return run.run_id


def write_many(store: Store, rows: int, *, days: Sequence[date]) -> None:
    """Write *rows* different rows over *days*: several models, kinds and statuses, and here and there a dear one."""
    chance = random.Random(7)  # noqa: S311 - seeded, to be the same each time
    each = rows // len(days)
    for number, day in enumerate(days):
        first = number * each
        count = rows - first if number == len(days) - 1 else each
        records = [_one(first + place, day, chance) for place in range(count)]
        write(store, day, records, model=MODELS[number % 5 % 3])


def _one(number: int, day: date, chance: random.Random) -> Record:
    kind = chance.choice(KINDS)
    words = " ".join(chance.choices(WORDS, k=chance.choice((8, 30, 60, 140))))
    tokens, answer = chance.randint(250, 1900), len(words.split()) + 3
    usage = Usage(prompt_tokens=tokens, completion_tokens=answer, total_tokens=tokens + answer, source="reported")
    told = chance.random()
    outcome: Completion | Failure = Completion(status="ok", text=f"{words.capitalize()}.", usage=usage)
    if told < 0.03:
        outcome = Failure(
            error_class="media", code="not_found", http_status=404, message="HTTP 404 at https://cdn.example"
        )
    elif told < 0.04:
        outcome = Completion(status="refused", text="I cannot help with that.", usage=usage)
    elif told < 0.06:
        outcome = Completion(status="truncated", text=words, usage=usage, flags=("usage_inconsistent",))
    media = (Media(kind=kind, url=f"https://cdn{number % 4}.example.com/{kind}/{number:06d}"),)
    dear = 40 if number % 1777 == 5 else 1
    billed = isinstance(outcome, Completion)
    return row(
        f"item-{number:06d}",
        day,
        nano_usd=(tokens * 100 + answer * 400) * dear if billed else None,
        item=Item(item_id=f"item-{number:06d}", row_number=number + 1, media=media),
        outcome=outcome,
        latency_s=round(chance.uniform(0.6, 6.0), 3),
    )
