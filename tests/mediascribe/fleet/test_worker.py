"""A process that takes shards of a run, and the lead that hands them out; here both are one process."""

# ruff: noqa: SLF001, ASYNC110, ASYNC240 - a process is lost without waiting for it, a ledger looked at until it says so

import asyncio
import json
import pickle
import re
import signal
import sys
import threading
import time
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from mediascribe import dataset, journal, run
from mediascribe.errors import ConfigError, StoreError
from mediascribe.fleet import engine, lead, takeover
from mediascribe.fleet import errand as errands
from mediascribe.fleet import worker as workers
from mediascribe.fleet.errand import Errand, errand_of, fetched_rows, ship_rows
from mediascribe.fleet.ledger import Ledger
from mediascribe.fleet.notes import Rows
from mediascribe.fleet.office import Office
from mediascribe.fleet.pulse import LostError
from mediascribe.fleet.shelf import Shelf
from mediascribe.fleet.standing import FleetStanding
from mediascribe.job_sections import EngineSection
from mediascribe.landing import ShardReport
from mediascribe.report.progress import Meter
from mediascribe.sandbox import Behaviour, Sandbox
from mediascribe.session import session
from mediascribe.spending import Spend, Spent
from mediascribe.store.terms import Terms

pytest.importorskip("distributed")
pytestmark = pytest.mark.wide

KEY = "sk-canary0123456789abcdef"
RED = (
    "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAIAAACQd1PeAAAADElEQVR4nGP4z8AAAAMBAQDJ/pLvAAAAAElFTkSuQmCC"
)
JOB = """
name = "t"
model = "gemini-2.0-flash"
output = "{output}"
shard_rows = 10
[manifest]
path = "{manifest}"
[gateway]
base_url = "{base_url}"
[media]
mode = "url"
[prompt]
text = "What is {{{{ item_id }}}}?"
[limits]
concurrency = 4
"""


@pytest.fixture(scope="module")
def gateway():
    with Sandbox(api_key=KEY) as sandbox:
        yield sandbox


@pytest.fixture
def job(gateway, tmp_path, monkeypatch):
    """`job(rows=20, more="...")` writes a job; gives its path."""
    gateway.reset()
    monkeypatch.setenv("MEDIASCRIBE_API_KEY", KEY)

    def _job(rows=20, base_url=None, more=""):
        lines = "".join(f'i{number},"{RED}"\n' for number in range(rows))
        (tmp_path / "m.csv").write_text("item_id,image_url\n" + lines)
        path = tmp_path / "job.toml"
        text = JOB.format(output=tmp_path / "out", manifest=tmp_path / "m.csv", base_url=base_url or gateway.url)
        path.write_text(text + more)
        return str(path)

    return _job


@asynccontextmanager
async def begun(job_path):
    """A run with its ledger, and what its processes must know."""
    async with session(job_path) as opened:
        made = await asyncio.to_thread(opened.inputs.plan, ("new",))
        store, limits = opened.inputs.store, opened.inputs.job.limits
        async with Ledger(
            store, made.run_id, limits, opened.inputs.budget(), office=Office(epoch=opened.hold.lease.epoch)
        ):
            yield SimpleNamespace(opened=opened, made=made, errand=errand_of(opened, made, 30.0))


def in_thread(call, *args):
    return asyncio.to_thread(call, *args)


@asynccontextmanager
async def manned(errand):
    """A station at work."""
    station = await in_thread(workers.Station, errand)
    try:
        yield station
    finally:
        await in_thread(station.close)


