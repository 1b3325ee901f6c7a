"""How a behaviour is told: in Python, in JSON, behind a model's name."""

from __future__ import annotations

import pytest

from mediascribe.errors import ConfigError
from mediascribe.sandbox import Behaviour, Fault
from mediascribe.sandbox.behaviour import from_members, from_words
from mediascribe.sandbox.faults import FAULTS, bills


def test_words_spell_a_behaviour():
    """Every word sets its member, and faults keep their order."""
    words = "slow=0.2+jitter=0.1+rpm=600+tpm=1e5+seed=7+pause=0+chunk=0.5+empty429+retryafter"
    words += "+rpd=5000+inflight=8+window=1+limiter=bucket+headers=openai+answers=most"
    words += "+outage=60+outageafter=10+outagefault=cdn_502"
    words += "+fault=panic+fault=stall:0.3:2:5"
    assert from_words(words.split("+")) == Behaviour(
        latency_s=0.2,
        jitter_s=0.1,
        requests_per_minute=600.0,
        tokens_per_minute=100_000.0,
        seed=7,
        byte_pause_s=0.0,
        chunk_pause_s=0.5,
        empty_429=True,
        retry_after=True,
        requests_per_day=5000,
        max_in_flight=8,
        window_s=1.0,
        limiter="bucket",
        rate_headers="openai",
        answer_tokens="most",
        outage_s=60.0,
        outage_after_s=10.0,
        outage="cdn_502",
        faults=(Fault("panic"), Fault("stall", 0.3, 2, 5)),
    )


def test_members_describe_a_behaviour():
    """A JSON object has the same members."""
    told = {"latency_s": 1, "requests_per_minute": None, "faults": [{"name": "panic", "rate": 0.5, "times": 3}]}
    assert from_members(told) == Behaviour(latency_s=1, faults=(Fault("panic", 0.5, times=3),))


@pytest.mark.parametrize(
    ("word", "said"),
    [
        ("slo=1", "did you mean 'slow'"),
        ("slow=fast", "'fast' is no number"),
        ("fault=panick", "did you mean 'panic'"),
        ("fault=panic:x", "is no number"),
        ("xyzzy", "known are slow"),
        ("rpm=0", "more than 0"),
        ("slow=nan", "0 or more"),
        ("rpd=1.5", "is no number"),
        ("limiter=leaky", "'leaky', and must be one of window, bucket"),
        ("answers=long", "must be one of least, most, random"),
        ("outagefault=http_5003", "did you mean 'http_503'"),
        ("outagefault=reset_after", "'reset_after' is billed"),
    ],
)
def test_wrong_words(word, said):
    """A word that cannot be read is named, with the nearest one."""
    with pytest.raises(ConfigError, match=said):
        from_words([word])


@pytest.mark.parametrize(
    ("members", "said"),
    [
        ({"latency": 1}, "did you mean 'latency_s'"),
        ({"latency_s": "1"}, "latency_s is '1', and must be a number"),
        ({"latency_s": -1}, "0 or more"),
        ({"empty_429": 1}, "true or false"),
        ({"window_s": 0}, "more than 0"),
        ({"max_in_flight": 0.5}, "a whole number or null"),
        ({"requests_per_minute": 30, "window_s": 1}, "too short for a single request"),
        ({"tokens_per_minute": "all"}, "a number or null"),
        ({"faults": "panic"}, "list of objects"),
        ({"faults": ["panic"]}, "list of objects"),
        ({"faults": [{}]}, "no name"),
        ({"faults": [{"name": "panic", "rates": 1}]}, "did you mean 'rate'"),
        ({"faults": [{"name": "panic", "rate": 1.5}]}, "0 to 1"),
        ({"faults": [{"name": "panic", "skip": -1}]}, "0 or more"),
        ({"faults": [{"name": 7}]}, "must be a text"),
    ],
)
def test_wrong_members(members, said):
    """A member that cannot be read is named, with what it must be."""
    with pytest.raises(ConfigError, match=said):
        from_members(members)


def test_faults_must_be_a_tuple():
    """In Python the faults are a tuple of faults."""
    with pytest.raises(ConfigError, match="must be a list"):
        Behaviour(faults=[Fault("panic")])


def test_unknown_fault_names_the_nearest():
    """An unknown fault is answered with the nearest name."""
    with pytest.raises(ConfigError, match="did you mean 'reset_after'"):
        Fault("reset_afterwards")


def test_what_is_billed():
    """A fault bills when an answer was made: spoilt answers and broken connections do, refusals do not."""
    billed = {name for name in FAULTS if bills(name)}
    assert {"empty_content", "cut_json", "cdn_524", "reset_after", "cut_body", "stall", "slow_body"} <= billed
    assert not billed & {"http_500", "panic", "rate_limited_empty", "html_200", "null_200", "reset_before"}
