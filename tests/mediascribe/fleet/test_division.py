"""A quota is divided fairly, wholly and never twice; a budget is lent to the last request, and never passed."""

import math
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mediascribe.fleet.division import WORTH_WHILE, Claim, fair, lend, served
from mediascribe.fleet.purses import Holder, fill, is_dry

WANTS = st.one_of(st.floats(0, 1e6), st.just(math.inf))
SHARES = st.one_of(st.just(1.0), st.floats(0.05, 1.0))
CLAIMS = st.lists(st.builds(Claim, wants=WANTS, share=SHARES), min_size=1, max_size=40)
EQUAL = st.lists(st.builds(Claim, wants=WANTS), min_size=1, max_size=40)
TOTAL = st.floats(0.1, 1e6)
pytestmark = pytest.mark.wide
NEAR = 1 + 1e-9


def wanted(claims):
    return sum(claim.wants for claim in claims)


@settings(max_examples=50, deadline=None)
@given(CLAIMS, TOTAL)
def test_nobody_gets_more_than_it_wants_and_all_together_no_more_than_there_is(claims, total):
    """Whatever is wanted."""
    shares = fair(claims, total)
    assert all(0 <= share <= claim.wants for share, claim in zip(shares, claims, strict=True))
    assert sum(shares) <= total * NEAR


@settings(max_examples=50, deadline=None)
@given(CLAIMS, TOTAL)
def test_nothing_is_left_while_somebody_wants_more(claims, total):
    """All of the quota is given, or all that is wanted."""
    assert sum(fair(claims, total)) >= min(total, wanted(claims)) / NEAR


@settings(max_examples=50, deadline=None)
@given(EQUAL, TOTAL)
def test_who_gets_less_than_it_wants_gets_as_much_as_anybody(claims, total):
    """Max-min fairness: nobody has more than a member that wants more."""
    shares = fair(claims, total)
    hungry = [share for share, claim in zip(shares, claims, strict=True) if share < claim.wants / NEAR]
    assert all(max(shares) <= share * (1 + 1e-6) + 1e-9 for share in hungry)


@settings(max_examples=50, deadline=None)
@given(CLAIMS, TOTAL)
def test_who_asks_for_a_share_gets_that_much_at_least(claims, total):
    """Or what it wants; where all shares come to more than nine tenths, they shrink in proportion."""
    promised = sum(claim.share for claim in claims if claim.share < 1)
    each = total * min(1.0, 0.9 / promised) if promised else 0.0
    for share, claim in zip(fair(claims, total), claims, strict=True):
        if claim.share < 1:
            assert share >= min(claim.wants, claim.share * each) / NEAR


def test_a_fair_division_by_hand():
    """100 for 10, 15, and twice any number: 10 and 15 as wanted, and half of 75 each."""
    claims = [Claim(wants=10), Claim(wants=15), Claim(wants=math.inf), Claim(wants=math.inf)]
    assert fair(claims, 100) == pytest.approx([10, 15, 37.5, 37.5])


@pytest.mark.parametrize(
    ("shares", "wants", "given_"),
    [
        ((0.3, 1), (math.inf, math.inf), (30, 70)),
        ((0.3, 1), (math.inf, 20), (80, 20)),
        ((0.3, 1), (10, math.inf), (10, 90)),
        ((0.3,), (math.inf,), (100,)),
        ((0.3, 1, 1), (math.inf, math.inf, math.inf), (30, 35, 35)),
        ((0.3, 1, 1), (math.inf, math.inf, 5), (30, 65, 5)),
        ((0.3, 0.1, 1), (math.inf, math.inf, 0), (75, 25, 0)),
        ((0.6, 0.6, 1), (math.inf, math.inf, math.inf), (45, 45, 10)),
    ],
)
def test_a_share_of_the_whole_by_hand(shares, wants, given_):
    """A share is kept while others want theirs, and what they leave is used, in proportion."""
    claims = [Claim(wants=want, share=share) for share, want in zip(shares, wants, strict=True)]
    assert fair(claims, 100) == pytest.approx(given_)


@settings(max_examples=50, deadline=None)
@given(st.lists(st.tuples(WANTS, st.floats(0, 100)), min_size=1, max_size=20), TOTAL)
def test_no_part_of_a_quota_is_lent_twice(claimed, total):
    """The greater of what each holds and gets comes to the quota at most, or to what is held already."""
    claims = [Claim(wants=wants, held=held) for wants, held in claimed]
    most = sum(max(claim.held, share) for claim, share in zip(claims, lend(claims, total), strict=True))
    assert most <= max(total, sum(claim.held for claim in claims)) * NEAR


@settings(max_examples=50, deadline=None)
@given(st.lists(WANTS, min_size=1, max_size=20), TOTAL)
def test_a_division_is_reached_when_all_have_said_that_they_go_by_it(wants, total):
    """From any start: what was lent before is given back in one round, and lent anew in the second."""
    held = [total / len(wants)] * len(wants)
    for _ in range(2):
        claims = [Claim(wants=want, held=had) for want, had in zip(wants, held, strict=True)]
        held = lend(claims, total)
    assert held == pytest.approx(fair([Claim(wants=want) for want in wants], total), rel=1e-6, abs=1e-6)


