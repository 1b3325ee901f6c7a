"""A member goes by what the lead lends, says what it uses, and stops when it is lost. Time is virtual."""

import asyncio

import msgspec
import pytest
from fleets import DAY, Gateway, Link, SlowBoard, now
from virtual_time import virtual

from mediascribe.budget import Budget
from mediascribe.fleet.account import Account
from mediascribe.fleet.demand import Demand
from mediascribe.fleet.member import Following, Member
from mediascribe.fleet.notes import GRANTS, LIFE_S, NOTES, Grant, Grants, Note, Rows
from mediascribe.fleet.purses import fill
from mediascribe.job_sections import BudgetSection, LimitsSection
from mediascribe.lanes import SHARED, Lanes, Share
from mediascribe.pacing import Use
from mediascribe.spending import Spend
from mediascribe.store.local import LocalStore

TEN_A_SECOND = {SHARED: Share(605.0, None)}
FREE = (None, None, None)


class Place:
    """One member with real lanes, and a board on which the test is the lead."""

    def __init__(self, **member):
        self.board = SlowBoard(latency_s=(0.02, 0.02))
        self.link = Link(self.board)
        self.gateway = Gateway()
        self.lanes = Lanes(LimitsSection(requests_per_minute=60_000.0), clock=now)
        self.budget = Budget(BudgetSection(), None, spent=[], now=lambda: DAY)
        self.member = Member(self.link, "run", "one", self.lanes, self.budget, clock=now, **member)
        self.left = []

    def note(self):
        (name,) = (name for name in self.board.held if name.startswith(NOTES))
        return msgspec.json.decode(self.board.held[name], type=Note)

    def write(self, number=1, epoch=1, shares=None, heard=None, **grants):
        note = self.note()
        grant = Grant(heard=heard or note.number, shares=shares or TEN_A_SECOND, envelope=FREE)
        word = Grants(epoch=epoch, number=number, members={note.member: grant}, **grants)
        self.board.held[GRANTS] = msgspec.json.encode(word)

    async def ask(self):
        while True:
            async with self.lanes.of("any").slot(7):
                self.left.append(now())

    def sent(self, start, end):
        return sum(start <= at < end for at in self.left)


@virtual
async def test_nothing_leaves_before_the_first_grant():
    """From then on as much as was lent; the note says what was used, and by which grants it goes."""
    place = Place(rows=lambda: Rows(9, {2: (5, 1)}), following=Following(share=0.3, limits=TEN_A_SECOND))
    async with place.member:
        asking = asyncio.create_task(place.ask())
        await asyncio.sleep(5.0)
        assert (place.left, place.note().grants) == ([], 0)
        place.write()
        await asyncio.sleep(10.0)
        asking.cancel()
        assert len(place.left) == pytest.approx(10 * 9.5, abs=5)
        note = place.note()
        lane = note.lanes[SHARED]
        assert (note.epoch, note.grants, note.share, note.rows) == (1, 1, 0.3, Rows(9, {2: (5, 1)}))
        assert lane.left == pytest.approx(len(place.left), abs=25)
        assert lane.tokens == 7 * lane.left
    assert place.note().left


@virtual
async def test_a_share_ends_so_long_after_the_note_that_it_answers():
    """The lead falls silent: the last request leaves 15 s after the member wrote the note that the lead had read."""
    place = Place()
    async with place.member:
        asking = asyncio.create_task(place.ask())
        await asyncio.sleep(5.0)
        written_by = now()
        place.write()
        await asyncio.sleep(40.0)
        asking.cancel()
        assert written_by - 1.0 + LIFE_S - 0.2 <= place.left[-1] <= written_by + LIFE_S
        assert place.member.lost() is None


