"""The closing words of a run: what came of the rows, what it cost, where it is, and what to type next."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING, Any, Final

from rich.text import Text

from mediascribe.report.formats import usd
from mediascribe.report.progress import clock_time

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from rich.console import Console

    from mediascribe.run import Outcome, RunFile

_CAUSES_SHOWN: Final = 8
_EXAMPLE_LENGTH: Final = 140
_REASON_MEANS: Final = {
    "failed": "failed",
    "media_changed": "other media now",
    "stale_model": "an answer by another model",
    "stale_prompt": "an answer to another prompt",
    "stale_parameters": "an answer with other parameters",
}
_TOKENS_SHOWN: Final = {
    "prompt_text_tokens": "text",
    "prompt_image_tokens": "image",
    "prompt_audio_tokens": "audio",
    "prompt_video_tokens": "video",
    "cached_tokens": "cached",
}


def print_outcome(outcome: Outcome, console: Console) -> None:
    """Print *outcome* for a person: at most a screen."""
    for run in outcome.recovered:
        console.print(_recovered(run), highlight=False, soft_wrap=True)
        for line in run.torn:
            console.print(Text.assemble((f"{'journal':<10}", "bold"), line), highlight=False, soft_wrap=True)
    if outcome.run is None:
        console.print(_nothing_left(outcome), highlight=False, soft_wrap=True)
    else:
        _print_run(outcome, outcome.run, console)
    for line in _next_steps(outcome):
        console.print(line, highlight=False, soft_wrap=True)


def print_rows(rows: Iterable[Mapping[str, Any]], console: Console) -> None:
    """Print result rows for a person: each item with what was said about it, or why nothing was."""
    empty = True
    for row in rows:
        empty = False
        head = (row["item_id"], row["status"], row["media_kind"] or "no media")
        console.print(Text("  ".join(map(printable, head)), style="bold"), soft_wrap=True)
        console.print(Text(printable(row["description"] or row["error_message"] or "")), soft_wrap=True)
    if empty:
        console.print("no such rows")


def asked_once(rows: int, saved_usd: float | None) -> str:
    """What to say of *rows* that have the answer of another; *saved_usd* is what asking them would have cost."""
    saved = "" if saved_usd is None else f", {usd(saved_usd)} USD saved"
    return f"asked once: {rows:,} {'row has' if rows == 1 else 'rows have'} the answer of another{saved}"


def _recovered(run: RunFile) -> str:
    doubt = f"; {run.in_doubt:,} requests were sent and not answered: they may have been billed" if run.in_doubt else ""
    return f"recovered {run.wrote.rows:,} answers of run {run.run_id}, which was interrupted{doubt}"


def _nothing_left(outcome: Outcome) -> str:
    total = sum(outcome.counts.values())
    if not total:
        return "nothing to ask: the manifest has no rows"
    if outcome.reasons == ("new",):
        return f"nothing left to ask: every one of the {total:,} rows has its result in {outcome.output}"
    return f"nothing to ask: none of the {total:,} rows is {' or '.join(outcome.reasons)}"


def _print_run(outcome: Outcome, run: RunFile, console: Console) -> None:
    if run.stopped:
        console.print(f"stopped before the end: {run.stopped}", style="bold red", highlight=False, soft_wrap=True)
    for name, value in _run_lines(outcome, run):
        line = Text.assemble((f"{name:<10}", "bold"), value)
        console.print(line, highlight=False, soft_wrap=True)


def _run_lines(outcome: Outcome, run: RunFile) -> Iterator[tuple[str, str]]:
    planned = f"{run.wrote.rows:,} of {run.rows_planned:,}" if not run.complete else f"{run.rows_planned:,}"
    yield "rows", f"{planned} ({', '.join(f'{n:,} {status}' for status, n in run.wrote.by_status.items() if n)})"
    for group in run.wrote.errors[:_CAUSES_SHOWN]:
        cause = "/".join(filter(None, (group.error_class, group.error_code)))
        yield "", f"{group.rows:,} {group.status} ({cause}): {_short(group.example or '')}"
    if len(run.wrote.errors) > _CAUSES_SHOWN:
        yield "", f"and {len(run.wrote.errors) - _CAUSES_SHOWN:,} more causes, in the run file"
    yield "tokens", _tokens(run.wrote.tokens)
    yield "cost", _cost(run)
    if run.wrote.shared_rows:
        yield "", asked_once(run.wrote.shared_rows, run.wrote.shared_saving_usd)
    if beside := _beside(run):
        yield "", beside
    if run.in_doubt:
        yield "in doubt", f"{run.in_doubt:,} requests were sent and not answered: they may have been billed"
    seconds = max((run.finished_at - run.started_at).total_seconds(), 0)
    yield "time", clock_time(seconds)
    parts = len(run.wrote.parts)
    yield "results", f"{outcome.output}/results ({parts:,} Parquet {'part' if parts == 1 else 'parts'})"
    yield "run file", f"{outcome.output}/runs/{run.run_id}.json"
    for line in run.torn:
        yield "journal", line


def _short(example: str) -> str:
    """One line of what may be a page."""
    line = printable(example)
    return line if len(line) <= _EXAMPLE_LENGTH else line[: _EXAMPLE_LENGTH - 1] + "…"


def printable(text: str) -> str:
    """*text* on one line, free of what a terminal would act on."""
    return " ".join("".join(letter if letter.isprintable() else " " for letter in text).split())


def _tokens(tokens: dict[str, int]) -> str:
    kinds = [f"{tokens[column]:,} {name}" for column, name in _TOKENS_SHOWN.items() if tokens[column]]
    split = f" ({', '.join(kinds)})" if kinds else ""
    wasted = f", {tokens['wasted_tokens']:,} wasted on answers not kept" if tokens["wasted_tokens"] else ""
    return f"{tokens['prompt_tokens']:,} in{split}, {tokens['completion_tokens']:,} out{wasted}"


def _cost(run: RunFile) -> str:
    if run.wrote.unpriced_rows:
        known = f"{run.wrote.unpriced_rows:,} rows have no price (add {run.model} to configs/prices.toml)"
        return f"unknown: {known}"
    if run.wrote.cost_usd is None:
        return "none: nothing was billed"
    per_thousand = f", ${run.wrote.cost_usd / run.wrote.rows * 1000:,.4f} per 1,000 rows" if run.wrote.rows else ""
    return f"${run.wrote.cost_usd:,.6f} at list price{per_thousand}"


def _beside(run: RunFile) -> str | None:
    """What was spent on no row's result: attempts of rows that have none yet, and what is in doubt at its worst."""
    nano_usd = sum(day.nano_usd for day in run.spent.values()) - round((run.wrote.cost_usd or 0) * 1e9)
    if run.wrote.unpriced_rows or nano_usd <= 0:
        return None
    doubtful = sum(day.in_doubt_nano_usd for day in run.spent.values())
    doubt = f", of it at most ${doubtful / 1e9:,.6f} in doubt" if doubtful else ""
    return f"beside that ${nano_usd / 1e9:,.6f} for requests without a result{doubt}"


