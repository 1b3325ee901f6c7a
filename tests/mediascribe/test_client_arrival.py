"""An answer is read from its bytes: whole or not at all, and bounded however it is packed."""

import gzip
import zlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mediascribe.errors import AttemptError, InDoubtError, PermanentError
from mediascribe.http import Arrival

HEAD = b"HTTP/1.1 200 OK\r\n"
CHUNKED = HEAD + b"transfer-encoding: chunked\r\n\r\n3\r\nabc\r\n2;x=y\r\nde\r\n0\r\nX-Trailer: t\r\n\r\n"


def answered(*pieces, most=1000, end=False):
    arrival = Arrival(most)
    for piece in pieces:
        arrival.feed(piece)
    if end:
        arrival.end()
    return arrival


def packed(body, coding):
    return HEAD + b"content-encoding: %b\r\ncontent-length: %d\r\n\r\n%b" % (coding, len(body), body)


@given(cuts=st.sets(st.integers(1, len(CHUNKED) - 1)))
@settings(max_examples=50, deadline=None)
def test_how_an_answer_is_cut_changes_nothing(cuts):
    """TCP has no messages."""
    ends = [*sorted(cuts), len(CHUNKED)]
    arrival = answered(*(CHUNKED[start:end] for start, end in zip([0, *ends], ends, strict=False)))
    assert (arrival.is_complete, arrival.keeps_alive, arrival.status, arrival.body) == (True, True, 200, b"abcde")
    assert arrival.raw_headers == [(b"transfer-encoding", b"chunked")]


def test_headers_have_one_value_a_name():
    """Names as the caller knows them, repeated ones joined, bytes beyond ASCII as Latin-1."""
    arrival = answered(HEAD + b"X-A: 1\r\nServer: n\r\nx-a: \xe9\r\ncontent-length: 0\r\n\r\n")
    assert arrival.headers(lambda name: "x-a" if name.lower() == b"x-a" else None) == {"x-a": "1, é"}


@pytest.mark.parametrize("interim", [b"100 Continue", b"103 Early Hints"])
def test_an_interim_answer_is_passed_over(interim):
    """The answer is the one behind it."""
    arrival = answered(b"HTTP/1.1 %b\r\nlink: x\r\n\r\n" % interim, HEAD + b"content-length: 1\r\n\r\n!")
    assert (arrival.status, arrival.body, arrival.raw_headers) == (200, b"!", [(b"content-length", b"1")])


def test_an_answer_without_a_length_ends_with_the_connection():
    """So HTTP/1.0 does it, and so do some proxies."""
    arrival = answered(HEAD + b"\r\n", b"all of it")
    assert not arrival.is_complete
    arrival.end()
    assert (arrival.is_complete, arrival.keeps_alive, arrival.body) == (True, False, b"all of it")


@pytest.mark.parametrize(
    "reply",
    [b"", HEAD, HEAD + b"content-length: 9\r\n\r\n12345678", CHUNKED[:-2], b"HTTP/1.1 100 Continue\r\n\r\n"],
    ids=["nothing", "half a head", "half a body", "no last chunk", "interim only"],
)
def test_a_cut_answer_is_none(reply):
    """What was sent may have been billed."""
    with pytest.raises(InDoubtError, match="the connection broke") as caught:
        answered(reply, end=True)
    assert caught.value.failure.error_class == "network"


@pytest.mark.parametrize("status", [b"204 No Content", b"304 Not Modified"])
def test_some_answers_have_no_body(status):
    """They are complete with their head."""
    assert answered(b"HTTP/1.1 %b\r\n\r\n" % status).is_complete


@pytest.mark.parametrize(
    ("coding", "body"),
    [
        (b"gzip", gzip.compress(b"text")),
        (b"X-GZIP", gzip.compress(b"text")),
        (b"deflate", zlib.compress(b"text")),
        (b"deflate", zlib.compress(b"text")[2:-4]),
        (b"identity", b"text"),
    ],
    ids=["gzip", "x-gzip", "deflate", "bare deflate", "identity"],
)
def test_what_was_accepted_is_unpacked(coding, body):
    """Byte by byte or at once."""
    reply = packed(body, coding)
    assert answered(reply).body == b"text"
    assert answered(*(reply[at : at + 1] for at in range(len(reply)))).body == b"text"


@pytest.mark.parametrize(
    ("coding", "body", "said"),
    [
        (b"gzip", gzip.compress(b"text")[:-9], "its end is missing"),
        (b"gzip", b"text", "cannot be decompressed"),
        (b"deflate", zlib.compress(b"text")[:2] + b"\xff" * 9, "cannot be decompressed"),
        (b"br", b"text", "packed as 'br'"),
        (b"gzip, gzip", gzip.compress(gzip.compress(b"text")), "was not asked for"),
    ],
    ids=["cut", "no gzip", "broken", "br", "twice"],
)
def test_what_cannot_be_unpacked_is_in_doubt(coding, body, said):
    """Not even in part."""
    with pytest.raises(InDoubtError, match=said) as caught:
        answered(packed(body, coding))
    assert caught.value.failure.error_class == "malformed"


