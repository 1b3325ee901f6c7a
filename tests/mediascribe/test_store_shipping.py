"""Shipping: what a lost machine had received comes back on another one."""

from __future__ import annotations

import dataclasses
import os
import threading

import obstore
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from obstore.exceptions import GenericError, PermissionDeniedError

from mediascribe.store import open_store, shipping
from mediascribe.store.local import LocalStore
from mediascribe.store.shipping import Shipper, drop, fetch

RUN = "20261123T014500Z-3fa9c1"
SEGMENT = f"_work/journal/{RUN}/00000/000001.jsonl"
PLAN = f"_work/plans/{RUN}"


@pytest.fixture
def machine(bucket_store, tmp_path):
    """`machine("A")`: the same output, seen from another machine."""

    def _machine(name):
        local = LocalStore(root=tmp_path / name)
        local.prepare()
        return dataclasses.replace(bucket_store, local=local)

    return _machine


def write(store, name, data, mode="ab"):
    path = store.work.parent / name
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open(mode) as file:
        file.write(data)


def begun(store):
    """A run with a plan and a journal of one line and a half."""
    write(store, f"{PLAN}.parquet", b"rows")
    write(store, f"{PLAN}.json", b"{}")
    write(store, SEGMENT, b"one\ntw")


class TestShipping:
    """`Shipper`."""

    def test_a_lost_machines_run_comes_back_on_another(self, machine):
        """The plan, and every whole line that was shipped; private, like the originals."""
        first, second = machine("A"), machine("B")
        begun(first)
        Shipper(first, epoch=1).ship()
        (told,) = fetch(second)
        assert told == f"run {RUN}: 10 bytes of its plan and journals fetched from memory://bucket/out"
        assert {name: second.read(name) for name in second.list("_work/")} == {
            SEGMENT: b"one\n",
            f"{PLAN}.json": b"{}",
            f"{PLAN}.parquet": b"rows",
        }
        assert {second.path(name).stat().st_mode & 0o077 for name in (SEGMENT, f"{PLAN}.parquet")} == {0}

    def test_only_what_is_new_is_shipped(self, machine):
        """Slices follow each other, and carry the epoch."""
        store = machine("A")
        shipper = Shipper(store, epoch=7)
        begun(store)
        shipper.ship()
        write(store, SEGMENT, b"o\nthree\n")
        shipper.ship()
        shipper.ship()
        assert store.bucket.names("_work/journal/") == [
            f"_work/journal/{RUN}/00000/000001-000007-000000000000-000000000004.jsonl",
            f"_work/journal/{RUN}/00000/000001-000007-000000000004-000000000014.jsonl",
        ]

    def test_a_restarted_process_goes_on_where_it_was(self, machine):
        """What is in the bucket is not shipped twice, whoever shipped it."""
        store = machine("A")
        begun(store)
        Shipper(store, epoch=1).ship()
        write(store, SEGMENT, b"o\n")
        Shipper(store, epoch=2).ship()
        assert [name[-27:-6] for name in store.bucket.names("_work/journal/")] == [
            "00000000000-000000000004"[-21:],
            "00000000004-000000000008"[-21:],
        ]
        fetch(machine("B"))
        assert machine("B").read(SEGMENT) == b"one\ntwo\n"

    def test_a_line_longer_than_a_slice_is_shipped_whole(self, machine, monkeypatch):
        """Slices end at lines, whatever their size."""
        monkeypatch.setattr(shipping, "_SLICE_BYTES", 4)
        store = machine("A")
        write(store, SEGMENT, b"a\nlonger line\nb\n\nc\nhalf a line")
        Shipper(store, epoch=1).ship()
        assert [store.bucket.get(name) for name in store.bucket.names("_work/journal/")] == [
            b"a\nlonger line\n",
            b"b\n\nc\n",
        ]

    def test_a_plan_without_its_json_is_not_shipped(self, machine):
        """It was never finished."""
        store = machine("A")
        write(store, f"{PLAN}.parquet", b"rows")
        Shipper(store, epoch=1).ship()
        assert store.bucket.names("") == []

    def test_what_vanishes_meanwhile_is_left_out(self, machine, monkeypatch):
        """A part was published, or a run closed, while the shipper looked."""
        store = machine("A")
        write(store, f"{PLAN}.json", b"{}")
        write(store, SEGMENT, b"one\n")

        def vanished(*_):
            raise FileNotFoundError

        monkeypatch.setattr(shipping, "_whole_lines", vanished)
        Shipper(store, epoch=1).ship()
        assert store.bucket.names("") == []

    def test_the_rest_is_shipped_at_the_end(self, machine):
        """Leaving the block ships what there is."""
        store = machine("A")
        with Shipper(store, epoch=1, every_s=3600) as shipper:
            begun(store)
        assert shipper.problem is None
        assert store.bucket.get(f"_work/journal/{RUN}/00000/000001-000001-000000000000-000000000004.jsonl") == b"one\n"

    def test_a_bucket_that_fails_stops_nothing(self, machine, monkeypatch):
        """The shipper says why it is behind, and catches up."""
        store = machine("A")
        begun(store)
        put, failed = obstore.put, threading.Event()

        def refused(*_, **__):
            failed.set()
            raise PermissionDeniedError("status code: 403 F")

        monkeypatch.setattr(obstore, "put", refused)
        with Shipper(store, epoch=1, every_s=0.001) as shipper:
            assert failed.wait(30)
            while shipper.problem is None:
                failed.wait(0.001)
            assert "permission denied" in shipper.problem
            monkeypatch.setattr(obstore, "put", put)
        assert shipper.problem is None
        assert fetch(machine("B"))

    def test_a_slice_that_landed_though_it_failed_is_kept_once(self, machine, monkeypatch):
        """A longer slice from the same byte on covers it."""
        store = machine("A")
        shipper = Shipper(dataclasses.replace(store, bucket=dataclasses.replace(store.bucket, attempts=1)), epoch=1)
        write(store, SEGMENT, b"one\n")
        put = obstore.put

        def landed(*args, **more):
            put(*args, **more)
            raise GenericError("kind: Interrupted")

        monkeypatch.setattr(obstore, "put", landed)
        with pytest.raises(shipping.StoreError):
            shipper.ship()
        monkeypatch.setattr(obstore, "put", put)
        write(store, SEGMENT, b"two\n")
        shipper.ship()
        assert len(store.bucket.names("_work/journal/")) == 2
        write(store, f"{PLAN}.json", b"{}")
        other = machine("B")
        fetch(other)
        assert other.read(SEGMENT) == b"one\ntwo\n"

    def test_a_folder_needs_no_shipping(self, store):
        """Its journals lie beside its results."""
        write(store, SEGMENT, b"one\n")
        with Shipper(store, epoch=1) as shipper:
            shipper.ship()
        assert fetch(store) == []
        drop(store, RUN)
        assert list(store.list("_work/journal/")) == [SEGMENT]


