"""Many rows at once are the same items as one row after the other, problems and ids included."""

from __future__ import annotations

import itertools
import json
from datetime import UTC, datetime

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mediascribe.domain import Failure
from mediascribe.manifest import batch

pytestmark = [pytest.mark.wide, pytest.mark.long]

quick = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
URLS = [
    *("https://h/a.jpg", "https://h", "http://h.example:80/a%20b", "https://h/?", "https://h/a?w=1&h=2", "https://h?q"),
    *("https://h/a?X-Amz-Signature=1&X-Amz-Date=2&id=7", "https://h/a?token=x", "https://h/a?code=7;b=2#f"),
    *(
        "HTTPS://H/a",
        "https://me:pw@h/a",
        "https://h/a#f",
        'https://h/"',
        "https://h/a\\b",
        "https://h/\u00fc",
        "https://h:99999/a",
    ),
    *(
        "data:image/png;base64,QUJD",
        "DATA:,x",
        "images/a.jpg",
        "a/../b",
        "/a",
        "a//b",
        "a.b",
        "..",
        "ftp://h/a",
        "x y",
        " https://h/a ",
    ),
    *("", " ", '["https://h/1", "https://h/2"]', "[", "https://h/a?k=AbCdEfGhIjKlMnOpQrStUvWxYz0123"),
]
VALUES = [
    "",
    " ",
    "x",
    'zw\u00f6lf "\u00c4pfel"',
    "a\nb",
    "1",
    "-5",
    "+5",
    " 7 ",
    "1.50",
    "1e3",
    "nan",
    "true",
    "NO",
    "2026-01-31",
    "\\",
    "\x1f",
]
JSON_VALUES = [*VALUES, None, 3, -(2**63), 2**63, 0.5, True, [1], {"b": 1, "a": [2]}, []]
COLUMNS = ("item_id", "image_url", "audio_url", "url", "media_kind", "title", "n", "f", "seen", "at")
CARRY = {"title": "string", "n": "int64", "f": "float64", "seen": "bool", "at": "timestamp"}


def row(values, urls, kinds):
    cells = dict.fromkeys(("image_url", "audio_url", "url"), urls) | {"media_kind": kinds}
    return st.fixed_dictionaries({name: cells.get(name, values) for name in COLUMNS})


csv_rows = row(st.sampled_from(VALUES), st.sampled_from(URLS), st.sampled_from(["image", "Video", "", "x"]))
json_rows = row(
    st.sampled_from(JSON_VALUES),
    st.sampled_from([*URLS, None, 3, ["https://h/1", "https://h/2"], []]),
    st.sampled_from(["image", "audio", None, 1]),
)
plain_rows = row(
    st.sampled_from(["x", "y", "1"]), st.sampled_from(["https://h/a", "https://h/b?w=1", ""]), st.just("image")
)


def no_sound(item):
    """Refuses some kinds of media, as a model's table does."""
    if any(media.kind == "audio" for media in item.media):
        return Failure(error_class="row", code="no_sound", message=f"row {item.row_number}: no sound")
    return None


def same(manifest):
    """Whether all three ways give the same items."""
    items = manifest.checked(no_sound)
    batches = list(items.batches())
    found = [batch.item(one) for part in batches for one in part.to_pylist()]
    assert found == list(items)
    assert pa.Table.from_batches(batches, batch.ITEMS).to_pylist() == batch.from_items(items).to_pylist()
    return found


@given(rows=st.lists(csv_rows | plain_rows, min_size=1, max_size=6), case=st.tuples(st.booleans(), st.booleans()))
@quick
@pytest.mark.parametrize("form", ["csv", "tsv", "csv.gz"])
def test_csv(form, rows, case, write, opened):
    """Cells of all sorts in CSV, quoted as a writer quotes them."""
    ids, relative = case
    kept = [one if ids else {key: value for key, value in one.items() if key != "item_id"} for one in rows]
    same(opened(write(kept, form), variables=["title", "n"], carry=CARRY, relative_urls=relative))


