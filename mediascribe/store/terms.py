"""Terms: how long a holder counts as alive without a sign of life, and by whose clock (reliability notes 1.3).

Nobody compares clocks: a holder is dead when a watcher saw one and the same sign of it for the whole `ttl_s` on its own
clock. It stops by itself at half of that, so it has stopped before it is dead.
"""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

LOOKS: Final = 12  # in a ttl, of one who watches
BOOT: Final = Path("/proc/sys/kernel/random/boot_id")


def wait(wait_s: float) -> None:
    """Wait; a signal ends it."""
    threading.Event().wait(wait_s)


def seconds() -> float:
    """A clock that is never set, and goes on while the machine sleeps, where the system has one."""
    return time.clock_gettime(time.CLOCK_BOOTTIME) if hasattr(time, "CLOCK_BOOTTIME") else time.monotonic()


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """How long a holder lives unheard, and by which clock."""

    ttl_s: float = 60.0
    clock: Callable[[], float] = seconds
    pause: Callable[[float], None] = wait

    def must_stop(self, heard_at: float) -> bool:
        """Whether a holder that gave its last sign *heard_at* has to stop."""
        return self.clock() - heard_at > self.ttl_s / 2

    def is_dead(self, since: float) -> bool:
        """Whether one that gave no other sign *since* has stopped."""
        return self.clock() - since > self.ttl_s

    def look_again(self) -> None:
        """Wait until the next look."""
        self.pause(self.ttl_s / LOOKS)
