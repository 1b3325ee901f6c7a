"""Ledger: the lead's side. Every slice it reads all members' notes, divides quota and budget, and writes grants."""

from __future__ import annotations

import asyncio
import contextlib
import time
from typing import TYPE_CHECKING, Final, Self

import msgspec

from mediascribe.errors import StoreError
from mediascribe.fleet import purses, standing
from mediascribe.fleet.account import Account
from mediascribe.fleet.board import board
from mediascribe.fleet.lending import Lane
from mediascribe.fleet.notes import GRANTS, LIFE_S, NOTES, SLICE_S, Grant, Grants, Note
from mediascribe.lanes import SHARED
from mediascribe.spending import Spend

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from mediascribe.budget import Budget, Envelope
    from mediascribe.fleet.account import Heard
    from mediascribe.fleet.board import Board
    from mediascribe.fleet.standing import FleetStanding
    from mediascribe.job_sections import LimitsSection
    from mediascribe.lanes import Share
    from mediascribe.store import Store

_OPENING_S: Final = 0.5  # between looks, until somebody was granted something
_SETTLED_S: Final = 120.0
_TURN_S: Final = 60.0


class Ledger:
    """The quota and the budget of one run, while its block runs. Belongs to one event loop; *clock* is monotonic.

    What members spend is booked in *budget*, whose caps are those of the run; nobody else reserves there meanwhile.
    """

    def __init__(  # noqa: PLR0913 - what a lead has, once
        self,
        store: Store | Board,
        run_id: str,
        limits: LimitsSection,
        budget: Budget,
        *,
        epoch: int,
        lost: Callable[[], str | None] = lambda: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Nothing is written yet. *epoch* is the lease's; when that is *lost*, nothing more is lent."""
        self.problem: str | None = None
        self._board, self._budget, self._epoch = board(store, run_id), budget, epoch
        self._lost, self._clock = lost, clock
        feels = limits.concurrency == "auto"
        self._lanes = {SHARED: Lane(SHARED, limits, feels_its_way=feels)}
        self._lanes |= {model: Lane(model, own, feels_its_way=feels) for model, own in limits.models.items()}
        self._accounts: dict[str, Account] = {}
        self._number = 0
        self._out: str | None = None
        self._began_at = self._opens_at = clock()

    async def __aenter__(self) -> Self:
        if await self._board.get(GRANTS) is not None:  # of a lead before us: what it lent has to end first
            self._opens_at = self._clock() + LIFE_S
        self._life = asyncio.create_task(self._live())
        return self

    async def __aexit__(self, *_: object) -> None:
        self._life.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._life
        with contextlib.suppress(StoreError, OSError):
            await self._read()
            if not self._lost():
                await self._end()
        self._board.close()

    def standing(self) -> FleetStanding:
        """Where all members stand, as they said last."""
        quotas = {name: lane.quota for name, lane in self._lanes.items()}
        return standing.standing(
            self._accounts.values(), quotas, self._clock(), out=self._out, problem=self.problem or self._lost()
        )

    def declare_dead(self, name: str) -> None:
        """Lend nothing more to the processes of that name, which stop should they wake: others have their shards."""
        for account in self._accounts.values():
            if account.note.name == name:
                account.declared_dead = True

    def settle(self, name: str, spent: Spend) -> None:
        """Learn from its journals what the dead member *name* spent in all, what is in doubt at its worst."""
        for account in self._accounts.values():
            if account.note.name == name and account.declared_dead:
                self._book(account.settle(spent, Spend()))

    async def _end(self) -> None:
        """Leave nothing behind where everybody has left; else say that it is over, and let the next lead wait."""
        if all(account.note.left for account in self._accounts.values()):
            await asyncio.gather(*(self._board.remove(name) for name in await self._board.names(NOTES)))
            await self._board.remove(GRANTS)
        else:
            await self._write({}, over="the run is over")

    async def _live(self) -> None:
        while not self._lost():
            try:
                await self._read()
                if not self._lost():
                    await self._write(self._divide(), over=None)
                self.problem = None
            except (StoreError, OSError) as error:
                self.problem = str(error)
            await asyncio.sleep(SLICE_S if self._accounts else _OPENING_S)

    async def _read(self) -> None:
        """Hear what is new from every member."""
        names = [name for name in await self._board.names(NOTES) if not self._is_done(name.removeprefix(NOTES))]
        news: dict[str, list[int]] = {name: [0, 0] for name in self._lanes}
        for note in await asyncio.gather(*(self._note(name) for name in names)):
            if note is not None and note.epoch in {0, self._epoch}:
                self._hear(note, news)
        for name, (accepted, refused) in news.items():
            self._lanes[name].heard(self._clock(), accepted, refused)

    def _is_done(self, member: str) -> bool:
        account = self._accounts.get(member)
        return account is not None and (account.note.left or account.declared_dead)

    async def _note(self, name: str) -> Note | None:
        """What *name* says; None where it cannot be read now."""
        try:
            content = await self._board.get(name)
            return None if content is None else msgspec.json.decode(content, type=Note)
        except (StoreError, OSError, msgspec.DecodeError) as error:
            self.problem = str(error)
            return None

    def _hear(self, note: Note, news: Mapping[str, list[int]]) -> None:
        account = self._accounts.get(note.member)
        if account is None:
            account = self._accounts[note.member] = Account(note, self._clock())
        elif note.number <= account.note.number:
            return
        if account.settled:  # it was silent for long, and goes on
            self._book(account.settle(account.booked, Spend()))
        heard = account.heard(note, self._clock(), epoch=self._epoch)
        self._book(heard)
        for name in self._lanes.keys() & heard.accepted.keys():
            news[name][0] += heard.accepted[name]
            news[name][1] += heard.refused[name]

    def _divide(self) -> dict[str, Grant]:
        """What to lend to whom."""
        now = self._clock()
        alive = {
            member: account for member, account in self._accounts.items() if account.health(now) in {"alive", "late"}
        }
        turn = int((now - self._began_at) / _TURN_S)
        shares: dict[str, dict[str, Share]] = {member: {} for member in alive}
        if now >= self._opens_at:
            for name, lane in self._lanes.items():
                for member, share in lane.lend(self._accounts, list(alive), now, turn).items():
                    shares[member][name] = share
        envelopes = self._envelopes(alive, now)
        return {
            member: Grant(heard=account.note.number, shares=shares[member], envelope=envelopes[member])
            for member, account in alive.items()
        }

    def _envelopes(self, alive: Mapping[str, Account], now: float) -> dict[str, Envelope]:
        """How much money each may have spent in all."""
        self._give_up(account for account in self._accounts.values() if now > account.seen_at + _SETTLED_S)
        rest = self._budget.rest()
        for member, account in self._accounts.items():
            if member not in alive:
                rest = _less(rest, account)
        holders = [account.holder() for account in alive.values()]
        unsettled = any(account.health(now) == "dead" and not account.settled for account in self._accounts.values())
        self._out = None
        if not unsettled and purses.is_dry(holders, rest):
            needs = (account.note.purse.need for account in alive.values() if account.note.purse.waiting)
            self._out = next(filter(None, map(self._budget.refusal, needs)), None)
        return dict(zip(alive, purses.fill(holders, rest), strict=True))

    def _give_up(self, silent: Iterable[Account]) -> None:
        """Count what the dead may have spent as spent, where nobody has said better for long."""
        for account in silent:
            if account.health(self._clock()) == "dead" and not account.settled:
                worst = Spend(*account.committed())
                self._book(account.settle(worst, worst - account.booked))

    def _book(self, news: Heard) -> None:
        self._budget.book(news.spent, news.in_doubt)

    async def _write(self, members: Mapping[str, Grant], *, over: str | None) -> None:
        """Lend. What is written counts as lent even where the store says that it failed."""
        self._number += 1
        for member, grant in members.items():
            self._accounts[member].lend(self._number, grant.shares, grant.envelope)
        dead = tuple(member for member, account in self._accounts.items() if account.declared_dead)
        grants = Grants(
            epoch=self._epoch, number=self._number, members=dict(members), dead=dead, out=self._out, over=over
        )
        await self._board.put(GRANTS, msgspec.json.encode(grants))


def _less(rest: Envelope, account: Account) -> Envelope:
    """*rest* without what *account* may have spent beyond what is booked."""
    committed, booked = account.committed(), account.booked
    gone = [most - had for most, had in zip(committed, (booked.nano_usd, booked.tokens, booked.requests), strict=True)]
    usd, tokens, requests = (None if most is None else most - out for most, out in zip(rest, gone, strict=True))
    return usd, tokens, requests
