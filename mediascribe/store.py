"""Store: where a dataset lies; whole files only, and one writer at a time.

Rules of this file:

1. A final name appears whole or not at all, and what it holds is never replaced (run files excepted).
2. Whatever is half written lies under `_work/`, beside the results, since readers disagree on which names are hidden.
3. A name is durable before its writer is told so: the file is synced, then the folder that names it.

Local folders only; an object store fits behind the same methods with conditional puts.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import re
import socket
import uuid
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from mediascribe.errors import ConfigError, OutputInUse

if TYPE_CHECKING:
    from collections.abc import Iterator


@dataclass(frozen=True, slots=True, kw_only=True)
class Store:
    """One output folder. Names are relative to `root`, with `/` between their parts.

    Only the holder of the `lease` writes.
    """

    root: Path

    @property
    def work(self) -> Path:
        """The folder of what is not yet, or never, part of the dataset."""
        return self.root / "_work"

    def path(self, name: str) -> Path:
        """Where *name* lies, whether it exists or not."""
        return self.root / name

    def staged(self, label: str) -> Path:
        """A fresh path to write a file at that `put_if_absent` is to publish; the next holder removes leftovers."""
        staging = self._staging
        _make_folder(staging)
        return staging / f"{uuid.uuid4().hex}-{label}"

    def exists(self, name: str) -> bool:
        """Whether *name* is there, and so is whole."""
        return self.path(name).is_file()

    def list(self, prefix: str) -> Iterator[str]:
        """The names that start with *prefix*, sorted."""
        folder = self.path(prefix.rpartition("/")[0])
        names = (path.relative_to(self.root).as_posix() for path in folder.rglob("*") if path.is_file())
        yield from sorted(name for name in names if name.startswith(prefix))

    def read(self, name: str) -> bytes:
        """The bytes of *name*.

        Raises:
            FileNotFoundError: there is no such name.
        """
        return self.path(name).read_bytes()

    def put_if_absent(self, name: str, staged: Path) -> bool:
        """Publish the file at *staged* as *name*, durably; False, and nothing changes, where the name exists.

        The staged file is gone afterwards in either case. A link fails where the name exists, unlike a rename.
        """
        final = self.path(name)
        _sync(staged)
        _make_folder(final.parent)
        published = True
        try:
            os.link(staged, final)
        except FileExistsError:
            published = False
        _sync(final.parent)
        staged.unlink()
        return published

    def put_bytes_if_absent(self, name: str, data: bytes) -> bool:
        """Write *data* as *name*, durably; False, and nothing changes, where the name exists."""
        return self.put_if_absent(name, self._stage_bytes(name, data))

    def put_bytes(self, name: str, data: bytes) -> None:
        """Write *data* as *name*, durably, in place of what it held; for run files only."""
        staged, final = self._stage_bytes(name, data), self.path(name)
        _sync(staged)
        _make_folder(final.parent)
        staged.replace(final)
        _sync(final.parent)

    def remove(self, name: str) -> None:
        """Remove *name*, if it is there."""
        self.path(name).unlink(missing_ok=True)

    def clear_staging(self) -> None:
        """Remove what a killed holder left half written."""
        for left in self._staging.glob("*"):
            left.unlink()

    @property
    def _staging(self) -> Path:
        return self.work / "staging"

    def _stage_bytes(self, name: str, data: bytes) -> Path:
        staged = self.staged(name.rpartition("/")[2])
        staged.write_bytes(data)
        return staged


def open_store(output: str) -> Store:
    """The store at *output*, its folder created and tried out.

    Raises:
        ConfigError: *output* is no local folder, or cannot be created, written to or linked in.
    """
    store = Store(root=local_path(output))
    if store.root.exists() and not store.root.is_dir():
        raise ConfigError(f"output `{output}` is a file: name a folder")
    try:
        _make_folder(store.work)
        store.work.chmod(0o700)
        _probe(store.work)
    except OSError as error:
        where = f" ({error.filename})" if error.filename else ""
        raise ConfigError(
            f"output `{output}` cannot be written: {error.strerror}{where}: free or permit it, or choose another folder"
        ) from None
    return store


def local_path(output: str | Path) -> Path:
    """The local folder that *output* names, `~` included.

    Raises:
        ConfigError: it names another kind of store.
    """
    if scheme := re.match(r"([A-Za-z][A-Za-z0-9+.-]*)://", str(output)):
        raise ConfigError(f"output `{output}`: only local folders yet, no {scheme[1]}: write a path")
    return Path(output).expanduser()


@contextlib.contextmanager
def lease(store: Store, *, holder: str) -> Iterator[None]:
    """Hold *store* for the length of the block; what an earlier holder left half written is removed.

    The kernel frees the lock when a process ends, however it ends; the file stays, and says who came last.

    Raises:
        OutputInUse: another process holds it; the message says who, where, since when, and what to do.
    """
    path = store.work / "lease"
    handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise OutputInUse(_who_holds(store, path)) from None
        os.ftruncate(handle, 0)
        os.pwrite(handle, _lease_line(holder), 0)
        store.clear_staging()
        yield
    finally:
        os.close(handle)


def _lease_line(holder: str) -> bytes:
    since = datetime.now(UTC).isoformat(timespec="seconds")
    facts = {"holder": holder, "host": socket.gethostname(), "pid": os.getpid(), "since": since}
    return json.dumps(facts).encode()


def _who_holds(store: Store, path: Path) -> str:
    try:
        held = json.loads(path.read_bytes())
        since = datetime.fromisoformat(held["since"]).astimezone(UTC)
        who = f"{held['holder']} (process {held['pid']} on {held['host']}) since {since:%Y-%m-%d %H:%M:%S} UTC"
        way_out = f"wait, or stop process {held['pid']} on {held['host']}"
    except (ValueError, KeyError, TypeError):  # the holder is writing this very file
        who, way_out = "another run", "wait, or try again to see which"
    return f"output `{store.root}` is held by {who}; nothing was sent: {way_out}"


def _make_folder(folder: Path) -> None:
    """Create *folder* and those above it, each name durable; `_work` is for its owner alone."""
    if folder.is_dir():
        return
    _make_folder(folder.parent)
    folder.mkdir(mode=0o700 if folder.name == "_work" else 0o777, exist_ok=True)
    _sync(folder.parent)


def _probe(folder: Path) -> None:
    """Do once what publishing does: write, sync, link."""
    probe = folder / f"probe-{uuid.uuid4().hex}"
    linked = probe.with_suffix(".linked")
    try:
        probe.write_bytes(b"probe")
        _sync(probe)
        os.link(probe, linked)
    finally:
        probe.unlink(missing_ok=True)
        linked.unlink(missing_ok=True)


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
