"""The other routes, the admin calls, and how a sandbox starts and stops."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading

import httpx
import pytest

from mediascribe.errors import ConfigError
from mediascribe.sandbox import Behaviour, Sandbox, running, serve


@pytest.fixture
def plain(sandbox):
    """A client without a key, at the root of the server."""
    root = sandbox.url.removesuffix("/v1")
    with httpx.Client(base_url=root, timeout=20, trust_env=False) as opened:
        yield opened


def test_models_want_the_key(plain, client):
    """The list of models is for those who have a key."""
    assert plain.get("/v1/models").status_code == 401
    answer = client.get("/models").json()
    assert answer["success"]
    assert answer["object"] == "list"
    assert "gemini-2.0-flash" in {row["id"] for row in answer["data"]}


def test_pricing_is_public(plain):
    """Prices are for everybody."""
    assert plain.get("/api/pricing").json()["success"] is True


@pytest.mark.parametrize(
    ("method", "path"), [("GET", "/v1/unknown"), ("POST", "/api/x"), ("GET", "/v1/chat/completions")]
)
def test_unknown_paths_of_the_api(plain, method, path):
    """An unknown path under /v1 and /api is a 404 that names it."""
    answer = plain.request(method, path)
    assert answer.status_code == 404
    error = answer.json()["error"]
    assert error["type"] == "invalid_request_error"
    assert error["message"].startswith(f"Invalid URL ({method} {path})")


@pytest.mark.parametrize(("method", "path"), [("GET", "/"), ("POST", "/chat/completions")])
def test_any_other_path_is_the_index_page(plain, method, path):
    """A base URL without /v1 meets a web page with status 200, which says what this server is."""
    answer = plain.request(method, path)
    assert answer.status_code == 200
    assert answer.headers["Content-Type"].startswith("text/html")
    assert "development server" in answer.text
    assert "reset_after*" in answer.text


def test_every_response_has_an_id(plain):
    """Each response has its own request id."""
    ids = {plain.get(path).headers["X-Oneapi-Request-Id"] for path in ("/", "/v1/models", "/samples/x", "/api/pricing")}
    assert len(ids) == 4


@pytest.mark.parametrize(
    ("name", "mime"),
    [
        ("a.jpg", "image/jpeg"),
        ("b.WAV", "audio/wav"),
        ("c.mp3", "audio/mpeg"),
        ("deep/d.mp4", "video/mp4"),
        ("e.xyz", "application/octet-stream"),
        ("f.html", "text/html"),
    ],
)
def test_samples(plain, samples, name, mime):
    """A sample is served with the type that the gateway's list knows."""
    (samples / "deep").mkdir()
    (samples / name).write_bytes(b"content")
    answer = plain.get(f"/samples/{name}")
    assert (answer.status_code, answer.content) == (200, b"content")
    assert answer.headers["Content-Type"] == mime


def test_no_way_out_of_the_samples(plain, samples, tmp_path):
    """Nothing outside of the folder is served, nor a folder, nor what is not there."""
    (tmp_path / "secret.txt").write_text("secret")
    (samples / "link.txt").symlink_to(tmp_path / "secret.txt")
    for path in ("%2e%2e/secret.txt", "..%2fsecret.txt", f"/{tmp_path}/secret.txt", "link.txt", "", "missing.png"):
        answer = plain.get(f"/samples/{path}")
        assert answer.status_code == 404
        assert answer.headers["Content-Type"].startswith("text/html")


def test_no_samples():
    """Without a folder there are no samples."""
    with Sandbox() as bare:
        assert httpx.get(bare.media_url + "a.png", trust_env=False).status_code == 404


def test_admin_ledger(plain, ask, sandbox):
    """The ledger can be read and begun anew over HTTP."""
    ask()
    told = plain.get("/sandbox/ledger").json()
    assert told["max_in_flight"] == 1
    (entry,) = told["entries"]
    assert entry["model"] == "gemini-2.0-flash"
    assert entry["finished"] is True
    assert entry["prompt_tokens"] == sandbox.ledger()[0].prompt_tokens
    assert plain.delete("/sandbox/ledger").json() == {"success": True}
    assert sandbox.ledger() == []
    assert sandbox.max_in_flight == 0


def test_admin_behaviour(plain, ask):
    """A behaviour can be set and forgotten over HTTP."""
    told = plain.put("/sandbox/behaviour", json={"model": "gemini-2.0-flash", "faults": [{"name": "http_503"}]})
    assert told.json() == {"success": True}
    assert ask().status_code == 503
    assert plain.delete("/sandbox/behaviour").json() == {"success": True}
    assert ask().status_code == 200
    plain.put("/sandbox/behaviour", json={"requests_per_minute": 1})
    assert [ask().status_code for _ in range(2)] == [200, 429]


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"{", "no JSON"),
        (b"[]", "must be an object"),
        (b'{"model": 7}', "must be an object"),
        (b'{"model": "gemini-2.0-flsh"}', "did you mean 'gemini-2.0-flash'"),
        (b'{"faults": [{"name": "panick"}]}', "did you mean 'panic'"),
        (b'{"latencys": 1}', "did you mean 'latency_s'"),
    ],
)
def test_admin_says_what_is_wrong(plain, body, said):
    """A behaviour that cannot be is a 400 that says why."""
    answer = plain.put("/sandbox/behaviour", content=body)
    assert answer.status_code == 400
    assert said in answer.json()["message"]


