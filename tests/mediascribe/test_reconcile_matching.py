"""Moments that are given to spans of time, and ratios that become rates: the pure parts of a reconciliation."""

from __future__ import annotations

import itertools
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mediascribe import pricing
from mediascribe.cost.reconciliation.matching import pairs
from mediascribe.cost.reconciliation.terms import SCALE, price_rates, rates, relations
from mediascribe.pricing import Price, Rate

SPANS = st.lists(st.tuples(st.integers(0, 9), st.integers(0, 6), st.integers(1, 2)), max_size=4)
MOMENTS = st.lists(st.integers(0, 12), max_size=5)


def events(spans, moments, key="k"):
    """Spans (at, length, room) and moments in the order in which `pairs` wants them."""
    made = [(key, at, at + length, room, number) for number, (at, length, room) in enumerate(spans)]
    made += [(key, at, None, None, number) for number, at in enumerate(moments)]
    return sorted(made, key=lambda one: (one[1], one[2] is None))


def most(spans, moments):
    """How many moments can have a span, found by trying every choice."""
    rooms = [(at, at + length) for at, length, room in spans for _ in range(room)]
    best = 0
    for chosen in itertools.permutations([*range(len(rooms)), *[None] * len(moments)], len(moments)):
        taken = [one for one in zip(moments, chosen, strict=True) if one[1] is not None]
        if all(rooms[room][0] <= at <= rooms[room][1] for at, room in taken):
            best = max(best, len(taken))
    return best


class TestPairs:
    """`pairs`."""

    @settings(max_examples=40, deadline=None)
    @given(SPANS, MOMENTS)
    def test_every_pair_is_one_that_may_be(self, spans, moments):
        """A moment has one span at most, lies within it, and no span has more than its room."""
        found = list(pairs(events(spans, moments)))
        assert len({moment for moment, _ in found}) == len(found)
        for number, (at, length, room) in enumerate(spans):
            mine = [moments[moment] for moment, span in found if span == number]
            assert len(mine) <= room
            assert all(at <= moment <= at + length for moment in mine)

    @pytest.mark.wide
    @settings(max_examples=60, deadline=None)
    @given(
        st.lists(st.tuples(st.integers(0, 5), st.integers(0, 4), st.just(1)), max_size=4),
        st.lists(st.integers(0, 9), max_size=3),
    )
    def test_as_many_as_can_be_have_a_span(self, spans, moments):
        """No other choice leaves fewer moments alone."""
        assert len(list(pairs(events(spans, moments)))) == most(spans, moments)

    def test_other_keys_do_not_go_together(self):
        """A span of one key is closed where the next key begins."""
        together = [*events([(0, 100, 5)], []), *events([], [1], key="other")]
        assert list(pairs(together)) == []

    def test_the_span_that_ends_first_is_filled_first(self):
        """The long one is kept for later."""
        assert list(pairs(events([(0, 100, 1), (0, 10, 1)], [5, 50]))) == [(0, 1), (1, 0)]


class TestTerms:
    """`rates` and `relations` (gateway notes 2.2)."""

    def test_ratios_become_nano_dollars_a_token(self):
        """0.05 is 0.10 USD a million, which is 100 nano-dollars a token; the rest are multiples of it."""
        told = {"model_ratio": "0.05", "completion_ratio": "4", "cache_ratio": "0.25", "group_ratio": "0.8"}
        told |= {"cache_creation_ratio": "1.25", "audio_ratio": "20", "audio_completion_ratio": "2"}
        found = rates(told | {"model_price": "-1", "audio_input_price": "0.7", "image_ratio": None})
        assert found == {
            "t_in": 100 * SCALE,
            "t_out": 400 * SCALE,
            "t_cached": 25 * SCALE,
            "t_write": 125 * SCALE,
            "t_write_5m": 100 * SCALE,
            "t_write_1h": 100 * SCALE,
            "t_image": 100 * SCALE,
            "t_audio": 2000 * SCALE,
            "t_spoken": 4000 * SCALE,
            "t_sound": 700 * SCALE,
            "t_call": 0,
            "t_group": SCALE * 8 // 10,
        }

    def test_a_price_by_the_call_has_no_rates(self):
        """0.02 USD are 20,000,000 nano-dollars; no token costs anything."""
        found = rates({"model_price": "0.02", "audio_input_price": "0.7"})
        assert found is not None
        assert found["t_call"] == 20_000_000 * SCALE
        assert {rate for name, rate in found.items() if name not in ("t_call", "t_group")} == {0}
        assert found["t_group"] == SCALE

    @pytest.mark.parametrize(
        "told",
        [
            {},
            {"model_ratio": "1"},
            {"completion_ratio": "1"},
            {"model_ratio": "much", "completion_ratio": "1"},
            {"model_ratio": "1/0", "completion_ratio": "1"},
            {"model_ratio": "1e9", "completion_ratio": "1"},
            {"model_ratio": "1", "completion_ratio": "1", "group_ratio": "5000"},
            {"model_ratio": "1", "completion_ratio": "1", "billing_mode": "tiered_expr"},
        ],
    )
    def test_ratios_that_say_nothing(self, told):
        """Terms that are missing, no numbers, out of all measure, or a formula, explain no charge."""
        assert rates(told) is None

    def test_a_price_by_its_tiers(self):
        """The longest prompts first; 1.25 and 2.50 USD a million are 1,250 and 2,500 nano-dollars a token."""
        price = pricing.Price(
            model="m",
            from_date=None,
            version="v",
            source="s",
            input=Rate(Decimal("1.25"), ((200_000, Decimal("2.50")),)),
            output=Rate(Decimal("0.0001")),
            per_call=Decimal("0.001"),
        )
        (long_start, call, long_rates), (start, _, base) = price_rates(price)
        assert (long_start, start, call) == (200_000, -1, 1_000_000 * SCALE)
        assert (long_rates[0], base[0], base[6]) == (2500 * SCALE, 1250 * SCALE, SCALE // 10)

    def test_a_relation_is_ours_at_the_gateways_rate(self):
        """Sound is seven times text with us, a cached token a quarter: the same at the gateway's 200 and 800."""
        terms = rates({"model_ratio": "0.1", "completion_ratio": "4"}) or {}
        price = Price(
            model="m",
            from_date=None,
            version="v",
            source="s",
            input=Rate(Decimal("0.10")),
            output=Rate(Decimal("0.40")),
            audio_in=Rate(Decimal("0.70")),
            cached=Rate(Decimal("0.025")),
        )
        ((_, _, own),) = price_rates(price)
        expected = {"x_audio": 1400, "x_cached": 50, "x_cached_audio": 50, "x_write": 200, "x_spoken": 800}
        assert relations(terms, own) == {name: rate * SCALE for name, rate in expected.items()}
        plain = {name: (800 if name == "x_spoken" else 200) * SCALE for name in expected}
        assert relations(terms, None) == plain
        assert relations(terms, (0,) * 8) == plain
