"""Fleet standing: where all members stand together, and what bounds them."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from mediascribe.fleet.notes import Rows
from mediascribe.spending import Spend

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from mediascribe.fleet.account import Account
    from mediascribe.fleet.notes import LaneNote
    from mediascribe.pacing import Bound

_ALL_BUT: Final = 0.9  # of a quota in use, or of the places: then that is what bounds
_QUOTA: Final = frozenset({"requests_per_minute", "tokens_per_minute"})
_GATEWAY: Final = frozenset({"cooldown", "outage"})


@dataclass(frozen=True, slots=True, kw_only=True)
class FleetStanding:
    """One view of the fleet. `quota_share` is the part of the quota in use; None where no quota is known.

    `why` is one line: what bounds the fleet, and whether more members would help; `more_would_help` is None where
    nobody can tell.
    """

    alive: int
    late: int
    dead: int
    rows: Rows
    rows_per_s: float
    requests_per_s: float
    in_flight: int
    waiting: int
    quota_share: float | None
    spent: Spend
    in_doubt: Spend
    more_would_help: bool | None
    why: str
    problem: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Quota:
    """What all may use of one lane a minute, as configured or learned; None: any number."""

    requests: float | None
    tokens: float | None
    is_learned: bool


def standing(
    accounts: Iterable[Account], quotas: Mapping[str, Quota], now: float, *, out: str | None, problem: str | None
) -> FleetStanding:
    """How *accounts* stand *now*; *out* says why no more money is lent."""
    accounts = list(accounts)
    health = Counter(account.health(now) for account in accounts)
    at_work = [account for account in accounts if account.health(now) in {"alive", "late"}]
    share = _share(at_work, quotas)
    helps, why = _bound(at_work, quotas, share, out)
    lanes = [lane for account in at_work for lane in account.note.lanes.values()]
    purses = [account.note.purse for account in accounts]
    return FleetStanding(
        alive=health["alive"],
        late=health["late"],
        dead=health["dead"],
        rows=Rows(sum(account.note.rows.waiting for account in at_work), _shards(accounts)),
        rows_per_s=sum(account.rows_per_s for account in at_work),
        requests_per_s=sum(rate[0] for account in at_work for rate in account.per_minute.values()) / 60,
        in_flight=sum(lane.in_flight for lane in lanes),
        waiting=sum(lane.waiting for lane in lanes),
        quota_share=share,
        spent=sum((account.booked for account in accounts), Spend()),
        in_doubt=sum((purse.in_doubt for purse in purses), Spend()),
        more_would_help=helps,
        why=why,
        problem=problem,
    )


def _shards(accounts: Iterable[Account]) -> dict[int, tuple[int, int]]:
    """How far each shard is: who goes on with another's has that one's rows again, and counts in its place."""
    shards: dict[int, tuple[int, int]] = {}
    for account in accounts:
        for number, counts in account.note.rows.shards.items():
            shards[number] = max(counts, shards.get(number, counts))
    return shards


def _share(at_work: list[Account], quotas: Mapping[str, Quota]) -> float | None:
    """The part of the fullest quota that is in use."""
    shares = []
    for name, quota in quotas.items():
        used = [account.per_minute.get(name, (0.0, 0.0)) for account in at_work]
        for place, most in enumerate((quota.requests, quota.tokens)):
            if most:
                shares.append(sum(rate[place] for rate in used) / most)
    return max(shares, default=None)


def _bound(
    at_work: list[Account], quotas: Mapping[str, Quota], share: float | None, out: str | None
) -> tuple[bool | None, str]:
    """Whether more members would help, and why."""
    if not at_work:
        return True, "no worker is at work: start one"
    lanes = [lane for account in at_work for lane in account.note.lanes.values()]
    if why := _outside(at_work, lanes, out):
        return False, why
    waiting = [lane.bound_by for lane in lanes if lane.waiting]
    if share is not None and (share >= _ALL_BUT or _most(waiting, _QUOTA)):
        learned = any(quota.is_learned for quota in quotas.values())
        what = "what the gateway was found to take," if learned else "the quota,"
        rest = "" if share >= _ALL_BUT else "; the rest is on its way from workers that stopped or want less"
        return False, f"bound by {what} of which {share:.0%} is in use: more workers would not help{rest}"
    in_flight = sum(lane.in_flight for lane in lanes)
    if in_flight and in_flight >= _ALL_BUT * sum(lane.window for lane in lanes if lane.in_flight):
        return True, (
            f"bound by places: {len(at_work)} workers have {in_flight:,} requests in flight; more workers, or a larger"
            " limits.concurrency, would help"
        )
    if in_flight or any(lane.waiting for lane in lanes):
        return True, "bound by what each worker does beside asking, such as media and CPU: more workers would help"
    return None, "no request is under way"


def _outside(at_work: list[Account], lanes: list[LaneNote], out: str | None) -> str | None:
    """The cause, where neither quota nor members are."""
    if out:
        return f"bound by the budget: {out}"
    waiting = [lane.bound_by for lane in lanes if lane.waiting]
    if _most(waiting, _GATEWAY):
        return "bound by the gateway, which refuses or is down: more workers would not help"
    if not waiting and any(account.note.purse.waiting for account in at_work):
        return "bound by the budget, whose rest is lent out: more workers would not help"
    return None


def _most(causes: list[Bound | None], those: frozenset[str]) -> bool:
    return sum(cause in those for cause in causes) * 2 > len(causes)
