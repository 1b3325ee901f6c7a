"""What one medium weighs, by the vendors' rules (gateway notes 4.1 to 4.4): what to expect, and what it can come to.

Rules of this file:

- A rule gives None where it cannot say: a size that it needs is not known, or no vendor has published one.
- What a medium can come to is a bound: every doubt that the notes leave open is decided for the larger number.
- A medium is taken to be of the kind that its row says.
"""

from __future__ import annotations

import functools
import math
import re
from dataclasses import dataclass
from fractions import Fraction
from functools import partial
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

    from mediascribe.domain import MediaKind

    Count = Callable[["Facts"], int | None]

GEMINI_TILE: Final = 258
GEMINI_SMALL_SIDE: Final = 384
GEMINI_SOUND_PER_S: Final = 25  # as the reference answer has it
GEMINI_SOUND_AT_MOST_PER_S: Final = 32  # as documented, and for the sound of a video
GEMINI_VIDEO_AT_MOST_PER_S: Final = 300  # a frame, its sound and its time of day
GEMINI_3_IMAGE: Final = 1120  # the highest resolution, and the default
GEMINI_3_FRAME: Final = 70
GEMINI_3_VIDEO_AT_MOST_PER_S: Final = 280 + 32 + 10  # high resolution; a time of day weighs as above
OPENAI_FIT: Final = 2048
OPENAI_SHORT_SIDE: Final = 768
OPENAI_TILE: Final = 512
OPENAI_TILES_AT_MOST: Final = 8  # 768 x 2048
OPENAI_PATCH: Final = 32
OPENAI_PATCHES: Final = 1536
OPENAI_MORE_PATCHES: Final = 2500  # of newer models, by model and detail
CLAUDE_LONG_SIDE: Final = 1568
CLAUDE_IMAGE_AT_MOST: Final = 1600
CLAUDE_PIXELS_PER_TOKEN: Final = 750
QWEN_MARKS: Final = 2  # around every image
QWEN_IMAGE_LEAST: Final = 4
QWEN_SHARP_CAP: Final = 16_384
QWEN_SOUND_AT_MOST_PER_S: Final = 25
QWEN_FRAME_CAP: Final = 768
QWEN_FRAMES_CAP: Final = 128
QWEN_VIDEO_CAP: Final = 16_384
GLM_IMAGE: Final = 1047  # the gateway's flat estimate


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What is known of a medium: pixels, and how long it is. None: unknown."""

    width: int | None = None
    height: int | None = None
    seconds: float | None = None


@dataclass(frozen=True, slots=True)
class Rule:
    """How media of one kind are counted: what to expect, and what they can come to."""

    expected: Count
    at_most: Count


def _unknown(_facts: Facts) -> None:
    return None


NO_RULE: Final = Rule(_unknown, _unknown)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """How a group of models counts media; `audio` is a sound alone, that of a video is part of `video`."""

    image: Rule = NO_RULE
    audio: Rule = NO_RULE
    video: Rule = NO_RULE

    def of(self, kind: MediaKind) -> Rule:
        """The rule for media of *kind*."""
        return self.image if kind == "image" else self.audio if kind == "audio" else self.video


NO_RULES: Final = Rules()


@functools.lru_cache(256)
def rules_of(name: str, *, sharp: bool = False) -> Rules:
    """The rules for the model *name*; *sharp* says that the job pays for more detail (`vl_high_resolution_images`)."""
    name = name.lower()
    tables = (QWEN_SHARP, TABLE) if sharp else (TABLE,)
    return next((rules for table in tables for pattern, rules in table if pattern.match(name)), NO_RULES)


def _sized(count: Callable[..., int], unknown: int | None = None, **rule: float) -> Count:
    """The rule *count* of width and height, which gives *unknown* where those are."""

    def weigh(facts: Facts) -> int | None:
        return count(facts.width, facts.height, **rule) if facts.width and facts.height else unknown

    return weigh


def _gemini_image(width: int, height: int, *, small: int) -> int:
    """258 for each tile and for one overview, as the reference answer shows (gateway notes 1.3 and 4.1)."""
    if max(width, height) <= GEMINI_SMALL_SIDE:
        return small
    unit = max(1, min(width, height) * 2 // 3)
    return (math.ceil(width / unit) * math.ceil(height / unit) + 1) * GEMINI_TILE


def _per_second(facts: Facts, *, tokens: float, least_s: int = 0, more_s: int = 0) -> int | None:
    """*tokens* a second, for *least_s* at least, and for *more_s* more than it lasts."""
    return None if facts.seconds is None else math.ceil((max(least_s, facts.seconds) + more_s) * tokens)


def _gemini_video(facts: Facts, *, frame: int) -> int | None:
    """A frame a second, and the sound."""
    if facts.seconds is None:
        return None
    return math.ceil(facts.seconds) * frame + math.ceil(facts.seconds * GEMINI_SOUND_AT_MOST_PER_S)


def _flat(_facts: Facts, *, tokens: int) -> int:
    """The same for every medium."""
    return tokens


def _openai_tiles(width: int, height: int, *, base: int, tile: int) -> int:
    """Tiles of 512 pixels after scaling down into 2048, and the short side to 768."""
    fit = min(Fraction(1), Fraction(OPENAI_FIT, max(width, height)))
    scale = fit * min(Fraction(1), Fraction(OPENAI_SHORT_SIDE) / (min(width, height) * fit))
    return base + tile * math.prod(math.ceil(int(side * scale) / OPENAI_TILE) or 1 for side in (width, height))


def _openai_tiles_at_most(width: int, height: int, *, base: int, tile: int) -> int:
    """Likewise, with the short side made 768 whatever it was: whether small images are enlarged differs."""
    scale = Fraction(OPENAI_SHORT_SIDE, min(width, height))
    tiles = math.prod(math.ceil(side * scale / OPENAI_TILE) for side in (width, height))
    return base + tile * min(tiles, OPENAI_TILES_AT_MOST)


def _openai_patches(width: int, height: int, *, multiplier: float, cap: int) -> int:
    """Patches of 32 pixels, shrunk to *cap* of them, times *multiplier*."""
    patches = _squares(width, height, OPENAI_PATCH)
    return _times(patches if patches <= cap else _shrunk(width, height, cap), multiplier)


def _openai_patches_at_most(width: int, height: int, *, multiplier: float, cap: int) -> int:
    """Likewise, as far as the cap: how it is shrunk to is the vendor's affair."""
    return _times(min(cap, _squares(width, height, OPENAI_PATCH)), multiplier)


