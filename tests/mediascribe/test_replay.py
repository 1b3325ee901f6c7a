"""One row, told again: its request, its price by rate, its runs; nothing secret is shown."""

import base64
import hashlib
import io
import json
from datetime import UTC, datetime
from decimal import Decimal
from types import SimpleNamespace

import pytest
from rich.console import Console

from mediascribe import breakdown, pricing, replay
from mediascribe.domain import Usage
from mediascribe.errors import ConfigError, CorruptError
from mediascribe.inputs import check
from mediascribe.manifest_look import Look
from mediascribe.pairs import Pair
from mediascribe.pricing import Price, PriceBook, Rate
from mediascribe.report import replays as report
from mediascribe.starter import Started

FIRST, SECOND = "20261120T010000Z-000001aaaa", "20261121T010000Z-000002bbbb"
JOB = """
name = "t"
model = "{model}"
output = "{output}"
[manifest]
path = "{manifest}"
[gateway]
base_url = "{base_url}"
[prompt]
text = "What is it, {{{{ title }}}}?"
{more}
"""


@pytest.fixture
def output(store, build, publish):
    """Item a in two runs, item b in the first."""
    publish([build.record("a", 1), build.record("b", 2)], run_id=FIRST)
    publish([build.record("a", 1, outcome=build.failure())], run_id=SECOND)
    return store


@pytest.fixture
def inputs(tmp_path):
    """`inputs(url, base_url=..., model=...)`: a job about item a, whose picture is at *url*."""

    def _inputs(url="https://h/a.png", *, base_url="https://api.example/v1", model="gemini-2.0-flash", more=""):
        manifest, path = tmp_path / "m.jsonl", tmp_path / "job.toml"
        rows = [{"item_id": "a", "image_url": url, "title": "sk-abcdef0123456789"}, {"item_id": "b", "image_url": None}]
        manifest.write_text("".join(json.dumps({"title": "", **row}) + "\n" for row in rows))
        path.write_text(
            JOB.format(output=tmp_path / "made", manifest=manifest, base_url=base_url, model=model, more=more)
        )
        return check(str(path), keyless=True)

    return _inputs


def was_asked(inputs, **changes):
    """A row as the job of *inputs* would write it."""
    facts = inputs.facts()
    row = {name: getattr(facts, name) for name in ("model", "dialect", "prompt_sha256", "parameters_sha256")}
    return row | {"request_key": "k"} | changes


def test_history_has_every_run_of_an_item(output):
    """Oldest first, and no other item's rows."""
    rows = replay.history(output, "a")
    assert [(row["run_id"], row["status"]) for row in rows] == [(FIRST, "ok"), (SECOND, "failed")]
    assert [row["run_id"] for row in replay.history(output, "b")] == [FIRST]


def test_an_unknown_item_is_told(output):
    """With where ids are to be seen."""
    with pytest.raises(ConfigError, match=r"there is no item `c` in .*mediascribe show"):
        replay.history(output, "c")


def test_a_damaged_part_is_told(output):
    """By its name."""
    name = next(iter(output.list("results/")))
    content = bytearray(output.read(name))
    content[4:200] = b"x" * 196
    output.path(name).write_bytes(content)
    with pytest.raises(CorruptError, match=f"{name} cannot be read"):
        replay.history(output, "a")


def test_a_row_is_that_of_the_run_that_is_named(output):
    """By the beginning of its id; without one the latest; a run that has none is told."""
    rows = replay.history(output, "a")
    assert replay.of_run(rows, None)["run_id"] == SECOND
    assert replay.of_run(rows, "20261120")["run_id"] == FIRST
    with pytest.raises(ConfigError, match=f"run 2027 has no row of `a`; these have: {FIRST}, {SECOND}"):
        replay.of_run(rows, "2027")


def test_an_item_is_found_in_the_manifest(inputs):
    """Or is None."""
    assert replay.find(inputs(), "a").row_number == 1
    assert replay.find(inputs(), "z") is None


