"""Job: one TOML file that says what is asked of which model, about which manifest, into which output.

A person writes this file, so every mistake in it is answered with the file, the line, the value and what to do.
"""

from __future__ import annotations

import difflib
import math
import re
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

from pydantic import BaseModel, Field, ValidationError, field_validator

from mediascribe.domain import Thinking, digest
from mediascribe.errors import ConfigError
from mediascribe.job_sections import (
    SANDBOX_URL,
    AnswerSection,
    BudgetSection,
    EngineSection,
    GatewaySection,
    LimitsSection,
    ManifestSection,
    MediaSection,
    Name,
    PromptSection,
    RetrySection,
    Section,
)
from mediascribe.redact import redact_text

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["SANDBOX_URL", "Job", "load"]

_QUOTED_CHARACTERS = 80
# Of [media], what changes what a model is shown.
_SHOWN = frozenset({"max_side", "detail", "fps", "frames", "clip_s", "split_s", "split_at", "join", "max_tokens"})


class Job(Section):
    """One configuration file, validated."""

    name: Name
    model: str = Field(min_length=1)
    output: str = Field(min_length=1, description="folder of the dataset")
    shard_rows: int | None = Field(None, ge=1, le=1_000_000, description="rows in a part; unset: 10,000 and up")
    fallback: list[str] = Field(
        default_factory=list,
        description="models to ask once more where the first refuses or fails; the first that fits",
    )
    thinking: Thinking | None = Field(None, description="how much the model may think first; unset: its own default")
    manifest: ManifestSection
    gateway: GatewaySection
    prompt: PromptSection
    parameters: dict[str, Any] = Field(default_factory=dict, description="members of the request body")
    media: MediaSection = MediaSection()
    answer: AnswerSection = AnswerSection()
    limits: LimitsSection = LimitsSection()
    budget: BudgetSection = BudgetSection()
    retry: RetrySection = RetrySection()
    engine: EngineSection = EngineSection()

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
        """The hash of the request's parameters, thinking, schema and form of media, for the column of that name."""
        asked = [self.parameters, self.thinking, self.answer.model_dump(by_alias=True)]
        sent = {name: getattr(self.media, name) for name in self.media.model_fields_set & _SHOWN}
        usual = MediaSection()
        unusual = {name: value for name, value in sent.items() if value != getattr(usual, name)}
        return digest([*asked, unusual] if unusual else asked)


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
        return f"; it belongs in {' or '.join(elsewhere)}"
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
