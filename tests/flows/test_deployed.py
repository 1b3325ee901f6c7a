"""Deployments for real: a Prefect server, a process worker, the commands as a person types them, and a gateway."""

import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from prefect_server import HASTE, prefect_server, until, worker

from mediascribe import dataset
from mediascribe.sandbox import Behaviour, Sandbox

pytestmark = pytest.mark.long

ROOT = Path(__file__).parents[2]
KEY = "sk-canary0123456789abcdef"
OVER = {"COMPLETED", "FAILED", "CRASHED", "CANCELLED"}
JOB = """
name = "{name}"
model = "gemini-2.0-flash"
output = "{name}"
[manifest]
path = "m.csv"
[gateway]
base_url = "{base_url}"
[media]
mode = "url"
[prompt]
text = "What is {{{{ item_id }}}}?"
[limits]
concurrency = 4
"""

# What README shows: each is typed as it stands there.
EXAMPLES = """
prefect deployment run backfill/t
prefect deployment run backfill/t -p 'reasons=["stale_prompt", "stale_model"]'
prefect deployment run backfill/t -p 'reasons=["failed"]' -p 'wanted={"error_classes": ["timeout", "server"]}'
prefect deployment run backfill/t -p 'wanted={"where": "attempts > 1", "limit": 100}'
prefect deployment run backfill/t -p 'wanted={"since": "2026-10-01T00:00:00Z", "sample": 50}'
prefect deployment run backfill/t -p 'means={"budget": {"usd": 2.5}, "share": 0.3}' -p 'deadline="06:00 Europe/Berlin"'
prefect deployment run caption/t -p 'rules={"overlap": "skip"}'
""".strip().splitlines()


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """A Prefect server of these tests' own."""
    with prefect_server(tmp_path_factory.mktemp("server") / "home") as running:
        yield running


@pytest.fixture(scope="module")
def gateway(tmp_path_factory):
    """A sandbox that wants a key."""
    with Sandbox(samples=ROOT / "data/samples", api_key=KEY) as sandbox:
        yield sandbox


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """A folder like a clone's, in which runs start."""
    folder = tmp_path_factory.mktemp("clone")
    for name in ("configs", "data/samples"):
        shutil.copytree(ROOT / name, folder / name)
    for name in ("flows", "tasks", "mediascribe"):
        (folder / name).symlink_to(ROOT / name)
    return folder


@pytest.fixture(scope="module")
def working(server, home):
    """A worker with the gateway's key in its environment; the pool is there before it."""
    server.prefect("work-pool", "create", "mediascribe", "--type", "process")
    with worker(server, "mediascribe", home, MEDIASCRIBE_API_KEY=KEY) as running:
        yield running


class Api:
    """What the server says, over its own API."""

    def __init__(self, server):
        self.base = f"http://127.0.0.1:{server.port}/api"

    def __call__(self, path, body=None, method=None):
        """What it answers; asked again while its database is busy, as Prefect's own client does."""
        request = urllib.request.Request(  # noqa: S310 - loopback
            self.base + path,
            data=None if body is None else json.dumps(body).encode(),
            headers={"content-type": "application/json"},
            method=method,
        )

        def answered():
            try:
                with closing(urllib.request.urlopen(request)) as answer:  # noqa: S310 - loopback
                    return (json.loads(answer.read() or "null"),)
            except urllib.error.HTTPError as error:
                if error.code != 503:
                    raise
            return None

        return until(answered, what=path)[0]

    def deployment(self, name):
        return self(f"/deployments/name/{name}")

    def runs(self, name):
        """The runs of a deployment that are due by now, in the order in which they were."""
        due = {"expected_start_time": {"before_": datetime.now(UTC).isoformat()}}
        found = self(
            "/flow_runs/filter",
            {
                "flow_runs": due | {"deployment_id": {"any_": [self.deployment(name)["id"]]}},
                "sort": "EXPECTED_START_TIME_ASC",
            },
        )
        return [(one["state_type"], one["state_name"], one["state"]["message"], one["id"]) for one in found]

    def ended(self, name, count=1):
        """The same, once so many of them are over."""

        def over():
            runs = self.runs(name)
            return runs if len(runs) >= count and all(run[0] in OVER for run in runs) else None

        return until(over, timeout_s=240, what=f"the end of {count} runs of {name}")

    def run(self, name, **parameters):
        """Start a run; gives its id."""
        return self(f"/deployments/{self.deployment(name)['id']}/create_flow_run", {"parameters": parameters})["id"]

    def state(self, run):
        return self(f"/flow_runs/{run}")["state"]


