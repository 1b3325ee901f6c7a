"""What a cost table takes: seconds and peak memory, over parts of 10^6 and 10^7 rows in 30 days, of 3 models.

    python tests/bench/cost.py                # 10^6
    python tests/bench/cost.py 10000000       # 10^7: about 1.5 GB in the temporary folder, some minutes to make

Each table is made in a process of its own, twice; the second time the parts are in the system's cache.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from datetime import date
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from tables import head, row, say

from mediascribe import cost
from mediascribe.columns import SCHEMA
from mediascribe.part import ROW_GROUP_ROWS

PART_ROWS = 100_000
MODELS = ("gemini-2.0-flash", "gemini-2.5-flash", "gpt-4o-mini")
KINDS = ("image", "audio", "video", "image+audio")
SHARED = 0.02  # rows that have the answer of another
STATUSES = ("ok", "truncated", "refused", "failed")
VERSIONS = ("2025-02-05 google", "genai-prices-0.2.3", "genai-prices-0.2.3")
WORDS = [
    "a",
    "red",
    "square",
    "on",
    "a",
    "white",
    "table",
    "beside",
    "an",
    "old",
    "door",
    "with",
    "light",
    "from",
    "the",
    "left",
    "and",
    "two",
    "people",
    "who",
    "wait",
]
QUESTIONS = {
    "by day, model, media_kind": {"by": ["day", "model", "media_kind"]},
    "by model, one week": {"by": ["model"], "since": date(2026, 10, 8), "until": date(2026, 10, 14)},
    "by model, where": {"by": ["model"], "where": "media_kind = 'audio' and latency_s > 2"},
    "by prompt_id, job, status": {"by": ["prompt_id", "job", "status"]},
}


def main() -> None:
    """Make the parts, and print what each question takes."""
    asked = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    asked.add_argument("rows", type=int, nargs="*", default=[1_000_000])
    asked.add_argument("--ask", nargs=2, metavar=("OUTPUT", "QUESTION"), help=argparse.SUPPRESS)
    given = asked.parse_args()
    if given.ask:
        sys.stdout.write(json.dumps(asked_once(given.ask[0], QUESTIONS[given.ask[1]])))
        return
    for rows in given.rows:
        with tempfile.TemporaryDirectory(prefix="cost-bench-") as folder:
            make(Path(folder), rows)
            size = sum(path.stat().st_size for path in Path(folder).rglob("*.parquet"))
            say(f"\n{rows:,} rows, {size / 1e6:,.0f} MB")
            head("question", "lines", "s", "CPU s", "peak MB")
            for name in QUESTIONS:
                for _ in range(2):
                    print_one(folder, name)


def print_one(folder: str, name: str) -> None:
    """Ask one question in a process of its own, and print what it took: one row of the table."""
    command = [sys.executable, __file__, "--ask", folder, name]
    seen = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    row(name, f"{seen['lines']:,}", f"{seen['seconds']:.2f}", f"{seen['cpu_s']:.2f}", f"{seen['peak_mb']:,.0f}")


def asked_once(output: str, question: dict) -> dict:
    """The seconds of one question, and the process's peak memory; imports are not counted, their memory is."""
    import duckdb  # noqa: F401, PLC0415 - imported before the clock starts
    import pandas as pd  # noqa: F401, PLC0415 - likewise

    rows = cost.Rows(**{key: value for key, value in question.items() if key != "by"})
    began, worked = time.perf_counter(), time.process_time()
    frame = cost.cost_table([output], by=question["by"], rows=rows)
    seconds, cpu_s = time.perf_counter() - began, time.process_time() - worked
    # Not ru_maxrss, which a child takes over from the process that started it.
    status = Path("/proc/self/status").read_text(encoding="ascii")
    peak_mb = int(status.partition("VmHWM:")[2].split()[0]) / 1024
    return {"seconds": seconds, "cpu_s": cpu_s, "peak_mb": peak_mb, "lines": len(frame)}


