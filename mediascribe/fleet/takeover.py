"""Takeover: which process has a shard, and who has it next.

Rules of this file (reliability notes 1.3):

1. Only if-absent writes decide. A shard's holders are numbered by epochs: creating `<epoch>.taken` makes a holder,
   creating `<epoch>.over` ends it; of several who try, one wins, on a folder as in a bucket.
2. An epoch is ended by its holder, or by another once the holder is dead (`pulse.py`).
3. Each epoch has a journal of its own (`nook`). Who takes over ends the epoch before, and then copies its journal: what
   the old holder writes later is in a place that nobody reads.
4. A holder ends its own epoch before it publishes, when its whole journal is in place, and says there what came of the
   shard. Who finds that and no part publishes the same rows, from that journal. So a part never has less than another.
5. A start that finds a fleet of a killed run ends it, and waits until its processes have stopped or are dead.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import chain, pairwise
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from mediascribe import dataset, journal
from mediascribe.domain import Shard
from mediascribe.fleet.pulse import LostError, Watch, order
from mediascribe.fleet.shelf import FLEET, PLACE, Shelf
from mediascribe.journal import Sent
from mediascribe.landing import REPORT, ShardReport
from mediascribe.store import LocalStore, shipping

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from mediascribe.store import Store
    from mediascribe.store.terms import Terms


class Ending(msgspec.Struct, frozen=True, kw_only=True):
    """Who ended an epoch; its holder, with what came of the shard, or another, because the holder was dead."""

    by: str
    report: ShardReport | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Hold:
    """A shard that is ours: the number of this holding, and where its journal is."""

    shelf: Shelf
    shard: Shard
    epoch: int
    by: str
    taken_from: str | None = None

    @property
    def nook(self) -> Store:
        """The store of the journal."""
        return self.shelf.nook(self.shard.number, self.epoch)

    @property
    def journal(self) -> Path:
        """The folder of the journal."""
        return journal.place(self.nook.work, self.shard)

    def seal(self, report: ShardReport) -> None:
        """End this holding with what came of the shard: from now on its part may be published.

        Raises:
            LostError: another ended it.
        """
        if not _end(self.shelf, self.shard.number, self.epoch, Ending(by=self.by, report=report)):
            raise LostError(f"shard {self.shard.number} was taken over from {self.by}: nothing of it is published here")


def take(shelf: Shelf, shard: Shard, by: str, terms: Terms) -> Hold | ShardReport:
    """Become the holder of *shard*, with the journal of the one before; or how it ended, where its part is there.

    A holder that may live is watched first, for `terms.ttl_s`; one that goes on beating is waited for.

    Raises:
        StoreError: the bucket fails.
    """
    while True:
        before = _holders(shelf, shard.number)
        last = before[-1] if before else _Holder(0, None)
        if last.name is not None:
            ending = _released(shelf, shard.number, last, by, terms)
            if ending.report and (ending.report.part is None or dataset.has_part(shelf.store, shard)):
                return ending.report
        if shelf.create(_mark(shard.number, last.epoch + 1, "taken"), by.encode()):
            hold = Hold(shelf=shelf, shard=shard, epoch=last.epoch + 1, by=by, taken_from=last.name)
            _continue(shelf, hold, [holder.epoch for holder in before])
            return hold


def deliver(shelf: Shelf) -> None:
    """Ship what an earlier process of this work folder had not: nobody goes on from it, but it is counted (`late`)."""
    if isinstance(shelf.store, LocalStore):
        return
    for place in sorted((shelf.store.work / PLACE / shelf.run_id / "journals").glob("*/*")):
        nook = shelf.nook(int(place.parent.name), int(place.name))
        shipping.Shipper(nook, epoch=int(place.name)).ship()


def late(shelf: Shelf, shard: Shard) -> list[Sent]:
    """The requests of dead holders that nobody knew of who went on: sent in the seconds before a process was lost.

    They may have been billed, and were sent again. In a folder there are none, since all is seen at once.
    """
    holders = _holders(shelf, shard.number)
    whole = [one.epoch for one in holders if one.epoch == 1 or _is_whole(shelf, shard.number, one.epoch)]
    if len(whole) == 1 or isinstance(shelf.store, LocalStore):
        return []
    sent = []
    for before, after in pairwise(whole):
        known, tails = _fetched(shelf, shard, after), _fetched(shelf, shard, before).with_suffix(".late")
        tails.mkdir(parents=True, exist_ok=True, mode=0o700)
        for segment in journal.segments(_fetched(shelf, shard, before)):
            copy = known / segment.name
            (tails / segment.name).write_bytes(segment.read_bytes()[copy.stat().st_size if copy.exists() else 0 :])
        entries = chain.from_iterable(journal.replay(tails).rows.values())
        sent += [entry for entry in entries if isinstance(entry, Sent)]
    return sent


def told(shelf: Shelf, shard: int) -> ShardReport | None:
    """How *shard* ended, as the last of its holders said that ended it; None where none did."""
    endings = [_ending(shelf, shard, holder.epoch) for holder in _holders(shelf, shard)]
    return next((ending.report for ending in reversed(endings) if ending and ending.report), None)


def is_begun(shelf: Shelf, shard: int) -> bool:
    """Whether anybody has taken *shard* yet."""
    return bool(_holders(shelf, shard))


def ousted(shelf: Shelf, shard: int) -> set[str]:
    """Those from whom *shard* was taken because they were dead."""
    endings = [(name, _ending(shelf, shard, epoch)) for epoch, name in _holders(shelf, shard)]
    return {name for name, ending in endings if name and ending and ending.by != name}


class _Holder(NamedTuple):
    epoch: int
    name: str | None


def forget(shelf: Shelf, shard: int) -> None:
    """Remove rows and journal of a shard that ended, but where several had it: what came late is counted in the end."""
    if not isinstance(shelf.store, LocalStore) and len(_holders(shelf, shard)) == 1:
        shelf.drop(f"journals/{shard:05d}")
        shelf.drop(f"rows/{shard:05d}")


def _holders(shelf: Shelf, shard: int) -> list[_Holder]:
    """The holders of *shard* so far, oldest first."""
    marks = [name for name in shelf.names(f"marks/{shard:05d}") if name.endswith(".taken")]
    return [_Holder(int(name[:4]), (shelf.read(f"marks/{shard:05d}/{name}") or b"").decode()) for name in marks]


def _released(shelf: Shelf, shard: int, last: _Holder, by: str, terms: Terms) -> Ending:
    """How the *last* holding ended: by its holder, or by us once it is dead."""
    watch = Watch(shelf, last.name or "", terms)
    while (ending := _ending(shelf, shard, last.epoch)) is None:
        if last.name == by or watch.is_dead():
            _end(shelf, shard, last.epoch, Ending(by=by))
        else:
            terms.look_again()
    return ending


def _continue(shelf: Shelf, hold: Hold, before: list[int]) -> None:
    """Copy the newest whole journal of those *before*, and say that ours is whole."""
    for epoch in reversed(before):
        if epoch == 1 or _is_whole(shelf, hold.shard.number, epoch):
            _copy(_fetched(shelf, hold.shard, epoch), hold.journal)
            break
    if before:
        shipping.Shipper(hold.nook, epoch=hold.epoch).ship()
        shelf.create(_mark(hold.shard.number, hold.epoch, "whole"), b"")


def _fetched(shelf: Shelf, shard: Shard, epoch: int) -> Path:
    """The folder with the journal of *epoch*; brought here where it lies in a bucket."""
    nook = shelf.nook(shard.number, epoch)
    if not isinstance(nook, LocalStore):
        shipping.fetch(nook)
    return journal.place(nook.work, shard)


def _copy(source: Path, target: Path) -> None:
    """Copy the segments, each up to where it ends now."""
    target.mkdir(parents=True, exist_ok=True, mode=0o700)
    for segment in journal.segments(source):
        copied = target / segment.name
        copied.touch(mode=0o600)
        copied.write_bytes(segment.read_bytes())


def _is_whole(shelf: Shelf, shard: int, epoch: int) -> bool:
    """Whether the journal of *epoch* has all of those before it."""
    return shelf.read(_mark(shard, epoch, "whole")) is not None


def _ending(shelf: Shelf, shard: int, epoch: int) -> Ending | None:
    found = shelf.read(_mark(shard, epoch, "over"))
    return None if found is None else msgspec.json.decode(found, type=Ending)


def _end(shelf: Shelf, shard: int, epoch: int, ending: Ending) -> bool:
    return shelf.create(_mark(shard, epoch, "over"), msgspec.json.encode(ending))


def _mark(shard: int, epoch: int, kind: str) -> str:
    return f"marks/{shard:05d}/{epoch:04d}.{kind}"


def clear(store: Store, terms: Terms, tell: Callable[[str], None]) -> None:
    """End the fleets of killed runs, and bring what their journals hold to where `recovery` looks for it.

    For the holder of the output's lease, before `shipping.fetch`.

    Raises:
        StoreError: the bucket fails.
    """
    there = store.list(FLEET) if isinstance(store, LocalStore) else store.bucket.names(FLEET)
    for run_id in sorted({name.split("/")[2] for name in there}):
        shelf = Shelf(store=store, run_id=run_id)
        if store.exists(f"runs/{run_id}.json"):
            shelf.clear()  # killed while it forgot, or a process said goodbye later
        else:
            order(shelf, "end", "the run was ended: another start recovers it")
            _until_still(shelf, terms, tell)
            gather(shelf)


def gather(shelf: Shelf) -> None:
    """Put each shard's newest whole journal, or how it ended, to where `recovery` looks for it."""
    for number in sorted({int(name.split("/")[0]) for name in shelf.names("marks")}):
        shard = Shard(run_id=shelf.run_id, number=number, rows=0, plan_path="")
        folder = journal.place(shelf.store.work, shard)
        for epoch, _ in reversed(_holders(shelf, number)):
            ending = _ending(shelf, number, epoch)
            if ending and ending.report and dataset.has_part(shelf.store, shard):
                folder.mkdir(parents=True, exist_ok=True, mode=0o700)
                (folder / REPORT).write_bytes(msgspec.json.encode(ending.report))
                break
            if epoch == 1 or _is_whole(shelf, number, epoch):
                _copy(_fetched(shelf, shard, epoch), folder)
                break


def _until_still(shelf: Shelf, terms: Terms, tell: Callable[[str], None]) -> None:
    """Wait until every process of the fleet said that it is gone, or is dead."""
    watches = {name: Watch(shelf, name, terms) for name in shelf.names("beats")}
    told = False
    while watches := {name: watch for name, watch in watches.items() if not watch.is_dead()}:
        if not told:
            names = ", ".join(watches)
            tell(f"run {shelf.run_id} was left with processes at work: waiting for them to stop ({names})")
            told = True
        terms.look_again()
