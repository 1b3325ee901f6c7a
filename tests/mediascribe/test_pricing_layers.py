"""Layers, currencies, prices by the call, batches, and where price files lie."""

from datetime import date
from decimal import Decimal

import pytest

from mediascribe import pricing
from mediascribe.domain import Usage
from mediascribe.errors import ConfigError
from mediascribe.pricing import Exact, Rate, places

TODAY = date(2026, 11, 23)
USED = Usage(prompt_tokens=1_000, completion_tokens=10, total_tokens=1_010, source="reported")


def entry(model="m", day="2026-01-01", name="own", **more):
    """An entry of a price file; a value stands as it is in TOML."""
    said = {"input": '"1"', "output": '"2"'} | more
    lines = [f'[[price]]\nmodel = "{model}"\nfrom = {day}\nlist = "{name}"\nsource = "s"']
    return "\n".join([*lines, *(f"{key} = {value}" for key, value in said.items() if value), ""])


@pytest.fixture
def load(tmp_path):
    """A price book of texts: our own file, then those of gateways."""

    def _load(text, *gateways):
        paths = [tmp_path / name for name in ("prices.toml", "prices-one.toml", "prices-two.toml")]
        for path, content in zip(paths, (text, *gateways), strict=False):
            path.write_text(content)
        return pricing.load(paths[0], gateways=paths[1 : 1 + len(gateways)])

    return _load


class TestLayers:
    """The gateway's word, our own file, genai-prices."""

    def test_the_gateways_word_goes_before_ours_and_ours_before_the_list(self, load):
        """Each from its own day on."""
        book = load(entry("gpt-4o", "2026-02-01"), entry("gpt-4o", "2026-11-01", "gate", input='"3"'))
        days = (date(2026, 1, 31), date(2026, 2, 1), date(2026, 11, 1))
        held = [book.price_of("gpt-4o", day) for day in days]
        assert [price.layer for price in held] == ["genai-prices", "file", "gateway"]
        assert [price.input.base for price in held] == [Decimal("2.5"), 1, 3]
        assert book.version.startswith("prices-one.toml ")

    def test_the_history_has_every_price(self, load):
        """In force or not, layer by layer, the latest first."""
        book = load(
            entry("gpt-4o", "2026-02-01") + entry("gpt-4o", "2026-03-01"), entry("gpt-4o", "2026-11-01", "gate")
        )
        versions = [price.version for price in book.history("gpt-4o", TODAY)]
        assert versions[:3] == ["2026-11-01 gate", "2026-03-01 own", "2026-02-01 own"]
        assert versions[3].startswith("genai-prices-")

    def test_a_dated_list_has_a_history_too(self, load):
        """Both prices of genai-prices, before and from the day on."""
        history = load(entry()).history("gemini-3-flash-preview", TODAY)
        assert [price.from_date for price in history] == [date(2026, 1, 5), None]

    def test_a_recorded_price_is_found_by_its_name(self, load):
        """Whatever holds now; None where no layer has it."""
        book = load(entry("m", "2026-02-01") + entry("m", "2026-03-01", input='"9"'))
        assert book.recorded("m", "2026-02-01 own", TODAY).input.base == 1
        assert book.recorded("m", "2026-02-02 own", TODAY) is None


