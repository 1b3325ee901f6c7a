"""Lane: media are looked at, or fetched and made fit, before their row is asked; what cannot be sent costs nothing.

Rules of this file:

- `probe` passes the URL on after a look at its first bytes; `inline` sends the bytes themselves, made fit. What no
  gateway can fetch (files, objects in buckets) is sent inline in any mode.
- Memory holds `bytes_ahead` of media that are fetched or ready: a medium waits until there is room for it.
- A data URL in a manifest is looked at like any other, and made fit in `inline` mode only.
"""

from __future__ import annotations

import asyncio
import hashlib
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from mediascribe.domain import Failure, Media, MediaFacts
from mediascribe.errors import MediaError
from mediascribe.media import fitting
from mediascribe.media.address import is_web
from mediascribe.media.fitness import unfit
from mediascribe.media.look import Looked, look, look_at_ranges, needs_more
from mediascribe.media.magic import magic
from mediascribe.media.prepared import Part, Prepared

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from mediascribe.domain import Request
    from mediascribe.job_sections import MediaSection
    from mediascribe.media.fetch import Fetched
    from mediascribe.media.fitting import Cut
    from mediascribe.media.places import Places
    from mediascribe.media.pool import Pool
    from mediascribe.media.token_rules import Facts
    from mediascribe.models import Model

HEAD_BYTES: Final = 16 * 2**10
_FURTHER_LOOKS: Final = 3
_BESIDE_MEDIA_BYTES: Final = 64 * 2**10  # prompt, schema and the like, of what a request may have


@dataclass(frozen=True, slots=True, kw_only=True)
class _Seen:
    """One medium after the look: what goes out for it, and what is known of it. `sha256` only of whole bytes."""

    cuts: tuple[Cut, ...]
    looked: Looked
    bytes: int | None
    sha256: str | None
    validator: str | None
    held_bytes: int
    fps: float | None = None


