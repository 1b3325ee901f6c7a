"""Runs that write to a bucket, over loopback: killed, moved to another machine, and before a store that fails."""

import json
import shutil
import signal
import sys
import time

import pytest
from judge import Judge, answered, killed_midway, wait_for

from mediascribe import dataset
from mediascribe.sandbox import Behaviour
from mediascribe.store import store_at

TTL_S = 6.0  # of a lease; a minute outside of tests
OUTPUT = "s3://bucket/some/out"
pytest_plugins = ("survival",)  # its fixtures
pytestmark = pytest.mark.usefixtures("bucket")


class Always:
    """A list of faults that never ends."""

    def __init__(self, fault):
        self._fault = fault

    def popleft(self):
        return self._fault


def work():
    """The work folder of machine A."""
    return store_at(OUTPUT).work


def test_a_killed_run_goes_on_and_every_command_reads_the_bucket(cli, start, asked, gateway):
    """Killed twice on one machine: nothing is lost, nothing is billed again but what was counted in doubt."""
    gateway.behave("*", Behaviour(latency_s=0.03, jitter_s=0.03))
    judge = Judge(gateway, asked(output=OUTPUT, rows=90, top="shard_rows = 20", more="[limits]\nconcurrency = 4\n"))
    for answers in (30, 60):
        killed_midway(start("run", "job.toml", tracked=False), judge, answers, work())
    ended = cli("run", "job.toml")
    assert ended.status == 0, ended
    assert judge.convict(OUTPUT) == []
    assert cli("verify", OUTPUT, "--job", "job.toml").status == 0
    assert json.loads(cli("show", OUTPUT, "--limit", "3", "--json").out)[0]["status"] == "ok"
    (line,) = json.loads(cli("cost", OUTPUT, "--json").out)
    assert line["rows"] == 90
    assert "no row" in (failures := cli("errors", OUTPUT)).out.lower(), failures
    parts = len(dataset.parts(store_at(OUTPUT)))
    compacted = cli("compact", OUTPUT, "--older-than", "0h", "--json")
    assert compacted.status == 0, compacted
    assert len(dataset.parts(store_at(OUTPUT))) < parts
    (cli.folder / "ids.txt").write_text("i0007\ni0008\n")
    assert cli("forget", OUTPUT, "--ids", "ids.txt", "--yes").status == 0
    assert "i0007" not in dataset.history(OUTPUT)["item_id"].to_pylist()
    again = cli("run", "job.toml")
    assert (again.status, judge.billed().total() - judge.billed_again().total()) == (0, 90), again
    assert cli("verify", OUTPUT, "--job", "job.toml").status == 0


def test_a_store_that_fails_now_and_then_stops_nothing(start, asked, gateway, bucket):
    """Errors, lost answers, cut and slow bodies, one request in two, from the start to the end."""
    gateway.behave("*", Behaviour(latency_s=0.05))
    judge = Judge(gateway, asked(output=OUTPUT, rows=60, top="shard_rows = 15", more="[limits]\nconcurrency = 4\n"))
    bucket.faults.extend(["slow", None, "error", None, "lost", None, "cut", None] * 100)
    ended = start("run", "job.toml", tracked=False).wait()
    assert ended.status == 0, ended
    assert 30 < len(bucket.faults) < 760
    bucket.faults.clear()
    assert judge.convict(OUTPUT) == []
    assert judge.billed_again().total() == 0


@pytest.mark.long
def test_a_store_that_goes_down_stops_the_run_cleanly(start, asked, gateway, bucket):
    """Status 1 and what to do; every answer is in the local journal, and the next run publishes them."""
    gateway.behave("*", Behaviour(latency_s=0.05))
    judge = Judge(gateway, asked(output=OUTPUT, rows=80, top="shard_rows = 20", more="[limits]\nconcurrency = 4\n"))
    before, running = bucket.faults, start("run", "job.toml")
    wait_for(lambda: answered(gateway) >= 10, running)
    bucket.faults = Always("error")
    ended = running.wait()
    bucket.faults = before
    assert ended.status == 1, ended
    assert "Traceback" not in ended.err
    assert f"{OUTPUT}/results/v1/date=" in ended.err
    assert "HTTP 500 InternalError" in ended.err
    assert "run the same command again to go on" in ended.err
    judge.look(work())
    assert len(judge.received) >= 20
    ended = start("run", "job.toml", tracked=False).wait()
    assert ended.status == 0, ended
    assert judge.convict(OUTPUT) == []


