"""Faults, really done to real commands; the sandbox's ledger judges what came of them."""

import random
import shutil
import signal
import subprocess
import sys
import threading
import time
from contextlib import contextmanager, suppress
from datetime import datetime, timedelta
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from judge import Judge, answered, killed_midway, wait_for

from mediascribe import dataset
from mediascribe.sandbox import Behaviour

pytest_plugins = ("survival",)  # its fixtures


def test_kills_at_random_instants(cli, start, asked, gateway):
    """No answer is lost, no row has two results, and what was billed again had been counted in doubt."""
    dice = random.Random(5)  # noqa: S311 - an instant
    gateway.behave("*", Behaviour(latency_s=0.02, jitter_s=0.04))
    judge = Judge(gateway, asked(300, top="shard_rows = 40", more="[limits]\nconcurrency = 6\n"))
    while judge.kills < 5:
        running = start("run", "job.toml", tracked=judge.kills % 3 == 0)
        before = answered(gateway)
        if judge.kills % 3:  # else somewhere in the start
            wait_for(lambda before=before: answered(gateway) > before, running)
        running.is_over(dice.uniform(0, 0.5))
        assert running.kill().status == -9
        judge.look(cli.folder / "out/_work")
    ended = start("run", "job.toml").wait()
    assert ended.status == 0, ended
    assert judge.convict("out") == []
    assert len(judge.received) > 25
    verified = cli("verify", "out", "--job", "job.toml")
    assert verified.status == 0, verified


class Reader:
    """Polls the results for the length of its block, and reads each part as soon as it is there."""

    def __init__(self, results):
        self._results, self._over, self._thread = results, threading.Event(), threading.Thread(target=self._read)
        self.rows, self.torn, self.polls = {}, [], 0

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._over.set()
        self._thread.join()

    def _read(self):
        while not self._over.wait(0.002):
            self.polls += 1
            for path in self._results.rglob("*"):
                if path.is_file() and path not in self.rows:
                    self._look(path)

    def _look(self, path):
        try:
            self.rows[path] = len(pq.read_table(path, partitioning=None, page_checksum_verification=True))
        except (OSError, ValueError) as error:
            self.torn.append(f"{path}: {error}")


@pytest.mark.long
def test_two_hundred_kills_at_random_instants(cli, start, asked, gateway, capsys):
    """As above, over some thousands of rows, and a reader that looks all the time never sees half a part."""
    dice = random.Random(6)  # noqa: S311 - an instant
    gateway.behave("*", Behaviour(latency_s=0.02, jitter_s=0.05))
    rows = 3_000
    judge = Judge(gateway, asked(rows, top="shard_rows = 25", more="[limits]\nconcurrency = 8\n"))
    with Reader(Path("out/results")) as reader:
        while judge.kills < 200:
            running = start("run", "job.toml", tracked=judge.kills % 20 == 0)
            if running.is_over(dice.uniform(0.1, 1.6)):
                assert running.wait().status == 0, running.wait()
                rows += 500  # there is to be something to kill
                judge.expect(asked(rows, top="shard_rows = 25", more="[limits]\nconcurrency = 8\n"))
            elif running.kill().status == -9:
                judge.look(cli.folder / "out/_work")
        ended = start("run", "job.toml").wait()
        assert ended.status == 0, ended
    assert judge.convict("out") == []
    assert reader.torn == []
    assert sum(reader.rows.values()) == rows
    with capsys.disabled():
        again = judge.billed_again().total()
        sys.stdout.write(
            f"\n{judge.kills} kills, {rows} rows, {len(judge.received)} answers recovered from journals: 0 lost,"
            f" {len(reader.torn)} torn in {reader.polls} looks at {len(reader.rows)} parts,"
            f" {len(judge.doubts)} in doubt, {again} billed again ({again / judge.kills:.1f} a kill)\n"
        )
    verified = cli("verify", "out", "--job", "job.toml")
    assert verified.status == 0, verified