@pytest.mark.long
class TestStation:
    """One process."""

    async def test_shards_are_asked_about_and_published(self, job, gateway):
        """Two at a time; who is given one again says how it ended, and asks nothing."""
        async with begun(job()) as lead_, manned(lead_.errand) as station:
            reports = await asyncio.gather(*(in_thread(station.run, number) for number in (0, 1)))
            assert [report.rows for report in reports] == [10, 10]
            assert await in_thread(station.run, 1) == reports[1]
            closed = run.close(lead_.made, reports, lead_.opened.landing())
        assert (closed.complete, closed.wrote.by_status["ok"], closed.in_doubt) == (True, 20, 0)
        assert sum(entry.billed for entry in gateway.ledger()) == 20
        assert not lead_.errand.shelf.names("marks"), "a closed run leaves nothing"

    async def test_the_embedded_sandbox_is_reached(self, job, monkeypatch):
        """Its address and its key travel with the errand; nobody's own key does."""
        monkeypatch.delenv("MEDIASCRIBE_API_KEY")
        async with begun(job(base_url="sandbox")) as lead_:
            assert lead_.errand.job.gateway.base_url.startswith("http://127.0.0.1:")
            assert lead_.errand.key == "sk-sandbox"
            async with manned(pickle.loads(pickle.dumps(lead_.errand))) as station:  # noqa: S301 - our own
                assert (await in_thread(station.run, 0)).rows == 10

    async def test_no_key_travels(self, job):
        """A worker has it from its own environment."""
        async with begun(job()) as lead_:
            assert KEY.encode() not in pickle.dumps(lead_.errand)

    async def test_a_shard_of_a_dead_process_goes_on(self, job, gateway):
        """What that one had received is not asked again."""
        async with begun(job()) as lead_:
            shelf, shard = lead_.errand.shelf, lead_.errand.shard(0)
            dead = takeover.take(shelf, shard, "dead", Terms())
            async with manned(lead_.errand) as first:
                await in_thread(first.run, 1)
            shelf.write("beats/dead", b'{"name":"dead","host":"h","machine":null,"pid":1,"gone":true}')
            dead.journal.mkdir(parents=True)
            sent = journal.Sent(row=1, key="k", at=time.time(), nano_usd=7)
            with journal.Journal(dead.journal) as log:
                log.append(sent)
            async with manned(lead_.errand) as second:
                report = await in_thread(second.run, 0)
        assert (report.rows, report.in_doubt) == (10, 1)
        assert takeover.ousted(shelf, 0) == {"dead"}
        assert sum(entry.billed for entry in gateway.ledger()) == 20

    async def test_a_lost_process_publishes_nothing(self, job, gateway):
        """Lost while it asked: what was in flight landed in its journal, and the next one has it."""
        gateway.behave("*", Behaviour(latency_s=0.3))
        async with begun(job(rows=10)) as lead_:
            async with manned(lead_.errand) as station:
                running = asyncio.create_task(in_thread(station.run, 0))
                while len(gateway.ledger()) < 4:
                    await asyncio.sleep(0.01)
                station._pulse._why = "it was silent"
                with pytest.raises(LostError):
                    await running
                with pytest.raises(LostError, match="it was silent"):
                    await in_thread(station.run, 0)
                assert dataset.parts(lead_.opened.inputs.store) == []
            async with manned(lead_.errand) as other:
                report = await in_thread(other.run, 0)
            assert (report.rows, report.in_doubt) == (10, 0)
        gateway.drain()
        assert sum(entry.billed for entry in gateway.ledger()) == 10

    async def test_an_order_to_drain_is_obeyed(self, job, gateway):
        """What is in flight lands, and is published."""
        gateway.behave("*", Behaviour(latency_s=0.2))
        async with begun(job(rows=10)) as lead_, manned(lead_.errand) as station:
            running = asyncio.create_task(in_thread(station.run, 0))
            while len(gateway.ledger()) < 4:
                await asyncio.sleep(0.01)
            station._heard("drain", "interrupted by Ctrl-C")
            report = await running
        assert (report.drained, report.stopped, report.in_doubt) == (True, "interrupted by Ctrl-C", 0)
        assert 4 <= report.rows < 10

    async def test_another_version_is_refused(self, job):
        """With what to do."""
        async with begun(job()) as lead_:
            with pytest.raises(ConfigError, match=r"the run is of 0\.0\.0: install the same version"):
                workers.Station(replace(lead_.errand, version="0.0.0"))

    async def test_an_output_that_is_not_shared_is_refused(self, job, tmp_path):
        """With what would be."""
        async with begun(job()) as lead_:
            with pytest.raises(ConfigError, match="a folder that all of them share"):
                workers.Station(replace(lead_.errand, output=str(tmp_path / "elsewhere")))

    async def test_a_missing_key_is_named(self, job, monkeypatch):
        """Of the worker's own environment; nothing is left running."""
        async with begun(job()) as lead_:
            monkeypatch.delenv("MEDIASCRIBE_API_KEY")
            before = threading.active_count()
            with pytest.raises(ConfigError, match="MEDIASCRIBE_API_KEY is not set"):
                await in_thread(workers.Station, lead_.errand)
            assert threading.active_count() <= before + 1


