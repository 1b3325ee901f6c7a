"""Starter: a commented job file, from four answers and a look at the manifest.

Every key stands in it with what the job's own sections say of it (`job_sections`), so that the file never lags behind
them; what may be left out and has no default is commented out, with an example.
"""

from __future__ import annotations

import json
import re
import shlex
import tomllib
from dataclasses import dataclass
from decimal import Decimal
from types import MappingProxyType, UnionType
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError

from mediascribe.errors import ConfigError
from mediascribe.job import SANDBOX_URL, Job
from mediascribe.manifest_look import Look, look
from mediascribe.redact import redact_text

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from pydantic.fields import FieldInfo

PROMPT: Final = "Describe the attached media in one to three sentences."
_COMMENT_AT: Final = 47
_NAME_LENGTH: Final = 64
# Of those keys whose sections say nothing of them.
_COMMENTS: Final = MappingProxyType({"name": "stands in the `job` column", "model": "as the gateway names it"})
_EXAMPLES: Final[Mapping[Any, Any]] = MappingProxyType(
    {str: "...", int: 1000, float: 60.0, Decimal: Decimal("5.00"), Any: "..."}
)
_EXAMPLES_OF: Final = MappingProxyType(
    {
        "fallback": ["gemini-2.5-flash"],
        "prompt.file": "configs/prompts/describe.md",
        "prompt.system": "You write catalogue entries.",
        "media.base_url": "https://cdn.example.com/media",
        "media.allow": ["media.corp.example", "10.2.0.0/16"],
        "media.clip_s": [0.0, 60.0],
        "media.fps": 1.0,
        "media.frames": 16,
        "media.max_side": 1024,
        "media.split_s": 600.0,
        "answer.schema_file": "configs/schema.json",
        "engine.workers": 4,
        "engine.address": "tcp://10.0.0.5:8786",
    }
)
_PARAMETERS: Final = MappingProxyType({"max_tokens": 300, "temperature": 0.2})
_OPTIONS: Final = MappingProxyType(
    {
        "model": ("--model", "model"),
        "output": ("--output", "output"),
        "gateway.base_url": ("--base-url", "base_url"),
        "manifest.path": ("--manifest", "manifest"),
    }
)
_HEAD: Final = """\
# A job: what is asked of which model, about which manifest, into which output. Run it with:
#
{steps}
#
# Every key of a job file stands here, with its default; a line that begins with `# ` is an example. Paths are relative
# to the folder in which the command runs. An unknown key is refused, with the nearest one that exists.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answers:
    """What only a person knows. `base_url` may be `sandbox`, the embedded gateway."""

    manifest: str
    base_url: str
    model: str
    output: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Started:
    """A job file that was written, what was found in the manifest, and what to see to by hand."""

    path: str
    found: Look
    advice: list[str]


def start(path: Path, answers: Answers) -> Started:
    """Write a job file at *path*, where no file is yet.

    Raises:
        ConfigError: there is one, it cannot be written, the manifest cannot be read, or an answer is none.
    """
    refuse_existing(path)
    found = look(answers.manifest)
    content = text(path, answers, found)
    _see_that_it_is_a_job(content, answers)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("x", encoding="utf-8") as file:
            file.write(content)
    except OSError as error:
        if isinstance(error, FileExistsError) and path.exists():
            raise _existing(path) from None
        raise ConfigError(f"{path}: cannot be written: {error.strerror}") from None
    return Started(path=str(path), found=found, advice=list(_advice(answers, found)))


def refuse_existing(path: Path) -> None:
    """See that nothing is at *path*.

    Raises:
        ConfigError: something is.
    """
    if path.exists():
        raise _existing(path)


def text(path: Path, answers: Answers, found: Look) -> str:
    """The job file that is to lie at *path*."""
    given = _given(path, answers, found)
    key = "export MEDIASCRIBE_API_KEY=..." if answers.base_url != SANDBOX_URL else None
    steps = [key, *(f"mediascribe {command} {shlex.quote(str(path))}" for command in ("doctor", "try", "run"))]
    lines = [_HEAD.format(steps="\n".join(f"#   {step}" for step in steps if step))]
    sections = {name: section for name, field in Job.model_fields.items() if (section := _section(field))}
    for name, field in Job.model_fields.items():
        if name not in sections and name != "parameters":
            lines.append(_line(name, field, given))
    for name, field in Job.model_fields.items():
        if name == "parameters":
            members = (f"{key} = {_toml(value)}" for key, value in _PARAMETERS.items())
            lines += [f"\n{_beside('[parameters]', field.description)}", *members]
        elif section := sections.get(name):
            lines.append(f"\n{_beside(f'[{name}]', (section.__doc__ or '').splitlines()[0])}")
            lines += [_line(f"{name}.{key}", one, given) for key, one in section.model_fields.items()]
    return "\n".join(lines) + "\n"


def _given(path: Path, answers: Answers, found: Look) -> dict[str, Any]:
    """The values that are not the defaults, by `section.key`."""
    name = re.sub(r"[^A-Za-z0-9._-]", "-", path.stem).lstrip("._-")[:_NAME_LENGTH]
    given: dict[str, Any] = {
        "name": name or "job",
        "model": answers.model,
        "output": answers.output,
        "manifest.path": answers.manifest,
        "gateway.base_url": answers.base_url,
        "prompt.text": PROMPT,
    }
    given |= {f"manifest.{kind}": columns for kind, columns in found.media.items()}
    if found.pair:
        given |= {"manifest.url": found.pair[0], "manifest.media_kind": found.pair[1]}
    if found.item_id:
        given["manifest.item_id"] = found.item_id
    if found.carry:
        given["manifest.carry"] = dict(found.carry)
    if found.relative and answers.base_url == SANDBOX_URL:
        given["media.base_url"] = SANDBOX_URL
    return given


def _see_that_it_is_a_job(content: str, answers: Answers) -> None:
    """Refuse an answer that no job can have, by the name of its option."""
    try:
        Job.model_validate(tomllib.loads(content))
    except ValidationError as error:
        said = []
        for one in error.errors():
            place = ".".join(map(str, one["loc"]))
            option, value = _OPTIONS.get(place, (place, None))
            reason = one["ctx"]["error"] if one["type"] == "value_error" else one["msg"]
            said.append(f"{option} {redact_text(getattr(answers, value)) if value else ''}: {reason}")
        raise ConfigError("\n".join(said)) from None


def _advice(answers: Answers, found: Look) -> Iterator[str]:
    """What to see to by hand."""
    if found.guessed:
        yield f"nothing tells what kind of media `{found.media['image'][0]}` holds: image was taken; see [manifest]"
    if found.relative and answers.base_url != SANDBOX_URL:
        yield "some URLs are relative: set base_url in [media] to what stands before them"
    if found.item_id is None:
        yield "no column names the rows: an id is the hash of what is asked; see item_id in [manifest]"


def _existing(path: Path) -> ConfigError:
    return ConfigError(f"{path}: there is such a file, and init never overwrites: name another, or remove it")


def _line(place: str, field: FieldInfo, given: Mapping[str, Any]) -> str:
    """The line of one key: as given, else its default, else commented out with an example."""
    name, comment = field.alias or place.rpartition(".")[2], field.description or _COMMENTS.get(place)
    default = None if field.is_required() else field.get_default(call_default_factory=True)
    value = given.get(place, default)
    if place in given or not (value in (None, [], {}) or isinstance(value, BaseModel)):
        return _beside(f"{name} = {_toml(value)}", comment)
    example = _EXAMPLES_OF.get(place) or _example(field.annotation)
    return _beside(f"# {name} = {_toml(example)}", comment)


def _beside(code: str, comment: str | None) -> str:
    return f"{code:<{_COMMENT_AT - 1}} # {comment}" if comment else code


def _section(field: FieldInfo) -> type[BaseModel] | None:
    kind = field.annotation
    return kind if isinstance(kind, type) and issubclass(kind, BaseModel) else None


def _example(kind: Any) -> Any:  # noqa: ANN401 - a type, and a value of it
    """A value that a key of this type may have."""
    origin, members = get_origin(kind), get_args(kind)
    if origin in (Union, UnionType):
        return _example(next(one for one in members if one is not type(None)))
    if origin in (Annotated, Literal):
        return _example(members[0]) if origin is Annotated else members[0]
    if origin in (list, tuple):
        return [_example(member) for member in members]
    if origin is dict:
        return {"name": _example(members[1])}
    if isinstance(kind, type) and issubclass(kind, BaseModel):
        name, field = next(iter(kind.model_fields.items()))
        return {name: _example(field.annotation)}
    return _EXAMPLES[kind]


def _toml(value: Any) -> str:  # noqa: ANN401 - any value of a job
    """*value* as TOML writes it, on one line."""
    match value:
        case dict():
            return f"{{ {', '.join(f'{_key(name)} = {_toml(one)}' for name, one in value.items())} }}"
        case list() | tuple():
            return f"[{', '.join(map(_toml, value))}]"
        case str():
            return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
        case bool():
            return str(value).lower()
        case _:
            return str(value)


def _key(name: str) -> str:
    return name if re.fullmatch(r"[A-Za-z0-9_-]+", name) else _toml(name)
