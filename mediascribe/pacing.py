"""Pacing: how a limiter stands, for those who look at it: people, and the lead of a fleet."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal, NamedTuple

if TYPE_CHECKING:
    from mediascribe.breaker import Outage
    from mediascribe.pace import Pace
    from mediascribe.quota import Quotas

Bound = Literal["window", "requests_per_minute", "tokens_per_minute", "learned_pace", "cooldown", "outage"]

_NEWEST: Final = 0.05  # what the newest time in flight weighs in the mean


class Admission(NamedTuple):
    """A request that may leave: when, the tokens reserved for it, and how it stood in the window."""

    at: float
    tokens: int
    window: int
    in_last_place: bool
    paced: bool
    is_probe: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Pacing:
    """What everybody waits for. `requests_per_minute` is the pace in force, configured or learned."""

    in_flight: int
    window: int
    cooldown_s: float
    outage: Outage | None
    requests_per_minute: float | None
    bound_by: Bound | None
    why: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Use:
    """What a lane made of its quota since its start, and what it could use now.

    `tokens` are those reserved, until an answer tells better. `window_may_grow` where the window finds its size itself.
    `latency_s` is a moving mean of the time in flight; None before the first request ended.
    """

    left: int = 0
    refused: int = 0
    tokens: int = 0
    in_flight: int = 0
    waiting: int = 0
    window: int = 0
    window_may_grow: bool = False
    latency_s: float | None = None
    bound_by: Bound | None = None


class Meter:
    """Counts what leaves and what comes back."""

    __slots__ = ("latency_s", "left", "refused", "tokens", "window_may_grow")

    def __init__(self, *, window_may_grow: bool) -> None:
        """Nothing left yet."""
        self.window_may_grow = window_may_grow
        self.left = self.refused = self.tokens = 0
        self.latency_s: float | None = None

    def count(self, requests: int, tokens: int) -> None:
        """So much left, or did not after all."""
        self.left += requests
        self.tokens += tokens

    def ended(self, in_flight_s: float) -> None:
        """A request was *in_flight_s* on its way."""
        mean_s = self.latency_s
        self.latency_s = in_flight_s if mean_s is None else mean_s + _NEWEST * (in_flight_s - mean_s)

    def use(self, in_flight: int, waiting: int, window: int, bound_by: Bound | None) -> Use:
        """What was counted, beside how the limiter stands."""
        return Use(
            left=self.left,
            refused=self.refused,
            tokens=self.tokens,
            in_flight=in_flight,
            waiting=waiting,
            window=window,
            window_may_grow=self.window_may_grow,
            latency_s=self.latency_s,
            bound_by=bound_by,
        )


class Causes(NamedTuple):
    """What there may be to wait for. `is_lent`: the quota is a share; `is_silent`: that has ended without another."""

    quotas: Quotas
    pace: Pace
    outage: Outage | None
    window: int
    cooldown_s: float
    is_lent: bool
    is_silent: bool


def why(bound: Bound | None, causes: Causes) -> str | None:
    """*bound* in one sentence."""
    quotas, pace, outage = causes.quotas, causes.pace.per_s, causes.outage
    if causes.is_silent and bound == "requests_per_minute":
        return "waiting for a share of the quota"
    what = "share of the quota:" if causes.is_lent else "quota of"
    sentences: dict[Bound, str] = {"window": f"as many requests are in flight as may be: {causes.window:,}"}
    if quotas.requests:
        sentences["requests_per_minute"] = f"{what} {quotas.requests.per_minute:,.10g} requests/min"
    if quotas.tokens:
        sentences["tokens_per_minute"] = f"{what} {quotas.tokens.per_minute:,.10g} tokens/min"
    if pace:
        learned = "the gateway refuses more than about" if causes.pace.is_learned else "its quota is unknown: now at"
        sentences["learned_pace"] = f"{learned} {pace * 60:,.0f} requests/min"
    if outage:
        sentences["outage"] = f"the gateway is down: {outage.why}"
    sentences["cooldown"] = "the gateway refuses: 429" if causes.cooldown_s else "the gateway's quota is used up"
    return sentences.get(bound) if bound else None
