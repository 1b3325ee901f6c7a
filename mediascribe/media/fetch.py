"""Fetch: the bytes of a medium, or as many of them as are asked for, from hosts that nobody vouches for.

Each host is asked at its own pace (`hosts`), through a door that opens to public addresses only (`door`). Redirects
are followed by hand and checked like the first URL. No more of a body is kept than was asked for, and none of one that
its host keeps from machines (`X-Robots-Tag`). What fails in a way that may pass is tried once more.
"""

from __future__ import annotations

import asyncio
from contextlib import contextmanager
from dataclasses import dataclass, replace
from http import HTTPStatus
from types import MappingProxyType
from typing import TYPE_CHECKING, Final, Self
from urllib.parse import urljoin

import aiohttp
from yarl import URL

from mediascribe.domain import Failure
from mediascribe.errors import MediaError
from mediascribe.media import body
from mediascribe.media.door import Door
from mediascribe.media.hosts import DOWN, TRANSIENT, Hosts
from mediascribe.media.url import refused, shown
from mediascribe.redact import canonical_url, redact_text
from mediascribe.wire.faults import wait_s

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Collection, Iterator

    from mediascribe.domain import ErrorClass
    from mediascribe.job_sections import MediaSection
    from mediascribe.media.guard import Guard
    from mediascribe.media.hosts import Turn
    from mediascribe.media.url import Target

_AGAIN_S: Final = 0.5
_MESSAGE_LENGTH: Final = 200
_REDIRECTS: Final = frozenset({301, 302, 303, 307, 308})
_FORBIDDEN: Final = frozenset({401, 402, 403, 407, 451})
_PAUSES_S: Final = MappingProxyType({429: 5.0, 503: 0.0})  # where no Retry-After says how long


@dataclass(frozen=True, slots=True, kw_only=True)
class Fetched:
    """What a host gave of a medium.

    `url` is where it was in the end; `content` begins at byte `start`, which is 0 where the host takes no ranges, and
    is `whole` if nothing is missing; `total_bytes` is the length of the medium, `content_type` what the host calls it;
    `validator` is equal for the same bytes only.
    """

    url: str
    content: bytes
    start: int = 0
    whole: bool
    total_bytes: int | None
    content_type: str | None
    validator: str | None


