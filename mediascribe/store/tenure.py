"""Tenure: the lease of an output in a bucket, an object that its holder renews.

Rules of this file (reliability notes 1.3):

1. Every write is conditional: created with If-None-Match, renewed and taken over with If-Match.
2. The holder renews every third of its term; who stops when, and who counts as dead, is in `terms.py`.
3. A holder that ran in the same work folder, under the same boot of the same machine, is dead when the folder's lock is
   ours: its lease is taken over at once.
4. A released lease stays, so that `epoch` grows for ever.
"""

from __future__ import annotations

import contextlib
import os
import socket
import threading
import uuid
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

import msgspec

from mediascribe.errors import OutputInUse, StoreError
from mediascribe.store.terms import BOOT, Terms

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from mediascribe.store.bucket import Bucket, Version
    from mediascribe.store.objects import ObjectStore

__all__ = ["NAME", "Held", "Tenure", "Terms", "acquire", "kept"]

NAME: Final = "_work/lease.json"
_PLACE: Final = "_work/place"
_HURRY: Final = 20  # in a ttl, the attempts to renew after one failed


class Held(msgspec.Struct, frozen=True, kw_only=True):
    """What the object says; `token` is the holder's alone, `place` its work folder and boot, times are its clock's."""

    holder: str
    host: str
    pid: int
    token: str
    place: str
    epoch: int
    since: datetime
    renewed: datetime
    renewals: int = 0
    released: bool = False


@dataclass(slots=True, kw_only=True)
class Tenure:
    """A lease that is held; `lost` once it was not renewed for half of its life, or another took it over."""

    store: ObjectStore
    terms: Terms
    held: Held
    version: Version
    renewed_at: float
    problem: str | None = None
    taken: bool = False
    done: threading.Event = field(default_factory=threading.Event)

    @property
    def epoch(self) -> int:
        """The number of this holder."""
        return self.held.epoch

    @property
    def lost(self) -> bool:
        """Whether another may hold it by now; once true, for ever."""
        if self.terms.must_stop(self.renewed_at):
            self.taken = True
        return self.taken

    def renew(self) -> None:
        """Renew it, unless it is lost already.

        Raises:
            StoreError: the bucket did not answer in good time; the lease may be renewed or not.
        """
        asked_at = self.terms.clock()
        while not self.lost:
            renewed = msgspec.structs.replace(self.held, renewals=self.held.renewals + 1, renewed=datetime.now(UTC))
            version = _write(self.store.quick, renewed, self.version)
            if version:
                self.held, self.version, self.renewed_at, self.problem = renewed, version, asked_at, None
                return
            found = _read(self.store.quick)
            if found is None or found[0].token != self.held.token:
                self.taken, self.problem = True, f"it was taken over by {_who(found[0])}" if found else "it was removed"
                return
            self.held, self.version = found  # a renewal of ours landed though it was answered with an error

    def release(self) -> None:
        """Let the next holder in at once; a bucket that fails makes it wait."""
        if self.lost:
            return
        with contextlib.suppress(StoreError):
            _write(self.store.quick, msgspec.structs.replace(self.held, released=True), self.version)


def acquire(store: ObjectStore, holder: str, terms: Terms, tell: Callable[[str], None] | None) -> Tenure:
    """Become the holder; a lease that its holder did not release is watched for `terms.ttl_s` first.

    Raises:
        OutputInUse: the holder lives, or another was faster.
        StoreError: the bucket cannot be reached.
    """
    place = _place(store)
    found = _read(store.bucket)
    if found and not found[0].released and found[0].place != place:
        if tell:
            tell(_waiting(store, found[0], terms))
        found = _watched(store, found, terms)
    asked_at = terms.clock()
    held = _new(holder, place, epoch=found[0].epoch + 1 if found else 1)
    version = _write(store.bucket, held, found[1] if found else None)
    if version is None:
        faster = _read(store.bucket)
        raise OutputInUse(_refusal(store, faster[0] if faster else held, terms))
    return Tenure(store=store, terms=terms, held=held, version=version, renewed_at=asked_at)


