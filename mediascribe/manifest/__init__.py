"""The manifest of a job: CSV, JSONL or Parquet rows, in one file or several, streamed as Items.

`sources` finds the files, `rows` reads their formats, `cells` says what one value means, `layout` makes a row an Item,
`vector` does so for many plain rows at once. This module checks the columns. A row that cannot be asked is an Item with
its `problem`, in its place: nothing is dropped, and no row stops the others.
"""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from mediascribe.domain import MEDIA_KINDS
from mediascribe.errors import ConfigError
from mediascribe.job_sections import ManifestSection
from mediascribe.manifest import rows
from mediascribe.manifest.layout import Layout
from mediascribe.manifest.listing import Items
from mediascribe.manifest.sources import Format, Source, locate

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from pathlib import Path

    from mediascribe.domain import Failure, Item, MediaKind

_LISTED_COLUMNS: Final = 30


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """A manifest that has the columns that its job needs."""

    source: Source
    columns: tuple[str, ...]
    layout: Layout

    @property
    def path(self) -> Path | str:
        """The file, folder or pattern that the job names; one in a bucket is no path."""
        return self.source.path

    @property
    def format(self) -> Format:
        """How its files are read."""
        return self.source.format

    @property
    def kinds(self) -> frozenset[MediaKind]:
        """The kinds of media that its columns may hold."""
        return frozenset(MEDIA_KINDS if self.layout.pair else (kind for _, kind in self.layout.media))

    @property
    def size_bytes(self) -> int:
        """The size of its files, as they lie there."""
        return self.source.size_bytes()

    def read(self) -> Iterator[Item]:
        """One Item for every data row, in file order; memory is bounded by a chunk of rows, not by the file.

        A row that cannot be asked has a `problem` of class `row`, with the code `no_media`, `bad_url`,
        `bad_media_kind`, `bad_row`, `bad_value` or `bad_id`. A blank line is no row. Row numbers run through all files;
        a message names the file where there are several, and the row in it. Ids are not compared: that is the plan's
        duty.

        Raises:
            ConfigError: a file breaks off (a cut gzip, a damaged Parquet page), or was changed since it was opened.
        """
        return iter(Items(source=self.source, layout=self.layout, columns=self.columns))

    def checked(self, check: Callable[[Item], Failure | None]) -> Items:
        """The same items, each with the problem that *check* finds where it has none of its own; also as batches.

        Of two rows with the same kinds of media, all of them by URL, *check* must find the same; its messages may name
        the row.
        """
        return Items(source=self.source, layout=self.layout, columns=self.columns, check=check)

    def fingerprint(self) -> str:
        """The state of the files, cheaply: a hash of their sizes and times of change, whatever a single file's name.

        A file that is written again has another fingerprint, even with the same content; a copy that keeps the time
        has the same. Where there are several files, their names count.

        Raises:
            ConfigError: a file is gone.
        """
        return self.source.fingerprint()


def open_manifest(section: ManifestSection, *, variables: frozenset[str], relative_urls: bool = False) -> Manifest:
    """The manifest that *section* names, its columns checked; *variables* are the columns that the prompt uses.

    A column that the job names must be there; of the usual media columns, one is enough. In JSONL a column counts if
    it appears in the first 1,000 rows. *relative_urls* says that the job has a [media] base_url, without which a
    relative URL is a bad one.

    Raises:
        ConfigError: no such file, not of its format, or without a column that the job needs; one line for each, with
            the nearest name that exists.
    """
    source = locate(section.path, section.format)
    columns = rows.columns(source)
    _refuse(section.path, columns, _absent(section, columns, variables))
    _refuse(section.path, columns, _media_at_fault(section, columns))
    places = _places(section, columns, variables)
    _refuse(section.path, columns, (f"has the column `{name}` twice" for name in places if columns.count(name) > 1))
    layout = Layout(
        wanted=tuple(places),
        item_id=places.get(section.item_id),
        media=tuple((places[name], kind) for kind, name in _media_columns(section) if name in places),
        pair=(places[section.url], places[section.media_kind]) if _has_pair(section, columns) else None,
        variables=tuple(places[name] for name in sorted(variables)),
        carried=tuple((places[name], kind) for name, kind in section.carry.items()),
        arrays_in_text=source.format == "csv",
        relative_urls=relative_urls,
    )
    return Manifest(source=source, columns=columns, layout=layout)