def test_the_request_is_the_one_that_was_sent(inputs):
    """With the key of the row, it is told to be the same; the body is that of the dialect."""
    opened = inputs()
    item = replay.find(opened, "a")
    first = replay.asked(opened, item, was_asked(opened))
    again = replay.asked(opened, item, was_asked(opened, request_key=first.request_key))
    assert (first.is_same, again.is_same, again.differs) == (False, True, [])
    assert again.url == "https://api.example/v1/chat/completions"
    assert again.body["messages"][0]["content"][-1] == {"type": "image_url", "image_url": {"url": "https://h/a.png"}}


def test_the_request_has_no_secret(inputs):
    """A signature, a key in a column, and inline media are gone; the media's hash and length stay."""
    opened = inputs("https://h/a.png?w=2&X-Amz-Signature=abc")
    found = replay.asked(opened, replay.find(opened, "a"), was_asked(opened))
    text = json.dumps(found.body)
    assert "w=2&X-Amz-Signature=REDACTED" in text
    assert "abcdef0123456789" not in text
    assert "authorization" not in found.headers
    long = base64.b64encode(b"x" * 300).decode()
    opened = inputs(f"data:image/png;base64,{long}")
    assert long not in json.dumps(replay.asked(opened, replay.find(opened, "a"), was_asked(opened)).body)


def test_bare_base64_is_shortened():
    """As some dialects carry media; other values stay as they are."""
    long = "QUJD" * 100
    short = f"sha256={hashlib.sha256(long.encode()).hexdigest()[:16]}&length=400"
    assert replay.redacted({"a": [long, 1, None, "text"], "b": True}) == {"a": [short, 1, None, "text"], "b": True}


@pytest.mark.parametrize(
    ("changes", "differs"),
    [
        ({"model": "gemini-1.5-pro", "dialect": "messages"}, ["model"]),
        ({"prompt_sha256": "0" * 64, "parameters_sha256": "1" * 64}, ["prompt", "parameters"]),
        ({}, ["the row's media, or the values that the prompt uses"]),
        ({"request_key": None}, ["the row was never sent"]),
    ],
)
def test_what_was_changed_since_is_named(inputs, changes, differs):
    """Where the job asks another question now."""
    opened = inputs()
    found = replay.asked(opened, replay.find(opened, "a"), was_asked(opened, **changes))
    assert (found.is_same, found.differs) == (False, differs)


def test_the_dialect_is_that_of_the_row(inputs):
    """It may have been chosen by what the gateway serves."""
    opened = inputs()
    found = replay.asked(opened, replay.find(opened, "a"), was_asked(opened, dialect="generate_content"))
    assert found.url == "https://api.example/v1beta/models/gemini-2.0-flash:generateContent"


def test_the_sandbox_has_no_address_of_its_own(inputs):
    """It has another one in every run."""
    opened = inputs("a.png", base_url="sandbox", more='[media]\nbase_url = "sandbox"')
    found = replay.asked(opened, replay.find(opened, "a"), was_asked(opened))
    assert found.url == "http://sandbox/v1/chat/completions"
    assert "http://sandbox/samples/a.png" in json.dumps(found.body)


def test_an_item_that_cannot_be_asked_has_no_request(inputs):
    """For want of media, or of what the prompt needs."""
    opened = inputs()
    with pytest.raises(ConfigError, match="nothing is sent about `b`: row 2 has no media"):
        replay.asked(opened, replay.find(opened, "b"), was_asked(opened))
    item = replay.find(opened, "a")
    with pytest.raises(ConfigError, match="nothing is sent about `a`: prompt `default`: cannot be rendered"):
        replay.asked(opened, type(item)(item_id="a", row_number=1, media=item.media), was_asked(opened))


def rates(**kinds):
    return {kind: Rate(Decimal(rate)) for kind, rate in kinds.items()}


def book(**changes):
    price = {"model": "m", "from_date": None, "version": "v1", "source": "list"}
    made = Price(**price | rates(input="1", output="4") | changes)
    return PriceBook(version="x", entries={"m": (made,)})


