"""Allowance: what the gateway says is left of its quota, if it says so (gateway notes 3.1, 3.3).

No more leaves than was left by its last word, until a newer word comes or as much as is wanted has come back. Both
vendors' resets say when the quota is *whole* again, and it fills evenly: where the limit is told, a share of it is back
after a share of that time; where it is not, everybody waits for the whole. A minute at most: a longer wait has to be
asked for by a 429. Answers without such headers change nothing. Requests in flight are not held against what is left:
the gateway counted them when they arrived.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from mediascribe.wire.faults import wait_s

if TYPE_CHECKING:
    from collections.abc import Mapping

_LONGEST_S: Final = 60.0
_UNTOLD_S: Final = 1.0
# The headers of each quota (what is left, when it is whole again, its limit), and whether it counts tokens.
_HEADERS: Final = (
    ("x-ratelimit-{}-requests", False),
    ("x-ratelimit-{}-tokens", True),
    ("anthropic-ratelimit-requests-{}", False),
    ("anthropic-ratelimit-tokens-{}", True),
    ("anthropic-ratelimit-input-tokens-{}", True),
    ("anthropic-ratelimit-output-tokens-{}", True),
)
_NAMES: Final[tuple[tuple[str, str, str, bool], ...]] = tuple(
    (name.format("remaining"), name.format("reset"), name.format("limit"), of_tokens) for name, of_tokens in _HEADERS
)


class Allowance:
    """The last word on each quota, and what left since."""

    def __init__(self) -> None:
        """Know of none."""
        self._words: dict[str, _Word] = {}

    def heard(self, headers: Mapping[str, str], now: float) -> bool:
        """Take note of *headers*, whose names are lower case; whether they say anything."""
        said = False
        for name, reset, limit, of_tokens in _NAMES:
            if (text := headers.get(name)) is not None and text.isdecimal():
                rest, whole = int(text), headers.get(limit, "")
                missing = int(whole) - rest if whole.isdecimal() else 0
                self._words[name] = _Word(rest, missing, at=now, reset_s=_reset_s(headers, reset), of_tokens=of_tokens)
                said = True
        return said

    def left(self, tokens: int) -> None:
        """Learn that a request of *tokens* leaves."""
        for word in self._words.values():
            word.rest -= tokens if word.of_tokens else 1

    def ready_at(self, now: float, tokens: int) -> float:
        """When a request of *tokens* may leave, unless a newer word comes before."""
        return max([now, *(word.ready_at(tokens) for word in self._words.values())])


@dataclass(slots=True)
class _Word:
    rest: int
    missing: int
    at: float
    reset_s: float
    of_tokens: bool

    def ready_at(self, tokens: int) -> float:
        """When as much as a request of *tokens* wants has come back."""
        # A request that is larger than the rest may try: the tokens are an estimate.
        wanted = min(tokens, 1) if self.of_tokens else 1
        short = wanted - self.rest
        if short <= 0:
            return self.at
        return self.at + self.reset_s * (min(1.0, short / self.missing) if self.missing > 0 else 1.0)


def _reset_s(headers: Mapping[str, str], name: str) -> float:
    """Seconds until the quota of the reset header *name* is whole again."""
    alone = {key: headers[key] for key in (name, "date") if key in headers}
    told_s = wait_s(alone, limited=True)
    return min(_UNTOLD_S if told_s is None else told_s, _LONGEST_S)
