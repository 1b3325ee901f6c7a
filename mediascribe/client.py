"""Client: one HTTP exchange with the gateway.

httpx is the seam, aiohttp carries the bytes: httpx's own pool is linear in connections (20 ms of CPU a request at 100
in flight, 1 ms over aiohttp). What matters about a failure is whether the request can have been billed, and httpx's own
error types cannot tell: over aiohttp a connection that the gateway closed *after* the request arrived is a
`ConnectTimeout`. So the cause decides: no connection was ever made, or the request is in doubt.
"""

from __future__ import annotations

import asyncio
import ssl
from types import MappingProxyType
from typing import TYPE_CHECKING, Final, Self

import aiohttp
import httpx
from httpx_aiohttp import AiohttpTransport

from mediascribe import __version__
from mediascribe.domain import ErrorClass, Failure
from mediascribe.errors import InDoubtError, PermanentError, StopRunError, TransientError
from mediascribe.redact import redact_text
from mediascribe.wire import Answer, keep_header

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mediascribe.errors import AttemptError
    from mediascribe.job_sections import GatewaySection

# The gateway retries inside already; LiteLLM's retries would be billed and never seen (reliability notes 0.5).
_HEADERS: Final = {"content-type": "application/json", "x-litellm-num-retries": "0"}
_KEY_LENGTH: Final = 12  # a shorter one may be a word of the answer
_NO_HEADERS: Final[Mapping[str, str]] = MappingProxyType({})


class Client:
    """Connections to one gateway, for one key. Follows no redirects, reads no proxy settings, keeps no cookies."""

    def __init__(self, gateway: GatewaySection, key: str, *, connections: int) -> None:
        """Prepare for *connections* requests in flight; connects when entered."""
        self._gateway, self._key, self._connections = gateway, key, connections

    @property
    def base_url(self) -> str:
        """The gateway's address, up to and including /v1."""
        return self._gateway.base_url

    async def __aenter__(self) -> Self:
        connector = aiohttp.TCPConnector(limit=self._connections, ttl_dns_cache=60)
        session = aiohttp.ClientSession(connector=connector, cookie_jar=aiohttp.DummyCookieJar(), trust_env=False)
        # The session's connector has the TLS settings; the transport would load every root certificate for its own.
        unused = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        self._transport = AiohttpTransport(verify=unused, client=session)
        agent = f"mediascribe/{__version__}"
        own = {"authorization": f"Bearer {self._key}", "user-agent": agent}
        self._headers = httpx.Headers(_HEADERS | self._gateway.headers | own)
        self._extensions = {"timeout": {"connect": self._gateway.connect_timeout_s}}
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._transport.aclose()

    async def post(self, url: str, body: bytes, headers: Mapping[str, str] = _NO_HEADERS) -> Answer:
        """Send *body* to *url* with *headers* of the dialect's own; whatever status comes back is an answer.

        Raises:
            TransientError: no connection was made; nothing was sent.
            InDoubtError: no whole answer came back.
            PermanentError: the answer is longer than the job allows.
            StopRunError: the gateway's certificate is not to be trusted.
        """
        request = httpx.Request("POST", url, headers=self._headers, content=body, extensions=self._extensions)
        request.headers.update(headers)
        return await self._answer(request)

    async def get(self, url: str) -> Answer:
        """Ask for *url*; raises like `post`."""
        return await self._answer(httpx.Request("GET", url, headers=self._headers, extensions=self._extensions))

    async def _answer(self, request: httpx.Request) -> Answer:
        try:
            async with asyncio.timeout(self._gateway.total_timeout_s):
                return await self._exchange(request)
        except TimeoutError:
            raise InDoubtError(_failure("timeout", f"no answer within {self._gateway.total_timeout_s:g} s")) from None
        except (httpx.HTTPError, aiohttp.ClientError) as error:
            raise _no_answer(error, self._key) from None

    async def _exchange(self, request: httpx.Request) -> Answer:
        response = await self._begun(request)
        try:
            headers = {name: value for name, value in response.headers.items() if keep_header(name)}
            content = bytearray()
            async for chunk in response.aiter_bytes():
                content += chunk
                if len(content) > self._gateway.max_answer_bytes:
                    limit = self._gateway.max_answer_bytes
                    raise PermanentError(_failure("oversize", f"the answer is longer than {limit:,} bytes"))
            # Some gateways quote the key that they refuse: it must not come into the journal.
            body = (
                bytes(content) if len(self._key) < _KEY_LENGTH else bytes(content).replace(self._key.encode(), b"***")
            )
            return Answer(status=response.status_code, headers=headers, body=body)
        finally:
            await response.aclose()

    async def _begun(self, request: httpx.Request) -> httpx.Response:
        """The answer as soon as it begins."""
        limit_s = self._gateway.first_byte_timeout_s
        try:
            async with asyncio.timeout(limit_s):
                # Straight to the transport: a whole httpx client adds redirects and cookies, and costs as much again.
                return await self._transport.handle_async_request(request)
        except TimeoutError:
            if limit_s is None:
                raise
            raise InDoubtError(_failure("timeout", f"no answer began within {limit_s:g} s")) from None


def _no_answer(error: httpx.HTTPError | aiohttp.ClientError, key: str) -> AttemptError:
    """Why no answer came, by what lay under httpx's error."""
    cause = error.__cause__ or error
    text = redact_text(str(cause) or type(cause).__name__, key)
    if isinstance(error, httpx.DecodingError):
        return InDoubtError(_failure("malformed", f"the answer cannot be decompressed: {text}"))
    if isinstance(cause, ssl.SSLCertVerificationError):
        return StopRunError(_failure("network", f"the gateway's certificate is not trusted: {text}"))
    if isinstance(cause, aiohttp.ConnectionTimeoutError):
        return TransientError(_failure("timeout", f"no connection to the gateway in time: {text}"))
    if isinstance(cause, aiohttp.ClientConnectorError):
        return TransientError(_failure("network", f"no connection to the gateway: {text}"))
    return InDoubtError(_failure("network", f"the connection broke before the whole answer was there: {text}"))


def _failure(error_class: ErrorClass, message: str) -> Failure:
    return Failure(error_class=error_class, message=message)
