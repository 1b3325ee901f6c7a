"""A row's record is a pure function of its journal, live or replayed."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mediascribe import pricing
from mediascribe.case import Case
from mediascribe.domain import Failure, Request
from mediascribe.errors import AttemptError, InDoubtError, PermanentError, RateLimitedError, TransientError
from mediascribe.journal import Again, Answered, Excused, GaveUp, Sent, Unanswered
from mediascribe.spending import Spend, Spent

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
EXCUSED = Excused(row=1, at=1.6)
GAVE_UP = GaveUp(row=1, at=3.0)


@pytest.fixture
def case(build):
    def _case(*entries):
        item = build.item()
        request = Request(model="gemini-2.0-flash", dialect="chat", prompt="?", media=item.media, identity=item.media)
        opened = Case(item, "new", request, BOOK)
        opened.replay(entries)
        return opened

    return _case


def test_nothing_tried_is_nothing_known(case):
    """A row without entries has no outcome, and no record can be made of it."""
    fresh = case()
    assert (fresh.outcome, fresh.account.attempts, fresh.used, fresh.account.in_doubt) == (None, 0, 0, 0)
    with pytest.raises(ValueError, match="row 1 has no outcome yet"):
        fresh.record()


def test_an_answer_is_the_outcome(case):
    """One attempt, settled; what follows in the journal changes nothing."""
    record = case(SENT, completion(), SENT, completion("Another.")).record()
    assert (record.outcome.text, record.attempts, record.wasted_tokens) == ("A square.", 1, 0)
    assert (record.requested_at.timestamp(), record.completed_at.timestamp(), record.latency_s) == (1.0, 2.0, 0.5)


def test_failed_attempts_come_before_the_answer(case):
    """A bad gateway, a refusal, a broken connection, an answer: four attempts, two used up, one in doubt."""
    settled = case(SENT, error(502), SENT, error(429), SENT, BROKEN, SENT, completion())
    assert (settled.account.attempts, settled.used, settled.account.in_doubt) == (4, 2, 1)
    assert settled.record().outcome.text == "A square."


def test_giving_up_makes_the_last_failure_the_outcome(case):
    """The record says what the last attempt met."""
    record = case(SENT, error(502), SENT, REFUSED, GAVE_UP).record()
    assert isinstance(record.outcome, Failure)
    assert (record.outcome.error_class, record.outcome.message, record.attempts) == ("network", "no connection", 2)
    assert (record.cost, record.latency_s) == (None, None)


def test_a_permanent_failure_needs_no_word_more(case):
    """Killed right after such an answer, the row is settled all the same."""
    assert case(SENT, error(500, "convert_request_failed")).outcome.error_class == "media"


def test_a_request_that_never_left_is_not_in_doubt(case):
    """Refused connections cost nothing; requests without any entry after them may have cost."""
    assert case(SENT, REFUSED).account.in_doubt == 0
    assert case(SENT, BROKEN).account.in_doubt == 1
    assert case(SENT).account.in_doubt == 1
    assert case(SENT, SENT, SENT, completion()).account.in_doubt == 2


def test_a_gateway_timeout_is_an_answer_that_settles_nothing(case):
    """A 504 may hide a billed answer."""
    assert case(SENT, error(504)).account.in_doubt == 1


def test_what_an_attempt_met_is_raised_when_live(case):
    """The retry policy decides by the type."""
    live = case()
    for entry, kind in [
        (error(502), TransientError),
        (error(504), InDoubtError),
        (error(429), RateLimitedError),
        (error(500, "convert_request_failed"), PermanentError),
    ]:
        live.sent(SENT)
        with pytest.raises(kind):
            live.answered(entry)


def test_every_billed_attempt_is_in_the_cost(case):
    """Two empty answers and one to keep: the row costs all three; two are waste."""
    record = case(SENT, completion("", 100), SENT, completion("", 50), SENT, completion("Yes.", 10)).record()
    assert record.wasted_tokens == 102 + 52
    # 160 tokens in at 0.10, 6 out at 0.40 USD per million
    assert record.cost.nano_usd == 16_000 + 2_400


def cut(text="A squ"):
    usage = {"prompt_tokens": 100, "completion_tokens": 10, "total_tokens": 110}
    return answered({"choices": [{"message": {"content": text}, "finish_reason": "length"}], "usage": usage})


def again(cause, *, model="gemini-2.0-flash"):
    return Again(row=1, at=2.5, cause=cause, model=model, dialect="chat", prompt="?", parameters={"max_tokens": 99})


def test_the_better_answer_is_kept_and_both_are_paid(case):
    """Cut, asked once more with more room, whole: the second is kept, the first is waste, both are in the cost."""
    settled = case(SENT, cut(), again("longer"), SENT, completion(tokens=100))
    record = settled.record()
    assert (record.outcome.status, record.outcome.flags, record.wasted_tokens) == ("ok", ("longer",), 110)
    assert record.cost.nano_usd == 200 * 100 + (10 + 2) * 400
    assert settled.asked_again
    assert settled.request.parameters == {"max_tokens": 99}


def test_a_worse_second_answer_does_not_replace_the_first(case):
    """A cut answer is better than none."""
    record = case(SENT, cut(), again("longer"), SENT, error(502), GAVE_UP).record()
    assert (record.outcome.status, record.outcome.text, record.outcome.flags) == ("truncated", "A squ", ())
    assert (record.attempts, record.wasted_tokens) == (2, 0)


def test_a_second_model_is_paid_at_its_own_price(case):
    """Each attempt at its model's price: 100 in at 0.10 and 10 out at 0.40, then 100 at 0.30 and 2 at 2.50."""
    record = case(SENT, cut(), again("fallback", model="gemini-2.5-flash"), SENT, completion(tokens=100)).record()
    assert record.cost.nano_usd == 100 * 100 + 10 * 400 + 100 * 300 + 2 * 2500


