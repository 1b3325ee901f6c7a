"""What a request weighs: the vendors' published examples, and bounds that nothing published passes."""

import base64
import io
import wave
from fractions import Fraction
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from mediascribe import models
from mediascribe.domain import MEDIA_KINDS, Media, Request
from mediascribe.media import tokens
from mediascribe.media.tokens import Facts, answer_at_most, at_most, expected, facts_of, text_at_most, weigh
from mediascribe.sandbox.look import Clip, Picture
from mediascribe.sandbox.models import MODELS as SERVED

TABLE = models.load(Path(__file__).parents[2] / "configs" / "models.toml")
UNKNOWN = Facts()
PICTURE = Media(kind="image", url="https://cdn.example/a.jpg")


def size(width, height):
    return Facts(width=width, height=height)


def lasting(seconds, width=None, height=None):
    return Facts(width=width, height=height, seconds=seconds)


def entry(name, **facts):
    """A model of the table, or one that is made up."""
    known = {"name": name, "vendor": "v", "family": "f", "dialects": ("chat",), "media": MEDIA_KINDS}
    return TABLE.get(name) or models.Model(**(known | facts))


def request(model="gemini-2.0-flash", **changes):
    members = {"model": model, "dialect": "chat", "prompt": "1234", "media": (PICTURE,), "identity": ()}
    return Request(**members | changes)


def inline(kind, content, media_type="x/y"):
    return Media(kind=kind, url=f"data:{media_type};base64,{base64.b64encode(content).decode()}")


# One medium, by the rules of gateway notes 4.1 to 4.4


@pytest.mark.parametrize(
    ("name", "kind", "facts", "probably", "most"),
    [
        ("gemini-2.0-flash", "image", size(960, 540), 7 * 258, 7 * 258),  # the reference answer: 6 tiles, 1 overview
        ("gemini-2.5-flash", "image", size(3000, 3000), 5 * 258, 5 * 258),
        ("gemini-2.5-flash", "image", size(384, 384), 258, 2 * 258),
        ("gemini-2.0-flash", "image", size(1, 500), 501 * 258, 501 * 258),
        ("gemini-2.0-flash", "image", UNKNOWN, None, 1_048_576),
        ("gemini-2.0-flash", "audio", lasting(7.0), 175, 256),  # the reference answer; 32 a second, and one second more
        ("gemini-2.0-flash", "audio", UNKNOWN, None, 1_048_576),
        ("gemini-2.0-flash", "video", lasting(10.0), 10 * 258 + 320, 12 * 300),
        ("gemini-2.0-flash", "video", UNKNOWN, None, 1_048_576),
        ("gemini-3-pro-preview", "image", UNKNOWN, 1120, 1120),
        ("gemini-3-pro-preview", "video", lasting(10.0), 10 * 70 + 320, 12 * 322),
        ("gpt-4o", "image", size(1024, 1024), 765, 765),
        ("gpt-4o", "image", size(2048, 4096), 1105, 1105),  # the vendor's own example
        ("gpt-4o", "image", size(100, 100), 255, 765),  # small images may be enlarged
        ("gpt-4o", "image", size(4000, 10), 85 + 4 * 170, 85 + 8 * 170),
        ("gpt-4o", "image", UNKNOWN, None, 85 + 8 * 170),
        ("gpt-4o-mini", "image", size(1024, 1024), 2833 + 4 * 5667, 2833 + 4 * 5667),
        ("gpt-5.1-codex", "image", UNKNOWN, None, 70 + 8 * 140),
        ("o3", "image", size(512, 512), 225, 75 + 4 * 150),
        ("gpt-5-mini", "image", size(1024, 1024), 1659, 1659),  # 1024 patches x 1.62
        ("gpt-5-mini", "image", size(1800, 2400), 2353, 2489),  # the vendor's own example: 1452 patches of 1536
        ("gpt-5.2", "image", size(1800, 2400), 1743, 3000),  # a budget of 1536 or 2500 patches
        ("gpt-5.2", "image", UNKNOWN, None, 3000),
        ("o4-mini", "image", UNKNOWN, None, 2642),
        ("claude-sonnet-4-5", "image", size(1000, 1000), 1334, 1334),
        ("claude-sonnet-4-5", "image", size(1092, 1092), 1590, 1590),
        ("claude-sonnet-4-5", "image", size(200, 200), 54, 54),
        ("claude-sonnet-4-5", "image", size(4000, 3000), 1600, 1600),
        ("claude-sonnet-4-5", "image", UNKNOWN, None, 1600),
        ("qwen3-vl-235b-a22b-instruct", "image", size(1024, 1024), 1026, 1026),
        ("qwen3-vl-235b-a22b-instruct", "image", size(8000, 8000), 50 * 50 + 2, 2562),
        ("qwen3-vl-235b-a22b-instruct", "image", UNKNOWN, None, 2562),
        ("qwen3-vl-235b-a22b-instruct", "video", lasting(10.0, 640, 352), 10 * 220, 131_072),
        ("qwen3-vl-235b-a22b-instruct", "video", lasting(10.0), None, 131_072),
        ("qwen2.5-vl-72b-instruct", "image", size(840, 840), 902, 902),
        ("qwen2.5-vl-72b-instruct", "image", size(12, 12), 4, 520),  # the gateway may put its own number
        ("qwen-vl-max", "image", size(896, 896), 28 * 28 + 2, 32 * 32 + 2),  # of which group depends on the snapshot
        ("qwen3-omni-flash", "audio", lasting(100.0), 1250, 101 * 25),
        ("qwen3-omni-flash", "audio", lasting(0.25), 13, 256),
        ("qwen3-omni-flash", "video", lasting(10.0, 640, 352), 10 * 220 + 125, 11 * 770 + 275),
        ("qwen3-omni-flash", "video", UNKNOWN, None, 65_536),
        ("qwen3.5-omni-plus", "audio", lasting(100.0), 700, 101 * 25),
        ("qwen2.5-omni-7b", "audio", lasting(100.0), 2500, 101 * 25),
        ("glm-4.5v", "image", size(10, 10), 1047, 131_072),
        ("grok-4", "image", size(10, 10), None, 256_000),
        ("gpt-audio", "audio", lasting(1.0), None, 128_000),  # no rate is published
        ("my-model", "image", size(10, 10), None, 1_048_576),
    ],
)
def test_what_a_medium_weighs(name, kind, facts, probably, most):
    """What to expect and what to reserve are worked out by hand from the notes."""
    model = entry(name)
    assert expected(kind, facts, model) == probably
    assert at_most(kind, facts, model) == most


