"""The report as a person sees it, in a real Chromium; and the flow `cost`, which writes it on a schedule.

The browser is Debian's package `chromium`, driven by playwright; where one of them is missing, its tests are skipped.
"""

from __future__ import annotations

import http.server
import shutil
import threading
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest
import report_rows as rows

from mediascribe.domain import Completion, Item, Media, Usage
from mediascribe.errors import ConfigError
from mediascribe.report.page import Scope, page, read_marks, save
from mediascribe.store import open_store

SAMPLES = Path(__file__).parents[2] / "data/samples"
DAYS = [date(2026, 11, 1) + timedelta(days=number) for number in range(20)]
NOW = datetime(2026, 11, 20, 9, 0, tzinfo=UTC)
EVIL = "<script>window.ran = 1</script><img src=x onerror='window.ran = 2'>"
SOME_CARDS = 60  # a screen of them and a row beyond it, on any screen of these tests


@pytest.fixture(scope="class")
def browser():
    """A Chromium without a window. It lives as long as its tests: while it runs, no event loop of ours can."""
    driver = pytest.importorskip("playwright.sync_api", reason="no playwright: pip install playwright")
    place = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if place is None:
        pytest.skip("no Chromium: apt-get install chromium")
    with driver.sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=place)
        yield running
        running.close()


@pytest.fixture(scope="module")
def ten_thousand(tmp_path_factory):
    """A page of 10,000 items, of which one is hostile, two were asked again, and four have local media; its path."""
    folder = tmp_path_factory.mktemp("report")
    store = open_store(str(folder / "captions"))
    rows.write_many(store, 9_994, days=DAYS[:-1])
    media = {"lake": "images/lake.jpg", "ball": "videos/ball.mp4", "story": "audio/story.mp3", "gone": "images/no.jpg"}
    local = [
        rows.row(name, DAYS[-1], item=Item(item_id=name, row_number=1, media=(Media(kind="image", url=url),)))
        for name, url in media.items()
    ]
    hostile = Completion(status="ok", text=EVIL, usage=Usage(source="reported"))
    last = [rows.row("evil", DAYS[-1], outcome=hostile), rows.row("plain", DAYS[-1])]
    again = [rows.row(f"item-00000{number}", DAYS[-1], reason="stale_prompt") for number in range(2)]
    rows.write(store, DAYS[-1], [*local, *last, *again])
    save(page(store, Scope(media=SAMPLES), NOW), folder / "report.html")
    return folder / "report.html"


class Seen:
    """A page in the browser, with what went wrong and what it asked for."""

    def __init__(self, browser, path, **context):
        self.context = browser.new_context(**{"viewport": {"width": 1280, "height": 900}} | context)
        self.page, self.errors, self.asked = self.context.new_page(), [], []
        self.page.on("pageerror", lambda error: self.errors.append(str(error)))
        self.page.on("console", lambda said: self.errors.append(said.text) if said.type == "error" else None)
        self.context.on("request", lambda request: self.asked.append(request.url))
        self.page.goto(path.as_uri())

    def sheet(self):
        self.page.click("#tab-sheet")
        self.page.wait_for_selector(".card")
        return self.page

    def ids(self):
        """The items in sight, in their order."""
        return self.page.eval_on_selector_all(
            ".card",
            "cards => cards.sort((a, b) => a.offsetTop - b.offsetTop || a.offsetLeft - b.offsetLeft)"
            ".map(card => card.dataset.id)",
        )


@pytest.fixture
def seen(browser, ten_thousand):
    """The page of 10,000 items, just opened."""
    opened = Seen(browser, ten_thousand)
    yield opened
    opened.context.close()
    assert opened.errors == []


