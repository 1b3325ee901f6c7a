"""A plan that was made to be looked at is no run, is run as it was made, and never asks twice."""

import dataclasses
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from flows.commands.planning import plan as planning_command
from mediascribe import plan, planning
from mediascribe.errors import ConfigError, OutputInUse
from mediascribe.inputs import check
from mediascribe.part import write_part
from mediascribe.plan import kept
from mediascribe.store import lease
from mediascribe.takedown import forget
from mediascribe.wanted import EVERYTHING

pytestmark = pytest.mark.wide

JOB = """
name = "demo"
model = "gemini-2.0-flash"
output = "out"
{more}
[manifest]
path = "m.jsonl"
[gateway]
base_url = "sandbox"
[prompt]
file = "prompt.md"
"""


@pytest.fixture
def job(tmp_path, monkeypatch):
    """`job(more="shard_rows = 2")`: a job with four rows, the last of which repeats an id."""
    monkeypatch.chdir(tmp_path)

    def _job(*, more=""):
        rows = [{"item_id": name, "image_url": f"https://h/{name}?sig=s3cret"} for name in ("a", "b", "c", "a")]
        manifest = Path("m.jsonl")
        if not manifest.exists():
            manifest.write_text("".join(json.dumps(row) + "\n" for row in rows))
            Path("prompt.md").write_text("What is it?")
        Path("job.toml").write_text(JOB.format(more=more))
        return check("job.toml", keyless=True)

    return _job


def made(inputs):
    return planning.make(inputs, inputs.order(("new",), EVERYTHING, examples=1))[0]


def begun(inputs, one):
    return kept.begin(one, inputs.facts(), inputs.store)


def answer(build, inputs, begun_plan, count):
    items = [item for shard in begun_plan.shards for item in plan.items(shard)][:count]
    records = [build.record(item=item, outcome=item.problem or build.completion()) for item in items]
    shard = build.shard(begun_plan.run_id, rows=len(records))
    write_part(inputs.store, begun_plan.facts, shard, records)


def ids(one):
    return [item.item_id for shard in one.shards for item in plan.items(shard)]


def test_a_kept_plan_is_no_killed_run(job):
    """The next start finds nothing to recover."""
    inputs = job()
    one = made(inputs)
    assert plan.unfinished(inputs.store) == []
    assert one.path.parent == inputs.store.work / "planned"
    assert kept.load(one.path) == one


def test_a_kept_plan_is_private(job):
    """It has the URLs whole."""
    one = made(job())
    assert Path(one.plan.path).stat().st_mode & 0o777 == 0o600
    assert one.path.parent.stat().st_mode & 0o777 == 0o700
    assert "s3cret" not in one.path.read_text()


def test_it_is_run_as_it_was_made(job):
    """The same rows, under the id of a run that begins now; a start finds it, should that be killed."""
    inputs = job()
    one = made(inputs)
    run = begun(inputs, one)
    assert ids(run) == ["a", "b", "c", "a#4"]
    assert run.run_id > one.plan.run_id
    assert [found.run_id for found in plan.unfinished(inputs.store)] == [run.run_id]


def test_what_got_a_result_since_is_left_out(job, build):
    """By any run, and by an earlier part of its own."""
    inputs = job()
    one = made(inputs)
    first = begun(inputs, one)
    answer(build, inputs, first, 1)
    plan.remove(first, inputs.store)
    second = begun(inputs, one)
    assert ids(second) == ["b", "c", "a#4"]
    answer(build, inputs, second, 3)
    assert begun(inputs, one).rows == 0


def test_results_from_before_are_no_reason_to_leave_out(job, build):
    """A stale row has an old answer, which is why it is asked."""
    inputs = job()
    first = begun(inputs, made(inputs))
    answer(build, inputs, first, 4)
    plan.remove(first, inputs.store)
    Path("prompt.md").write_text("What else?")
    inputs = job()
    one, _ = planning.make(inputs, inputs.order(("stale_prompt",), EVERYTHING))
    assert ids(begun(inputs, one)) == ["a", "b", "c"]


def test_shards_are_cut_anew(job, build):
    """Three rows are left of four: shards of two and one, without a gap."""
    inputs = job(more="shard_rows = 2")
    one = made(inputs)
    first = begun(inputs, one)
    answer(build, inputs, first, 1)
    run = begun(inputs, one)
    assert [[item.item_id for item in plan.items(shard)] for shard in run.shards] == [["b", "c"], ["a#4"]]


