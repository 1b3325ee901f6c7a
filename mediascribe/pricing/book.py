"""The price book: which price of a model holds on a day, in which layer, and what a usage costs by it."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from mediascribe.domain import Cost
from mediascribe.pricing import files, listed

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import date
    from pathlib import Path

    from mediascribe.domain import Usage
    from mediascribe.pricing.price import Price


@dataclass(frozen=True, slots=True, kw_only=True)
class PriceBook:
    """Prices by model and day: those of our files first, then those of genai-prices.

    `version` names them all, for the run file. Looking up the same model and day again is cheap.
    """

    version: str
    entries: Mapping[str, tuple[Price, ...]]  # by model; the upper layer first, then the latest first
    _known: dict[tuple[str, date], Price | None] = field(default_factory=dict, repr=False, compare=False)

    def price_of(self, model: str, on: date) -> Price | None:
        """The price of *model* on the day *on*; None where nobody lists one."""
        key = (model, on)
        if key not in self._known:
            own = (price for price in self.entries.get(model, ()) if price.from_date is None or price.from_date <= on)
            self._known[key] = next(own, None) or listed.price_of(model, on)
        return self._known[key]

    def cost(self, usage: Usage, model: str, on: date) -> Cost | None:
        """What *usage* of *model* costs on the day *on*; None where the tokens or the price are unknown."""
        if usage.source == "missing":
            return None
        price = self.price_of(model, on)
        return Cost(nano_usd=price.nano_usd(usage), price_version=price.version) if price else None

    def history(self, model: str, on: date) -> list[Price]:
        """Every price of *model*, in force or not: layer by layer, each the latest first."""
        return [*self.entries.get(model, ()), *listed.history(model, on)]

    def recorded(self, model: str, version: str, on: date) -> Price | None:
        """The price of *model* that results name *version*; None where this book does not have it (any more)."""
        return next((price for price in self.history(model, on) if price.version == version), None)


def load(path: Path | None = None, *, gateways: Sequence[Path] = ()) -> PriceBook:
    """The price book with the file at *path* on top of genai-prices, and the files of *gateways* above it.

    Without a *path*, genai-prices is the lowest and the second layer is empty.

    Raises:
        ConfigError: a file is missing, no TOML, or has an entry that is no price; the message names file and line.
    """
    versions, layers = [], []
    for place, layer in (*((gateway, "gateway") for gateway in gateways), *([(path, "file")] if path else [])):
        text, prices = files.read(place, "gateway" if layer == "gateway" else "file")
        versions.append(f"{place.name} {hashlib.sha256(text.encode()).hexdigest()[:12]}")
        layers.append(prices)
    merged: dict[str, list[Price]] = {}
    for prices in layers:
        for model, of_model in prices.items():
            merged.setdefault(model, []).extend(of_model)
    return PriceBook(
        version=", ".join([*versions, listed.version()]),
        entries={model: tuple(of_model) for model, of_model in merged.items()},
    )
