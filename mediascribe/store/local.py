"""Local store: a folder of this machine. A link publishes, since it fails where the name exists; names are synced."""

from __future__ import annotations

import os
import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import pyarrow as pa


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalStore:
    """One output folder. Names are relative to `root`, with `/` between their parts.

    Only the holder of the `lease` writes.
    """

    root: Path

    @property
    def address(self) -> str:
        """Where it lies, as a person writes it."""
        return str(self.root)

    @property
    def work(self) -> Path:
        """The folder of what is not yet, or never, part of the dataset."""
        return self.root / "_work"

    def path(self, name: str) -> Path:
        """Where *name* lies, whether it exists or not."""
        return self.root / name

    def staged(self, label: str) -> Path:
        """A fresh path to write a file at that `put_if_absent` is to publish; the next holder removes leftovers."""
        make_folder(self._staging)
        return self._staging / f"{uuid.uuid4().hex}-{label}"

    def exists(self, name: str) -> bool:
        """Whether *name* is there, and so is whole."""
        return self.path(name).is_file()

    def has_folder(self, name: str) -> bool:
        """Whether there is a folder *name*."""
        return self.path(name).is_dir()

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

    def open(self, name: str) -> pa.NativeFile:
        """*name* for reading anywhere in it.

        Raises:
            FileNotFoundError: there is no such name.
        """
        import pyarrow as pa  # noqa: PLC0415 - slow to import, for those who read no Parquet

        return pa.OSFile(str(self.path(name)), mode="r")

    def put_if_absent(self, name: str, staged: Path) -> bool:
        """Publish the file at *staged* as *name*, durably; False, and nothing changes, where the name exists.

        The staged file is gone afterwards in either case. A link fails where the name exists, unlike a rename.
        """
        final = self.path(name)
        _sync(staged)
        make_folder(final.parent)
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
        self.replace(name, self._stage_bytes(name, data))

    def replace(self, name: str, staged: Path) -> None:
        """Publish the file at *staged* as *name*, durably, in place of what it held."""
        final = self.path(name)
        _sync(staged)
        make_folder(final.parent)
        staged.replace(final)
        _sync(final.parent)

    def remove(self, name: str) -> None:
        """Remove *name*, if it is there."""
        self.path(name).unlink(missing_ok=True)

    def clear_staging(self) -> None:
        """Remove what a killed holder left half written."""
        for left in self._staging.glob("*"):
            left.unlink()

    def prepare(self) -> None:
        """Make the folders, `_work` for its owner alone, and do once what publishing does.

        Raises:
            OSError: it cannot be created, written to or linked in.
        """
        make_folder(self.work)
        self.work.chmod(0o700)
        _probe(self.work)

    @property
    def _staging(self) -> Path:
        return self.work / "staging"

    def _stage_bytes(self, name: str, data: bytes) -> Path:
        staged = self.staged(name.rpartition("/")[2])
        staged.write_bytes(data)
        return staged


def make_folder(folder: Path) -> None:
    """Create *folder* and those above it, each name durable; `_work` is for its owner alone."""
    if folder.is_dir():
        return
    make_folder(folder.parent)
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
