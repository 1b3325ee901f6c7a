"""Builders of the nouns, as fixtures: what a test does not name is plain and plausible."""

from __future__ import annotations

from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pytest

from mediascribe.columns import RunFacts
from mediascribe.domain import Completion, Cost, Failure, Item, Media, Record, Shard, Usage
from mediascribe.part import write_part
from mediascribe.store import Store, open_store

RUN_ID = "20261123T014500Z-3fa9c1"


@pytest.fixture(scope="session")
def build() -> SimpleNamespace:
    """One builder for each noun: `build.item("a")`, `build.record("a", outcome=build.failure())`."""
    return SimpleNamespace(
        item=_item, usage=_usage, completion=_completion, failure=_failure, record=_record, shard=_shard, facts=_facts
    )


@pytest.fixture
def store(tmp_path) -> Store:
    """An empty output folder."""
    return open_store(str(tmp_path / "out"))


@pytest.fixture
def bucket_store(tmp_path, monkeypatch):
    """An empty output in a bucket that lives in memory."""
    monkeypatch.setenv("MEDIASCRIBE_WORK", str(tmp_path / "work"))
    return open_store("memory://bucket/out")


@pytest.fixture(params=["local", "memory"])
def any_store(request, tmp_path):
    """An empty output of each kind."""
    return open_store(str(tmp_path / "out")) if request.param == "local" else request.getfixturevalue("bucket_store")


@pytest.fixture
def publish(store):
    """`publish(records, run_id=..., number=..., carry=..., model=...)`: write them as one part, and give its name."""

    def _publish(records: list[Record], *, number: int = 0, **facts: Any) -> str:
        run = _facts(**facts)
        return write_part(store, run, _shard(run.run_id, number, rows=len(records)), records)

    return _publish


def _item(item_id: str = "a", row_number: int = 1, **changes: Any) -> Item:
    media = (Media(kind="image", url=f"https://cdn.example/{item_id}.jpg"),)
    return Item(**{"item_id": item_id, "row_number": row_number, "media": media} | changes)


def _usage(**changes: Any) -> Usage:
    counts = {"prompt_tokens": 263, "prompt_text_tokens": 5, "prompt_image_tokens": 258, "completion_tokens": 20}
    return Usage(**counts | {"total_tokens": 283, "source": "reported", "raw": "{}"} | changes)


def _completion(**changes: Any) -> Completion:
    return Completion(**{"status": "ok", "text": "A red square.", "usage": _usage(), "finish_reason": "stop"} | changes)


def _failure(**changes: Any) -> Failure:
    return Failure(**{"error_class": "media", "message": "HTTP 404 at https://cdn.example/a.jpg"} | changes)


def _record(item_id: str = "a", row_number: int = 1, *, nano_usd: int | None = None, **changes: Any) -> Record:
    """*nano_usd* is the cost; the item's own fields go into `item=`."""
    fields = {
        "item": _item(item_id, row_number),
        "reason": "new",
        "outcome": _completion(),
        "request_key": f"key-{item_id}",
        "cost": None if nano_usd is None else Cost(nano_usd=nano_usd, price_version="2026-11-01"),
        "attempts": 1,
        "requested_at": datetime(2026, 11, 23, 1, 45, 0, tzinfo=UTC),
        "completed_at": datetime(2026, 11, 23, 1, 45, 1, 250_000, tzinfo=UTC),
        "latency_s": 1.25,
    }
    return Record(**fields | changes)


def _shard(run_id: str = RUN_ID, number: int = 0, *, rows: int = 1) -> Shard:
    return Shard(run_id=run_id, number=number, rows=rows, plan_path="_work/plans/plan.parquet")


def _facts(**changes: Any) -> RunFacts:
    fields = {
        "run_id": RUN_ID,
        "job": "demo",
        "model": "gemini-2.0-flash",
        "dialect": "chat",
        "prompt_id": "default",
        "prompt_sha256": "9" * 64,
        "parameters_sha256": "8" * 64,
        "carry": {},
    }
    return RunFacts(**fields | changes)
