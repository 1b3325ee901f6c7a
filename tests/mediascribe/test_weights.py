"""What a request may cost at most, and what it is expected to weigh."""

from pathlib import Path

import pytest

from mediascribe import models, pricing
from mediascribe.domain import Media, Request
from mediascribe.spending import Spend
from mediascribe.weights import Weights

BOOK = pricing.load()
MODELS = models.load(Path(__file__).parents[2] / "configs/models.toml")
IMAGE = Media(kind="image", url="https://cdn.example/a.jpg")


def request(*media, max_tokens=100, model="gemini-2.0-flash"):
    return Request(
        model=model, dialect="chat", prompt="What?", media=media, identity=media, parameters={"max_tokens": max_tokens}
    )


@pytest.fixture
def weights():
    return Weights(MODELS, BOOK, 2_000)


def test_the_worst_has_the_jobs_word_for_a_medium(weights):
    """2,000 tokens of an image at 100 nano-dollars, 100 of the answer at 400, and a text of a few tokens."""
    worst = weights.load(request(IMAGE)).worst
    assert 2_000 * 100 + 100 * 400 < worst.nano_usd < 2_050 * 100 + 100 * 400
    assert 2_100 < worst.tokens < 2_150
    assert worst.requests == 1


def test_a_model_without_a_price_is_weighed_all_the_same(weights):
    """Tokens and requests have their worst, money has none."""
    worst = weights.load(request(IMAGE, model="nobody-knows")).worst
    assert (worst.nano_usd, worst.requests) == (0, 1)
    assert worst.tokens > 2_000


def test_expectations_come_from_answers(weights):
    """The mean of what requests alike weighed: the same model, the same kinds of media."""
    asked = request(IMAGE)
    for tokens in (1_000, 1_400):
        weights.learn(asked, Spend(tokens=tokens, requests=1))
    assert weights.load(asked).expected_tokens == 1_200
    assert weights.load(request()).expected_tokens < 1_000


def test_what_says_nothing_teaches_nothing(weights):
    """Neither an answer in doubt nor one without tokens changes what is expected."""
    before = weights.load(request(IMAGE)).expected_tokens
    weights.learn(request(IMAGE), None)
    weights.learn(request(IMAGE), Spend(requests=1))
    assert weights.load(request(IMAGE)).expected_tokens == before


def test_expectations_follow_a_change(weights):
    """After a hundred small answers, two hundred large ones are what counts."""
    for tokens, times in ((100, 100), (1_000, 200)):
        for _ in range(times):
            weights.learn(request(IMAGE), Spend(tokens=tokens, requests=1))
    assert 950 < weights.load(request(IMAGE)).expected_tokens <= 1_000


def test_nobody_expects_more_than_the_worst(weights):
    """A bound is a bound."""
    weights.learn(request(IMAGE), Spend(tokens=50_000, requests=1))
    load = weights.load(request(IMAGE))
    assert load.expected_tokens == load.worst.tokens
