"""Several runs on one quota: shares, who leads, and never more than the quota. Time is virtual."""

import asyncio
import random
import subprocess
from types import SimpleNamespace

import msgspec
import pytest
from fleets import DAY, TICK_S, Gateway, Link, SlowBoard, Traffic, now
from pydantic import ValidationError
from virtual_time import run, virtual

from mediascribe.budget import Budget
from mediascribe.errors import ConfigError, StoreError
from mediascribe.fleet import chair as chairs
from mediascribe.fleet import pulse as pulses
from mediascribe.fleet.chair import DEAD_S, Chair
from mediascribe.fleet.common import Common, joined, place
from mediascribe.fleet.ledger import Ledger
from mediascribe.fleet.member import Member
from mediascribe.fleet.notes import GRANTS, LEADS, LIFE_S, NOTES, Grants
from mediascribe.fleet.pulse import Beat
from mediascribe.fleet.sublet import Sublet
from mediascribe.job_sections import BudgetSection, LimitsSection
from mediascribe.lanes import SHARED, Lanes
from mediascribe.report.progress import Meter

pytestmark = pytest.mark.wide
PER_S = 100
QUOTA = {"common": "quota", "requests_per_minute": PER_S * 60.0}


class Run:
    """A run of a job that asks as much as it may; killed, it says no word more."""

    def __init__(self, key, name, places=200, latency_s=1.0, **limits):
        self.link = Link(key.board)
        self.traffic = Traffic(key.gateway, places, latency_s, random.Random(name))  # noqa: S311 - the same each time
        self.common = Common(
            self.link, name, LimitsSection(**QUOTA | limits), self.traffic, clock=asyncio.get_running_loop().time
        )
        self.leaving = asyncio.Event()
        self.life = asyncio.create_task(self._live())

    async def _live(self):
        async with self.common:
            while not self.leaving.is_set():
                if not self.link.frozen:
                    self.traffic.tick()
                await asyncio.sleep(TICK_S)

    def kill(self):
        """As by kill -9."""
        self.link.frozen, self.traffic.places = True, 0

    async def leave(self):
        self.traffic.places = 0
        self.leaving.set()
        await self.life

    async def sent(self, seconds):
        """Requests a second, for so long."""
        before = self.traffic.left
        await asyncio.sleep(seconds)
        return (self.traffic.left - before) / seconds


class Key:
    """One key of a gateway, and the place where those meet who use it."""

    def __init__(self):
        self.board, self.gateway, self.runs = SlowBoard(), Gateway(), []

    def start(self, name, *args, **limits):
        self.runs.append(Run(self, name, *args, **limits))
        return self.runs[-1]

    async def __aenter__(self):
        return self

    async def __aexit__(self, *_):
        for one in self.runs:
            one.life.cancel()
            one.link.frozen, one.link.cut = False, True
        await asyncio.gather(*(one.life for one in self.runs), return_exceptions=True)

    async def rates(self, seconds):
        return await asyncio.gather(*(one.sent(seconds) for one in self.runs))


@pytest.fixture(autouse=True)
def _strangers(monkeypatch):
    """No run sees that another is, or was, of this machine."""
    monkeypatch.setattr(chairs, "machine", lambda: None)


@virtual
async def test_a_run_that_is_alone_has_all_of_it():
    """From the second second on, and nobody else's word is waited for."""
    async with Key() as key:
        nightly = key.start("nightly")
        await asyncio.sleep(5.0)
        assert await nightly.sent(20.0) >= 0.97 * PER_S
        assert nightly.common.leads
        assert nightly.common.line("q") == "lent 6,000 requests/min"


@virtual
async def test_a_share_beside_a_run_that_wants_all():
    """0.3 beside 1: 30 and 70 %; all of it when the other has ended; back within 10 s when it starts again."""
    async with Key() as key:
        nightly, backfill = key.start("nightly"), key.start("backfill", share=0.3)
        await asyncio.sleep(20.0)
        both = await key.rates(30.0)
        assert both == [pytest.approx(70.0, abs=2.0), pytest.approx(30.0, abs=1.5)]
        assert backfill.common.line("q") == "lent 1,799 requests/min, beside 1 other run"
        await nightly.leave()
        await asyncio.sleep(10.0)
        assert await backfill.sent(20.0) >= 0.97 * PER_S
        again = key.start("nightly")
        await asyncio.sleep(10.0)
        assert await again.sent(20.0) == pytest.approx(70.0, abs=2.5)
        assert key.gateway.most_in(60) <= PER_S * 60


