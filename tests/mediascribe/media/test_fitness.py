"""Whether a medium may be sent: the job's limits, the gateway's and the vendors', each at its border."""

from pathlib import Path

import pytest

from mediascribe import models
from mediascribe.job_sections import MediaSection
from mediascribe.media.fitness import unfit
from mediascribe.media.look import Looked

TABLE = models.load(Path(__file__).parents[3] / "configs" / "models.toml")
MIB = 2**20
GEMINI, GPT, GPT_AUDIO = "gemini-2.0-flash", "gpt-4o", "gpt-4o-audio-preview"
CLAUDE, GLM = "claude-sonnet-4-5-20250929", "glm-4.5v"
QWEN3_VL, QWEN25_VL, QWEN_OMNI = "qwen3-vl-235b-a22b-instruct", "qwen2.5-vl-72b-instruct", "qwen2.5-omni-7b"


def seen(mime="image/jpeg", width=640, height=480, **facts):
    """What was seen of a medium of type *mime*."""
    kind = mime.partition("/")[0]
    size = {"width": width, "height": height} if kind != "audio" else {}
    return Looked(**({"mime": mime, "kind": kind} | size | facts))


def verdict(looked, model=GEMINI, *, kind=None, inline=False, size=1000, section=None, **way):  # noqa: PLR0913 - all have defaults
    """The failure of sending *looked*, or None."""
    return unfit(
        looked,
        kind or looked.kind,
        model=TABLE.get(model) if model else None,
        section=MediaSection(**(section or {})),
        sends_inline=inline,
        total_bytes=size,
        **way,
    )


def code(looked, model=GEMINI, **way):
    failure = verdict(looked, model, **way)
    if failure:
        assert (failure.error_class, failure.unasked, failure.status) == ("media", True, "skipped")
    return failure and failure.code


def inline_lane(**section):
    """A job whose media are written anew and sent inline."""
    return {"inline": True, "section": {"mode": "inline"} | section}


def lasting(seconds, mime="video/mp4"):
    return seen(mime, seconds=seconds)


def test_an_ordinary_picture_may_go_to_anybody():
    """A small JPEG is held back from no model of the table, however it travels."""
    takers = [name for name, model in TABLE.models.items() if "image" in model.media]
    assert len(takers) > 30
    for name in [*takers, None]:
        assert code(seen(), name) is None
        assert code(seen(), name, inline=True) is None
        assert code(seen(), name, **inline_lane()) is None


def test_what_is_not_known_holds_nothing_back():
    """Without size, length, bytes or model there is nothing against a medium."""
    blank = seen(width=None, height=None)
    for name in (GEMINI, CLAUDE, GLM, QWEN3_VL, None):
        assert code(blank, name, size=None) is None
    assert code(lasting(None), QWEN3_VL, size=None, section={"max_seconds": 1.0}) is None


@pytest.mark.parametrize(
    ("mime", "kind"), [("audio/mpeg", "image"), ("image/gif", "video"), ("video/mp4", "audio"), ("audio/mp4", "video")]
)
def test_a_medium_in_the_wrong_column_is_held_back(mime, kind):
    """Bytes of another kind than the row says are `wrong_kind`, and the message names both."""
    failure = verdict(seen(mime), kind=kind)
    assert failure.code == "wrong_kind"
    assert kind in failure.message
    assert mime in failure.message


# Types


@pytest.mark.parametrize(
    "mime",
    [
        *("image/png", "image/jpeg", "image/webp", "audio/mpeg", "audio/wav", "video/mp4", "video/mpeg"),
        *("video/x-msvideo", "video/x-ms-wmv", "video/x-flv"),  # listed by other names: their hosts decide
    ],
)
def test_the_gateway_passes_these_on_to_gemini(mime):
    """The types of the gateway's list go by URL."""
    assert code(seen(mime)) is None


@pytest.mark.parametrize(
    "mime",
    [
        *("image/gif", "image/bmp", "image/tiff", "image/avif", "audio/ogg", "audio/flac", "audio/mp4", "audio/aac"),
        *("video/quicktime", "video/webm", "video/x-matroska", "video/3gpp", "video/mp2t"),
    ],
)
def test_the_gateway_refuses_these_and_inline_mends_it(mime):
    """Other types are `wrong_type` by URL, the message says what helps, and with it they are fit."""
    failure = verdict(seen(mime))
    assert failure.code == "wrong_type"
    assert failure.message.endswith('[media] mode = "inline" re-encodes it')
    assert code(seen(mime), **inline_lane()) is None


def test_heic_goes_to_gemini_inline_only():
    """Gemini takes HEIC, the gateway does not pass it on by URL, and for others nobody here can convert it."""
    failure = verdict(seen("image/heic"))
    assert (failure.code, failure.message.endswith("; convert it")) == ("wrong_type", True)
    assert code(seen("image/heic"), inline=True) is None
    assert code(seen("image/heic"), **inline_lane()) is None
    assert code(seen("image/heic"), GPT, **inline_lane()) == "wrong_type"
    assert code(seen("image/jxl"), **inline_lane()) == "wrong_type"


