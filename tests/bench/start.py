"""How long it takes until something happens: of light commands, of imports, and of a run until its first request.

    python tests/bench/start.py [--times N] [--runs N]

Every figure is the median of so many processes. A run is timed from its command to the first request at the gateway,
with Prefect's embedded server: once where Prefect has never run, and has to lay out its database first, and once where
it has.
"""

from __future__ import annotations

import argparse
import http.server
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Final

from stub import ANSWER
from tables import head, row

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

ROOT: Final = Path(__file__).parents[2]
COMMAND: Final = (sys.executable, "-m", "flows")
LIGHT: Final = ("--help", "show --help", "cost --help", "plan --help", "run --help", "deploy --help")
IMPORTS: Final = (
    "pass",
    "import mediascribe",
    "from mediascribe import dataset",
    "import mediascribe.session",
    "import pyarrow",
    "import prefect",
)
ROWS: Final = 20
JOB: Final = """name = "bench"
model = "gemini-2.0-flash"
output = "{folder}/out"

[manifest]
path = "{folder}/manifest.csv"

[gateway]
base_url = "{url}"
stream = "never"

[media]
mode = "url"

[prompt]
text = "Describe the picture."
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Took:
    """What one process took."""

    seconds: float
    cpu_s: float


def main() -> None:
    """Measure, and print the tables."""
    asked = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    asked.add_argument("--times", type=int, default=11, help="processes a figure")
    asked.add_argument("--runs", type=int, default=3, help="runs a figure; 0: none")
    told = asked.parse_args()
    head("start", "ms", "CPU ms")
    for words in LIGHT:
        _print(f"mediascribe {words}", [timed([*COMMAND, *words.split()]) for _ in range(told.times)])
    for words in IMPORTS:
        _print(f'python -c "{words}"', [timed([sys.executable, "-c", words]) for _ in range(told.times)])
    if told.runs:
        found = [two_runs() for _ in range(told.runs)]
        states = ("Prefect's database is new", "Prefect has run before")
        head("mediascribe run", "first request after s", "whole s", "CPU s")
        for name, column in zip(states, zip(*found, strict=True), strict=True):
            firsts, tooks = [first for first, _ in column], [took for _, took in column]
            cells = firsts, [took.seconds for took in tooks], [took.cpu_s for took in tooks]
            row(name, *(f"{median(cell):.1f}" for cell in cells))


def two_runs() -> list[tuple[float, Took]]:
    """Two runs under one home of Prefect's, the first of which finds it empty: seconds to the first request, and all.

    Raises:
        RuntimeError: a run failed, or asked nothing.
    """
    found = []
    with gateway() as (url, arrivals), tempfile.TemporaryDirectory() as folder:
        job = _written(Path(folder), url)
        environ = {name: value for name, value in os.environ.items() if name != "PREFECT_API_URL"}
        environ |= {"MEDIASCRIBE_API_KEY": "sk-bench-0123456789", "PREFECT_HOME": str(Path(folder) / "prefect")}
        for _ in range(2):
            arrivals.clear()
            began = time.perf_counter()
            took = timed([*COMMAND, "run", job], environ)
            if len(arrivals) != ROWS:
                raise RuntimeError(f"the run sent {len(arrivals)} requests in place of {ROWS}")
            found.append((arrivals[0] - began, took))
            shutil.rmtree(Path(folder) / "out")
    return found


@contextmanager
def gateway() -> Iterator[tuple[str, list[float]]]:
    """The address of a gateway that answers at once, and when its requests came."""
    arrivals: list[float] = []

    class Noting(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            arrivals.append(time.perf_counter())
            self.rfile.read(int(self.headers["content-length"]))
            self.send_response(200)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(ANSWER)))
            self.end_headers()
            self.wfile.write(ANSWER.encode())

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Noting) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/v1", arrivals
        server.shutdown()


def timed(command: Sequence[str], environ: dict[str, str] | None = None) -> Took:
    """What *command* takes, which has to succeed; the processes that it starts are counted, too."""
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    subprocess.run(command, check=True, cwd=ROOT, env=environ, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    seconds, after = time.perf_counter() - began, resource.getrusage(resource.RUSAGE_CHILDREN)
    return Took(seconds=seconds, cpu_s=after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)


def _written(folder: Path, url: str) -> str:
    lines = [f"i{number},https://cdn.example.com/{number}.jpg" for number in range(ROWS)]
    (folder / "manifest.csv").write_text("\n".join(["item_id,image_url", *lines]) + "\n")
    job = folder / "job.toml"
    job.write_text(JOB.format(folder=folder, url=url))
    return str(job)


def _print(name: str, tooks: Sequence[Took]) -> None:
    wall, cpu = median(took.seconds for took in tooks), median(took.cpu_s for took in tooks)
    row(name, f"{wall * 1000:,.0f}", f"{cpu * 1000:,.0f}")


if __name__ == "__main__":
    main()
