"""What tokens cost: a price book whose entries hold from a date on, and the exact cost of a usage on a day.

Rules of this file:

- Money is exact: rates are decimals, a cost is rounded once, half to even, to whole nano-dollars.
- Unknown is None: no price, no cost. A list price that bills something that our columns do not show is unknown too.
- Our own file comes first, genai-prices (compiled into the package, no network) is asked where it says nothing.
- A list price is an estimate of the bill: the gateway's own charge may differ (gateway notes 2.2 and 4.5).
"""

from __future__ import annotations

import difflib
import hashlib
import re
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time
from decimal import Decimal, InvalidOperation
from importlib import metadata
from types import MappingProxyType
from typing import TYPE_CHECKING, ClassVar, Final, Literal

from mediascribe import entries
from mediascribe.domain import Cost

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from genai_prices.types import TieredPrices

    from mediascribe.domain import Usage
    from mediascribe.entries import Entry

MAX_RATE: Final = Decimal(1_000_000)  # a dollar a token; more is a slip of the pen

_FORM: Final = entries.Form(file="price file", key="price", entries="tables")


@dataclass(frozen=True, slots=True)
class Rate:
    """USD per million tokens. A prompt longer than a tier's start pays that tier's rate, for all its tokens."""

    base: Decimal
    tiers: tuple[tuple[int, Decimal], ...] = ()

    def at(self, prompt_tokens: int) -> Decimal:
        """The rate beside a prompt of *prompt_tokens*."""
        return next((rate for start, rate in reversed(self.tiers) if prompt_tokens > start), self.base)


@dataclass(frozen=True, slots=True, kw_only=True)
class Price:
    """What a model's tokens cost from a day on (None: since ever).

    Where a rate is None, its tokens cost what `input` (`output` for `audio_out`, `cached` for `cached_audio`) says.
    """

    currency: ClassVar[Literal["USD"]] = "USD"
    model: str
    from_date: date | None
    version: str
    source: str
    input: Rate
    output: Rate
    cached: Rate | None = None
    cache_write: Rate | None = None
    audio_in: Rate | None = None
    cached_audio: Rate | None = None
    image_in: Rate | None = None
    audio_out: Rate | None = None

    def nano_usd(self, usage: Usage) -> int:
        """The cost of *usage* in whole nano-dollars.

        What the cache served is a subset of the prompt whose kind is not reported: it counts as text (and video)
        first, then as pictures, then as sound; what was written to the cache comes after it, in the same order.
        """
        prompt = usage.prompt_tokens
        sound, pictures = usage.prompt_audio_tokens, usage.prompt_image_tokens
        cached_sound = max(0, usage.cached_tokens - (prompt - sound))
        plain, rest = _less(prompt - sound - pictures, usage.cached_tokens + usage.cache_write_tokens)
        pictures, rest = _less(pictures, rest)
        sound, rest = _less(sound, rest)
        written_sound = usage.completion_audio_tokens
        cached = self.cached or self.input
        charges = (
            (plain, self.input),
            (pictures, self.image_in or self.input),
            (sound, self.audio_in or self.input),
            (usage.cached_tokens - cached_sound, cached),
            (cached_sound, self.cached_audio or cached),
            (usage.cache_write_tokens, self.cache_write or self.input),
            (usage.completion_tokens - written_sound, self.output),
            (written_sound, self.audio_out or self.output),
        )
        micro_usd = sum((tokens * rate.at(prompt) for tokens, rate in charges if tokens), start=Decimal(0))
        return round(micro_usd * 1000)


def _less(tokens: int, taken: int) -> tuple[int, int]:
    """*tokens* without those *taken*, and how many of the taken are still to be found elsewhere."""
    return (tokens - taken, 0) if taken <= tokens else (0, taken - tokens)


@dataclass(frozen=True, slots=True, kw_only=True)
class PriceBook:
    """Prices by model and day: those of our file first, then those of genai-prices.

    `version` names both, for the run file. Looking up the same model and day again is cheap.
    """

    version: str
    entries: Mapping[str, tuple[Price, ...]]  # by model, the latest first
    _known: dict[tuple[str, date], Price | None] = field(default_factory=dict, repr=False, compare=False)

    def price_of(self, model: str, on: date) -> Price | None:
        """The price of *model* on the day *on*; None where nobody lists one."""
        key = (model, on)
        if key not in self._known:
            own = (price for price in self.entries.get(model, ()) if price.from_date is None or price.from_date <= on)
            self._known[key] = next(own, None) or _listed(model, on)
        return self._known[key]

    def cost(self, usage: Usage, model: str, on: date) -> Cost | None:
        """What *usage* of *model* costs on the day *on*; None where the tokens or the price are unknown."""
        if usage.source == "missing":
            return None
        price = self.price_of(model, on)
        return Cost(nano_usd=price.nano_usd(usage), price_version=price.version) if price else None


