"""All figures of speed, one after the other, in about a quarter of an hour on two cores: `make bench`.

    python tests/bench [--huge] [--quick] [--only NAME ...]

Each part is a script of this folder, and can be had alone; here they run as they are, in an order that lets a ratio
have both its sides in one run. `--huge` adds plans and cost questions of 10,000,000 rows, and memory up to 1,000,000:
half an hour more. `--quick` takes so few rows that only its tables are worth anything.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import importlib.util
import os
import platform
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from stub import has_nginx, kind
from tables import head, row, say

HERE: Final = Path(__file__).parent
LIBRARIES: Final = (
    *("aiohttp", "duckdb", "httptools", "httpx", "httpx-aiohttp", "msgspec", "prefect", "pyarrow", "pyreqwest"),
    "uvloop",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """One script, with its arguments: as a rule, for `--quick`, and for `--huge` (beside the rule)."""

    title: str
    script: str
    usual: str = ""
    quick: str = ""
    huge: str | None = None


PARTS: Final = (
    Part(title="Start-up", script="start.py", quick="--times 1 --runs 1"),
    Part(title="What a row costs, by steps", script="parts.py", quick="--rows 500"),
    Part(title="Admission", script="admission.py", usual="--only cost", quick="--only cost"),
    Part(title="A quota that nobody told", script="hidden.py", quick="--seeds 1 --only sec10"),
    Part(
        title="Throughput",
        script="throughput.py",
        quick="--rows 200 --in-flight 20",
    ),
    Part(
        title="Throughput over TLS",
        script="throughput.py",
        usual="--tls --latency 0.05 --only pipeline --only aiohttp",
        quick="--tls --rows 200 --latency 0.01 --only pipeline --only aiohttp",
    ),
    Part(title="Lag of the event loop", script="throughput.py", usual="--lag", quick="--lag --rows 200 --in-flight 20"),
    Part(
        title="Memory",
        script="throughput.py",
        usual="--memory --rows 100000",
        quick="--memory --rows 200 --in-flight 20",
        huge="--memory",
    ),
    Part(
        title="Processes",
        script="fleet.py",
        usual="--latency 0.05 --in-flight 100 --workers 1 2 --shared",
        quick="--latency 0.05 --in-flight 10 --workers 1 --shared --seconds 0.2",
    ),
    Part(
        title="Plan",
        script="plan.py",
        usual="--rows 1000000",
        quick="--rows 1000",
        huge="--rows 10000000",
    ),
    Part(title="Cost questions", script="cost.py", usual="1000000", quick="1000", huge="10000000"),
)


def main() -> int:
    """Run what was asked for; the exit status says whether every script ran to its end."""
    asked = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    asked.add_argument("--huge", action="store_true")
    asked.add_argument("--quick", action="store_true")
    asked.add_argument("--only", action="append", metavar="NAME", help="parts that have NAME in their title or script")
    told = asked.parse_args()
    machine()
    failed = []
    began = time.monotonic()
    for part in PARTS:
        if told.only and not any(word in f"{part.title} {part.script}" for word in told.only):
            continue
        runs = [part.quick] if told.quick else [part.usual, *([part.huge] if told.huge and part.huge else [])]
        failed += [f"{part.script} {words}" for words in runs if not _run(part, words)]
    say(f"\n{(time.monotonic() - began) / 60:.0f} min. {'Failed: ' + ', '.join(failed) if failed else ''}".rstrip())
    return 1 if failed else 0


def machine() -> None:
    """What this ran on: a table."""
    head("machine", "")
    row("processor", f"{_processor()}, {os.cpu_count()} cores")
    row("memory", f"{os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES') / 2**30:.0f} GB")
    row("kernel", f"{platform.system()} {platform.release()}")
    row("Python", f"{platform.python_implementation()} {platform.python_version()}")
    row("libraries", ", ".join(f"{name} {_version(name)}" for name in LIBRARIES))
    row("event loop", "uvloop, where a table says so" if importlib.util.find_spec("uvloop") else "asyncio's own")
    row("gateway", f"{kind()}{_nginx_version()}")
    row("load before", f"{os.getloadavg()[0]:.1f}")


def _run(part: Part, words: str) -> bool:
    """Run one script; whether it came to its end. A goal that was missed is no failure: its table says so."""
    say(f"\n## {part.title}\n\n`python tests/bench/{part.script}{' ' + words if words else ''}`")
    script = [sys.executable, HERE / part.script, *words.split()]
    ended = subprocess.run(script, check=False, stderr=subprocess.PIPE, text=True)
    broken = "Traceback" in ended.stderr or ended.returncode not in (0, 1)
    if broken:
        sys.stderr.write(ended.stderr)
    return not broken


def _processor() -> str:
    facts = Path("/proc/cpuinfo")
    lines = facts.read_text().splitlines() if facts.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def _version(name: str) -> str:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return "not installed"


def _nginx_version() -> str:
    if not has_nginx():
        return ""
    said = subprocess.run([shutil.which("nginx") or "nginx", "-v"], check=False, capture_output=True, text=True).stderr
    return f" ({said.rpartition('/')[2].strip()})"


if __name__ == "__main__":
    sys.exit(main())
