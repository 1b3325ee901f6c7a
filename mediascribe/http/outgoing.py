"""Outgoing: a request as the bytes that leave.

What is the same for many requests is encoded once (`head_of`). Names and values are checked there: nothing that comes
from outside can end a line and begin a header of its own (RFC 9110 5.5, RFC 9112 3.2).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from mediascribe.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from mediascribe.http.origin import Origin

_METHOD = re.compile(r"[A-Z]+")
_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_VALUE = re.compile(r"[\t\x20-\x7e\x80-\xff]*")
_FRAMING: Final = frozenset({"host", "content-length", "transfer-encoding", "connection"})
_WITHOUT_BODY: Final = frozenset({"GET", "HEAD"})


@dataclass(frozen=True, slots=True)
class Outgoing:
    """One request: the head up to its length, and the body; `length` says whether a length is told."""

    head: bytes
    body: bytes
    tells_length: bool = True

    @property
    def opening(self) -> bytes:
        """Everything before the body."""
        return (
            b"%bcontent-length: %d\r\n\r\n" % (self.head, len(self.body)) if self.tells_length else self.head + b"\r\n"
        )


def head_of(method: str, origin: Origin, target: str, headers: Iterable[tuple[str, str]]) -> bytes:
    """The request line and all headers but the length; Host and what frames the message are ours alone.

    Raises:
        ConfigError: a name or a value cannot stand in a header. The message has the name only.
    """
    if not _METHOD.fullmatch(method):
        raise ConfigError("a method is a word in capitals")
    lines = [f"{method} {target} HTTP/1.1", f"host: {origin.authority}"]
    for name, value in headers:
        if not _TOKEN.fullmatch(name):
            raise ConfigError(f"{name!r} cannot be the name of a header")
        if not _VALUE.fullmatch(value):
            raise ConfigError(
                f"the value of the header `{name}` has characters that cannot stand in one line of a header"
            )
        if name.lower() not in _FRAMING:
            lines.append(f"{name}: {value}")
    return "\r\n".join((*lines, "")).encode("latin-1")
