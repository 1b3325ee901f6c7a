"""Who has a shard, who has it next, and what the one before can still do: nothing."""

import os
import subprocess
import threading
from concurrent.futures import ThreadPoolExecutor

import msgspec
import pytest

from mediascribe import dataset, journal
from mediascribe.errors import StoreError
from mediascribe.fleet import pulse as pulses
from mediascribe.fleet import takeover
from mediascribe.fleet.pulse import Beat, LostError, Pulse, Watch
from mediascribe.fleet.shelf import Shelf
from mediascribe.fleet.takeover import Hold
from mediascribe.journal import Answered, Journal, Sent
from mediascribe.landing import REPORT, ShardReport
from mediascribe.store import LocalStore, shipping
from mediascribe.store.terms import Terms

RUN = "20261123T014500Z-3fa9c1"
SENT = Sent(row=1, key="k", at=1.0)


class Clock:
    """A clock that stands still but for those who wait; *then* happens while they do."""

    def __init__(self):
        self.now, self.then = 1000.0, lambda: None

    def __call__(self):
        return self.now

    def pause(self, seconds):
        self.now += seconds
        self.then()


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def terms(clock):
    return Terms(ttl_s=30.0, clock=clock, pause=clock.pause)


@pytest.fixture
def shelf(any_store):
    return Shelf(store=any_store, run_id=RUN)


@pytest.fixture
def shard(build):
    return build.shard(RUN, 3, rows=2)


def beat(shelf, name, number=1, **changes):
    fields = {"name": name, "host": "h", "machine": "elsewhere", "pid": 1, "number": number} | changes
    shelf.write(f"beats/{name}", msgspec.json.encode(Beat(**fields)))


def write(hold, *entries):
    """Journal *entries* where *hold* does, and ship them."""
    with Journal(hold.journal) as log:
        for entry in entries:
            log.append(entry)
    shipping.Shipper(hold.nook, epoch=hold.epoch).ship()


def report(shard, part=None, **changes):
    return ShardReport(name=shard.name, rows=2, part=part, in_doubt=0, torn=(), spent={}, **changes)


def publish(shelf, shard):
    """A part of *shard*, as far as it matters here."""
    shelf.store.put_bytes_if_absent(dataset.part_name(shard), b"PAR1")


class TestTaking:
    """One holder at a time, and never the same epoch twice."""

    def test_the_first_holder_begins_with_nothing(self, shelf, shard, terms):
        """Its number is 1, and its journal is empty."""
        hold = takeover.take(shelf, shard, "a", terms)
        assert (hold.epoch, hold.taken_from) == (1, None)
        assert journal.replay(hold.journal).rows == {}
        assert takeover.is_begun(shelf, 3)
        assert not takeover.is_begun(shelf, 4)

    def test_of_many_one_becomes_the_holder(self, shelf, shard):
        """The others wait until it is dead, and get numbers of their own."""
        start = threading.Barrier(8)

        def take(name):
            start.wait()
            return takeover.take(shelf, shard, name, Terms(ttl_s=0.2)).epoch

        with ThreadPoolExecutor(8) as pool:
            assert sorted(pool.map(take, "abcdefgh")) == list(range(1, 9))

    def test_a_silent_holder_is_watched_for_the_whole_term(self, shelf, shard, terms, clock):
        """From the watcher's first look on, by its own clock."""
        beat(shelf, "a")
        takeover.take(shelf, shard, "a", terms)
        began_at = clock.now
        hold = takeover.take(shelf, shard, "b", terms)
        assert (hold.epoch, hold.taken_from) == (2, "a")
        assert 30 < clock.now - began_at <= 30 + 2 * 30 / 12

    def test_a_holder_that_beats_is_waited_for(self, shelf, shard, terms, clock):
        """As long as it does."""
        beats = iter(range(2, 40))
        takeover.take(shelf, shard, "a", terms)
        clock.then = lambda: beat(shelf, "a", next(beats, 40))
        began_at = clock.now
        assert takeover.take(shelf, shard, "b", terms).epoch == 2
        assert clock.now - began_at > 38 * 30 / 12

    @pytest.mark.parametrize("last", ["a word", "a dead process"])
    def test_one_that_said_goodbye_or_ended_here_is_followed_at_once(self, shelf, shard, terms, clock, last):
        """Nobody waits for a process of this machine that is no more."""
        ended = subprocess.Popen(["true"])
        ended.wait()
        gone = {"gone": True} if last == "a word" else {"machine": pulses.machine(), "pid": ended.pid}
        takeover.take(shelf, shard, "a", terms)
        beat(shelf, "a", **gone)
        began_at = clock.now
        assert takeover.take(shelf, shard, "b", terms).epoch == 2
        assert clock.now == began_at

    def test_a_process_of_this_machine_that_lives_is_no_dead_one(self, shelf, terms):
        """Nor is one of another user, of which nothing can be seen but that it is there."""
        for pid in (os.getpid(), 1):
            beat(shelf, "a", machine=pulses.machine(), pid=pid)
            assert not Watch(shelf, "a", terms).is_dead()

    def test_a_process_that_may_not_be_asked_lives(self, shelf, terms, monkeypatch):
        """Permission denied says that it is there."""

        def denied(*_):
            raise PermissionError

        monkeypatch.setattr(os, "kill", denied)
        beat(shelf, "a", machine=pulses.machine(), pid=1)
        assert not Watch(shelf, "a", terms).is_dead()

    def test_a_machine_that_says_nothing_of_itself_is_like_no_other(self, monkeypatch, tmp_path):
        """Then only silence tells."""
        monkeypatch.setattr(pulses, "BOOT", tmp_path / "none")
        assert pulses.machine() is None

    def test_the_same_process_may_take_it_again(self, shelf, shard, terms, clock):
        """A shard that it left half done, without waiting for itself."""
        takeover.take(shelf, shard, "a", terms)
        began_at = clock.now
        assert takeover.take(shelf, shard, "a", terms).epoch == 2
        assert clock.now == began_at


