"""Lending: one quota, divided among the members of a fleet."""

from __future__ import annotations

import math
from functools import partial
from typing import TYPE_CHECKING, Final

from mediascribe.fleet.division import WORTH_WHILE, Claim, lend, served
from mediascribe.fleet.learned import Learned
from mediascribe.fleet.notes import LaneNote
from mediascribe.fleet.standing import Quota
from mediascribe.lanes import NOTHING, SHARED, Share

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from mediascribe.fleet.account import Account
    from mediascribe.fleet.notes import Note
    from mediascribe.job_sections import LimitsSection, ModelLimits

_REQUESTS, _TOKENS = 0, 1
_ANY: Final = Share(None, None)


def lanes_of(limits: LimitsSection, most: Callable[[str], Share] = lambda _: _ANY) -> dict[str, Lane]:
    """A lane for every quota that *limits* names; no more than *most* says of it is lent."""
    feels = limits.concurrency == "auto"
    sections: dict[str, ModelLimits] = {SHARED: limits, **limits.models}
    return {name: Lane(name, one, feels_its_way=feels, most=partial(most, name)) for name, one in sections.items()}


class Lane:
    """One quota of the gateway: requests and tokens a minute, as configured or learned."""

    def __init__(
        self,
        name: str,
        limits: ModelLimits,
        *,
        feels_its_way: bool,
        most: Callable[[], Share] = lambda: _ANY,
        worth_while: float = WORTH_WHILE,
    ) -> None:
        """Nothing is lent yet. *most* is asked each time; who would get less than one in *worth_while* has to wait."""
        self._name, self._known = name, Share(limits.requests_per_minute, limits.tokens_per_minute)
        self._most, self._worth_while = most, worth_while
        known = self._known.requests
        self._learned = Learned(known, feels_its_way=feels_its_way and known is None)

    @property
    def quota(self) -> Quota:
        """What all may use."""
        most, learned = self._most(), self._learned.per_minute
        known = _lower(most.requests, self._known.requests)
        requests = _lower(most.requests, learned)
        tokens = _lower(most.tokens, self._known.tokens)
        return Quota(requests=requests, tokens=tokens, is_learned=requests != known)

    def heard(self, now: float, accepted: int, refused: int) -> None:
        """Learn what came back from the gateway since the last time."""
        self._learned.heard(now, accepted, refused)

    def lend(self, accounts: Mapping[str, Account], alive: Sequence[str], now: float, turn: int) -> dict[str, Share]:
        """The share of each of *alive*; what others may still use is theirs."""
        quota, each = self.quota, self._tokens_each(accounts)
        worth = min(
            math.inf if quota.requests is None else quota.requests / self._worth_while,
            math.inf if quota.tokens is None else quota.tokens / (self._worth_while * each),
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
                share=account.note.share,
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


def together(name: str, accounts: Iterable[Account], at_work: Sequence[Note]) -> LaneNote:
    """What all *accounts* made of a quota since their start, and what those *at_work* could use of it."""
    ever = [lane for account in accounts if (lane := account.note.lanes.get(name))]
    now = [lane for note in at_work if (lane := note.lanes.get(name))]
    return LaneNote(
        left=sum(lane.left for lane in ever),
        refused=sum(lane.refused for lane in ever),
        tokens=sum(lane.tokens for lane in ever),
        in_flight=sum(lane.in_flight for lane in now),
        waiting=sum(lane.waiting for lane in now),
        window=sum(lane.window for lane in now),
        wants=_sum(lane.wants for lane in now),
        wants_tokens=_sum(lane.wants_tokens for lane in now),
        bound_by=next((lane.bound_by for lane in now if lane.waiting), None),
    )


def _sum(wants: Iterable[float | None]) -> float | None:
    """All of *wants* together; None where one of them is not known yet."""
    total = 0.0
    for want in wants:
        if want is None:
            return None
        total += want
    return total


def lowest(limits: Sequence[Share]) -> Share:
    """The smallest of *limits*; nothing where there is none."""
    if not limits:
        return NOTHING
    requests = tokens = None
    for one in limits:
        requests, tokens = _lower(requests, one.requests), _lower(tokens, one.tokens)
    return Share(requests, tokens)


def _lower(one: float | None, other: float | None) -> float | None:
    """The lower of two; None is any number."""
    if one is None or other is None:
        return other if one is None else one
    return min(one, other)