@given(rows=st.lists(json_rows | plain_rows, min_size=1, max_size=6), ids=st.booleans(), relative=st.booleans())
@quick
def test_jsonl(rows, ids, relative, write, opened):
    """Values of all sorts in JSONL."""
    kept = [one if ids else {key: value for key, value in one.items() if key != "item_id"} for one in rows]
    same(opened(write(kept, "jsonl"), variables=["title", "n"], carry=CARRY, relative_urls=relative))


@given(rows=st.lists(csv_rows | plain_rows, min_size=1, max_size=6))
@quick
def test_parquet(rows, tmp_path, opened):
    """Columns of texts, of numbers, of truth values and of lists in Parquet."""
    table = pa.Table.from_pylist(rows)
    for name, values in (
        ("i", pa.array(range(len(rows)), pa.int32())),
        ("u", pa.array([2**64 - 1] * len(rows), pa.uint64())),
        ("b", pa.array([None, True, False, True, None, True][: len(rows)])),
        ("d", pa.array([0.5] * len(rows))),
        ("l", pa.array([["a"]] * len(rows))),
    ):
        table = table.append_column(name, values)
    path = tmp_path / "items.parquet"
    pq.write_table(table, path)
    more = {"i": "string", "b": "bool", "d": "float64", "u": "int64"}
    same(opened(path, variables=["title", "i", "b"], carry=CARRY | more, relative_urls=True))
    same(opened(path, variables=["l"], item_id="i"))
    same(opened(path, carry={"i": "int64"}, item_id="b"))
    same(opened(path, carry={"b": "string"}, item_id="d", image=["image_url", "title"]))


@given(
    lines=st.lists(
        st.text(st.sampled_from('a1",\r\n "'), max_size=12)
        | st.just("a,https://h/a,x")
        | st.just('"a","https://h/a","""x"'),
        min_size=1,
        max_size=6,
    ),
    end=st.sampled_from(["\n", "\r\n", "\r", ""]),
)
@settings(quick, max_examples=200)
def test_csv_of_any_quotes(lines, end, tmp_path, opened):
    """Arrow reads a block only where Python's strict reader sees the same rows in it."""
    path = tmp_path / "items.csv"
    path.write_text("item_id,image_url,title\n" + "\n".join(lines) + end, newline="")
    same(opened(path, variables=["title"]))


@pytest.mark.parametrize("size", range(3, 40, 3))
def test_csv_in_blocks(size, tmp_path, opened, monkeypatch):
    """Blocks may end anywhere: within a quoted line break, an accent, a line's end; a bad row spoils none after it."""
    monkeypatch.setattr("mediascribe.manifest.csv_rows._BLOCK_BYTES", size)
    path = tmp_path / "items.csv"
    path.write_bytes(
        b'\xef\xbb\xbfitem_id,image_url,title\r\na,https://h/a,"1\n2"\r\n\r\nb,https://h/b,\xc3\xa9\nc,x\n'
        b'd,https://h/d,caf\xe9\n"e","https://h/e","say ""hi"""\nf,https://h/f,"x"y\ng,https://h/g,z'
    )
    found = same(opened(path, variables=["title"]))
    assert [(item.item_id, item.problem and item.problem.message) for item in found] == [
        ("a", None),
        ("b", None),
        ("row-3", "row 3: line 6 has 2 cells where the header has 3"),
        ("row-4", "row 4: line 7 is not UTF-8 text"),
        ("e", None),
        ("row-6", "row 6: line 9 is no CSV (',' expected after '\"'); look at its quotes"),
        ("g", None),
    ]


def test_jsonl_with_bad_lines(tmp_path, opened):
    """A bad line sends its block row by row; numbers go on."""
    path = tmp_path / "items.jsonl"
    path.write_bytes(b'{"image_url": "https://h/a"}\n{}{}\n\n{"image_url": ["https://h/b"]}\n{"image_url": 1e400}\n')
    assert [item.problem and item.problem.code for item in same(opened(path))] == [None, "bad_row", None, "bad_row"]


