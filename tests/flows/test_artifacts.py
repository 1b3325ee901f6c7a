"""What Prefect's server shows of a run; and that a server which is slow or gone costs nothing."""

import asyncio
import importlib
import json
from datetime import UTC, datetime
from types import SimpleNamespace
from uuid import uuid4

import httpx
import pytest

from mediascribe.domain import Shard
from mediascribe.landing import ShardReport
from mediascribe.report.notes import ending
from mediascribe.run import TOKEN_COLUMNS, ErrorGroup, Outcome, RunFile, Tally
from mediascribe.spending import Spent


@pytest.fixture
def artifacts(prefect):
    """Imported when there is a server: Prefect reads its settings then."""
    return importlib.import_module("flows.artifacts")


class Server:
    """Prefect's client, as far as a board needs it; *failure* is what happens next."""

    def __init__(self):
        self.artifacts, self.keys, self.failure, self.calls = {}, {}, None, []

    async def __aenter__(self):
        return self

    async def __aexit__(self, *_):
        pass

    async def create_artifact(self, wanted):
        await self._fail()
        self.calls.append(("create", wanted.key))
        made = SimpleNamespace(id=uuid4())
        self.artifacts[made.id], self.keys[made.id] = wanted, wanted.key
        return made

    async def update_artifact(self, artifact_id, wanted):
        await self._fail()
        if artifact_id not in self.artifacts:
            raise importlib.import_module("prefect.exceptions").ObjectNotFound(http_exc=None)
        self.calls.append(("update", self.keys[artifact_id]))
        self.artifacts[artifact_id] = wanted

    async def _fail(self):
        if self.failure == "slow":
            await asyncio.Event().wait()
        elif self.failure:
            raise self.failure


@pytest.fixture
def server(artifacts, monkeypatch):
    """In the place of the real one."""
    server = Server()
    monkeypatch.setattr(artifacts, "get_client", lambda: server)
    return server


@pytest.fixture
def page(artifacts):
    """`page(1.0)`: a page of that content."""
    return lambda content=0.0: artifacts.Page(name="progress", type="progress", content=content)


async def test_a_page_is_made_once_and_then_changed(artifacts, page, server):
    """Under one key, that of the job; what did not change is not sent again."""
    board = artifacts.Board("Nightly.Captions_2", uuid4())
    for content in (1.0, 2.0, 2.0):
        board.put(page(content))
        assert await board.post()
    assert server.calls == [("create", "nightly-captions-2-progress"), ("update", "nightly-captions-2-progress")]
    assert [one.data for one in server.artifacts.values()] == [2.0]
    assert (board.calls, board.missed) == (2, None)


async def test_a_run_outside_of_prefect_posts_nothing(artifacts, page, server):
    """There is no page to put it on."""
    board = artifacts.Board("nightly", None)
    board.put(page())
    assert await board.post()
    assert server.calls == []


@pytest.mark.parametrize(
    ("failure", "said"),
    [
        ("slow", "TimeoutError"),
        (httpx.ConnectError("refused"), "ConnectError"),
        (httpx.ReadTimeout("late"), "ReadTimeout"),
        (OSError("no route"), "OSError"),
    ],
)
async def test_a_server_that_cannot_be_reached_is_told_later(artifacts, page, server, failure, said):
    """Nothing is raised; since when and why is known; the newest page arrives in the end."""
    board = artifacts.Board("nightly", uuid4())
    server.failure = failure
    board.put(page(1.0))
    assert not await board.post(0.01)
    assert board.missed.endswith(f"UTC ({said})")
    first = board.missed
    board.put(page(2.0))
    assert not await board.post(0.01)
    assert board.missed == first
    server.failure = None
    assert await board.post()
    assert board.missed is None
    assert [one.data for one in server.artifacts.values()] == [2.0]


async def test_a_page_that_somebody_removed_is_made_again(artifacts, page, server):
    """Or a server that lost its database."""
    board = artifacts.Board("nightly", uuid4())
    board.put(page(1.0))
    await board.post()
    server.artifacts.clear()
    board.put(page(2.0))
    assert not await board.post()
    assert await board.post()
    assert [one.data for one in server.artifacts.values()] == [2.0]


async def test_pages_are_posted_less_and_less_often(artifacts, page, server, monkeypatch):
    """After 2 s, every 5 s, in a long run every minute; a server that is gone is asked at growing distances."""
    slept, now = [], [0.0]

    async def sleep(seconds):
        slept.append(seconds)
        now[0] += seconds
        server.failure = httpx.ConnectError("gone") if 500 < now[0] < 800 else None
        if now[0] > 10_000:
            raise asyncio.CancelledError

    monkeypatch.setattr(artifacts, "asyncio", SimpleNamespace(**vars(asyncio) | {"sleep": sleep}))
    board = artifacts.Board("nightly", uuid4(), clock=lambda: now[0])
    with pytest.raises(asyncio.CancelledError):
        await board.keep_posted(lambda: board.put(page(now[0])))
    assert slept[:3] == [2.0, 5.0, 5.0]
    assert [wait_s for wait_s in slept if 20 < wait_s < 60][:1] != []
    assert max(slept) == slept[-1] == 60.0
    assert board.missed is None