def test_what_was_published_is_within_the_bounds():
    """The usage objects of gateway notes 1.3 pass no bound, one of them above the vendor's own cap."""
    assert at_most("image", UNKNOWN, entry("qwen3-omni-flash")) >= 1609
    assert at_most("video", lasting(234 / 25), entry("qwen2.5-omni-7b")) >= 6617 + 234


def test_sharper_images_weigh_more_where_the_job_pays_for_it():
    """`vl_high_resolution_images` lifts Qwen's cap to 16,384, and says nothing to others."""
    qwen = entry("qwen3-vl-235b-a22b-instruct")
    assert at_most("image", UNKNOWN, qwen, sharp=True) == 16_386
    assert expected("image", size(3200, 3200), qwen, sharp=True) == 10_002
    assert at_most("image", UNKNOWN, entry("gpt-4o"), sharp=True) == 1445
    asked = request("qwen3-vl-235b-a22b-instruct", parameters={"vl_high_resolution_images": True})
    assert weigh(asked, qwen).media == {"image": 16_386}


def test_nothing_is_known_without_a_model():
    """A model that the table does not have takes as much as a large one."""
    assert expected("image", size(10, 10), None) is None
    assert at_most("image", size(10, 10), None) == tokens.CONTEXT_TOKENS == 1_048_576


@pytest.mark.wide
@given(
    name=st.sampled_from([*TABLE.models]),
    kind=st.sampled_from(MEDIA_KINDS),
    facts=st.builds(
        Facts,
        width=st.none() | st.integers(1, 20_000),
        height=st.none() | st.integers(1, 20_000),
        seconds=st.none() | st.floats(0, 40_000),
    ),
    sharp=st.booleans(),
)
@settings(max_examples=300, deadline=None)
def test_what_is_expected_is_never_above_the_bound(name, kind, facts, sharp):
    """Whatever the model and the medium, as far as it fits into the context."""
    model = TABLE.get(name)
    most, probably = at_most(kind, facts, model, sharp=sharp), expected(kind, facts, model, sharp=sharp)
    context = model.context_tokens or tokens.CONTEXT_TOKENS
    assert 1 <= most <= context
    assert probably is None or min(probably, context) <= most


@pytest.mark.wide
@given(
    name=st.sampled_from([*SERVED]),
    width=st.integers(1, 8000),
    height=st.integers(1, 8000),
    tenths=st.integers(0, 6000),
    known=st.booleans(),
)
@settings(max_examples=300, deadline=None)
def test_the_sandbox_bills_no_medium_above_the_bound(name, width, height, tenths, known):
    """Another hand's reading of the same rules stays below ours, up to the context, which the sandbox does not mind."""
    weights, duration = SERVED[name].weights, Fraction(tenths, 10)
    picture = Picture(width=width, height=height, format="PNG", colours=("grey",), brightness="dark")
    clip = Clip(duration_s=duration, frames=1, per_s=25, has_sound=True, first=picture)
    facts, model = lasting(tenths / 10, width, height) if known else UNKNOWN, TABLE.get(name)
    billed = {
        "image": weights.image(width, height),
        "audio": weights.sound(duration),
        "video": sum(weights.video(clip)),
    }
    for kind, tokens_billed in billed.items():
        assert min(tokens_billed, model.context_tokens) <= at_most(kind, facts, model)


