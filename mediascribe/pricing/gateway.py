"""What a gateway says that it charges: `GET /api/pricing`, as entries of a price file of its own.

Arithmetic of gateway notes 2.2: with `quota_type` 0 a million tokens of the prompt cost `model_ratio` x 2 USD x the
group's ratio, the answer that x `completion_ratio`; with 1 a call costs `model_price` USD x the group's ratio. The
ratios of cached tokens, pictures and sound are told by some versions only. Where one is not, the entry keeps the
proportion of the list below it, and says so in its source: a rate that is left out would be taken for that of text.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

from mediascribe.errors import AttemptError, ConfigError
from mediascribe.pricing.files import MAX_RATE, SMALLEST, read
from mediascribe.pricing.price import KINDS, Price, Rate

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping
    from datetime import date
    from pathlib import Path

    from mediascribe.client import Client
    from mediascribe.pricing.book import PriceBook

_USD_PER_RATIO: Final = 2  # a ratio of 1 is 2 USD for a million tokens (gateway notes 2.2)
# Ratios to the rate of the prompt's text.
_RATIOS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "output": "completion_ratio",
        "cached": "cache_ratio",
        "cache_write": "create_cache_ratio",
        "image_in": "image_ratio",
        "audio_in": "audio_ratio",
    }
)
_HEAD: Final = """\
# What the gateway {gateway} says that it charges, in USD per million tokens: written by `mediascribe prices pull`.
#
# It goes before prices.toml and genai-prices for jobs of this gateway. Each pull adds entries at the end for what has
# changed; an entry is never changed, since results name it.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """What a pull is about: the gateway's name, the group of the key, the day, and the models (None: all)."""

    gateway: str
    group: str
    on: date
    models: Collection[str] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """A model whose price the gateway tells: what the book says (None: nothing), and what the gateway says now."""

    model: str
    before: Price | None
    now: Price

    @property
    def is_one(self) -> bool:
        """Whether the gateway says anything else than the book."""
        return self.before is None or not _alike(self.before, self.now)


@dataclass(frozen=True, slots=True, kw_only=True)
class Pulled:
    """What a gateway told: prices beside those of the book, and models whose price is told in no form known here."""

    changes: tuple[Change, ...]
    unread: tuple[str, ...]


async def ask(client: Client) -> Any:  # noqa: ANN401 - any JSON value
    """The gateway's own list of prices, numbers as decimals.

    Raises:
        ConfigError: it does not answer with one.
    """
    url = f"{client.base_url.removesuffix('/').removesuffix('/v1')}/api/pricing"
    try:
        answer = await client.get(url)
    except AttemptError as error:
        raise ConfigError(f"{url}: {error}; check gateway.base_url and the network") from None
    try:
        return json.loads(answer.body, parse_float=Decimal)
    except ValueError:
        raise ConfigError(
            f"{url} answers {answer.status} without JSON: this gateway does not tell its prices"
        ) from None


def pulled(told: Any, terms: Terms, book: PriceBook, lists: PriceBook) -> Pulled:  # noqa: ANN401 - any JSON value
    """What the list of prices *told* says on *terms*, beside *book*; *lists* is the book without this gateway's layer.

    Raises:
        ConfigError: it is no such list, or has no such group.
    """
    rows = told.get("data") if isinstance(told, dict) else None
    groups = told.get("group_ratio") if isinstance(told, dict) else None
    if not isinstance(rows, list) or not isinstance(groups, dict):
        raise ConfigError(f"{terms.gateway} tells its prices in no form that is known here (gateway notes 2.2)")
    group_ratio = _number(groups.get(terms.group))
    if group_ratio is None:
        known = ", ".join(f"`{name}`" for name in groups) or "none"
        raise ConfigError(f"{terms.gateway} has no group `{terms.group}`; name that of your key with --group: {known}")
    changes, unread = [], []
    for row in rows:
        model = row.get("model_name") if isinstance(row, dict) else None
        if not isinstance(model, str) or (terms.models is not None and model not in terms.models):
            continue
        before = book.price_of(model, terms.on)
        now = _price(row, group_ratio, terms, lists.price_of(model, terms.on))
        if now is None or terms.group not in (row.get("enable_groups") or [terms.group]):
            unread.append(model)
        else:
            changes.append(Change(model=model, before=before, now=now))
    return Pulled(changes=tuple(changes), unread=tuple(unread))


