"""The lowest layer: what genai-prices lists, where our columns can apply it."""

from __future__ import annotations

from datetime import UTC, datetime, time, timedelta
from decimal import Decimal
from importlib import metadata
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

from mediascribe.pricing.price import Price, Rate

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import date

    from genai_prices.types import ModelInfo, TieredPrices

_RATES: Final[Mapping[str, str]] = MappingProxyType(
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
_PER_CALL: Final = "requests_kcount"  # USD for a thousand requests
# Paid for what a job here does not ask for: searches, and a cache that keeps for an hour.
_NOT_OURS: Final = frozenset({"web_searches_kcount", "storage_searches_kcount", "cache_write_1h_mtok"})


def version() -> str:
    """The name of the list, with its version."""
    return f"genai-prices {metadata.version('genai-prices')}"


def price_of(model: str, on: date) -> Price | None:
    """The price that genai-prices lists for the bare name *model*, at noon UTC (some are cheaper at night)."""
    from genai_prices import types  # noqa: PLC0415 - takes a third of a second

    found = _found(model)
    if found is None:
        return None
    prices = found.get_prices(datetime.combine(on, time(12), tzinfo=UTC))
    rates = {key: value for key, value in vars(prices).items() if value is not None and key not in _NOT_OURS}
    per_call = rates.pop(_PER_CALL, None)
    if not {"input_mtok", "output_mtok"} <= rates.keys() <= _RATES.keys():
        return None
    conditions = found.prices if isinstance(found.prices, list) else []
    since = next((one.constraint for one in conditions if one.prices is prices), None)
    from_date = since.start_date if isinstance(since, types.StartDateConstraint) else None
    own: dict[str, Any] = {_RATES[key]: _as_rate(value) for key, value in rates.items()}
    name = version().replace(" ", "-")
    return Price(
        model=model,
        from_date=from_date,
        version=f"{from_date} {name}" if from_date else name,
        source=f"{name}: {found.id}",
        per_call=None if per_call is None else Decimal(per_call) / 1000,
        layer="genai-prices",
        **own,
    )


def history(model: str, on: date) -> list[Price]:
    """Every price that genai-prices lists for *model*, of any day up to *on* and after, the latest first."""
    from genai_prices import types  # noqa: PLC0415 - takes a third of a second

    found = _found(model)
    if found is None:
        return []
    conditions = found.prices if isinstance(found.prices, list) else []
    starts = [one.constraint.start_date for one in conditions if isinstance(one.constraint, types.StartDateConstraint)]
    days = sorted({on, *starts, *(start - timedelta(days=1) for start in starts)}, reverse=True)
    listed = [price for day in days if (price := price_of(model, day))]
    return list({price.version: price for price in listed}.values())


def resellers(model: str) -> list[str]:
    """The providers of genai-prices that list *model* and are not those that a bare name means."""
    from genai_prices import data_snapshot  # noqa: PLC0415 - takes a third of a second

    return [
        provider.id
        for provider in data_snapshot.get_snapshot().providers
        if any(listed.match.is_match(model) for listed in provider.models)
    ]


def _found(model: str) -> ModelInfo | None:
    from genai_prices import data_snapshot  # noqa: PLC0415 - takes a third of a second

    try:
        _, found = data_snapshot.get_snapshot().find_provider_model(model, None, None, None)
    except LookupError:
        return None
    return found


def _as_rate(value: Decimal | TieredPrices) -> Rate:
    if isinstance(value, Decimal):
        return Rate(value)
    return Rate(value.base, tuple((tier.start, tier.price) for tier in value.tiers))