class TestJournals:
    """What was received is kept, and what comes too late is read by nobody."""

    def test_the_journal_goes_on(self, shelf, shard, terms):
        """With everything that the dead holder had shipped."""
        write(takeover.take(shelf, shard, "a", terms), SENT)
        second = takeover.take(shelf, shard, "b", terms)
        assert journal.replay(second.journal).rows == {1: [SENT]}

    def test_a_later_word_of_the_old_holder_is_not_read(self, shelf, shard, terms):
        """Neither by the one who follows it, nor by the one after that."""
        first = takeover.take(shelf, shard, "a", terms)
        write(first, SENT)
        second = takeover.take(shelf, shard, "b", terms)
        late = Answered(row=1, at=2.0, latency_s=1.0, status=200, headers={}, text="{}")
        write(first, late)
        third = takeover.take(shelf, shard, "c", terms)
        assert journal.replay(second.journal).rows == {1: [SENT]}
        assert journal.replay(third.journal).rows == {1: [SENT]}

    def test_half_a_copy_is_no_journal(self, shelf, shard, terms):
        """Killed before it had copied all: the next one continues from the holder before."""
        write(takeover.take(shelf, shard, "a", terms), SENT)
        shelf.create("marks/00003/0001.over", msgspec.json.encode(takeover.Ending(by="b")))
        shelf.create("marks/00003/0002.taken", b"b")
        third = takeover.take(shelf, shard, "c", terms)
        assert (third.epoch, third.taken_from) == (3, "b")
        assert journal.replay(third.journal).rows == {1: [SENT]}

    def test_a_torn_tail_is_copied_as_it_is(self, shelf, shard, terms):
        """And left out, and named, like any other."""
        first = takeover.take(shelf, shard, "a", terms)
        write(first, SENT)
        (segment,) = journal.segments(first.journal)
        if not isinstance(shelf.store, LocalStore):
            pytest.skip("whole lines only are shipped")
        segment.write_bytes(segment.read_bytes() + b"0000")
        second = takeover.take(shelf, shard, "b", terms)
        assert journal.replay(second.journal).rows == {1: [SENT]}
        assert "4 bytes" in journal.replay(second.journal).torn[0]

    def test_what_was_not_shipped_in_time_is_counted(self, shelf, shard, terms):
        """A process of the same folder delivers it; where all is seen at once, there is no such thing."""
        first = takeover.take(shelf, shard, "a", terms)
        write(first, SENT)
        takeover.take(shelf, shard, "b", terms)
        assert takeover.late(shelf, shard) == []
        unshipped = Sent(row=2, key="k", at=2.0, nano_usd=7)
        with Journal(first.journal) as log:
            log.append(unshipped)
        takeover.deliver(shelf)
        takeover.take(shelf, shard, "c", terms)
        assert takeover.late(shelf, shard) == ([] if isinstance(shelf.store, LocalStore) else [unshipped])

    def test_a_holder_that_had_sent_nothing_has_nothing_late(self, shelf, shard, terms):
        """Killed before it had a journal."""
        for name in "ab":
            takeover.take(shelf, shard, name, terms)
        shelf.sweep()
        assert takeover.late(shelf, shard) == []

    def test_a_shard_with_one_holder_has_nothing_late(self, shelf, shard, terms):
        """As nearly all have."""
        write(takeover.take(shelf, shard, "a", terms), SENT)
        assert takeover.late(shelf, shard) == []

    def test_the_journal_of_a_shard_that_ended_is_removed(self, shelf, shard, terms, build):
        """At once, so that a long run needs no more room than its shards at work; not where several had it."""
        other = build.shard(RUN, 4, rows=1)
        write(takeover.take(shelf, shard, "a", terms), SENT)
        for name in "ab":
            write(takeover.take(shelf, other, name, terms), SENT)
        takeover.forget(shelf, 3)
        takeover.forget(shelf, 4)
        if isinstance(shelf.store, LocalStore):
            pytest.skip("whoever publishes a shard removes its segments")
        assert {name[:5] for name in shelf.names("journals")} == {"00004"}


