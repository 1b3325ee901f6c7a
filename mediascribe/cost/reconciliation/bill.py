"""Bill: the gateway's export of its log, in whatever file it came, as one table of lines.

Columns are found by the names that the gateway's log has; a caller may name others. Money is in quota, of which
500,000 are 1 USD (gateway notes 2.2), or in a column of dollars; either way it is kept in whole nano-dollars.
"""

from __future__ import annotations

import difflib
import re
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

import msgspec

from mediascribe.cost.reconciliation.terms import FLAGS, RATIOS, TOKENS
from mediascribe.cost.reconciliation.workspace import only
from mediascribe.cost.rows import quoted, text
from mediascribe.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from duckdb import DuckDBPyConnection

NANO_PER_QUOTA: Final = 2000
COLUMNS: Final[Mapping[str, tuple[str, ...]]] = MappingProxyType(
    {
        "created_at": ("created_at", "timestamp", "time"),
        "model_name": ("model_name", "model"),
        "quota": ("quota",),
        "usd": ("usd", "cost_usd", "spend"),
        "prompt_tokens": ("prompt_tokens", "input_tokens"),
        "completion_tokens": ("completion_tokens", "output_tokens"),
        "request_id": ("request_id",),
        "token_name": ("token_name",),
        "type": ("type",),
        "other": ("other",),
    }
)
"""What is read of a line, by the names under which it is looked for."""

_IN_ANSWER: Final = re.compile(rb'\{\s*"(success|message|data)"')
_LAST_SECOND: Final = 100_000_000_000  # a later moment than that is given in milliseconds
_AT_US: Final = (
    "case when try_cast(created_at as bigint) is null then epoch_us(try_cast(created_at as timestamptz))"
    f" when try_cast(created_at as bigint) > {_LAST_SECOND} then try_cast(created_at as bigint) * 1000"
    " else try_cast(created_at as bigint) * 1000000 end"
)
_DAY: Final = "make_date(cast(at_us // 86400000000 as integer))"
_WHOLE: Final = (
    "case when try_cast({0} as decimal(38, 6)) = try_cast({0} as bigint)"
    " and abs(try_cast({0} as bigint)) < 1000000000000 then try_cast({0} as bigint) end"
)
_MONEY: Final[Mapping[str, str]] = {
    "quota": f"({_WHOLE.format('quota')}) * {NANO_PER_QUOTA}",
    "usd": "cast(round(try_cast(usd as decimal(38, 15)) * 1000000000, 0) as bigint)",
}
_WANTED: Final[Mapping[str, str]] = {
    "at_us": "created_at: seconds since 1970, or a date and time",
    "model": "model_name: a model's name",
    "nano": "quota: a whole number, or usd: an amount",
    "prompt": "prompt_tokens: a whole number",
    "completion": "completion_tokens: a whole number",
}
# The log's types of lines: what is charged, and what is given back. All others charge nothing.
_CONSUMED, _REFUNDED = 2, 6


@dataclass(frozen=True, slots=True, kw_only=True)
class Export:
    """A bill as it came: where it lies, what messages call it, columns that have other names, and whose lines count.

    *token* keeps the lines of the key with that name.
    """

    path: Path
    name: str
    columns: Mapping[str, str] = field(default_factory=dict)
    token: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Read:
    """What of a bill is not in the table: lines that charge nothing, or of another key; and lines that stood twice."""

    other_lines: int
    repeated_lines: int


def load(db: DuckDBPyConnection, export: Export, folder: Path) -> Read:
    """Make the table `lines` of *export* in *db*; *folder* is for what is needed on the way.

    Raises:
        ConfigError: the file cannot be read, lacks a column, or has a value that is none; names line and column.
    """
    import duckdb  # noqa: PLC0415 - slow to import, for those who only want this package's names

    try:
        source, form = _source(export, folder)
        known = {str(name): str(kind) for name, kind, *_ in db.execute(f"describe {source}").fetchall()}
        found = _found(export, known)
        _raw(db, (source, form), found, known)
        _parse(db, "quota" if "quota" in found else "usd")
    except duckdb.Error as error:
        said = str(error).splitlines()[0]
        raise ConfigError(f"{export.name}: cannot be read as a bill: {said}") from None
    _check(db, export)
    return _tidy(db, export)


