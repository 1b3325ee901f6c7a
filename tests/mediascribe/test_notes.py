"""Notes: five lines that say which job, what came of it, for how much, why, and what to do next."""

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import pytest

from mediascribe.forecast import Duration, Expectation, Range
from mediascribe.report.notes import (
    Alarms,
    Note,
    at_the_end,
    cancelled,
    ending,
    forecast_line,
    on_the_way,
    resume_command,
    to_json,
    to_slack,
)
from mediascribe.report.standing import Standing
from mediascribe.run import TOKEN_COLUMNS, ErrorGroup, Outcome, RunFile, Tally
from mediascribe.spending import Spent

NOW = datetime(2026, 11, 23, 5, 0, tzinfo=UTC)
BY_STATUS = {"ok": 9_950, "truncated": 0, "refused": 0, "failed": 50, "skipped": 0}
ERRORS = [
    ErrorGroup(status="failed", error_class="media", error_code="404", rows=50, example="gone:\nhttp://h/a?sig=x")
]


def run_file(*, rows=10_000, planned=10_000, unpriced=0, by_status=BY_STATUS, errors=ERRORS, **changes):
    wrote = Tally(
        rows=rows,
        by_status=by_status,
        tokens=dict.fromkeys(TOKEN_COLUMNS, 0),
        cost_usd=3.0,
        unpriced_rows=unpriced,
        duplicates=0,
        parts=["results/v1/date=2026-11-23/a.parquet"],
        errors=errors,
    )
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
        "started_at": NOW,
        "finished_at": NOW + timedelta(minutes=3),
        "reasons": ("new",),
        "plan": {"new": planned},
        "rows_planned": planned,
        "wrote": wrote,
        "in_doubt": 0,
        "torn": [],
        "complete": rows == planned,
        "spent": {"2026-11-22": Spent(nano_usd=10**9), "2026-11-23": Spent(nano_usd=2 * 10**9)},
    }
    return RunFile(**fields | changes)


def outcome(run, *, reasons=("new",)):
    counts = {"new": 10_000, "done": 5}
    return Outcome(job="my job.toml", output="data/out", counts=counts, reasons=reasons, recovered=[], run=run)


def told(run, *problems, budget=None, reasons=("new",)):
    what = outcome(run, reasons=reasons)
    return at_the_end(what, ending(what, problems), job="nightly", budget=budget)


def standing(**changes):
    fields = {
        "job": "nightly",
        "run_id": "r1",
        "total": 1_000,
        "by_status": {"ok": 390, "failed": 10},
        "failures": {},
        "watched_s": 60.0,
        "rows_per_s": 1.0,
        "most_rows_per_s": None,
        "quota_share": None,
        "requests_per_minute": None,
        "tokens": 0,
        "nano_usd": 4 * 10**9,
        "unpriced": 0,
        "budget": None,
        "budget_share": None,
        "bound_by": None,
        "waits_for": None,
    }
    return Standing(**fields | changes)


def test_a_run_whose_rows_failed_is_completed():
    """A failure is a row; the lines say how many, why, and how to look at them."""
    assert ending(outcome(run_file())) == ("Completed", "Completed: 9,950 ok, 50 failed")
    note = told(run_file(), budget="60 % of budget.usd")
    assert note.event == "completed"
    assert note.lines == (
        "nightly: Completed",
        "rows: 10,000 done of 10,000, 50 failed",
        "spent: 3.0000 USD, 60 % of budget.usd",
        "why: 50 failed (media/404), such as: gone: http://h/a?sig=REDACTED",
        "next: mediascribe errors data/out; results: data/out/results",
    )


def test_a_run_without_failures_says_where_the_results_are():
    """And nothing else is to be done."""
    note = told(run_file(by_status={"ok": 10_000}, errors=[]))
    assert note.lines[3:] == ("why: every row has an answer", "next: results: data/out/results")


def test_a_run_with_nothing_to_ask_is_completed():
    """It says how many rows there are."""
    assert ending(outcome(None)) == ("Completed", "Completed: nothing to ask, of 10,005 rows")
    note = told(None)
    assert note.lines[1:4] == ("rows: 0 done of 0, 0 failed", "spent: nothing", "why: nothing to ask, of 10,005 rows")


