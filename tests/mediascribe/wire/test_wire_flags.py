"""What is odd about an answer is said beside it, and nothing that is in order."""

import json

import pytest

from mediascribe.domain import Media, Request
from mediascribe.wire import Answer
from mediascribe.wire.reading import received

MEDIA = {kind: Media(kind=kind, url=f"https://m.example/{kind}") for kind in ("image", "audio", "video")}


def flags(usage, *kinds, model="gemini-2.0-flash", dialect="chat", prompt="What is in it?", **more):
    media = tuple(MEDIA[kind] for kind in kinds)
    request = Request(model=model, dialect=dialect, prompt=prompt, media=media, identity=media, **more)
    member = "usageMetadata" if dialect == "generate_content" else "usage"
    body = {} if usage is None else {member: usage}
    return received(Answer(status=200, headers={}, body=json.dumps(body).encode()), body, request).flags


def chat(total, written=10, **details):
    return {"prompt_tokens": total, "completion_tokens": written, "prompt_tokens_details": details}


def google(**modalities):
    details = [{"modality": name.upper(), "tokenCount": count} for name, count in modalities.items()]
    return {
        "promptTokenCount": sum(modalities.values()),
        "candidatesTokenCount": 10,
        "promptTokensDetails": details,
    }


@pytest.mark.parametrize(
    ("usage", "kinds", "ignored"),
    [
        # the reference answer's bill: 5 text, 175 audio, 1806 for the picture
        (chat(1986, text_tokens=5, audio_tokens=175, image_tokens=0), ("image", "audio"), False),
        (chat(1811, text_tokens=5, audio_tokens=0, image_tokens=0), ("image", "audio"), True),
        (chat(180, text_tokens=5, audio_tokens=175, image_tokens=0), ("image", "audio"), True),
        (chat(180, text_tokens=5, audio_tokens=175), ("audio",), False),
        (chat(5, text_tokens=5, audio_tokens=0), ("audio",), True),
        (chat(5, text_tokens=5, audio_tokens=0), (), False),
        # a rest that nobody named may be the sound
        (chat(180, text_tokens=5, audio_tokens=0), ("audio",), False),
        # a video without a picture is billed as its sound
        (chat(180, text_tokens=5, audio_tokens=175), ("video",), False),
        (chat(263, text_tokens=5), ("video",), False),
        (chat(5, text_tokens=5), ("video",), True),
    ],
)
def test_media_missing_from_a_split(usage, kinds, ignored):
    """Where the bill tells text from media, each medium that was sent must be in it."""
    assert flags(usage, *kinds) == (("media_ignored",) if ignored else ())


@pytest.mark.parametrize(
    ("usage", "kinds", "ignored"),
    [
        (google(text=5, image=258), ("image",), False),
        (google(text=5, video=258, audio=32), ("video",), False),
        (google(text=5), ("image",), True),
        (google(text=5, image=258), ("image", "audio"), True),
    ],
)
def test_media_missing_from_googles_bill(usage, kinds, ignored):
    """Google's own bill has a count for each modality."""
    assert flags(usage, *kinds, dialect="generate_content") == (("media_ignored",) if ignored else ())


@pytest.mark.parametrize(
    ("tokens", "prompt", "ignored"),
    [
        (4, "What is in it?", True),  # 14 bytes: 4 tokens
        (23, "What is in it?", True),  # a frame of 20 around them may be the model's own
        (4 + 54, "What is in it?", False),  # a picture of 200 by 200 is 54
        (270, "x" * 1000, True),
        (250 + 54, "x" * 1000, False),
    ],
)
def test_media_missing_without_a_split(tokens, prompt, ignored):
    """A prompt that cost no more than its text holds no media."""
    usage = {"input_tokens": tokens, "output_tokens": 10}
    found = flags(usage, "image", model="claude-opus-4-5", dialect="messages", prompt=prompt)
    assert found == (("media_ignored",) if ignored else ())


def test_the_whole_question_counts_as_text():
    """System message and schema are part of what a text costs."""
    usage = {"input_tokens": 150, "output_tokens": 10, "total_tokens": 160}
    asked = {"model": "gpt-4o", "dialect": "responses"}
    assert flags(usage, "image", **asked) == ()
    assert flags(usage, "image", system="x" * 600, **asked) == ("media_ignored",)
    assert flags(usage, "image", schema={"title": "x" * 600}, **asked) == ("media_ignored",)


def test_streamed_gemini_is_not_accused():
    """Streamed, Gemini's text count is the whole prompt's, which says nothing about the media."""
    usage = chat(1986, text_tokens=1986, audio_tokens=175)
    assert flags(usage, "image", "audio", stream=True) == ()
    assert flags(usage, "image", "audio") == ("usage_inconsistent",)
    assert flags(chat(1000, text_tokens=1000), "image", stream=True) == ()
    assert flags(chat(1000, text_tokens=1000), "image") == ("media_ignored",)


@pytest.mark.parametrize(
    ("usage", "expected"),
    [
        (None, ("no_usage",)),
        ({}, ("zero_usage",)),
        (chat(0, 0), ("zero_usage",)),
        (chat(0, 0, text_tokens=4), ("usage_inconsistent", "zero_usage")),
        (chat(9, 1, text_tokens=10), ("usage_inconsistent",)),
        (chat(9, 1) | {"total_tokens": 50}, ("usage_inconsistent",)),
        (chat(9, 1) | {"total_tokens": 10}, ()),
        ({"completion_tokens": 1, "total_tokens": 10}, ()),
    ],
)
def test_what_is_wrong_with_the_usage(usage, expected):
    """Missing, zero and contradictory bills are told apart."""
    assert flags(usage, model="qwen-vl-max") == expected


@pytest.mark.parametrize(
    ("usage", "kind", "expected"),
    [
        (chat(8197, text_tokens=5, video_tokens=8192), "video", ("gateway_estimate",)),
        (chat(525, text_tokens=5), "image", ("gateway_estimate",)),
        (chat(1052, text_tokens=5), "image", ("gateway_estimate",)),
        (chat(256), "audio", ("gateway_estimate",)),
        (chat(261, text_tokens=5, audio_tokens=256), "audio", ()),
        (chat(1811, text_tokens=5), "image", ()),
    ],
)
def test_the_gateways_round_numbers(usage, kind, expected):
    """A medium that costs what the gateway writes when nobody counted is flagged."""
    assert flags(usage, kind, model="glm-4.6v") == expected


def test_round_numbers_of_the_vendors_own_bills_are_honest():
    """Where the gateway hands the vendor's bill on, it makes nothing up."""
    usage = {"input_tokens": 520, "output_tokens": 10}
    assert flags(usage, "image", model="claude-opus-4-5", dialect="messages") == ()
    assert flags(google(text=5, video=8192), "video", dialect="generate_content") == ()


@pytest.mark.parametrize(
    ("dialect", "body"),
    [
        ("chat", {"id": "x", "model": "m"}),
        ("responses", {"id": "x", "model": "m"}),
        ("messages", {"id": "x", "model": "m"}),
        ("generate_content", {"responseId": "x", "modelVersion": "m"}),
    ],
)
def test_ids(dialect, body):
    """Every dialect's answer says who answered and under which id; Anthropic's header is a request id too."""
    request = Request(model="q", dialect=dialect, prompt="?", media=(), identity=())
    got = received(Answer(status=200, headers={"request-id": "r"}, body=b""), body, request)
    assert (got.response_id, got.model_returned, got.gateway_request_id) == ("x", "m", "r")