def _shrunk(width: int, height: int, cap: int) -> int:
    """Patches after scaling to *cap* of them, and a little more, so that one side is whole patches."""
    scale = math.sqrt(cap / (width * height))
    sides = [side * scale for side in (width, height)]
    fit = min(max(1, math.floor(side)) / side for side in sides)
    across, down = (max(1, math.ceil(side * fit - 1e-9)) for side in sides)
    return min(cap, across * down)


def _claude_image(width: int, height: int) -> int:
    """A token for 750 pixels, after fitting the long side into 1568."""
    scale = min(Fraction(1), Fraction(CLAUDE_LONG_SIDE, max(width, height)))
    return min(CLAUDE_IMAGE_AT_MOST, math.ceil(width * height * scale * scale / CLAUDE_PIXELS_PER_TOKEN))


def _qwen_image(width: int, height: int, *, factor: int, cap: int) -> int:
    """A token for each square of *factor* pixels, and two marks."""
    return max(QWEN_IMAGE_LEAST, _qwen_squares(width, height, factor, cap) + QWEN_MARKS)


def _qwen_image_at_most(width: int, height: int, *, factor: int, cap: int) -> int:
    return max(QWEN_IMAGE_LEAST, min(cap, _squares(width, height, factor))) + QWEN_MARKS


