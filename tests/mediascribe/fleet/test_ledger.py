"""The lead lends quota and budget: never too much, all of it, and not to the dead. Time is virtual."""

import asyncio

import msgspec
import pytest
from fleets import DAY, Fleet, Link, SlowBoard, now
from virtual_time import virtual

from mediascribe.budget import Budget
from mediascribe.errors import SpentError, StoreError
from mediascribe.fleet.account import Account
from mediascribe.fleet.board import board
from mediascribe.fleet.learned import Learned
from mediascribe.fleet.ledger import Ledger
from mediascribe.fleet.member import Member
from mediascribe.fleet.notes import GRANTS, LEADS, LIFE_S, NOTES, Grants, LaneNote, Note, Purse, Rows
from mediascribe.fleet.office import Office
from mediascribe.fleet.standing import Quota, standing
from mediascribe.job_sections import BudgetSection, LimitsSection
from mediascribe.lanes import SHARED, Lanes, Share
from mediascribe.spending import Spend
from mediascribe.store.address import parse
from mediascribe.store.local import LocalStore
from mediascribe.store.objects import at

pytestmark = pytest.mark.wide


class Asker:
    """A member that spends: *at_once* requests, each of 100 tokens at most, of which 60 are billed."""

    def __init__(self, fleet, name, *, at_once=4, rows=10**9):
        self.link = Link(fleet.board)
        self.lanes = Lanes(LimitsSection(concurrency=at_once), clock=now)
        self.budget = Budget(BudgetSection(), None, spent=[], now=lambda: DAY)
        self.member = Member(self.link, "run", name, self.lanes, self.budget, clock=now)
        self.rows, self.billed, self.stopped = rows, 0, None
        self.life = asyncio.create_task(self._live(at_once))

    async def _live(self, at_once):
        async with self.member:
            await asyncio.gather(*(self._ask() for _ in range(at_once)))

    async def _ask(self):
        while self.rows > 0:
            self.rows -= 1
            try:
                held = await self.budget.reserve(Spend(0, 100, 1))
            except SpentError as error:
                self.stopped = error.failure.message
                return
            async with self.lanes.of("any").slot():
                await asyncio.sleep(1.0)
                self.billed += 60
                self.budget.settle(held, Spend(0, 60, 1))

    def kill(self):
        """No word more, and no request."""
        self.link.frozen = True
        self.rows = 0


async def spent(fleet, askers, *, within_s):
    """Wait until all have been told that there is no more."""
    async with asyncio.timeout(within_s):
        await asyncio.gather(*(asker.life for asker in askers))