class Site:
    """A server, a gateway, a folder, and the commands that a person types there."""

    def __init__(self, server, gateway, home):
        self.server, self.gateway, self.home, self.api = server, gateway, home, Api(server)

    def mediascribe(self, *words):
        """What the command gives as JSON."""
        done = subprocess.run(
            [sys.executable, "-m", "flows", *words, "--json"],
            cwd=self.home,
            env=self.server.environment,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
        return json.loads(done.stdout)

    def job(self, name, *, rows=3, slow=0.0):
        """Write a job file; gives its name."""
        self.gateway.reset()
        self.gateway.behave("gemini-2.0-flash", Behaviour(latency_s=slow))
        lines = "".join(f"i{number},{self.gateway.media_url}images/icon.png\n" for number in range(rows))
        (self.home / "m.csv").write_text(f"item_id,image_url\n{lines}")
        path = self.home / f"{name}.toml"
        path.write_text(JOB.format(name=name, base_url=self.gateway.url))
        return path.name


@pytest.fixture
def site(server, gateway, home):
    return Site(server, gateway, home)


def test_a_deployment_is_made_once_and_changed_by_name(site):
    """The same command again says that nothing changed, and leaves the planned runs alone; pauses stay."""
    command = ["deploy", site.job("once"), "--timezone", "Europe/Berlin", "--deadline", "06:00", "--pool", "new"]
    made = site.mediascribe(*command, "--cron", "0 1 * * *")
    assert (made["outcome"], made["name"], made["new_pool"]) == ("created", "caption/once", "new")
    found = site.api.deployment("caption/once")
    assert found["schedules"][0]["schedule"]["cron"] == "0 1 * * *"
    assert found["parameters"] == {
        "job": "once.toml",
        "deadline": "06:00 Europe/Berlin",
        "rules": {"catch_up": "latest", "overlap": "wait"},
    }
    assert site.mediascribe(*command, "--cron", "0 1 * * *")["outcome"] == "unchanged"
    assert site.api.deployment("caption/once")["updated"] == found["updated"]
    site.api(f"/deployments/{found['id']}", {"paused": True, "tags": ["night"]}, "PATCH")
    changed = site.mediascribe(*command, "--cron", "0 2 * * *")
    assert changed["changes"] == [
        {"what": "schedule", "before": "0 1 * * * Europe/Berlin", "after": "0 2 * * * Europe/Berlin"}
    ]
    after = site.api.deployment("caption/once")
    assert (after["id"], after["paused"], after["tags"]) == (found["id"], True, ["night"])


def test_a_scheduled_run_comes_and_ends(site, working):
    """By the clock, to the minute, with every row in the output."""
    site.mediascribe("deploy", site.job("clock"), "--cron", "* * * * *")
    until(lambda: site.api.runs("caption/clock"), what="the minute")
    site.api(f"/deployments/{site.api.deployment('caption/clock')['id']}", {"paused": True}, "PATCH")
    state, name, message, _ = site.api.ended("caption/clock")[0]
    assert (state, name) == ("COMPLETED", "Completed"), message
    assert list(dataset.current(str(site.home / "clock")).to_pandas()["status"]) == ["ok"] * 3


@pytest.mark.parametrize(
    ("rule", "names"),
    [
        ("latest", ["Skipped", "Skipped", "Completed"]),
        ("skip", ["Skipped", "Skipped", "Skipped"]),
        ("all", ["Completed", "Completed", "Completed"]),
    ],
)
def test_late_runs_are_caught_up_by_rule(site, working, rule, names):
    """Three nights in which nothing could start them."""
    site.mediascribe("deploy", site.job(f"late-{rule}"), "--cron", "0 1 * * *", "--catch-up", rule)
    found, now = site.api.deployment(f"caption/late-{rule}"), datetime.now(UTC)
    nights = {"start_time": (now - timedelta(days=3)).isoformat(), "end_time": now.isoformat()}
    site.api(f"/deployments/{found['id']}/schedule", nights | {"min_runs": 3, "max_runs": 3, "min_time": 300_000.0})
    runs = site.api.ended(f"caption/late-{rule}", 3)
    assert [run[1] for run in runs] == names, runs
    assert all("catch-up" in run[2] for run in runs if run[1] == "Skipped")


@pytest.mark.parametrize(("rule", "second"), [("wait", "Completed"), ("skip", "Cancelled")])
def test_a_second_run_of_a_deployment_never_doubles(site, working, rule, second):
    """It waits for its turn and finds nothing left to ask, or is cancelled by the server."""
    name = f"twice-{rule}"
    site.mediascribe("deploy", site.job(name, rows=12, slow=2.0), "--overlap", rule)
    first = site.api.run(f"caption/{name}")
    until(lambda: site.api.state(first)["type"] == "RUNNING", what="the first run")
    other = site.api.run(f"caption/{name}")
    if rule == "wait":
        until(lambda: site.api.state(other)["name"] == "AwaitingConcurrencySlot", what="the second run's wait")
    site.api.ended(f"caption/{name}", 2)
    assert (site.api.state(first)["name"], site.api.state(other)["name"]) == ("Completed", second)
    assert len(site.gateway.ledger()) == 12


@pytest.mark.parametrize(("rule", "second"), [("wait", "Completed"), ("skip", "Skipped"), ("refuse", "Failed")])
def test_a_run_of_another_deployment_gives_way_as_well(site, working, rule, second):
    """The output's lease stands behind the deployments' limits: a backfill meets a caption run."""
    name = f"both-{rule}"
    site.mediascribe("deploy", site.job(name, rows=16, slow=3.0))
    site.mediascribe("deploy", f"{name}.toml", "--backfill")
    first = site.api.run(f"caption/{name}")
    until(site.gateway.ledger, what="the first question")
    other = site.api.run(f"backfill/{name}", rules={"overlap": rule})
    site.api.ended(f"caption/{name}")
    site.api.ended(f"backfill/{name}")
    assert (site.api.state(first)["name"], site.api.state(other)["name"]) == ("Completed", second), site.api.state(
        other
    )
    assert len(site.gateway.ledger()) == 16


def test_the_form_of_a_deployment_is_for_people(site):
    """As the server gives it to its page: titles, lists to choose from, bounds, and no choice of types."""
    site.mediascribe("deploy", site.job("form"), "--backfill")
    form = site.api.deployment("backfill/form")["parameter_openapi_schema"]
    titles = [field.get("title", "Rules") for field in form["properties"].values()]
    assert titles == ["Job", "Reasons", "Rows", "Budget and quota", "Deadline", "Rules", "Progress"]
    assert form["definitions"]["Wanted"]["properties"]["limit"] == {
        "title": "Limit",
        "type": "integer",
        "minimum": 1,
        "description": "the first so many rows",
    }
    with pytest.raises(urllib.error.HTTPError) as refused:
        site.api.run("backfill/form", means={"share": 2})
    assert "maximum of 1" in refused.value.read().decode()


def test_every_example_of_the_readme_is_run(site, working):
    """As it is typed there; each run ends well."""
    site.mediascribe("deploy", site.job("t"))
    site.mediascribe("deploy", "t.toml", "--backfill")
    for example in EXAMPLES:
        site.server.prefect(*shlex.split(example)[1:], cwd=site.home)
    runs = site.api.ended("backfill/t", 6) + site.api.ended("caption/t", 1)
    assert [run[1] for run in runs] == ["Completed"] * 7, runs


def test_a_key_comes_from_a_secret_block_and_goes_nowhere(site):
    """The worker has none; afterwards it stands in no file of server and worker."""
    python = f"from prefect.blocks.system import Secret; Secret(value={KEY!r}).save('gateway-key')"
    subprocess.run([sys.executable, "-c", python], env=site.server.environment, check=True, timeout=120)
    site.mediascribe("deploy", site.job("block"), "--key-block", "gateway-key", "--pool", "keyless")
    with worker(site.server, "keyless", site.home):
        site.api.run("caption/block")
        ((_, name, message, _),) = site.api.ended("caption/block")
        assert name == "Completed", message
        site.api.run("caption/block", job="block.toml", rules={"key_block": "none-of-this-name"})
        (_, (_, name, message, _)) = site.api.ended("caption/block", 2)
    assert name == "Failed"
    assert "Prefect has no Secret block" in message
    for path in site.server.home.rglob("*"):
        assert not path.is_file() or KEY.encode() not in path.read_bytes(), path


def test_the_deployments_of_the_file_run(site, working):
    """`prefect deploy --all` from the root of a clone; caption, then cost, from the demo's values in their forms."""
    for _ in range(2):
        site.server.prefect("--no-prompt", "deploy", "--prefect-file", "configs/prefect.yaml", "--all", cwd=site.home)
    for name in ("caption", "backfill", "cost"):
        site.api.run(f"{name}/{name}")
        ((_, state, message, _),) = site.api.ended(f"{name}/{name}")
        assert state == "Completed", message
    assert list((site.home / "data/demo/reports").iterdir())


def test_a_job_is_served_by_one_process(site):
    """Without pool and worker; its schedule is there, and Ctrl-C ends it."""
    words = ["-m", "flows", "serve", site.job("served"), "--cron", "0 1 * * *", "--timezone", "Europe/Berlin"]
    with (site.server.home / "serve.log").open("wb") as prints:
        serving = subprocess.Popen(
            [sys.executable, *words],
            cwd=site.home,
            env=site.server.environment | HASTE | {"MEDIASCRIBE_API_KEY": KEY},
            stdout=prints,
            stderr=prints,
            start_new_session=True,
        )
    try:
        until(lambda: _is_there(site.api, "caption/served"), what="the deployment")
        assert site.api.deployment("caption/served")["schedules"][0]["schedule"]["timezone"] == "Europe/Berlin"
        site.api.run("caption/served")
        ((_, name, message, run),) = site.api.ended("caption/served")
        assert name == "Completed", message
        assert site.api("/logs/filter", {"logs": {"flow_run_id": {"any_": [run]}}})
        os.kill(serving.pid, signal.SIGINT)
        assert serving.wait(30) in (0, 130), (site.server.home / "serve.log").read_text()[-2000:]
    finally:
        if serving.poll() is None:
            os.killpg(serving.pid, signal.SIGKILL)
            serving.wait()
    assert not site.api.deployment("caption/served")["paused"]


def _is_there(api, name):
    try:
        return api.deployment(name)
    except urllib.error.HTTPError:
        return None
