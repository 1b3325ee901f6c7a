"""Pulse: the signs of life of a process, and who watches for them (reliability notes 1.3).

A process stops by itself before another counts it as dead (`store/terms.py`). One that is gone from this machine is
dead at once.
"""

from __future__ import annotations

import contextlib
import os
import socket
import threading
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final, Self

import msgspec

from mediascribe.errors import StoreError
from mediascribe.store.terms import BOOT

if TYPE_CHECKING:
    from collections.abc import Callable

    from mediascribe.fleet.shelf import Shelf
    from mediascribe.store.terms import Terms

LEAD: Final = "lead"
_BEATS: Final = 6  # in a ttl
_PROCESSES: Final = Path("/proc/self/ns/pid")


class LostError(StoreError):
    """This process may no longer write to a shard: another has it by now, or may have it."""


class Beat(msgspec.Struct, frozen=True, kw_only=True):
    """What a process says of itself; `machine` is its boot and its table of processes, `gone` its last word."""

    name: str
    host: str
    machine: str | None
    pid: int
    number: int = 0
    gone: bool = False


class Watch:
    """Whether one process is dead, as seen by one watcher."""

    def __init__(self, shelf: Shelf, name: str, terms: Terms) -> None:
        """Begin to watch *name*."""
        self._shelf, self._name, self._terms = shelf, name, terms
        self._seen: bytes | None = b""
        self._since = terms.clock()

    def is_dead(self) -> bool:
        """Look once more; raises a `StoreError` where nothing can be seen."""
        found = self._shelf.read(f"beats/{self._name}")
        if found != self._seen:
            self._seen, self._since = found, self._terms.clock()
        beat = msgspec.json.decode(found, type=Beat) if found else None
        if beat and (beat.gone or has_ended(beat)):
            return True
        return self._terms.is_dead(self._since)


def has_ended(beat: Beat) -> bool:
    """Whether it was a process of this machine, and is gone."""
    if beat.machine is None or beat.machine != machine():
        return False
    try:
        os.kill(beat.pid, 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        return False
    return False


def machine() -> str | None:
    """This boot of this machine, and the table of processes that we see; None where the system does not say."""
    try:
        return f"{BOOT.read_text().strip()}/{_PROCESSES.readlink()}"
    except OSError:
        return None


@dataclass(slots=True, kw_only=True)
class Pulse:
    """The beats of this process for one run, while its block runs; *heard* is told of orders, such as `drain`.

    Where it has a *lead*, that is watched as well: a process whose lead is dead for good leaves the run.
    """

    shelf: Shelf
    name: str
    terms: Terms
    heard: Callable[[str, str], None] = lambda _order, _why: None
    lead: Watch | None = None
    problem: str | None = None
    _beat_at: float = 0.0
    _number: int = 0
    _why: str | None = None
    _orders: set[str] = field(default_factory=set)
    _done: threading.Event = field(default_factory=threading.Event)
    _thread: threading.Thread | None = None

    def lost(self) -> str | None:
        """Why this process may write nothing more, if so; for ever."""
        if self._why is None and self.terms.must_stop(self._beat_at):
            silent_s = self.terms.clock() - self._beat_at
            self._why = f"{self.name} gave no sign of life for {silent_s:.0f} s: its shards may be others' by now" + (
                f" ({self.problem})" if self.problem else ""
            )
        return self._why

    def beat(self, *, gone: bool = False) -> None:
        """Give one sign of life, and hear the orders.

        Raises:
            StoreError: the bucket fails.
            OSError: the folder does.
        """
        at = self.terms.clock()
        self._number += 1
        beat = Beat(
            name=self.name,
            host=socket.gethostname(),
            machine=machine(),
            pid=os.getpid(),
            number=self._number,
            gone=gone,
        )
        if self.lost() and not gone:
            return
        self.shelf.write(f"beats/{self.name}", msgspec.json.encode(beat))
        self._beat_at = at
        for order in set(self.shelf.names("orders")) - self._orders:
            self._orders.add(order)
            why = (self.shelf.read(f"orders/{order}") or b"").decode()
            if order == "end":
                self._why = why
            self.heard(order, why)
        if self.lead and self.lead.is_dead():
            self._why = "the lead of the run is dead: the next start recovers the run"

    def __enter__(self) -> Self:
        self._beat_at = self.terms.clock()
        self.beat()
        self._thread = threading.Thread(target=self._run, name="beats", daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        if self._thread:
            self._thread.join()
        with contextlib.suppress(StoreError, OSError):
            self.beat(gone=True)

    def _run(self) -> None:
        while not self._done.wait(self.terms.ttl_s / (3 * _BEATS if self.problem else _BEATS)) and not self.lost():
            try:
                self.beat()
                self.problem = None
            except (StoreError, OSError) as error:
                self.problem = str(error)


def order(shelf: Shelf, name: str, why: str) -> None:
    """Give every process of the run the order *name*: `drain` lets what is in flight land, `end` leaves the run."""
    shelf.create(f"orders/{name}", why.encode())
