"""A cell's value as what it means: table by table."""

from __future__ import annotations

import math
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from typing import TYPE_CHECKING
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mediascribe.manifest import cells

if TYPE_CHECKING:
    from mediascribe.job_sections import ColumnType


@pytest.mark.parametrize(
    "url",
    [
        "https://cdn.example.com/a.jpg",
        "HTTP://cdn.example.com:8080/a%20b?w=1#t",
        "https://bücher.example/é.jpg",
        "https://me:pass@host/a",
        "http://[::1]:8000/a",
        "https://host",
        "http://host:65535/a",
        "https://under_score.example/a",
        "data:image/png;base64,QUJD",
        "data:,x",
    ],
)
def test_url_that_can_be_sent(url):
    """http(s) with a host, and data URLs, can be sent."""
    cells.check_url(url, relative_urls=False)


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("ftp://host/a", "has the scheme `ftp`"),
        ("s3://bucket", "names no object"),
        ("file:///etc/passwd", "has the scheme `file`"),
        ("C:\\a.jpg", "has the scheme `c`"),
        ("https://host/a b.jpg", "has white space"),
        ("https://host/a\u00a0b.jpg", "has white space"),
        ("https://host/a\nb", "has white space"),
        ("https://host/a\x00b", "has white space or a control character"),
        ("https:///a.jpg", "has no host"),
        ("https:a.jpg", "has no host"),
        ("http://:80/a", "has no host"),
        ("https://host\\@evil/a", "has no host"),
        ("http://[bad/a", "has no valid host or port"),
        ("http://host:99999/a", "has no valid host or port"),
        ("http://host:x/a", "has no valid host or port"),
        ("data:image/png;base64", "is a data URL without a comma"),
        ("/abs/a.jpg", "is no path below"),
        ("//host/a.jpg", "is no path below"),
        ("a/../../b.jpg", "is no path below"),
        ("..", "is no path below"),
        ("a/%2e%2E/b.jpg", "is no path below"),
        ("a\\..\\b.jpg", "is no path below"),
        ("?a=b", "is no path below"),
    ],
)
@pytest.mark.parametrize("relative_urls", [True, False])
def test_url_that_cannot_be_sent(url, reason, relative_urls):
    """Another scheme, no host, white space, or a way out of the base folder: refused with the reason."""
    with pytest.raises(ValueError, match=reason):
        cells.check_url(url, relative_urls=relative_urls)


@pytest.mark.parametrize("url", ["a.jpg", "images/a.jpg?x=../y", "./a.jpg", "a..b/c.jpg", "é.jpg"])
def test_relative_url_wants_a_base(url):
    """A relative URL is good where the job has a base_url, and refused by that name where it has none."""
    cells.check_url(url, relative_urls=True)
    with pytest.raises(ValueError, match=r"is relative, and the job has no \[media\] base_url"):
        cells.check_url(url, relative_urls=False)


@pytest.mark.parametrize(
    ("cell", "found"),
    [
        ("https://h/a", ["https://h/a"]),
        (" https://h/a\n", ["https://h/a"]),
        ("  ", []),
        (["a", " b ", "", None], ["a", "b"]),
        (("a",), ["a"]),
        ([], []),
    ],
)
def test_urls_of_a_cell(cell, found):
    """A cell holds one URL or a list of them; white space around and empty ones do not count."""
    assert cells.urls(cell, arrays_in_text=False) == found


def test_urls_of_a_json_array():
    """A text may hold a JSON array, where the format knows no lists; elsewhere `[` is a letter."""
    assert cells.urls(' ["a", " b", "", null] ', arrays_in_text=True) == ["a", "b"]
    assert cells.urls("[a].jpg", arrays_in_text=False) == ["[a].jpg"]
    for text in ('["a"', "[" * 100_000):
        with pytest.raises(ValueError, match="no JSON array of texts"):
            cells.urls(text, arrays_in_text=True)
    with pytest.raises(ValueError, match="is a list with something else than texts"):
        cells.urls("[1]", arrays_in_text=True)


