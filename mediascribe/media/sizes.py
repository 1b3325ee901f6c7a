"""How large a picture is worth sending: the size above which the model sees no further pixel, or only the bill grows.

Rules of this file:

- Arithmetic only. What a model sees stands in `TABLE`, each limit with its source; what it bills in `token_rules.py`.
- A picture is never enlarged. Both sides shrink alike, to whole pixels. No side is shrunk below 16 pixels, since slips
  are refused (gateway notes 4.4).
- No picture is made to weigh more than it did. Limits give way to that, and to the 16 pixels.
- Where a pixel more is a row of tiles more, up to 2 % of the sides go.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING, Final, Literal

from mediascribe.media import token_rules
from mediascribe.media.token_rules import Facts, rules_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from mediascribe.job_sections import MediaSection
    from mediascribe.models import Model

    Count = Callable[[int, int], int | None]

Detail = Literal["auto", "low", "high"]

LEAST_SIDE: Final = 16
_GIVEN_UP: Final = 0.02
_STEP: Final = 0.99


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What a model sees of a picture at most; None: no such limit. `tiles`: it bills by coarse tiles."""

    long_side: int | None = None
    short_side: int | None = None
    pixels: int | None = None
    patches: int | None = None
    tiles: bool = False

    def longest(self, long: int, short: int) -> int:
        """The long side of a picture of *long* x *short* pixels as it is seen."""
        scales = [1.0]
        if self.long_side:
            scales.append(self.long_side / long)
        if self.short_side:
            scales.append(self.short_side / short)
        if self.pixels:
            scales.append(math.sqrt(self.pixels / (long * short)))
        if self.patches:
            scales.append(_patch_scale(long, short, self.patches))
        return max(1, math.floor(long * min(scales) + 1e-6))


def _patch_scale(long: int, short: int, patches: int) -> float:
    """Scaled to *patches* of 32 pixels, and a little more, so that one side is whole patches (gateway notes 4.2)."""
    side = token_rules.OPENAI_PATCH
    if math.ceil(long / side) * math.ceil(short / side) <= patches:
        return 1.0
    scale = math.sqrt(side * side * patches / (long * short))
    return scale * min(max(1, math.floor(one * scale / side)) / (one * scale / side) for one in (long, short))


@dataclass(frozen=True, slots=True, kw_only=True)
class Sight:
    """What is seen by detail; `low` is the vendor's own low detail, or ours where it has none."""

    auto: Seen
    high: Seen
    low: Seen


# 512 pixels are OpenAI's low detail, and at most 350 tokens of any vendor that counts pixels; others publish none.
_LOW: Final = Seen(long_side=512)


def _sight(seen: Seen, *, high: Seen | None = None, low: Seen = _LOW) -> Sight:
    return Sight(auto=seen, high=high or seen, low=low)


def _qwen(side: int, cap: int, high: int = token_rules.QWEN_SHARP_CAP) -> Sight:
    """Squares of *side* pixels; the *high* cap is seen with `vl_high_resolution_images` (gateway notes 4.4)."""
    return _sight(Seen(pixels=cap * side * side), high=Seen(pixels=high * side * side))


# Crops of Gemini 2 are two thirds of the short side, and are scaled to 768 pixels (the vendor's guide; not stated by
# the site): of a short side above 1152 nothing is seen. What it weighs depends on the shape alone (gateway notes 4.1).
_GEMINI_2: Final = _sight(
    Seen(short_side=1152, tiles=True), low=Seen(long_side=token_rules.GEMINI_SMALL_SIDE, tiles=True)
)
_TILES: Final = _sight(
    Seen(long_side=token_rules.OPENAI_FIT, short_side=token_rules.OPENAI_SHORT_SIDE, tiles=True),
    low=Seen(long_side=token_rules.OPENAI_TILE, tiles=True),
)
_PATCHES: Final = _sight(Seen(patches=token_rules.OPENAI_PATCHES))
_MORE_PATCHES: Final = _sight(
    Seen(patches=token_rules.OPENAI_PATCHES), high=Seen(patches=token_rules.OPENAI_MORE_PATCHES)
)
# 1092 x 1092 pixels, 1590 tokens: the largest of the vendor's examples (gateway notes 4.3). From "about 1600" on it
# scales down itself.
_CLAUDE: Final = _sight(Seen(long_side=token_rules.CLAUDE_LONG_SIDE, pixels=1590 * token_rules.CLAUDE_PIXELS_PER_TOKEN))
_GLM: Final = _sight(Seen(long_side=6000))  # more is refused (gateway notes 4.4)
# Nobody has published what these see. 3 million pixels are more than any published rule but GLM's lets through, and
# more than twice what 1120 tokens, Gemini 3's flat weight, hold elsewhere (1024 pixels a token, gateway notes 4.4).
UNKNOWN: Final = _sight(Seen(long_side=2048), high=Seen(long_side=4096))

