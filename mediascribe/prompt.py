"""The prompt of a job: a Jinja2 template and one row's variables become the text that is sent.

The template sees the row's variables and nothing else: no files, no Python objects, and nothing that gives another text
the next time (`range` is no function here, `random` no filter), because the text decides whether a row is asked again.
"""

from __future__ import annotations

import difflib
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from jinja2 import StrictUndefined, TemplateError, TemplateSyntaxError, meta, nodes
from jinja2.sandbox import ImmutableSandboxedEnvironment

from mediascribe.domain import digest
from mediascribe.errors import ConfigError
from mediascribe.redact import redact_text

if TYPE_CHECKING:
    from collections.abc import Mapping

    from jinja2 import Template

    from mediascribe.job_sections import PromptSection

_SHOWN_CHARACTERS: Final = 200
_OTHER_FILES: Final = (nodes.Include, nodes.Import, nodes.FromImport, nodes.Extends)
# What a template's own expressions can raise: an operator or a filter on a value of another type than it wants.
_ROW_FAULTS: Final = (
    TemplateError,
    ArithmeticError,
    AttributeError,
    LookupError,
    RecursionError,
    TypeError,
    ValueError,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Prompt:
    """A template, and the system message's, ready to render.

    `sha256` is the hash of both texts and of nothing else: the prompt's id may change. `variables` are the names that
    they use: columns of the manifest.
    """

    id: str
    template: str
    system: str | None
    sha256: str
    variables: frozenset[str]
    compiled: Template = field(compare=False, repr=False)
    compiled_system: Template | None = field(compare=False, repr=False)


def load(section: PromptSection, *, job_path: str | None = None) -> Prompt:
    """The prompt that *section* describes; a file's path counts from the current folder, as the manifest's does.

    White space at both ends of a template is no part of it. *job_path* is for messages.

    Raises:
        ConfigError: the file cannot be read, a template is empty or wrong; the message names file and line.
    """
    text, place = _source(section, job_path)
    environment = _environment()
    compiled, variables = _compile(environment, text, place)
    compiled_system = None
    if section.system is not None:
        compiled_system, more = _compile(environment, section.system, _in_job(job_path, "prompt.system"))
        variables |= more
    system = None if section.system is None else section.system.strip()
    return Prompt(
        id=section.id,
        template=text.strip(),
        system=system,
        sha256=digest([text.strip(), system]),
        variables=variables,
        compiled=compiled,
        compiled_system=compiled_system,
    )


def render(prompt: Prompt, variables: Mapping[str, Any]) -> tuple[str, str | None]:
    """The user's text and the system's for one row, without white space at their ends; an empty system text is None.

    A null is the empty text, wherever it stands: `{{ x | upper }}` of it is empty, not `NONE`.

    Raises:
        ValueError: the template cannot be rendered with this row's values, or nothing comes out. The row is at fault,
            not the run, so this is not one of the project's errors: the caller makes a Failure of it.
    """
    known = {name: "" if value is None else value for name, value in variables.items()}
    text = _render(prompt.compiled, known, f"prompt `{prompt.id}`")
    if not text:
        raise ValueError(f"prompt `{prompt.id}`: nothing is left to ask, the row's variables are empty")
    if prompt.compiled_system is None:
        return text, None
    return text, _render(prompt.compiled_system, known, f"system message of prompt `{prompt.id}`") or None


def _source(section: PromptSection, job_path: str | None) -> tuple[str, str]:
    """The template's text, and what to call its place."""
    if section.file is None:
        return section.text or "", _in_job(job_path, "prompt.text")
    file = Path(section.file)
    where = f"{_in_job(job_path, 'prompt.file')}: {file}"
    try:
        return file.read_text(encoding="utf-8-sig"), str(file)
    except FileNotFoundError:
        raise ConfigError(f"{where}: there is no such file{_similar_file(file)}") from None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{where}: cannot be read as UTF-8 text: {error}") from None


def _in_job(job_path: str | None, key: str) -> str:
    return f"{job_path}: `{key}`" if job_path else f"`{key}`"


def _similar_file(file: Path) -> str:
    names = sorted(other.name for other in file.parent.glob("*")) if file.parent.is_dir() else []
    nearest = difflib.get_close_matches(file.name, names, n=1)
    return f"; in {file.parent} there is: {nearest[0]}" if nearest else f" (counted from {Path.cwd()})"


def _environment() -> ImmutableSandboxedEnvironment:
    environment = ImmutableSandboxedEnvironment(
        autoescape=False,  # the text goes to a model, not into a page: escaped, `<` would arrive as `&lt;`
        undefined=StrictUndefined,
        finalize=lambda value: "" if value is None else value,
    )
    environment.globals.clear()
    del environment.filters["random"]
    return environment


def _compile(environment: ImmutableSandboxedEnvironment, text: str, place: str) -> tuple[Template, frozenset[str]]:
    """The compiled template, and the names that it uses."""
    if not text.strip():
        raise ConfigError(f"{place}: the template is empty")
    try:
        tree = environment.parse(text)
        variables = frozenset(meta.find_undeclared_variables(tree))
        compiled = environment.from_string(tree)
    except TemplateSyntaxError as error:
        raise ConfigError(f"{place}, line {error.lineno}: {error.message}") from None
    except (SyntaxError, RecursionError, ValueError) as error:  # what only Python refuses: an argument given twice
        raise ConfigError(f"{place}: cannot be compiled: {error}") from None
    other = next((node for kind in _OTHER_FILES for node in tree.find_all(kind)), None)
    if other is not None:
        raise ConfigError(f"{place}, line {other.lineno}: a prompt cannot take in another file; write it out")
    return compiled, variables


def _render(template: Template, variables: Mapping[str, Any], name: str) -> str:
    try:
        return template.render(variables).strip()
    except _ROW_FAULTS as error:
        reason = redact_text(str(error) or type(error).__name__)[:_SHOWN_CHARACTERS]
        raise ValueError(f"{name}: cannot be rendered for this row: {reason}") from None
