"""Chair: which of several runs leads at a place; the others follow, and one of them is next.

Rules of this file:

1. Only if-absent writes decide: creating `leads/<epoch>` makes a lead, and ends the one before.
2. A lead asks, after it has read the notes and before it lends, whether it still leads. What it lends lives from before
   that moment on; so its successor, which lends nothing for as long as that may live, needs no word from it, nor time.
3. A lead that leaves says so in its last grants, with what everybody may still use: then nobody has to wait.
4. Otherwise it is dead when a watcher saw the same grants for `DEAD_S` on its own clock, or at once where it was a
   process of this machine that is gone.
"""

from __future__ import annotations

import os
import socket
from typing import TYPE_CHECKING, Final

import msgspec

from mediascribe.fleet.notes import GRANTS, LEADS, SLICE_S, Grants
from mediascribe.fleet.pulse import Beat, has_ended, machine

if TYPE_CHECKING:
    from collections.abc import Callable

    from mediascribe.fleet.board import Board

DEAD_S: Final = 4 * SLICE_S
_KEPT: Final = 8  # marks of leads


class Chair:
    """The lead's place, as one run sees it. Time is *clock*'s."""

    def __init__(self, board: Board, name: str, clock: Callable[[], float]) -> None:
        """Nothing is seen yet."""
        self._board, self._name, self._clock = board, name, clock
        self._seen: tuple[int, int, int] | None = None
        self._since = clock()

    async def take(self) -> int | None:
        """Become the lead where nobody leads: the epoch of that; None where somebody does.

        Raises:
            StoreError: the place cannot be reached.
            OSError: likewise.
            msgspec.DecodeError: somebody else wrote there.
        """
        seen, self._seen = self._seen, None  # who cannot see begins to watch anew
        epoch = await self._newest()
        found = await self._board.get(GRANTS)
        grants = msgspec.json.decode(found, type=Grants) if found else Grants(epoch=0, number=0)
        self._seen = epoch, grants.epoch, grants.number
        if self._seen != seen:
            self._since = self._clock()
        if not await self._is_free(epoch, grants):
            return None
        beat = Beat(name=self._name, host=socket.gethostname(), machine=machine(), pid=os.getpid())
        created = await self._board.create(_mark(epoch + 1), msgspec.json.encode(beat))
        return epoch + 1 if created else None

    async def is_held(self, epoch: int) -> bool:
        """Whether *epoch* is still the newest; raises as `take`."""
        return await self._newest() == epoch

    async def _newest(self) -> int:
        epochs = sorted(int(name.removeprefix(LEADS)) for name in await self._board.names(LEADS))
        for old in epochs[:-_KEPT]:
            await self._board.remove(_mark(old))
        return epochs[-1] if epochs else 0

    async def _is_free(self, epoch: int, grants: Grants) -> bool:
        """Whether the lead of *epoch* has left, or is dead."""
        if epoch == 0 or (grants.over is not None and grants.epoch == epoch):
            return True
        if self._clock() - self._since >= DEAD_S:
            return True
        found = await self._board.get(_mark(epoch))
        beat = msgspec.json.decode(found, type=Beat) if found else None
        return beat is not None and has_ended(beat)


def _mark(epoch: int) -> str:
    return f"{LEADS}{epoch:08d}"