def test_unknown_model():
    """In Python an unknown model is a ConfigError that names the nearest."""
    with pytest.raises(ConfigError, match="did you mean 'gpt-4o-mini'"):
        Sandbox().behave("gpt-4o-min", Behaviour())


def test_port_in_use(sandbox):
    """A port in use is said in one line."""
    port = int(sandbox.url.split(":")[2].split("/")[0])
    with pytest.raises(ConfigError, match=f"port {port} on 127.0.0.1 is in use"):
        Sandbox(port=port).start()


@pytest.mark.parametrize(
    ("host", "port", "said"), [("127.0.0.1", 70_000, "65535"), ("nowhere.invalid", 0, "cannot listen")]
)
def test_impossible_address(host, port, said):
    """An address that cannot be had is a ConfigError."""
    with pytest.raises(ConfigError, match=said):
        Sandbox(host=host, port=port).start()


def test_stop_and_start():
    """A sandbox that was stopped can come back on the same port, and still knows its ledger."""
    own = Sandbox()
    with own:
        url = own.url + "/chat/completions"
        assert httpx.post(url, trust_env=False).status_code == 401
    with pytest.raises(httpx.ConnectError):
        httpx.post(url, trust_env=False)
    assert len(own.ledger()) == 1
    own.stop()
    own.wait()
    own.drain()
    with own:
        assert httpx.post(url, trust_env=False).status_code == 401
        assert len(own.ledger()) == 2


def test_wait():
    """Waiting ends when the sandbox is stopped."""
    with Sandbox() as own:
        waiting = threading.Thread(target=own.wait)
        waiting.start()
    waiting.join(timeout=10)
    assert not waiting.is_alive()


@pytest.mark.skipif(not socket.has_dualstack_ipv6(), reason="this machine has no IPv6")
def test_ipv6():
    """IPv6 loopback is served as well."""
    with Sandbox(host="::1") as running_there:
        assert running_there.url.startswith("http://[::1]:")
        assert httpx.get(running_there.url, trust_env=False).status_code == 404


def test_told_on_stderr(capsys):
    """A sandbox that is not quiet tells each request in a line."""
    with Sandbox(quiet=False) as told:
        httpx.post(told.url + "/chat/completions", trust_env=False)
        headers = {"Authorization": f"Bearer {told.api_key}"}
        body = {"model": "gemini-2.0-flash+fault=panic", "messages": [{"role": "user", "content": "Hi"}]}
        httpx.post(told.url + "/chat/completions", headers=headers, json=body, trust_env=False)
    assert capsys.readouterr().err.splitlines() == [
        "1 401 - 0+0 tokens",
        "2 500 gemini-2.0-flash fault panic 0+0 tokens",
    ]


@pytest.mark.parametrize(("host", "warned"), [("127.0.0.1", False), ("localhost", False), ("0.0.0.0", True)])  # noqa: S104 - the point
def test_serve(monkeypatch, capsys, host, warned):
    """`serve` says what it is and where, warns when others can reach it, and ends with Ctrl-C."""

    def interrupted(_self):
        raise KeyboardInterrupt

    monkeypatch.setattr(running.Sandbox, "wait", interrupted)
    serve(host, 0, None, "sk-mine")
    said = capsys.readouterr()
    assert said.out.count("\n") == 1
    assert "development server for tests and demos" in said.out
    assert f"http://{host}:" in said.out
    assert "/sandbox/" in said.out
    assert "sk-mine" in said.out
    assert ("warning" in said.err) == warned


def test_serve_in_json(monkeypatch, capsys):
    """For programs the first line is a JSON object."""
    monkeypatch.setattr(running.Sandbox, "wait", lambda _self: None)
    serve("127.0.0.1", 0, None, "sk-mine", json=True)
    told = json.loads(capsys.readouterr().out)
    assert told["key"] == "sk-mine"
    assert told["url"].endswith("/v1")


def test_serve_odd_host(monkeypatch, capsys):
    """A host by name that is not localhost is warned about."""
    monkeypatch.setattr(running.Sandbox, "wait", lambda _self: None)
    monkeypatch.setattr(running, "_listener", lambda _host, port: socket.create_server(("127.0.0.1", port)))
    serve("my-laptop", 0, None, "sk-mine")
    assert "warning" in capsys.readouterr().err


def test_ctrl_c():
    """A serving process ends well with Ctrl-C."""
    # Where the tests run in the background, Ctrl-C is ignored, and children inherit that.
    code = (
        "import signal; signal.signal(signal.SIGINT, signal.default_int_handler);"
        "from mediascribe.sandbox import serve; serve('127.0.0.1', 0, None, 'sk-mine')"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=os.getcwd(),  # noqa: PTH109 - as it is
    ) as process:
        line = process.stdout.readline()
        url = line.split(" at ")[1].split(",")[0]
        assert httpx.get(url + "/models", trust_env=False).status_code == 401
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=20)
    assert process.returncode == 0
    assert said.endswith("stopped\n")
