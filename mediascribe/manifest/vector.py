"""A chunk of rows as a batch of items, without a Python object for each: the same items that `layout` makes one by one.

Rules of this file:

- A row is plain where every function here is sure of what `layout` and `cells` would make of it: media cells with one
  ASCII URL or none, an id, values that convert. All others are odd, and are made by `Layout.item` itself.
- Every function gives its column and the rows that are odd; what an odd row has in the column does not matter.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import msgspec
import numpy as np
import pyarrow as pa
from pyarrow import compute

from mediascribe.domain import MEDIA_KINDS
from mediascribe.manifest import batch, cells, queries
from mediascribe.manifest.layout import DERIVED_ID_DIGITS

if TYPE_CHECKING:
    from collections.abc import Callable

    from mediascribe.domain import Item
    from mediascribe.job_sections import ColumnType
    from mediascribe.manifest.chunks import Array, Column, Columns
    from mediascribe.manifest.layout import Layout

    Mask = np.ndarray[Any, np.dtype[np.bool_]]

_LISTS: Final[Any] = pa.ListArray
pc: Final[Any] = compute  # the stubs know no plain text beside an array
_TEXT: Final = pa.string()
# Printable ASCII without what JSON escapes; URLs of these characters stand in JSON, and in RE2 and re, as they are.
_PATH: Final = r"[!\x24-\x3e\x40-\x5b\x5d-\x7e]*"
_QUERY: Final = r"[!\x24-\x5b\x5d-\x7e]*"
_USUAL_URL: Final = rf"^https?://[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)*(?::[0-9]{{1,4}})?(?:/{_PATH})?(?:\?{_QUERY})?$"
_USUAL_PATH: Final = r"^[A-Za-z0-9_][A-Za-z0-9_~-]*(?:[./][A-Za-z0-9_~-]+)*$"
_ESCAPED: Final = r'["\\\x00-\x1f]'
_WHOLE: Final = r"^-?[0-9]{1,18}$"
_ENOUGH: Final = frozenset({str, type(None)})
_NESTED: Final = (dict, list, tuple)


@dataclass(frozen=True, slots=True)
class _Media:
    """The media of all rows: flat, with the place in `offsets` where each row begins; `kinds` as it differs by row."""

    offsets: Array
    kinds: Array
    urls: Array
    signature: np.ndarray[Any, np.dtype[np.int64]]

    def listed(self, values: Array) -> Array:
        """*values*, one for each medium, as a list for each row."""
        listed: Array = _LISTS.from_arrays(self.offsets, values)
        return listed


def items(layout: Layout, chunk: Columns, first: int, made: Callable[[int], Item]) -> pa.RecordBatch:
    """The items of *chunk*, whose rows are numbered from *first*; *made* gives that of the row at a place, checked.

    What the check finds wrong with a row of http(s) or relative URLs must depend on its kinds of media alone.
    """
    odd = np.zeros(chunk.rows, bool)
    media = _media(layout, chunk, odd)
    variables = _members(layout, chunk, [(place, None) for place in layout.variables], odd)
    carried = _members(layout, chunk, list(layout.carried), odd)
    ids = _ids(layout, chunk, odd, media, variables)
    _refuse(media, odd, made)
    plain = pa.RecordBatch.from_arrays(
        [
            pa.array(np.arange(first, first + chunk.rows)),
            ids,
            media.listed(media.kinds),
            media.listed(media.urls),
            _redacted(media),
            variables,
            carried,
            pa.nulls(chunk.rows, _TEXT),
            pa.nulls(chunk.rows, _TEXT),
        ],
        schema=batch.ITEMS,
    )
    return _patched(plain, odd, made)


def _patched(plain: pa.RecordBatch, odd: Mask, made: Callable[[int], Item]) -> pa.RecordBatch:
    """*plain* with the *odd* rows as they are made one by one."""
    places = np.flatnonzero(odd)
    if not len(places):
        return plain
    slow = batch.from_items(made(int(place)) for place in places)
    order = np.arange(len(odd))
    order[places] = len(odd) + np.arange(len(places))
    patched = pa.Table.from_batches([plain, slow]).take(pa.array(order, pa.int64())).combine_chunks()
    return patched.to_batches()[0]


def _refuse(media: _Media, odd: Mask, made: Callable[[int], Item]) -> None:
    """Take the rows whose kinds of media are refused for odd: each has its own message."""
    plain = np.flatnonzero(~odd)
    signatures, at = np.unique(media.signature[plain], return_index=True)
    for signature, place in zip(signatures, plain[at], strict=True):
        if made(int(place)).problem:
            odd |= media.signature == signature


def _media(layout: Layout, chunk: Columns, odd: Mask) -> _Media:
    """The media in the order of the job's columns, then the one of a named kind."""
    columns = [(_urls(chunk.cells[place], odd, relative=layout.relative_urls), kind) for place, kind in layout.media]
    found: list[tuple[Array, Array]] = [(urls, pa.repeat(kind, chunk.rows)) for urls, kind in columns]
    if layout.pair:
        found.append(_pair(chunk, layout.pair, odd, relative=layout.relative_urls))
    present = np.stack([np.asarray(urls.is_valid()) for urls, _ in found], axis=1)
    counts = present.sum(axis=1)
    odd |= counts == 0
    offsets = pa.array(np.concatenate([[0], np.cumsum(counts)]).astype(np.int32))
    kinds = pa.chunked_array([kind for _, kind in found])
    urls = pa.chunked_array([one for one, _ in found])
    if len(found) > 1 or not present.all():
        grid = np.arange(len(found)) * chunk.rows + np.arange(chunk.rows)[:, None]
        order = pa.array(grid[present])
        kinds, urls = kinds.take(order), urls.take(order)
    signature = present @ (1 << np.arange(len(found), dtype=np.int64))
    if layout.pair:
        code = pc.index_in(found[-1][1], value_set=pa.array(MEDIA_KINDS)).fill_null(0)
        signature = (signature << 2) + np.where(present[:, -1], np.asarray(code), 0)
    return _Media(offsets, kinds.combine_chunks(), urls.combine_chunks(), signature)