@virtual
async def test_a_member_that_was_frozen_owes_nothing_for_that_time():
    """It wakes after a minute to a grant that has ended since: the next one is in force at once, without a debt."""
    place = Place()
    async with place.member:
        asking = asyncio.create_task(place.ask())
        await asyncio.sleep(5.0)
        place.write()
        await asyncio.sleep(4.0)
        place.link.frozen = True
        place.write(number=2)
        await asyncio.sleep(60.0)
        place.link.frozen = False
        await asyncio.sleep(4.0)
        place.write(number=3)
        await asyncio.sleep(8.0)
        asking.cancel()
        assert place.sent(now() - 4, now()) == pytest.approx(40, abs=2)


@virtual
async def test_an_old_grant_changes_nothing():
    """Not one with a lower number, nor one of a lower epoch, nor one in answer to a note that nobody remembers."""
    place = Place()
    async with place.member:
        asking = asyncio.create_task(place.ask())
        await asyncio.sleep(2.0)
        place.write(number=5, epoch=2)
        await asyncio.sleep(4.0)
        place.write(number=4, epoch=2, shares={SHARED: Share(6050.0, None)})
        await asyncio.sleep(4.0)
        place.write(number=9, epoch=1, shares={SHARED: Share(6050.0, None)})
        await asyncio.sleep(4.0)
        place.write(number=6, epoch=2, shares={SHARED: Share(6050.0, None)}, heard=4711)
        await asyncio.sleep(4.0)
        asking.cancel()
        assert place.sent(6, 12) == pytest.approx(60, abs=3)
        assert place.note().grants == 6


@virtual
async def test_a_member_that_is_cut_off_waits_and_says_why():
    """The problem is the store's; nothing is lost, and it goes on where the store does."""
    place = Place()
    async with place.member:
        await asyncio.sleep(2.0)
        place.link.cut = True
        await asyncio.sleep(10.0)
        assert "cannot be reached" in place.member.problem
        place.link.cut = False
        await asyncio.sleep(5.0)
        assert (place.member.problem, place.member.lost()) == (None, None)
        place.board.held[GRANTS] = b"{"
        await asyncio.sleep(5.0)
        assert place.member.problem


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"epoch": 2}, "another lead"),
        ({"over": "the run is over"}, "the run is over"),
        ({"dead": True}, "counts one as dead"),
    ],
)
def test_a_lost_member_sends_nothing_more(changes, why):
    """Another lead, the end of the run, or its own death: it says why, for ever."""

    @virtual
    async def lost():
        place = Place()
        async with place.member:
            asking = asyncio.create_task(place.ask())
            await asyncio.sleep(2.0)
            place.write()
            await asyncio.sleep(5.0)
            place.write(number=2, **(changes | ({"dead": (place.note().member,)} if "dead" in changes else {})))
            await asyncio.sleep(4.0)
            assert why in place.member.lost()
            at = now()
            place.write(number=3)
            await asyncio.sleep(10.0)
            asking.cancel()
            assert place.sent(at, at + 10) == 0

    lost()


@virtual
async def test_grants_of_another_epoch_for_others_do_not_concern_who_has_none_yet():
    """A member that was lent nothing yet takes the first grants that name it."""
    place = Place()
    place.board.held[GRANTS] = msgspec.json.encode(Grants(epoch=7, number=40, over="the run is over"))
    async with place.member:
        await asyncio.sleep(3.0)
        assert place.member.lost() is None
        place.write(epoch=8)
        await asyncio.sleep(3.0)
        assert place.note().epoch == 8


async def test_a_folder_that_is_shared_is_a_board(tmp_path):
    """Its note is a file beside the results, and is replaced whole."""
    store = LocalStore(root=tmp_path)
    lanes, budget = Lanes(LimitsSection()), Budget(BudgetSection(), None, spent=[], now=lambda: DAY)
    async with Member(store, "r1", "one", lanes, budget):
        pass
    (note,) = (tmp_path / "_work/fleet/r1/quota/notes").iterdir()
    assert msgspec.json.decode(note.read_bytes(), type=Note).left


def use(left=0, tokens=0, **more):
    facts = {"in_flight": 10, "waiting": 0, "window": 32, "latency_s": 2.0} | more
    return Use(left=left, tokens=tokens, **facts)


class Hands:
    """A clock that the test moves."""

    at = 100.0

    def __call__(self):
        return self.at


