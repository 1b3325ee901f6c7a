"""How long a plan takes, and how much memory: N manifest rows against N results, all done but one in a thousand.

    python tests/bench/plan.py                      # 10^5, 10^6 and 10^7 rows
    python tests/bench/plan.py --rows 1000000 --folder bench-data --format csv.gz

The manifest is a folder of files with an id, a URL and a title; the results are parts of 50,000 rows with every column
of schema v1. Both are made once into the folder (about 150 bytes of disk a row), and each plan is made by a process of
its own, so that the peak of memory is the plan's. Rows that ask the same are looked for, as a job's plan does it.
"""

from __future__ import annotations

import argparse
import gzip
import hashlib
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from pyarrow import csv
from tables import head, row

from mediascribe import plan
from mediascribe.columns import SCHEMA, RunFacts
from mediascribe.domain import REASONS
from mediascribe.job_sections import ManifestSection
from mediascribe.manifest import open_manifest
from mediascribe.store import open_store

PART_ROWS = 50_000
FILE_ROWS = 1_000_000
CHANGED_EVERY = 1000
FACTS = RunFacts(
    run_id="20261102T000000Z-000000bbbb",
    job="bench",
    model="gemini-2.0-flash",
    dialect="chat",
    prompt_id="default",
    prompt_sha256="9" * 64,
    parameters_sha256="8" * 64,
    carry={},
)


def main() -> None:
    """Make what is missing, and measure."""
    asked = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    asked.add_argument("--rows", type=int, action="append", help="default: 100000, 1000000 and 10000000")
    asked.add_argument("--folder", type=Path, help="where the files are made, and kept; default: a temporary folder")
    asked.add_argument("--format", choices=["parquet", "csv", "csv.gz", "jsonl"], default="parquet")
    asked.add_argument("--new", action="store_true", help="without results: every row is asked")
    asked.add_argument("--measure", type=Path, help=argparse.SUPPRESS)
    told = asked.parse_args()
    if told.measure:
        sys.stdout.write(json.dumps(measure(told.measure, told.format, new=told.new)))
        return
    head("rows", "s", "rows/s", "CPU s", "peak GB", "last shard s", "due")
    with tempfile.TemporaryDirectory() as temporary:
        for rows in told.rows or [10**5, 10**6, 10**7]:
            folder = (told.folder or Path(temporary)) / str(rows)
            make(folder, rows, told.format, new=told.new)
            report(rows, folder, [*(["--new"] if told.new else []), "--format", told.format])


def report(rows: int, folder: Path, options: list[str]) -> None:
    """Plan in a process of its own, and print a row of the table."""
    command = [sys.executable, __file__, "--measure", str(folder), *options]
    told = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    row(
        f"{rows:,}",
        f"{told['seconds']:.1f}",
        f"{rows / told['seconds']:,.0f}",
        f"{told['cpu_s']:.1f}",
        f"{told['peak_bytes'] / 1e9:.2f}",
        f"{told['last_shard_s']:.2f}",
        ", ".join(f"{count:,} {reason}" for reason, count in told["counts"].items() if count),
    )


def measure(folder: Path, form: str, *, new: bool) -> dict[str, object]:
    """Seconds and peak memory of one plan, and the seconds until the last shard's first row is there."""
    store = open_store(str(folder / ("empty" if new else "output")))
    section = ManifestSection(path=str(folder / f"manifest-{form}"))
    started = time.perf_counter()
    order = plan.Order(reasons=REASONS, shard_rows=None, config_sha256="c" * 64, same_once=True)
    items = open_manifest(section, variables=frozenset({"title"})).checked(lambda _: None)
    made = plan.make(items, FACTS, order, store)
    planned = time.perf_counter()
    next(plan.read(made.shards[-1]))
    first = time.perf_counter()
    plan.remove(made, store)
    used = resource.getrusage(resource.RUSAGE_SELF)
    return {
        "seconds": planned - started,
        "cpu_s": used.ru_utime + used.ru_stime,
        "peak_bytes": used.ru_maxrss * 1024,
        "last_shard_s": first - planned,
        "counts": made.counts,
    }


