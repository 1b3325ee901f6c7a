"""Signals: the first Ctrl-C or SIGTERM lets what is in flight land, the second one cuts it off."""

from __future__ import annotations

import asyncio
import signal
import sys
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM)


@contextmanager
def draining(drain: Callable[[str], None]) -> Iterator[None]:
    """While the body runs, call *drain* with the reason at the first signal; a second one interrupts at once.

    Signals reach the main thread only: elsewhere nothing is changed.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    loop, before = asyncio.get_running_loop(), {number: signal.getsignal(number) for number in _SIGNALS}

    def restore() -> None:
        for number, handler in before.items():
            loop.remove_signal_handler(number)
            signal.signal(number, handler)

    def asked(number: signal.Signals) -> None:
        restore()
        name = "Ctrl-C" if number == signal.SIGINT else number.name
        sys.stderr.write(f"mediascribe: {name}: answers in flight still land; Ctrl-C cuts them off\n")
        sys.stderr.flush()
        drain(f"interrupted by {name}")

    for number in _SIGNALS:
        loop.add_signal_handler(number, asked, number)
    try:
        yield
    finally:
        restore()
