"""The event loop that runs go on: uvloop where it is installed, for it takes a tenth to a fifth less a request."""

from __future__ import annotations

import asyncio
import gc
import importlib.util
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from collections.abc import Coroutine

_T = TypeVar("_T")


def run(main: Coroutine[Any, Any, _T]) -> _T:
    """What *main* gives."""
    gc.freeze()  # Prefect's modules stay: to look through them for cycles would take every run a tenth of a second
    if importlib.util.find_spec("uvloop") is None:
        return asyncio.run(main)
    import uvloop  # noqa: PLC0415 - need not be there

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(main)
