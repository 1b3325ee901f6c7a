"""The sections of a job file, one class a table."""

from __future__ import annotations

import os
import re
from decimal import Decimal
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

ColumnType = Literal["string", "int64", "float64", "bool", "timestamp"]
SANDBOX_URL = "sandbox"
BASE_URL_VARIABLE = "MEDIASCRIBE_BASE_URL"
_MOST_IN_FLIGHT = 10_000
_LAST_PORT = 65_535
Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")]


class Section(BaseModel):
    """One table of a job file: unknown keys are refused, and a value must have its type."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


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


class MediaSection(Section):
    """How media reach the gateway, and what is looked at before anything is paid."""

    mode: Literal["url", "probe", "inline"] = Field(
        "probe",
        description="url: pass each URL on unseen; probe: look at the media first; inline: fetch, shrink and send them",
    )
    base_url: str | None = Field(
        None,
        description="prefix of relative URLs: http(s), a folder of yours, or s3://bucket/prefix;"
        " `sandbox` serves data/samples",
    )
    allow: list[str] = Field(
        default_factory=list,
        description="private hosts, addresses or networks that may be reached all the same: media.corp, 10.2.0.0/16",
    )
    ports: list[int] = Field([80, 443], description="ports that may be reached")
    concurrency: int = Field(64, ge=1, le=2_000, description="media looked at or fetched at a time")
    per_host: int = Field(8, ge=1, le=1_000, description="of these, at one host")
    look_ahead: int = Field(256, ge=1, le=100_000, description="rows whose media may be ready before they are asked")
    bytes_ahead: int = Field(256 * 2**20, ge=2**20, description="bytes of media that may be held ready")
    timeout_s: float = Field(30.0, gt=0, description="seconds until a medium's host must have answered")
    redirects: int = Field(5, ge=0, le=20, description="redirects followed, each checked like the first address")
    max_bytes: int = Field(100 * 2**20, ge=1024, description="a longer medium is skipped")
    max_pixels: int = Field(100_000_000, ge=1, description="a picture with more pixels is skipped")
    max_seconds: float | None = Field(None, gt=0, description="a longer sound or film is skipped, or cut by `split_s`")
    opt_out: bool = Field(default=True, description="skip media whose host says X-Robots-Tag: noai")
    ignored: Literal["fail", "flag"] = Field(
        "fail", description="an answer that was billed without its media: fail the row, or flag the answer"
    )
    same_once: bool = Field(
        default=True, description="ask once about the same media and prompt; other rows get that answer"
    )
    max_side: int | None = Field(None, ge=16, description="inline: longest side in pixels; unset: best for the model")
    detail: Literal["auto", "low", "high"] = Field("auto", description="how much of pictures the model is to see")
    max_body_bytes: int = Field(
        20 * 2**20, ge=2**16, description="inline: a request may be this long, its media in base64 included"
    )
    fps: float | None = Field(None, gt=0, le=60, description="inline films: frames a second; unset: as the model reads")
    frames: int | None = Field(None, ge=1, le=3_600, description="inline films: send so many frames as pictures")
    clip_s: tuple[float, float] | None = Field(None, description="inline: only from this second to that one")
    split_s: float | None = Field(
        None, ge=1, description="longer sounds and films are cut into pieces of at most so many seconds"
    )
    split_at: Literal["time", "silence", "scene"] = Field("silence", description="where pieces are cut")
    join: Literal["text", "ask"] = Field("text", description="pieces become one description by joining, or by asking")
    max_tokens: int | None = Field(
        None, ge=1, description="inline: of one medium, at most; a film loses frames a second before it loses length"
    )

    @field_validator("base_url")
    @classmethod
    def _base_url_is_a_place(cls, value: str | None) -> str | None:
        if value in (None, SANDBOX_URL) or re.match(r"^(https?|s3|gs|az)://[^/\s?#@]+(/[^\s?#]*)?$", value):
            return value
        if re.match(r"^\.{0,2}/", value):
            return value
        raise ValueError(
            "is no http(s) URL without user, query and fragment, such as https://cdn.example.com/media, no"
            " s3://bucket/prefix, and no folder that begins with ./ or /"
        )

    @field_validator("clip_s", mode="before")
    @classmethod
    def _clip_is_a_pair(cls, value: object) -> object:
        """TOML has lists only."""
        return tuple(value) if isinstance(value, list) else value

    @field_validator("clip_s")
    @classmethod
    def _clip_has_a_length(cls, value: tuple[float, float] | None) -> tuple[float, float] | None:
        if value is not None and not 0 <= value[0] < value[1]:
            raise ValueError("wants two numbers of seconds, the later one second: [0, 30]")
        return value

    @field_validator("ports")
    @classmethod
    def _ports_are_ports(cls, value: list[int]) -> list[int]:
        if not all(1 <= port <= _LAST_PORT for port in value):
            raise ValueError("wants port numbers, 1 to 65535")
        return value


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
    models: dict[str, ModelLimits] = Field(
        default_factory=dict, description="models that have a quota of their own, such as fallbacks"
    )

    @field_validator("concurrency", mode="before")
    @classmethod
    def _concurrency_is_a_number_or_auto(cls, value: object) -> object:
        if value == "auto" or (type(value) is int and 1 <= value <= _MOST_IN_FLIGHT):
            return value
        raise ValueError(f'wants a number of requests in flight, 1 to {_MOST_IN_FLIGHT:,}, or "auto"')


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
