"""A Prefect server and a process worker of a test's own, on loopback, with the database in the test's folder.

`prefect_server(home)` runs the server, and `worker(server, pool, folder)` a worker that starts runs in *folder*.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
START_S = 120
END_S = 30
# Late runs, slots and schedules are looked at every few seconds at most: a test waits for them.
HASTE = {
    "PREFECT_SERVER_SERVICES_SCHEDULER_LOOP_SECONDS": "2",
    "PREFECT_SERVER_SERVICES_LATE_RUNS_LOOP_SECONDS": "1",
    "PREFECT_SERVER_SERVICES_LATE_RUNS_AFTER_SECONDS": "1",
    "PREFECT_SERVER_DEPLOYMENTS_CONCURRENCY_SLOT_WAIT_SECONDS": "2",
    "PREFECT_WORKER_QUERY_SECONDS": "1",
    "PREFECT_RUNNER_POLL_FREQUENCY": "1",
}


@dataclass(frozen=True, kw_only=True)
class PrefectServer:
    """A server that runs: `environment` is what its clients need."""

    home: Path
    port: int
    running: subprocess.Popen

    @property
    def environment(self):
        """What a client of it has set; every other Prefect setting of this machine is left out."""
        inherited = {
            name: value for name, value in os.environ.items() if not name.startswith(("PREFECT", "MEDIASCRIBE"))
        }
        return inherited | self.settings

    @property
    def settings(self):
        """The same, Prefect's settings only."""
        return {
            **HASTE,
            "PREFECT_HOME": str(self.home),
            "PREFECT_API_URL": f"http://127.0.0.1:{self.port}/api",
            "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
            "DO_NOT_TRACK": "1",
            "PYTHONPATH": os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")])),
            "COLUMNS": "200",
        }

    def prefect(self, *words, cwd=None):
        """What `prefect WORDS` says; it must succeed."""
        done = subprocess.run(
            [sys.executable, "-m", "prefect", *map(str, words)],
            env=self.environment | {"PWD": str(cwd or ROOT)},
            cwd=cwd,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert done.returncode == 0, f"prefect {' '.join(map(str, words))}\n{done.stdout}\n{done.stderr}"
        return done.stdout

    def kill(self):
        """End it at once, as `kill -9` would."""
        _signal(self.running, signal.SIGKILL)
        self.running.wait(END_S)


@contextmanager
def prefect_server(home, *, port=None, ui=False, **settings):
    """Run a Prefect server with its database in *home* while the body runs; *port* and *home* of an older one go on."""
    home.mkdir(parents=True, exist_ok=True)
    port = port or _free_port()
    words = ["server", "start", "--host", "127.0.0.1", "--port", str(port), *([] if ui else ["--no-ui"])]
    with (home / "server.log").open("ab") as log:
        server = PrefectServer(home=home, port=port, running=None)
        environment = {name: value for name, value in server.environment.items() if name != "PREFECT_API_URL"}
        running = subprocess.Popen(
            [sys.executable, "-m", "prefect", *words],
            env=environment | {"PREFECT_SERVER_UI_API_URL": f"http://127.0.0.1:{port}/api"} | settings,
            cwd=home,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    server = PrefectServer(home=home, port=port, running=running)
    try:
        _until_healthy(server)
        yield server
    finally:
        end(running)


@contextmanager
def worker(server, pool, folder, *words, **environment):
    """Run a process worker of *pool* in *folder*; gives its process."""
    log = server.home / f"worker-{pool}.log"
    with log.open("ab") as prints:
        running = subprocess.Popen(
            [sys.executable, "-m", "prefect", "worker", "start", "--pool", pool, "--type", "process", *words],
            env=server.environment | environment,
            cwd=folder,
            stdout=prints,
            stderr=prints,
            start_new_session=True,
        )
    try:
        yield running
    finally:
        end(running)


def end(running):
    """End a process and all that it started."""
    _signal(running, signal.SIGTERM)
    try:
        running.wait(END_S)
    except subprocess.TimeoutExpired:
        _signal(running, signal.SIGKILL)
        running.wait(END_S)


def until(found, *, timeout_s=120.0, every_s=0.3, what="it"):
    """What *found* gives, as soon as that is something."""
    last = time.monotonic() + timeout_s
    while time.monotonic() < last:
        value = found()
        if value:
            return value
        time.sleep(every_s)  # noqa: TID251 - other processes are waited for
    raise AssertionError(f"{what} did not come within {timeout_s:.0f} s")


def _signal(running, number):
    with suppress(ProcessLookupError):
        os.killpg(running.pid, number)


def _free_port():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


def _until_healthy(server):
    def healthy():
        log = (server.home / "server.log").read_text()[-2000:]
        assert server.running.poll() is None, f"Prefect's server ended: {log}"
        with suppress(OSError), urllib.request.urlopen(f"http://127.0.0.1:{server.port}/api/health") as answer:
            return answer.status == 200
        return False

    until(healthy, timeout_s=START_S, every_s=0.1, what="Prefect's server")
