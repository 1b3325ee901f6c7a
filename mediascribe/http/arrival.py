"""Arrival: an answer from its bytes.

llhttp (through httptools) finds the parts; this module keeps what is wanted and bounds the rest: no answer takes more
memory than *most_bytes*, as it comes and unpacked. Rules of this file:

- Interim answers (1xx) are passed over. An answer without a length ends where the connection does, and only there.
- gzip and deflate are unpacked as they come; other codings were not accepted, so they are an error.
- Callbacks never raise: they note what is wrong, and `feed` raises it.
"""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING, Final

import httptools

from mediascribe.domain import Failure
from mediascribe.errors import InDoubtError, PermanentError

if TYPE_CHECKING:
    from collections.abc import Callable

    from mediascribe.domain import ErrorClass
    from mediascribe.errors import AttemptError

ACCEPTED: Final = "gzip, deflate"
_CODINGS: Final = {b"gzip": 31, b"x-gzip": 31, b"deflate": zlib.MAX_WBITS}
_MOST_HEAD_BYTES: Final = 2**16
_FRAME_BYTES: Final = 2  # of zlib, by which it is known
_OK: Final = 200
_BROKE: Final = "the connection broke before the whole answer was there"


class Arrival:
    """One answer on its way in; when `is_complete`, `status`, `headers` and `body` are the answer."""

    __slots__ = (
        "_body",
        "_error",
        "_head",
        "_inflater",
        "_is_framed",
        "_most",
        "_parser",
        "_room",
        "_wire",
        "has_begun",
        "is_complete",
        "keeps_alive",
        "status",
    )

    def __init__(self, most_bytes: int) -> None:
        """Expect an answer of at most *most_bytes*."""
        self._parser: httptools.HttpResponseParser | None = httptools.HttpResponseParser(self)
        self._head: list[tuple[bytes, bytes]] = []
        self._body: list[bytes] = []
        self._inflater: _Inflater | None = None
        self._error: AttemptError | None = None
        self._most = self._room = most_bytes
        self._wire = 0
        self._is_framed = False
        self.has_begun = self.is_complete = self.keeps_alive = False
        self.status = 0

    @property
    def body(self) -> bytes:
        """The body, unpacked."""
        return self._body[0] if len(self._body) == 1 else b"".join(self._body)

    def headers(self, kept: Callable[[bytes], str | None]) -> dict[str, str]:
        """The headers that *kept* has a name for; several of one name are joined by commas."""
        found: dict[str, str] = {}
        for raw, value in self._head:
            name = kept(raw)
            if name is not None:
                text = value.decode("latin-1")
                found[name] = f"{found[name]}, {text}" if name in found else text
        return found

    @property
    def raw_headers(self) -> list[tuple[bytes, bytes]]:
        """Every header as it came, in order."""
        return self._head

    def feed(self, data: bytes) -> None:
        """Take the next bytes.

        Raises:
            InDoubtError: they are no HTTP, or cannot be unpacked.
            PermanentError: the answer is longer than it may be.
        """
        if self._parser is None:  # something came behind the answer
            self.keeps_alive = False
            return
        self._wire += len(data)
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade) as error:
            self.keeps_alive = False
            if not self.is_complete:
                self._fail(_in_doubt("network", f"the gateway answered with what is no HTTP: {error}"))
        # Twice the body is room for what frames it, and for trailers; a head without end is cut off sooner.
        if self._wire > (2 * self._most + _MOST_HEAD_BYTES if self.has_begun else _MOST_HEAD_BYTES):
            self._fail(self._too_long())
        if self.is_complete or self._error:
            self._parser = None  # they hold each other
        if self._error:
            raise self._error

    def end(self) -> None:
        """The connection was closed; an answer without a length is complete now.

        Raises:
            InDoubtError: the answer is not whole.
        """
        self.keeps_alive = False
        if self.is_complete:
            return
        if self.has_begun and not self._is_framed:
            self.on_message_complete()
        self._parser = None
        if self._error:
            raise self._error
        if not self.is_complete:
            raise _in_doubt("network", _BROKE)

    def on_message_begin(self) -> None:
        """Called by the parser; anything behind the answer spoils the connection."""
        if self.is_complete:
            self.keeps_alive = False

    def on_header(self, name: bytes, value: bytes) -> None:
        """Called by the parser; trailers are not wanted."""
        if not self.has_begun:
            self._head.append((name, value))

    def on_headers_complete(self) -> None:
        """Called by the parser."""
        parser = self._parser
        if parser is None or self.is_complete:
            return
        self.status = parser.get_status_code()
        if self.status < _OK:
            self._head.clear()
            return
        self.has_begun = True
        self.keeps_alive = parser.should_keep_alive()
        self._read_framing({name.lower(): value for name, value in self._head})

    def _read_framing(self, head: dict[bytes, bytes]) -> None:
        length = head.get(b"content-length", b"0")
        self._is_framed = b"content-length" in head or b"transfer-encoding" in head
        if int(length) > self._most:
            self._fail(self._too_long())
        coding = head.get(b"content-encoding", b"identity").strip().lower()
        if coding in _CODINGS:
            self._inflater = _Inflater(_CODINGS[coding])
        elif coding not in {b"identity", b""}:
            name = coding[:8].decode("latin-1")  # never more of what a stranger wrote
            self._fail(_in_doubt("malformed", f"the answer is packed as {name!r}, which was not asked for"))

    def on_body(self, data: bytes) -> None:
        """Called by the parser."""
        if self._error or self.is_complete:
            return
        if self._inflater:
            try:
                data = self._inflater.feed(data, self._room + 1)
            except zlib.error as error:
                self._fail(_in_doubt("malformed", f"the answer cannot be decompressed: {error}"))
                return
        self._room -= len(data)
        if self._room < 0:
            self._fail(self._too_long())
        else:
            self._body.append(data)

    def on_message_complete(self) -> None:
        """Called by the parser."""
        if not self.has_begun or self._error:
            return
        if self._inflater and not self._inflater.is_whole:
            self._fail(_in_doubt("malformed", "the answer cannot be decompressed: its end is missing"))
            return
        self.is_complete = True

    def _fail(self, error: AttemptError) -> None:
        self._error = self._error or error
        self.keeps_alive = False

    def _too_long(self) -> PermanentError:
        message = f"the answer is longer than {self._most:,} bytes"
        return PermanentError(Failure(error_class="oversize", message=message))


class _Inflater:
    """A packed body, unpacked piece by piece."""

    __slots__ = ("_first", "_packed", "_window")

    def __init__(self, window: int) -> None:
        self._window, self._first = window, b""
        self._packed = zlib.decompressobj(window)

    @property
    def is_whole(self) -> bool:
        """Whether the packed data has ended, or never began."""
        return self._packed.eof or not self._first

    def feed(self, data: bytes, most_bytes: int) -> bytes:
        """What *data* unpacks to; at *most_bytes* the rest is dropped, since the answer is too long then."""
        first = self._first
        if len(first) < _FRAME_BYTES:
            self._first += data[:_FRAME_BYTES]
        try:
            return self._packed.decompress(data, most_bytes)
        except zlib.error:
            if self._window != zlib.MAX_WBITS or len(first) >= _FRAME_BYTES:
                raise
            self._packed = zlib.decompressobj(-zlib.MAX_WBITS)  # some servers leave out deflate's own frame
            return self._packed.decompress(first + data, most_bytes)


def _in_doubt(error_class: ErrorClass, message: str) -> InDoubtError:
    return InDoubtError(Failure(error_class=error_class, message=message))
