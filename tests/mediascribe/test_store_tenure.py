"""The lease of an output in a bucket: machines without a common clock, and one holder."""

from __future__ import annotations

import dataclasses
import json
import os
import socket
import threading

import obstore
import pytest
from obstore.exceptions import GenericError

from mediascribe.errors import OutputInUse, StoreError
from mediascribe.store import lease, tenure
from mediascribe.store import terms as terms_
from mediascribe.store.local import LocalStore
from mediascribe.store.tenure import NAME, Terms, acquire, kept


class Clock:
    """A clock that only waiting moves; `then` is called after each wait."""

    def __init__(self):
        self.now = 1_000.0
        self.then = []

    def __call__(self):
        return self.now

    def wait(self, seconds):
        self.now += seconds
        for call in self.then:
            call()


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def terms(clock):
    return Terms(ttl_s=60, clock=clock, pause=clock.wait)


@pytest.fixture
def machine(bucket_store, tmp_path):
    """`machine("A")`: the same output, seen from another machine."""

    def _machine(name):
        local = LocalStore(root=tmp_path / name)
        local.prepare()
        return dataclasses.replace(bucket_store, local=local)

    return _machine


def alone(*_):
    pytest.fail("there is nobody to wait for")  # pragma: no cover - never reached


def gone(*_, **__):
    raise GenericError("GET http://h:1/b: kind: Connect")


class TestAcquiring:
    """`acquire`."""

    def test_a_free_output_is_held_at_once(self, machine, terms):
        """The first holder waits for nobody."""
        held = acquire(machine("A"), "run A", terms, alone)
        assert (held.epoch, held.lost) == (1, False)

    def test_a_released_output_is_held_at_once(self, machine, terms):
        """The epoch goes on from the last holder's."""
        acquire(machine("A"), "run A", terms, alone).release()
        assert acquire(machine("B"), "run B", terms, alone).epoch == 2

    def test_a_living_holder_keeps_the_second_run_out(self, machine, terms, clock):
        """The message says who, where, since when, last renewed when, and what to do."""
        first = acquire(machine("A"), "run A", terms, alone)
        clock.then.append(first.renew)
        with pytest.raises(OutputInUse) as refused:
            acquire(machine("B"), "run B", terms, None)
        message, process = str(refused.value), f"process {os.getpid()} on {socket.gethostname()}"
        assert message.startswith(f"output `memory://bucket/out` is held by run A ({process}) since 20")
        assert ", last renewed 20" in message
        assert message.endswith(
            f"nothing was sent: wait, or stop {process}; should it die, the next run takes over after 60 s"
        )
        assert clock.now < 1_000 + 60

    def test_a_dead_holder_is_taken_over_after_the_whole_ttl(self, machine, terms, clock):
        """Who waits is told for whom and how long; the epoch goes on."""
        acquire(machine("A"), "run A", terms, alone)
        told = []
        second = acquire(machine("B"), "run B", terms, told.append)
        assert second.epoch == 2
        assert 60 < clock.now - 1_000 <= 60 + 60 / 12
        (line,) = told
        assert "was left to run A (process" in line
        assert "waiting 60 s at most to see whether it still runs; if not, this run takes over" in line

    def test_a_holder_that_leaves_meanwhile_is_followed_at_once(self, machine, terms, clock):
        """Release ends the wait."""
        first = acquire(machine("A"), "run A", terms, alone)
        clock.then.append(first.release)
        assert acquire(machine("B"), "run B", terms, None).epoch == 2
        assert clock.now == 1_000 + 60 / 12

    def test_a_lease_that_somebody_removes_meanwhile_is_followed_at_once(self, machine, terms, clock):
        """No lease is a free output."""
        first = acquire(machine("A"), "run A", terms, alone)
        clock.then.append(lambda: first.store.bucket.delete([NAME]))
        assert acquire(machine("B"), "run B", terms, None).epoch == 1

    def test_a_dead_holder_of_this_very_work_folder_is_taken_over_at_once(self, machine, terms, clock):
        """Who has the folder's lock knows that its last holder is gone."""
        acquire(machine("A"), "run A", terms, alone)
        assert acquire(machine("A"), "run A again", terms, alone).epoch == 2
        assert clock.now == 1_000

    def test_the_same_folder_after_another_boot_is_another_place(self, machine, terms, monkeypatch, tmp_path):
        """A copied folder, or one on two machines, proves nothing; nor does a boot that is not known."""
        acquire(machine("A"), "run A", terms, alone)
        told = []
        monkeypatch.setattr(tenure, "BOOT", tmp_path / "nothing")
        acquire(machine("A"), "run B", terms, told.append)
        acquire(machine("A"), "run C", terms, told.append)
        assert len(told) == 2

    @pytest.mark.parametrize("left", [False, True])
    def test_of_two_in_the_same_moment_one_holds(self, machine, terms, monkeypatch, left):
        """Both see a free output; the slower one's write is refused, and it is told by whom."""
        if left:
            acquire(machine("C"), "run C", terms, alone).release()
        get, met = obstore.get, []

        def meet(*args):
            try:
                return get(*args)
            finally:
                if not met:
                    met.append(True)
                    acquire(machine("A"), "run A", terms, alone)

        monkeypatch.setattr(obstore, "get", meet)
        with pytest.raises(OutputInUse, match="held by run A"):
            acquire(machine("B"), "run B", terms, alone)

    def test_what_is_no_lease_of_ours_is_named(self, machine, terms):
        """The message says what to remove, and when."""
        store = machine("A")
        store.bucket.create(NAME, b"{}")
        with pytest.raises(StoreError, match=r"memory://bucket/out/_work/lease.json is no lease of ours .*: remove it"):
            acquire(store, "run A", terms, alone)


