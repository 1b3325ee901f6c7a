"""Ledger: every completion request in order of arrival, and what it was billed.

It is the sandbox's own account: tests hold what a client wrote down against it.
"""

from __future__ import annotations

import dataclasses
import hashlib
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """A medium as it was asked about: its kind, and where it came from, without query string and user."""

    kind: str
    where: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One request.

    `dialect` is the route's: chat, responses, messages or generate_content; `stream` says that a stream was asked for.
    `status` is None as long as the answer is on its way, and for good where none was sent. `fault` was played. Tokens
    and `nano_usd` are what was billed, 0 for a request that was not. `finished` says whether the whole answer was
    written to the connection.
    """

    number: int
    arrived_at: datetime
    request_id: str
    model: str | None = None
    status: int | None = None
    fault: str | None = None
    billed: bool = False
    prompt_tokens: int = 0
    text_tokens: int = 0
    image_tokens: int = 0
    audio_tokens: int = 0
    video_tokens: int = 0
    completion_tokens: int = 0
    reasoning_tokens: int = 0
    nano_usd: int = 0
    media: tuple[Seen, ...] = ()
    prompt_sha256: str | None = None
    parameters: Mapping[str, Any] = field(default_factory=dict)
    finished: bool = False
    dialect: str = "chat"
    stream: bool = False

    @property
    def total_tokens(self) -> int:
        """Prompt and answer."""
        return self.prompt_tokens + self.completion_tokens

    def told(self) -> str:
        """It in one line for people."""
        fault = f" fault {self.fault}" if self.fault else ""
        tokens = f"{self.prompt_tokens}+{self.completion_tokens} tokens"
        return f"{self.number} {self.status or 'cut'} {self.model or '-'}{fault} {tokens}"

    def to_json(self) -> dict[str, Any]:
        """A JSON value with every member."""
        return dataclasses.asdict(self) | {"arrived_at": self.arrived_at.isoformat()}


class Line:
    """One line of the ledger that is still being written."""

    def __init__(self, entries: list[Entry], place: int) -> None:
        self._entries = entries
        self._place = place

    @property
    def entry(self) -> Entry:
        """What stands there now."""
        return self._entries[self._place]

    def note(self, **changes: Any) -> None:  # noqa: ANN401 - the members of an Entry
        """Write *changes* into the entry."""
        self._entries[self._place] = dataclasses.replace(self.entry, **changes)


class Ledger:
    """The lines; written by the server's thread, read by any."""

    def __init__(self) -> None:
        self._entries: list[Entry] = []

    def open(self, request_id: str) -> Line:
        """Begin the next line."""
        entries = self._entries
        entries.append(Entry(number=len(entries) + 1, arrived_at=datetime.now(UTC), request_id=request_id))
        return Line(entries, len(entries) - 1)

    def entries(self) -> list[Entry]:
        """All lines as they stand now."""
        return list(self._entries)

    def clear(self) -> None:
        """Begin anew with number 1; requests still open finish their lines unseen."""
        self._entries = []


def prompt_sha256(texts: Sequence[str]) -> str:
    """The SHA-256 of all text parts in order, one line break between two."""
    return hashlib.sha256("\n".join(texts).encode()).hexdigest()
