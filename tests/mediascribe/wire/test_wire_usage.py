"""Token counts are read by the dialect's rules, whatever the gateway puts beside them."""

import json
from pathlib import Path

import msgspec
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from mediascribe.domain import NO_USAGE, Usage
from mediascribe.wire.usage import FIELDS, normalise, read

PUBLISHED = json.loads((Path(__file__).parent / "answers" / "usages.json").read_text())
GEMINI = "gemini-2.0-flash"


def usage_of(raw, model="gpt-4o", kinds=(), dialect="chat"):
    return normalise(raw, dialect=dialect, model=model, media_kinds=kinds)


def counts(usage):
    """The columns that are not 0, and the source."""
    names = [name for name in Usage.__slots__ if name != "raw"]
    return {name: getattr(usage, name) for name in names if getattr(usage, name)}


def prompt(total, **details):
    return {"prompt_tokens": total, "completion_tokens": 1, "prompt_tokens_details": details}


@pytest.mark.parametrize(
    ("name", "model", "kinds", "expected"),
    [
        (
            "A: gemini, image and audio",
            GEMINI,
            ("image", "audio"),
            {
                "prompt_tokens": 1986,
                "completion_tokens": 83,
                "total_tokens": 2069,
                "prompt_text_tokens": 5,
                "prompt_audio_tokens": 175,
                "prompt_image_tokens": 7 * 258,
                "source": "derived",
            },
        ),
        (
            "B: gemini image model, one overview tile",
            "gemini-2.5-flash-image",
            ("image",),
            {
                "prompt_tokens": 270,
                "completion_tokens": 83,
                "total_tokens": 353,
                "prompt_text_tokens": 12,
                "prompt_image_tokens": 258,
                "source": "derived",
            },
        ),
        (
            "B: gemini image model, seven tiles",
            "gemini-2.5-flash-image-preview",
            ("image",),
            {
                "prompt_tokens": 1817,
                "completion_tokens": 83,
                "total_tokens": 1900,
                "prompt_text_tokens": 11,
                "prompt_image_tokens": 1806,
                "source": "derived",
            },
        ),
        (
            "C: claude through chat",
            "claude-opus-4-5-20251101",
            ("image",),
            {"prompt_tokens": 21, "completion_tokens": 87, "total_tokens": 108, "source": "reported"},
        ),
        ("D: claude through messages, read as chat", "claude-opus-4-5-20251101", (), {"source": "missing"}),
        (
            "E: openai",
            "gpt-4o-mini",
            (),
            {"prompt_tokens": 19, "completion_tokens": 116, "total_tokens": 135, "source": "reported"},
        ),
        (
            "F: qwen-max",
            "qwen-max",
            (),
            {"prompt_tokens": 42, "completion_tokens": 59, "total_tokens": 101, "source": "reported"},
        ),
        (
            "G: qwen3-omni-flash, image",
            "qwen3-omni-flash-2025-12-01",
            ("image",),
            {
                "prompt_tokens": 1630,
                "completion_tokens": 46,
                "total_tokens": 1676,
                "prompt_text_tokens": 21,
                "prompt_image_tokens": 1609,
                "completion_text_tokens": 46,
                "source": "reported",
            },
        ),
        (
            "H: qwen2.5-omni-7b, video with sound",
            "qwen2.5-omni-7b",
            ("video",),
            {
                "prompt_tokens": 6871,
                "completion_tokens": 87,
                "total_tokens": 6958,
                "prompt_text_tokens": 20,
                "prompt_audio_tokens": 234,
                "prompt_video_tokens": 6617,
                "completion_text_tokens": 87,
                "source": "reported",
            },
        ),
        ("I: deepseek", "deepseek-v4-pro", (), {"prompt_tokens": 10, "total_tokens": 10, "source": "reported"}),
        ("J: placeholder", "SenseNova-V6-Pro", ("video",), {"source": "missing"}),
        (
            "K: gemini-2.5-pro, thinking",
            "gemini-2.5-pro",
            (),
            {"completion_tokens": 492, "total_tokens": 492, "reasoning_tokens": 482, "source": "reported"},
        ),
        (
            "K: gemini-2.5-flash, one token allowed",
            "gemini-2.5-flash",
            (),
            {"prompt_tokens": 1, "total_tokens": 1, "source": "estimated"},
        ),
    ],
)
def test_published_usage(name, model, kinds, expected):
    """Every usage object that the gateway's pages show is read as worked out by hand."""
    assert counts(usage_of(PUBLISHED[name.removesuffix(", read as chat")], model, kinds)) == expected


