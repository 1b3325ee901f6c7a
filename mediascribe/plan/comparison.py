"""Comparison: every row of the staged manifest against its current result, in DuckDB, out of core.

Rules of this file:

- Only narrow rows are compared: an id is its MD5 as a number of 128 bits, URLs are a hash of 64; a result is the number
  of its run, its error class and what differs, packed into one number, of which the largest is the current one: the
  latest answer, and the latest result where there is none (`dataset.current`).
- The order of the cases is the order in which reasons win: a failed row is asked because it failed, whatever else.
- A row that was skipped for its media has failed: it is looked at again when failed rows are asked. One that was
  skipped as its media could not be reached, or could not be asked at all, is new as long as it can be asked now.
- A repeated id belongs to its first row; a later one goes on as `<id>#<row>`.
"""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING, Any, Final, Self, get_args

import duckdb

from mediascribe import dataset, part
from mediascribe.domain import REASONS, ErrorClass
from mediascribe.errors import ConfigError, CorruptError
from mediascribe.plan import files
from mediascribe.plan.order import Example
from mediascribe.store import LocalStore

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path
    from types import TracebackType

    import pyarrow as pa

    from mediascribe.columns import RunFacts
    from mediascribe.plan.order import Order
    from mediascribe.store import Store

# Tables beyond this spill to disk; the order is the query's business, so none need be kept.
_OUT_OF_CORE: Final[dict[str, str | bool | int | float | list[str]]] = {
    "memory_limit": "1GB",
    "preserve_insertion_order": "false",
}
VERDICTS: Final = (*REASONS, "done", "forgotten")
CLASSES: Final[tuple[str, ...]] = get_args(ErrorClass)
_CODE: Final = {name: str(code) for code, name in enumerate(VERDICTS)}
_COMPARED: Final = (
    *("item_id", "run_id", "status", "model", "prompt_sha256", "parameters_sha256", "media_urls"),
    *("error_class", "error_message", "completed_at"),
)
_ANSWERED: Final = f"status in ({', '.join(repr(status) for status in dataset.ANSWERED)})"
_NEVER: Final = -(2**62)  # arg_max passes over nulls, and would give the time of an older result
_CHOSEN_ROWS: Final = 100_000

