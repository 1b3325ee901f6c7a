"""A row's record is a pure function of its journal, live or replayed."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mediascribe import pricing
from mediascribe.case import Case
from mediascribe.domain import Failure, Request
from mediascribe.errors import AttemptError, InDoubtError, PermanentError, RateLimitedError, TransientError
from mediascribe.journal import Answered, GaveUp, Sent, Unanswered
from mediascribe.wire import DIALECTS

JSON = {"content-type": "application/json"}
BOOK = pricing.load()


def answered(body, *, status=200, at=2.0):
    return Answered(row=1, at=at, latency_s=0.5, status=status, headers=JSON, text=json.dumps(body))


def completion(text="A square.", tokens=10):
    usage = {"prompt_tokens": tokens, "completion_tokens": 2, "total_tokens": tokens + 2}
    return answered({"choices": [{"message": {"content": text}, "finish_reason": "stop"}], "usage": usage})


def error(status, code=""):
    return answered({"error": {"message": "no", "type": "new_api_error", "code": code}}, status=status)


SENT = Sent(row=1, key="k", at=1.0)
BROKEN = Unanswered(row=1, at=1.5, error_class="network", message="the connection broke", in_doubt=True)
REFUSED = Unanswered(row=1, at=1.5, error_class="network", message="no connection", in_doubt=False)
GAVE_UP = GaveUp(row=1, at=3.0)


@pytest.fixture
def case(build):
    def _case(*entries):
        item = build.item()
        request = Request(model="gemini-2.0-flash", dialect="chat", prompt="?", media=item.media, identity=item.media)
        opened = Case(item, "new", request, DIALECTS["chat"])
        opened.replay(entries)
        return opened

    return _case


def test_nothing_tried_is_nothing_known(case):
    """A row without entries has no outcome, and no record can be made of it."""
    fresh = case()
    assert (fresh.outcome, fresh.attempts, fresh.used, fresh.in_doubt) == (None, 0, 0, 0)
    with pytest.raises(ValueError, match="row 1 has no outcome yet"):
        fresh.record(BOOK)


def test_an_answer_is_the_outcome(case):
    """One attempt, settled; what follows in the journal changes nothing."""
    record = case(SENT, completion(), SENT, completion("Another.")).record(BOOK)
    assert (record.outcome.text, record.attempts, record.wasted_tokens) == ("A square.", 1, 0)
    assert (record.requested_at.timestamp(), record.completed_at.timestamp(), record.latency_s) == (1.0, 2.0, 0.5)


def test_failed_attempts_come_before_the_answer(case):
    """A bad gateway, a refusal, a broken connection, an answer: four attempts, two used up, one in doubt."""
    settled = case(SENT, error(502), SENT, error(429), SENT, BROKEN, SENT, completion())
    assert (settled.attempts, settled.used, settled.in_doubt) == (4, 2, 1)
    assert settled.record(BOOK).outcome.text == "A square."


def test_giving_up_makes_the_last_failure_the_outcome(case):
    """The record says what the last attempt met."""
    record = case(SENT, error(502), SENT, REFUSED, GAVE_UP).record(BOOK)
    assert isinstance(record.outcome, Failure)
    assert (record.outcome.error_class, record.outcome.message, record.attempts) == ("network", "no connection", 2)
    assert (record.cost, record.latency_s) == (None, None)


def test_a_permanent_failure_needs_no_word_more(case):
    """Killed right after such an answer, the row is settled all the same."""
    assert case(SENT, error(500, "convert_request_failed")).outcome.error_class == "media"


def test_a_request_that_never_left_is_not_in_doubt(case):
    """Refused connections cost nothing; requests without any entry after them may have cost."""
    assert case(SENT, REFUSED).in_doubt == 0
    assert case(SENT, BROKEN).in_doubt == 1
    assert case(SENT).in_doubt == 1
    assert case(SENT, SENT, SENT, completion()).in_doubt == 2


def test_a_gateway_timeout_is_an_answer_that_settles_nothing(case):
    """A 504 may hide a billed answer."""
    assert case(SENT, error(504)).in_doubt == 1


def test_what_an_attempt_met_is_raised_when_live(case):
    """The retry policy decides by the type."""
    live = case()
    for entry, kind in [
        (error(502), TransientError),
        (error(504), InDoubtError),
        (error(429), RateLimitedError),
        (error(500, "convert_request_failed"), PermanentError),
    ]:
        live.sent(1.0)
        with pytest.raises(kind):
            live.answered(entry)


def test_every_billed_attempt_is_in_the_cost(case):
    """Two empty answers and one to keep: the row costs all three; two are waste."""
    record = case(SENT, completion("", 100), SENT, completion("", 50), SENT, completion("Yes.", 10)).record(BOOK)
    assert record.wasted_tokens == 102 + 52
    # 160 tokens in at 0.10, 6 out at 0.40 USD per million
    assert record.cost.nano_usd == 16_000 + 2_400


ENTRIES = st.sampled_from(
    [SENT, BROKEN, REFUSED, GAVE_UP, completion(), completion(""), error(429), error(502), error(504)]
)


@given(entries=st.lists(ENTRIES, max_size=12))
def test_live_and_replayed_cases_agree(build, entries):
    """Whatever a journal holds, taking its steps one by one gives what replaying it gives."""
    item = build.item()
    request = Request(model="gemini-2.0-flash", dialect="chat", prompt="?", media=item.media, identity=item.media)
    replayed, live = (Case(item, "new", request, DIALECTS["chat"]) for _ in range(2))
    replayed.replay(entries)
    for entry in entries:
        if live.outcome is not None:
            break
        try:
            match entry:
                case Sent():
                    live.sent(entry.at)
                case Answered():
                    live.answered(entry)
                case Unanswered():
                    failure = Failure(error_class="network", message=entry.message)
                    live.unanswered(failure, entry.at, in_doubt=entry.in_doubt)
                case GaveUp():
                    live.give_up()
        except AttemptError:
            continue
    told = [(one.outcome, one.attempts, one.used, one.in_doubt, one.wasted_tokens) for one in (live, replayed)]
    assert told[0] == told[1]
