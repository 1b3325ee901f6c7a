"""Schema v1: the columns of the dataset (design, section 4), and a record as a row of them.

Every part has every column with its type, even when all null: readers drop or refuse what only later files have
(reliability notes 2.3). Columns are only ever added.
"""

from __future__ import annotations

import json
from collections.abc import Mapping  # noqa: TC003 - a plan's file is decoded by the annotations of RunFacts
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

import pyarrow as pa

from mediascribe.domain import MEDIA_KINDS, ColumnType, Completion
from mediascribe.errors import ConfigError
from mediascribe.redact import redact_url

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from mediascribe.domain import Cost, Failure, Item, MediaFacts, Record, Shard, Usage

SCHEMA_VERSION: Final = "1"
ANSWER_PREFIX: Final = "answer_"
USAGE_COLUMNS: Final = (
    "prompt_tokens",
    "completion_tokens",
    "total_tokens",
    "cached_tokens",
    "cache_write_tokens",
    "prompt_text_tokens",
    "prompt_image_tokens",
    "prompt_audio_tokens",
    "prompt_video_tokens",
    "completion_text_tokens",
    "completion_audio_tokens",
    "reasoning_tokens",
)


def _fields(kind: pa.DataType, *names: str, known: bool = False) -> list[pa.Field[Any]]:
    """Columns of one type; *known* ones are never null."""
    return [pa.field(name, kind, nullable=not known) for name in names]


_STRING, _INT64, _INT32, _DOUBLE = pa.string(), pa.int64(), pa.int32(), pa.float64()
_UTC = pa.timestamp("us", tz="UTC")

_ASKED: Final = (
    *_fields(_STRING, "item_id", known=True),
    *_fields(_STRING, "request_key"),
    *_fields(_STRING, "run_id", "job", known=True),
    *_fields(_INT32, "shard", known=True),
    *_fields(_INT64, "row_number", known=True),
    *_fields(_STRING, "media_kind"),
    *_fields(pa.list_(_STRING), "media_urls"),
    *_fields(_STRING, "model", "dialect", "prompt_id", "prompt_sha256", "parameters_sha256", "reason", known=True),
)
_ANSWERED: Final = (
    *_fields(_STRING, "status", known=True),
    *_fields(_STRING, "description", "answer_json", "reasoning", "finish_reason", "model_returned", "response_id"),
    *_fields(_STRING, "gateway_request_id", "error_class", "error_code"),
    *_fields(_INT32, "http_status"),
    *_fields(_STRING, "error_message"),
    *_fields(_INT64, *USAGE_COLUMNS, known=True),
    *_fields(_STRING, "usage_source", known=True),
    *_fields(_STRING, "usage_json"),
    *_fields(pa.list_(_STRING), "flags"),
    *_fields(_INT32, "attempts", known=True),
    *_fields(_INT64, "wasted_tokens", known=True),
    *_fields(_DOUBLE, "cost_usd"),
    *_fields(_STRING, "price_version"),
    *_fields(_STRING, "answered_by"),
    *_fields(_DOUBLE, "saved_usd"),
    *_fields(_INT64, "media_bytes"),
    *_fields(_STRING, "media_sha256"),
    *_fields(_DOUBLE, "media_seconds"),
    *_fields(_INT32, "media_width", "media_height"),
    *_fields(_UTC, "requested_at", "completed_at"),
    *_fields(_DOUBLE, "latency_s"),
)
SCHEMA: Final = pa.schema([*_ASKED, *_ANSWERED])
CARRIED_TYPES: Final[Mapping[ColumnType, pa.DataType]] = {
    "string": _STRING,
    "int64": _INT64,
    "float64": _DOUBLE,
    "bool": pa.bool_(),
    "timestamp": _UTC,
}

_CARRIED: Final = ("[manifest] carry", "carried column", "the column in the manifest")
_ANSWER: Final = ("[answer] schema", "answer's column", "the property")
_NONE: Final[Mapping[str, ColumnType]] = MappingProxyType({})


@dataclass(frozen=True, slots=True, kw_only=True)
class RunFacts:
    """What is the same in every row of a run."""

    run_id: str
    job: str
    model: str
    dialect: str
    prompt_id: str
    prompt_sha256: str
    parameters_sha256: str
    carry: Mapping[str, ColumnType]
    answer: Mapping[str, ColumnType] = field(default_factory=dict)


def schema(carry: Mapping[str, ColumnType], answer: Mapping[str, ColumnType] = _NONE) -> pa.Schema:
    """Schema v1 with the columns that a job carries, and those of its answers' schema, after `reason`.

    Raises:
        ConfigError: such a column has the name of another, in any case of letters, since many readers ignore case.
    """
    taken = {name.casefold(): f"the dataset's own column `{name}`" for name in SCHEMA.names}
    taken["date"] = "the column `date` that readers take from the folder's name"
    for (section, noun, advice), own in ((_CARRIED, carry), (_ANSWER, answer)):
        for name in own:
            if other := taken.get(name.casefold()):
                raise ConfigError(f"{section}: `{name}` collides with {other}: rename {advice}")
            taken[name.casefold()] = f"the {noun} `{name}`"
    return with_carried([pa.field(name, CARRIED_TYPES[kind]) for name, kind in (*carry.items(), *answer.items())])


def with_carried(carried: Iterable[pa.Field[Any]]) -> pa.Schema:
    """Schema v1 with the columns *carried* in their place."""
    return pa.schema([*_ASKED, *carried, *_ANSWERED])


