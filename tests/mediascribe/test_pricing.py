"""Prices hold from a day on, costs are exact, and what is unknown is None."""

from datetime import date
from decimal import Decimal
from fractions import Fraction
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mediascribe import pricing
from mediascribe.domain import NO_USAGE, Cost, Usage
from mediascribe.errors import ConfigError
from mediascribe.pricing import Price, Rate

PRICES = Path(__file__).parents[2] / "configs" / "prices.toml"
TODAY = date(2026, 11, 23)
REFERENCE = Usage(
    prompt_tokens=1986,
    completion_tokens=83,
    total_tokens=2069,
    prompt_text_tokens=5,
    prompt_audio_tokens=175,
    prompt_image_tokens=1806,
    source="derived",
)
ENTRY = """
[[price]]
model = "m"
from = 2026-01-01
list = "own"
input = "1"
output = "2"
source = "a contract"
"""


@pytest.fixture(scope="module")
def ours():
    """The price book that the project ships."""
    return pricing.load(PRICES)


@pytest.fixture(scope="module")
def listed():
    """What genai-prices says alone."""
    return pricing.load()


@pytest.fixture
def book(tmp_path):
    """A price book from a text."""

    def load(text):
        path = tmp_path / "prices.toml"
        path.write_text(text)
        return pricing.load(path)

    return load


def used(prompt=0, completion=0, **parts):
    return Usage(
        prompt_tokens=prompt, completion_tokens=completion, total_tokens=prompt + completion, source="reported", **parts
    )


def priced(**rates):
    rates = {"input": "1", "output": "10"} | rates
    return Price(
        model="m", from_date=None, version="v", source="s", **{key: Rate(Decimal(rate)) for key, rate in rates.items()}
    )


# What the price book says


def test_reference_answer_by_our_own_file(ours):
    """1811 text and picture tokens at 0.10, 175 of sound at 0.70 and 83 written at 0.40 are 0.0003368 USD."""
    expected = Cost(nano_usd=336_800, price_version="2025-02-05 google")
    assert ours.cost(REFERENCE, "gemini-2.0-flash", TODAY) == expected


def test_reference_answer_by_the_list_alone(listed):
    """genai-prices comes to the same 0.0003368 USD."""
    cost = listed.cost(REFERENCE, "gemini-2.0-flash", TODAY)
    assert cost.nano_usd == 336_800
    assert cost.price_version.startswith("genai-prices-")


# gateway notes 4.5: model, input, cached, audio in, output
TABLE = [
    ("gemini-2.0-flash", "0.10", "0.025", "0.70", "0.40"),
    ("gemini-2.5-flash", "0.30", "0.03", "1.00", "2.50"),
    ("gemini-2.5-flash-lite", "0.10", "0.01", "0.30", "0.40"),
    ("gemini-3-flash-preview", "0.50", "0.05", "1.00", "3.00"),
    ("gpt-4o", "2.50", "1.25", None, "10"),
    ("gpt-4o-mini", "0.15", "0.075", None, "0.60"),
    ("gpt-4.1", "2.00", "0.50", None, "8"),
    ("gpt-5", "1.25", "0.125", None, "10"),
    ("gpt-5-nano", "0.05", "0.005", None, "0.40"),
    ("gpt-5.2", "1.75", "0.175", None, "14"),
    ("gpt-audio", "2.50", None, "32", "10"),
    ("gpt-4o-audio-preview", "2.50", None, "40", "10"),
    ("claude-opus-4-5-20251101", "5.00", "0.50", None, "25"),
    ("qwen-vl-max", "0.80", None, None, "3.20"),
    ("qwen-vl-plus", "0.21", None, None, "0.63"),
    ("qwen3-vl-235b-a22b-instruct", "0.40", None, None, "1.60"),
    ("qwen3-vl-235b-a22b-thinking", "0.40", None, None, "4.00"),
    ("glm-4.5v", "0.60", "0.11", None, "1.80"),
    ("glm-4.6v", "0.30", "0.05", None, "0.90"),
]


@pytest.mark.parametrize(("model", "rates"), [(row[0], row[1:]) for row in TABLE])
def test_list_prices(ours, model, rates):
    """The shipped book has the list prices of the gateway notes."""
    price = ours.price_of(model, TODAY)
    found = [rate and rate.base for rate in (price.input, price.cached, price.audio_in, price.output)]
    assert found == [rate and Decimal(rate) for rate in rates]
    assert price.currency == "USD"
    assert price.source


