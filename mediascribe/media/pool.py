"""Work for the processor beside the event loop: a thread a core, and no more in hand than fits.

Rules of this file:

- Threads, not processes: decoding, scaling and encoding let other threads run.
- What is in hand is what runs or waits for a thread. Admission is in order: large work is not overtaken for ever.
- Work whose waiter went away runs to its end, since a thread cannot be stopped, and counts until then.
"""

from __future__ import annotations

import asyncio
import os
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Final, ParamSpec, Self, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable
    from concurrent.futures import Future
    from types import TracebackType

_P = ParamSpec("_P")
_T = TypeVar("_T")

BYTES_IN_HAND: Final = 256 * 2**20
WAITING_PER_THREAD: Final = 2  # so that a thread that ends finds the next work ready


class Pool:
    """Threads for blocking work, as an async context manager; leaving it waits for what runs, and drops what waits."""

    def __init__(self, *, threads: int | None = None, bytes_in_hand: int = BYTES_IN_HAND) -> None:
        """As many *threads* as this process has cores, unless told; arguments of *bytes_in_hand* at a time."""
        self._count = threads or os.cpu_count() or 1
        self._most = self._count * (1 + WAITING_PER_THREAD)
        self._most_bytes = bytes_in_hand
        self._works = self._bytes = 0
        self._turn = asyncio.Lock()
        self._left = asyncio.Event()

    async def __aenter__(self) -> Self:
        self._threads = ThreadPoolExecutor(self._count, thread_name_prefix="media")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await asyncio.to_thread(self._threads.shutdown, cancel_futures=True)

    @property
    def in_hand(self) -> tuple[int, int]:
        """How much runs or waits for a thread: pieces of work, and bytes of their arguments."""
        return self._works, self._bytes

    async def run(self, work: Callable[_P, _T], *args: _P.args, **kwargs: _P.kwargs) -> _T:
        """What *work* gives, done in a thread; waits first until there is room for it.

        The room that it takes is that of the `bytes` among its arguments. Work that is larger than all the room is done
        alone.
        """
        size = sum(len(one) for one in (*args, *kwargs.values()) if isinstance(one, bytes))
        async with self._turn:
            while not self._has_room(size):
                self._left.clear()
                await self._left.wait()
            future = self._threads.submit(work, *args, **kwargs)
            self._works += 1
            self._bytes += size
        loop = asyncio.get_running_loop()

        def leave(_done: Future[_T]) -> None:
            loop.call_soon_threadsafe(self._leave, size)

        future.add_done_callback(leave)
        return await asyncio.wrap_future(future)

    def _has_room(self, size: int) -> bool:
        return self._works == 0 or (self._works < self._most and self._bytes + size <= self._most_bytes)

    def _leave(self, size: int) -> None:
        self._works -= 1
        self._bytes -= size
        self._left.set()
