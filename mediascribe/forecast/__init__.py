"""Forecast: what a plan comes to in tokens, money and hours, with 90 % intervals, before anything is sent.

Media whose size is known (data URLs, columns of the manifest, earlier results) are weighed by their vendor's rule; how
far that is right, what other media weigh, and how long answers are, is learned from earlier results of the same job;
where there are none, it is a guess, and the interval says so. `strata` reads the plan, `lessons` the results,
`measures` has the arithmetic, `estimate` brings them together, `whatif` what would be different, `speed` the hours.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import msgspec

from mediascribe import dataset
from mediascribe.domain import REASONS
from mediascribe.forecast import estimate, lessons, speed, strata
from mediascribe.forecast.measures import Range, ranged
from mediascribe.forecast.speed import Duration
from mediascribe.forecast.whatif import AS_IT_IS, Scale, WhatIf, parse
from mediascribe.media.tokens import ANSWER_LIMITS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

    from mediascribe.forecast.estimate import Amount, Setting
    from mediascribe.forecast.lessons import Seen
    from mediascribe.forecast.strata import Stratum
    from mediascribe.inputs import Inputs
    from mediascribe.plan import Plan

__all__ = ["Duration", "Expectation", "Forecast", "Line", "Range", "WhatIf", "forecast", "look", "parse", "setting"]


class Expectation(msgspec.Struct, frozen=True, kw_only=True):
    """What rows come to: tokens (prompts and answers), USD at list price (None: no price), time (None: unknown)."""

    tokens: Range
    usd: Range | None
    duration: Duration | None


class Line(msgspec.Struct, frozen=True, kw_only=True):
    """The rows of one reason; of failed ones, of one class. `reason` is None for all of them together.

    `what_if` has an expectation for each what-if, in order.
    """

    reason: str | None
    error_class: str | None
    rows: int
    as_it_is: Expectation
    what_if: list[Expectation]


class Forecast(msgspec.Struct, frozen=True, kw_only=True):
    """What a plan comes to. `basis` counts rows by what their weight is from; `notes` are for a person to read."""

    model: str
    price_version: str | None
    lines: list[Line]
    total: Line
    what_ifs: list[str]
    basis: dict[str, int]
    notes: list[str]


def forecast(inputs: Inputs, made: Plan, what_ifs: Sequence[WhatIf] = ()) -> Forecast:
    """What the rows of the plan *made* come to, as the job is, and for each of *what_ifs*; sends nothing.

    Raises:
        ConfigError: the manifest cannot be read.
        CorruptError: the results cannot be read.
    """
    asked, seen = look(inputs, made)
    settings = [setting(inputs, one) for one in (AS_IT_IS, *what_ifs)]
    notes: list[str] = []
    columns = []
    for one in settings:
        taken = [_taken(stratum, one) for stratum in asked]
        columns.append(estimate.amounts(taken, seen, one))
        notes += _notes(one, asked, taken)
    basis: dict[str, int] = {}
    for stratum, (_, words) in zip(asked, columns[0], strict=True):
        if words:
            basis[words] = basis.get(words, 0) + round(stratum.rows)
    rows_per_s = speed.rows_per_s(dataset.runs(inputs.store))
    sheet = _Sheet(inputs, settings, asked, [[amount for amount, _ in column] for column in columns], rows_per_s)
    price = settings[0].price
    return Forecast(
        model=inputs.job.model,
        price_version=price.version if price else None,
        lines=sheet.lines(),
        total=sheet.line(None, None, range(len(asked))),
        what_ifs=[str(one) for one in what_ifs],
        basis=basis,
        notes=list(dict.fromkeys(notes)),
    )


class _Sheet:
    """Amounts of every stratum in every setting, to be summed up."""

    def __init__(
        self,
        inputs: Inputs,
        settings: Sequence[Setting],
        asked: Sequence[Stratum],
        columns: Sequence[Sequence[Amount]],
        rows_per_s: float | None,
    ) -> None:
        """*columns* has for each of *settings* the amount of each stratum that is *asked*."""
        self._limits, self._settings, self._asked = inputs.job.limits, settings, asked
        self._columns, self._rows_per_s = columns, rows_per_s

    def lines(self) -> list[Line]:
        """A line for each reason and class of failure."""
        places: dict[tuple[str, str | None], list[int]] = {}
        for place, one in enumerate(self._asked):
            places.setdefault((one.reason, one.error_class), []).append(place)
        order: Mapping[str, int] = {reason: place for place, reason in enumerate(REASONS)}
        keys = sorted(places, key=lambda key: (order[key[0]], key[1] or ""))
        return [self.line(*key, places[key]) for key in keys]

    def line(self, reason: str | None, error_class: str | None, places: Sequence[int]) -> Line:
        """The strata at *places* together."""
        first, *rest = [
            self._expectation(setting, column, places)
            for setting, column in zip(self._settings, self._columns, strict=True)
        ]
        rows = round(sum(self._asked[place].rows for place in places))
        return Line(reason=reason, error_class=error_class, rows=rows, as_it_is=first, what_if=rest)

    def _expectation(self, setting: Setting, column: Sequence[Amount], places: Sequence[int]) -> Expectation:
        total = sum((column[place] for place in places), start=estimate.nothing(setting))
        usd = None
        if total.nano_usd is not None and total.nano_usd_draws is not None:
            usd = ranged(total.nano_usd / 1e9, total.nano_usd_draws / 1e9)
        took = speed.duration(total.requests, total.tokens, self._limits, setting.name, self._rows_per_s)
        return Expectation(tokens=ranged(total.tokens, total.token_draws), usd=usd, duration=took)


def look(inputs: Inputs, made: Plan) -> tuple[list[Stratum], list[Seen]]:
    """The rows that are asked, by reason and kind, and what earlier rows weighed; with all that is known of both."""
    asked = strata.read(made, inputs.prompt)
    known = {row.item.item_id for one in asked if one.reason != "new" for row in one.sample}
    found = lessons.learn(inputs.store, inputs.job.name, inputs.prompt.sha256, known)
    return lessons.sharpen(asked, found, inputs.items())


def setting(inputs: Inputs, what_if: WhatIf = AS_IT_IS) -> Setting:
    """Who is asked by the job of *inputs*, at today's price, and how media weigh there; as *what_if* has it."""
    name = what_if.model or inputs.job.model
    model = inputs.models.get(name)
    parameters = inputs.job.parameters
    sharp = parameters.get("vl_high_resolution_images") is True
    return estimate.Setting(
        name=name,
        model=model,
        price=inputs.prices.price_of(name, datetime.now(UTC).date()),
        scale=Scale(model=model, sharp=sharp, what_if=what_if, media=inputs.job.media),
        answer_limit=what_if.max_tokens or _answer_limit(parameters),
    )


