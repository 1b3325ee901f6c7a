"""What a gateway says that it charges, as entries of a price file."""

import json
from datetime import date
from decimal import Decimal

import pytest

from mediascribe import pricing
from mediascribe.client import Client
from mediascribe.errors import ConfigError
from mediascribe.job_sections import GatewaySection
from mediascribe.pricing import Rate, gateway
from mediascribe.sandbox import Sandbox

TODAY = date(2026, 11, 23)
TERMS = gateway.Terms(gateway="gate.example", group="default", on=TODAY)
OURS = """
[[price]]
model = "m"
from = 2026-01-01
list = "own"
input = "2"
cached = "0.5"
audio_in = "6"
output = "8"
source = "a contract"
"""


def told(*rows, groups=None):
    """An answer of GET /api/pricing, as `ask` reads it."""
    body = json.dumps({"success": True, "data": rows, "group_ratio": groups or {"default": 1, "vip": 0.8}})
    return json.loads(body, parse_float=Decimal)


def row(**changes):
    """A model that costs 4 USD per million of the prompt, and 12 of the answer."""
    plain = {"model_name": "m", "quota_type": 0, "model_ratio": 2, "model_price": 0, "completion_ratio": 3}
    return plain | {"enable_groups": ["default"]} | changes


@pytest.fixture
def book(tmp_path):
    """A price book of one model."""
    path = tmp_path / "prices.toml"
    path.write_text(OURS)
    return pricing.load(path)


def rates(found):
    """The rates of the only price that was told."""
    (change,) = found.changes
    return {kind: rate.base for kind, rate in change.now.rates.items()}


class TestArithmetic:
    """`pulled` (gateway notes 2.2)."""

    def test_a_ratio_is_two_dollars_times_that_of_the_group(self, book):
        """2 x 2 x 0.8 = 3.2 USD, and three times that for the answer."""
        terms = gateway.Terms(gateway="gate.example", group="vip", on=TODAY)
        found = gateway.pulled(told(row(model_name="new", enable_groups=["vip"])), terms, book, book)
        assert rates(found) == {"input": Decimal("3.2"), "output": Decimal("9.6")}
        (change,) = found.changes
        assert change.is_one
        assert change.before is None
        assert change.now.version == "2026-11-23 gate.example"
        assert change.now.source == "GET /api/pricing of gate.example, group vip x 0.8"

    def test_kinds_that_it_does_not_tell_keep_their_proportion(self, book):
        """Ours asks 2 for text, 0.5 cached, 6 for sound; the gateway asks 4 for text: 1 cached, 12 for sound."""
        found = gateway.pulled(told(row()), TERMS, book, book)
        assert rates(found) == {"input": 4, "cached": 1, "audio_in": 12, "output": 12}
        assert found.changes[0].now.source.endswith("; audio_in, cached in proportion to 2026-01-01 own")

    def test_kinds_that_it_tells_are_taken(self, book):
        """Ratios to text: cached 0.1, written 1.25, pictures 2, sound 5, and written sound twice that of sound."""
        more = {"cache_ratio": 0.1, "create_cache_ratio": 1.25, "image_ratio": 2, "audio_ratio": 5}
        found = gateway.pulled(told(row(**more, audio_completion_ratio=2)), TERMS, book, book)
        assert rates(found) == {
            "input": 4,
            "image_in": 8,
            "audio_in": 20,
            "cached": Decimal("0.4"),
            "cache_write": 5,
            "output": 12,
            "audio_out": 40,
        }

    def test_a_price_by_the_call_is_one(self, book):
        """0.02 USD, times the group's ratio; tokens are free."""
        terms = gateway.Terms(gateway="gate.example", group="vip", on=TODAY)
        found = gateway.pulled(told(row(quota_type=1, model_price=0.02, enable_groups=None)), terms, book, book)
        assert found.changes[0].now.per_call == Decimal("0.016")
        assert rates(found) == {"input": 0, "output": 0}

    def test_binary_fractions_are_what_they_were_meant_to_be(self, book):
        """A ratio of 0.05 and of 8.333333333333334 are 0.1 and 0.833333333333 USD."""
        found = gateway.pulled(
            told(row(model_name="n", model_ratio=0.05, completion_ratio=8.333333333333334)), TERMS, book, book
        )
        assert rates(found) == {"input": Decimal("0.1"), "output": Decimal("0.833333333333")}

    def test_the_same_price_is_no_change(self, book):
        """2 USD and four times that, with the same proportions."""
        (change,) = gateway.pulled(told(row(model_ratio=1, completion_ratio=4)), TERMS, book, book).changes
        assert not change.is_one

    @pytest.mark.parametrize(
        "changes",
        [
            {"billing_mode": "tiered_expr"},
            {"model_ratio": None},
            {"completion_ratio": "3"},
            {"model_ratio": -1},
            {"model_ratio": True},
            {"model_ratio": 10**6},
            {"quota_type": 1, "model_price": None},
            {"enable_groups": ["vip"]},
        ],
    )
    def test_what_is_told_otherwise_is_named_and_not_guessed(self, book, changes):
        """A formula, no number, another group: no price."""
        found = gateway.pulled(told(row(**changes)), TERMS, book, book)
        assert (found.changes, found.unread) == ((), ("m",))

    def test_only_the_models_that_were_asked_about_are_told(self, book):
        """And what is no row is passed over."""
        terms = gateway.Terms(gateway="gate.example", group="default", on=TODAY, models={"m"})
        found = gateway.pulled(told(row(), row(model_name="x"), 5, {"quota_type": 0}), terms, book, book)
        assert [change.model for change in found.changes] == ["m"]

    @pytest.mark.parametrize(
        ("body", "says"),
        [
            ([], "in no form that is known"),
            ({"data": 5, "group_ratio": {}}, "in no form that is known"),
            ({"data": [], "group_ratio": {"vip": 1, "x": 2}}, "no group `default`; .*--group: `vip`, `x`"),
            ({"data": [], "group_ratio": {}}, "--group: none"),
        ],
    )
    def test_what_is_no_list_of_prices_is_refused(self, book, body, says):
        """And a group that it does not have, with those that it has."""
        with pytest.raises(ConfigError, match=says):
            gateway.pulled(body, TERMS, book, book)


