"""Store: where a dataset lies; whole files only, and one writer at a time.

Rules of this package:

1. A final name appears whole or not at all, and what it holds is never replaced (run files excepted).
2. Whatever is half written lies under `_work/`, beside the results, since readers disagree on which names are hidden.
   `_work/` is a folder of this machine, whatever the store.
3. A name is durable before its writer is told so.

A store is a folder (`local.py`) or a place in a bucket (`objects.py`), with the same methods.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from mediascribe.errors import ConfigError
from mediascribe.store.address import local_path, parse
from mediascribe.store.lease import Lease, lease
from mediascribe.store.local import LocalStore

if TYPE_CHECKING:
    from mediascribe.store.objects import ObjectStore

__all__ = ["Lease", "LocalStore", "Store", "lease", "local_path", "open_store", "store_at"]

Store: TypeAlias = "LocalStore | ObjectStore"


def open_store(output: str) -> Store:
    """The store at *output*, made ready and tried out.

    Raises:
        ConfigError: it cannot be created, reached or written, or cannot keep what exists from being replaced.
    """
    store = store_at(output)
    if not isinstance(store, LocalStore):
        from mediascribe.store import objects  # noqa: PLC0415 - its client is not for those who write to a folder

        objects.prepare(store)
        return store
    if store.root.exists() and not store.root.is_dir():
        raise ConfigError(f"output `{output}` is a file: name a folder")
    try:
        store.prepare()
    except OSError as error:
        where = f" ({error.filename})" if error.filename else ""
        raise ConfigError(
            f"output `{output}` cannot be written: {error.strerror}{where}: free or permit it, or choose another folder"
        ) from None
    return store


def store_at(output: str | Path | Store) -> Store:
    """The store at *output*, for reading: nothing is created or tried out. A store is taken as it is.

    Raises:
        ConfigError: *output* names no store, or the environment does not say how to reach it.
    """
    if not isinstance(output, str | Path):
        return output
    place = parse(output)
    if isinstance(place, Path):
        return LocalStore(root=place)
    from mediascribe.store import objects  # noqa: PLC0415 - its client is not for those who write to a folder

    return objects.at(place)