# A whole request


def test_a_text_has_no_more_tokens_than_bytes():
    """Sixteen tokens more for the marks around a message; a broken surrogate is one byte, as it is sent."""
    assert text_at_most("aé图\ud800") == 1 + 2 + 3 + 1 + 16
    assert tokens.text_expected("图" * 40) == 30
    assert tokens.text_expected("") == 1


def test_a_request_is_the_sum_of_its_parts():
    """System message, prompt, schema and the marks around media count as text; media by their kind."""
    schema = {"type": "object"}
    media = (PICTURE, PICTURE, Media(kind="audio", url="https://cdn.example/a.mp3"))
    asked = request(media=media, system="12345678", schema=schema, parameters={"max_tokens": 300})
    facts = [size(960, 540), size(384, 384), lasting(7.0)]
    weight = weigh(asked, entry("gemini-2.0-flash"), facts=facts)
    assert weight.text == (4 + 16) + (8 + 16) + len('{"type":"object"}') + 512 + 3 * 16
    assert weight.media == {"image": 1806 + 516, "audio": 256}
    assert weight.answer == 300
    assert weight.prompt == weight.text + 1806 + 516 + 256
    assert weight.at_most_tokens == weight.prompt + 300
    assert weight.media_expected == (1806, 258, 175)
    assert weight.expected_tokens(9) == (1 + 2) + 1806 + 258 + 175 + 200


def test_a_prompt_is_never_longer_than_the_context():
    """Two unknown sounds fill it once; what is expected stays within."""
    sound = Media(kind="audio", url="https://cdn.example/a.mp3")
    weight = weigh(request(media=(sound, sound)), entry("gemini-2.0-flash"))
    assert weight.media == {"audio": 2 * 1_048_576}
    assert weight.prompt == 1_048_576
    assert weight.expected_tokens(2_000) == 1 + 4_000 + 200
    assert weight.expected_tokens(10**9) == 1_048_576 + 200


@pytest.mark.parametrize(("word", "most"), [(None, 1_048_576), (2_000, 2_000), (10**9, 1_048_576)])
def test_the_jobs_word_goes_before_a_larger_bound(word, most):
    """`budget.media_tokens` replaces the bound of each medium where it is smaller."""
    assert weigh(request(), entry("gemini-2.0-flash"), word).media == {"image": most}


def test_the_jobs_word_goes_before_an_expectation():
    """No medium has more than the job says."""
    weight = weigh(request(), entry("gemini-2.0-flash"), 1_000, facts=[size(960, 540)])
    assert (weight.media, weight.media_expected) == ({"image": 1_000}, (1_000,))


@pytest.mark.parametrize("name", ["tools", "cachedContent", "previous_response_id", "enable_search"])
def test_text_from_elsewhere_may_fill_the_context(name):
    """What a parameter brings into the prompt is not in the request, so nobody can count it."""
    assert weigh(request(parameters={name: "x"}, media=()), entry("gpt-4o")).prompt == 128_000


@pytest.mark.parametrize(
    ("name", "changes", "most"),
    [
        ("gemini-2.0-flash", {}, 8_192),
        ("gemini-2.0-flash", {"parameters": {"max_tokens": 300}}, 300),
        ("gemini-2.0-flash", {"parameters": {"max_tokens": 300, "max_completion_tokens": 400}}, 400),
        ("gemini-2.0-flash", {"parameters": {"max_tokens": 0}}, 8_192),  # the gateway drops a 0
        ("gemini-2.0-flash", {"parameters": {"max_tokens": True}}, 8_192),
        ("gemini-2.0-flash", {"parameters": {"max_tokens": "300"}}, 8_192),
        ("gemini-2.0-flash", {"parameters": {"generationConfig": {"maxOutputTokens": 300, "candidateCount": 2}}}, 600),
        ("gemini-2.5-pro", {"parameters": {"max_tokens": 300}, "thinking": "high"}, 300),  # thoughts are inside
        ("gpt-5", {"parameters": {"max_output_tokens": 300}, "dialect": "responses", "thinking": "high"}, 300),
        ("claude-sonnet-4-5", {}, 64_000),
        ("claude-sonnet-4-5", {"dialect": "messages"}, 1_024),  # the default that is sent
        ("claude-sonnet-4-5", {"dialect": "messages", "parameters": {"max_completion_tokens": 300}}, 300),
        ("claude-sonnet-4-5", {"dialect": "messages", "thinking": "low"}, 1_024 + 1_024),
        ("claude-sonnet-4-5", {"parameters": {"max_tokens": 300}, "thinking": "medium"}, 4_096 + 300),
        ("claude-sonnet-4-5", {"parameters": {"max_tokens": 9_000}, "thinking": "medium"}, 9_000),
        ("qwen-vl-max", {"parameters": {"max_tokens": 300}}, 300),
        ("qwen3-vl-235b-a22b-thinking", {"parameters": {"max_tokens": 300}}, 32_768 + 81_920),
        ("grok-4", {"parameters": {"max_tokens": 300}}, 256_000),
        ("grok-4-1-fast-non-reasoning", {"parameters": {"max_tokens": 300}}, 300),
        ("grok-4-1-fast-reasoning", {"parameters": {"max_tokens": 300}}, 65_536),
        ("glm-4.5v", {"parameters": {"max_tokens": 300}}, 32_768),  # it may think on top
        ("glm-4.5v", {"parameters": {"max_tokens": 300}, "thinking": "off"}, 300),
        ("glm-4.5v", {"parameters": {"max_tokens": 300, "thinking": {"type": "disabled"}}}, 300),
        ("qwen3.5-122b-a10b", {"parameters": {"max_tokens": 300, "enable_thinking": False}}, 300),
        ("qwen3.5-122b-a10b", {"parameters": {"max_tokens": 300, "enable_thinking": True}}, 65_536 + 81_920),
    ],
)
def test_how_long_an_answer_may_be(name, changes, most):
    """As long as the job allows where thoughts are inside that, else as long as the model can."""
    assert answer_at_most(request(name, **changes), entry(name)) == most


