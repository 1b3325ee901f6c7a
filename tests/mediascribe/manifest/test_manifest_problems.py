"""A row that cannot be asked is an Item with its problem, in its place; a file that breaks is a ConfigError."""

from __future__ import annotations

import os
from datetime import timedelta

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from mediascribe.domain import Media, digest
from mediascribe.errors import ConfigError

URL = "https://cdn.example.com/a.jpg"


@pytest.mark.parametrize("form", ["csv", "jsonl", "parquet"])
@pytest.mark.parametrize(
    ("row", "code", "message"),
    [
        ({"image_url": "", "item_id": "a"}, "no_media", "row 1 has no media: nothing in `image_url`"),
        (
            {"image_url": "ftp://me:pw@h/a", "item_id": "a"},
            "bad_url",
            (
                "row 1, column `image_url`: 'ftp://h/a' has the scheme `ftp`;"
                " only http, https, data, and s3, gs, az can be sent"
            ),
        ),
        (
            {"image_url": "https://h/a b?sig=t0p", "item_id": "a"},
            "bad_url",
            "row 1, column `image_url`: 'https://h/a b?sig=REDACTED' has white space or a control",
        ),
        (
            {"image_url": "images/a.jpg", "item_id": "a"},
            "bad_url",
            "row 1, column `image_url`: 'images/a.jpg' is relative, and the job has no [media] base_url;",
        ),
        (
            {"url": URL, "media_kind": "picture", "item_id": "a"},
            "bad_media_kind",
            "row 1, column `media_kind`: 'picture' is no media kind; write image, audio or video",
        ),
        (
            {"url": URL, "media_kind": "", "item_id": "a"},
            "bad_media_kind",
            "is no media kind; write image, audio or video",
        ),
        ({"url": "", "media_kind": "image", "item_id": "a"}, "no_media", "row 1 has no media: nothing in `url`"),
    ],
)
def test_bad_media(only, form, row, code, message):
    """A row without media that can be asked is an Item with its problem, under its own id."""
    item = only(row, form)

    assert (item.item_id, item.problem.code) == ("a", code)
    assert message in item.problem.message
    assert item.problem.status == "skipped"


def test_relative_urls(only):
    """With a base_url in the job, a relative URL is read as written."""
    assert only({"image_url": "images/a.jpg"}, relative_urls=True).media == (Media(kind="image", url="images/a.jpg"),)


@pytest.mark.parametrize("form", ["csv", "jsonl", "parquet"])
def test_bad_id(problem, form):
    """An empty id in a manifest that has ids is a problem, and the row's number stands in for it."""
    code, message = problem({"item_id": "", "image_url": URL}, form)
    shown = "an empty cell" if form == "csv" else "''"

    assert code == "bad_id"
    assert message == f"row 1, column `item_id`: {shown} is no id; give every row one, or name no id column"


@pytest.mark.parametrize("form", ["csv", "jsonl", "parquet"])
def test_bad_carried_value(only, form):
    """A carried cell of another type is a problem; the row keeps its id, media and other columns."""
    row = {"image_url": URL, "price": "cheap", "n": "3", "title": "x"}
    item = only(row, form, variables=["title"], carry={"price": "float64", "n": "int64"})

    assert item.problem.code == "bad_value"
    assert item.problem.message == ("row 1, column `price`: 'cheap' is no finite number ([manifest] carry: float64)")
    assert (item.carried, item.variables) == ({"price": None, "n": 3}, {"title": "x"})
    assert item.media == (Media(kind="image", url=URL),)
    assert item.item_id == digest(([("image", URL)], {"title": "x"}))[:16]


def test_list_in_a_scalars_place(problem):
    """A list where one value is carried is a bad value; as an id it is a bad id."""
    assert problem({"image_url": URL, "t": ["a"]}, carry={"t": "string"}) == (
        "bad_value",
        "row 1, column `t`: ['a'] is a list, not one value ([manifest] carry: string)",
    )
    assert problem({"image_url": URL, "item_id": ["a"]})[0] == "bad_id"


@pytest.mark.parametrize(
    ("cell", "code", "message"),
    [
        (3, "bad_url", "row 1, column `image_url`: 3 is no URL but a int"),
        (["https://h/1", "ftp://h/2"], "bad_url", "row 1, column `image_url`: 'ftp://h/2' has the scheme `ftp`;"),
        ([], "no_media", "row 1 has no media: nothing in `image_url`"),
    ],
)
def test_bad_media_cells_of_jsonl(problem, cell, code, message):
    """A number, a list with a bad URL in it, and an empty list are told apart."""
    found = problem({"image_url": cell})

    assert found[0] == code
    assert found[1].startswith(message)


def test_bad_array_in_csv(problem):
    """A CSV cell that begins like a JSON array and is none is a bad URL, without its signatures."""
    code, message = problem({"image_url": '["https://h/a?sig=t0p"'}, "csv")

    assert code == "bad_url"
    assert "begins with `[` and is no JSON array of texts" in message
    assert "t0p" not in message


def test_bad_variable(tmp_path, read):
    """A variable that is no JSON value is a bad value."""
    path = tmp_path / "items.parquet"
    rows = {"image_url": [URL] * 3, "v": [1.0, float("nan"), 2.0], "d": pa.array([timedelta(1)] * 3)}
    pq.write_table(pa.table(rows), path)

    items = read(path, variables=["v"])
    assert [item.problem and item.problem.code for item in items] == [None, "bad_value", None]
    assert items[1].problem.message == "row 2, column `v`: nan is no finite number"
    assert items[1].item_id == "row-2"
    assert read(path, variables=["d"])[0].problem.code == "bad_value"


