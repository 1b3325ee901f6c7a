"""One run on several workers, each a process with a folder, a network and an address of its own; and what befalls them.

The workers reach the gateway, the bucket and the scheduler through a bridge; where this user may make no network, all
are on loopback, and nobody is cut off.
"""

import contextlib
import itertools
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from pathlib import Path

import pytest
from judge import QUESTION
from PIL import Image

from mediascribe import dataset
from mediascribe.sandbox import Behaviour, Sandbox
from mediascribe.store import open_store, store_at

pytest_plugins = ("survival",)  # its fixtures
pytest.importorskip("distributed")
pytestmark = pytest.mark.long

ROOT = Path(__file__).parents[2]
KEY = "sk-canary0123456789abcdef"
OUTPUT = "s3://bucket/some/out"
DEAD_AFTER_S = 6.0
JOB = """
name = "t"
model = "gemini-2.0-flash"
output = "{output}"
shard_rows = {shard_rows}
[manifest]
path = "m.csv"
[gateway]
base_url = "{base_url}"
[media]
mode = "url"
[prompt]
text = "{question}"
[limits]
concurrency = 24
requests_per_minute = {per_minute}
[engine]
{engine}
dead_after_s = {dead_after_s}
"""


class Bridge:
    """Networks of their own for workers, joined by a bridge; loopback where none may be made."""

    def __init__(self, names):
        self.names, self.address, self.real = names, "127.0.0.1", False
        if shutil.which("ip") and os.geteuid() == 0:
            self._clear()
            with contextlib.suppress(subprocess.CalledProcessError):
                self._join()
                self.address, self.real = "10.77.0.1", True

    def _join(self):
        _ip("link", "add", "fleet0", "type", "bridge")
        _ip("addr", "add", "10.77.0.1/24", "dev", "fleet0")
        _ip("link", "set", "fleet0", "up")
        for number, name in enumerate(self.names):
            _ip("netns", "add", name)
            _ip("link", "add", f"v-{name}", "type", "veth", "peer", "name", "eth0", "netns", name)
            _ip("link", "set", f"v-{name}", "master", "fleet0", "up")
            _ip("-n", name, "addr", "add", f"10.77.0.{10 + number}/24", "dev", "eth0")
            _ip("-n", name, "link", "set", "lo", "up")
            _ip("-n", name, "link", "set", "eth0", "up")

    def inside(self, name):
        """What a command begins with that is to run in the network *name*."""
        return ["ip", "netns", "exec", name] if self.real else []

    def cut(self, name, *, off):
        """Cut *name* off, or let it in again."""
        _ip("link", "set", f"v-{name}", "down" if off else "up")

    def _clear(self):
        for name in self.names:
            subprocess.run(["ip", "netns", "del", name], capture_output=True, check=False)
            subprocess.run(["ip", "link", "del", f"v-{name}"], capture_output=True, check=False)
        subprocess.run(["ip", "link", "del", "fleet0"], capture_output=True, check=False)

    def close(self):
        if self.real:
            self._clear()


def _ip(*words):
    subprocess.run(["ip", *words], capture_output=True, check=True)


class Forwarder:
    """What arrives at *address* goes on to a port of loopback."""

    def __init__(self, address, port):
        command = [sys.executable, str(ROOT / "tests/support/forwarder.py"), address, str(port)]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        self.port = int(self._process.stdout.readline())

    def close(self):
        self._process.kill()
        self._process.wait()


class Cluster:
    """A Dask scheduler, and workers that are started again when they were killed."""

    def __init__(self, bridge, folder, environment):
        self.bridge, self._folder, self._environment = bridge, folder, environment
        self._port = next(_ports())
        self.address = f"tcp://{bridge.address}:{self._port}"
        limits = {"DASK_DISTRIBUTED__SCHEDULER__WORKER_TTL": f"{DEAD_AFTER_S:.0f}s"}
        limits["DASK_DISTRIBUTED__SCHEDULER__ALLOWED_FAILURES"] = "100"
        words = ["scheduler", "--host", bridge.address, "--port", str(self._port), "--no-dashboard"]
        self.scheduler = self._start("scheduler", words, limits)
        self.workers = {}
        for name in bridge.names:
            self.start(name)

    def start(self, name):
        """Start the worker *name*, in its own folder and network."""
        words = ["worker", self.address, "--name", f"{name}-{time.monotonic_ns()}", "--nthreads", "2"]
        self.workers[name] = self._start(name, [*words, "--no-nanny", "--no-dashboard"], {})

    def _start(self, name, words, more):
        place = self._folder / name
        place.mkdir(exist_ok=True)
        inside = self.bridge.inside(name) if name in self.bridge.names else []
        dask = [sys.executable, "-m", "dask", *words, "--local-directory" if words[0] == "worker" else "--protocol"]
        dask.append(str(place) if words[0] == "worker" else "tcp")
        environment = os.environ | self._environment | more | {"MEDIASCRIBE_WORK": str(place / "work")}
        with (place / "log").open("ab") as log:
            return subprocess.Popen([*inside, *dask], cwd=place, env=environment, stdout=log, stderr=log)

    def close(self):
        for process in (*self.workers.values(), self.scheduler):
            with contextlib.suppress(ProcessLookupError):
                process.send_signal(signal.SIGCONT)
                process.kill()
            process.wait()