def wants(demand, used):
    lane = demand.lanes({SHARED: used})[SHARED]
    return lane.wants, lane.wants_tokens


def test_a_member_wants_what_its_places_can_use():
    """Before any latency is known that is any number; then places by latency, and a twentieth more."""
    demand = Demand(Hands())
    assert wants(demand, use(latency_s=None)) == (None, None)
    demand = Demand(Hands())
    assert wants(demand, use(left=4, tokens=40, in_flight=10, waiting=50)) == pytest.approx(
        (32 * 30 * 1.05, 320 * 31.5)
    )
    demand = Demand(Hands())
    assert wants(demand, use(in_flight=10, waiting=50, window_may_grow=True))[0] == pytest.approx(60 * 30 * 1.05)


def test_who_has_just_come_is_about_to_ask():
    """What that will be nobody knows: any number, for nine seconds; who then has nothing at hand wants little."""
    clock = Hands()
    demand = Demand(clock)
    idle = use(latency_s=None, in_flight=0)
    assert wants(demand, idle) == (None, None)
    clock.at += 9.0
    assert wants(demand, idle) == (60.0, None)
    assert wants(demand, use(latency_s=None, in_flight=0, waiting=1)) == (None, None)


def test_who_does_not_use_its_share_wants_a_little_more_than_it_used():
    """100 of 600 in a minute: 115; and 60 at least, where it used nothing, so that its next row need not wait."""
    clock = Hands()
    demand = Demand(clock)
    demand.lent({SHARED: Share(600.0, None)})
    demand.lanes({SHARED: use(left=0)})
    clock.at += 6.0
    assert wants(demand, use(left=10)) == pytest.approx((115.0, 0.0))
    clock.at += 6.0
    assert wants(demand, use(left=10))[0] == 60.0
    clock.at += 6.0
    assert wants(demand, use(left=20, bound_by="requests_per_minute"))[0] == pytest.approx(10 * 30 * 1.05)
    clock.at += 6.0
    assert wants(demand, use(left=75))[0] == pytest.approx(10 * 30 * 1.05)


async def test_a_member_wants_money_for_half_a_minute():
    """2 USD in 6 s are 10 USD; before it asked for anything, it says nothing."""
    clock = Hands()
    demand = Demand(clock)
    purse = Budget(BudgetSection(), None, spent=[], now=lambda: DAY)
    assert demand.purse(purse.view(), purse.need()).wants is None
    purse.settle(await purse.reserve(Spend(3 * 10**9, 100, 1)), Spend(2 * 10**9, 50, 1))
    clock.at += 6.0
    said = demand.purse(purse.view(), purse.need())
    assert (said.wants, said.need, said.spent) == (
        Spend(10 * 10**9, 250, 5),
        Spend(3 * 10**9, 100, 1),
        Spend(2 * 10**9, 50, 1),
    )


async def test_a_member_is_lent_room_for_all_that_wait_though_each_costs_little_of_its_worst():
    """Twenty requests that may cost a thousand times what they do: two envelopes later all of them are in flight."""
    clock, rest = Hands(), (None, 10**9, None)
    demand = Demand(clock)
    purse = Budget(BudgetSection(), None, spent=[], now=lambda: DAY)
    account = Account(note=Note(member="a", name="a", number=0, up_s=0.0), seen_at=0.0)
    purse.grant((None, 1_000, None))
    waits = [asyncio.create_task(purse.reserve(Spend(0, 1_000, 1))) for _ in range(20)]
    await asyncio.sleep(0)
    purse.settle(await waits.pop(0), Spend(0, 1, 1))
    for number in (1, 2):
        clock.at += 3.0
        said = demand.purse(purse.view(), purse.need())
        account.heard(Note(member="a", name="a", number=number, up_s=clock.at, purse=said), clock.at, epoch=0)
        (envelope,) = fill([account.holder()], rest)
        purse.grant(envelope)
        account.lend(number, {}, envelope)
        await asyncio.sleep(0)
    assert all(one.done() for one in waits)
