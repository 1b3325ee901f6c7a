"""How large a picture is worth sending, by the vendors' published rules (gateway notes 4.1 to 4.4)."""

import re
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from mediascribe import models
from mediascribe.job_sections import MediaSection
from mediascribe.media import token_rules
from mediascribe.media.sizes import LEAST_SIDE, TABLE, best_size, billed, fitted, low_detail_tokens
from mediascribe.media.tokens import Facts, expected

MODELS = models.load(Path(__file__).parents[3] / "configs" / "models.toml")
# One of each group that bills alike, and two of which nothing is published.
NAMES = (
    *("gemini-2.0-flash", "gemini-3-pro-preview", "gpt-4o", "gpt-4o-mini", "gpt-5", "gpt-5-mini", "gpt-5.2", "o3"),
    *("o4-mini", "claude-sonnet-4-5", "qwen3-omni-flash-2025-12-01", "qwen2.5-omni-7b", "qwen3-vl-235b-a22b-instruct"),
    *("qwen2.5-vl-72b-instruct", "qwen-vl-max", "glm-4.6v", "step-3"),
)
# Those whose vendor shrinks a picture itself, so that a size that is best must weigh what the original does.
PIXEL_COUNTERS = [name for name in NAMES if name.startswith(("gpt-5-mini", "gpt-5.2", "o4", "qwen"))]

sides = st.integers(1, 12_000)


def model(name):
    """The model of the table, or one of that name."""
    entry = {"vendor": "v", "family": "f", "dialects": ("chat",), "media": ("image",)}
    return MODELS.get(name) or models.Model(name=name, **entry)


def best(name, width, height, *, max_side=None, detail="auto"):
    return best_size(width, height, model=name and model(name), max_side=max_side, detail=detail)


def weight(name, size, *, sharp=False):
    return expected("image", Facts(width=size[0], height=size[1]), model(name), sharp=sharp)


@pytest.mark.parametrize(
    ("name", "size", "seen"),
    [
        # Two thirds of the short side, 768, are a crop: 1152.
        ("gemini-2.0-flash", (4000, 3000), (1536, 1152)),
        ("gemini-2.5-pro", (3000, 4000), (1152, 1536)),
        ("gemini-2.5-pro", (3840, 2160), (2048, 1152)),
        ("gemini-2.0-flash", (960, 640), (960, 640)),  # the reference answer's
        ("gpt-4o", (2048, 4096), (768, 1536)),  # the vendor's own example
        ("gpt-4o", (1024, 1024), (768, 768)),  # likewise
        ("gpt-4o", (4096, 8192), (768, 1536)),
        ("gpt-4.1", (8000, 1000), (2048, 256)),
        ("gpt-5-mini", (1024, 1024), (1024, 1024)),
        ("gpt-5-mini", (1800, 2400), (1056, 1408)),  # the vendor's own example: 33 x 44 patches
        ("gpt-5.2", (1800, 2400), (1056, 1408)),
        ("claude-sonnet-4-5", (1092, 1092), (1092, 1092)),  # the vendor's own example
        ("claude-sonnet-4-5", (3000, 3000), (1092, 1092)),
        ("claude-sonnet-4-5", (4000, 1000), (1568, 392)),
        ("claude-sonnet-4-5", (200, 200), (200, 200)),
        ("qwen3-vl-235b-a22b-instruct", (5000, 5000), (1619, 1619)),  # 2560 squares of 32: 50.6 x 50.6
        ("qwen2.5-vl-72b-instruct", (5000, 5000), (1001, 1001)),  # 1280 squares of 28: 35.8 x 35.8
        ("glm-4.6v", (5900, 4000), (5900, 4000)),
        ("glm-4.6v", (9000, 6000), (6000, 4000)),
        ("gemini-3-pro-preview", (4000, 3000), (2048, 1536)),
        ("step-3", (4000, 3000), (2048, 1536)),
        (None, (4000, 3000), (2048, 1536)),
    ],
)
def test_as_large_as_the_model_sees(name, size, seen):
    """A picture is sent as large as the vendor's rule lets the model see it, and no larger."""
    assert best(name, *size) == seen


