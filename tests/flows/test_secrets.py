"""Secrets: every byte that runs and commands leave anywhere, searched for the key and for what signs a media URL."""

import base64
import itertools
import json
import sqlite3
import threading
from contextlib import closing
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import quote

import pyarrow.parquet as pq
import pytest
from judge import answered, wait_for
from PIL import Image

from mediascribe.sandbox import Behaviour, Fault, Sandbox
from mediascribe.store import store_at

OUTPUT = "s3://bucket/some/out"
pytest_plugins = ("survival",)  # its fixtures

KEY = "sk-canary+key/0123=456%789"
SIGNATURES = ("canary+Signature/a=", "canaryToken01", "canaryPassword", "canarySas%2F02")
SECRETS = (KEY, *SIGNATURES)


@pytest.fixture(scope="module")
def gateway(tmp_path_factory):
    """A sandbox whose key has letters that every encoding writes in its own way."""
    media = tmp_path_factory.mktemp("media")
    Image.new("RGB", (64, 48), "red").save(media / "red.png")
    with Sandbox(samples=media, api_key=KEY) as sandbox:
        yield sandbox


@pytest.fixture
def signed(job, gateway):
    """`signed(rows)`: a job whose media URLs are signed in every usual way, some of which cannot be had."""

    def _signed(rows, **changes):
        amz, token, password, sas = SIGNATURES
        there, host = f"{gateway.media_url}red.png", gateway.media_url.removeprefix("http://")
        urls = [
            f"{there}?X-Amz-Expires=60&X-Amz-Signature={quote(amz, safe='')}&w=1",
            f"{there}?w=1&access_token={token}#{token}",
            f"http://reader:{password}@{host}red.png",
            f"{there}?se=2026-12-01&sig={sas}",
            f"{gateway.media_url}missing.png?Signature={quote(amz, safe='')}",
            f"ftp://reader:{password}@c.example/a.png",
            f"not a url?sig={sas}",
        ]
        lines = [f"i{number:04d},{urls[number % len(urls)]}" for number in range(rows)]
        return job(manifest="\n".join(["item_id,image_url", *lines]) + "\n", **changes)

    return _signed


