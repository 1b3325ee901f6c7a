"""Connections are kept, shared and given up over real sockets; what was never sent is never in doubt."""

import asyncio
import socket
import ssl
import struct
import sys
from contextlib import asynccontextmanager

import pytest

from mediascribe.errors import InDoubtError, PermanentError, TransientError
from mediascribe.http import Limits, Outgoing, Pool, head_of, origin_of, pool

pytestmark = pytest.mark.wide

LIMITS = Limits(connect_s=5.0, total_s=20.0)
ANSWER = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}"


class Server:
    """Answers every request on every connection with *reply*, once `go` is set; then hangs up if *hang_up*."""

    def __init__(self, reply=ANSWER, *, hang_up=False, held=False):
        self.reply, self.hang_up, self.go = reply, hang_up, asyncio.Event()
        self.seen, self.writers, self.arrived = [], [], asyncio.Event()
        if not held:
            self.go.set()

    async def serve(self, reader, writer):
        self.writers.append(writer)
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                length = int(head.split(b"content-length: ")[1].split(b"\r\n")[0])
                self.seen.append(len(await reader.readexactly(length)))
                self.arrived.set()
                await self.go.wait()
                writer.write(self.reply)
                if self.hang_up:
                    break
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        writer.close()


@asynccontextmanager
async def serving(server, *, connections=4):
    listening = await asyncio.start_server(server.serve, "127.0.0.1", 0)
    origin, _ = origin_of(f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}/")
    opened = Pool(origin, connections=connections)
    try:
        yield opened
    finally:
        opened.close()
        listening.close()
        for writer in server.writers:
            writer.transport.abort()
        await asyncio.sleep(0)


def question(body=b"{}"):
    return Outgoing(head_of("POST", origin_of("http://h/")[0], "/", []), body)


async def ask(opened, body=b"{}", *, limits=LIMITS, most_bytes=1000):
    return await opened.ask(question(body), limits, most_bytes=most_bytes)


async def until(condition):
    while not condition():  # noqa: ASYNC110 - what is waited for has no event
        await asyncio.sleep(0)


async def test_one_connection_serves_many_requests():
    """One after the other."""
    server = Server()
    async with serving(server) as opened:
        for _ in range(5):
            assert (await ask(opened)).body == b"{}"
    assert (len(server.seen), len(server.writers)) == (5, 1)


async def test_requests_in_flight_have_a_connection_each():
    """And later ones use those again."""
    server = Server(held=True)
    async with serving(server) as opened:
        asking = [asyncio.create_task(ask(opened)) for _ in range(3)]
        await until(lambda: len(server.seen) == 3)
        server.go.set()
        await asyncio.gather(*asking)
        await asyncio.gather(*(ask(opened) for _ in range(3)))
    assert (len(server.seen), len(server.writers)) == (6, 3)


async def test_no_more_connections_than_allowed():
    """Who finds none free gets the first that comes back."""
    server = Server(held=True)
    async with serving(server, connections=2) as opened:
        asking = [asyncio.create_task(ask(opened)) for _ in range(5)]
        await until(lambda: len(server.seen) == 2)
        server.go.set()
        await asyncio.gather(*asking)
    assert (len(server.seen), len(server.writers)) == (5, 2)


async def test_who_waits_for_a_connection_has_sent_nothing():
    """When time is over, nothing is in doubt."""
    server = Server(held=True)
    async with serving(server, connections=1) as opened:
        first = asyncio.create_task(ask(opened))
        await server.arrived.wait()
        with pytest.raises(TransientError, match="stayed in use") as caught:
            await ask(opened, limits=Limits(total_s=0.01))
        server.go.set()
        await first
        await ask(opened)
    assert type(caught.value) is TransientError
    assert len(server.seen) == 2


async def test_a_cancelled_request_frees_its_place():
    """Its connection is closed, for an answer may still come; who waits opens another."""
    server = Server(held=True)
    async with serving(server, connections=1) as opened:
        first = asyncio.create_task(ask(opened))
        await server.arrived.wait()
        second = asyncio.create_task(ask(opened))
        await asyncio.sleep(0)
        first.cancel()
        server.go.set()
        assert (await second).body == b"{}"
    assert len(server.writers) == 2


async def test_who_is_cancelled_while_waiting_leaves_the_line():
    """The next one gets the place."""
    server = Server(held=True)
    async with serving(server, connections=1) as opened:
        first, second, third = (asyncio.create_task(ask(opened)) for _ in range(3))
        await server.arrived.wait()
        second.cancel()
        server.go.set()
        await asyncio.gather(first, third)
    assert second.cancelled()
    assert len(server.writers) == 1


