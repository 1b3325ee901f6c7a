"""The store: whole files, durable names, one holder."""

from __future__ import annotations

import errno
import fcntl
import json
import os
import signal
import socket
import subprocess
import sys
from datetime import UTC, datetime

import pytest

from mediascribe.errors import ConfigError, OutputInUse
from mediascribe.store import lease, local_path, open_store

HOLD_UNTIL_KILLED = """
import sys
from mediascribe.store import lease, open_store
with lease(open_store(sys.argv[1]), holder="run A"):
    print("held", flush=True)
    sys.stdin.read()
"""


def staged_file(store, content=b"new"):
    """A file that is ready to be published."""
    path = store.staged("x.parquet")
    path.write_bytes(content)
    return path


class TestOpening:
    """`open_store`."""

    def test_a_missing_folder_is_created_and_its_work_is_private(self, tmp_path):
        """The folder appears with those above it; only its owner may look into `_work`."""
        store = open_store(str(tmp_path / "a" / "out"))
        assert store.root.is_dir()
        assert store.work.stat().st_mode & 0o777 == 0o700

    def test_nothing_of_the_trial_is_left(self, store):
        """Opening leaves no file behind."""
        assert list(store.list("")) == []

    def test_work_that_others_could_read_is_closed(self, tmp_path):
        """A `_work` that was copied with open permissions is made private again."""
        work = tmp_path / "out" / "_work"
        work.mkdir(parents=True)
        work.chmod(0o755)
        open_store(str(tmp_path / "out"))
        assert work.stat().st_mode & 0o777 == 0o700

    def test_a_file_is_no_output(self, tmp_path):
        """An output that is a file is refused by name."""
        (tmp_path / "out").write_text("")
        with pytest.raises(ConfigError, match="out` is a file: name a folder"):
            open_store(str(tmp_path / "out"))

    def test_a_folder_that_cannot_be_created_is_refused_with_the_reason(self, tmp_path):
        """The message names the output, what stands in the way, and what to do."""
        (tmp_path / "file").write_text("")
        with pytest.raises(ConfigError, match=r"cannot be written: .* \(.*file\): .*choose another folder"):
            open_store(str(tmp_path / "file" / "out"))

    def test_a_folder_without_links_is_refused(self, tmp_path, monkeypatch):
        """A file system that cannot link cannot publish, which shows before anything is paid for."""

        def no_links(*_):
            raise OSError(errno.EPERM, "Operation not permitted")

        monkeypatch.setattr(os, "link", no_links)
        with pytest.raises(ConfigError, match="cannot be written: Operation not permitted: "):
            open_store(str(tmp_path))

    @pytest.mark.parametrize("output", ["s3://bucket/out", "gs://bucket", "file:///out"])
    def test_other_stores_are_refused(self, output):
        """An address with a scheme is not taken for a folder's name."""
        with pytest.raises(ConfigError, match="only local folders yet"):
            open_store(output)

    def test_a_tilde_is_the_home_folder(self, monkeypatch, tmp_path):
        """`~/out` lies in the home folder, not in a folder called `~`."""
        monkeypatch.setenv("HOME", str(tmp_path))
        assert local_path("~/out") == tmp_path / "out"


