"""Run: one execution, from its id to the file that certifies what it left behind.

The totals are read back from the published parts, not carried along: what the run file says is what a reader will find.
"""

from __future__ import annotations

import platform
import secrets
from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final, Literal

import msgspec
import numpy as np
import pyarrow as pa

from mediascribe import __version__, dataset, plan, recovery
from mediascribe.columns import SCHEMA
from mediascribe.domain import STATUSES
from mediascribe.part import read_part
from mediascribe.spending import Spent

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from datetime import date

    from mediascribe.landing import Landing, ShardReport
    from mediascribe.plan import Plan
    from mediascribe.store import Store

    _Array = np.ndarray[Any, np.dtype[Any]]

TOKEN_COLUMNS: Final = (
    "prompt_tokens",
    "completion_tokens",
    "total_tokens",
    "cached_tokens",
    "prompt_text_tokens",
    "prompt_image_tokens",
    "prompt_audio_tokens",
    "prompt_video_tokens",
    "reasoning_tokens",
    "wasted_tokens",
)
_ANSWERED: Final = ("ok", "truncated", "refused")
_CAUSE: Final = ("status", "error_class", "error_code")
_COUNTED: Final = ("row_number", "usage_source", "cost_usd", "saved_usd", "error_message")
_TALLIED: Final = pa.schema([SCHEMA.field(name) for name in (*_COUNTED, *_CAUSE, *TOKEN_COLUMNS)])
_ID_TIME: Final = "%Y%m%dT%H%M%SZ-%f"
_ID_TIME_LENGTH: Final = 23
_LONGEST_RUN: Final = timedelta(days=31)
RunStatus = Literal["completed", "stopped", "interrupted"]


class ErrorGroup(msgspec.Struct, frozen=True, kw_only=True):
    """Rows without an answer for the same cause, and what one of them says."""

    status: str
    error_class: str | None
    error_code: str | None
    rows: int
    example: str | None


class Tally(msgspec.Struct, frozen=True, kw_only=True):
    """What the parts of a run hold.

    `cost_usd` is None when nothing was billed, and when any billed row has no price, or reports no tokens
    (`unpriced_rows`). `shared_rows` have the answer of another row, and cost nothing; `shared_saving_usd` is what that
    answer cost, once for each of them of which it is known; None where it is of none.
    """

    rows: int
    by_status: dict[str, int]
    tokens: dict[str, int]
    cost_usd: float | None
    unpriced_rows: int
    duplicates: int
    parts: list[str]
    errors: list[ErrorGroup]
    shared_rows: int = 0
    shared_saving_usd: float | None = None


class RunFile(msgspec.Struct, frozen=True, kw_only=True):
    """`runs/<run_id>.json`: what a run was, and the certificate of what it wrote.

    `complete` is true when every planned row has exactly one result in a readable part. `in_doubt` counts requests that
    were sent and not answered: they may have been billed. `spent` is what all requests came to on each day (UTC), those
    of rows without a result among them, and those in doubt at their worst. `torn` has a line for each journal tail that
    was left out. `over_budget` says that a budget or the day's quota stopped it. `notes` has what a reader should know
    beside the results.
    """

    run_id: str
    job: str
    model: str
    status: RunStatus
    stopped: str | None
    config_sha256: str
    prompt_sha256: str
    parameters_sha256: str
    versions: dict[str, str]
    started_at: datetime
    finished_at: datetime
    reasons: tuple[str, ...]
    plan: dict[str, int]
    rows_planned: int
    wrote: Tally
    in_doubt: int
    torn: list[str]
    complete: bool
    spent: dict[str, Spent] = {}
    over_budget: bool = False
    notes: list[str] = []


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """How one call of a flow ended: `run` is None when there was nothing to ask.

    `counts` has the manifest's rows by reason, as planned for `reasons`; `recovered` are the runs that had been killed
    and whose answers were published first.
    """

    job: str
    output: str
    counts: dict[str, int]
    reasons: tuple[str, ...]
    recovered: list[RunFile]
    run: RunFile | None


def new_id(now: datetime, *, behind: str = "") -> str:
    """A run id: sortable by time to the microsecond, unique without coordination, fit for a file name.

    Later runs must sort behind earlier ones, since the latest run has an item's current result: where the clock was set
    back, the id counts on from the newest one, *behind*.
    """
    if f"{now.astimezone(UTC):{_ID_TIME}}" <= behind[:_ID_TIME_LENGTH]:
        newest = datetime.strptime(behind[:_ID_TIME_LENGTH], _ID_TIME).replace(tzinfo=UTC)
        now = newest + timedelta(microseconds=1)
    return f"{now.astimezone(UTC):{_ID_TIME}}{secrets.token_hex(2)}"


def newest_id(store: Store) -> str:
    """The id of the newest run at *store*, closed or not; nothing where there was none."""
    closed = [name.removeprefix(dataset.RUNS).removesuffix(".json") for name in store.list(dataset.RUNS)]
    return max((*closed, *(unfinished.run_id for unfinished in plan.unfinished(store))), default="")


def started_at(run_id: str) -> datetime:
    """When the run with this id began (UTC, whole seconds)."""
    return datetime.strptime(run_id[:16], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)


