"""Notes reach whoever is to get them, and nobody who gets them can harm a run."""

import asyncio
import importlib
import json
import os
import subprocess
import sys
import threading
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace

import pytest

from flows import terminal
from mediascribe import dataset
from mediascribe.deadline import Outlook
from mediascribe.errors import ConfigError
from mediascribe.report.notes import Note

NOTE = Note(
    event="failed",
    job="nightly",
    state="Stopped",
    done=9_950,
    failed=50,
    total=10_000,
    spent="3.0000 USD, 60 % of budget.usd",
    reason="the key was rejected",
    next_step="mediascribe run nightly.toml",
)
ROOT = Path(__file__).parents[2]
KEY = "sk-canary0123456789abcdef"
SECRET_PATH = "/services/T0CANARY/B0CANARY/x9canary"


@pytest.fixture
def hooks(prefect):
    """Imported when there is a server: Prefect reads its settings then."""
    return importlib.import_module("flows.hooks")


@pytest.fixture
def states(prefect):
    """Likewise."""
    return importlib.import_module("prefect.states")


class Receiver:
    """An HTTP server that keeps what it gets; *status* is its answer, None: it never answers."""

    def __init__(self):
        self.got, self.status, self._over = [], 200, threading.Event()
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers["content-length"]))
                outer.got.append((self.path, json.loads(body)))
                if outer.status is None:
                    outer._over.wait()
                self.send_response(outer.status or 200)
                self.end_headers()

            def log_message(self, *_):
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True)
        self._thread.start()
        self.url = f"http://127.0.0.1:{self._server.server_port}{SECRET_PATH}"

    def close(self):
        self._over.set()
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def receiver(monkeypatch):
    """Named by the environment."""
    receiver = Receiver()
    monkeypatch.setenv("MEDIASCRIBE_NOTIFY_URL", receiver.url)
    yield receiver
    receiver.close()


@pytest.fixture
def no_variables(hooks, monkeypatch):
    """Prefect has no variable; its server is not asked."""

    async def nothing(name):
        del name

    monkeypatch.setattr(hooks.Variable, "aget", nothing)


async def test_a_note_arrives_as_json(hooks, receiver, no_variables):
    """Five lines, and each fact."""
    assert await hooks.send(NOTE) == []
    ((path, body),) = receiver.got
    assert path == SECRET_PATH
    assert body["text"].splitlines() == list(NOTE.lines)
    assert (body["event"], body["done"], body["failed"], body["total"]) == ("failed", 9_950, 50, 10_000)


@pytest.mark.parametrize("how", ["format", "path"])
async def test_a_note_arrives_as_slack_wants_it(hooks, receiver, no_variables, monkeypatch, how):
    """Where the format says so, or the URL looks like that."""
    if how == "format":
        monkeypatch.setenv("MEDIASCRIBE_NOTIFY_FORMAT", "slack")
    else:
        monkeypatch.setenv("MEDIASCRIBE_NOTIFY_URL", f"{receiver.url}/slack")
    assert await hooks.send(NOTE) == []
    ((_, body),) = receiver.got
    assert list(body) == ["text"]
    assert body["text"].startswith("*nightly: Stopped*\nrows: 9,950 done of 10,000, 50 failed\n")


async def test_only_wanted_events_are_told(hooks, receiver, no_variables, monkeypatch):
    """And nobody is told where nobody is named."""
    monkeypatch.setenv("MEDIASCRIBE_NOTIFY_EVENTS", "crashed, deadline")
    assert await hooks.send(NOTE) == []
    monkeypatch.delenv("MEDIASCRIBE_NOTIFY_EVENTS")
    monkeypatch.delenv("MEDIASCRIBE_NOTIFY_URL")
    assert await hooks.send(NOTE) == []
    assert receiver.got == []


async def test_a_receiver_that_refuses_is_named_without_its_path(hooks, receiver, no_variables):
    """The path of a webhook is its secret."""
    receiver.status = 404
    assert await hooks.send(NOTE) == ["the note did not reach 127.0.0.1: status 404"]


async def test_a_receiver_that_never_answers_is_left(hooks, receiver, no_variables, monkeypatch):
    """After a few seconds."""
    receiver.status = None
    monkeypatch.setattr(hooks, "_SEND_S", 0.05)
    (line,) = await hooks.send(NOTE)
    assert line in {
        "the note did not reach 127.0.0.1: TimeoutError",
        "the note did not reach 127.0.0.1: ReadTimeout",
        "the note did not reach 127.0.0.1: ConnectTimeout",
    }


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:9/T0CANARY", "nonsense T0CANARY", "http://[T0CANARY", "ftp://h/T0CANARY"]
)
async def test_a_receiver_that_is_none_is_told_without_its_words(hooks, no_variables, monkeypatch, url):
    """Gone, or never there: nothing is raised, and nothing of the URL but a host is shown."""
    monkeypatch.setenv("MEDIASCRIBE_NOTIFY_URL", url)
    (line,) = await hooks.send(NOTE)
    assert line.startswith("the note did not reach ")
    assert "CANARY" not in line


