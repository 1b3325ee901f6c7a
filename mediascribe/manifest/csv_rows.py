"""Rows of a CSV file, strictly read: plain blocks by Arrow, all else by Python's reader, with the same result.

Rules of this file:

- Python's reader in strict mode decides what a row is: without it, a quote that is never closed takes the rest of the
  file into one cell.
- Arrow reads a block only where both agree on every row: whole lines, UTF-8, quotes around whole cells, every row as
  wide as the header. Any doubt sends the block to Python's reader.
- Memory is bounded by a block, or by one row that is longer.
"""

from __future__ import annotations

import csv
import io
import re
from typing import IO, TYPE_CHECKING, Any, Final

import pyarrow as pa
from pyarrow import compute
from pyarrow import csv as arrow_csv

from mediascribe.errors import ConfigError
from mediascribe.manifest.chunks import Array, BadRow, Chunk, Columns, Row
from mediascribe.manifest.sources import File, open_bytes

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_BLOCK_BYTES: Final = 4 * 2**20
_CHUNK_ROWS: Final = 2_000
_LONGEST_CELL: Final = 64 * 2**20
_BAD_BYTE = re.compile("[\udc80-\udcff]")
_COMPUTE: Final[Any] = compute  # the stubs know no plain text beside an array
_MARK: Final = b"\xef\xbb\xbf"


def columns(file: File) -> tuple[str, ...]:
    """The names in the header line, white space around them gone.

    Raises:
        ConfigError: there is no header.
    """
    with open_bytes(file) as stream:
        return tuple(_header(file, csv.reader(_Lines(stream), delimiter=file.delimiter, strict=True)))


def chunks(file: File, wanted: Sequence[str], *, by_column: bool) -> Iterator[Chunk]:
    """Every row in file order: its cells of the columns *wanted*, in that order; an empty cell is None.

    Raises:
        ConfigError: the file lost a column.
    """
    # The limit is the process's own and 128 KiB at first, less than a data URL; so it is only ever raised, and a quote
    # that nobody closes still ends somewhere.
    csv.field_size_limit(max(csv.field_size_limit(), _LONGEST_CELL))
    with open_bytes(file) as stream:
        lines = _Lines(stream)
        reader = csv.reader(lines, delimiter=file.delimiter, strict=True)
        header = _header(file, reader)
        require(file, header, wanted)
        form = _Form(file, header, wanted)
        while (block := lines.block()) is not None:
            plain = form.read(block) if by_column else None
            if plain is None:
                yield from _row_by_row(reader, lines, form)
            else:
                lines.skip()
                yield plain


def require(file: File, there: Sequence[str], wanted: Sequence[str]) -> None:
    """Refuse a file that has not every column *wanted*: the job's columns were looked up in the manifest's first file.

    Raises:
        ConfigError: it lacks one.
    """
    gone = [name for name in wanted if name not in there]
    if gone:
        raise ConfigError(
            f"{file.path}: column `{gone[0]}` is gone: the file was changed while it was in use, or it has not the"
            " columns of the manifest's first file"
        )


class _Lines:
    """The lines of a text, which can also be taken a block of whole lines at a time.

    A byte that is no UTF-8 becomes a lone surrogate, so that it spoils its row only.
    """

    def __init__(self, stream: IO[bytes]) -> None:
        self.number = 0
        self._stream = stream
        self._rest = b""
        self._block = b""
        self._lines: list[str] | None = None
        self._at = 0
        self._first = True

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        if self._lines is None or self._at == len(self._lines):
            if (block := self.block()) is None:
                raise StopIteration
            self._lines = list(io.StringIO(block.decode("utf-8", "surrogateescape"), newline=""))
            self._at = 0
        self._at += 1
        self.number += 1
        return self._lines[self._at - 1]

    @property
    def between(self) -> bool:
        """Whether no line of the block that was begun is left."""
        return self._lines is None or self._at == len(self._lines)

    def block(self) -> bytes | None:
        """What has not been given yet of the present block, or the next block; None at the end."""
        if self._lines is not None and self._at < len(self._lines):
            rest = "".join(self._lines[self._at :])
            self._block = rest.encode("utf-8", "surrogateescape")
        elif self._lines is not None or not self._block:
            self._block = self._next_block()
        else:
            return self._block
        self._lines = None
        return self._block or None

    def skip(self) -> None:
        """Count the lines of the present block as given."""
        self.number += self._block.count(b"\n") + (not self._block.endswith(b"\n"))
        self._block = b""

    def _next_block(self) -> bytes:
        parts = [self._rest]
        while more := self._stream.read(_BLOCK_BYTES):
            if self._first:
                self._first, more = False, more.removeprefix(_MARK)
            # A `\r` at the very end may be half of a line's end.
            cut = more.rfind(b"\n") + 1 or more.rfind(b"\r", 0, -1) + 1
            if cut:
                self._rest = more[cut:]
                return b"".join([*parts, more[:cut]])
            parts.append(more)
        self._rest = b""
        return b"".join(parts)