def test_published_usage_of_messages():
    """The page of Anthropic's own format counts in its own words."""
    usage = usage_of(PUBLISHED["D: claude through messages"], "claude-opus-4-5-20251101", dialect="messages")
    assert counts(usage) == {
        "prompt_tokens": 10,
        "completion_tokens": 12,
        "total_tokens": 22,
        "source": "reported",
    }


def test_the_dialect_decides_which_members_count():
    """On chat completions the other dialects' words are placeholders, and the other way round."""
    both = {"prompt_tokens": 5, "completion_tokens": 2, "input_tokens": 50, "output_tokens": 20}
    assert usage_of(both).total_tokens == 7
    assert usage_of(both, dialect="responses").total_tokens == 70


def test_raw_is_the_gateways_own_json():
    """The raw column holds the whole object, compact, its members in the gateway's order."""
    raw = PUBLISHED["A: gemini, image and audio"]
    assert usage_of(raw, GEMINI).raw == json.dumps(raw, separators=(",", ":"))


@pytest.mark.parametrize("raw", [None, [], "1986", 5, [{"prompt_tokens": 5}]])
def test_no_object_is_missing(raw):
    """What is no object is no usage."""
    assert usage_of(raw) == NO_USAGE


def test_all_zero_is_missing_and_keeps_the_raw():
    """An object of zeros says nothing about tokens, and is kept as it came."""
    assert usage_of({"prompt_tokens": 0, "total_tokens": 0}) == Usage(raw='{"prompt_tokens":0,"total_tokens":0}')


@pytest.mark.parametrize("value", [-1, 1.5, True, "12", None, [3], 10**9 + 1, 2**70, float("nan"), float("inf")])
def test_no_token_count(value):
    """What is no whole number from 0 to a billion is not reported."""
    assert counts(usage_of({"prompt_tokens": value, "completion_tokens": 4})) == {
        "completion_tokens": 4,
        "total_tokens": 4,
        "source": "reported",
    }


def test_whole_floats_count():
    """12.0 tokens are 12 tokens."""
    assert usage_of({"prompt_tokens": 12.0, "completion_tokens": 1e9}).total_tokens == 1_000_000_012


def test_details_of_another_type_are_not_reported():
    """Details that are no object have no parts."""
    assert counts(usage_of({"prompt_tokens": 2, "prompt_tokens_details": [1]})) == {
        "prompt_tokens": 2,
        "total_tokens": 2,
        "source": "reported",
    }


@pytest.mark.parametrize(
    ("raw", "expected", "source"),
    [
        ({"prompt_tokens": 5, "completion_tokens": 2}, (5, 2, 7), "reported"),
        ({"completion_tokens": 2, "total_tokens": 7}, (5, 2, 7), "derived"),
        ({"prompt_tokens": 5, "completion_tokens": 0, "total_tokens": 7}, (5, 2, 7), "derived"),
        ({"total_tokens": 7}, (7, 0, 7), "estimated"),
        ({"prompt_tokens": 5, "completion_tokens": 2, "total_tokens": 50}, (5, 2, 7), "estimated"),
        ({"prompt_tokens": 5, "completion_tokens": 2, "total_tokens": 3}, (5, 2, 7), "estimated"),
    ],
)
def test_totals(raw, expected, source):
    """The total is prompt + completion; one of the three that is missing follows from the others."""
    usage = usage_of(raw)
    assert (usage.prompt_tokens, usage.completion_tokens, usage.total_tokens) == expected
    assert usage.source == source