async def test_a_variable_names_the_block(hooks, monkeypatch, no_variables):
    """Where the environment does not; of another type it is none."""
    given = {"mediascribe_notify_block": "email/on-call", "mediascribe_notify_format": ["slack"]}

    async def value(name):
        return given.get(name)

    monkeypatch.setattr(hooks.Variable, "aget", value)
    who = await hooks.receivers()
    assert (who.url, who.block, who.form) == (None, "email/on-call", None)
    assert "deadline" in who.events


async def test_a_server_that_is_gone_has_no_variables(hooks, monkeypatch):
    """What the environment says still holds."""

    async def gone(name):
        raise OSError(name)

    monkeypatch.setattr(hooks.Variable, "aget", gone)
    assert await hooks.receivers() == (None, None, None, frozenset())


@pytest.fixture
def told(hooks, monkeypatch):
    """What Prefect's hook does with a state; gives the note that it would send."""
    sent = []

    async def send(note):
        sent.append(note)
        return []

    async def _told(state, **parameters):
        run = SimpleNamespace(id="f1", name="caption x", parameters=parameters)
        await hooks.tell_end(SimpleNamespace(name="caption"), run, state)
        return sent[-1]

    monkeypatch.setattr(hooks, "send", send)
    return _told


async def test_the_hook_tells_what_the_run_has_prepared(hooks, states, told):
    """The run knows more of its end than its state does."""
    token = hooks.ended.set(hooks.Ended(None, NOTE))
    try:
        assert await told(states.Completed()) == NOTE
    finally:
        hooks.ended.reset(token)


async def test_the_hook_tells_of_a_run_that_never_began(states, told):
    """Its message is the reason: nothing was sent, nothing is lost."""
    note = await told(states.Failed(message="a.toml: no such job file"), job="my a.toml")
    assert (note.event, note.state, note.reason) == ("failed", "Failed", "a.toml: no such job file")
    assert note.next_step == "mediascribe run 'my a.toml'"


async def test_the_hook_tells_of_a_run_that_gave_way(states, told):
    """It is no failure."""
    note = await told(states.Completed(name="Skipped"))
    assert (note.event, note.job, note.state, note.reason) == ("completed", "caption x", "Skipped", "nothing was said")


async def test_the_hook_tells_of_a_run_whose_process_was_killed(hooks, states, told, monkeypatch):
    """It runs in the worker then, which knows the job's file; or not even that."""
    note = await told(states.Crashed(message="exit status -9"), job="gone.toml")
    assert (note.event, note.total, note.reason) == ("crashed", None, "exit status -9")
    monkeypatch.setattr(hooks.jobs, "load", lambda _: SimpleNamespace(output="out"))
    monkeypatch.setattr(hooks.plans, "unfinished", lambda _: [SimpleNamespace(rows=30), SimpleNamespace(rows=9)])
    note = await told(states.Crashed(), job="t.toml")
    assert note.total == 39
    assert note.lines[1] == "rows: nobody counted them; every answer that was received is kept"


@pytest.fixture
def noted(hooks, monkeypatch):
    """The notes that a watcher sends, in the place of sending them, and the lines that it logs."""
    noted = SimpleNamespace(notes=[], lines=[])

    async def send(note):
        noted.notes.append(note)
        return ["the note did not reach h: status 404"]

    def keep(line, *values):
        noted.lines.append(line % values)

    monkeypatch.setattr(hooks, "send", send)
    monkeypatch.setattr(hooks, "logger", lambda: SimpleNamespace(warning=keep))
    return noted


class Stood(SimpleNamespace):
    """A standing, as far as a watcher needs it."""

    def __init__(self, **changes):
        plain = {
            "job": "nightly",
            "done": 400,
            "total": 1_000,
            "share": 0.4,
            "by_status": {"failed": 10},
            "money": "4.0000 USD",
            "budget": "85 % of budget.usd",
            "budget_share": None,
            "bound_by": "quota",
            "waits_for": None,
            "outlook": Outlook(rows_left=600, watched_s=60.0, rows_per_s=1.0, most_rows_per_s=None),
        }
        super().__init__(**plain | changes)