class _Form:
    """What the rows of a file look like: which cells are wanted, and which blocks Arrow may read."""

    def __init__(self, file: File, header: Sequence[str], wanted: Sequence[str]) -> None:
        self.width = len(header)
        self.at = [header.index(name) for name in wanted]
        self._names = [str(place) for place in range(self.width)]
        mark = re.escape(file.delimiter.encode())
        cell = rb'(?:"(?:[^"]++|"")*+"|[^"\r\n' + mark + rb"]*+)"
        self._whole = re.compile(rb"(?:" + cell + rb"(?:" + mark + rb"|\r?\n))*+")
        self._delimiter = file.delimiter

    def read(self, block: bytes) -> Columns | None:
        """The rows of *block*, None where Python's reader might see others."""
        quoted = b'"' in block
        if b"\0" in block or block.count(b"\r") != block.count(b"\r\n") or not _is_utf8(block):
            return None
        if quoted and not self._whole.fullmatch(block if block.endswith(b"\n") else block + b"\n"):
            return None
        try:
            table = self._parsed(block, quoted=quoted)
        except pa.ArrowInvalid:  # a row of another width
            return None
        return Columns(len(table), tuple(_texts(table[self._names[place]]) for place in self.at))

    def _parsed(self, block: bytes, *, quoted: bool) -> pa.Table:
        wanted = list(dict.fromkeys(self._names[place] for place in self.at)) or self._names[:1]
        return arrow_csv.read_csv(
            pa.BufferReader(block),  # type: ignore[arg-type]  # it is a file, as the stubs do not know
            arrow_csv.ReadOptions(use_threads=False, block_size=len(block) + 1, column_names=self._names),
            arrow_csv.ParseOptions(
                delimiter=self._delimiter, quote_char='"' if quoted else False, newlines_in_values=quoted
            ),
            arrow_csv.ConvertOptions(include_columns=wanted, column_types=dict.fromkeys(wanted, pa.string())),
        )


def _header(file: File, reader: Iterator[list[str]]) -> list[str]:
    try:
        header = next((row for row in reader if row), None)
    except csv.Error as error:
        raise ConfigError(f"{file.path}: line 1 is no CSV header: {error}") from None
    if header is None:
        raise ConfigError(f"{file.path}: is empty; a CSV manifest begins with a line of column names")
    if _BAD_BYTE.search("".join(header)):
        raise ConfigError(f"{file.path}: line 1 is not UTF-8 text; save the file as UTF-8 CSV")
    return [name.strip() for name in header]


def _row_by_row(reader: Iterator[list[str]], lines: _Lines, form: _Form) -> Iterator[list[Row | BadRow]]:
    """The rows of the present block, and of those after it as long as a row goes on in them."""
    rows: list[Row | BadRow] = []
    begun = False
    while not begun or not lines.between:
        begun = True
        row = _next_row(reader, lines.number + 1, form.width)
        if row is None:
            break
        if isinstance(row, BadRow):
            rows.append(row)
        elif row:  # a blank line is no row
            rows.append([row[place] or None for place in form.at])
        if len(rows) == _CHUNK_ROWS:
            yield rows
            rows = []
    if rows:
        yield rows


def _next_row(reader: Iterator[list[str]], line: int, width: int) -> list[str] | BadRow | None:
    """The next row, which begins in *line*; [] for a blank line, None at the end."""
    try:
        row = next(reader, None)
    except csv.Error as error:
        return BadRow(f"line {line} is no CSV ({error}); look at its quotes")
    if not row:
        return row
    if len(row) != width:
        return BadRow(f"line {line} has {len(row)} cells where the header has {width}")
    text = "".join(row)
    if not text.isascii() and _BAD_BYTE.search(text):
        return BadRow(f"line {line} is not UTF-8 text")
    return row


def _is_utf8(block: bytes) -> bool:
    try:
        block.decode()
    except UnicodeDecodeError:
        return False
    return True


def _texts(column: pa.ChunkedArray[Any]) -> Array:
    array = column.combine_chunks()
    texts: Array = _COMPUTE.if_else(_COMPUTE.equal(array, ""), None, array)
    return texts
