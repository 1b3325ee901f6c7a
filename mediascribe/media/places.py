"""Places of media: the web, a folder of ours, a bucket, or the manifest itself; each gives bytes, or says why not.

Only what the job names is read from this machine: files below `media.base_url`, whatever a manifest says.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
from pathlib import Path
from typing import TYPE_CHECKING, Final

from mediascribe.domain import Failure
from mediascribe.errors import MediaError, StoreError
from mediascribe.media.address import BUCKET, is_web
from mediascribe.media.fetch import Fetched
from mediascribe.wire import data_url

if TYPE_CHECKING:
    from mediascribe.domain import ErrorClass
    from mediascribe.job_sections import MediaSection
    from mediascribe.media.fetch import Fetcher
    from mediascribe.store.bucket import Bucket

_TIMEOUT_S: Final = 60.0


class Places:
    """Where the media of a job are: *fetcher* reaches the web; *folder* is the only one of this machine."""

    def __init__(self, section: MediaSection, fetcher: Fetcher, folder: Path | None = None) -> None:
        """Nothing is opened yet."""
        self._section, self._fetcher, self._folder = section, fetcher, folder
        self._buckets: dict[str, Bucket] = {}

    async def get(self, url: str, *, most_bytes: int, start: int = 0) -> Fetched:
        """The bytes of *url* from *start* on, at most so many.

        Raises:
            MediaError: they cannot be had.
        """
        if is_web(url, base_url="."):
            return await self._fetcher.get(url, most_bytes=most_bytes, start=start)
        if inline := data_url.split(url):
            return _inline(inline)
        if at := BUCKET.fullmatch(url):
            return await asyncio.to_thread(self._object, at[1], at[2], at[3], (start, most_bytes))
        return await asyncio.to_thread(self._file, url, start, most_bytes)

    async def whole(self, url: str) -> Fetched:
        """All of *url*; raises like `get`, and `too_large` where that is more than `max_bytes`."""
        if is_web(url, base_url="."):
            return await self._fetcher.whole(url)
        found = await self.get(url, most_bytes=self._section.max_bytes)
        if not found.whole:
            message = (
                f"it has {found.total_bytes or 0:,} bytes, more than media.max_bytes ({self._section.max_bytes:,})"
            )
            raise _failed("media", "too_large", message)
        return found

    def _file(self, url: str, start: int, most_bytes: int) -> Fetched:
        """A file below the job's folder; no link leads out of it."""
        path = Path(url).resolve()
        if self._folder is None or not path.is_relative_to(self._folder.resolve()):
            raise _failed("media", "refused_path", f"`{url}` is no file below media.base_url: nothing else is read")
        try:
            with path.open("rb") as file:
                total = path.stat().st_size
                file.seek(start)
                content = file.read(most_bytes)
        except OSError as error:
            raise _failed("media", "dead_link", f"`{url}` cannot be read: {error.strerror}") from None
        return _found(url, content, start, total)

    def _object(self, scheme: str, name: str, key: str, span: tuple[int, int]) -> Fetched:
        """The bytes of an object, as the store of results reads them: same credentials, same endpoint."""
        place, (start, most_bytes) = f"{scheme}://{name}/{key}", span
        try:
            bucket = self._buckets.setdefault(f"{scheme}://{name}", _bucket(scheme, name))
            total = bucket.size(key)
            if total is None:
                raise _failed("media", "dead_link", f"there is no {place}")
            content = bucket.get_range(key, start, min(most_bytes, total - start)) if total > start else b""
        except FileNotFoundError:
            raise _failed("media", "dead_link", f"there is no {place} any more") from None
        except StoreError as error:
            raise _failed("network", "no_connection", f"{place} cannot be read: {error}") from None
        return _found(place, content, start, total)


def _bucket(scheme: str, name: str) -> Bucket:
    from mediascribe.store import address, bucket  # noqa: PLC0415 - few jobs have media in buckets

    place = address.Address(scheme=scheme, bucket=name, prefix="")
    return bucket.Bucket(address=place, objects=bucket.connect(place, timeout_s=_TIMEOUT_S))


def _inline(inline: tuple[str, str]) -> Fetched:
    try:
        content = base64.b64decode(inline[1], validate=True)
    except binascii.Error as error:
        raise _failed("media", "corrupt", f"the data URL's content is no base64: {error}") from None
    return _found("data:", content, 0, len(content), inline[0] or None)


def _found(url: str, content: bytes, start: int, total: int, content_type: str | None = None) -> Fetched:
    return Fetched(
        url=url,
        content=content,
        start=start,
        whole=start == 0 and len(content) == total,
        total_bytes=total,
        content_type=content_type,
        validator=None,
    )


def _failed(error_class: ErrorClass, code: str, message: str) -> MediaError:
    return MediaError(Failure(error_class=error_class, code=code, message=message, unasked=True))