def _qwen_video(facts: Facts, *, factor: int, per_s: float) -> int | None:
    """Two frames a second, in pairs, each pair weighing as one; and the sound, which Qwen-VL does not hear."""
    if facts.seconds is None or not facts.width or not facts.height:
        return None
    frame = _qwen_squares(facts.width, facts.height, factor, QWEN_FRAME_CAP)
    frames = min(QWEN_VIDEO_CAP, _qwen_pairs(facts.seconds) * frame)
    return frames + math.ceil(max(1, facts.seconds) * per_s)


def _qwen_omni_video_at_most(facts: Facts) -> int | None:
    if facts.seconds is None:  # then its sound has no bound
        return None
    frames = min(QWEN_VIDEO_CAP, (_qwen_pairs(facts.seconds) + 1) * (QWEN_FRAME_CAP + QWEN_MARKS))
    return frames + math.ceil(max(1, facts.seconds + 1) * QWEN_SOUND_AT_MOST_PER_S)


def _qwen_pairs(seconds: float) -> int:
    return math.ceil(min(QWEN_FRAMES_CAP, max(2, math.ceil(seconds * 2))) / 2)


def _qwen_squares(width: int, height: int, factor: int, cap: int) -> int:
    """Squares of *factor* pixels, the sides rounded, or rounded down where they have to be shrunk to *cap*."""
    across, down = (max(1, round(side / factor)) for side in (width, height))
    if across * down > cap:
        shrink = math.sqrt(cap / (width * height))
        across, down = (max(1, math.floor(side * shrink)) for side in (width, height))
    return min(cap, across * down)


def _times(tokens: int, multiplier: float) -> int:
    return math.ceil(tokens * Fraction(str(multiplier)))


def _squares(width: int, height: int, side: int) -> int:
    return math.ceil(width / side) * math.ceil(height / side)


def _gemini(image: Rule, frame: int, video_per_s: int) -> Rules:
    sound = partial(_per_second, tokens=GEMINI_SOUND_PER_S)
    sound_at_most = partial(_per_second, tokens=GEMINI_SOUND_AT_MOST_PER_S, more_s=1)
    video_at_most = partial(_per_second, tokens=video_per_s, more_s=2)
    return Rules(
        image=image, audio=Rule(sound, sound_at_most), video=Rule(partial(_gemini_video, frame=frame), video_at_most)
    )


def _tiles(base: int, tile: int) -> Rules:
    expected = _sized(_openai_tiles, base=base, tile=tile)
    most = base + tile * OPENAI_TILES_AT_MOST
    return Rules(image=Rule(expected, _sized(_openai_tiles_at_most, most, base=base, tile=tile)))


def _patches(multiplier: float, cap: int = OPENAI_PATCHES) -> Rules:
    expected = _sized(_openai_patches, multiplier=multiplier, cap=OPENAI_PATCHES)
    most = _times(cap, multiplier)
    return Rules(image=Rule(expected, _sized(_openai_patches_at_most, most, multiplier=multiplier, cap=cap)))


def _qwen(factor: int, cap: int, doubt: tuple[int, int] | None = None) -> Rule:
    """The rule for squares of *factor* pixels, *cap* of them at most; *doubt* has both as they may be instead."""
    expected = _sized(_qwen_image, factor=factor, cap=cap)
    factor, cap = doubt or (factor, cap)
    return Rule(expected, _sized(_qwen_image_at_most, cap + QWEN_MARKS, factor=factor, cap=cap))


def _qwen_vl(image: Rule, factor: int) -> Rules:
    """Pictures, and films without their sound; what those can come to is not published."""
    return Rules(image=image, video=Rule(partial(_qwen_video, factor=factor, per_s=0), _unknown))


