"""Object store: a dataset in a bucket, with the local work folder that goes with it.

What lies under `_work/` is local, as in a local store: staging, plans, journals. `shipping.py` copies plans and
journals into the bucket, and `lease.py` keeps the lease there.
"""

from __future__ import annotations

import io
import uuid
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final, cast

from mediascribe.errors import ConfigError, StoreError
from mediascribe.store.address import WORK_VARIABLE, work_root
from mediascribe.store.bucket import Bucket, connect
from mediascribe.store.local import LocalStore

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import pyarrow as pa

    from mediascribe.store.address import Address

WORK: Final = "_work/"
_TIMEOUT_S: Final = 300.0
_QUICK_TIMEOUT_S: Final = 10.0
_READ_WHOLE_BYTES: Final = 8 * 2**20


@dataclass(frozen=True, slots=True, kw_only=True)
class ObjectStore:
    """One output in a bucket. Names are relative to its prefix; those under `_work/` are in the local work folder.

    `quick` is the same bucket for calls that must not wait: one attempt, and a short one.
    """

    bucket: Bucket
    quick: Bucket
    local: LocalStore

    @property
    def address(self) -> str:
        """Where it lies, as a person writes it."""
        return self.bucket.address.url

    @property
    def root(self) -> Path:
        """The local folder that goes with it; another one for each place in a bucket."""
        return self.local.root

    @property
    def work(self) -> Path:
        """The local folder of what is not yet, or never, part of the dataset."""
        return self.local.work

    def path(self, name: str) -> Path:
        """Where *name* lies on this machine, whether it exists or not; of names under `_work/` only.

        Raises:
            StoreError: *name* is in the bucket.
        """
        if not name.startswith(WORK):
            raise StoreError(f"{self.address}/{name} is no local file")
        return self.local.path(name)

    def staged(self, label: str) -> Path:
        """A fresh path to write a file at that `put_if_absent` is to publish; the next holder removes leftovers."""
        return self.local.staged(label)

    def exists(self, name: str) -> bool:
        """Whether *name* is there, and so is whole."""
        return self.local.exists(name) if name.startswith(WORK) else self.bucket.size(name) is not None

    def has_folder(self, name: str) -> bool:
        """Whether anything lies in a folder *name*."""
        return next(self.list(name.rstrip("/") + "/"), None) is not None

    def list(self, prefix: str) -> Iterator[str]:
        """The names that start with *prefix*, sorted."""
        here = [name for name in self.local.list(prefix) if name.startswith(WORK)]
        there = [] if prefix.startswith(WORK) else self.bucket.names(prefix[: prefix.rfind("/") + 1])
        yield from sorted(here + [name for name in there if name.startswith(prefix) and not name.startswith(WORK)])

    def read(self, name: str) -> bytes:
        """The bytes of *name*.

        Raises:
            FileNotFoundError: there is no such name.
            StoreError: the store fails.
        """
        return self.local.read(name) if name.startswith(WORK) else self.bucket.get(name)

    def open(self, name: str) -> pa.NativeFile:
        """*name* for reading anywhere in it: a small one whole, a large one by ranges; raises like `read`."""
        import pyarrow as pa  # noqa: PLC0415 - slow to import, for those who read no Parquet

        if name.startswith(WORK):
            return self.local.open(name)
        size = self.bucket.size(name)
        if size is None:
            raise FileNotFoundError(f"there is no {self.address}/{name}")
        if size <= _READ_WHOLE_BYTES:
            return pa.BufferReader(self.bucket.get(name))
        return pa.PythonFile(cast("io.IOBase", _Ranges(self.bucket, name, size)), mode="r")

    def put_if_absent(self, name: str, staged: Path) -> bool:
        """Publish the file at *staged* as *name*, by one conditional write; False where another wrote that name.

        The staged file is gone afterwards, but stays where the store fails.

        Raises:
            StoreError: the store fails; the name may exist, and is whole if so.
        """
        if name.startswith(WORK):
            return self.local.put_if_absent(name, staged)
        published = self.bucket.create(name, staged)
        staged.unlink()
        return published

    def put_bytes_if_absent(self, name: str, data: bytes) -> bool:
        """Write *data* as *name*; False where another wrote that name; raises like `put_if_absent`."""
        return self.local.put_bytes_if_absent(name, data) if name.startswith(WORK) else self.bucket.create(name, data)

    def put_bytes(self, name: str, data: bytes) -> None:
        """Write *data* as *name*, in place of what it held; for run files only."""
        if name.startswith(WORK):
            self.local.put_bytes(name, data)
        else:
            self.bucket.replace(name, data)

    def remove(self, name: str) -> None:
        """Remove *name*, if it is there."""
        if name.startswith(WORK):
            self.local.remove(name)
        else:
            self.bucket.delete([name])

    def clear_staging(self) -> None:
        """Remove what a killed holder left half written on this machine."""
        self.local.clear_staging()