def write(path: Path, found: Pulled, terms: Terms) -> list[Change]:
    """Add entries to the file at *path* for what it does not say yet, and give them; the file appears whole.

    Raises:
        ConfigError: a price has changed since an earlier pull of the same day.
    """
    text, known = read(path) if path.exists() else (_HEAD.format(gateway=terms.gateway), {})
    latest = {model: prices[0] for model, prices in known.items()}
    fresh = [one for one in found.changes if one.model not in latest or not _alike(latest[one.model], one.now)]
    twice = [one.model for one in fresh if one.model in latest and latest[one.model].from_date == terms.on]
    if twice:
        raise ConfigError(
            f"{path}: {', '.join(twice)} changed after the pull of {terms.on}, and a price holds from a day on;"
            " nothing was written: pull again tomorrow"
        )
    if fresh:
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_suffix(".partial")
        partial.write_text(text + "".join(f"\n{entry(one.now)}" for one in fresh), encoding="utf-8")
        partial.replace(path)
    return fresh


def entry(price: Price) -> str:
    """*price* as an entry of a price file."""
    assert price.from_date is not None  # noqa: S101 - a pulled price has the day of the pull
    lines = [
        "[[price]]",
        f"model = {_quoted(price.model)}",
        f"from = {price.from_date}",
        f"list = {_quoted(price.version.partition(' ')[2])}",
        *(f'{kind} = "{price.rates[kind].base:f}"' for kind in KINDS if kind in price.rates),
    ]
    if price.per_call is not None:
        lines.append(f'per_call = "{price.per_call:f}"')
    return "\n".join([*lines, f"source = {_quoted(price.source)}", ""])


def _price(row: Mapping[str, Any], group_ratio: Decimal, terms: Terms, below: Price | None) -> Price | None:
    """The price that *row* tells; None where it is told in another form, or makes no sense."""
    if row.get("billing_mode") == "tiered_expr":
        return None
    source = f"GET /api/pricing of {terms.gateway}, group {terms.group} x {group_ratio:f}"
    per_call: Decimal | None = None
    told: dict[str, Decimal]
    if row.get("quota_type") == 1:
        per_call = _product(_number(row.get("model_price")), group_ratio)
        told = {} if per_call is None else {"input": Decimal(0), "output": Decimal(0)}
    else:
        told = _by_token(row, group_ratio)
        if kept := _kept(told, below):
            source += f"; {', '.join(kept)} in proportion to {below.version if below else None}"
            told |= kept
    if not {"input", "output"} <= told.keys():
        return None
    rates: dict[str, Any] = {kind: Rate(rate) for kind, rate in told.items()}
    return Price(
        model=str(row["model_name"]),
        from_date=terms.on,
        version=f"{terms.on} {terms.gateway}",
        source=source,
        per_call=per_call,
        layer="gateway",
        **rates,
    )


def _by_token(row: Mapping[str, Any], group_ratio: Decimal) -> dict[str, Decimal]:
    """The rates by kind that the ratios of *row* tell."""
    text = _product(_number(row.get("model_ratio")), group_ratio * _USD_PER_RATIO)
    rates = {"input": text} | {kind: _product(_number(row.get(ratio)), text) for kind, ratio in _RATIOS.items()}
    rates["audio_out"] = _product(_number(row.get("audio_completion_ratio")), rates["audio_in"])
    return {kind: rate for kind, rate in rates.items() if rate is not None}


def _kept(told: Mapping[str, Decimal], before: Price | None) -> dict[str, Decimal]:
    """Rates of kinds that are not *told*, which stand to that of text as they do in the price *before*."""
    if before is None or not before.input.base or "input" not in told:
        return {}
    untold = ((kind, rate.base) for kind, rate in before.rates.items() if kind not in {*told, "output"})
    return {kind: _fine(told["input"] * rate / before.input.base) for kind, rate in untold}


def _alike(one: Price, other: Price) -> bool:
    return (one.rates, one.per_call) == (other.rates, other.per_call)


def _number(value: object) -> Decimal | None:
    """*value* as an amount of 0 and more, where it is one."""
    if isinstance(value, bool) or not isinstance(value, (int, Decimal)):
        return None
    try:
        number = Decimal(value)
    except InvalidOperation:  # pragma: no cover - JSON has no such numbers
        return None
    return number if number.is_finite() and 0 <= number <= MAX_RATE else None


def _product(one: Decimal | None, other: Decimal | None) -> Decimal | None:
    if one is None or other is None:
        return None
    product = one * other
    return _fine(product) if product <= MAX_RATE else None


def _fine(amount: Decimal) -> Decimal:
    """*amount* to a millionth of a millionth: ratios are binary fractions that were meant to be round."""
    return amount.quantize(SMALLEST).normalize()


def _quoted(text: str) -> str:
    """*text* as a TOML string: JSON's escapes are TOML's."""
    return json.dumps(text)
