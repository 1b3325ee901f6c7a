"""The pilot asks the rows that narrow the forecast most."""

from collections import Counter
from datetime import date

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mediascribe import pilot, pricing
from mediascribe.domain import Item, Media
from mediascribe.forecast.estimate import Setting
from mediascribe.forecast.strata import Row, Stratum, kind_of
from mediascribe.forecast.whatif import Scale
from mediascribe.media.tokens import Facts
from mediascribe.models import Model

GEMINI = Model(
    name="gemini-2.0-flash", vendor="v", family="gemini", dialects=("chat",), media=("image", "audio", "video")
)


def setting(**changes):
    plain = {"name": "m", "model": GEMINI, "price": None, "scale": Scale(model=GEMINI), "answer_limit": None}
    return Setting(**plain | changes)


def stratum(kind, rows, *, facts=None, reason="new", first=0):
    sample = [
        Row(
            item=Item(item_id=f"{kind}-{first + number}", row_number=1, media=(Media(kind=kind, url="https://h/a"),)),
            text=2,
            facts=(facts(number) if facts else Facts(),),
        )
        for number in range(rows)
    ]
    return Stratum(reason=reason, kind=kind_of([kind]), rows=rows, sample=sample)


def kinds(ids):
    return Counter(name.split("-")[0] for name in ids)


def test_films_are_asked_more_often_than_their_share():
    """1,000 pictures and 100 films: most of the doubt is in the films."""
    chosen = kinds(pilot.choose([stratum("image", 1000), stratum("video", 100)], setting(), 50))
    assert chosen["video"] > 25
    assert chosen["image"] >= 3


def test_a_price_moves_the_pilot_to_what_costs():
    """Sound is seven times as dear as pictures and films of Gemini 2.0: it is asked more often than without a price."""
    asked = [stratum("audio", 100), stratum("video", 100)]
    price = pricing.load().price_of("gemini-2.0-flash", date(2026, 11, 1))
    with_price, without = (kinds(pilot.choose(asked, setting(price=one), 60)) for one in (price, None))
    assert with_price["audio"] > without["audio"]


def test_known_sizes_are_asked_small_and_large():
    """Of 90 pictures of known size, each third is drawn from."""
    asked = [stratum("image", 90, facts=lambda n: Facts(width=400 + 100 * n, height=400 + 40 * n))]
    numbers = sorted(int(name.split("-")[1]) for name in pilot.choose(asked, setting(), 12))
    assert len(numbers) == 12
    assert all(any(low <= number < low + 45 for number in numbers) for low in (0, 30, 45))


def test_rows_of_one_kind_are_drawn_together_whatever_their_reason():
    """New and stale pictures weigh alike."""
    asked = [stratum("image", 10), stratum("image", 10, reason="stale_prompt", first=10)]
    assert len(pilot.choose(asked, setting(), 8)) == 8


def test_rows_that_cannot_be_asked_are_no_pilot():
    """They cost nothing, and tell nothing."""
    assert pilot.choose([Stratum(reason="new", kind=None, rows=5)], setting(), 3) == frozenset()


def test_the_same_seed_draws_the_same_rows():
    """Another one draws others."""
    asked = [stratum("image", 500)]
    first, again, other = (pilot.choose(asked, setting(), 20, seed=seed) for seed in (1, 1, 2))
    assert first == again != other


@given(
    sizes=st.lists(st.integers(1, 40), min_size=1, max_size=3),
    rows=st.integers(1, 130),
    known=st.booleans(),
)
@settings(max_examples=30, deadline=None)
@pytest.mark.wide
def test_as_many_are_drawn_as_were_ordered_or_all(sizes, rows, known):
    """No more, no fewer, and none twice."""
    facts = (lambda n: Facts(width=100 + n, height=100, seconds=1.0 + n)) if known else None
    names = ("image", "audio", "video")
    asked = [stratum(kind, size, facts=facts) for kind, size in zip(names, sizes, strict=False)]
    assert len(pilot.choose(asked, setting(), rows)) == min(rows, sum(sizes))