_KEYS: Final = """
create table keys as
select row_number, md5_number(item_id) as key, coalesce(hash(coalesce(redacted_urls, media_urls)), 0) as urls,
       problem_code is not null as broken, {forgotten} as forgotten
from staged
"""
_REPEATED: Final = """
create table repeated as
with firsts as (select key, min(row_number) as first_row from keys group by key having count(*) > 1)
select row_number, first_row from keys join firsts using (key) where row_number > first_row
"""
_RENAMED: Final = """
create or replace table repeated as
select row_number, first_row, md5_number(item_id || '#' || row_number) as key
from repeated join (select row_number, item_id from staged) using (row_number)
"""
_RUNS: Final = """
create table runs as
select run_id, row_number() over (order by run_id) as run from (select distinct run_id from results)
"""
# An answer is before all that is none: its rank has one bit more.
_RANKED: Final = """
create view ranked as
select *, run + case when {answered} then 1 << 30 else 0 end as rank from results join runs using (run_id)
"""
_LAST: Final = """
create table last as
select md5_number(item_id) as key,
       max((rank << 32) | (coalesce(list_position($classes, error_class), 0) << 8)
           | case when status = 'failed' or (status = 'skipped' and error_class = 'media') then 1
                  when status = 'skipped' then 2 else 0 end
           | case when model <> $model then 4 else 0 end
           | case when prompt_sha256 <> $prompt then 8 else 0 end
           | case when parameters_sha256 <> $parameters then 16 else 0 end) as packed,
       arg_max(coalesce(hash(media_urls), 0), rank) as urls,
       nullif(arg_max(coalesce(epoch_us(completed_at), {never}), rank), {never}) as completed_us
from ranked group by key
"""
_VERDICTS: Final = """
create table verdicts as
select row_number, key, first_row, cast((packed >> 8) & 255 as utinyint) as class, completed_us, cast(case
    when forgotten then {forgotten}
    when packed is null then {new}
    when packed & 3 = 2 and not broken then {new}
    when broken or packed & 3 = 2 then {done}
    when packed & 3 = 1 then {failed}
    when last.urls <> items.urls then {media_changed}
    when packed & 4 > 0 then {stale_model}
    when packed & 8 > 0 then {stale_prompt}
    when packed & 16 > 0 then {stale_parameters}
    else {done} end as utinyint) as reason
from (
    select keys.row_number, coalesce(repeated.key, keys.key) as key, urls, first_row, forgotten,
           broken or first_row is not null as broken
    from keys left join repeated using (row_number)
) as items left join last using (key)
"""
_CHOSEN: Final = """
select row_number, reason, first_row, leader
from verdicts semi join chosen using (row_number) left join same using (row_number)
where leader is null or leader = row_number order by row_number
"""
_EXAMPLES: Final = """
with due as (
    select row_number, first_row, reason, key, media_urls, redacted_urls, problem, item_id
    from verdicts join staged using (row_number) where row_number in (select unnest($rows))
), old as (
    select md5_number(item_id) as key, run_id, media_urls as was, model, prompt_sha256, parameters_sha256,
           error_class, error_message
    from results where md5_number(item_id) in (select key from due)
    qualify row_number() over (partition by key order by {answered} desc, run_id desc) = 1
)
select row_number, item_id, first_row, reason, coalesce(redacted_urls, media_urls), problem,
       was, model, prompt_sha256, parameters_sha256, error_class, error_message
from due left join old using (key) order by reason, row_number
"""