class TestHolding:
    """`Tenure`."""

    def test_a_lease_not_renewed_for_half_its_life_is_lost_for_ever(self, machine, terms, clock):
        """So its holder has stopped before another takes over; a late renewal does not bring it back."""
        held = acquire(machine("A"), "run A", terms, alone)
        clock.wait(30)
        assert not held.lost
        held.renew()
        clock.wait(30.1)
        assert held.lost
        _, there = held.store.bucket.get_version(NAME)
        held.renew()
        held.release()
        assert held.lost
        assert held.store.bucket.get_version(NAME)[1] == there

    def test_a_renewal_counts_from_when_it_was_asked_for(self, machine, terms, clock, monkeypatch):
        """What the store needed for its answer is not gained."""
        held = acquire(machine("A"), "run A", terms, alone)
        put = obstore.put
        monkeypatch.setattr(obstore, "put", lambda *args, **more: (clock.wait(20), put(*args, **more))[1])
        held.renew()
        clock.wait(10.1)
        assert held.lost

    def test_a_holder_that_slept_finds_its_lease_taken(self, machine, terms, clock):
        """A stale If-Match is refused: the follower's lease stays, and the sleeper knows by whom."""
        first = acquire(machine("A"), "run A", terms, alone)
        second = acquire(machine("B"), "run B", terms, None)
        assert first.lost
        first.renewed_at = clock.now  # as if its clock had stood still
        first.taken = False
        first.renew()
        assert first.lost
        assert first.problem.startswith("it was taken over by run B (process")
        second.renew()
        assert not second.lost

    def test_a_lease_that_was_removed_is_lost(self, machine, terms):
        """Nothing there is nothing held."""
        held = acquire(machine("A"), "run A", terms, alone)
        held.store.bucket.delete([NAME])
        held.renew()
        assert (held.lost, held.problem) == (True, "it was removed")

    def test_a_renewal_that_landed_though_it_failed_is_carried_on(self, machine, terms, clock, monkeypatch):
        """The next one is refused, finds the holder's own token, and goes on from there."""
        held = acquire(machine("A"), "run A", terms, alone)
        put = obstore.put
        monkeypatch.setattr(obstore, "put", lambda *args, **more: (put(*args, **more), gone()))
        with pytest.raises(StoreError):
            held.renew()
        monkeypatch.setattr(obstore, "put", put)
        clock.wait(20)
        held.renew()
        clock.wait(20)
        assert (held.lost, held.held.renewals) == (False, 2)

    def test_a_bucket_that_fails_at_the_end_keeps_nobody(self, machine, terms, monkeypatch):
        """What cannot be released dies by itself."""
        held = acquire(machine("A"), "run A", terms, alone)
        monkeypatch.setattr(obstore, "put", gone)
        held.release()


class TestKeeping:
    """`kept` and `lease`, with their thread."""

    def test_a_lease_is_renewed_while_it_is_kept(self, machine):
        """The thread renews it until the block ends, and releases it."""
        held = acquire(machine("A"), "run A", Terms(ttl_s=0.6), alone)
        renewed = threading.Event()
        write = type(held).renew

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(type(held), "renew", lambda one: (write(one), renewed.set()))
            with kept(held, None):
                assert renewed.wait(30)
        assert json.loads(held.store.bucket.get(NAME))["released"]

    @pytest.mark.parametrize("heard", [True, False])
    def test_who_cannot_renew_hears_of_it(self, machine, clock, monkeypatch, heard):
        """Once, from the thread, with the cause, and where the answers are; without a listener it just ends."""
        held = acquire(machine("A"), "run A", Terms(ttl_s=0.003, clock=clock), alone)
        monkeypatch.setattr(obstore, "put", lambda *_, **__: (clock.wait(0.001), gone()))
        lost, told = threading.Event(), []
        with kept(held, (lambda why: (told.append(why), lost.set())) if heard else None):
            if heard:
                assert lost.wait(30)
            else:
                while not held.lost:
                    lost.wait(0.001)
        if heard:
            (line,) = told
            assert line.startswith("the lease of output `memory://bucket/out` is lost: memory://bucket/out/_work/lease")
            assert "nothing can be reached at http://h:1" in line
            assert line.endswith(f"what was received is kept in {held.store.work}: run again to go on")

    def test_a_run_holds_the_bucket_and_its_work_folder(self, machine):
        """A second run of this machine is refused by the folder's lock, without a wait."""
        store = machine("A")
        store.staged("x").write_bytes(b"half")
        with lease(store, holder="run A") as held:
            assert (held.epoch, held.lost) == (1, False)
            assert list(store.list("_work/staging/")) == []
            with pytest.raises(OutputInUse, match="`memory://bucket/out` is held by run A"), lease(store, holder="B"):
                pass  # pragma: no cover - never reached
        with lease(machine("B"), holder="run B", tell=alone) as held:
            assert held.epoch == 2

    def test_the_clock_goes_forward(self):
        """It is not the wall clock's."""
        assert terms_.seconds() <= terms_.seconds()