@pytest.mark.parametrize(
    ("kinds", "expected"),
    [
        (("image",), {"prompt_image_tokens": 900, "source": "derived"}),
        (("video",), {"prompt_video_tokens": 900, "source": "derived"}),
        (("image", "video"), {"prompt_video_tokens": 900, "source": "estimated"}),
        (("audio",), {"source": "reported"}),
        ((), {"source": "reported"}),
    ],
)
def test_gemini_remainder_goes_to_what_was_asked(kinds, expected):
    """Gemini's unnamed prompt tokens are the pictures' or the video's; of both together the split is a guess."""
    usage = usage_of(prompt(1000, text_tokens=20, audio_tokens=80, image_tokens=0), "Gemini-2.5-flash", kinds)
    known = {"prompt_tokens": 1000, "completion_tokens": 1, "total_tokens": 1001}
    parts = {"prompt_text_tokens": 20, "prompt_audio_tokens": 80}
    assert counts(usage) == known | parts | expected


def test_gemini_without_a_text_count_is_not_split():
    """Without a text count the pictures' share cannot be told from the prompt's."""
    assert usage_of(prompt(1000, text_tokens=0), GEMINI, ("image",)).prompt_image_tokens == 0


def test_gemini_that_names_its_pictures_is_not_derived():
    """Where nothing is left over nothing is derived."""
    usage = usage_of(prompt(263, text_tokens=5, image_tokens=258), GEMINI, ("image",))
    assert (usage.prompt_image_tokens, usage.source) == (258, "reported")


def test_other_models_are_not_derived():
    """Only Gemini's adapter leaves pictures out of the split."""
    assert usage_of(prompt(1000, text_tokens=5), "gpt-4o", ("image",)).prompt_image_tokens == 0


def test_streamed_gemini_text_is_dropped():
    """A text count that equals the whole prompt beside sound is the streaming fault: the text goes, the sound stays."""
    usage = usage_of(prompt(1986, text_tokens=1986, audio_tokens=175), GEMINI, ("image", "audio"))
    assert (usage.prompt_text_tokens, usage.prompt_audio_tokens, usage.prompt_image_tokens) == (0, 175, 0)
    assert usage.source == "estimated"


def test_claude_cache_is_added():
    """Through chat, Claude's prompt excludes its cache: what was read and what was written are added."""
    raw = {
        "prompt_tokens": 21,
        "completion_tokens": 87,
        "total_tokens": 108,
        "prompt_tokens_details": {"cached_tokens": 1000},
        "claude_cache_creation_5_m_tokens": 200,
        "claude_cache_creation_1_h_tokens": 30,
    }
    assert counts(usage_of(raw, "claude-sonnet-4-5-20250929")) == {
        "prompt_tokens": 1251,
        "completion_tokens": 87,
        "total_tokens": 1338,
        "cached_tokens": 1000,
        "cache_write_tokens": 230,
        "source": "reported",
    }


def test_claude_total_may_include_the_cache():
    """A total that has the cache in it already is no contradiction."""
    raw = {"prompt_tokens": 21, "completion_tokens": 4, "total_tokens": 125, "prompt_cache_hit_tokens": 100}
    usage = usage_of(raw, "claude-opus-4-6")
    assert (usage.prompt_tokens, usage.total_tokens, usage.source) == (121, 125, "reported")


def test_claude_with_openai_semantics_is_left_alone():
    """A gateway that says it counts as OpenAI does has added the cache itself."""
    raw = {"prompt_tokens": 121, "completion_tokens": 4, "usage_semantic": "openai", "prompt_cache_hit_tokens": 100}
    usage = usage_of(raw, "claude-opus-4-6")
    assert (usage.prompt_tokens, usage.cached_tokens) == (121, 100)


@pytest.mark.parametrize(
    "raw",
    [
        {"prompt_tokens_details": {"cache_write_tokens": 7}},
        {"prompt_tokens_details": {"cached_creation_tokens": 7}},
        {"cached_creation_tokens": 7},
        {"claude_cache_creation_5_m_tokens": 3, "claude_cache_creation_1_h_tokens": 4},
    ],
)
def test_cache_writes_have_four_names(raw):
    """What was written to the cache is read under each of its names, and once."""
    assert usage_of({"prompt_tokens": 20} | raw).cache_write_tokens == 7