def test_a_packed_answer_without_a_length_has_an_end_of_its_own():
    """So a cut one is found even there."""
    reply = HEAD + b"content-encoding: gzip\r\n\r\n" + gzip.compress(b"text")
    assert answered(reply, end=True).body == b"text"
    with pytest.raises(InDoubtError, match="its end is missing"):
        answered(reply[:-1], end=True)


def test_an_empty_answer_may_be_called_packed():
    """Nothing is nothing."""
    assert answered(packed(b"", b"gzip")).body == b""


@pytest.mark.parametrize(
    "reply",
    [
        HEAD + b"content-length: 1001\r\n\r\n",
        HEAD + b"\r\n" + b"x" * 1001,
        HEAD + b"transfer-encoding: chunked\r\n\r\n" + b"1\r\nx\r\n" * 1001,
        packed(gzip.compress(bytes(10**6)), b"gzip"),
        HEAD + b"x: " + b"y" * 70_000,
        CHUNKED[:-2] + b"X: " + b"y" * 70_000,
    ],
    ids=["announced", "without a length", "chunks", "a bomb", "a head", "trailers"],
)
def test_an_answer_is_cut_off_at_the_limit(reply):
    """Whatever way it is long."""
    with pytest.raises(PermanentError, match="longer than 1,000 bytes") as caught:
        answered(*(reply[at : at + 1000] for at in range(0, len(reply), 1000)))
    assert caught.value.failure.error_class == "oversize"


def test_an_answer_of_just_the_limit_is_whole():
    """Packed or not."""
    assert len(answered(packed(gzip.compress(bytes(1000)), b"gzip")).body) == 1000
    assert len(answered(HEAD + b"content-length: 1000\r\n\r\n" + bytes(1000)).body) == 1000


@pytest.mark.parametrize(
    "reply",
    [
        b"220 mail.example.com ESMTP\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-length: 1\r\ntransfer-encoding: chunked\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-length: -1\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: h2c\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nx\x00: y\r\n\r\n",
    ],
    ids=["mail", "two lengths", "two of one", "negative", "no chunk", "upgrade", "NUL"],
)
def test_what_is_no_http_is_in_doubt(reply):
    """Where the answer ends would be guessed."""
    with pytest.raises(InDoubtError, match="no HTTP") as caught:
        answered(reply)
    assert caught.value.failure.error_class == "network"


@pytest.mark.parametrize("surplus", [b"x", HEAD, HEAD + b"content-length: 1\r\n\r\n!"])
@pytest.mark.parametrize("together", [True, False])
def test_more_than_one_answer_spoils_the_connection(surplus, together):
    """The first stands, and nothing else is taken for the answer to the next request."""
    reply = HEAD + b"content-length: 2\r\n\r\n{}"
    arrival = answered(reply + surplus) if together else answered(reply, surplus)
    assert (arrival.is_complete, arrival.keeps_alive, arrival.body) == (True, False, b"{}")


@pytest.mark.parametrize(
    ("reply", "keeps_alive"),
    [
        (HEAD + b"content-length: 0\r\n\r\n", True),
        (HEAD + b"content-length: 0\r\nConnection: close\r\n\r\n", False),
        (b"HTTP/1.0 200 OK\r\ncontent-length: 0\r\n\r\n", False),
        (b"HTTP/1.0 200 OK\r\ncontent-length: 0\r\nconnection: keep-alive\r\n\r\n", True),
    ],
)
def test_the_answer_says_whether_the_connection_goes_on(reply, keeps_alive):
    """By its version and its header (RFC 9112 9.3)."""
    assert answered(reply).keeps_alive is keeps_alive


def test_the_end_of_the_connection_ends_its_use():
    """Even behind a whole answer."""
    assert not answered(HEAD + b"content-length: 0\r\n\r\n", end=True).keeps_alive


PIECES = st.one_of(
    st.binary(max_size=30),
    st.sampled_from([HEAD, b"\r\n", b"content-length: 5\r\n", b"transfer-encoding: chunked\r\n", b"5\r\nabcde\r\n"]),
    st.sampled_from(
        [b"0\r\n\r\n", b"content-encoding: gzip\r\n", gzip.compress(bytes(5000)), b"HTTP/1.1 100 C\r\n\r\n"]
    ),
)


@pytest.mark.wide
@given(pieces=st.lists(PIECES, max_size=12), end=st.booleans())
@settings(max_examples=300, deadline=None)
def test_no_bytes_break_the_reader(pieces, end):
    """They are an answer within its limit, the beginning of one, or an error of ours."""
    arrival = Arrival(100)
    try:
        for piece in pieces:
            arrival.feed(piece)
        if end:
            arrival.end()
    except AttemptError:
        assert not arrival.keeps_alive
    assert len(arrival.body) <= 100
