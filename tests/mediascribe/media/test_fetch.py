"""Fetching over real sockets on loopback: good hosts, clumsy ones, and those that mean harm."""

from __future__ import annotations

import asyncio
import gzip
import hashlib
import socket
import ssl
import zlib
from contextlib import asynccontextmanager

import pytest
from aiohttp.abc import ResolveResult
from media_hosts import MediaHost, Medium, self_signed, served_by

from mediascribe import __version__
from mediascribe.errors import MediaError
from mediascribe.job_sections import MediaSection
from mediascribe.media.body import opt_out
from mediascribe.media.door import Door
from mediascribe.media.fetch import Fetcher
from mediascribe.media.guard import guard
from mediascribe.media.hosts import Hosts

pytestmark = pytest.mark.wide

PICTURE = bytes(range(256)) * 40  # 10,240 bytes, of which any two ranges differ


@pytest.fixture
def host():
    with MediaHost() as host:
        yield host


class Time:
    """A clock that only sleepers move."""

    def __init__(self):
        self.now, self.slept = 0.0, []

    def __call__(self):
        return self.now

    async def sleep(self, wait_s):
        self.slept.append(wait_s)
        self.now += wait_s


@asynccontextmanager
async def fetching(*hosts, lookup=None, time=None, own=(), **changes):
    """A fetcher that may reach *hosts*, whose waits pass at once."""
    section = MediaSection(**{"timeout_s": 10.0} | changes)
    time = time or Time()
    opening = guard(section, own=[*(host.place for host in hosts), *own])
    paced = Hosts(section, clock=time, sleep=time.sleep)
    async with Fetcher(section, opening, hosts=paced, lookup=lookup, sleep=time.sleep) as fetcher:
        yield fetcher


async def refusal(fetch):
    """The failure that awaiting *fetch* ends with."""
    with pytest.raises(MediaError) as caught:
        await fetch
    assert caught.value.failure.unasked
    return caught.value.failure


async def test_the_first_bytes_of_a_medium(host):
    """By a range, with the length of the whole, the type as the host has it, and a mark of the content."""
    url = host.put("/a.jpg", PICTURE, content_type="image/jpeg; x=1", etag="v1")
    async with fetching(host) as fetcher:
        found = await fetcher.get(url, most_bytes=100)
    assert (found.content, found.start, found.whole, found.total_bytes) == (PICTURE[:100], 0, False, 10_240)
    assert (found.url, found.content_type, found.validator) == (url, "image/jpeg; x=1", f'{url} "v1"')
    assert host.seen[0].headers["range"] == "bytes=0-99"


async def test_bytes_from_the_middle_and_the_end(host):
    """A range that goes beyond the end is cut there."""
    url = host.put("/a.jpg", PICTURE)
    async with fetching(host) as fetcher:
        middle = await fetcher.get(url, start=5_000, most_bytes=10)
        end = await fetcher.get(url, start=10_200, most_bytes=100)
        beyond = await fetcher.get(url, start=20_000, most_bytes=100)
    assert (middle.content, middle.start, middle.whole) == (PICTURE[5_000:5_010], 5_000, False)
    assert (end.content, end.start, end.whole) == (PICTURE[10_200:], 10_200, False)
    assert (beyond.content, beyond.whole, beyond.total_bytes) == (b"", False, 10_240)


async def test_a_medium_may_be_shorter_than_asked_for(host):
    """Then it is there whole."""
    url = host.put("/a.jpg", b"tiny")
    async with fetching(host) as fetcher:
        found = await fetcher.get(url, most_bytes=4096)
    assert (found.content, found.whole, found.total_bytes) == (b"tiny", True, 4)


async def test_an_empty_medium_is_whole(host):
    """Servers answer 416 to any range of it, or 200."""
    host.put("/ranged", b"")
    host.put("/plain", b"", ranges=False)
    async with fetching(host) as fetcher:
        for path in ("/ranged", "/plain"):
            found = await fetcher.get(host.url + path, most_bytes=100)
            assert (found.content, found.whole, found.total_bytes) == (b"", True, 0), path
            assert (await fetcher.whole(host.url + path)).content == b""


