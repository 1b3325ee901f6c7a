"""An event loop whose time is virtual: it jumps to the next timer when nothing is ready. Hours pass in seconds.

Deterministic: nothing outside the loop can wake it. Where nobody will ever be woken it fails instead of hanging.
"""

from __future__ import annotations

import asyncio
import selectors
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine


class _Jumping(selectors.DefaultSelector):
    """Waits for no file: passes the time that it should have waited at once, and *late_s* more."""

    def __init__(self, late_s: float) -> None:
        super().__init__()
        self.late_s = late_s
        self.now = 0.0

    def select(self, timeout: float | None = None) -> list[Any]:
        if timeout is None:
            raise RuntimeError(f"a stall without an exit: at {self.now} s everybody waits and no timer is set")
        if timeout > 0:
            self.now += timeout + self.late_s
        return []


class VirtualLoop(asyncio.SelectorEventLoop):
    """Time is what its timers waited, from 0 on; each fires *late_s* too late, as real ones do."""

    def __init__(self, late_s: float = 0.0) -> None:
        self._jumping = _Jumping(late_s)
        super().__init__(self._jumping)

    def time(self) -> float:
        return self._jumping.now


def run(coroutine: Coroutine[Any, Any, Any], *, late_s: float = 0.0) -> Any:
    """The result of *coroutine*, run in virtual time."""
    with asyncio.Runner(loop_factory=lambda: VirtualLoop(late_s)) as runner:
        return runner.run(coroutine)


def virtual(test: Callable[[], Coroutine[Any, Any, None]]) -> Callable[[], None]:
    """The async *test*, run in virtual time."""

    def wrapped() -> None:
        run(test())

    wrapped.__doc__ = test.__doc__
    return wrapped
