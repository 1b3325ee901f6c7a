"""Notes: the five lines that a person gets about a run when it ended, or when something should be known before.

Which job, and how it stands; rows; money; why; what to do next. As plain JSON, or as Slack and its likenesses take it.
"""

from __future__ import annotations

import shlex
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple

from mediascribe import deadline
from mediascribe.redact import redact_text
from mediascribe.report.formats import usd
from mediascribe.report.progress import clock_time
from mediascribe.report.standing import headline
from mediascribe.report.summary import printable

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from mediascribe.forecast import Forecast
    from mediascribe.report.standing import Standing
    from mediascribe.run import Outcome, RunFile

Event = Literal["completed", "failed", "crashed", "cancelled", "budget", "deadline"]

WARN_AT: Final = (0.8, 1.0)
"""Shares of a budget at which a run says so."""
_LINE_LENGTH: Final = 300
# As `caps` says it: a shard reports in words only why it stopped.


@dataclass(frozen=True, slots=True, kw_only=True)
class Note:
    """A message of five lines. Of the rows, None means that nobody knows."""

    event: Event
    job: str
    state: str
    done: int | None
    failed: int | None
    total: int | None
    spent: str
    reason: str
    next_step: str

    @property
    def lines(self) -> tuple[str, str, str, str, str]:
        """The message; no secret is in it, and each line is one."""
        return (
            _line(f"{self.job}: {self.state}"),
            _line(f"rows: {self._rows()}"),
            _line(f"spent: {self.spent}"),
            _line(f"why: {self.reason}"),
            _line(f"next: {self.next_step}"),
        )

    def _rows(self) -> str:
        if self.done is None:
            return "nobody counted them; every answer that was received is kept"
        of_total = "" if self.total is None else f" of {self.total:,}"
        return f"{self.done:,} done{of_total}, {self.failed or 0:,} failed"


class Ending(NamedTuple):
    """How a run ended: the name of its state, and what is said beside it."""

    name: Literal["Completed", "Stopped", "OverBudget", "Interrupted", "Incomplete"]
    message: str


class Alarm(NamedTuple):
    """Something that should be known before a run ends."""

    event: Event
    state: str
    reason: str


@dataclass(slots=True, kw_only=True)
class Alarms:
    """What of a run was worth a message so far: each thing is told once. `deadline_at` is when it has to be done."""

    deadline_at: datetime | None = None
    _told: set[object] = field(default_factory=set)

    def due(self, standing: Standing, now: datetime) -> list[Alarm]:
        """What became worth a message by *now*."""
        return [alarm for alarm in (self._budget(standing), self._deadline(standing, now)) if alarm]

    def _budget(self, standing: Standing) -> Alarm | None:
        passed = [share for share in WARN_AT if standing.budget_share is not None and standing.budget_share >= share]
        if not passed or passed[-1] in self._told:
            return None
        self._told.update(passed)
        return Alarm("budget", f"{passed[-1]:.0%} of the budget is spent", f"{standing.budget} at {headline(standing)}")

    def _deadline(self, standing: Standing, now: datetime) -> Alarm | None:
        if self.deadline_at is None or "certain" in self._told:
            return None
        how_sure = deadline.grade(self.deadline_at, now, standing.outlook)
        if how_sure is None or how_sure in self._told:
            return None
        self._told.add(how_sure)
        state = "misses its deadline" if how_sure == "certain" else "will probably miss its deadline"
        reason = deadline.announcement(self.deadline_at, now, standing.outlook, how_sure)
        return Alarm("deadline", state, f"{reason}; bound by: {standing.bound_by or 'nothing that is known'}")


def ending(outcome: Outcome, problems: Sequence[str] = ()) -> Ending:
    """How the run of *outcome* ended; *problems* is what verifying it found."""
    run = outcome.run
    if run is None:
        return Ending("Completed", f"Completed: nothing to ask, of {sum(outcome.counts.values()):,} rows")
    rows = _by_status(run)
    if problems or (not run.complete and not run.stopped):
        found = "; ".join(problems[:3]) or f"{run.wrote.rows:,} of {run.rows_planned:,} planned rows have a result"
        more = f"; and {len(problems) - 3:,} more" if len(problems) > len(problems[:3]) else ""
        output = shlex.quote(outcome.output)
        return Ending("Incomplete", f"Incomplete: {found}{more}; {rows}; all of it: mediascribe verify {output}")
    if not run.stopped:
        return Ending("Completed", f"Completed: {rows}")
    name: Literal["Interrupted", "OverBudget", "Stopped"] = (
        "Interrupted" if run.status == "interrupted" else ("OverBudget" if run.over_budget else "Stopped")
    )
    return Ending(name, f"{name}: {run.stopped}; {rows}; to go on: {resume(outcome)}")


def resume(outcome: Outcome) -> str:
    """The command that goes on with what *outcome* left."""
    return resume_command(outcome.job, outcome.reasons)