def forms(secret):
    """How a secret may be written: as it is, as a part of a URL or of JSON, and in base64 at every place of a text."""
    raw = secret.encode()
    yield from {raw, quote(secret, safe="").encode(), quote(secret).encode(), json.dumps(secret)[1:-1].encode()}
    for shift in range(3):
        for encode in (base64.b64encode, base64.urlsafe_b64encode):
            yield encode(b"x" * shift + raw)[(8 * shift + 5) // 6 : 8 * (shift + len(raw)) // 6]


def found(name, content):
    """The secrets in *content*, with the *name* of where they are."""
    return [f"{name}: {secret}" for secret in SECRETS for form in forms(secret) if form in content]


def searched(*folders):
    """The secrets in the files of *folders*, Parquet and databases opened, and how many files there were."""
    wrong, files = [], [path for folder in folders for path in sorted(Path(folder).rglob("*")) if path.is_file()]
    for path in files:
        content = path.read_bytes()
        wrong += found(path, content)
        if content[:4] == content[-4:] == b"PAR1":
            table = pq.read_table(path, partitioning=None)
            wrong += found(path, repr((table.to_pylist(), table.schema.metadata)).encode())
        elif content.startswith(b"SQLite format 3"):
            with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as database:
                wrong += found(path, "\n".join(database.iterdump()).encode())
    return wrong, len(files)


def test_a_search_finds_what_it_looks_for(tmp_path):
    """Whatever form a secret is written in: the tests below can fail."""
    for number, form in enumerate(form for secret in SECRETS for form in forms(secret)):
        (tmp_path / str(number)).write_bytes(b"before" + form + b"after")
    (tmp_path / "mail").write_bytes(base64.b64encode(b'{"key": "' + KEY.encode() + b'"}'))
    wrong, files = searched(tmp_path)
    assert {line.split(":")[0] for line in wrong} == {str(path) for path in tmp_path.iterdir()}
    assert files > 40


def test_no_secret_is_left_by_a_run_and_its_commands(cli, signed, start, gateway, prefect):
    """Killed and gone on, with failures and a backfill: output, logs, temporary files, Prefect's database, terminal."""
    home = {"TMPDIR": str(cli.folder / "tmp"), "HOME": str(cli.folder / "home"), "MEDIASCRIBE_API_KEY": KEY}
    for name in ("tmp", "home"):
        (cli.folder / name).mkdir()
    loud = home | {"PREFECT_LOGGING_LEVEL": "DEBUG", "PREFECT_LOGGING_ROOT_LEVEL": "DEBUG"}
    gateway.behave("*", Behaviour(latency_s=0.05, faults=(Fault("bad_status", rate=0.1),)))
    job = signed(70, top="shard_rows = 20", more="[limits]\nconcurrency = 4\n[retry]\nfirst_wait_s = 0.01\n")
    running = start("run", job, **loud)
    wait_for(lambda: answered(gateway) >= 15, running)
    printed = [running.kill()]
    plans = list(Path("out/_work/plans").glob("*.parquet"))
    for path in plans:  # they are needed whole: nobody else may read them
        assert path.stat().st_mode & 0o077 == 0 == path.parent.stat().st_mode & 0o077
        path.rename(cli.folder.parent / path.name)
    assert searched("out", "tmp", "home")[0] == []
    for path in plans:
        (cli.folder.parent / path.name).rename(path)
    gateway.behave("*", Behaviour())
    for words in (
        ("run", job),
        ("backfill", job),
        ("doctor", job),
        ("show", "out", "--limit", "99", "--json"),
        ("cost", "out", "--by", "status,media_kind"),
        ("verify", "out", "--job", job, "--json"),
        ("errors", "out", "--json"),
        ("compact", "out", "--older-than", "0h"),
    ):
        printed.append(start(*words, **loud).wait())
        assert printed[-1].status in {0, 1}, (words, printed[-1])
    for ended in printed:
        assert found("the terminal", (ended.out + ended.err).encode()) == []
    wrong, files = searched("out", "tmp", "home", prefect["PREFECT_HOME"])
    assert wrong == []
    assert files > 5
    assert list(Path("out/_work/plans").iterdir()) == []


def test_no_secret_is_left_in_a_bucket(cli, signed, gateway, bucket):
    """Nor in the work folder of the machine; the store's own secret neither."""
    job = Path(signed(20))
    job.write_text(job.read_text().replace('"out"', f'"{OUTPUT}"'))
    ended = cli("run", job, key=KEY)
    assert ended.status == 0, ended
    store = store_at(OUTPUT)
    names = store.bucket.names("")
    copies = cli.folder / "copies"
    copies.mkdir()
    for number, name in enumerate(names):
        store.bucket.download(name, copies / str(number))
    assert len(names) >= 2
    assert searched(copies, store.root)[0] == []
    everything = b"".join(path.read_bytes() for path in copies.iterdir()) + (ended.out + ended.err).encode()
    assert b"canary/secret0123456789" not in everything


@pytest.fixture
def echo():
    """A gateway that quotes the request in every answer, as some do; from the fourth on it is silent."""
    silent, come = threading.Event(), itertools.count()

    class Echo(BaseHTTPRequestHandler):
        def do_POST(self):
            if next(come) >= 3:
                silent.wait()
            asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            message = f"Cannot serve {json.dumps(asked)} for {self.headers['Authorization']}"
            body = json.dumps({"error": {"message": message, "code": "bad", "type": "invalid_request_error"}}).encode()
            self.send_response(400)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            """Nothing is printed."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Echo)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/v1"
    silent.set()
    server.shutdown()
    thread.join()


def test_a_gateway_that_quotes_its_request_makes_no_secret_ours(cli, signed, echo):
    """The errors are in the results, without the key and without the signatures."""
    ended = cli("run", signed(3, base_url=echo), key=KEY)
    assert ended.status in {0, 1}, ended
    assert found("the terminal", (ended.out + ended.err).encode()) == []
    assert searched("out")[0] == []
    assert "Cannot serve" in ended.out + cli("errors", "out").out


def test_a_gateway_that_quotes_the_key_puts_it_into_no_journal(signed, start, echo):
    """Of a run that was killed, say."""
    job = signed(8, base_url=echo, more="[limits]\nconcurrency = 1\n")
    running = start("run", job, MEDIASCRIBE_API_KEY=KEY)
    segments = Path("out/_work/journal")
    wait_for(lambda: sum(path.read_bytes().count(b"answered") for path in segments.rglob("*.jsonl")) >= 3, running)
    running.kill()
    assert [line for line in searched(segments)[0] if line.endswith(KEY)] == []