@pytest.mark.parametrize(
    ("name", "size", "seen", "before", "after"),
    [
        ("gemini-2.0-flash", (1333, 1000), (1332, 999), 7 * 258, 5 * 258),  # 3 crops across become 2
        ("gemini-2.0-flash", (1600, 400), (1596, 399), 15 * 258, 13 * 258),  # 7 become 6
        ("gpt-4o", (1030, 768), (1024, 764), 1105, 765),  # 3 tiles across become 2
        ("o3", (517, 300), (512, 297), 375, 225),
    ],
)
def test_a_sliver_of_a_tile_goes(name, size, seen, before, after):
    """A few pixels that cost a whole row of tiles are given up."""
    assert best(name, *size) == seen
    assert (weight(name, size), weight(name, seen)) == (before, after)


def test_more_than_two_in_a_hundred_do_not_go():
    """A tile that is more than a sliver is paid for: 1050 pixels are 3 tiles, and stay."""
    assert best("gpt-4o", 1050, 700) == (1050, 700)


def test_the_reference_answer():
    """The picture of the reference answer stays as it is, and weighs 6 crops and an overview of 258."""
    assert weight("gemini-2.0-flash", best("gemini-2.0-flash", 960, 540)) == 7 * 258


@pytest.mark.parametrize(
    ("name", "detail", "seen"),
    [
        ("gemini-2.0-flash", "low", (384, 288)),  # one tile
        ("gemini-2.0-flash", "high", (1536, 1152)),
        ("gpt-4o", "low", (512, 384)),
        ("gpt-5.2", "low", (512, 384)),
        ("gpt-5.2", "high", (1824, 1368)),  # 2500 patches: 57.7 x 43.3, whole at 57
        ("claude-sonnet-4-5", "low", (512, 384)),
        ("qwen3-vl-235b-a22b-instruct", "high", (4000, 3000)),  # 93.75 x 125 of 16384 squares
        ("qwen3-omni-flash-2025-12-01", "high", (1301, 976)),  # has no higher cap: 41 x 30 of 1280 squares of 32
        ("step-3", "high", (4000, 3000)),
        ("step-3", "low", (512, 384)),
    ],
)
def test_detail(name, detail, seen):
    """Low detail is the vendor's own low size, or 512 pixels; high detail what it sees when asked to look closely."""
    assert best(name, 4000, 3000, detail=detail) == seen


def test_max_side_bounds_the_long_side():
    """The job's own limit counts where it is the smaller one."""
    assert best("gemini-2.0-flash", 3000, 4000, max_side=768) == (576, 768)
    assert best("gemini-2.0-flash", 3000, 4000, max_side=5000) == (1152, 1536)


@pytest.mark.parametrize(("size", "seen"), [((10_000, 50), (3200, 16)), ((5000, 10), (5000, 10)), ((16, 16), (16, 16))])
def test_no_side_is_shrunk_below_16_pixels(size, seen):
    """A slip keeps 16 pixels, whatever the limits say; one that has no more stays as it is."""
    assert best(None, *size, max_side=16) == seen


@pytest.mark.wide
@settings(max_examples=600, deadline=None)
@given(
    name=st.sampled_from(NAMES),
    width=sides,
    height=sides,
    max_side=st.none() | st.integers(16, 4000),
    detail=st.sampled_from(["auto", "low", "high"]),
)
@example(name="gemini-2.0-flash", width=10_000, height=200, max_side=None, detail="auto")
@example(name="gemini-2.0-flash", width=1000, height=20, max_side=500, detail="auto")
def test_never_larger_dearer_or_of_another_shape(name, width, height, max_side, detail):
    """No picture is enlarged, distorted by more than a pixel, or made to weigh more."""
    found = best(name, width, height, max_side=max_side, detail=detail)
    assert found[0] <= width
    assert found[1] <= height
    assert min(found) >= min(width, height, LEAST_SIDE)
    scale = max(found) / max(width, height)
    assert abs(min(found) - min(width, height) * scale) <= 1
    sharp = detail == "high"
    before, after = weight(name, (width, height), sharp=sharp), weight(name, found, sharp=sharp)
    assert (before is None) == (after is None)
    assert before is None or after <= before