class Fetcher:
    """Connections to the hosts of media. An async context manager; belongs to one event loop."""

    def __init__(
        self,
        section: MediaSection,
        guard: Guard,
        *,
        hosts: Hosts | None = None,
        lookup: Callable[[str], Collection[str]] | None = None,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        """Prepare; *lookup* gives the addresses of a host, in a thread: the system's, without one."""
        self._section, self._guard, self._sleep = section, guard, sleep
        self._hosts, self._lookup = Hosts(section) if hosts is None else hosts, lookup

    async def __aenter__(self) -> Self:
        self._door = Door(self._guard, self._lookup)
        self._session = self._door.session()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._session.close()
        await self._door.close()

    async def get(self, url: str, *, most_bytes: int, start: int = 0) -> Fetched:
        """The bytes of *url* from *start* on, at most so many; a host that takes no ranges gives its first ones.

        Raises:
            MediaError: of class `media` where a later look would find the same, else of one in `hosts.TRANSIENT`.
        """
        return await self._fetched(url, _Wanted(start=start, most=most_bytes, ranged=True))

    async def whole(self, url: str) -> Fetched:
        """All of *url*; raises like `get`, and `too_large` where that is more than `max_bytes`."""
        return await self._fetched(url, _Wanted(start=0, most=self._section.max_bytes, ranged=False))

    async def _fetched(self, url: str, wanted: _Wanted) -> Fetched:
        """Try twice where the first failure may pass."""
        try:
            return await self._followed(url, wanted)
        except MediaError as error:
            if error.failure.error_class not in TRANSIENT or error.failure.code == DOWN:
                raise
            first = error
        await self._sleep(_AGAIN_S)
        try:
            return await self._followed(url, wanted, again=True)
        except MediaError as error:
            raise (first if error.failure.code == DOWN else error) from None

    async def _followed(self, url: str, wanted: _Wanted, *, again: bool = False) -> Fetched:
        """Follow redirects; the time in line at a host does not count."""
        seen, left_s, clock = [self._guard.target(url)], self._section.timeout_s, asyncio.get_running_loop().time
        while True:
            with _led_on(seen):
                async with self._hosts.turn(seen[-1].host, again=again) as turn:
                    began_s = clock()
                    answer = await self._asked(seen[-1], wanted, turn, left_s)
                    left_s -= clock() - began_s
            if isinstance(answer, Fetched):
                return answer
            seen.append(self._next(answer, seen))

    def _next(self, location: str, seen: list[Target]) -> Target:
        """Where a redirect to *location* leads, if it may be followed."""
        first = shown(seen[0].url)
        try:
            target = self._guard.target(location)
        except MediaError as error:
            raise _because(error, f"{first} leads on to") from None
        if target.scheme == "http" and seen[-1].scheme == "https":
            raise refused("redirects", f"{first} leads from https to http, to {shown(target.url)}")
        if target in seen:
            raise refused("redirects", f"{first} leads in a circle, by {shown(target.url)}")
        if len(seen) > self._section.redirects:
            raise refused("redirects", f"{first} leads on further than [media] redirects = {self._section.redirects}")
        return target

    async def _asked(self, target: Target, wanted: _Wanted, turn: Turn, left_s: float) -> Fetched | str:
        """The answer to one request; a string is where it leads on to."""
        try:
            async with asyncio.timeout(left_s), await self._opened(target, wanted) as response:
                return await self._received(response, target, wanted, turn)
        except TimeoutError:
            message = f"{shown(target.url)} was not there within {self._section.timeout_s:g} s"
            raise _failed("timeout", "timeout", message) from None
        except aiohttp.ClientError as error:
            raise _unanswered(error, target) from None

    async def _opened(self, target: Target, wanted: _Wanted) -> aiohttp.ClientResponse:
        """The answer as soon as it begins."""
        visit, url = self._door.visit(target.host), URL(target.url, encoded=True)
        try:
            return await self._session.get(url, headers=wanted.headers, allow_redirects=False)
        except (MediaError, aiohttp.ClientError) as error:
            refusal = error if isinstance(error, MediaError) else visit.refused
            if refusal is None:
                raise
            raise _because(refusal, f"{shown(target.url)}:") from None

    async def _received(
        self, response: aiohttp.ClientResponse, target: Target, wanted: _Wanted, turn: Turn
    ) -> Fetched | str:
        status, headers = response.status, response.headers
        if status in _REDIRECTS:
            return _location(response, target)
        if status in _PAUSES_S:
            told_s = wait_s(headers, limited=False)
            turn.told_to_wait(_PAUSES_S[status] if told_s is None else told_s)
        if status == HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE and wanted.ranged:
            return _beyond(response, target, wanted)
        if status not in {HTTPStatus.OK, HTTPStatus.PARTIAL_CONTENT}:
            raise _unusable(status, target)
        if self._section.opt_out and (word := body.opt_out(headers.getall("X-Robots-Tag", ()))):
            meant = f"its host says X-Robots-Tag: {word}; [media] opt_out = false takes it all the same"
            raise refused("opted_out", f"{shown(target.url)}: {meant}")
        return await _content(response, target, wanted)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Wanted:
    """Which bytes to ask for."""

    start: int
    most: int
    ranged: bool

    @property
    def headers(self) -> dict[str, str]:
        return {"range": f"bytes={self.start}-{self.start + self.most - 1}"} if self.ranged else {}


async def _content(response: aiohttp.ClientResponse, target: Target, wanted: _Wanted) -> Fetched:
    """What is wanted of the body of a good answer."""
    start, total = body.extent(response)
    start = 0 if start is None and wanted.start == 0 else start
    if start is None or start not in {0, wanted.start}:
        raise _failed("network", "broken", f"{shown(target.url)}: its host sent other bytes than it was asked for")
    if not wanted.ranged and total is not None and total > wanted.most:
        raise _too_large(target, wanted, total)
    content, ended = await body.read(response, wanted.most)
    if ended and response.status == HTTPStatus.OK:
        total = len(content)
    found = _found(response, target, content, start, total)
    if not (found.whole or wanted.ranged):
        if len(content) == wanted.most:
            raise _too_large(target, wanted, None)
        raise _failed("network", "broken", f"{shown(target.url)} ended before all of it was there")
    return found


def _beyond(response: aiohttp.ClientResponse, target: Target, wanted: _Wanted) -> Fetched:
    """There is nothing from the wanted start on; where that is the first byte, the medium is empty."""
    total = body.extent(response)[1] if wanted.start else 0
    return _found(response, target, b"", wanted.start, total)


def _found(response: aiohttp.ClientResponse, target: Target, content: bytes, start: int, total: int | None) -> Fetched:
    etag = body.strong_etag(response.headers)
    return Fetched(
        url=target.url,
        content=content,
        start=start,
        whole=start == 0 and len(content) == total,
        total_bytes=total,
        content_type=response.headers.get("Content-Type") or None,
        validator=f"{canonical_url(target.url)} {etag}" if etag else None,
    )


def _location(response: aiohttp.ClientResponse, target: Target) -> str:
    location = response.headers.get("Location", "")
    try:
        leads_to = urljoin(target.url, location)
    except ValueError:
        leads_to = ""
    if not (location and leads_to):
        raise refused("redirects", f"{shown(target.url)} leads on (HTTP {response.status}) to nowhere")
    return leads_to


def _unusable(status: int, target: Target) -> MediaError:
    """The failure for a *status* that brings no medium."""
    said = f"HTTP {status} at {shown(target.url)}"
    if status == HTTPStatus.TOO_MANY_REQUESTS:
        return _failed("rate_limit", "http_429", f"{said}: its host is asked too often", status)
    if status == HTTPStatus.REQUEST_TIMEOUT:
        return _failed("timeout", "http_408", said, status)
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        return _failed("server", f"http_{status}", f"{said}: its host fails", status)
    if status in _FORBIDDEN:
        return _failed("media", "forbidden", f"{said}: it may not be read; has its signature run out?", status)
    return _failed("media", "dead_link", f"{said}: no medium is there", status)


def _too_large(target: Target, wanted: _Wanted, total: int | None) -> MediaError:
    length = "" if total is None else f": {total:,} bytes"
    return refused("too_large", f"{shown(target.url)} is longer than [media] max_bytes = {wanted.most:,}{length}")


def _unanswered(error: aiohttp.ClientError, target: Target) -> MediaError:
    """The failure for a request that no whole answer came to."""
    told = error.os_error.strerror if isinstance(error, aiohttp.ClientConnectorError) else None
    why = redact_text(told or str(error).partition(": <")[0])[:_MESSAGE_LENGTH]
    where = shown(target.url)
    if isinstance(error, aiohttp.ClientConnectorDNSError):
        return _failed("network", "no_host", f"{where}: its host {target.host} has no address: {why}")
    if isinstance(error, aiohttp.ClientConnectorError | aiohttp.ClientSSLError):
        return _failed("network", "no_connection", f"{where}: no connection to its host: {why}")
    if isinstance(error, aiohttp.ClientResponseError):
        return _failed("network", "broken", f"{where}: what its host says is no HTTP, or its head has no end")
    return _failed("network", "broken", f"{where}: the connection broke: {why or type(error).__name__}")


@contextmanager
def _led_on(seen: list[Target]) -> Iterator[None]:
    """Failures at the end of redirects name their beginning, which is what the manifest has."""
    try:
        yield
    except MediaError as error:
        if len(seen) == 1:
            raise
        raise _because(error, f"{shown(seen[0].url)} leads on to") from None


def _because(error: MediaError, context: str) -> MediaError:
    return MediaError(replace(error.failure, message=f"{context} {error.failure.message}"))


def _failed(error_class: ErrorClass, code: str, message: str, http_status: int | None = None) -> MediaError:
    failure = Failure(error_class=error_class, code=code, message=message, http_status=http_status, unasked=True)
    return MediaError(failure)
