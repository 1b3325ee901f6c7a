"""The commands prices show, prices check and prices pull."""

from __future__ import annotations

from datetime import UTC, date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import msgspec
from cyclopts import Parameter
from rich.console import Console
from rich.table import Table
from rich.text import Text

from flows.commands.costs import Json, day_of
from flows.commands.telling import print_json

if TYPE_CHECKING:
    from mediascribe.pricing import Price, PriceBook
    from mediascribe.pricing.checks import Finding
    from mediascribe.pricing.gateway import Change, Pulled, Terms

JobPath = Annotated[Path, Parameter(help="The job file, such as configs/jobs/demo.toml.")]


def show(
    model: Annotated[str, Parameter(help="The model's name, as jobs have it.")],
    *,
    on: Annotated[str | None, Parameter(help="A day, such as 2026-10-01; today, unless said.")] = None,
    job: Annotated[Path | None, Parameter(help="A job file: with the prices of its gateway.")] = None,
    json: Json = False,
) -> int:
    """Show the price of a model that holds on a day, where it is from, and its other prices."""
    from mediascribe import pricing  # noqa: PLC0415 - other commands do without

    day = day_of(on, "--on") or datetime.now(UTC).date()
    book = pricing.in_force(_base_url(job) if job else None)
    price, history = book.price_of(model, day), book.history(model, day)
    if json:
        print_json({"in_force": price and _told(price), "history": [_told(one) for one in history]})
    else:
        _print_prices(model, day, price, history)
    return 0 if price else 1


def check(
    *jobs: Annotated[Path, Parameter(help="Job files; without one, every model of configs/models.toml.")],
    json: Json = False,
) -> int:
    """Find models that have no price, a reseller's price only, or are retired or about to be."""
    from mediascribe import models, pricing  # noqa: PLC0415 - other commands do without
    from mediascribe.pricing import checks, places  # noqa: PLC0415 - likewise

    table, today = models.load(places.found("models.toml")), datetime.now(UTC).date()
    found: list[Finding] = []
    looked_at = 0
    for names, book in [_used(job) for job in jobs] or [(list(table.models), pricing.in_force())]:
        looked_at += len(names)
        found += [one for one in checks.findings(names, book, table, today) if one not in found]
    if json:
        print_json([msgspec.to_builtins(one) for one in found])
    else:
        for one in found:
            style = "red" if one.is_defect else "yellow"
            said = f"{one.verdict:9} {one.model}: {one.said}; {one.advice}"
            Console().print(said, style=style, markup=False, highlight=False, soft_wrap=True)
        Console().print(f"{looked_at:,} models, {len(found):,} findings", highlight=False)
    return 1 if any(one.is_defect for one in found) else 0


def pull(
    job: JobPath,
    *,
    group: Annotated[str, Parameter(help="The group of the key, which has its own ratio.")] = "default",
    every: Annotated[bool, Parameter(name="--all", negative=(), help="Models that no table knows, too.")] = False,
    json: Json = False,
) -> int:
    """Ask the job's gateway what it charges, and add what has changed to a price file of its own."""
    import asyncio  # noqa: PLC0415 - takes a moment to import, and help does without

    from mediascribe.pricing import gateway, places  # noqa: PLC0415 - other commands do without

    found, terms, base_url = asyncio.run(_pulled(job, group, every=every))
    path = places.home() / places.gateway_file(base_url)
    fresh = gateway.write(path, found, terms)
    if json:
        changes = [
            {"model": one.model, "before": one.before and _told(one.before), "now": _told(one.now)} for one in fresh
        ]
        print_json({"file": str(path), "written": changes, "unread": list(found.unread)})
    else:
        print_pull(found, fresh, path)
    return 0


def _base_url(job: Path) -> str:
    from mediascribe import job as jobs  # noqa: PLC0415 - other commands do without

    return jobs.load(str(job)).gateway.base_url


def _used(job: Path) -> tuple[list[str], PriceBook]:
    """The models that *job* asks, and the prices that hold for it."""
    from mediascribe import job as jobs  # noqa: PLC0415 - other commands do without
    from mediascribe import pricing  # noqa: PLC0415 - likewise

    read = jobs.load(str(job))
    return [read.model, *read.fallback], pricing.in_force(read.gateway.base_url)


