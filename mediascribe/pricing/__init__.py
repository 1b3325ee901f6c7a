"""What tokens cost: a price book whose entries hold from a day on, and the exact cost of a usage on a day.

Rules of this package:

- Money is exact: rates are decimals, a cost is rounded once, half to even, to whole nano-dollars.
- Unknown is None: no price, no cost. A list price that bills something that our columns do not show is unknown too.
- Three layers, the upper one wins: what the job's gateway says that it charges (`prices-<gateway>.toml`, written by
  `gateway.pull`), our own file (`prices.toml`), genai-prices (compiled into the package, no network).
- Files are append-only: an entry is never changed, since results name it; a new price is a new entry.
- A list price is an estimate of the bill: the gateway's own charge may differ (gateway notes 2.2 and 4.5).
"""

from __future__ import annotations

from mediascribe.pricing.book import PriceBook, load
from mediascribe.pricing.files import MAX_RATE, gateway_name
from mediascribe.pricing.places import in_force, of_record
from mediascribe.pricing.price import KINDS, Exact, Price, Rate

__all__ = [
    "KINDS",
    "MAX_RATE",
    "Exact",
    "Price",
    "PriceBook",
    "Rate",
    "gateway_name",
    "in_force",
    "load",
    "of_record",
]
