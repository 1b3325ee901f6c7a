"""Lending: one quota, divided among the members of a fleet."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from mediascribe.fleet.division import WORTH_WHILE, Claim, lend, served
from mediascribe.fleet.learned import Learned
from mediascribe.fleet.standing import Quota
from mediascribe.lanes import Share

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from mediascribe.fleet.account import Account
    from mediascribe.job_sections import ModelLimits

_REQUESTS, _TOKENS = 0, 1


class Lane:
    """One quota of the gateway: requests and tokens a minute, as configured or learned."""

    def __init__(self, name: str, limits: ModelLimits, *, feels_its_way: bool) -> None:
        """Nothing is lent yet."""
        known = limits.requests_per_minute
        self._name, self._known_tokens = name, limits.tokens_per_minute
        self._known = known
        self._learned = Learned(known, feels_its_way=feels_its_way and known is None)

    @property
    def quota(self) -> Quota:
        """What all may use."""
        requests = self._learned.per_minute
        return Quota(requests=requests, tokens=self._known_tokens, is_learned=requests != self._known)

    def heard(self, now: float, accepted: int, refused: int) -> None:
        """Learn what came back from the gateway since the last time."""
        self._learned.heard(now, accepted, refused)

    def lend(self, accounts: Mapping[str, Account], alive: Sequence[str], now: float, turn: int) -> dict[str, Share]:
        """The share of each of *alive*; what others may still use is theirs."""
        quota, each = self.quota, self._tokens_each(accounts)
        worth = min(
            math.inf if quota.requests is None else quota.requests / WORTH_WHILE,
            math.inf if quota.tokens is None else quota.tokens / (WORTH_WHILE * each),
        )
        at_work = set(served(alive, worth, turn))
        kept = len(at_work) if len(at_work) > 1 else 0
        requests = self._divided(accounts, at_work, _REQUESTS, quota.requests and quota.requests - kept, now)
        tokens = self._divided(accounts, at_work, _TOKENS, quota.tokens and quota.tokens - kept * each, now)
        return {member: Share(requests[member], tokens[member]) for member in alive}

    def _divided(
        self, accounts: Mapping[str, Account], at_work: set[str], place: int, total: float | None, now: float
    ) -> dict[str, float | None]:
        if total is None:
            return dict.fromkeys(accounts, None)
        claims = [
            Claim(
                wants=self._wants(account, place) if member in at_work else 0.0,
                weight=account.note.weight,
                held=account.held(self._name, place, now),
            )
            for member, account in accounts.items()
        ]
        return dict(zip(accounts, lend(claims, total), strict=True))

    def _wants(self, account: Account, place: int) -> float:
        lane = account.note.lanes.get(self._name)
        wants = None if lane is None else (lane.wants, lane.wants_tokens)[place]
        return math.inf if wants is None else wants

    def _tokens_each(self, accounts: Mapping[str, Account]) -> float:
        """The tokens of a request of the member whose requests have most."""
        lanes = [lane for account in accounts.values() if (lane := account.note.lanes.get(self._name))]
        return max([1.0, *(lane.tokens / lane.left for lane in lanes if lane.left)])