def make(folder: Path, rows: int, form: str, *, new: bool) -> None:
    """The manifest and the results, where they are not there yet."""
    manifest = folder / f"manifest-{form}"
    if not manifest.exists():
        manifest.mkdir(parents=True)
        for number, start in enumerate(range(0, rows, FILE_ROWS)):
            table = items(start, min(start + FILE_ROWS, rows))
            write(table, manifest / f"items-{number:04}.{form}")
    parts = folder / "output/results/v1/date=2026-11-01"
    if not new and not parts.exists():
        parts.mkdir(parents=True)
        for number, start in enumerate(range(0, rows, PART_ROWS)):
            table = results(items(start, min(start + PART_ROWS, rows)), start)
            name = f"20261101T000000Z-000000aaaa-{number:05}.parquet"
            pq.write_table(table, parts / name, compression="zstd", compression_level=3, write_page_checksum=True)


def items(start: int, end: int) -> pa.Table:
    """Rows as a site has them: an id of 20 characters, a URL of 100, a title."""
    numbers = range(start, end)
    marks = [hashlib.md5(number.to_bytes(8, "big"), usedforsecurity=False).hexdigest() for number in numbers]
    return pa.table(
        {
            "item_id": [f"sku-{mark[:16]}" for mark in marks],
            "image_url": [
                f"https://cdn{mark[0]}.example.com/media/2026/{mark[:2]}/{mark}/picture-large.jpg" for mark in marks
            ],
            "title": [f"Picture {number} of {mark[:6]}" for number, mark in zip(numbers, marks, strict=True)],
        }
    )


def write(table: pa.Table, path: Path) -> None:
    """*table* in the format of the path's ending."""
    if path.suffix == ".parquet":
        pq.write_table(table, path, compression="zstd")
    elif path.suffix == ".jsonl":
        path.write_text("".join(json.dumps(row) + "\n" for row in table.to_pylist()))
    elif path.suffix == ".gz":
        with gzip.open(path, "wb", compresslevel=3) as stream:
            csv.write_csv(table, stream)
    else:
        csv.write_csv(table, path)


def results(table: pa.Table, start: int) -> pa.Table:
    """The answers to *table*, with one row in a thousand that was asked about another picture."""
    rows = len(table)
    urls = table["image_url"].to_pylist()
    urls[::CHANGED_EVERY] = [f"{url}?old=1" for url in urls[::CHANGED_EVERY]]
    known = {
        "item_id": table["item_id"],
        "row_number": pa.array(np.arange(start + 1, start + rows + 1)),
        "media_urls": pa.ListArray.from_arrays(pa.array(np.arange(rows + 1, dtype=np.int32)), pa.array(urls)),
        "description": [f"A picture of {title}." for title in table["title"].to_pylist()],
        **{
            name: pa.repeat(pa.scalar(value), rows)
            for name, value in {
                "run_id": "20261101T000000Z-000000aaaa",
                "job": FACTS.job,
                "model": FACTS.model,
                "dialect": FACTS.dialect,
                "prompt_id": FACTS.prompt_id,
                "prompt_sha256": FACTS.prompt_sha256,
                "parameters_sha256": FACTS.parameters_sha256,
                "reason": "new",
                "status": "ok",
                "media_kind": "image",
                "usage_source": "reported",
            }.items()
        },
    }
    columns = [
        pa.chunked_array(known[field.name]).cast(field.type)
        if isinstance(known.get(field.name), pa.ChunkedArray)
        else pa.array(known[field.name]).cast(field.type)
        if field.name in known
        else pa.nulls(rows, field.type)
        if field.nullable
        else pa.repeat(pa.scalar(0, field.type), rows)
        for field in SCHEMA
    ]
    return pa.table(columns, schema=SCHEMA)


if __name__ == "__main__":
    main()
