"""A manifest's rows become Items: every row, in order, in every format."""

from __future__ import annotations

import json
import os
from datetime import UTC, date, datetime
from decimal import Decimal

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mediascribe.domain import Item, Media, digest

URL = "https://cdn.example.com/a.jpg"
FORMATS = ["csv", "tsv", "jsonl", "parquet", "csv.gz", "jsonl.gz"]


texts = st.text(st.characters(codec="utf-8", exclude_categories=("Cs",)), min_size=1, max_size=8)
written_rows = st.lists(
    st.fixed_dictionaries(
        {
            "item_id": texts.filter(str.strip),
            "image_url": st.sampled_from([URL, "http://host/b.png?w=1", "data:image/png;base64,QUJD"]),
            "video_url": st.none() | st.just("https://host/v.mp4"),
            "title": st.none() | texts,
            "n": st.none() | st.integers(-(2**63), 2**63 - 1),
            "score": st.none() | st.floats(allow_nan=False, allow_infinity=False),
            "seen": st.none() | st.booleans(),
        }
    ),
    min_size=1,
    max_size=5,
)


@given(rows=written_rows)
@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@pytest.mark.parametrize("form", FORMATS)
def test_round_trip(form, rows, write, read):
    """What is written as CSV, JSONL or Parquet is read back as the same Items, in order."""
    items = read(
        write(rows, form),
        variables=["title"],
        carry={"title": "string", "n": "int64", "score": "float64", "seen": "bool"},
    )

    assert items == [
        Item(
            item_id=row["item_id"],
            row_number=number,
            media=tuple(
                Media(kind=kind, url=row[column])
                for kind, column in (("image", "image_url"), ("video", "video_url"))
                if row[column] is not None
            ),
            variables={"title": row["title"]},
            carried={name: row[name] for name in ("title", "n", "score", "seen")},
        )
        for number, row in enumerate(rows, 1)
    ]


@pytest.mark.parametrize("form", FORMATS)
def test_url_with_its_kind(form, write, read):
    """A URL may have its kind in another column."""
    rows = [{"url": "https://h/a.wav", "media_kind": "Audio"}, {"url": "https://h/b.mp4", "media_kind": "video"}]

    assert [item.media for item in read(write(rows, form))] == [
        (Media(kind="audio", url="https://h/a.wav"),),
        (Media(kind="video", url="https://h/b.mp4"),),
    ]


def test_order_of_media(only):
    """A row's media stand as image, audio and video columns in the job's order, then the URL with its kind."""
    row = {
        "url": "https://h/6",
        "media_kind": "image",
        "video_url": "https://h/5",
        "audio_url": "https://h/4",
        "b": ["https://h/2", "https://h/3"],
        "a": "https://h/1",
    }
    media = only(row, image=["a", "b"]).media

    assert [(one.kind, one.url[-1]) for one in media] == [
        ("image", "1"),
        ("image", "2"),
        ("image", "3"),
        ("audio", "4"),
        ("video", "5"),
        ("image", "6"),
    ]


@pytest.mark.parametrize("form", ["csv", "jsonl", "parquet"])
def test_several_media_in_a_cell(only, form):
    """A cell may hold several URLs: a list, or in CSV a JSON array."""
    urls = ["https://h/1", "https://h/2"]
    cell = json.dumps(urls) if form == "csv" else urls

    assert [one.url for one in only({"image_url": cell}, form).media] == urls


def test_list_of_a_named_kind(only):
    """A list of URLs beside one kind is several media of that kind."""
    media = only({"url": ["https://h/1", "https://h/2"], "media_kind": "audio"}).media

    assert media == (Media(kind="audio", url="https://h/1"), Media(kind="audio", url="https://h/2"))


@pytest.mark.parametrize("form", ["csv", "jsonl", "parquet"])
def test_derived_id(only, form):
    """Without an id column the id is the hash of media and variables, the same in every format."""
    item = only({"image_url": f"{URL}?X-Amz-Signature=1", "title": "x", "other": "1"}, form, variables=["title"])

    assert item.item_id == digest(([("image", URL)], {"title": "x"}))[:16]