def test_the_first_problem_is_told(only):
    """A row with several problems has one, and what could be read of it."""
    item = only({"item_id": "", "image_url": "x y", "n": "z", "t": "a"}, carry={"n": "int64", "t": "string"})

    assert (item.item_id, item.problem.code, item.carried) == ("row-1", "bad_url", {"n": None, "t": "a"})


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (b"b,https://h/b", "row 2: line 3 has 2 cells where the header has 3"),
        (b"b,https://h/b,x,y", "row 2: line 3 has 4 cells where the header has 3"),
        (b"b,https://h/b,caf\xe9", "row 2: line 3 is not UTF-8 text"),
        (b'b,https://h/b,"x"y', "row 2: line 3 is no CSV (',' expected after '\"'); look at its quotes"),
    ],
)
def test_bad_row_of_csv(tmp_path, line, message, read):
    """A CSV row that cannot be read is an Item in its place, and the next row is read."""
    path = tmp_path / "items.csv"
    path.write_bytes(b"item_id,image_url,title\na,https://h/a,\xc3\xa9\n" + line + b"\nc,https://h/c,z\n")
    items = read(path)

    assert [(item.item_id, item.problem and item.problem.code) for item in items] == [
        ("a", None),
        ("row-2", "bad_row"),
        ("c", None),
    ]
    assert items[1].problem.message == message


def test_a_quote_that_is_never_closed(tmp_path, read):
    """A quote that nobody closes is a bad row with its line, not a long last cell."""
    path = tmp_path / "items.csv"
    path.write_text('item_id,image_url\na,https://h/a\nb,"https://h/b\nc,https://h/c\n')
    items = read(path)

    assert [item.item_id for item in items] == ["a", "row-2"]
    assert items[1].problem.message == "row 2: line 3 is no CSV (unexpected end of data); look at its quotes"


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (b'{"image_url": ', "row 2: line 3 is no JSON (Input data was truncated)"),
        (b'["https://h/a"]', "row 2: line 3 is JSON, but no object"),
        (b'{"image_url": "caf\xe9"}', "row 2: line 3 is no JSON ('utf-8' codec"),
        (b'{"image_url": "\\ud800"}', "row 2: line 3 is no JSON ("),
        (b'{"image_url": NaN}', "row 2: line 3 is no JSON ("),
        (b"[" * 100_000, "row 2: line 3 is no JSON ("),
    ],
)
def test_bad_row_of_jsonl(tmp_path, line, message, read):
    """A JSONL line that is no object is an Item in its place, and the next line is read."""
    path = tmp_path / "items.jsonl"
    path.write_bytes(b'\n{"image_url": "https://h/a"}\n' + line + b'\n{"image_url": "https://h/c"}\n')
    items = read(path)

    assert [item.problem and item.problem.code for item in items] == [None, "bad_row", None]
    assert items[1].problem.message.startswith(message)


def test_bad_row_of_parquet(tmp_path, read):
    """A Parquet value that has no Python form spoils its row only: a year beyond 9999, text that is no UTF-8."""
    path = tmp_path / "items.parquet"
    far = pa.array([0, 2**62, 0, 0], pa.timestamp("us"))
    urls = pa.array([b"https://h/a", b"https://h/b", b"caf\xe9", b"https://h/d"], pa.binary()).view(pa.string())
    pq.write_table(pa.table({"image_url": urls, "at": far}), path)
    items = read(path, carry={"at": "timestamp"})

    assert [item.problem and item.problem.code for item in items] == [None, "bad_row", "bad_row", None]
    assert items[1].problem.message.startswith("row 2: column `at` cannot be read (")
    assert items[2].problem.message.startswith("row 3: column `image_url` cannot be read (")


@pytest.mark.parametrize("form", ["csv.gz", "jsonl.gz"])
def test_file_that_breaks_off(form, write, opened):
    """A gzip that was cut ends the reading with its name."""
    path = write([{"image_url": f"https://h/{os.urandom(8).hex()}"} for _ in range(3_000)], form)
    manifest = opened(path)
    path.write_bytes(path.read_bytes()[:-500])

    with pytest.raises(ConfigError, match=r"items\..*: cannot be read as .*, gzip: "):
        list(manifest.read())


@pytest.mark.parametrize("form", ["csv", "parquet"])
def test_file_that_was_changed(form, write, opened):
    """A file that lost a column since it was opened is told so."""
    manifest = opened(write([{"image_url": URL, "title": "x"}], form), variables=["title"])
    write([{"image_url": URL}], form)

    with pytest.raises(ConfigError, match="column `title` is gone: the file was changed while it was in use"):
        list(manifest.read())


def test_file_that_is_gone(write, opened):
    """A file that was removed since it was opened is told so, for its rows and for its fingerprint."""
    path = write([{"image_url": URL}])
    manifest = opened(path)
    path.unlink()

    for ask in (manifest.fingerprint, lambda: list(manifest.read())):
        with pytest.raises(ConfigError, match=r"items\.csv: cannot be read as csv: .*No such file"):
            ask()
