"""Where the gateway is to fetch the media from."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from mediascribe.domain import Media

if TYPE_CHECKING:
    from collections.abc import Iterable

_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:")


def absolute(media: Iterable[Media], base_url: str | None) -> tuple[Media, ...]:
    """*media* with *base_url* put in front of relative URLs; without a base the manifest reader lets none pass."""
    if base_url is None:
        return tuple(media)
    base_url = base_url.rstrip("/")
    return tuple(
        one if _SCHEME.match(one.url) else Media(kind=one.kind, url=f"{base_url}/{one.url.lstrip('/')}")
        for one in media
    )