class TestErrand:
    """What travels."""

    async def test_media_of_the_sandbox_are_allowed_elsewhere(self, job):
        """Its address is private, and the worker's guard lets it be reached."""
        path = Path(job(base_url="sandbox"))
        path.write_text(path.read_text().replace('mode = "url"', 'base_url = "sandbox"'))
        async with begun(str(path)) as lead_:
            media = lead_.errand.job.media
            assert media.allow == ["127.0.0.1"]
            assert f":{media.ports[-1]}/" in media.base_url

    def test_rows_of_a_bucket_are_brought(self, bucket_store, build, tmp_path):
        """Only those of the shard; a run that was ended has none."""
        pq.write_table(pa.table({"shard": [0, 0, 1], "row_number": [1, 2, 3]}), tmp_path / "plan.parquet")
        shelf = Shelf(store=bucket_store, run_id="20261123T014500Z-3fa9c1")
        ship_rows(shelf, replace(build.shard(number=1), plan_path=str(tmp_path / "plan.parquet")))
        assert pq.read_table(fetched_rows(shelf, 1))["row_number"].to_pylist() == [3]
        with pytest.raises(StoreError, match="has no rows of shard 2 in memory://bucket/out: it was ended"):
            fetched_rows(shelf, 2)


class Here:
    """A cluster that is this process; `befall` makes the next calls fail."""

    def __init__(self):
        self.befall, self.cancelled, self.held, self.berth = [], 0, False, engine.Berth()

    def submit(self, call, *args, key, pure, retries):
        del key, pure, retries
        return _Handed(self, call, args)

    async def run(self, call, *args, on_error):
        assert on_error == "ignore"
        return await in_thread(call, *args)

    def scheduler_info(self, n_workers):
        assert n_workers == -1
        return {"workers": {number: {} for number in range(9)}}


class _Handed:
    def __init__(self, cluster, call, args):
        self._cluster, self._call, self._args = cluster, call, args

    async def result(self):
        if self._cluster.befall:
            raise self._cluster.befall.pop(0)
        while self._cluster.held:
            await asyncio.sleep(0.01)
        return await in_thread(self._call, *self._args)

    async def cancel(self):
        self._cluster.cancelled += 1


@pytest.fixture
def here(monkeypatch):
    cluster = Here()

    @asynccontextmanager
    async def client(_):
        yield cluster

    monkeypatch.setattr(engine, "client", client)
    monkeypatch.setattr(engine, "_berth", lambda: cluster.berth)
    monkeypatch.setattr(lead, "_AGAIN_S", 0.0)
    return cluster


@asynccontextmanager
async def fleet_of(job_path, tell=lambda _: None):
    async with session(job_path) as opened:
        made = await asyncio.to_thread(opened.inputs.plan, ("new",))
        meter = Meter(total=made.rows)
        async with lead.fleet(opened, made, EngineSection(workers=2), meter, tell) as many:
            yield SimpleNamespace(fleet=many, made=made, opened=opened, meter=meter)


