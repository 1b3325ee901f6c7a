"""Of rows that ask the same one is asked, and the others get its answer."""

import dataclasses

import pytest

from mediascribe.domain import Cost, Item
from mediascribe.plan import Due
from mediascribe.sharing import Sharing, is_good_for_all, shared


def due(name, number):
    return Due(item=Item(item_id=name, row_number=number), reason="new")


@pytest.fixture
def answered(build):
    return dataclasses.replace(
        build.record(item=Item(item_id="a", row_number=1)), cost=Cost(nano_usd=500, price_version="p"), attempts=2
    )


def test_the_first_leads_and_the_others_wait(answered):
    """While the first is asked the others wait; then they get its answer, and so does one that comes later."""
    sharing = Sharing()
    assert sharing.enter("k", due("a", 1)) is True
    assert sharing.enter("k", due("b", 2)) is False
    assert sharing.known("k") is None
    others, heir = sharing.settle("k", answered)
    assert [record.item.item_id for record in others] == ["b"]
    assert heir is None
    assert sharing.enter("k", due("c", 3)).answered_by == "a"
    assert sharing.known("k") is answered
    assert sharing.known("other") is None


def test_a_shared_row_says_whose_answer_it_has(answered):
    """The text is the same; nothing was billed, nothing of the exchange is said twice, and what it saved is known."""
    record = shared(answered, due("b", 2))
    assert record.outcome.text == answered.outcome.text
    assert (record.answered_by, record.saved.nano_usd, record.cost.nano_usd) == ("a", 500, 0)
    assert (record.outcome.usage.total_tokens, record.outcome.usage.source) == (0, "shared")
    assert (record.outcome.response_id, record.outcome.gateway_request_id) == (None, None)
    assert (record.attempts, record.wasted_tokens, record.latency_s) == (0, 0, None)
    third = shared(record, due("c", 3))
    assert (third.answered_by, third.saved.nano_usd) == ("a", 500)


def test_what_a_row_of_unknown_price_saved_is_unknown(answered):
    """Without a price there is no cost, and no saving."""
    record = shared(dataclasses.replace(answered, cost=None), due("b", 2))
    assert (record.cost, record.saved) == (None, None)


@pytest.mark.parametrize(
    ("error_class", "good"), [("media", True), ("safety", True), ("request", True), ("server", False), ("empty", False)]
)
def test_a_failure_is_shared_where_it_lies_in_the_question(build, error_class, good):
    """Bad media are bad for all; a gateway that failed may answer the next one."""
    record = build.record(item=Item(item_id="a", row_number=1), outcome=build.failure(error_class=error_class))
    assert is_good_for_all(record) is good


def test_after_a_failure_of_its_own_the_next_one_is_asked(build):
    """The first fails with 500: the second is asked and leads, the third goes on waiting."""
    sharing = Sharing()
    for number, name in enumerate("abc", 1):
        sharing.enter("k", due(name, number))
    failed = build.record(item=Item(item_id="a", row_number=1), outcome=build.failure(error_class="server"))
    others, heir = sharing.settle("k", failed)
    assert (others, heir.item.item_id) == ([], "b")
    others, heir = sharing.settle("k", build.record(item=heir.item))
    assert ([record.answered_by for record in others], heir) == (["b"], None)


def test_when_nobody_waits_the_next_one_that_comes_leads(build):
    """A failure of its own with nobody waiting leaves no trace."""
    sharing = Sharing()
    sharing.enter("k", due("a", 1))
    failed = build.record(item=Item(item_id="a", row_number=1), outcome=build.failure(error_class="server"))
    assert sharing.settle("k", failed) == ([], None)
    assert sharing.enter("k", due("b", 2)) is True