@pytest.mark.parametrize(
    ("model", "prompt", "asked", "written"),
    [
        ("gemini-2.5-pro", 200_000, "1.25", "10"),
        ("gemini-2.5-pro", 200_001, "2.50", "15"),
        ("gemini-3-pro-preview", 200_001, "4.00", "18"),
        ("qwen3-vl-plus", 32_000, "0.20", "1.60"),
        ("qwen3-vl-plus", 32_001, "0.30", "2.40"),
        ("qwen3-vl-plus", 200_000, "0.60", "4.80"),
    ],
)
def test_tiers(ours, model, prompt, asked, written):
    """A prompt longer than a tier's start pays that tier's rates for all tokens."""
    expected = (prompt * Decimal(asked) + 7 * Decimal(written)) * 1000
    assert ours.cost(used(prompt, 7), model, TODAY).nano_usd == expected


@pytest.mark.parametrize(
    "model",
    [
        "qwen3-omni-flash-2025-12-01",  # no list has it
        "gemini-robotics-er-1.5-preview",  # its vendor is listed, it is not
        "gemini-2.5-flash-image",  # bills written pictures, which no column counts
        "sonar",  # bills every request
        "text-embedding-3-large",  # writes nothing
        "",
    ],
)
def test_unknown_is_none(ours, model):
    """A model without a price, or with one that our columns cannot apply, has no cost rather than 0."""
    assert ours.price_of(model, TODAY) is None
    assert ours.cost(REFERENCE, model, TODAY) is None


def test_missing_usage_has_no_cost(ours):
    """Tokens that nobody reported cost an unknown sum."""
    assert ours.cost(NO_USAGE, "gemini-2.0-flash", TODAY) is None


def test_dated_list_prices(listed):
    """A price that genai-prices dates carries its first day in its version; at noon the day's full price holds."""
    assert listed.price_of("gemini-3-flash-preview", date(2026, 1, 5)).from_date == date(2026, 1, 5)
    assert listed.price_of("gemini-3-flash-preview", date(2026, 1, 5)).version.startswith("2026-01-05 genai-prices-")
    assert listed.price_of("gemini-3-flash-preview", date(2026, 1, 4)).from_date is None
    assert listed.price_of("deepseek-chat", TODAY).input == Rate(Decimal("0.27"))


def test_entries_hold_from_their_day_on(book):
    """The latest entry that has begun holds; before the first one genai-prices is asked."""
    prices = book(
        ENTRY.replace('"m"', '"gpt-4o"')
        + ENTRY.replace('"m"', '"gpt-4o"').replace("2026-01-01", '"2026-02-01"').replace('"1"', '"3"')
    )
    on = {day: prices.price_of("gpt-4o", day) for day in (date(2026, 1, 31), date(2026, 2, 1), date(2025, 12, 31))}
    assert [price.input.base for price in on.values()] == [1, 3, Decimal("2.5")]
    assert on[date(2026, 2, 1)].version == "2026-02-01 own"


def test_versions_name_the_file_and_the_list(ours, listed, book):
    """A book's version changes with its file."""
    assert listed.version.startswith("genai-prices ")
    assert ours.version.startswith("prices.toml ")
    assert ours.version.endswith(listed.version)
    assert book(ENTRY).version != book(ENTRY + "# note\n").version


# What a usage costs


@pytest.mark.parametrize(
    ("usage", "rates", "expected"),
    [
        (used(10, 2), {}, 10 * 1 + 2 * 10),
        (used(10, 2, reasoning_tokens=2), {}, 10 + 20),
        (used(10, cached_tokens=4), {}, 10),
        (used(10, cached_tokens=4), {"cached": "0.5"}, 6 + 2),
        (used(10, cached_tokens=4, cache_write_tokens=5), {"cached": "0.5", "cache_write": "2"}, 1 + 2 + 10),
        (used(10, prompt_audio_tokens=4), {}, 10),
        (used(10, prompt_audio_tokens=4), {"audio_in": "7"}, 6 + 28),
        (used(10, prompt_image_tokens=4, prompt_video_tokens=3), {"image_in": "7"}, 6 + 28),
        (used(0, 5, completion_audio_tokens=3), {"audio_out": "20"}, 20 + 60),
        (used(0, 5, completion_audio_tokens=3), {}, 50),
        # cached: 2 others first, then 3 pictures, then 2 of the sounds, the rest of which stays at its own rate
        (
            used(9, cached_tokens=7, prompt_image_tokens=3, prompt_audio_tokens=4),
            {"cached": "0.5", "cached_audio": "3", "image_in": "5", "audio_in": "7"},
            5 * Fraction(1, 2) + 2 * 3 + 2 * 7,
        ),
        (
            used(9, cached_tokens=7, prompt_image_tokens=3, prompt_audio_tokens=4),
            {"cached": "0.5", "image_in": "5", "audio_in": "7"},
            7 * Fraction(1, 2) + 2 * 7,
        ),
        (
            used(9, cached_tokens=4, prompt_image_tokens=3, prompt_audio_tokens=4),
            {"cached": "0.5", "image_in": "5", "audio_in": "7"},
            4 * Fraction(1, 2) + 1 * 5 + 4 * 7,
        ),
    ],
)
def test_rates(usage, rates, expected):
    """Every kind of token costs its own rate, once; what has none costs what text does."""
    assert priced(**rates).nano_usd(usage) == expected * 1000


