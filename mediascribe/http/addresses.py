"""Addresses: what a name stands for, looked up once a minute however many connections are opened."""

from __future__ import annotations

import asyncio
import socket
from typing import TYPE_CHECKING, Final

import aiohappyeyeballs

if TYPE_CHECKING:
    from aiohappyeyeballs import AddrInfoType

    from mediascribe.http.origin import Origin

_FRESH_S: Final = 60.0
_STAGGER_S: Final = 0.25  # RFC 8305 5: when the next address is tried beside one that does not answer


class Addresses:
    """The addresses of one origin. Belongs to one event loop."""

    def __init__(self, origin: Origin) -> None:
        """Nothing is looked up yet."""
        self._origin = origin
        self._line = asyncio.Lock()
        self._found: list[AddrInfoType] = []
        self._stale_at = 0.0

    async def connect(self) -> socket.socket:
        """A socket that is connected to the first address that answers, IPv6 and IPv4 in turn.

        Raises:
            OSError: the name is unknown, or none of its addresses takes a connection.
        """
        found = await self._look_up()
        return await aiohappyeyeballs.start_connection(found, happy_eyeballs_delay=_STAGGER_S, interleave=1)

    async def _look_up(self) -> list[AddrInfoType]:
        loop = asyncio.get_running_loop()
        async with self._line:
            if loop.time() >= self._stale_at:
                host, port = self._origin.host, self._origin.port
                infos = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
                self._found = [(family, kind, protocol, "", address) for family, kind, protocol, _, address in infos]
                self._stale_at = loop.time() + _FRESH_S
        return self._found
