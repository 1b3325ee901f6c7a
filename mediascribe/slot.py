"""Slot: a place in the window of requests in flight, for the length of a block."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mediascribe.limiter import Admission, Limiter


class Slot:
    """One caller's; a class, since a generator would cost as much as the admission itself."""

    __slots__ = ("_admission", "_limiter", "_tokens")

    def __init__(self, limiter: Limiter, tokens: int) -> None:
        """Hold nothing yet."""
        self._limiter, self._tokens = limiter, tokens

    async def __aenter__(self) -> Admission:
        self._admission = await self._limiter.turn(self._tokens)
        return self._admission

    async def __aexit__(self, *_: object) -> None:
        self._limiter.left_window(self._admission)
