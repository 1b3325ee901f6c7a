"""The breaker opens for a gateway that is down, not for a row that is bad, and closes with the first answer."""

import pytest

from mediascribe.breaker import EXCUSED_AT_MOST, FAILURES_TO_OPEN, PROBE_EVERY_S, Breaker


class Clock:
    now = 100.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


def opened(clock):
    breaker = Breaker(clock)
    excused = [breaker.failed(row, f"503 to row {row}") for row in range(FAILURES_TO_OPEN)]
    assert excused == [False] * (FAILURES_TO_OPEN - 1) + [True]
    return breaker


def test_different_rows_that_fail_in_a_row_open_it(clock):
    """Five failures without an answer in between, and the one that opened it is excused."""
    breaker = opened(clock)
    outage = breaker.outage()
    assert breaker.is_open
    assert (outage.lasted_s, outage.why, outage.probe_in_s) == (0.0, "503 to row 4", PROBE_EVERY_S)


def test_one_row_never_opens_it(clock):
    """A poison row fails alone."""
    breaker = Breaker(clock)
    assert not any(breaker.failed("poison", "500") for _ in range(100))
    assert breaker.outage() is None


def test_an_answer_in_between_keeps_it_closed(clock):
    """One row in three fails, for ever: the gateway is up."""
    breaker = Breaker(clock)
    for row in range(300):
        if row % 3:
            breaker.answered()
        else:
            assert not breaker.failed(row, "500")
    assert not breaker.is_open


def test_the_first_answer_closes_it(clock):
    """And it takes five new failures to open it again."""
    breaker = opened(clock)
    breaker.answered()
    assert breaker.outage() is None
    assert breaker.probe_at == clock.now
    assert not breaker.failed(1, "503")


def test_each_failed_probe_puts_off_the_next(clock):
    """One probe every five seconds, however long it takes."""
    breaker = opened(clock)
    for _ in range(10):
        clock.now = breaker.probe_at
        assert breaker.failed(clock.now, "503")
        assert breaker.probe_at == clock.now + PROBE_EVERY_S
    assert breaker.outage().lasted_s == 10 * PROBE_EVERY_S


def test_a_row_that_fails_every_probe_is_not_excused_for_ever(clock):
    """Asked alone, a bad row must not pass for an outage without end."""
    breaker = opened(clock)
    assert [breaker.failed("bad", "500") for _ in range(EXCUSED_AT_MOST + 1)] == [True] * EXCUSED_AT_MOST + [False]


def test_probes_leave_on_schedule_and_less_often_while_none_is_answered(clock):
    """A gateway that hangs is tried after 4, 8, 16, 32 s and then each minute; one that fails at once, every 4 s."""
    breaker, waits = opened(clock), []
    for _ in range(6):
        clock.now = breaker.probe_at
        breaker.probing()
        waits.append(breaker.probe_at - clock.now)
    assert waits == [4.0, 8.0, 16.0, 32.0, 60.0, 60.0]
    for _ in range(6):
        breaker.probed()
    clock.now = breaker.probe_at
    breaker.probing()
    clock.now += 1
    breaker.failed(1, "503")
    breaker.probed()
    assert breaker.outage().probe_in_s == 3.0