async def test_a_watcher_logs_and_tells_each_thing_once(hooks, noted):
    """A budget that runs low, a deadline that will be missed; what did not arrive is logged as well."""
    due_at = datetime.now(UTC) + timedelta(seconds=500)
    watcher = hooks.Watcher(lambda: Stood(budget_share=0.85), due_at, "mediascribe run nightly.toml")
    assert watcher.deadline == f"{due_at:%Y-%m-%d %H:%M} UTC"
    watcher.look()
    watcher.look()
    await watcher.delivered()
    assert [note.event for note in noted.notes] == ["budget", "deadline"]
    assert noted.notes[0].next_step == "it goes on; to go on after a stop: mediascribe run nightly.toml"
    assert noted.lines[0] == "80% of the budget is spent: 85 % of budget.usd at 400 of 1,000 rows (40%)"
    assert noted.lines[1].startswith("will probably miss its deadline: the deadline ")
    assert noted.lines[2:] == ["the note did not reach h: status 404"] * 2
    assert "will probably be missed: 600 rows are left" in watcher.deadline


async def test_a_watcher_logs_pauses(hooks, noted):
    """And their end."""
    waits = ["paused: status 503", None]
    watcher = hooks.Watcher(lambda: Stood(waits_for=waits[0], bound_by="gateway down"), None, "go on")
    watcher.look()
    waits.pop(0)
    watcher.look()
    assert watcher.deadline is None
    assert noted.lines == ["paused: status 503", "the gateway answers again: the run goes on"]
    assert noted.notes == []


async def test_a_note_that_cannot_even_be_made_is_logged(hooks, noted, monkeypatch):
    """What sends notes may be broken: the run is not."""

    async def broken(note):
        raise RuntimeError(note.event)

    monkeypatch.setattr(hooks, "send", broken)
    watcher = hooks.Watcher(lambda: Stood(budget_share=1.0), None, "go on")
    watcher.look()
    await watcher.delivered()
    assert noted.lines[-1] == "RuntimeError('budget')"


class Asked:
    """Prefect's client, as far as these ask it; *failure* is what happens."""

    def __init__(self, state=None, failure=None):
        self.state, self.failure, self.named = state, failure, []

    async def __aenter__(self):
        if self.failure:
            raise self.failure
        return self

    async def __aexit__(self, *_):
        pass

    async def read_flow_run(self, _):
        return SimpleNamespace(state=self.state)

    async def set_flow_run_name(self, _, name):
        self.named.append(name)


@pytest.fixture
def asked(hooks, monkeypatch):
    """`asked(state)`: within a flow run whose server says that; gives its client."""

    def _asked(state=None, failure=None):
        client = Asked(state, failure)
        run = SimpleNamespace(flow_run=SimpleNamespace(id="f1"), flow=SimpleNamespace(name="caption"))
        monkeypatch.setattr(hooks.FlowRunContext, "get", lambda: run)
        monkeypatch.setattr(hooks, "get_client", lambda: client)
        return client

    return _asked


async def test_a_run_knows_that_it_is_being_cancelled(hooks, states, asked):
    """By what Prefect's server says; one that is gone says nothing."""
    assert not await hooks.is_being_cancelled()
    for state, expected in [(states.Cancelling(), True), (states.Cancelled(), True), (states.Running(), False)]:
        asked(state)
        assert await hooks.is_being_cancelled() == expected
    asked(failure=OSError("gone"))
    assert not await hooks.is_being_cancelled()


async def test_a_run_is_named_by_its_rows(hooks, asked):
    """Where there is a server to tell."""
    await hooks.name_run("nightly", 10_000)
    client = asked()
    await hooks.name_run("nightly", 10_000)
    assert client.named == ["caption nightly: 10,000 rows"]
    asked(failure=OSError("gone"))
    await hooks.name_run("nightly", 10_000)


async def test_outside_of_a_flow_run_lines_go_nowhere(hooks, capsys):
    """Not even to the terminal."""
    hooks.logger().warning("a line")
    assert capsys.readouterr() == ("", "")


async def test_a_run_counts_as_it_told_itself_where_prefect_could_not_be_told(hooks, states):
    """Prefect's own failure at the end of a run is no failure of the run."""

    async def gives(value):
        return value

    async def fails(*, known):
        hooks.ended.set(hooks.Ended("outcome", NOTE) if known else None)
        raise OSError("no server")

    assert await hooks.outcome_of(gives(states.Completed(data="outcome"))) == "outcome"
    assert await hooks.outcome_of(fails(known=True)) == "outcome"
    with pytest.raises(OSError, match="no server"):
        await hooks.outcome_of(fails(known=False))
    error = ConfigError("wrong")
    with pytest.raises(ConfigError, match="wrong"):
        await hooks.outcome_of(gives(states.Failed(data=ExceptionGroup("", [error]))))


