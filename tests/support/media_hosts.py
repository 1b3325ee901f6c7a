"""A host of media on loopback, over real sockets, that behaves as a test tells it to.

with MediaHost() as host:
    host.put("/a.jpg", content, content_type="image/jpeg")
    host.put("/moved", status=302, headers={"Location": "/a.jpg"})
    host.script("/flaky", Medium(status=503), Medium(content=b"here"))
    ... host.url + "/a.jpg" ...
    assert host.seen[0].path == "/a.jpg"
"""

from __future__ import annotations

import asyncio
import ipaddress
import re
import ssl
import threading
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Literal, Self

from aiohttp import web
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

DRIP_S = 0.01


@dataclass(frozen=True, slots=True, kw_only=True)
class Medium:
    """How one path answers: with *content* and a strong ETag of *etag*, by ranges if it takes them, or as `way` says.

    `drip` sends a byte at a time; `endless` sends the content again and again; `cut` closes the connection half-way;
    `hang` sends no answer at all; `close` closes instead of answering. `raw` is written to the socket as it is, and the
    connection closed. `headers` replace ours; one that is None is left out.
    """

    content: bytes = b""
    content_type: str | None = "application/octet-stream"
    status: int = 200
    etag: str | None = None
    ranges: bool = True
    way: Literal["plain", "drip", "endless", "cut", "hang", "close"] = "plain"
    headers: Mapping[str, str | None] = field(default_factory=dict)
    raw: bytes | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """One request as it arrived; names of headers are in lower case; each connection has its own *peer*."""

    method: str
    path: str
    headers: Mapping[str, str]
    peer: int


class MediaHost:
    """Serves in a thread of its own. What has not been put is 404. `hold` keeps every answer back until `release`."""

    def __init__(self, address: str = "127.0.0.1", *, tls: ssl.SSLContext | None = None) -> None:
        self.address, self.port, self._tls = address, 0, tls
        self.seen: list[Seen] = []
        self.in_flight = self.most_in_flight = 0
        self._media: dict[str, list[Medium]] = {}
        self._ready = threading.Event()
        self._open = threading.Event()
        self._open.set()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve()), name="media host", daemon=True)

    @property
    def place(self) -> str:
        """Host and port, as [media] allow lists them."""
        return f"[{self.address}]:{self.port}" if ":" in self.address else f"{self.address}:{self.port}"

    @property
    def url(self) -> str:
        return f"{'https' if self._tls else 'http'}://{self.place}"

    def put(self, path: str, content: bytes = b"", **changes) -> str:
        """From now on *path* (without a query) answers so; its URL."""
        return self.script(path, Medium(content=content, **changes))

    def script(self, path: str, *media: Medium) -> str:
        """From now on *path* answers so, one after the other; the last one stays."""
        self._media[path] = list(media)
        return self.url + path

    def hold(self) -> None:
        """Answer nothing until `release`."""
        self._open.clear()

    def release(self) -> None:
        self._open.set()

    def __enter__(self) -> Self:
        self._thread.start()
        assert self._ready.wait(30)
        return self

    def __exit__(self, *_: object) -> None:
        self._open.set()
        self._loop.call_soon_threadsafe(self._done.set)
        self._thread.join()

    async def _serve(self) -> None:
        self._loop, self._done = asyncio.get_running_loop(), asyncio.Event()
        server = web.Server(self._answer, access_log=None)
        runner = web.ServerRunner(server, shutdown_timeout=0.0)
        await runner.setup()
        await web.TCPSite(runner, self.address, 0, ssl_context=self._tls).start()
        self.port = runner.addresses[0][1]
        self._ready.set()
        await self._done.wait()
        await runner.cleanup()

    async def _answer(self, request: web.BaseRequest) -> web.StreamResponse:
        headers = {name.lower(): value for name, value in request.headers.items()}
        peer = request.transport.get_extra_info("peername")[1]
        self.seen.append(Seen(method=request.method, path=request.path_qs, headers=headers, peer=peer))
        self.in_flight += 1
        self.most_in_flight = max(self.most_in_flight, self.in_flight)
        try:
            while not self._open.is_set():  # noqa: ASYNC110 - another thread opens
                await asyncio.sleep(0.001)
            return await self._told(request, self._next(request.path))
        except ConnectionResetError:
            return web.Response()  # the client has hung up, as it may
        finally:
            self.in_flight -= 1

    def _next(self, path: str) -> Medium:
        media = self._media.get(path, [Medium(content=b"<html>not here</html>", content_type="text/html", status=404)])
        return media.pop(0) if len(media) > 1 else media[0]

    async def _told(self, request: web.BaseRequest, medium: Medium) -> web.StreamResponse:
        if medium.way == "hang":
            await self._done.wait()
            return web.Response()
        if medium.raw is not None or medium.way == "close":
            request.transport.write(medium.raw or b"")
            request.transport.close()
            return web.Response()
        response, content = _response(request, medium)
        await response.prepare(request)
        await _send(request, response, medium, content)
        return response


def self_signed(folder: Path, address: str = "127.0.0.1") -> Path:
    """A certificate for *address*, with its key, in one file that nobody vouches for but who trusts the file itself."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, address)])
    now = datetime.now(UTC)
    builder = x509.CertificateBuilder(name, name, key.public_key(), 1, now, now + timedelta(days=1)).add_extension(
        x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address(address))]), critical=False
    )
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    path = folder / "media-host.pem"
    signed = builder.sign(key, hashes.SHA256())
    path.write_bytes(private + signed.public_bytes(serialization.Encoding.PEM))
    return path


def served_by(certificate: Path) -> ssl.SSLContext:
    """What a `MediaHost` with *certificate* wants as `tls`."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate)
    return context


def _response(request: web.BaseRequest, medium: Medium) -> tuple[web.StreamResponse, bytes]:
    """The head of the answer, and the bytes that follow it."""
    status, content, headers = medium.status, medium.content, {}
    if medium.content_type is not None:
        headers["Content-Type"] = medium.content_type
    if medium.etag is not None:
        headers["ETag"] = f'"{medium.etag}"'
    if medium.ranges and status == 200:
        headers["Accept-Ranges"] = "bytes"
        if found := re.fullmatch(r"bytes=(\d+)-(\d*)", request.headers.get("Range", "")):
            status, content = _part(content, int(found[1]), found[2], headers)
    if medium.way != "endless":
        headers["Content-Length"] = str(len(content))
    kept = {name: value for name, value in (headers | dict(medium.headers)).items() if value is not None}
    response = web.StreamResponse(status=status, headers=kept)
    if medium.content_type is None:
        response.headers.popall("Content-Type", None)
    return response, content


def _part(content: bytes, start: int, end: str, headers: dict[str, str]) -> tuple[int, bytes]:
    if start >= len(content):
        headers["Content-Range"] = f"bytes */{len(content)}"
        return 416, b""
    part = content[start : int(end) + 1 if end else None]
    headers["Content-Range"] = f"bytes {start}-{start + len(part) - 1}/{len(content)}"
    return 206, part


async def _send(request: web.BaseRequest, response: web.StreamResponse, medium: Medium, content: bytes) -> None:
    if request.method == "HEAD":
        return
    if medium.way == "cut":
        await response.write(content[: len(content) // 2])
        request.transport.close()
    elif medium.way == "drip":
        for at in range(len(content)):
            await response.write(content[at : at + 1])
            await asyncio.sleep(DRIP_S)
    elif medium.way == "endless":
        for piece in iter(lambda: content, b""):
            await response.write(piece)
    else:
        await response.write(content)
