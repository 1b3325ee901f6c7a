"""Bare loops: the same requests by one HTTP client after the other, with no pipeline around them.

Each is `async def loop(url, rows, in_flight)`, and returns when *rows* answers are there; a bad one raises.
"""

from __future__ import annotations

import asyncio
import json
import ssl
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator

HEADERS: Final = {"authorization": "Bearer sk-bench-0123456789", "content-type": "application/json"}


def body(row: int) -> bytes:
    """The question of *row*, as the pipeline asks it."""
    content = [
        {"type": "text", "text": f"Describe the picture. Title: item {row}."},
        {"type": "image_url", "image_url": {"url": f"https://cdn.example.com/images/{row}.jpg"}},
    ]
    asked = {"model": "gemini-2.0-flash", "messages": [{"role": "user", "content": content}], "max_tokens": 300}
    return json.dumps(asked | {"stream": False}).encode()


async def each(rows: int, in_flight: int, ask: Callable[[bytes], Awaitable[int]]) -> None:
    """*ask* about every row, *in_flight* at a time; every status has to be 200."""

    async def work(numbers: Iterator[int]) -> None:
        for number in numbers:
            if (status := await ask(body(number))) != 200:
                raise RuntimeError(f"the stub answered {status}")

    numbers = iter(range(rows))
    async with asyncio.TaskGroup() as group:
        for _ in range(in_flight):
            group.create_task(work(numbers))


async def by_httpx(url: str, rows: int, in_flight: int) -> None:
    """Answers by httpx over its own pool, which is linear in connections."""
    import httpx  # noqa: PLC0415 - only what is measured is loaded

    limits = httpx.Limits(max_connections=in_flight, max_keepalive_connections=in_flight)
    trusted = ssl.create_default_context()  # of the environment, which without TLS must not matter
    async with httpx.AsyncClient(limits=limits, timeout=300, trust_env=False, verify=trusted) as client:

        async def ask(content: bytes) -> int:
            return (await client.post(f"{url}/chat/completions", content=content, headers=HEADERS)).status_code

        await each(rows, in_flight, ask)


async def by_httpx_aiohttp(url: str, rows: int, in_flight: int) -> None:
    """Answers by httpx over aiohttp's connections."""
    import aiohttp  # noqa: PLC0415 - only what is measured is loaded
    import httpx  # noqa: PLC0415 - likewise
    from httpx_aiohttp import AiohttpTransport  # noqa: PLC0415 - likewise

    session = aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=in_flight))
    async with httpx.AsyncClient(transport=AiohttpTransport(client=session), timeout=300) as client:

        async def ask(content: bytes) -> int:
            return (await client.post(f"{url}/chat/completions", content=content, headers=HEADERS)).status_code

        await each(rows, in_flight, ask)


async def by_our_transport(url: str, rows: int, in_flight: int) -> None:
    """Answers by httpx over our connections."""
    import httpx  # noqa: PLC0415 - only what is measured is loaded

    from mediascribe.transport import Transport  # noqa: PLC0415 - likewise

    async with httpx.AsyncClient(transport=Transport(connections=in_flight), timeout=300) as client:

        async def ask(content: bytes) -> int:
            return (await client.post(f"{url}/chat/completions", content=content, headers=HEADERS)).status_code

        await each(rows, in_flight, ask)


async def by_aiohttp(url: str, rows: int, in_flight: int) -> None:
    """Answers by aiohttp."""
    import aiohttp  # noqa: PLC0415 - only what is measured is loaded

    connector = aiohttp.TCPConnector(limit=in_flight)
    timeout = aiohttp.ClientTimeout(total=300)
    async with aiohttp.ClientSession(connector=connector, timeout=timeout, headers=HEADERS) as session:

        async def ask(content: bytes) -> int:
            async with session.post(f"{url}/chat/completions", data=content) as answer:
                await answer.read()
                return answer.status

        await each(rows, in_flight, ask)


async def by_pyreqwest(url: str, rows: int, in_flight: int) -> None:
    """pyreqwest: reqwest, in Rust."""
    from pyreqwest.client import ClientBuilder  # noqa: PLC0415 - only what is measured is loaded

    async with ClientBuilder().max_connections(in_flight).build() as client:

        async def ask(content: bytes) -> int:
            request = client.post(f"{url}/chat/completions").headers(HEADERS).body_bytes(content).build()
            answer = await request.send()
            await answer.bytes()
            return answer.status

        await each(rows, in_flight, ask)


async def by_our_client(url: str, rows: int, in_flight: int) -> None:
    """The product's client: every guarantee of it, and nothing else of the pipeline."""
    from mediascribe.client import Client  # noqa: PLC0415 - only what is measured is loaded
    from mediascribe.job_sections import GatewaySection  # noqa: PLC0415 - likewise

    async with Client(GatewaySection(base_url=url), "sk-bench-0123456789", connections=in_flight) as client:

        async def ask(content: bytes) -> int:
            return (await client.post(f"{url}/chat/completions", content)).status

        await each(rows, in_flight, ask)


async def by_protocol(url: str, rows: int, in_flight: int) -> None:
    """An asyncio protocol that looks for the end of the answer only: what no client can undercut."""
    parts = urlsplit(url)
    tls = ssl.create_default_context() if parts.scheme == "https" else None
    loop = asyncio.get_running_loop()
    head = f"POST {parts.path}/chat/completions HTTP/1.1\r\nhost: {parts.netloc}\r\n"
    head += "".join(f"{name}: {value}\r\n" for name, value in HEADERS.items())
    numbers = iter(range(rows))

    async def work() -> None:
        opened = await loop.create_connection(_Bare, parts.hostname, parts.port, ssl=tls)
        for number in numbers:
            content = body(number)
            await opened[1].ask(b"%bcontent-length: %d\r\n\r\n%b" % (head.encode(), len(content), content))
        opened[0].close()

    async with asyncio.TaskGroup() as group:
        for _ in range(in_flight):
            group.create_task(work())


class _Bare(asyncio.Protocol):
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport, self._received = transport, b""

    def ask(self, request: bytes) -> asyncio.Future[None]:
        self._received, self._answered = b"", asyncio.get_running_loop().create_future()
        self._transport.write(request)
        return self._answered

    def data_received(self, data: bytes) -> None:
        self._received += data
        if self._received.endswith(b"}"):
            if not self._received.startswith(b"HTTP/1.1 200"):
                raise RuntimeError(self._received[:80])
            self._answered.set_result(None)


LOOPS: Final = {
    "httpx": by_httpx,
    "httpx + aiohttp": by_httpx_aiohttp,
    "httpx + our connections": by_our_transport,
    "aiohttp": by_aiohttp,
    "pyreqwest": by_pyreqwest,
    "our client": by_our_client,
    "bare protocol": by_protocol,
}
