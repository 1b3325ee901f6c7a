"""Where a run prints: on a terminal or a pipe that may go away before the run is over.

A worker that is killed takes the pipe with it that its runs print to. Printing there ends a program; a run goes on.
"""

from __future__ import annotations

import contextlib
import os
import select
import sys
from typing import IO, Any, Final, cast

from rich.console import Console

_STREAMS: Final = (1, 2)


class _Lossy:
    """*stream*, where what nobody reads any more is lost without a word."""

    def __init__(self, stream: IO[str]) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        with contextlib.suppress(OSError):
            return self._stream.write(text)
        return len(text)

    def flush(self) -> None:
        with contextlib.suppress(OSError):
            self._stream.flush()

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - whatever a stream has
        return getattr(self._stream, name)


def console() -> Console:
    """What a person at the terminal sees beside the product of a command."""
    return Console(file=cast("IO[str]", _Lossy(sys.stderr)))


def mute_broken() -> None:
    """Let what is printed go nowhere from now on, where nobody can read it any more: also what Prefect prints."""
    for stream in _STREAMS:
        looking = select.poll()
        looking.register(stream, 0)  # that its other end is gone is told in any case
        if looking.poll(0):
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, stream)
            os.close(nowhere)
