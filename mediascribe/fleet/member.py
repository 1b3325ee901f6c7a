"""Member: a process that asks about shards under a quota and a budget that the lead of the run lends.

Every slice it reads the grants, goes by them, and says in a note of its own that it does, what it used, and what it
could use. Where no grant comes any more, nothing leaves until one does: rows wait, and none fails.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import time
import uuid
from typing import TYPE_CHECKING, Final, Self

import msgspec

from mediascribe.errors import StoreError
from mediascribe.fleet.board import board
from mediascribe.fleet.demand import Demand
from mediascribe.fleet.notes import GRANTS, LIFE_S, NOTES, SLICE_S, Grants, Note, Rows

if TYPE_CHECKING:
    from collections.abc import Callable

    from mediascribe.budget import Budget
    from mediascribe.fleet.board import Board
    from mediascribe.lanes import Lanes
    from mediascribe.store import Store

_JOINING_S: Final = 0.5  # between looks, until the first grant
_JITTER: Final = 0.1
_KEPT: Final = 64  # notes whose time is remembered: more than a life of them


class Member:
    """One process of a fleet, while its block runs. Belongs to one event loop, whose time passes as *clock*'s does."""

    def __init__(  # noqa: PLR0913 - what a process has, once
        self,
        store: Store | Board,
        run_id: str,
        name: str,
        lanes: Lanes,
        budget: Budget,
        *,
        rows: Callable[[], Rows] = Rows,
        weight: float = 1.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Nothing is written yet. *rows* gives how far the shards of this process are."""
        self.problem: str | None = None
        self._id, self._name, self._weight = f"{name}.{uuid.uuid4().hex[:12]}", name, weight
        self._board, self._clock = board(store, run_id), clock
        self._lanes, self._budget, self._rows = lanes, budget, rows
        self._demand = Demand(clock)
        self._began_at = clock()
        self._written_at: dict[int, float] = {}
        self._number = self._epoch = self._grants = 0
        self._lost: str | None = None

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
        with contextlib.suppress(StoreError, OSError):
            await self._say(left=True)
        self._board.close()

    def lost(self) -> str | None:
        """Why nothing may be sent any more; None while it may, or may again as soon as the lead lends something."""
        return self._lost

    async def _live(self) -> None:
        while not self._lost:
            try:
                await self._hear()
                await self._say()
                self.problem = None
            except (StoreError, OSError, msgspec.DecodeError) as error:
                self.problem = str(error)
            pause_s = SLICE_S if self._grants else _JOINING_S
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
        if self._lost or grant is None or grants.epoch < self._epoch or grants.number <= self._grants:
            return
        self._epoch, self._grants = grants.epoch, grants.number
        written_at = self._written_at.get(grant.heard)
        if written_at is not None:
            self._lanes.allow(grant.shares, until=written_at + LIFE_S)
            self._demand.lent(grant.shares)
        self._budget.grant(grant.envelope, out=grants.out)

    def _loss(self, grants: Grants) -> str | None:
        if self._epoch and grants.epoch > self._epoch:
            return "the run has another lead by now, which has processes of its own"
        if self._id in grants.dead:
            return f"the lead of the run counts {self._name} as dead: its shards are others' by now"
        return grants.over if grants.epoch == self._epoch else None

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
            grants=self._grants,
            weight=self._weight,
            lanes=self._demand.lanes(self._lanes.uses()),
            purse=self._demand.purse(self._budget.view(), self._budget.need()),
            rows=self._rows(),
            left=left,
        )
        await self._board.put(f"{NOTES}{self._id}", msgspec.json.encode(note))
