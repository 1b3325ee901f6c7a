"""Replies: what is sent, as bytes, and the ways in which the bytes may travel, or not."""

from __future__ import annotations

import asyncio
import json
import socket
import struct
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from aiohttp import web

if TYPE_CHECKING:
    from collections.abc import Mapping

STALL_S: Final = 300.0
_LOOK_AGAIN_S: Final = 0.02
_RESET_ON_CLOSE: Final = struct.pack("ii", 1, 0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """One HTTP answer."""

    body: bytes
    status: int = 200
    content_type: str = "application/json"
    headers: Mapping[str, str] = field(default_factory=dict)

    def response(self) -> web.Response:
        """It as aiohttp wants it."""
        return web.Response(
            status=self.status, body=self.body, headers={**self.headers, "Content-Type": self.content_type}
        )


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


async def whole(request: web.Request, reply: Reply, _pause_s: float) -> Sent:
    """Send all of it."""
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


async def half(request: web.Request, reply: Reply, _pause_s: float) -> Sent:
    """Announce the full length, send half of it, and close."""
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
    response = _begun(reply)
    try:
        await response.prepare(request)
        for place in range(len(reply.body)):
            await response.write(reply.body[place : place + 1])
            await asyncio.sleep(pause_s)
        await response.write_eof()
    except ConnectionError:  # the client has left
        return Sent(response=response)
    return Sent(response=response, status=reply.status, finished=True)


async def stall(request: web.Request, _reply: Reply, _pause_s: float, *, at_most_s: float = STALL_S) -> Sent:
    """Send nothing until the client leaves, or *at_most_s* have passed."""
    loop = asyncio.get_running_loop()
    until = loop.time() + at_most_s
    while request.transport is not None and loop.time() < until:  # noqa: ASYNC110 - no event says that a client left
        await asyncio.sleep(_LOOK_AGAIN_S)
    _end(request, reset=True)
    return Sent(response=web.Response())


def _begun(reply: Reply) -> web.StreamResponse:
    response = web.StreamResponse(status=reply.status, headers={**reply.headers, "Content-Type": reply.content_type})
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
