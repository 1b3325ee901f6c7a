"""What an on-call engineer meets, really done: kills of the run, the worker and Prefect's server, and a cancel.

A Prefect server and a process worker of the tests' own; the sandbox's ledger judges that nothing is paid for twice.
"""

import json
import os
import signal
import subprocess
import sys
import urllib.request
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from judge import QUESTION, Judge, answered
from prefect_server import prefect_server, until, worker

from mediascribe import dataset
from mediascribe.sandbox import Behaviour
from mediascribe.verification import verify

pytestmark = pytest.mark.long

KEY = "sk-canary0123456789abcdef"
OVER = {"COMPLETED", "FAILED", "CRASHED", "CANCELLED"}
JOB = """
name = "t"
model = "gemini-2.0-flash"
output = "out"
shard_rows = 100
[manifest]
path = "m.csv"
[gateway]
base_url = "{base_url}"
[media]
mode = "url"
[prompt]
text = "{question}"
[limits]
concurrency = 4
"""
# README, "Operating it": a run whose process is gone, and whose worker is gone as well, says nothing any more.
ZOMBIES = """
name: mediascribe zombies
trigger:
  type: event
  posture: Proactive
  after: [prefect.flow-run.heartbeat]
  expect: [prefect.flow-run.heartbeat, prefect.flow-run.Completed, prefect.flow-run.Failed,
           prefect.flow-run.Cancelled, prefect.flow-run.Crashed]
  match: {"prefect.resource.id": "prefect.flow-run.*"}
  for_each: [prefect.resource.id]
  threshold: 1
  within: 45
actions:
  - type: change-flow-run-state
    state: CRASHED
    message: nothing was heard of it any more
"""


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """Where the server of these tests keeps its database."""
    return tmp_path_factory.mktemp("server") / "home"


@pytest.fixture(scope="module")
def server(home):
    """A Prefect server of these tests' own."""
    with prefect_server(home) as running:
        running.prefect("work-pool", "create", "ops", "--type", "process")
        yield running


@pytest.fixture
def site(server, gateway, tmp_path, monkeypatch):
    """A folder with a job of 200 rows, deployed."""
    monkeypatch.chdir(tmp_path)
    gateway.behave("*", Behaviour(latency_s=0.3))
    return Site(server, gateway, tmp_path)


class Site:
    """A server, a gateway, and the folder in which runs start."""

    def __init__(self, server, gateway, folder, rows=200):
        self.server, self.gateway, self.folder = server, gateway, folder
        self.items = [f"i{number:04d}" for number in range(rows)]
        lines = "".join(f"{item},{gateway.media_url}red.png\n" for item in self.items)
        (folder / "m.csv").write_text("item_id,image_url\n" + lines)
        (folder / "t.toml").write_text(JOB.format(base_url=gateway.url, question=QUESTION))
        self.judge = Judge(gateway, self.items)

    @property
    def environment(self):
        return self.server.environment | {"MEDIASCRIBE_API_KEY": KEY}

    def start(self, *words):
        """Start `mediascribe WORDS`; gives the running process."""
        return subprocess.Popen(
            [sys.executable, "-m", "flows", *words],
            cwd=self.folder,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def mediascribe(self, *words):
        """What `mediascribe WORDS` says; it must succeed."""
        running = self.start(*words)
        out, err = running.communicate(timeout=240)
        assert running.returncode == 0, f"exit {running.returncode}\n{out}\n{err}"
        return out

    def api(self, path, body=None):
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.server.port}/api{path}",
            data=None if body is None else json.dumps(body).encode(),
            headers={"content-type": "application/json"},
        )
        with closing(urllib.request.urlopen(request)) as answer:  # noqa: S310 - loopback
            return json.loads(answer.read() or "null")

    def run(self):
        """Deploy, and start a run; gives its id."""
        self.mediascribe("deploy", "t.toml", "--pool", "ops")
        return self.again()

    def again(self):
        """Start a run of what is deployed; gives its id."""
        deployment = self.api("/deployments/name/caption/t")["id"]
        return self.api(f"/deployments/{deployment}/create_flow_run", {"parameters": {"job": "t.toml"}})["id"]

    def state(self, run):
        return self.api(f"/flow_runs/{run}")["state"]

    def ended(self, run, timeout_s=240):
        """The state in which *run* ends."""

        def over():
            state = self.state(run)
            return state if state["type"] in OVER else None

        return until(over, timeout_s=timeout_s, what="the end of the run")

    def midway(self, answers=40):
        """Wait until so many answers were given."""
        until(lambda: answered(self.gateway) >= answers, what="the middle of the run")

    def process(self, run):
        """The process that runs the flow *run*."""
        mark = f"PREFECT__FLOW_RUN_ID={run}".encode()
        return next((pid for pid in _processes() if mark in _environment(pid)), None)

    @contextmanager
    def worker(self, **environment):
        with worker(self.server, "ops", self.folder, MEDIASCRIBE_API_KEY=KEY, **environment) as running:
            yield running


