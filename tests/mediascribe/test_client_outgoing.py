"""A request becomes bytes: exactly those that were meant, whatever stands in its values."""

import contextlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mediascribe.errors import ConfigError
from mediascribe.http import Origin, Outgoing, head_of, origin_of

ORIGIN = Origin(scheme="https", host="api.example.com", port=443)


@pytest.mark.parametrize(
    ("url", "host", "port", "authority", "target"),
    [
        ("https://api.example.com/v1", "api.example.com", 443, "api.example.com", "/v1"),
        ("http://API.example.com:8080", "api.example.com", 8080, "api.example.com:8080", "/"),
        ("http://[::1]:80/v1?a=b#c", "::1", 80, "[::1]", "/v1?a=b"),
        ("https://[::1]:80/", "::1", 80, "[::1]:80", "/"),
        ("https://bücher.example/v1", "xn--bcher-kva.example", 443, "xn--bcher-kva.example", "/v1"),
        ("https://user:word@h/v1", "h", 443, "h", "/v1"),
    ],
)
def test_an_address_has_an_origin_and_a_target(url, host, port, authority, target):
    """The usual port is not told, IPv6 stands in brackets, names are as DNS knows them (RFC 9110 7.2)."""
    origin, found = origin_of(url)
    assert (origin.host, origin.port, origin.authority, found) == (host, port, authority, target)


@pytest.mark.parametrize(
    "url",
    [
        *("ftp://h/", "//h/v1", "http:///v1", "http://h:99999/", "http://[::1/", "http://a b/"),
        *("http://h/a b", "http://h/\x00", "http://h/ü", f"https://{'ü' * 70}.example/"),
    ],
)
def test_an_address_that_cannot_be_asked_is_refused(url):
    """Before anything is sent; the message does not quote it."""
    with pytest.raises(ConfigError) as caught:
        origin_of(url)
    assert url not in str(caught.value)


def test_a_request_is_these_bytes():
    """Host first, then what the caller says, then the length."""
    head = head_of("POST", ORIGIN, "/v1/x", [("accept", "*/*"), ("x-team", "é")])
    assert Outgoing(head, b"{}").opening == (
        b"POST /v1/x HTTP/1.1\r\nhost: api.example.com\r\naccept: */*\r\nx-team: \xe9\r\ncontent-length: 2\r\n\r\n"
    )


def test_a_question_without_a_body_tells_no_length():
    """As GET has it."""
    assert Outgoing(b"GET / HTTP/1.1\r\n", b"", tells_length=False).opening == b"GET / HTTP/1.1\r\n\r\n"


@pytest.mark.parametrize("name", ["Host", "content-length", "Transfer-Encoding", "CONNECTION"])
def test_what_frames_the_message_is_ours(name):
    """A second length would let the two ends disagree about where a request ends (RFC 9112 11.2)."""
    assert name.lower().encode() + b": 7" not in head_of("GET", ORIGIN, "/", [(name, "7")]).lower()


@pytest.mark.parametrize("name", ["", "a b", "a:", "a\r\nb", "ä"])
def test_a_name_is_one_word(name):
    """Of the characters that RFC 9110 5.6.2 allows."""
    with pytest.raises(ConfigError, match="name of a header"):
        head_of("GET", ORIGIN, "/", [(name, "x")])


def test_a_method_is_one_word():
    """In capitals."""
    with pytest.raises(ConfigError, match="method"):
        head_of("GET /other HTTP/1.1\r\n", ORIGIN, "/", [])


@pytest.mark.parametrize("value", ["secret\r\nx: y", "secret\nx", "secret\r", "secret\0", "secret€"])
def test_a_value_that_would_leave_its_line_is_refused(value):
    """The message names the header, and does not quote it."""
    with pytest.raises(ConfigError, match="`x-a`") as caught:
        head_of("GET", ORIGIN, "/", [("x-a", value)])
    assert "secret" not in str(caught.value)


@given(value=st.text(st.characters(max_codepoint=255), max_size=20))
@settings(max_examples=100, deadline=None)
def test_a_value_stays_in_its_line(value):
    """Or it is refused."""
    with contextlib.suppress(ConfigError):
        lines = head_of("GET", ORIGIN, "/", [("x-a", value)]).split(b"\r\n")
        assert lines[2:] == [b"x-a: " + value.encode("latin-1"), b""]
        assert not any(mark in lines[2] for mark in (b"\r", b"\n", b"\0"))