class Comparison:
    """One connection to DuckDB with the table `verdicts`: a row of the manifest each, with its reason.

    Tables: `verdicts` (row_number, key, reason, class, completed_us, first_row), `last`, `runs`; views: `staged`,
    `results`, `ranked` (the same with the `rank` by which `last.packed >> 32` names a row).
    """

    def __init__(self, staged: Path, facts: RunFacts, order: Order, store: Store, more: Sequence[str] = ()) -> None:
        """Compare the items in the file *staged* with what *store* has; the view `results` has the columns *more* too.

        Raises:
            CorruptError: the results cannot be read.
        """
        self.facts = facts
        temporary = {"temp_directory": str(store.work.resolve() / "duckdb")}
        self.db = duckdb.connect(config=_OUT_OF_CORE | temporary)
        with ExitStack() as opened:
            opened.callback(self.db.close)
            self.db.read_parquet(str(staged.resolve())).create_view("staged")
            try:
                self._read_results(store, more)
                if order.where is not None:
                    self._lock(store)
                self._compare(order.forgotten)
            except duckdb.Error as error:
                raise CorruptError(f"{store.address}: the results cannot be compared: {error}") from None
            opened.pop_all()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.db.close()

    def counts(self) -> tuple[dict[str, int], dict[str, int]]:
        """The number of rows by reason, and of failed ones by class."""
        counts = self.db.execute("select reason, count(*) from verdicts group by reason order by reason").fetchall()
        by_class = "select class, count(*) from verdicts where reason = ? group by class order by class"
        failed = self.db.execute(by_class, [REASONS.index("failed")]).fetchall()
        return (
            {VERDICTS[reason]: rows for reason, rows in counts},
            {CLASSES[number - 1] if number else "unknown": rows for number, rows in failed},
        )

    def chosen(self) -> Iterator[pa.RecordBatch]:
        """The rows in the table `chosen` that follow no other, as row_number, reason, first_row, leader; in order."""
        return iter(self.db.sql(_CHOSEN).to_arrow_reader(_CHOSEN_ROWS))

    def examples(self, rows: int) -> list[Example]:
        """The first *rows* of each reason but `done` and `forgotten`, with what was and what is."""
        query = "select row_number from verdicts where reason = ? order by row_number limit ?"
        numbers = [
            number
            for code in range(len(REASONS))
            if rows
            for (number,) in self.db.execute(query, [code, rows]).fetchall()
        ]
        return (
            [
                self._example(row)
                for row in self.db.execute(_EXAMPLES.format(answered=_ANSWERED), {"rows": numbers}).fetchall()
            ]
            if rows
            else []
        )

    def _read_results(self, store: Store, more: Sequence[str]) -> None:
        """Make the view `results` of the parts of a folder, or copy the columns that are needed out of a bucket."""
        parts = dataset.parts(store)
        if not parts:
            self.db.register("results", dataset.SCHEMA.empty_table())
        elif isinstance(store, LocalStore):
            paths = [str(store.path(name).resolve()) for name in parts]
            self.db.read_parquet(paths, union_by_name=True, hive_partitioning=False).create_view("results")
        else:
            with part.scanned(store, parts, list(dict.fromkeys((*_COMPARED, *more)))) as rows:
                self.db.register("scanned", rows)
                self.db.execute("create table results as select * from scanned")

    def _lock(self, store: Store) -> None:
        """Leave a condition of the user's no way to a file, an address or a setting."""
        folders = [str(store.work.resolve())]
        if isinstance(store, LocalStore):
            folders.append(str(store.root.resolve()))
        quoted = ", ".join("'" + folder.replace("'", "''") + "'" for folder in folders)
        self.db.execute(f"set allowed_directories = [{quoted}]")
        self.db.execute("set enable_external_access = false")
        self.db.execute("set lock_configuration = true")

    def _compare(self, forgotten: frozenset[str]) -> None:
        if forgotten:
            self.db.execute("create table forgotten as select unnest($1) as id_sha256", [sorted(forgotten)])
        test = "sha256(item_id) in (select id_sha256 from forgotten)" if forgotten else "false"
        self.db.execute(_KEYS.format(forgotten=test))
        self.db.execute(_REPEATED)
        self.db.execute(_RENAMED)
        self.db.execute(_RUNS)
        self.db.execute(_RANKED.format(answered=_ANSWERED))
        facts = self.facts
        asked = {"model": facts.model, "prompt": facts.prompt_sha256, "parameters": facts.parameters_sha256}
        self.db.execute(_LAST.format(never=_NEVER), asked | {"classes": list(CLASSES)})
        self.db.execute(_VERDICTS.format(**_CODE))
        self.db.execute("drop table keys")

    def _example(self, row: Sequence[Any]) -> Example:
        number, item_id, first, code, urls, problem, *last = row
        if first is not None:
            item_id, _, problem = files.repeated(item_id, number, first).values()
        reason = VERDICTS[code]
        old, new = self._cause(reason, urls, last)
        return Example(row_number=number, item_id=item_id, reason=reason, old=old, new=problem or new)

    def _cause(self, reason: str, urls: list[str], last: Sequence[Any]) -> tuple[str | None, str | None]:
        """What was and what is, where *last* has the columns of the row's current result."""
        was, model, prompt, parameters, error_class, message = last
        causes: Mapping[str, tuple[str | None, str | None]] = {
            "new": (message and f"skipped: {message}", None),
            "failed": (f"{error_class}: {message}", None),
            "media_changed": (", ".join(was or ()), ", ".join(urls)),
            "stale_model": (model, self.facts.model),
            "stale_prompt": (prompt, self.facts.prompt_sha256),
            "stale_parameters": (parameters, self.facts.parameters_sha256),
        }
        return causes[reason]


def refused(where: str, error: Exception) -> ConfigError:
    """The error that says why a condition cannot be used."""
    reason = str(error).split("\n\nLINE", maxsplit=1)[0].strip().splitlines()
    return ConfigError(f"where `{where}`: {' '.join(reason)}")
