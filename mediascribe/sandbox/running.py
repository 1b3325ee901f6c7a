"""Running: the sandbox as a thing that starts and stops, in a thread of its own or until Ctrl-C."""

from __future__ import annotations

import asyncio
import errno
import ipaddress
import socket
import sys
import threading
from dataclasses import dataclass
from json import dumps
from typing import TYPE_CHECKING, Final, Self

from aiohttp import web

from mediascribe.errors import ConfigError
from mediascribe.sandbox.desk import Desk
from mediascribe.sandbox.server import application

if TYPE_CHECKING:
    from pathlib import Path
    from types import TracebackType

    from mediascribe.sandbox.behaviour import Behaviour
    from mediascribe.sandbox.billing import Billing
    from mediascribe.sandbox.ledger import Entry

_BACKLOG: Final = 4096
_LAST_PORT: Final = 65_535
_SHUTDOWN_S: Final = 0.1
_LOOK_AGAIN_S: Final = 0.005


class Sandbox:
    """A gateway on *host* and *port* (0: any free one), in a daemon thread with its own event loop.

    The address is known, and connections wait, as soon as `start` returns. *samples* is the folder that `media_url`
    serves. Desk and port outlive a stop.
    """

    def __init__(
        self,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        samples: Path | None = None,
        api_key: str = "sk-sandbox",
        quiet: bool = True,
    ) -> None:
        self.api_key = api_key
        self._host = host
        self._port = port
        self._desk = Desk(api_key=api_key, samples=samples, quiet=quiet)
        self._running: _Running | None = None

    @property
    def url(self) -> str:
        """The base URL for a client, up to and including /v1."""
        return f"{self._root}/v1"

    @property
    def media_url(self) -> str:
        """The prefix of the samples' URLs."""
        return f"{self._root}/samples/"

    @property
    def admin_url(self) -> str:
        """The prefix of the admin calls."""
        return f"{self._root}/sandbox/"

    @property
    def max_in_flight(self) -> int:
        """The most completion requests that were open at one time."""
        return self._desk.max_in_flight

    def ledger(self) -> list[Entry]:
        """Every completion request in order of arrival; whoever holds an answer finds its entry complete."""
        if self._running is None:
            return self._desk.ledger.entries()
        return asyncio.run_coroutine_threadsafe(_entries(self._desk), self._running.loop).result()

    def drain(self, timeout_s: float = 30.0) -> None:
        """Return when no completion request is open: the ledger then holds also what clients did not wait for.

        Raises:
            TimeoutError: one still is.
        """
        if self._running is not None:
            asyncio.run_coroutine_threadsafe(_idle(self._desk, timeout_s), self._running.loop).result()

    def behave(self, model: str, behaviour: Behaviour) -> None:
        """From now on *model* (`*`: every model without a behaviour of its own) behaves like this.

        Raises:
            ConfigError: no such model is served.
        """
        self._desk.behave(model, behaviour)

    def bill(self, billing: Billing) -> None:
        """From now on the gateway's log charges like this; what the ledger says stays the list price."""
        self._desk.billing = billing

    def reset(self) -> None:
        """Forget the ledger, the behaviours, what limits have counted, and any way of charging."""
        self._desk.forget()
        self._desk.behave_well()

    def start(self) -> None:
        """Listen, and serve in the background.

        Raises:
            ConfigError: the address cannot be had.
        """
        listener = _listener(self._host, self._port)
        self._port = listener.getsockname()[1]
        loop, stopping = asyncio.new_event_loop(), asyncio.Event()
        thread = threading.Thread(target=_run, args=(self._desk, listener, loop, stopping), name="sandbox", daemon=True)
        thread.start()
        self._running = _Running(thread=thread, loop=loop, stopping=stopping)

    def stop(self) -> None:
        """Close every connection and end the thread; nothing if it does not run. `start` begins again, same port."""
        if self._running is not None:
            self._running.loop.call_soon_threadsafe(self._running.stopping.set)
            self._running.thread.join()
            self._running = None

    def wait(self) -> None:
        """Return when the sandbox has stopped."""
        if self._running is not None:
            self._running.thread.join()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def _root(self) -> str:
        host = f"[{self._host}]" if ":" in self._host else self._host
        return f"http://{host}:{self._port}"


def serve(host: str, port: int, samples: Path | None, api_key: str, *, json: bool = False) -> None:
    """Run a sandbox until Ctrl-C, for `mediascribe sandbox`; its first line is for people, or one JSON object.

    Raises:
        ConfigError: the address cannot be had.
    """
    sandbox = Sandbox(host=host, port=port, samples=samples, api_key=api_key, quiet=False)
    with sandbox:
        sys.stdout.write(_greeting(sandbox, json=json) + "\n")
        sys.stdout.flush()
        if not _is_loopback(host):
            sys.stderr.write(f"warning: {host} may be reached from other machines; nothing here is meant for that\n")
        try:
            sandbox.wait()
        except KeyboardInterrupt:
            sys.stderr.write("stopped\n")


def _greeting(sandbox: Sandbox, *, json: bool) -> str:
    where = {"url": sandbox.url, "key": sandbox.api_key, "media_url": sandbox.media_url, "admin_url": sandbox.admin_url}
    if json:
        return dumps(where)
    return (
        f"mediascribe sandbox: a development server for tests and demos, at {sandbox.url}, key {sandbox.api_key}, "
        f"admin {sandbox.admin_url}, Ctrl-C ends it"
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Running:
    """A thread that serves, and how to end it."""

    thread: threading.Thread
    loop: asyncio.AbstractEventLoop
    stopping: asyncio.Event


def _run(desk: Desk, listener: socket.socket, loop: asyncio.AbstractEventLoop, stopping: asyncio.Event) -> None:
    with asyncio.Runner(loop_factory=lambda: loop) as runner:
        runner.run(_serve(desk, listener, stopping))


async def _entries(desk: Desk) -> list[Entry]:
    """The ledger as seen from the server's thread, between two steps of its requests, never within one."""
    for _ in range(3):
        await asyncio.sleep(0)
    return desk.ledger.entries()


async def _idle(desk: Desk, timeout_s: float) -> None:
    async with asyncio.timeout(timeout_s):
        while desk.in_flight:  # noqa: ASYNC110 - only tests wait for this, and no request shall pay for an event
            await asyncio.sleep(_LOOK_AGAIN_S)


async def _serve(desk: Desk, listener: socket.socket, stopping: asyncio.Event) -> None:
    runner = web.AppRunner(application(desk), access_log=None, shutdown_timeout=_SHUTDOWN_S)
    await runner.setup()
    try:
        await web.SockSite(runner, listener, backlog=_BACKLOG).start()
        await stopping.wait()
    finally:
        await runner.cleanup()


def _listener(host: str, port: int) -> socket.socket:
    if not 0 <= port <= _LAST_PORT:
        raise ConfigError(f"port {port} is none: 0 to {_LAST_PORT} are")
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=_BACKLOG)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise ConfigError(f"port {port} on {host} is in use: choose another, or 0 for any free one") from None
        raise ConfigError(f"cannot listen on {host}, port {port}: {error.strerror or error}") from None


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
