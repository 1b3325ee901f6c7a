"""Commands that try before a run is paid for, and ask once more about one row: try, diff, replay, init."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter
from rich.console import Console

from flows.commands.telling import print_json, say
from mediascribe.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from contextlib import AbstractAsyncContextManager

    from mediascribe.domain import Item
    from mediascribe.inputs import Inputs
    from mediascribe.replay import Asked
    from mediascribe.sampling import Draw
    from mediascribe.starter import Answers
    from mediascribe.trial import Bench, Ears, Trial

    Laid = Callable[[Ears], AbstractAsyncContextManager[Bench]]

Json = Annotated[bool, Parameter(name="--json", negative=(), help="Print one JSON object for programs, no progress.")]
JobPath = Annotated[Path, Parameter(help="The job file, such as configs/jobs/demo.toml.")]
Seed = Annotated[int, Parameter(help="Another number draws other rows.")]


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class Variants:
    """What the two sides have of their own: once stands against the job's own, twice against each other."""

    prompt: Annotated[list[str] | None, Parameter(negative=(), help="A file with a prompt.")] = None
    model: Annotated[list[str] | None, Parameter(negative=(), help="The name of a model.")] = None
    parameters: Annotated[
        list[str] | None,
        Parameter(negative=(), help="name=value,... or a JSON object, put over the job's; null: none."),
    ] = None


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class Drawn:
    """Which rows are asked."""

    rows: Annotated[int, Parameter(name=["--rows", "-n"], help="How many rows.")] = 50
    seed: Seed = 0


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class Again:
    """What may be asked of a job about the row."""

    job: Annotated[Path | None, Parameter(help="The job file: shows the request whole.")] = None
    send: Annotated[bool, Parameter(negative=(), help="Ask again, and compare; with --job.")] = False


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class Given:
    """The answers that a job file needs; on a terminal, those that are missing are asked for."""

    manifest: Annotated[str | None, Parameter(help="The manifest: CSV, JSONL or Parquet.")] = None
    base_url: Annotated[str | None, Parameter(help="The gateway, up to and including /v1; or sandbox.")] = None
    model: Annotated[str | None, Parameter(help="The model, as the gateway names it.")] = None
    output: Annotated[str | None, Parameter(help="The folder of the dataset.")] = None


def try_(
    job: JobPath,
    *,
    rows: Annotated[int, Parameter(name=["--rows", "-n"], help="How many rows.")] = 20,
    seed: Seed = 0,
    keep: Annotated[
        bool, Parameter(negative=(), help="A run of a sample of the rows without a result: its answers are kept.")
    ] = False,
    json: Json = False,
) -> int:
    """Ask some rows of each kind of media, and show answers, tokens and cost. What it spends counts all the same."""
    import asyncio  # noqa: PLC0415 - takes a moment to import, and help does without

    from mediascribe import sampling, trial  # noqa: PLC0415 - other commands do without
    from mediascribe.inputs import check  # noqa: PLC0415 - likewise
    from mediascribe.report import trials as report  # noqa: PLC0415 - likewise

    wanted, inputs = sampling.Draw(rows=_rows(rows), seed=seed), check(str(job))
    _warn(inputs)
    if keep:
        (found,) = asyncio.run(_asked(lambda ears: trial.kept(str(job), wanted, ears), json=json))
    else:
        sides, items, holder = [trial.Side(name="job", inputs=inputs)], _drawn(inputs, wanted), _holder("try", job)
        (found,) = asyncio.run(_asked(lambda ears: trial.bench(sides, items, holder=holder, ears=ears), json=json))
    whole = sampling.estimate(found.rows, sampling.kinds(inputs.items()))
    if json:
        print_json({"rows": found.rows, "run": found.run, "manifest": whole})
    else:
        report.print_trial(found, whole, Console())
    return _status([found])