def to_batch(facts: RunFacts, shard: Shard, records: Sequence[Record]) -> pa.RecordBatch:
    """*records* as rows of `schema(facts.carry)`.

    No value of a row can make the batch fail, as its answer is paid for: a lone surrogate becomes `?`, and a carried
    value that does not fit its type is null.
    """
    wanted = schema(facts.carry, facts.answer)
    rows = [_row(facts, shard, record) for record in records]
    columns = [_array([row.get(field.name) for row in rows], field.type) for field in wanted]
    return pa.RecordBatch.from_arrays(columns, schema=wanted)


def _row(facts: RunFacts, shard: Shard, record: Record) -> dict[str, Any]:
    """The values of one row by column; absent ones are null."""
    return {
        **_asked(record.item),
        **_fitted(record.item.carried, facts.carry),
        **_answered(record.outcome),
        **_structured(record.outcome, facts.answer),
        **_billed(record.outcome.usage),
        **_media(record.media),
        "request_key": record.request_key,
        "run_id": facts.run_id,
        "job": facts.job,
        "shard": shard.number,
        "model": facts.model,
        "dialect": facts.dialect,
        "prompt_id": facts.prompt_id,
        "prompt_sha256": facts.prompt_sha256,
        "parameters_sha256": facts.parameters_sha256,
        "reason": record.reason,
        "attempts": record.attempts,
        "wasted_tokens": record.wasted_tokens,
        "cost_usd": _usd(record.cost),
        "price_version": record.cost.price_version if record.cost else None,
        "answered_by": record.answered_by,
        "saved_usd": _usd(record.saved),
        "requested_at": record.requested_at,
        "completed_at": record.completed_at,
        "latency_s": record.latency_s,
    }


def _asked(item: Item) -> dict[str, Any]:
    kinds = {media.kind for media in item.media}
    return {
        "item_id": item.item_id,
        "row_number": item.row_number,
        "media_kind": "+".join(kind for kind in MEDIA_KINDS if kind in kinds) or None,
        "media_urls": [redact_url(media.url) for media in item.media],
    }


def _fitted(values: Mapping[str, Any], columns: Mapping[str, ColumnType]) -> dict[str, Any]:
    """*values* in the types of *columns*; one that does not fit is null."""
    fitted: dict[str, Any] = {}
    for name, kind in columns.items():
        value = values.get(name)
        try:
            fitted[name] = None if value is None else _FIT[kind](value)
        except (LookupError, OverflowError, TypeError, ValueError):
            fitted[name] = None
    return fitted


def _structured(outcome: Completion | Failure, columns: Mapping[str, ColumnType]) -> dict[str, Any]:
    """The scalars of a structured answer, each in the column `answer_<name>`."""
    if not columns or not isinstance(outcome, Completion) or outcome.answer_json is None:
        return {}
    members = json.loads(outcome.answer_json)
    return _fitted({f"{ANSWER_PREFIX}{name}": value for name, value in members.items()}, columns)


def _answered(outcome: Completion | Failure) -> dict[str, Any]:
    row: dict[str, Any] = {
        "status": outcome.status,
        "flags": list(outcome.flags),
        "finish_reason": outcome.finish_reason,
        "model_returned": outcome.model_returned,
        "response_id": outcome.response_id,
        "gateway_request_id": outcome.gateway_request_id,
    }
    if isinstance(outcome, Completion):
        return row | {
            "description": outcome.text,
            "answer_json": outcome.answer_json,
            "reasoning": outcome.reasoning,
        }
    return row | {
        "description": outcome.text,
        "error_class": outcome.error_class,
        "error_code": outcome.code,
        "http_status": outcome.http_status,
        "error_message": outcome.message,
    }


def _billed(usage: Usage) -> dict[str, Any]:
    counted = {name: getattr(usage, name) for name in USAGE_COLUMNS}
    return counted | {"usage_source": usage.source, "usage_json": usage.raw}


def _usd(cost: Cost | None) -> float | None:
    return round(cost.nano_usd / 1e9, 9) if cost else None


def _media(facts: MediaFacts | None) -> dict[str, Any]:
    return {} if facts is None else {f"media_{name}": value for name, value in asdict(facts).items()}


def _array(values: list[Any], kind: pa.DataType) -> pa.Array[Any]:
    try:
        return pa.array(values, kind)
    except UnicodeEncodeError:
        return pa.array([_encodable(value) for value in values], kind)


def _encodable(value: Any) -> Any:  # noqa: ANN401 - a cell of any string column
    if isinstance(value, list):
        return [_encodable(one) for one in value]
    return value.encode("utf-8", "replace").decode() if isinstance(value, str) else value


def _text(value: Any) -> str:  # noqa: ANN401 - any JSON value
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _whole(value: Any) -> int:  # noqa: ANN401 - any JSON value
    number = int(value)
    if isinstance(value, float) and number != value:
        raise ValueError(f"{value} is no whole number")
    if not -(2**63) <= number < 2**63:
        raise OverflowError(f"{value} is beyond 64 bits")
    return number


def _truth(value: Any) -> bool:  # noqa: ANN401 - any JSON value
    return {"true": True, "1": True, "false": False, "0": False}[str(value).lower()]


def _moment(value: Any) -> datetime:  # noqa: ANN401 - any JSON value
    """A time of day; without an offset it is UTC."""
    moment = value if isinstance(value, datetime) else datetime.fromisoformat(value)
    return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)


_FIT: Final[Mapping[ColumnType, Callable[[Any], Any]]] = {
    "string": _text,
    "int64": _whole,
    "float64": float,
    "bool": _truth,
    "timestamp": _moment,
}