def at(address: Address) -> ObjectStore:
    """The store at *address*, nothing created or tried out.

    Raises:
        ConfigError: the environment does not say how to reach it.
    """
    try:
        objects = connect(address, timeout_s=_TIMEOUT_S)
        quick = objects if address.scheme == "memory" else connect(address, timeout_s=_QUICK_TIMEOUT_S)
    except StoreError as error:
        raise ConfigError(f"output `{address.url}`: {error}") from None
    root = work_root(address)
    if address.scheme == "memory":  # another one each time, and so is its work
        root = root.with_name(f"memory-{uuid.uuid4().hex}")
    return ObjectStore(
        bucket=Bucket(address=address, objects=objects),
        quick=Bucket(address=address, objects=quick, attempts=1),
        local=LocalStore(root=root),
    )


def prepare(store: ObjectStore) -> None:
    """Make the local work folder, and do once in the bucket what publishing does.

    Raises:
        ConfigError: the folder cannot be written; or the bucket cannot be reached, listed or written, or overwrites
            what it was told to keep.
    """
    try:
        store.local.prepare()
    except OSError as error:
        raise ConfigError(
            f"the work folder {store.work} of output `{store.address}` cannot be written: {error.strerror}:"
            f" free or permit it, or name another one with: export {WORK_VARIABLE}=/path"
        ) from None
    try:
        _try_out(replace(store.bucket, attempts=2))  # what is set up wrongly fails at once
    except StoreError as error:
        raise ConfigError(f"output `{store.address}` cannot be written: {error}") from None


def _try_out(bucket: Bucket) -> None:
    """List, write, be refused, remove."""
    name = f"{WORK}probe-{uuid.uuid4().hex}"
    bucket.names(name + "/")
    bucket.create(name, b"first")
    kept = not bucket.create(name, b"second")
    bucket.delete([name])
    if not kept:
        raise StoreError(
            f"{bucket.address.url} overwrites what exists though told not to (If-None-Match):"
            " two runs could destroy each other's results; use a store with conditional writes"
        )


class _Ranges:
    """An object as a file that pyarrow reads: each read is a request. pyarrow lets one thread read at a time."""

    closed = False

    def __init__(self, bucket: Bucket, name: str, size: int) -> None:
        self._bucket, self._name, self._size = bucket, name, size
        self._at = 0

    def read(self, size: int = -1) -> bytes:
        """The next *size* bytes, fewer at the end; all that are left where *size* is negative."""
        left = max(self._size - self._at, 0)
        length = left if size < 0 else min(size, left)
        found = self._bucket.get_range(self._name, self._at, length) if length else b""
        self._at += len(found)
        return found

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Go to *offset*, from the start, from here or from the end."""
        self._at = offset + {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._size}[whence]
        return self._at

    def tell(self) -> int:
        """Where the next read begins."""
        return self._at

    def close(self) -> None:
        """Nothing is held open."""
        self.closed = True