async def test_a_place_that_is_given_to_who_is_cancelled_is_passed_on():
    """In the same instant."""
    server = Server(held=True)
    async with serving(server, connections=1) as opened:
        _, second, third = (asyncio.create_task(ask(opened)) for _ in range(3))
        await server.arrived.wait()
        opened._leave()  # noqa: SLF001 - a connection less, with no turn of the loop before what follows
        second.cancel()
        server.go.set()
        assert (await third).body == b"{}"


async def test_a_connection_that_was_closed_is_not_used_again():
    """Though the loop has not heard of its end yet."""
    listening = socket.create_server(("127.0.0.1", 0))
    listening.settimeout(0)
    loop = asyncio.get_running_loop()
    opened = Pool(origin_of(f"http://127.0.0.1:{listening.getsockname()[1]}/")[0], connections=1)
    for _ in range(2):
        asking = asyncio.create_task(ask(opened))
        server, _ = await loop.sock_accept(listening)
        assert (await loop.sock_recv(server, 1000)).endswith(b"{}")
        await loop.sock_sendall(server, ANSWER)
        await asking
        server.close()  # and no turn of the loop before the next request
    opened.close()
    listening.close()


async def test_a_connection_that_hangs_up_behind_its_answer_costs_nothing():
    """The next request has another."""
    server = Server(hang_up=True)
    async with serving(server) as opened:
        for _ in range(3):
            await ask(opened)
            await asyncio.sleep(0.01)
    assert (len(server.seen), len(server.writers)) == (3, 3)


async def test_an_answer_without_a_length_is_whole_when_the_server_hangs_up():
    """As HTTP/1.0 has it."""
    async with serving(Server(b"HTTP/1.1 200 OK\r\n\r\nall of it", hang_up=True)) as opened:
        assert (await ask(opened)).body == b"all of it"


async def test_an_idle_connection_that_speaks_is_closed():
    """Nothing may be taken for the answer to a later request."""
    server = Server()
    async with serving(server) as opened:
        await ask(opened)
        server.writers[0].write(ANSWER)
        await until(lambda: not opened._idle)  # noqa: SLF001 - nothing else tells when the loop has heard
        await ask(opened)
    assert len(server.writers) == 2


async def test_old_connections_are_closed(monkeypatch):
    """Before the server closes them under our hands."""
    monkeypatch.setattr(pool, "_KEPT_S", 0.0)
    server = Server()
    async with serving(server) as opened:
        await ask(opened)
        await ask(opened)
    assert len(server.writers) == 2


async def test_a_connection_that_was_not_needed_for_long_is_closed(monkeypatch):
    """The one that was used last is used first, so the others grow old."""
    server = Server(held=True)
    async with serving(server) as opened:
        asking = [asyncio.create_task(ask(opened)) for _ in range(2)]
        await until(lambda: len(server.seen) == 2)
        server.go.set()
        await asyncio.gather(*asking)
        newest = next(reversed(opened._idle))  # noqa: SLF001 - the pool's order is the subject
        for connection in opened._idle:  # noqa: SLF001
            opened._idle[connection] -= 0 if connection is newest else 100  # noqa: SLF001
        await ask(opened)
        assert list(opened._idle) == [newest]  # noqa: SLF001


async def test_a_broken_connection_leaves_the_request_in_doubt():
    """A reset as much as an end."""
    server = Server(held=True)
    async with serving(server) as opened:
        asking = asyncio.create_task(ask(opened))
        await server.arrived.wait()
        reset = struct.pack("ii", 1, 0)
        server.writers[0].get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, reset)
        server.writers[0].transport.abort()
        with pytest.raises(InDoubtError, match="the connection broke"):
            await asking


async def test_a_long_request_arrives_whole():
    """Handed on in pieces, as the network takes them."""
    server = Server()
    async with serving(server) as opened:
        await ask(opened, bytes(5_000_000))
        await ask(opened, bytes(100_000))
    assert (server.seen, len(server.writers)) == ([5_000_000, 100_000], 1)


