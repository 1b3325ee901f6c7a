"""Log: the gateway's own record of what it charged a key, asked for and kept as a bill (gateway notes 2.2).

The key goes in the header. Older versions read it from the address alone: they are asked so once they have refused the
header, and the address is in no message and no file.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlencode

import msgspec

from mediascribe.errors import AttemptError, ConfigError, PermanentError
from mediascribe.redact import redact_text

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from mediascribe.client import Client

NEWEST: Final = 1000
"""Later versions give so many lines and no more, the newest, and say nothing of it."""

_PAGE: Final = 100
_EXPORT: Final = "ask the operator for an export of the log, and name it with --bill"


@dataclass(frozen=True, slots=True, kw_only=True)
class Fetched:
    """How many lines came, and whether there may be older ones that did not."""

    lines: int
    is_cut: bool


async def fetch(client: Client, key: str, path: Path) -> Fetched:
    """Write the log of *key* at the gateway of *client* to *path*, as JSON lines, page by page where it has pages.

    Raises:
        ConfigError: the gateway does not give it, or it is empty.
    """
    address = f"{client.base_url.removesuffix('/').removesuffix('/v1')}/api/log/token"
    members: dict[str, str] = {}
    page = await _page(client, address, members, key)
    if page is None:
        members = {"key": key}
        page = await _page(client, address, members, key)
    if page is None:
        raise ConfigError(f"{address} does not know this key, or keeps no log; {_EXPORT}")
    fetched, number, (rows, total) = 0, 1, page
    with path.open("wb") as out:
        while rows:
            out.writelines(msgspec.json.encode(row) + b"\n" for row in rows)
            fetched += len(rows)
            if fetched >= total:
                break
            number += 1
            rows, total = await _page(client, address, members, key, number) or ([], 0)
    if not fetched:
        raise ConfigError(f"{address}: the log of this key is empty")
    return Fetched(lines=fetched, is_cut=number == 1 and fetched == NEWEST)


async def _page(
    client: Client, address: str, members: Mapping[str, str], key: str, number: int = 1
) -> tuple[list[Any], int] | None:
    """The lines of one page, and how many there are on all; None where the gateway refuses.

    A gateway that has no pages gives all of its lines, whatever page is asked for.
    """
    try:
        answer = await client.get(f"{address}?{urlencode({**members, 'p': number, 'page_size': _PAGE})}")
    except PermanentError:
        raise ConfigError(
            f"{address}: the log is longer than gateway.max_answer_bytes: raise that, or {_EXPORT}"
        ) from None
    except AttemptError as error:
        said = redact_text(str(error), key)
        raise ConfigError(f"{address}: {said}; check gateway.base_url and the network") from None
    try:
        told = msgspec.json.decode(answer.body)
    except msgspec.DecodeError:
        raise ConfigError(f"{address} answers {answer.status} without JSON; {_EXPORT}") from None
    if not isinstance(told, dict) or not told.get("success"):
        return None
    rows = told.get("data") or []
    if isinstance(rows, dict):
        items = rows.get("items") or []
        return items, int(rows.get("total") or len(items))
    return rows, len(rows)