def diff(
    job: JobPath,
    *,
    variants: Variants | None = None,
    drawn: Drawn | None = None,
    out: Annotated[Path | None, Parameter(name=["--out", "-o"], help="A .csv, .json, .md or .parquet file.")] = None,
    json: Json = False,
) -> int:
    """Ask the same rows in two ways, by two prompts, models or sets of parameters, and show what differs."""
    import asyncio  # noqa: PLC0415 - takes a moment to import, and help does without

    from mediascribe import pairs, sampling, trial  # noqa: PLC0415 - other commands do without
    from mediascribe import variants as changed  # noqa: PLC0415 - likewise
    from mediascribe.inputs import check  # noqa: PLC0415 - likewise
    from mediascribe.report import formats  # noqa: PLC0415 - likewise
    from mediascribe.report import trials as report  # noqa: PLC0415 - likewise

    variants, drawn, inputs = variants or Variants(), drawn or Drawn(), check(str(job))
    form = formats.format_of(None, out)
    wanted = changed.Changes(
        prompts=variants.prompt or (), models=variants.model or (), parameters=variants.parameters or ()
    )
    sides = changed.sides(inputs, wanted)
    items = _drawn(sides[0].inputs, sampling.Draw(rows=_rows(drawn.rows), seed=drawn.seed))
    holder = _holder("diff", job)
    trials = asyncio.run(_asked(lambda ears: trial.bench(sides, items, holder=holder, ears=ears), json=json))
    found = pairs.pairs(trials[0].rows, trials[1].rows)
    if out:
        formats.written(report.diff_frame(found), form, out)
    if json:
        print_json(report.diff_facts(trials, found))
    else:
        report.print_diff(trials, found, Console())
    return _status(trials)


def replay(
    item: Annotated[str, Parameter(help="The item's id, as the column item_id has it.")],
    *,
    output: Annotated[str, Parameter(help="The output of the job.")],
    run: Annotated[str | None, Parameter(help="The run; the beginning of its id will do. Else the latest.")] = None,
    again: Again | None = None,
    json: Json = False,
) -> int:
    """Show one row: its request, attempts, answer, price by rate, and every run. With --send, ask it again."""
    from mediascribe import breakdown, pairs, pricing  # noqa: PLC0415 - other commands do without
    from mediascribe import replay as replaying  # noqa: PLC0415 - likewise
    from mediascribe.report import replays as report  # noqa: PLC0415 - likewise

    again = again or Again()
    if again.send and not again.job:
        raise ConfigError("--send asks what a job asks: name it with --job")
    history = replaying.history(output, item)
    row = replaying.of_run(history, run)
    price, request, sent = breakdown.breakdown(row, pricing.of_record()), None, None
    if again.job:
        request, sent = _once_more(again.job, row, send=again.send, quiet=json)
    pair = next(iter(pairs.pairs([row], sent.rows)), None) if sent else None
    if json:
        told = {"row": row, "price": price, "attempts": report.NO_JOURNAL, "request": request, "history": history}
        print_json(told | ({"now": pair.second, "identical": pair.is_identical} if pair else {}))
    else:
        report.print_replay(row, history, Console())
        report.print_breakdown(row, price, Console())
        if request:
            report.print_asked(request, Console())
        if pair and sent:
            report.print_again(pair, sent.run, Console())
    return _status([sent] if sent else [])


def init(
    file: Annotated[Path | None, Parameter(help="The job file to write, never over another. Else job.toml.")] = None,
    *,
    given: Given | None = None,
    json: Json = False,
) -> int:
    """Write a commented job file from four answers and a look at the manifest."""
    from mediascribe import starter  # noqa: PLC0415 - other commands do without
    from mediascribe.report.replays import print_started  # noqa: PLC0415 - likewise

    file = file or Path("job.toml")
    starter.refuse_existing(file)
    started = starter.start(file, _answers(given or Given(), file))
    if json:
        print_json(started)
    else:
        print_started(started, Console())
    return 0


