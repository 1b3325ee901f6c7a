"""An S3 server over loopback, through a proxy that misbehaves: conditional writes, leases, parts, lost machines."""

import dataclasses
import importlib
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime

import duckdb
import pytest
from faulty_proxy import FaultyProxy

from mediascribe.columns import SCHEMA, RunFacts
from mediascribe.dataset import current, history, latest, parts, runs, scanned, write_run
from mediascribe.domain import Failure, Item, Media, Record, Shard
from mediascribe.errors import ConfigError, OutputInUse, StoreError
from mediascribe.part import open_part, write_part
from mediascribe.store import lease, objects, open_store
from mediascribe.store.shipping import Shipper, fetch
from mediascribe.store.tenure import NAME, Terms, acquire
from mediascribe.verification import verify

RUN = "20261123T014500Z-3fa9c1"
KEY, SECRET = "AKIACANARY", "canary/secret0123456789"

HOLD = """
import sys
from mediascribe.store import lease, open_store
from mediascribe.store.shipping import Shipper
from mediascribe.store.tenure import Terms
store = open_store(sys.argv[1])
with lease(store, holder="run A", terms=Terms(ttl_s=float(sys.argv[2]))) as held, Shipper(store, epoch=held.epoch) as s:
    folder = store.work / "journal" / sys.argv[3] / "00000"
    folder.mkdir(parents=True)
    plans = store.work / "plans"
    plans.mkdir()
    (plans / f"{sys.argv[3]}.parquet").write_bytes(b"rows")
    (plans / f"{sys.argv[3]}.json").write_bytes(b"{}")
    (folder / "000001.jsonl").write_bytes(b"received")
    with (folder / "000001.jsonl").open("ab") as journal:
        journal.write(b" and whole\\nhalf a li")
    s.ship()
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.fixture(scope="module")
def moto():
    """An S3 server of the tests' own."""
    server = importlib.import_module("moto.server").ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture(scope="module")
def proxy(moto):
    with FaultyProxy(moto) as proxy:
        yield proxy


@pytest.fixture(autouse=True)
def _s3(moto, proxy, monkeypatch, tmp_path):
    proxy.faults.clear()
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    for name, value in {
        "AWS_ENDPOINT_URL": proxy.url,
        "AWS_ALLOW_HTTP": "true",
        "AWS_ACCESS_KEY_ID": KEY,
        "AWS_SECRET_ACCESS_KEY": SECRET,
        "AWS_DEFAULT_REGION": "us-east-1",
        "MEDIASCRIBE_WORK": str(tmp_path / "A"),
    }.items():
        monkeypatch.setenv(name, value)
    for method, path in (("POST", "moto-api/reset"), ("PUT", "bucket")):
        request = urllib.request.Request(f"{moto}/{path}", method=method)  # noqa: S310 - loopback
        urllib.request.urlopen(request).close()  # noqa: S310 - loopback


@pytest.fixture
def machine(tmp_path, monkeypatch):
    """`machine("B")`: the output as another machine opens it."""

    def _machine(name="A"):
        monkeypatch.setenv("MEDIASCRIBE_WORK", str(tmp_path / name))
        store = open_store("s3://bucket/some/out")
        quick = dataclasses.replace(store.bucket, pause=lambda _: None)
        return dataclasses.replace(store, bucket=quick)

    return _machine


def write(store, rows=3, run_id=RUN, **facts):
    """A part of some rows."""
    known = {"job": "t", "model": "m", "dialect": "chat", "prompt_id": "p", "prompt_sha256": "9" * 64}
    run = RunFacts(**known | {"run_id": run_id, "parameters_sha256": "8" * 64, "carry": {}} | facts)
    records = [
        Record(
            item=Item(item_id=f"i{number}", row_number=number, media=(Media(kind="image", url="https://c.example/a"),)),
            reason="new",
            outcome=Failure(error_class="media", message="HTTP 404 " + os.urandom(300).hex()),
            request_key="k",
            attempts=1,
            requested_at=datetime(2026, 11, 23, tzinfo=UTC),
            completed_at=datetime(2026, 11, 23, tzinfo=UTC),
            latency_s=1.0,
        )
        for number in range(1, rows + 1)
    ]
    return write_part(store, run, Shard(run_id=run_id, number=0, rows=rows, plan_path="-"), records)


