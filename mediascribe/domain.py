"""The nouns: frozen values that every other module speaks in.

An `Item` is one manifest row, a `Request` everything that determines one answer, a `Completion` what the gateway
answered, a `Failure` why there is none, a `Record` one result row. README's glossary has one line for each.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Literal

import msgspec

from mediascribe.redact import canonical_url

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

MediaKind = Literal["image", "audio", "video"]
ColumnType = Literal["string", "int64", "float64", "bool", "timestamp"]
MEDIA_KINDS: Final[tuple[MediaKind, ...]] = ("image", "audio", "video")

Status = Literal["ok", "truncated", "refused", "failed", "skipped"]
STATUSES: Final[tuple[Status, ...]] = ("ok", "truncated", "refused", "failed", "skipped")

CompletionStatus = Literal["ok", "truncated", "refused"]

Reason = Literal["new", "failed", "stale_prompt", "stale_model", "stale_parameters", "media_changed"]
REASONS: Final[tuple[Reason, ...]] = (
    "new",
    "failed",
    "stale_prompt",
    "stale_model",
    "stale_parameters",
    "media_changed",
)

UsageSource = Literal["reported", "derived", "estimated", "missing", "shared"]

Thinking = Literal["off", "on", "low", "medium", "high"]
THINKING: Final[tuple[Thinking, ...]] = ("off", "on", "low", "medium", "high")

Detail = Literal["auto", "low", "high"]

Flag = Literal[
    "media_ignored",  # media were sent, and no media tokens were billed
    "gateway_estimate",  # round numbers that the gateway puts where the model reported nothing
    "zero_usage",  # a usage of zeros
    "no_usage",  # no usage at all
    "usage_inconsistent",  # parts larger than their total
    "fallback",  # the answer is that of a second model
    "longer",  # the answer was cut, and this is the one with more room
    "repaired",  # the answer did not fit the schema, and this one does
]

ErrorClass = Literal[
    "row",  # the manifest row cannot be asked
    "media",  # the gateway could not use the media
    "request",  # the gateway refuses this request
    "safety",  # blocked by a content filter
    "config",  # wrong model, wrong URL: no row can succeed
    "auth",  # key missing, unknown, expired, not allowed
    "quota",  # balance or quota used up
    "rate_limit",  # too many requests for now
    "server",  # the gateway or what is behind it failed
    "network",  # no connection, or it broke
    "timeout",  # no answer in time
    "malformed",  # an answer that is none: wrong type, cut, no choices
    "empty",  # an answer without text
    "oversize",  # an answer beyond the body cap
    "schema",  # an answer that does not fit the job's schema
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Media:
    """One image, sound or video, as the manifest names it."""

    kind: MediaKind
    url: str


@dataclass(frozen=True, slots=True, kw_only=True)
class MediaFacts:
    """What was found out about a row's media before they were sent: of several, the sums, and no size in pixels.

    `sha256` (64 hex digits) is that of the bytes as they were fetched, so only known where all of them were.
    """

    bytes: int | None = None
    sha256: str | None = None
    seconds: float | None = None
    width: int | None = None
    height: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """Tokens as billed, normalised (schema v1): totals are inclusive, parts are subsets of them.

    `completion_tokens` contains `reasoning_tokens`; `prompt_tokens` contains `cached_tokens` and `cache_write_tokens`.
    A part that is 0 may mean "not reported": `source` says how far to trust the split, `raw` is the gateway's own JSON.
    """

    prompt_tokens: int = 0
    completion_tokens: int = 0
    total_tokens: int = 0
    cached_tokens: int = 0
    cache_write_tokens: int = 0
    prompt_text_tokens: int = 0
    prompt_image_tokens: int = 0
    prompt_audio_tokens: int = 0
    prompt_video_tokens: int = 0
    completion_text_tokens: int = 0
    completion_audio_tokens: int = 0
    reasoning_tokens: int = 0
    source: UsageSource = "missing"
    raw: str | None = None


NO_USAGE: Final = Usage()


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """Why there is no completion.

    `code` is the gateway's own word; `message` is fit for a person and free of secrets; `text` is what the model said
    all the same; `unasked` says that it was found before anything was sent.
    """

    error_class: ErrorClass
    message: str
    code: str | None = None
    http_status: int | None = None
    usage: Usage = NO_USAGE
    flags: tuple[Flag, ...] = ()
    finish_reason: str | None = None
    model_returned: str | None = None
    response_id: str | None = None
    gateway_request_id: str | None = None
    text: str | None = None
    unasked: bool = False

    @property
    def status(self) -> Status:
        """`skipped` for a row that was never asked, `failed` for one that was."""
        return "skipped" if self.unasked or self.error_class == "row" else "failed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Completion:
    """What the gateway answered: text to keep, why it ended, and what it cost.

    `answer_json` is the answer as compact JSON where the job has a schema, which it fits.
    """

    status: CompletionStatus
    text: str
    usage: Usage
    flags: tuple[Flag, ...] = ()
    answer_json: str | None = None
    finish_reason: str | None = None
    reasoning: str | None = None
    model_returned: str | None = None
    response_id: str | None = None
    gateway_request_id: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """One manifest row.

    `row_number` counts from 1 in file order. `variables` are the values that the prompt's template uses, `carried` the
    columns that the job carries into the result; both hold JSON values only. `problem` is set where the row cannot be
    asked: such an item becomes a `skipped` record and is never dropped.
    """

    item_id: str
    row_number: int
    media: tuple[Media, ...] = ()
    variables: Mapping[str, Any] = field(default_factory=dict)
    carried: Mapping[str, Any] = field(default_factory=dict)
    problem: Failure | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """Everything that determines one answer, and nothing else.

    `media` holds the URLs that are sent; `identity` names them across runs: the manifest's own words. `parameters` are
    in the words of chat completions (`max_tokens`, `temperature`, ...); a dialect with other words translates the
    common ones and passes the rest on. `detail` is how much the model is to see of pictures, `fps` how many
    frames a second of films, where that is not as it reads them by itself; so much follows from job and media, and is
    no part of the key. `schema` is a JSON Schema that the answer is to follow. Whether the answer is streamed changes
    nothing about it, and is no part of the key either.
    """

    model: str
    dialect: str
    prompt: str
    media: tuple[Media, ...]
    identity: tuple[Media, ...]
    parameters: Mapping[str, Any] = field(default_factory=dict)
    system: str | None = None
    thinking: Thinking | None = None
    detail: Detail = "auto"
    fps: float | None = None
    schema: Mapping[str, Any] | None = None
    stream: bool = False

    @property
    def key(self) -> str:
        """The content hash: 32 hex digits, equal for equal questions, whatever the signature in a URL is."""
        asked = (
            self.model,
            self.dialect,
            self.system,
            self.prompt,
            [(media.kind, canonical_url(media.url)) for media in self.identity],
            self.parameters,
            self.thinking,
            self.schema,
            *([] if self.detail == "auto" else [self.detail]),
        )
        return digest(asked)[:32]


@dataclass(frozen=True, slots=True, kw_only=True)
class Shard:
    """A slice of a plan: the unit of work, retry, resume and output file."""

    run_id: str
    number: int
    rows: int
    plan_path: str

    @property
    def name(self) -> str:
        """`<run_id>-<number>`, as the part and the journal are called."""
        return f"{self.run_id}-{self.number:05d}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """What a usage costs, in whole nano-dollars, by which price."""

    nano_usd: int
    price_version: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """One result row: what was asked, what came back, and what it cost.

    `answered_by` names the item whose answer this is, where it was not asked itself; then `saved` is what that cost.
    """

    item: Item
    reason: Reason
    outcome: Completion | Failure
    request_key: str | None = None
    cost: Cost | None = None
    attempts: int = 0
    wasted_tokens: int = 0
    requested_at: datetime | None = None
    completed_at: datetime | None = None
    latency_s: float | None = None
    media: MediaFacts | None = None
    answered_by: str | None = None
    saved: Cost | None = None


def digest(value: object) -> str:
    """The SHA-256 (64 hex digits) of a JSON value, independent of the order of its members."""
    return hashlib.sha256(msgspec.json.encode(value, order="sorted")).hexdigest()
