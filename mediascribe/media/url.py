"""URL: the one reading of a medium's URL: its host, its port, and what to send.

What is not plain is refused (user info, escapes in the host, `127.1`, two dots at the end), so that no other reader
takes it for another host. The rest stays letter by letter as it was where that is possible: a signature may cover it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address
from typing import Final
from urllib.parse import quote

import idna

from mediascribe.domain import Failure
from mediascribe.errors import MediaError
from mediascribe.redact import redact_url

_DEFAULT_PORTS: Final = {"http": 80, "https": 443}
LAST_PORT: Final = 65_535
_LONGEST_URL: Final = 8_192
_SHOWN_LENGTH: Final = 200
_LONGEST_NAME: Final = 253  # without a dot at the end (RFC 1035)

_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
_SCHEME: Final = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*):(.*)")
_REST: Final = re.compile(r"//([^/?#]+)([^#]*)(?:#.*)?")
_AUTHORITY: Final = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[^\s\[\]@%\\:]+)(?::([0-9]{0,5}))?")
_NOT_SENT: Final = re.compile(r'[^!-~]|[\\"<>]')
_NAME: Final = re.compile(r"[a-z0-9_-]{1,63}(\.[a-z0-9_-]{1,63})*")
_NUMBER_AT_END: Final = re.compile(r"(.*\.)?([0-9]+|0x[0-9a-f]*)")
_NUMBER: Final = re.compile(r"0x[0-9a-f]*|[0-9]+")


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """A URL as it is reached: *host* in lower case, as ASCII or as a plain address; *url* is what to send."""

    scheme: str
    host: str
    port: int
    url: str


class SpelledError(ValueError):
    """A host is an IPv4 address that is not written with four decimal numbers: `address` is what it means."""

    def __init__(self, address: IPv4Address) -> None:
        """Name the plain spelling."""
        super().__init__(f"write it as {address}")
        self.address = address


def read(url: str) -> Target:
    """*url* taken apart, whether or not it may be reached.

    Raises:
        MediaError: it is none that is fetched; `bad_url` or `refused_scheme`.
        SpelledError: its host is an address in another spelling.
    """
    if len(url) > _LONGEST_URL:
        raise bad(url, f"is longer than {_LONGEST_URL:,} letters")
    if _CONTROL.search(url):
        raise bad(url, "has a control character in it")
    named = _SCHEME.fullmatch(url)
    if not named:
        raise bad(url, "is no http(s) URL")
    scheme = named[1].lower()
    if scheme not in _DEFAULT_PORTS:
        raise refused("refused_scheme", f"{shown(url)}: only http and https are fetched")
    rest = _REST.fullmatch(named[2])
    if not rest:
        raise bad(url, "has no host")
    host, port = _place(url, rest[1], _DEFAULT_PORTS[scheme])
    where = place(host, None if port == _DEFAULT_PORTS[scheme] else port)
    path = _NOT_SENT.sub(lambda found: quote(found[0]), rest[2])
    return Target(scheme=scheme, host=host, port=port, url=f"{scheme}://{where}{'' if path[:1] == '/' else '/'}{path}")


def host_of(text: str) -> str:
    """The one spelling of a host, without brackets.

    Raises:
        ValueError: it is none; `SpelledError` where it is an address in another spelling.
    """
    if text[:1] == "[":
        return str(IPv6Address(text[1:-1]))
    if not text.isascii():
        if len(text) > _LONGEST_NAME:
            raise ValueError("no host name")
        text = idna.encode(text, uts46=True).decode("ascii")
    host = text.lower().removesuffix(".")
    if _NUMBER_AT_END.fullmatch(host):
        address = _any_ipv4(host)
        if str(address) != host:
            raise SpelledError(address)
    elif len(host) > _LONGEST_NAME or not _NAME.fullmatch(host):
        raise ValueError("no host name")
    return host


def place(host: str, port: int | None) -> str:
    """*host* and *port*, if there is one, as a URL has them."""
    where = f"[{host}]" if ":" in host else host
    return where if port is None else f"{where}:{port}"


def shown(url: str) -> str:
    """*url* for a message: without secrets, in one line, cut where it is long."""
    text = _CONTROL.sub("\ufffd", redact_url(url[:_LONGEST_URL]))
    return text if len(text) <= _SHOWN_LENGTH else f"{text[:_SHOWN_LENGTH]}..."


def refused(code: str, message: str) -> MediaError:
    """The error for a medium that is not asked for, however often it is looked at."""
    return MediaError(Failure(error_class="media", code=code, message=message, unasked=True))


def bad(url: str, why: str) -> MediaError:
    """The error for a *url* that cannot be read."""
    return refused("bad_url", f"{shown(url)} {why}")


def _place(url: str, authority: str, default_port: int) -> tuple[str, int]:
    if "@" in authority:
        raise bad(url, "has a user name in it: those are not sent, take it out")
    found = _AUTHORITY.fullmatch(authority)
    if not found:
        raise bad(url, "has a host that is none")
    port = int(found[2] or default_port)
    if not 1 <= port <= LAST_PORT:
        raise bad(url, f"has a port that is none: 1 to {LAST_PORT:,} are")
    try:
        return host_of(found[1]), port
    except SpelledError:
        raise
    except ValueError:
        raise bad(url, "has a host that is none") from None


def _any_ipv4(host: str) -> IPv4Address:
    """The address that *host* is in any spelling that readers of URLs know: 127.1, 0x7f000001, 017700000001.

    The rules are those of the URL standard (WHATWG, "IPv4 parser").
    """
    parts = host.split(".")
    if len(parts) > 4 or not all(_NUMBER.fullmatch(part) for part in parts):  # noqa: PLR2004 - four bytes
        raise ValueError("no address")
    *first, last = [_any_integer(part) for part in parts]
    if last >= 256 ** (4 - len(first)) or any(number > 255 for number in first):  # noqa: PLR2004 - the largest byte
        raise ValueError("no address")
    return IPv4Address(last + sum(number * 256 ** (3 - at) for at, number in enumerate(first)))


def _any_integer(text: str) -> int:
    if text[:2] == "0x":
        return int(text[2:] or "0", 16)
    return int(text, 8 if text[0] == "0" else 10)