async def test_a_whole_medium(host):
    """Without a range."""
    url = host.put("/a.jpg", PICTURE)
    async with fetching(host) as fetcher:
        found = await fetcher.whole(url)
    assert (found.content, found.whole, found.total_bytes) == (PICTURE, True, 10_240)
    assert "range" not in host.seen[0].headers


@pytest.mark.parametrize("length", [2048, None])
async def test_a_medium_of_just_the_allowed_length_passes(host, length):
    """`max_bytes` is the most; chunked or with its length told beforehand."""
    headers = {"Content-Length": length and str(length)}
    url = host.put("/a", PICTURE[:2048], headers=headers)
    async with fetching(host, max_bytes=2048) as fetcher:
        assert len((await fetcher.whole(url)).content) == 2048


async def test_a_host_that_takes_no_ranges_is_hung_up_on(host):
    """What it sends from its first byte on is read as far as was asked for."""
    url = host.put("/a.jpg", PICTURE, ranges=False)
    async with fetching(host) as fetcher:
        found = await fetcher.get(url, start=5_000, most_bytes=100)
    assert (found.content, found.start, found.whole, found.total_bytes) == (PICTURE[:100], 0, False, 10_240)


async def test_a_host_that_sends_too_much_of_a_range_is_cut(host):
    """No more is kept than was asked for."""
    raw = b"HTTP/1.1 206 Partial Content\r\nContent-Range: bytes 0-9/*\r\n\r\n" + PICTURE
    async with fetching(host) as fetcher:
        found = await fetcher.get(host.put("/a", raw=raw), most_bytes=10)
    assert (found.content, found.whole, found.total_bytes) == (PICTURE[:10], False, None)


@pytest.mark.parametrize("told", ["", "bytes 7-9/100", "bytes */100", "lines 5-9/100"])
async def test_a_range_that_was_not_asked_for_is_no_answer(host, told):
    """Its bytes would be taken for others."""
    raw = f"HTTP/1.1 206 Partial Content\r\nContent-Range: {told}\r\nContent-Length: 5\r\n\r\nabcde".encode()
    async with fetching(host) as fetcher:
        failure = await refusal(fetcher.get(host.put("/a", raw=raw), start=5, most_bytes=5))
    assert (failure.error_class, failure.code) == ("network", "broken")


async def test_a_range_without_its_place_begins_at_the_start(host):
    """Where that was asked for, nothing else can be meant."""
    raw = b"HTTP/1.1 206 Partial Content\r\nContent-Length: 5\r\n\r\nabcde"
    async with fetching(host) as fetcher:
        found = await fetcher.get(host.put("/a", raw=raw), most_bytes=5)
    assert (found.content, found.whole, found.total_bytes) == (b"abcde", False, None)


async def test_an_endless_body_is_cut_off(host):
    """A head is taken from it, and the whole of it is too large."""
    url = host.put("/a", PICTURE, way="endless", ranges=False)
    async with fetching(host, max_bytes=100_000) as fetcher:
        assert (await fetcher.get(url, most_bytes=10)).content == PICTURE[:10]
        failure = await refusal(fetcher.whole(url))
    assert (failure.error_class, failure.code) == ("media", "too_large")
    assert failure.message == f"{url} is longer than [media] max_bytes = 100,000"


async def test_a_medium_that_says_it_is_too_long_is_not_read(host):
    """Its length stands in the message."""
    raw = b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\nabc"
    async with fetching(host) as fetcher:
        failure = await refusal(fetcher.whole(host.put("/a", raw=raw)))
    assert failure.code == "too_large"
    assert "99,999,999,999 bytes" in failure.message


