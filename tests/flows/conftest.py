"""The command line as a person starts it: a process of its own, in a folder of its own, under one Prefect server."""

import io
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from contextlib import redirect_stderr, redirect_stdout, suppress
from pathlib import Path

import pytest
from PIL import Image

from flows.__main__ import main
from mediascribe.sandbox import Sandbox

ROOT = Path(__file__).parents[2]
KEY = "sk-canary0123456789abcdef"

JOB = """
name = "t"
model = "gemini-2.0-flash"
output = "out"
{top}
[manifest]
path = "m.csv"
[gateway]
base_url = "{base_url}"
[prompt]
text = "What is it?"
{more}
[media]
mode = "url"
same_once = false
"""


@pytest.fixture(scope="session")
def gateway(tmp_path_factory):
    """A sandbox of the tests' own, whose ledger they can read; it serves one picture."""
    media = tmp_path_factory.mktemp("media")
    Image.new("RGB", (64, 48), "red").save(media / "red.png")
    with Sandbox(samples=media, api_key=KEY) as sandbox:
        yield sandbox


@pytest.fixture(autouse=True)
def _clean(gateway):
    gateway.reset()


@pytest.fixture(scope="session", autouse=True)
def _heard_signals():
    """A shell has what it starts in the background ignore Ctrl-C, and whatever that starts would inherit it."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def prefect(tmp_path_factory):
    """The environment of one Prefect server for all tests; each embedded one would take seconds to start."""
    home = tmp_path_factory.mktemp("prefect")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    quiet = {"PREFECT_HOME": str(home), "PREFECT_SERVER_ANALYTICS_ENABLED": "false", "DO_NOT_TRACK": "1"}
    command = [
        sys.executable,
        "-m",
        "prefect",
        "server",
        "start",
        "--host",
        "127.0.0.1",
        "--port",
        str(port),
        "--no-ui",
    ]
    with (home / "server.log").open("wb") as log:
        server = subprocess.Popen(
            command, env=os.environ | quiet, stdout=log, stderr=log, start_new_session=True, cwd=home
        )
    try:
        _until_healthy(port, server, home / "server.log")
        named = quiet | {"PREFECT_API_URL": f"http://127.0.0.1:{port}/api"}
        os.environ.update(named)  # before the first flow is imported: Prefect reads its settings then
        yield named
    finally:
        with suppress(ProcessLookupError):
            os.killpg(server.pid, signal.SIGTERM)
        try:
            server.wait(20)
        except subprocess.TimeoutExpired:
            os.killpg(server.pid, signal.SIGKILL)


def _until_healthy(port, server, log):
    for _ in range(600):
        if server.poll() is not None:
            pytest.fail(f"Prefect's server ended: {log.read_text()[-2000:]}")
        with suppress(OSError), urllib.request.urlopen(f"http://127.0.0.1:{port}/api/health") as answer:
            if answer.status == 200:
                return
        time.sleep(0.1)
    pytest.fail(f"Prefect's server does not answer: {log.read_text()[-2000:]}")


@pytest.fixture(scope="session")
def embedded(tmp_path_factory):
    """The environment of a fresh machine: no Prefect server is configured."""
    return {"PREFECT_API_URL": None, "PREFECT_HOME": str(tmp_path_factory.mktemp("embedded"))}


@pytest.fixture
def place(tmp_path):
    """A folder like a clone's: configs and samples, and nothing else."""
    shutil.copytree(ROOT / "configs", tmp_path / "configs")
    shutil.copytree(ROOT / "data/samples", tmp_path / "data/samples")
    return tmp_path


@pytest.fixture
def cli(tmp_path, prefect, monkeypatch):
    """`cli("run", "job.toml")` runs a command to its end; `cli.start(...)` gives the running process.

    The commands run in this process, where Prefect is imported already; with an environment of their own in another.
    """
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")
    return Cli(tmp_path, prefect, monkeypatch)


class Cli:
    def __init__(self, folder, prefect, monkeypatch):
        self.folder, self.prefect, self.monkeypatch = folder, prefect, monkeypatch

    def start(self, *words, key=KEY, **environment):
        inherited = {
            name: value for name, value in os.environ.items() if not name.startswith(("PREFECT", "MEDIASCRIBE"))
        }
        env = inherited | self.prefect | {"PYTHONPATH": str(ROOT), "COLUMNS": "200"} | environment
        if key:
            env["MEDIASCRIBE_API_KEY"] = key
        return subprocess.Popen(
            [sys.executable, "-m", "flows", *map(str, words)],
            cwd=self.folder,
            env={name: value for name, value in env.items() if value is not None},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def __call__(self, *words, key=KEY, **environment):
        if environment:
            running = self.start(*words, key=key, **environment)
            out, err = running.communicate(timeout=120)
            return Ended(running.returncode, out, err)
        if key:
            self.monkeypatch.setenv("MEDIASCRIBE_API_KEY", key)
        else:
            self.monkeypatch.delenv("MEDIASCRIBE_API_KEY", raising=False)
        out, err = io.StringIO(), io.StringIO()
        with pytest.raises(SystemExit) as left, redirect_stdout(out), redirect_stderr(err):
            main([str(word) for word in words])
        return Ended(left.value.code, out.getvalue(), err.getvalue())


class Ended:
    def __init__(self, status, out, err):
        self.status, self.out, self.err = status, out, err

    def __repr__(self):
        return f"exit {self.status}\n--- out\n{self.out}\n--- err\n{self.err}"


@pytest.fixture
def job(tmp_path, gateway):
    """`job(rows=100, more="[limits]...")`: a job file and its manifest; gives the job's path."""

    def _job(*, rows=20, base_url=None, top="", more="", manifest=None):
        header = "item_id,image_url\n"
        lines = "".join(f"i{number:04d},{gateway.media_url}red.png\n" for number in range(rows))
        (tmp_path / "m.csv").write_text(header + lines if manifest is None else manifest)
        path = tmp_path / "job.toml"
        path.write_text(JOB.format(base_url=base_url or gateway.url, top=top, more=more))
        return "job.toml"

    return _job