def test_derived_id_changes_with_what_is_asked(write, read):
    """Rows of other media or variables have other ids; a new signature or an unused column changes none."""
    rows = [
        {"image_url": URL, "title": "x", "other": "1"},
        {"image_url": f"{URL}?sig=2", "title": "x", "other": "2"},
        {"image_url": URL, "title": "y", "other": "1"},
        {"image_url": "https://h/b", "title": "x", "other": "1"},
    ]
    ids = [item.item_id for item in read(write(rows), variables=["title"])]

    assert ids[0] == ids[1]
    assert len(set(ids)) == 3


def test_id_of_a_number_has_no_fraction(tmp_path, read):
    """Ids that a table of numbers holds are whole, though a null beside them made them floats."""
    path = tmp_path / "items.parquet"
    pq.write_table(pa.table({"item_id": [1.0, 2.0], "image_url": [URL, URL]}), path)

    assert [item.item_id for item in read(path)] == ["1", "2"]


def test_duplicates_are_kept(write, read):
    """Two rows of one id are two Items: comparing them is the plan's duty."""
    rows = [{"item_id": "a", "image_url": URL}, {"item_id": "a", "image_url": URL}]

    assert [(item.item_id, item.row_number) for item in read(write(rows))] == [("a", 1), ("a", 2)]


def test_variables_keep_their_json_types(only):
    """Variables of JSONL are the row's own JSON values, a missing one null."""
    row = {"image_url": URL, "n": 3, "f": 0.5, "b": True, "l": [1, {"a": None}], "o": {"x": "y"}, "z": None}
    names = ["n", "f", "b", "l", "o", "z"]

    assert only(row, variables=names).variables == {name: row[name] for name in names}


def test_variables_of_csv_are_texts(only):
    """Variables of CSV are texts, an empty cell null."""
    assert only({"image_url": URL, "n": "3", "z": ""}, "csv", variables=["n", "z"]).variables == {"n": "3", "z": None}


def test_parquet_types(tmp_path, read):
    """Times and decimals of Parquet are ISO texts and decimal texts; lists and structs are JSON."""
    row = {
        "image_url": URL,
        "day": date(2026, 1, 2),
        "at": datetime(2026, 1, 2, 3, 4, tzinfo=UTC),
        "price": Decimal("1.50"),
        "tags": ["a", "b"],
        "size": {"w": 1, "h": 2},
    }
    path = tmp_path / "items.parquet"
    pq.write_table(pa.Table.from_pylist([row]), path)
    (item,) = read(
        path, variables=["day", "at", "price", "tags", "size"], carry={"at": "timestamp", "price": "float64"}
    )

    assert item.variables == {
        "day": "2026-01-02",
        "at": "2026-01-02T03:04:00+00:00",
        "price": "1.50",
        "tags": ["a", "b"],
        "size": {"w": 1, "h": 2},
    }
    assert item.carried == {"at": "2026-01-02T03:04:00Z", "price": 1.5}


def test_nanoseconds_are_cut(tmp_path, read):
    """A Parquet time of nanoseconds is read to the microsecond."""
    path = tmp_path / "items.parquet"
    at = pa.array([1_767_225_600_000_000_999], pa.timestamp("ns", "UTC"))
    pq.write_table(pa.table({"image_url": [URL], "at": at}), path)

    assert read(path, carry={"at": "timestamp"})[0].carried == {"at": "2026-01-01T00:00:00Z"}