@virtual
async def test_nobody_stops_when_the_lead_leaves():
    """It says what all may still use: the next lead goes on from there, and nothing is lent twice."""
    async with Key() as key:
        first = key.start("first")
        await asyncio.sleep(5.0)
        second, third = key.start("second"), key.start("third")
        await asyncio.sleep(20.0)
        assert [one.common.leads for one in key.runs] == [True, False, False]
        await first.leave()
        at = now()
        await asyncio.sleep(30.0)
        assert [second.common.leads, third.common.leads].count(True) == 1
        assert min(key.gateway.between(at + second_, at + second_ + 1) for second_ in range(30)) >= 0.6 * PER_S
        assert key.gateway.between(at + 12, at + 30) >= 0.97 * 18 * PER_S
        assert key.gateway.most_in(60) <= PER_S * 60


def leads_change(befall, *, back=False):
    """The lead is killed, cut off or frozen for a minute, while three runs want all."""

    async def changing():
        async with Key() as key:
            doomed = key.start("doomed")
            await asyncio.sleep(5.0)
            others = [key.start("a"), key.start("b", share=0.3)]
            await asyncio.sleep(20.0)
            assert doomed.common.leads
            befall(doomed)
            at = now()
            await asyncio.sleep(60.0)
            assert [one.common.leads for one in others].count(True) == 1
            assert key.gateway.between(at + DEAD_S + LIFE_S + 15, at + 60) >= 0.97 * (45 - DEAD_S - LIFE_S) * PER_S
            if back:
                doomed.link.frozen = doomed.link.cut = False
                await asyncio.sleep(40.0)
                assert [one.common.leads for one in key.runs].count(True) == 1
                rates = await key.rates(20.0)
                assert rates == [pytest.approx(35, abs=2), pytest.approx(35, abs=2), pytest.approx(30, abs=2)]
            assert key.gateway.most_in(60) <= PER_S * 60
            assert key.gateway.most_in(1) <= 1.2 * PER_S

    run(changing())


def test_a_killed_lead_is_followed_by_another():
    """By kill -9: within half a minute all of the quota is in use again, and never more."""
    leads_change(Run.kill)


@pytest.mark.parametrize("how", ["frozen", "cut"])
def test_a_lead_that_wakes_is_one_of_many(how):
    """Frozen, or cut off from the store, for a minute: it lends nothing more, follows, and has its part again."""
    leads_change(lambda doomed: setattr(doomed.link, how, True), back=True)


@pytest.mark.parametrize("seed", [0, *(pytest.param(seed, marks=pytest.mark.long) for seed in range(1, 16))])
def test_the_sum_is_never_above_the_quota(seed):
    """Runs that come, leave, are killed, freeze and wake at any time, the lead among them."""

    async def churn():
        dice = random.Random(seed)  # noqa: S311 - the same run each time
        async with Key() as key:
            for number in range(30):
                alive = [one for one in key.runs if one.traffic.places]
                if len(alive) < 2 or dice.random() < 0.3:
                    key.start(f"r{number}", share=dice.choice((1.0, 0.3)))
                else:
                    one = dice.choice(alive)
                    match dice.randrange(4):
                        case 0:
                            one.kill()
                        case 1 if not one.link.frozen:
                            key.leaving = asyncio.create_task(one.leave())
                        case 2:
                            one.link.frozen = not one.link.frozen
                        case _:
                            one.link.cut = not one.link.cut
                await asyncio.sleep(dice.uniform(0.5, 12.0))
            assert key.gateway.most_in(60) <= PER_S * 60
            assert sum(key.gateway.arrived.values()) > 0

    run(churn())


@virtual
async def test_the_smallest_limit_holds():
    """Two jobs say different quotas of one key: nobody goes above what the one was told."""
    async with Key() as key:
        key.start("a", requests_per_minute=3000.0)
        key.start("b", requests_per_minute=6000.0)
        await asyncio.sleep(20.0)
        assert sum(await key.rates(20.0)) == pytest.approx(50.0, rel=0.03)


@virtual
async def test_a_quota_of_a_few_a_minute_is_taken_in_turns():
    """Two runs, 12 a minute: one is served at a time."""
    async with Key() as key:
        for name in "ab":
            key.start(name, requests_per_minute=12.0)
        await asyncio.sleep(300.0)
        assert all(one.traffic.left >= 15 for one in key.runs)
        assert key.gateway.most_in(60) <= 12
        assert key.gateway.between(60, 300) >= 0.7 * 4 * 12


