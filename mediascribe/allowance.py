"""Allowance: what the gateway says is left of its quota, if it says so (gateway notes 3.1, 3.3).

No more leaves than was left by its last word, until the quota is whole again or a newer word comes. Nothing is left:
everybody waits until then, a minute at most; a longer wait has to be asked for by a 429. Answers without such headers
change nothing. Requests in flight are not held against what is left: the gateway counted them when they arrived.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from mediascribe.wire.faults import wait_s

if TYPE_CHECKING:
    from collections.abc import Mapping

_LONGEST_S: Final = 60.0
_UNTOLD_S: Final = 1.0
# What is left, when it is whole again, and whether that counts tokens.
_HEADERS: Final = (
    ("x-ratelimit-remaining-requests", "x-ratelimit-reset-requests", False),
    ("x-ratelimit-remaining-tokens", "x-ratelimit-reset-tokens", True),
    ("anthropic-ratelimit-requests-remaining", "anthropic-ratelimit-requests-reset", False),
    ("anthropic-ratelimit-tokens-remaining", "anthropic-ratelimit-tokens-reset", True),
    ("anthropic-ratelimit-input-tokens-remaining", "anthropic-ratelimit-input-tokens-reset", True),
    ("anthropic-ratelimit-output-tokens-remaining", "anthropic-ratelimit-output-tokens-reset", True),
)


class Allowance:
    """The last word on each quota, and what left since."""

    def __init__(self) -> None:
        """Know of none."""
        self._words: dict[str, _Word] = {}

    def heard(self, headers: Mapping[str, str], now: float) -> bool:
        """Take note of *headers*, whose names are lower case; whether they say anything."""
        said = False
        for name, reset, of_tokens in _HEADERS:
            if (text := headers.get(name)) is not None and text.isdecimal():
                self._words[name] = _Word(int(text), until=now + _reset_s(headers, reset), of_tokens=of_tokens)
                said = True
        return said

    def left(self, tokens: int) -> None:
        """Learn that a request of *tokens* leaves."""
        for word in self._words.values():
            word.rest -= tokens if word.of_tokens else 1

    def ready_at(self, now: float, tokens: int) -> float:
        """When a request of *tokens* may leave, unless a newer word comes before."""
        at = now
        for word in self._words.values():
            # A request that is larger than the rest may try: the tokens are an estimate.
            if word.until > at and word.rest < (min(tokens, 1) if word.of_tokens else 1):
                at = word.until
        return at


@dataclass(slots=True)
class _Word:
    rest: int
    until: float
    of_tokens: bool


def _reset_s(headers: Mapping[str, str], name: str) -> float:
    """Seconds until the quota of the reset header *name* is whole again."""
    alone = {key: headers[key] for key in (name, "date") if key in headers}
    told_s = wait_s(alone, limited=True)
    return min(_UNTOLD_S if told_s is None else told_s, _LONGEST_S)
