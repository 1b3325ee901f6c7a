"""Job: one TOML file that says what is asked of which model, about which manifest, into which output.

A person writes this file, so every mistake in it is answered with the file, the line, the value and what to do.
"""

from __future__ import annotations

import difflib
import math
import re
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, get_args

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from mediascribe.domain import digest
from mediascribe.errors import ConfigError
from mediascribe.redact import redact_text

if TYPE_CHECKING:
    from collections.abc import Iterator

ColumnType = Literal["string", "int64", "float64", "bool", "timestamp"]
SANDBOX_URL = "sandbox"
_QUOTED_CHARACTERS = 80
_Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")]


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class ManifestSection(_Section):
    """Where the rows are, and what their columns mean."""

    path: str = Field(description="the manifest: .csv, .jsonl or .parquet")
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


class GatewaySection(_Section):
    """Whom to ask."""

    base_url: str = Field(description="up to and including /v1; `sandbox` starts the embedded one")
    api_key_env: str = Field("MEDIASCRIBE_API_KEY", description="name of the environment variable that holds the key")
    dialect: Literal["chat"] = Field("chat", description="wire format")
    connect_timeout_s: float = Field(5.0, gt=0, description="seconds until a connection must stand")
    total_timeout_s: float = Field(300.0, gt=0, description="seconds until a whole answer must be there")
    max_answer_bytes: int = Field(8 * 2**20, ge=1024, description="a longer answer is cut off and fails its row")

    @field_validator("base_url")
    @classmethod
    def _base_url_is_http(cls, value: str) -> str:
        if value == SANDBOX_URL:
            return value
        if not re.match(r"^https?://[^/\s?#@]+(/[^\s?#]*)?$", value):
            raise ValueError("is no http(s) URL without user, query and fragment, such as https://api.mixrouter.com/v1")
        if not re.search(r"/v\d+\w*/?$", value):
            raise ValueError("must end in /v1: without it the gateway answers 200 with a web page")
        return value.rstrip("/")

    @field_validator("api_key_env")
    @classmethod
    def _api_key_env_is_a_name(cls, value: str) -> str:
        """Refuse a key in the place of the variable's name; the message must not show it."""
        if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", value):
            raise ValueError("is the name of an environment variable, such as MEDIASCRIBE_API_KEY, never the key")
        return value


class PromptSection(_Section):
    """What to ask about every item."""

    id: _Name = Field("default", description="stands in the prompt_id column")
    text: str | None = Field(None, description="the template; {{ name }} stands for the row's column of that name")
    file: str | None = Field(None, description="a file that holds the template")
    system: str | None = Field(None, description="the system message, a template as well")

    @model_validator(mode="after")
    def _one_source(self) -> PromptSection:
        if (self.text is None) == (self.file is None):
            raise ValueError("wants exactly one of `text` and `file`")
        return self


class MediaSection(_Section):
    """How media reach the gateway."""

    base_url: str | None = Field(None, description="prefix of relative URLs; `sandbox` serves data/samples")

    @field_validator("base_url")
    @classmethod
    def _base_url_is_http(cls, value: str | None) -> str | None:
        if value not in (None, SANDBOX_URL) and not re.match(r"^https?://[^/\s?#@]+(/[^\s?#]*)?$", value):
            raise ValueError(
                "is no http(s) URL without user, query and fragment, such as https://cdn.example.com/media"
            )
        return value


class LimitsSection(_Section):
    """What the quota allows."""

    concurrency: int = Field(32, ge=1, le=10_000, description="requests in flight")
    requests_per_minute: float | None = Field(None, gt=0, description="no more than this; unset: no such limit")


class RetrySection(_Section):
    """How long to try."""

    attempts: int = Field(4, ge=1, le=20, description="attempts that a row may use up; a 429 uses none")
    first_wait_s: float = Field(1.0, ge=0, description="ceiling of the first random wait; doubles each time")
    max_wait_s: float = Field(60.0, ge=0, description="ceiling of any wait, the gateway's own wishes included")
    row_deadline_s: float = Field(3600.0, gt=0, description="seconds after which a row is tried no more")


class Job(_Section):
    """One configuration file, validated."""

    name: _Name
    model: str = Field(min_length=1)
    output: str = Field(min_length=1, description="folder of the dataset")
    shard_rows: int | None = Field(None, ge=1, le=1_000_000, description="rows in a part; unset: 10,000 and up")
    manifest: ManifestSection
    gateway: GatewaySection
    prompt: PromptSection
    parameters: dict[str, Any] = Field(default_factory=dict, description="members of the request body")
    media: MediaSection = MediaSection()
    limits: LimitsSection = LimitsSection()
    retry: RetrySection = RetrySection()

    @field_validator("parameters")
    @classmethod
    def _parameters_are_parameters(cls, value: dict[str, Any]) -> dict[str, Any]:
        owned = {"model", "messages", "stream", "stream_options", "n"} & value.keys()
        if owned:
            raise ValueError(f"may not set {', '.join(sorted(owned))}: mediascribe writes these itself")
        for name, member in value.items():
            if not _is_json(member):
                raise ValueError(f"cannot send `{name}`: JSON has no date, no time, no nan and no inf")
        return value

    @property
    def config_sha256(self) -> str:
        """The hash of the whole configuration, for the run file."""
        return digest(self.model_dump(mode="json"))

    @property
    def parameters_sha256(self) -> str:
        """The hash of the request's parameters, for the column of that name."""
        return digest(self.parameters)


