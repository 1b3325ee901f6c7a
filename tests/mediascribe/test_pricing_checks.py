"""Models without a price, with a reseller's only, retired, or about to be."""

from datetime import date

import pytest

from mediascribe import models, pricing
from mediascribe.pricing.checks import findings

PRICES = """
[[price]]
model = "resold"
from = 2026-01-01
list = "openrouter"
input = "1"
output = "2"
source = "a reseller"
"""
TABLE = """
[[model]]
name = "gpt-4o"
vendor = "OpenAI"
family = "openai"
dialects = ["chat"]
media = ["image"]
retires = 2026-12-11
"""


@pytest.fixture
def found(tmp_path):
    """What there is to say of models on a day, as pairs of verdict and words."""
    (tmp_path / "prices.toml").write_text(PRICES)
    (tmp_path / "models.toml").write_text(TABLE)
    book, table = pricing.load(tmp_path / "prices.toml"), models.load(tmp_path / "models.toml")

    def _found(day, *names):
        return list(findings(names, book, table, date.fromisoformat(day)))

    return _found


def test_a_model_that_nobody_prices_is_a_defect(found):
    """And once, however often it is named."""
    (one,) = found("2026-11-23", "nobody-lists-this", "nobody-lists-this")
    assert (one.verdict, one.said, one.is_defect) == ("unpriced", "nobody lists a price of it", True)
    assert "configs/prices.toml" in one.advice


def test_a_model_that_only_others_sell_is_said_to_be(found):
    """genai-prices has qwen-vl-max under openrouter alone: no price of a bare name, and none is taken."""
    (one,) = found("2026-11-23", "qwen-vl-max")
    assert (one.verdict, one.said) == ("unpriced", "only openrouter lists a price of it")


def test_a_resellers_price_is_no_defect_and_is_said(found):
    """The cost is known, and may not be the bill."""
    (one,) = found("2026-11-23", "resold")
    assert (one.verdict, one.said, one.is_defect) == ("reseller", "its only price is a reseller's: openrouter", False)


@pytest.mark.parametrize(
    ("day", "verdict", "said"),
    [
        ("2026-10-11", None, None),
        ("2026-10-12", "retiring", "it retires on 2026-12-11, in 60 days"),
        ("2026-12-10", "retiring", "it retires on 2026-12-11, in 1 days"),
        ("2026-12-11", "retired", "it was to retire on 2026-12-11"),
    ],
)
def test_lifetimes_are_told_sixty_days_before(found, day, verdict, said):
    """Retired is a defect, about to be is not."""
    told = [(one.verdict, one.said, one.is_defect) for one in found(day, "gpt-4o")]
    assert told == ([(verdict, said, verdict == "retired")] if verdict else [])
