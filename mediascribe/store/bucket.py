"""Bucket: the objects under one prefix, through obstore; conditional writes, and every call bounded and tried again.

Rules of this file:

1. A condition is the store's own (If-None-Match, If-Match): no look before a write decides anything.
2. A write that was answered with an error may have landed. When the next attempt is refused, what is there is compared
   with what was sent (reliability notes 1.3).
3. The client tries nothing again by itself, so that an attempt in doubt is known to be one.
"""

from __future__ import annotations

import functools
import os
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, TypeVar, cast

import obstore
from obstore.exceptions import AlreadyExistsError, BaseError, GenericError, PreconditionError
from obstore.store import AzureStore, GCSStore, MemoryStore, S3Store
from tenacity import Retrying, TryAgain, retry_if_exception_type, stop_after_attempt, wait_random_exponential

from mediascribe.errors import StoreError
from mediascribe.store.failure import reason

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from obstore import UpdateVersion
    from obstore.store import ObjectStore

    from mediascribe.store.address import Address

_T = TypeVar("_T")
_ATTEMPTS: Final = 5
_LONGEST_WAIT_S: Final = 5.0
_DELETED_AT_ONCE: Final = 1_000
_COPY_BYTES: Final = 8 * 2**20


def wait(seconds: float) -> None:
    """Wait; a signal ends it."""
    threading.Event().wait(seconds)


@dataclass(frozen=True, slots=True)
class Version:
    """Which writing of an object is meant; equal only for the same one."""

    e_tag: str | None
    version: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Bucket:
    """The objects under *prefix*; names are relative to it."""

    address: Address
    objects: ObjectStore
    attempts: int = _ATTEMPTS
    pause: Callable[[float], None] = wait

    def size(self, name: str) -> int | None:
        """The bytes of *name*, or None where there is no such object."""
        try:
            return self._tried(name, lambda: obstore.head(self.objects, self._key(name))["size"])
        except FileNotFoundError:
            return None

    def get(self, name: str) -> bytes:
        """The bytes of *name*.

        Raises:
            FileNotFoundError: there is no such object.
        """
        return self.get_version(name)[0]

    def get_version(self, name: str) -> tuple[bytes, Version]:
        """The bytes of *name*, and which writing of it they are; raises like `get`."""

        def once() -> tuple[bytes, Version]:
            found = obstore.get(self.objects, self._key(name))
            return bytes(found.bytes()), Version(found.meta["e_tag"], found.meta["version"])

        return self._tried(name, once)

    def get_range(self, name: str, start: int, length: int) -> bytes:
        """*length* bytes of *name* from *start* on."""
        key = self._key(name)
        return self._tried(name, lambda: bytes(obstore.get_range(self.objects, key, start=start, length=length)))

    def download(self, name: str, path: Path) -> None:
        """Write the bytes of *name* to *path*; raises like `get`. Memory holds some megabytes."""

        def once() -> None:
            with path.open("wb") as file:
                for piece in obstore.get(self.objects, self._key(name)).stream(min_chunk_size=_COPY_BYTES):
                    file.write(piece)

        self._tried(name, once)

    def names(self, folder: str) -> list[str]:
        """The names in *folder* (empty, or ending with `/`), at any depth, sorted."""
        prefix = self._key(folder)

        def once() -> list[str]:
            return [found["path"] for chunk in obstore.list(self.objects, prefix or None) for found in chunk]

        return sorted(path[len(self.address.prefix) :] for path in self._tried("", once))

    def create(self, name: str, data: bytes | Path) -> bool:
        """Write *data* as *name*; False, and nothing changes, where another wrote that name."""
        key, sent = self._key(name), [False]

        def once() -> bool:
            try:
                obstore.put(self.objects, key, data, mode="create")
            except AlreadyExistsError:
                if self.size(name) is None:
                    raise TryAgain from None  # two creators met (HTTP 409), and neither has written
                return sent[0] and self.get(name) == (data if isinstance(data, bytes) else data.read_bytes())
            except GenericError:
                sent[0] = True
                raise
            return True

        return self._tried(name, once)

    def update(self, name: str, data: bytes, version: Version) -> Version | None:
        """Write *data* in place of *version* of *name*; None, and nothing changes, where that is no longer there."""
        wanted = {"e_tag": version.e_tag, "version": version.version}
        mode = cast("UpdateVersion", {key: value for key, value in wanted.items() if value is not None})

        def once() -> Version | None:
            try:
                put = obstore.put(self.objects, self._key(name), data, mode=mode)
            except (PreconditionError, AlreadyExistsError):  # HTTP 412, or 409 when two writers met
                return self._landed(name, data)
            return Version(put["e_tag"], put["version"])

        return self._tried(name, once)

    def replace(self, name: str, data: bytes | Path) -> None:
        """Write *data* as *name*, whatever was there."""
        self._tried(name, lambda: obstore.put(self.objects, self._key(name), data))

    def delete(self, names: Sequence[str]) -> None:
        """Remove those of *names* that are there."""
        for start in range(0, len(names), _DELETED_AT_ONCE):
            keys = [self._key(name) for name in names[start : start + _DELETED_AT_ONCE]]
            self._tried(names[start], functools.partial(obstore.delete, self.objects, keys))

    def _landed(self, name: str, data: bytes) -> Version | None:
        """The version of *name* where it holds *data*: an attempt of ours that was answered with an error."""
        try:
            found, version = self.get_version(name)
        except FileNotFoundError:
            return None
        return version if found == data else None

    def _key(self, name: str) -> str:
        return self.address.prefix + name

    def _tried(self, name: str, once: Callable[[], _T]) -> _T:
        """What *once* gives, tried again where the store fails."""
        policy = Retrying(
            retry=retry_if_exception_type((GenericError, TryAgain)),
            stop=stop_after_attempt(self.attempts),
            wait=wait_random_exponential(multiplier=0.2, max=_LONGEST_WAIT_S),
            sleep=self.pause,
            reraise=True,
        )
        place = f"{self.address.url}/{name}".rstrip("/")
        try:
            return policy(once)
        except TryAgain:
            raise StoreError(f"{place}: others write it at this moment: try again") from None
        except FileNotFoundError as error:
            if "NoSuchBucket" in str(error):
                raise StoreError(f"{place}: {reason(error, self.address.scheme)}") from None
            raise FileNotFoundError(f"there is no {place}") from None
        except BaseError as error:
            raise StoreError(f"{place}: {reason(error, self.address.scheme)}") from None


def connect(address: Address, *, timeout_s: float) -> ObjectStore:
    """The client for *address*; endpoint, region and credentials come from the environment.

    A call ends after *timeout_s*, whatever it moves; a limit to silence would cut long uploads off.

    Raises:
        StoreError: the environment does not say enough.
    """
    # Not as `client_options`, which would hide those of the environment, such as AWS_ALLOW_HTTP.
    times: Any = {"timeout": f"{timeout_s * 1000:.0f}ms"}
    try:
        match address.scheme:
            case "s3":
                return S3Store(address.bucket, config=_s3_region() | times, retry_config={"max_retries": 0})
            case "gs":
                return GCSStore(address.bucket, config=times, retry_config={"max_retries": 0})
            case "az":
                return AzureStore(address.bucket, config=times, retry_config={"max_retries": 0})
            case _:
                return MemoryStore()
    except BaseError as error:
        raise StoreError(reason(error, address.scheme)) from None


def _s3_region() -> dict[str, str]:
    """The region by the name that only other clients read."""
    region = os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION")
    return {"region": region} if region else {}
