"""Rows: which results a cost question is about, and the columns that they have."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from mediascribe.domain import STATUSES

if TYPE_CHECKING:
    from datetime import date

DAY: Final = "day"
TOKENS: Final = (
    "prompt_tokens",
    "prompt_text_tokens",
    "prompt_image_tokens",
    "prompt_audio_tokens",
    "prompt_video_tokens",
    "cached_tokens",
    "cache_write_tokens",
    "completion_tokens",
    "completion_audio_tokens",
    "reasoning_tokens",
    "wasted_tokens",
)
MEASURES: Final = (
    "rows",
    *STATUSES,
    *TOKENS,
    "cost_usd",
    "usd_per_1000_rows",
    "wasted_usd",
    "cached_saving_usd",
    "shared_saving_usd",
    "shared_rows",
    "unpriced_rows",
    "unsplit_rows",
)
"""The columns of a cost table, after those that it is by.

`unpriced_rows` were answered, or report tokens, and have no cost; `usd_per_1000_rows` is over all others, asked or not.

`wasted_usd` is what bought nothing: the whole cost of failed and truncated rows, and of the other rows what their
attempts cost whose answer was not kept. A row has the sum of its attempts (`cost_usd`) and the tokens of the answer
that was kept; so the rest is exact where all of them paid the price that `price_version` names. `cached_saving_usd` is
what the cached tokens would have cost beside what they did, by the same price. Where that price is in no book any more,
or a fallback model answered, the row is one of `unsplit_rows`, and in neither sum; its cost is known all the same.
Requests in doubt are in no row: the run files count them.

`shared_rows` have the answer of another row that asked the same, and cost nothing; `shared_saving_usd` is what they
would have cost at what that answer did, over those of which it is known. Rows of older versions were all asked.
"""
REPRICED: Final = ("repriced_usd", "change_usd", "unrepriced_rows")
"""The further columns of a cost table that is repriced.

`repriced_usd` is what the answers that were kept would have cost; `change_usd` is how much more than they did cost,
over the rows of which both are known; `unrepriced_rows` were answered, and have no other price, or no tokens.
"""
MONEY: Final = frozenset(
    {
        "cost_usd",
        "usd_per_1000_rows",
        "wasted_usd",
        "cached_saving_usd",
        "shared_saving_usd",
        "repriced_usd",
        "change_usd",
    }
)
SHARED: Final = "(usage_source = 'shared')"
"""The SQL of whether a row has the answer of another, and was billed nothing itself."""
ANSWERED: Final = "(usage_source not in ('missing', 'shared') or status in ('ok', 'truncated', 'refused'))"
"""The SQL of whether a row ought to have a cost: it was billed, or has an answer that was."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rows:
    """The rows of a question: those answered from the day *since* to the day *until* (UTC, both included), *where*.

    *where* is one SQL condition on the dataset's columns and `day`, such as `media_kind = 'audio' and attempts > 1`.
    """

    since: date | None = None
    until: date | None = None
    where: str | None = None


ALL: Final = Rows()


def quoted(name: str) -> str:
    """*name* as an identifier of SQL."""
    return '"' + name.replace('"', '""') + '"'


def text(value: str) -> str:
    """*value* as a text of SQL."""
    return "'" + value.replace("'", "''") + "'"