@pytest.mark.parametrize(
    ("cell", "reason"), [(3, "no URL but a int"), ({}, "but a dict"), ([3], "something else than")]
)
def test_urls_of_another_type(cell, reason):
    """A number, an object, or a list of such holds no URL."""
    with pytest.raises(ValueError, match=reason):
        cells.urls(cell, arrays_in_text=False)


def test_media_kind():
    """A kind may be written in any case; anything else is none."""
    assert [cells.media_kind(cell) for cell in ("image", " Audio", "VIDEO")] == ["image", "audio", "video"]
    for cell in ("picture", "image/png", "", None, 3, ["image"]):
        with pytest.raises(ValueError, match="is no media kind; write image, audio or video"):
            cells.media_kind(cell)


@pytest.mark.parametrize(
    ("cell", "text"),
    [
        ("a 1", "a 1"),
        (7, "7"),
        (7.0, "7"),
        (1e22, "10000000000000000000000"),
        (7.5, "7.5"),
        (date(2026, 1, 2), "2026-01-02"),
        (Decimal("1.50"), "1.50"),
        (UUID(int=1), "00000000-0000-0000-0000-000000000001"),
    ],
)
def test_id_text(cell, text):
    """An id is the value as text; whole numbers have no `.0`."""
    assert cells.id_text(cell) == text


@pytest.mark.parametrize("cell", [None, "", " \t", True, [1], {"a": 1}, b"a", math.nan, math.inf, timedelta(1)])
def test_no_id(cell):
    """Nothing, a boolean, a list, an object, bytes and NaN are no ids."""
    with pytest.raises(ValueError, match=r"^is "):
        cells.id_text(cell)


@pytest.mark.parametrize(
    ("cell", "value"),
    [
        (datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC), "2026-01-02T03:04:05+00:00"),
        (date(2026, 1, 2), "2026-01-02"),
        (time(3, 4), "03:04:00"),
        (Decimal("1.10"), "1.10"),
        ({"a": [date(2026, 1, 2), (1, None)]}, {"a": ["2026-01-02", [1, None]]}),
    ],
)
def test_json_value(cell, value):
    """Times, decimals and what is inside lists and objects have JSON forms."""
    assert cells.json_value(cell) == value


@pytest.mark.parametrize("cell", [math.nan, -math.inf, Decimal("NaN"), b"x", timedelta(1), [math.nan], {"a": b"x"}])
def test_no_json_value(cell):
    """NaN, infinity, bytes and durations have none."""
    with pytest.raises(ValueError, match=r"^is "):
        cells.json_value(cell)


@pytest.mark.parametrize(
    ("kind", "cell", "value"),
    [
        ("string", "a", "a"),
        ("string", 5, "5"),
        ("string", 5.5, "5.5"),
        ("string", True, "true"),
        ("string", False, "false"),
        ("string", date(2026, 1, 2), "2026-01-02"),
        ("int64", " -12 ", -12),
        ("int64", "3.0", 3),
        ("int64", "+9223372036854775807", 2**63 - 1),
        ("int64", 3.0, 3),
        ("int64", Decimal(4), 4),
        ("float64", "1e3", 1000.0),
        ("float64", 2, 2.0),
        ("float64", Decimal("2.5"), 2.5),
        ("bool", "TRUE", True),
        ("bool", "yes", True),
        ("bool", "1", True),
        ("bool", 1, True),
        ("bool", True, True),
        ("bool", "False", False),
        ("bool", " no", False),
        ("bool", "0", False),
        ("bool", 0, False),
        ("timestamp", "2026-01-02", "2026-01-02T00:00:00Z"),
        ("timestamp", "2026-01-02 03:04:05", "2026-01-02T03:04:05Z"),
        ("timestamp", "2026-01-02T03:04:05.5+02:00", "2026-01-02T01:04:05.500000Z"),
        ("timestamp", "2026-01-02T03:04:05Z", "2026-01-02T03:04:05Z"),
        ("timestamp", datetime(2026, 1, 2, 3, 4, tzinfo=timezone(timedelta(hours=-1))), "2026-01-02T04:04:00Z"),
        ("timestamp", date(2026, 1, 2), "2026-01-02T00:00:00Z"),
    ],
)
def test_convert(kind: ColumnType, cell, value):
    """A carried cell takes its declared type."""
    converted = cells.CONVERT[kind](cell)

    assert (converted, type(converted)) == (value, type(value))


