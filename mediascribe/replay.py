"""Replay: one row as it was asked and answered, and the request once more, fit to be shown."""

from __future__ import annotations

import hashlib
import re
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

import msgspec
import pyarrow as pa
import pyarrow.compute as pc

from mediascribe import job
from mediascribe.dataset import results_at
from mediascribe.errors import ConfigError, CorruptError
from mediascribe.part import UNREADABLE, open_part
from mediascribe.question import Question
from mediascribe.redact import redact_text
from mediascribe.replacement import reading
from mediascribe.wire import DIALECTS

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from mediascribe.domain import Item
    from mediascribe.inputs import Inputs
    from mediascribe.store import Store

    Row = Mapping[str, Any]

_BASE64: Final = re.compile(r"[A-Za-z0-9+/=_-]{200,}")
# The sandbox has another address in every run.
_SANDBOX_URL, _SANDBOX_MEDIA_URL = "http://sandbox/v1", "http://sandbox/samples"
_FACTS: Final = {"model": "model", "prompt_sha256": "prompt", "parameters_sha256": "parameters"}


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """A request as a job writes it now, without secrets: long inline media stand as their hash and length.

    `is_same` says whether it is, byte for byte but for signatures, the first question of the row; where it is not,
    `differs` names what was changed since.
    """

    url: str
    headers: dict[str, str]
    body: Any
    request_key: str
    is_same: bool
    differs: list[str]


def history(output: str | Path | Store, item_id: str) -> list[dict[str, Any]]:
    """Every row of the item, of all runs, oldest first, with all columns of its part.

    Memory holds one row group. The rows of a repeated id are named `<id>#<row>`.

    Raises:
        ConfigError: there are no results at *output*, or none of this item.
        CorruptError: a part cannot be read.
    """
    store = results_at(output)
    rows = reading(store, lambda names: [row for name in names for row in _rows(store, name, item_id)])
    if not rows:
        raise ConfigError(
            f"there is no item `{item_id}` in {store.address}: ids are those of the column item_id, as `mediascribe"
            f" show {store.address}` prints them"
        )
    return rows


def of_run(rows: list[dict[str, Any]], run_id: str | None) -> dict[str, Any]:
    """The row of the run whose id begins with *run_id*, the latest of several; None: of the latest run.

    Raises:
        ConfigError: no such run has the item.
    """
    found = [row for row in rows if row["run_id"].startswith(run_id or "")]
    if not found:
        known = ", ".join(row["run_id"] for row in rows)
        raise ConfigError(f"run {run_id} has no row of `{rows[0]['item_id']}`; these have: {known}")
    return found[-1]


def find(inputs: Inputs, item_id: str) -> Item | None:
    """The item as the manifest has it now; None where it does not, or not any more."""
    return next((item for item in inputs.items() if item.item_id == item_id), None)


def asked(inputs: Inputs, item: Item, row: Row) -> Asked:
    """What the job of *inputs* sends about *item*, beside what *row* says that was asked.

    Raises:
        ConfigError: nothing is sent about this item.
    """
    if item.problem:
        raise ConfigError(f"nothing is sent about `{item.item_id}`: {item.problem.message}")
    now = inputs.facts()
    if row["model"] == now.model:
        now = replace(now, dialect=row["dialect"])  # as it was chosen then, perhaps by what the gateway serves
    question = Question(
        job=inputs.job,
        facts=now,
        prompt=inputs.prompt,
        models=inputs.models,
        schema=inputs.schema,
        media_base_url=_address(inputs.job.media.base_url, _SANDBOX_MEDIA_URL),
    )
    try:
        request = question.request(item)
    except ValueError as error:
        raise ConfigError(f"nothing is sent about `{item.item_id}`: {error}") from None
    dialect, base_url = DIALECTS[request.dialect], inputs.job.gateway.base_url
    is_same = request.key == row["request_key"]
    return Asked(
        url=dialect.url(_address(base_url, _SANDBOX_URL) or base_url, request),
        headers={"content-type": "application/json", **dialect.headers},
        body=redacted(msgspec.json.decode(dialect.encode(request))),
        request_key=request.key,
        is_same=is_same,
        differs=[] if is_same else _differences(row, inputs),
    )


def redacted(value: Any) -> Any:  # noqa: ANN401 - any JSON value
    """A JSON value whose texts have no secrets, and no media: those stand as their hash and length."""
    match value:
        case dict():
            return {name: redacted(member) for name, member in value.items()}
        case list():
            return [redacted(member) for member in value]
        case str() if _BASE64.fullmatch(value):
            digest = hashlib.sha256(value.encode()).hexdigest()[:16]
            return f"sha256={digest}&length={len(value)}"
        case str():
            return redact_text(value)
        case _:
            return value


def _rows(store: Store, name: str, item_id: str) -> list[dict[str, Any]]:
    """The rows of the item in the part *name*: the other columns are read where the item is, only."""
    found: list[dict[str, Any]] = []
    with open_part(store, name) as part:
        try:
            for group in range(part.num_row_groups):
                ids = part.read_row_group(group, columns=["item_id"])["item_id"]
                places = pc.indices_nonzero(pc.equal(ids, pa.scalar(item_id)))
                if len(places):
                    found += part.read_row_group(group).take(places).to_pylist()
        except UNREADABLE as error:
            raise CorruptError(f"{name} cannot be read: {error}") from error
    return found


def _address(base_url: str | None, of_sandbox: str) -> str | None:
    return of_sandbox if base_url == job.SANDBOX_URL else base_url


def _differences(row: Row, inputs: Inputs) -> list[str]:
    """What makes the job ask another question than that of *row*."""
    if row["request_key"] is None:
        return ["the row was never sent"]
    facts = inputs.facts()
    changed = [word for name, word in _FACTS.items() if getattr(facts, name) != row[name]]
    return changed or ["the row's media, or the values that the prompt uses"]
