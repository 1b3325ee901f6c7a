"""Variants: a job asked in two ways, which differ in the prompt, the model or the parameters."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
from pydantic import ValidationError

from mediascribe import budget, manifest, models, prompt
from mediascribe.errors import ConfigError
from mediascribe.inputs import named
from mediascribe.job import Job
from mediascribe.job_sections import PromptSection
from mediascribe.trial import Side

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mediascribe.inputs import Inputs
    from mediascribe.prompt import Prompt


@dataclass(frozen=True, slots=True, kw_only=True)
class Changes:
    """What the two sides have of their own, each at most twice; one alone stands against the job's own.

    Attributes:
        prompts: files with a template.
        models: names of models.
        parameters: `name=value, ...` or a JSON object, put over the job's parameters; null takes one away.
    """

    prompts: Sequence[str] = ()
    models: Sequence[str] = ()
    parameters: Sequence[str] = ()


def sides(inputs: Inputs, changes: Changes) -> tuple[Side, Side]:
    """The job of *inputs* in two ways, with the same manifest, whose items have what either prompt uses.

    Raises:
        ConfigError: nothing differs, or a prompt, a model or a parameter is none.
    """
    pairs = {
        "--prompt": _pair("--prompt", changes.prompts),
        "--model": _pair("--model", changes.models),
        "--parameters": _pair("--parameters", changes.parameters),
    }
    if not any(pairs.values()):
        raise ConfigError(
            "nothing to compare: give --prompt, --model or --parameters twice, or once against the job's own"
        )
    first, second = (
        _changed(inputs, {option: pair[side] for option, pair in pairs.items() if pair}) for side in (0, 1)
    )
    variables = first.prompt.variables | second.prompt.variables
    relative_urls = inputs.job.media.base_url is not None
    rows = manifest.open_manifest(inputs.job.manifest, variables=variables, relative_urls=relative_urls)
    own = {
        "--prompt": f"prompt {inputs.prompt.id}",
        "--model": inputs.job.model,
        "--parameters": "the job's parameters",
    }
    names = [", ".join(pair[side] or own[option] for option, pair in pairs.items() if pair) for side in (0, 1)]
    made = [
        Side(name=name, inputs=replace(one, manifest=rows)) for name, one in zip(names, (first, second), strict=True)
    ]
    return made[0], made[1]


def parameters(text: str) -> dict[str, Any]:
    """What *text* says: a JSON object, or `name=value` with commas between them, each value JSON or else text.

    Raises:
        ConfigError: it says neither.
    """
    if text.lstrip().startswith("{"):
        try:
            members: dict[str, Any] = msgspec.json.decode(text, type=dict[str, Any])
        except msgspec.DecodeError as error:
            raise ConfigError(f"--parameters {text}: is no JSON object: {error}") from None
        return members
    pairs = [one.partition("=") for one in text.split(",")]
    if not all(equals and name.strip() for name, equals, _ in pairs):
        raise ConfigError(f'--parameters {text}: write name=value,name=value, or a JSON object: {{"name": value}}')
    return {name.strip(): _value(value.strip()) for name, _, value in pairs}


def _value(text: str) -> Any:  # noqa: ANN401 - any JSON value
    try:
        return msgspec.json.decode(text)
    except msgspec.DecodeError:
        return text


def _pair(option: str, given: Sequence[str]) -> tuple[str | None, str | None] | None:
    """What the sides have; the job's own is None."""
    match [*given]:
        case []:
            return None
        case [one]:
            return None, one
        case [first, second]:
            return first, second
        case _:
            raise ConfigError(f"{option} stands {len(given)} times: two sides are compared, give it twice at most")


def _changed(inputs: Inputs, change: dict[str, str | None]) -> Inputs:
    """*inputs* of the changed job."""
    asked = inputs.job
    if text := change.get("--parameters"):
        asked = _with_parameters(asked, text)
    if name := change.get("--model"):
        asked = asked.model_copy(update={"model": name})
    template = _prompt(asked, path) if (path := change.get("--prompt")) else inputs.prompt
    model = inputs.models.get(asked.model)
    with named(inputs.job_path):
        budget.check(asked.budget, [asked.model, *asked.fallback], inputs.prices, datetime.now(UTC).date())
        kinds = inputs.manifest.kinds
        taken = kinds & frozenset(model.media) if model else kinds
        dialect = models.choose_dialect(model, asked.gateway.dialect, taken or kinds)
    return replace(inputs, job=asked, prompt=template, model=model, dialect=dialect)


def _with_parameters(asked: Job, text: str) -> Job:
    merged = {**asked.parameters, **parameters(text)}
    known = {name: value for name, value in merged.items() if value is not None}
    try:
        return Job.model_validate(asked.model_dump(by_alias=True) | {"parameters": known})
    except ValidationError as error:
        raise ConfigError(f"--parameters {text}: {error.errors()[0]['msg']}") from None


def _prompt(asked: Job, path: str) -> Prompt:
    """The template in the file at *path*, with the job's system message; the file's name is its id."""
    name = re.sub(r"[^A-Za-z0-9._-]", "-", Path(path).stem).lstrip("._-")[:64]
    section = PromptSection(id=name or "variant", file=path, system=asked.prompt.system)
    return prompt.load(section, job_path="--prompt")
