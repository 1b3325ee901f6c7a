"""Kept plans: made to be looked at, and run later, or never.

Rules of this file:

- A kept plan lies under `_work/planned/`, apart from those of runs: no start takes it for a run that was killed. It has
  the URLs whole, so its files are private.
- It is run as it was made: where job, prompt or manifest changed since, it is refused. Limits, budget and retries may
  change, since they say how fast and how far, and not what is asked.
- It never asks more than it says, and nothing twice: rows that got a result after it was made, by any run, are left
  out. So it may be run again after an interruption, and asks the rest. When it has run to its end, it is removed.
- One that was not, within 30 days, is removed when the next one is made: its URLs may carry signatures.
- A run of it has an id of its own, of when it begins: later runs have later results.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Final

import msgspec
import pyarrow as pa
import pyarrow.compute as pc

from mediascribe import dataset, plan, takedown
from mediascribe.domain import digest
from mediascribe.errors import ConfigError
from mediascribe.part import read_part
from mediascribe.plan import Plan, files

if TYPE_CHECKING:
    from mediascribe.dataset import RunFacts
    from mediascribe.inputs import Inputs
    from mediascribe.job import Job
    from mediascribe.plan import Order
    from mediascribe.store import Store

KEPT_FOR: Final = timedelta(days=30)
_FOLDER: Final = "planned"
_ID_TIME: Final = "%Y%m%dT%H%M%SZ"
_ID: Final = re.compile(r"\d{8}T\d{6}Z-")  # a run's id tells when it was made
_HOW: Final = frozenset({"limits", "budget", "retry", "shard_rows"})
_RESULTS: Final = pa.schema([dataset.SCHEMA.field("item_id"), dataset.SCHEMA.field("run_id")])


class Kept(msgspec.Struct, frozen=True, kw_only=True):
    """A plan, the job file that it was made from, and the hash of what that asks.

    `cleared` is how many old plans went when it was made; its file does not say.
    """

    plan: Plan
    job_path: str
    asks_sha256: str
    cleared: int = 0

    @property
    def path(self) -> Path:
        """The file that names it."""
        return Path(self.plan.path).with_suffix(".json")


def make(inputs: Inputs, order: Order) -> Kept:
    """Compare the manifest with the current results, and keep the plan of what *order* wants; asks nothing.

    Old plans that nobody has run to their end are removed. Raises like `plan.make`. The caller holds the
    lease, and has recovered what killed runs had received.
    """
    folder = inputs.store.work / _FOLDER
    folder.mkdir(exist_ok=True, mode=0o700)
    made = plan.draw_up(inputs.items(), inputs.facts(), order, inputs.store, folder)
    kept = Kept(plan=made, job_path=inputs.job_path, asks_sha256=_asks(inputs.job))
    inputs.store.put_bytes(f"_work/{_FOLDER}/{made.run_id}.json", msgspec.json.encode(kept))
    return msgspec.structs.replace(kept, cleared=_clear(folder, datetime.now(UTC) - KEPT_FOR))


def is_kept(path: str | Path) -> bool:
    """Whether *path* names a plan, and no job file."""
    return Path(path).suffix == ".json"


def load(path: str | Path) -> Kept:
    """The plan that the file at *path* names.

    Raises:
        ConfigError: there is none.
    """
    try:
        return msgspec.json.decode(Path(path).read_bytes(), type=Kept)
    except FileNotFoundError:
        raise ConfigError(
            f"{path}: there is no such plan: it has run to its end, or was taken away; `mediascribe plan JOB` makes one"
        ) from None
    except (OSError, msgspec.DecodeError) as error:
        raise ConfigError(f"{path}: is no plan: {error}; `mediascribe plan JOB` makes one") from None


def check(kept: Kept, inputs: Inputs) -> None:
    """See that *kept* still says what *inputs*, its job, would ask.

    Raises:
        ConfigError: it does not; the message says what was changed.
    """
    same = kept.asks_sha256 == _asks(inputs.job)
    config = kept.plan.config_sha256 if same else inputs.job.config_sha256
    found = plan.changes(kept.plan, config_sha256=config, manifest_sha256=inputs.manifest.fingerprint())
    then, now = kept.plan.facts, inputs.facts()
    if then.prompt_sha256 != now.prompt_sha256:
        found.append("the prompt was changed")
    if same and (then.answer != now.answer or (inputs.model and then.dialect != now.dialect)):
        found.append("the answer's schema or the model table was changed")
    if found:
        raise ConfigError(
            f"{kept.path}: {', '.join(found)} since this plan was made; make a new one:"
            f" mediascribe plan {kept.job_path}"
        )


def begin(kept: Kept, facts: RunFacts, store: Store) -> Plan:
    """The plan of a run that begins now, of those rows of *kept* that got no result since; gone when the run is closed.

    Raises:
        CorruptError: a part cannot be read.
    """
    done, forgotten = _done_since(kept.plan.run_id, store), takedown.forgotten(store)

    def due(rows: pa.Table) -> pa.Table:
        pairs: list[tuple[str, str | None]] = list(
            zip(rows["item_id"].to_pylist(), rows["problem_code"].to_pylist(), strict=True)  # type: ignore[arg-type]
        )
        keep = [one not in done and takedown.mark(one, code) not in forgotten for one, code in pairs]
        return rows.filter(pa.array(keep, pa.bool_()))

    path = plan.folder(store) / f"{facts.run_id}.parquet"
    rows = files.copy(path, Path(kept.plan.path), due, kept.plan.shard_rows)
    begun = msgspec.structs.replace(kept.plan, facts=facts, rows=rows, path=str(path), examples=[])
    plan.begin(begun, store)
    return begun


def remove(kept: Kept) -> None:
    """Forget *kept*: nothing of it is left to ask."""
    kept.path.unlink(missing_ok=True)
    Path(kept.plan.path).unlink(missing_ok=True)


def _clear(folder: Path, before: datetime) -> int:
    """Remove the plans in *folder* that were made *before* then, and halves of such; how many they were."""
    last = f"{before:{_ID_TIME}}"
    old = [path for path in folder.iterdir() if _ID.match(path.name) and path.name < last]
    for path in old:
        path.unlink(missing_ok=True)
    return len({path.stem for path in old})


def _asks(job: Job) -> str:
    """The hash of what *job* asks of whom, whatever its limits."""
    return digest({name: value for name, value in job.model_dump(mode="json").items() if name not in _HOW})


def _done_since(run_id: str, store: Store) -> set[str]:
    """The items that have a result of a run after *run_id*."""
    done: set[str] = set()
    for name in dataset.parts(store):
        if name.rpartition("/")[2] > run_id:
            table = read_part(store, name, _RESULTS)
            done.update(map(str, table.filter(pc.field("run_id") > run_id)["item_id"].to_pylist()))
    return done