@pytest.mark.long
def test_a_stopped_process_goes_on(start, asked, gateway):
    """Stopped for longer than an answer may take: answers that had come are kept, timed-out ones counted in doubt."""
    gateway.behave("*", Behaviour(latency_s=0.1))
    items = asked(60, connection="total_timeout_s = 1.0", more="[limits]\nconcurrency = 4\n")
    judge, running = Judge(gateway, items), start("run", "job.toml")
    wait_for(lambda: answered(gateway) >= 8, running)
    running.signal(signal.SIGSTOP)
    assert not running.is_over(1.5)
    second = start("run", "job.toml").wait()
    assert (second.status, f"process {running.pid}" in second.err) == (2, True), second
    running.signal(signal.SIGCONT)
    assert running.wait().status == 0, running.wait()
    (run,) = dataset.runs("out")
    assert judge.billed_again().total() <= run["in_doubt"] <= 4
    assert len(dataset.history("out")) == judge.billed().total() - judge.billed_again().total() == 60


def test_of_two_runs_in_the_same_instant_one_asks(start, asked, gateway):
    """The other says who holds the output, with status 2; every row is billed once."""
    gateway.behave("*", Behaviour(latency_s=2.5))
    judge = Judge(gateway, asked(4, more="[limits]\nconcurrency = 4\n"))
    both = [start("run", "job.toml") for _ in range(2)]
    first, second = sorted((running.wait() for running in both), key=lambda ended: ended.status)
    assert (first.status, second.status) == (0, 2), (first, second)
    assert "is held by mediascribe" in second.err
    assert "nothing was sent" in second.err
    assert judge.convict("out") == []


@contextmanager
def mounted(folder, size):
    """A file system of *size* at *folder*; skips where this user may mount none."""
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        pytest.skip("there is no mount command here")
    if done.returncode:
        pytest.skip(f"no file system may be mounted here: {done.stderr.strip()}")
    try:
        yield
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


def fill(folder, *, but):
    """Take all room in *folder* but so many bytes."""
    filler = folder / "filler"
    with suppress(OSError):  # a run that writes beside it may have taken some of that: full is full
        filler.write_bytes(b"x" * (shutil.disk_usage(folder).free - but))
    return filler


def test_a_disk_that_fills_up_costs_nothing(cli, start, asked, gateway):
    """Status 1 with the room that is needed; answers in flight landed; with more room the run goes on."""
    gateway.behave("*", Behaviour(latency_s=0.05))
    judge = Judge(gateway, asked(200, more="[limits]\nconcurrency = 4\n"))
    with mounted(Path("out"), "8m"):
        filler = fill(Path("out"), but=2**20 + 150_000)  # the ballast of 4 answers of 256 KiB, and some rows
        ended = start("run", "job.toml").wait()
        assert ended.status == 1, ended
        assert "the disk is full: free at least 33 MiB in out/_work" in ended.out
        assert "Traceback" not in ended.err
        assert 20 < judge.billed().total() < 190
        assert len(dataset.history("out")) == judge.billed().total()
        filler.unlink()
        ended = start("run", "job.toml", tracked=False).wait()
        assert ended.status == 0, ended
        assert judge.convict("out") == []
        assert judge.billed_again().total() == 0
        assert cli("verify", "out", "--job", "job.toml").status == 0


@pytest.mark.long
def test_a_disk_too_full_for_the_part_keeps_the_journal(start, asked, gateway):
    """Status 1, every answer in the journal; with more room the next run publishes them and asks the rest."""
    gateway.behave("*", Behaviour(latency_s=0.05))
    judge = Judge(gateway, asked(150, more="[limits]\nconcurrency = 4\n"))
    with mounted(Path("out"), "8m"):
        running = start("run", "job.toml")
        wait_for(lambda: answered(gateway) >= 40, running)
        (Path("out/_work/ballast")).unlink()
        filler = fill(Path("out"), but=0)
        ended = running.wait()
        assert ended.status == 1, ended
        assert "every answer written so far is kept: free at least 33 MiB in out/_work" in ended.err
        assert "Traceback" not in ended.err
        judge.look(Path("out/_work"))
        filler.unlink()
        ended = start("run", "job.toml", tracked=False).wait()
        assert ended.status == 0, ended
        assert judge.convict("out") == []


