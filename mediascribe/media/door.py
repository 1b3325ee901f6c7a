"""Door: the connections to hosts of media, none of which is opened before the guard has seen its address.

aiohttp tells which address a connection is really opened to: `Door` makes every socket, and asks the guard first. It
looks hosts up as well, so that one with a refused address among others is refused whichever would be tried first; but
a name server may say something else a moment later, and an address in a URL is never looked up.
"""

from __future__ import annotations

import asyncio
import errno
import socket
from concurrent.futures import ThreadPoolExecutor
from contextvars import ContextVar
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult

from mediascribe import __version__
from mediascribe.errors import MediaError

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from aiohttp import AddrInfoType

    from mediascribe.media.guard import Guard

_HEADERS: Final = {"user-agent": f"mediascribe/{__version__}", "accept": "*/*", "accept-encoding": "identity"}
_REMEMBERED_S: Final = 60  # what a name server said
_LOOKUPS_AT_A_TIME: Final = 32
_IDLE_S: Final = 2.0  # a manifest may have more hosts than a process may have sockets
_LINE_BYTES: Final = 8_190
_MOST_HEADERS: Final = 100


@dataclass(slots=True, kw_only=True)
class Visit:
    """A request to *host*, and why an address of it was refused, if one was."""

    host: str
    refused: MediaError | None = None


class Door(AbstractResolver):
    """Sockets and addresses for one session. Belongs to one event loop."""

    def __init__(self, guard: Guard, lookup: Callable[[str], Collection[str]] | None = None) -> None:
        """Ask *guard*; *lookup* gives the addresses of a host, in a thread: the system's, without one."""
        self._guard, self._lookup = guard, lookup or _addresses
        # Of its own: a dead name holds its thread for many seconds.
        self._threads = ThreadPoolExecutor(_LOOKUPS_AT_A_TIME, thread_name_prefix="lookup")
        self._visit: ContextVar[Visit] = ContextVar("visit")

    def session(self) -> aiohttp.ClientSession:
        """A session without cookies, users and proxies that connects through this door."""
        connector = aiohttp.TCPConnector(
            limit=0,
            ttl_dns_cache=_REMEMBERED_S,
            keepalive_timeout=_IDLE_S,
            resolver=self,
            socket_factory=self._socket,
        )
        return aiohttp.ClientSession(
            connector=connector,
            cookie_jar=aiohttp.DummyCookieJar(),
            trust_env=False,
            auto_decompress=False,
            headers=_HEADERS,
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=None),
            max_line_size=_LINE_BYTES,
            max_field_size=_LINE_BYTES,
            max_headers=_MOST_HEADERS,
        )

    def visit(self, host: str) -> Visit:
        """From now on, what connects in this task does so for *host*."""
        visit = Visit(host=host)
        self._visit.set(visit)
        return visit

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        """The addresses of *host*, for aiohttp.

        Raises:
            MediaError: one of them may not be reached.
            OSError: it has none.
        """
        addresses = await asyncio.get_running_loop().run_in_executor(self._threads, self._lookup, host)
        if not addresses:
            raise OSError(errno.ENOENT, "no address")
        for address in addresses:
            self._guard.check_address(host, address, port)
        return [
            ResolveResult(
                hostname=host,
                host=address,
                port=port,
                family=family,
                proto=socket.IPPROTO_TCP,
                flags=socket.AI_NUMERICHOST,
            )
            for address in addresses
        ]

    async def close(self) -> None:
        """Wait for no look-up."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    def _socket(self, place: AddrInfoType) -> socket.socket:
        """A socket to connect to *place*: nothing gets past here, whatever was looked up or cached before."""
        family, kind, protocol, _, address = place
        visit = self._visit.get()
        try:
            self._guard.check_address(visit.host, address[0], address[1])
        except MediaError as error:
            visit.refused = error
            raise PermissionError(errno.EACCES, "refused by the guard") from None  # aiohttp wants an OSError here
        return socket.socket(family, kind, protocol)


def _addresses(host: str) -> list[str]:
    found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM, flags=socket.AI_ADDRCONFIG)
    return list(dict.fromkeys(str(address[0]) for *_, address in found))
