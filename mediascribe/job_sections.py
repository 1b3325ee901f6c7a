"""The sections of a job file, one class a table."""

from __future__ import annotations

import os
import re
from decimal import Decimal
from typing import Annotated, Any, Literal

from pydantic import Field, field_validator, model_validator

from mediascribe.domain import ColumnType
from mediascribe.job_media import MediaSection
from mediascribe.section import SANDBOX_URL, Section

__all__ = [
    "BASE_URL_VARIABLE",
    "SANDBOX_URL",
    "AnswerSection",
    "BudgetSection",
    "Caps",
    "ColumnType",
    "EngineSection",
    "GatewaySection",
    "LimitsSection",
    "ManifestSection",
    "MediaSection",
    "ModelLimits",
    "Name",
    "PromptSection",
    "RetrySection",
    "Section",
]

BASE_URL_VARIABLE = "MEDIASCRIBE_BASE_URL"
_MOST_IN_FLIGHT = 10_000
Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")]


class ManifestSection(Section):
    """Where the rows are, and what their columns mean."""

    path: str = Field(description="a file, a folder or a pattern, here or in a bucket: .csv, .jsonl or .parquet")
    format: Literal["auto", "csv", "jsonl", "parquet"] = Field("auto", description="auto: by the file's ending")
    item_id: str = Field(
        "item_id", description="column of the row's own id; without it the id is the hash of its content"
    )
    image: list[str] = Field(["image_url"], description="columns that hold image URLs")
    audio: list[str] = Field(["audio_url"], description="columns that hold audio URLs")
    video: list[str] = Field(["video_url"], description="columns that hold video URLs")
    url: str = Field("url", description="column of a URL whose kind another column names")
    media_kind: str = Field("media_kind", description="column of that kind: image, audio or video")
    carry: dict[str, ColumnType] = Field(
        default_factory=dict, description="columns copied to the result, with their type"
    )

    @field_validator("carry", mode="before")
    @classmethod
    def _carry_names_are_strings(cls, value: object) -> object:
        """A plain list carries its columns as strings."""
        if not isinstance(value, list):
            return value
        if not all(isinstance(name, str) for name in value):
            raise ValueError('wants column names, or a table of their types: carry = { price = "float64" }')
        return dict.fromkeys(value, "string")


def _usual_base_url() -> str:
    """The gateway of jobs that name none."""
    return os.environ.get(BASE_URL_VARIABLE, "")


class GatewaySection(Section):
    """Whom to ask."""

    base_url: str = Field(
        default_factory=_usual_base_url,
        validate_default=True,
        description="up to and including /v1; `sandbox` starts the embedded one; unset: as MEDIASCRIBE_BASE_URL says",
    )
    api_key_env: str = Field("MEDIASCRIBE_API_KEY", description="name of the environment variable that holds the key")
    dialect: Literal["auto", "chat", "responses", "messages", "generate_content"] = Field(
        "auto", description="wire format; auto: by configs/models.toml, else chat"
    )
    stream: Literal["auto", "always", "never"] = Field(
        "auto", description="streamed answers; auto: for video and long inline sound, whose answers take long"
    )
    headers: dict[str, str] = Field(default_factory=dict, description="further headers of every request")
    connect_timeout_s: float = Field(5.0, gt=0, description="seconds until a connection must stand")
    first_byte_timeout_s: float | None = Field(
        None, gt=0, description="seconds until an answer must begin; unset: as long as the whole may take"
    )
    total_timeout_s: float = Field(300.0, gt=0, description="seconds until a whole answer must be there")
    max_answer_bytes: int = Field(8 * 2**20, ge=1024, description="a longer answer is cut off and fails its row")

    @field_validator("base_url")
    @classmethod
    def _base_url_is_http(cls, value: str) -> str:
        if value == SANDBOX_URL:
            return value
        if not value:
            raise ValueError(f"is missing: write it here, or set the environment variable {BASE_URL_VARIABLE}")
        if not re.match(r"^https?://[^/\s?#@]+(/[^\s?#]*)?$", value):
            raise ValueError("is no http(s) URL without user, query and fragment, such as https://api.mixrouter.com/v1")
        if not re.search(r"/v\d+\w*/?$", value):
            raise ValueError("must end in /v1: without it the gateway answers 200 with a web page")
        return value.rstrip("/")

    @field_validator("headers")
    @classmethod
    def _headers_are_not_ours(cls, value: dict[str, str]) -> dict[str, str]:
        owned = {"authorization", "x-api-key", "content-type", "content-length", "host"} & {
            name.lower() for name in value
        }
        if owned:
            raise ValueError(f"may not set {', '.join(sorted(owned))}: mediascribe writes these itself")
        for name, text in value.items():
            if not re.fullmatch(r"[A-Za-z0-9-]+", name) or not (text.isascii() and text.isprintable()):
                raise ValueError(f"`{name}` is no header: a name of letters, digits and -, and one line of ASCII")
        return {name.lower(): text for name, text in value.items()}

    @field_validator("api_key_env")
    @classmethod
    def _api_key_env_is_a_name(cls, value: str) -> str:
        """Refuse a key in the place of the variable's name; the message must not show it."""
        if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", value):
            raise ValueError("is the name of an environment variable, such as MEDIASCRIBE_API_KEY, never the key")
        return value