def _qwen_omni(image: Rule, factor: int, sound_per_s: float) -> Rules:
    expected = partial(_per_second, tokens=sound_per_s, least_s=1)
    at_most = partial(_per_second, tokens=QWEN_SOUND_AT_MOST_PER_S, least_s=1, more_s=1)
    video = partial(_qwen_video, factor=factor, per_s=sound_per_s)
    return Rules(image=image, audio=Rule(expected, at_most), video=Rule(video, _qwen_omni_video_at_most))


def _table(*rows: tuple[str, Rules]) -> tuple[tuple[re.Pattern[str], Rules], ...]:
    return tuple((re.compile(pattern), rules) for pattern, rules in rows)


_QWEN_DOUBT: Final = (28, QWEN_SHARP_CAP)
_GEMINI_2_IMAGE: Final = Rule(
    _sized(_gemini_image, small=GEMINI_TILE),
    _sized(_gemini_image, small=2 * GEMINI_TILE),  # with the overview that larger ones have
)
_GEMINI_3_IMAGE: Final = Rule(partial(_flat, tokens=GEMINI_3_IMAGE), partial(_flat, tokens=GEMINI_3_IMAGE))

# The beginning of a model's name, and its rules; the first row that fits.
TABLE: Final = _table(
    (r"gemini-[12]", _gemini(_GEMINI_2_IMAGE, GEMINI_TILE, GEMINI_VIDEO_AT_MOST_PER_S)),
    (r"gemini-3", _gemini(_GEMINI_3_IMAGE, GEMINI_3_FRAME, GEMINI_3_VIDEO_AT_MOST_PER_S)),
    (r"gpt-4o-mini", _tiles(2833, 5667)),
    (r"gpt-(4\.1|5)-mini", _patches(1.62)),
    (r"gpt-(4\.1|5)-nano", _patches(2.46)),
    (r"gpt-(4o|4\.1|4\.5)", _tiles(85, 170)),
    (r"gpt-5(\.1)?(-|$)", _tiles(70, 140)),
    (r"gpt-5\.\d-mini", _patches(1.62, OPENAI_MORE_PATCHES)),
    (r"gpt-5\.\d-nano", _patches(2.46, OPENAI_MORE_PATCHES)),
    (r"gpt-5\.\d", _patches(1.2, OPENAI_MORE_PATCHES)),
    (r"o4-mini", _patches(1.72)),
    (r"o[13](-|$)", _tiles(75, 150)),
    (r"computer-use-preview", _tiles(65, 129)),
    (r"claude", Rules(image=Rule(_sized(_claude_image), _sized(_claude_image, CLAUDE_IMAGE_AT_MOST)))),
    # A published answer has an image of 1609 tokens, above the published cap of 1280 (gateway notes 1.3 and 4.4).
    (r"qwen3-omni", _qwen_omni(_qwen(32, 1280, _QWEN_DOUBT), 32, 12.5)),
    (r"qwen3\.5-omni", _qwen_omni(_qwen(32, 1280, _QWEN_DOUBT), 32, 7)),
    (r"qwen.*-omni", _qwen_omni(_qwen(28, 1280, _QWEN_DOUBT), 28, 25)),
    (r"qwen3-vl", _qwen_vl(_qwen(32, 2560), 32)),
    (r"qwen2\.5-vl|qvq", _qwen_vl(_qwen(28, 1280), 28)),
    (r"qwen-vl", _qwen_vl(_qwen(32, 2560, (28, 2560)), 32)),  # the group depends on the snapshot's day
    (r"qwen", _qwen_vl(_qwen(32, 2560, _QWEN_DOUBT), 32)),
    (r"glm", Rules(image=Rule(partial(_flat, tokens=GLM_IMAGE), _unknown))),
)
QWEN_SHARP: Final = _table((r"qwen(?!.*-omni)|qvq", _qwen_vl(_qwen(32, QWEN_SHARP_CAP, _QWEN_DOUBT), 32)))
