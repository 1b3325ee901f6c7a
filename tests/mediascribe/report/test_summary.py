"""The closing words: what came of it, what it cost, and what to type next."""

import io
from datetime import UTC, datetime

import pytest
from rich.console import Console

from mediascribe.report.summary import print_outcome, print_rows
from mediascribe.run import TOKEN_COLUMNS, ErrorGroup, Outcome, RunFile, Tally
from mediascribe.spending import Spent

RUN = "20261123T014500Z-3fa9c1"


def tally(**changes):
    fields = {
        "rows": 10,
        "by_status": {"ok": 9, "truncated": 0, "refused": 0, "failed": 1, "skipped": 0},
        "tokens": dict.fromkeys(TOKEN_COLUMNS, 0)
        | {"prompt_tokens": 2630, "prompt_text_tokens": 50, "prompt_image_tokens": 2580, "completion_tokens": 200},
        "cost_usd": 0.000343,
        "unpriced_rows": 0,
        "duplicates": 0,
        "parts": ["results/v1/date=2026-11-23/a.parquet"],
        "errors": [
            ErrorGroup(
                status="failed", error_class="media", error_code="404", rows=1, example="dead\x1b[2J link " + "x" * 300
            )
        ],
    }
    return Tally(**fields | changes)


def run_file(**changes):
    fields = {
        "run_id": RUN,
        "job": "demo",
        "model": "gemini-2.0-flash",
        "status": "completed",
        "stopped": None,
        "config_sha256": "c",
        "prompt_sha256": "p",
        "parameters_sha256": "q",
        "versions": {},
        "started_at": datetime(2026, 11, 23, 1, 45, tzinfo=UTC),
        "finished_at": datetime(2026, 11, 23, 1, 46, 5, tzinfo=UTC),
        "reasons": ("new",),
        "plan": {"new": 10},
        "rows_planned": 10,
        "wrote": tally(),
        "in_doubt": 0,
        "torn": [],
        "complete": True,
    }
    return RunFile(**fields | changes)


def said(**changes):
    fields = {
        "job": "my job.toml",
        "output": "data/out",
        "counts": {"new": 10},
        "reasons": ("new",),
        "recovered": [],
        "run": None,
    }
    console = Console(file=io.StringIO(), width=80)
    print_outcome(Outcome(**fields | changes), console)
    return console.file.getvalue().splitlines()


def test_a_run_is_told_in_a_screen():
    """Rows by status, tokens by kind, cost, time, place, and the next commands, in full lines."""
    lines = said(run=run_file())
    assert lines[0] == "rows      10 (9 ok, 1 failed)"
    assert lines[2:] == [
        "tokens    2,630 in (50 text, 2,580 image), 200 out",
        "cost      $0.000343 at list price, $0.0343 per 1,000 rows",
        "time      1:05",
        "results   data/out/results (1 Parquet part)",
        f"run file  data/out/runs/{RUN}.json",
        "1 row has failed; to ask again:  mediascribe backfill 'my job.toml' --reason failed",
        "next:  mediascribe cost data/out --by model,media_kind",
    ]


def test_what_went_wrong_is_shown_by_cause_and_cannot_act_on_the_terminal():
    """One line for each cause with an example, cut short, without control characters."""
    line = said(run=run_file())[1]
    assert line.startswith("          1 failed (media/404): dead [2J link xxx")
    assert line.endswith("…")
    assert "\x1b" not in line


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        (
            {"shared_rows": 1_234, "shared_saving_usd": 0.41},
            "          asked once: 1,234 rows have the answer of another, 0.4100 USD saved",
        ),
        ({"shared_rows": 1, "shared_saving_usd": None}, "          asked once: 1 row has the answer of another"),
    ],
)
def test_what_asking_once_saved_is_told(changes, line):
    """Below the cost; the saving only where it is known."""
    lines = said(run=run_file(wrote=tally(**changes)))
    assert lines[lines.index("cost      $0.000343 at list price, $0.0343 per 1,000 rows") + 1] == line


def test_many_causes_are_cut_short():
    """Eight causes, and how many more there are."""
    groups = [
        ErrorGroup(status="failed", error_class="media", error_code=str(n), rows=1, example=None) for n in range(11)
    ]
    lines = said(run=run_file(wrote=tally(errors=groups)))
    assert "          and 3 more causes, in the run file" in lines


