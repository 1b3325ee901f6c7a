"""Tokens: what the media and the text of a request weigh, by the rules of each model family (gateway notes 4.1 to 4.4).

The one rule of our own: a text has one token for every 4 bytes of UTF-8, rounded up, at least 1; no text has none.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, Final, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable

    from mediascribe.sandbox.look import Clip

BYTES_PER_TOKEN: Final = 4

GEMINI_TILE: Final = 258
GEMINI_SMALL_SIDE: Final = 384
GEMINI_AUDIO_PER_S: Final = 25  # the reference answer fits 25 a second; the Gemini API documents 32
GEMINI_TRACK_PER_S: Final = 32  # the sound of a video
GEMINI_3_IMAGE: Final = 1120  # media resolution unset
GEMINI_3_LOW_IMAGE: Final = 280
GEMINI_3_FRAME: Final = 70

QWEN_FACTOR: Final = 32
QWEN_IMAGE_CAP: Final = 1280
QWEN_FRAME_CAP: Final = 768
QWEN_FRAMES_CAP: Final = 128
QWEN_VIDEO_CAP: Final = 16384
QWEN_AUDIO_PER_S: Final = Fraction(25, 2)

CLAUDE_LONG_SIDE: Final = 1568
CLAUDE_IMAGE_CAP: Final = 1600
CLAUDE_PIXELS_PER_TOKEN: Final = 750

OPENAI_FIT: Final = 2048
OPENAI_SHORT_SIDE: Final = 768
OPENAI_TILE: Final = 512
OPENAI_PATCH: Final = 32
OPENAI_PATCHES: Final = 1536

GLM_IMAGE: Final = 1047  # the gateway's flat estimate: no rule is published


@dataclass(frozen=True, slots=True, kw_only=True)
class Tokens:
    """What one request weighs: the prompt by kind, and the answer, whose reasoning is part of it."""

    text: int = 0
    image: int = 0
    audio: int = 0
    video: int = 0
    completion: int = 0
    reasoning: int = 0

    @property
    def prompt(self) -> int:
        """All of the prompt."""
        return self.text + self.image + self.audio + self.video

    @property
    def total(self) -> int:
        """Prompt and answer."""
        return self.prompt + self.completion


class ImageRule(Protocol):
    """How a family weighs an image."""

    def __call__(self, width: int, height: int, *, low: bool = False) -> int:
        """The tokens of an image; *low* says that low detail will do."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Weights:
    """How a family weighs media.

    `sound` takes seconds; `video` gives the tokens of the frames and those of the sound track;
    `reads_per_s` is how many frames a second that takes, and others weigh in proportion (gateway notes 4.1).
    """

    image: ImageRule
    sound: Callable[[Fraction], int]
    video: Callable[[Clip], tuple[int, int]]
    reads_per_s: int = 1


def of_text(text: str) -> int:
    """The tokens of *text*."""
    return math.ceil(len(text.encode()) / BYTES_PER_TOKEN)


def cut(text: str, tokens: int) -> str:
    """The first *tokens* of *text*."""
    return text.encode()[: tokens * BYTES_PER_TOKEN].decode(errors="ignore")