class PromptSection(Section):
    """What to ask about every item."""

    id: Name = Field("default", description="stands in the prompt_id column")
    text: str | None = Field(None, description="the template; {{ name }} stands for the row's column of that name")
    file: str | None = Field(None, description="a file that holds the template")
    system: str | None = Field(None, description="the system message, a template as well")

    @model_validator(mode="after")
    def _one_source(self) -> PromptSection:
        if (self.text is None) == (self.file is None):
            raise ValueError("wants exactly one of `text` and `file`")
        return self


class ModelLimits(Section):
    """What the quota of one model allows."""

    requests_per_minute: float | None = Field(None, gt=0, description="no more than this; unset: learned from refusals")
    tokens_per_minute: float | None = Field(
        None, gt=0, description="prompt and answer together; unset: learned from refusals"
    )


class LimitsSection(ModelLimits):
    """What the quota allows."""

    concurrency: int | Literal["auto"] = Field(
        32, description="requests in flight, at most; auto: as many as help, up to 1,000"
    )
    requests_per_day: int | None = Field(None, ge=1, description="per calendar day (UTC), all runs of the job together")
    burst_s: float = Field(
        1.0, ge=0, le=60, description="what a late start may catch up on, in seconds' worth of requests"
    )
    outage_stop_s: float = Field(900.0, gt=0, description="seconds without any answer after which the run stops")
    common: str | None = Field(
        None, min_length=1, description="folder or place in a bucket where runs with the same key share their quota"
    )
    share: float = Field(
        1.0, gt=0, le=1, description="of the common quota, while other runs want theirs; 1: what others leave"
    )
    models: dict[str, ModelLimits] = Field(
        default_factory=dict, description="models that have a quota of their own, such as fallbacks"
    )

    @field_validator("concurrency", mode="before")
    @classmethod
    def _concurrency_is_a_number_or_auto(cls, value: object) -> object:
        if value == "auto" or (type(value) is int and 1 <= value <= _MOST_IN_FLIGHT):
            return value
        raise ValueError(f'wants a number of requests in flight, 1 to {_MOST_IN_FLIGHT:,}, or "auto"')

    @model_validator(mode="after")
    def _a_share_is_of_something(self) -> LimitsSection:
        if self.common is None and self.share < 1:
            raise ValueError("has a `share` of no quota: say with `common` where runs meet that share it")
        return self


class Caps(Section):
    """The most that may be spent; unset: no such cap."""

    usd: Annotated[Decimal, Field(strict=False)] | None = Field(None, gt=0, description="US dollars at list price")
    tokens: int | None = Field(None, ge=1, description="prompt and answer together")
    requests: int | None = Field(None, ge=1, description="requests sent, retries among them")


class BudgetSection(Caps):
    """What a run may spend, and all runs of the job together in a calendar day or month (UTC)."""

    day: Caps = Field(default_factory=Caps, description="caps per calendar day (UTC)")
    month: Caps = Field(default_factory=Caps, description="caps per calendar month (UTC)")
    media_tokens: int | None = Field(
        None, ge=1, description="no medium of yours has more tokens than this; unset: what the model's rules allow"
    )


class RetrySection(Section):
    """How long to try."""

    attempts: int = Field(4, ge=1, le=20, description="attempts that a row may use up; a 429 uses none")
    share: float = Field(0.1, gt=0, le=1, description="retries may be this share of the requests of a minute, or 10")
    in_doubt: Literal["resend", "hold"] = Field(
        "resend", description="a request that may have been billed: ask once more, or fail the row"
    )
    first_wait_s: float = Field(1.0, ge=0, description="ceiling of the first random wait; doubles each time")
    max_wait_s: float = Field(60.0, ge=0, description="ceiling of any wait, the gateway's own wishes included")
    row_deadline_s: float = Field(3600.0, gt=0, description="seconds after which a row is tried no more")
    longer_max_tokens: int | None = Field(
        None, ge=1, description="ask a cut answer once more with this max_tokens; unset: keep it cut"
    )


class EngineSection(Section):
    """On how many processes, or on which cluster, shards are asked about; without it, in the run's own process."""

    workers: int | None = Field(None, ge=1, le=1_000, description="processes on this machine that ask about shards")
    address: str | None = Field(None, description="a Dask cluster in place of them: its scheduler, tcp://host:8786")
    dead_after_s: float = Field(
        30.0, ge=3, le=3_600, description="a process that is silent for so long is dead: others go on with its shards"
    )

    @property
    def is_used(self) -> bool:
        """Whether shards go to other processes."""
        return self.workers is not None or self.address is not None

    @model_validator(mode="after")
    def _one_place(self) -> EngineSection:
        if self.workers is not None and self.address is not None:
            raise ValueError("wants one of `workers` and `address`, not both")
        return self

    @field_validator("address")
    @classmethod
    def _address_is_a_scheduler(cls, value: str | None) -> str | None:
        if value is None or re.match(r"^(tcp|tls|ws|wss)://[^/\s@]+:\d+$", value):
            return value
        raise ValueError("is no address of a Dask scheduler, such as tcp://10.0.0.5:8786")


class AnswerSection(Section):
    """What an answer must look like."""

    schema_file: str | None = Field(None, description="a JSON Schema, as a .json file")
    schema_: dict[str, Any] | None = Field(None, alias="schema", description="or the same as a table")
    repair: bool = Field(
        default=False, description="ask once more, with what is wrong, when an answer does not fit the schema"
    )

    @model_validator(mode="after")
    def _one_source(self) -> AnswerSection:
        if self.schema_file is not None and self.schema_ is not None:
            raise ValueError("wants one of `schema_file` and `schema`, not both")
        if self.repair and self.schema_file is None and self.schema_ is None:
            raise ValueError("has `repair` without a schema to repair towards")
        return self