@pytest.mark.long
def test_of_two_runs_of_one_machine_one_asks(start, asked, gateway):
    """In the same instant; the other says who holds the output, with status 2."""
    gateway.behave("*", Behaviour(latency_s=2.5))
    judge = Judge(gateway, asked(output=OUTPUT, rows=4, more="[limits]\nconcurrency = 4\n"))
    both = [start("run", "job.toml") for _ in range(2)]
    first, second = sorted((running.wait() for running in both), key=lambda ended: ended.status)
    assert (first.status, second.status) == (0, 2), (first, second)
    assert "is held by mediascribe run job.toml" in second.err
    assert judge.convict(OUTPUT) == []


@pytest.mark.long
def test_of_two_runs_of_two_machines_one_asks(start, asked, gateway):
    """In the same instant; the other hears of the first one's renewal, and sends nothing."""
    gateway.behave("*", Behaviour(latency_s=1.0))
    judge = Judge(gateway, asked(output=OUTPUT, rows=80, more="[limits]\nconcurrency = 2\n"))
    both = [start("run", "job.toml", machine=machine, ttl_s=TTL_S) for machine in "AB"]
    first, second = sorted((running.wait() for running in both), key=lambda ended: ended.status)
    assert (first.status, second.status) == (0, 2), (first, second)
    assert "is held by mediascribe run job.toml" in second.err
    assert judge.convict(OUTPUT) == []


@pytest.mark.long
def test_a_lost_machine_loses_what_it_had_not_shipped(cli, start, asked, gateway, capsys):
    """Another machine waits for the lease to die, publishes whatever was shipped, and asks the rest."""
    gateway.behave("*", Behaviour(latency_s=0.1, jitter_s=0.1))
    judge = Judge(gateway, asked(output=OUTPUT, rows=400, top="shard_rows = 50", more="[limits]\nconcurrency = 6\n"))
    killed_midway(start("run", "job.toml", ttl_s=TTL_S), judge, 200, work())
    lost_at = time.time()
    shipped = b"".join(store_at(OUTPUT).bucket.get(name) for name in store_at(OUTPUT).bucket.names("_work/journal/"))
    shutil.rmtree(cli.folder / "A")
    ended = start("run", "job.toml", machine="B", ttl_s=TTL_S).wait()
    assert ended.status == 0, ended
    assert "waiting 6 s at most to see whether it still runs" in ended.err
    results = {row["gateway_request_id"] for row in dataset.history(OUTPUT).to_pylist()}
    lost = {request_id: item for request_id, item in judge.received.items() if request_id not in results}
    assert not [request_id for request_id in lost if request_id.encode() in shipped]
    age = lost_at - min((judge.received_at[request_id] for request_id in lost), default=lost_at)
    with capsys.disabled():
        sys.stdout.write(
            f"\n{len(judge.received)} answers received, {len(lost)} lost with the machine, the oldest {age:.1f} s old\n"
        )
    assert age < 5, "shipped every 2 s, and no slower than the store takes"
    assert set(judge.billed_again()) <= set(lost.values()).union(judge.doubts.values())
    assert sorted(dataset.current(OUTPUT)["item_id"].to_pylist()) == [f"i{number:04d}" for number in range(400)]
    assert cli("verify", OUTPUT, "--job", "job.toml", MEDIASCRIBE_WORK=str(cli.folder / "B")).status == 0
    assert list((cli.folder / "B").rglob("*.parquet")) == []


@pytest.mark.long
@pytest.mark.parametrize("answers", [0, 30])
def test_a_machine_that_slept_sends_nothing_more(cli, start, asked, gateway, answers):
    """Stopped for longer than its lease lives, it is taken over; awake again it stops, and changes no result."""
    gateway.behave("*", Behaviour(latency_s=0.3))
    judge = Judge(gateway, asked(output=OUTPUT, rows=80, top="shard_rows = 25", more="[limits]\nconcurrency = 4\n"))
    sleeper = start("run", "job.toml", ttl_s=TTL_S)
    wait_for(lambda: answered(gateway) >= answers and len(gateway.ledger()) >= 4, sleeper)
    sleeper.signal(signal.SIGSTOP)
    other = start("run", "job.toml", machine="B", ttl_s=TTL_S).wait()
    assert other.status == 0, other
    sent, results = len(gateway.ledger()), dataset.current(OUTPUT)
    sleeper.signal(signal.SIGCONT)
    ended = sleeper.wait()
    assert ended.status == 1, ended
    assert "Traceback" not in ended.err
    assert "is lost: " in ended.out + ended.err
    assert len(gateway.ledger()) == sent
    assert sorted(results["item_id"].to_pylist()) == [f"i{number:04d}" for number in range(80)]
    assert dataset.current(OUTPUT).equals(results)
    assert len(dataset.history(OUTPUT)) in {80, 84}, "what it received was paid for: it is kept as history"
    verified = cli("verify", OUTPUT, "--job", "job.toml")
    assert verified.status == 0, verified
    judge.look(work())
    again = cli("run", "job.toml")
    assert (again.status, len(gateway.ledger())) == (0, sent), again