@virtual
async def test_models_with_a_quota_of_their_own_are_divided_apart():
    """A quota that only one run names is that one's."""
    async with Key() as key:
        one = key.start("one", models={"pro": {"requests_per_minute": 60.0}})
        key.start("two")
        await asyncio.sleep(20.0)
        assert one.common.member.share("pro").requests == pytest.approx(60.0)
        assert one.common.member.share(SHARED).requests == pytest.approx(2999.0)


@virtual
async def test_who_waits_says_for_what():
    """Before the first share, and where the store fails."""
    async with Key() as key:
        one = key.start("one")
        await asyncio.sleep(0)
        assert one.common.line("s3://b/q") == "waiting for a share of the quota at s3://b/q"
        await asyncio.sleep(5.0)
        one.link.cut = True
        await asyncio.sleep(10.0)
        assert one.common.line("q") == "waiting for a share of the quota: the store cannot be reached"


@virtual
async def test_what_stands_there_is_little():
    """Notes of those who left and died are removed, and marks of old leads; a place where all left has no notes."""
    async with Key() as key:
        for number in range(12):
            one = key.start(f"r{number}")
            await asyncio.sleep(5.0)
            await one.leave()
        last, killed = key.start("last"), key.start("killed")
        await asyncio.sleep(10.0)
        killed.kill()
        await asyncio.sleep(150.0)
        assert len([name for name in key.board.held if name.startswith(NOTES)]) == 1
        await last.leave()
        assert sorted(name.partition("/")[0] for name in key.board.held) == [GRANTS, *["leads"] * 8]


@virtual
async def test_what_is_lent_on_is_given_back_when_the_workers_have_done_so():
    """A fleet of two workers beside another run: 50 and 50, never more; and what dies with the fleet comes back."""
    async with Key() as key:
        other = key.start("other")
        await asyncio.sleep(5.0)
        limits, clock = LimitsSection(**QUOTA), asyncio.get_running_loop().time
        inner, link, sublet = SlowBoard(2), Link(key.board), Sublet(clock)
        ledger = Ledger(inner, "run", limits, _budget(), source=sublet, clock=clock)
        sublet.lend(ledger)
        workers = []
        async with Common(link, "fleet", limits, sublet, clock=clock) as common, ledger:
            for name in ("w1", "w2"):
                traffic = Traffic(key.gateway, 100, 1.0, random.Random(name))  # noqa: S311 - the same each time
                member = Member(inner, "run", name, traffic, _budget(), clock=clock)
                workers.append((traffic, asyncio.create_task(_work(traffic, member))))
            await asyncio.sleep(30.0)
            assert common.line("q") == "lent 2,999 requests/min, beside 1 other run"
            before = sum(traffic.left for traffic, _ in workers)
            assert await other.sent(20.0) == pytest.approx(50.0, abs=1.5)
            assert (sum(traffic.left for traffic, _ in workers) - before) / 20 == pytest.approx(49.0, abs=2.0)
            other.traffic.places = 10
            await asyncio.sleep(20.0)
            before = sum(traffic.left for traffic, _ in workers)
            await asyncio.sleep(20.0)
            assert (sum(traffic.left for traffic, _ in workers) - before) / 20 >= 0.95 * (PER_S - 12)
            other.traffic.places = 200
            await asyncio.sleep(20.0)
            assert await other.sent(20.0) == pytest.approx(50.0, abs=2.0)
            link.frozen = True  # the lead of the fleet is cut off from the place: its workers stop in time
            await asyncio.sleep(30.0)
            assert await other.sent(20.0) >= 0.97 * PER_S
            link.frozen = False
            for _, task in workers:
                task.cancel()
            await asyncio.gather(*(task for _, task in workers), return_exceptions=True)
        assert key.gateway.most_in(60) <= PER_S * 60
        assert key.gateway.most_in(1) <= 1.2 * PER_S


def _budget():
    return Budget(BudgetSection(), None, spent=[], now=lambda: DAY)


async def _work(traffic, member):
    async with member:
        while True:
            traffic.tick()
            await asyncio.sleep(TICK_S)


@virtual
async def test_of_many_one_leads():
    """All try in the same moment."""
    board = SlowBoard()
    seats = [Chair(board, f"r{number}", now) for number in range(8)]
    taken = await asyncio.gather(*(seat.take() for seat in seats))
    assert sorted(taken, key=str) == [1, *[None] * 7]
    assert await seats[0].is_held(1)