class TestMoney:
    """The money side, in Chromium."""

    def test_figures_and_charts_are_there(self, seen):
        """Every row that was paid for counts, so two more than items; both charts have something drawn."""
        assert "10,002" in seen.page.inner_text("#tiles")
        assert set(rows.MODELS) <= set(seen.page.inner_text("#by-model").split())
        for chart in ("trend", "month"):
            assert seen.page.evaluate(
                f"document.getElementById('{chart}').getContext('2d')"
                ".getImageData(0, 0, 500, 200).data.some(value => value > 0)"
            )
        assert "November 2026" in seen.page.inner_text("#tiles")

    def test_measures_and_splits_can_be_chosen(self, seen):
        """Rows by kind of media: the table beside the chart has a column for each kind."""
        seen.page.click("#measure [data-value=rows]")
        seen.page.click("#split [data-value=media_kind]")
        seen.page.click("summary")
        head, first = (seen.page.inner_text(f"#trend-table tr >> nth={line}") for line in (0, 1))
        assert set(head.split()) == {"day", "image", "audio", "video"}
        assert first.split()[:2] == ["2026-11-20", "8"]

    @pytest.mark.parametrize("scheme", ["light", "dark"])
    def test_it_wears_what_the_system_wears(self, browser, ten_thousand, scheme):
        """Light and dark differ in the ground; the button overrules the system."""
        opened = Seen(browser, ten_thousand, color_scheme=scheme)
        ground = "getComputedStyle(document.body).backgroundColor"
        light, dark = "rgb(245, 246, 248)", "rgb(16, 19, 24)"
        assert opened.page.evaluate(ground) == (light if scheme == "light" else dark)
        for expected in (light, dark):
            opened.page.click("#theme")
            assert opened.page.evaluate(ground) == expected
        opened.context.close()

    def test_a_telephone_has_no_sideways_scroll(self, browser, ten_thousand):
        """At 390 pixels nothing but tables is wider than the screen."""
        opened = Seen(browser, ten_thousand, viewport={"width": 390, "height": 800})
        for tab in ("#tab-money", "#tab-sheet"):
            opened.page.click(tab)
            assert opened.page.evaluate("document.documentElement.scrollWidth") <= 390
        opened.context.close()


