"""Rate headers: what is left of a limit, in the words of two vendors (gateway notes 3.1, 3.3).

OpenAI tells the time until a limit is whole again as a duration (`6m0s`, `1.5s`, `17ms`), Anthropic as a moment.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from mediascribe.sandbox.limits import Level

_MINUTE_S: Final = 60


@dataclass(frozen=True, slots=True, kw_only=True)
class Quota:
    """One limit as it is told: of `requests` or of `tokens`, by the minute or the day, and how full it is."""

    what: str
    limit: float
    level: Level


def openai(quotas: Iterable[Quota]) -> dict[str, str]:
    """The headers as OpenAI has them."""
    headers = {}
    for quota in quotas:
        headers[f"x-ratelimit-limit-{quota.what}"] = f"{quota.limit:.0f}"
        headers[f"x-ratelimit-remaining-{quota.what}"] = str(quota.level.remaining)
        headers[f"x-ratelimit-reset-{quota.what}"] = duration(quota.level.reset_s)
    return headers


def anthropic(quotas: Iterable[Quota]) -> dict[str, str]:
    """The headers as Anthropic has them; moments in whole seconds, rounded up."""
    headers = {}
    for quota in quotas:
        whole = math.ceil(datetime.now(UTC).timestamp() + quota.level.reset_s)
        reset_at = datetime.fromtimestamp(0, UTC) + timedelta(seconds=whole)
        headers[f"anthropic-ratelimit-{quota.what}-limit"] = f"{quota.limit:.0f}"
        headers[f"anthropic-ratelimit-{quota.what}-remaining"] = str(quota.level.remaining)
        headers[f"anthropic-ratelimit-{quota.what}-reset"] = f"{reset_at:%Y-%m-%dT%H:%M:%SZ}"
    return headers


def none(_quotas: Iterable[Quota]) -> dict[str, str]:
    """No headers: the gateway has none of its own."""
    return {}


def duration(seconds: float) -> str:
    """*seconds* as OpenAI writes them."""
    milliseconds = math.ceil(seconds * 1000)
    if milliseconds < 1000:  # noqa: PLR2004 - a second
        return f"{milliseconds}ms"
    minutes, rest = divmod(milliseconds / 1000, _MINUTE_S)
    return f"{minutes:.0f}m{rest:g}s" if minutes else f"{rest:g}s"


SPELLINGS: Final[dict[str, Callable[[Iterable[Quota]], dict[str, str]]]] = {
    "none": none,
    "openai": openai,
    "anthropic": anthropic,
}