@pytest.mark.parametrize(
    ("status", "stopped", "name"),
    [
        ("interrupted", "interrupted by SIGTERM", "Interrupted"),
        ("stopped", "the key was rejected: renew it", "Stopped"),
        ("stopped", "the disk is full", "Stopped"),
    ],
)
def test_a_run_that_stopped_has_a_name_the_reason_and_the_way_on(status, stopped, name):
    """All of it in one message."""
    run = run_file(rows=40, by_status={"ok": 40}, status=status, stopped=stopped)
    said = ending(outcome(run))
    assert said == (name, f"{name}: {stopped}; 40 ok; to go on: mediascribe run 'my job.toml'")
    note = told(run)
    assert (note.event, note.state) == ("failed", name)
    assert note.lines[3:] == (f"why: {stopped}", "next: mediascribe run 'my job.toml'")


def test_a_spent_budget_has_a_name_of_its_own():
    """A run that a cap has stopped is no run that failed."""
    run = run_file(rows=40, status="stopped", stopped="the budget is spent", over_budget=True)
    assert ending(outcome(run)).name == "OverBudget"


def test_a_run_that_is_not_whole_is_incomplete():
    """Whatever else it says; the first problems are named, and what shows all of them."""
    name, message = ending(outcome(run_file()), ["a is torn", "b", "c", "d", "e"])
    assert name == "Incomplete"
    assert message.startswith("Incomplete: a is torn; b; c; and 2 more; 9,950 ok, 50 failed; ")
    assert message.endswith("mediascribe verify data/out")
    assert told(run_file(), "a is torn").lines[4] == "next: mediascribe verify data/out"
    assert "a is torn" in told(run_file(stopped="also stopped"), "a is torn").lines[3]


def test_a_run_with_rows_missing_is_incomplete():
    """Without any word of why it ended."""
    name, message = ending(outcome(run_file(rows=9, by_status={"ok": 9})))
    assert (name, message[:53]) == ("Incomplete", "Incomplete: 9 of 10,000 planned rows have a result; 9")


def test_a_backfill_goes_on_as_a_backfill():
    """With its reasons, which `run` would not ask."""
    run = run_file(rows=0, by_status={}, errors=[], status="stopped", stopped="so")
    note = told(run, reasons=("failed", "stale_model"))
    assert note.next_step == "mediascribe backfill 'my job.toml' --reason failed --reason stale_model"
    assert ending(outcome(run)).message.startswith("Stopped: so; no rows; to go on")
    assert resume_command("a.toml", ["new"]) == "mediascribe run a.toml"


def test_money_that_is_not_known_is_not_nothing():
    """Rows without a price are named, and so is what is in doubt."""
    assert told(run_file(unpriced=7)).spent == "unknown: 7 rows without a price"
    doubtful = {"2026-11-23": Spent(nano_usd=10**9, in_doubt_nano_usd=10**8)}
    assert told(run_file(spent=doubtful)).spent == "1.0000 USD, of it at most 0.1000 in doubt"


def test_a_failure_that_said_nothing_is_told_all_the_same():
    """Refused rows have neither code nor message."""
    errors = [ErrorGroup(status="refused", error_class=None, error_code=None, rows=2, example=None)]
    assert told(run_file(errors=errors)).reason == "2 refused (), such as: nothing was said"


NOTE = Note(
    event="failed",
    job="nightly",
    state="Stopped",
    done=None,
    failed=None,
    total=None,
    spent="?",
    reason="<b>&\x1b[2J Bearer sk-abcdefghijkl at https://h/x?token=abc " + "y" * 500,
    next_step="go on",
)


def test_a_note_is_five_lines_without_secrets():
    """Of a length that a telephone shows, free of what a terminal would act on."""
    assert len(NOTE.lines) == 5
    assert all(line.isprintable() and len(line) <= 300 for line in NOTE.lines)
    assert "sk-abc" not in "".join(NOTE.lines)
    assert "token=abc" not in "".join(NOTE.lines)
    assert NOTE.lines[1] == "rows: nobody counted them; every answer that was received is kept"
    assert replace(NOTE, done=3).lines[1] == "rows: 3 done, 0 failed"