def make(folder: Path, rows: int) -> None:
    """Parts of *rows* rows in all, as the product writes them."""
    rng = np.random.default_rng(7)
    texts = [" ".join(rng.choice(WORDS, 40)) for _ in range(2_000)]
    parts = max(1, rows // PART_ROWS)
    for part in range(parts):
        day = part * 30 // parts
        run_id = f"202610{day + 1:02}T010000Z-{part:06x}"
        path = folder / "results/v1" / f"date=2026-10-{day + 1:02}" / f"{run_id}-00000.parquet"
        path.parent.mkdir(parents=True, exist_ok=True)
        columns = of_part(rng, texts, run_id, min(PART_ROWS, rows))
        count = len(columns["item_id"])
        filled = [pa.array(columns.get(field.name, [None] * count), field.type) for field in SCHEMA]
        pq.write_table(
            pa.Table.from_arrays(filled, schema=SCHEMA),
            path,
            row_group_size=ROW_GROUP_ROWS,
            compression="zstd",
            compression_level=3,
            write_page_index=True,
            write_page_checksum=True,
        )


def of_part(rng: np.random.Generator, texts: list[str], run_id: str, rows: int) -> dict:
    """The columns of one part that are not null."""
    which = int(rng.integers(len(MODELS)))
    kinds = rng.integers(0, len(KINDS), rows)
    statuses = rng.choice(len(STATUSES), rows, p=[0.96, 0.02, 0.01, 0.01])
    answered = statuses < 3
    text = rng.integers(5, 60, rows)
    image = np.where((kinds == 0) | (kinds == 3), 258 * rng.integers(1, 9, rows), 0)
    audio = np.where((kinds == 1) | (kinds == 3), rng.integers(50, 2000, rows), 0)
    video = np.where(kinds == 2, rng.integers(500, 9000, rows), 0)
    prompt = np.where(answered, text + image + audio + video, 0)
    written = np.where(answered, rng.integers(20, 300, rows), 0)
    started = np.datetime64(f"{run_id[:4]}-{run_id[4:6]}-{run_id[6:8]}T01:00:00", "us")
    at = started + np.sort(rng.integers(0, 20 * 3600 * 10**6, rows)).astype("timedelta64[us]")
    nano = prompt * 100 + audio * 600 * answered + written * 400
    shared = answered & (rng.random(rows) < SHARED)
    asked = answered & ~shared
    prompt, written = prompt * asked, written * asked
    zero, ids = np.zeros(rows, np.int64), [f"{run_id[9:]}-{number:06}" for number in range(rows)]
    constant = {
        "run_id": run_id,
        "job": f"job-{which}",
        "model": MODELS[which],
        "dialect": "chat",
        "prompt_id": f"prompt-{which}",
        "prompt_sha256": "9" * 64,
        "parameters_sha256": "8" * 64,
        "reason": "new",
    }
    return {
        **{name: [value] * rows for name, value in constant.items()},
        "item_id": ids,
        "request_key": [bytes(row).hex() for row in rng.integers(0, 256, (rows, 16), np.uint8)],
        "shard": zero,
        "row_number": np.arange(rows),
        "media_kind": np.array(KINDS)[kinds],
        "media_urls": [[f"https://cdn-{number % 50}.example/{name}.jpg"] for number, name in enumerate(ids)],
        "status": np.array(STATUSES)[statuses],
        "description": [texts[number] for number in rng.integers(0, len(texts), rows)],
        "prompt_tokens": prompt,
        "completion_tokens": written,
        "total_tokens": prompt + written,
        "cached_tokens": zero,
        "cache_write_tokens": zero,
        "prompt_text_tokens": text * asked,
        "prompt_image_tokens": image * asked,
        "prompt_audio_tokens": audio * asked,
        "prompt_video_tokens": video * asked,
        "completion_text_tokens": zero,
        "completion_audio_tokens": zero,
        "reasoning_tokens": zero,
        "usage_source": np.where(shared, "shared", np.where(answered, "reported", "missing")),
        "attempts": np.where(shared, 0, 1),
        "wasted_tokens": np.where(~shared & (rng.random(rows) < 0.01), 300, 0),
        "cost_usd": pa.array(np.where(shared, 0, np.round(nano / 1e9, 9)), mask=~answered),
        "answered_by": np.where(shared, ids, None),
        "saved_usd": pa.array(np.round(nano / 1e9, 9), mask=~shared),
        "price_version": np.where(answered, VERSIONS[which], None),
        "requested_at": at,
        "completed_at": at + np.timedelta64(1_500_000, "us"),
        "latency_s": rng.random(rows) * 4,
        "flags": [[]] * rows,
    }


if __name__ == "__main__":
    main()
