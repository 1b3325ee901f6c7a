"""What Prefect adds to a run: wall time, processor time, task runs, and what grows in its database.

    python tests/bench/prefect_overhead.py [ROWS] [--repeats N] [--latency S] [--in-flight N] [--logged]

Two contenders do the same work, from the job file to results that were read back and found whole, on the same kind of
event loop: the library alone, and the flow under its embedded server. Each has a process of its own, which asks a few
rows first; then they take turns, so that whatever else the machine does befalls both, and what counts is the median of
the differences of pairs. Wall time is that from the call of the flow to its state: it has all that Prefect does for a
run, at the start and at the end as well. Processor time is that of all processes of a contender, and of some seconds
more, in which the server writes down what it was told. With `--logged` the lines of the log go to the server, as they
do to one that is not embedded, and there is a forecast among them.

To import Prefect and to start its server takes as long for one row as for a million, and is none of this: see
`start.py`. The gateway is that of `throughput.py`. Linux only.
"""

from __future__ import annotations

import argparse
import asyncio
import multiprocessing
import os
import sqlite3
import sys
import tempfile
import time
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any, Final, Self

from stub import served
from tables import head, row, say
from throughput import KEY, WARM_ROWS, Case, job_file

from flows import loops

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from multiprocessing.connection import Connection

    from stub import Stub

