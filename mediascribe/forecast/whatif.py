"""What-if: another model, smaller pictures, less detail or shorter answers, and what media weigh then, by rules."""

from __future__ import annotations

import difflib
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Final, Literal

from mediascribe.errors import ConfigError
from mediascribe.job_sections import MediaSection
from mediascribe.media import choices, sizes, tokens
from mediascribe.media.tokens import Facts

if TYPE_CHECKING:
    from mediascribe.domain import MediaKind
    from mediascribe.models import Model

Detail = Literal["low", "high"]

_DETAILS: Final[tuple[Detail, ...]] = ("low", "high")
_BY_URL: Final = MediaSection(mode="url")
_ASPECTS: Final = (1.0, 4 / 3, 3 / 2, 16 / 9, 2.0, 3.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class WhatIf:
    """What would be different; None: as the job has it. `max_side` is that of pictures, in pixels."""

    model: str | None = None
    max_side: int | None = None
    detail: Detail | None = None
    max_tokens: int | None = None

    def __str__(self) -> str:
        said = ((one.name, getattr(self, one.name)) for one in fields(self))
        return ", ".join(f"{name}={value}" for name, value in said if value is not None)


AS_IT_IS: Final = WhatIf()


def parse(text: str) -> WhatIf:
    """The what-if that *text* says, such as `model=gemini-2.5-flash-lite,max_side=768,detail=low,max_tokens=100`.

    Raises:
        ConfigError: an unknown name, or a value that it cannot have.
    """
    names = [one.name for one in fields(WhatIf)]
    found: dict[str, str | int] = {}
    for pair in filter(None, (one.strip() for one in text.split(","))):
        name, _, value = (part.strip() for part in pair.partition("="))
        if name not in names:
            nearest = difflib.get_close_matches(name, names, n=1)
            meant = f"; did you mean `{nearest[0]}`?" if nearest else ""
            raise ConfigError(f"--what-if {text}: there is no `{name}`{meant}; there are: {', '.join(names)}")
        found[name] = _value(text, name, value)
    if not found:
        raise ConfigError(f"--what-if {text}: write what would be different, such as model=gemini-2.5-flash-lite")
    return WhatIf(**found)  # type: ignore[arg-type]  # each value was checked by its name


def _value(text: str, name: str, value: str) -> str | int:
    if name in {"max_side", "max_tokens"}:
        if not value.isdecimal() or not int(value):
            raise ConfigError(f"--what-if {text}: `{name}` wants a whole number, 1 or more")
        return int(value)
    if name == "detail" and value not in _DETAILS:
        raise ConfigError(f"--what-if {text}: `detail` is low or high")
    if not value:
        raise ConfigError(f"--what-if {text}: `{name}` wants a value")
    return value


@dataclass(frozen=True, slots=True, kw_only=True)
class Scale:
    """What media weigh for one model, which is None where the table does not know it."""

    model: Model | None
    sharp: bool = False
    what_if: WhatIf = AS_IT_IS
    media: MediaSection = _BY_URL

    def weigh(self, kind: MediaKind, facts: Facts) -> int | None:
        """What a medium probably weighs as it is sent; None where no rule says, or what it needs is not known."""
        if kind == "image" and (low := self.low_detail) is not None:
            return low
        if self.media.mode == "inline":
            return self._inline(kind, facts)
        return tokens.expected(kind, self._fitted(kind, facts), self.model, sharp=self.sharp)

    @property
    def low_detail(self) -> int | None:
        """What every picture weighs where detail is low; None where it is not, or no rule says."""
        detail = self.what_if.detail or self.media.detail
        return sizes.low_detail_tokens(self.model) if detail == "low" else None

    @property
    def picture_at_most(self) -> int | None:
        """What a picture of unknown size weighs at most, by `max_side`; None: no bound is known."""
        side = self.what_if.max_side
        if side is None:
            return None
        shapes = [Facts(width=side, height=max(1, round(side / aspect))) for aspect in _ASPECTS]
        return max((weight for size in shapes if (weight := self.weigh("image", size)) is not None), default=None)

    def _fitted(self, kind: MediaKind, facts: Facts) -> Facts:
        side, width, height = self.what_if.max_side, facts.width, facts.height
        if kind != "image" or side is None or not width or not height or max(width, height) <= side:
            return facts
        scale = side / max(width, height)
        return Facts(width=max(1, round(width * scale)), height=max(1, round(height * scale)))

    def _inline(self, kind: MediaKind, facts: Facts) -> int | None:
        """What a medium weighs that is fetched and made fit: smaller, shorter, with fewer frames."""
        wanted = {"max_side": self.what_if.max_side, "detail": self.what_if.detail}
        section = self.media.model_copy(update={name: value for name, value in wanted.items() if value})
        if kind == "image" and facts.width and facts.height:
            return sizes.billed(facts.width, facts.height, model=self.model, section=section)
        if kind == "video":
            return choices.chosen(facts, model=self.model, section=section).tokens
        if kind == "audio" and section.clip_s and facts.seconds is not None:
            facts = Facts(seconds=max(0.0, min(facts.seconds, section.clip_s[1]) - section.clip_s[0]))
        return tokens.expected(kind, facts, self.model, sharp=self.sharp)