class TestSealing:
    """Who may publish."""

    def test_a_shard_that_was_taken_over_cannot_be_sealed(self, shelf, shard, terms):
        """So the old holder publishes nothing."""
        first = takeover.take(shelf, shard, "a", terms)
        takeover.take(shelf, shard, "b", terms)
        with pytest.raises(LostError, match="shard 3 was taken over from a"):
            first.seal(report(shard))
        assert takeover.ousted(shelf, 3) == {"a"}

    def test_a_finished_shard_is_not_done_again(self, shelf, shard, terms):
        """Who is given it once more says how it ended."""
        hold = takeover.take(shelf, shard, "a", terms)
        ended = report(shard, dataset.part_name(shard))
        hold.seal(ended)
        publish(shelf, shard)
        assert takeover.take(shelf, shard, "b", terms) == ended
        assert takeover.ousted(shelf, 3) == set()

    def test_a_shard_that_ended_without_any_result_is_not_done_again(self, shelf, shard, terms):
        """There is no part to wait for."""
        ended = report(shard, stopped="the budget is spent")
        takeover.take(shelf, shard, "a", terms).seal(ended)
        assert takeover.take(shelf, shard, "b", terms) == ended

    def test_a_sealed_shard_without_its_part_is_published_from_its_journal(self, shelf, shard, terms):
        """Killed, or frozen, between the two: the next one has the same rows, and asks nothing."""
        hold = takeover.take(shelf, shard, "a", terms)
        write(hold, SENT)
        hold.seal(report(shard, dataset.part_name(shard)))
        second = takeover.take(shelf, shard, "b", terms)
        assert isinstance(second, Hold)
        assert journal.replay(second.journal).rows == {1: [SENT]}


