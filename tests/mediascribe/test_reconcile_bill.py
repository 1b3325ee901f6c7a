"""A bill in whatever file it came, and what is wrong with one."""

from __future__ import annotations

import json

import pandas as pd
import pytest

from mediascribe.cost.reconciliation import bill
from mediascribe.cost.reconciliation.workspace import workspace
from mediascribe.errors import ConfigError

pytestmark = pytest.mark.wide

OTHER = {"model_ratio": 0.05, "completion_ratio": 8.333333333333334, "cache_tokens": 7, "audio": True}
LINES = [
    {
        "created_at": 1766735188,
        "model_name": "gemini-2.0-flash",
        "quota": 17,
        "prompt_tokens": 263,
        "completion_tokens": 20,
        "request_id": "r1",
        "other": json.dumps(OTHER),
    },
    {
        "created_at": 1766735190,
        "model_name": "gpt-4o, the large",
        "quota": 0,
        "prompt_tokens": 0,
        "completion_tokens": 0,
        "request_id": "r2",
        "other": "",
    },
]
READ = "select at_us, model, nano, prompt, completion, request_id, model_ratio, completion_ratio, cache_tokens, audio"
EXPECTED = [
    (1766735188_000_000, "gemini-2.0-flash", 34_000, 263, 20, "r1", "0.05", "8.333333333333334", 7, True),
    (1766735190_000_000, "gpt-4o, the large", 0, 0, 0, "r2", None, None, 0, False),
]


def loaded(path, query=f"{READ} from lines order by line", **changes):
    """What *query* finds of the bill at *path*, and what of it is not in the table."""
    with workspace() as (db, folder):
        read = bill.load(db, bill.Export(path=path, name=path.name, **changes), folder)
        return db.execute(query).fetchall(), read


def as_csv(path, lines):
    pd.DataFrame(lines).to_csv(path, index=False)


def as_excel_csv(path, lines):
    path.write_bytes(b"\xef\xbb\xbf" + pd.DataFrame(lines).to_csv(index=False, sep=";").encode())


def as_json(path, lines):
    path.write_text(json.dumps(lines, indent=1))


def as_lines(path, lines):
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))


def as_lines_of_objects(path, lines):
    as_lines(path, [line | {"other": json.loads(line["other"] or "null")} for line in lines])


def as_answer(path, lines):
    path.write_text(json.dumps({"success": True, "message": "", "data": lines}))


def as_page(path, lines):
    path.write_text(json.dumps({"data": {"items": lines, "total": 2}}))


def as_parquet(path, lines):
    pd.DataFrame(lines).to_parquet(path)


def as_parquet_of_structs(path, lines):
    pd.DataFrame([line | {"other": json.loads(line["other"] or "null")} for line in lines]).to_parquet(path)


@pytest.mark.parametrize(
    "write",
    [
        as_csv,
        as_excel_csv,
        as_json,
        as_lines,
        as_lines_of_objects,
        as_answer,
        as_page,
        as_parquet,
        as_parquet_of_structs,
    ],
)
def test_every_form_says_the_same(tmp_path, write):
    """The same two lines, whatever the file is like."""
    path = tmp_path / "bill"
    write(path, LINES)
    rows, read = loaded(path)
    assert rows == EXPECTED
    assert (read.other_lines, read.repeated_lines) == (0, 0)


@pytest.mark.parametrize(
    ("said", "at_us"),
    [
        ("1766735188", 1766735188_000_000),
        ("1766735188123", 1766735188_123_000),
        ("2025-12-26T07:46:28Z", 1766735188_000_000),
        ("2025-12-26 07:46:28", 1766735188_000_000),
        ("2025-12-26T15:46:28.5+08:00", 1766735188_500_000),
    ],
)
def test_times(tmp_path, said, at_us):
    """Seconds, milliseconds, or a date and time, which is UTC unless it says otherwise."""
    path = tmp_path / "bill.csv"
    as_csv(path, [LINES[0] | {"created_at": said}])
    assert loaded(path, "select at_us from lines")[0] == [(at_us,)]


def test_dollars_do_as_well_as_quota(tmp_path):
    """Amounts are exact to the nano-dollar, in whatever way they are written."""
    path = tmp_path / "bill.csv"
    plain = {name: value for name, value in LINES[0].items() if name != "quota"}
    said = ("0.000034", "3.4e-05", "12.345678901")
    as_csv(path, [plain | {"request_id": spend, "spend": spend} for spend in said])
    assert loaded(path, "select nano from lines order by line")[0] == [(34_000,), (34_000,), (12_345_678_901,)]


