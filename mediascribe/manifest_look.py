"""A look at a manifest that no job knows yet: which columns may hold media, name the rows, or be carried along."""

from __future__ import annotations

import contextlib
import itertools
import re
from collections import Counter
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

import pyarrow as pa

from mediascribe.columns import SCHEMA
from mediascribe.domain import MEDIA_KINDS
from mediascribe.errors import ConfigError
from mediascribe.manifest import cells, rows
from mediascribe.manifest.chunks import BadRow
from mediascribe.manifest.sources import locate

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from mediascribe.domain import MediaKind
    from mediascribe.job_sections import ColumnType
    from mediascribe.manifest.sources import Source

_LOOKED_AT: Final = 1_000
_CARRIED_AT_MOST: Final = 12
_LONG_TEXT: Final = 300
_MOST: Final = 0.8  # a few bad rows are usual
_NAMES: Final[Mapping[MediaKind, re.Pattern[str]]] = {
    "image": re.compile(r"(?i)image|img|photo|picture|thumb"),
    "audio": re.compile(r"(?i)audio|sound|voice|speech|music|recording"),
    "video": re.compile(r"(?i)video|clip|movie|film"),
}
_SUFFIXES: Final[Mapping[str, MediaKind]] = {
    **dict.fromkeys((".jpg", ".jpeg", ".png", ".webp", ".gif", ".bmp", ".avif", ".heic", ".tif", ".tiff"), "image"),
    **dict.fromkeys((".mp3", ".wav", ".flac", ".ogg", ".oga", ".opus", ".m4a", ".aac", ".aiff"), "audio"),
    **dict.fromkeys((".mp4", ".mov", ".webm", ".mkv", ".avi", ".mpeg", ".mpg", ".m4v", ".3gp"), "video"),
}
_IDS: Final = ("item_id", "id", "uuid", "key", "sku", "name")


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """What the first rows of a manifest let one propose.

    `media` has the columns of each kind, `pair` those of a URL and of its kind. `guessed` says that nothing tells what
    kind the media are: `image` was taken. `relative` says that some URLs are relative.
    """

    media: Mapping[MediaKind, list[str]] = field(default_factory=dict)
    pair: tuple[str, str] | None = None
    item_id: str | None = None
    carry: Mapping[str, ColumnType] = field(default_factory=dict)
    guessed: bool = False
    relative: bool = False


def look(path: str) -> Look:
    """What the manifest at *path* seems to hold, by the names of its columns and its first 1,000 rows.

    Raises:
        ConfigError: it cannot be read, or no column of it holds URLs.
    """
    source = locate(path, "auto")
    names = rows.columns(source)
    columns = {name: column for name, column in _columns(source, names).items() if names.count(name) == 1}
    there = {name: column for name, column in columns.items() if _addresses(column)}
    if not there:
        raise ConfigError(f"{path}: no column holds URLs of media; its columns: {', '.join(names)}")
    pair = next(((name, kind) for name in there for kind in columns if _names_kinds(columns[kind])), None)
    media = _by_kind(there)
    guessed = not media and pair is None
    if guessed:
        media = {"image": [next(iter(there))]}
    elif media:
        pair = None
    used = {*(pair or ()), *itertools.chain.from_iterable(media.values())}
    item_id = next((name for name in _likely_ids(columns) if name not in used and _tells_apart(columns[name])), None)
    rest = {name: column for name, column in columns.items() if name not in {*used, item_id}}
    urls = [url for name in used & there.keys() for url in _addresses(there[name])]
    return Look(
        media=media,
        pair=pair,
        item_id=item_id,
        carry=_carried(rest, rows.parquet_schema(source)),
        guessed=guessed,
        relative=any(not _is_whole(url) for url in urls),
    )


def _columns(source: Source, names: Sequence[str]) -> dict[str, list[Any]]:
    """The first cells of each column; empty ones are None."""
    read = (row for _, row in itertools.islice(rows.cells(source, names), _LOOKED_AT) if not isinstance(row, BadRow))
    held = list(zip(*read, strict=True)) or [()] * len(names)
    return {name: [None if cell == "" else cell for cell in column] for name, column in zip(names, held, strict=True)}


