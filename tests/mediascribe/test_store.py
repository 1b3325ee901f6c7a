"""The store: whole files and durable names, in a folder and in a bucket."""

from __future__ import annotations

import errno
import os

import pytest

from mediascribe.errors import ConfigError
from mediascribe.store import open_store, store_at


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

    def test_a_file_address_is_a_folder(self, tmp_path):
        """`file://` names a folder of this machine."""
        assert open_store(f"file://{tmp_path}/out") == open_store(str(tmp_path / "out"))

    def test_a_bucket_whose_work_folder_cannot_be_written_is_refused(self, tmp_path, monkeypatch):
        """The message names the folder, the output, and the variable that names another one."""
        (tmp_path / "file").write_text("")
        monkeypatch.setenv("MEDIASCRIBE_WORK", str(tmp_path / "file"))
        with pytest.raises(
            ConfigError, match=r"work folder .*file/memory-.* of output `memory://b`.*MEDIASCRIBE_WORK="
        ):
            open_store("memory://b")

    def test_a_store_is_taken_as_it_is(self, any_store):
        """Who has a store need not name it again."""
        assert store_at(any_store) is any_store


class TestPublishing:
    """`put_if_absent` and its kin."""

    def test_a_published_file_is_whole_and_its_staging_gone(self, any_store):
        """The first publisher of a name wins."""
        staged = staged_file(any_store)
        assert any_store.put_if_absent("results/v1/x.parquet", staged)
        assert any_store.read("results/v1/x.parquet") == b"new"
        assert any_store.exists("results/v1/x.parquet")
        assert not staged.exists()

    def test_an_existing_name_is_never_replaced(self, any_store):
        """The second publisher of a name is told so, and its file is dropped."""
        any_store.put_bytes_if_absent("x", b"old")
        staged = staged_file(any_store)
        assert not any_store.put_if_absent("x", staged)
        assert any_store.read("x") == b"old"
        assert not staged.exists()

    def test_bytes_are_published_once(self, any_store):
        """`put_bytes_if_absent` keeps what came first."""
        assert any_store.put_bytes_if_absent("plans/p.json", b"1")
        assert not any_store.put_bytes_if_absent("plans/p.json", b"2")
        assert any_store.read("plans/p.json") == b"1"

    def test_a_run_file_is_replaced_whole(self, any_store):
        """`put_bytes` puts the new bytes in place of the old ones, and leaves nothing beside them."""
        any_store.put_bytes("runs/r.json", b"one, and longer")
        any_store.put_bytes("runs/r.json", b"two")
        assert any_store.read("runs/r.json") == b"two"
        assert list(any_store.list("")) == ["runs/r.json"]

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

    def test_a_missing_name_cannot_be_read(self, any_store):
        """Reading what is not there says so."""
        assert not any_store.exists("nothing")
        with pytest.raises(FileNotFoundError):
            any_store.read("nothing")

    def test_removing_is_idempotent(self, any_store):
        """What is removed twice is gone."""
        any_store.put_bytes("journal/1", b"")
        any_store.remove("journal/1")
        any_store.remove("journal/1")
        assert not any_store.exists("journal/1")


class TestListing:
    """`list`."""

    def test_names_are_sorted_and_relative(self, any_store):
        """A prefix may end within a folder or within a name."""
        for name in ("runs/b.json", "runs/a.json", "runs/sub/c.json", "other/a.json"):
            any_store.put_bytes(name, b"")
        assert list(any_store.list("runs/")) == ["runs/a.json", "runs/b.json", "runs/sub/c.json"]
        assert list(any_store.list("runs/b")) == ["runs/b.json"]
        assert list(any_store.list("")) == ["other/a.json", "runs/a.json", "runs/b.json", "runs/sub/c.json"]

    def test_a_missing_folder_holds_no_names(self, any_store):
        """An output without results lists none."""
        assert list(any_store.list("results/v1/")) == []
