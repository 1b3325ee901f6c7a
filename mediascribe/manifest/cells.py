"""A cell's value as what it means: an id, URLs, a JSON value, a value of a declared column type.

Every function here is pure. Where a cell cannot mean what it should, it raises ValueError with the end of a sentence
that begins with the value: "is no whole number".
"""

from __future__ import annotations

import math
import re
from datetime import UTC, date, datetime, time
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import unquote, urlsplit
from uuid import UUID

import msgspec

from mediascribe.domain import MEDIA_KINDS, MediaKind
from mediascribe.media.address import BUCKET
from mediascribe.redact import redact_text, redact_url

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from mediascribe.job_sections import ColumnType

_PLAIN: Final = frozenset({str, int, bool, type(None)})
_SHOWN_CHARACTERS: Final = 80
_USUAL_URL = re.compile(r"(?i)https?://[a-z0-9-]+(\.[a-z0-9-]+)*(:[0-9]{1,4})?([/?#][^\s\x00-\x1f\x7f]*)?")
_BLANK = re.compile(r"[\s\x00-\x1f\x7f]")
_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*):")
_WHOLE = re.compile(r"([+-]?[0-9]{1,100})(\.0*)?")
_TRUTH: Final[Mapping[object, bool]] = {
    **dict.fromkeys(("true", "1", "yes", 1), True),
    **dict.fromkeys(("false", "0", "no", 0), False),
}


def urls(cell: object, *, arrays_in_text: bool) -> list[str]:
    """The URLs in a media cell, none for an empty one: a text, a list of texts, or a text that holds a JSON array."""
    if isinstance(cell, str):
        text = cell.strip()
        if not (arrays_in_text and text.startswith("[")):
            return [text] if text else []
        cell = _array_in(text)
    match cell:
        case list() | tuple() if all(part is None or isinstance(part, str) for part in cell):
            return [text for part in cell if part and (text := part.strip())]
        case list() | tuple():
            raise ValueError("is a list with something else than texts in it")
        case _:
            raise ValueError(f"is no URL but a {type(cell).__name__}")


def check_url(url: str, *, relative_urls: bool) -> None:
    """Pass a URL that may be sent: http(s) with a host, data:, or relative to the job's [media] base_url."""
    if _USUAL_URL.fullmatch(url):
        return
    if _BLANK.search(url):
        raise ValueError("has white space or a control character in it; write it as %20")
    scheme = _SCHEME.match(url)
    match scheme[1].lower() if scheme else None:
        case None:
            _check_relative(url, allowed=relative_urls)
        case "http" | "https":
            _check_host(url)
        case "data":
            if "," not in url:
                raise ValueError("is a data URL without a comma and content")
        case "s3" | "gs" | "az":
            if not BUCKET.fullmatch(url):
                raise ValueError("names no object; write s3://bucket/key")
        case other:
            raise ValueError(f"has the scheme `{other}`; only http, https, data, and s3, gs, az can be sent")


def media_kind(cell: object) -> MediaKind:
    """The kind that a media_kind cell names, in any case of letters."""
    name = cell.strip().lower() if isinstance(cell, str) else cell
    for kind in MEDIA_KINDS:
        if name == kind:
            return kind
    raise ValueError(f"is no media kind; write {', '.join(MEDIA_KINDS[:-1])} or {MEDIA_KINDS[-1]}")


def id_text(cell: object) -> str:
    """An id as text; a whole number stands without `.0`."""
    match cell:
        case str() if cell.strip():
            return cell
        case None | str():
            raise ValueError("is no id; give every row one, or name no id column")
        case bool() | list() | tuple() | dict() | bytes():
            raise ValueError(f"is no id but a {type(cell).__name__}")
        case float() if cell.is_integer():
            return str(int(cell))
        case _:
            return str(json_value(cell))


