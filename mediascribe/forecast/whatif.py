"""What-if: another model, smaller pictures, less detail or shorter answers, and what media weigh then, by rules."""

from __future__ import annotations

import difflib
import re
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Final, Literal

from mediascribe.errors import ConfigError
from mediascribe.media import tokens
from mediascribe.media.tokens import Facts

if TYPE_CHECKING:
    from mediascribe.domain import MediaKind
    from mediascribe.models import Model

Detail = Literal["low", "high"]

_DETAILS: Final[tuple[Detail, ...]] = ("low", "high")
_ASPECTS: Final = (1.0, 4 / 3, 3 / 2, 16 / 9, 2.0, 3.0)
# What a picture of low detail weighs (gateway notes 4.1 and 4.2), None where no rule says; the first row that fits.
_LOW: Final = tuple(
    (re.compile(pattern), weight)
    for pattern, weight in (
        (r"gemini-3", 280),
        (r"gpt-4o-mini", 2833),
        (r"gpt-(4\.1|5)-(mini|nano)", None),
        (r"gpt-(4o|4\.1|4\.5)", 85),
        (r"gpt-5(\.1)?(-|$)", 70),
        (r"o[13](-|$)", 75),
        (r"computer-use-preview", 65),
    )
)


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

    def weigh(self, kind: MediaKind, facts: Facts) -> int | None:
        """What a medium probably weighs; None where no rule says, or what it needs is not known."""
        if kind == "image" and (low := self.low_detail) is not None:
            return low
        return tokens.expected(kind, self._fitted(kind, facts), self.model, sharp=self.sharp)

    @property
    def low_detail(self) -> int | None:
        """What every picture weighs where detail is low; None where it is not, or no rule says."""
        if self.what_if.detail != "low" or self.model is None:
            return None
        name = self.model.name.lower()
        return next((weight for pattern, weight in _LOW if pattern.match(name)), None)

    @property
    def picture_at_most(self) -> int | None:
        """What a picture of unknown size weighs at most, by `max_side`; None: no bound is known."""
        side = self.what_if.max_side
        if side is None:
            return None
        sizes = [Facts(width=side, height=max(1, round(side / aspect))) for aspect in _ASPECTS]
        return max((weight for size in sizes if (weight := self.weigh("image", size)) is not None), default=None)

    def _fitted(self, kind: MediaKind, facts: Facts) -> Facts:
        side, width, height = self.what_if.max_side, facts.width, facts.height
        if kind != "image" or side is None or not width or not height or max(width, height) <= side:
            return facts
        scale = side / max(width, height)
        return Facts(width=max(1, round(width * scale)), height=max(1, round(height * scale)))
