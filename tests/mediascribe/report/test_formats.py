"""Tables as text for people and as files for other programs."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pandas as pd
import pytest
from rich.console import Console

from mediascribe.errors import ConfigError
from mediascribe.report.formats import format_of, print_frame, to_csv, to_json, to_markdown, written


@pytest.fixture
def frame():
    """A dear line, and one of which the cost is unknown."""
    return pd.DataFrame(
        {
            "model": ["a|b\nc", None],
            "rows": [12345, 1],
            "cost_usd": [0.0003368, None],
            "times": [2.25, 1.0],
            "ok": [True, False],
        }
    )


def test_csv_has_dollars_to_the_nano_and_nothing_for_unknown(frame):
    """No exponent, no rounding away, a header."""
    assert to_csv(frame) == 'model,rows,cost_usd,times,ok\n"a|b\nc",12345,0.000336800,2.25,True\n,1,,1.0,False'


def test_markdown_escapes_what_would_break_a_row(frame):
    """Numbers are separated and on the right; unknown is empty."""
    assert to_markdown(frame).splitlines() == [
        "| model | rows | cost_usd | times | ok |",
        "| --- | ---: | ---: | ---: | ---: |",
        r"| a\|b c | 12,345 | 0.0003368 | 2.2 | True |",
        "|  | 1 |  | 1.0 | False |",
    ]


def test_a_file_of_each_format_is_read_back(frame, tmp_path):
    """Parquet keeps types, JSON null, CSV numbers; nothing half written is left."""
    for form in ("parquet", "json", "csv", "markdown", "table"):
        assert written(frame, form, tmp_path / "new" / f"costs.{form}") is None
    assert pd.read_parquet(tmp_path / "new/costs.parquet").equals(frame)
    assert json.loads((tmp_path / "new/costs.json").read_text())[1]["cost_usd"] is None
    assert pd.read_csv(tmp_path / "new/costs.csv")["cost_usd"].tolist()[0] == 0.0003368
    assert len(list((tmp_path / "new").iterdir())) == 5


def test_without_a_file_there_is_a_text(frame):
    """The command prints it."""
    assert written(frame, "json", None) == to_json(frame)


def test_a_file_that_cannot_be_written_is_named(frame, tmp_path):
    """A folder that is a file."""
    (tmp_path / "x").write_text("")
    with pytest.raises(ConfigError, match=r"x/costs\.csv: cannot be written"):
        written(frame, "csv", tmp_path / "x" / "costs.csv")


@pytest.mark.parametrize(
    ("wanted", "path", "form"),
    [
        (None, None, "table"),
        ("csv", None, "csv"),
        (None, "out.CSV", "csv"),
        (None, "out.md", "markdown"),
        ("json", "out.csv", "json"),
        ("parquet", "out", "parquet"),
    ],
)
def test_the_format_is_the_wanted_one_or_the_suffixes(wanted, path, form):
    """What is said wins."""
    assert format_of(wanted, path and Path(path)) == form


@pytest.mark.parametrize(("wanted", "path", "says"), [(None, "out.xls", "`.xls`"), ("parquet", None, "name a file")])
def test_a_format_that_nobody_can_tell_is_refused(wanted, path, says):
    """With what there is."""
    with pytest.raises(ConfigError, match=says):
        format_of(wanted, path and Path(path))


def test_any_table_can_be_shown():
    """Words on the left, whole numbers with separators, dollars as dollars, unknown blank; no markup is taken."""
    told = pd.DataFrame(
        {"measure": ["rows", "cost_usd", "[b]x"], "first": pd.Series([12345, 0.5, None], dtype=object)}, dtype=object
    )
    console = Console(file=io.StringIO(), width=80)
    print_frame(told, console, empty="nothing")
    shown = console.file.getvalue()
    assert "12,345" in shown
    assert "0.5000" in shown
    assert "[b]x" in shown
    assert "None" not in shown
    print_frame(told.head(0), console, empty="nothing")
    assert console.file.getvalue().endswith("nothing\n")