async def _asked(laid: Laid, *, json: bool) -> list[Trial]:
    """What came of the rows that are *laid* out; the first Ctrl-C lets what is in flight land."""
    from flows.signals import draining  # noqa: PLC0415 - other commands do without
    from mediascribe.report.progress import Meter, shown  # noqa: PLC0415 - likewise
    from mediascribe.trial import Ears  # noqa: PLC0415 - likewise

    meter = Meter(total=0)
    async with laid(Ears(announce=meter.announce, tell=say)) as bench:
        meter.total = bench.rows
        with draining(bench.drain):
            async with shown(meter, bench.watch, Console(stderr=True), "none" if json else "auto"):
                return await bench.ask()


def _once_more(job: Path, row: dict[str, Any], *, send: bool, quiet: bool) -> tuple[Asked, Trial | None]:
    """The request about the item of *row* as *job* writes it, and with *send* what is answered now."""
    import asyncio  # noqa: PLC0415 - takes a moment to import, and help does without

    from mediascribe import replay as replaying  # noqa: PLC0415 - other commands do without
    from mediascribe import trial  # noqa: PLC0415 - likewise
    from mediascribe.inputs import check  # noqa: PLC0415 - likewise

    inputs = check(str(job), keyless=not send)
    item = replaying.find(inputs, row["item_id"])
    if item is None:
        raise ConfigError(
            f"{inputs.job.manifest.path}: has no item `{row['item_id']}` any more: leave out --job to see what is known"
        )
    request = replaying.asked(inputs, item, row)
    if not send:
        return request, None
    sides, holder = [trial.Side(name="now", inputs=inputs)], _holder("replay", job)
    (sent,) = asyncio.run(_asked(lambda ears: trial.bench(sides, [item], holder=holder, ears=ears), json=quiet))
    if not sent.run.rows_planned:
        raise ConfigError(f"`{item.item_id}` was taken down by `mediascribe forget`: it is not asked again")
    return request, sent


def _drawn(inputs: Inputs, wanted: Draw) -> list[Item]:
    from mediascribe import sampling  # noqa: PLC0415 - other commands do without

    items = sampling.draw(inputs, wanted)
    if not items:
        raise ConfigError(f"{inputs.job.manifest.path}: has no row that may be asked")
    return items


def _rows(rows: int) -> int:
    if rows < 1:
        raise ConfigError(f"--rows {rows}: wants a number of rows, 1 or more")
    return rows


def _holder(command: str, job: Path) -> str:
    return f"mediascribe {command} {job}"


def _answers(given: Given, file: Path) -> Answers:
    """What was given, and what a person at a terminal adds."""
    from mediascribe.starter import Answers  # noqa: PLC0415 - other commands do without

    usual = {"output": f"data/{file.stem}", "model": "gemini-2.0-flash", "base_url": "https://api.mixrouter.com/v1"}
    words = {
        "manifest": "manifest (CSV, JSONL or Parquet)",
        "base_url": "gateway, up to and including /v1, or sandbox",
        "model": "model",
        "output": "folder of the dataset",
    }
    answers = {name: getattr(given, name) for name in words}
    missing = [name for name, answer in answers.items() if not answer]
    if missing and not sys.stdin.isatty():
        options = ", ".join(f"--{name.replace('_', '-')}" for name in missing)
        raise ConfigError(f"init needs {options}: there is no terminal to ask at")
    for name in missing:
        answers[name] = _ask(words[name], usual.get(name))
    return Answers(**answers)


def _ask(words: str, usual: str | None) -> str:
    """The answer of the person at the terminal; *usual* where they only press Enter."""
    while True:
        said = input(f"{words} [{usual}]: " if usual else f"{words}: ").strip() or usual
        if said:
            return said


def _warn(inputs: Inputs) -> None:
    for warning in inputs.warnings():
        say(f"warning: {warning}")


def _status(trials: Sequence[Trial]) -> int:
    """0, or how the command says that it was stopped before its end."""
    ends = {trial.run.status for trial in trials if trial.run.stopped}
    if not ends:
        return 0
    return 1 if "stopped" in ends else 130