def load(path: Path | None = None) -> PriceBook:
    """The price book with the file at *path* on top; without one, genai-prices alone.

    Raises:
        ConfigError: the file is missing, no TOML, or has an entry that is no price; the message names file and line.
    """
    listed = f"genai-prices {metadata.version('genai-prices')}"
    if path is None:
        return PriceBook(version=listed, entries={})
    text, tables = entries.read(path, _FORM, parse_float=Decimal)
    own: dict[str, list[Price]] = {}
    for entry in tables:
        price = _price(entry)
        known = own.setdefault(price.model, [])
        if any(price.from_date == other.from_date for other in known):
            raise entry.error("from", f"{price.model} has another price from that day on: keep one")
        known.append(price)
    for prices in own.values():
        prices.sort(key=lambda price: price.from_date or date.min, reverse=True)
    return PriceBook(
        version=f"{path.name} {hashlib.sha256(text.encode()).hexdigest()[:12]}, {listed}",
        entries={model: tuple(prices) for model, prices in own.items()},
    )


def _price(entry: Entry) -> Price:
    """The price that *entry* describes."""
    for key in entry.table:
        if key not in _KEYS:
            nearest = difflib.get_close_matches(key, _KEYS, n=1, cutoff=0.5)
            hint = f"did you mean `{nearest[0]}`?" if nearest else f"known here: {', '.join(_KEYS)}"
            raise entry.error(key, f"is no part of a price; {hint}")
    from_date = _from_date(entry)
    rates = {key: _rate(entry, key) for key in _RATES if key in entry.table or key in {"input", "output"}}
    return Price(
        model=_text(entry, "model"),
        from_date=from_date,
        version=f"{from_date} {_text(entry, 'list')}",
        source=_text(entry, "source"),
        **rates,
    )


def _text(entry: Entry, key: str) -> str:
    value = entry.table.get(key)
    if not isinstance(value, str) or not value.strip():
        raise entry.error(key, f"wants a text: {_KEYS[key]}")
    return value


def _from_date(entry: Entry) -> date:
    value = entry.table.get("from")
    if type(value) is date:
        return value
    try:
        return date.fromisoformat(value if isinstance(value, str) else "")
    except ValueError:
        raise entry.error("from", f"wants a day such as 2025-02-05: {_KEYS['from']}") from None


def _rate(entry: Entry, key: str) -> Rate:
    value = entry.table.get(key)
    tiers = value if isinstance(value, dict) else {"0": value}
    if "0" not in tiers or not all(re.fullmatch(r"\d{1,9}", start) for start in tiers):
        raise entry.error(key, 'wants tiers such as { 0 = "1.25", 200000 = "2.50" }')
    rates = {int(start): _decimal(rate) for start, rate in tiers.items()}
    if None in rates.values():
        raise entry.error(key, f'wants 0 to {MAX_RATE}, such as "0.10": {_KEYS[key]}')
    ascending = sorted((start, rate) for start, rate in rates.items() if start and rate is not None)
    return Rate(rates[0] or Decimal(0), tuple(ascending))


_RATES: Final = ("input", "cached", "cache_write", "audio_in", "cached_audio", "image_in", "output", "audio_out")
_KEYS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "model": "the model's name, as the job has it",
        "from": "the first day on which the price holds",
        "list": "a short name of the price list, stored with every cost",
        "source": "where the price is published",
        **dict.fromkeys(_RATES, "USD per million tokens"),
    }
)


def _decimal(value: object) -> Decimal | None:
    if isinstance(value, bool) or not isinstance(value, (str, int, Decimal)):
        return None
    try:
        rate = Decimal(value)
    except InvalidOperation:
        return None
    return rate if rate.is_finite() and 0 <= rate <= MAX_RATE else None


_LISTED_RATES: Final[Mapping[str, str]] = MappingProxyType(
    {
        "input_mtok": "input",
        "cache_read_mtok": "cached",
        "cache_write_mtok": "cache_write",
        "input_audio_mtok": "audio_in",
        "cache_audio_read_mtok": "cached_audio",
        "input_image_mtok": "image_in",
        "output_mtok": "output",
        "output_audio_mtok": "audio_out",
    }
)
# Paid for what a job here does not ask for: searches, and a cache that keeps for an hour.
_NOT_OURS: Final = frozenset({"web_searches_kcount", "storage_searches_kcount", "cache_write_1h_mtok"})


def _listed(model: str, on: date) -> Price | None:
    """The price that genai-prices lists for the bare name *model*, at noon UTC (some are cheaper at night)."""
    from genai_prices import data_snapshot, types  # noqa: PLC0415 - takes a third of a second

    try:
        _, found = data_snapshot.get_snapshot().find_provider_model(model, None, None, None)
    except LookupError:
        return None
    noon = datetime.combine(on, time(12), tzinfo=UTC)
    prices = found.get_prices(noon)
    rates = {key: value for key, value in vars(prices).items() if value is not None and key not in _NOT_OURS}
    if not {"input_mtok", "output_mtok"} <= rates.keys() <= _LISTED_RATES.keys():
        return None
    conditions = found.prices if isinstance(found.prices, list) else []
    since = next((one.constraint for one in conditions if one.prices is prices), None)
    from_date = since.start_date if isinstance(since, types.StartDateConstraint) else None
    name = f"genai-prices-{metadata.version('genai-prices')}"
    return Price(
        model=model,
        from_date=from_date,
        version=f"{from_date} {name}" if from_date else name,
        source=f"{name}: {found.id}",
        **{_LISTED_RATES[key]: _as_rate(value) for key, value in rates.items()},
    )


def _as_rate(value: Decimal | TieredPrices) -> Rate:
    if isinstance(value, Decimal):
        return Rate(value)
    return Rate(value.base, tuple((tier.start, tier.price) for tier in value.tiers))
