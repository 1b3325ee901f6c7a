"""A replay and a new job file, as a terminal shows them."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING, Any, Final

import msgspec
from rich.text import Text

from mediascribe.pairs import measures
from mediascribe.report.formats import usd
from mediascribe.report.summary import printable
from mediascribe.report.trials import answer_table, cost, print_end, print_measures, say, side

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from rich.console import Console

    from mediascribe.breakdown import Breakdown
    from mediascribe.pairs import Pair
    from mediascribe.replay import Asked
    from mediascribe.run import RunFile
    from mediascribe.starter import Started

    Row = Mapping[str, Any]

_ASKED: Final = (
    "run_id",
    "job",
    "reason",
    "row_number",
    "media_kind",
    "model",
    "dialect",
    "prompt_id",
    "prompt_sha256",
    "parameters_sha256",
    "request_key",
)
_ANSWERED: Final = ("status", "finish_reason", "model_returned", "response_id", "gateway_request_id")
_FAILED: Final = ("error_class", "error_code", "http_status", "error_message")
NO_JOURNAL: Final = (
    "what each attempt met stood in the journal, which goes when the results are published; the row keeps their number,"
    " and what the last one came to"
)


def print_replay(row: Row, history: Iterable[Row], console: Console) -> None:
    """Show one row: what was asked, what came back, and what was said of this item in other runs."""
    say(console, printable(row["item_id"]), "bold")
    _print_members(row, _ASKED, console)
    for url in row["media_urls"] or ():
        _member("media", url, console)
    _member("attempts", f"{row['attempts']} ({NO_JOURNAL})", console)
    _print_members(row, (*_ANSWERED, *_FAILED), console)
    _member("flags", ", ".join(row["flags"] or ()) or None, console)
    for name in ("description", "answer_json", "reasoning"):
        if row[name]:
            say(console, name, "bold")
            console.print(Text(_page(row[name])), soft_wrap=True)
    table = answer_table("run", "status", "model", "prompt", "reason", "tokens", "USD")
    for one in history:
        words = (one["run_id"], one["status"], one["model"], one["prompt_id"], one["reason"])
        table.add_row(*map(Text, (*words, f"{one['total_tokens']:,}", cost(one))))
    say(console, "in all runs", "bold")
    console.print(table)


def print_breakdown(row: Row, found: Breakdown | None, console: Console) -> None:
    """Show what *row* cost, rate by rate."""
    if found is None:
        _member("cost", _why_no_breakdown(row), console)
        return
    table = answer_table("tokens of kind", "tokens", "USD per million", "USD")
    for line in found.lines:
        numbers = f"{line.tokens:,}", f"{line.usd_per_million:f}", f"{line.usd:f}"
        table.add_row(*map(Text, (line.kind, *numbers)))
    if found.per_call_usd:
        table.add_row("the request", "", "", Text(f"{found.per_call_usd:f}"))
    if found.beside_usd:
        table.add_row("other attempts", Text(f"{row['wasted_tokens']:,}"), "", Text(usd(found.beside_usd)))
    table.add_row("", "", "", Text(usd(row["cost_usd"]), style="bold"))
    console.print(table)
    say(console, f"by the price {found.price_version} ({found.source})")


def print_asked(found: Asked, console: Console) -> None:
    """Show the request, and whether it is the one that was sent."""
    if found.is_same:
        say(console, "the request, as it was sent", "bold")
    else:
        said = f"the request that the job would send now, which is another one: {', '.join(found.differs)}"
        say(console, said, "bold yellow")
    say(console, f"POST {found.url}")
    for name, value in found.headers.items():
        say(console, f"{name}: {value}")
    console.print(Text(msgspec.json.format(msgspec.json.encode(found.body)).decode()), soft_wrap=True)


def print_again(pair: Pair, run: RunFile, console: Console) -> None:
    """Show the answer of now beside the one that was kept."""
    table = answer_table("", "then", "now")
    table.add_row("", side(pair.first), side(pair.second))
    console.print(table)
    print_measures(("then", "now"), measures([pair]), console)
    same = pair.is_identical
    if same is not None:
        say(console, "the answers are identical" if same else "the answers differ")
    print_end([run], console)


def print_started(started: Started, console: Console) -> None:
    """Say what was written, what was found, and what to do next."""
    found = started.found
    say(console, f"wrote {started.path}", "bold")
    for kind, columns in found.media.items():
        _member(kind, ", ".join(columns), console)
    _member("media", " of the kind in ".join(found.pair) if found.pair else None, console)
    _member("item_id", found.item_id, console)
    _member("carry", ", ".join(found.carry) or None, console)
    for line in started.advice:
        say(console, line, "yellow")
    say(console, f"next:  mediascribe doctor {shlex.quote(started.path)}")


def _why_no_breakdown(row: Row) -> str:
    if row["cost_usd"] is None:
        return cost(row).replace("-", "none: nothing was billed")
    if "fallback" in (row["flags"] or ()):
        return (
            f"{usd(row['cost_usd'])} USD, by {row['price_version']} last: a fallback model answered, at its own price"
        )
    return f"{usd(row['cost_usd'])} USD, by {row['price_version']}, which stands in no price file any more"


def _print_members(row: Row, names: Iterable[str], console: Console) -> None:
    for name in names:
        _member(name, row[name], console)


def _member(name: str, value: object, console: Console) -> None:
    if value is not None:
        console.print(Text.assemble((f"{name:<20}", "bold"), printable(str(value))), soft_wrap=True)


def _page(text: str) -> str:
    """*text* with its lines, free of what a terminal would act on."""
    return "\n".join(printable(line) for line in text.splitlines())