async def _pulled(job: Path, group: str, *, every: bool) -> tuple[Pulled, Terms, str]:
    """What the gateway of *job* tells of its prices, what was asked, and the gateway's address in the job."""
    from mediascribe import pricing  # noqa: PLC0415 - other commands do without
    from mediascribe.inputs import check as checked  # noqa: PLC0415 - likewise
    from mediascribe.pricing import gateway  # noqa: PLC0415 - likewise
    from mediascribe.session import connected  # noqa: PLC0415 - likewise

    inputs = checked(str(job))
    base_url, asked = inputs.job.gateway.base_url, {inputs.job.model, *inputs.job.fallback}
    terms = gateway.Terms(
        gateway=pricing.gateway_name(base_url),
        group=group,
        on=datetime.now(UTC).date(),
        models=None if every else asked.union(inputs.models.models),
    )
    async with connected(inputs) as opened:
        told = await gateway.ask(opened.client)
    return gateway.pulled(told, terms, pricing.in_force(base_url), pricing.in_force()), terms, base_url


def _told(price: Price) -> dict[str, Any]:
    """*price* for programs: amounts as texts, which keep every digit."""
    rates = {
        kind: f"{rate.base:f}"
        if not rate.tiers
        else {"0": f"{rate.base:f}"} | {str(start): f"{one:f}" for start, one in rate.tiers}
        for kind, rate in price.rates.items()
    }
    return {
        "model": price.model,
        "from": price.from_date and str(price.from_date),
        "version": price.version,
        "layer": price.layer,
        "currency": price.currency,
        **rates,
        "per_call": None if price.per_call is None else f"{price.per_call:f}",
        "batch": None if price.batch is None else f"{price.batch:f}",
        "source": price.source,
    }


def _print_prices(model: str, day: date, price: Price | None, history: list[Price]) -> None:
    console = Console()
    if price is None:
        said = f"{model}: nobody lists a price on {day}; add a [[price]] to configs/prices.toml"
        console.print(said, style="red", markup=False, highlight=False, soft_wrap=True)
    table = Table(title=Text(f"{model}, USD per million tokens"), title_justify="left")
    for name in ("", "from", "layer", "input", "cached", "audio in", "output", "other"):
        table.add_column(name, overflow="fold")
    for one in history:
        mark = "in force" if one == price else ""
        table.add_row(*map(Text, (mark, str(one.from_date or "ever"), one.layer, *_columns(one))))
    if history:
        console.print(table)
    for one in history:
        console.print(f"{one.version}: {one.source}", markup=False, highlight=False, soft_wrap=True)


def _columns(price: Price) -> tuple[str, ...]:
    """The rates of *price* as a person reads them."""

    def said(kind: str) -> str:
        rate = price.rates.get(kind)
        if rate is None:
            return "-"
        return " ".join([f"{rate.base:f}", *(f"({one:f} over {start:,})" for start, one in rate.tiers)])

    kinds = ("cache_write", "image_in", "cached_audio", "audio_out")
    other = [f"{kind} {said(kind)}" for kind in kinds if kind in price.rates]
    if price.per_call is not None:
        other.append(f"per call {price.per_call:f}")
    if price.batch is not None:
        other.append(f"batch x {price.batch:f}")
    return said("input"), said("cached"), said("audio_in"), said("output"), ", ".join(other)


def print_pull(found: Pulled, fresh: list[Change], path: Path) -> None:
    """Show what the gateway told, and what of it is new in the file at *path*."""
    console = Console()
    for one in fresh:
        before = f"{_columns(one.before)[0]} in, {_columns(one.before)[3]} out" if one.before else "unknown"
        now = f"{_columns(one.now)[0]} in, {_columns(one.now)[3]} out"
        if one.now.per_call is not None:
            now = f"{one.now.per_call:f} a call"
        said = f"{one.model}: {before} -> {now}" if one.is_one else f"{one.model}: {now}, as in the book"
        console.print(said, style="yellow" if one.is_one else "", markup=False, highlight=False, soft_wrap=True)
    if found.unread:
        said = f"told in a form that is not known here, or not for this group: {', '.join(found.unread)}"
        console.print(said, style="red", markup=False, highlight=False, soft_wrap=True)
    told = f"{len(found.changes):,} prices told, {len(fresh):,} added to {path}"
    console.print(told if fresh else f"{len(found.changes):,} prices told, nothing new for {path}", highlight=False)