def test_what_is_still_in_use_without_limit_leaves_nothing_to_lend():
    """A member that may use any number until it has heard: nobody's share rises before."""
    claims = [Claim(wants=50, held=math.inf), Claim(wants=50, held=10)]
    assert lend(claims, 100) == [50, 10]


def test_a_crowd_takes_turns():
    """Of five, two at a time: after five turns each was served twice; where there is enough for all, all are."""
    members = ["a", "b", "c", "d", "e"]
    turns = [served(members, 2.9, turn) for turn in range(5)]
    assert sorted(name for turn in turns for name in turn) == sorted(members * 2)
    assert served(members, 5.0, 3) == served(members, math.inf, 3) == members
    assert served(members, 0.3, 7) == ("c",)
    assert WORTH_WHILE == 40


def holder(spent=0, reserved=0, committed=None, **more):
    """A member's money, in tokens alone."""
    facts = {"need": (0, 10, 0), "wants": (0, 30, 0), "waits": False} | more
    most = spent + reserved if committed is None else committed
    return Holder(spent=(0, spent, 0), reserved=(0, reserved, 0), committed=(0, most, 0), **facts)


def tokens(holders, rest):
    return [envelope[1] for envelope in fill(holders, (None, rest, None))]


def test_a_full_budget_gives_what_is_wanted():
    """Of 1,000 tokens, two get the 30 that they want beside what they have spent and reserved; other units are free."""
    holders = [holder(spent=100, reserved=5), holder()]
    assert fill(holders, (None, 1000, None)) == [(None, 135, None), (None, 30, None)]


def test_envelopes_shrink_with_the_rest():
    """Of 80 left, two get a quarter each; of 30, one request each; of 19, one of them gets a request."""
    assert tokens([holder(), holder()], 80) == [20, 20]
    assert tokens([holder(), holder()], 30) == [10, 10]
    assert tokens([holder(), holder()], 19) == [10, 0]


def test_who_waits_comes_first():
    """The last ten tokens go to the member that has a request without room."""
    assert tokens([holder(), holder(waits=True)], 10) == [0, 10]


def test_what_nobody_can_use_alone_comes_back_for_one():
    """Two hold 6 of the last 12 each, too little for a request of 10: both give it back, and then one gets ten."""
    holders = [holder(committed=6), holder(committed=6, waits=True)]
    assert tokens(holders, 12) == [0, 6]
    assert tokens([holder(), holder(committed=6, waits=True)], 12) == [0, 10]


def test_who_has_asked_nothing_yet_gets_a_part():
    """A half of an equal part."""
    assert tokens([holder(need=(0, 0, 0), wants=None)], 100) == [50]


def test_a_budget_is_dry_when_nothing_can_come_back():
    """Not while somebody has something reserved, nobody waits, or one who waits would fit."""
    waits = holder(waits=True)
    assert is_dry([waits, holder()], (None, 9, None))
    assert not is_dry([waits, holder(reserved=1)], (None, 9, None))
    assert not is_dry([holder()], (None, 9, None))
    assert not is_dry([waits], (None, 10, None))


@settings(max_examples=30, deadline=None)
@given(
    st.integers(0, 300),
    st.lists(st.integers(5, 60), min_size=1, max_size=8),
    st.integers(0, 2**32),
)
def test_the_cap_is_never_passed_and_all_of_it_is_used(cap, needs, seed):
    """Members with requests of one size, which hear and report in any order: in the end less than a request is left."""
    dice = random.Random(seed)  # noqa: S311 - the same run each time
    fleet = [_Spender(need, dice) for need in needs]
    for _ in range(80):
        rest = cap - sum(member.told.spent[1] for member in fleet)
        for member, envelope in zip(fleet, tokens([member.told for member in fleet], rest), strict=True):
            member.lent(envelope)
        for member in fleet:
            member.act()
        assert sum(member.spent for member in fleet) <= cap
    assert cap - sum(member.spent for member in fleet) < min(member.need for member in fleet)


class _Spender:
    """A member that spends all that it may, and hears of its envelope or reports now or later."""

    def __init__(self, need, dice):
        self.need, self.dice = need, dice
        self.spent, self.envelope, self.loans = 0, 0, []
        self.told = self._holder()

    def lent(self, envelope):
        self.loans.append(envelope)
        self.told = self._holder(self.told.spent[1])

    def act(self):
        if self.dice.random() < 0.7:
            self.envelope, self.loans = self.loans[-1], self.loans[-1:]
            while self.spent + self.need <= self.envelope:
                self.spent += self.need
            self.told = self._holder(self.spent)

    def _holder(self, told=0):
        most = max([told, *self.loans])
        return holder(spent=told, committed=most, need=(0, self.need, 0), wants=(0, 3 * self.need, 0), waits=True)
