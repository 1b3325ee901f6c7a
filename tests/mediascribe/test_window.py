"""The window grows while that helps, and shrinks when the gateway refuses."""

import pytest

from mediascribe.window import AUTO_MOST, Window


def round_trip(window, latency_s=1.0):
    """Every place of the window is answered once."""
    for _ in range(window.size):
        window.succeeded(window.size, latency_s)


def test_a_given_size_is_there_from_the_start_and_never_passed():
    """Eight places, whatever succeeds."""
    window = Window(8)
    for _ in range(10):
        round_trip(window)
    assert window.size == 8


def test_auto_doubles_each_round_trip_up_to_its_ceiling():
    """4, 8, 16 ... 1,000."""
    window, sizes = Window("auto"), []
    for _ in range(10):
        sizes.append(window.size)
        round_trip(window)
    assert sizes[:8] == [4, 8, 16, 32, 64, 128, 256, 512]
    assert window.size == AUTO_MOST


def test_a_refusal_takes_a_tenth_and_leaves_one_place():
    """100, 90, 81 ... 1."""
    window = Window(100)
    window.refused()
    assert window.size == 90
    window.refused()
    assert window.size == 81
    for _ in range(100):
        window.refused()
    assert window.size == 1


def test_after_a_refusal_it_grows_by_one_and_then_faster():
    """Two round trips with a place each, two with two each, two with four each."""
    window = Window(200)
    for _ in range(7):
        window.refused()
    assert window.size == 95  # 200 * 0.9**7 = 95.66
    sizes = []
    for _ in range(6):
        round_trip(window)
        sizes.append(window.size)
    assert sizes == pytest.approx([96, 97, 99, 101, 105, 109], abs=2)


def test_it_does_not_grow_where_answers_only_take_longer():
    """A gateway that answers 16 at a time, and queues the rest: twice the window, twice the latency."""
    window = Window("auto")
    for _ in range(12):
        round_trip(window, latency_s=max(1.0, window.size / 16))
    assert 16 <= window.size <= 64


def test_it_tries_again_after_a_rest():
    """When the gateway has become larger, the window finds out."""
    window = Window("auto")
    for _ in range(6):
        round_trip(window, latency_s=max(1.0, window.size / 16))
    rested = window.size
    for _ in range(80):
        round_trip(window, latency_s=1.0)
    assert window.size > 4 * rested


def test_it_bears_any_number_of_successes():
    """A run of millions of rows without one refusal: its steps do not grow for ever."""
    window = Window(1)
    for _ in range(5_000):
        round_trip(window)
    assert window.size == 1
