"""Member: a process that asks about shards under a quota and a budget that the lead of the run lends.

Every slice it reads the grants, goes by them, and says in a note of its own that it does, what it used, and what it
could use. Where no grant comes any more, nothing leaves until one does: rows wait, and none fails.

A run at the place of a common quota is a member as well. It *follows* whoever leads there, and where it lends its share
on to workers, it says that it goes by a new one only when those do.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import time
import uuid
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Self

import msgspec

from mediascribe.errors import StoreError
from mediascribe.fleet.board import board
from mediascribe.fleet.demand import Demand
from mediascribe.fleet.notes import COMMON_SLICE_S, GRANTS, NOTES, SLICE_S, Grants, Note, Rows
from mediascribe.fleet.sublet import Sublet

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from mediascribe.budget import Budget
    from mediascribe.fleet.board import Board
    from mediascribe.lanes import Lanes, Share
    from mediascribe.store import Store

_JOINING_S: Final = 0.5  # between looks, until the first grant
_JITTER: Final = 0.1
_KEPT: Final = 64  # notes whose time is remembered: more than a life of them


@dataclass(frozen=True, slots=True, kw_only=True)
class Following:
    """How a member takes part in a common quota: its *share* of the whole, and what its job says of each lane."""

    share: float
    limits: Mapping[str, Share]


class Member:
    """One process of a fleet, while its block runs. Belongs to one event loop, whose time passes as *clock*'s does."""

    def __init__(  # noqa: PLR0913 - what a process has, once
        self,
        store: Store | Board,
        run_id: str,
        name: str,
        lanes: Lanes | Sublet,
        budget: Budget,
        *,
        rows: Callable[[], Rows] = Rows,
        following: Following | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Nothing is written yet. *rows* gives how far the shards of this process are."""
        self.problem: str | None = None
        self._id, self._name, self._following = f"{name}.{uuid.uuid4().hex[:12]}", name, following
        self._board, self._clock = board(store, run_id), clock
        self._is_our_board = self._board is not store
        self._lanes, self._budget, self._rows = lanes, budget, rows
        self._slice_s = COMMON_SLICE_S if following else SLICE_S
        self._demand = Demand(clock, self._slice_s)
        self._began_at = clock()
        self._written_at: dict[int, float] = {}
        self._number = self._epoch = self._grants = 0
        self._gone_by = 0  # the last grants by which all goes that may leave
        self._heard: deque[tuple[int, Mapping[str, Share]]] = deque()  # those since
        self._lent: Mapping[str, Share] = {}
        self._lent_until = self._began_at
        self._lost: str | None = None
        self.others = 0

    async def __aenter__(self) -> Self:
        self._lanes.allow({}, until=self._clock())
        self._budget.grant((0, 0, 0))
        self._life = asyncio.create_task(self._live())
        return self

    async def __aexit__(self, *_: object) -> None:
        self._life.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._life
        self._lanes.allow({}, until=self._clock())
        if not isinstance(self._lanes, Sublet) or self._lanes.is_within({}):  # else what is out has to end by itself
            with contextlib.suppress(StoreError, OSError):
                await self._say(left=True)
        if self._is_our_board:
            self._board.close()

    def lost(self) -> str | None:
        """Why nothing may be sent any more; None while it may, or may again as soon as the lead lends something."""
        return self._lost

    def share(self, lane: str) -> Share | None:
        """What is lent of *lane* now, if anything is."""
        return self._lent.get(lane) if self._clock() < self._lent_until else None

    async def _live(self) -> None:
        while not self._lost:
            try:
                await self._hear()
                await self._say()
                self.problem = None
            except (StoreError, OSError, msgspec.DecodeError) as error:
                self.problem = str(error)
            pause_s = self._slice_s if self._grants else _JOINING_S
            await asyncio.sleep(pause_s * (1 - _JITTER * random.random()))  # noqa: S311 - so that not all come at once

    async def _hear(self) -> None:
        """Go by what the lead has written, where that is new."""
        content = await self._board.get(GRANTS)
        if content is None:
            return
        grants = msgspec.json.decode(content, type=Grants)
        self._lost = self._lost or self._loss(grants)
        if self._lost:
            self._lanes.allow({}, until=self._clock())
        grant = grants.members.get(self._id)
        if self._lost or grant is None or (grants.epoch, grants.number) <= (self._epoch, self._grants):
            return
        if grants.epoch > self._epoch:
            self._gone_by = 0
            self._heard.clear()
        self._epoch, self._grants, self.others = grants.epoch, grants.number, len(grants.members) - 1
        self._heard.append((grants.number, grant.shares))
        written_at = self._written_at.get(grant.heard)
        if written_at is not None:
            now, self._lent_until = self._clock(), written_at + grant.life_s
            self._lent = grant.shares
            if self._lent_until <= now:  # this process was frozen: what it waited since then is no debt
                self._lent, self._lent_until = {}, now
            self._lanes.allow(self._lent, until=self._lent_until)
            self._demand.lent(grant.shares)
        self._budget.grant(grant.envelope, out=grants.out)

    def _loss(self, grants: Grants) -> str | None:
        if self._following:
            return None
        if self._epoch and grants.epoch > self._epoch:
            return "the run has another lead by now, which has processes of its own"
        if self._id in grants.dead:
            return f"the lead of the run counts {self._name} as dead: its shards are others' by now"
        return grants.over if grants.epoch == self._epoch else None

    def _goes_by(self) -> int:
        """The number of the last grants whose shares hold for all that may leave."""
        newest = len(self._heard)
        while newest and isinstance(self._lanes, Sublet) and not self._lanes.is_within(self._heard[newest - 1][1]):
            newest -= 1
        for _ in range(newest):
            self._gone_by = self._heard.popleft()[0]
        return self._gone_by

    async def _say(self, *, left: bool = False) -> None:
        self._number += 1
        self._written_at[self._number] = self._clock()
        self._written_at.pop(self._number - _KEPT, None)
        note = Note(
            member=self._id,
            name=self._name,
            number=self._number,
            up_s=self._clock() - self._began_at,
            epoch=self._epoch,
            grants=self._goes_by(),
            share=self._following.share if self._following else 1.0,
            limits=dict(self._following.limits) if self._following else {},
            lanes=self._lanes.notes() if isinstance(self._lanes, Sublet) else self._demand.lanes(self._lanes.uses()),
            purse=self._demand.purse(self._budget.view(), self._budget.need()),
            rows=self._rows(),
            left=left,
        )
        await self._board.put(f"{NOTES}{self._id}", msgspec.json.encode(note))
