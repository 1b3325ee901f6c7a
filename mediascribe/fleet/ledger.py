"""Ledger: the lead's side. Every slice it reads all members' notes, divides quota and budget, and writes grants.

The lead of a run lends until the run is over, and its members stop with it. At the place of a common quota
(`common.py`) the lead is one of several runs; when it leaves, another lends, and the members go by that one's grants.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import defaultdict
from functools import partial
from types import MappingProxyType
from typing import TYPE_CHECKING, Final, Self

import msgspec

from mediascribe.errors import StoreError
from mediascribe.fleet import lending, standing
from mediascribe.fleet.account import GUARD_S, Account
from mediascribe.fleet.board import board
from mediascribe.fleet.lending import Lane, lanes_of
from mediascribe.fleet.notes import GRANTS, LIFE_S, NOTES, Grant, Grants, Note
from mediascribe.fleet.office import Office
from mediascribe.fleet.treasury import SETTLED_S, Treasury
from mediascribe.job_sections import ModelLimits
from mediascribe.lanes import Share
from mediascribe.spending import Spend

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from mediascribe.budget import Budget
    from mediascribe.fleet.board import Board
    from mediascribe.fleet.notes import LaneNote
    from mediascribe.fleet.office import Source
    from mediascribe.fleet.standing import FleetStanding
    from mediascribe.job_sections import LimitsSection
    from mediascribe.store import Store

_OPENING_S: Final = 0.5  # between looks, until somebody was granted something
_TURN_S: Final = 60.0
_OURS: Final = Office()
_COMMON_WORTH_WHILE: Final = 10.0  # runs are few, and take turns only where the quota is a few requests a minute
_AT_WORK: Final = frozenset({"alive", "late"})
_NOTHING_HELD: Final[Mapping[str, dict[str, Share]]] = MappingProxyType({})


class Ledger:
    """The quota and the budget of one run, while its block runs. Belongs to one event loop; *clock* is monotonic.

    What members spend is booked in *budget*, whose caps are those of the run; nobody else reserves there meanwhile.
    """

    def __init__(  # noqa: PLR0913 - what a lead has, once
        self,
        store: Store | Board,
        run_id: str,
        limits: LimitsSection | None,
        budget: Budget,
        *,
        office: Office = _OURS,
        source: Source | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Nothing is written yet. Without *limits*, they are what the members say."""
        self.problem: str | None = None
        self._board, self._treasury, self._office = board(store, run_id), Treasury(budget), office
        self._is_our_board = self._board is not store
        self._source, self._clock = source, clock
        self._lanes = {} if limits is None else lanes_of(limits, *([source.most] if source else []))
        self._are_agreed = limits is None
        self._accounts: dict[str, Account] = {}
        self._number = 0
        self._began_at = self._opens_at = clock()

    async def __aenter__(self) -> Self:
        found = await self._board.get(GRANTS)
        if found is not None:
            self._follow(msgspec.json.decode(found, type=Grants))
        self._life = asyncio.create_task(self._live())
        return self

    async def __aexit__(self, *_: object) -> None:
        self._life.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._life
        with contextlib.suppress(StoreError, OSError):
            await self._read()
            if await self._is_ours():
                await self._end()
        if self._is_our_board:
            self._board.close()

    async def over(self) -> None:
        """Wait until nothing more is lent here, since another lends."""
        await asyncio.wait([self._life])

    def standing(self) -> FleetStanding:
        """Where all members stand, as they said last."""
        quotas = {name: lane.quota for name, lane in self._lanes.items()}
        problem, out = self.problem or self._office.lost(), self._treasury.out
        return standing.standing(self._accounts.values(), quotas, self._clock(), out=out, problem=problem)

    def declare_dead(self, name: str) -> None:
        """Lend nothing more to the processes of that name, which stop should they wake: others have their shards."""
        for account in self._accounts.values():
            if account.note.name == name:
                account.declared_dead = True

    def lanes(self) -> dict[str, LaneNote]:
        """What all members together made of each quota, and what they could use."""
        now = self._clock()
        at_work = [account.note for account in self._accounts.values() if account.health(now) in _AT_WORK]
        return {name: lending.together(name, self._accounts.values(), at_work) for name in self._lanes}

    def held(self) -> dict[str, Share]:
        """The most that all members together may use now of each quota."""
        now = self._clock()
        return {
            name: Share(*(sum(one.held(name, place, now) for one in self._accounts.values()) for place in (0, 1)))
            for name in self._lanes
        }

    def _follow(self, last: Grants) -> None:
        """What the lead before us lent has to end first, unless its last word says what that is."""
        if self._office.passes_on and last.over is not None and last.epoch == self._office.epoch - 1:
            for member, shares in last.held.items():
                account = Account(Note(member=member, name=member, number=0, up_s=0.0), self._clock())
                account.lend(0, shares, (None, None, None))
                self._accounts[member] = account
        else:
            self._opens_at = self._clock() + LIFE_S + GUARD_S

    async def _is_ours(self) -> bool:
        """Whether we may still lend."""
        return not self._office.lost() and (self._office.held is None or await self._office.held())

    async def _end(self) -> None:
        """Leave nothing behind where everybody has left; else say that it is over, and let the next lead wait."""
        held: dict[str, dict[str, Share]] = {}
        now = self._clock()
        if self._office.passes_on and now < self._opens_at:
            return  # what was lent before us may still be in use, and nobody knows of it
        if all(account.note.left for account in self._accounts.values()):
            await asyncio.gather(*(self._board.remove(name) for name in await self._board.names(NOTES)))
            if not self._office.passes_on:
                await self._board.remove(GRANTS)
                return
        elif self._office.passes_on:
            for member, account in self._accounts.items():
                lent = {name: Share(*(account.held(name, place, now) for place in (0, 1))) for name in self._lanes}
                held[member] = {name: share for name, share in lent.items() if any(share)}
        await self._write({}, over="the run is over", held=held)

    async def _live(self) -> None:
        while not self._office.lost():
            try:
                await self._read()
                if not await self._is_ours():
                    return
                await self._write(self._divide())
                self.problem = None
            except (StoreError, OSError) as error:
                self.problem = str(error)
            await asyncio.sleep(self._office.slice_s if self._accounts else _OPENING_S)

    async def _read(self) -> None:
        """Hear what is new from every member."""
        names = [name for name in await self._board.names(NOTES) if not self._is_done(name.removeprefix(NOTES))]
        news: defaultdict[str, list[int]] = defaultdict(lambda: [0, 0])
        for note in await asyncio.gather(*(self._note(name) for name in names)):
            if note is not None and (self._office.passes_on or note.epoch in {0, self._office.epoch}):
                self._hear(note, news)
        if self._are_agreed:
            self._agree()
        if self._office.passes_on:
            await self._tidy()
        for name, lane in self._lanes.items():
            lane.heard(self._clock(), *news[name])

    def _agree(self) -> None:
        """There is a lane for every quota that a member names."""
        for name in {name for account in self._accounts.values() for name in account.note.limits} - self._lanes.keys():
            most = partial(self._lowest, name)
            self._lanes[name] = Lane(
                name, ModelLimits(), feels_its_way=False, most=most, worth_while=_COMMON_WORTH_WHILE
            )

    def _lowest(self, lane: str) -> Share:
        """What the member whose job says least says of a quota."""
        now = self._clock()
        notes = [account.note for account in self._accounts.values() if account.health(now) in _AT_WORK]
        return lending.lowest([note.limits[lane] for note in notes if lane in note.limits])

    async def _tidy(self) -> None:
        """Forget those who are gone for good."""
        now = self._clock()
        for member, account in [*self._accounts.items()]:
            if account.note.left or now > account.seen_at + SETTLED_S:
                await self._board.remove(f"{NOTES}{member}")
                del self._accounts[member]

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
            self._treasury.book(account.settle(account.booked, Spend()))
        heard = account.heard(note, self._clock(), epoch=self._office.epoch)
        self._treasury.book(heard)
        for name in heard.accepted:
            news[name][0] += heard.accepted[name]
            news[name][1] += heard.refused[name]

    def _divide(self) -> dict[str, Grant]:
        """What to lend to whom."""
        now = self._clock()
        alive = {member: account for member, account in self._accounts.items() if account.health(now) in _AT_WORK}
        turn = int((now - self._began_at) / _TURN_S)
        shares: dict[str, dict[str, Share]] = {member: {} for member in alive}
        if now >= self._opens_at:
            for name, lane in self._lanes.items():
                members = [one for one in alive if not self._are_agreed or name in alive[one].note.limits]
                for member, share in lane.lend(self._accounts, members, now, turn).items():
                    shares[member][name] = share
        envelopes = self._treasury.envelopes(self._accounts, alive, now)
        return {
            member: Grant(
                heard=account.note.number,
                shares=shares[member],
                envelope=envelopes[member],
                life_s=self._life_s(account),
            )
            for member, account in alive.items()
        }

    def _life_s(self, account: Account) -> float:
        """How long what is lent to *account* may live: it ends before what it is a part of."""
        if self._source is None:
            return LIFE_S
        return max(0.0, min(LIFE_S, self._source.until() - account.seen_at - GUARD_S))

    async def _write(
        self,
        members: Mapping[str, Grant],
        *,
        over: str | None = None,
        held: Mapping[str, dict[str, Share]] = _NOTHING_HELD,
    ) -> None:
        """Lend. What is written counts as lent even where the store says that it failed."""
        self._number += 1
        for member, grant in members.items():
            self._accounts[member].lend(self._number, grant.shares, grant.envelope, grant.life_s)
        dead = tuple(member for member, account in self._accounts.items() if account.declared_dead)
        grants = Grants(
            epoch=self._office.epoch,
            number=self._number,
            members=dict(members),
            dead=dead,
            out=self._treasury.out,
            over=over,
            held=dict(held),
        )
        await self._board.put(GRANTS, msgspec.json.encode(grants))