class TestSheet:
    """The contact sheet, in Chromium."""

    def test_ten_thousand_items_are_a_screen_of_cards(self, seen):
        """At the top and at the end there are as many elements as fit, and the last item can be reached."""
        shown = seen.sheet()
        assert shown.inner_text("#count") == "10,000 items"
        assert 0 < shown.locator(".card").count() <= SOME_CARDS
        shown.locator("#cards").focus()
        shown.keyboard.press("End")
        shown.wait_for_selector("[data-id='item-000525']")
        assert shown.locator(".card").count() <= SOME_CARDS

    def test_statuses_filter(self, seen):
        """Refused and truncated together: only such cards, as many as the chips say."""
        shown = seen.sheet()
        counts = 0
        for status in ("refused", "truncated"):
            shown.click(f"[data-status={status}]")
            counts += int(shown.inner_text(f"[data-status={status}] b"))
        assert shown.inner_text("#count") == f"{counts} of 10,000 items"
        assert set(shown.locator(".card .status").all_inner_texts()) <= {"refused", "truncated"}

    def test_search_looks_at_ids_and_texts(self, seen):
        """Every word has to be there, in any case of letters; what nothing fits says so."""
        shown = seen.sheet()
        shown.keyboard.press("/")
        shown.keyboard.type("ITEM-000123")
        assert seen.ids() == ["item-000123"]
        shown.fill("#search", "WINDOW.ran script")
        assert seen.ids() == ["evil"]
        shown.fill("#search", "zebra")
        assert shown.inner_text("#nothing") == "No item fits these filters."

    def test_kind_changed_and_flagged_filter(self, seen):
        """The two that were asked again have changed; flags are those of cut answers here."""
        shown = seen.sheet()
        shown.check("#changed")
        assert seen.ids() == ["item-000000", "item-000001"]
        shown.uncheck("#changed")
        shown.check("#flagged")
        assert set(shown.locator(".card .status").all_inner_texts()) == {"truncated"}
        shown.uncheck("#flagged")
        shown.select_option("#kind", "audio")
        assert " of 10,000 items" in shown.inner_text("#count")

    def test_orders(self, seen):
        """Worst: failed rows first. Longest: no later text is longer. Newest again: as it was."""
        shown = seen.sheet()
        newest = seen.ids()
        shown.select_option("#order", "worst")
        assert set(shown.locator(".card .status").all_inner_texts()) == {"failed"}
        shown.select_option("#order", "longest")
        lengths = [len(shown.inner_text(f"[data-id='{item}'] .said")) for item in seen.ids()[:8]]
        assert min(lengths) > 100
        shown.select_option("#order", "newest")
        assert seen.ids() == newest

    def test_what_a_model_said_is_text(self, seen):
        """A script and a picture in a description are shown as written, on the card and whole, and do nothing."""
        shown = seen.sheet()
        shown.fill("#search", "evil")
        assert shown.inner_text("[data-id=evil] .said") == EVIL
        shown.dblclick("[data-id=evil]")
        assert EVIL in shown.inner_text("#detail")
        assert shown.evaluate("window.ran") is None

    def test_media_are_local_or_a_link(self, seen):
        """Local files are in the page; others are the host's name, with a link that tells the host nothing."""
        shown = seen.sheet()
        for item, element in (("lake", "img"), ("ball", "video"), ("story", "audio")):
            assert shown.get_attribute(f"[data-id={item}] .view {element}", "src").startswith("data:")
        shown.wait_for_function("document.querySelector('[data-id=lake] img').naturalWidth === 360")
        assert shown.inner_text("[data-id=gone] .place") == "images/no.jpg"
        link = shown.locator("[data-id=plain] .place a")
        assert (link.inner_text(), link.get_attribute("href")) == ("cdn.example", "https://cdn.example/plain.jpg")
        assert link.get_attribute("rel") == "noopener noreferrer nofollow"

    def test_marks_by_keys_become_a_csv(self, seen, tmp_path):
        """Good, bad, a note with quotes: exported, read back by item; a mark that was taken away is not among them."""
        shown = seen.sheet()
        shown.locator("#cards").focus()
        for key in ("g", "b", "g", "ArrowLeft", "u", "n"):
            shown.keyboard.press(key)
        shown.keyboard.type('says "lake", is sea')
        shown.keyboard.press("Escape")
        with shown.expect_download() as download:
            shown.click("#export")
        download.value.save_as(tmp_path / "marks.csv")
        marks = read_marks(tmp_path / "marks.csv").set_index("item_id")
        assert marks["mark"].fillna("").to_dict() == {"lake": "good", "ball": "bad", "story": ""}
        assert marks.loc["story", "note"] == 'says "lake", is sea'
        assert set(marks["run_id"]) == {rows.run_id(DAYS[-1])}
        shown.select_option("#marked", "bad")
        assert seen.ids() == ["ball"]

    def test_marks_outlive_the_page(self, seen):
        """Opened again, the page knows what was said."""
        shown = seen.sheet()
        shown.click("[data-id=lake] .mark.good")
        shown.reload()
        assert shown.inner_text("#tally") == "1 good, 0 bad, 0 notes"

    def test_a_change_shows_what_was_said_before(self, seen):
        """The whole item has the earlier description below the present one."""
        shown = seen.sheet()
        shown.check("#changed")
        shown.keyboard.press("Enter")
        assert "Before: " in shown.inner_text("#detail")
        assert "What item-000000 shows." in shown.inner_text("#detail")


