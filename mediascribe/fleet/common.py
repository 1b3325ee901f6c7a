"""Common: one quota for several runs, each of a job, an output and a budget of its own, that use the same key.

They meet at a place in a store, a folder or a bucket, and nothing else: every run is a member there, and one of them is
the lead, which lends (`chair.py`, `ledger.py`). Where their jobs say different limits, the smallest hold.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Final, Self

import msgspec

from mediascribe.budget import Budget
from mediascribe.errors import ConfigError, StoreError
from mediascribe.fleet.board import board_at
from mediascribe.fleet.chair import Chair
from mediascribe.fleet.ledger import Ledger
from mediascribe.fleet.member import Following, Member
from mediascribe.fleet.notes import COMMON_SLICE_S
from mediascribe.fleet.office import Office
from mediascribe.job_sections import BudgetSection
from mediascribe.lanes import SHARED, Share
from mediascribe.store import open_store

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from mediascribe.fleet.board import Board
    from mediascribe.fleet.sublet import Sublet
    from mediascribe.job import Job
    from mediascribe.job_sections import LimitsSection
    from mediascribe.lanes import Lanes
    from mediascribe.report.progress import Meter
    from mediascribe.store import Store

_COMMON: Final = "common"
_FOLDER: Final = "_work/common/"
_NOTED_EVERY_S: Final = 0.5


def place(limits: LimitsSection) -> Store | None:
    """The store where the common quota of *limits* is lent, tried out; None where the run's quota is its own.

    Raises:
        ConfigError: it cannot be created, reached or written; or the quota is not known, and each would learn another.
    """
    if limits.common is None:
        return None
    for name, one in {"": limits, **limits.models}.items():
        if one.requests_per_minute is None and one.tokens_per_minute is None:
            whose = f'limits.models."{name}"' if name else "limits"
            raise ConfigError(
                f"limits.common: a quota that runs share must be known: set {whose}.requests_per_minute,"
                " or .tokens_per_minute, to what your key allows"
            )
    try:
        return open_store(limits.common)
    except ConfigError as error:
        raise ConfigError(f"limits.common: {str(error).replace('output `', 'the place `')}") from None


@asynccontextmanager
async def joined(
    job: Job, lanes: Lanes | Sublet, meter: Meter | None = None
) -> AsyncIterator[Callable[[], str | None]]:
    """While the block runs, *lanes* have a share of the common quota of *job*, where it names one.

    Gives what says, in a few words, how much is lent or what is waited for; *meter* has it noted.

    Raises:
        ConfigError: see `place`.
    """
    store = await asyncio.to_thread(place, job.limits)
    if store is None:
        yield lambda: None
        return
    found = board_at(store, _FOLDER)
    try:
        async with Common(found, job.name, job.limits, lanes) as common:
            words = partial(common.line, store.address)
            async with _noted(words, meter):
                yield words
    finally:
        found.close()


class Common:
    """One run's part in a common quota, while its block runs. Belongs to one event loop, whose time is *clock*'s."""

    def __init__(
        self,
        board: Board,
        name: str,
        limits: LimitsSection,
        lanes: Lanes | Sublet,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Nothing is written yet."""
        own = {SHARED: limits, **limits.models}
        following = Following(
            share=limits.share,
            limits={lane: Share(one.requests_per_minute, one.tokens_per_minute) for lane, one in own.items()},
        )
        self._board, self._clock, self._chair = board, clock, Chair(board, name, clock)
        self.member = Member(board, _COMMON, name, lanes, _unlimited(), following=following, clock=clock)
        self.leads = False
        self._problem: str | None = None

    async def __aenter__(self) -> Self:
        self._leading = asyncio.create_task(self._lead_when_free())
        await self.member.__aenter__()
        return self

    async def __aexit__(self, *_: object) -> None:
        try:
            await self.member.__aexit__()
        finally:
            self._leading.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._leading

    def line(self, address: str) -> str:
        """What is lent to this run, or what it waits for, in a few words."""
        if problem := self.member.problem or self._problem:
            return f"waiting for a share of the quota: {problem}"
        share = self.member.share(SHARED)
        if share is None or 0 in share:
            return f"waiting for a share of the quota at {address}"
        units = ((share.requests, "requests/min"), (share.tokens, "tokens/min"))
        lent = " and ".join(f"{most:,.0f} {unit}" for most, unit in units if most is not None)
        runs = self.member.others
        return f"lent {lent}" + (f", beside {runs} other run{'s' if runs > 1 else ''}" if runs else "")

    async def _lead_when_free(self) -> None:
        """Lend whenever nobody else does."""
        while True:
            try:
                if epoch := await self._chair.take():
                    await self._lead(epoch)
                self._problem = None
            except (StoreError, OSError, msgspec.DecodeError) as error:
                self._problem = str(error)
            await asyncio.sleep(COMMON_SLICE_S)

    async def _lead(self, epoch: int) -> None:
        held = partial(self._chair.is_held, epoch)
        office = Office(epoch=epoch, passes_on=True, slice_s=COMMON_SLICE_S, held=held)
        ledger = Ledger(self._board, _COMMON, None, _unlimited(), office=office, clock=self._clock)
        async with ledger:
            self.leads = True
            try:
                await ledger.over()
            finally:
                self.leads = False


def _unlimited() -> Budget:
    """Budgets are each run's own: none is lent here."""
    return Budget(BudgetSection(), None, spent=[], now=lambda: datetime.now(UTC))


@asynccontextmanager
async def _noted(words: Callable[[], str], meter: Meter | None) -> AsyncIterator[None]:
    """While the block runs, *meter* notes *words*."""

    async def note(meter: Meter) -> None:
        while True:
            meter.note = words()
            await asyncio.sleep(_NOTED_EVERY_S)

    noting = asyncio.create_task(note(meter)) if meter else None
    try:
        yield
    finally:
        if noting:
            noting.cancel()
