"""A plan that another process draws up is the same plan, and its errors are the same errors."""

import json
import subprocess
import sys

import msgspec
import pytest

from mediascribe import inputs, plan
from mediascribe.errors import ConfigError, MediascribeError
from mediascribe.plan import apart

pytestmark = pytest.mark.wide

JOB = """
name = "t"
model = "gemini-2.0-flash"
output = "{folder}/out"
[manifest]
path = "{folder}/m.jsonl"
[gateway]
base_url = "sandbox"
[prompt]
text = "What is it, {{{{ title }}}}?"
"""


@pytest.fixture
def checked(tmp_path):
    """`checked(rows)`: the inputs of a job with so many rows, of which every third has no medium."""

    def _checked(rows):
        lines = [
            {"item_id": f"i{row}", "image_url": f"https://h/{row}.png" if row % 3 else "", "title": "t" * 80}
            for row in range(rows)
        ]
        (tmp_path / "m.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
        (tmp_path / "job.toml").write_text(JOB.format(folder=tmp_path))
        return inputs.check(str(tmp_path / "job.toml"))

    return _checked


def test_it_is_the_plan_that_this_process_would_make(checked, tmp_path):
    """The same counts, shards and rows, the problems of rows among them."""
    given = checked(9)
    order, facts = given.order(("new",), inputs.EVERYTHING), given.facts()
    made = []
    for draw_up in (plan.draw_up, apart.draw_up):
        folder = tmp_path / draw_up.__module__
        folder.mkdir()
        drawn = draw_up(given.items(), facts, order, given.store, folder)
        made.append((msgspec.structs.replace(drawn, path=""), [list(plan.read(shard)) for shard in drawn.shards]))
    assert made[0] == made[1]
    assert [due.item.problem is None for due in made[1][1][0]] == [row % 3 != 0 for row in range(9)]


def test_a_long_manifest_is_planned_apart(checked, monkeypatch):
    """From half a MiB on; and the plan is that of a run, so that a start after a kill finds it."""
    ran = []
    run = subprocess.run
    monkeypatch.setattr(apart.subprocess, "run", lambda command, **how: ran.append(command) or run(command, **how))
    assert checked(9).plan(("new",)).rows == 9
    assert not ran
    given = checked(5_000)
    made = given.plan(("new",))
    assert (made.rows, len(ran)) == (5_000, 1)
    assert [one.run_id for one in plan.unfinished(given.store)][-1] == made.run_id


def test_an_error_comes_over_as_what_it_is(checked, tmp_path):
    """A manifest that breaks off is the caller's to hear of, in the same words."""
    given = checked(9)
    items, order = given.items(), given.order(("new",), inputs.EVERYTHING)
    (tmp_path / "m.jsonl").unlink()
    with pytest.raises(ConfigError) as here:
        plan.draw_up(items, given.facts(), order, given.store, tmp_path)
    with pytest.raises(ConfigError) as there:
        apart.draw_up(items, given.facts(), order, given.store, tmp_path)
    assert str(there.value) == str(here.value)


def test_a_killed_planner_says_what_may_have_killed_it(checked, tmp_path, monkeypatch):
    """As the kernel does when memory runs out."""
    dying = tmp_path / "python"
    dying.write_text("#!/bin/sh\nkill -9 $$\n")
    dying.chmod(0o755)
    monkeypatch.setattr(apart.sys, "executable", str(dying))
    given = checked(9)
    with pytest.raises(MediascribeError, match="was killed, perhaps because this machine has too little memory"):
        apart.draw_up(given.items(), given.facts(), given.order(("new",), inputs.EVERYTHING), given.store, tmp_path)


def test_a_planner_ends_with_the_process_that_waits_for_it(tmp_path):
    """It draws nothing up for nobody: here its parent is gone before it looks."""
    order = tmp_path / "order"
    script = "import os, pickle, sys; sys.stdout.buffer.write(pickle.dumps((os.getpid(), None)))"
    order.write_bytes(subprocess.run([sys.executable, "-c", script], capture_output=True, check=True).stdout)
    with order.open("rb") as given:
        command = [sys.executable, "-m", "mediascribe.plan.apart"]
        done = subprocess.run(command, stdin=given, capture_output=True, check=True)
    assert (done.stdout, done.stderr) == (b"", b"")