def _ports():
    import socket  # noqa: PLC0415 - here only

    while True:
        with socket.socket() as free:
            free.bind(("", 0))
            port = free.getsockname()[1]
        yield port


class Mischief:
    """Kills, freezes and cuts off workers, one after the other, until it is told to stop."""

    def __init__(self, cluster, seed, pause_s):
        self.done = Counter()
        self._cluster, self._dice, self._pause_s = cluster, random.Random(seed), pause_s  # noqa: S311 - an instant
        self._over, self._thread = threading.Event(), threading.Thread(target=self._run)

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._over.set()
        self._thread.join()

    def _run(self):
        kinds = ["kill", "stop", "nap", *(["cut"] if self._cluster.bridge.real else [])]
        for kind in itertools.cycle(kinds):
            if self._over.wait(self._dice.uniform(*self._pause_s)):
                return
            name = self._dice.choice(self._cluster.bridge.names)
            getattr(self, f"_{kind}")(name)
            self.done[kind] += 1

    def _kill(self, name):
        self._cluster.workers[name].kill()
        self._cluster.workers[name].wait()
        self._cluster.start(name)

    def _stop(self, name, seconds=DEAD_AFTER_S * 2.5):
        process = self._cluster.workers[name]
        process.send_signal(signal.SIGSTOP)
        self._over.wait(seconds)
        process.send_signal(signal.SIGCONT)
        self._again(name)

    def _nap(self, name):
        self._stop(name, DEAD_AFTER_S / 4)

    def _cut(self, name):
        self._cluster.bridge.cut(name, off=True)
        self._over.wait(DEAD_AFTER_S * 2.5)
        self._cluster.bridge.cut(name, off=False)
        self._again(name)

    def _again(self, name):
        """A worker that left the cluster is started again, as its machine would."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._cluster.workers[name].wait(3)
            self._cluster.start(name)


@pytest.fixture
def bridge():
    made = Bridge(["fleet-a", "fleet-b", "fleet-c"])
    yield made
    made.close()


@pytest.fixture
def asker(bridge, tmp_path):
    """A gateway that workers reach."""
    media = tmp_path / "media"
    media.mkdir()
    Image.new("RGB", (16, 16), "red").save(media / "red.png")
    with Sandbox(host=bridge.address, samples=media, api_key=KEY) as sandbox:
        yield sandbox


def write_job(folder, asker, rows, **changes):
    """A job of so many rows that the ledger tells apart."""
    lines = "".join(f"i{number:05d},{asker.media_url}red.png\n" for number in range(rows))
    (folder / "m.csv").write_text("item_id,image_url\n" + lines)
    filled = {"output": OUTPUT, "shard_rows": 500, "per_minute": 60_000, "dead_after_s": DEAD_AFTER_S} | changes
    (folder / "job.toml").write_text(JOB.format(base_url=asker.url, question=QUESTION, **filled))


def compare(output, asker, rows):
    """What the gateway billed, beside what the results have: rows, billed again, in doubt."""
    asker.drain()
    history = dataset.history(output, ["item_id", "status"])
    results = Counter(history["item_id"].to_pylist())
    assert len(results) == rows
    assert set(results.values()) == {1}, "no row twice"
    assert set(history["status"].to_pylist()) == {"ok"}
    billed = Counter(entry.prompt_sha256 for entry in asker.ledger() if entry.billed)
    assert len(billed) == rows, "every row was asked"
    return billed.total() - rows, sum(run["in_doubt"] for run in dataset.runs(output))


def busiest_minute(asker):
    """The most requests that the gateway counted in any 60 s."""
    times = sorted(entry.arrived_at.timestamp() for entry in asker.ledger())
    most = first = 0
    for last, at in enumerate(times):
        while at - times[first] >= 60:
            first += 1
        most = max(most, last - first + 1)
    return most


def test_three_workers_under_mischief(  # noqa: PLR0913, PLR0917 - fixtures
    cli, bucket, bridge, asker, moto, tmp_path, capsys
):
    """20,000 rows, kill -9, SIGSTOP and cut networks: every row has one result, what was billed again was in doubt."""
    rows = int(os.environ.get("FLEET_ROWS", "20000"))
    asker.behave("*", Behaviour(latency_s=0.1, jitter_s=0.1))
    forwarder = Forwarder(bridge.address, moto.rpartition(":")[2])
    environment = {"AWS_ENDPOINT_URL": f"http://{bridge.address}:{forwarder.port}", "PYTHONPATH": str(ROOT)}
    environment |= {"MEDIASCRIBE_API_KEY": KEY, "AWS_ENDPOINT_URL_S3": f"http://{bridge.address}:{forwarder.port}"}
    cluster = Cluster(bridge, tmp_path, environment)
    began_at = time.monotonic()
    try:
        write_job(tmp_path, asker, rows, engine=f'address = "{cluster.address}"')
        lead = cli.start("run", "job.toml")
        with Mischief(cluster, 7, (1.0, 4.0)) as mischief:
            out, err = lead.communicate(timeout=900)
    finally:
        cluster.close()
        forwarder.close()
    took_s = time.monotonic() - began_at
    assert lead.returncode == 0, out + err
    again, in_doubt = compare(OUTPUT, asker, rows)
    verified = cli("verify", OUTPUT, "--job", "job.toml")
    assert verified.status == 0, verified
    assert cli("run", "job.toml").status == 0, "and what a worker left that woke up later is removed"
    left = [name for name in store_at(OUTPUT).bucket.names("_work/") if "lease" not in name]
    with capsys.disabled():
        sys.stdout.write(
            f"\n{rows:,} rows on 3 workers ({'own networks' if bridge.real else 'loopback'}), {took_s:.0f} s:"
            f" {dict(mischief.done)}; billed again {again}, in doubt {in_doubt};"
            f" most in a minute {busiest_minute(asker):,} of 60,000\n"
        )
    assert left == []
    assert again <= in_doubt + 4 * 24 * sum(mischief.done.values()), "what was sent within the shipping window"


def test_workers_of_this_machine_share_a_folder(cli, asker, tmp_path, capsys):
    """`--workers 3`: one of them is killed, and what was billed again was counted in doubt, to the request."""
    asker.behave("*", Behaviour(latency_s=0.1))
    write_job(tmp_path, asker, 3_000, output="out", engine="", shard_rows=250)
    lead = cli.start("run", "job.toml", "--workers", "3", "--json")
    while len(asker.ledger()) < 600:
        assert lead.poll() is None, lead.communicate()
        time.sleep(0.05)
    os.kill(int(_spawned(lead.pid)[0]), signal.SIGKILL)
    out, err = lead.communicate(timeout=300)
    assert lead.returncode == 0, out + err
    again, in_doubt = compare("out", asker, 3_000)
    assert 0 < again <= in_doubt <= 3 * 24
    assert json.loads(out)["run"]["complete"] is True
    assert not (tmp_path / "out/_work/fleet").exists() or not list((tmp_path / "out/_work/fleet").iterdir())
    assert cli("verify", "out", "--job", "job.toml").status == 0
    with capsys.disabled():
        sys.stdout.write(f"\n3 workers on a folder, one killed: billed again {again}, in doubt {in_doubt}\n")


def test_a_killed_lead_is_recovered(cli, asker, tmp_path):
    """Killed with its workers at work: the next start publishes what they had, and asks the rest."""
    asker.behave("*", Behaviour(latency_s=0.1))
    write_job(tmp_path, asker, 2_000, output="out", engine="workers = 2", shard_rows=250)
    lead = cli.start("run", "job.toml")
    while len(asker.ledger()) < 500:
        assert lead.poll() is None, lead.communicate()
        time.sleep(0.05)
    os.kill(lead.pid, signal.SIGKILL)
    lead.communicate()
    ended = cli.start("run", "job.toml")
    out, err = ended.communicate(timeout=300)
    assert ended.returncode == 0, out + err
    again, in_doubt = compare("out", asker, 2_000)
    assert again <= in_doubt <= 2 * 2 * 24
    assert cli("verify", "out", "--job", "job.toml").status == 0


def test_ctrl_c_lets_what_is_in_flight_land(cli, asker, tmp_path):
    """Status 130 on every worker's behalf; nothing is in doubt, and the next start asks the rest."""
    asker.behave("*", Behaviour(latency_s=0.2))
    write_job(tmp_path, asker, 2_000, output="out", engine="workers = 2", shard_rows=250)
    lead = cli.start("run", "job.toml")
    while len(asker.ledger()) < 300:
        assert lead.poll() is None, lead.communicate()
        time.sleep(0.05)
    os.killpg(lead.pid, signal.SIGINT)
    out, err = lead.communicate(timeout=120)
    assert lead.returncode == 130, out + err
    assert open_store("out").exists(f"runs/{dataset.runs('out')[0]['run_id']}.json")
    assert dataset.runs("out")[0]["in_doubt"] == 0
    assert cli("run", "job.toml").status == 0
    assert compare("out", asker, 2_000) == (0, 0)


def _spawned(pid):
    """The worker processes below *pid*."""
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            fields = path.read_text().rpartition(")")[2].split()
            command = path.with_name("cmdline").read_text()
            if int(fields[1]) == pid and "spawn_main" in command:
                found.append(path.parent.name)
    return sorted(found, key=int)