def test_an_unknown_model_may_think_beside_its_limit():
    """Nothing is known of how it counts, so its limit is not believed."""
    assert answer_at_most(request("my-model", parameters={"max_tokens": 300}), None) == 65_536
    weight = weigh(request("my-model"), None)
    assert weight.at_most_tokens == 1_048_576 + 65_536


# What a data URL says


def test_a_picture_says_its_size():
    """Width and height stand in its header."""
    content = io.BytesIO()
    Image.new("RGB", (33, 22)).save(content, "PNG")
    picture = inline("image", content.getvalue(), "image/png")
    assert facts_of(picture) == size(33, 22)
    assert weigh(request(media=(picture,)), entry("gemini-2.0-flash")).media == {"image": 516}


def test_a_size_behind_a_long_header_is_found():
    """A colour profile of 200 kB stands before it."""
    content = io.BytesIO()
    Image.new("RGB", (33, 22)).save(content, "JPEG", icc_profile=bytes(200_000))
    assert facts_of(inline("image", content.getvalue())) == size(33, 22)


def test_a_wav_says_its_length():
    """All of its bytes count as sound, so it is a little longer than it is."""
    content = io.BytesIO()
    with wave.open(content, "wb") as sound:
        sound.setnchannels(2)
        sound.setsampwidth(2)
        sound.setframerate(8_000)
        sound.writeframes(bytes(2 * 2 * 8_000 * 3))
    assert 3.0 <= facts_of(inline("audio", content.getvalue())).seconds < 3.01


@pytest.mark.parametrize(
    "media",
    [
        PICTURE,
        Media(kind="video", url="data:video/mp4;base64,AAAA"),
        Media(kind="image", url="data:image/png;base64,A"),
        Media(kind="image", url="data:image/svg+xml,%3Csvg%2F%3E"),
        inline("image", b"\x89PNG\r\n\x1a\n"),
        inline("audio", b"ID3" + bytes(100)),
        inline("audio", b"RIFF\0\0\0\0WAVEfmt "),
        inline("audio", b"RIFF\0\0\0\0WAVEfmt \x10\0\0\0" + bytes(100)),
    ],
)
def test_what_cannot_be_read_is_unknown(media):
    """No size and no length, and no error: the gateway will say what is wrong."""
    assert facts_of(media) == UNKNOWN


def test_a_picture_too_large_to_open_is_unknown():
    """A header of a billion pixels is nothing to reckon with."""
    content = io.BytesIO()
    Image.new("1", (1, 1)).save(content, "PNG")
    header = bytearray(content.getvalue())
    header[16:24] = (40_000).to_bytes(4, "big") * 2
    assert facts_of(inline("image", bytes(header))) == UNKNOWN


@pytest.mark.wide
@given(
    kind=st.sampled_from(["image", "audio"]),
    magic=st.sampled_from([b"", b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", b"\xff\xd8\xff\xe0", b"GIF89a", b"RIFF1234WEBPVP8X"]),
    rest=st.binary(max_size=80),
)
@settings(max_examples=300, deadline=None)
def test_no_bytes_are_an_error(kind, magic, rest):
    """Whatever stands in a data URL, its facts are numbers or unknown."""
    facts = facts_of(inline(kind, magic + rest))
    assert facts.width is None or facts.width >= 0