def _pair(chunk: Columns, pair: tuple[int, int], odd: Mask, *, relative: bool) -> tuple[Array, Array]:
    """The URLs whose kind another column names, and those kinds."""
    urls = _urls(chunk.cells[pair[0]], odd, relative=relative)
    kinds = _texts(chunk.cells[pair[1]], odd)
    named = _yes(pc.is_in(kinds, value_set=pa.array(MEDIA_KINDS)))
    odd |= np.asarray(urls.is_valid()) & ~named
    return urls, kinds


def _urls(column: Column, odd: Mask, *, relative: bool) -> Array:
    """The URL in each cell, null where there is none."""
    texts = _texts(column, odd)
    found: Array = pc.if_else(pc.equal(texts, ""), None, texts)
    usual = _yes(pc.match_substring_regex(found, _USUAL_URL))
    if relative and not usual.all():
        usual |= _yes(pc.match_substring_regex(found, _USUAL_PATH))
    odd |= np.asarray(found.is_valid()) & ~usual
    return found


def _redacted(media: _Media) -> Array:
    """The URLs as results have them, null where that is as they are."""
    asking = _yes(pc.match_substring(media.urls, "?"))
    if not asking.any():
        return pa.nulls(len(media.offsets) - 1, pa.list_(_TEXT))
    redacted = _rewritten(media.urls, asking, queries.redacted)
    changed = _yes(pc.not_equal(redacted, media.urls))
    running = np.concatenate([[0], np.cumsum(changed)])
    offsets = np.asarray(media.offsets)
    same = running[offsets[1:]] == running[offsets[:-1]]
    listed = media.listed(redacted)
    nullable: Array = pc.if_else(pa.array(same), pa.scalar(None, listed.type), listed)
    return nullable


def _rewritten(urls: Array, asking: Mask, rewrite: Callable[[Array], Array]) -> Array:
    """*urls*, those with a query rewritten: all others stay as they are."""
    usual = asking & _yes(pc.match_substring_regex(urls, _USUAL_URL))  # an odd row may have anything there
    if not usual.any():
        return urls
    mask = pa.array(usual)
    replaced: Array = pc.replace_with_mask(urls, mask, rewrite(urls.filter(mask)))
    return replaced


def _ids(layout: Layout, chunk: Columns, odd: Mask, media: _Media, variables: Array) -> Array:
    """The ids of the id column, or those derived from what is asked."""
    if layout.item_id is None:
        return _derived_ids(media, variables)
    column = chunk.cells[layout.item_id]
    if isinstance(column, list) and not _all_texts(column):
        return _each(column, odd, cells.id_text)
    if isinstance(column, pa.Array) and pa.types.is_integer(column.type):
        odd |= np.asarray(column.is_null())
        return column.cast(_TEXT)
    texts = _texts(column, odd)
    odd |= ~_yes(pc.match_substring_regex(texts, "[!-~]"))
    return texts


