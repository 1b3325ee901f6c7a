"""Connection: one exchange at a time over one kept-alive connection.

It knows what httpx's errors cannot tell: whether a first byte was taken off our hands. From then on the request is in
doubt, also on a connection that the server had closed before it read anything.
"""

from __future__ import annotations

import asyncio
import select
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, cast

from mediascribe.domain import Failure
from mediascribe.errors import AttemptError, InDoubtError

if TYPE_CHECKING:
    from collections.abc import Callable

    from mediascribe.domain import ErrorClass
    from mediascribe.http.arrival import Arrival
    from mediascribe.http.outgoing import Outgoing

_PIECE_BYTES: Final = 2**16  # as much as is handed on at a time: a long body is not held twice


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """When to give up, in seconds: on a connection, on an answer's beginning, on the whole. None: never."""

    connect_s: float | None = None
    first_byte_s: float | None = None
    total_s: float | None = None


class Connection(asyncio.Protocol):
    """Belongs to the pool that opened it. Between exchanges, anything that comes closes it."""

    __slots__ = ("_answered", "_arrival", "_is_paused", "_on_lost", "_poll", "_transport", "_unsent")

    def __init__(self, on_lost: Callable[[Connection], None]) -> None:
        """*on_lost* hears when the connection is gone."""
        self._on_lost = on_lost
        self._transport: asyncio.Transport
        self._arrival: Arrival | None = None
        self._answered: asyncio.Future[None]
        self._unsent: memoryview | None = None
        self._is_paused = False
        self._poll = select.poll()

    async def exchange(self, outgoing: Outgoing, arrival: Arrival, limits: Limits, until: float | None) -> bool:
        """Send *outgoing*, and wait until *arrival* is complete; False when not one byte could be sent.

        *until* is the loop's time at which `limits.total_s` are over.

        Raises:
            InDoubtError: no whole answer came.
            PermanentError: the answer is too long.
        """
        if self._transport.is_closing():
            return False
        loop = asyncio.get_running_loop()
        self._answered, self._arrival = loop.create_future(), arrival
        timers = self._timers(loop, limits, until)
        try:
            if not self._send(outgoing):
                return False
            await self._answered
        finally:
            for timer in timers:
                timer.cancel()
            self._arrival = None
            if not arrival.is_complete or not arrival.keeps_alive or self._unsent:
                self.abort()
        return True

    @property
    def is_open(self) -> bool:
        """Whether it is not known to be closed."""
        return not self._transport.is_closing()

    @property
    def is_quiet(self) -> bool:
        """Whether nothing waits to be read, not even the end: where something does, the server has closed it."""
        return not self._transport.is_closing() and not self._poll.poll(0)

    def abort(self) -> None:
        """Close at once."""
        self._unsent = None
        self._transport.abort()

    def _send(self, outgoing: Outgoing) -> bool:
        """Hand the first bytes on; False when the system did not take any."""
        opening, body = outgoing.opening, outgoing.body
        if len(body) > _PIECE_BYTES:
            self._unsent = memoryview(body)
            self._transport.write(opening)
        else:
            self._transport.write(opening + body)
        if self._transport.is_closing():  # the one write failed at once
            return False
        self._send_on()
        return True

    def _timers(
        self, loop: asyncio.AbstractEventLoop, limits: Limits, until: float | None
    ) -> tuple[asyncio.TimerHandle, ...]:
        """What ends the wait."""
        whole = () if until is None else (loop.call_at(until, self._late, f"no answer within {limits.total_s:g} s"),)
        if limits.first_byte_s is None:
            return whole
        return (*whole, loop.call_later(limits.first_byte_s, self._not_begun, limits.first_byte_s))

    def _not_begun(self, limit_s: float) -> None:
        if self._arrival and not self._arrival.has_begun:
            self._late(f"no answer began within {limit_s:g} s")

    def _late(self, message: str) -> None:
        self._fail(_in_doubt("timeout", message))

    def _fail(self, error: AttemptError) -> None:
        if not self._answered.done():
            self._answered.set_exception(error)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Called by the loop."""
        self._transport = cast("asyncio.Transport", transport)
        self._poll.register(transport.get_extra_info("socket").fileno(), select.POLLIN)

    def data_received(self, data: bytes) -> None:
        """Called by the loop."""
        if self._arrival is None:
            self.abort()
            return
        try:
            self._arrival.feed(data)
        except AttemptError as error:
            self._fail(error)
        else:
            self._look_whether_complete()

    def eof_received(self) -> None:
        """Called by the loop, which closes the connection then."""
        if self._arrival is None:
            return
        try:
            self._arrival.end()
        except AttemptError as error:
            self._fail(error)
        else:
            self._look_whether_complete()

    def _look_whether_complete(self) -> None:
        if self._arrival and self._arrival.is_complete and not self._answered.done():
            self._answered.set_result(None)

    def connection_lost(self, exc: Exception | None) -> None:
        """Called by the loop, once."""
        self._unsent = None
        if self._arrival:
            self._fail(_in_doubt("network", f"the connection broke before the whole answer was there: {exc}"))
        self._on_lost(self)

    def pause_writing(self) -> None:
        """Called by the loop: the network does not keep up."""
        self._is_paused = True

    def resume_writing(self) -> None:
        """Called by the loop: there is room again."""
        self._is_paused = False
        self._send_on()

    def _send_on(self) -> None:
        while self._unsent and not self._is_paused and not self._transport.is_closing():
            piece, rest = self._unsent[:_PIECE_BYTES], self._unsent[_PIECE_BYTES:]
            self._unsent = rest if len(rest) else None
            self._transport.write(piece)


def _in_doubt(error_class: ErrorClass, message: str) -> InDoubtError:
    return InDoubtError(Failure(error_class=error_class, message=message))
