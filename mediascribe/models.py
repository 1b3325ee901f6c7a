"""What is known of the models: the dialects that each is served in, the media that it takes, its quirks.

Rules of this file:

- The facts are data: `configs/models.toml`, each with its source. Nothing here knows a model by name.
- A model that the table does not have is no error: nothing is refused for its sake, and it is asked in chat.
- What cannot be sent is said before anything is: of a job by `choose_dialect`, of a row by `refusal`.
"""

from __future__ import annotations

import dataclasses
import difflib
import re
from dataclasses import dataclass
from datetime import date  # noqa: TC003 - pydantic reads the annotations
from types import MappingProxyType
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Final, Literal

import msgspec
from pydantic import ConfigDict, Field, TypeAdapter, ValidationError

from mediascribe import entries
from mediascribe.domain import MEDIA_KINDS, Failure, MediaKind
from mediascribe.errors import ConfigError
from mediascribe.media.address import BUCKET, is_web
from mediascribe.wire import DIALECTS

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence
    from pathlib import Path

    from mediascribe.domain import Item, Media, Thinking
    from mediascribe.entries import Entry
    from mediascribe.job_sections import MediaSection
    from mediascribe.wire import Carriage

DialectName = Literal["chat", "responses", "messages", "generate_content"]
Switch = Literal["thinking", "budget", "enable_thinking", "reasoning_effort"]

# `supported_endpoint_types` of GET /v1/models -> dialect (gateway notes 2.2); it has other types, none of them text.
ENDPOINTS: Final[Mapping[str, DialectName]] = MappingProxyType(
    {"openai": "chat", "openai-response": "responses", "anthropic": "messages", "gemini": "generate_content"}
)
# The body members that each switch of chat may be sent as.
SWITCH_MEMBERS: Final[Mapping[Switch, frozenset[str]]] = MappingProxyType(
    {
        "thinking": frozenset({"thinking", "reasoning_effort"}),
        "budget": frozenset({"thinking"}),
        "enable_thinking": frozenset({"enable_thinking", "thinking_budget"}),
        "reasoning_effort": frozenset({"reasoning_effort"}),
    }
)
RETIRING_DAYS: Final = 60

_FORM: Final = entries.Form(file="model table", key="model", entries="entries")