def _derived_ids(media: _Media, variables: Array) -> Array:
    """As `layout.derived_id`: the JSON text of media and variables is the same, so the hash is."""
    urls = _rewritten(media.urls, _yes(pc.match_substring(media.urls, "?")), queries.canonical)
    pairs = pc.binary_join_element_wise('["', media.kinds, '","', urls, '"]', "")
    asked = pc.binary_join_element_wise("[[", pc.binary_join(media.listed(pairs), ","), "],", variables, "]", "")
    sha256 = hashlib.sha256
    digests = [asked and sha256(asked).hexdigest()[:DERIVED_ID_DIGITS] for asked in asked.cast(pa.binary()).to_pylist()]
    return pa.array(digests, _TEXT)


def _members(layout: Layout, chunk: Columns, columns: list[tuple[int, ColumnType | None]], odd: Mask) -> Array:
    """*columns* as one JSON object for each row; a column with a type is converted to it."""
    if not columns:
        return pa.repeat("{}", chunk.rows)
    parts: list[Any] = []
    for place, kind in columns:
        name = msgspec.json.encode(layout.wanted[place]).decode()
        parts += [f"{',' if parts else '{'}{name}:", _json(chunk.cells[place], kind, odd)]
    objects: Array = pc.binary_join_element_wise(*parts, "}", "")
    return objects


def _json(column: Column, kind: ColumnType | None, odd: Mask) -> Array:
    """The cells as JSON texts, converted to *kind* where there is one."""
    if isinstance(column, list):
        if not _all_texts(column):
            return _each(column, odd, _json_of(kind))
        column = pa.array(column, _TEXT)
    found = column.type
    if found == _TEXT and kind in (None, "string"):
        return _quoted(column).fill_null("null")
    if found == _TEXT and kind == "int64" and pc.all(pc.match_substring_regex(column, _WHOLE)).as_py() is not False:
        return column.cast(pa.int64()).cast(_TEXT).fill_null("null")
    natural = "bool" if pa.types.is_boolean(found) else "int64" if found != pa.uint64() else None
    if found != _TEXT and kind in (None, natural):
        return column.cast(_TEXT).fill_null("null")
    return _each(column.to_pylist(), odd, _json_of(kind))


def _json_of(kind: ColumnType | None) -> Callable[[Any], str]:
    """What makes a value of *kind* a JSON text; None: as it is."""
    convert = cells.json_value if kind is None else cells.CONVERT[kind]

    def text(value: object) -> str:
        if isinstance(value, _NESTED):
            raise ValueError("is nested: its members may be in any order")  # noqa: TRY004 - as all converters do
        return "null" if value is None else msgspec.json.encode(convert(value)).decode()

    return text


def _each(column: list[Any], odd: Mask, convert: Callable[[Any], str]) -> Array:
    """What *convert* makes of every cell; a row whose cell it refuses is odd."""
    texts: list[str | None] = []
    for place, value in enumerate(column):
        try:
            texts.append(convert(value))
        except (ValueError, OverflowError):
            texts.append(None)
            odd[place] = True
    return pa.array(texts, _TEXT)


def _quoted(texts: Array) -> Array:
    """*texts* as JSON strings."""
    quoted: Array = pc.binary_join_element_wise('"', texts, '"', "")
    escaped = _yes(pc.match_substring_regex(texts, _ESCAPED))
    if not escaped.any():
        return quoted
    mask = pa.array(escaped)
    encoded = [msgspec.json.encode(text).decode() for text in texts.filter(mask).to_pylist()]
    replaced: Array = pc.replace_with_mask(quoted, mask, pa.array(encoded, _TEXT))
    return replaced


def _texts(column: Column, odd: Mask) -> Array:
    """The cells that are texts; a row that has anything else there is odd."""
    if isinstance(column, list):
        if _all_texts(column):
            return pa.array(column, _TEXT)
        odd |= np.fromiter((type(cell) not in _ENOUGH for cell in column), bool, len(column))
        return pa.array([cell if type(cell) is str else None for cell in column], _TEXT)
    if column.type == _TEXT:
        return column
    odd |= np.asarray(column.is_valid())
    return pa.nulls(len(column), _TEXT)


def _all_texts(column: list[Any]) -> bool:
    return set(map(type, column)) <= _ENOUGH


def _yes(answers: Array) -> Mask:
    """Arrow's truth values as a mask; null is no."""
    return np.asarray(answers.fill_null(False))  # noqa: FBT003 - Arrow's name for the value to fill in
