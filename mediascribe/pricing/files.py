"""Price files: what a [[price]] entry says, each of whose mistakes is told with file, line and key.

An entry may be in another currency, with a rate of exchange that is fixed in it for good; the price is in USD then,
rounded to a millionth of a millionth.
"""

from __future__ import annotations

import difflib
import re
from datetime import date
from decimal import Decimal, InvalidOperation
from types import MappingProxyType
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from mediascribe import entries
from mediascribe.pricing.price import KINDS, Price, Rate

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from mediascribe.entries import Entry
    from mediascribe.pricing.price import Layer

MAX_RATE: Final = Decimal(1_000_000)  # a dollar a token; more is a slip of the pen
SMALLEST: Final = Decimal("1e-12")

_FORM: Final = entries.Form(file="price file", key="price", entries="tables")
_EXCHANGE: Final = 'wants { code = "CNY", usd = "0.14", on = 2025-12-26 }'


def read(path: Path, layer: Layer = "file") -> tuple[str, dict[str, list[Price]]]:
    """The text of the price file at *path*, and its prices by model, the latest first.

    Raises:
        ConfigError: the file is missing, no TOML, or has an entry that is no price; the message names file and line.
    """
    text, tables = entries.read(path, _FORM, parse_float=Decimal)
    prices: dict[str, list[Price]] = {}
    for entry in tables:
        price = _price(entry, layer)
        known = prices.setdefault(price.model, [])
        if any(price.from_date == other.from_date for other in known):
            raise entry.error("from", f"{price.model} has another price from that day on: keep one")
        known.append(price)
    for of_model in prices.values():
        of_model.sort(key=lambda price: price.from_date or date.min, reverse=True)
    return text, prices


def gateway_name(base_url: str) -> str:
    """What the gateway at *base_url* is called in the name of its price file: its host, and its port if it has one."""
    parts = urlsplit(base_url)
    host = parts.hostname or base_url
    return re.sub(r"[^a-z0-9.-]+", "-", f"{host}-{parts.port}" if parts.port else host.lower())


def _price(entry: Entry, layer: Layer) -> Price:
    """The price that *entry* describes."""
    for key in entry.table:
        if key not in _KEYS:
            nearest = difflib.get_close_matches(key, _KEYS, n=1, cutoff=0.5)
            hint = f"did you mean `{nearest[0]}`?" if nearest else f"known here: {', '.join(_KEYS)}"
            raise entry.error(key, f"is no part of a price; {hint}")
    from_date = _from_date(entry)
    code, usd = _exchange(entry)
    per_call = _amount(entry, "per_call") if "per_call" in entry.table else None
    needed = () if per_call is not None else ("input", "output")
    rates = {kind: _rate(entry, kind, usd) for kind in KINDS if kind in entry.table or kind in needed}
    free = Rate(Decimal(0))  # what is paid by the call alone
    return Price(
        model=_text(entry, "model"),
        from_date=from_date,
        version=f"{from_date} {_text(entry, 'list')}",
        source=_text(entry, "source"),
        per_call=None if per_call is None else _usd(per_call, usd),
        batch=_share(entry) if "batch" in entry.table else None,
        currency=code,
        layer=layer,
        **{"input": free, "output": free, **rates},
    )


def _text(entry: Entry, key: str) -> str:
    value = entry.table.get(key)
    if not isinstance(value, str) or not value.strip():
        raise entry.error(key, f"wants a text: {_KEYS[key]}")
    return value


def _from_date(entry: Entry) -> date:
    day = _day(entry.table.get("from"))
    if day is None:
        raise entry.error("from", f"wants a day such as 2025-02-05: {_KEYS['from']}")
    return day


def _day(value: object) -> date | None:
    if type(value) is date:
        return value
    try:
        return date.fromisoformat(value if isinstance(value, str) else "")
    except ValueError:
        return None


def _exchange(entry: Entry) -> tuple[str, Decimal]:
    """The currency that *entry* is in, and what one of it is in USD, as the entry says."""
    if "currency" not in entry.table:
        return "USD", Decimal(1)
    value = entry.table["currency"]
    said = value if isinstance(value, dict) and value.keys() == {"code", "usd", "on"} else {}
    usd, code = decimal(said.get("usd")), said.get("code")
    if not usd or not isinstance(code, str) or not re.fullmatch(r"[A-Z]{3}", code) or _day(said.get("on")) is None:
        raise entry.error("currency", f"{_EXCHANGE}: {_KEYS['currency']}")
    return code, usd


def _share(entry: Entry) -> Decimal:
    share = decimal(entry.table["batch"])
    if share is None or share > 1:
        raise entry.error("batch", f'wants 0 to 1, such as "0.5": {_KEYS["batch"]}')
    return share


def _amount(entry: Entry, key: str) -> Decimal:
    amount = decimal(entry.table[key])
    if amount is None:
        raise entry.error(key, f'wants 0 to {MAX_RATE}, such as "0.10": {_KEYS[key]}')
    return amount


def _rate(entry: Entry, key: str, usd: Decimal) -> Rate:
    value = entry.table.get(key)
    tiers = value if isinstance(value, dict) else {"0": value}
    if "0" not in tiers or not all(re.fullmatch(r"\d{1,9}", start) for start in tiers):
        raise entry.error(key, 'wants tiers such as { 0 = "1.25", 200000 = "2.50" }')
    rates = {int(start): decimal(rate) for start, rate in tiers.items()}
    if None in rates.values():
        raise entry.error(key, f'wants 0 to {MAX_RATE}, such as "0.10": {_KEYS[key]}')
    ascending = sorted((start, _usd(rate, usd)) for start, rate in rates.items() if start and rate is not None)
    return Rate(_usd(rates[0] or Decimal(0), usd), tuple(ascending))


def _usd(amount: Decimal, usd: Decimal) -> Decimal:
    return amount if usd == 1 else (amount * usd).quantize(SMALLEST).normalize()


_KEYS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "model": "the model's name, as the job has it",
        "from": "the first day on which the price holds",
        "list": "a short name of the price list, stored with every cost",
        "source": "where the price is published",
        **dict.fromkeys(KINDS, "USD per million tokens"),
        "per_call": "USD for each request, beside its tokens",
        "batch": "the share of the rates that a request in a batch pays",
        "currency": "what the entry's amounts are in, what one of it is in USD, and the day of that rate",
    }
)


def decimal(value: object) -> Decimal | None:
    """*value* as an amount of 0 to `MAX_RATE` with no more than 12 decimals; None where it is none."""
    if isinstance(value, bool) or not isinstance(value, (str, int, Decimal)):
        return None
    try:
        amount = Decimal(value)
    except InvalidOperation:
        return None
    fits = amount.is_finite() and 0 <= amount <= MAX_RATE and amount == amount.quantize(SMALLEST)
    return amount if fits else None
