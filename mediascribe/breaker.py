"""Breaker: is the gateway down, since when, and when is it tried next?

A gateway that fails row after row is down; a row that fails alone is not its fault. So the breaker opens after
consecutive failures of different rows without a single answer in between, and closes with the first answer. While it is
open a probe leaves every few seconds, less often the more of them are still without an answer, so that a gateway that
hangs is found up again too; rows wait, and what a probe meets costs its row no attempt.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

FAILURES_TO_OPEN: Final = 5
ROWS_TO_OPEN: Final = 2
PROBE_EVERY_S: Final = 4.0  # so that less than 5 s pass between the end of an outage and the first answer
_RAREST_PROBE_S: Final = 60.0
# A row that fails every probe, alone, is at fault after all: this many are excused.
EXCUSED_AT_MOST: Final = 24


@dataclass(frozen=True, slots=True, kw_only=True)
class Outage:
    """An open breaker: for how long, why (the failure that opened it), and when the next probe leaves, in seconds."""

    lasted_s: float
    why: str
    probe_in_s: float


class Breaker:
    """What the last requests say about the gateway. Time is *clock*'s."""

    def __init__(self, clock: Callable[[], float]) -> None:
        """Start closed."""
        self._clock = clock
        self._failures = 0
        self._rows: set[object] = set()
        self._excused: dict[object, int] = {}
        self._since: float | None = None
        self._why = ""
        self._probe_at = 0.0
        self._probes = 0

    @property
    def is_open(self) -> bool:
        """Whether the gateway counts as down."""
        return self._since is not None

    @property
    def probe_at(self) -> float:
        """When the next probe may leave, by the clock; in the past while the breaker is closed."""
        return self._probe_at if self.is_open else self._clock()

    def outage(self) -> Outage | None:
        """The outage that goes on, if one does."""
        if self._since is None:
            return None
        now = self._clock()
        return Outage(lasted_s=now - self._since, why=self._why, probe_in_s=max(0.0, self._probe_at - now))

    def probing(self) -> None:
        """Learn that a probe leaves; `probed` follows."""
        every_s = PROBE_EVERY_S * 2.0 ** min(self._probes, 10)
        self._probe_at = self._clock() + min(every_s, _RAREST_PROBE_S)
        self._probes += 1

    def probed(self) -> None:
        """Learn that a probe is no longer on its way, whatever came of it."""
        self._probes -= 1

    def answered(self) -> None:
        """Learn that the gateway answered, whatever it said."""
        self._failures, self._since = 0, None
        self._rows.clear()
        self._excused.clear()

    def failed(self, row: object, why: str) -> bool:
        """Learn that *row* met a failure of the gateway's; whether the row is excused, as the gateway is down."""
        now = self._clock()
        self._failures += 1
        self._rows.add(row)
        if self._since is None and self._failures >= FAILURES_TO_OPEN and len(self._rows) >= ROWS_TO_OPEN:
            self._since, self._why = now, why
        if self._since is None:
            return False
        if self._probe_at <= now:
            self._probe_at = now + PROBE_EVERY_S
        self._excused[row] = self._excused.get(row, 0) + 1
        return self._excused[row] <= EXCUSED_AT_MOST
