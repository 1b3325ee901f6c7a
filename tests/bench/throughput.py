"""How fast the whole pipeline is, beside bare loops of HTTP clients, in turn in one run.

    python tests/bench/throughput.py [--rows N] [--latency S] [--in-flight N] [--tls] [--only NAME ...]
    python tests/bench/throughput.py --memory [--rows N] | --lag

The gateway is a stub that waits and answers (`stub.py`: nginx with Lua where it is installed). Everybody has a process
of its own, in which a few rows go first; CPU is that process's, user and system. The pipeline's figures are of all that
a run does, from the job file to the run file: plan, limiter, budget, retry policy, journal with fdatasync, decoding,
prices, Parquet, progress. Without `--latency` and `--in-flight` there are two cases: 50 ms by 100, 2 s by
5,000. httpx over its own pool would take minutes: it gets a tenth of the rows, and beyond a hundred in flight none.

`--memory` runs 10,000, 100,000 and 1,000,000 rows, as far as `--rows` goes, and takes ten minutes for all of them.
`--tls` has a CA of its own. HTTP/2 is not measured, for there is nothing to measure: the gateway's client reads answers
with llhttp, which speaks HTTP/1.1, and has a connection for every request in flight.
"""

from __future__ import annotations

import argparse
import asyncio
import csv
import dataclasses
import importlib.util
import io
import multiprocessing
import os
import resource
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from statistics import quantiles
from typing import TYPE_CHECKING, Final

from loops import LOOPS
from stub import authority, served
from tables import head, row, say

if TYPE_CHECKING:
    from collections.abc import Sequence
    from multiprocessing.connection import Connection

    from stub import Stub