def close(plan_: Plan, reports: Iterable[ShardReport], landing: Landing, *, interrupted: bool = False) -> RunFile:
    """Certify what the run of *plan_* wrote, write its run file, and forget its plan and journals."""
    store = landing.store
    told = list(reports)
    stopped = next((report.stopped for report in told if report.stopped), None)
    cut = interrupted or any(report.drained for report in told)
    status: RunStatus = "interrupted" if cut else "stopped" if stopped else "completed"
    wrote = _tally(plan_, store)
    run_file = RunFile(
        run_id=plan_.run_id,
        job=plan_.facts.job,
        model=plan_.facts.model,
        status=status,
        stopped=stopped,
        config_sha256=plan_.config_sha256,
        prompt_sha256=plan_.facts.prompt_sha256,
        parameters_sha256=plan_.facts.parameters_sha256,
        versions={
            "mediascribe": __version__,
            "python": platform.python_version(),
            "prices": landing.prices.version,
        },
        started_at=started_at(plan_.run_id),
        finished_at=datetime.now(UTC),
        reasons=plan_.reasons,
        plan=plan_.counts,
        rows_planned=plan_.rows,
        in_doubt=sum(report.in_doubt for report in told),
        torn=[line for report in told for line in report.torn],
        spent=_total(report.spent for report in told),
        wrote=wrote,
        complete=wrote.rows == plan_.rows and not wrote.duplicates,
        over_budget=any(report.over_budget for report in told),
    )
    dataset.write_run(store, plan_.run_id, msgspec.to_builtins(run_file))
    recovery.forget(plan_, store)
    plan.remove(plan_, store)
    return run_file


def spent_before(store: Store, today: date) -> list[Mapping[str, Spent]]:
    """What each earlier run spent by day, of those that may have spent something in the month of *today*."""
    since = f"{today.replace(day=1) - _LONGEST_RUN:%Y%m%d}"
    recent = [name for name in store.list(dataset.RUNS) if name.removeprefix(dataset.RUNS) >= since]
    return [msgspec.json.decode(store.read(name), type=_SpentOnly).spent for name in recent]


class _SpentOnly(msgspec.Struct, frozen=True):
    """The one member of a run file that budgets ask for; older files lack it."""

    spent: dict[str, Spent] = {}


def _total(days: Iterable[Mapping[str, Spent]]) -> dict[str, Spent]:
    total: dict[str, Spent] = {}
    for one in days:
        for day, spent in one.items():
            total[day] = total[day] + spent if day in total else spent
    return total


def _tally(plan_: Plan, store: Store) -> Tally:
    """The facts of the parts on disk: counts and sums, whole files verified by their checksums."""
    by_status: Counter[str] = Counter(dict.fromkeys(STATUSES, 0))
    tokens: Counter[str] = Counter(dict.fromkeys(TOKEN_COLUMNS, 0))
    numbers: Counter[str] = Counter()
    errors: Counter[tuple[Any, ...]] = Counter()
    examples: dict[tuple[Any, ...], str] = {}
    parts = [name for shard in plan_.shards if (name := dataset.find_part(store, shard))]
    for name in parts:
        columns = _columns(store, name)
        numbers.update(_numbers(columns))
        by_status.update(columns["status"].tolist())
        tokens.update({column: int(columns[column].sum()) for column in TOKEN_COLUMNS})
        for *cause, example in zip(*(columns[column] for column in _CAUSE), columns["error_message"], strict=True):
            if cause[1] is not None:
                errors[tuple(cause)] += 1
                examples.setdefault(tuple(cause), example)
    return Tally(
        rows=numbers["rows"],
        by_status=dict(by_status),
        tokens=dict(tokens),
        cost_usd=numbers["nano_usd"] / 1e9 if numbers["priced"] and not numbers["unpriced"] else None,
        unpriced_rows=numbers["unpriced"],
        duplicates=numbers["rows"] - numbers["distinct"],
        parts=parts,
        errors=[
            ErrorGroup(status=cause[0], error_class=cause[1], error_code=cause[2], rows=rows, example=examples[cause])
            for cause, rows in errors.most_common()
        ],
        shared_rows=numbers["shared"],
        shared_saving_usd=numbers["saved_nano_usd"] / 1e9 if numbers["saving"] else None,
    )


def _numbers(columns: Mapping[str, _Array]) -> dict[str, int]:
    """Rows and nano-dollars of one part."""
    sources, shared = columns["usage_source"], columns["usage_source"] == "shared"
    priced, saving = ~np.isnan(columns["cost_usd"]), shared & ~np.isnan(columns["saved_usd"])
    billed = ((sources != "missing") & ~shared) | np.isin(columns["status"], _ANSWERED)
    return {
        "rows": len(sources),
        "distinct": len(np.unique(columns["row_number"])),
        "priced": int(priced.sum()),
        "nano_usd": _nano_usd(columns["cost_usd"][priced]),
        "unpriced": int((~priced & billed).sum()),
        "shared": int(shared.sum()),
        "saving": int(saving.sum()),
        "saved_nano_usd": _nano_usd(columns["saved_usd"][saving]),
    }


def _nano_usd(usd: _Array) -> int:
    return int(np.rint(usd * 1e9).astype(np.int64).sum())


def _columns(store: Store, name: str) -> dict[str, _Array]:
    """The columns of one part that the tally needs; unknown money is NaN."""
    table = read_part(store, name, _TALLIED)
    return {column: table[column].to_numpy() for column in _TALLIED.names}