class TestPublishing:
    """`put_if_absent` and its kin."""

    def test_a_published_file_is_whole_and_its_staging_gone(self, store):
        """The first publisher of a name wins."""
        staged = staged_file(store)
        assert store.put_if_absent("results/v1/x.parquet", staged)
        assert store.read("results/v1/x.parquet") == b"new"
        assert store.exists("results/v1/x.parquet")
        assert not staged.exists()

    def test_an_existing_name_is_never_replaced(self, store):
        """The second publisher of a name is told so, and its file is dropped."""
        store.put_bytes_if_absent("x", b"old")
        staged = staged_file(store)
        assert not store.put_if_absent("x", staged)
        assert store.read("x") == b"old"
        assert not staged.exists()

    def test_bytes_are_published_once(self, store):
        """`put_bytes_if_absent` keeps what came first."""
        assert store.put_bytes_if_absent("plans/p.json", b"1")
        assert not store.put_bytes_if_absent("plans/p.json", b"2")
        assert store.read("plans/p.json") == b"1"

    def test_a_run_file_is_replaced_whole(self, store):
        """`put_bytes` puts the new bytes in place of the old ones, and leaves nothing beside them."""
        store.put_bytes("runs/r.json", b"one, and longer")
        store.put_bytes("runs/r.json", b"two")
        assert store.read("runs/r.json") == b"two"
        assert list(store.list("")) == ["runs/r.json"]

    def test_bytes_reach_the_disk_before_their_name(self, store, monkeypatch):
        """The file is synced before it is linked, its folder afterwards."""
        staged, folder = staged_file(store), store.root / "results"
        folder.mkdir()
        names = {staged.stat().st_ino: "file", folder.stat().st_ino: "folder"}
        steps = []
        fsync, link = os.fsync, os.link
        monkeypatch.setattr(os, "fsync", lambda at: (steps.append(names[os.fstat(at).st_ino]), fsync(at)))
        monkeypatch.setattr(os, "link", lambda *paths: (steps.append("link"), link(*paths)))
        store.put_if_absent("results/x", staged)
        assert steps == ["file", "link", "folder"]

    def test_a_missing_name_cannot_be_read(self, store):
        """Reading what is not there says so."""
        assert not store.exists("nothing")
        with pytest.raises(FileNotFoundError):
            store.read("nothing")

    def test_removing_is_idempotent(self, store):
        """What is removed twice is gone."""
        store.put_bytes("journal/1", b"")
        store.remove("journal/1")
        store.remove("journal/1")
        assert not store.exists("journal/1")


class TestListing:
    """`list`."""

    def test_names_are_sorted_and_relative(self, store):
        """A prefix may end within a folder or within a name."""
        for name in ("runs/b.json", "runs/a.json", "runs/sub/c.json", "other/a.json"):
            store.put_bytes(name, b"")
        assert list(store.list("runs/")) == ["runs/a.json", "runs/b.json", "runs/sub/c.json"]
        assert list(store.list("runs/b")) == ["runs/b.json"]
        assert list(store.list("")) == ["other/a.json", "runs/a.json", "runs/b.json", "runs/sub/c.json"]

    def test_a_missing_folder_holds_no_names(self, store):
        """An output without results lists none."""
        assert list(store.list("results/v1/")) == []


class TestLease:
    """`lease`."""

    def test_a_second_holder_is_told_who_holds_it(self, store):
        """The message names holder, host, process, time and the way out; nothing was sent."""
        with lease(store, holder="run A"), pytest.raises(OutputInUse) as refused, lease(store, holder="run B"):
            pass  # pragma: no cover - never reached
        message = str(refused.value)
        assert f"run A (process {os.getpid()} on {socket.gethostname()}) since {datetime.now(UTC):%Y-}" in message
        assert message.endswith(f"UTC; nothing was sent: wait, or stop process {os.getpid()} on {socket.gethostname()}")
        assert str(store.root) in message

    def test_the_lease_is_free_after_its_block(self, store):
        """The next holder's name replaces the last one's, however long that was."""
        with lease(store, holder="a run with quite a long name"):
            pass
        with lease(store, holder="B"):
            assert json.loads((store.work / "lease").read_bytes())["holder"] == "B"

    def test_the_lease_is_free_after_an_error(self, store):
        """A run that fails does not keep the next one out."""
        with pytest.raises(ZeroDivisionError), lease(store, holder="A"):
            raise ZeroDivisionError
        with lease(store, holder="B"):
            pass

    def test_a_holder_that_has_not_written_its_name_yet_still_holds(self, store):
        """Between the lock and the name the message does without the name."""
        with (store.work / "lease").open("w") as held:
            fcntl.flock(held, fcntl.LOCK_EX)
            with pytest.raises(OutputInUse, match="held by another run"), lease(store, holder="B"):
                pass  # pragma: no cover - never reached

    def test_a_killed_holder_leaves_no_lease(self, store):
        """While it lives another process is kept out; after kill -9 the kernel lets it in."""
        command = [sys.executable, "-c", HOLD_UNTIL_KILLED, str(store.root)]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
            assert holder.stdout.readline() == b"held\n"
            with pytest.raises(OutputInUse, match=f"run A .process {holder.pid} on"), lease(store, holder="run B"):
                pass  # pragma: no cover - never reached
            holder.send_signal(signal.SIGKILL)
            holder.wait()
            with lease(store, holder="run B"):
                pass

    def test_what_a_killed_holder_left_half_written_is_removed(self, store):
        """The next holder clears the staging folder."""
        staged_file(store, b"half")
        with lease(store, holder="B"):
            assert list(store.list("_work/staging/")) == []
