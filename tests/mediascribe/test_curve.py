"""The curve is a plateau below the ceiling, slow probing, and faster growth until the double."""

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mediascribe.curve import Curve, felt


def test_it_begins_a_twentieth_below_and_passes_the_ceiling_after_17_s():
    """0.95 of it at first, 0.99 after 8 s, all of it after 17, and its double after 24."""
    curve = Curve(ceiling=20.0)
    assert curve.per_s == pytest.approx(0.95 * 20)
    assert curve.aged(8).per_s == pytest.approx(20 * (1 - 0.05 * (9 / 17) ** 3))
    assert curve.aged(17).per_s == 20
    assert curve.aged(23.9).per_s < 40 <= curve.aged(24).per_s


def test_from_its_double_on_it_begins_a_new_plateau():
    """After 24 s the ceiling is the double, and stays in use as slowly as the first one did."""
    doubled = Curve(ceiling=20.0).aged(24)
    assert doubled.ceiling == doubled.per_s == pytest.approx(40)
    assert doubled.aged(1).per_s == pytest.approx(40 * (1 + 1 / 343))
    assert doubled.aged(7).ceiling == pytest.approx(80)


def test_a_slow_pace_is_probed_more_slowly():
    """Three a second: half as fast as six; a tenth a second: four times as slow, and not more; a guess not at all."""
    assert Curve(ceiling=6.0).aged(17).per_s == 6
    assert Curve(ceiling=3.0).aged(34).per_s == 3
    assert Curve(ceiling=0.1).aged(68).per_s == 0.1
    assert Curve(ceiling=0.1, is_guess=True).aged(17).per_s == 0.1


def test_where_news_are_old_everything_takes_longer():
    """Three times as slow: the ceiling after 51 s, the double after 72; a pace that is slow anyway is no slower."""
    slow = Curve(ceiling=20.0, slower=3.0)
    assert slow.aged(51).per_s == 20
    assert slow.aged(72).ceiling == pytest.approx(40)
    assert Curve(ceiling=0.1, slower=3.0).aged(68).per_s == 0.1


@given(ceiling=st.floats(0.02, 1000.0), slower=st.floats(1.0, 4.0), steps=st.lists(st.floats(0.0, 5.0), max_size=40))
@settings(max_examples=50)
def test_it_never_falls_and_never_jumps(ceiling, slower, steps):
    """However it is cut into steps: each is no lower than the one before, and the first is 0.95 of the ceiling."""
    curve, paces = Curve(ceiling=ceiling, slower=slower), []
    for seconds in (0.0, *steps):
        curve = curve.aged(seconds)
        paces.append(curve.per_s)
    assert paces[0] == pytest.approx(0.95 * ceiling)
    assert all(after >= before * (1 - 1e-12) for before, after in pairwise(paces))


def test_the_way_is_felt_with_the_square_of_the_time():
    """16 a second at first, 116 after 10 s, 916 after 30 s."""
    assert [felt(age_s) for age_s in (0.0, 10.0, 30.0)] == [16, 116, 916]
