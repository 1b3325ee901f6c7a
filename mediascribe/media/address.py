"""Where the gateway is to fetch the media from."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from mediascribe.domain import Media

if TYPE_CHECKING:
    from collections.abc import Iterable

_SCHEME: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:")
_WEB: Final = re.compile(r"https?:", re.IGNORECASE)
BUCKET: Final = re.compile(r"(s3|gs|az)://([^/]+)/(.+)", re.DOTALL)


def is_web(url: str, base_url: str | None = None) -> bool:
    """Whether a gateway could fetch *url* itself; a relative one begins with *base_url*."""
    return not is_ours(base_url) if not _SCHEME.match(url) else _WEB.match(url) is not None


def is_ours(base_url: str | None) -> bool:
    """Whether relative URLs name files or objects that nobody but us can reach."""
    return base_url is not None and (base_url.startswith((".", "/")) or BUCKET.match(f"{base_url}/x") is not None)


def absolute(media: Iterable[Media], base_url: str | None) -> tuple[Media, ...]:
    """*media* with *base_url* put in front of relative URLs; without a base the manifest reader lets none pass."""
    if base_url is None:
        return tuple(media)
    base_url = base_url.rstrip("/")
    return tuple(
        one if _SCHEME.match(one.url) else Media(kind=one.kind, url=f"{base_url}/{one.url.lstrip('/')}")
        for one in media
    )