ROWS: Final = 20_000
SETTLE_S: Final = 7.0  # the server writes events down every 5 s
FEW_RUNS: Final = 2  # that which a contender begins with, and one that it is asked for
SHARDS_AT_ONCE: Final = 2  # as in the flow
TABLES: Final = ("flow_run", "task_run", "flow_run_state", "task_run_state", "log", "artifact", "events")
# What the command sets, and an environment that is as quiet.
QUIET: Final = {
    "PREFECT_LOGGING_LEVEL": "CRITICAL",
    "PREFECT_LOGGING_ROOT_LEVEL": "CRITICAL",
    "PREFECT_SERVER_LOGGING_LEVEL": "CRITICAL",
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "DO_NOT_TRACK": "1",
}
LOGGED: Final = {
    "PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL": "CRITICAL",
    "PREFECT_SERVER_LOGGING_LEVEL": "CRITICAL",
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "DO_NOT_TRACK": "1",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Took:
    """What one run took."""

    seconds: float
    cpu_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """What Prefect's database held at some time."""

    database_kb: float
    rows: Mapping[str, int]


class Contender:
    """A process that runs so many rows whenever it is asked to."""

    def __init__(self, main: Callable[..., None], *args: object) -> None:
        """It runs *main*, which gets one end of a pipe before *args*."""
        spawn = multiprocessing.get_context("spawn")
        self._pipe, theirs = spawn.Pipe()
        self._process = spawn.Process(target=main, args=(theirs, *args))
        self._process.start()
        theirs.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._pipe.close()
        self._process.join()

    def asked(self, rows: int) -> Took:
        """What a run of *rows* took.

        Raises:
            RuntimeError: it failed.
        """
        try:
            self._pipe.send(rows)
            took: Took = self._pipe.recv()
        except (EOFError, BrokenPipeError):
            raise RuntimeError("a contender failed: it has said why") from None
        return took


def library(pipe: Connection, case: Case, url: str) -> None:
    """Be the library without Prefect."""
    os.environ.update(KEY)
    _serve(pipe, case, url, lambda job: loops.run(_alone(job)))


async def _alone(job: str) -> None:
    """One run of *job* as the flow does it, and nothing that only Prefect needs."""
    from mediascribe import certificate, run  # noqa: PLC0415 - only what is measured is loaded
    from mediascribe.report.progress import Meter, shown  # noqa: PLC0415 - likewise
    from mediascribe.session import session  # noqa: PLC0415 - likewise

    async with session(job) as opened:
        made = opened.inputs.plan(("new",))
        meter = Meter(total=made.rows)
        describer = opened.describer(made, meter.announce)
        turns = asyncio.Semaphore(SHARDS_AT_ONCE)

        async def in_turn(shard: Any) -> Any:
            async with turns:
                return await describer.describe(shard)

        async with shown(meter, describer.watch, _console(), "plain"):
            reports = await asyncio.gather(*map(in_turn, made.shards))
        closed = run.close(made, reports, opened.landing())
        _must_be_whole(closed, certificate.problems(opened.inputs.store, closed))


def _console() -> Any:
    from rich.console import Console  # noqa: PLC0415 - only what is measured is loaded

    return Console(file=Path(os.devnull).open("w"))


def _must_be_whole(closed: Any, problems: Sequence[str] = ()) -> None:
    if problems or not closed.complete or closed.wrote.by_status["ok"] != closed.rows_planned:
        raise RuntimeError(f"not every row was answered: {closed.wrote.by_status}, {closed.stopped}, {problems}")


def flow(pipe: Connection, case: Case, url: str, home: str, settings: Mapping[str, str]) -> None:
    """Be the flow under its embedded server, whose database is in *home*."""
    os.environ.pop("PREFECT_API_URL", None)
    os.environ.update(KEY | settings | {"PREFECT_HOME": home})
    from flows import embedded, hooks  # noqa: PLC0415 - Prefect reads its settings when it is imported
    from flows.caption import caption  # noqa: PLC0415 - likewise

    def run(job: str) -> None:
        _must_be_whole(loops.run(hooks.outcome_of(caption(job=job, progress="plain", return_state=True))).run)

    with embedded.started() as server, server.reached(), _silent():
        _serve(pipe, case, url, run)


def _serve(pipe: Connection, case: Case, url: str, run: Callable[[str], None]) -> None:
    """Run what is asked for, after a few rows, until nobody asks any more."""
    _measured(run, url, WARM_ROWS, case.in_flight)
    while True:
        try:
            rows = pipe.recv()
        except EOFError:
            return
        pipe.send(_measured(run, url, rows, case.in_flight))


def _measured(run: Callable[[str], None], url: str, rows: int, in_flight: int) -> Took:
    with tempfile.TemporaryDirectory() as folder:
        job = job_file(folder, url, rows, in_flight)
        with _taken() as took:
            run(job)
    return took[0]


@contextmanager
def _taken() -> Iterator[list[Took]]:
    """What the body took is in the list, once it is over and everything that it set off."""
    took: list[Took] = []
    before, began = _cpu_s(), time.perf_counter()
    yield took
    seconds = time.perf_counter() - began
    time.sleep(SETTLE_S)  # noqa: TID251 - nobody says when Prefect's server has written everything down
    took.append(Took(seconds=seconds, cpu_s=_cpu_s() - before))


def _cpu_s() -> float:
    """The processor time of this process and of its children, as far as they are at work."""
    children = [
        child for task in Path("/proc/self/task").iterdir() for child in (task / "children").read_text().split()
    ]
    fields = [Path(f"/proc/{child}/stat").read_text().rpartition(")")[2].split() for child in children]
    return time.process_time() + sum(int(one[11]) + int(one[12]) for one in fields) / os.sysconf("SC_CLK_TCK")


@contextmanager
def _silent() -> Iterator[None]:
    """What the body prints as progress is seen by nobody."""
    terminal, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    try:
        yield
    finally:
        os.dup2(terminal, 2)


def kept(home: str) -> Kept:
    """What the database in *home* holds; no server is to be at work there."""
    file = Path(home) / "prefect.db"
    with closing(sqlite3.connect(file)) as database:  # which takes up what lies beside the file
        rows = {name: _count(database, name) for name in TABLES}
    return Kept(database_kb=file.stat().st_size / 1024, rows=rows)


def _count(database: sqlite3.Connection, table: str) -> int:
    return int(database.execute(f"SELECT count(*) FROM {table}").fetchone()[0])  # noqa: S608 - a name of this file's own


def compare(case: Case, stub: Stub, repeats: int, settings: Mapping[str, str]) -> None:
    """Print the tables."""
    with tempfile.TemporaryDirectory() as home:
        with Contender(flow, case, stub.url, home, settings) as first:
            first.asked(WARM_ROWS)
        before = kept(home)
        with Contender(library, case, stub.url) as alone, Contender(flow, case, stub.url, home, settings) as under:
            few = under.asked(WARM_ROWS), alone.asked(WARM_ROWS)
            pairs = [(under.asked(case.rows), alone.asked(case.rows)) for _ in range(repeats)]
        after = kept(home)
    say(f"\n{case.rows:,} rows, {case.latency_s * 1000:g} ms, {case.in_flight:,} in flight; {stub.name}.")
    _tell_pairs(case, few, pairs)
    _tell_grown(before, after, repeats)


def _tell_pairs(case: Case, few: tuple[Took, Took], pairs: Sequence[tuple[Took, Took]]) -> None:
    head("rows", "flow, wall s", "library, wall s", "more", "flow, CPU s", "library, CPU s", "more")
    row(f"{WARM_ROWS:,}", *_cells([few]))
    for pair in pairs:
        row(f"{case.rows:,}", *_cells([pair]))
    row(f"{case.rows:,}, median of {len(pairs)}", *_cells(pairs))


def _cells(pairs: Sequence[tuple[Took, Took]]) -> list[str]:
    return [
        *_compared([(under.seconds, alone.seconds) for under, alone in pairs]),
        *_compared([(under.cpu_s, alone.cpu_s) for under, alone in pairs]),
    ]


def _compared(pairs: Sequence[tuple[float, float]]) -> tuple[str, str, str]:
    """The medians of both, and of what the first of a pair has more: a pair was measured at about the same time."""
    with_it, without = (median(side) for side in zip(*pairs, strict=True))
    more = median(one - other for one, other in pairs)
    return f"{with_it:.2f}", f"{without:.2f}", f"{more:+.2f} s, {more / without:+.1%}"


def _tell_grown(before: Kept, after: Kept, repeats: int) -> None:
    """What the database has after two runs of few rows, and what each of all rows added to it."""
    head("in Prefect's database", "a run of few rows", "a run of all")
    # The second process began with two more runs of few rows.
    row("KB", f"{before.database_kb:,.0f}, new", f"{(after.database_kb - before.database_kb) / repeats:,.0f}, at most")
    for name, rows in before.rows.items():
        row(name, f"{rows / FEW_RUNS:,.1f}", f"{(after.rows[name] - 2 * rows) / repeats:,.1f}")


def main() -> int:
    """Run what was asked for."""
    parser = argparse.ArgumentParser(description="What Prefect adds to a run.")
    parser.add_argument("rows", type=int, nargs="?", default=ROWS)
    parser.add_argument("--repeats", type=int, default=3, help="so many pairs of runs, of which the median counts")
    parser.add_argument("--latency", type=float, default=0.05, help="seconds until the gateway answers")
    parser.add_argument("--in-flight", type=int, default=100, help="requests at a time")
    parser.add_argument("--logged", action="store_true", help="lines of the log go to Prefect's server")
    wanted = parser.parse_args()
    case = Case(rows=wanted.rows, latency_s=wanted.latency, in_flight=wanted.in_flight)
    with served(case.latency_s) as stub:
        compare(case, stub, wanted.repeats, LOGGED if wanted.logged else QUIET)
    return 0


if __name__ == "__main__":
    sys.exit(main())