@virtual
async def test_a_budget_is_used_up_by_all_together_and_never_passed():
    """Of 30,000 tokens less than one request is left, all stop with the same words, and the lead has booked it all."""
    async with Fleet(budget={"tokens": 30_000}, requests_per_minute=60_000.0) as fleet:
        askers = [Asker(fleet, f"m{number}", at_once=2 + 3 * number) for number in range(4)]
        await spent(fleet, askers, within_s=300)
        billed = sum(asker.billed for asker in askers)
        await asyncio.sleep(5.0)
        assert 30_000 - 100 < billed <= 30_000
        assert fleet.budget.view().spent == Spend(0, billed, billed // 60)
        assert all("budget.tokens is 30,000 tokens" in asker.stopped for asker in askers)


@virtual
async def test_what_a_member_leaves_behind_is_for_the_others():
    """One ends early, with most of its envelope unspent: the other gets to the cap all the same."""
    async with Fleet(budget={"tokens": 6000}, requests_per_minute=60_000.0) as fleet:
        short, long = Asker(fleet, "short", rows=5), Asker(fleet, "long", at_once=2)
        await spent(fleet, [short, long], within_s=200)
        assert 6000 - 100 < short.billed + long.billed <= 6000


@virtual
async def test_what_a_killed_member_may_have_spent_is_spent_after_a_while():
    """Two minutes, in which nobody is told that there is no more: then its worst is spent, in doubt; the cap holds."""
    async with Fleet(budget={"tokens": 6000}, requests_per_minute=60_000.0) as fleet:
        doomed, other = Asker(fleet, "doomed"), Asker(fleet, "other", at_once=1)
        await asyncio.sleep(10.0)
        doomed.kill()
        fleet.ledger.declare_dead("doomed")
        await asyncio.sleep(100.0)
        assert other.stopped is None
        await spent(fleet, [other], within_s=200)
        assert doomed.billed + other.billed <= 6000
        view = fleet.budget.view()
        assert view.spent.tokens <= 6000
        assert view.in_doubt.tokens > 0
        doomed.life.cancel()


@virtual
async def test_a_member_that_wakes_after_being_given_up_goes_on():
    """It was silent for five minutes and nobody took its shards: what it says is what counts, and it is alive again."""
    async with Fleet(budget={"tokens": 10**9}, requests_per_minute=600.0) as fleet:
        sleeper = Asker(fleet, "sleeper")
        await asyncio.sleep(10.0)
        sleeper.link.frozen = True
        await asyncio.sleep(300.0)
        assert fleet.ledger.standing().dead == 1
        sleeper.link.frozen = False
        await asyncio.sleep(20.0)
        view, stands = fleet.budget.view(), fleet.ledger.standing()
        assert (stands.alive, stands.dead, view.in_doubt) == (1, 0, Spend())
        assert view.spent == stands.spent
        sleeper.rows = 0
        await sleeper.life


@virtual
async def test_who_is_declared_dead_stops_and_gets_nothing():
    """It hears of it, should it live; its share is the other's."""
    async with Fleet(requests_per_minute=6000.0) as fleet:
        one, other = fleet.start("one", 150), fleet.start("other", 150)
        await asyncio.sleep(20.0)
        fleet.ledger.declare_dead("one")
        await asyncio.sleep(20.0)
        assert "counts one as dead" in one.member.lost()
        before = one.traffic.left, other.traffic.left
        await asyncio.sleep(10.0)
        assert one.traffic.left == before[0]
        assert other.traffic.left - before[1] >= 950
        assert fleet.ledger.standing().dead == 1


@virtual
async def test_a_new_lead_lends_nothing_before_what_the_old_one_lent_has_ended():
    """And the members of the old one stop, since they have another lead."""
    async with Fleet(requests_per_minute=6000.0) as fleet:
        old = fleet.start("old", 150)
        await asyncio.sleep(20.0)
        fleet.lead.frozen = True
        began = now()
        second = Link(fleet.board)
        async with Ledger(second, "run", fleet.limits, fleet.budget, office=Office(epoch=2), clock=now):
            new = fleet.start("new", 150)
            await asyncio.sleep(10.0)
            assert "another lead" in old.member.lost()
            assert new.traffic.left == 0
            await asyncio.sleep(20.0)
            assert fleet.gateway.between(began + 8, began + LIFE_S) == 0
            assert fleet.gateway.between(began + 22, began + 30) >= 0.9 * 8 * 100
            assert fleet.gateway.most_in(60, end=began + 30) <= 6000


@virtual
async def test_a_lead_that_lost_its_lease_lends_nothing_more():
    """Its members stop when their shares end; it says why, and writes nothing at its end."""
    reason = []
    slow = SlowBoard()
    limits, budget = LimitsSection(requests_per_minute=600.0), Budget(BudgetSection(), None, spent=[], now=lambda: DAY)
    office = Office(lost=lambda: reason[0] if reason else None)
    async with Ledger(slow, "run", limits, budget, office=office, clock=now) as lead:
        await asyncio.sleep(5.0)
        reason.append("the lease was taken")
        await asyncio.sleep(4.0)
        before = slow.held[GRANTS]
        await asyncio.sleep(10.0)
        assert lead.standing().problem == "the lease was taken"
    assert slow.held[GRANTS] == before


@virtual
async def test_nothing_is_left_where_everybody_left():
    """Neither notes nor grants; so the next lead has nothing to wait for."""
    slow = SlowBoard()
    limits, budget = LimitsSection(requests_per_minute=600.0), Budget(BudgetSection(), None, spent=[], now=lambda: DAY)
    async with Ledger(slow, "run", limits, budget, clock=now):
        async with Member(slow, "run", "one", Lanes(limits, clock=now), budget, clock=now):
            await asyncio.sleep(5.0)
            assert GRANTS in slow.held
        await asyncio.sleep(5.0)
    assert slow.held == {}


@virtual
async def test_who_is_still_there_hears_that_the_run_is_over():
    """The grants stay, with that word."""
    fleet = Fleet(requests_per_minute=600.0)
    await fleet.__aenter__()
    process = fleet.start("one", 10)
    await asyncio.sleep(10.0)
    await fleet.ledger.__aexit__()
    await asyncio.sleep(5.0)
    assert process.member.lost() == "the run is over"
    assert msgspec.json.decode(fleet.board.held[GRANTS], type=Grants).over == "the run is over"
    process.life.cancel()


@virtual
async def test_a_store_that_fails_and_notes_that_are_none_stop_nobody():
    """The lead says what is wrong, and goes on when it can."""
    async with Fleet(requests_per_minute=600.0) as fleet:
        fleet.board.held[f"{NOTES}rubbish"] = b"{"
        process = fleet.start("one", 10)
        await asyncio.sleep(10.0)
        assert fleet.ledger.standing().alive == 1
        fleet.lead.cut = True
        await asyncio.sleep(10.0)
        assert "cannot be reached" in fleet.ledger.standing().problem
        fleet.lead.cut = False
        await asyncio.sleep(10.0)
        assert process.traffic.left > 0
        assert fleet.ledger.standing().alive == 1


@virtual
async def test_where_no_quota_is_known_and_nothing_refused_any_number_is_lent():
    """As one process would do with so many places; models with a quota of their own have that."""
    async with Fleet(concurrency=10, models={"own": {"requests_per_minute": 60.0}}) as fleet:
        asker = Asker(fleet, "one", at_once=10)
        await asyncio.sleep(20.0)
        assert asker.billed >= 10 * 12 * 60
        assert {lane.quota.requests for lane in fleet.ledger._lanes.values()} == {None, 60.0}  # noqa: SLF001 - both
        asker.rows = 0
        await asker.life


async def test_a_bucket_and_a_folder_are_boards(tmp_path):
    """What was put is found by name and folder, is replaced, and can be removed; what is not there is None."""
    for store in (LocalStore(root=tmp_path), at(parse("memory://bucket/out"))):
        place = board(store, "r1")
        await place.put(f"{NOTES}a", b"1")
        await place.put(f"{NOTES}a", b"2")
        await place.put(GRANTS, b"3")
        assert await place.names(NOTES) == [f"{NOTES}a"]
        assert (await place.get(f"{NOTES}a"), await place.get(f"{NOTES}b")) == (b"2", None)
        assert [await place.create(f"{LEADS}1", content) for content in (b"4", b"5")] == [True, False]
        assert await place.get(f"{LEADS}1") == b"4"
        await place.remove(f"{NOTES}a")
        assert await place.names(NOTES) == []
        place.close()


def note(number=1, up_s=3.0, purse=None, rows=None, grants=0, **lane):
    lanes = {SHARED: LaneNote(**lane)} if lane else {}
    return Note(
        member="m.1",
        name="m",
        number=number,
        up_s=up_s,
        epoch=1,
        grants=grants,
        lanes=lanes,
        purse=purse or Purse(),
        rows=rows or Rows(),
    )


def account(at=100.0, **facts):
    made = Account(note(**facts), at)
    made.heard(made.note, at, epoch=1)
    return made


def test_an_account_holds_what_may_still_be_in_use():
    """The greater of the share it goes by and those lent since, until it goes by a later one, or they have ended."""
    one = account()
    one.lend(1, {SHARED: Share(100.0, None)}, (None, 50, None))
    one.lend(2, {SHARED: Share(40.0, None)}, (None, 30, None))
    assert (one.held(SHARED, 0, 110.0), one.held(SHARED, 1, 110.0)) == (100.0, float("inf"))
    assert one.committed() == (0, 50, 0)
    one.heard(note(number=2, up_s=6.0, grants=2), 112.0, epoch=1)
    assert (one.held(SHARED, 0, 112.0), one.committed()) == (40.0, (0, 30, 0))
    assert one.held(SHARED, 0, 100.0 + LIFE_S + 1.0) == 0.0
    assert one.committed() == (0, 30, 0)


def test_an_account_tells_what_is_new():
    """30 requests and 2 refusals in 6 s, 4 rows: 300 a minute, 28 accepted, two thirds of a row a second."""
    one = account(left=10, refused=1, tokens=100, rows=Rows(9, {0: (1, 0)}))
    heard = one.heard(
        note(number=2, up_s=9.0, left=40, refused=3, tokens=700, rows=Rows(5, {0: (5, 1)})), 106.0, epoch=1
    )
    assert (heard.accepted, heard.refused) == ({SHARED: 28}, {SHARED: 2})
    assert one.per_minute[SHARED] == pytest.approx((300.0, 6000.0))
    assert one.rows_per_s == pytest.approx(4 / 6)


def test_health_is_silence():
    """Late after two and a half slices, dead after five, or when declared so; who left has left."""
    one = account()
    assert [one.health(100.0 + silent) for silent in (7.4, 7.5, 14.9, 15.0)] == ["alive", "late", "late", "dead"]
    one.declared_dead = True
    assert one.health(100.0) == "dead"


LANES = {SHARED: Quota(requests=600.0, tokens=None, is_learned=False)}


def seen(quotas=LANES, out=None, purse=None, **lane):
    """What is said of a fleet of two that do the same."""
    twins = [account(left=0, purse=purse), account(left=0)]
    for one in twins:
        one.heard(note(number=2, up_s=63.0, purse=purse, **lane), 106.0, epoch=1)
    return standing(twins, quotas, 107.0, out=out, problem=None)


@pytest.mark.parametrize(
    ("stands", "helps", "why"),
    [
        (
            {"left": 290, "waiting": 5, "in_flight": 1, "window": 32},
            False,
            "bound by the quota, of which 97% is in use",
        ),
        ({"left": 90, "waiting": 5, "bound_by": "requests_per_minute"}, False, "the rest is on its way"),
        ({"left": 9, "in_flight": 32, "window": 32}, True, "2 workers have 64 requests in flight; more workers"),
        ({"left": 9, "in_flight": 3, "window": 32}, True, "beside asking"),
        ({"left": 9, "waiting": 3, "bound_by": "outage"}, False, "by the gateway"),
        ({"left": 9, "purse": Purse(waiting=3)}, False, "whose rest is lent out"),
        ({"left": 9, "out": "budget.usd is 1 USD"}, False, "bound by the budget: budget.usd is 1 USD"),
        ({"left": 9, "window": 32}, None, "no request is under way"),
    ],
)
def test_one_line_says_what_bounds_the_fleet(stands, helps, why):
    """And whether more members would help."""
    view = seen(**stands)
    assert view.more_would_help is helps
    assert why in view.why


def test_a_fleet_of_nobody_needs_somebody():
    """And what was learned is called so."""
    view = standing([], {}, 0.0, out=None, problem=None)
    assert (view.more_would_help, view.alive, view.quota_share) == (True, 0, None)
    learned = {SHARED: Quota(requests=600.0, tokens=6000.0, is_learned=True)}
    assert "was found to take" in seen(quotas=learned, left=290, tokens=2900).why


def test_the_view_adds_up():
    """Two members: 100 requests a minute each, 7 rows each, 3 in flight each."""
    purse = Purse(spent=Spend(5, 6, 7), in_doubt=Spend(1, 1, 1))
    view = seen(left=100, in_flight=3, waiting=2, window=9, purse=purse)
    assert (view.requests_per_s, view.in_flight, view.waiting) == (pytest.approx(200 / 60), 6, 4)
    assert (view.spent, view.in_doubt) == (Spend(10, 12, 14), Spend(2, 2, 2))
    assert view.quota_share == pytest.approx(200 / 600)


def paces(learned, slices):
    """The pace after each slice of 3 s in which so many were accepted and refused."""
    return [
        (learned.heard(3.0 * number, *slice_), learned.per_minute)[1] for number, slice_ in enumerate(slices, start=1)
    ]


def test_a_pace_is_learned_from_refusals():
    """30 a second are taken: the next pace is a twentieth below that, and grows while it is used."""
    learned = Learned(None, feels_its_way=False)
    assert paces(learned, [(90, 0)] * 5) == [None] * 5
    learned.heard(18.0, 90, 9)
    assert learned.per_minute == pytest.approx(30 * 60 * 0.95)
    assert [learned.heard(21.0 + 3 * number, 86, 0) for number in range(9)] == [None] * 9
    assert 30 * 60 * 0.99 < learned.per_minute < 30 * 60
    unused = learned.per_minute
    learned.heard(51.0, 3, 0)
    assert learned.per_minute == unused


def test_a_known_quota_is_the_most_that_is_learned():
    """Refused although known: slower for a while, and back at what was configured in the end."""
    learned = Learned(1200.0, feels_its_way=False)
    paces(learned, [(60, 0), (60, 0), (40, 20)])
    assert learned.per_minute < 1200.0
    for number in range(4, 60):
        learned.heard(3.0 * number, round(learned.per_minute / 20), 0)
    assert learned.per_minute == 1200.0
    learned.heard(3.0, 1, 1)  # no time has passed


def test_a_gateway_that_counts_by_the_minute_is_known_by_its_stall():
    """Mostly refused for more than seven seconds: then what it took in the last minute is its quota."""
    learned = Learned(None, feels_its_way=True)
    slices = [(60, 0)] * 15 + [(5, 55), (0, 20), (0, 20), (0, 20), (0, 20)]
    pace = paces(learned, slices)[-1]
    assert pace == pytest.approx((15 * 60 + 5) / 60 * 60 * 0.95, rel=0.1)


async def test_a_board_whose_store_fails_says_so(tmp_path):
    """By the errors that a store has."""
    place = board(LocalStore(root=tmp_path), "r1")
    (tmp_path / "_work").write_text("no folder")
    with pytest.raises(OSError, match="_work"):
        await place.put(GRANTS, b"")
    place.close()
    assert issubclass(StoreError, Exception)


def test_rows_of_a_shard_that_another_goes_on_with_count_once():
    """One had 300 of a shard when it died, 8 of them failed; the next has them again, and more, or not yet as many."""
    dead, heir = account(rows=Rows(200, {0: (500, 1), 1: (300, 8)})), account(rows=Rows(90, {1: (410, 9)}))
    behind = account(rows=Rows(490, {1: (10, 0)}))
    quotas = {}
    for others, done, failed in (([heir], 910, 10), ([behind], 800, 9), ([behind, heir], 910, 10)):
        rows = standing([dead, *others], quotas, 101.0, out=None, problem=None).rows
        assert (rows.done, rows.failed) == (done, failed)