def _next_steps(outcome: Outcome) -> Iterator[str]:
    """The commands that follow from how it ended."""
    job, output = shlex.quote(outcome.job), shlex.quote(outcome.output)
    if outcome.run and not outcome.run.complete:
        yield f"to go on, once the cause is gone:  mediascribe run {job}"
    for reason, rows in _due(outcome).items():
        subject = "1 row has" if rows == 1 else f"{rows:,} rows have"
        yield f"{subject} {_REASON_MEANS[reason]}; to ask again:  mediascribe backfill {job} --reason {reason}"
    yield f"next:  mediascribe cost {output} --by model,media_kind"


def _due(outcome: Outcome) -> dict[str, int]:
    """Rows that a backfill would ask now, by reason: those left alone, and those that failed in this very run."""
    due = {
        reason: rows
        for reason, rows in outcome.counts.items()
        if reason in _REASON_MEANS and reason not in outcome.reasons and rows
    }
    failed_now = outcome.run.wrote.by_status["failed"] if outcome.run else 0
    if failed_now:
        # An older answer of theirs still stands where one was only stale: such a row stays due for that.
        reason = "failed" if {"new", "failed"} & set(outcome.reasons) else outcome.reasons[0]
        due[reason] = due.get(reason, 0) + failed_now
    return due
