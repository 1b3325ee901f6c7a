"""Pool: connections to one origin, kept alive between requests.

Rules of this file:

- The connection that was used last is used first: those that are not needed grow old and are closed.
- Each step takes the same time with one connection as with ten thousand.
- A connection that the server has closed is not used, as far as that can be seen without sending.
- At most *connections* are open; whoever finds none free waits in line, and has sent nothing.
"""

from __future__ import annotations

import asyncio
import ssl
from collections import OrderedDict, deque
from typing import TYPE_CHECKING, Final

from mediascribe.domain import Failure
from mediascribe.errors import StopRunError, TransientError
from mediascribe.http.addresses import Addresses
from mediascribe.http.arrival import Arrival
from mediascribe.http.connection import Connection

if TYPE_CHECKING:
    from mediascribe.domain import ErrorClass
    from mediascribe.http.connection import Limits
    from mediascribe.http.origin import Origin
    from mediascribe.http.outgoing import Outgoing

_KEPT_S: Final = 15.0  # idle; servers close after 5 to 75 s
_TRIES: Final = 5  # connections for one request, as long as nothing was sent over the ones before


class Pool:
    """Connections to *origin*. Belongs to one event loop."""

    def __init__(self, origin: Origin, *, connections: int, tls: ssl.SSLContext | None = None) -> None:
        """Open nothing yet; https wants *tls*, as `ssl.create_default_context` makes it."""
        self._origin, self._most = origin, connections
        self._tls = tls if origin.is_tls else None
        self._addresses = Addresses(origin)
        self._idle: OrderedDict[Connection, float] = OrderedDict()
        self._line: deque[asyncio.Future[Connection | None]] = deque()
        self._open = 0
        self._closed = False

    async def ask(self, outgoing: Outgoing, limits: Limits, *, most_bytes: int) -> Arrival:
        """The whole answer to *outgoing*, of at most *most_bytes*, whatever its status.

        Raises:
            TransientError: no connection was made; nothing was sent.
            StopRunError: the server's certificate is not to be trusted; nothing was sent.
            InDoubtError: no whole answer came back.
            PermanentError: the answer is too long.
        """
        until = None if limits.total_s is None else asyncio.get_running_loop().time() + limits.total_s
        for _ in range(_TRIES):
            connection = self._newest() or await self._another(limits, until)
            arrival = Arrival(most_bytes)
            try:
                if await connection.exchange(outgoing, arrival, limits, until):
                    return arrival
            finally:
                self._take_back(connection)
        raise _not_sent("network", "the gateway closes every connection before a request can be sent")

    def close(self) -> None:
        """Close what is idle; what is in use closes as it ends."""
        self._closed = True
        while self._idle:
            self._drop(self._idle.popitem()[0])

    def _newest(self) -> Connection | None:
        """The idle connection that was used last, if it can be used again."""
        now = asyncio.get_running_loop().time()
        while self._idle:
            connection, since = self._idle.popitem()
            if now - since < _KEPT_S and connection.is_quiet:
                return connection
            self._drop(connection)
        return None

    async def _another(self, limits: Limits, until: float | None) -> Connection:
        """A connection that somebody gives back, or a new one."""
        if self._open < self._most:
            self._open += 1
        elif given := await self._wait(until):
            return given
        connection = None
        try:
            connection = await self._connect(limits, until)
        finally:
            if connection is None:
                self._leave()
        return connection

    async def _wait(self, until: float | None) -> Connection | None:
        """Stand in line for a connection; None is leave to open one."""
        turn: asyncio.Future[Connection | None] = asyncio.get_running_loop().create_future()
        self._line.append(turn)
        taken = False
        try:
            async with asyncio.timeout_at(until):
                connection = await turn
                taken = True
        except TimeoutError:
            raise _not_sent("timeout", f"all {self._most:,} connections to the gateway stayed in use") from None
        finally:
            if not taken and not turn.cancelled():  # given in the instant in which the caller was cancelled
                self._take_back(turn.result())
        return connection

    async def _connect(self, limits: Limits, until: float | None) -> Connection:
        loop, host = asyncio.get_running_loop(), self._origin.host if self._tls else None
        soon = loop.time() + limits.connect_s if limits.connect_s is not None else until
        try:
            async with asyncio.timeout_at(soon if until is None or soon is None else min(soon, until)):
                tcp = await self._addresses.connect()
                _, connection = await loop.create_connection(self._made, sock=tcp, ssl=self._tls, server_hostname=host)
        except TimeoutError:
            raise _not_sent("timeout", f"no connection to the gateway in time: {self._origin.authority}") from None
        except ssl.SSLCertVerificationError as error:
            message = f"the gateway's certificate is not trusted: {error}"
            raise StopRunError(Failure(error_class="network", message=message)) from None
        except OSError as error:
            raise _not_sent("network", f"no connection to the gateway: {error}") from None
        return connection

    def _made(self) -> Connection:
        return Connection(self._lost)

    def _take_back(self, connection: Connection | None) -> None:
        """Give *connection*, or leave to open one, to the first in line; keep a connection for a while."""
        if connection is None:
            self._leave()
        elif self._closed or not connection.is_open:
            self._drop(connection)
        elif turn := self._first_in_line():
            turn.set_result(connection)
        else:
            now = asyncio.get_running_loop().time()
            while self._idle and now - next(iter(self._idle.values())) >= _KEPT_S:
                self._drop(self._idle.popitem(last=False)[0])
            self._idle[connection] = now

    def _lost(self, connection: Connection) -> None:
        """The server closed *connection*; where it is in use, `_take_back` follows."""
        if self._idle.pop(connection, None) is not None:
            self._leave()

    def _drop(self, connection: Connection) -> None:
        connection.abort()
        self._leave()

    def _leave(self) -> None:
        """One connection less: the first in line may open another."""
        if turn := self._first_in_line():
            turn.set_result(None)
        else:
            self._open -= 1

    def _first_in_line(self) -> asyncio.Future[Connection | None] | None:
        while self._line:
            turn = self._line.popleft()
            if not turn.done():
                return turn
        return None


def _not_sent(error_class: ErrorClass, message: str) -> TransientError:
    return TransientError(Failure(error_class=error_class, message=message))