@pytest.mark.parametrize(
    "raw",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nabc",
        b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabcdef",
        b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\nabc",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nabc",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nabc",
        b"HTTP/1.1 200 OK\r\nContent-Le",
        b"SSH-2.0-OpenSSH_9.6\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nx: " + b"a" * 20_000 + b"\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n" + b"x: y\r\n" * 5_000 + b"\r\n",
        b"",
    ],
    ids=["shorter", "longer", "negative", "two lengths", "bad chunk", "cut head", "ssh", "long", "many", "nothing"],
)
async def test_what_is_no_http_is_broken(host, raw):
    """Lying lengths, heads without end and other protocols: a later look may find better, so it is tried twice."""
    async with fetching(host) as fetcher:
        failure = await refusal(fetcher.whole(host.put("/a", raw=raw)))
    assert (failure.error_class, failure.code) == ("network", "broken")
    assert host.url in failure.message
    assert len(host.seen) >= 2


@pytest.mark.parametrize("way", ["drip", "hang"])
async def test_a_slow_host_is_given_up_on(host, way):
    """Silence or a byte at a time: the time is up for both."""
    url = host.put("/a", PICTURE, way=way)
    async with fetching(host, timeout_s=0.05) as fetcher:
        failure = await refusal(fetcher.whole(url))
    assert (failure.error_class, failure.code) == ("timeout", "timeout")
    assert failure.message == f"{url} was not there within 0.05 s"


async def test_redirects_share_one_time(host):
    """A chain of slow hosts takes no longer than one."""
    for number in range(3):
        host.put(f"/{number}", status=302, headers={"Location": f"/{number + 1}"})
    url = host.put("/3", PICTURE, way="hang")
    async with fetching(host, timeout_s=0.05) as fetcher:
        failure = await refusal(fetcher.whole(host.url + "/0"))
    assert failure.message == f"{host.url}/0 leads on to {url} was not there within 0.05 s"


@pytest.mark.parametrize(
    ("status", "error_class", "code"),
    [
        (404, "media", "dead_link"), (410, "media", "dead_link"), (204, "media", "dead_link"),
        (300, "media", "dead_link"), (304, "media", "dead_link"), (400, "media", "dead_link"),
        (416, "media", "dead_link"), (401, "media", "forbidden"), (403, "media", "forbidden"),
        (451, "media", "forbidden"), (408, "timeout", "http_408"), (429, "rate_limit", "http_429"),
        (500, "server", "http_500"), (503, "server", "http_503"), (599, "server", "http_599"),
    ],
)  # fmt: skip
async def test_a_status_that_brings_no_medium(host, status, error_class, code):
    """It says whether a later look may find better, and only then it is tried again."""
    url = host.put("/a.jpg", status=status)
    async with fetching(host) as fetcher:
        failure = await refusal(fetcher.whole(url + "?token=secret123"))
    assert (failure.error_class, failure.code, failure.http_status) == (error_class, code, status)
    assert failure.message.startswith(f"HTTP {status} at {url}?token=REDACTED")
    assert len(host.seen) == (1 if error_class == "media" else 2)


async def test_what_passes_is_tried_once_more(host):
    """After a moment."""
    url, time = host.script("/a", Medium(status=500), Medium(content=b"here")), Time()
    async with fetching(host, time=time) as fetcher:
        assert (await fetcher.whole(url)).content == b"here"
    assert time.slept == [0.5]


@pytest.mark.parametrize(
    ("status", "headers", "slept"),
    [
        (429, {"Retry-After": "7"}, [0.5, 6.5]),
        (503, {"Retry-After": "7"}, [0.5, 6.5]),
        (429, {"Retry-After": "3600"}, [0.5, 59.5]),
        (429, {"Retry-After": "Mon, 23 Nov 2026 10:00:20 GMT", "Date": "Mon, 23 Nov 2026 10:00:00 GMT"}, [0.5, 19.5]),
        (429, {}, [0.5, 4.5]),
        (429, {"Retry-After": "soon"}, [0.5, 4.5]),
        (503, {}, [0.5]),
    ],
)
async def test_a_host_is_left_alone_for_as_long_as_it_asks(host, status, headers, slept):
    """Up to a minute; after a 429 that says nothing, for five seconds."""
    url, time = host.script("/a", Medium(status=status, headers=headers), Medium(content=b"here")), Time()
    async with fetching(host, time=time) as fetcher:
        assert (await fetcher.whole(url)).content == b"here"
    assert time.slept == slept


