"""Engine: shards of a run on many processes, of this machine or of a cluster; Dask hands them out.

Rules of this file:

1. Dask decides who gets a shard, and gives it to another when a process is gone. Whether that one may write is decided
   by `takeover.py` alone: a shard may be handed out twice, and is asked about once.
2. A process keeps its connections (`worker.Station`) from shard to shard, until the run is over.
"""

from __future__ import annotations

import logging
import pickle
import signal
import threading
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from mediascribe.errors import ConfigError
from mediascribe.fleet import worker

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from mediascribe.fleet.worker import Station
    from mediascribe.job_sections import EngineSection
    from mediascribe.landing import ShardReport

INSTALL: Final = "pip install 'mediascribe[dask]'"
SHARDS_AT_ONCE: Final = 2  # in a process: the next begins while the last answers of the one before come in
_FOUND_S: Final = 60  # until a cluster must have answered
_WORKER_TTL: Final = "30s"
_BERTH: Final = "mediascribe"


@dataclass(slots=True)
class Berth:
    """The stations of a process, one for each run of which it has shards."""

    stations: dict[bytes, Station] = field(default_factory=dict)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def manned(self, order: bytes) -> Station:
        """The station for the errand *order*; a new one where there is none, or where it is lost."""
        with self.lock:
            station = self.stations.get(order)
            if station and station.lost():
                self.stations.pop(order)
                threading.Thread(target=station.close, name="leaving").start()  # what it has in flight takes its time
                station = None
            if station is None:
                station = self.stations[order] = worker.Station(pickle.loads(order))  # noqa: S301 - our own lead's
            return station

    def leave(self, order: bytes) -> None:
        """Leave the run of the errand *order*."""
        with self.lock:
            station = self.stations.pop(order, None)
        if station:
            station.close()


def work(order: bytes, shard: int) -> ShardReport:
    """What a process of the cluster does: one shard of the errand *order*."""
    return _berth().manned(order).run(shard)


def leave(order: bytes) -> None:
    """What every process of the cluster does at the end of the run."""
    _berth().leave(order)


def dask_setup(_: object) -> None:
    """In a process of our own cluster: Ctrl-C is for the run, which lets what is in flight land."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


@asynccontextmanager
async def client(section: EngineSection) -> AsyncIterator[Any]:
    """A client of the cluster that *section* names, or of one of our own that goes with it.

    Raises:
        ConfigError: Dask is not installed, or no cluster answers at the address.
    """
    async with _found(section.address) if section.address else _begun(section.workers or 1) as found:
        yield found


@asynccontextmanager
async def _found(address: str) -> AsyncIterator[Any]:
    distributed = _dask()
    try:
        found = await distributed.Client(address, asynchronous=True, timeout=_FOUND_S)
    except OSError as error:
        said = f"no Dask scheduler answers there ({error}): start one with: dask scheduler"
        raise ConfigError(f"engine.address = {address}: {said}") from None
    async with found:
        yield found


@asynccontextmanager
async def _begun(workers: int) -> AsyncIterator[Any]:
    """A cluster of processes of this machine; nobody else can give it anything to do."""
    distributed = _dask()
    import dask  # noqa: PLC0415 - an extra, and slow to import

    local = {
        "n_workers": workers,
        "threads_per_worker": SHARDS_AT_ONCE,
        "dashboard_address": "127.0.0.1:0",
        "security": True,
        "silence_logs": logging.CRITICAL,
        "memory_limit": 0,
        "preload": [__name__],
    }
    with dask.config.set({"distributed.scheduler.worker-ttl": _WORKER_TTL}):
        async with (
            distributed.LocalCluster(asynchronous=True, **local) as cluster,
            distributed.Client(cluster, asynchronous=True) as found,
        ):
            yield found


def _dask() -> Any:  # noqa: ANN401 - it has no types
    try:
        import distributed  # noqa: PLC0415 - an extra, and slow to import
    except ImportError:
        raise ConfigError(f"[engine] wants Dask, which is not installed: {INSTALL}") from None
    logging.getLogger("distributed").setLevel(logging.CRITICAL)  # what matters is said by the run
    return distributed


def losses() -> tuple[type[BaseException], ...]:
    """What Dask raises about a task whose process is gone, or that it forgot."""
    from distributed import KilledWorker  # noqa: PLC0415 - an extra
    from distributed.client import FutureCancelledError  # noqa: PLC0415 - likewise

    return (KilledWorker, FutureCancelledError)


def _berth() -> Berth:
    """The berth of this process, which Dask's own object of it holds."""
    from distributed import get_worker  # noqa: PLC0415 - an extra

    berth: Berth = get_worker().extensions.setdefault(_BERTH, Berth())
    return berth
