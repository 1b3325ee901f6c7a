"""The commands that look after results: what they print, and their exit status."""

from __future__ import annotations

import json

import pytest

from flows.commands import keeping
from mediascribe.dataset import write_run
from mediascribe.domain import STATUSES
from mediascribe.errors import ConfigError

pytestmark = pytest.mark.wide

RUN = "20261120T010000Z-000001aaaa"


def parts(store):
    """Every part that lies there, replaced or not."""
    return [name for name in store.list("results/v1/") if name.endswith(".parquet")]


@pytest.fixture
def output(store, build, publish):
    """One closed run in two parts: a went well, b failed."""
    publish([build.record("a", 1)], run_id=RUN)
    publish([build.record("b", 2, outcome=build.failure())], run_id=RUN, number=1)
    by_status = dict.fromkeys(STATUSES, 0) | {"ok": 1, "failed": 1}
    write_run(store, RUN, {"wrote": {"by_status": by_status, "duplicates": 0}})
    return store


def test_verify_says_what_it_found(output, capsys):
    """0 and "verified", or 1 and a line for each defect."""
    assert keeping.verify(str(output.root)) == 0
    assert capsys.readouterr().out == "2 rows of 1 runs in 2 parts: 1 ok, 1 failed\nverified\n"
    output.remove(parts(output)[0])
    assert keeping.verify(str(output.root)) == 1
    assert f"defect: run {RUN} wrote 2 rows" in capsys.readouterr().out
    assert keeping.verify(str(output.root), json=True) == 1
    assert json.loads(capsys.readouterr().out)["ok"] is False


def test_errors_are_grouped(output, capsys):
    """A table for people, a list for programs; failures are results, and no error of the command."""
    assert keeping.errors(str(output.root)) == 0
    assert "to ask them again" in capsys.readouterr().out
    assert keeping.errors(str(output.root), run=RUN, json=True) == 0
    assert [group["item_id"] for group in json.loads(capsys.readouterr().out)] == ["b"]


def test_compact_merges_the_parts_of_past_days(output, capsys):
    """It says how many became how many, and the second time that nothing is left to merge."""
    assert keeping.compact(str(output.root)) == 0
    assert capsys.readouterr().out == "merged 2 parts into 1: 2 rows\n"
    assert keeping.compact(str(output.root)) == 0
    assert capsys.readouterr().out == "nothing to merge\n"
    assert keeping.compact(str(output.root), json=True) == 0
    assert json.loads(capsys.readouterr().out)["merged"] == {}


def test_compact_names_what_it_left_alone(output, capsys):
    """A damaged part is a reason for status 1, and leftovers of a killed compaction are told."""
    first = parts(output)[0]
    content = output.read(first)
    keeping.compact(str(output.root))
    output.path(first).write_bytes(content)
    assert keeping.compact(str(output.root)) == 0
    assert "removed 1 parts that an earlier compaction had replaced" in capsys.readouterr().out
    output.path(first).write_bytes(b"PAR1")
    output.path(parts(output)[1]).unlink()
    assert keeping.compact(str(output.root)) == 1
    assert f"left alone: {first} cannot be read" in capsys.readouterr().out


def test_days_are_left_alone_as_long_as_asked(output):
    """Words that say no time, and a size that is none, are refused."""
    assert keeping.compact(str(output.root), older_than="5000w") == 0
    assert len(parts(output)) == 2
    with pytest.raises(ConfigError, match="--older-than 1x: write a number and h, d or w"):
        keeping.compact(str(output.root), older_than="1x")
    with pytest.raises(ConfigError, match="--target-mb 0"):
        keeping.compact(str(output.root), target_mb=0)


def test_forget_shows_first_and_removes_with_yes(output, tmp_path, capsys):
    """Without --yes nothing changes, and the status says so; unknown ids are listed."""
    ids = tmp_path / "ids.txt"
    ids.write_text("\n".join(["b", *(f"x{number}" for number in range(22))]))
    assert keeping.forget(str(output.root), ids=ids) == 2
    shown = capsys.readouterr()
    assert "would remove 1 rows of 1 runs in 1 parts" in shown.out
    assert "unknown here: x0" in shown.out
    assert "and 2 more unknown ids" in shown.out
    assert "say --yes" in shown.err
    assert len(parts(output)) == 2
    assert keeping.forget(str(output.root), ids=ids, yes=True, json=True) == 0
    assert json.loads(capsys.readouterr().out)["receipt"]["complete"] is True
    assert len(parts(output)) == 1
    assert keeping.verify(str(output.root)) == 0


def test_a_mistyped_output_is_refused_and_not_created(tmp_path):
    """A command that changes an output makes none."""
    with pytest.raises(ConfigError, match="no results in"):
        keeping.compact(str(tmp_path / "outt"))
    assert list(tmp_path.iterdir()) == []