def _addresses(column: Sequence[Any]) -> list[str]:
    """The URLs of a column in which hardly anything else stands; else none."""
    filled = [cell for cell in column if cell is not None]
    held = [urls for cell in filled if (urls := _urls(cell))]
    return list(itertools.chain.from_iterable(held)) if len(held) >= _MOST * len(filled) else []


def _urls(cell: Any) -> list[str]:  # noqa: ANN401 - any cell
    """The URLs of a cell that holds nothing else; a relative one must end like a medium."""
    try:
        urls = cells.urls(cell, arrays_in_text=True)
        for url in urls:
            cells.check_url(url, relative_urls=True)
    except ValueError:
        return []
    return urls if all(_is_whole(url) or _kind(url) for url in urls) else []


def _is_whole(url: str) -> bool:
    return re.match(r"(?i)https?://|data:", url) is not None


def _kind(url: str) -> MediaKind | None:
    """What a URL says itself of what is there."""
    if url[:5].lower() == "data:":
        said = url[5:].partition("/")[0].lower()
        return next((kind for kind in MEDIA_KINDS if kind == said), None)
    return _SUFFIXES.get(PurePosixPath(urlsplit(url).path).suffix.lower())


def _by_kind(there: Mapping[str, Sequence[Any]]) -> dict[MediaKind, list[str]]:
    """The columns of each kind: by what most of their URLs end in, else by their names."""
    found: dict[MediaKind, list[str]] = {}
    for name, column in there.items():
        ((kind, _),) = Counter(map(_kind, _addresses(column))).most_common(1)
        kind = kind or next((one for one, pattern in _NAMES.items() if pattern.search(name)), None)
        if kind:
            found.setdefault(kind, []).append(name)
    return {kind: found[kind] for kind in MEDIA_KINDS if kind in found}


def _names_kinds(column: Sequence[Any]) -> bool:
    said = {str(cell).strip().lower() for cell in column if cell is not None}
    return bool(said) and said <= {*MEDIA_KINDS}


def _likely_ids(columns: Mapping[str, Any]) -> list[str]:
    usual = [name for name in _IDS if name in columns]
    return usual + [name for name in columns if re.search(r"(?i)_id$|^id_", name) and name not in usual]


def _tells_apart(column: Sequence[Any]) -> bool:
    """Whether nearly every row has an id of its own there."""
    found = set()
    for cell in column:
        with contextlib.suppress(ValueError):
            found.add(cells.id_text(cell))
    return bool(found) and len(found) >= _MOST * len(column)


def _carried(columns: Mapping[str, Sequence[Any]], typed: pa.Schema | None) -> dict[str, ColumnType]:
    """The columns to carry, short ones that collide with nothing; a type is only taken from where it is certain.

    A value that is not of the declared type makes its row one that cannot be asked, so texts stay texts.
    """
    taken = {name.casefold() for name in (*SCHEMA.names, "date")}
    found: dict[str, ColumnType] = {}
    for name, column in columns.items():
        kind: ColumnType | None = _type(typed.field(name).type) if typed else "string"
        if kind and name.casefold() not in taken and all(_carries(cell, kind) for cell in column):
            taken.add(name.casefold())
            found[name] = kind
    return dict(itertools.islice(found.items(), _CARRIED_AT_MOST))


def _type(kind: pa.DataType) -> ColumnType | None:
    if pa.types.is_boolean(kind):
        return "bool"
    if pa.types.is_signed_integer(kind):
        return "int64"
    if pa.types.is_timestamp(kind):
        return "timestamp"
    if pa.types.is_string(kind) or pa.types.is_large_string(kind):
        return "string"
    return "float64" if pa.types.is_float32(kind) or pa.types.is_float64(kind) else None


def _carries(cell: Any, kind: ColumnType) -> bool:  # noqa: ANN401 - any cell
    if cell is None:
        return True
    try:
        value = cells.CONVERT[kind](cell)
    except ValueError:
        return False
    return not isinstance(value, str) or len(value) <= _LONG_TEXT
