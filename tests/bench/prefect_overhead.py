"""What Prefect adds to a run: wall time, processor time, task runs, and what grows in its database.

    python tests/bench/prefect_overhead.py [ROWS] [--latency S] [--in-flight N]

The same rows go through the library alone and through the command with its flow and its embedded server, whose SQLite
file is new. Both have a process of their own; processor time is that of all processes of a contender. Starting the
command and its server takes as long for one row as for a million, so it is measured by a run of few rows and
taken off: what is left over is what Prefect costs a row. On a machine that does other work as well, a start varies by
more than that: ask for many rows. The gateway is that of `throughput.py`.
"""

from __future__ import annotations

import argparse
import os
import sqlite3
import sys
import tempfile
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from stub import served
from throughput import FLOW, PIPELINE, WARM_ROWS, Case, measure

if TYPE_CHECKING:
    from collections.abc import Mapping

    from stub import Stub
    from throughput import Measured

ROWS: Final = 20_000
TABLES: Final = ("flow_run", "task_run", "flow_run_state", "task_run_state", "log", "artifact", "events")
QUIET: Final = {"PREFECT_SERVER_ANALYTICS_ENABLED": "false", "DO_NOT_TRACK": "1"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Flow:
    """What a run of the command took, and what it left in Prefect's database."""

    took: Measured
    database_kb: float
    rows: Mapping[str, int]


def as_a_flow(case: Case, stub: Stub) -> Flow:
    """Run *case* under Prefect, which has never run before."""
    with tempfile.TemporaryDirectory() as home:
        os.environ.update(QUIET | {"PREFECT_HOME": home})
        os.environ.pop("PREFECT_API_URL", None)
        took = measure(FLOW, case, stub)
        file = Path(home) / "prefect.db"
        with closing(sqlite3.connect(file)) as database:  # which takes up what lies beside the file
            counts = {name: _count(database, name) for name in TABLES}
        return Flow(took=took, database_kb=file.stat().st_size / 1024, rows=counts)


def _count(database: sqlite3.Connection, table: str) -> int:
    return int(database.execute(f"SELECT count(*) FROM {table}").fetchone()[0])  # noqa: S608 - a name of this file's own


def compare(case: Case, stub: Stub) -> None:
    """Print the tables."""
    bare = measure(PIPELINE, case, stub)
    few = as_a_flow(Case(rows=WARM_ROWS, latency_s=case.latency_s, in_flight=case.in_flight), stub)
    many = as_a_flow(case, stub)
    _say(f"\n{case.rows:,} rows, {case.latency_s * 1000:g} ms, {case.in_flight:,} in flight; {stub.name}.\n")
    _say("| what | rows | wall s | CPU s |\n| --- | --- | --- | --- |")
    for name, rows, took in (
        ("the library", case.rows, bare),
        ("the command", case.rows, many.took),
        ("the command, as good as no rows", WARM_ROWS, few.took),
    ):
        _say(f"| {name} | {rows:,} | {took.seconds:.1f} | {took.cpu_s:.1f} |")
    wall, cpu = (many.took.seconds - few.took.seconds, many.took.cpu_s - few.took.cpu_s)
    _say(f"| the command without its start | {case.rows - WARM_ROWS:,} | {wall:.1f} | {cpu:.1f} |")
    _say(
        f"\nBeyond its start Prefect adds {_more(wall, bare.seconds)} of wall time, {_more(cpu, bare.cpu_s)} of CPU.\n"
    )
    _say("| in Prefect's database | few rows | all rows |\n| --- | --- | --- |")
    _say(f"| KB | {few.database_kb:,.0f} | {many.database_kb:,.0f} |")
    for name in TABLES:
        _say(f"| {name} | {few.rows[name]:,} | {many.rows[name]:,} |")


def _more(with_it: float, without: float) -> str:
    return f"{(with_it / without - 1) * 100:+.1f} %"


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def main() -> int:
    """Run what was asked for."""
    parser = argparse.ArgumentParser(description="What Prefect adds to a run.")
    parser.add_argument("rows", type=int, nargs="?", default=ROWS)
    parser.add_argument("--latency", type=float, default=0.05, help="seconds until the gateway answers")
    parser.add_argument("--in-flight", type=int, default=100, help="requests at a time")
    wanted = parser.parse_args()
    case = Case(rows=wanted.rows, latency_s=wanted.latency, in_flight=wanted.in_flight)
    with served(case.latency_s) as stub:
        compare(case, stub)
    return 0


if __name__ == "__main__":
    sys.exit(main())
