"""A row read by what the job says of its columns: an Item, with its problem where it cannot be asked."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from mediascribe.domain import Failure, Item, Media, MediaKind, digest
from mediascribe.manifest import cells
from mediascribe.manifest.chunks import BadRow, Row
from mediascribe.redact import canonical_url

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mediascribe.job_sections import ColumnType

DERIVED_ID_DIGITS: Final = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """Which cell of a row means what; a place is an index into the cells of the columns `wanted`.

    `pair` are the places of a URL and of its kind. `arrays_in_text` says that a text may hold a JSON array of URLs,
    `relative_urls` that a URL may be relative to the job's [media] base_url.
    """

    wanted: tuple[str, ...]
    item_id: int | None
    media: tuple[tuple[int, MediaKind], ...]
    pair: tuple[int, int] | None
    variables: tuple[int, ...]
    carried: tuple[tuple[int, ColumnType], ...]
    arrays_in_text: bool
    relative_urls: bool

    def item(self, number: int, row: Row | BadRow, where: str | None = None) -> Item:
        """The Item of row *number*: all that could be read of it, and the first problem if there is one.

        *where* is how a message names the row; without it, by its number.

        Its id is the id column's; without one it is derived from what is asked (media and variables); where that is
        not known either, it is `row-<number>`.
        """
        where = where or f"row {number}"
        if isinstance(row, BadRow):
            unread = _failure("bad_row", f"{where}: {row.reason}")
            return Item(item_id=f"row-{number}", row_number=number, problem=unread)
        faults: list[_Fault] = []
        media = self._media(row, faults)
        variables = self._variables(row, faults)
        item_id = self._item_id(row, faults)
        if item_id is None:
            item_id = f"row-{number}" if faults else derived_id(media, variables)
        carried = self._carried(row, faults)
        problem = self._failure(where, row, faults[0]) if faults else None
        return Item(
            item_id=item_id, row_number=number, media=media, variables=variables, carried=carried, problem=problem
        )

    def _media(self, row: Row, faults: list[_Fault]) -> tuple[Media, ...]:
        """The row's media: image, audio and video columns as the job orders them, then the URL of a named kind."""
        media: list[Media] = []
        for place, kind in self.media:
            if row[place] is not None:
                media += [Media(kind=kind, url=url) for url in self._urls(row, place, faults)]
        if self.pair and row[self.pair[0]] is not None:
            media += self._media_of_named_kind(row, self.pair, faults)
        if not media and not faults:
            faults.append(_Fault(code="no_media", place=None, reason=""))
        return tuple(media)

    def _media_of_named_kind(self, row: Row, pair: tuple[int, int], faults: list[_Fault]) -> list[Media]:
        urls = self._urls(row, pair[0], faults)
        if not urls:
            return []
        try:
            kind = cells.media_kind(row[pair[1]])
        except ValueError as error:
            faults.append(_Fault(code="bad_media_kind", place=pair[1], reason=str(error)))
            return []
        return [Media(kind=kind, url=url) for url in urls]

    def _urls(self, row: Row, place: int, faults: list[_Fault]) -> list[str]:
        """The URLs of a cell if all of them may be sent, else none."""
        url: str | None = None
        try:
            found = cells.urls(row[place], arrays_in_text=self.arrays_in_text)
            for url in found:
                cells.check_url(url, relative_urls=self.relative_urls)
        except ValueError as error:
            faults.append(_Fault(code="bad_url", place=place, reason=str(error), part=url))
            return []
        return found

    def _variables(self, row: Row, faults: list[_Fault]) -> dict[str, Any]:
        variables: dict[str, Any] = {}
        for place in self.variables:
            try:
                variables[self.wanted[place]] = cells.json_value(row[place])
            except ValueError as error:
                faults.append(_Fault(code="bad_value", place=place, reason=str(error)))
        return variables

    def _item_id(self, row: Row, faults: list[_Fault]) -> str | None:
        if self.item_id is None:
            return None
        try:
            return cells.id_text(row[self.item_id])
        except ValueError as error:
            faults.append(_Fault(code="bad_id", place=self.item_id, reason=str(error)))
            return None

    def _carried(self, row: Row, faults: list[_Fault]) -> dict[str, Any]:
        """The carried columns, all of them; one that has not its declared type is None beside its fault."""
        carried: dict[str, Any] = {}
        for place, kind in self.carried:
            cell = row[place]
            try:
                carried[self.wanted[place]] = None if cell is None else cells.CONVERT[kind](cell)
            except ValueError as error:
                carried[self.wanted[place]] = None
                faults.append(_Fault(code="bad_value", place=place, reason=f"{error} ([manifest] carry: {kind})"))
        return carried

    def _failure(self, where: str, row: Row, fault: _Fault) -> Failure:
        if fault.place is None:
            places = [place for place, _ in self.media] + ([self.pair[0]] if self.pair else [])
            names = ", ".join(f"`{self.wanted[place]}`" for place in places)
            return _failure(fault.code, f"{where} has no media: nothing in {names}")
        cell = row[fault.place] if fault.part is None else fault.part
        quoted = "an empty cell" if cell is None else cells.shown(cell, is_url=fault.code == "bad_url")
        return _failure(fault.code, f"{where}, column `{self.wanted[fault.place]}`: {quoted} {fault.reason}")


def derived_id(media: tuple[Media, ...], variables: Mapping[str, Any]) -> str:
    """The id of a row without one: the hash of what is asked about it, whatever the signatures in its URLs are."""
    asked = ([(one.kind, canonical_url(one.url)) for one in media], variables)
    return digest(asked)[:DERIVED_ID_DIGITS]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Fault:
    """Why a row cannot be asked: the place of the cell, the part of it where it is a list, the end of the sentence."""

    code: str
    place: int | None
    reason: str
    part: str | None = None


def _failure(code: str, message: str) -> Failure:
    return Failure(error_class="row", code=code, message=message)