def _is_json(value: object) -> bool:
    match value:
        case dict():
            return all(_is_json(member) for member in value.values())
        case list():
            return all(_is_json(member) for member in value)
        case float():
            return math.isfinite(value)
        case _:
            return isinstance(value, str | int)


def load(path: str | Path) -> Job:
    """Read and validate the job file at *path*.

    Raises:
        ConfigError: it is missing, no TOML, or says something that a job cannot say; the message names the line.
    """
    path = Path(path)
    try:
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise ConfigError(f"{path}: there is no such job file{_similar_files(path)}") from None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: cannot be read: {error}") from None
    try:
        raw = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{path}: not valid TOML: {error}") from None
    try:
        return Job.model_validate(raw)
    except ValidationError as error:
        raise ConfigError("\n".join(_explain(path, text, dict(one)) for one in error.errors())) from None


def _similar_files(path: Path) -> str:
    names = sorted(other.name for other in path.parent.glob("*.toml")) if path.parent.is_dir() else []
    nearest = difflib.get_close_matches(path.name, names, n=1) or names[:3]
    return f"; in {path.parent} there is: {', '.join(nearest)}" if nearest else ""


def _explain(path: Path, text: str, problem: dict[str, Any]) -> str:
    """One line: file, line, key, value, what is wrong, what to do."""
    keys = [str(key) for key in problem["loc"]]
    line = line_of(text, keys)
    where = f"{path}:{line}" if line else f"{path}"
    name = ".".join(keys)
    message = problem["msg"][:1].lower() + problem["msg"][1:]
    match problem["type"]:
        case "extra_forbidden":
            return f"{where}: unknown key `{name}`{_nearest_key(keys)}"
        case "missing":
            return f"{where}: `{name}` is missing{_about(keys)}"
        case "model_type":
            return f"{where}: `{name}` = {_quoted(problem['input'])}: wants a table, [{name}]"
        case "value_error":
            unsaid = isinstance(problem["input"], dict) or name == "gateway.api_key_env"
            says = "" if unsaid else f" (it says {_quoted(problem['input'])})"
            return f"{where}: `{name}` {problem['ctx']['error']}{says}"
        case _:
            return f"{where}: `{name}` = {_quoted(problem['input'])}: {message}{_about(keys)}"


def _quoted(value: object) -> str:
    """A value as a message may show it: without secrets, and short."""
    text = redact_text(repr(value))
    return text if len(text) <= _QUOTED_CHARACTERS else text[: _QUOTED_CHARACTERS - 1] + "…"


def _model_at(keys: list[str]) -> type[BaseModel] | None:
    """The section that *keys* lead into."""
    model: type[BaseModel] | None = Job
    for key in keys:
        field = model.model_fields.get(key) if model else None
        kinds = (field.annotation, *get_args(field.annotation)) if field else ()
        model = next((kind for kind in kinds if isinstance(kind, type) and issubclass(kind, BaseModel)), None)
    return model


def _nearest_key(keys: list[str]) -> str:
    """What was meant: a name nearly the same, else the same name in another section, else a similar one."""
    model = _model_at(keys[:-1])
    names = list(model.model_fields) if model else []
    similar = difflib.get_close_matches(keys[-1], names, n=1, cutoff=0.5)
    same = difflib.get_close_matches(keys[-1], similar, n=1, cutoff=0.75)
    elsewhere = [
        f"[{name}]" for name in Job.model_fields if (one := _model_at([name])) and keys[-1] in one.model_fields
    ]
    if elsewhere and not same:
        return f"; it belongs in {elsewhere[0]}"
    return f"; did you mean `{similar[0]}`?" if similar else f"; known here: {', '.join(names)}"


def _about(keys: list[str]) -> str:
    model = _model_at(keys[:-1])
    field = model.model_fields.get(keys[-1]) if model else None
    return f" ({field.description})" if field and field.description else ""


def line_of(text: str, keys: list[str]) -> int | None:
    """The line of a TOML *text* that sets the key at the path *keys*, or that opens its table; None where none does."""
    table: list[str] = []
    opened = None
    for number, line in _lines_outside_texts(text):
        if header := re.match(r"\s*\[+\s*([^\]]+?)\s*\]+", line):
            table = [part.strip(" \"'") for part in header[1].split(".")]
            if table == keys[: len(table)]:
                opened = number
        elif (assigned := re.match(r"\s*([\w.\"'-]+)\s*=", line)) and table == keys[: len(table)]:
            path = table + [part.strip("\"'") for part in assigned[1].split(".")]
            if path == keys[: len(path)]:
                return number
    return opened


def _lines_outside_texts(text: str) -> Iterator[tuple[int, str]]:
    """The numbered lines that do not begin within a text of several lines: what stands there is no TOML."""
    inside = False
    for number, line in enumerate(text.splitlines(), 1):
        if not inside:
            yield number, line
        inside ^= len(re.findall(r"\"{3}|'{3}", line)) % 2 == 1
