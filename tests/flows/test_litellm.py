"""The whole pipeline through a gateway that nobody here wrote: LiteLLM's proxy, in front of the sandbox."""

import os
import shutil
import signal
import socket
import subprocess
import time
import urllib.request
from contextlib import suppress
from pathlib import Path

import pytest

from mediascribe import dataset
from mediascribe.sandbox import Behaviour, Fault

PROXY = Path(__file__).parents[2] / ".venv-litellm/bin/litellm"
CONFIG = """
model_list:
  - model_name: gemini-2.0-flash
    litellm_params:
      model: openai/gemini-2.0-flash
      api_base: {url}
      api_key: {key}
general_settings:
  master_key: sk-proxy0123456789abcdef
"""

pytestmark = [
    pytest.mark.long,
    pytest.mark.skipif(not PROXY.exists(), reason="LiteLLM is not there: `make test-long` installs it"),
]


@pytest.fixture
def proxy(tmp_path, gateway):
    """The base URL of a LiteLLM proxy that asks the sandbox."""
    config = tmp_path / "litellm.yaml"
    config.write_text(CONFIG.format(url=gateway.url, key=gateway.api_key))
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    quiet = {"LITELLM_LOCAL_MODEL_COST_MAP": "True", "NO_PROXY": "*"}
    command = [PROXY, "--config", config, "--host", "127.0.0.1", "--port", str(port), "--telemetry", "False"]
    with (tmp_path / "proxy.log").open("wb") as log:
        running = subprocess.Popen(command, env=os.environ | quiet, stdout=log, stderr=log, start_new_session=True)
    try:
        _until_alive(port, running, tmp_path / "proxy.log")
        yield f"http://127.0.0.1:{port}/v1"
    finally:
        with suppress(ProcessLookupError):
            os.killpg(running.pid, signal.SIGKILL)
        running.wait()


def _until_alive(port, running, log):
    for _ in range(900):
        if running.poll() is not None:
            pytest.fail(f"the proxy ended: {log.read_text()[-2000:]}")
        with suppress(OSError), urllib.request.urlopen(f"http://127.0.0.1:{port}/health/liveliness") as answer:
            if answer.status == 200:
                return
        time.sleep(0.1)
    pytest.fail(f"the proxy does not answer: {log.read_text()[-2000:]}")


def test_rows_come_through_a_real_proxy(cli, job, proxy, gateway):
    """Twenty pictures, streamed and not: every row is answered, with the tokens that the sandbox billed."""
    path = job(rows=20, base_url=proxy)
    ended = cli("run", path, key="sk-proxy0123456789abcdef")
    assert ended.status == 0, ended
    rows = dataset.current(cli.folder / "out").to_pylist()
    assert {row["status"] for row in rows} == {"ok"}
    billed = sum(entry.prompt_tokens + entry.completion_tokens for entry in gateway.ledger())
    assert sum(row["total_tokens"] for row in rows) == billed
    assert len(gateway.ledger()) == 20

    shutil.rmtree(cli.folder / "out")
    gateway.reset()
    text = (cli.folder / path).read_text().replace("[prompt]", 'stream = "always"\n[prompt]')
    (cli.folder / path).write_text(text)
    ended = cli("run", path, key="sk-proxy0123456789abcdef")
    assert ended.status == 0, ended
    assert {row["status"] for row in dataset.current(cli.folder / "out").to_pylist()} == {"ok"}
    assert len(gateway.ledger()) == 20


def test_a_proxy_that_rejects_the_key_stops_the_run(cli, job, proxy, gateway):
    """In its own words, with nothing asked of the model."""
    ended = cli("run", job(rows=5, base_url=proxy), key="sk-wrong-000000000000")
    assert ended.status == 1, ended
    assert ended.out.startswith("stopped before the end: ")
    assert gateway.ledger() == []


def test_the_proxy_does_not_retry_behind_our_back(cli, job, proxy, gateway):
    """A lost connection behind the proxy is one billed call, not three: its retries are switched off by header."""
    gateway.behave("*", Behaviour(faults=(Fault("reset_after"),)))
    ended = cli("run", job(rows=1, base_url=proxy, more="[retry]\nattempts = 1\n"), key="sk-proxy0123456789abcdef")
    assert ended.status == 0, ended
    assert len(gateway.ledger()) == 1
