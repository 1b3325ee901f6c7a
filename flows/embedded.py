"""Prefect's server for one run, where none is configured.

Prefect's own embedded server lives in the terminal's process group: Ctrl-C ends it together with the run, which then
waits in vain to report its end. This one has a session of its own, and goes when the run is over.
"""

from __future__ import annotations

import ctypes
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from contextlib import contextmanager, suppress
from typing import IO, TYPE_CHECKING, Final

from prefect.settings import PREFECT_API_URL, get_current_settings, temporary_settings

from mediascribe.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterator

_PR_SET_PDEATHSIG: Final = 1  # prctl(2)
_START_S: Final = 120.0
_LOOK_EVERY_S: Final = 0.1
_END_S: Final = 10.0
_SHOWN_BYTES: Final = 2000
_NO_UI: Final = {"PREFECT_UI_ENABLED": "0", "PREFECT__SERVER_EPHEMERAL": "1", "PREFECT__SERVER_FINAL": "1"}


def is_configured() -> bool:
    """Whether Prefect's settings (environment, profile) name a server."""
    return get_current_settings().api.url is not None


@contextmanager
def server() -> Iterator[None]:
    """Run a server on a free loopback port while the body runs, with Prefect's settings pointing to it.

    Raises:
        ConfigError: it does not start; the message has its last words.
    """
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with tempfile.TemporaryFile() as log:
        running = _started(port, log)
        try:
            _wait_until_healthy(port, running, log)
            with temporary_settings({PREFECT_API_URL: f"http://127.0.0.1:{port}/api"}):
                yield
        finally:
            _end(running)


def _started(port: int, log: IO[bytes]) -> subprocess.Popen[bytes]:
    app = "prefect.server.api.server:create_app"
    where = ["--host", "127.0.0.1", "--port", str(port), "--log-level", "error", "--lifespan", "on"]
    return subprocess.Popen(  # noqa: S603 - our own interpreter, our own words
        [sys.executable, "-m", "uvicorn", "--factory", app, *where],
        env=os.environ | _NO_UI,
        stdout=log,
        stderr=log,
        start_new_session=True,
        preexec_fn=_end_with_parent,  # noqa: PLW1509 - one system call, before any thread is started
    )


def _end_with_parent() -> None:
    """Ask Linux to end the server when this process is killed; elsewhere it would be left behind."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


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