def test_times_of_any_zone_are_utc(tmp_path, read):
    """A Parquet time is read in UTC, even of a zone that nobody knows; one without zone stays without."""
    path = tmp_path / "items.parquet"
    times = {
        name: pa.array([1_767_225_600], pa.timestamp("s", zone))
        for name, zone in (("a", "Europe/Berlin"), ("b", "Mars/Olympus"), ("c", None))
    }
    pq.write_table(pa.table({"image_url": [URL]} | times), path)

    assert read(path, variables=times)[0].variables == {
        "a": "2026-01-01T00:00:00+00:00",
        "b": "2026-01-01T00:00:00+00:00",
        "c": "2026-01-01T00:00:00",
    }


def test_quotes_newlines_and_byte_order_mark(tmp_path, read):
    """CSV cells may hold quotes, commas and line breaks; a byte order mark and blank lines are no part of the rows."""
    path = tmp_path / "items.csv"
    path.write_bytes(
        b'\xef\xbb\xbfitem_id, image_url ,title\r\na,https://h/a,"one, ""two""\r\nthree"\r\n\r\nb,https://h/b,\r\n\r\n'
    )
    items = read(path, variables=["title"])

    assert [(item.item_id, item.row_number, item.variables["title"]) for item in items] == [
        ("a", 1, 'one, "two"\r\nthree'),
        ("b", 2, None),
    ]


def test_jsonl_blank_lines_and_late_columns(tmp_path, opened):
    """In JSONL blank lines are no rows, a mark at the begin is skipped, and a column may appear in a later row."""
    path = tmp_path / "items.ndjson"
    path.write_bytes(b'\xef\xbb\xbf{"image_url": "https://h/a"}\n\n{"image_url": "https://h/b", "title": "x"}\n')
    manifest = opened(path, variables=["title"])

    assert manifest.columns == ("image_url", "title")
    assert [item.variables["title"] for item in manifest.read()] == [None, "x"]


def test_long_cells(write, read):
    """A data URL longer than CSV's usual limit of a cell is read."""
    url = "data:image/png;base64," + "A" * 300_000

    assert read(write([{"image_url": url}]))[0].media[0].url == url


def test_many_batches(tmp_path, read):
    """Rows are numbered through a Parquet file of several row groups and batches."""
    path = tmp_path / "items.parquet"
    pq.write_table(pa.table({"image_url": [f"https://h/{i}" for i in range(2500)]}), path, row_group_size=1100)
    items = read(path)

    assert [(item.row_number, item.media[0].url) for item in items] == [(i + 1, f"https://h/{i}") for i in range(2500)]


def test_reading_twice(write, opened):
    """A manifest can be read again, from its begin."""
    manifest = opened(write([{"image_url": URL}]))

    assert list(manifest.read()) == list(manifest.read())


def test_an_empty_manifest(tmp_path, read):
    """A header without rows is a manifest of no Items."""
    path = tmp_path / "items.csv"
    path.write_text("image_url\n")

    assert read(path) == []


def test_facts_of_the_file(tmp_path, write, opened):
    """A manifest tells its path and its format."""
    for form in FORMATS:
        write([{"image_url": URL}], form)
    manifest = opened(tmp_path / "items.csv.gz")

    assert (manifest.path, manifest.format) == (tmp_path / "items.csv.gz", "csv")


def test_told_format(tmp_path, read):
    """A format that the job names stands above the ending."""
    path = tmp_path / "items.txt"
    path.write_text('{"image_url": "https://h/a"}\n')

    assert len(read(path, format="jsonl")) == 1


def test_fingerprint(tmp_path, write, opened):
    """The fingerprint is the file's size and time: another of either is another fingerprint, another name is not."""
    path = write([{"image_url": URL}])
    os.utime(path, ns=(0, 1_000))
    first = opened(path).fingerprint()
    copy = path.rename(tmp_path / "copy.csv")
    moved = opened(copy).fingerprint()
    os.utime(copy, ns=(0, 2_000))
    touched = opened(copy).fingerprint()
    copy.write_text(f"image_url\n{URL}\n{URL}\n")
    os.utime(copy, ns=(0, 1_000))

    assert first == moved
    assert len({first, touched, opened(copy).fingerprint()}) == 3