def billed(usage, **changes):
    row = {name: getattr(usage, name) for name in breakdown.USAGE_COLUMNS} | {"usage_source": usage.source}
    row |= {"model": "m", "price_version": "v1", "flags": [], "requested_at": datetime(2026, 11, 23, tzinfo=UTC)}
    return row | changes


USAGE = Usage(
    prompt_tokens=1000,
    prompt_audio_tokens=200,
    prompt_image_tokens=300,
    cached_tokens=100,
    completion_tokens=50,
    total_tokens=1050,
    source="reported",
)


def test_a_price_is_broken_down_by_kind():
    """By hand, in USD per million: 400 text at 1, 300 image at 2, 200 sound at 3, 100 cached at 0.1, 50 out at 4."""
    prices = book(**rates(image_in="2", audio_in="3", cached="0.1"), per_call=Decimal("0.001"))
    found = breakdown.breakdown(billed(USAGE, cost_usd=0.00281), prices)
    assert {line.kind: (line.tokens, line.usd_per_million, line.usd) for line in found.lines} == {
        "input": (400, Decimal(1), Decimal("0.0004")),
        "image_in": (300, Decimal(2), Decimal("0.0006")),
        "audio_in": (200, Decimal(3), Decimal("0.0006")),
        "cached": (100, Decimal("0.1"), Decimal("0.00001")),
        "output": (50, Decimal(4), Decimal("0.0002")),
    }
    assert (found.per_call_usd, found.answer_usd, found.beside_usd) == (Decimal("0.001"), 0.00281, 0.0)


def test_the_lines_are_what_is_charged_in_a_tier():
    """Beyond 500 tokens of prompt all of it costs 2 a million: 1,000 are 0.002 USD."""
    tiered = Rate(Decimal(1), ((500, Decimal(2)),))
    found = breakdown.breakdown(
        billed(Usage(prompt_tokens=1000, total_tokens=1000, source="reported"), cost_usd=0.003), book(input=tiered)
    )
    assert [(line.usd_per_million, line.usd) for line in found.lines] == [(Decimal(2), Decimal("0.002"))]
    assert found.beside_usd == 0.001


def test_a_row_whose_answer_told_no_usage_has_its_cost_beside():
    """What it cost was billed for attempts that were not kept."""
    found = breakdown.breakdown(billed(Usage(), cost_usd=0.002), book(per_call=Decimal(1)))
    assert (found.lines, found.answer_usd, found.beside_usd, found.per_call_usd) == ([], 0.0, 0.002, 0)


@pytest.mark.parametrize(
    "changes",
    [
        {"cost_usd": None},
        {"requested_at": None},
        {"flags": ["fallback"]},
        {"price_version": "v0"},
    ],
)
def test_what_nobody_knows_is_not_broken_down(changes):
    """No cost, another model's answer, or a price that stands nowhere any more."""
    assert breakdown.breakdown(billed(USAGE, **{"cost_usd": 0.001} | changes), book()) is None


def test_the_lines_sum_up_to_the_cost():
    """For the price of the reference model, of which the documents work out an answer: 0.0003368 USD."""
    usage = Usage(
        prompt_tokens=1986,
        prompt_text_tokens=5,
        prompt_audio_tokens=175,
        prompt_image_tokens=1806,
        completion_tokens=83,
        total_tokens=2069,
        source="derived",
    )
    prices, on = pricing.of_record(), datetime(2026, 11, 23, tzinfo=UTC)
    version = prices.price_of("gemini-2.0-flash", on.date()).version
    row = billed(usage, model="gemini-2.0-flash", price_version=version, cost_usd=0.0003368, requested_at=on)
    found = breakdown.breakdown(row, prices)
    assert sum(line.usd for line in found.lines) == Decimal("0.0003368")
    assert (found.answer_usd, found.beside_usd) == (0.0003368, 0.0)