_Name = Annotated[str, Field(min_length=1)]
_Tokens = Annotated[int, Field(ge=1, le=100_000_000)]
_MimeType = Annotated[str, Field(pattern=r"^(image|audio|video)/[a-z0-9.+-]+$")]
# Other spellings of the types that the table names.
_SAME_TYPE: Final[Mapping[str, str]] = MappingProxyType(
    {"image/jpg": "image/jpeg", "audio/mp3": "audio/mpeg", "audio/wave": "audio/wav", "audio/x-wav": "audio/wav"}
)
# What a vendor hangs onto a name for one snapshot or the newest: -2024-08-06, -20250929, -05-20, -250715, -0905, -001.
_VARIANT = re.compile(r"-(latest|preview|exp|\d{4}-\d\d-\d\d|\d\d-\d{4}|\d\d-\d\d|\d{8}|\d{6}|\d{3,4})$", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class Model:
    """One model of the gateway. `configs/models.toml` says in its head what each member means."""

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid", strict=True)

    name: _Name
    vendor: _Name
    family: _Name
    dialects: Annotated[tuple[DialectName, ...], Field(min_length=1)]
    media: tuple[MediaKind, ...]
    inline_only: tuple[MediaKind, ...] = ()
    types: tuple[_MimeType, ...] = ()
    one_medium: bool = False
    one_kind: bool = False
    thinking: Switch | None = None
    drops: tuple[_Name, ...] = ()
    retires: date | None = None
    context_tokens: _Tokens | None = None
    answer_tokens: _Tokens | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelTable:
    """The models by name. `stems` has those that are known only as one snapshot, by their name without it."""

    models: Mapping[str, Model]
    stems: Mapping[str, Model]

    def get(self, name: str) -> Model | None:
        """What is known of the model *name*; None where nothing is.

        Words for the sandbox (`name+slow=1`) are no part of the name. The name is looked up as it is; then, one
        suffix such as `-2024-08-06`, `-0905`, `-latest` or `-preview` after the other taken away, as what is left;
        then a name without a suffix stands for the first snapshot of it that is listed. A variant has all that its base
        has, and its own name. Any other suffix (`-mini`, `-image`, `-tts`) makes another model.
        """
        name = name.partition("+")[0]
        stem = _stem(name, self.models)
        known = self.models.get(stem) or self.stems.get(stem)
        return known and dataclasses.replace(known, name=name)


def _stem(name: str, known: Collection[str] = ()) -> str:
    """*name* without its variant suffixes, as far as the first that is *known*."""
    while name not in known and (variant := _VARIANT.search(name)):
        name = name[: variant.start()]
    return name


def load(path: Path | None = None) -> ModelTable:
    """The table in the file at *path*; without one, a table that knows no model.

    Raises:
        ConfigError: the file is missing, no TOML, or has an entry that is no model; the message names file and line.
    """
    if path is None:
        return ModelTable(models={}, stems={})
    _, listed = entries.read(path, _FORM)
    validator = TypeAdapter(Model)
    models: dict[str, Model] = {}
    for entry in listed:
        model = _model(entry, validator)
        if model.name in models:
            raise ConfigError(f"{entry.where('name')}: `name` = '{model.name}' stands twice: keep one")
        models[model.name] = model
    stems = {_stem(name): model for name, model in reversed(models.items())}  # the first one listed wins
    return ModelTable(models=MappingProxyType(models), stems=MappingProxyType(stems))


def _model(entry: Entry, validator: TypeAdapter[Model]) -> Model:
    """The model that *entry* describes."""
    try:
        # As JSON, where a list is a tuple and a date is a string, but a string is no number and no yes or no.
        return validator.validate_json(msgspec.json.encode(entry.table))
    except ValidationError as error:
        raise ConfigError("\n".join(_explain(entry, dict(one)) for one in error.errors())) from None


def _explain(entry: Entry, problem: Mapping[str, Any]) -> str:
    """One line: file, line, key, value, what is wrong."""
    key = str(problem["loc"][0])
    if problem["type"] == "unexpected_keyword_argument":
        names = [field.name for field in dataclasses.fields(Model)]
        return f"{entry.where(key)}: unknown key `{key}`{_nearest(key, names)}"
    if problem["type"] == "missing":
        return f"{entry.where(key)}: `{key}` is missing"
    says = problem["msg"][:1].lower() + problem["msg"][1:]
    return f"{entry.where(key)}: `{key}`: {says} (it says {problem['input']!r})"


def _nearest(word: str, known: Sequence[str]) -> str:
    similar = difflib.get_close_matches(word, known, n=1, cutoff=0.5)
    return f"; did you mean `{similar[0]}`?" if similar else f"; known are: {', '.join(known)}"


def choose_dialect(
    model: Model | None, wanted: str, kinds: Collection[MediaKind], served: Collection[str] | None = None
) -> str:
    """The dialect in which *model* is asked about media of *kinds*: the one *wanted*, or with `auto` the best.

    The best is the first of the model's own that carries all the kinds and that the gateway serves. *served* has the
    model's `supported_endpoint_types` where they are known; what they say goes before the table. A dialect that the
    table has and the job names is taken all the same: the gateway's list need not be complete. A model that neither
    knows is asked in chat.

    Raises:
        ConfigError: the model or the dialect cannot; the message says what to do.
    """
    offered = [dialect for endpoint, dialect in ENDPOINTS.items() if endpoint in (served or ())]
    known: Sequence[str] = model.dialects if model else ("chat",)
    if wanted == "auto":
        names = [name for name in known if name in offered] or offered or known
    elif wanted not in DIALECTS:
        raise ConfigError(f"there is no dialect `{wanted}`{_nearest(wanted, ['auto', *DIALECTS])}")
    elif model and wanted not in {*known, *offered}:
        served_in = f"`{model.name}` is served in {' or '.join(known)}, not in {wanted}"
        raise ConfigError(f'{served_in}; set gateway.dialect = "auto", or correct `dialects` in the model table')
    else:
        names = [wanted]
    asked = [kind for kind in MEDIA_KINDS if kind in kinds]
    problems = {name: [said for kind in asked if (said := _unfit(model, name, kind))] for name in names}
    if (best := next((name for name in names if not problems[name]), None)) is None:
        raise ConfigError(problems[names[0]][0])
    return best


def refusal(model: Model | None, dialect: str, item: Item, media: MediaSection | None = None) -> Failure | None:
    """Why *item* cannot be asked of *model* in *dialect*, known before anything is sent; None where nothing is wrong.

    Its media are looked at as the manifest names them: a data URL goes inline and says its type, any other by URL, if
    the job's section *media* does not have it fetched and sent.
    """
    mode = media.mode if media else "url"
    for one in item.media:
        inline = mode == "inline" or not is_web(one.url, media.base_url if media else None)
        if mode == "url" and BUCKET.match(one.url):
            return _failure(item, "unsupported_media", f'`{one.url}` is fetched by us only: set [media] mode = "probe"')
        mistyped = None if mode == "inline" else _mistyped(model, one)
        problem = _unfit(model, dialect, one.kind, "inline" if inline else "url") or mistyped
        if problem:
            return _failure(item, "unsupported_media", problem)
    kinds = [kind for kind in MEDIA_KINDS if any(one.kind == kind for one in item.media)]
    if model and model.one_medium and len(item.media) > 1:
        problem = f"`{model.name}` takes one medium in a message, and this row has {len(item.media)}"
        return _failure(item, "too_many_media", f"{problem}; give each a row of its own")
    if model and model.one_kind and len(kinds) > 1:
        problem = f"`{model.name}` does not take {' and '.join(kinds)} together"
        return _failure(item, "mixed_media", f"{problem}; give each kind a row of its own")
    return None


def warnings(
    model: Model | None, parameters: Mapping[str, Any], on: date, *, thinking: Thinking | None = None
) -> list[str]:
    """What a person should know before a run on the day *on* that sends *parameters*, and wants *thinking* so."""
    if model is None:
        return []
    said = _retirement(model, on)
    said += [
        f"`{model.name}` does not heed `{name}`: the gateway drops it, or the model refuses it; leave it out"
        for name in parameters
        if name in model.drops
    ]
    own = SWITCH_MEMBERS[model.thinking] if model.thinking else frozenset()
    knows = f"its thinking switch is `{model.thinking}`" if model.thinking else "no thinking switch of it is known"
    if thinking and not own:
        said.append(f'`{model.name}`: {knows}; thinking = "{thinking}" may change nothing')
    foreign = [name for name in parameters if name in frozenset().union(*SWITCH_MEMBERS.values()) - own]
    return said + [
        f"`{model.name}`: {knows}; the parameter `{name}` may change nothing, or be refused" for name in foreign
    ]


def _unfit(model: Model | None, dialect: str, kind: MediaKind, way: Carriage | None = None) -> str | None:
    """What keeps a medium of *kind* from going to *model* in *dialect*, by the *way* that it would travel."""
    if model and kind not in model.media:
        takes = " and ".join(("text", *model.media)) if model.media else "text only"
        return f"`{model.name}` takes no {kind} (it takes {takes}); choose another model, or leave the {kind} out"
    if model and way == "url" and kind in model.inline_only:
        return f"`{model.name}` takes {kind} inline only, not by URL; give it as a data: URL"
    if _carries(dialect, kind, way):
        return None
    how = {"url": " by URL", "inline": " inline, as a data: URL", None: ""}[way]
    able = [name for name in (model.dialects if model else DIALECTS) if _carries(name, kind, way)]
    advice = f'set gateway.dialect = "{able[0]}"' if able else f"choose another model, or leave the {kind} out"
    return f"the {dialect} dialect carries no {kind}{how}; {advice}"


def _carries(dialect: str, kind: MediaKind, way: Carriage | None) -> bool:
    ways = DIALECTS[dialect].carries.get(kind, frozenset()) if dialect in DIALECTS else frozenset()
    return bool(ways) if way is None else way in ways


def _mistyped(model: Model | None, media: Media) -> str | None:
    """What is wrong with the type that a data URL says, where the table knows the types of its kind."""
    said = re.match(r"data:([^;,\s]+)", media.url[:100], re.IGNORECASE)
    allowed = [name for name in model.types if name.startswith(media.kind)] if model else []
    if not model or not said or not allowed or _SAME_TYPE.get(said[1].lower(), said[1].lower()) in allowed:
        return None
    return f"`{model.name}` takes no {said[1].lower()} (it takes {', '.join(allowed)}); convert it"


def _failure(item: Item, code: str, problem: str) -> Failure:
    return Failure(error_class="row", code=code, message=f"row {item.row_number}: {problem}")


def _retirement(model: Model, on: date) -> list[str]:
    if model.retires is None or (model.retires - on).days > RETIRING_DAYS:
        return []
    if on < model.retires:
        return [f"`{model.name}` retires on {model.retires}: plan for another model"]
    return [f"`{model.name}` was to retire on {model.retires}: it may not be served any more; see GET /v1/models"]
