"""What each step of a row costs by itself, on one core: no gateway, no event loop.

    python tests/bench/parts.py [--rows N] [--folder FOLDER]

A row's request is encoded, two entries go to the journal (with fdatasync once a second, as in a run), the answer is
decoded and priced, the record becomes a row of an Arrow table, and that is published as a part. A few rows go first,
for what is loaded once is not measured. CPU is this process's, user and system; the clock has what the disk takes
beside it: name a folder on the disk that counts.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pyarrow as pa
from stub import ANSWER
from tables import head, row, say

from mediascribe import pricing
from mediascribe.case import Case
from mediascribe.columns import RunFacts, schema, to_batch
from mediascribe.domain import Item, Media, Request, Shard
from mediascribe.journal import Answered, Journal, Sent, replay
from mediascribe.part import write_part
from mediascribe.store import open_store
from mediascribe.wire import DIALECTS, Answer

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from mediascribe.domain import Record
    from mediascribe.pricing import PriceBook

MODEL: Final = "gemini-2.0-flash"
SYNC_EVERY_S: Final = 1.0
WARM_ROWS: Final = 500
BATCH_ROWS: Final = 128  # as a shard makes them of its records
FACTS: Final = RunFacts(
    run_id="20261123T014500Z-3fa9c1",
    job="bench",
    model=MODEL,
    dialect="chat",
    prompt_id="default",
    prompt_sha256="9" * 64,
    parameters_sha256="8" * 64,
    carry={},
)
ANSWERED: Final = Answer(
    status=200,
    headers={"content-type": "application/json", "x-oneapi-request-id": "2026112301450012345678AbCdEfGh"},
    body=ANSWER.encode(),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Took:
    """What a step took for all rows."""

    seconds: float
    cpu_s: float


def main() -> None:
    """Measure each step, and print a table."""
    asked = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    asked.add_argument("--rows", type=int, default=100_000)
    asked.add_argument("--folder", type=Path, help="where journal and part are written; default: a temporary folder")
    told = asked.parse_args()
    say(f"\n{told.rows:,} rows; an answer has {len(ANSWERED.body):,} bytes.")
    head("step", "CPU us/row", "us/row by the clock", "s for 100,000 rows")
    with tempfile.TemporaryDirectory(dir=told.folder) as folder:
        through(WARM_ROWS, Path(folder) / "warm")
        for step, took in through(told.rows, Path(folder)).items():
            _print(step, told.rows, took)


def through(rows: int, folder: Path) -> dict[str, Took]:
    """Take *rows* rows through every step, one step after the other; what each took."""
    items = [_item(number) for number in range(1, rows + 1)]
    requests = [_request(item) for item in items]
    prices, records, tables = pricing.load(), [], []
    shard, store = Shard(run_id=FACTS.run_id, number=0, rows=rows, plan_path=""), open_store(str(folder / "out"))
    chat = DIALECTS["chat"]
    steps: dict[str, Callable[[], object]] = {
        "request encoded": lambda: [chat.encode(request) for request in requests],
        "journal, two entries": lambda: written(requests, folder / "journal"),
        "journal read again": lambda: replay(folder / "journal"),
        "answer decoded": lambda: [chat.decode(ANSWERED, request) for request in requests],
        "answer decoded, priced, made a record": lambda: records.extend(recorded(items, requests, prices)),
        "record to Arrow": lambda: tables.append(packed(shard, records)),
        "part published": lambda: write_part(store, FACTS, shard, tables[0]),
    }
    return {name: timed(step) for name, step in steps.items()}


def written(requests: Sequence[Request], folder: Path) -> None:
    """A journal of what was sent and answered, synced once a second."""
    with Journal(folder) as log:
        due_s = time.monotonic() + SYNC_EVERY_S
        for number, request in enumerate(requests, 1):
            log.append(Sent(row=number, key=request.key, at=time.time(), nano_usd=150_000, tokens=1_500))
            log.append(Answered.of(number, ANSWERED, at=time.time(), latency_s=0.05))
            if time.monotonic() >= due_s:
                log.sync()
                due_s = time.monotonic() + SYNC_EVERY_S


def recorded(items: Sequence[Item], requests: Sequence[Request], prices: PriceBook) -> list[Record]:
    """The records of rows that were asked once, and answered."""
    records, now = [], datetime.now(UTC).timestamp()
    for item, request in zip(items, requests, strict=True):
        case = Case(item, "new", request, prices)
        case.sent(Sent(row=item.row_number, key=case.key, at=now, nano_usd=150_000, tokens=1_500))
        case.answered(Answered.of(item.row_number, ANSWERED, at=now, latency_s=0.05))
        records.append(case.record())
    return records


def packed(shard: Shard, records: Sequence[Record]) -> pa.Table:
    """*records* as a table, made a few at a time."""
    starts = range(0, len(records), BATCH_ROWS)
    batches = [to_batch(FACTS, shard, records[start : start + BATCH_ROWS]) for start in starts]
    return pa.Table.from_batches(batches, schema(FACTS.carry)).combine_chunks()


def timed(step: Callable[[], object]) -> Took:
    """What *step* takes."""
    began, worked = time.perf_counter(), time.process_time()
    step()
    return Took(seconds=time.perf_counter() - began, cpu_s=time.process_time() - worked)


def _print(step: str, rows: int, took: Took) -> None:
    each_us = 1e6 / rows
    row(step, f"{took.cpu_s * each_us:.1f}", f"{took.seconds * each_us:.1f}", f"{took.seconds / rows * 1e5:.2f}")


def _item(number: int) -> Item:
    media = Media(kind="image", url=f"https://cdn.example.com/images/{number}.jpg")
    return Item(item_id=f"i{number}", row_number=number, media=(media,))


def _request(item: Item) -> Request:
    prompt = f"Describe the picture. Title: item {item.row_number}."
    return Request(
        model=MODEL,
        dialect="chat",
        prompt=prompt,
        media=item.media,
        identity=item.media,
        parameters={"max_tokens": 300},
    )


if __name__ == "__main__":
    main()