@pytest.mark.parametrize(
    ("mime", "said", "expected"),
    [
        ("audio/wav", "audio/x-wav", "wrong_type"),
        ("audio/wav", "audio/wav; charset=binary", None),
        ("image/jpeg", "IMAGE/JPEG", None),
        ("image/jpeg", "image/jpg", "wrong_type"),
        ("image/jpeg", "text/plain", "wrong_type"),
        ("video/x-msvideo", "video/x-msvideo", "wrong_type"),
        ("video/quicktime", "video/mov", None),
        ("audio/mpeg", "application/octet-stream", None),  # then the ending of the URL decides
        ("audio/mpeg", "", None),
        ("image/gif", "application/octet-stream", "wrong_type"),
    ],
)
def test_the_word_of_the_host_counts_at_the_gateway(mime, said, expected):
    """The gateway goes by the Content-Type of the host: a wrong one spoils a good medium, by URL to Gemini only."""
    assert code(seen(mime), content_type=said) == expected
    if mime != "image/gif":
        assert code(seen(mime), inline=True, content_type=said) is None
        assert code(seen(mime), dialect="generate_content", content_type=said) is None


def test_a_wrong_word_is_named():
    """The message has what the host says beside what the bytes are."""
    failure = verdict(seen("audio/wav"), content_type="audio/x-wav")
    assert "no audio/wav that its host calls audio/x-wav" in failure.message


@pytest.mark.parametrize(
    ("model", "takes", "not_these"),
    [
        (GPT, ["image/png", "image/webp", "image/gif"], ["image/bmp", "image/heic"]),
        (CLAUDE, ["image/png", "image/webp", "image/gif"], ["image/bmp", "image/tiff"]),
        (GLM, ["image/png", "image/jpeg", "video/mp4"], ["image/webp", "image/gif"]),
        (GPT_AUDIO, ["audio/wav", "audio/mpeg"], ["audio/ogg", "audio/mp4"]),
        (QWEN3_VL, ["image/bmp", "image/tiff", "video/webm"], []),  # its types are not known
    ],
)
def test_a_model_takes_the_types_of_its_table(model, takes, not_these):
    """Where the table knows the types of a kind, others are held back, by URL as inline."""
    looks = {mime: seen(mime, seconds=10.0) for mime in takes + not_these}
    for inline in (False, True):
        assert [mime for mime, looked in looks.items() if code(looked, model, inline=inline)] == not_these


def test_openai_takes_no_animated_gif():
    """A GIF that moves is `wrong_type` for OpenAI, unless a frame of it is sent inline; a still one is not."""
    moving = seen("image/gif", frames=2)
    assert code(moving, GPT) == code(moving, GPT, inline=True) == "wrong_type"
    assert code(moving, GPT, **inline_lane()) is None
    assert code(seen("image/gif"), GPT) is None
    assert code(moving, CLAUDE) is None


# Bytes


def test_the_job_limits_bytes():
    """More bytes than `max_bytes` are `too_large`, however they travel."""
    section = {"max_bytes": 5000}
    assert code(seen(), size=5000, section=section) is None
    assert code(seen(), size=5001, section=section) == "too_large"
    assert code(seen(), size=5001, **inline_lane(**section)) == "too_large"


@pytest.mark.parametrize(("model", "mime"), [(GEMINI, "video/mp4"), (GEMINI, "audio/mpeg")])
def test_the_gateway_downloads_20_mb(model, mime):
    """By URL, what the gateway itself downloads has 20 MB at most; inline, and in Gemini's own dialect, it is not."""
    looked = seen(mime, seconds=60.0)
    assert code(looked, model, size=20 * MIB) is None
    failure = verdict(looked, model, size=20 * MIB + 1)
    assert (failure.code, 'mode = "inline"' in failure.message) == ("too_large", True)
    assert code(looked, model, size=20 * MIB + 1, inline=True) is None
    assert code(looked, model, size=20 * MIB + 1, dialect="generate_content") is None


def test_others_fetch_their_media_themselves():
    """What the vendor fetches is not held to the gateway's 20 MB."""
    assert code(seen(), GPT, size=30 * MIB) is None
    assert code(lasting(60.0), QWEN3_VL, size=90 * MIB) is None
    assert code(seen(), None, size=90 * MIB) is None


@pytest.mark.parametrize(("model", "most"), [(CLAUDE, 5 * MIB), (GLM, 5 * MIB), (QWEN3_VL, 10 * MIB)])
def test_vendors_limit_the_bytes_of_a_picture(model, most):
    """5 MB for Claude and GLM, 10 MB for Qwen-VL, unless it is shrunk first."""
    assert code(seen(), model, size=most) is None
    assert code(seen(), model, size=most + 1) == "too_large"
    assert code(seen(), model, size=most + 1, **inline_lane()) is None