async def test_a_block_that_cannot_notify_is_named(hooks, monkeypatch, no_variables):
    """With what to name instead."""

    async def aload(name):
        return SimpleNamespace(name=name)

    monkeypatch.setattr(hooks.Block, "aload", aload)
    monkeypatch.setenv("MEDIASCRIBE_NOTIFY_BLOCK", "json/x")
    (line,) = await hooks.send(NOTE)
    assert line.startswith("the note did not reach the block json/x: it cannot notify: name one")


async def test_a_block_may_notify_without_waiting(hooks, monkeypatch, no_variables):
    """As some do."""
    said = []

    async def aload(name):
        return SimpleNamespace(name=name, notify=lambda body, subject: said.append((subject, body)))

    monkeypatch.setattr(hooks.Block, "aload", aload)
    monkeypatch.setenv("MEDIASCRIBE_NOTIFY_BLOCK", "own/x")
    assert await hooks.send(NOTE) == []
    assert said == [(NOTE.lines[0], "\n".join(NOTE.lines[1:]))]


@pytest.fixture
def last_run(prefect):
    """`last_run()`: the newest flow run of the server, and its artifacts by key."""
    client = importlib.import_module("prefect.client.orchestration").get_client
    filters = importlib.import_module("prefect.client.schemas.filters")
    sorting = importlib.import_module("prefect.client.schemas.sorting")

    def _last_run():
        with client(sync_client=True) as asking:
            (run,) = asking.read_flow_runs(sort=sorting.FlowRunSort.START_TIME_DESC, limit=1)
            of_run = filters.ArtifactFilter(flow_run_id=filters.ArtifactFilterFlowRunId(any_=[run.id]))
            return run, {one.key: one for one in asking.read_artifacts(artifact_filter=of_run)}

    return _last_run


@pytest.fixture
def apart(job, tmp_path):
    """`apart(rows=12)`: a job whose rows ask different questions."""

    def _apart(**changes):
        path = tmp_path / job(**changes)
        path.write_text(path.read_text().replace("What is it?", "What is {{ item_id }}?"))
        return path.name

    return _apart


