"""A manifest on an S3 server over loopback: planned from there, by the environment alone."""

from __future__ import annotations

import gzip
import importlib
import os
import re
import urllib.request

import obstore
import pytest
from obstore.store import S3Store

from mediascribe import plan
from mediascribe.errors import ConfigError
from mediascribe.inputs import check
from mediascribe.manifest.sources import locate
from mediascribe.wanted import Wanted

pytestmark = pytest.mark.long

KEY, SECRET = "AKIACANARY", "canary/secret0123456789"
JOB = """
name = "t"
model = "gemini-2.0-flash"
output = "{folder}/out"
[manifest]
path = "{path}"
[gateway]
base_url = "sandbox"
[prompt]
text = "What is it?"
"""


@pytest.fixture(scope="module")
def moto():
    """An S3 server of the tests' own, with one bucket."""
    server = importlib.import_module("moto.server").ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    request = urllib.request.Request(f"http://{host}:{port}/bucket", method="PUT")
    urllib.request.urlopen(request).close()  # noqa: S310 - loopback
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture(autouse=True)
def bucket(moto, monkeypatch):
    """The client that puts the manifests there; the library has the environment."""
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    for name, value in {
        "AWS_ENDPOINT_URL": moto,
        "AWS_ALLOW_HTTP": "true",
        "AWS_ACCESS_KEY_ID": KEY,
        "AWS_SECRET_ACCESS_KEY": SECRET,
        "AWS_DEFAULT_REGION": "us-east-1",
    }.items():
        monkeypatch.setenv(name, value)
    return S3Store("bucket", config={"region": "us-east-1"})


def rows(first, last):
    """A CSV of the rows from *first* to *last*."""
    lines = [f"i{number},https://cdn.example/{number}.jpg\n" for number in range(first, last)]
    return ("item_id,image_url\n" + "".join(lines)).encode()


@pytest.mark.parametrize("path", ["{folder}/m.csv", "s3://bucket/long/m.csv"])
def test_a_long_manifest_is_planned_for_a_bucket(bucket, tmp_path, monkeypatch, path):
    """By another process, which gets the bucket's address and no client; one that lies in a bucket, by this one."""
    monkeypatch.setenv("MEDIASCRIBE_WORK", str(tmp_path / "work"))
    content = rows(0, 20_000)
    (tmp_path / "m.csv").write_bytes(content)
    obstore.put(bucket, "long/m.csv", content)
    job = tmp_path / "job.toml"
    written = JOB.format(folder=tmp_path, path=path.format(folder=tmp_path))
    job.write_text(re.sub("^output = .*", 'output = "s3://bucket/out"', written, flags=re.MULTILINE))
    given = check(str(job), keyless=True)
    assert given.manifest.size_bytes > 2**19
    made = given.plan(("new",))
    assert (made.rows, [one.run_id for one in plan.unfinished(given.store)]) == (20_000, [made.run_id])
    plan.remove(made, given.store)


def test_a_job_is_planned_from_a_bucket(bucket, tmp_path):
    """Two packed objects are one manifest of 3,000 rows, all of them due; the plan knows their state."""
    obstore.put(bucket, "in/2.csv.gz", gzip.compress(rows(1_000, 3_000)))
    obstore.put(bucket, "in/1.csv.gz", gzip.compress(rows(0, 1_000)))
    job = tmp_path / "job.toml"
    job.write_text(JOB.format(folder=tmp_path, path="s3://bucket/in/*.csv.gz"))
    inputs = check(str(job), keyless=True)
    made = plan.make(inputs.items(), inputs.facts(), inputs.order(("new",), Wanted()), inputs.store)
    assert (made.rows, made.counts["new"]) == (3_000, 3_000)
    ids = [item.item_id for shard in made.shards for item in plan.items(shard)]
    assert ids == [f"i{number}" for number in range(3_000)]
    assert made.manifest_sha256 == inputs.manifest.fingerprint()
    obstore.put(bucket, "in/2.csv.gz", gzip.compress(rows(1_000, 2_000)))
    assert made.manifest_sha256 != inputs.manifest.fingerprint()


def test_an_object_that_is_replaced_is_not_mixed_up(bucket):
    """The server itself refuses what is not what was listed."""
    obstore.put(bucket, "once.csv", rows(0, 10))
    listed = locate("s3://bucket/once.csv").files[0].path
    obstore.put(bucket, "once.csv", rows(0, 20))
    with pytest.raises(ConfigError, match="was replaced or removed"):
        listed.open().read(10)


@pytest.mark.parametrize(
    ("path", "says"),
    [
        ("s3://bucket/once.cvs", "there is no such object; there is: s3://bucket/once.csv"),
        ("s3://other/once.csv", "there is no such bucket"),
        ("s3://other/*.csv", "there is no such bucket"),
    ],
)
def test_what_is_not_there_is_told(bucket, path, says):
    """An object, or the whole bucket."""
    obstore.put(bucket, "once.csv", rows(0, 1))
    with pytest.raises(ConfigError, match=says):
        locate(path)


def test_a_server_that_is_not_there_is_told(monkeypatch):
    """Without the key, and without waiting long."""
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    with pytest.raises(ConfigError, match=r"nothing can be reached at http://127\.0\.0\.1:9") as caught:
        locate("s3://bucket/once.csv")
    assert KEY not in str(caught.value)