class TestWalls:
    """Nothing leaves the page, in Chromium."""

    def test_the_page_asks_for_nothing(self, seen):
        """Through all of its sides, the only request was the one for the page itself."""
        shown = seen.sheet()
        for _ in range(5):
            shown.keyboard.press("Enter")
            shown.keyboard.press("Escape")
            shown.mouse.wheel(0, 4_000)
        shown.click("#tab-money")
        assert [url for url in seen.asked if not url.startswith(("data:", "blob:"))] == [
            seen.page.url.partition("#")[0]
        ]

    def test_what_breaks_in_cannot_call_out(self, browser, ten_thousand):
        """A picture, a request and a script that somebody put there after all are refused before they are sent."""
        hits = []

        class Listening(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                hits.append(self.path)
                self.send_error(404)

        with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Listening) as outside:
            threading.Thread(target=outside.serve_forever, daemon=True).start()
            opened = Seen(browser, ten_thousand)
            refused = opened.page.evaluate(
                """address => new Promise(done => {
                    const refused = [];
                    document.addEventListener("securitypolicyviolation", event => {
                        refused.push(event.effectiveDirective);
                        if (refused.length === 3) done(refused.sort());
                    });
                    fetch(address + "fetch").catch(() => null);
                    document.body.append(Object.assign(new Image(), {src: address + "image"}));
                    document.body.append(Object.assign(document.createElement("script"), {src: address + "script"}));
                })""",
                f"http://127.0.0.1:{outside.server_port}/",
            )
            opened.context.close()
            outside.shutdown()
        assert refused == ["connect-src", "img-src", "script-src-elem"]
        assert hits == []


@pytest.mark.usefixtures("quiet_prefect")
class TestFlow:
    """The flow `cost`."""

    @pytest.fixture
    def quiet_prefect(self, prefect):  # noqa: ARG002 - asked for its effect
        """Prefect's server, and no log sent to it: at the end of the tests, it would be waited for."""
        from prefect import settings  # noqa: PLC0415 - reads the environment at import

        with settings.temporary_settings({settings.PREFECT_LOGGING_TO_API_ENABLED: False}):
            yield

    @pytest.fixture
    def output(self, tmp_path):
        """Two rows of 0.1 USD on the 1st and one of 0.3 USD on the 2nd of November."""
        store = open_store(str(tmp_path / "out"))
        first, second = DAYS[:2]
        rows.write(store, first, [rows.row(name, first, nano_usd=100_000_000) for name in "ab"], model="one")
        rows.write(store, second, [rows.row("c", second, nano_usd=300_000_000)], model="two")
        return str(tmp_path / "out")

    def test_tables_become_artifacts_and_the_page_a_report(self, output):
        """0.2 and 0.3 USD by model, as a table and as Markdown; the month's page lies beside the runs."""
        from prefect.client.orchestration import get_client  # noqa: PLC0415 - reads its settings at import

        from flows.cost import cost  # noqa: PLC0415 - likewise
        from tasks.cost import CostQuestion  # noqa: PLC0415 - likewise

        places = cost(CostQuestion(outputs=[output], tables=[["model"], ["media_kind"]], month="2026-11"))
        assert places == [f"{output}/reports/2026-11.html"]
        assert "November 2026" in Path(places[0]).read_text(encoding="utf-8")
        with get_client(sync_client=True) as client:
            found = {one.key: one for one in client.read_artifacts()}
        assert {"cost-by-media-kind", "cost-by-media-kind-table"} <= found.keys()
        assert '"cost_usd": 0.3' in found["cost-by-model-table"].data
        assert "3 rows, 0.5000 USD by model" in found["cost-by-model"].description
        assert found["cost-by-model"].data.splitlines()[2].startswith("| model |")

    def test_tables_alone(self, output):
        """Without a report, nothing is written into the output."""
        from flows.cost import cost  # noqa: PLC0415 - likewise
        from tasks.cost import CostQuestion  # noqa: PLC0415 - likewise

        assert cost(CostQuestion(outputs=[output], report=False)) == []
        assert not (Path(output) / "reports").exists()

    def test_a_wrong_month_is_refused(self, output):
        """The error is the one that the command gives."""
        from flows.cost import cost  # noqa: PLC0415 - likewise
        from tasks.cost import CostQuestion  # noqa: PLC0415 - likewise

        with pytest.raises(ConfigError, match="such as 2026-10"):
            cost(CostQuestion(outputs=[output], month="soon"))

    def test_the_form_explains_itself(self):
        """Every parameter has a title and a description."""
        from flows.cost import cost  # noqa: PLC0415 - likewise

        fields = cost.parameters.definitions["CostQuestion"]["properties"]
        assert fields.keys() == {"outputs", "tables", "month", "report", "most_rows"}
        assert all(field["title"] and field["description"] for field in fields.values())