@pytest.mark.parametrize(("tokens", "nano_usd"), [(1, 0), (3, 2), (5, 2), (7, 4)])
def test_rounding(tokens, nano_usd):
    """Half a nano-dollar is rounded to the even one, once, at the end."""
    assert priced(input="0.0005").nano_usd(used(tokens)) == nano_usd


RATES = st.decimals(0, 1000, places=4)


@settings(max_examples=150, deadline=None)
@given(
    counts=st.lists(st.integers(0, 10**8), min_size=4, max_size=4),
    shares=st.lists(st.integers(0, 100), min_size=2, max_size=2),
    rates=st.fixed_dictionaries(
        {"input": RATES, "output": RATES},
        optional=dict.fromkeys(("cached", "cache_write", "audio_in", "cached_audio", "image_in", "audio_out"), RATES),
    ),
)
def test_cost_lies_between_the_cheapest_and_the_dearest_rate(counts, shares, rates):
    """Every token is paid once: the cost is within what all of them cost at the lowest and the highest rate."""
    text, image, sound, written = counts
    prompt = text + image + sound
    cached = prompt * shares[0] // 100
    usage = used(
        prompt,
        written,
        prompt_image_tokens=image,
        prompt_audio_tokens=sound,
        cached_tokens=cached,
        cache_write_tokens=(prompt - cached) * shares[1] // 100,
        completion_audio_tokens=written // 2,
    )
    cost = priced(**rates).nano_usd(usage)
    bounds = [round((prompt + written) * rate * 1000) for rate in (min(rates.values()), max(rates.values()))]
    assert bounds[0] <= cost <= bounds[1]


# What a price file may not say


@pytest.mark.parametrize(
    ("old", "new", "line", "says"),
    [
        ('input = "1"', "", 2, "`input` wants 0 to 1000000"),
        ('input = "1"', 'input = "-1"', 6, "(it says '-1')"),
        ('input = "1"', 'input = "a lot"', 6, "(it says 'a lot')"),
        ('input = "1"', "input = nan", 6, "(it says 'NaN')"),
        ('input = "1"', "input = true", 6, "`input` wants 0 to"),
        ('input = "1"', "input = 1000001", 6, "(it says '1000001')"),
        ('input = "1"', 'input = { 5 = "1" }', 6, "`input` wants tiers such as"),
        ('input = "1"', 'input = { 0 = "1", x = "2" }', 6, "`input` wants tiers such as"),
        ('input = "1"', 'input = { 0 = "1", 5 = [] }', 6, "`input` wants 0 to"),
        ('input = "1"', 'inputs = "1"', 6, "did you mean `input`?"),
        ('input = "1"', 'zzzz = "1"', 6, "known here: model, from,"),
        ('model = "m"', 'model = ""', 3, "`model` wants a text"),
        ('source = "a contract"', "source = 5", 8, "(it says '5')"),
        ("from = 2026-01-01", "from = 2026-01-01T00:00:00", 4, "`from` wants a day"),
        ("from = 2026-01-01", 'from = "soon"', 4, "(it says 'soon')"),
        ("from = 2026-01-01", "", 2, "`from` wants a day"),
    ],
)
def test_bad_entries(book, old, new, line, says):
    """A bad entry is refused with file, line, key, value and what is wanted."""
    with pytest.raises(ConfigError) as caught:
        book(ENTRY.replace(old, new))
    assert f"prices.toml:{line}: `" in str(caught.value)
    assert says in str(caught.value)


def test_the_second_of_two_equal_entries_is_refused(book, tmp_path):
    """Two prices of one model from one day on are a contradiction; the message names the line of the second."""
    with pytest.raises(ConfigError, match="m has another price") as caught:
        book(ENTRY + ENTRY)
    assert f"{tmp_path / 'prices.toml'}:12: `from`" in str(caught.value)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("price = 5", "tables and nothing else"),
        ("price = [5]", "tables and nothing else"),
        ("[[prices]]", "but this has `prices`"),
        ("price = ", "cannot be read as a price file"),
    ],
)
def test_bad_files(book, text, says):
    """A file that is no list of prices is refused as a whole."""
    with pytest.raises(ConfigError, match=says):
        book(text)


def test_a_missing_file_is_refused(tmp_path):
    """A price file that was named must be there."""
    with pytest.raises(ConfigError, match=r"none\.toml: cannot be read"):
        pricing.load(tmp_path / "none.toml")


def test_numbers_may_stand_without_quotes(book):
    """0.1 without quotes is exactly a tenth, and entries may be written on one line."""
    text = 'price = [{ model = "m", from = 2026-01-01, list = "own", input = 0.1, output = 3, source = "s" }]'
    price = book(text).price_of("m", TODAY)
    assert (price.input.base, price.output.base) == (Decimal("0.1"), Decimal(3))
