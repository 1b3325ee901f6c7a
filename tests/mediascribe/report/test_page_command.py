"""The command report: what it writes, and what it refuses."""

from __future__ import annotations

import json
from datetime import date

import pandas as pd
import pytest
import report_rows as rows
from cyclopts import App

from flows.commands import reporting
from mediascribe.errors import ConfigError

pytestmark = pytest.mark.wide

DAY = date(2026, 11, 2)


@pytest.fixture
def report(store, tmp_path, monkeypatch):
    """`report("out", ...)` runs the command in a folder with an output of one row; gives its exit status."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")
    rows.write(store, DAY, [rows.row("a", DAY)])
    app = App(result_action="return_value")
    app.default(reporting.report)
    return lambda *words: app(list(words), exit_on_error=False, print_error=False)


class TestPage:
    """A page."""

    def test_it_is_written_here_and_named(self, report, tmp_path, capsys):
        """Without a name it is report.html in this folder."""
        assert report("out") == 0
        assert (tmp_path / "report.html").read_text(encoding="utf-8").startswith("<!doctype html>")
        assert capsys.readouterr().out.startswith("wrote report.html: ")

    def test_run_month_limit_and_media_choose(self, report, tmp_path, capsys):
        """They stand above the page; programs get its name and size."""
        words = (
            "--run",
            "20261102",
            "--month",
            "2026-11",
            "--limit",
            "1",
            "--media",
            ".",
            "-o",
            "new/page.html",
            "--json",
        )
        assert report("out", *words) == 0
        html = (tmp_path / "new/page.html").read_text(encoding="utf-8")
        assert f"run {rows.run_id(DAY)}, November 2026" in html
        assert json.loads(capsys.readouterr().out) == {"file": "new/page.html", "bytes": len(html.encode())}

    @pytest.mark.parametrize(
        ("words", "said"),
        [
            ((), "which output"),
            (("gone",), "no results in gone"),
            (("out", "--run", "x"), "no such run"),
            (("out", "--month", "x"), "such as 2026-10"),
            (("out", "--limit", "0"), "1 or more"),
            (("out", "--media", "gone"), "--media gone: is no folder"),
        ],
    )
    def test_what_cannot_be_is_refused(self, report, words, said):
        """The message names the option and what to write; no page is left."""
        with pytest.raises(ConfigError, match=said):
            report(*words)


class TestMarks:
    """Marks from a page."""

    def test_marks_become_parquet(self, report, tmp_path, capsys):
        """One line for each item, to be joined by item_id."""
        (tmp_path / "marks.csv").write_text("item_id,mark,note\na,good,\nb,,why\n")
        assert report("--marks", "marks.csv", "-o", "marks.parquet") == 0
        assert list(pd.read_parquet(tmp_path / "marks.parquet")["item_id"]) == ["a", "b"]
        assert capsys.readouterr().out == "wrote marks.parquet: 2 marks\n"

    @pytest.mark.parametrize(
        ("words", "said"),
        [
            (("--marks", "m.csv"), "name the file to write"),
            (("out", "--marks", "m.csv"), "leave out the output"),
            (("--marks", "m.csv", "--run", "x"), "leave out the output"),
        ],
    )
    def test_marks_go_alone(self, report, words, said):
        """They are turned into another file, and that is all."""
        with pytest.raises(ConfigError, match=said):
            report(*words)
