"""Transport: our connections as httpx knows a transport, for whatever speaks httpx: a client, a vendor's SDK.

An answer is whole when it comes, and unpacked; so it bears no `Content-Encoding`. Failures are httpx's own, each caused
by the one that says whether the request can have been billed (`__cause__`).
"""

from __future__ import annotations

import asyncio
import ssl
from typing import TYPE_CHECKING, Any, Final

import httpx

from mediascribe.errors import AttemptError, ConfigError, InDoubtError, PermanentError
from mediascribe.http import Arrival, Limits, Origin, Outgoing, Pool, head_of, origin_of

if TYPE_CHECKING:
    from collections.abc import Mapping

_UNPACKED: Final = frozenset({b"content-encoding", b"content-length", b"transfer-encoding"})


class Transport(httpx.AsyncBaseTransport):
    """Connections to any origin, at most *connections* to each. Belongs to one event loop."""

    def __init__(self, *, connections: int = 100, most_bytes: int = 64 * 2**20) -> None:
        """Prepare for answers of at most *most_bytes*; connects when asked."""
        self._connections, self._most_bytes = connections, most_bytes
        self._pools: dict[Origin, Pool] = {}

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """The whole answer to *request*; of its timeouts, `connect` and `read` (until the answer begins) hold.

        Raises:
            httpx.UnsupportedProtocol: the address, the method or a header cannot be sent.
            httpx.ConnectError, httpx.ConnectTimeout: nothing was sent.
            httpx.ReadError, httpx.ReadTimeout, httpx.RemoteProtocolError: no whole answer came back.
        """
        body = await request.aread()
        try:
            origin, outgoing = _outgoing(request, body)
        except ConfigError as error:
            raise httpx.UnsupportedProtocol(str(error), request=request) from error
        limits = _limits(request.extensions.get("timeout", {}))
        try:
            arrival = await self._pool(origin).ask(outgoing, limits, most_bytes=self._most_bytes)
        except AttemptError as error:
            raise _error(error)(str(error), request=request) from error
        return _response(arrival, request)

    async def aclose(self) -> None:
        """Close what is idle."""
        for pool in self._pools.values():
            pool.close()
        await asyncio.sleep(0)  # the loop closes what was aborted

    def _pool(self, origin: Origin) -> Pool:
        if origin not in self._pools:
            tls = ssl.create_default_context() if origin.is_tls else None
            self._pools[origin] = Pool(origin, connections=self._connections, tls=tls)
        return self._pools[origin]


def _outgoing(request: httpx.Request, body: bytes) -> tuple[Origin, Outgoing]:
    if request.method == "HEAD":
        raise ConfigError("HEAD is not spoken here: its answers tell a length and have none")
    origin, target = origin_of(str(request.url))
    headers = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in request.headers.raw]
    tells_length = bool(body) or request.method != "GET"
    return origin, Outgoing(head_of(request.method, origin, target, headers), body, tells_length=tells_length)


def _limits(timeout: Mapping[str, Any]) -> Limits:
    return Limits(connect_s=timeout.get("connect"), first_byte_s=timeout.get("read"))


def _response(arrival: Arrival, request: httpx.Request) -> httpx.Response:
    headers = [(name, value) for name, value in arrival.raw_headers if name.lower() not in _UNPACKED]
    return httpx.Response(arrival.status, headers=headers, content=arrival.body, request=request)


def _error(error: AttemptError) -> type[httpx.TransportError]:
    """What httpx calls *error*."""
    in_time = error.failure.error_class != "timeout"
    if not isinstance(error, InDoubtError | PermanentError):
        return httpx.ConnectError if in_time else httpx.ConnectTimeout
    if error.failure.error_class == "network":
        return httpx.ReadError
    return httpx.RemoteProtocolError if in_time else httpx.ReadTimeout