class MediaLane:
    """Makes requests ready, for one job and one model. Belongs to one event loop."""

    def __init__(self, section: MediaSection, model: Model | None, dialect: str, places: Places, pool: Pool) -> None:
        """Media come from *places*; what decodes and encodes them runs in *pool*."""
        self._section, self._model, self._dialect = section, model, dialect
        self._places, self._pool = places, pool
        self._room = _Room(section.bytes_ahead)
        self.at_once, self.ahead = section.concurrency, section.look_ahead

    async def prepare(
        self, request: Request, is_streamed: Callable[[Iterable[Media]], bool] = lambda _: False
    ) -> Prepared:
        """*request* with its media as they are sent; *is_streamed* says whether the answer about them comes so.

        Raises:
            MediaError: they cannot be sent.
        """
        seen: list[_Seen] = []
        try:
            for place, media in enumerate(request.media):
                seen.append(await self._medium(media, (place, len(request.media))))
            made = _prepared(request, seen)
        except BaseException:  # whatever ends it, the room is given back
            for one in seen:
                self._room.leave(one.held_bytes)
            raise
        if self._section.mode != "inline":
            return made
        parts = [replace(part, request=_streamed(part.request, is_streamed)) for part in made.parts]
        return replace(made, parts=tuple(parts))

    def release(self, prepared: Prepared) -> None:
        """*prepared* was sent, or never will be: its memory is free."""
        self._room.leave(prepared.held_bytes)

    async def _medium(self, media: Media, order: tuple[int, int]) -> _Seen:
        """One of the media of a row: *order* has its place, and how many there are."""
        found = await self._places.get(media.url, most_bytes=HEAD_BYTES)
        inline = self._section.mode == "inline" or not is_web(media.url, self._section.base_url)
        looked = await self._look(media.url, found)
        problem = unfit(
            looked,
            media.kind,
            model=self._model,
            section=self._section,
            sends_inline=inline,
            total_bytes=found.total_bytes,
            content_type=found.content_type,
            dialect=self._dialect,
        )
        if problem:
            raise MediaError(problem)
        if not inline:
            return self._passed_on(media, found, looked)
        return await self._inlined(media, found, looked, order)

    async def _look(self, url: str, found: Fetched) -> Looked:
        """What the bytes say, after further looks where the first ones do not tell."""
        content, total = found.content, found.total_bytes
        if not found.whole and total is not None and needs_more(content, total):
            loop = asyncio.get_running_loop()

            def read(start: int, length: int) -> bytes:
                if start + length <= len(content):
                    return content[start : start + length]
                asked = self._places.get(url, most_bytes=length, start=start)
                got = asyncio.run_coroutine_threadsafe(asked, loop).result()
                return got.content[start - got.start :]  # a host without ranges gives its first bytes

            return await asyncio.to_thread(look_at_ranges, read, total)
        for _ in range(_FURTHER_LOOKS):
            more = None if found.whole else needs_more(content, total)
            if more is None or more[0] != len(content):
                break
            got = await self._places.get(url, most_bytes=more[1], start=more[0])
            if got.start != more[0]:
                break
            content += got.content
        kind = magic(content[:HEAD_BYTES])
        if kind is None or kind.kind in (None, "image"):
            return look(content, whole=found.whole, total_bytes=total)
        return await asyncio.to_thread(look, content, whole=found.whole, total_bytes=total)

    def _passed_on(self, media: Media, found: Fetched, looked: Looked) -> _Seen:
        """A medium whose URL is sent."""
        sent = fitting.Sent(kind=media.kind, url=media.url, facts=looked.facts())
        return _Seen(
            cuts=(fitting.Cut(sent=(sent,)),),
            looked=looked,
            bytes=found.total_bytes,
            sha256=hashlib.sha256(found.content).hexdigest() if found.whole else None,
            validator=found.validator,
            held_bytes=0,
        )

    async def _inlined(self, media: Media, found: Fetched, looked: Looked, order: tuple[int, int]) -> _Seen:
        """A medium whose bytes are sent; the room is that of the bytes fetched, and then of what is sent of them."""
        size = found.total_bytes or self._section.max_bytes
        held = await self._room.enter(size, waits=order[0] == 0)
        try:
            whole = found if found.whole else await self._places.whole(media.url)
            if whole is not found:
                looked = await self._pool.run(_look_again, whole.content)
            if self._section.mode == "inline" or media.url[:5].lower() != "data:":
                cuts = await self._pool.run(
                    fitting.fit, whole.content, looked, self._model, self._section, self._most_bytes(order[1])
                )
            else:
                cuts = [fitting.Cut(sent=(fitting.Sent(kind=media.kind, url=media.url, facts=looked.facts()),))]
        except BaseException:  # whatever ends it, the room is given back
            self._room.leave(held)
            raise
        made = sum(len(sent.url) for cut in cuts for sent in cut.sent)
        self._room.change(made - held)
        return _Seen(
            cuts=tuple(cuts),
            looked=looked,
            bytes=len(whole.content),
            sha256=hashlib.sha256(whole.content).hexdigest(),
            validator=None,
            held_bytes=made,
            fps=fitting.fps_of(looked, self._model, self._section) if self._section.mode == "inline" else None,
        )

    def _most_bytes(self, count: int) -> int:
        """Of one of *count* media, before base64 makes four bytes of three."""
        return max(1, (self._section.max_body_bytes - _BESIDE_MEDIA_BYTES) * 3 // 4 // count)


def _look_again(content: bytes) -> Looked:
    return look(content, whole=True)


def _prepared(request: Request, seen: Sequence[_Seen]) -> Prepared:
    """*request* with what was *seen* of its media; in parts where one of them is cut into pieces.

    Raises:
        MediaError: several media, one of them in pieces: nobody could say which piece belongs to which other medium.
    """
    parts: list[Part] = []
    if len(seen) == 1:
        (one,) = seen
        parts = [Part(request=_with(request, (cut,), one.fps), each=_each((cut,)), piece=cut.piece) for cut in one.cuts]
    else:
        if any(len(one.cuts) > 1 for one in seen):
            raise MediaError(_several())
        cuts = tuple(one.cuts[0] for one in seen)
        fps = next((one.fps for one in seen if one.fps is not None), None)
        parts = [Part(request=_with(request, cuts, fps), each=_each(cuts))]
    return Prepared(
        parts=tuple(parts),
        facts=_facts(seen),
        content=_content(seen),
        held_bytes=sum(one.held_bytes for one in seen),
    )


def _with(request: Request, cuts: Sequence[Cut], fps: float | None) -> Request:
    media = tuple(Media(kind=sent.kind, url=sent.url) for cut in cuts for sent in cut.sent)
    return replace(request, media=media, fps=fps)


def _streamed(request: Request, is_streamed: Callable[[Iterable[Media]], bool]) -> Request:
    return replace(request, stream=is_streamed(request.media))


def _each(cuts: Sequence[Cut]) -> tuple[Facts, ...]:
    return tuple(sent.facts for cut in cuts for sent in cut.sent)


def _several() -> Failure:
    message = "a long medium is cut into pieces only where it is alone in its row: give each a row of its own"
    return Failure(error_class="media", code="too_long", message=message, unasked=True)


def _facts(seen: Sequence[_Seen]) -> MediaFacts:
    """What is known of all media of a row together."""
    sizes, seconds = [one.bytes for one in seen], [one.looked.seconds for one in seen]
    alone = seen[0].looked if len(seen) == 1 else None
    return MediaFacts(
        bytes=sum(size for size in sizes if size is not None) if None not in sizes else None,
        sha256=_joined([one.sha256 for one in seen]),
        seconds=sum(one for one in seconds if one is not None) if any(seconds) else None,
        width=alone.width if alone else None,
        height=alone.height if alone else None,
    )


def _content(seen: Sequence[_Seen]) -> str | None:
    """What names the media of a row whatever their URLs: their bytes, or their host's word for those."""
    return _joined([one.sha256 or one.validator for one in seen])


def _joined(names: Sequence[str | None]) -> str | None:
    """One name for several; None where one of them is not known."""
    known = [name for name in names if name is not None]
    if not known or len(known) < len(names):
        return None
    return known[0] if len(known) == 1 else hashlib.sha256("\n".join(known).encode()).hexdigest()


class _Room:
    """Bytes of media in memory, bounded; one that is larger than all the room comes alone. First come, first served."""

    def __init__(self, most: int) -> None:
        self._most, self._held = most, 0
        self._turn, self._freed = asyncio.Lock(), asyncio.Event()

    async def enter(self, size: int, *, waits: bool) -> int:
        """Take room for *size* bytes, and wait for it first; a row that holds some already does not wait for more."""
        if waits:
            async with self._turn:
                while self._held and self._held + size > self._most:
                    self._freed.clear()
                    await self._freed.wait()
        self._held += size
        return size

    def change(self, by: int) -> None:
        """What is held is *by* bytes more, or less."""
        self._held += by
        if by < 0:
            self._freed.set()

    def leave(self, size: int) -> None:
        """Give back *size* bytes."""
        self.change(-size)