def test_the_table_of_shards_has_a_row_each(artifacts):
    """Those that did not land yet are there as well."""
    shards = [Shard(run_id="r1", number=number, rows=10, plan_path="p") for number in (0, 1)]
    report = ShardReport(name="r1-0", rows=9, part="a.parquet", in_doubt=1, torn=(), spent={}, stopped="so")
    made = artifacts.shard_page(
        [artifacts.Landed(shard=shards[0], report=report, seconds=1.26), artifacts.Landed(shard=shards[1])]
    )
    assert (made.type, made.description) == ("table", "1 of 2 shards landed")
    assert json.loads(made.content) == [
        {
            "shard": 0,
            "planned": 10,
            "written": 9,
            "seconds": 1.3,
            "in doubt": 1,
            "part": "a.parquet",
            "stopped": "so",
        },
        {
            "shard": 1,
            "planned": 10,
            "written": None,
            "seconds": None,
            "in doubt": None,
            "part": None,
            "stopped": None,
        },
    ]


def outcome(*, causes=1, **changes):
    errors = [
        ErrorGroup(status="failed", error_class="media", error_code=f"{n}", rows=1, example="a|b\nc")
        for n in range(causes)
    ]
    wrote = Tally(
        rows=10,
        by_status={"ok": 9, "failed": 1},
        tokens=dict.fromkeys(TOKEN_COLUMNS, 1_000),
        cost_usd=1.0,
        unpriced_rows=0,
        duplicates=0,
        parts=["results/v1/date=2026-11-23/r1-0.parquet"],
        errors=errors,
    )
    moment = datetime(2026, 11, 23, 1, 45, tzinfo=UTC)
    fields = {
        "run_id": "r1",
        "job": "nightly",
        "model": "gemini-2.0-flash",
        "status": "completed",
        "stopped": None,
        "config_sha256": "c",
        "prompt_sha256": "p",
        "parameters_sha256": "q",
        "versions": {},
        "started_at": moment,
        "finished_at": moment.replace(minute=46),
        "reasons": ("new",),
        "plan": {"new": 10},
        "rows_planned": 10,
        "wrote": wrote,
        "in_doubt": 2,
        "torn": [],
        "complete": True,
        "spent": {"2026-11-23": Spent(nano_usd=1_500_000_000)},
    }
    run = RunFile(**fields | changes)
    return Outcome(job="my job.toml", output="data/out", counts={}, reasons=("new",), recovered=[], run=run)


@pytest.fixture
def written(artifacts):
    """`written(outcome)`: the lines of its summary."""
    return lambda what: artifacts.summary_page(what, ending(what), "mediascribe run x").content.splitlines()


def test_the_summary_has_the_facts_the_errors_and_the_way_on(written):
    """Paths and commands to copy; what a gateway said cannot break the table."""
    lines = written(outcome())
    assert lines[0] == "**Completed: 9 ok, 1 failed**"
    assert "| rows | 10 of 10 |" in lines
    assert "| spent | 1.500000 USD at list price |" in lines
    assert "| in doubt | 2 requests |" in lines
    assert "| time | 60 s |" in lines
    assert "| run file | `data/out/runs/r1.json` |" in lines
    assert "| parts | `results/v1/date=2026-11-23/r1-0.parquet` |" in lines
    assert "| 1 | failed | media/0 | a\\|b c |" in lines
    assert lines[-2:] == [
        "Results: `data/out/results/v1`",
        "To ask the failed rows again: `mediascribe backfill 'my job.toml' --reason failed`",
    ]


def test_a_summary_of_many_errors_shows_the_first_ten(written):
    """The rest is in the run file."""
    lines = written(outcome(causes=12))
    assert "| | | 2 more | in the run file |" in lines
    assert sum("| failed | media/" in line for line in lines) == 10


def test_a_run_that_stopped_says_how_to_go_on(written):
    """And one without errors has no table of them."""
    lines = written(outcome(causes=0, status="stopped", stopped="so", complete=False))
    assert lines[-1] == "To go on, once the cause is gone: `mediascribe run x`"
    assert not any("such as" in line for line in lines)


def test_a_run_with_nothing_to_ask_has_a_summary(written):
    """Of two lines."""
    nothing = Outcome(job="j", output="data/out", counts={"done": 3}, reasons=("new",), recovered=[], run=None)
    assert written(nothing) == [
        "**Completed: nothing to ask, of 3 rows**",
        "",
        "",
        "Results: `data/out/results/v1`",
    ]
