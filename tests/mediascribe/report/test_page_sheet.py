"""The contact sheet: which rows it has."""

from __future__ import annotations

from datetime import date

import pytest
import report_rows as rows

from mediascribe import compaction
from mediascribe.dataset import parts
from mediascribe.domain import Completion, Failure, Item, Media, Usage
from mediascribe.report.page import sheet as module
from mediascribe.report.page.scope import Scope
from mediascribe.report.page.sheet import sheet

OLD, NEW = date(2026, 10, 31), date(2026, 11, 2)
SKIPPED = Failure(error_class="row", message="row 1 has no media")


def answer(text):
    return Completion(status="ok", text=text, usage=Usage(source="reported"))


@pytest.fixture
def two_runs(store):
    """`a` was asked again and says something else, `b` says the same again, `c` is old, `d` is new."""
    again = {"reason": "stale_prompt"}
    rows.write(store, OLD, [rows.row(name, OLD, outcome=answer(f"{name}, first")) for name in "abc"])
    later = [
        rows.row("a", NEW, outcome=answer("a, second"), **again),
        rows.row("b", NEW, outcome=answer("b, first"), **again),
        rows.row("d", NEW, outcome=answer("d, first")),
    ]
    rows.write(store, NEW, later)
    return store


def by_item(found):
    return {row["item_id"]: row for row in found.rows}


class TestRows:
    """`sheet`."""

    def test_each_item_stands_once_newest_first(self, two_runs):
        """The latest row of an item counts; items of the latest run stand first."""
        found = sheet(two_runs, Scope())
        assert [(row["item_id"], row["description"]) for row in found.rows] == [
            ("a", "a, second"),
            ("b", "b, first"),
            ("d", "d, first"),
            ("c", "c, first"),
        ]
        assert not found.more

    def test_another_description_is_a_change(self, two_runs):
        """`a` keeps what it said before; `b`, which says the same, and `d`, which is new, have not changed."""
        found = by_item(sheet(two_runs, Scope()))
        changed = {
            item: (row["changed"], row["earlier_status"], row["earlier_description"]) for item, row in found.items()
        }
        assert changed == {"a": (True, "ok", "a, first"), **dict.fromkeys("bcd", (None, None, None))}

    def test_another_status_is_a_change(self, store):
        """An item that failed and is answered now has changed."""
        rows.write(store, OLD, [rows.row("a", OLD, outcome=Failure(error_class="media", message="HTTP 404"))])
        rows.write(store, NEW, [rows.row("a", NEW, reason="failed")])
        (row,) = sheet(store, Scope()).rows
        assert (row["changed"], row["earlier_status"]) == (True, "failed")

    def test_the_newest_rows_are_kept(self, two_runs):
        """With room for two, the third is left out, and the sheet says that there are more."""
        found = sheet(two_runs, Scope(most_rows=2))
        assert ([row["item_id"] for row in found.rows], found.more) == (["a", "b"], True)
        assert by_item(found)["a"]["changed"]

    def test_no_part_is_read_without_need(self, two_runs, monkeypatch):
        """Rows of the newest part that are new need no older part."""
        rows.write(two_runs, date(2026, 11, 5), [rows.row(name, date(2026, 11, 5)) for name in "xyz"])
        read = []
        real = module.read_part
        monkeypatch.setattr(
            module, "read_part", lambda store, name, wanted: read.append(name) or real(store, name, wanted)
        )
        assert len(sheet(two_runs, Scope(most_rows=2)).rows) == 2
        assert len(read) == 1

    def test_a_run_has_its_own_rows(self, two_runs):
        """The sheet of the first run has what it said then, and no change of later."""
        found = by_item(sheet(two_runs, Scope(run=rows.run_id(OLD))))
        assert {item: row["description"] for item, row in found.items()} == {name: f"{name}, first" for name in "abc"}

    def test_a_month_has_its_own_rows(self, two_runs):
        """In October, `a` had its first description."""
        found = by_item(sheet(two_runs, Scope(month=date(2026, 10, 1))))
        assert found.keys() == {"a", "b", "c"}
        assert found["a"]["description"] == "a, first"

    def test_a_part_may_hold_two_runs(self, store):
        """Compaction puts neighbours into one part: the later of two rows of an item counts there, too."""
        for number, text in enumerate(("first", "second")):
            rows.write(store, OLD, [rows.row("a", OLD, outcome=answer(text), reason="stale_prompt")], number=number)
        compaction.compact(store, compaction.Order(before=NEW))
        assert len(parts(store)) == 1
        (row,) = sheet(store, Scope()).rows
        assert (row["description"], row["earlier_description"]) == ("second", "first")

    def test_a_row_that_was_never_asked_has_the_day_of_its_run(self, store):
        """A skipped row has no moment, and stands in the month of its run."""
        record = rows.row("a", NEW, outcome=SKIPPED, requested_at=None, completed_at=None, nano_usd=None)
        rows.write(store, NEW, [record])
        assert [row["status"] for row in sheet(store, Scope(month=date(2026, 11, 1))).rows] == ["skipped"]
        assert sheet(store, Scope(month=date(2026, 10, 1))).rows == []


class TestValues:
    """What stands in a row."""

    def test_signatures_and_long_texts_are_cut(self, store):
        """A signed URL in a message loses its signature; 5,000 letters become 4,000 and dots."""
        signed = "https://cdn.example/a.jpg?X-Amz-Signature=0123456789abcdef"
        records = [
            rows.row("a", NEW, outcome=Failure(error_class="media", message=f"HTTP 404 at {signed}")),
            rows.row("b", NEW, outcome=answer("x" * 5_000)),
        ]
        rows.write(store, NEW, records)
        found = by_item(sheet(store, Scope()))
        assert "0123456789abcdef" not in found["a"]["error_message"]
        assert found["b"]["description"] == "x" * 4_000 + " ..."

    def test_moments_are_text_and_no_media_an_empty_list(self, store):
        """JSON has no moments; the page reads a list of URLs."""
        rows.write(store, NEW, [rows.row("a", NEW, item=Item(item_id="a", row_number=1))])
        (row,) = sheet(store, Scope()).rows
        assert (row["completed_at"], row["media_urls"]) == ("2026-11-02T02:30:02+00:00", [])

    def test_several_media_stay_in_order(self, store):
        """An item with a picture and a sound has both URLs."""
        media = (Media(kind="image", url="a/1.png"), Media(kind="audio", url="a/1.mp3"))
        rows.write(store, NEW, [rows.row("a", NEW, item=Item(item_id="a", row_number=1, media=media))])
        assert sheet(store, Scope()).rows[0]["media_urls"] == ["a/1.png", "a/1.mp3"]
