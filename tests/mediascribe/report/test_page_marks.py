"""Marks that a page exported."""

from __future__ import annotations

from datetime import UTC, datetime

import pandas as pd
import pytest

from mediascribe.errors import ConfigError
from mediascribe.report import formats
from mediascribe.report.page.marks import COLUMNS, read_marks

HEADER = "item_id,mark,note,run_id,marked_at\r\n"


@pytest.fixture
def csv(tmp_path):
    """`csv(lines)`: a file of marks; gives its path."""

    def _csv(lines, header=HEADER):
        path = tmp_path / "marks.csv"
        path.write_bytes((header + lines).encode())
        return path

    return _csv


class TestReading:
    """`read_marks`."""

    def test_marks_are_read_as_they_were_said(self, csv):
        """Quotes, commas and line ends in a note are part of it; a note alone has no mark."""
        found = read_marks(csv('a,good,,r1,2026-11-23T10:00:00.123Z\r\nb,,"says ""red"",\nis blue",r1,\r\n'))
        lines = found.astype(object).where(found.notna(), None).to_dict("records")
        assert lines == [
            {
                "item_id": "a",
                "mark": "good",
                "note": None,
                "run_id": "r1",
                "marked_at": datetime(2026, 11, 23, 10, 0, 0, 123_000, tzinfo=UTC),
            },
            {"item_id": "b", "mark": None, "note": 'says "red",\nis blue', "run_id": "r1", "marked_at": None},
        ]

    def test_the_last_word_counts(self, csv):
        """An item that stands twice has its later mark."""
        found = read_marks(csv("a,good,,,\r\na,bad,,,\r\n"))
        assert list(found["mark"]) == ["bad"]

    def test_an_empty_file_of_marks_has_its_columns(self, csv):
        """No marks are a table of no lines."""
        assert list(read_marks(csv("")).columns) == list(COLUMNS)

    def test_a_table_program_may_have_saved_it(self, csv):
        """A byte order mark, fewer columns and capital letters do no harm."""
        found = read_marks(csv("a,Good\n", header="\ufeffitem_id,mark\n"))
        assert list(found["mark"]) == ["good"]

    def test_parquet_keeps_the_types(self, csv, tmp_path):
        """The overlay can be joined by item_id; moments are moments."""
        path = tmp_path / "marks.parquet"
        formats.written(read_marks(csv("a,good,,r1,2026-11-23T10:00:00Z\r\n")), "parquet", path)
        read = pd.read_parquet(path)
        assert list(read.columns) == list(COLUMNS)
        assert read["marked_at"][0] == pd.Timestamp("2026-11-23T10:00:00Z")

    @pytest.mark.parametrize(
        ("lines", "said"),
        [
            ("a,fine,,,\n", "line 2: mark `fine` is neither good nor bad"),
            (",good,,,\n", "line 2: has no item_id"),
            ("a,good,,,\nb,bad,,,noon\n", "line 3: marked_at `noon` is no moment"),
            ('a,good,"no end,,\n', "cannot be read as CSV"),
        ],
    )
    def test_a_wrong_line_is_named(self, csv, lines, said):
        """The message has the file, the line and the value."""
        with pytest.raises(ConfigError, match=f"marks.csv.*{said}"):
            read_marks(csv(lines))

    def test_another_csv_is_refused(self, csv):
        """The message says what is missing, and where such a file comes from."""
        with pytest.raises(ConfigError, match="has no column mark: export the marks"):
            read_marks(csv("", header="item_id,price\n"))
        with pytest.raises(ConfigError, match="has no column item_id and mark"):
            read_marks(csv("", header=""))

    def test_a_file_that_is_not_there_is_named(self, tmp_path):
        """So is one that is no text."""
        with pytest.raises(ConfigError, match=r"gone.csv: cannot be read"):
            read_marks(tmp_path / "gone.csv")
        (tmp_path / "bytes.csv").write_bytes(b"item_id,mark\n\xff\xfe,good\n")
        with pytest.raises(ConfigError, match=r"bytes.csv: cannot be read"):
            read_marks(tmp_path / "bytes.csv")