def test_nothing_left_to_ask():
    """A finished manifest says so, and why."""
    assert said(counts={"done": 303})[0] == "nothing left to ask: every one of the 303 rows has its result in data/out"


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        ({"counts": {}}, "nothing to ask: the manifest has no rows"),
        (
            {"counts": {"done": 2}, "reasons": ("failed", "stale_model")},
            "nothing to ask: none of the 2 rows is failed or stale_model",
        ),
    ],
)
def test_other_reasons_for_nothing_to_ask(changes, line):
    """An empty manifest, and a backfill that finds nothing."""
    assert said(**changes)[0] == line


def test_stale_rows_are_left_alone_and_named():
    """Not a cent is spent on them without being told to; the command to do so is there."""
    lines = said(counts={"done": 1, "stale_prompt": 1_500, "failed": 2})
    again = "to ask again:  mediascribe backfill 'my job.toml' --reason"
    assert f"1,500 rows have an answer to another prompt; {again} stale_prompt" in lines
    assert f"2 rows have failed; {again} failed" in lines


def test_a_stopped_run_says_why_and_how_to_go_on():
    """The cause first, then what there is, then the command."""
    lines = said(run=run_file(stopped="the key is rejected", status="stopped", rows_planned=20, complete=False))
    assert lines[0] == "stopped before the end: the key is rejected"
    assert lines[1].startswith("rows      10 of 20 (")
    assert "to go on, once the cause is gone:  mediascribe run 'my job.toml'" in lines


def test_doubt_torn_tails_and_waste_are_told():
    """What may cost money without a row to show for it is never left out."""
    tokens = tally().tokens | {"wasted_tokens": 283}
    lines = said(run=run_file(in_doubt=3, torn=["j/1.jsonl: 12 bytes left out"], wrote=tally(tokens=tokens)))
    assert "in doubt  3 requests were sent and not answered: they may have been billed" in lines
    assert "journal   j/1.jsonl: 12 bytes left out" in lines
    assert "tokens    2,630 in (50 text, 2,580 image), 200 out, 283 wasted on answers not kept" in lines


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        ({"cost_usd": None}, "cost      none: nothing was billed"),
        (
            {"cost_usd": None, "unpriced_rows": 4},
            "cost      unknown: 4 rows have no price (add gemini-2.0-flash to configs/prices.toml)",
        ),
    ],
)
def test_a_cost_that_is_not_known_is_not_zero(changes, line):
    """Nothing billed, and no price, are two things."""
    assert line in said(run=run_file(wrote=tally(**changes)))


def test_a_recovered_run_is_told_first():
    """What a killed run had received is there, and what is in doubt."""
    killed = run_file(status="interrupted", in_doubt=2, wrote=tally(rows=7))
    assert said(recovered=[killed], counts={"done": 10})[0] == (
        f"recovered 7 answers of run {RUN}, which was interrupted; "
        "2 requests were sent and not answered: they may have been billed"
    )


def test_rows_are_shown_one_line_each():
    """The description, or the error; line breaks and escapes in a model's text cannot act on the terminal."""
    console = Console(file=io.StringIO(), width=80)
    rows = [
        {"item_id": "a", "status": "ok", "media_kind": "image", "description": "A\nred\x1b[31m square. " + "x" * 100},
        {
            "item_id": "b",
            "status": "skipped",
            "media_kind": None,
            "description": None,
            "error_message": "row 2: no media",
        },
    ]
    print_rows(rows, console)
    shown = console.file.getvalue().splitlines()
    assert shown == ["a  ok  image", "A red [31m square. " + "x" * 100, "b  skipped  no media", "row 2: no media"]


def test_no_rows_to_show():
    """An empty answer is said."""
    console = Console(file=io.StringIO(), width=80)
    print_rows([], console)
    assert console.file.getvalue() == "no such rows\n"


def test_a_recovered_runs_torn_tail_is_told():
    """What was cut off its journal stands below it."""
    lines = said(recovered=[run_file(torn=["j/1.jsonl: 12 bytes left out"])], counts={"done": 10})
    assert lines[1] == "journal   j/1.jsonl: 12 bytes left out"


@pytest.mark.parametrize(
    ("in_doubt_nano_usd", "doubt"), [(0, ""), (7_000, ", of it at most $0.000007 in doubt")], ids=["sure", "in doubt"]
)
def test_what_was_spent_on_no_row_is_told(in_doubt_nano_usd, doubt):
    """The day came to 0.000363 USD, and the rows to 0.000343."""
    spent = {"2026-11-23": Spent(nano_usd=363_000, in_doubt_nano_usd=in_doubt_nano_usd)}
    lines = said(run=run_file(spent=spent))
    assert f"          beside that $0.000020 for requests without a result{doubt}" in lines