KEY: Final = {"MEDIASCRIBE_API_KEY": "sk-bench-0123456789"}
BASELINE: Final = "aiohttp"
PIPELINE, FLOW = "pipeline", "pipeline as a flow"
SLOW: Final = frozenset({"httpx"})  # its pool is linear in connections: it gets so many times fewer rows
FEWER: Final = 10
MOST_OF_SLOW: Final = 100
GROWING: Final = (10_000, 100_000, 1_000_000)
WARM_ROWS: Final = 50
HALF_PER_MINUTE: Final = 48_000
UVLOOP: Final = " (uvloop)"
JOB: Final = """name = "bench"
model = "gemini-2.0-flash"
output = "{folder}/out"

[manifest]
path = "{folder}/manifest.csv"
item_id = "item_id"

[gateway]
base_url = "{url}"
stream = "never"

[media]
mode = "url"

[prompt]
text = "Describe the picture. Title: {{{{ title }}}}."

[parameters]
max_tokens = 300

[limits]
concurrency = {in_flight}
{limit}
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """What is measured: this many rows, answered after this long, so many at a time, no faster than *per_minute*."""

    rows: int
    latency_s: float
    in_flight: int
    per_minute: int | None = None

    @property
    def ideal(self) -> float:
        """Rows a second if only the gateway took time; the first answers come after one latency."""
        return self.in_flight / self.latency_s if self.latency_s else float("inf")


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """What one contender took. `lags_ms` are how late the event loop was, every few milliseconds."""

    seconds: float
    cpu_s: float
    peak_mb: float
    base_mb: float
    lags_ms: Sequence[float] = field(default=())


async def pipeline(url: str, rows: int, in_flight: int, per_minute: int | None = None) -> None:
    """The product without Prefect: one run of one job, from its file to its run file."""
    from rich.console import Console  # noqa: PLC0415 - only what is measured is loaded

    from mediascribe import run  # noqa: PLC0415 - likewise
    from mediascribe.domain import REASONS  # noqa: PLC0415 - likewise
    from mediascribe.report.progress import Meter, shown  # noqa: PLC0415 - likewise
    from mediascribe.session import session  # noqa: PLC0415 - likewise

    with tempfile.TemporaryDirectory() as folder:
        async with session(job_file(folder, url, rows, in_flight, per_minute)) as opened:
            made = await asyncio.to_thread(opened.inputs.plan, REASONS)
            meter = Meter(total=made.rows)
            describer = opened.describer(made, meter.announce)
            turns = asyncio.Semaphore(2)

            async def in_turn(shard: object) -> object:
                async with turns:
                    return await describer.describe(shard)

            async with shown(meter, describer.watch, Console(file=io.StringIO()), "plain"):
                reports = await asyncio.gather(*map(in_turn, made.shards))
            closed = await asyncio.to_thread(run.close, made, reports, opened.landing())
    if closed.wrote.by_status["ok"] != rows:
        raise RuntimeError(f"not every row was answered: {closed.wrote.by_status}, {closed.stopped}")


def job_file(folder: str, url: str, rows: int, in_flight: int, per_minute: int | None = None) -> str:
    with (Path(folder) / "manifest.csv").open("w", newline="") as manifest:
        lines = csv.writer(manifest)
        lines.writerow(("item_id", "image_url", "title"))
        lines.writerows((f"i{row}", f"https://cdn.example.com/images/{row}.jpg", f"item {row}") for row in range(rows))
    job = Path(folder) / "job.toml"
    limit = f"requests_per_minute = {per_minute}" if per_minute else ""
    job.write_text(JOB.format(folder=folder, url=url, in_flight=in_flight, limit=limit))
    return str(job)


def _as_a_flow(url: str, rows: int, in_flight: int) -> None:
    """The product as its command runs it: a process with Prefect's engine and its embedded server."""
    with tempfile.TemporaryDirectory() as folder:
        job = job_file(folder, url, rows, in_flight)
        command = [Path(sys.executable).with_name("mediascribe"), "run", job]
        subprocess.run(command, check=True, env=os.environ | KEY, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def measure(name: str, case: Case, stub: Stub, *, lag: bool = False) -> Measured:
    """What *name* takes, in a process of its own.

    Raises:
        RuntimeError: it failed, or is not installed.
    """
    spawn = multiprocessing.get_context("spawn")
    ours, theirs = spawn.Pipe()
    process = spawn.Process(target=_measured, args=(theirs, name, case, stub.url, lag))
    process.start()
    theirs.close()
    try:
        took = ours.recv()
    except EOFError:
        raise RuntimeError("failed") from None
    finally:
        process.join()
    if took is None:
        raise RuntimeError("not installed")
    return took


def _measured(pipe: Connection, name: str, case: Case, url: str, lag: bool) -> None:  # noqa: FBT001 - spawned
    os.environ.update(KEY)
    importlib.import_module("flows")  # what it sets before Arrow is loaded holds for every run
    if name == FLOW:
        before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
        _as_a_flow(url, case.rows, case.in_flight)
        seconds, after = time.perf_counter() - began, resource.getrusage(resource.RUSAGE_CHILDREN)
        pipe.send(Measured(seconds=seconds, cpu_s=_cpu_s(after) - _cpu_s(before), peak_mb=_mb(after), base_mb=0))
        return
    loop = pipeline if name.startswith(PIPELINE) else LOOPS[name.removesuffix(UVLOOP)]
    run = asyncio.run
    try:
        if name.endswith(UVLOOP):
            import uvloop  # noqa: PLC0415 - where it is asked for

            run = uvloop.run
        _load() if loop is pipeline else run(loop(url, WARM_ROWS, 10))  # what is loaded once is not measured
    except ModuleNotFoundError:
        pipe.send(None)
        return
    before, began = resource.getrusage(resource.RUSAGE_SELF), time.perf_counter()
    own = {"per_minute": case.per_minute} if case.per_minute else {}
    lags = run(_watched(loop(url, case.rows, case.in_flight, **own), lag=lag))
    seconds, after = time.perf_counter() - began, resource.getrusage(resource.RUSAGE_SELF)
    cpu_s = _cpu_s(after) - _cpu_s(before)
    pipe.send(Measured(seconds=seconds, cpu_s=cpu_s, peak_mb=_mb(after), base_mb=_mb(before), lags_ms=lags))


def _load() -> None:
    """Import what a run imports; a run of few rows would do its planning here, and keep the memory that this takes."""
    import pandas as pd  # noqa: F401, PLC0415 - Arrow loads it with its first list

    import mediascribe.report.progress  # noqa: PLC0415 - only what is measured is loaded
    import mediascribe.session  # noqa: F401, PLC0415 - likewise


async def _watched(loop: object, *, lag: bool) -> list[float]:
    lags: list[float] = []
    watching = asyncio.create_task(_watch(lags)) if lag else None
    await loop
    if watching:
        watching.cancel()
    return lags


async def _watch(lags: list[float], every_s: float = 0.005) -> None:
    while True:
        due_s = time.perf_counter() + every_s
        await asyncio.sleep(every_s)
        lags.append((time.perf_counter() - due_s) * 1000)


def _cpu_s(usage: resource.struct_rusage) -> float:
    return usage.ru_utime + usage.ru_stime


def _mb(usage: resource.struct_rusage) -> float:
    return usage.ru_maxrss / 1024


def compare(case: Case, names: Sequence[str], stub: Stub) -> None:
    """A table of *names*, one after the other; ratios are of the processor time of a row."""
    say(f"\n{case.rows:,} rows, {case.latency_s * 1000:g} ms, {case.in_flight:,} in flight; {stub.name}.")
    found: dict[str, tuple[Case, Measured | str]] = {}
    for name in names:
        its = dataclasses.replace(case, rows=max(WARM_ROWS, case.rows // FEWER)) if name in SLOW else case
        try:
            found[name] = its, measure(name, its, stub)
        except RuntimeError as error:
            found[name] = its, str(error)
    base = _cpu_ms(*found[BASELINE]) if BASELINE in found else None
    head("what", "rows", "rows/s", "CPU ms/row", "peak RSS MB", "KB/request in flight", "CPU : aiohttp")
    for name, (its, took) in found.items():
        if isinstance(took, str):
            row(name, took, "", "", "", "", "")
            continue
        each = f"{(took.peak_mb - took.base_mb) * 1024 / its.in_flight:.0f}" if took.base_mb else ""
        cpu_ms = _cpu_ms(its, took) or 0.0
        ratio = f"{cpu_ms / base:.2f}" if base else ""
        rate = f"{its.rows / took.seconds:,.0f}"
        row(name, f"{its.rows:,}", rate, f"{cpu_ms:.3f}", f"{took.peak_mb:.0f}", each, ratio)


def _cpu_ms(case: Case, took: Measured | str) -> float | None:
    """Processor time of a row, in ms; None where nothing was measured."""
    return None if isinstance(took, str) else took.cpu_s / case.rows * 1000


def memory(stub: Stub, in_flight: int, most: int) -> None:
    """What the pipeline's memory does as a run grows tenfold, and tenfold again, up to *most* rows."""
    name = PIPELINE + (UVLOOP if importlib.util.find_spec("uvloop") else "")
    say(f"\nMemory of the {name}, 50 ms, {in_flight:,} in flight; {stub.name}.")
    head("rows", "peak RSS MB", "growth", "rows/s", "CPU ms/row")
    first: float | None = None
    for rows in [rows for rows in GROWING if rows < most] + [min(most, GROWING[-1])]:
        took = measure(name, Case(rows=rows, latency_s=0.05, in_flight=in_flight), stub)
        first = first or took.peak_mb
        growth = f"{(took.peak_mb / first - 1) * 100:+.1f} %"
        row(
            f"{rows:,}", f"{took.peak_mb:.0f}", growth, f"{rows / took.seconds:,.0f}", f"{took.cpu_s / rows * 1000:.3f}"
        )


def lateness(stub: Stub, case: Case) -> None:
    """How late the event loop is while rows are asked and parts are written: as fast as it goes, and at half of that.

    As fast as it goes means that a processor is taken whole: whoever comes then waits for those who came before.
    """
    say(f"\n{case.rows:,} rows, {case.latency_s * 1000:g} ms, {case.in_flight:,} in flight; {stub.name}.")
    head("event loop", "rows/s", "late by: p50", "p99", "max")
    for paced in (case, dataclasses.replace(case, per_minute=HALF_PER_MINUTE)):
        for name in (PIPELINE, f"{PIPELINE}{UVLOOP}"):
            try:
                took = measure(name, paced, stub, lag=True)
            except RuntimeError as error:
                row(name, str(error), "", "", "")
                continue
            hundredths = quantiles(took.lags_ms, n=100)
            lags = (hundredths[49], hundredths[98], max(took.lags_ms))
            row(name, f"{case.rows / took.seconds:,.0f}", *(f"{lag:.1f} ms" for lag in lags))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Throughput of the whole pipeline beside bare HTTP clients.")
    parser.add_argument("--rows", type=int, help="rows of a case; unset: 20,000")
    parser.add_argument("--latency", type=float, help="seconds until the gateway answers")
    parser.add_argument("--in-flight", type=int, help="requests at a time")
    parser.add_argument("--tls", action="store_true", help="over TLS, with a CA of its own")
    parser.add_argument("--only", action="append", metavar="NAME", help="contenders that have NAME in theirs")
    parser.add_argument("--memory", action="store_true", help="memory from 10,000 to 1,000,000 rows, or --rows")
    parser.add_argument("--lag", action="store_true", help="how late the event loop is")
    parser.add_argument("--flow", action="store_true", help="the pipeline as a Prefect flow as well")
    return parser.parse_args()


def _names(wanted: argparse.Namespace, case: Case) -> list[str]:
    names = [*LOOPS, f"our client{UVLOOP}", f"bare protocol{UVLOOP}", PIPELINE, f"{PIPELINE}{UVLOOP}"]
    names += [FLOW] if wanted.flow else []
    if wanted.only:
        return [name for name in names if any(word in name for word in wanted.only)]
    return [name for name in names if name not in SLOW or case.in_flight <= MOST_OF_SLOW]


def _cases(wanted: argparse.Namespace) -> list[Case]:
    rows = wanted.rows or 20_000
    if wanted.latency is None and wanted.in_flight is None:
        return [Case(rows=rows, latency_s=0.05, in_flight=100), Case(rows=rows, latency_s=2.0, in_flight=5_000)]
    return [Case(rows=rows, latency_s=wanted.latency or 0.05, in_flight=wanted.in_flight or 100)]


def main() -> int:
    """Run what was asked for."""
    wanted = _arguments()
    with tempfile.TemporaryDirectory() as folder:
        certificate = authority(Path(folder)) if wanted.tls else None
        if certificate:
            os.environ["SSL_CERT_FILE"] = str(certificate.authority)
        for case in _cases(wanted):
            with served(case.latency_s, certificate) as stub:
                if wanted.memory:
                    memory(stub, case.in_flight, wanted.rows or GROWING[-1])
                elif wanted.lag:
                    lateness(stub, case)
                else:
                    compare(case, _names(wanted, case), stub)
            if wanted.memory:
                break
    return 0


if __name__ == "__main__":
    sys.exit(main())
