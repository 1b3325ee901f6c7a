"""What is wrong, or soon will be, with the prices and the lifetimes of models that jobs use."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

from mediascribe.models import RETIRING_DAYS
from mediascribe.pricing import listed

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from datetime import date

    from mediascribe.models import ModelTable
    from mediascribe.pricing.book import PriceBook

Verdict = Literal["unpriced", "retired", "retiring", "reseller"]
DEFECTS: Final[frozenset[Verdict]] = frozenset({"unpriced", "retired"})

# Lists of those who sell other makers' models: what they charge is no list price of the maker's.
_RESELLERS: Final = frozenset(
    {
        "avian",
        "baseten",
        "cerebras",
        "cloudflare",
        "databricks",
        "fireworks",
        "groq",
        "novita",
        "openrouter",
        "ovhcloud",
        "quicksilverpro",
        "together",
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing that is wrong with a model's price or lifetime, and what to do about it."""

    model: str
    verdict: Verdict
    said: str
    advice: str

    @property
    def is_defect(self) -> bool:
        """Whether it is wrong now, and not only worth knowing."""
        return self.verdict in DEFECTS


def findings(names: Iterable[str], book: PriceBook, table: ModelTable, on: date) -> Iterator[Finding]:
    """What there is to say on the day *on* of the models *names*, in their order."""
    for name in dict.fromkeys(names):
        yield from _price(name, book, on)
        yield from _lifetime(name, table, on)


def _price(name: str, book: PriceBook, on: date) -> Iterator[Finding]:
    price = book.price_of(name, on)
    if price is None:
        elsewhere = listed.resellers(name)
        said = "nobody lists a price of it"
        if elsewhere:
            said = f"only {' and '.join(elsewhere)} list{'s' if len(elsewhere) == 1 else ''} a price of it"
        advice = "add a [[price]] to configs/prices.toml, or pull the gateway's; until then its cost is unknown"
        yield Finding(model=name, verdict="unpriced", said=said, advice=advice)
    elif (seller := price.version.rpartition(" ")[2]) in _RESELLERS:
        said = f"its only price is a reseller's: {seller}"
        yield Finding(model=name, verdict="reseller", said=said, advice="pull the gateway's own: prices pull JOB")


def _lifetime(name: str, table: ModelTable, on: date) -> Iterator[Finding]:
    model = table.get(name)
    if model is None or model.retires is None:
        return
    days = (model.retires - on).days
    if days <= 0:
        said = f"it was to retire on {model.retires}"
        yield Finding(model=name, verdict="retired", said=said, advice="see whether GET /v1/models still lists it")
    elif days <= RETIRING_DAYS:
        said = f"it retires on {model.retires}, in {days} days"
        yield Finding(model=name, verdict="retiring", said=said, advice="plan for another model")
