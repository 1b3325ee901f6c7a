"""Prefect's server for one run, where none is configured.

Prefect's own embedded server lives in the terminal's process group: Ctrl-C ends it together with the run, which then
waits in vain to report its end. This one has a session of its own, and goes when the run is over.

Prefect takes seconds to import, here and there. So the server is started first, before this process has asked Prefect's
settings whether one is named; where one is, the server finds the same by itself, and leaves without a trace.
"""

from __future__ import annotations

import gc
import importlib
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from typing import IO, TYPE_CHECKING, Final

from mediascribe.errors import ConfigError
from mediascribe.lineage import end_with_parent

if TYPE_CHECKING:
    from collections.abc import Iterator

_START_S: Final = 120.0
_LOOK_EVERY_S: Final = 0.03
_END_S: Final = 10.0
_SHOWN_BYTES: Final = 2000
# What Prefect imports when the first flow and its first task begin, and what takes long of it.
_LATER: Final = ("fastapi.encoders", "prefect.flow_engine", "prefect.task_engine", "prefect.utilities.visualization")
_NO_UI: Final = {"PREFECT_UI_ENABLED": "0", "PREFECT__SERVER_EPHEMERAL": "1", "PREFECT__SERVER_FINAL": "1"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """A server on a loopback port, which may not be ready yet."""

    port: int
    running: subprocess.Popen[bytes]
    log: IO[bytes]

    @contextmanager
    def reached(self) -> Iterator[None]:
        """While the body runs, Prefect's settings point to it, and it is ready.

        Raises:
            ConfigError: it does not start; the message has its last words.
        """
        from prefect.settings import PREFECT_API_URL, temporary_settings  # noqa: PLC0415 - takes a second to import

        _wait_until_healthy(self.port, self.running, self.log)
        with temporary_settings({PREFECT_API_URL: f"http://127.0.0.1:{self.port}/api"}):
            yield


def is_configured() -> bool:
    """Whether Prefect's settings (environment, profile) name a server."""
    from prefect.settings import get_current_settings  # noqa: PLC0415 - Prefect takes a second to import

    return get_current_settings().api.url is not None


@contextmanager
def started() -> Iterator[Server | None]:
    """A server that runs while the body does, and is of no use where `is_configured`; None where that is plain."""
    if os.environ.get("PREFECT_API_URL"):
        yield None
        return
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with tempfile.TemporaryFile() as log:
        running = _started(port, log)
        try:
            yield Server(port=port, running=running, log=log)
        finally:
            _end(running)


def preload() -> None:
    """Import what the first flow of this process would import while it runs: before the server is ready it is free."""
    for name in _LATER:
        with suppress(ImportError):  # another Prefect may have other modules
            importlib.import_module(name)


@contextmanager
def uncollected() -> Iterator[None]:
    """Nothing; while the body runs, Python looks for no cycles: of large imports that takes a fifth of the time."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


def serve(port: int) -> None:
    """Be a server on *port* until ended, unless Prefect's settings name one."""
    with uncollected():
        if is_configured():
            return
        import uvicorn  # noqa: PLC0415 - of the server's process only
        from prefect.server.api.server import create_app  # noqa: PLC0415 - likewise

        app = create_app()
    gc.freeze()  # what is there by now stays
    uvicorn.run(app, host="127.0.0.1", port=port, log_level="error", lifespan="on")


def _started(port: int, log: IO[bytes]) -> subprocess.Popen[bytes]:
    return subprocess.Popen(  # noqa: S603 - our own interpreter, our own words
        [sys.executable, "-P", "-m", "flows.embedded", str(port)],  # whatever `flows` lies in the caller's folder
        env=os.environ | _NO_UI,
        stdout=log,
        stderr=log,
        start_new_session=True,
        preexec_fn=partial(end_with_parent, signal.SIGTERM),  # noqa: PLW1509 - one system call, before any thread is started
    )


def _wait_until_healthy(port: int, running: subprocess.Popen[bytes], log: IO[bytes]) -> None:
    until = time.monotonic() + _START_S
    while time.monotonic() < until and running.poll() is None:
        with suppress(OSError), urllib.request.urlopen(f"http://127.0.0.1:{port}/api/health") as answer:
            if answer.status == 200:  # noqa: PLR2004 - all is well
                return
        time.sleep(_LOOK_EVERY_S)  # noqa: TID251 - another process is waited for
    log.seek(0)
    words = log.read()[-_SHOWN_BYTES:].decode(errors="replace").strip()
    raise ConfigError(
        f"Prefect's embedded server did not start; set PREFECT_API_URL to one that runs. It said: {words}"
    )


def _end(running: subprocess.Popen[bytes]) -> None:
    running.terminate()
    try:
        running.wait(_END_S)
    except subprocess.TimeoutExpired:
        running.kill()
        running.wait()


if __name__ == "__main__":
    serve(int(sys.argv[1]))
