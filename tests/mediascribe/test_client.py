"""One exchange over real sockets: every status is an answer, and every broken connection says whether it may cost."""

import asyncio
import gzip
import socket
import ssl
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from mediascribe.client import Client
from mediascribe.errors import ConfigError, InDoubtError, PermanentError, StopRunError, TransientError
from mediascribe.job_sections import GatewaySection

KEY = "sk-canary-1234567890"
LOOPBACK = ip_address("127.0.0.1")


def response(body=b'{"ok": true}', *, status="200 OK", headers=()):
    lines = [f"HTTP/1.1 {status}", f"content-length: {len(body)}", *headers]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


@asynccontextmanager
async def gateway(reply, *, hold=None, tls=None, **section):
    """A server that reads one request whole, keeps it in `seen`, writes *reply*, waits for *hold*, and closes."""
    seen, connections = [], []

    async def serve(reader, writer):
        connections.append(writer)
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                lines = head.lower().split(b"\r\n")
                length = next((int(line.split(b":")[1]) for line in lines if line.startswith(b"content-length")), 0)
                seen.append(head + await reader.readexactly(length))
                if reply:
                    writer.write(reply)
                    await writer.drain()
                if hold:
                    await hold.wait()
                if not (reply and reply.endswith(b"}")):
                    break
        except asyncio.IncompleteReadError:
            pass
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=tls)
    port = server.sockets[0].getsockname()[1]
    scheme = "https" if tls else "http"
    options = GatewaySection(base_url=f"{scheme}://127.0.0.1:{port}/v1", **section)
    try:
        async with Client(options, KEY, connections=4) as client:
            yield client, seen
    finally:
        server.close()
        for writer in connections:
            writer.transport.abort()


async def test_an_answer_comes_back_as_it_is():
    """Status, body, and those headers that a decoder reads, under lower-case names."""
    reply = response(
        headers=["X-Oneapi-Request-Id: r1", "Content-Type: application/json", "Server: x", "Set-Cookie: a=b"]
    )
    async with gateway(reply) as (client, seen):
        answer = await client.post(client.base_url + "/chat/completions", b'{"model": "m"}')
    assert (answer.status, answer.body) == (200, b'{"ok": true}')
    assert answer.headers == {"x-oneapi-request-id": "r1", "content-type": "application/json"}
    assert seen[0].startswith(b"POST /v1/chat/completions HTTP/1.1\r\n")
    assert seen[0].endswith(b'\r\n\r\n{"model": "m"}')


async def test_the_key_travels_in_one_header_only():
    """The bearer token is sent, once, and cookies are not kept between requests."""
    async with gateway(response(headers=["Set-Cookie: a=b; Path=/"])) as (client, seen):
        await client.post(client.base_url + "/x", b"{}")
        await client.post(client.base_url + "/x", b"{}")
    assert seen[1].count(KEY.encode()) == 1
    assert f"authorization: Bearer {KEY}".lower().encode() in seen[1].lower()
    assert b"cookie" not in seen[1].lower()


async def test_the_gateway_is_told_not_to_retry_inside():
    """Retries behind our back would be billed and never seen."""
    async with gateway(response()) as (client, seen):
        await client.post(client.base_url + "/x", b"{}")
    assert b"x-litellm-num-retries: 0" in seen[0].lower()


async def test_the_jobs_own_headers_go_along():
    """A proxy or a gateway of another make may want one; the key stays ours."""
    async with gateway(response(), headers={"x-team": "data"}) as (client, seen):
        await client.post(client.base_url + "/x", b"{}", {"anthropic-version": "2023-06-01"})
    assert b"x-team: data" in seen[0].lower()
    assert b"anthropic-version: 2023-06-01" in seen[0].lower()


@pytest.mark.parametrize("status", ["400 Bad Request", "401 No", "429 Wait", "500 Oh", "503 No", "301 Moved"])
async def test_every_status_is_an_answer(status):
    """The client judges nothing and follows no redirect."""
    async with gateway(response(status=status, headers=["Location: http://127.0.0.1:1/v1"])) as (client, seen):
        answer = await client.post(client.base_url + "/x", b"{}")
    assert answer.status == int(status[:3])
    assert len(seen) == 1


async def test_a_compressed_answer_is_unpacked():
    """Some gateways compress whatever the client says."""
    packed = gzip.compress(b'{"packed": 1}')
    async with gateway(response(packed, headers=["Content-Encoding: gzip"])) as (client, _):
        answer = await client.post(client.base_url + "/x", b"{}")
    assert answer.body == b'{"packed": 1}'


async def test_a_connection_that_was_never_made_costs_nothing():
    """Refused: nothing was sent, so nothing is in doubt."""
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        port = closed.getsockname()[1]
        async with Client(GatewaySection(base_url=f"http://127.0.0.1:{port}/v1"), KEY, connections=1) as client:
            with pytest.raises(TransientError) as caught:
                await client.post(client.base_url + "/x", b"{}")
    assert not isinstance(caught.value, InDoubtError)
    assert caught.value.failure.error_class == "network"