class TestUnderAServer:
    """Runs of a real Prefect server."""

    def test_a_run_is_seen_and_told_of(self, cli, apart, last_run, receiver):
        """Its state says the counts, its pages are there, and the note has arrived."""
        ended = cli("run", apart(rows=12, top="shard_rows = 5"))
        assert ended.status == 0, ended
        run, pages = last_run()
        assert (run.state.name, run.state.message) == ("Completed", "Completed: 12 ok")
        assert run.name == "caption t: 12 rows"
        assert sorted(pages) == ["t-progress", "t-shards", "t-standing", "t-summary"]
        assert pages["t-progress"].data == 100.0
        shards = json.loads(pages["t-shards"].data)
        assert [(row["planned"], row["written"]) for row in shards] == [(5, 5), (5, 5), (2, 2)]
        assert "**Completed: 12 ok**" in pages["t-summary"].data
        ((_, body),) = receiver.got
        assert (body["event"], body["text"].splitlines()[1]) == ("completed", "rows: 12 done of 12, 0 failed")

    def test_a_spent_budget_names_the_state(self, cli, apart, last_run, receiver):
        """Failed, named OverBudget, with the reason and the command; the note comes at 100 % and at the end."""
        ended = cli("run", apart(rows=12, more="[limits]\nconcurrency = 1\n[budget]\nrequests = 4\n"))
        assert ended.status == 1, ended
        run, pages = last_run()
        assert (run.state.type.value, run.state.name) == ("FAILED", "OverBudget")
        assert "budget.requests is 4" in run.state.message
        assert run.state.message.endswith("; 4 ok; to go on: mediascribe run job.toml")
        assert pages["t-summary"].description == "OverBudget"
        told = [body["text"].splitlines()[0] for _, body in receiver.got]
        assert told == ["t: 100% of the budget is spent", "t: OverBudget"]

    def test_results_that_are_damaged_are_incomplete(self, cli, apart, last_run, monkeypatch):
        """However good the run looked; the command says so as well, and the run file."""
        from mediascribe import certificate  # noqa: PLC0415 - patched here only

        monkeypatch.setattr(certificate, "problems", lambda *_: ["a.parquet cannot be read: torn"])
        ended = cli("run", apart(rows=2))
        assert ended.status == 1, ended
        assert "do not pass verification: a.parquet cannot be read: torn" in ended.out
        run, _ = last_run()
        assert (run.state.type.value, run.state.name) == ("FAILED", "Incomplete")
        (closed,) = dataset.runs("out")
        assert (closed["complete"], closed["status"]) == (False, "stopped")

    def test_a_server_that_is_gone_at_the_end_is_named(self, cli, apart, monkeypatch, receiver):
        """On the terminal and in the run file; the note is sent by the run itself, for no hook may follow."""

        async def gone(board, _=0.0):
            board.missed = "since 06:00:00 UTC (ConnectError)"
            return False

        monkeypatch.setattr(importlib.import_module("flows.artifacts").Board, "post", gone)
        ended = cli("run", apart(rows=2))
        assert ended.status == 0, ended
        (closed,) = dataset.runs("out")
        line = "Prefect's server was not reached since 06:00:00 UTC (ConnectError): what it shows of this run is not"
        assert closed["complete"]
        assert closed["notes"] == [f"{line} the last word"]
        assert f"mediascribe: {line}" in ended.err
        assert {body["event"] for _, body in receiver.got} == {"completed"}

    @pytest.mark.usefixtures("cli")
    def test_those_who_look_on_may_fail(self, apart, hooks, monkeypatch, receiver):
        """The run does not; and a deadline that has passed is told of."""

        async def broken(_):
            raise RuntimeError("a watcher that is broken")

        monkeypatch.setattr(hooks.Watcher, "watch", broken)
        monkeypatch.setenv("MEDIASCRIBE_API_KEY", KEY)
        caption = importlib.import_module("flows.caption").caption
        deadline = {"deadline": "2026-01-01T06:00", "progress": "none"}
        state = asyncio.run(caption(job=apart(rows=3), **deadline, return_state=True))
        assert (state.name, state.message) == ("Completed", "Completed: 3 ok")
        assert [body["event"] for _, body in receiver.got] == ["completed"]

    async def test_blocks_tell_notes(self, hooks, receiver, monkeypatch):
        """By their name: one of Prefect's own kinds, or a secret that holds an URL; others are named."""
        notifications = importlib.import_module("prefect.blocks.notifications")
        system = importlib.import_module("prefect.blocks.system")
        block = notifications.CustomWebhookNotificationBlock(
            name="ops", url=receiver.url, json_data={"subject": "{{subject}}", "body": "{{body}}"}
        )
        await block.save("on-call", overwrite=True)
        await system.Secret(value=receiver.url).save("on-call", overwrite=True)
        monkeypatch.delenv("MEDIASCRIBE_NOTIFY_URL")
        for name in ("custom-webhook/on-call", "secret/on-call"):
            monkeypatch.setenv("MEDIASCRIBE_NOTIFY_BLOCK", name)
            assert await hooks.send(NOTE) == []
        (_, by_block), (_, by_secret) = receiver.got
        assert [by_block["subject"], *by_block["body"].splitlines()] == list(NOTE.lines)
        assert by_secret["event"] == "failed"
        monkeypatch.setenv("MEDIASCRIBE_NOTIFY_BLOCK", "secret/there-is-none")
        assert await hooks.send(NOTE) == ["the note did not reach the block secret/there-is-none: ValueError"]


class TestTheTerminal:
    """Where a run prints may go away before it."""

    def test_what_nobody_reads_is_lost_without_a_word(self, monkeypatch):
        """A pipe whose reader is gone; what else a stream knows is still known."""
        reads, writes = os.pipe()
        os.close(reads)
        with suppress(BrokenPipeError), os.fdopen(writes, "w", buffering=1) as broken:
            monkeypatch.setattr(sys, "stderr", broken)
            said = terminal.console()
            said.print("a line")
            said.file.flush()
            assert said.file.fileno() == writes

    def test_broken_streams_are_muted_and_whole_ones_are_not(self):
        """So that what is printed later, by whomever, ends no run."""
        script = (
            "import os, sys\n"
            "from flows.terminal import mute_broken\n"
            "sys.stdin.read()\n"  # until the reader of stdout is gone
            "mute_broken()\n"
            "print('lost', flush=True)\n"
            "print('read', file=sys.stderr, flush=True)\n"
        )
        running = subprocess.Popen(
            [sys.executable, "-c", script],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=os.environ | {"PYTHONPATH": str(ROOT)},
            text=True,
        )
        running.stdout.close()
        running.stdout = None
        _, err = running.communicate("")
        assert (running.returncode, err) == (0, "read\n")