@virtual
async def test_a_lead_that_was_a_process_of_this_machine_is_followed_at_once():
    """It is gone: nobody watches for its word."""
    board = SlowBoard()
    await Chair(board, "a", now).take()
    assert await Chair(board, "b", now).take() is None
    ended = subprocess.Popen(["true"])  # noqa: ASYNC220 - an instant, and time is virtual
    ended.wait()
    beat = Beat(name="a", host="h", machine=pulses.machine(), pid=ended.pid)
    board.held[f"{LEADS}00000001"] = msgspec.json.encode(beat)
    assert await Chair(board, "b", now).take() == 2


@virtual
async def test_who_could_not_see_begins_to_watch_anew():
    """The silence of a store is no sign of a lead's death."""
    board = SlowBoard()
    link = Link(board)
    await Chair(board, "a", now).take()
    seat = Chair(link, "b", now)
    assert await seat.take() is None
    await asyncio.sleep(DEAD_S - 1)
    link.cut = True
    with pytest.raises(StoreError):
        await seat.take()
    link.cut = False
    await asyncio.sleep(5.0)
    assert await seat.take() is None
    await asyncio.sleep(DEAD_S)
    assert await seat.take() == 2


@virtual
async def test_a_fleet_that_ends_with_workers_at_work_gives_nothing_back_at_once():
    """One of its workers is frozen, and may wake: what it holds ends by itself, and is lent to nobody before."""
    async with Key() as key:
        other = key.start("other", share=0.3)
        await asyncio.sleep(5.0)
        limits, clock = LimitsSection(**QUOTA), asyncio.get_running_loop().time
        inner, sublet = SlowBoard(2), Sublet(clock)
        ledger, worker = Ledger(inner, "run", limits, _budget(), source=sublet, clock=clock), Link(inner)
        sublet.lend(ledger)
        traffic = Traffic(key.gateway, 100, 1.0, random.Random(1))  # noqa: S311 - the same each time
        member = Member(worker, "run", "w", traffic, _budget(), clock=clock)
        async with Common(Link(key.board), "fleet", limits, sublet, clock=clock), ledger:
            working = asyncio.create_task(_work(traffic, member))
            await asyncio.sleep(20.0)
            worker.frozen = True  # cut off, and at work as long as it may
        before, at = other.traffic.left, now()
        await asyncio.sleep(4.0)
        assert other.traffic.left - before <= 4 * 0.35 * PER_S
        await asyncio.sleep(20.0)
        assert await other.sent(10.0) >= 0.97 * PER_S
        assert key.gateway.most_in(5, start=at) <= 5.3 * PER_S
        working.cancel()
        worker.frozen = False
        await asyncio.gather(working, return_exceptions=True)


class TestPlace:
    """What a job says."""

    def test_without_a_common_quota_there_is_no_place(self):
        """The run's quota is its own."""
        assert place(LimitsSection()) is None

    def test_a_place_that_cannot_be_used_is_named(self, tmp_path):
        """With the key of the job."""
        (tmp_path / "file").write_text("")
        with pytest.raises(ConfigError, match=r"limits.common: the place `.*file` is a file: name a folder"):
            place(LimitsSection(common=str(tmp_path / "file"), requests_per_minute=6.0))

    def test_a_common_quota_is_a_known_one(self):
        """Of all models together, and of each that has its own."""
        with pytest.raises(ConfigError, match=r"must be known: set limits\.requests_per_minute, or \.tokens"):
            place(LimitsSection(common="q"))
        with pytest.raises(ConfigError, match=r'set limits\.models\."pro"\.requests_per_minute'):
            place(LimitsSection(common="q", tokens_per_minute=6.0, models={"pro": {}}))
        with pytest.raises(ValidationError, match=r"has a `share` of no quota"):
            LimitsSection(share=0.3)

    async def test_a_run_joins_for_the_length_of_the_block(self, tmp_path):
        """In a folder: its lanes are lent all, and it says so; without a common quota nothing happens."""
        job, meter = SimpleNamespace(name="t", limits=LimitsSection(concurrency=1)), Meter(total=1)
        async with joined(job, Lanes(job.limits), meter) as words:
            assert words() is None
        job.limits = LimitsSection(common=str(tmp_path / "q"), requests_per_minute=600.0)
        lanes = Lanes(job.limits)
        async with joined(job, lanes, meter) as words, asyncio.timeout(20), lanes.of("any").slot():
            assert words() == "lent 600 requests/min"
        assert meter.note is not None
        found = msgspec.json.decode((tmp_path / "q/_work/common" / GRANTS).read_bytes(), type=Grants)
        assert (found.over, found.held) == ("the run is over", {})
        assert not list((tmp_path / "q/_work/common/notes").iterdir())