def _refuse(path: str, columns: Sequence[str], problems: Iterable[str]) -> None:
    """Raise a ConfigError with a line for each of *problems*, if there are any."""
    there = ", ".join(columns[:_LISTED_COLUMNS])
    if len(columns) > _LISTED_COLUMNS:
        there += f" and {len(columns) - _LISTED_COLUMNS} more"
    lines = [f"{path}: {problem}; its columns: {there}" for problem in problems]
    if lines:
        raise ConfigError("\n".join(lines))


def _absent(section: ManifestSection, columns: Sequence[str], variables: frozenset[str]) -> Iterator[str]:
    """The columns that the job names and the file does not have; a name that is the default's is no demand."""
    for name, place in _demanded(section, variables):
        if name not in columns:
            nearest = difflib.get_close_matches(name, columns, n=1)
            yield f"has no column `{name}` ({place})" + (f"; did you mean `{nearest[0]}`?" if nearest else "")


def _demanded(section: ManifestSection, variables: frozenset[str]) -> Iterator[tuple[str, str]]:
    for key in ("item_id", "url", "media_kind"):
        if not _is_default(section, key):
            yield getattr(section, key), f"[manifest] {key}"
    for kind in MEDIA_KINDS:
        if not _is_default(section, kind):
            yield from ((name, f"[manifest] {kind}") for name in getattr(section, kind))
    yield from ((name, "[manifest] carry") for name in section.carry)
    yield from ((name, f"the prompt's {{{{ {name} }}}}") for name in sorted(variables))


def _is_default(section: ManifestSection, key: str) -> bool:
    return bool(getattr(section, key) == ManifestSection.model_fields[key].default)


def _media_at_fault(section: ManifestSection, columns: Sequence[str]) -> Iterator[str]:
    """Why no media can be found in these columns.

    The usual name `url` may stand for something else (the page that shows an image): beside a media column it is left
    alone, unless the job names it or `media_kind` is there too.
    """
    if _has_pair(section, columns):
        return
    single = [name for _, name in _media_columns(section) if name in columns]
    if section.url in columns and not (single and _is_default(section, "url")):
        yield (
            f"has the column `{section.url}` without `{section.media_kind}`, which says of every row whether it is"
            f" {', '.join(MEDIA_KINDS[:-1])} or {MEDIA_KINDS[-1]}; add it, or name `{section.url}` in [manifest] image,"
            " audio or video"
        )
    elif not single:
        usual = [name for _, name in _media_columns(section)]
        yield f"has no column of media: none of {', '.join(usual)}, nor {section.url} with {section.media_kind}"


def _has_pair(section: ManifestSection, columns: Sequence[str]) -> bool:
    return section.url in columns and section.media_kind in columns


def _media_columns(section: ManifestSection) -> list[tuple[MediaKind, str]]:
    return [(kind, name) for kind in MEDIA_KINDS for name in getattr(section, kind)]


def _places(section: ManifestSection, columns: Sequence[str], variables: frozenset[str]) -> dict[str, int]:
    """The columns to read, each with its place among the cells that are read."""
    names = [section.item_id, *(name for _, name in _media_columns(section))]
    if _has_pair(section, columns):
        names += [section.url, section.media_kind]
    names += [*sorted(variables), *section.carry]
    wanted = dict.fromkeys(name for name in names if name in columns)
    return {name: place for place, name in enumerate(wanted)}