async def test_an_answer_may_come_before_the_request_has_left():
    """It counts, and the connection is closed: the rest of the request would be taken for the next one."""

    async def refuse(reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 413 Too Large\r\ncontent-length: 2\r\n\r\n{}")
        await writer.drain()
        writer.transport.abort()

    listening = await asyncio.start_server(refuse, "127.0.0.1", 0)
    opened = Pool(origin_of(f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}/")[0], connections=1)
    arrival = await ask(opened, bytes(50_000_000))
    assert arrival.status == 413
    assert not opened._idle  # noqa: SLF001 - nothing else shows that it is not kept
    listening.close()


async def test_a_connection_with_an_answer_that_is_too_long_is_closed():
    """The rest of it would come before the next answer."""
    server = Server(b"HTTP/1.1 200 OK\r\ncontent-length: 2000\r\n\r\n" + bytes(2000))
    async with serving(server, connections=1) as opened:
        with pytest.raises(PermanentError):
            await ask(opened)
        await ask(opened, most_bytes=2000)
    assert len(server.writers) == 2


async def test_a_server_that_does_not_shake_hands_costs_nothing():
    """The time for a connection includes TLS."""
    server = Server()
    async with serving(server) as plain:
        tls = Pool(origin_of(f"https://{plain._origin.authority}/")[0], connections=1, tls=ssl.create_default_context())  # noqa: SLF001
        with pytest.raises(TransientError, match="no connection to the gateway in time") as caught:
            await ask(tls, limits=Limits(connect_s=0.05))
    assert (type(caught.value), caught.value.failure.error_class) == (TransientError, "timeout")


async def test_the_whole_wait_ends_a_connection_too():
    """Though there would be more time for connecting."""
    server = Server()
    async with serving(server) as plain:
        tls = Pool(origin_of(f"https://{plain._origin.authority}/")[0], connections=1, tls=ssl.create_default_context())  # noqa: SLF001
        with pytest.raises(TransientError, match="in time"):
            await ask(tls, limits=Limits(connect_s=60.0, total_s=0.05))


async def test_a_name_that_is_not_known_costs_nothing(monkeypatch):
    """Nothing was sent."""
    looked_up = names(monkeypatch, socket.gaierror("unknown"))
    with pytest.raises(TransientError, match="unknown") as caught:
        await ask(Pool(origin_of("http://nowhere.example/")[0], connections=1))
    assert type(caught.value) is TransientError
    assert looked_up == ["nowhere.example"]


async def test_a_name_is_looked_up_once(monkeypatch):
    """For all connections of a minute; and where one of its addresses does not answer, the next one is taken."""
    server = Server(held=True)
    async with serving(server) as plain:
        port = plain._origin.port  # noqa: SLF001
        with socket.socket() as closed:
            closed.bind(("127.0.0.1", 0))
            found = [address(closed.getsockname()[1]), address(port)]
            looked_up = names(monkeypatch, found)
            opened = Pool(origin_of("http://gateway.example/")[0], connections=3)
            asking = [asyncio.create_task(ask(opened)) for _ in range(3)]
            await until(lambda: len(server.seen) == 3)
            server.go.set()
            await asyncio.gather(*asking)
            opened.close()
    assert looked_up == ["gateway.example"]


def address(port):
    return (socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", ("127.0.0.1", port))


def names(monkeypatch, found):
    """Names stand for *found*; the list of those that were looked up."""
    looked_up = []

    async def getaddrinfo(host, _port, **_):
        looked_up.append(host)
        if isinstance(found, Exception):
            raise found
        return found

    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", getaddrinfo)
    return looked_up


class Dead:
    """A transport that is closed, or whose one write fails at once."""

    def __init__(self, tcp, *, closing):
        self.closing, self._tcp = closing, tcp

    def get_extra_info(self, _):
        return self._tcp

    def write(self, _):
        self.closing = True

    def is_closing(self):
        return self.closing

    def abort(self):
        self.closing = True


@pytest.mark.parametrize("when", ["before", "at the first write"])
async def test_a_request_of_which_no_byte_left_is_sent_again(monkeypatch, when):
    """At once, over other connections; and it is not in doubt when all of them fail."""
    opened = Pool(origin_of("http://127.0.0.1:9/")[0], connections=1)
    made = []

    async def connect(*_):
        made.append(opened._made())  # noqa: SLF001
        made[-1].connection_made(Dead(tcp, closing=when == "before"))
        return made[-1]

    monkeypatch.setattr(opened, "_connect", connect)
    with socket.socket() as tcp, pytest.raises(TransientError, match="closes every connection") as caught:
        await ask(opened)
    assert type(caught.value) is TransientError
    assert len(made) == 5


async def test_a_closed_pool_keeps_nothing():
    """What is in use then is closed when it ends."""
    server = Server(held=True)
    async with serving(server) as opened:
        asking = asyncio.create_task(ask(opened, limits=Limits()))
        await server.arrived.wait()
        opened.close()
        server.go.set()
        assert (await asking).body == b"{}"
        assert not opened._idle  # noqa: SLF001 - nothing else shows that it is not kept


@pytest.mark.skipif(sys.platform == "win32", reason="uvloop has no Windows")
@pytest.mark.parametrize("body", [b"{}", bytes(5_000_000)], ids=["short", "long"])
def test_another_event_loop_does_as_well(body):
    """Under uvloop too: connections are kept, broken ones seen, and what was sent is in doubt."""
    uvloop = pytest.importorskip("uvloop")

    async def scenario():
        server = Server()
        async with serving(server) as opened:
            for _ in range(2):
                assert (await ask(opened, body)).body == b"{}"
            assert (server.seen, len(server.writers)) == ([len(body)] * 2, 1)
            server.hang_up, server.reply = True, b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n{}"
            with pytest.raises(InDoubtError):
                await ask(opened, body)

    uvloop.run(scenario())