def test_a_row_killed_before_its_second_answer_has_no_result_yet(case):
    """The first outcome is on record, the second question is open."""
    assert case(SENT, cut(), again("longer"), SENT).outcome is None


def test_a_first_answer_is_not_lost_with_its_second_question(case):
    """Stopped or killed in between, the answer that was paid for is the result."""
    closed = case(SENT, cut(), again("longer"), SENT)
    closed.close()
    record = closed.record()
    assert (record.outcome.text, record.outcome.flags, record.wasted_tokens) == ("A squ", (), 0)
    assert record.cost.nano_usd == 100 * 100 + 10 * 400


def test_the_second_question_has_attempts_of_its_own(case):
    """What the first used up is not held against it."""
    assert case(SENT, error(502), SENT, cut(), again("longer"), SENT, error(502)).used == 1


RESERVED = Sent(row=1, key="k", at=86_399.5, nano_usd=50_000, tokens=900)


def test_a_request_counts_at_its_worst_until_its_answer_says_more(case):
    """The day of sending bears it, and in the end what was billed is what counts."""
    assert case(RESERVED).account.spent == {
        "1970-01-01": Spent(nano_usd=50_000, tokens=900, requests=1, in_doubt_nano_usd=50_000)
    }
    settled = case(RESERVED, completion()).account
    assert settled.spent == {"1970-01-01": Spent(nano_usd=10 * 100 + 2 * 400, tokens=12, requests=1)}
    assert settled.last == Spend(nano_usd=1_800, tokens=12, requests=1)


def test_a_broken_request_stays_at_its_worst(case):
    """It may have been billed; the second attempt is counted beside it."""
    account = case(RESERVED, BROKEN, RESERVED, completion()).account
    assert account.spent["1970-01-01"] == Spent(
        nano_usd=50_000 + 1_800, tokens=900 + 12, requests=2, in_doubt_nano_usd=50_000
    )


@pytest.mark.parametrize("entry", [REFUSED, error(502), error(429)])
def test_what_was_not_billed_is_not_spent(case, entry):
    """No connection, or an error for an answer: a request was sent, and nothing was paid."""
    account = case(RESERVED, entry).account
    assert account.spent["1970-01-01"] == Spent(requests=1)
    assert account.last == Spend(requests=1)


def test_an_answer_without_usage_may_have_cost_anything(case):
    """Its price is unknown, so the worst stays spent."""
    body = {"choices": [{"message": {"content": "A square."}, "finish_reason": "stop"}]}
    account = case(RESERVED, answered(body)).account
    assert (account.last, account.in_doubt) == (None, 0)
    assert account.spent["1970-01-01"].nano_usd == 50_000


def test_an_empty_answer_that_was_billed_is_spent(case):
    """Attempts whose answer is not kept are paid for all the same."""
    assert case(RESERVED, completion("")).account.last == Spend(nano_usd=1_800, tokens=12, requests=1)


def test_an_excused_attempt_costs_the_row_nothing(case):
    """The gateway was down: a resumed row has all its attempts."""
    assert case(SENT, error(502), EXCUSED, SENT, error(502)).used == 1


def test_a_row_in_doubt_can_be_held(case):
    """Where the job says so, a request without an answer is a failed row, which no run asks again by itself."""
    held = case(SENT)
    held.hold()
    assert (held.outcome.status, held.outcome.code) == ("failed", "in_doubt")
    untouched = case(SENT, REFUSED)
    untouched.hold()
    assert untouched.outcome is None


def test_a_row_that_ends_in_doubt_says_so(case):
    """The code of the failure tells it from one that cost nothing."""
    assert case(SENT, BROKEN, GAVE_UP).outcome.code == "in_doubt"
    assert case(SENT, REFUSED, GAVE_UP).outcome.code is None


ENTRIES = st.sampled_from(
    [SENT, BROKEN, REFUSED, EXCUSED, GAVE_UP, completion(), completion(""), error(429), error(502), error(504)]
)


@given(entries=st.lists(ENTRIES, max_size=12))
def test_live_and_replayed_cases_agree(build, entries):
    """Whatever a journal holds, taking its steps one by one gives what replaying it gives."""
    item = build.item()
    request = Request(model="gemini-2.0-flash", dialect="chat", prompt="?", media=item.media, identity=item.media)
    replayed, live = (Case(item, "new", request, BOOK) for _ in range(2))
    replayed.replay(entries)
    for entry in entries:
        if live.outcome is not None:
            break
        try:
            match entry:
                case Sent():
                    live.sent(entry)
                case Answered():
                    live.answered(entry)
                case Unanswered():
                    failure = Failure(error_class="network", message=entry.message)
                    live.unanswered(failure, entry.at, in_doubt=entry.in_doubt)
                case Excused():
                    live.excused()
                case GaveUp():
                    live.give_up()
        except AttemptError:
            continue
    told = [
        (one.outcome, one.account.attempts, one.used, one.account.in_doubt, one.account.spent)
        for one in (live, replayed)
    ]
    assert told[0] == told[1]
