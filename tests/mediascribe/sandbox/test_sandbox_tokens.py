"""The weights of media and text, worked by hand from gateway notes 4.1 to 4.4."""

from __future__ import annotations

import math
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mediascribe.sandbox import tokens as weigh
from mediascribe.sandbox.look import Clip, Picture

SIDES = st.integers(1, 20_000)


def clip(seconds, width=640, height=480, *, has_sound=True) -> Clip:
    first = Picture(width=width, height=height, format="frame", colours=("red",), brightness="dark")
    return Clip(duration_s=Fraction(seconds), frames=1, per_s=1.0, has_sound=has_sound, first=first)


@pytest.mark.parametrize(
    ("width", "height", "tokens"),
    [
        (960, 540, 7 * 258),  # unit 360: 3 x 2 tiles and the overview, as in the reference answer
        (300, 200, 258),
        (384, 384, 258),
        (385, 384, (4 + 1) * 258),  # unit 256: 2 x 2
        (1000, 1000, (4 + 1) * 258),
        (1024, 768, (4 + 1) * 258),  # 4:3, unit 512: 2 x 2
        (1500, 1000, (6 + 1) * 258),  # 3:2, unit 666: 3 x 2
        (1000, 1, (1000 + 1) * 258),  # unit 0 counts as 1
    ],
)
def test_gemini_image(width, height, tokens):
    """Gemini charges 258 for a small image, and else for each tile and one overview."""
    assert weigh.gemini_image(width, height) == tokens


@pytest.mark.parametrize(("seconds", "tokens"), [("7", 175), ("1/100", 1), ("5/2", 63)])
def test_gemini_sound(seconds, tokens):
    """Gemini hears 25 tokens a second."""
    assert weigh.gemini_sound(Fraction(seconds)) == tokens


def test_gemini_video():
    """Gemini sees a frame a second, and hears 32 tokens a second of the track."""
    assert weigh.gemini_video(clip("5/2")) == (3 * 258, 80)
    assert weigh.gemini_video(clip(2, has_sound=False)) == (2 * 258, 0)


@pytest.mark.parametrize(
    ("width", "height", "tokens"),
    [
        (1024, 1024, 85 + 4 * 170),  # 765, the figure of the notes; shown at 768 x 768
        (2048, 4096, 85 + 6 * 170),  # 1024 x 2048, then 768 x 1536
        (300, 200, 85 + 170),  # never enlarged
        (1, 5000, 85 + 4 * 170),  # 0.4 x 2048
    ],
)
def test_openai_image(width, height, tokens):
    """OpenAI counts squares of 512 after scaling down."""
    assert weigh.GPT_4O.image(width, height) == tokens


@pytest.mark.parametrize(
    ("width", "height", "patches"),
    [
        (1024, 1024, 1024),  # 32 x 32
        (1800, 2400, 1452),  # 4275 patches shrink by 0.6034 and then to whole patches: 33 x 44, the guide's example
        (33, 1, 2),
        (100_000, 10, 1536),  # one row, longer than the budget
    ],
)
def test_openai_patches(width, height, patches):
    """OpenAI's patch models count squares of 32, at most 1536, times their multiplier."""
    assert weigh.openai_patches(Fraction(1))(width, height) == patches
    assert weigh.GPT_5_MINI.image(width, height) == math.ceil(patches * Fraction("1.62"))


def test_gpt_5_1():
    """The tile models of the gpt-5 family have a base of 70 and 140 a tile."""
    assert weigh.GPT_5_1.image(1024, 1024) == 70 + 4 * 140


def test_gemini_3():
    """Gemini 3 charges an image 1120, or 280 at low detail, and a second of video 70 and its sound."""
    assert (weigh.GEMINI_3.image(10, 10), weigh.GEMINI_3.image(10, 10, low=True)) == (1120, 280)
    assert weigh.GEMINI_3.video(clip("5/2")) == (210, 80)


def test_glm():
    """GLM's image is the gateway's flat 1047."""
    assert weigh.GLM.image(10, 10) == 1047


def test_openai_low_detail():
    """Low detail costs the base alone."""
    assert weigh.GPT_4O.image(4000, 4000, low=True) == 85
    assert weigh.GPT_4O_MINI.image(512, 512) == 2833 + 5667


@pytest.mark.parametrize(
    ("width", "height", "tokens"), [(200, 200, 54), (1000, 1000, 1334), (1092, 1092, 1590), (4000, 4000, 1600)]
)
def test_claude_image(width, height, tokens):
    """Claude charges a token for 750 pixels, at most 1600."""
    assert weigh.claude_image(width, height) == tokens


def test_claude_long_side():
    """Claude fits the long side into 1568 first: 3136 x 784 is seen as 1568 x 392."""
    assert weigh.claude_image(3136, 784) == 820  # 614,656 / 750 = 819.5


@pytest.mark.parametrize(
    ("width", "height", "tokens"),
    [
        (640, 480, 20 * 15 + 2),
        (10, 10, 4),
        (2048, 2048, 35 * 35 + 2),  # 4096 squares shrink by 1.789 to 1144.9 pixels, 35 squares a side
    ],
)
def test_qwen_image(width, height, tokens):
    """Qwen-Omni-Flash charges squares of 32 pixels and 2 more, at most 1280 squares."""
    assert weigh.qwen_image(width, height) == tokens


def test_qwen_sound():
    """Qwen hears 12.5 tokens a second, and at least one second."""
    assert weigh.qwen_sound(Fraction(4)) == 50
    assert weigh.qwen_sound(Fraction(1, 10)) == 13


def test_qwen_video():
    """Qwen sees two frames a second in pairs, at most 128 of them, and hears the track apart."""
    assert weigh.qwen_video(clip(4)) == (4 * 300, 50)
    assert weigh.qwen_video(clip(600, has_sound=False)) == (16_384, 0)  # 64 pairs of 300 are 19,200
    assert weigh.qwen_video(clip(600, 320, 240, has_sound=False)) == (64 * 80, 0)  # 240 / 32 = 7.5, even: 8


@pytest.mark.parametrize(("text", "tokens"), [("", 0), ("a", 1), ("abcd", 1), ("abcde", 2), ("请分析", 3)])
def test_text(text, tokens):
    """A text has a token for 4 bytes."""
    assert weigh.of_text(text) == tokens


@settings(max_examples=50)
@given(text=st.text(alphabet=st.characters(max_codepoint=127)), tokens=st.integers(0, 40))
def test_cut_weighs_no_more(text, tokens):
    """A cut text weighs what was left of it, or all of it when it was shorter."""
    assert weigh.of_text(weigh.cut(text, tokens)) == min(tokens, weigh.of_text(text))


@settings(max_examples=80)
@given(width=SIDES, height=SIDES)
def test_every_image_weighs_something(width, height):
    """No image is free, and caps hold, for every size."""
    assert weigh.gemini_image(width, height) % 258 == 0
    assert weigh.gemini_image(width, height) > 0
    assert weigh.GPT_4O.image(width, height) >= 85 + 170
    assert 1 <= weigh.claude_image(width, height) <= 1600
    assert 4 <= weigh.qwen_image(width, height) <= 1282


def test_what_is_not_taken_weighs_nothing():
    """A family without sound or video charges none."""
    assert weigh.CLAUDE.sound(Fraction(3)) == 0
    assert weigh.CLAUDE.video(clip(3)) == (0, 0)
    assert weigh.TEXT_ONLY.image(10, 10) == 0