def test_a_disk_that_is_full_from_the_start_is_named(start, asked, gateway):
    """With the room that is needed; nothing is sent, and nothing half is left in the way of the next run."""
    judge = Judge(gateway, asked(20, more="[limits]\nconcurrency = 4\n"))
    with mounted(Path("out"), "2m"):
        filler = fill(Path("out"), but=500_000)
        ended = start("run", "job.toml").wait()
        assert ended.status == 2, ended
        assert "no room for the answers of a run: out/_work needs 1 MiB and more (No space left on device)" in ended.err
        assert gateway.ledger() == []
        filler.unlink()
        assert start("run", "job.toml", tracked=False).wait().status == 0
        assert judge.convict("out") == []


def test_a_plan_that_finds_the_disk_full_is_named(start, asked, gateway):
    """Not a traceback: what to free, with status 1."""
    asked(3_000, more="[limits]\nconcurrency = 1\n")
    with mounted(Path("out"), "1m"):
        fill(Path("out"), but=330_000)
        ended = start("run", "job.toml").wait()
        assert ended.status in {1, 2}, ended
        assert "Traceback" not in ended.err
        assert "out/_work" in ended.err
        assert gateway.ledger() == []


def test_a_run_file_is_not_written_again_from_less(cli, start, asked, gateway):
    """Killed while it forgot the plan and the journals of a closed run: what was in doubt stays counted."""
    gateway.behave("*", Behaviour(latency_s=0.05))
    judge = Judge(gateway, asked(30, more="[limits]\nconcurrency = 4\n"))
    killed_midway(start("run", "job.toml", tracked=False), judge, 10)
    plans = shutil.copytree("out/_work/plans", "plans")
    assert cli("run", "job.toml").status == 0
    closed, _ = dataset.runs("out")
    shutil.copytree(plans, "out/_work/plans", dirs_exist_ok=True)
    assert cli("run", "job.toml").status == 0
    assert dataset.runs("out")[0] == closed
    assert judge.convict("out") == []
    assert list(Path("out/_work/plans").iterdir()) == []


def test_half_a_plan_is_removed(cli, asked):
    """It has whole URLs, signatures included, and nobody will ever finish it."""
    asked(2)
    left = Path("out/_work/plans/20261123T014500Z-3fa9c1.parquet")
    left.parent.mkdir(parents=True)
    left.write_bytes(b"PAR1 http://c.example/a?X-Amz-Signature=canary")
    assert cli("run", "job.toml").status == 0
    assert list(left.parent.iterdir()) == []


@pytest.mark.long
def test_a_limit_on_the_size_of_files_stops_nothing(start, asked, gateway):
    """The journal goes on in another segment."""
    judge = Judge(gateway, asked(300, more="[limits]\nconcurrency = 1\n"))
    ended = start("run", "job.toml", tracked=False, fsize=300_000).wait()
    assert ended.status == 0, ended
    assert judge.convict("out") == []


@pytest.mark.long
def test_a_limit_below_the_ballast_is_named(start, asked, gateway):
    """Before anything is sent."""
    asked(20, more="[limits]\nconcurrency = 8\n")
    ended = start("run", "job.toml", fsize=300_000).wait()
    assert ended.status == 2, ended
    assert "no room for the answers of a run: out/_work needs 2 MiB and more (File too large)" in ended.err
    assert gateway.ledger() == []