@pytest.mark.wide
@settings(max_examples=300, deadline=None)
@given(name=st.sampled_from(NAMES), width=sides, height=sides)
def test_the_shape_decides_not_the_way_up(name, width, height):
    """A picture lying on its side is made as large as the upright one."""
    assert best(name, width, height) == best(name, height, width)[::-1]


@pytest.mark.wide
@settings(max_examples=300, deadline=None)
@given(name=st.sampled_from(PIXEL_COUNTERS), width=st.integers(64, 6000), height=st.integers(64, 6000))
def test_nothing_seen_is_lost(name, width, height):
    """Where the vendor counts pixels, a picture of the best size weighs what the original does, within 8 in 100."""
    found = best(name, width, height)
    assert weight(name, found) >= 0.92 * weight(name, (width, height))


@pytest.mark.parametrize("name", [name for name in NAMES if name not in {"step-3", "gemini-3-pro-preview"}])
def test_who_has_a_rule_has_a_size(name):
    """Each group of models whose weight depends on the size has a row of its own here."""
    assert any(pattern.match(name) for pattern, _ in TABLE)
    assert any(pattern.match(name) for pattern, _ in token_rules.TABLE)


def test_every_rule_is_about_pictures_of_a_known_model():
    """No row stands for nothing: each one is the first that fits one of the models here, or a preview of OpenAI's."""
    firsts = {next((pattern.pattern for pattern, _ in TABLE if pattern.match(name)), None) for name in NAMES}
    assert {pattern.pattern for pattern, _ in TABLE} - firsts <= {re.escape("computer-use-preview")}


class TestFitted:
    """The best size by a job's section, within its tokens."""

    def test_without_a_cap_it_is_the_best_size(self):
        """`max_side` and `detail` are the section's."""
        section = MediaSection(max_side=1000, detail="high")
        assert fitted(4000, 3000, model=model("gpt-5.2"), section=section) == (1000, 750)

    def test_a_picture_above_the_cap_is_made_smaller(self):
        """5 tiles of 258 are above 1000 tokens; 384 pixels are one tile."""
        section = MediaSection(max_tokens=1000)
        size = fitted(4000, 3000, model=model("gemini-2.0-flash"), section=section)
        assert 375 < max(size) <= 384
        assert billed(4000, 3000, model=model("gemini-2.0-flash"), section=section) == 258

    def test_a_picture_within_the_cap_stays(self):
        """5 tiles of 258 are not above 1290."""
        section = MediaSection(max_tokens=1290)
        assert fitted(4000, 3000, model=model("gemini-2.0-flash"), section=section) == (1536, 1152)

    def test_where_no_size_is_cheaper_the_best_stays(self):
        """Gemini 3 bills 1120 whatever the size."""
        section = MediaSection(max_tokens=500)
        assert fitted(4000, 3000, model=model("gemini-3-pro-preview"), section=section) == (2048, 1536)
        assert billed(4000, 3000, model=model("gemini-3-pro-preview"), section=section) == 1120

    def test_what_nobody_published_has_no_weight(self):
        """Without a rule the cap says nothing."""
        section = MediaSection(max_tokens=1)
        assert fitted(4000, 3000, model=None, section=section) == (2048, 1536)
        assert billed(4000, 3000, model=None, section=section) is None


@pytest.mark.parametrize(
    ("name", "tokens"),
    [
        ("gpt-4o", 85),
        ("gpt-4o-mini", 2833),
        ("gpt-4.1-mini", None),
        ("gpt-5-chat", 70),
        ("gpt-5.1", 70),
        ("o3", 75),
        ("computer-use-preview", 65),
        ("gemini-3-flash-preview", 280),
        ("gemini-2.0-flash", None),
        ("claude-sonnet-4-5", None),
    ],
)
def test_low_detail_of_the_request(name, tokens):
    """A request that says `detail: low` pays the vendor's base (gateway notes 4.1 and 4.2)."""
    assert low_detail_tokens(model(name)) == tokens


def test_low_detail_of_no_model():
    """Of a model that the table does not know nothing is said."""
    assert low_detail_tokens(None) is None
