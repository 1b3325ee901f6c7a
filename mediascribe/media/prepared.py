"""Prepared: a request whose media were looked at, or fetched and made fit, before it is sent."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from mediascribe.domain import Media, MediaFacts, Request
    from mediascribe.media.pieces import Piece
    from mediascribe.media.token_rules import Facts


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """One request of a row: about all of its media, or about one *piece* of a long one.

    `each` has what is known of each medium of the request, for the rules of tokens.
    """

    request: Request
    each: tuple[Facts, ...]
    piece: Piece | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """What is sent for a row, and what was found out about its media.

    `parts` has one request, or one for each piece. `content` names the bytes of all media together, whatever their
    URLs; None where those are not known. `held_bytes` are those in memory.
    """

    parts: tuple[Part, ...]
    facts: MediaFacts
    content: str | None
    held_bytes: int = 0


class Preparation(Protocol):
    """What makes requests ready; at most `at_once` of them at a time."""

    at_once: int
    ahead: int

    async def prepare(self, request: Request, is_streamed: Callable[[Iterable[Media]], bool]) -> Prepared:
        """*request* with its media as they are sent; *is_streamed* says whether the answer about them comes so.

        Raises:
            MediaError: they cannot be sent.
        """

    def release(self, prepared: Prepared) -> None:
        """*prepared* was sent, or never will be: its memory is free."""