def test_qwen_counts_base64_and_has_room_for_films():
    """Inline, 10 MB of base64 are 7.5 MB of bytes; by URL a film has 2 GB, of Qwen2.5-VL 1 GB."""
    film, roomy = lasting(60.0), {"max_bytes": 10**10}
    assert code(film, QWEN3_VL, size=7_864_320, inline=True) is None
    assert code(film, QWEN3_VL, size=7_864_321, inline=True) == "too_large"
    assert code(film, QWEN3_VL, size=2048 * MIB, section=roomy) is None
    assert code(film, QWEN3_VL, size=2048 * MIB + 1, section=roomy) == "too_large"
    assert code(film, QWEN25_VL, size=1024 * MIB, section=roomy) is None
    assert code(film, QWEN25_VL, size=1024 * MIB + 1, section=roomy) == "too_large"
    assert code(film, QWEN_OMNI, size=2048 * MIB + 1, section=roomy) is None  # not stated of it


# Sides


def test_the_job_limits_pixels():
    """More pixels than `max_pixels` are a bomb, inline as well."""
    section = {"max_pixels": 10_000}
    assert code(seen(width=100, height=100), section=section) is None
    assert code(seen(width=101, height=100), section=section) == "too_many_pixels"
    assert code(seen(width=101, height=100), **inline_lane(**section)) == "too_many_pixels"


@pytest.mark.parametrize(("model", "most"), [(CLAUDE, 8000), (GLM, 6000)])
def test_vendors_limit_sides(model, most):
    """8000 pixels a side for Claude and 6000 for GLM, unless it is shrunk first."""
    assert code(seen(width=most, height=100), model) is None
    assert code(seen(width=100, height=most + 1), model) == "too_many_pixels"
    assert code(seen(width=100, height=most + 1), model, **inline_lane()) is None
    assert code(seen(width=100, height=most + 1), GPT) is None


def test_qwen_wants_more_than_a_sliver():
    """Qwen-VL takes sides of more than 10 pixels, 200 to 1 at most; being sent inline mends neither."""
    assert code(seen(width=11, height=11), QWEN3_VL) is None
    assert code(seen(width=10, height=500), QWEN3_VL) == "too_small"
    assert code(seen(width=2200, height=11), QWEN3_VL) is None
    assert code(seen(width=2201, height=11), QWEN3_VL) == "too_narrow"
    assert code(seen(width=2201, height=11), QWEN3_VL, **inline_lane()) == "too_narrow"
    assert code(seen(width=10, height=10), GEMINI) is None


# Length


def test_the_job_limits_length():
    """Longer than `max_seconds` is `too_long`, and the message names `split_s`; pieces and clips are not too long."""
    limit = {"max_seconds": 60.0}
    assert code(lasting(60.0), section=limit) is None
    failure = verdict(lasting(60.5, "audio/mpeg"), section=limit)
    assert (failure.code, "split_s" in failure.message) == ("too_long", True)
    assert code(lasting(90.0), **inline_lane(**limit)) == "too_long"
    assert code(lasting(90.0), **inline_lane(**limit, split_s=30.0)) is None
    assert code(lasting(90.0), **inline_lane(**limit, clip_s=(20.0, 80.0))) is None
    assert code(lasting(90.0), section=limit | {"split_s": 30.0}) == "too_long"  # a URL cannot be cut
    assert code(lasting(90.0), section=limit | {"clip_s": (0.0, 30.0)}) == "too_long"


@pytest.mark.parametrize(("model", "most"), [(QWEN3_VL, 1200), ("qwen-vl-max", 1200), (QWEN25_VL, 600)])
def test_qwen_takes_films_of_some_length(model, most):
    """2 seconds to 20 minutes, or 10 for Qwen2.5-VL; what is cut into pieces so short may be longer."""
    assert code(lasting(2.0), model) is None
    assert code(lasting(1.9), model) == "too_short"
    assert code(lasting(1.9), model, **inline_lane()) == "too_short"
    assert code(lasting(float(most)), model) is None
    assert code(lasting(most + 1.0), model) == "too_long"
    assert code(lasting(most + 1.0), model, **inline_lane()) == "too_long"
    assert code(lasting(most + 1.0), model, **inline_lane(split_s=float(most))) is None
    assert code(lasting(most + 1.0), model, **inline_lane(split_s=most + 0.5)) == "too_long"
    assert code(lasting(most + 1.0), GEMINI) is None


def test_the_first_reason_is_the_one_that_is_told():
    """A medium with many faults is told its kind first, then its type, then its bytes."""
    looked = lasting(9000.0, "video/webm")
    faults = {"size": 10**9, "section": {"max_seconds": 1.0}}
    assert code(looked, kind="image", **faults) == "wrong_kind"
    assert code(looked, **faults) == "wrong_type"
    assert code(lasting(9000.0), **faults) == "too_large"
