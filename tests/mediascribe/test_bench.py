"""The benches still run: each with so few rows that its figures say nothing."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.long

BENCH = Path(__file__).parents[1] / "bench"
SMALLEST = [
    "admission.py --only cost",
    "admission.py --quick --only 600",
    "cost.py 500",
    "fleet.py --latency 0.02 --in-flight 5 --workers 1 2 --seconds 0.2",
    "fleet.py --latency 0.02 --in-flight 5 --workers 1 --shared --seconds 0.2",
    "forecast.py --seeds 0 --pilot 20",
    "hidden.py --seeds 1 --only sec10",
    "media.py --quick --only looks",
    "parts.py --rows 200",
    "plan.py --rows 1000",
    "prefect_overhead.py 100 --repeats 1",
    "start.py --times 1 --runs 1",
    "throughput.py --rows 100 --latency 0.01 --in-flight 20",
    "throughput.py --rows 100 --latency 0.01 --in-flight 20 --tls",
    "throughput.py --rows 100 --latency 0.01 --in-flight 20 --lag",
    "throughput.py --rows 100 --latency 0.01 --in-flight 20 --memory",
    ". --quick --only parts.py",
]


@pytest.mark.parametrize("words", SMALLEST)
def test_a_bench_runs_and_prints_a_table(words, tmp_path):
    """Whether its goals were met is no question here: that would be of the machine, and its exit status may say so."""
    name, *options = words.split()
    environ = {key: value for key, value in os.environ.items() if key != "PREFECT_API_URL"}
    environ |= {"PREFECT_HOME": str(tmp_path / "prefect")}
    command = [sys.executable, str(BENCH / name), *options]
    ended = subprocess.run(command, cwd=tmp_path, env=environ, capture_output=True, text=True, check=False)
    has_goals = name in {"admission.py", "media.py"}
    assert ended.returncode in ((0, 1) if has_goals else (0,)), ended.stdout + ended.stderr
    assert "Traceback" not in ended.stderr, ended.stderr
    rows = [line for line in ended.stdout.splitlines() if line.startswith("| ")]
    assert len(rows) >= 3, ended.stdout  # names, a rule, and something measured
    assert "| failed |" not in ended.stdout


def test_every_bench_is_tried_here():
    """A script that nobody runs is found broken when its figures are wanted."""
    scripts = {path.name for path in BENCH.glob("*.py") if "ArgumentParser(" in path.read_text()}
    scripts |= {path.name for path in BENCH.glob("*.py") if "by_steps(" in path.read_text()}
    assert scripts - {"__main__.py", "tables.py"} == {words.split()[0] for words in SMALLEST} - {"."}
