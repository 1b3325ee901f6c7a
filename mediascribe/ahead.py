"""Ahead: what is read from disk, some at a time in a thread, for many tasks of one event loop."""

from __future__ import annotations

import asyncio
from collections import deque
from itertools import islice
from typing import TYPE_CHECKING, Final, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Iterator

_T = TypeVar("_T")

_AT_A_TIME: Final = 250


class Ahead(Generic[_T]):
    """Gives what *rest* gives, in order, each once; the event loop never waits for the disk."""

    def __init__(self, rest: Iterator[_T]) -> None:
        """Nothing is read yet."""
        self._rest = rest
        self._ready: deque[_T] = deque()
        self._reading = asyncio.Lock()
        self._ended = False

    async def next(self) -> _T | None:
        """The next one; None when there is none left."""
        while not self._ready:
            async with self._reading:
                if not self._ready:  # somebody else may have read meanwhile
                    if self._ended:
                        return None
                    self._ready.extend(await asyncio.to_thread(self._read))
        return self._ready.popleft()

    def _read(self) -> list[_T]:
        some = list(islice(self._rest, _AT_A_TIME))
        self._ended = len(some) < _AT_A_TIME
        return some