def _source(export: Export, folder: Path) -> tuple[str, str]:
    """The SQL that reads the file of *export*, and its form."""
    place = text(str(export.path))
    try:
        with export.path.open("rb") as opened:
            head = opened.read(4096).lstrip(b"\xef\xbb\xbf \t\r\n")
    except OSError as error:
        raise ConfigError(f"{export.name}: cannot be read: {error.strerror}") from None
    if not head:
        raise ConfigError(f"{export.name}: is empty; export the gateway's log again")
    if head.startswith(b"PAR1"):
        return f"from read_parquet({place})", "parquet"
    if _IN_ANSWER.match(head):
        place = text(str(_unwrapped(export, folder)))
    if head[:1] in (b"[", b"{"):
        form = "array" if head.startswith(b"[") else "newline_delimited"
        return f"from read_json({place}, format = '{form}')", "json"
    return f"from read_csv({place}, header = true, all_varchar = true, quote = '\"', escape = '\"')", "csv"


def _unwrapped(export: Export, folder: Path) -> Path:
    """The lines in an answer of the gateway that was saved as it came, as JSON lines."""
    try:
        told = msgspec.json.decode(export.path.read_bytes())
    except ValueError as error:
        raise ConfigError(f"{export.name}: is no JSON: {error}") from None
    rows = told.get("data")
    rows = rows.get("items") if isinstance(rows, dict) else rows
    if not isinstance(rows, list) or not rows:
        raise ConfigError(f"{export.name}: is an answer of the gateway without lines; {told.get('message') or ''}")
    place = folder / "unwrapped.jsonl"
    place.write_bytes(b"\n".join(map(msgspec.json.encode, rows)))
    return place


def _found(export: Export, known: Mapping[str, str]) -> dict[str, str]:
    """The file's column for each of `COLUMNS` that it has."""
    for name in export.columns:
        if name not in COLUMNS:
            nearest = difflib.get_close_matches(name, COLUMNS, n=1)
            hint = f"did you mean {nearest[0]}?" if nearest else f"known are {', '.join(COLUMNS)}"
            raise ConfigError(f"--column {name}: a bill has no such part; {hint}")
    lower = {name.casefold(): name for name in known}
    found = {}
    for name, usual in COLUMNS.items():
        if name in export.columns:
            if export.columns[name] not in known:
                raise ConfigError(f"{export.name}: has no column `{export.columns[name]}`; it has {', '.join(known)}")
            found[name] = export.columns[name]
        elif there := next((lower[one] for one in usual if one in lower), None):
            found[name] = there
    lacking = [name for name in ("created_at", "model_name") if name not in found]
    if not found.keys() & {"quota", "usd"}:
        lacking.append("quota")
    if "request_id" not in found and not {"prompt_tokens", "completion_tokens"} <= found.keys():
        lacking.append("request_id")
    if lacking:
        raise ConfigError(
            f"{export.name}: has no column for {', '.join(lacking)}; it has {', '.join(known)};"
            f" name it with --column {lacking[0]}=NAME"
        )
    return found


def _raw(db: DuckDBPyConnection, source: tuple[str, str], found: Mapping[str, str], known: Mapping[str, str]) -> None:
    """Make the table `raw`: the columns of a bill as text, and the number of each line in its file."""
    reading, form = source
    if form == "json":
        members = ", ".join(f"{text(name)}: 'JSON'" for name in found.values())
        reading = f"{reading[:-1]}, columns = {{{members}}})"
    cells = []
    for name in COLUMNS:
        column = quoted(found[name]) if name in found else "null"
        if name in found and form == "json":
            column = f"{column} ->> '$'"
        elif name in found and known[found[name]].startswith(("STRUCT", "MAP")):
            column = f"to_json({column})"
        cells.append(f"nullif(trim(cast({column} as varchar)), '') as {name}")
    first = 2 if form == "csv" else 1
    db.execute(f"create table raw as select row_number() over () + {first - 1} as line, {', '.join(cells)} {reading}")