def json_value(cell: object) -> Any:  # noqa: ANN401 - any JSON value
    """A cell as a JSON value: times in ISO 8601, decimals and UUIDs as text."""
    if type(cell) in _PLAIN:
        return cell
    match cell:
        case float() | Decimal():
            if not math.isfinite(cell):
                raise ValueError("is no finite number")
            return cell if isinstance(cell, float) else str(cell)
        case list() | tuple():
            return [json_value(part) for part in cell]
        case dict():
            return {str(name): json_value(part) for name, part in cell.items()}
        case date() | time():
            return cell.isoformat()
        case UUID():
            return str(cell)
        case _:
            raise ValueError(f"is a {type(cell).__name__}, which is no JSON value")


def shown(value: object, *, is_url: bool = False) -> str:
    """*value* as a message may quote it: without secrets, on one line, and short."""
    text = value if isinstance(value, str) else repr(_without_bytes(value))
    text = redact_text(redact_url(text) if is_url else text)
    cut = text if len(text) <= _SHOWN_CHARACTERS else text[: _SHOWN_CHARACTERS - 1] + "…"
    return repr(cut) if isinstance(value, str) else cut


def _without_bytes(value: object) -> object:
    """*value* with the length of bytes in their place: a file in a cell is no text to quote."""
    match value:
        case bytes():
            return f"<{len(value)} bytes>"
        case list() | tuple():
            return [_without_bytes(part) for part in value]
        case dict():
            return {name: _without_bytes(part) for name, part in value.items()}
        case _:
            return value


def _array_in(text: str) -> list[object]:
    try:
        return msgspec.json.decode(text, type=list[object])
    except (msgspec.DecodeError, RecursionError):
        raise ValueError("begins with `[` and is no JSON array of texts") from None


def _check_host(url: str) -> None:
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError as error:
        raise ValueError(f"has no valid host or port ({error})") from None
    if not host or "\\" in parts.netloc:
        raise ValueError("has no host; write https://host/path")


def _check_relative(url: str, *, allowed: bool) -> None:
    path = unquote(re.split(r"[?#]", url, maxsplit=1)[0]).replace("\\", "/")
    if not path or path.startswith("/") or ".." in path.split("/"):
        raise ValueError("is no path below [media] base_url; it may not begin with `/` or climb with `..`")
    if not allowed:
        raise ValueError("is relative, and the job has no [media] base_url; set it, or write the whole URL")


def _as_string(cell: object) -> str:
    value = json_value(cell)
    match value:
        case str():
            return value
        case bool():
            return "true" if value else "false"
        case int() | float():
            return str(value)
        case _:
            raise ValueError(f"is a {type(cell).__name__}, not one value")


def _as_int64(cell: object) -> int:
    number = None
    match cell:
        case str() if found := _WHOLE.fullmatch(cell.strip()):
            number = int(found[1])
        case int() if not isinstance(cell, bool):
            number = cell
        case float() | Decimal() if math.isfinite(cell) and cell == int(cell):
            number = int(cell)
    if number is None or not -(2**63) <= number < 2**63:
        raise ValueError("is no whole number of 64 bits")
    return number


def _as_float64(cell: object) -> float:
    number = math.nan
    if isinstance(cell, str | int | float | Decimal) and not isinstance(cell, bool) and "_" not in str(cell):
        try:
            number = float(cell)
        except (ValueError, OverflowError):
            number = math.nan
    if not math.isfinite(number):
        raise ValueError("is no finite number")
    return number


def _as_bool(cell: object) -> bool:
    key = cell.strip().lower() if isinstance(cell, str) else cell
    if isinstance(key, str | int) and key in _TRUTH:
        return _TRUTH[key]
    raise ValueError("is neither true nor false")


def _as_timestamp(cell: object) -> str:
    """ISO 8601 in UTC, with a `Z`; a time without zone is UTC already, a day is its midnight."""
    text = cell.strip() if isinstance(cell, str) else json_value(cell)
    try:
        moment = datetime.fromisoformat(text)
        moment = moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    except (TypeError, ValueError, OverflowError):
        raise ValueError("is no ISO 8601 time such as 2026-01-31T12:00:00Z") from None
    return moment.isoformat().replace("+00:00", "Z")


CONVERT: Final[Mapping[ColumnType, Callable[[object], Any]]] = {
    "string": _as_string,
    "int64": _as_int64,
    "float64": _as_float64,
    "bool": _as_bool,
    "timestamp": _as_timestamp,
}