class TestEntries:
    """What an entry may say beside rates."""

    def test_a_call_may_have_a_price(self, load):
        """0.002 USD a call and 1,000 tokens at 1: 2,000,000 + 1,000,000 nano-dollars, and 10 at 2."""
        assert load(entry(per_call='"0.002"')).cost(USED, "m", TODAY).nano_usd == 3_020_000

    def test_a_call_may_be_all_that_is_paid(self, load):
        """Then tokens are free, and need no rates."""
        book = load(entry(per_call='"0.002"', input=None, output=None))
        assert book.cost(USED, "m", TODAY).nano_usd == 2_000_000
        assert book.cost(Usage(), "m", TODAY) is None

    def test_a_batch_pays_a_share_of_the_rates(self, load):
        """Half of 1 and of 2; a call and the name keep their own."""
        price = load(entry(batch='"0.5"', per_call='"0.002"')).price_of("m", TODAY)
        assert price.batched().nano_usd(USED) == 2_510_000
        assert price.batched().version == "2026-01-01 own batch"
        assert price.batched().batched() is None

    def test_another_currency_is_exchanged_at_the_entrys_own_rate(self, load):
        """0.8 CNY at 0.14 USD are 0.112 USD, in every tier, and for good."""
        exchange = '{ code = "CNY", usd = "0.14", on = 2025-12-26 }'
        price = load(entry(input='{ 0 = "0.8", 100 = "1.6" }', currency=exchange, per_call='"1"')).price_of("m", TODAY)
        assert price.input == Rate(Decimal("0.112"), ((100, Decimal("0.224")),))
        assert (price.output.base, price.per_call, price.currency) == (Decimal("0.28"), Decimal("0.14"), "CNY")

    @pytest.mark.parametrize(
        ("more", "says"),
        [
            ({"batch": '"1.5"'}, r"`batch` wants 0 to 1.*it says '1.5'"),
            ({"batch": '"half"'}, "`batch` wants 0 to 1"),
            ({"per_call": '"-1"'}, "`per_call` wants 0 to"),
            ({"currency": '"CNY"'}, "`currency` wants {"),
            ({"currency": '{ code = "CNY", usd = "0", on = 2025-12-26 }'}, "`currency` wants {"),
            ({"currency": '{ code = "yuan", usd = "0.14", on = 2025-12-26 }'}, "`currency` wants {"),
            ({"currency": '{ code = "CNY", usd = "0.14" }'}, "`currency` wants {"),
            ({"currency": '{ code = "CNY", usd = "0.14", on = "today" }'}, "`currency` wants {"),
            ({"input": '"0.0000000000001"'}, "`input` wants 0 to"),
        ],
    )
    def test_what_is_none_of_that_is_refused(self, load, more, says):
        """With key and value."""
        with pytest.raises(ConfigError, match=says):
            load(entry(**more))

    def test_whole_numbers_are_as_small_as_the_rates_need(self, load):
        """0.0005 USD per million is half a nano-dollar a token: 5 tenths, and 2 USD are 20,000 of them."""
        price = load(entry(input='"0.0005"')).price_of("m", TODAY)
        assert price.exact == Exact(10, 0, ((-1, (5, 5, 5, 5, 5, 5, 20_000, 20_000)),))


class TestPlaces:
    """Where price files lie."""

    @pytest.fixture(autouse=True)
    def folder(self, tmp_path, monkeypatch):
        """A folder with price files of its own."""
        monkeypatch.chdir(tmp_path)
        (tmp_path / "configs").mkdir()
        (tmp_path / "configs/prices.toml").write_text(entry())
        (tmp_path / "configs/prices-gate.example-8080.toml").write_text(entry(day="2026-11-01", name="gate"))

    def test_a_gateways_file_holds_for_jobs_of_that_gateway(self):
        """Found by host and port; other gateways, and none, have our own."""
        versions = [
            pricing.in_force(url).price_of("m", TODAY).version
            for url in ("https://GATE.example:8080/v1", "https://gate.example/v1", None)
        ]
        assert versions == ["2026-11-01 gate", "2026-01-01 own", "2026-01-01 own"]

    def test_results_find_every_gateways_prices(self):
        """By name; what holds on a day is our own first."""
        book = pricing.of_record()
        assert book.price_of("m", TODAY).version == "2026-01-01 own"
        assert book.recorded("m", "2026-11-01 gate", TODAY).layer == "gateway"

    def test_the_folder_of_the_installation_is_the_second_choice(self, tmp_path):
        """Without a file here, the shipped one is found."""
        (tmp_path / "configs/prices.toml").unlink()
        assert pricing.in_force().price_of("gemini-2.0-flash", TODAY).version == "2025-02-05 google"
        (tmp_path / "configs/prices-gate.example-8080.toml").unlink()
        assert pricing.of_record().entries == pricing.in_force().entries

    def test_the_sandbox_has_a_file_as_well(self):
        """Its address in a job is a word."""
        assert places.gateway_file("sandbox") == "prices-sandbox.toml"