@pytest.mark.usefixtures("here")
class TestLead:
    """Who hands shards out."""

    async def test_a_run_is_asked_by_others(self, job, here, monkeypatch):
        """The meter shows what they say, and somebody is told how the fleet stands."""
        monkeypatch.setattr(lead, "_TOLD_EVERY_S", 0.01)
        told = []
        async with fleet_of(job(), told.append) as run_:
            assert run_.fleet.at_once == 36
            reports = await asyncio.gather(*map(run_.fleet.describe, run_.made.shards))
            while run_.fleet.standing().rows.done < 20:
                await asyncio.sleep(0.05)
            watch = run_.fleet.watch()
            assert run_.meter.by_status == {"ok": 20, "truncated": 0, "refused": 0, "failed": 0, "skipped": 0}
            assert run_.meter.note.startswith("workers: 1 · ")
            assert watch.budget.spent.requests == 20
        assert run.close(run_.made, reports, run_.opened.landing()).complete
        assert told[-1].startswith("workers: 1")
        assert here.berth.stations == {}

    @pytest.mark.long
    async def test_a_fleet_lends_on_what_it_is_lent_of_a_common_quota(self, job, tmp_path):
        """And says so; when it has ended, nobody waits for what it had."""
        more = f'requests_per_minute = 60000\ncommon = "{tmp_path / "quota"}"\n'
        async with fleet_of(job(more=more)) as run_:
            await asyncio.gather(*map(run_.fleet.describe, run_.made.shards))
            run_.fleet.watch()
            assert re.search(r" · lent [\d,]+ requests/min$", run_.meter.note)
        grants = json.loads((tmp_path / "quota/_work/common/grants.json").read_bytes())
        assert (grants["over"], grants["held"]) == ("the run is over", {})

    async def test_a_shard_that_was_lost_is_handed_out_again(self, job, here):
        """By its process, or by Dask, which knows no more of it."""
        here.befall = [LostError("silent"), engine.losses()[0]("key", None, 0)]
        async with fleet_of(job(rows=10)) as run_:
            assert (await run_.fleet.describe(run_.made.shards[0])).rows == 10

    async def test_a_shard_that_is_always_lost_stops_the_run(self, job, here):
        """Resumable, with the reason."""
        here.befall = [LostError("silent")] * 5
        async with fleet_of(job(rows=10)) as run_:
            with pytest.raises(StoreError, match="shard 0 was lost 5 times on end, at last: silent"):
                await run_.fleet.describe(run_.made.shards[0])

    async def test_shards_that_nobody_began_are_left_when_the_run_is_told_to_stop(self, job, here):
        """They are taken back, and their rows are for the next run."""
        here.held = True
        async with fleet_of(job(rows=10)) as run_:
            asking = asyncio.create_task(run_.fleet.describe(run_.made.shards[0]))
            await asyncio.sleep(0)
            run_.fleet.drain("interrupted by Ctrl-C")
            run_.fleet.drain("again")
            report = await asking
        assert (report.rows, report.drained, report.stopped) == (0, True, "interrupted by Ctrl-C")
        assert here.cancelled == 1

    async def test_a_bucket_needs_no_shared_disk(self, job, monkeypatch, tmp_path):
        """Rows, journals and marks go through it, and nothing of them is left in the end, here or there."""
        monkeypatch.setenv("MEDIASCRIBE_WORK", str(tmp_path / "work"))
        path = Path(job())
        path.write_text(path.read_text().replace(str(tmp_path / "out"), "memory://bucket/out"))
        async with session(str(path)) as opened:
            store = opened.inputs.store
            monkeypatch.setattr(errands, "store_at", lambda _: store)
            made = await asyncio.to_thread(opened.inputs.plan, ("new",))
            async with lead.fleet(opened, made, EngineSection(workers=2), Meter(total=20)) as many:
                reports = await asyncio.gather(*map(many.describe, made.shards))
            assert run.close(made, reports, opened.landing()).complete
            assert [name for name in store.bucket.names("_work/") if "lease" not in name] == []
        assert list((tmp_path / "work").rglob("*.jsonl")) == []

    async def test_what_comes_to_light_late_is_in_doubt(self, job, monkeypatch):
        """And counts as spent at its worst, on its day."""
        sent = journal.Sent(row=1, key="k", at=1_795_392_000.0, nano_usd=7, tokens=3)  # 2026-11-23, 00:00 UTC
        monkeypatch.setattr(takeover, "late", lambda _shelf, _shard: [sent, sent])
        report = ShardReport(name="x", rows=0, part=None, in_doubt=1, torn=(), spent={})
        async with fleet_of(job(rows=10)) as run_:
            (settled,) = await run_.fleet.settled(run_.made.shards, [report])
        assert settled.in_doubt == 3
        assert settled.spent == {"2026-11-23": Spent(nano_usd=14, tokens=6, requests=2, in_doubt_nano_usd=14)}

    async def test_what_stops_one_process_stops_all(self, job):
        """A key that is rejected: the reason stands in every report, and the run was not interrupted."""
        stopped = ShardReport(name="x", rows=0, part=None, in_doubt=0, torn=(), spent={}, stopped="the key is rejected")
        async with fleet_of(job()) as run_:
            await run_.fleet._landed(run_.made.shards[0], stopped)
            drained = msgspec.structs.replace(stopped, stopped="the key is rejected", drained=True)
            other = await run_.fleet._landed(run_.made.shards[1], drained)
            assert (other.stopped, other.drained) == ("the key is rejected", False)

    async def test_a_process_whose_shard_was_taken_is_declared_dead(self, job):
        """The ledger lends it nothing more."""
        async with fleet_of(job(rows=10)) as run_:
            shard = run_.made.shards[0]
            takeover.take(run_.fleet._shelf, shard, "dead", Terms())
            run_.fleet._shelf.write("beats/dead", b'{"name":"dead","host":"h","machine":null,"pid":1,"gone":true}')
            declared = []
            run_.fleet._accounts.ledger.declare_dead = declared.append
            await run_.fleet.describe(shard)
        assert declared == ["dead"]


