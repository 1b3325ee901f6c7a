"""After a refusal everybody waits: as told, or for a moment that doubles."""

import pytest

from mediascribe.cooldown import Cooldown


def cooldown(jitter=0.0):
    return Cooldown(lambda: jitter)


def test_waits_double_while_refusals_go_on():
    """0.25, 0.5, 1 ... 60 s, each from the refusal on."""
    cool, now, waits = cooldown(), 100.0, []
    for _ in range(10):
        cool.left(now)
        assert cool.refused(now, now + 0.1, None)
        waits.append(cool.open_at - now - 0.1)
        now = cool.open_at
    assert waits == pytest.approx([0.25, 0.5, 1, 2, 4, 8, 16, 32, 60, 60])


def test_a_success_after_it_ends_the_series():
    """The next refusal waits for 0.25 s again."""
    cool = cooldown()
    cool.refused(1.0, 1.0, None)
    cool.refused(1.5, 1.5, None)
    assert not cool.succeeded(1.2)
    assert cool.succeeded(2.0)
    assert not cool.succeeded(2.0)
    cool.refused(9.0, 9.0, None)
    assert cool.open_at == 9.25


@pytest.mark.parametrize(("jitter", "opens_at"), [(0.0, 17.0), (1.0, 17.7)])
def test_it_waits_as_long_as_told_and_up_to_a_tenth_longer(jitter, opens_at):
    """Told 7 s: never less, so that the machines of one quota do not come back at once."""
    cool = cooldown(jitter)
    cool.refused(9.0, 10.0, 7.0)
    assert cool.open_at == pytest.approx(opens_at)


def test_nobody_waits_for_longer_than_ten_minutes():
    """Told a day: tried again after ten minutes."""
    cool = cooldown(1.0)
    cool.refused(0.0, 10.0, 86_400.0)
    assert cool.open_at == 610.0


def test_a_refusal_from_before_says_nothing_new():
    """A whole window refused at once is one refusal; but a longer wait that one of them is told counts."""
    cool = cooldown()
    assert cool.refused(1.0, 2.0, None)
    assert not cool.refused(1.5, 2.1, None)
    assert not cool.refused(1.5, 2.2, 30.0)
    assert (cool.refusals, cool.open_at) == (1, pytest.approx(32.2))


def test_in_a_series_one_request_at_a_time_finds_out():
    """Refused after 1 s: the next one leaves 3 s after the one before, when a refusal would be back for sure."""
    cool = cooldown()
    cool.refused(0.0, 1.0, None)
    cool.refused(2.0, 3.0, None)
    assert cool.ready_at() == 3.5
    cool.left(4.0)
    assert cool.ready_at() == 7.0
    assert cool.over_at(6.9) is None
    assert cool.over_at(7.0) == 4.0
    assert (cool.refusals, cool.over_at(7.0)) == (0, None)


def test_after_one_refusal_all_may_go_on():
    """A single refusal is followed by no probing."""
    cool = cooldown()
    cool.refused(0.0, 0.1, None)
    cool.left(1.0)
    assert cool.ready_at() == pytest.approx(0.35)


def test_a_known_time_of_room_counts():
    """It may cut a cooldown, to a quarter at most, or put its end off."""
    cool = cooldown()
    for at in range(9):
        cool.refused(float(at), float(at), None)
    assert cool.open_at == 68.0
    cool.cut(8.0, 50.0)
    assert cool.open_at == 50.0
    cool.cut(8.0, 10.0)
    assert cool.open_at == 8.0 + 42.0 / 4
    cool.extend(90.0)
    assert cool.open_at == 90.0


def test_a_gateway_may_refuse_for_ever():
    """Two thousand refusals in a row, each with a wait of a second or none."""
    cool = cooldown()
    for at in range(2000):
        cool.refused(float(at), float(at), 1.0 if at % 2 else None)
    assert 2000 < cool.open_at <= 2060
