"""What the gateway says is left is not passed, and silence changes nothing."""

import pytest

from mediascribe.allowance import Allowance

OPENAI = {"x-ratelimit-remaining-requests": "2", "x-ratelimit-reset-requests": "6s"}


def allowance(headers, now=100.0):
    told = Allowance()
    told.heard(headers, now)
    return told


def test_silence_changes_nothing():
    """Answers without such headers let everybody leave."""
    told = Allowance()
    assert not told.heard({"content-type": "application/json"}, 100.0)
    told.left(5)
    assert told.ready_at(100.0, 5) == 100.0


def test_no_more_leave_than_are_left():
    """Two are left for six seconds: the third waits until the quota is whole."""
    told = allowance(OPENAI)
    told.left(0)
    assert told.ready_at(101.0, 0) == 101.0
    told.left(0)
    assert told.ready_at(101.0, 0) == 106.0
    assert told.ready_at(106.0, 0) == 106.0


def test_a_newer_word_counts():
    """Refilled before its time: nobody waits."""
    told = allowance(OPENAI | {"x-ratelimit-remaining-requests": "0"})
    assert told.ready_at(100.0, 0) == 106.0
    told.heard(OPENAI, 101.0)
    assert told.ready_at(101.0, 0) == 101.0


def test_tokens_are_counted_as_tokens():
    """A request may take all the tokens that are left, the next one waits, and one without tokens does not."""
    told = allowance({"anthropic-ratelimit-output-tokens-remaining": "500"})
    assert told.ready_at(100.0, 800) == 100.0
    told.left(800)
    assert told.ready_at(100.0, 1) == 101.0


@pytest.mark.parametrize(
    ("headers", "ready_at"),
    [
        ({"x-ratelimit-remaining-requests": "0"}, 101.0),
        ({"x-ratelimit-remaining-requests": "0", "x-ratelimit-reset-requests": "24h0m0s"}, 160.0),
        (
            {
                "anthropic-ratelimit-requests-remaining": "0",
                "anthropic-ratelimit-requests-reset": "2026-11-23T01:45:12Z",
                "date": "Mon, 23 Nov 2026 01:45:00 GMT",
            },
            112.0,
        ),
        ({"x-ratelimit-remaining-requests": "-1"}, 100.0),
        ({"x-ratelimit-remaining-requests": "many"}, 100.0),
    ],
)
def test_the_reset_is_waited_for_a_minute_at_most(headers, ready_at):
    """As told, by duration or date; a second where nothing is told; nonsense is no word."""
    assert allowance(headers).ready_at(100.0, 0) == ready_at


def test_a_share_of_the_quota_is_back_after_a_share_of_the_time():
    """Sixty a minute, none left, whole in 60 s: one a second comes back (what is left and the limit are told)."""
    told = {
        "x-ratelimit-limit-requests": "60",
        "x-ratelimit-remaining-requests": "0",
        "x-ratelimit-reset-requests": "60s",
    }
    allowance = Allowance()
    allowance.heard(told, 100.0)
    assert allowance.ready_at(100.0, 5) == 101.0
    allowance.left(5)
    assert allowance.ready_at(101.0, 5) == 102.0
    for _ in range(100):
        allowance.left(5)
    assert allowance.ready_at(102.0, 5) == 160.0