def test_a_note_as_json_has_each_fact_and_the_text():
    """What a program wants, and what a person does."""
    facts = to_json(told(run_file()))
    assert json.loads(json.dumps(facts)) == facts
    assert facts["text"].splitlines() == list(told(run_file()).lines)
    assert {key: facts[key] for key in ("event", "job", "state", "done", "failed", "total", "spent")} == {
        "event": "completed",
        "job": "nightly",
        "state": "Completed",
        "done": 10_000,
        "failed": 50,
        "total": 10_000,
        "spent": "3.0000 USD",
    }
    assert "sig=x" not in json.dumps(facts)


def test_a_note_for_slack_is_a_text_with_its_three_letters_escaped():
    """The first line is bold; nothing in it can be a link or a mention."""
    text = to_slack(NOTE)["text"]
    assert text.startswith("*nightly: Stopped*\nrows: ")
    assert "why: &lt;b&gt;&amp;" in text
    assert len(text.splitlines()) == 5


def test_a_cancelled_run_says_so():
    """The rest is as it was."""
    assert cancelled(NOTE).lines == ("nightly: Cancelled", *NOTE.lines[1:])
    assert cancelled(NOTE).event == "cancelled"


def test_a_budget_is_told_at_80_and_at_100_percent_once_each():
    """Also where it is passed in one step: then only the last."""
    alarms = Alarms()
    shares = [None, 0.79, 0.81, 0.85, 1.0, 1.0]
    looks = [alarms.due(standing(budget="x % of budget.usd", budget_share=share), NOW) for share in shares]
    assert [[alarm.state for alarm in look] for look in looks] == [
        [],
        [],
        ["80% of the budget is spent"],
        [],
        ["100% of the budget is spent"],
        [],
    ]
    assert [alarm.state for alarm in Alarms().due(standing(budget_share=1.2), NOW)] == ["100% of the budget is spent"]


def test_a_deadline_is_told_when_it_is_likely_and_when_it_is_certain_to_be_missed():
    """Once each, with what bounds the run; nothing more after it is certain."""
    alarms = Alarms(deadline_at=NOW + timedelta(seconds=500))
    slow, quota = standing(bound_by="quota"), standing(most_rows_per_s=1.1)  # 600 rows are left
    looks = [alarms.due(one, NOW) for one in (standing(rows_per_s=2.0), slow, slow, quota, slow)]
    assert [[alarm.state for alarm in look] for look in looks] == [
        [],
        ["will probably miss its deadline"],
        [],
        ["misses its deadline"],
        [],
    ]
    assert looks[1][0].reason.endswith("; bound by: quota")
    assert looks[3][0].reason.endswith("; bound by: nothing that is known")
    assert Alarms().due(slow, NOW) == []


def test_a_note_on_the_way_has_the_rows_and_the_money_so_far():
    """And what to do if it is to be stopped."""
    (alarm,) = Alarms().due(standing(budget="85 % of budget.usd", budget_share=0.85), NOW)
    note = on_the_way(alarm, standing(budget="85 % of budget.usd"), "it goes on")
    assert note.lines == (
        "nightly: 80% of the budget is spent",
        "rows: 400 done of 1,000, 10 failed",
        "spent: 4.0000 USD, 85 % of budget.usd",
        "why: 85 % of budget.usd at 400 of 1,000 rows (40%)",
        "next: it goes on",
    )


def test_a_forecast_is_a_line():
    """Tokens, money and time, or that it is not known."""
    tokens = Range(low=1_000.4, expected=2_000, high=3_000)
    dear = Expectation(
        tokens=tokens,
        usd=Range(low=0.12345, expected=0.2, high=1.0),
        duration=Duration(hours=1.5, bound_by="requests_per_minute"),
    )
    found = SimpleNamespace(total=SimpleNamespace(as_it_is=dear))
    assert forecast_line(found) == "1,000 to 3,000 tokens, 0.1235 to 1.0000 USD, 1:30:00 (requests_per_minute)"
    found.total.as_it_is = Expectation(tokens=tokens, usd=None, duration=None)
    assert forecast_line(found) == "1,000 to 3,000 tokens, price unknown"