def shown(show, *what):
    """What *show* prints."""
    console = Console(file=io.StringIO(), width=160)
    show(*what, console)
    return console.file.getvalue()


def test_a_row_is_shown_with_its_runs(output):
    """What was asked, what came back, and that its journal is gone; the failed one says why."""
    first, second = replay.history(output, "a")
    said = shown(report.print_replay, first, [first, second])
    assert "https://cdn.example/a.jpg" in said
    assert "A red square." in said
    assert "stood in the journal, which goes" in said
    assert FIRST in said
    assert SECOND in said
    assert "HTTP 404 at https://cdn.example/a.jpg" in shown(report.print_replay, second, [])


def test_a_breakdown_is_shown_to_the_last_digit():
    """The rate, the sum, what a call costs, and what other attempts came to."""
    usage = Usage(prompt_tokens=1000, total_tokens=1000, source="reported")
    row = billed(usage, cost_usd=0.0052, wasted_tokens=7)
    found = breakdown.breakdown(row, book(per_call=Decimal("0.002")))
    said = shown(report.print_breakdown, row, found)
    for words in ("1,000", "0.001", "the request", "0.002", "other attempts", "0.0022", "0.0052", "price v1 (list)"):
        assert words in said


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"cost_usd": None, "status": "skipped", "usage_source": "missing"}, "none: nothing was billed"),
        ({"cost_usd": None, "status": "ok"}, "unknown"),
        ({"flags": ["fallback"]}, "a fallback model answered, at its own price"),
        ({"price_version": "v0"}, "by v0, which stands in no price file any more"),
    ],
)
def test_a_price_that_cannot_be_broken_down_says_why(changes, words):
    """Unknown is not nothing."""
    row = billed(USAGE, cost_usd=0.001, status="ok") | changes
    assert words in shown(report.print_breakdown, row, None)


def test_a_plain_breakdown_has_the_lines_only():
    """Without a price for the call, or other attempts."""
    row = billed(Usage(prompt_tokens=1000, total_tokens=1000, source="reported"), cost_usd=0.001)
    said = shown(report.print_breakdown, row, breakdown.breakdown(row, book()))
    assert "other attempts" not in said
    assert "the request" not in said


def test_a_request_is_shown_as_what_it_is(inputs):
    """As it was sent, or as it would be now, with what was changed."""
    opened = inputs()
    found = replay.asked(opened, replay.find(opened, "a"), was_asked(opened))
    assert "which is another one: the row's media" in shown(report.print_asked, found)
    again = replay.asked(opened, replay.find(opened, "a"), was_asked(opened, request_key=found.request_key))
    said = shown(report.print_asked, again)
    assert said.startswith("the request, as it was sent\nPOST https://api.example/v1/chat/completions\n")
    assert '"url": "https://h/a.png"' in said


@pytest.mark.parametrize(
    ("text", "status", "words"),
    [
        ("A red square.", "ok", "the answers are identical"),
        ("A dog.", "ok", "the answers differ"),
        (None, "failed", None),
    ],
)
def test_two_answers_are_compared(output, text, status, words):
    """Then and now; a failure is compared with nothing."""
    then = replay.history(output, "b")[0]
    pair = Pair(first=then, second=then | {"description": text, "status": status})
    said = shown(report.print_again, pair, SimpleNamespace(stopped=None, in_doubt=0))
    assert (words or "answer characters") in said
    assert ("the answers" in said) == (words is not None)


def test_a_new_job_file_is_told():
    """What was found, what to see to, and what comes next."""
    found = Look(pair=("link", "what"), carry={"title": "string"}, item_id="sku")
    said = shown(report.print_started, Started(path="my job.toml", found=found, advice=["set base_url"]))
    for words in ("wrote my job.toml", "link of the kind in what", "sku", "title", "set base_url", "'my job.toml'"):
        assert words in said
    said = shown(report.print_started, Started(path="j.toml", found=Look(media={"image": ["u"]}), advice=[]))
    assert "carry" not in said