async def test_a_host_that_fails_is_not_asked_for_every_medium(host):
    """After five of them the next ones fail without a request, until a try goes well."""
    host.put("/bad", status=500)
    url, time = host.put("/good", b"here"), Time()
    async with fetching(host, time=time) as fetcher:
        for _ in range(5):
            assert (await refusal(fetcher.whole(host.url + "/bad"))).code == "http_500"
        asked = len(host.seen)
        failure = await refusal(fetcher.whole(url))
        assert (failure.error_class, failure.code) == ("network", "host_down")
        assert "HTTP 500 at" in failure.message
        assert len(host.seen) == asked
        time.now += 10
        assert (await fetcher.whole(url)).content == b"here"


async def test_a_fetcher_paces_hosts_by_itself(host):
    """By the numbers of the job, in real time."""
    section = MediaSection(per_host=1)
    url = host.put("/a", PICTURE)
    async with Fetcher(section, guard(section, own=[host.place])) as fetcher:
        await asyncio.gather(*(fetcher.get(url, most_bytes=100) for _ in range(5)))
    assert host.most_in_flight == 1


async def test_few_media_at_a_time_come_from_one_host(host):
    """`per_host`, over connections that are used again."""
    url = host.put("/a", PICTURE)
    async with fetching(host, per_host=2) as fetcher:
        await asyncio.gather(*(fetcher.get(url, most_bytes=100) for _ in range(20)))
    assert host.most_in_flight <= 2
    assert len({seen.peer for seen in host.seen}) <= 2


async def test_nothing_is_sent_but_the_request(host, monkeypatch, tmp_path):
    """No cookie comes back, no user is looked up, no proxy of the environment is asked."""
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login me password secret")
    monkeypatch.setenv("NETRC", str(netrc))
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    monkeypatch.setenv("ALL_PROXY", "http://127.0.0.1:1")
    url = host.put("/a", b"here", headers={"Set-Cookie": "id=1; Path=/"})
    async with fetching(host) as fetcher:
        await fetcher.whole(url)
        await fetcher.whole(url)
    assert set(host.seen[1].headers) == {"host", "user-agent", "accept", "accept-encoding"}
    assert host.seen[1].headers["user-agent"] == f"mediascribe/{__version__}"
    assert host.seen[1].headers["accept-encoding"] == "identity"


async def test_a_url_is_sent_as_it_is(host):
    """A signature may cover every letter of it."""
    path = "/a%2Fb/~c;d"
    host.put("/a/b/~c;d", b"here")
    async with fetching(host) as fetcher:
        await fetcher.whole(f"{host.url}{path}?x=a%2f+%3D=&s='(*)#top")
    assert host.seen[0].path == f"{path}?x=a%2f+%3D=&s='(*)"


@pytest.mark.parametrize(
    ("headers", "mark"),
    [
        ({"ETag": '"v1"'}, '"v1"'),
        ({"ETag": 'W/"v1"'}, None),
        ({"ETag": '""'}, None),
        ({"ETag": "v1"}, None),
        ({}, None),
    ],
)
async def test_only_a_strong_mark_is_a_validator(host, headers, mark):
    """With the URL, less what a signature adds: only so it means the same bytes."""
    url = host.put("/a", b"here", headers=headers)
    async with fetching(host) as fetcher:
        found = await fetcher.whole(url + "?id=7&Expires=1700000000&Signature=abc")
    assert found.validator == (mark and f"{url}?id=7 {mark}")