def _processes():
    return [int(path.name) for path in Path("/proc").iterdir() if path.name.isdigit()]


def _environment(pid):
    try:
        command = Path(f"/proc/{pid}/cmdline").read_bytes()
        return Path(f"/proc/{pid}/environ").read_bytes() if b"python" in command else b""
    except OSError:
        return b""


def test_a_killed_run_is_crashed_and_the_next_one_goes_on(site):
    """By the worker's word; what was received is not asked again."""
    with site.worker():
        run = site.run()
        site.midway()
        os.kill(site.process(run), signal.SIGKILL)
        state = site.ended(run)
        assert (state["type"], state["name"]) == ("CRASHED", "Crashed"), state
        site.judge.look(site.folder / "out/_work")
        again = site.ended(site.again())
    assert again["type"] == "COMPLETED", again
    assert site.judge.convict("out") == []


def test_a_cancel_lets_answers_in_flight_land(site):
    """Cancelled, with the reason and the way on; nothing is in doubt, and the next run asks the rest."""
    with site.worker():
        run = site.run()
        site.midway()
        site.api(f"/flow_runs/{run}/set_state", {"state": {"type": "CANCELLING", "name": "Cancelling"}})
        state = site.ended(run)
        assert state["type"] == "CANCELLED", state
        assert state["message"].startswith("Interrupted: interrupted by SIGTERM; "), state
        assert state["message"].endswith(" ok; to go on: mediascribe run t.toml"), state
        (closed,) = until(lambda: dataset.runs("out"), what="the run file")
        assert (closed["status"], closed["in_doubt"]) == ("interrupted", 0)
        assert 40 <= closed["wrote"]["rows"] < 200
        again = site.ended(site.again())
    assert again["type"] == "COMPLETED", again
    assert site.judge.convict("out") == []
    assert site.judge.billed_again().total() == 0


def test_a_run_outlives_its_worker(site):
    """It ends, and says so itself."""
    with site.worker() as working:
        run = site.run()
        site.midway()
        os.kill(working.pid, signal.SIGKILL)
        state = site.ended(run)
    assert state["type"] == "COMPLETED", state
    assert state["message"] == "Completed: 200 ok"
    assert site.judge.convict("out") == []


def test_a_run_of_which_nothing_is_heard_any_more_is_crashed(site):
    """Worker and run are killed together, as by a machine that goes down: an automation of Prefect's finds out."""
    rule = site.folder / "zombies.yaml"
    rule.write_text(ZOMBIES)
    site.server.prefect("automation", "create", "--from-file", rule)
    with site.worker(PREFECT_FLOWS_HEARTBEAT_FREQUENCY="30") as working:
        run = site.run()
        site.midway()
        ours = site.process(run)
        os.kill(working.pid, signal.SIGKILL)
        os.kill(ours, signal.SIGKILL)
    site.judge.look(site.folder / "out/_work")
    assert site.state(run)["type"] == "RUNNING"
    state = site.ended(run)
    assert (state["type"], state["message"]) == ("CRASHED", "nothing was heard of it any more")
    site.mediascribe("run", "t.toml")
    assert site.judge.convict("out") == []


def test_a_run_outlives_prefects_server(gateway, tmp_path, monkeypatch):
    """Every row has its result; the terminal and the run file say what Prefect does not know."""
    monkeypatch.chdir(tmp_path)
    gateway.behave("*", Behaviour(latency_s=0.3))
    with prefect_server(tmp_path / "home") as server:
        site = Site(server, gateway, tmp_path)
        running = site.start("run", "t.toml")
        site.midway()
        server.kill()
        (closed,) = until(lambda: dataset.runs("out"), what="the run file")
        _, err = running.communicate(timeout=400)
    assert closed["complete"]
    assert "Prefect's server was not reached since" in err
    (note,) = dataset.runs("out")[0]["notes"]
    assert note in " ".join(err.split())
    assert verify("out").ok
    assert site.judge.convict("out") == []
