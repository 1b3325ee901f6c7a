"""Shelf: the small shared files of one run's fleet, and the journals of its shards' holders, beside the results."""

from __future__ import annotations

import shutil
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from mediascribe.store import LocalStore

if TYPE_CHECKING:
    from mediascribe.store import Store

PLACE: Final = "fleet"
FLEET: Final = f"_work/{PLACE}/"


@dataclass(frozen=True, slots=True, kw_only=True)
class Shelf:
    """The small shared files of one run's fleet: beside the results, in the folder or in the bucket."""

    store: Store
    run_id: str

    def create(self, name: str, content: bytes) -> bool:
        """Write *name*; False, and nothing changes, where it exists."""
        if isinstance(self.store, LocalStore):
            return self.store.put_bytes_if_absent(self._place(name), content)
        return self.store.bucket.create(self._place(name), content)

    def write(self, name: str, content: bytes) -> None:
        """Write *name*, whatever it held, in one short attempt."""
        if isinstance(self.store, LocalStore):
            self.store.put_bytes(self._place(name), content)
        else:
            self.store.quick.replace(self._place(name), content)

    def read(self, name: str) -> bytes | None:
        """What *name* holds; None where there is none."""
        try:
            if isinstance(self.store, LocalStore):
                return self.store.read(self._place(name))
            return self.store.bucket.get(self._place(name))
        except FileNotFoundError:
            return None

    def names(self, folder: str) -> list[str]:
        """The names in *folder*, sorted, without its own."""
        place = f"{self._place(folder)}/"
        there = self.store.list(place) if isinstance(self.store, LocalStore) else self.store.bucket.names(place)
        return [name.removeprefix(place) for name in there]

    def drop(self, folder: str) -> None:
        """Remove *folder* from the bucket."""
        if not isinstance(self.store, LocalStore):
            self.store.bucket.delete(self.store.bucket.names(f"{self._place(folder)}/"))

    def clear(self) -> None:
        """Remove all of it, the journals as well: the run is closed."""
        self.sweep()
        if not isinstance(self.store, LocalStore):
            self.store.bucket.delete(self.store.bucket.names(f"{FLEET}{self.run_id}/"))

    def sweep(self) -> None:
        """Remove what is on this machine."""
        shutil.rmtree(self.store.work / PLACE / self.run_id, ignore_errors=True)

    def nook(self, shard: int, epoch: int) -> Store:
        """Where the holder *epoch* of a shard keeps its journal: a store of its own, shipped where that is a bucket."""
        place = f"journals/{shard:05d}/{epoch:04d}"
        here = LocalStore(root=self.store.work / PLACE / self.run_id / place)
        if isinstance(self.store, LocalStore):
            return here
        bucket = self.store.bucket
        address = replace(bucket.address, prefix=f"{bucket.address.prefix}{self._place(place)}/")
        quick = replace(self.store.quick, address=address)
        return replace(self.store, bucket=replace(bucket, address=address), quick=quick, local=here)

    def _place(self, name: str) -> str:
        return f"{FLEET}{self.run_id}/{name}"
