"""Replies: what is sent, as bytes, and the ways in which the bytes may travel, or not."""

from __future__ import annotations

import asyncio
import dataclasses
import json
import socket
import struct
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from aiohttp import web

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

JSON: Final = "application/json"
SSE: Final = "text/event-stream"
STALL_S: Final = 300.0
_LOOK_AGAIN_S: Final = 0.02
_RESET_ON_CLOSE: Final = struct.pack("ii", 1, 0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """One HTTP answer; `pieces`, whose sum the body is, are sent one by one and without announcing a length."""

    body: bytes
    status: int = 200
    content_type: str = JSON
    headers: Mapping[str, str] = field(default_factory=dict)
    pieces: tuple[bytes, ...] = ()

    def response(self) -> web.Response:
        """It as aiohttp wants it."""
        return web.Response(
            status=self.status, body=self.body, headers={**self.headers, "Content-Type": self.content_type}
        )

    def saying(self, headers: Mapping[str, str]) -> Reply:
        """It with *headers* beside its own."""
        return dataclasses.replace(self, headers={**headers, **self.headers})

    def in_stream(self) -> Reply:
        """It as it is when the headers of a stream were set before: JSON under a stream's type (gateway notes 2.5)."""
        return dataclasses.replace(self, content_type=SSE) if self.content_type == JSON else self


@dataclass(frozen=True, slots=True, kw_only=True)
class Sent:
    """What became of a reply: the status that went out, if any, and whether all of the body did."""

    response: web.StreamResponse
    status: int | None = None
    finished: bool = False


def json_reply(value: object, status: int = 200, **headers: str) -> Reply:
    """*value* as JSON."""
    return Reply(body=to_bytes(value), status=status, headers=headers)


def to_bytes(value: object) -> bytes:
    """*value* as JSON in UTF-8, nothing escaped that need not be."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode(errors="replace")


def stream_reply(pieces: Sequence[bytes]) -> Reply:
    """*pieces* as a stream of events."""
    return Reply(body=b"".join(pieces), content_type=SSE, headers={"Cache-Control": "no-cache"}, pieces=tuple(pieces))


async def whole(request: web.Request, reply: Reply, pause_s: float) -> Sent:
    """Send all of it; a stream piece by piece, *pause_s* between two."""
    if reply.pieces:
        return await _piecewise(request, reply, reply.pieces, pause_s)
    response = reply.response()
    try:
        await response.prepare(request)
        await response.write_eof()
    except ConnectionError:  # the client has left
        return Sent(response=response)
    return Sent(response=response, status=reply.status, finished=True)


async def reset(request: web.Request, _reply: Reply, _pause_s: float) -> Sent:
    """Send nothing and reset the connection."""
    _end(request, reset=True)
    return Sent(response=web.Response())


async def reset_midway(request: web.Request, reply: Reply, pause_s: float) -> Sent:
    """Send the first half of a stream's pieces, *pause_s* between two, and reset the connection."""
    response = _begun(reply)
    try:
        await response.prepare(request)
        for piece in reply.pieces[: len(reply.pieces) // 2]:
            await response.write(piece)
            await asyncio.sleep(pause_s)
    except ConnectionError:  # the client has left
        return Sent(response=response)
    await asyncio.sleep(_LOOK_AGAIN_S)  # a reset throws away what the client has not read
    _end(request, reset=True)
    return Sent(response=response, status=reply.status)


async def half(request: web.Request, reply: Reply, _pause_s: float) -> Sent:
    """Announce the full length (a stream: none), send half of it, and close."""
    response = _begun(reply)
    try:
        await response.prepare(request)
        await response.write(reply.body[: len(reply.body) // 2])
    except ConnectionError:  # the client has left
        return Sent(response=response)
    _end(request)
    return Sent(response=response, status=reply.status)


async def drop_by_drop(request: web.Request, reply: Reply, pause_s: float) -> Sent:
    """Send one byte at a time, *pause_s* between two."""
    drops = [reply.body[place : place + 1] for place in range(len(reply.body))]
    return await _piecewise(request, reply, drops, pause_s)


async def stall(request: web.Request, _reply: Reply, _pause_s: float, *, at_most_s: float = STALL_S) -> Sent:
    """Send nothing until the client leaves, or *at_most_s* have passed."""
    loop = asyncio.get_running_loop()
    until = loop.time() + at_most_s
    while request.transport is not None and loop.time() < until:  # noqa: ASYNC110 - no event says that a client left
        await asyncio.sleep(_LOOK_AGAIN_S)
    _end(request, reset=True)
    return Sent(response=web.Response())


async def _piecewise(request: web.Request, reply: Reply, pieces: Sequence[bytes], pause_s: float) -> Sent:
    response = _begun(reply)
    try:
        await response.prepare(request)
        for piece in pieces:
            await response.write(piece)
            await asyncio.sleep(pause_s)
        await response.write_eof()
    except ConnectionError:  # the client has left
        return Sent(response=response)
    return Sent(response=response, status=reply.status, finished=True)


def _begun(reply: Reply) -> web.StreamResponse:
    response = web.StreamResponse(status=reply.status, headers={**reply.headers, "Content-Type": reply.content_type})
    if not reply.pieces:
        response.content_length = len(reply.body)
    return response


def _end(request: web.Request, *, reset: bool = False) -> None:
    """Close the connection after what was written, or at once and with a reset; nothing if it is closed."""
    transport = request.transport
    if transport is not None and not reset:
        transport.close()
    elif transport is not None:
        connection: Any = transport.get_extra_info("socket")
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
        transport.abort()
