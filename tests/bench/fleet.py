"""How a run scales over processes, and what it costs to have them.

    python tests/bench/fleet.py [--seconds S] [--latency S ...] [--in-flight N] [--workers N ...] [--shared]
    python tests/bench/fleet.py --latency 0.05 --in-flight 100 --workers 1 2 --shared
    python tests/bench/fleet.py --engines

The first prints a table of rows a second by workers and by the gateway's latency, each with so many requests in
flight, on a folder that they share: the work is bound by latency, so that two cores suffice. Start-up is measured by
itself. The second is bound by the processor: what a second process adds on two cores, of which the gateway takes its
part too; what it adds to loops that only compute is said above the table, for cores of a virtual machine may share a
real one. With --shared there are a quota and a budget, so large that neither binds: the processes have them lent, as
those of a run with limits do. The third compares engines on shards that only wait: those that are installed of Dask and
Ray, and plain processes.
"""

from __future__ import annotations

import argparse
import asyncio
import csv
import importlib
import json
import multiprocessing
import os
import resource
import signal
import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from stub import ANSWER, kind, served
from tables import head, row, say

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from concurrent.futures import Future
    from typing import Any

KEY: Final = {"MEDIASCRIBE_API_KEY": "sk-bench-0123456789"}
JOB: Final = """name = "bench"
model = "gemini-2.0-flash"
output = "{folder}/out"
shard_rows = {shard_rows}

[manifest]
path = "{folder}/manifest.csv"

[gateway]
base_url = "{url}"
stream = "never"

[media]
mode = "url"

[prompt]
text = "Describe the picture."

[limits]
concurrency = {in_flight}
"""
SHARED: Final = """requests_per_minute = 10000000

[budget]
usd = 1000000
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """So many rows, answered after this long, by so many processes with so many in flight each."""

    rows: int
    latency_s: float
    in_flight: int
    workers: int
    shared: bool = False

    @property
    def ideal(self) -> float:
        """Rows a second if only the gateway took time."""
        return self.workers * self.in_flight / self.latency_s


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """What one case took: until all processes were there, until the last row, and processor time of all, for a row.

    The latter has the start in it, and the rows that were asked meanwhile.
    """

    start_s: float
    seconds: float
    cpu_ms: float


def main() -> None:
    """Measure, and print a Markdown table."""
    options = _options()
    if options.engines:
        _print_engines()
        return
    most = max(options.workers)
    say(f"\n{options.in_flight:,} in flight by each worker; {kind()}.")
    say(f"Loops that only compute, {most} at a time: {busy(most):.2f} x one.")
    head("latency", "workers", "rows", "rows/s", "of the ideal", "of one worker", "start", "CPU a row")
    for latency_s in options.latency:
        alone: float | None = None
        for workers in options.workers:
            rows = round(options.seconds * workers * options.in_flight / latency_s)
            each = {"in_flight": options.in_flight, "shared": options.shared}
            case = Case(rows=rows, latency_s=latency_s, workers=workers, **each)
            found = _measure(case)
            rate = case.rows / found.seconds
            alone = alone or rate / workers
            shares = f"{rate / case.ideal:.0%}", f"{rate / alone:.2f} x"
            took = f"{found.start_s:.1f} s", f"{found.cpu_ms:.2f} ms"
            row(f"{latency_s * 1000:,.0f} ms", str(workers), f"{rows:,}", f"{rate:,.0f}", *shares, *took)


def busy(processes: int) -> float:
    """How much more *processes* do than one, all of which only compute: what this machine gives others now."""
    with ProcessPoolExecutor(processes, mp_context=multiprocessing.get_context("spawn")) as pool:
        rates = []
        for count in (1, processes):
            list(pool.map(_turns, [0.1] * processes))  # all are there
            rates.append(sum(pool.map(_turns, [_BUSY_S] * count)))
    return rates[1] / rates[0]


_BUSY_S: Final = 4.0


def _turns(seconds: float) -> int:
    """How often a JSON text was read in so many *seconds*."""
    until, turns = time.perf_counter() + seconds, 0
    while time.perf_counter() < until:
        json.loads(ANSWER)
        turns += 1
    return turns


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="How a run scales over processes.")
    parser.add_argument("--seconds", type=float, default=20.0, help="how long a case takes, ideally")
    parser.add_argument("--latency", type=float, nargs="+", default=[0.05, 0.5, 2.0])
    parser.add_argument("--in-flight", type=int, default=16)
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2, 4])
    parser.add_argument("--shared", action="store_true", help="with a quota and a budget that never bind")
    parser.add_argument("--engines", action="store_true", help="compare engines instead")
    return parser.parse_args()


def _measure(case: Case) -> Measured:
    os.environ.update(KEY)
    importlib.import_module("flows")  # what it sets before Arrow is loaded holds for every run
    with served(case.latency_s) as stub, tempfile.TemporaryDirectory() as folder:
        return asyncio.run(_run(_written(folder, stub.url, case), case))


async def _run(job: str, case: Case) -> Measured:
    from mediascribe import run  # noqa: PLC0415 - only what is measured is loaded
    from mediascribe.fleet.lead import fleet  # noqa: PLC0415 - likewise
    from mediascribe.job_sections import EngineSection  # noqa: PLC0415 - likewise
    from mediascribe.report.progress import Meter  # noqa: PLC0415 - likewise
    from mediascribe.session import session  # noqa: PLC0415 - likewise

    before = _cpu_s()
    async with session(job) as opened:
        made = await asyncio.to_thread(opened.inputs.plan, ("new",))
        began_at = time.monotonic()
        async with fleet(opened, made, EngineSection(workers=case.workers), Meter(total=made.rows)) as many:
            while many.standing().alive < case.workers and time.monotonic() - began_at < _WARM_S:
                await asyncio.gather(*map(many.describe, made.shards[: 2 * case.workers]))
            ready_at = time.monotonic()
            warm = 2 * case.workers
            reports = await asyncio.gather(*map(many.describe, made.shards[warm:]))
            seconds = time.monotonic() - ready_at
        closed = await asyncio.to_thread(run.close, made, reports, opened.landing())
    if closed.wrote.by_status["ok"] != made.rows:
        sys.exit(f"{closed.wrote.by_status} of {made.rows} rows: {closed.stopped}")
    cpu_ms = (_cpu_s() - before) / made.rows * 1000
    return Measured(start_s=ready_at - began_at, seconds=seconds, cpu_ms=cpu_ms)


_WARM_S: Final = 60.0


def _written(folder: str, url: str, case: Case) -> str:
    """A job file, and its manifest: rows to begin with, so that every process is connected, and those that count."""
    shard_rows = max(50, case.rows // (4 * case.workers))
    place = Path(folder)
    with (place / "manifest.csv").open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["item_id", "image_url"])
        count = shard_rows * (2 * case.workers) + case.rows
        rows.writerows([f"item-{number}", f"https://cdn.example.com/{number}.jpg"] for number in range(count))
    job = place / "job.toml"
    text = JOB + SHARED if case.shared else JOB
    job.write_text(text.format(folder=folder, url=url, in_flight=case.in_flight, shard_rows=shard_rows))
    return str(job)


def _cpu_s() -> float:
    """Processor time of this process, and of those it had and has not any more."""
    used = (resource.getrusage(resource.RUSAGE_SELF), resource.getrusage(resource.RUSAGE_CHILDREN))
    return sum(one.ru_utime + one.ru_stime for one in used)


def _print_engines() -> None:
    """The start, the cost of a shard that does nothing, 20 shards of half a second on two processes, and a kill -9."""
    head("engine", "start", "a shard", "20 x 0.5 s on 2 (ideal 5 s)", "RSS a process", "after kill -9")
    for name, engine in {"processes": _processes, "Dask": _dask, "Ray": _ray}.items():
        try:
            began_at = time.monotonic()
            for submit, outcome in engine():
                row(name, *_examined(submit, outcome, began_at))
        except ImportError:
            row(name, "not installed", "", "", "", "")


def _examined(submit: Callable[..., Any], outcome: Callable[[Any], Any], began_at: float) -> tuple[str, ...]:
    pids = {outcome(one) for one in [submit(_pid, 0.3) for _ in range(4)]}
    start_s = time.monotonic() - began_at
    at = time.monotonic()
    for _ in range(50):
        outcome(submit(_pid, 0.0))
    each_ms = (time.monotonic() - at) / 50 * 1000
    at = time.monotonic()
    for one in [submit(_pid, 0.5) for _ in range(20)]:
        outcome(one)
    twenty_s, rss_mb = time.monotonic() - at, max(map(_rss_mb, pids))
    waiting = [submit(_pid, 1.0) for _ in range(4)]
    time.sleep(0.3)  # noqa: TID251 - a kill in the middle of work
    os.kill(min(pids), signal.SIGKILL)
    at = time.monotonic()
    try:
        for one in waiting:
            outcome(one)
        after = f"goes on by itself, {time.monotonic() - at:.1f} s for 4 x 1 s"
    except Exception as error:  # noqa: BLE001 - whatever the engine says is the finding
        after = f"{type(error).__name__}"
    return f"{start_s:.1f} s", f"{each_ms:.1f} ms", f"{twenty_s:.1f} s", f"{rss_mb:.0f} MB", after


def _pid(wait_s: float) -> int:
    time.sleep(wait_s)  # noqa: TID251 - a shard that only waits
    return os.getpid()


def _rss_mb(pid: int) -> float:
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * resource.getpagesize() / 2**20


def _processes() -> Iterator[tuple[Callable[..., Any], Callable[[Any], Any]]]:
    with ProcessPoolExecutor(2, mp_context=multiprocessing.get_context("spawn")) as pool:

        def outcome(future: Future[Any]) -> object:
            return future.result()

        yield pool.submit, outcome


def _dask() -> Iterator[tuple[Callable[..., Any], Callable[[Any], Any]]]:
    import distributed  # noqa: PLC0415 - of this engine only

    with (
        distributed.LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=":0", silence_logs=50) as cluster,
        distributed.Client(cluster) as client,
    ):
        yield lambda *call: client.submit(*call, pure=False), lambda future: future.result()


def _ray() -> Iterator[tuple[Callable[..., Any], Callable[[Any], Any]]]:
    import ray  # noqa: PLC0415 - of this engine only

    ray.init(num_cpus=2, include_dashboard=False, logging_level="ERROR", log_to_driver=False)
    remote = ray.remote(_pid)
    try:
        yield lambda _, wait_s: remote.remote(wait_s), ray.get
    finally:
        ray.shutdown()


if __name__ == "__main__":
    main()
