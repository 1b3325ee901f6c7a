"""Notes: what members and lead write to each other; JSON, a few hundred bytes a member."""

from __future__ import annotations

from typing import Final

import msgspec

from mediascribe.budget import Envelope
from mediascribe.lanes import Share
from mediascribe.pacing import Bound
from mediascribe.spending import Spend

SLICE_S: Final = 3.0
# At the place of a common quota. A fleet lends on what it was lent there, and that must last for two more slices of its
# own; and runs are few.
COMMON_SLICE_S: Final = 1.0
# A note is up to a slice old when the lead reads it, the grant that answers it up to a slice when the member does, and
# that must last for another one: three slices and what the store takes. Five outlive one that fails.
LIFE_S: Final = 5 * SLICE_S
GRANTS: Final = "grants.json"
NOTES: Final = "notes/"
LEADS: Final = "leads/"


class Rows(msgspec.Struct, frozen=True, array_like=True):
    """Rows of a member: waiting in its shards, and in each shard that it had those done, of which some failed.

    Who goes on with another's shard has that one's rows among its own.
    """

    waiting: int = 0
    shards: dict[int, tuple[int, int]] = {}

    @property
    def done(self) -> int:
        """Rows that have their result, failed ones among them."""
        return sum(done for done, _ in self.shards.values())

    @property
    def failed(self) -> int:
        """Rows that failed."""
        return sum(failed for _, failed in self.shards.values())


class LaneNote(msgspec.Struct, frozen=True, kw_only=True):
    """What a member made of one quota since its start, and what it could use: per minute; None: not known yet."""

    left: int = 0
    refused: int = 0
    tokens: int = 0
    in_flight: int = 0
    waiting: int = 0
    window: int = 0
    wants: float | None = None
    wants_tokens: float | None = None
    bound_by: Bound | None = None


class Purse(msgspec.Struct, frozen=True, kw_only=True):
    """A member's money: spent since its start with what is in doubt, reserved, wanted for the next half minute.

    `need` is the worst that its next request may cost; `waiting` counts the requests that have no room.
    """

    spent: Spend = Spend()
    in_doubt: Spend = Spend()
    reserved: Spend = Spend()
    need: Spend = Spend()
    wants: Spend | None = None
    waiting: int = 0


class Note(msgspec.Struct, frozen=True, kw_only=True):
    """The word of a member. `number` counts its notes; `grants` is the number of the grants that it goes by.

    `member` is another one each time a process starts, `name` is what people call it; `up_s` is its own clock's.
    `share` is the part of the whole that it asks for, 1 an equal part; `limits` is what its job says of each quota.
    """

    member: str
    name: str
    number: int
    up_s: float
    epoch: int = 0
    grants: int = 0
    share: float = 1.0
    limits: dict[str, Share] = {}
    lanes: dict[str, LaneNote] = {}
    purse: Purse = Purse()
    rows: Rows = Rows()
    left: bool = False


class Grant(msgspec.Struct, frozen=True, kw_only=True):
    """What is lent to one member, in answer to its note *heard*; the envelope counts since the member's start.

    The shares live `life_s` from the moment when the member began to write that note.
    """

    heard: int
    shares: dict[str, Share]
    envelope: Envelope
    life_s: float = LIFE_S


class Grants(msgspec.Struct, frozen=True, kw_only=True):
    """The word of the lead. `out` says why no member gets more money, `over` why this lead lends nothing any more.

    With `over` comes what each member may still use: `held`.
    """

    epoch: int
    number: int
    members: dict[str, Grant] = {}
    dead: tuple[str, ...] = ()
    out: str | None = None
    over: str | None = None
    held: dict[str, dict[str, Share]] = {}