# The beginning of a model's name, as in `token_rules.TABLE`; the first row that fits.
TABLE: Final = tuple(
    (re.compile(pattern), sight)
    for pattern, sight in (
        (r"gemini-[12]", _GEMINI_2),
        (r"gpt-4o-mini", _TILES),
        (r"gpt-(4\.1|5)-(mini|nano)|o4-mini", _PATCHES),
        (r"gpt-(4o|4\.1|4\.5)|gpt-5(\.1)?(-|$)|o[13](-|$)|computer-use-preview", _TILES),
        (r"gpt-5\.\d", _MORE_PATCHES),
        (r"claude", _CLAUDE),
        (r"qwen3(\.5)?-omni", _qwen(32, 1280, 1280)),
        (r"qwen.*-omni", _qwen(28, 1280, 1280)),
        (r"qwen2\.5-vl|qvq", _qwen(28, 1280)),
        (r"qwen", _qwen(32, 2560)),
        (r"glm", _GLM),
    )
)
# What a picture of low detail weighs where the request says `detail: low` (gateway notes 4.1 and 4.2); None: no rule.
_LOW_TOKENS: Final = tuple(
    (re.compile(pattern), tokens)
    for pattern, tokens in (
        (r"gemini-3", 280),
        (r"gpt-4o-mini", 2833),
        (r"gpt-(4\.1|5)-(mini|nano)", None),
        (r"gpt-(4o|4\.1|4\.5)", 85),
        (r"gpt-5(\.1)?(-|$)", 70),
        (r"o[13](-|$)", 75),
        (r"computer-use-preview", 65),
    )
)


def best_size(width: int, height: int, *, model: Model | None, max_side: int | None, detail: Detail) -> tuple[int, int]:
    """The size at which *model* sees all that it can of a picture of *width* x *height*, for the fewest tokens.

    *max_side* bounds the long side as well. `detail = "high"` is for requests that ask for more than the default
    (`vl_high_resolution_images`, `detail: high`), `"low"` for those that need only the gist.
    """
    long, short = max(width, height), min(width, height)
    seen: Seen = getattr(_sight_of(model), detail)
    most = min(seen.longest(long, short), max_side or long)
    least = long if short <= LEAST_SIDE else math.ceil(LEAST_SIDE * long / short)
    sides = _settled(long, short, range(max(most, least), least - 1, -1), _count(model, detail), seen)
    return sides if width >= height else sides[::-1]


def fitted(width: int, height: int, *, model: Model | None, section: MediaSection) -> tuple[int, int]:
    """The best size by the job's *section*, and smaller where that would pass its `max_tokens`.

    Where no smaller picture weighs less (a model that bills all alike), the best size stays.
    """
    size = best_size(width, height, model=model, max_side=section.max_side, detail=section.detail)
    count, most = _count(model, section.detail), section.max_tokens
    if most is None or (tokens := count(*size)) is None or tokens <= most:
        return size
    return next((one for one in _smaller(*size) if (count(*one) or 0) <= most), size)


def billed(width: int, height: int, *, model: Model | None, section: MediaSection) -> int | None:
    """What a picture of *width* x *height* probably weighs once it is `fitted`; None: no rule says."""
    return _count(model, section.detail)(*fitted(width, height, model=model, section=section))


def low_detail_tokens(model: Model | None) -> int | None:
    """What every picture weighs where the request says `detail: low`; None where no rule says."""
    name = model.name.lower() if model else ""
    return next((tokens for pattern, tokens in _LOW_TOKENS if pattern.match(name)), None)


def _sight_of(model: Model | None) -> Sight:
    name = model.name.lower() if model else ""
    return next((sight for pattern, sight in TABLE if pattern.match(name)), UNKNOWN)


def _count(model: Model | None, detail: Detail) -> Count:
    """What a picture of a width and a height probably weighs; None: no rule says."""
    rule = rules_of(model.name if model else "", sharp=detail == "high").image
    return lambda width, height: rule.expected(Facts(width=width, height=height))


def _settled(long: int, short: int, sides: range, count: Count, seen: Seen) -> tuple[int, int]:
    """The largest of *sides*, with the other side to it, at which nothing is billed in vain."""
    sizes = [(side, _other(side, long, short)) for side in sides[: 1 + math.floor(sides[0] * _GIVEN_UP)]]
    before = count(long, short)
    if before is None:
        return sizes[0]
    best = min(sizes, key=lambda size: (count(*size) or 0, -size[0])) if seen.tiles else sizes[0]
    further = ((side, _other(side, long, short)) for side in sides)
    return next((size for size in chain((best,), further) if (count(*size) or 0) <= before), (long, short))


def _other(side: int, long: int, short: int) -> int:
    """The short side that belongs to *side*, rounded."""
    return max(1, (2 * side * short + long) // (2 * long))


def _smaller(width: int, height: int) -> Iterator[tuple[int, int]]:
    """Sizes of the same shape, each a hundredth smaller, as far as 16 pixels."""
    scale = _STEP
    while min(width, height) * scale >= LEAST_SIDE:
        yield max(1, round(width * scale)), max(1, round(height * scale))
        scale *= _STEP
