"""What the tests of faults share: commands that start at once, a job whose rows the ledger tells apart, a bucket."""

from __future__ import annotations

import importlib
import os
import urllib.request

import pytest
from faulty_proxy import FaultyProxy
from judge import QUESTION
from nursery import Nursery

KEY = "sk-canary0123456789abcdef"


@pytest.fixture(scope="session")
def nursery(prefect, tmp_path_factory):
    """Where commands are started from."""
    started = Nursery(prefect | {"MEDIASCRIBE_API_KEY": KEY}, tmp_path_factory.mktemp("prints"))
    yield started
    started.close()


@pytest.fixture
def start(nursery, cli):
    """`start("run", "job.toml")` gives the running process; `machine="B"` has a work folder of its own for buckets."""
    begun = []

    def _start(*words, machine="A", **changes):
        there = {name: value for name, value in os.environ.items() if name.startswith("AWS_")}
        environment = there | {"MEDIASCRIBE_WORK": str(cli.folder / machine)} | changes
        begun.append(nursery.start(*words, cwd=cli.folder, **environment))
        return begun[-1]

    yield _start
    for running in begun:
        running.kill()


@pytest.fixture
def asked(job, cli):
    """`asked(rows=100)`: a job whose questions tell the rows apart; gives its items. *connection*: gateway keys."""

    def _asked(rows=100, *, output="out", connection="", **changes):
        path = cli.folder / job(rows=rows, **changes)
        text = path.read_text().replace('"What is it?"', f'"{QUESTION}"').replace('"out"', f'"{output}"')
        path.write_text(text.replace("[prompt]", f"{connection}\n[prompt]"))
        return [f"i{number:04d}" for number in range(rows)]

    return _asked


@pytest.fixture(scope="session")
def moto():
    """An S3 server of the tests' own."""
    server = importlib.import_module("moto.server").ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture(scope="session")
def proxy(moto):
    """What stands before it, and misbehaves on request."""
    with FaultyProxy(moto) as proxy:
        yield proxy


@pytest.fixture
def bucket(moto, proxy, monkeypatch, tmp_path):
    """An empty bucket, in the environment of this process and of what it starts."""
    before = proxy.faults
    before.clear()
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    for name, value in {
        "AWS_ENDPOINT_URL": proxy.url,
        "AWS_ALLOW_HTTP": "true",
        "AWS_ACCESS_KEY_ID": "AKIACANARY",
        "AWS_SECRET_ACCESS_KEY": "canary/secret0123456789",
        "AWS_DEFAULT_REGION": "us-east-1",
        "MEDIASCRIBE_WORK": str(tmp_path / "A"),
    }.items():
        monkeypatch.setenv(name, value)
    for method, path in (("POST", "moto-api/reset"), ("PUT", "bucket")):
        request = urllib.request.Request(f"{moto}/{path}", method=method)  # noqa: S310 - loopback
        urllib.request.urlopen(request).close()  # noqa: S310 - loopback
    yield proxy
    proxy.faults = before
