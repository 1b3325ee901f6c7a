"""Lease: one writer at a time for an output, and a word to the second one.

A local output is locked by `flock`, which the kernel frees when the process ends, however it ends. For an output in a
bucket that lock covers the work folder, so that two runs of one machine never get further; between machines the lease
is an object (`tenure.py`). Either way the holder gets a `Lease`.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import socket
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from mediascribe.errors import OutputInUse
from mediascribe.store.local import LocalStore

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from mediascribe.store import Store
    from mediascribe.store.tenure import Tenure, Terms


_LOOKS: Final = 2_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Lease:
    """What a holder holds. `epoch` grows with every holder of the output."""

    epoch: int
    tenure: Tenure | None = None

    @property
    def lost(self) -> bool:
        """Whether another may hold it by now: then nothing may be sent any more. A local lease is never lost."""
        return self.tenure is not None and self.tenure.lost


@contextlib.contextmanager
def lease(
    store: Store,
    *,
    holder: str,
    on_lost: Callable[[str], None] | None = None,
    tell: Callable[[str], None] | None = None,
    terms: Terms | None = None,
) -> Iterator[Lease]:
    """Hold *store* for the length of the block; what an earlier holder left half written is removed.

    In a bucket, a lease that nobody released is watched first, for `terms.ttl_s` at most: *tell* hears what is waited
    for. Then it is renewed by a thread. When that fails for too long, `Lease.lost` turns true and *on_lost* hears why,
    in that thread, a few seconds later at most.

    Raises:
        OutputInUse: another process holds it; the message says who, where, since when, and what to do.
        StoreError: the bucket cannot be reached.
    """
    with _locked(store, holder) as epoch:
        store.clear_staging()
        if isinstance(store, LocalStore):
            yield Lease(epoch=epoch)
            return
        from mediascribe.store import tenure  # noqa: PLC0415 - its client is not for those who write to a folder

        held = tenure.acquire(store, holder, terms or tenure.Terms(), tell)
        with tenure.kept(held, on_lost):
            yield Lease(epoch=held.epoch, tenure=held)


@contextlib.contextmanager
def _locked(store: Store, holder: str) -> Iterator[int]:
    """Hold the lock of the work folder; gives the number of its holders so far."""
    path = store.work / "lease"
    handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise OutputInUse(_who_holds(store, path)) from None
        epoch = int(_written(path).get("epoch", 0)) + 1
        os.ftruncate(handle, 0)
        os.pwrite(handle, _line(holder, epoch), 0)
        yield epoch
    finally:
        os.close(handle)


def _line(holder: str, epoch: int) -> bytes:
    since = datetime.now(UTC).isoformat(timespec="seconds")
    facts = {"holder": holder, "host": socket.gethostname(), "pid": os.getpid(), "since": since, "epoch": epoch}
    return json.dumps(facts).encode()


def _written(path: Path) -> dict[str, Any]:
    """What the last holder wrote of itself; nothing while it is writing."""
    try:
        found = json.loads(path.read_bytes())
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _who_holds(store: Store, path: Path) -> str:
    # Who took it in this very instant has yet to write its name: that takes microseconds.
    held = next(filter(None, (_written(path) for _ in range(_LOOKS))), {})
    try:
        since = datetime.fromisoformat(held["since"]).astimezone(UTC)
        who = f"{held['holder']} (process {held['pid']} on {held['host']}) since {since:%Y-%m-%d %H:%M:%S} UTC"
        way_out = f"wait, or stop process {held['pid']} on {held['host']}"
    except (ValueError, KeyError, TypeError):  # the holder is writing this very file
        who, way_out = "another run", "wait, or try again to see which"
    return f"output `{store.address}` is held by {who}; nothing was sent: {way_out}"
