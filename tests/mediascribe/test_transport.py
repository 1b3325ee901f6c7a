"""httpx speaks over our connections: its clients keep their habits, and its errors keep ours."""

import asyncio
import gzip
import socket
from contextlib import asynccontextmanager

import httpx
import pytest

from mediascribe.domain import Failure
from mediascribe.errors import InDoubtError, PermanentError, StopRunError, TransientError
from mediascribe.http import Pool
from mediascribe.transport import Transport

pytestmark = pytest.mark.wide

OK = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\ncontent-type: application/json\r\n\r\n{}"


@asynccontextmanager
async def serving(*replies, hold=False, **options):
    """A client of a server that gives one of *replies* after the other; and what the server was sent."""
    seen, left, writers = [], list(replies), []

    async def serve(reader, writer):
        writers.append(writer)
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                length = head.lower().split(b"content-length: ")
                seen.append(head + await reader.readexactly(int(length[1].split(b"\r\n")[0]) if length[1:] else 0))
                if not hold:
                    writer.write(left.pop(0))
                if not left and not hold:
                    break
        except asyncio.IncompleteReadError:
            pass
        if not hold:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        async with httpx.AsyncClient(transport=Transport(**options), base_url=url) as client:
            yield client, seen
    finally:
        server.close()
        for writer in writers:
            writer.transport.abort()


async def test_a_client_of_httpx_asks_over_it():
    """Its own headers, query and body arrive, and the answer is httpx's."""
    async with serving(OK) as (client, seen):
        answer = await client.post("/v1/x", params={"a": "b c"}, json={"m": "ü"}, headers={"x-team": "data"})
    assert (answer.status_code, answer.json(), answer.headers["content-type"]) == (200, {}, "application/json")
    head, body = seen[0].split(b"\r\n\r\n")
    assert head.startswith((b"POST /v1/x?a=b+c HTTP/1.1\r\n", b"POST /v1/x?a=b%20c HTTP/1.1\r\n"))
    assert b"x-team: data" in head.lower()
    assert [head.lower().count(name) for name in (b"\r\nhost:", b"\r\ncontent-length:")] == [1, 1]
    assert body == '{"m":"ü"}'.encode()


async def test_a_body_that_is_streamed_to_it_goes_whole():
    """With its length, for it is known by then."""

    async def pieces():
        yield b"ab"
        yield b"cd"

    async with serving(OK) as (client, seen):
        await client.post("/", content=pieces())
    assert b"transfer-encoding" not in seen[0].lower()
    assert seen[0].endswith(b"content-length: 4\r\n\r\nabcd")


async def test_the_clients_habits_stay_its_own():
    """Redirects and cookies are httpx's business, as far as its client is told to follow and to keep them."""
    moved = b"HTTP/1.1 302 Found\r\nlocation: /there\r\nset-cookie: a=b\r\nset-cookie: c=d\r\ncontent-length: 0\r\n\r\n"
    async with serving(moved, OK) as (client, seen):
        assert (await client.get("/here", follow_redirects=True)).json() == {}
    assert seen[1].startswith(b"GET /there HTTP/1.1\r\n")
    assert b"cookie: a=b; c=d" in seen[1].lower()


async def test_an_answer_that_was_packed_is_not_unpacked_twice():
    """The headers say what the body is by then."""
    packed = gzip.compress(b'{"a": 1}')
    reply = b"HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: %d\r\n\r\n%b" % (len(packed), packed)
    async with serving(reply) as (client, _):
        answer = await client.get("/")
    assert (answer.json(), answer.headers.get("content-encoding"), answer.headers["content-length"]) == (
        {"a": 1},
        None,
        "8",
    )


async def test_an_answer_can_be_read_as_a_stream():
    """It is there already."""
    async with serving(OK) as (client, _), client.stream("GET", "/") as answer:
        assert b"".join([piece async for piece in answer.aiter_bytes()]) == b"{}"


@pytest.mark.parametrize(
    ("reply", "kind", "cause"),
    [
        (b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n{}", httpx.ReadError, InDoubtError),
        (b"HTTP/1.1 200 OK\r\ncontent-encoding: br\r\n\r\n", httpx.RemoteProtocolError, InDoubtError),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 9999\r\n\r\n", httpx.RemoteProtocolError, PermanentError),
    ],
    ids=["cut", "packed", "too long"],
)
async def test_a_failure_is_httpxs_and_says_what_it_costs(reply, kind, cause):
    """Its cause has the type that decides about a retry."""
    async with serving(reply, most_bytes=1000) as (client, _):
        with pytest.raises(kind) as caught:
            await client.get("/")
    assert isinstance(caught.value.__cause__, cause)
    assert caught.value.request.url.path == "/"


async def test_a_silent_server_is_given_up_on():
    """After httpx's read timeout."""
    async with serving(hold=True) as (client, _):
        with pytest.raises(httpx.ReadTimeout) as caught:
            await client.get("/", timeout=httpx.Timeout(5.0, read=0.05))
    assert isinstance(caught.value.__cause__, InDoubtError)


async def test_nothing_was_sent_where_nobody_listens():
    """It is a connection error to httpx, and its cause is not in doubt."""
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        async with httpx.AsyncClient(transport=Transport()) as client:
            with pytest.raises(httpx.ConnectError) as caught:
                await client.get(f"http://127.0.0.1:{closed.getsockname()[1]}/")
    assert type(caught.value.__cause__) is TransientError


async def test_a_server_that_does_not_shake_hands_runs_into_the_connect_timeout():
    """TLS belongs to the connection."""
    async with serving(hold=True) as (client, _):
        url = f"https://127.0.0.1:{client.base_url.port}/"
        with pytest.raises(httpx.ConnectTimeout):
            await client.get(url, timeout=httpx.Timeout(5.0, connect=0.05))


async def test_a_certificate_that_nobody_vouches_for_is_a_connection_error(monkeypatch):
    """Its cause stops a run."""

    async def refuse(*_, **__):
        raise StopRunError(Failure(error_class="network", message="not trusted"))

    monkeypatch.setattr(Pool, "ask", refuse)
    with pytest.raises(httpx.ConnectError, match="not trusted") as caught:
        await Transport().handle_async_request(httpx.Request("GET", "https://h/"))
    assert isinstance(caught.value.__cause__, StopRunError)


@pytest.mark.parametrize(
    ("method", "url", "headers"),
    [("HEAD", "http://h/", {}), ("GET", "ftp://h/", {}), ("GET", "http://h/", {"x": "a\r\nb"})],
)
async def test_what_cannot_be_sent_is_refused(method, url, headers):
    """Before anything is."""
    with pytest.raises(httpx.UnsupportedProtocol):
        await Transport().handle_async_request(httpx.Request(method, url, headers=headers))
