"""Trials and comparisons, as a terminal shows them; comparisons as tables for programs, too."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import msgspec
from rich.table import Table
from rich.text import Text

from mediascribe.pairs import identical, measures
from mediascribe.report.formats import UNKNOWN, usd
from mediascribe.report.summary import printable
from mediascribe.sampling import nano_usd_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    import pandas as pd
    from rich.console import Console

    from mediascribe.pairs import Measure, Pair
    from mediascribe.run import RunFile
    from mediascribe.sampling import Estimate
    from mediascribe.trial import Trial

    Row = Mapping[str, Any]

_COLOURS: Final = {"ok": "green", "truncated": "yellow", "refused": "yellow", "failed": "red", "skipped": "dim"}
_NUMBERS: Final = frozenset({"in", "out", "USD", "tokens", "USD per million"})
_COMPARED: Final = (
    "status",
    "description",
    "answer_json",
    "error_class",
    "error_message",
    "prompt_tokens",
    "completion_tokens",
    "attempts",
    "latency_s",
    "cost_usd",
)


def print_trial(trial: Trial, whole: Estimate, console: Console) -> None:
    """Show each row with its answer, tokens and cost, what all came to, and what the whole manifest would."""
    table = answer_table("item", "kind", "status", "answer", "in", "out", "USD")
    for row in trial.rows:
        tokens = (f"{row['prompt_tokens']:,}", f"{row['completion_tokens']:,}")
        table.add_row(*_head(row), _answer(row), *map(Text, (*tokens, cost(row))))
    console.print(table)
    print_end([trial.run], console)
    spent = f"${usd(sum(day.nano_usd for day in trial.run.spent.values()) / 1e9)} spent at list price"
    if nano_usd_of(trial.rows) is None:
        spent = f"{UNKNOWN} cost, for want of a price"
    say(console, f"{_counted(len(trial.rows), 'row')}, {spent}; it counts against the job's budget")
    say(console, f"all {_counted(whole.rows, 'row')} of the manifest at that rate: {_whole(whole)}")


def _whole(whole: Estimate) -> str:
    if whole.unasked:
        return f"{UNKNOWN}, since no row with {' or with '.join(whole.unasked)} was asked: take more, with -n"
    known = f"about ${usd(whole.cost_usd)}" if whole.cost_usd is not None else f"{UNKNOWN} cost, for want of a price"
    return f"{known}, {whole.tokens:,} tokens"


def print_diff(trials: Sequence[Trial], found: Sequence[Pair], console: Console) -> None:
    """Show the rows of both sides beside each other, and what the second side has more or less of."""
    first, second = trials
    table = answer_table("item", Text(first.name), Text(second.name))
    for pair in found:
        same = pair.is_identical
        item = Text.assemble(*_joined(_head(pair.first)[:2]), "\n", ("identical", "dim") if same else "")
        table.add_row(item, side(pair.first), side(pair.second))
    console.print(table)
    print_measures((first.name, second.name), measures(found), console)
    share = identical(found)
    if share is not None:
        say(console, f"{share:.0%} of the answers are identical")
    print_end([trial.run for trial in trials], console)


def print_end(runs: Sequence[RunFile], console: Console) -> None:
    """Say why *runs*, which went together, stopped, and what is in doubt, if so."""
    stopped = sorted((run for run in runs if run.stopped), key=lambda run: run.status != "stopped")
    if stopped:  # the others were told to stop because of it
        say(console, f"stopped before the end: {stopped[0].stopped}", "bold red")
    if in_doubt := sum(run.in_doubt for run in runs):
        say(console, f"{in_doubt:,} requests were sent and not answered: they may have been billed", "yellow")


def diff_frame(found: Sequence[Pair]) -> pd.DataFrame:
    """The pairs as a table: an item a line, the columns of the first and the second side beside each other."""
    import pandas as pd  # noqa: PLC0415 - slow to import, for those who only print

    lines = []
    for pair in found:
        line = {name: pair.first[name] for name in ("item_id", "row_number", "media_kind")}
        line |= {f"first_{name}": pair.first[name] for name in _COMPARED}
        line |= {f"second_{name}": pair.second[name] for name in _COMPARED}
        lines.append(line | {"identical": pair.is_identical})
    return pd.DataFrame(lines).astype({"identical": "boolean"}) if lines else pd.DataFrame()


def diff_facts(trials: Sequence[Trial], found: Sequence[Pair]) -> dict[str, Any]:
    """A comparison for programs."""
    return {
        "sides": [
            {
                "name": trial.name,
                "model": trial.facts.model,
                "dialect": trial.facts.dialect,
                "prompt_id": trial.facts.prompt_id,
                "prompt_sha256": trial.facts.prompt_sha256,
                "parameters_sha256": trial.facts.parameters_sha256,
                "stopped": trial.run.stopped,
                "in_doubt": trial.run.in_doubt,
                "spent": msgspec.to_builtins(trial.run.spent),
            }
            for trial in trials
        ],
        "measures": msgspec.to_builtins(measures(found)),
        "identical": identical(found),
        "rows": [{"first": pair.first, "second": pair.second, "identical": pair.is_identical} for pair in found],
    }


def answer_table(*titles: str | Text) -> Table:
    """A table whose texts wrap, and whose numbers do not."""
    table = Table(show_lines=True)
    for title in titles:
        number = str(title) in _NUMBERS and isinstance(title, str)
        table.add_column(title, justify="right" if number else "left", overflow="fold", no_wrap=number)
    return table


def _head(row: Row) -> tuple[Text, Text, Text]:
    status = row["status"]
    kind = row["media_kind"] or "no media"
    return Text(printable(row["item_id"])), Text(kind, style="dim"), Text(status, style=_COLOURS[status])


def _joined(texts: Iterable[Text]) -> list[Text | str]:
    return [piece for text in texts for piece in (text, " ")]


def _answer(row: Row) -> Text:
    """What was said, or why nothing was."""
    said = row["answer_json"] or row["description"]
    why = ": ".join(filter(None, (row["error_class"], row["error_message"])))
    pieces = [Text(printable(said))] if said else []
    pieces += [Text(printable(why), style="red")] if why else []
    pieces += [Text(", ".join(row["flags"]), style="yellow")] if row["flags"] else []
    return Text("\n").join(pieces)


def side(row: Row) -> Text:
    """One answer with its status, tokens and cost."""
    head = Text(row["status"], style=_COLOURS[row["status"]])
    facts = f"{row['prompt_tokens']:,} in, {row['completion_tokens']:,} out, {cost(row)} USD"
    return Text("\n").join([head, _answer(row), Text(facts, style="dim")])


def cost(row: Row) -> str:
    """What *row* cost in USD; `-` where nothing was billed."""
    billed = row["usage_source"] != "missing" or row["status"] in {"ok", "truncated", "refused"}
    return usd(row["cost_usd"]) if row["cost_usd"] is not None or billed else "-"


def print_measures(names: tuple[str, str], found: Iterable[Measure], console: Console) -> None:
    """Show the numbers of two sides with these names; what is 0 on both is left out."""
    table = Table()
    table.add_column("")
    for name in (*names, "change"):
        table.add_column(Text(name), justify="right", overflow="fold")
    for one in found:
        if any(value != 0 for value in (one.first, one.second)):
            table.add_row(Text(one.name.replace("_", " ")), *(_number(one, value) for value in _values(one)))
    console.print(table)


def _values(one: Measure) -> tuple[float | None, float | None, float | None]:
    return one.first, one.second, one.change


def _number(one: Measure, value: float | None) -> Text:
    if value is None:
        return Text(UNKNOWN)
    if one.name == "cost_usd":
        return Text(usd(value))
    return Text(f"{value:,}")


def _counted(count: int, noun: str) -> str:
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def say(console: Console, text: str, style: str = "") -> None:
    """Print *text* as it is."""
    console.print(text, style=style, markup=False, highlight=False, soft_wrap=True)