@pytest.mark.parametrize(
    ("reply", "error_class"),
    [
        (b"", "network"),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n{", "network"),
        (b"HTTP/1.1 200 OK\r\ncontent-le", "network"),
        (b"no HTTP at all\r\n\r\n", "network"),
        (response(b"\x1f\x8bnot gzip", headers=["Content-Encoding: gzip"]), "malformed"),
    ],
    ids=["closed after the request", "cut body", "cut head", "not HTTP", "bad gzip"],
)
async def test_a_request_that_arrived_is_in_doubt(reply, error_class):
    """Whatever comes back in pieces may have been billed."""
    async with gateway(reply) as (client, seen):
        with pytest.raises(InDoubtError) as caught:
            await client.post(client.base_url + "/x", b"{}")
    assert len(seen) == 1
    assert caught.value.failure.error_class == error_class


async def test_an_answer_that_does_not_begin_ends_at_its_own_timeout():
    """It was sent, so it is in doubt; the message has the shorter limit."""
    timeouts = {"first_byte_timeout_s": 0.05, "total_timeout_s": 60.0}
    async with gateway(b"", hold=asyncio.Event(), **timeouts) as (client, _):
        with pytest.raises(InDoubtError, match=r"no answer began within 0\.05 s") as caught:
            await client.post(client.base_url + "/x", b"{}")
    assert caught.value.failure.error_class == "timeout"


async def test_an_answer_that_has_begun_may_take_its_time():
    """The limit on its beginning does not hold for the rest."""
    reply, rest = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n", asyncio.Event()
    timeouts = {"first_byte_timeout_s": 30.0, "total_timeout_s": 0.05}
    async with gateway(reply, hold=rest, **timeouts) as (client, _):
        with pytest.raises(InDoubtError, match=r"no answer within 0\.05 s"):
            await client.post(client.base_url + "/x", b"{}")


async def test_silence_ends_at_the_total_timeout():
    """A gateway that never answers is given up on, in doubt."""
    async with gateway(b"", hold=asyncio.Event(), total_timeout_s=0.05) as (client, _):
        with pytest.raises(InDoubtError, match=r"no answer within 0\.05 s") as caught:
            await client.post(client.base_url + "/x", b"{}")
    assert caught.value.failure.error_class == "timeout"


async def test_an_answer_without_end_is_cut_off():
    """No more is read than the job allows, and the row is not asked again."""
    async with gateway(response(b"x" * 5000), max_answer_bytes=1024) as (client, _):
        with pytest.raises(PermanentError, match="longer than 1,024 bytes") as caught:
            await client.post(client.base_url + "/x", b"{}")
    assert caught.value.failure.error_class == "oversize"


async def test_a_certificate_that_nobody_vouches_for_stops_the_run(tmp_path):
    """Every row would meet it."""
    async with gateway(response(), tls=self_signed(tmp_path)) as (client, seen):
        with pytest.raises(StopRunError, match="certificate is not trusted"):
            await client.post(client.base_url + "/x", b"{}")
    assert seen == []


async def test_a_certificate_that_the_system_trusts_is_good(tmp_path, monkeypatch):
    """TLS connections are kept like others, and close without a complaint."""
    tls = self_signed(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "server.pem"))
    async with gateway(response(), tls=tls) as (client, seen):
        for _ in range(2):
            assert (await client.post(client.base_url + "/x", b"{}")).body == b'{"ok": true}'
    assert len(seen) == 2


async def test_the_key_goes_to_the_gateway_alone():
    """Another address is refused before anything is sent, and so is a key that would break its line."""
    async with gateway(response()) as (client, seen):
        with pytest.raises(ConfigError, match="not the gateway"):
            await client.get("http://127.0.0.1:1/v1/models")
    assert seen == []
    with pytest.raises(ConfigError, match="`authorization`") as caught:
        Client(GatewaySection(base_url="http://127.0.0.1:1/v1"), "sk\nx: y", connections=1)
    assert "sk" not in str(caught.value)


async def test_a_key_in_an_answer_is_taken_out():
    """Some gateways quote the key that they refuse."""
    async with gateway(response(b'{"error": "no key ' + KEY.encode() + b'"}')) as (client, _):
        answer = await client.get(client.base_url + "/models")
    assert answer.body == b'{"error": "no key ***"}'


def self_signed(folder):
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.now(UTC)
    builder = x509.CertificateBuilder(name, name, key.public_key(), 1, now, now + timedelta(days=1))
    builder = builder.add_extension(x509.SubjectAlternativeName([x509.IPAddress(LOOPBACK)]), critical=False)
    certificate = builder.sign(key, hashes.SHA256())
    path = folder / "server.pem"
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    path.write_bytes(private + certificate.public_bytes(serialization.Encoding.PEM))
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(path)
    return context