def resume_command(job: str, reasons: Sequence[str]) -> str:
    """The command that asks about what is left of the *job* file's rows that are due for *reasons*."""
    if tuple(reasons) == ("new",):
        return f"mediascribe run {shlex.quote(job)}"
    return f"mediascribe backfill {shlex.quote(job)} {' '.join(f'--reason {reason}' for reason in reasons)}"


def at_the_end(outcome: Outcome, ended: Ending, *, job: str, budget: str | None = None) -> Note:
    """The note about a run that *ended* with *outcome*; *budget* is the share of it that is used up, in words."""
    run = outcome.run
    event: Event = "completed" if ended.name == "Completed" else "failed"
    if run is None:
        left = f"results: {outcome.output}/results"
        return Note(
            event=event,
            job=job,
            state=ended.name,
            done=0,
            failed=0,
            total=0,
            spent=f"nothing; {budget}" if budget else "nothing",
            reason=ended.message.partition(": ")[2],
            next_step=left,
        )
    spent = _spent(run)
    return Note(
        event=event,
        job=job,
        state=ended.name,
        done=run.wrote.rows,
        failed=run.wrote.by_status.get("failed", 0),
        total=run.rows_planned,
        spent=f"{spent}, {budget}" if budget else spent,
        reason=_why(ended, run),
        next_step=_next_step(outcome, ended),
    )


def on_the_way(alarm: Alarm, standing: Standing, next_step: str) -> Note:
    """The note about a run that goes on."""
    return Note(
        event=alarm.event,
        job=standing.job,
        state=alarm.state,
        done=standing.done,
        failed=standing.by_status.get("failed", 0),
        total=standing.total,
        spent=standing.money,
        reason=alarm.reason,
        next_step=next_step,
    )


def cancelled(note: Note) -> Note:
    """*note*, of a run that was stopped from Prefect's side."""
    return replace(note, event="cancelled", state="Cancelled")


def to_json(note: Note) -> dict[str, Any]:
    """*note* for a program: a member for each fact, and the lines as `text`."""
    return {
        "event": note.event,
        "job": _line(note.job),
        "state": _line(note.state),
        "done": note.done,
        "failed": note.failed,
        "total": note.total,
        "spent": _line(note.spent),
        "reason": _line(note.reason),
        "next": _line(note.next_step),
        "text": "\n".join(note.lines),
    }


def to_slack(note: Note) -> dict[str, Any]:
    """*note* as Slack's incoming webhooks take it, and Mattermost's, Rocket.Chat's and Discord's (with `/slack`)."""
    head, *rest = (
        line.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;") for line in note.lines
    )  # what Slack wants escaped, and nothing else
    return {"text": "\n".join([f"*{head}*", *rest])}


def forecast_line(found: Forecast) -> str:
    """What a plan will come to, low and high, in one line."""
    here = found.total.as_it_is
    money = (
        "price unknown" if here.usd is None else f"{usd(round(here.usd.low, 4))} to {usd(round(here.usd.high, 4))} USD"
    )
    hours = "" if here.duration is None else f", {clock_time(here.duration.hours * 3600)} ({here.duration.bound_by})"
    return f"{here.tokens.low:,.0f} to {here.tokens.high:,.0f} tokens, {money}{hours}"


def _by_status(run: RunFile) -> str:
    return ", ".join(f"{rows:,} {status}" for status, rows in run.wrote.by_status.items() if rows) or "no rows"


def _spent(run: RunFile) -> str:
    spent = sum(day.nano_usd for day in run.spent.values())
    doubtful = sum(day.in_doubt_nano_usd for day in run.spent.values())
    said = f"{usd(spent / 1e9)} USD"
    if run.wrote.unpriced_rows:
        said = f"unknown: {run.wrote.unpriced_rows:,} rows without a price"
    return f"{said}, of it at most {usd(doubtful / 1e9)} in doubt" if doubtful else said


def _why(ended: Ending, run: RunFile) -> str:
    if ended.name == "Incomplete":
        return ended.message.partition(": ")[2]
    if run.stopped:
        return run.stopped
    if not run.wrote.errors:
        return "every row has an answer"
    top = run.wrote.errors[0]
    cause = "/".join(filter(None, (top.error_class, top.error_code)))
    return f"{top.rows:,} {top.status} ({cause}), such as: {top.example or 'nothing was said'}"


def _next_step(outcome: Outcome, ended: Ending) -> str:
    output = shlex.quote(outcome.output)
    if ended.name == "Incomplete":
        return f"mediascribe verify {output}"
    if ended.name != "Completed":
        return resume(outcome)
    if outcome.run and outcome.run.wrote.by_status.get("failed", 0):
        return f"mediascribe errors {output}; results: {outcome.output}/results"
    return f"results: {outcome.output}/results"


def _line(text: str) -> str:
    """*text* as one line without secrets."""
    line = redact_text(printable(text))
    return line if len(line) <= _LINE_LENGTH else line[: _LINE_LENGTH - 1] + "…"
