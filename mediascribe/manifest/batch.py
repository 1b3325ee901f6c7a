"""Items as an Arrow batch, and back: the form in which a plan stages and keeps them.

Variables and carried columns are one JSON text each. `redacted_urls` is null where they are `media_urls` unchanged.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import msgspec
import pyarrow as pa

from mediascribe.domain import Failure, Item, Media
from mediascribe.redact import redact_url

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

_TEXT, _TEXTS = pa.string(), pa.list_(pa.string())
_FIELDS: Final[list[pa.Field[Any]]] = [
    pa.field("row_number", pa.int64()),
    pa.field("item_id", _TEXT),
    pa.field("media_kinds", _TEXTS),
    pa.field("media_urls", _TEXTS),
    pa.field("redacted_urls", _TEXTS),
    pa.field("variables", _TEXT),
    pa.field("carried", _TEXT),
    pa.field("problem_code", _TEXT),
    pa.field("problem", _TEXT),
]
ITEMS: Final = pa.schema(_FIELDS)


def from_items(items: Iterable[Item]) -> pa.RecordBatch:
    """*items* as a batch."""
    return pa.RecordBatch.from_pylist([_row(item) for item in items], schema=ITEMS)


def item(row: Mapping[str, Any]) -> Item:
    """The Item of a row of a batch."""
    problem = None
    if row["problem"] is not None:
        problem = Failure(error_class="row", code=row["problem_code"], message=row["problem"])
    return Item(
        item_id=row["item_id"],
        row_number=row["row_number"],
        media=tuple(Media(kind=kind, url=url) for kind, url in zip(row["media_kinds"], row["media_urls"], strict=True)),
        variables=msgspec.json.decode(row["variables"]),
        carried=msgspec.json.decode(row["carried"]),
        problem=problem,
    )


def _row(item: Item) -> dict[str, Any]:
    urls = [media.url for media in item.media]
    redacted = [redact_url(url) for url in urls]
    return {
        "row_number": item.row_number,
        "item_id": item.item_id,
        "media_kinds": [media.kind for media in item.media],
        "media_urls": urls,
        "redacted_urls": None if redacted == urls else redacted,
        "variables": msgspec.json.encode(item.variables).decode(),
        "carried": msgspec.json.encode(item.carried).decode(),
        "problem_code": item.problem.code if item.problem else None,
        "problem": item.problem.message if item.problem else None,
    }
