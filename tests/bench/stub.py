"""A gateway that waits and answers, in processes of its own: nginx with Lua, or a Python stub where that is missing.

    apt-get install --no-install-recommends nginx-light libnginx-mod-http-lua

Neither looks at what it is asked: it reads the request, waits, and gives the same answer of about 900 bytes.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import multiprocessing
import re
import shutil
import socket
import ssl
import subprocess
import tempfile
import time
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from string import Template
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

DAY: Final = timedelta(days=1)
MODULES: Final = Path("/usr/lib/nginx/modules")
CONFIG: Final = Path(__file__).parent / "nginx.conf.in"
TEXT: Final = (
    "A red bicycle leans against a whitewashed wall under a wooden balcony. Two clay pots with geraniums stand beside"
    " it, and a striped cat sleeps on the stone step. The light is low and warm, as in the late afternoon, and long"
    " shadows fall across the cobbles. No person is in the picture."
)
USAGE: Final = {
    "prompt_tokens": 283,
    "completion_tokens": 83,
    "total_tokens": 366,
    "prompt_tokens_details": {"cached_tokens": 0, "text_tokens": 25, "audio_tokens": 0, "image_tokens": 258},
    "completion_tokens_details": {"text_tokens": 83, "audio_tokens": 0, "reasoning_tokens": 0},
}
ANSWER: Final = json.dumps(
    {
        "id": "chatcmpl-2026112301450012345678AbCdEfGh",
        "object": "chat.completion",
        "created": 1795420298,
        "model": "gemini-2.0-flash",
        "choices": [{"index": 0, "message": {"role": "assistant", "content": TEXT}, "finish_reason": "stop"}],
        "usage": USAGE,
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Certificate:
    """What a TLS server needs: its certificate with its key, and the CA that clients are to trust."""

    server: Path
    authority: Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Stub:
    """A running stub: its address up to /v1, and what it is."""

    url: str
    name: str


def has_nginx() -> bool:
    """Whether nginx with Lua is installed."""
    return shutil.which("nginx") is not None and (MODULES / "ngx_http_lua_module.so").exists()


def kind() -> str:
    """What stands for the gateway."""
    return "nginx with Lua" if has_nginx() else "Python stub (nginx with Lua is not installed)"


def authority(folder: Path) -> Certificate:
    """A CA of one day, in *folder*, and a server's certificate for loopback from it."""
    # Only a bench over TLS needs it.
    from cryptography import x509  # noqa: PLC0415 - see above
    from cryptography.hazmat.primitives import hashes, serialization  # noqa: PLC0415 - see above
    from cryptography.hazmat.primitives.asymmetric import ec  # noqa: PLC0415 - see above

    pem, now = serialization.Encoding.PEM, datetime.now(UTC)

    def signed(name: str, key: object, by: object, issuer: str, *, is_ca: bool) -> bytes:
        subject, above = (
            x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, common)]) for common in (name, issuer)
        )
        asked = x509.CertificateBuilder(above, subject, key.public_key(), x509.random_serial_number(), now, now + DAY)
        asked = asked.add_extension(x509.BasicConstraints(ca=is_ca, path_length=None), critical=True)
        loopback = x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))])
        return asked.add_extension(loopback, critical=False).sign(by, hashes.SHA256()).public_bytes(pem)

    root, leaf = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    form = serialization.PrivateFormat.PKCS8
    private = leaf.private_bytes(pem, form, serialization.NoEncryption())
    made = Certificate(server=folder / "server.pem", authority=folder / "authority.pem")
    made.server.write_bytes(signed("127.0.0.1", leaf, root, "bench", is_ca=False) + private)
    made.authority.write_bytes(signed("bench", root, root, "bench", is_ca=True))
    return made


@contextmanager
def served(latency_s: float, certificate: Certificate | None = None) -> Iterator[Stub]:
    """A stub that answers after *latency_s*, over TLS with *certificate*."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    start = _nginx if has_nginx() else _python
    with start(port, latency_s, certificate):
        _wait_for(port)
        yield Stub(
            url=f"http{'s' if certificate else ''}://127.0.0.1:{port}/v1",
            name=kind(),
        )


def _wait_for(port: int) -> None:
    until = time.monotonic() + 10
    while True:
        with contextlib.suppress(ConnectionRefusedError), socket.create_connection(("127.0.0.1", port)):
            return
        if time.monotonic() > until:
            raise TimeoutError(f"nothing listens on port {port}")
        time.sleep(0.02)  # noqa: TID251 - another process is waited for


@contextmanager
def _nginx(port: int, latency_s: float, certificate: Certificate | None) -> Iterator[None]:
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)  # the workers are nobody
        key = f"ssl_certificate {certificate.server}; ssl_certificate_key {certificate.server};" if certificate else ""
        config = Path(folder) / "nginx.conf"
        config.write_text(
            Template(CONFIG.read_text()).substitute(
                modules=MODULES,
                folder=folder,
                port=port,
                latency_s=latency_s,
                answer=ANSWER,
                tls=" ssl" if certificate else "",
                certificate=key,
            )
        )
        nginx = subprocess.Popen(["nginx", "-p", folder, "-c", str(config)], stderr=subprocess.DEVNULL)
        try:
            yield
        finally:
            nginx.terminate()
            nginx.wait()


@contextmanager
def _python(port: int, latency_s: float, certificate: Certificate | None) -> Iterator[None]:
    process = multiprocessing.get_context("spawn").Process(target=_serve, args=(port, latency_s, certificate))
    process.start()
    try:
        yield
    finally:
        process.terminate()
        process.join()


class _Answering(asyncio.Protocol):
    """Reads a request, and answers it after a while."""

    def __init__(self, latency_s: float) -> None:
        self._latency_s, self._received = latency_s, b""
        head = f"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {len(ANSWER)}\r\n\r\n"
        self._answer = (head + ANSWER).encode()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._received += data
        while (end := self._received.find(b"\r\n\r\n")) >= 0:
            length = re.search(rb"(?i)\r\ncontent-length: *(\d+)", self._received[:end])
            whole = end + 4 + int(length[1] if length else 0)
            if len(self._received) < whole:
                return
            self._received = self._received[whole:]
            asyncio.get_running_loop().call_later(self._latency_s, self._send)

    def _send(self) -> None:
        if not self._transport.is_closing():
            self._transport.write(self._answer)


def _serve(port: int, latency_s: float, certificate: Certificate | None) -> None:
    async def serve() -> None:
        tls = None
        if certificate:
            tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
            tls.load_cert_chain(certificate.server)
        loop = asyncio.get_running_loop()
        server = await loop.create_server(lambda: _Answering(latency_s), "127.0.0.1", port, ssl=tls, backlog=16384)
        await server.serve_forever()

    with contextlib.suppress(ImportError):
        import uvloop  # noqa: PLC0415 - a stub without it is slower, and still a stub

        uvloop.run(serve())
        return
    asyncio.run(serve())