def test_a_takedown_takes_kept_plans_with_it(job):
    """They hold ids and URLs: after it there is nothing of them left, and a new plan leaves the item out."""
    inputs = job()
    made(inputs)
    forget(inputs.store, ["a"], datetime.now(UTC))
    assert not (inputs.store.work / "planned").exists()
    assert ids(begun(inputs, made(inputs))) == ["b", "c"]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda: Path("prompt.md").write_text("What else?"), "the prompt was changed"),
        (
            lambda: Path("m.jsonl").write_text('{"item_id": "z", "image_url": "https://h/z"}\n'),
            "the manifest was changed",
        ),
    ],
)
def test_a_plan_of_something_else_is_refused(job, change, said):
    """The message says what was changed, and how to go on."""
    one = made(job())
    change()
    with pytest.raises(
        ConfigError, match=rf"{said} since this plan was made; make a new one: mediascribe plan job.toml"
    ):
        kept.check(one, job())


def test_a_changed_question_is_refused(job):
    """Another parameter is another question."""
    one = made(job())
    with pytest.raises(ConfigError, match="the job file was changed since"):
        kept.check(one, job(more="parameters = { temperature = 0.5 }"))


def test_limits_budget_and_retries_may_change(job):
    """They say how fast and how far, and not what is asked."""
    one = made(job())
    kept.check(one, job())
    kept.check(one, job(more="limits = { concurrency = 3 }\nbudget = { usd = 1 }\nretry = { attempts = 2 }"))


def test_another_dialect_is_refused(job):
    """The model table may say so, with no line of the job changed."""
    inputs = job()
    one = made(inputs)
    with pytest.raises(ConfigError, match="the model table was changed"):
        kept.check(one, dataclasses.replace(inputs, dialect="generate_content"))


def test_a_plan_that_is_gone_is_named(tmp_path):
    """It has run to its end, or never was."""
    with pytest.raises(ConfigError, match="there is no such plan: it has run to its end"):
        kept.load(tmp_path / "x.json")


def test_a_file_that_is_no_plan_is_named(tmp_path):
    """Any other JSON."""
    (tmp_path / "x.json").write_text("{}")
    with pytest.raises(ConfigError, match="is no plan"):
        kept.load(tmp_path / "x.json")


def test_a_plan_that_ran_is_removed(job):
    """Rows and file."""
    one = made(job())
    kept.remove(one)
    assert list(one.path.parent.iterdir()) == []


def test_plans_and_jobs_are_told_apart_by_name():
    """A plan ends in .json, a job in .toml."""
    assert kept.is_kept("out/_work/planned/x.json")
    assert not kept.is_kept("job.toml")


def test_a_killed_run_is_recovered_before_a_plan_is_made(job):
    """What it had received is not asked again; its plan is closed."""
    inputs = job()
    inputs.plan(("new",))
    one, recovered = planning.make(inputs, inputs.order(("new",), EVERYTHING))
    assert [(run.status, run.wrote.rows) for run in recovered] == [("interrupted", 0)]
    assert plan.unfinished(inputs.store) == []
    assert one.plan.rows == 4


def test_no_plan_is_made_beside_a_run(job):
    """It would plan what the run is asking just now."""
    inputs = job()
    with lease(inputs.store, holder="a run"), pytest.raises(OutputInUse):
        made(inputs)


@pytest.fixture
def aged(job):
    """`aged(days)`: a kept plan of a job, made that many days ago."""

    def _aged(days):
        one = made(job())
        then = f"{datetime.now(UTC) - timedelta(days=days):%Y%m%dT%H%M%SZ}"
        files = [one.path, Path(one.plan.path)]
        return [path.rename(path.with_name(then + path.name[16:])) for path in files]

    return _aged


@pytest.mark.parametrize(("days", "cleared"), [(29, 0), (31, 1)])
def test_a_plan_that_nobody_runs_goes_after_thirty_days(aged, job, days, cleared):
    """With its URLs, when the next one is made; the new one stays, and its file says nothing of it."""
    files = aged(days)
    one = made(job())
    assert one.cleared == cleared
    assert [path.exists() for path in files] == [not cleared] * 2
    assert (one.path.exists(), Path(one.plan.path).exists(), kept.load(one.path).cleared) == (True, True, 0)


def test_what_a_killed_planner_left_goes_too(aged, job):
    """Rows without the file that names them are a plan as well; what is no plan stays."""
    named, rows = aged(40)
    named.unlink()
    notes = rows.with_name("00-notes.txt")
    notes.write_text("")
    assert made(job()).cleared == 1
    assert (rows.exists(), notes.exists()) == (False, True)


def test_the_command_says_what_it_removed_and_what_is_asked_once(aged, capsys):
    """Beside the plan; of the rows one has the URL of another."""
    aged(31)
    row = json.dumps({"item_id": "same", "image_url": "https://h/a?sig=other"})
    with Path("m.jsonl").open("a") as manifest:
        manifest.write(f"{row}\n")
    assert planning_command(Path("job.toml")) == 0
    said = capsys.readouterr()
    assert "removed 1 plan that nobody has run to the end for 30 days" in said.err
    assert "asked once: 1 row gets the answer of another, at no cost" in said.out
