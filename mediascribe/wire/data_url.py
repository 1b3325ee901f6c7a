"""Media inline: a data URL (RFC 2397) taken apart for the dialects that want its bytes and its type apart."""

from __future__ import annotations

import base64
from urllib.parse import unquote_to_bytes


def split(url: str) -> tuple[str, str] | None:
    """The media type (lower-case, possibly empty) and the base64 text of a data URL; None for any other URL."""
    if url[:5].lower() != "data:":
        return None
    head, _, content = url[5:].partition(",")
    media_type, *attributes = head.split(";")
    if "base64" not in attributes:
        content = base64.b64encode(unquote_to_bytes(content)).decode()
    return media_type.strip().lower(), content