class TestPulse:
    """A process knows that it may be dead before anybody else does."""

    def test_it_is_lost_after_half_of_the_term(self, shelf, terms, clock):
        """And for ever: also when it beats again."""
        with Pulse(shelf=shelf, name="a", terms=terms) as pulse:
            clock.now += 15
            assert pulse.lost() is None
            clock.now += 0.1
            assert "a gave no sign of life for 15 s" in pulse.lost()
            pulse.beat()
            assert pulse.lost()
        assert msgspec.json.decode(shelf.read("beats/a"), type=Beat).gone

    def test_a_store_that_fails_is_named(self, shelf, clock, monkeypatch):
        """Beats are tried again sooner."""
        failed = threading.Event()

        def write(*_):
            failed.set()
            raise StoreError("s3://b/x: HTTP 500")

        pulse = Pulse(shelf=shelf, name="a", terms=Terms(ttl_s=0.06, clock=clock, pause=clock.pause))
        with pulse:
            monkeypatch.setattr(Shelf, "write", write)
            assert failed.wait(10)
            while pulse.problem is None:
                pass
            clock.now += 1
            assert "(s3://b/x: HTTP 500)" in pulse.lost()

    def test_it_beats_by_itself(self, shelf, clock):
        """Six times in a term."""
        with Pulse(shelf=shelf, name="a", terms=Terms(ttl_s=0.06, clock=clock, pause=clock.pause)) as pulse:
            while msgspec.json.decode(shelf.read("beats/a"), type=Beat).number < 3:
                pass
        assert pulse.problem is None

    def test_orders_are_heard_once(self, shelf, terms):
        """`end` makes it lost, `drain` does not."""
        heard = []
        with Pulse(shelf=shelf, name="a", terms=terms, heard=lambda *order: heard.append(order)) as pulse:
            pulses.order(shelf, "drain", "interrupted by Ctrl-C")
            pulse.beat()
            pulse.beat()
            assert (heard, pulse.lost()) == ([("drain", "interrupted by Ctrl-C")], None)
            pulses.order(shelf, "end", "another start recovers it")
            pulse.beat()
            assert (len(heard), pulse.lost()) == (2, "another start recovers it")

    def test_a_process_without_a_lead_leaves(self, shelf, terms, clock):
        """Once the lead was silent for a term of its own."""
        beat(shelf, "lead")
        lead = Watch(shelf, "lead", Terms(ttl_s=300.0, clock=clock, pause=clock.pause))
        with Pulse(shelf=shelf, name="a", terms=terms, lead=lead) as pulse:
            for _ in range(30):
                clock.now += 10
                pulse.beat()
            assert pulse.lost() is None
            clock.now += 10
            pulse.beat()
            assert pulse.lost() == "the lead of the run is dead: the next start recovers the run"


class TestKilledRuns:
    """A start that finds a fleet of a run that was killed."""

    def test_nothing_there_is_nothing_to_do(self, any_store, terms):
        """The usual start."""
        takeover.clear(any_store, terms, pytest.fail)

    def test_its_processes_are_ended_and_waited_for(self, shelf, shard, terms, clock):
        """They hear that the run is over; one that says so, and one that is silent, are both waited for."""
        told = []
        write(takeover.take(shelf, shard, "a", terms), SENT)
        beat(shelf, "a")
        beat(shelf, "b")
        clock.then = lambda: beat(shelf, "a", 2, gone=True)
        began_at = clock.now
        takeover.clear(shelf.store, terms, told.append)
        assert shelf.names("orders") == ["end"]
        assert clock.now - began_at > 30
        assert told == [f"run {RUN} was left with processes at work: waiting for them to stop (a, b)"]
        assert journal.replay(journal.place(shelf.store.work, shard)).rows == {1: [SENT]}

    def test_what_became_of_each_shard_is_put_where_recovery_looks(self, shelf, shard, terms, build):
        """How it ended, where its part is there; else the newest whole journal."""
        hold = takeover.take(shelf, shard, "a", terms)
        ended = report(shard, dataset.part_name(shard))
        hold.seal(ended)
        publish(shelf, shard)
        other = build.shard(RUN, 4, rows=1)
        write(takeover.take(shelf, other, "a", terms), SENT)
        shelf.create("marks/00004/0002.taken", b"b")
        takeover.gather(shelf)
        folder = journal.place(shelf.store.work, shard)
        assert msgspec.json.decode((folder / REPORT).read_bytes(), type=ShardReport) == ended
        assert journal.replay(journal.place(shelf.store.work, other)).rows == {1: [SENT]}

    def test_a_shard_whose_only_holder_had_not_begun_has_no_journal(self, shelf):
        """An empty one is as good."""
        shelf.create("marks/00004/0002.taken", b"b")
        takeover.gather(shelf)
        assert list(shelf.store.work.glob("journal/*/*/*")) == []

    def test_the_fleet_of_a_closed_run_is_forgotten(self, shelf, shard, terms):
        """Killed while it forgot."""
        write(takeover.take(shelf, shard, "a", terms), SENT)
        dataset.write_run(shelf.store, RUN, {"run_id": RUN})
        takeover.clear(shelf.store, terms, pytest.fail)
        assert shelf.names("marks") == []
        assert not (shelf.store.work / "fleet" / RUN).exists()


def test_waiting_takes_real_time_outside_of_tests():
    """The terms' own clock goes on while somebody waits."""
    terms = Terms()
    before = terms.clock()
    terms.pause(0.001)
    assert terms.clock() >= before + 0.001