def _answer_limit(parameters: Mapping[str, Any]) -> int | None:
    """What the job's parameters cut an answer at; None where they do not."""
    limits = [limit for name in ANSWER_LIMITS if isinstance(limit := parameters.get(name), int) and limit > 0]
    return min(limits, default=None)


def _taken(stratum: Stratum, setting: Setting) -> Stratum:
    """*stratum*, as rows that are not asked where the model does not take their media."""
    if setting.model is None or stratum.kind is None or not stratum.kind.name:
        return stratum
    refused = set(stratum.kind.name.split("+")).difference(setting.model.media)
    return replace(stratum, kind=None) if refused else stratum


def _notes(setting: Setting, asked: Sequence[Stratum], taken: Sequence[Stratum]) -> list[str]:
    """What a person must know about a column."""
    notes = []
    if setting.price is None:
        notes.append(f"no price of {setting.name} is known: add a [[price]] to configs/prices.toml")
    if setting.model is None:
        notes.append(f"{setting.name} is not in configs/models.toml: its media are weighed without rules")
    lost = round(sum(one.rows for one, now in zip(asked, taken, strict=True) if one.kind and not now.kind))
    if lost:
        rows = "1 row: it" if lost == 1 else f"{lost:,} rows: they"
        notes.append(f"{setting.name} does not take the media of {rows} would be skipped, at no cost")
    what_if = setting.scale.what_if
    if what_if.detail == "low" and setting.scale.low_detail is None:
        notes.append(f"detail=low changes nothing that is known of {setting.name}")
    return notes