@pytest.mark.parametrize(
    ("raw", "dropped"),
    [
        (prompt(10, text_tokens=11), "prompt_text_tokens"),
        (prompt(10, cached_tokens=11), "cached_tokens"),
        (prompt(10, cached_tokens=6, cache_write_tokens=6), "cache_write_tokens"),
        (prompt(10, image_tokens=6, audio_tokens=6), "prompt_image_tokens"),
        ({"completion_tokens": 5, "completion_tokens_details": {"reasoning_tokens": 6}}, "reasoning_tokens"),
    ],
)
def test_impossible_parts_are_dropped(raw, dropped):
    """A part larger than its total goes, the total stays, and the split is marked as a guess."""
    usage = usage_of(raw)
    assert getattr(usage, dropped) == 0
    assert usage.source == "estimated"
    assert usage.total_tokens == raw.get("prompt_tokens", 0) + raw["completion_tokens"]


@pytest.mark.parametrize(
    ("raw", "kinds", "source"),
    [
        (prompt(8197, text_tokens=5, video_tokens=8192), ("video",), "estimated"),
        (prompt(525, text_tokens=5), ("image",), "estimated"),
        (prompt(1047), ("image",), "estimated"),
        (prompt(1047), ("audio",), "reported"),
        (prompt(300, audio_tokens=256), ("audio",), "estimated"),
        (prompt(261, text_tokens=5, audio_tokens=256), ("audio",), "reported"),
    ],
)
def test_the_gateways_round_numbers_are_doubted(raw, kinds, source):
    """A medium that costs exactly what the gateway writes when nobody counted is an estimate."""
    assert usage_of(raw, "glm-4.6v", kinds).source == source


NUMBERS = st.integers(-2, 40) | st.integers(-(10**10), 10**10)


def paths(dialect):
    return sorted({path for row in FIELDS[dialect].values() for paths in row for path in paths})


@st.composite
def usage_objects(draw):
    """A dialect, and an object with any of the members that its table reads, and any integers in them."""
    raw = {}
    dialect = draw(st.sampled_from(sorted(FIELDS)))
    for path in draw(st.lists(st.sampled_from(paths(dialect)), unique=True)):
        *outer, name = path.split(".")
        number = draw(NUMBERS)
        if name.isupper():
            raw.setdefault(outer[0], []).append({"modality": name, "tokenCount": number})
        elif outer:
            raw.setdefault(outer[0], {})[name] = number
        else:
            raw[name] = number
    return dialect, raw


@settings(max_examples=250, deadline=None)
@given(
    reported=usage_objects(),
    model=st.sampled_from(["gemini-2.5-pro", "claude-opus-4-5", "gpt-4o"]),
    kinds=st.sets(st.sampled_from(["image", "audio", "video"])),
    stream=st.booleans(),
)
@example(reported=("chat", PUBLISHED["A: gemini, image and audio"]), model=GEMINI, kinds={"image"}, stream=False)
def test_columns_add_up(reported, model, kinds, stream):
    """Whatever integers are reported: no part is negative, parts fit their totals, and the total is their sum."""
    dialect, raw = reported
    usage = read(raw, dialect=dialect, model=model, media_kinds=kinds, stream=stream).usage
    parts = [getattr(usage, f"prompt_{kind}_tokens") for kind in ("text", "image", "audio", "video")]
    assert min(getattr(usage, column) for column in FIELDS[dialect]) >= 0
    assert sum(parts) <= usage.prompt_tokens
    assert usage.cached_tokens + usage.cache_write_tokens <= usage.prompt_tokens
    assert max(usage.reasoning_tokens, usage.completion_audio_tokens) <= usage.completion_tokens
    assert usage.total_tokens == usage.prompt_tokens + usage.completion_tokens
    assert (usage.source == "missing") == (usage.total_tokens == 0)
    assert msgspec.json.decode(usage.raw) == raw


def test_every_dialect_fills_every_column():
    """The table has the same columns for every dialect."""
    assert len({frozenset(row) for row in FIELDS.values()}) == 1