def _parse(db: DuckDBPyConnection, money: str) -> None:
    """Make the table `parsed` of `raw`: every value in its type, null where it is none."""
    members = ", ".join(f'"{name}": "VARCHAR"' for name in (*RATIOS, *TOKENS, *FLAGS))
    told = f"case when json_valid(other) then from_json(other, '{{{members}}}') end"
    counts = [f"greatest(coalesce(try_cast(told.{name} as bigint), 0), 0) as {name}" for name in TOKENS]
    flags = [f"coalesce(told.{name} = 'true', false) as {name}" for name in FLAGS]
    ratios = [f"told.{name} as {name}" for name in RATIOS]
    charged = f"case when type = '{_REFUNDED}' then -abs({_MONEY[money]}) else {_MONEY[money]} end as nano"
    db.execute(
        f"create table parsed as select line, {_AT_US} as at_us, {_DAY} as day, model_name as model, {charged},"  # noqa: S608 - constants of this module
        f" coalesce({_WHOLE.format('prompt_tokens')}, case when prompt_tokens is null then 0 end) as prompt,"
        f" coalesce({_WHOLE.format('completion_tokens')}, case when completion_tokens is null then 0 end)"
        " as completion, request_id, token_name, coalesce(type, '2') as type,"
        f" {', '.join([*counts, *flags, *ratios])} from (select *, {told} as told from raw)"
    )


def _check(db: DuckDBPyConnection, export: Export) -> None:
    """Refuse the first line that has a value which is none.

    Raises:
        ConfigError: names the line, the column, and the value.
    """
    charging = f"type in ('{_CONSUMED}', '{_REFUNDED}')"
    bad = " or ".join(f"{name} is null" for name in _WANTED)
    found = only(db, f"select line from parsed where {charging} and ({bad}) order by line limit 1")  # noqa: S608 - constants
    if found is None:
        return
    row = only(db, f"select {', '.join(_WANTED)} from parsed where line = ?", *found) or ()  # noqa: S608 - likewise
    wrong = next(said for said, value in zip(_WANTED.values(), row, strict=True) if value is None)
    column = wrong.partition(":")[0]
    value = only(db, f"select coalesce({column}, '') from raw where line = ?", *found) or ("",)  # noqa: S608 - likewise
    raise ConfigError(f"{export.name}, line {found[0]}: wants {wrong}; it says '{value[0]}'")


def _tidy(db: DuckDBPyConnection, export: Export) -> Read:
    """Make the table `lines` of those in `parsed` that charge, each once."""
    mine = f" and token_name = {text(export.token)}" if export.token is not None else ""
    charging = f"type in ('{_CONSUMED}', '{_REFUNDED}'){mine}"
    # A line that stands twice is one line in two exports that overlap; without an id two may be alike by chance.
    db.execute(
        f"create temp table twice as select request_id from parsed where {charging} and request_id is not null"  # noqa: S608 - the name is quoted
        " group by request_id having count(*) > 1"
    )
    db.execute(
        f"create table lines as select * from parsed where {charging} and (request_id is null"  # noqa: S608 - likewise
        " or request_id not in (from twice) or line in (select min(line) from parsed"
        f" where {charging} and request_id in (from twice)"
        " group by request_id, type, at_us, model, nano, prompt, completion))"
    )
    everything, charged, kept = (
        (only(db, query) or (0,))[0]
        for query in (
            "select count(*) from parsed",
            f"select count(*) from parsed where {charging}",  # noqa: S608 - likewise
            "select count(*) from lines",
        )
    )
    if not kept:
        raise ConfigError(f"{export.name}: has no line that charges anything" + (" for that key" if mine else ""))
    db.execute("drop table raw; drop table parsed")
    return Read(other_lines=everything - charged, repeated_lines=charged - kept)