async def test_a_type_may_be_missing(host):
    """Unknown is None."""
    async with fetching(host) as fetcher:
        found = await fetcher.whole(host.put("/a", raw=b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx"))
    assert found.content_type is None


# Redirects


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_redirects_are_followed(host, status):
    """Relative or absolute, and the URL in the end is told."""
    with MediaHost() as other:
        there = other.put("/there.jpg", PICTURE, etag="v1")
        host.put("/a", status=status, headers={"Location": "b?x=1"})
        host.put("/b", status=status, headers={"Location": there})
        async with fetching(host, other) as fetcher:
            found = await fetcher.get(host.url + "/a", most_bytes=100)
    assert (found.url, found.content) == (there, PICTURE[:100])
    assert found.validator == f'{there} "v1"'
    assert [seen.path for seen in host.seen] == ["/a", "/b?x=1"]


@pytest.mark.parametrize(
    ("location", "code"),
    [
        ("http://169.254.169.254/latest/meta-data/", "refused_address"),
        ("http://[::ffff:169.254.169.254]/", "refused_address"),
        ("//10.0.0.1/a", "refused_address"),
        ("http://2130706433/", "refused_address"),
        ("http://localhost/", "refused_address"),
        ("http://127.0.0.1:22/", "refused_address"),
        ("http://cdn.example.com:22/", "refused_port"),
        ("file:///etc/passwd", "refused_scheme"),
        ("data:image/png;base64,AAAA", "refused_scheme"),
        ("http://user@cdn.example.com/", "bad_url"),
        ("http://[::1/", "redirects"),
        ("", "redirects"),
        (None, "redirects"),
    ],
)
async def test_a_redirect_leads_nowhere_that_a_url_may_not(host, location, code):
    """It is checked like the first URL, and the message names both."""
    url = host.put("/a", status=302, headers={"Location": location})
    async with fetching(host) as fetcher:
        failure = await refusal(fetcher.whole(url))
    assert (failure.error_class, failure.code) == ("media", code)
    assert failure.message.startswith(f"{url} leads on")
    assert len(host.seen) == 1


async def test_a_circle_of_redirects_is_left(host):
    """As soon as it closes."""
    host.put("/a", status=302, headers={"Location": "/b"})
    host.put("/b", status=302, headers={"Location": "/a"})
    async with fetching(host) as fetcher:
        failure = await refusal(fetcher.whole(host.url + "/a"))
    assert failure.code == "redirects"
    assert "leads in a circle" in failure.message
    assert len(host.seen) == 2


@pytest.mark.parametrize("most", [0, 2])
async def test_redirects_have_an_end(host, most):
    """The job says how many are followed."""
    for number in range(5):
        host.put(f"/{number}", status=302, headers={"Location": f"/{number + 1}"})
    async with fetching(host, redirects=most) as fetcher:
        failure = await refusal(fetcher.whole(host.url + "/0"))
    assert failure.code == "redirects"
    assert failure.message.endswith(f"leads on further than [media] redirects = {most}")
    assert len(host.seen) == most + 1


async def test_as_many_redirects_as_allowed_are_followed(host):
    """One more would be too many."""
    host.put("/0", status=302, headers={"Location": "/1"})
    host.put("/1", status=302, headers={"Location": "/2"})
    host.put("/2", b"here")
    async with fetching(host, redirects=2) as fetcher:
        assert (await fetcher.whole(host.url + "/0")).content == b"here"


async def test_https_does_not_lead_to_http(host, tmp_path, monkeypatch):
    """Who asked for a safe connection gets none that is not."""
    certificate = self_signed(tmp_path)
    trusting = ssl.create_default_context(cafile=certificate)
    monkeypatch.setattr("aiohttp.connector._SSL_CONTEXT_VERIFIED", trusting)
    with MediaHost(tls=served_by(certificate)) as safe:
        safe.put("/a", status=302, headers={"Location": host.put("/b", b"here")})
        safe.put("/c", status=302, headers={"Location": "/d"})
        safe.put("/d", b"there")
        async with fetching(host, safe) as fetcher:
            assert (await fetcher.whole(safe.url + "/c")).content == b"there"
            failure = await refusal(fetcher.whole(safe.url + "/a"))
    assert failure.code == "redirects"
    assert "leads from https to http" in failure.message
    assert host.seen == []


# Connections


async def test_a_certificate_that_nobody_vouches_for_is_no_connection(tmp_path):
    """Nothing is sent to such a host."""
    with MediaHost(tls=served_by(self_signed(tmp_path))) as host:
        async with fetching(host) as fetcher:
            failure = await refusal(fetcher.whole(host.put("/a", b"here")))
        assert host.seen == []
    assert (failure.error_class, failure.code) == ("network", "no_connection")
    assert "certificate" in failure.message


async def test_a_closed_port_is_no_connection():
    """Tried again, and then the row may be asked by a later run."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        place = f"127.0.0.1:{listener.getsockname()[1]}"
    async with fetching(own=[place]) as fetcher:
        failure = await refusal(fetcher.whole(f"http://{place}/a"))
    assert (failure.error_class, failure.code) == ("network", "no_connection")


def unknown(_):
    raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")


@pytest.mark.parametrize("lookup", [unknown, lambda _: []])
async def test_a_name_without_an_address(lookup):
    """Whether the name server says no or nothing."""
    async with fetching(lookup=lookup) as fetcher:
        failure = await refusal(fetcher.whole("http://gone.example/a"))
    assert (failure.error_class, failure.code) == ("network", "no_host")
    assert "its host gone.example has no address" in failure.message


async def test_the_systems_names_are_looked_up(host):
    """Without a table of one's own."""
    host.put("/a", b"here")
    async with fetching(host, own=[f"localhost:{host.port}"]) as fetcher:
        assert (await fetcher.whole(f"http://localhost:{host.port}/a")).content == b"here"


async def test_a_public_name_with_a_private_address_is_refused(host):
    """Nothing is sent there; the message says what to list."""
    host.put("/a", b"here")
    async with fetching(lookup=lambda _: ["127.0.0.1"], ports=[host.port]) as fetcher:
        failure = await refusal(fetcher.whole(f"http://127.0.0.1.nip.example:{host.port}/a?sig=secret"))
    assert (failure.error_class, failure.code) == ("media", "refused_address")
    assert "127.0.0.1.nip.example has a refused address: 127.0.0.1" in failure.message
    assert "list `127.0.0.1` in [media] allow" in failure.message
    assert "secret" not in failure.message
    assert host.seen == []


async def test_one_refused_address_refuses_the_host(host):
    """Whichever of them would be tried first."""
    host.put("/a", b"here")
    for addresses in (["127.0.0.1", "10.0.0.1"], ["10.0.0.1", "127.0.0.1"]):
        async with fetching(host, lookup=lambda _, addresses=addresses: addresses) as fetcher:
            failure = await refusal(fetcher.whole(f"http://cdn.example:{host.port}/a"))
        assert failure.code == "refused_address"
    assert host.seen == []


async def test_a_name_that_changes_its_address_is_refused(host):
    """DNS rebinding: an allowed address first, another one when a connection is made again."""
    with MediaHost("127.0.0.2") as inner:
        secret = inner.put("/a", b"secret").replace("127.0.0.2", "rebind.example")
        url = host.put("/a", status=302, headers={"Location": secret}).replace("127.0.0.1", "rebind.example")
        answers = iter([["127.0.0.1"], ["127.0.0.2"]])
        async with fetching(host, lookup=lambda _: next(answers), own=[f"10.0.0.1:{inner.port}"]) as fetcher:
            failure = await refusal(fetcher.whole(url))
        assert failure.code == "refused_address"
        assert [seen.path for seen in host.seen] == ["/a"]
        assert inner.seen == []


async def test_the_address_of_the_connection_is_what_counts(host, monkeypatch):
    """Whatever was looked up or remembered before, the socket is not made."""
    host.put("/a", b"here")

    async def unchecked(_, name, port=0, family=socket.AF_INET):
        result = ResolveResult(hostname=name, host="127.0.0.1", port=port, family=family, proto=0, flags=0)
        return [result, result | {"host": "127.0.0.2"}]

    monkeypatch.setattr(Door, "resolve", unchecked)
    async with fetching(ports=[host.port]) as fetcher:
        failure = await refusal(fetcher.whole(f"http://rebind.example:{host.port}/a"))
    assert (failure.error_class, failure.code) == ("media", "refused_address")
    assert host.seen == []


async def test_a_listed_name_may_have_any_address(host):
    """It is known by name only, and at its port."""
    host.put("/a", b"here")
    async with fetching(lookup=lambda _: ["127.0.0.1"], allow=[f"media.corp:{host.port}"]) as fetcher:
        assert (await fetcher.whole(f"http://media.corp:{host.port}/a")).content == b"here"
        failure = await refusal(fetcher.whole(f"http://other.corp:{host.port}/a"))
    assert failure.code == "refused_address"


async def test_any_name_may_have_a_listed_address(host):
    """By network, with the ports of the job."""
    host.put("/a", b"here")
    async with fetching(lookup=lambda _: ["127.0.0.1"], allow=["127.0.0.0/30"], ports=[host.port]) as fetcher:
        for name in ("media.corp", "cdn.example.com", "127.0.0.1"):
            assert (await fetcher.whole(f"http://{name}:{host.port}/a")).content == b"here"


@pytest.mark.skipif(not socket.has_ipv6, reason="this machine has no IPv6")
async def test_an_ipv6_host():
    """By its address, and as one of several of a name, of which another does not answer."""
    with MediaHost("::1") as host:
        url = host.put("/a", b"here")
        async with fetching(host, own=[f"127.0.0.1:{host.port}"], lookup=lambda _: ["127.0.0.1", "::1"]) as fetcher:
            assert (await fetcher.whole(url)).content == b"here"
            assert (await fetcher.whole(f"http://both.example:{host.port}/a")).content == b"here"
        async with fetching() as fetcher:
            assert (await refusal(fetcher.whole(url))).code == "refused_address"


async def test_who_is_cancelled_leaves_its_place(host):
    """A run that stops waits for no host."""
    hanging, url = host.put("/hang", way="hang"), host.put("/a", b"here")
    async with fetching(host, per_host=1) as fetcher:
        task = asyncio.create_task(fetcher.whole(hanging))
        while not host.seen:  # noqa: ASYNC110 - the host runs in another thread
            await asyncio.sleep(0.001)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert (await fetcher.whole(url)).content == b"here"


# Bodies that are packed though nobody asked for it


def deflated(content, *, bare):
    stream = zlib.compressobj(wbits=-15 if bare else 15)
    return stream.compress(content) + stream.flush()


@pytest.mark.parametrize(
    ("coding", "content"),
    [
        ("gzip", gzip.compress(PICTURE)),
        ("X-GZIP", gzip.compress(PICTURE)),
        ("deflate", deflated(PICTURE, bare=False)),
        ("deflate", deflated(PICTURE, bare=True)),
        ("identity", PICTURE),
        ("utf-8", PICTURE),
    ],
)
async def test_a_packed_medium_is_unpacked(host, coding, content):
    """Whole, or as far as was asked for; a coding that is none is passed over, as browsers do."""
    url = host.put("/a", content, headers={"Content-Encoding": coding}, ranges=False)
    async with fetching(host) as fetcher:
        whole, head = await fetcher.whole(url), await fetcher.get(url, most_bytes=100)
    assert (whole.content, whole.whole, whole.total_bytes) == (PICTURE, True, 10_240)
    assert (head.content, head.whole) == (PICTURE[:100], False)


async def test_a_range_of_a_packed_medium_is_unpacked(host):
    """The length of the whole is then unknown: the host counts packed bytes."""
    url = host.put("/a", gzip.compress(PICTURE), headers={"Content-Encoding": "gzip"})
    async with fetching(host) as fetcher:
        found = await fetcher.get(url, most_bytes=100)
    assert 0 < len(found.content) <= 100
    assert PICTURE.startswith(found.content)
    assert (found.whole, found.total_bytes) == (False, None)


async def test_a_packed_medium_comes_in_pieces(host):
    """Longer than what a socket gives at a time."""
    noise = hashlib.shake_256(b"noise").digest(600_000)
    url = host.put("/a", gzip.compress(noise), headers={"Content-Encoding": "gzip"})
    async with fetching(host) as fetcher:
        assert (await fetcher.whole(url)).content == noise


async def test_a_bomb_is_not_unpacked(host):
    """A thousandth of what it unpacks to came in; no more than was asked for comes out."""
    bomb = gzip.compress(bytes(50_000_000))
    assert len(bomb) < 50_000
    url = host.put("/a", bomb, headers={"Content-Encoding": "gzip"}, ranges=False)
    async with fetching(host, max_bytes=100_000) as fetcher:
        assert (await fetcher.get(url, most_bytes=100)).content == bytes(100)
        assert (await refusal(fetcher.whole(url))).code == "too_large"


async def test_a_packed_medium_that_is_cut_is_broken(host):
    """The end of the connection is not the end of the medium."""
    url = host.put("/a", gzip.compress(PICTURE)[:-20], headers={"Content-Encoding": "gzip"})
    async with fetching(host) as fetcher:
        failure = await refusal(fetcher.whole(url))
    assert (failure.error_class, failure.code) == ("network", "broken")


@pytest.mark.parametrize(
    ("coding", "content"),
    [("br", PICTURE), ("zstd", PICTURE), ("gzip, gzip", PICTURE), ("gzip", b"no gzip"), ("deflate", b"no deflate")],
)
async def test_what_cannot_be_unpacked_is_refused(host, coding, content):
    """It was asked for as it is."""
    url = host.put("/a", content, headers={"Content-Encoding": coding}, ranges=False)
    async with fetching(host) as fetcher:
        failure = await refusal(fetcher.whole(url))
    assert (failure.error_class, failure.code) == ("media", "encoded")
    assert failure.message.startswith(url)


# Hosts that keep media from machines


@pytest.mark.parametrize(
    ("robots", "word"),
    [
        (["noai"], "noai"),
        (["NoImageAI"], "noimageai"),
        (["noindex, noai"], "noai"),
        (["noindex", "all, noimageai"], "noimageai"),
        (["mediascribe: noai"], "noai"),
        (["mediascribe: none"], "none"),
        (["mediascribe: nofollow, noindex"], "noindex"),
        (["*: noai"], "noai"),
        (["unavailable_after: 25 Jun 2010 15:00:00 PST, noai"], "noai"),
        (["unavailable_after: Fri, 25 Jun 2010 15:00:00 GMT, noai"], "noai"),
        (["max-snippet:20, noai"], "noai"),
        ([], None),
        ([""], None),
        (["noindex, nofollow, none"], None),
        (["otherbot: noai"], None),
        (["otherbot: noindex, noai"], None),
        (["otherbot: noai", "all"], None),
        (["noaid, no ai"], None),
    ],
)
def test_words_that_keep_a_medium_from_us(robots, word):
    """Those meant for every machine that learns, and those that name us."""
    assert opt_out(robots) == word


async def test_a_medium_that_is_kept_from_machines_is_not_read(host):
    """Unless the job says that it may be."""
    url = host.put("/a", PICTURE, headers={"X-Robots-Tag": "noai"})
    async with fetching(host) as fetcher:
        failure = await refusal(fetcher.get(url, most_bytes=100))
    assert (failure.error_class, failure.code) == ("media", "opted_out")
    assert "opt_out = false" in failure.message
    async with fetching(host, opt_out=False) as fetcher:
        assert (await fetcher.whole(url)).content == PICTURE