@pytest.mark.parametrize(
    ("kind", "cell", "reason"),
    [
        ("string", ["a"], "is a list, not one value"),
        ("string", {"a": 1}, "is a dict, not one value"),
        ("string", math.nan, "is no finite number"),
        ("int64", "3.5", "is no whole number of 64 bits"),
        ("int64", "1_000", "is no whole number"),
        ("int64", "", "is no whole number"),
        ("int64", "9223372036854775808", "is no whole number"),
        ("int64", "9" * 5000, "is no whole number"),
        ("int64", 2**63, "is no whole number"),
        ("int64", True, "is no whole number"),
        ("int64", 3.5, "is no whole number"),
        ("int64", math.inf, "is no whole number"),
        ("int64", [3], "is no whole number"),
        ("float64", "nan", "is no finite number"),
        ("float64", "Infinity", "is no finite number"),
        ("float64", "1e999", "is no finite number"),
        ("float64", "1_0", "is no finite number"),
        ("float64", "a", "is no finite number"),
        ("float64", 10**400, "is no finite number"),
        ("float64", True, "is no finite number"),
        ("float64", None, "is no finite number"),
        ("bool", "maybe", "is neither true nor false"),
        ("bool", 2, "is neither true nor false"),
        ("bool", 1.0, "is neither true nor false"),
        ("bool", [True], "is neither true nor false"),
        ("timestamp", "yesterday", "is no ISO 8601 time"),
        ("timestamp", 1767225600, "is no ISO 8601 time"),
        ("timestamp", "0001-01-01T00:00:00+02:00", "is no ISO 8601 time"),
        ("timestamp", time(3, 4), "is no ISO 8601 time"),
    ],
)
def test_cannot_convert(kind: ColumnType, cell, reason):
    """A carried cell that has not its declared type is told what it is not."""
    with pytest.raises(ValueError, match=f"^{reason}"):
        cells.CONVERT[kind](cell)


@given(st.integers(-(2**63), 2**63 - 1), st.floats(allow_nan=False, allow_infinity=False))
@settings(max_examples=100, deadline=None)
def test_numbers_survive_as_text(whole, real):
    """A number written as text, as CSV does, is read as the same number."""
    assert cells.CONVERT["int64"](str(whole)) == whole
    assert cells.CONVERT["float64"](repr(real)) == real


def test_shown_is_short_and_on_one_line():
    """What a message quotes has 80 characters at most, and no line break of its own."""
    assert cells.shown("a\nb") == "'a\\nb'"
    assert cells.shown("x" * 81) == "'" + "x" * 79 + "…'"
    assert cells.shown([1, 2]) == "[1, 2]"
    assert cells.shown({"bytes": b"x" * 9, "paths": [None]}) == "{'bytes': '<9 bytes>', 'paths': [None]}"


def test_shown_has_no_secret():
    """What a message quotes has no signature, no user, and no content of a data URL."""
    assert cells.shown("a/b.jpg?sig=t0p", is_url=True) == "'a/b.jpg?sig=REDACTED'"
    assert cells.shown("see https://me:t0p@h/a") == "'see https://h/a'"
    assert "QUJD" not in cells.shown(["data:image/png;base64,QUJD"], is_url=True)
