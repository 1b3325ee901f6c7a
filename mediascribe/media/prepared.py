"""Prepared: a request whose media were looked at, or fetched and made fit, before it is sent."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from mediascribe.domain import MediaFacts, Request
    from mediascribe.media.token_rules import Facts


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """*request* as it is sent, and what was found out about its media.

    `content` names the bytes of all media together, whatever their URLs; None where those are not known. `each` has
    what is known of each medium of the request, for the rules of tokens. `held_bytes` are those in memory.
    """

    request: Request
    facts: MediaFacts | None = None
    content: str | None = None
    each: tuple[Facts, ...] | None = None
    held_bytes: int = 0


class Preparation(Protocol):
    """What makes requests ready; at most `at_once` of them at a time."""

    at_once: int
    ahead: int

    async def prepare(self, request: Request) -> Prepared:
        """*request* with its media as they are sent.

        Raises:
            MediaError: they cannot be sent.
        """

    def release(self, prepared: Prepared) -> None:
        """*prepared* was sent, or never will be: its memory is free."""
