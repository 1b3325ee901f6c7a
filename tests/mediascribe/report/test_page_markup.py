"""The page as one file: what it holds, and what it lets run."""

from __future__ import annotations

import base64
import hashlib
import importlib.resources
import json
import re
from datetime import UTC, date, datetime
from html.parser import HTMLParser

import pytest
import report_rows as rows
from hypothesis import given
from hypothesis import strategies as st

from mediascribe.domain import Completion, Item, Media, Usage
from mediascribe.errors import ConfigError
from mediascribe.report import page
from mediascribe.report.page import markup

DAY = date(2026, 11, 2)
NOW = datetime(2026, 11, 3, 10, 30, tzinfo=UTC)
EVIL = "</script><script>alert(1)</script><img src=x onerror=alert(2)><!--"
CHARTS_SHA256 = "87364cc2b2a76a6684929e7d6b80b18a897794db38400caff1fcf1791c6925d2"


class Reader(HTMLParser):
    """The elements of a page, and the contents of its scripts and styles."""

    def __init__(self, html):
        super().__init__(convert_charrefs=True)
        self.elements, self.contents, self.policy, self._open = [], [], "", None
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        named = dict(attrs)
        self.elements.append((tag, named))
        if named.get("http-equiv") == "Content-Security-Policy":
            self.policy = named["content"]
        if tag in {"script", "style"}:
            self.contents.append([tag, named, ""])
            self._open = self.contents[-1]

    def handle_endtag(self, tag):
        if tag in {"script", "style"}:
            self._open = None

    def handle_data(self, data):
        if self._open:
            self._open[2] += data


@pytest.fixture
def html(store):
    """A page whose every string is hostile."""
    item = Item(item_id=EVIL, row_number=1, media=(Media(kind="image", url=f"https://cdn.example/{EVIL}"),))
    outcome = Completion(status="ok", text=f"{EVIL}\u2028&amp;", usage=Usage(source="reported"))
    rows.write(store, DAY, [rows.row(EVIL, DAY, item=item, outcome=outcome)], model=EVIL, prompt_id=EVIL)
    return page.page(store, page.Scope(run=rows.run_id(DAY)), NOW)


@pytest.mark.wide
class TestPage:
    """`page`."""

    def test_scripts_and_styles_are_those_of_the_policy(self, html):
        """Each script that runs, and the style, has its hash in the policy; nothing hostile became an element."""
        read = Reader(html)
        running = [text for tag, named, text in read.contents if named.get("type") != "application/json"]
        assert len(running) == 3
        for text in running:
            digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
            assert f"'sha256-{digest}'" in read.policy
        assert not any(tag in {"img", "iframe", "object", "embed"} for tag, _ in read.elements)

    def test_the_policy_names_no_address(self, html):
        """Whatever is not named is refused, and nothing but data in the page is named."""
        policy = Reader(html).policy
        assert policy.startswith("default-src 'none'; script-src 'sha256-")
        assert not re.search(r"https?:|unsafe|\*|blob:", policy)

    def test_the_page_asks_for_nothing(self, html):
        """No element has an address, nor a listener or a style of its own."""
        for _, named in Reader(html).elements:
            assert not {"src", "action", "style", "srcset", "poster"} & named.keys()
            assert named.get("href", "data:,") == "data:,"
            assert not any(name.startswith("on") for name in named)

    def test_the_rows_arrive_as_they_are(self, html):
        """What a model said is read back from the JSON letter for letter."""
        blocks = {named["id"]: text for _, named, text in Reader(html).contents if "id" in named}
        told = json.loads(blocks["sheet-json"])
        row = dict(zip(told["columns"], told["rows"][0], strict=True))
        assert (row["item_id"], row["description"]) == (EVIL, f"{EVIL}\u2028&amp;")
        assert json.loads(blocks["money-json"])["by"]["model"][0]["name"] == EVIL
        assert json.loads(blocks["previews-json"]) == []

    def test_pictures_come_with_the_rows(self, store, tmp_path):
        """With a folder of media, a row whose file is there has its picture at the same place."""
        (tmp_path / "notes.txt").write_text("no picture")
        item = Item(item_id="a", row_number=1, media=(Media(kind="image", url="notes.txt"),))
        rows.write(store, DAY, [rows.row("a", DAY, item=item)])
        html = page.page(store, page.Scope(media=tmp_path), NOW)
        blocks = {named["id"]: text for _, named, text in Reader(html).contents if "id" in named}
        assert json.loads(blocks["previews-json"]) == [None]

    def test_a_folder_without_results_is_refused(self, tmp_path):
        """The message says what to look at."""
        with pytest.raises(ConfigError, match="no results in"):
            page.page(str(tmp_path), page.Scope(), NOW)


class TestSaving:
    """`save` and `save_to_output`."""

    def test_a_file_appears_whole(self, tmp_path):
        """Folders on the way are made, and nothing half written is left."""
        page.save("<p>\u00e9", tmp_path / "new/report.html")
        assert (tmp_path / "new/report.html").read_bytes() == b"<p>\xc3\xa9"
        assert [path.name for path in (tmp_path / "new").iterdir()] == ["report.html"]

    def test_a_file_that_cannot_be_written_is_named(self, tmp_path):
        """A folder of that name is in the way."""
        (tmp_path / "report.html").mkdir()
        with pytest.raises(ConfigError, match=r"report.html: cannot be written"):
            page.save("", tmp_path / "report.html")

    def test_an_output_keeps_reports_beside_its_runs(self, store):
        """The second of a day replaces the first."""
        rows.write(store, DAY, [rows.row("a", DAY)])
        for html in ("first", "second"):
            place = page.save_to_output(html, store, "2026-11-03")
        assert place == f"{store.address}/reports/2026-11-03.html"
        assert store.read("reports/2026-11-03.html") == b"second"


class TestMarkup:
    """The parts of the page."""

    @given(st.recursive(st.text() | st.floats(allow_nan=False, allow_infinity=False) | st.none(), st.lists))
    def test_json_in_an_element_is_the_same_json(self, value):
        """No character can end the element, and every value is read back."""
        quoted = markup.quoted_json(value)
        assert not set("<>&\u2028\u2029") & set(quoted)
        assert json.loads(quoted) == value

    def test_what_json_cannot_say_is_refused(self):
        """A number that is none would break the page in the browser."""
        with pytest.raises(ValueError, match="JSON compliant"):
            markup.quoted_json([float("nan")])

    def test_the_charts_library_is_the_one_that_was_tested(self):
        """Chart.js 4.6.1 as published: chart.umd.min.js, MIT; the policy holds it to nothing that evaluates text."""
        library = importlib.resources.files(markup.__package__) / "static/chart.umd.min.js"
        assert hashlib.sha256(library.read_bytes()).hexdigest() == CHARTS_SHA256
        assert "Chart.js v4.6.1" in library.read_text(encoding="utf-8")[:60]
        assert not re.search(r"\beval\(|new Function", library.read_text(encoding="utf-8"))