class TestWriting:
    """Conditional writes."""

    def test_of_sixteen_writers_one_wins(self, machine):
        """All at once, ten times; what is there is the winner's, and only one believes that it won."""
        stores = [machine(str(number)) for number in range(16)]
        for turn in range(10):
            start = threading.Barrier(16)

            def put(number, turn=turn, start=start):
                staged = stores[number].staged("x")
                staged.write_bytes(b"%d" % number)
                start.wait()
                return stores[number].put_if_absent(f"results/{turn}", staged)

            with ThreadPoolExecutor(16) as pool:
                won = [number for number, first in enumerate(pool.map(put, range(16))) if first]
            assert stores[0].read(f"results/{turn}") == b"%d" % won[0]
            assert len(won) == 1

    @pytest.mark.parametrize("faults", [["lost"], ["error", "lost", "error"], ["error", "error"]])
    def test_a_part_is_published_through_a_store_that_fails(self, machine, proxy, faults):
        """Errors before and after it was stored: it is there once, and its writer knows that it is its own."""
        store = machine()
        staged = store.staged("x")
        staged.write_bytes(b"mine")
        proxy.faults.extend(faults)
        assert store.put_if_absent("results/x", staged)
        assert store.read("results/x") == b"mine"
        assert not proxy.faults

    def test_a_store_that_stays_down_is_an_error_of_ours(self, machine, proxy):
        """After five attempts; the staged file is still there."""
        store = machine()
        staged = store.staged("x")
        staged.write_bytes(b"mine")
        proxy.faults.extend(["error"] * 5)
        with pytest.raises(StoreError, match=r"s3://bucket/some/out/results/x: HTTP 500 InternalError: try again"):
            store.put_if_absent("results/x", staged)
        assert store.put_if_absent("results/x", staged)

    def test_a_stale_if_match_is_refused(self, machine):
        """The later version stays."""
        bucket = machine().bucket
        bucket.create("x", b"1")
        _, first = bucket.get_version("x")
        second = bucket.update("x", b"2", first)
        assert bucket.update("x", b"3", first) is None
        assert bucket.get_version("x") == (b"2", second)

    def test_a_large_object_is_not_replaced(self, machine):
        """Twelve megabytes go in one conditional request."""
        store = machine()
        assert store.put_bytes_if_absent("x", b"x" * 12_000_000)
        assert not store.put_bytes_if_absent("x", b"y" * 12_000_000)


class TestReading:
    """Parts and run files."""

    def test_a_part_comes_back_through_pyarrow_and_duckdb(self, machine):
        """Rows, order and statuses; nothing else lies among the results."""
        store = machine()
        name = write(store)
        write(store, rows=2, run_id="20261124T014500Z-3fa9c1")
        write_run(store, RUN, {"run_id": RUN})
        output = "s3://bucket/some/out"
        assert history(output, ["item_id"])["item_id"].to_pylist() == ["i1", "i2", "i3", "i1", "i2"]
        assert current(output, ["item_id"])["item_id"].to_pylist() == ["i3", "i1", "i2"]
        assert [row["item_id"] for row in latest(output, 2)] == ["i1", "i2"]
        assert runs(output) == [{"run_id": RUN}]
        assert (verify(output).rows, verify(output).unreadable) == (5, ())
        with open_part(store, name) as part:
            assert part.schema_arrow.names == SCHEMA.names
        with scanned(store, parts(store), ["status", "run_id"]) as rows, duckdb.connect() as db:
            db.register("results", rows)
            assert db.execute("select status, count(*) from results group by all").fetchall() == [("failed", 5)]

    @pytest.mark.parametrize("fault", ["slow", "cut", "error"])
    def test_a_part_is_read_by_ranges_through_a_store_that_fails(self, machine, proxy, monkeypatch, fault):
        """Slow bodies, cut bodies and errors, in the middle of the file."""
        monkeypatch.setattr(objects, "_READ_WHOLE_BYTES", 0)
        store = machine()
        name = write(store, rows=500)
        with open_part(store, name) as part:
            proxy.faults.append(fault)
            assert part.read(["item_id"])["item_id"].to_pylist()[-1] == "i500"
        assert not proxy.faults


class TestOpening:
    """What can be wrong from the start."""

    @pytest.mark.parametrize(
        ("output", "change", "said"),
        [
            ("s3://missing/out", {}, "there is no such bucket (HTTP 404 NoSuchBucket): create it, or correct"),
            ("s3://bucket", {"refused": "2"}, "permission denied (HTTP 403 AccessDenied): these credentials must"),
            ("s3://bucket", {"AWS_ENDPOINT_URL": "http://127.0.0.1:9"}, "nothing can be reached at http://127.0.0"),
            ("s3://bucket", {"AWS_ALLOW_HTTP": "false"}, "is not https: correct AWS_ENDPOINT_URL, or allow it wit"),
        ],
    )
    def test_the_message_says_what_to_do(self, proxy, monkeypatch, output, change, said):
        """Nothing was sent yet, and no credential is repeated."""
        for name, value in change.items():
            monkeypatch.setenv(name, value)
        proxy.faults.extend(["refused"] * int(change.get("refused", 0)))
        with pytest.raises(ConfigError) as refused:
            open_store(output)
        assert said in str(refused.value)
        assert f"output `{output}` cannot be written: " in str(refused.value)
        assert KEY not in str(refused.value)
        assert SECRET not in str(refused.value)

    def test_a_missing_bucket_is_refused_when_reading(self):
        """Also without a trial."""
        with pytest.raises(ConfigError, match=r"output `s3://missing` cannot be read: .*there is no such bucket"):
            history("s3://missing")


