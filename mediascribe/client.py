"""Client: one HTTP exchange with the gateway.

`mediascribe.http` carries the bytes: 0.1 ms of CPU a request, where httpx over aiohttp takes 1 ms and httpx alone 20 ms
at 100 in flight. What matters about a failure is whether the request can have been billed, and only who wrote the bytes
can tell: before the first one nothing was sent, from then on the request is in doubt.
"""

from __future__ import annotations

import asyncio
import functools
import ssl
from types import MappingProxyType
from typing import TYPE_CHECKING, Final, Self

from mediascribe import __version__
from mediascribe.errors import ConfigError
from mediascribe.http import ACCEPTED, Limits, Outgoing, Pool, head_of, origin_of
from mediascribe.wire import Answer, keep_header

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mediascribe.job_sections import GatewaySection

# The gateway retries inside already; LiteLLM's retries would be billed and never seen (reliability notes 0.5).
_HEADERS: Final = {"accept": "*/*", "content-type": "application/json", "x-litellm-num-retries": "0"}
_OWN: Final = {"accept-encoding": ACCEPTED, "user-agent": f"mediascribe/{__version__}"}
_KEY_LENGTH: Final = 12  # a shorter one may be a word of the answer
_NO_HEADERS: Final[Mapping[str, str]] = MappingProxyType({})
_HEADS: Final = 256  # kept: one for each address that is asked


class Client:
    """Connections to one gateway, for one key. Follows no redirects, reads no proxy settings, keeps no cookies."""

    def __init__(self, gateway: GatewaySection, key: str, *, connections: int) -> None:
        """Prepare for *connections* requests in flight; connects when asked.

        Raises:
            ConfigError: the gateway's address, a header of the job's or the key cannot be sent.
        """
        self._gateway, self._key, self._connections = gateway, key, connections
        self._secret = key.encode() if len(key) >= _KEY_LENGTH else None
        self._origin, _ = origin_of(gateway.base_url)
        self._headers = {**_HEADERS, **gateway.headers, **_OWN, "authorization": f"Bearer {key}"}
        self._limits = Limits(
            connect_s=gateway.connect_timeout_s,
            first_byte_s=gateway.first_byte_timeout_s,
            total_s=gateway.total_timeout_s,
        )
        self._head = functools.lru_cache(_HEADS)(self._new_head)
        self._kept = functools.lru_cache(_HEADS)(_kept)
        self._head("GET", gateway.base_url, ())

    @property
    def base_url(self) -> str:
        """The gateway's address, up to and including /v1."""
        return self._gateway.base_url

    async def __aenter__(self) -> Self:
        tls = ssl.create_default_context() if self._origin.is_tls else None
        self._pool = Pool(self._origin, connections=self._connections, tls=tls)
        return self

    async def __aexit__(self, *_: object) -> None:
        self._pool.close()
        await asyncio.sleep(0)  # the loop closes what was aborted

    async def post(self, url: str, body: bytes, headers: Mapping[str, str] = _NO_HEADERS) -> Answer:
        """Send *body* to *url* with *headers* of the dialect's own; whatever status comes back is an answer.

        Raises:
            TransientError: no connection was made; nothing was sent.
            InDoubtError: no whole answer came back.
            PermanentError: the answer is longer than the job allows.
            StopRunError: the gateway's certificate is not to be trusted.
            ConfigError: *url* is not of the gateway, or cannot be sent.
        """
        return await self._ask(Outgoing(self._head("POST", url, tuple(headers.items())), body))

    async def get(self, url: str) -> Answer:
        """Ask for *url*; raises like `post`."""
        return await self._ask(Outgoing(self._head("GET", url, ()), b"", tells_length=False))

    async def _ask(self, outgoing: Outgoing) -> Answer:
        arrival = await self._pool.ask(outgoing, self._limits, most_bytes=self._gateway.max_answer_bytes)
        body = arrival.body
        if self._secret:
            # Some gateways quote the key that they refuse: it must not come into the journal.
            body = body.replace(self._secret, b"***")
        return Answer(status=arrival.status, headers=arrival.headers(self._kept), body=body)

    def _new_head(self, method: str, url: str, headers: tuple[tuple[str, str], ...]) -> bytes:
        """The head of every request to *url*; the key goes nowhere but to the gateway."""
        origin, target = origin_of(url)
        if origin != self._origin:
            raise ConfigError(
                f"{origin.authority} is not the gateway, {self._origin.authority}: the key is not sent there"
            )
        return head_of(method, origin, target, (self._headers | dict(headers)).items())


def _kept(name: bytes) -> str | None:
    """The header's name in lower case, where a decoder reads it."""
    text = name.decode("latin-1").lower()
    return text if keep_header(text) else None
