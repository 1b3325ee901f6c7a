"""Objects: the files of a bucket that a manifest may be, read by ranges, through obstore.

Rules of this file:

1. An object is read as it was listed. One that is replaced meanwhile is refused (If-Match), never mixed with the new.
2. Nothing is kept on this machine: memory holds a block, and a manifest that is read twice is fetched twice.
3. Every call is tried again where the store fails; what it says is told without keys or signatures.
"""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, TypeVar, cast

import obstore
import pyarrow as pa
from obstore.exceptions import BaseError, GenericError, PermissionDeniedError, PreconditionError
from tenacity import Retrying, retry_if_exception_type, stop_after_attempt, wait_random_exponential

from mediascribe.errors import ConfigError
from mediascribe.store.bucket import wait
from mediascribe.store.failure import reason

if TYPE_CHECKING:
    from collections.abc import Callable

    from obstore import GetOptions, ObjectMeta
    from obstore.store import ObjectStore

_T = TypeVar("_T")
ATTEMPTS: Final = 5
_LONGEST_WAIT_S: Final = 5.0
_BLOCK_BYTES: Final = 8 * 2**20


@dataclass(frozen=True, slots=True, kw_only=True)
class Bucket:
    """A bucket that manifests lie in."""

    scheme: str
    name: str
    objects: ObjectStore
    attempts: int = ATTEMPTS
    pause: Callable[[float], None] = wait

    def url(self, key: str) -> str:
        """The address of *key*, as a person writes it."""
        return f"{self.scheme}://{self.name}/{key}"

    def file(self, key: str) -> Remote | None:
        """The object *key* as it is now; None where there is none."""
        try:
            return self._remote(self._tried(key, lambda: obstore.head(self.objects, key)))
        except FileNotFoundError:
            return None

    def below(self, prefix: str) -> list[Remote]:
        """All objects whose keys begin with *prefix*, a folder, by their keys."""

        def once() -> list[ObjectMeta]:
            return [found for some in obstore.list(self.objects, prefix or None) for found in some]

        return self._listed(prefix, once)

    def inside(self, prefix: str) -> list[Remote]:
        """The objects in the folder *prefix*, but for those in folders below, by their keys."""
        return self._listed(prefix, lambda: list(obstore.list_with_delimiter(self.objects, prefix or None)["objects"]))

    def get_range(self, file: Remote, start: int, end: int) -> bytes:
        """The bytes of *file* from *start* to *end*.

        Raises:
            ConfigError: it was replaced or removed since it was listed, or the store fails.
        """
        options: GetOptions = {"range": (start, end)}
        if file.e_tag:
            options["if_match"] = file.e_tag

        def once() -> bytes:
            return bytes(obstore.get(self.objects, file.key, options=options).bytes())

        try:
            return self._tried(file.key, once)
        except (PreconditionError, FileNotFoundError):
            raise ConfigError(f"{file}: was replaced or removed while it was read: try again") from None

    def _listed(self, prefix: str, once: Callable[[], list[ObjectMeta]]) -> list[Remote]:
        try:
            found = self._tried(prefix, once)
        except FileNotFoundError as error:  # a bucket that is not there; an empty folder is no error
            raise ConfigError(f"{self.url(prefix)}: {self._reason(error)}") from None
        return sorted((self._remote(one) for one in found), key=lambda one: one.key)

    def _remote(self, found: ObjectMeta) -> Remote:
        changed = f"{found['last_modified']:%Y-%m-%dT%H:%M:%S.%f}"
        return Remote(
            bucket=self, key=found["path"], size=found["size"], e_tag=found["e_tag"], version=found["e_tag"] or changed
        )

    def _tried(self, key: str, once: Callable[[], _T]) -> _T:
        """What *once* gives, tried again where the store fails."""
        policy = Retrying(
            retry=retry_if_exception_type(GenericError),
            stop=stop_after_attempt(self.attempts),
            wait=wait_random_exponential(multiplier=0.2, max=_LONGEST_WAIT_S),
            sleep=self.pause,
            reraise=True,
        )
        try:
            return policy(once)
        except PreconditionError:
            raise
        except BaseError as error:
            raise ConfigError(f"{self.url(key)}: {self._reason(error)}") from None

    def _reason(self, error: Exception) -> str:
        said = reason(error, self.scheme)
        if isinstance(error, PermissionDeniedError) and said.startswith("permission denied"):
            return f"{said.partition(':')[0]}: these credentials must be allowed to list and read here"
        return said


@dataclass(frozen=True, slots=True, kw_only=True)
class Remote:
    """An object as it was listed; another `version` has other bytes."""

    bucket: Bucket
    key: str
    size: int
    e_tag: str | None
    version: str

    @property
    def name(self) -> str:
        """The last part of its key."""
        return self.key.rpartition("/")[2]

    def __str__(self) -> str:
        return self.bucket.url(self.key)

    def native(self) -> pa.NativeFile:
        """Its bytes for Arrow, which may read anywhere in them; each read is a request."""
        return pa.PythonFile(cast("io.IOBase", _Ranges(self)), mode="r")

    def open(self) -> io.BufferedReader:
        """Its bytes from the start on, a block at a time."""
        return io.BufferedReader(cast("io.RawIOBase", self.native()), _BLOCK_BYTES)


class _Ranges:
    """An object as a file that Arrow reads: each read is a request."""

    closed = False

    def __init__(self, file: Remote) -> None:
        self._file, self._at = file, 0

    def read(self, size: int = -1) -> bytes:
        """The next *size* bytes, fewer at the end; all that are left where *size* is negative."""
        left = max(self._file.size - self._at, 0)
        length = left if size < 0 else min(size, left)
        found = self._file.bucket.get_range(self._file, self._at, self._at + length) if length else b""
        self._at += len(found)
        return found

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Go to *offset*, from the start, from here or from the end."""
        self._at = offset + {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._file.size}[whence]
        return self._at

    def tell(self) -> int:
        """Where the next read begins."""
        return self._at

    def close(self) -> None:
        """Nothing is held open."""
        self.closed = True