class TestBerth:
    """The stations of a process."""

    async def test_a_lost_station_is_replaced(self, job):
        """And leaves when its shards have ended."""
        async with begun(job()) as lead_:
            berth, order = engine.Berth(), pickle.dumps(lead_.errand)
            first = await in_thread(berth.manned, order)
            assert await in_thread(berth.manned, order) is first
            first._pulse._why = "silent"
            second = await in_thread(berth.manned, order)
            assert second is not first
            await in_thread(berth.leave, order)
            await in_thread(berth.leave, order)
            first._thread.join(10)
            assert not first._thread.is_alive()


def test_the_line_says_who_is_at_work_and_what_bounds():
    """Late and dead ones, the share of the quota, and what the lead has trouble with."""
    standing = FleetStanding(
        alive=3,
        late=1,
        dead=2,
        rows=Rows(),
        rows_per_s=0.0,
        requests_per_s=0.0,
        in_flight=0,
        waiting=0,
        quota_share=0.93,
        spent=Spend(),
        in_doubt=Spend(),
        more_would_help=False,
        why="bound by the quota",
        problem="s3://b: HTTP 500",
    )
    assert (
        lead.line(standing) == "workers: 3 (1 late, 2 dead) · 93% of the quota · bound by the quota · s3://b: HTTP 500"
    )


async def test_without_dask_it_is_said_what_to_install(monkeypatch):
    """One line."""
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(ConfigError, match=r"is not installed: pip install 'mediascribe\[dask\]'"):
        async with engine.client(EngineSection(workers=2)):
            pass