@contextlib.contextmanager
def kept(tenure: Tenure, on_lost: Callable[[str], None] | None) -> Iterator[None]:
    """Renew *tenure* in a thread for the length of the block, and release it."""
    thread = threading.Thread(target=_keep, args=(tenure, on_lost), name="lease", daemon=True)
    thread.start()
    try:
        yield
    finally:
        tenure.done.set()
        thread.join()
        tenure.release()


def _keep(tenure: Tenure, on_lost: Callable[[str], None] | None) -> None:
    ttl_s = tenure.terms.ttl_s
    while not tenure.done.wait(ttl_s / (_HURRY if tenure.problem else 3)):
        try:
            tenure.renew()
        except StoreError as error:
            tenure.problem = str(error)
        if tenure.lost:
            if on_lost:
                on_lost(_loss(tenure))
            return


def _watched(store: ObjectStore, found: tuple[Held, Version], terms: Terms) -> tuple[Held, Version] | None:
    """What can be taken over: *found* once it is dead, or what its holder left.

    Raises:
        OutputInUse: the holder lives.
    """
    since = terms.clock()
    while not terms.is_dead(since):
        terms.look_again()
        now = _read(store.bucket)
        if now is None or now[0].released:
            return now
        if now[1] != found[1]:
            raise OutputInUse(_refusal(store, now[0], terms))
    return found


def _new(holder: str, place: str, *, epoch: int) -> Held:
    now = datetime.now(UTC)
    return Held(
        holder=holder,
        host=socket.gethostname(),
        pid=os.getpid(),
        token=uuid.uuid4().hex,
        place=place,
        epoch=epoch,
        since=now,
        renewed=now,
    )


def _read(bucket: Bucket) -> tuple[Held, Version] | None:
    """What the object says; None where there is none.

    Raises:
        StoreError: the bucket cannot be reached, or somebody else wrote the object.
    """
    try:
        data, version = bucket.get_version(NAME)
    except FileNotFoundError:
        return None
    try:
        return msgspec.json.decode(data, type=Held), version
    except msgspec.DecodeError as error:
        raise StoreError(
            f"{bucket.address.url}/{NAME} is no lease of ours ({error}): remove it when no run writes there"
        ) from None


def _write(bucket: Bucket, held: Held, version: Version | None) -> Version | None:
    """Write *held* in place of *version* (None: where there is no object); None when another was faster."""
    data = msgspec.json.encode(held)
    if version:
        return bucket.update(NAME, data, version)
    if not bucket.create(NAME, data):
        return None
    found = _read(bucket)
    return found[1] if found and found[0].token == held.token else None


def _place(store: ObjectStore) -> str:
    """The work folder and the boot of this machine; what is not known is like nothing else."""
    store.put_bytes_if_absent(_PLACE, uuid.uuid4().hex.encode())
    try:
        boot = BOOT.read_text().strip()
    except OSError:
        boot = uuid.uuid4().hex
    return f"{boot}/{store.read(_PLACE).decode()}"


def _who(held: Held) -> str:
    return f"{held.holder} (process {held.pid} on {held.host}) since {_moment(held.since)}"


def _moment(at: datetime) -> str:
    return f"{at.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"


def _refusal(store: ObjectStore, held: Held, terms: Terms) -> str:
    return (
        f"output `{store.address}` is held by {_who(held)}, last renewed {_moment(held.renewed)} by its clock;"
        f" nothing was sent: wait, or stop process {held.pid} on {held.host};"
        f" should it die, the next run takes over after {terms.ttl_s:.0f} s"
    )


def _waiting(store: ObjectStore, held: Held, terms: Terms) -> str:
    return (
        f"output `{store.address}` was left to {_who(held)}, last renewed {_moment(held.renewed)} by its clock:"
        f" waiting {terms.ttl_s:.0f} s at most to see whether it still runs; if not, this run takes over"
    )


def _loss(tenure: Tenure) -> str:
    why = tenure.problem or f"it was not renewed for {tenure.terms.ttl_s / 2:.0f} s"
    return (
        f"the lease of output `{tenure.store.address}` is lost: {why}; nothing more is sent,"
        f" what was received is kept in {tenure.store.work}: run again to go on"
    )