class TestFile:
    """`write`."""

    def test_entries_are_added_and_read_again(self, book, tmp_path):
        """What is written is the uppermost layer of the next book."""
        path = tmp_path / "configs" / "prices-gate.example.toml"
        fresh = gateway.write(path, gateway.pulled(told(row()), TERMS, book, book), TERMS)
        assert [change.model for change in fresh] == ["m"]
        price = pricing.load(tmp_path / "prices.toml", gateways=[path]).price_of("m", TODAY)
        assert (price.version, price.layer, price.audio_in) == ("2026-11-23 gate.example", "gateway", Rate(Decimal(12)))
        assert path.read_text().startswith("# What the gateway gate.example says that it charges")

    def test_what_stands_there_stays(self, book, tmp_path):
        """A later pull adds what has changed, after comments and entries of before; an equal one adds nothing."""
        path = tmp_path / "prices-gate.example.toml"
        gateway.write(
            path,
            gateway.pulled(told(row(), row(model_name="n", quota_type=1, model_price=1)), TERMS, book, book),
            TERMS,
        )
        path.write_text(path.read_text() + "# a note\n")
        before = path.read_text()
        later = gateway.Terms(gateway="gate.example", group="default", on=date(2026, 12, 1))
        now = told(row(), row(model_name="n", quota_type=1, model_price=2))
        fresh = gateway.write(path, gateway.pulled(now, later, book, book), later)
        assert [change.model for change in fresh] == ["n"]
        assert path.read_text().startswith(before)
        assert path.read_text().count("[[price]]") == 3
        assert gateway.write(path, gateway.pulled(now, later, book, book), later) == []
        assert [path.name for path in tmp_path.glob("prices-*")] == [path.name]

    def test_a_second_price_of_one_day_is_refused(self, book, tmp_path):
        """An entry is never changed, and a price holds from a day on."""
        path = tmp_path / "prices-gate.example.toml"
        gateway.write(path, gateway.pulled(told(row()), TERMS, book, book), TERMS)
        before = path.read_text()
        with pytest.raises(ConfigError, match=r"m changed after the pull of 2026-11-23.*pull again tomorrow"):
            gateway.write(path, gateway.pulled(told(row(model_ratio=5)), TERMS, book, book), TERMS)
        assert path.read_text() == before


class TestAsk:
    """`ask`."""

    async def test_the_gateway_is_asked_beside_v1(self):
        """The sandbox answers at /api/pricing: gemini-2.0-flash at a ratio of 0.05, an exact decimal."""
        with Sandbox() as sandbox:
            section = GatewaySection(base_url=sandbox.url)
            async with Client(section, sandbox.api_key, connections=1) as client:
                answer = await gateway.ask(client)
        ratios = {one["model_name"]: one["model_ratio"] for one in answer["data"]}
        assert ratios["gemini-2.0-flash"] == Decimal("0.05")

    async def test_a_gateway_that_is_not_there_is_said_to_be(self):
        """Nothing listens on that port."""
        async with Client(GatewaySection(base_url="http://127.0.0.1:9/v1"), "k", connections=1) as client:
            with pytest.raises(ConfigError, match=r"127\.0\.0\.1:9/api/pricing: .*check gateway\.base_url"):
                await gateway.ask(client)

    async def test_an_answer_that_is_no_json_is_refused(self):
        """A proxy in front of another product does not have the list."""

        class Web:
            base_url = "https://gate.example/v1"

            async def get(self, url):
                assert url == "https://gate.example/api/pricing"
                return type("Answer", (), {"status": 404, "body": b"<html>"})

        with pytest.raises(ConfigError, match="answers 404 without JSON"):
            await gateway.ask(Web())