def test_an_output_that_became_read_only_can_still_be_read(cli, start, asked, gateway):
    """A run says so and sends nothing; show, cost and verify work; then the killed run goes on."""
    gateway.behave("*", Behaviour(latency_s=0.05))
    judge = Judge(gateway, asked(60, top="shard_rows = 20", more="[limits]\nconcurrency = 4\n"))
    with mounted(Path("out"), "8m"):
        killed_midway(start("run", "job.toml", tracked=False), judge, 50)
        sent = len(gateway.ledger())
        subprocess.run(["mount", "-o", "remount,ro", "out"], check=True)
        ended = start("run", "job.toml").wait()
        assert ended.status == 2, ended
        assert "output `out` cannot be written: Read-only file system" in ended.err
        for words in (("show", "out"), ("cost", "out"), ("verify", "out"), ("errors", "out")):
            read = cli(*words)
            assert read.status == 0, read
        assert len(gateway.ledger()) == sent
        subprocess.run(["mount", "-o", "remount,rw", "out"], check=True)
        assert start("run", "job.toml", tracked=False).wait().status == 0
        assert judge.convict("out") == []


def test_a_damaged_journal_is_used_up_to_the_damage(cli, start, asked, gateway):
    """A flipped bit and a torn tail are named in the summary and the run file; the answers before them are kept."""
    gateway.behave("*", Behaviour(latency_s=0.05))
    judge = Judge(gateway, asked(80, more="[limits]\nconcurrency = 4\n"))
    killed_midway(start("run", "job.toml", tracked=False), judge, 40)
    (segment,) = Path("out/_work/journal").rglob("*.jsonl")
    whole = segment.read_bytes()
    middle = whole.index(b"\n", len(whole) // 2) + 200  # within the next line
    segment.write_bytes(whole[:middle] + bytes([whole[middle] ^ 1]) + whole[middle + 1 : -20])
    rest = whole[: whole.rindex(b"\n", 0, middle) + 1]
    kept = {request_id for request_id in judge.received if request_id.encode() in rest}
    assert 5 < len(kept) < len(judge.received)
    ended = cli("run", "job.toml")
    assert ended.status == 0, ended
    said = f"{len(whole) - 20 - len(rest):,} bytes after byte {len(rest):,} are no whole entry; left out"
    assert said in dataset.runs("out")[0]["torn"][0]
    results = {row["gateway_request_id"] for row in dataset.current("out").to_pylist()}
    assert kept <= results
    damaged = {item for request_id, item in judge.received.items() if request_id not in kept}
    lost = damaged.union(judge.doubts.values())
    assert set(judge.billed_again()) <= lost
    assert max(judge.billed().values()) <= 2
    assert cli("verify", "out", "--job", "job.toml").status == 0


def test_a_damaged_journal_is_named_in_the_summary(cli, start, asked, gateway):
    """Of the run that was killed, beside what was recovered of it."""
    gateway.behave("*", Behaviour(latency_s=0.05))
    judge = Judge(gateway, asked(30, more="[limits]\nconcurrency = 4\n"))
    killed_midway(start("run", "job.toml", tracked=False), judge, 10)
    (segment,) = Path("out/_work/journal").rglob("*.jsonl")
    segment.write_bytes(segment.read_bytes()[:-20])
    ended = cli("run", "job.toml")
    assert ended.status == 0, ended
    assert dataset.runs("out")[0]["torn"]
    assert "are no whole entry; left out" in ended.out


def test_a_broken_part_of_another_tool_is_named(cli, asked, gateway):
    """By `verify`, and by a run, which sends nothing; once it is removed, the run goes on."""
    judge = Judge(gateway, asked(20, top="shard_rows = 10"))
    assert cli("run", "job.toml").status == 0
    part = next(Path("out/results").rglob("*.parquet"))
    broken = part.with_name("copy.parquet")
    broken.write_bytes(part.read_bytes()[:-40])
    stray = part.with_name("part.tmp")
    stray.write_bytes(b"")
    found = cli("verify", "out")
    assert found.status == 1, found
    assert "copy.parquet cannot be read: " in found.out
    assert "part.tmp: not a part, but some readers take it for one: remove it" in found.out
    judge.expect(asked(25, top="shard_rows = 10"))
    ended = cli("run", "job.toml")
    assert ended.status == 2, ended
    assert "copy.parquet" in ended.err
    assert len(gateway.ledger()) == 20
    broken.unlink()
    stray.unlink()
    assert cli("run", "job.toml").status == 0
    assert judge.convict("out") == []


def test_a_manifest_that_changed_after_the_kill(cli, start, asked, gateway):
    """Rows moved, went, came, and have other media: what was received is published as it was asked, the rest asked."""
    gateway.behave("*", Behaviour(latency_s=0.05))
    judge = Judge(gateway, asked(60, more="[limits]\nconcurrency = 4\n"))
    killed_midway(start("run", "job.toml", tracked=False), judge, 30)
    had = set(judge.received.values())
    gateway.behave("*", Behaviour())
    rows = Path("m.csv").read_text().splitlines()[1:]
    fresh = [f"n{number:04d},{gateway.media_url}red.png" for number in range(5)]
    moved = [row.replace("red.png", "red.png?w=2") if row[4] in "02468" else row for row in rows[10:]]
    Path("m.csv").write_text("\n".join(["item_id,image_url", *fresh, *reversed(moved)]) + "\n")
    judge.expect(row.split(",")[0] for row in fresh)
    ended = cli("run", "job.toml")
    assert ended.status == 0, ended
    results = {row["item_id"]: row for row in dataset.current("out").to_pylist()}
    gone = {f"i{number:04d}" for number in range(10)} - had
    assert set(results) == {row.split(",")[0] for row in rows + fresh} - gone
    changed = {row.split(",")[0] for row in moved if "w=2" in row}
    assert all(("w=2" in results[item]["media_urls"][0]) == (item not in had) for item in changed)
    assert f"{len(changed & had)} rows have other media now" in ended.out
    assert [wrong for wrong in judge.convict("out") if wrong.split(" ")[0] not in gone] == []
    assert cli("verify", "out", "--job", "job.toml").status == 0


def test_an_output_that_was_moved_after_the_kill(start, asked, gateway):
    """To another folder, with the job: the run goes on there."""
    gateway.behave("*", Behaviour(latency_s=0.05))
    judge = Judge(gateway, asked(30, more="[limits]\nconcurrency = 4\n"))
    killed_midway(start("run", "job.toml", tracked=False), judge, 10)
    Path("out").rename("moved")
    Path("job.toml").write_text(Path("job.toml").read_text().replace('"out"', '"moved"'))
    ended = start("run", "job.toml").wait()
    assert ended.status == 0, ended
    assert judge.convict("moved") == []


def test_a_prompt_that_changed_after_the_kill(cli, start, asked, gateway):
    """What was received keeps the prompt that was asked, and is told as stale; the rest is asked the new one."""
    gateway.behave("*", Behaviour(latency_s=0.05))
    items = asked(60, more="[limits]\nconcurrency = 4\n")
    judge = Judge(gateway, items)
    killed_midway(start("run", "job.toml", tracked=False), judge, 30)
    gateway.behave("*", Behaviour())
    Path("job.toml").write_text(Path("job.toml").read_text().replace("What is {{", "What colour is {{"))
    judge.expect(items, "What colour is {}?")
    ended = cli("run", "job.toml")
    assert ended.status == 0, ended
    first, _ = dataset.runs("out")
    old = [row["item_id"] for row in dataset.history("out").to_pylist() if row["run_id"] == first["run_id"]]
    assert sorted(old) == sorted(judge.received.values())
    assert f"{len(old)} rows have an answer to another prompt" in ended.out
    assert judge.convict("out") == []
    assert cli("verify", "out", "--job", "job.toml").status == 0


def test_a_held_row_is_asked_by_a_backfill_only(cli, start, asked, gateway):
    """With `in_doubt = "hold"` a row killed in flight fails; `run` leaves it alone and names the command."""
    gateway.behave("*", Behaviour(latency_s=0.1))
    judge = Judge(gateway, asked(40, more='[limits]\nconcurrency = 4\n[retry]\nin_doubt = "hold"\n'))
    killed_midway(start("run", "job.toml", tracked=False), judge, 12)
    held = set(judge.doubts.values())
    assert held
    gateway.behave("*", Behaviour())
    assert cli("run", "job.toml").status == 0
    rows = {row["item_id"]: row for row in dataset.current("out").to_pylist()}
    assert {item for item, row in rows.items() if row["status"] == "failed"} == held
    assert {(rows[item]["error_class"], rows[item]["error_code"], rows[item]["cost_usd"]) for item in held} == {
        ("network", "in_doubt", None)
    }
    assert judge.billed_again().total() == 0
    again = cli("run", "job.toml")
    command = "mediascribe backfill job.toml --reason failed"
    said = "1 row has" if len(held) == 1 else f"{len(held)} rows have"
    assert f"{said} failed; to ask again:  {command}" in again.out
    assert judge.billed_again().total() == 0
    assert cli(*command.split()[1:]).status == 0
    assert {row["status"] for row in dataset.current("out").to_pylist()} == {"ok"}
    assert set(judge.billed_again()) <= held
    assert cli("verify", "out", "--job", "job.toml").status == 0


class Clock(datetime):
    """The clock of a machine whose day is wrong."""

    off = timedelta()

    @classmethod
    def now(cls, tz=None):
        return datetime.now(tz) + cls.off


def test_a_clock_that_was_set_back_hides_no_newer_answer(cli, asked, gateway, monkeypatch):
    """What was asked last is current, whatever the clocks said; and a backfill ends."""
    asked(4)
    monkeypatch.setattr(Clock, "off", timedelta(days=3))
    monkeypatch.setattr("mediascribe.inputs.datetime", Clock)
    assert cli("run", "job.toml").status == 0
    monkeypatch.setattr(Clock, "off", timedelta())
    Path("job.toml").write_text(Path("job.toml").read_text().replace("What is {{", "What colour is {{"))
    assert cli("backfill", "job.toml", "--reason", "stale_prompt").status == 0
    assert len(gateway.ledger()) == 8
    assert cli("backfill", "job.toml", "--reason", "stale_prompt").status == 0
    assert len(gateway.ledger()) == 8
    assert len(set(dataset.history("out")["prompt_sha256"].to_pylist())) == 2
    newest = max(dataset.history("out").to_pylist(), key=lambda row: row["completed_at"])
    assert set(dataset.current("out")["prompt_sha256"].to_pylist()) == {newest["prompt_sha256"]}


@pytest.mark.long
@pytest.mark.parametrize("jump", ["+400d", "-400d"])
def test_a_clock_that_jumps_during_a_run_changes_nothing(cli, asked, gateway, jump):
    """Limits, timeouts and retries go by a clock that is never set; every row is asked once."""
    library = next(Path("/usr/lib").glob("*/faketime/libfaketime.so.1"), None)
    if library is None:
        pytest.skip("libfaketime is not installed here")
    gateway.behave("*", Behaviour(latency_s=0.1))
    judge = Judge(gateway, asked(60, more="[limits]\nconcurrency = 4\nrequests_per_minute = 1200\n"))
    Path("clock").write_text("+0")
    fake = {
        "LD_PRELOAD": str(library),
        "FAKETIME_TIMESTAMP_FILE": str(cli.folder / "clock"),
        "FAKETIME_NO_CACHE": "1",
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
    }
    running = cli.start("run", "job.toml", **fake)
    for _ in range(6_000):
        if answered(gateway) >= 10:
            break
        time.sleep(0.01)
    Path("clock").write_text(jump)
    out, err = running.communicate(timeout=60)
    assert running.returncode == 0, (out, err)
    assert judge.convict("out") == []
    assert len(gateway.ledger()) == 60
    asked_at = [row["requested_at"] for row in dataset.current("out").to_pylist()]
    assert max(asked_at) - min(asked_at) > timedelta(days=300), "the clock was set back or forth"