class TestLease:
    """One holder, machines apart."""

    def test_of_two_runs_in_the_same_second_one_holds(self, machine):
        """The other is told by whom, and sends nothing."""
        stores, start = [machine("A"), machine("B")], threading.Barrier(2)
        holding, told, over = threading.Event(), [], threading.Event()

        def run(store):
            start.wait()
            try:
                with lease(store, holder=f"run {store.root.parent.name}", terms=Terms(ttl_s=1.2)):
                    holding.set()
                    assert over.wait(60)
                    return True
            except OutputInUse as error:
                told.append(str(error))
                over.set()
                return False

        with ThreadPoolExecutor(2) as pool:
            held = list(pool.map(run, stores))
        assert sorted(held) == [False, True]
        assert f"held by run {'AB'[held.index(True)]} (process {os.getpid()}" in told[0]

    @pytest.mark.parametrize("same_machine", [True, False])
    def test_a_killed_holder_is_taken_over_and_loses_nothing_shipped(self, machine, tmp_path, same_machine):
        """At once on its own machine; elsewhere when its lease is dead, with its plan and whole lines from the bucket.

        A machine that is lost loses its disk.
        """
        command = [sys.executable, "-c", HOLD, "s3://bucket/some/out", "1", RUN]
        machine("A")
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
            assert holder.stdout.readline() == b"held\n"
            holder.send_signal(signal.SIGKILL)
            holder.wait()
        if not same_machine:
            shutil.rmtree(tmp_path / "A")
        store, told = machine("A" if same_machine else "B"), []
        with lease(store, holder="run B", terms=Terms(ttl_s=1), tell=told.append) as held:
            assert held.epoch == 2
            assert len(told) == (0 if same_machine else 1)
            assert len(fetch(store)) == (0 if same_machine else 1)
            tail = b"half a li" if same_machine else b""
            assert store.read(f"_work/journal/{RUN}/00000/000001.jsonl") == b"received and whole\n" + tail
            assert store.read(f"_work/plans/{RUN}.parquet") == b"rows"
        assert json.loads(store.bucket.get(NAME))["released"]

    def test_a_holder_that_was_taken_over_can_destroy_nothing(self, machine):
        """Its lease is lost, its renewal refused, its part is not put in place of another's, its slices lie apart."""
        clock = [0.0]
        terms = Terms(ttl_s=60, clock=lambda: clock[0], pause=lambda s: clock.__setitem__(0, clock[0] + s))
        zombie, other = machine("A"), machine("B")
        first = acquire(zombie, "run A", terms, None)
        second = acquire(other, "run B", terms, None)
        assert (first.lost, second.lost, second.epoch) == (True, False, 2)
        name = write(other, rows=3)
        content = other.read(name)
        assert write(zombie, rows=3) == name
        assert other.read(name) == content
        for store, epoch in ((zombie, 1), (other, 2)):
            folder = store.work / "journal" / RUN / "00000"
            folder.mkdir(parents=True)
            (folder / "000001.jsonl").write_bytes(b"epoch %d\n" % epoch)
        both = [Shipper(zombie, epoch=1), Shipper(other, epoch=2)]
        with ThreadPoolExecutor(2) as pool:
            list(pool.map(Shipper.ship, both))
        assert parts(other) == [name]
        assert json.loads(other.bucket.get(NAME))["holder"] == "run B"

    @pytest.mark.parametrize("faults", [["lost"], ["error", "error"], ["lost", "lost", "error"]])
    def test_a_lease_is_kept_through_a_store_that_fails(self, machine, proxy, faults):
        """Renewals that were stored and not answered, and those that failed, are carried on."""
        clock = [0.0]
        store = machine("A")
        held = acquire(store, "run A", Terms(ttl_s=60, clock=lambda: clock[0]), None)
        proxy.faults.extend(faults)
        while proxy.faults:
            clock[0] += 3
            try:
                held.renew()
            except StoreError:
                continue
        held.renew()
        clock[0] += 29
        assert not held.lost