@pytest.mark.parametrize("form", ["csv", "jsonl", "parquet"])
def test_every_url_in_every_place(form, write, opened):
    """All pairs of media cells, with relative URLs and without."""
    rows = [
        {"item_id": str(number), "image_url": image, "audio_url": audio}
        for number, (image, audio) in enumerate(itertools.product(URLS, URLS))
    ]
    for relative in (False, True):
        same(opened(write(rows, form), relative_urls=relative))
        same(opened(write(rows, form), relative_urls=relative, variables=["item_id"], item_id="item_id"))


def test_plain_rows_are_read_without_items(write, opened, monkeypatch):
    """What this is for: not one plain row becomes an Item on its way."""
    rows = [{"image_url": f"https://h/{number}?w=1", "title": "x", "n": str(number)} for number in range(100)]
    manifest = opened(write(rows), variables=["title"], carry={"n": "int64"})
    expected = list(manifest.read())
    made = []
    check = lambda item: made.append(item.row_number)  # noqa: E731 - it notes who is made
    found = [batch.item(one) for part in manifest.checked(check).batches() for one in part.to_pylist()]
    assert (found, made) == (expected, [1])


def test_further_columns_stand_beside_the_items(tmp_path, opened):
    """They have their carried type, else text; what has none of it is null."""
    path = tmp_path / "items.jsonl"
    rows = [
        {"image_url": "https://h/a", "n": "3", "at": "2026-01-31", "t": "x", "ok": "yes"},
        {"image_url": "https://h/a", "n": "x", "at": 1, "t": {"a": [1]}, "ok": 7},
    ]
    path.write_text("".join(json.dumps(one) + "\n" for one in rows) + "[]\n")
    items = opened(path, carry={"n": "float64", "at": "timestamp", "ok": "bool"}).checked(lambda _: None)
    (found,) = items.batches(["n", "at", "t", "ok"])
    cells = [{key: value for key, value in one.items() if key.startswith("cell_")} for one in found.to_pylist()]
    assert [str(one["cell_1"]) for one in cells] == ["2026-01-31 00:00:00+00:00", "None", "None"]
    assert [(one["cell_0"], one["cell_2"], one["cell_3"]) for one in cells] == [
        (3.0, "x", True),
        (None, '{"a":[1]}', None),
        (None, None, None),
    ]


def test_further_columns_of_parquet_have_its_types(tmp_path, opened):
    """Numbers, truth values and times are as the file has them, times in UTC; anything else is a text."""
    path = tmp_path / "items.parquet"
    at = datetime(2026, 1, 31, 12, tzinfo=UTC)
    columns = {
        "i": pa.array([7, None], pa.int16()),
        "f": pa.array([0.5, None]),
        "b": pa.array([True, None]),
        "zoned": pa.array([at, None], pa.timestamp("ms", "Europe/Berlin")),
        "bare": pa.array([at.replace(tzinfo=None), None], pa.timestamp("ns")),
        "day": pa.array([at.date(), None]),
        "tags": pa.array([["a"], None]),
        "t": pa.array(["x", None]),
        "bytes": pa.array([b"x", None]),
    }
    pq.write_table(pa.table({"image_url": ["https://h/a"] * 2} | columns), path)
    (found,) = opened(path).checked(lambda _: None).batches(list(columns))
    types = [pa.int16(), pa.float64(), pa.bool_(), pa.timestamp("us", "UTC"), pa.timestamp("us"), *[pa.string()] * 4]
    assert found.schema.types[-9:] == types
    first, second = ([row[f"cell_{place}"] for place in range(9)] for row in found.to_pylist())
    assert first == [7, 0.5, True, at, at.replace(tzinfo=None), "2026-01-31", '["a"]', "x", None]
    assert second == [None] * 9
