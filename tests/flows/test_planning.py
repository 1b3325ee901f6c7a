"""Planning from a shell: what would be asked, and why; a plan that is run as it was made; a backfill within means."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from cyclopts import App

import flows.__main__ as command_line
from flows.commands import planning
from mediascribe import dataset
from mediascribe.sandbox import Behaviour, Fault

pytestmark = pytest.mark.wide


@pytest.fixture
def planner(cli, monkeypatch):
    """The command line with the commands of `planning`."""
    app = App(name="mediascribe", exit_on_error=False, print_error=False)
    for command in (planning.plan, planning.run, planning.backfill):
        app.command(command)
    monkeypatch.setattr(command_line, "app", app)
    return cli


def planned(cli, *words):
    ended = cli("plan", *words, "--json")
    assert ended.status == 0, ended
    return json.loads(ended.out)


def current(cli):
    return {row["item_id"]: row for row in dataset.current(cli.folder / "out").to_pylist()}


def test_a_plan_sends_nothing_and_says_what_would_be(planner, job, gateway):
    """Rows, tokens, money, time, examples, and what to type next; no key is needed."""
    ended = planner("plan", job(rows=20, more="[limits]\nrequests_per_minute = 60\n"), "--explain", "2", key=None)
    assert ended.status == 0, ended
    assert gateway.ledger() == []
    assert "20 rows: media a guess; `mediascribe plan JOB --pilot 50` asks a few rows first" in ended.out
    assert "row 2  i0001  new" in ended.out
    assert "0:20" in ended.out
    assert "to ask exactly these rows:  mediascribe run out/_work/planned/" in ended.out
    assert not (planner.folder / "out/results").exists()


def test_a_plan_is_run_exactly(planner, job, gateway):
    """Five of twenty rows, and no others; afterwards the plan is gone, and says so."""
    path = planned(planner, job(rows=20), "--sample", "5")["plan"]
    assert len(gateway.ledger()) == 0
    ended = planner("run", path)
    assert ended.status == 0, ended
    assert len(gateway.ledger()) == len(current(planner)) == 5
    again = planner("run", path)
    assert again.status == 2
    assert "there is no such plan: it has run to its end" in again.err


def test_rows_that_were_answered_since_are_left_out(planner, job, gateway):
    """Nothing is paid for twice: a plan of 20 rows asks the 15 that another run did not."""
    path = planned(planner, job(rows=20))["plan"]
    assert planner("run", planned(planner, "job.toml", "--limit", "5")["plan"]).status == 0
    ended = planner("run", path)
    assert ended.status == 0, ended
    assert len(gateway.ledger()) == len(current(planner)) == 20
    assert dataset.history(planner.folder / "out").num_rows == 20


def test_a_changed_manifest_or_job_is_refused(planner, job, gateway):
    """Exit 2, nothing is sent, and the message says what was changed."""
    path = planned(planner, job(rows=5))["plan"]
    manifest = planner.folder / "m.csv"
    manifest.write_text(manifest.read_text() + "z,https://h/z.png\n")
    ended = planner("run", path)
    assert (ended.status, gateway.ledger()) == (2, [])
    assert "the manifest was changed since this plan was made; make a new one: mediascribe plan job.toml" in ended.err


def test_a_plan_whose_run_is_cut_goes_on(planner, job, gateway):
    """Interrupted after some rows, the same command asks the rest, and nothing twice."""
    gateway.behave("*", Behaviour(latency_s=0.2))
    path = planned(planner, job(rows=30, more="[limits]\nconcurrency = 4\n"), "--limit", "20")["plan"]
    script = planner.folder / "run_plan.py"
    script.write_text("import sys\nfrom flows.commands.planning import run\nsys.exit(run(sys.argv[1]))\n")
    running = start(planner, script, path)
    until(lambda: sum(entry.finished for entry in gateway.ledger()) >= 6)
    os.kill(running.pid, signal.SIGTERM)
    _, err = running.communicate(timeout=60)
    assert running.returncode == 130, err
    assert f"to go on with the rest of this plan:  mediascribe run {path}" in err
    ended = planner("run", path)
    assert ended.status == 0, ended
    assert len(gateway.ledger()) == len(current(planner)) == 20


def test_a_pilot_is_asked_and_narrows_the_forecast(planner, job):
    """Ten rows are really asked and done; what is left weighs as they did, and the interval shrinks to it."""
    before = planned(planner, job(rows=100))["forecast"]["total"]["as_it_is"]["tokens"]
    found = planned(planner, "job.toml", "--pilot", "10")
    after = found["forecast"]["total"]["as_it_is"]["tokens"]
    assert (found["pilot"]["wrote"]["rows"], found["rows"], len(current(planner))) == (10, 90, 10)
    assert found["forecast"]["basis"] == {"learned": 90}
    assert after["high"] / after["low"] < before["high"] / before["low"] / 2
    assert planner("run", found["plan"]).status == 0
    rows = dataset.history(planner.folder / "out", ["run_id", "total_tokens"]).to_pylist()
    first = min(row["run_id"] for row in rows)
    true = sum(row["total_tokens"] for row in rows if row["run_id"] != first)
    assert after["low"] <= true <= after["high"], (after, true)


def test_a_pilot_is_shown_beside_the_table(planner, job):
    """What it asked, and what that cost."""
    ended = planner("plan", job(rows=12), "--pilot", "4", "--what-if", "max_tokens=10", "--what-if", "model=gpt-4o")
    assert ended.status == 0, ended
    assert "pilot: 4 rows asked, cost $" in ended.out
    assert "what if 1: max_tokens=10" in ended.out
    assert "what if 2: model=gpt-4o" in ended.out


def test_nothing_to_ask_leaves_no_plan(planner, job):
    """There is nothing that could be run."""
    found = planner("plan", job(rows=2), "--reason", "failed")
    assert found.status == 0, found
    assert "not asked: 2 new" in found.out
    assert list((planner.folder / "out/_work/planned").iterdir()) == []


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--what-if", "modle=x"], "did you mean `model`?"),
        (["--pilot", "0"], "--pilot 0: wants a number of rows"),
        (["--limit", "0"], "--limit 0: wants a number of rows"),
        (["--since", "yesterday"], "--since yesterday: write a day"),
        (["--where", "nothing = 1"], "there is no column `nothing`"),
    ],
)
def test_a_wrong_option_is_exit_2(planner, job, words, said):
    """Before anything is planned."""
    ended = planner("plan", job(rows=1), *words)
    assert ended.status == 2
    assert said in ended.err


def test_failed_rows_are_asked_by_class(planner, job, gateway):
    """`--error-class` takes rows that failed so, and those only."""
    gateway.behave("*", Behaviour(faults=(Fault("bad_status", rate=1.0),)))
    planner("run", job(rows=4, more="[retry]\nattempts = 1\n"))
    gateway.behave("*", Behaviour())
    classes = {row["error_class"] for row in current(planner).values()}
    assert len(classes) == 1
    found = planned(planner, "job.toml", "--error-class", *classes)
    assert (found["rows"], found["failed"]) == (4, {classes.pop(): 4})
    other = planner("backfill", "job.toml", "--reason", "failed", "--error-class", "safety")
    assert other.status == 0, other
    assert "nothing to ask" in other.out
    assert planner("backfill", "job.toml", "--reason", "failed").status == 0
    assert {row["status"] for row in current(planner).values()} == {"ok"}


def test_a_backfill_has_its_own_budget_and_share(planner, job, gateway):
    """It stops at its own cap, whatever the job allows; a wrong share is refused."""
    ended = planner("backfill", job(rows=20), "--budget-tokens", "5000", "--share", "0.5")
    assert ended.status == 1, ended
    assert "the budget is spent: budget.tokens is 5,000 tokens" in ended.out
    assert len(gateway.ledger()) < 20
    assert planner("backfill", "job.toml", "--share", "2").status == 2


def test_a_failed_backfill_hides_no_good_answer(planner, job, gateway):
    """Every row is asked again and fails: the old answers stay current, and stay due for the same reason."""
    path = job(rows=4, more="[retry]\nattempts = 1\n")  # five failures would be an outage, which is waited for
    assert planner("run", path).status == 0
    text = Path(path).read_text().replace("What is it?", "What else?")
    Path(path).write_text(text)
    gateway.behave("*", Behaviour(faults=(Fault("bad_status", rate=1.0),)))
    ended = planner("backfill", path, "--reason", "stale_prompt")
    assert ended.status == 0, ended
    assert dataset.history(planner.folder / "out").num_rows == 8
    assert {row["status"] for row in current(planner).values()} == {"ok"}
    assert planned(planner, path, "--reason", "stale_prompt")["counts"] == {"stale_prompt": 4}


def test_a_backfill_is_a_readable_form(prefect):
    """Prefect's UI shows what every parameter is for, and the members of rows and means with their titles."""
    from flows.backfill import backfill  # noqa: PLC0415 - Prefect reads its settings when it is imported

    form = backfill.parameters
    assert all(one["description"] for one in form.properties.values())
    assert form.properties["means"]["description"] == "A budget of its own, and its share of the quota."
    assert {"Condition", "Sample", "Classes of failure"} <= titles(form.definitions["Wanted"])
    assert titles(form.definitions["Means"]) == {"Budget", "Share of the quota"}


def titles(definition):
    return {one["title"] for one in definition["properties"].values()}


def start(cli, script, *words):
    """A process of its own, as `Cli.start` starts the command line."""
    environment = os.environ | cli.prefect | {"PYTHONPATH": str(Path(__file__).parents[2])}
    return subprocess.Popen(
        [sys.executable, str(script), *words],
        cwd=cli.folder,
        env=environment | {"MEDIASCRIBE_API_KEY": "sk-canary0123456789abcdef"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def until(condition):
    for _ in range(3000):
        if condition():
            return
        time.sleep(0.02)
    pytest.fail("waited in vain")
