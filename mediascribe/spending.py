"""Spending: how much was, or may be, spent; in money, tokens and requests."""

from __future__ import annotations

from dataclasses import dataclass

import msgspec


@dataclass(frozen=True, slots=True)
class Spend:
    """An amount: whole nano-dollars at list price, tokens of prompt and answer together, requests sent."""

    nano_usd: int = 0
    tokens: int = 0
    requests: int = 0

    def __add__(self, other: Spend) -> Spend:
        return Spend(self.nano_usd + other.nano_usd, self.tokens + other.tokens, self.requests + other.requests)

    def __sub__(self, other: Spend) -> Spend:
        return Spend(self.nano_usd - other.nano_usd, self.tokens - other.tokens, self.requests - other.requests)


class Spent(msgspec.Struct, frozen=True, kw_only=True):
    """What was spent in a day: money and tokens with what is in doubt at its worst, which `in_doubt_nano_usd` names."""

    nano_usd: int = 0
    tokens: int = 0
    requests: int = 0
    in_doubt_nano_usd: int = 0

    def __add__(self, other: Spent) -> Spent:
        return Spent(
            nano_usd=self.nano_usd + other.nano_usd,
            tokens=self.tokens + other.tokens,
            requests=self.requests + other.requests,
            in_doubt_nano_usd=self.in_doubt_nano_usd + other.in_doubt_nano_usd,
        )