class TestFetching:
    """`fetch` and `drop`."""

    @pytest.mark.parametrize("here", [b"one\ntw", b"one\ntwo\nthree\n"])
    def test_what_is_here_is_never_made_shorter(self, machine, here):
        """A process that was killed here has more than it had shipped."""
        store = machine("A")
        begun(store)
        Shipper(store, epoch=1).ship()
        write(store, SEGMENT, here, "wb")
        assert fetch(store) == []
        assert store.read(SEGMENT) == here

    def test_what_this_machine_lost_is_made_whole(self, machine):
        """A power cut took the tail, and the bucket has it."""
        store = machine("A")
        begun(store)
        Shipper(store, epoch=1).ship()
        write(store, SEGMENT, b"on", "wb")
        fetch(store)
        assert store.read(SEGMENT) == b"one\n"

    def test_a_gap_ends_a_segment(self, machine):
        """What stands behind a lost slice is not joined to what stands before it."""
        first, second = machine("A"), machine("B")
        shipper = Shipper(first, epoch=1)
        begun(first)
        for more in (b"o\n", b"three\n", b"four\n"):
            shipper.ship()
            write(first, SEGMENT, more)
        shipper.ship()
        first.bucket.delete([first.bucket.names("_work/journal/")[1]])
        fetch(second)
        assert second.read(SEGMENT) == b"one\n"

    def test_a_first_slice_that_is_lost_leaves_nothing(self, machine):
        """A segment without its beginning is not begun; a new shipper begins it."""
        first, second = machine("A"), machine("B")
        shipper = Shipper(first, epoch=1)
        begun(first)
        shipper.ship()
        write(first, SEGMENT, b"o\n")
        shipper.ship()
        first.bucket.delete([first.bucket.names("_work/journal/")[0]])
        fetch(second)
        assert not second.exists(SEGMENT)
        Shipper(first, epoch=2).ship()
        fetch(second)
        assert second.read(SEGMENT) == b"one\ntwo\n"

    def test_a_closed_run_leaves_nothing(self, machine):
        """Neither in the bucket, nor on a machine that comes back after another had closed its run."""
        lost, other = machine("A"), machine("B")
        begun(lost)
        Shipper(lost, epoch=1).ship()
        fetch(other)
        other.put_bytes(f"runs/{RUN}.json", b"{}")
        for store in (other, lost):
            assert fetch(store) == []
            assert list(store.local.list("_work/")) == []
        assert lost.bucket.names("") == [f"runs/{RUN}.json"]

    def test_a_run_or_a_shard_is_dropped(self, machine):
        """A shard whose part is published needs no journal; a closed run, no plan either."""
        store = machine("A")
        begun(store)
        write(store, f"_work/journal/{RUN}/00001/000001.jsonl", b"one\n")
        Shipper(store, epoch=1).ship()
        drop(store, RUN, 0)
        assert [name.split("/")[3] for name in store.bucket.names("_work/journal/")] == ["00001"]
        drop(store, RUN)
        assert store.bucket.names("") == []


@given(pieces=st.lists(st.binary(max_size=12), max_size=8), slice_bytes=st.integers(1, 9), lost_after=st.integers(0, 8))
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_every_whole_line_that_was_shipped_comes_back(tmp_path_factory, pieces, slice_bytes, lost_after):
    """However lines are written and cut into slices, another machine has exactly those before the loss."""
    root = tmp_path_factory.mktemp("shipping")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MEDIASCRIBE_WORK", str(root))
        patch.setattr(shipping, "_SLICE_BYTES", slice_bytes)
        patch.setattr(os, "fsync", lambda _: None)
        first = open_store("memory://b/out")
        second = dataclasses.replace(first, local=LocalStore(root=root / "B"))
        second.local.prepare()
        shipper, written = Shipper(first, epoch=1), b""
        write(first, f"{PLAN}.parquet", b"rows")
        write(first, f"{PLAN}.json", b"{}")
        for number, piece in enumerate(pieces):
            write(first, SEGMENT, piece)
            written += piece
            if number < lost_after:
                shipper.ship()
                whole = written[: written.rfind(b"\n") + 1]
        fetch(second)
        wanted = whole if pieces and lost_after else b""
        assert (second.read(SEGMENT) if second.exists(SEGMENT) else b"") == wanted
