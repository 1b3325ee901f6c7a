"""Board: where members and lead leave their words: a folder of the run in the store, behind asynchronous calls.

What stands there is replaced every few seconds and is worth nothing afterwards, so nothing is synced to the disk.
"""

from __future__ import annotations

import asyncio
import uuid
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Final, Protocol, TypeGuard, TypeVar, cast

from mediascribe.store.local import LocalStore

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from mediascribe.store import Store
    from mediascribe.store.bucket import Bucket
    from mediascribe.store.objects import ObjectStore

_T = TypeVar("_T")
_THREADS: Final = 32


class Board(Protocol):
    """Small objects by name. Every call may raise `StoreError` or `OSError`."""

    async def get(self, name: str) -> bytes | None:
        """What *name* holds; None where nothing has that name."""

    async def put(self, name: str, content: bytes) -> None:
        """Write *name*, whole or not at all, in place of what it held."""

    async def create(self, name: str, content: bytes) -> bool:
        """Write *name*; False, and nothing changes, where it exists."""

    async def names(self, prefix: str) -> list[str]:
        """The names in the folder *prefix*, which ends with `/`."""

    async def remove(self, name: str) -> None:
        """Remove *name*, if it is there."""

    def close(self) -> None:
        """Let go of what is held open."""


def board(store: Store | Board, run_id: str) -> Board:
    """The board of a run in *store*; a board is taken as it is."""
    return board_at(store, f"_work/fleet/{run_id}/quota/")


def board_at(store: Store | Board, folder: str) -> Board:
    """The board in *folder* of *store*, which is empty or ends with `/`; a board is taken as it is."""
    if isinstance(store, LocalStore):
        return _Threads(_Folder(store.path(folder)))
    if _is_bucket(store):
        return _Threads(_Objects(store.quick, folder))
    return cast("Board", store)


def _is_bucket(store: Store | Board) -> TypeGuard[ObjectStore]:
    return hasattr(store, "quick")


class _Quick(Protocol):
    def get(self, name: str) -> bytes | None: ...
    def put(self, name: str, content: bytes) -> None: ...
    def create(self, name: str, content: bytes) -> bool: ...
    def names(self, prefix: str) -> list[str]: ...
    def remove(self, name: str) -> None: ...


class _Threads:
    """A board whose calls block, from threads of its own: many notes are read at once."""

    def __init__(self, calls: _Quick) -> None:
        self._calls, self._threads = calls, ThreadPoolExecutor(_THREADS, thread_name_prefix="board")

    async def get(self, name: str) -> bytes | None:
        return await self._in_thread(lambda: self._calls.get(name))

    async def put(self, name: str, content: bytes) -> None:
        await self._in_thread(lambda: self._calls.put(name, content))

    async def create(self, name: str, content: bytes) -> bool:
        return await self._in_thread(lambda: self._calls.create(name, content))

    async def names(self, prefix: str) -> list[str]:
        return await self._in_thread(lambda: self._calls.names(prefix))

    async def remove(self, name: str) -> None:
        await self._in_thread(lambda: self._calls.remove(name))

    def close(self) -> None:
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def _in_thread(self, call: Callable[[], _T]) -> _T:
        return await asyncio.get_running_loop().run_in_executor(self._threads, call)


class _Folder:
    """A board in a folder that all members see."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def get(self, name: str) -> bytes | None:
        try:
            return (self._folder / name).read_bytes()
        except FileNotFoundError:
            return None

    def put(self, name: str, content: bytes) -> None:
        path = self._folder / name
        self._written(path, content).replace(path)

    def create(self, name: str, content: bytes) -> bool:
        path = self._folder / name
        written = self._written(path, content)
        try:
            path.hardlink_to(written)
        except FileExistsError:
            return False
        finally:
            written.unlink()
        return True

    def names(self, prefix: str) -> list[str]:
        found = (self._folder / prefix).glob("*")
        return sorted(prefix + path.name for path in found if not path.name.startswith("."))

    def remove(self, name: str) -> None:
        (self._folder / name).unlink(missing_ok=True)

    @staticmethod
    def _written(path: Path, content: bytes) -> Path:
        """A file beside *path* that holds *content*."""
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        written = path.with_name(f".{uuid.uuid4().hex}")
        written.write_bytes(content)
        return written


class _Objects:
    """A board in a bucket."""

    def __init__(self, bucket: Bucket, folder: str) -> None:
        self._bucket, self._folder = bucket, folder

    def get(self, name: str) -> bytes | None:
        try:
            return self._bucket.get(self._folder + name)
        except FileNotFoundError:
            return None

    def put(self, name: str, content: bytes) -> None:
        self._bucket.replace(self._folder + name, content)

    def create(self, name: str, content: bytes) -> bool:
        return self._bucket.create(self._folder + name, content)

    def names(self, prefix: str) -> list[str]:
        return [name.removeprefix(self._folder) for name in self._bucket.names(self._folder + prefix)]

    def remove(self, name: str) -> None:
        self._bucket.delete([self._folder + name])