def test_columns_of_other_names(tmp_path):
    """What the caller says goes before the usual names."""
    path = tmp_path / "bill.csv"
    as_csv(path, [{"when": 1, "model": "m", "quota": 2, "trace": "r9", "request_id": "no"}])
    named = {"created_at": "when", "request_id": "trace"}
    query = "select at_us, model, nano, request_id, prompt from lines"
    assert loaded(path, query, columns=named)[0] == [(1_000_000, "m", 4_000, "r9", 0)]


def test_what_charges_nothing_is_left_out(tmp_path):
    """Errors, top-ups, lines of other keys; what is given back has a sign, whatever sign it came with."""
    path = tmp_path / "bill.jsonl"
    mine = {"token_name": "k"}
    as_lines(
        path,
        [
            LINES[0] | mine | {"type": 2},
            LINES[0] | {"token_name": "x", "type": 2},
            {"type": 5, "quota": "?"} | mine,
            {"type": 1, "quota": 5} | mine,
            LINES[0] | mine | {"type": 6, "quota": 5},
            LINES[1] | mine | {"type": 6, "quota": -5},
        ],
    )
    rows, read = loaded(path, "select nano from lines order by line", token="k")
    assert rows == [(34_000,), (-10_000,), (-10_000,)]
    assert read.other_lines == 3


def test_a_line_that_stands_twice_counts_once(tmp_path):
    """Where it has an id; two lines without one may be alike by chance, and two charges for an id may differ."""
    path = tmp_path / "bill.jsonl"
    nameless = LINES[0] | {"request_id": None}
    as_lines(path, [LINES[0], LINES[0], LINES[0] | {"quota": 18}, nameless, nameless, LINES[1]])
    rows, read = loaded(path, "select line from lines order by line")
    assert [line for (line,) in rows] == [1, 3, 4, 5, 6]
    assert read.repeated_lines == 1


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"created_at": "yesterday"}, r"line 3: wants created_at: seconds since 1970.*it says 'yesterday'"),
        ({"model_name": None}, r"line 3: wants model_name: a model's name; it says ''"),
        ({"quota": "1.5"}, r"line 3: wants quota: a whole number, or usd: an amount; it says '1.5'"),
        ({"quota": None}, r"line 3: wants quota"),
        ({"prompt_tokens": "many"}, r"line 3: wants prompt_tokens: a whole number; it says 'many'"),
        ({"completion_tokens": "1e30"}, r"line 3: wants completion_tokens"),
    ],
)
def test_a_value_that_is_none_is_named(tmp_path, changes, said):
    """With the line of the file, its header counted, the column and the value."""
    path = tmp_path / "bill.csv"
    as_csv(path, [LINES[0], LINES[0] | changes])
    with pytest.raises(ConfigError, match=f"bill.csv, {said}"):
        loaded(path)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("", "is empty"),
        ("[]", "has no column for created_at|cannot be read as a bill"),
        ('{"success": false, "message": "record not found"}', "without lines; record not found"),
        ('{"data": [', "is no JSON"),
        ("[1, 2", "cannot be read as a bill"),
        ("PAR1 and no more", "cannot be read as a bill"),
        ("model_name,quota,request_id\nm,1,r\n", "no column for created_at; it has model_name, quota, request_id"),
        ("created_at,model_name,request_id\n1,m,r\n", "no column for quota"),
        ("created_at,model_name,quota\n1,m,1\n", r"no column for request_id.*--column request_id=NAME"),
        ("created_at,model_name,quota,request_id,type\n1,m,1,r,5\n", "has no line that charges anything"),
    ],
)
def test_a_file_that_is_no_bill(tmp_path, content, said):
    """The message says what it lacks."""
    path = tmp_path / "bill.csv"
    path.write_text(content)
    with pytest.raises(ConfigError, match=said):
        loaded(path)


def test_a_file_that_is_not_there(tmp_path):
    """It is named."""
    with pytest.raises(ConfigError, match=r"gone\.csv: cannot be read: No such file"):
        loaded(tmp_path / "gone.csv")


@pytest.mark.parametrize(
    ("columns", "said"),
    [
        ({"request": "x"}, "--column request: a bill has no such part; did you mean request_id"),
        ({"zzz": "x"}, "--column zzz: a bill has no such part; known are created_at"),
        ({"request_id": "trace"}, "bill.csv: has no column `trace`; it has created_at"),
    ],
)
def test_columns_that_are_none(tmp_path, columns, said):
    """Neither in a bill, nor in this one."""
    path = tmp_path / "bill.csv"
    as_csv(path, LINES)
    with pytest.raises(ConfigError, match=said):
        loaded(path, columns=columns)


def test_no_line_of_that_key(tmp_path):
    """The message says that the key is why."""
    path = tmp_path / "bill.csv"
    as_csv(path, LINES)
    with pytest.raises(ConfigError, match="no line that charges anything for that key"):
        loaded(path, token="k")
