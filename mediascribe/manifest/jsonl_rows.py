"""Rows of a JSONL file: one object a line."""

from __future__ import annotations

from itertools import chain, islice
from typing import TYPE_CHECKING, Any, Final

import msgspec

from mediascribe.errors import ConfigError
from mediascribe.manifest.chunks import BadRow, Chunk, Columns
from mediascribe.manifest.sources import File, open_bytes

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

_PEEKED_ROWS: Final = 1000
_BLOCK_BYTES: Final = 2 * 2**20
_MARK: Final = b"\xef\xbb\xbf"


def columns(files: Sequence[File]) -> tuple[str, ...]:
    """The members of the first 1,000 rows of the first file, in the order in which they appear.

    Raises:
        ConfigError: there are none.
    """
    names: dict[str, None] = {}
    seen = 0
    first = files[0]
    for row in islice(chain.from_iterable(_blocks(first)), _PEEKED_ROWS):
        seen += 1
        if isinstance(row, dict):
            names.update(dict.fromkeys(row))
    if not names:
        why = "none of its lines is a JSON object with members" if seen else "is empty"
        raise ConfigError(f"{first.path}: {why}; a JSONL manifest has one object a line")
    return tuple(names)


def chunks(file: File, wanted: Sequence[str], *, by_column: bool) -> Iterator[Chunk]:
    """Every row in file order: its members *wanted*, in that order; one that it lacks is None."""
    for rows in _blocks(file):
        whole = [row for row in rows if isinstance(row, dict)]
        if by_column and len(whole) == len(rows):
            yield Columns(len(whole), tuple([row.get(name) for row in whole] for name in wanted))
        else:
            yield [[row.get(name) for name in wanted] if isinstance(row, dict) else row for row in rows]


def _blocks(file: File) -> Iterator[list[dict[str, Any] | BadRow]]:
    """The rows, some megabytes of them at a time."""
    decode = msgspec.json.Decoder().decode
    number = 0
    with open_bytes(file) as stream:
        while lines := stream.readlines(_BLOCK_BYTES):
            if number == 0:
                lines[0] = lines[0].removeprefix(_MARK)
            yield [_row(decode, at, text) for at, line in enumerate(lines, number + 1) if (text := line.strip())]
            number += len(lines)


def _row(decode: Callable[[bytes], Any], number: int, text: bytes) -> dict[str, Any] | BadRow:
    try:
        row = decode(text)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        return BadRow(f"line {number} is no JSON ({error})")
    return row if isinstance(row, dict) else BadRow(f"line {number} is JSON, but no object")