def gemini_image(width: int, height: int, *, low: bool = False) -> int:  # noqa: ARG001 - part of the rule's shape
    """258 for a small image, else for each tile and for one overview, as the reference answer shows (notes 1.3)."""
    if max(width, height) <= GEMINI_SMALL_SIDE:
        return GEMINI_TILE
    unit = max(1, min(width, height) * 2 // 3)
    return (math.ceil(width / unit) * math.ceil(height / unit) + 1) * GEMINI_TILE


def gemini_sound(duration_s: Fraction) -> int:
    """25 a second."""
    return math.ceil(duration_s * GEMINI_AUDIO_PER_S)


def gemini_video(clip: Clip) -> tuple[int, int]:
    """One frame a second at 258, and 32 a second for the sound."""
    track = math.ceil(clip.duration_s * GEMINI_TRACK_PER_S) if clip.has_sound else 0
    return math.ceil(clip.duration_s) * GEMINI_TILE, track


def gemini_3_image(width: int, height: int, *, low: bool = False) -> int:  # noqa: ARG001 - part of the rule's shape
    """1120 whatever the size, 280 for low detail."""
    return GEMINI_3_LOW_IMAGE if low else GEMINI_3_IMAGE


def gemini_3_video(clip: Clip) -> tuple[int, int]:
    """One frame a second at 70, and 32 a second for the sound."""
    return math.ceil(clip.duration_s) * GEMINI_3_FRAME, gemini_video(clip)[1]


def openai_image(base: int, tile: int) -> ImageRule:
    """The rule of the tile models: *base*, and *tile* for each 512 pixels square after scaling down (notes 4.2)."""

    def weigh(width: int, height: int, *, low: bool = False) -> int:
        if low:
            return base
        fit = min(Fraction(1), Fraction(OPENAI_FIT, max(width, height)))
        scale = fit * min(Fraction(1), Fraction(OPENAI_SHORT_SIDE) / (min(width, height) * fit))
        sides = (math.ceil(int(side * scale) / OPENAI_TILE) or 1 for side in (width, height))
        return base + tile * math.prod(sides)

    return weigh


def openai_patches(multiplier: Fraction) -> ImageRule:
    """The rule of the patch models: *multiplier* for each 32 pixels square, after shrinking to 1536 (notes 4.2)."""

    def weigh(width: int, height: int, *, low: bool = False) -> int:  # noqa: ARG001 - part of the rule's shape
        across, down = (math.ceil(side / OPENAI_PATCH) for side in (width, height))
        if across * down > OPENAI_PATCHES:
            across, down = _shrunk_patches(width, height)
        return math.ceil(min(OPENAI_PATCHES, across * down) * multiplier)

    return weigh


def claude_image(width: int, height: int, *, low: bool = False) -> int:  # noqa: ARG001 - part of the rule's shape
    """A token for 750 pixels, after fitting the long side into 1568, at most 1600 (notes 4.3)."""
    scale = min(Fraction(1), Fraction(CLAUDE_LONG_SIDE, max(width, height)))
    return min(CLAUDE_IMAGE_CAP, math.ceil(width * height * scale * scale / CLAUDE_PIXELS_PER_TOKEN))


def qwen_image(width: int, height: int, *, low: bool = False) -> int:  # noqa: ARG001 - part of the rule's shape
    """A token for 32 pixels square, at most 1280, and 2 more; at least 4 (notes 4.4)."""
    return max(4, _qwen_squares(width, height, QWEN_IMAGE_CAP) + 2)


def qwen_sound(duration_s: Fraction) -> int:
    """12.5 a second, less than a second counts as one."""
    return math.ceil(max(Fraction(1), duration_s) * QWEN_AUDIO_PER_S)


def qwen_video(clip: Clip) -> tuple[int, int]:
    """Two frames a second, in pairs, each pair weighing as one frame; and the sound."""
    pairs = math.ceil(min(QWEN_FRAMES_CAP, max(2, math.ceil(clip.duration_s * 2))) / 2)
    frame = _qwen_squares(clip.first.width, clip.first.height, QWEN_FRAME_CAP)
    return min(QWEN_VIDEO_CAP, pairs * frame), qwen_sound(clip.duration_s) if clip.has_sound else 0


def glm_image(width: int, height: int, *, low: bool = False) -> int:  # noqa: ARG001 - part of the rule's shape
    """1047, whatever the size (notes 4.4)."""
    return GLM_IMAGE


def no_image(width: int, height: int, *, low: bool = False) -> int:  # noqa: ARG001 - likewise
    """Nothing: the family takes no images."""
    return 0


def no_sound(_duration_s: Fraction) -> int:
    """Nothing, likewise."""
    return 0


def no_video(_clip: Clip) -> tuple[int, int]:
    """Nothing, likewise."""
    return 0, 0


def _shrunk_patches(width: int, height: int) -> tuple[int, int]:
    """Patches across and down: scaled to the budget, then a little more, so that one side is whole patches."""
    scale = math.sqrt(OPENAI_PATCH**2 * OPENAI_PATCHES / (width * height))
    sides = [side * scale / OPENAI_PATCH for side in (width, height)]
    fit = min(max(1, math.floor(side)) / side for side in sides)
    across, down = (max(1, math.ceil(side * fit - 1e-9)) for side in sides)
    return across, down


def _qwen_squares(width: int, height: int, cap: int) -> int:
    across, down = (max(1, round(side / QWEN_FACTOR)) for side in (width, height))
    if across * down <= cap:
        return across * down
    shrink = math.sqrt(width * height / (cap * QWEN_FACTOR**2))
    across, down = (max(1, math.floor(side / shrink / QWEN_FACTOR)) for side in (width, height))
    return min(cap, across * down)


GEMINI: Final = Weights(image=gemini_image, sound=gemini_sound, video=gemini_video)
GEMINI_3: Final = Weights(image=gemini_3_image, sound=gemini_sound, video=gemini_3_video)
GPT_4O: Final = Weights(image=openai_image(85, 170), sound=no_sound, video=no_video)
GPT_4O_MINI: Final = Weights(image=openai_image(2833, 5667), sound=no_sound, video=no_video)
GPT_5_1: Final = Weights(image=openai_image(70, 140), sound=no_sound, video=no_video)
GPT_5_MINI: Final = Weights(image=openai_patches(Fraction("1.62")), sound=no_sound, video=no_video)
GPT_5_2: Final = Weights(image=openai_patches(Fraction("1.2")), sound=no_sound, video=no_video)
GLM: Final = Weights(image=glm_image, sound=no_sound, video=no_video)
CLAUDE: Final = Weights(image=claude_image, sound=no_sound, video=no_video)
QWEN_OMNI: Final = Weights(image=qwen_image, sound=qwen_sound, video=qwen_video, reads_per_s=2)
TEXT_ONLY: Final = Weights(image=no_image, sound=no_sound, video=no_video)