async def test_an_address_where_nobody_answers_is_named(monkeypatch):
    """With the command that starts a scheduler."""
    monkeypatch.setattr(engine, "_FOUND_S", 0.2)
    with pytest.raises(ConfigError, match=r"engine.address = tcp://127.0.0.1:9: no Dask scheduler answers there"):
        async with engine.client(EngineSection(address="tcp://127.0.0.1:9")):
            pass


async def test_a_cluster_that_is_there_does_the_work(job, monkeypatch):
    """At its address; its workers keep their stations for the run."""
    import distributed  # noqa: PLC0415 - slow to import

    kept = []
    monkeypatch.setattr(engine.Berth, "leave", lambda berth, order: kept.append((berth, order)))
    async with (
        distributed.LocalCluster(
            processes=False, protocol="tcp://", n_workers=1, dashboard_address="127.0.0.1:0", asynchronous=True
        ) as cluster,
        session(job()) as opened,
    ):
        made = await asyncio.to_thread(opened.inputs.plan, ("new",))
        there = EngineSection(address=cluster.scheduler_address)
        async with lead.fleet(opened, made, there, Meter(total=20)) as many:
            reports = await asyncio.gather(*map(many.describe, made.shards))
        assert run.close(made, reports, opened.landing()).complete
        for berth, order in kept:
            assert list(berth.stations) == [order]
            await in_thread(berth.stations[order].close)


@pytest.mark.long
async def test_a_cluster_of_this_machine_does_the_work(job):
    """Processes of their own, begun and ended with the run; one that is there already serves as well."""
    async with session(job()) as opened:
        made = await asyncio.to_thread(opened.inputs.plan, ("new",))
        async with lead.fleet(opened, made, EngineSection(workers=1), Meter(total=20)) as many:
            address = many._client.scheduler.address
            async with engine.client(EngineSection(workers=1)) as other:
                assert other.scheduler.address != address
            reports = await asyncio.gather(*map(many.describe, made.shards))
        assert run.close(made, reports, opened.landing()).complete


def test_ctrl_c_is_not_for_workers(monkeypatch):
    """The run hears it, and tells them to drain."""
    heard = []
    monkeypatch.setattr(signal, "signal", lambda *order: heard.append(order))
    engine.dask_setup(None)
    assert heard == [(signal.SIGINT, signal.SIG_IGN)]


async def test_rows_are_counted_by_the_shard_that_they_are_of(build):
    """Of two shards at a time; one that is taken again begins anew, and one that was lost waits for nobody."""
    progress, turn = workers._Progress(), asyncio.Event()

    async def describe(rows, lost=None):
        async with asyncio.TaskGroup() as group:
            for _ in range(rows):
                group.create_task(announce())
        await turn.wait()
        if lost:
            raise lost
        return rows

    async def announce():
        progress.announce(build.record())

    shards = [build.shard("r", number, rows=3) for number in (4, 7)]
    both = [
        asyncio.create_task(progress.at(shards[0], describe(2))),
        asyncio.create_task(progress.at(shards[1], describe(1, LostError("silent")))),
    ]
    await asyncio.sleep(0.01)
    assert progress.rows() == Rows(3, {4: (2, 0), 7: (1, 0)})
    turn.set()
    assert [type(one) for one in await asyncio.gather(*both, return_exceptions=True)] == [int, LostError]
    assert await asyncio.create_task(progress.at(shards[1], describe(3))) == 3
    assert progress.rows() == Rows(0, {4: (2, 0), 7: (3, 0)})


def test_an_errand_names_its_shards(build):
    """The last one has the rest."""
    errand = object.__new__(Errand)
    for name, value in {"rows": 25, "shard_rows": 10, "plan_path": "p", "facts": build.facts()}.items():
        object.__setattr__(errand, name, value)
    assert [errand.shard(number).rows for number in range(3)] == [10, 10, 5]
