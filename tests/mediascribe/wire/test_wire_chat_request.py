"""What chat completions are asked: each family of models is told in its own words."""

import dataclasses

import msgspec
import pytest
from answers import SCHEMA
from chat_answers import encoded

from mediascribe import wire
from mediascribe.domain import THINKING, Media, Request
from mediascribe.wire import data_url


def members(**more):
    """The members beside those that every request has."""
    return {name: value for name, value in encoded(**more).items() if name not in {"model", "messages", "stream"}}


def test_streams_ask_for_the_bill():
    """A stream says what it cost only where it is asked to."""
    assert encoded(stream=True)["stream"] is True
    assert members(stream=True) == {"stream_options": {"include_usage": True}}
    assert members() == {}


def test_schema():
    """A schema is asked for strictly, under a name of ours; a job's own `response_format` wins."""
    wanted = {"type": "json_schema", "json_schema": {"name": "answer", "schema": SCHEMA, "strict": True}}
    assert members(schema=SCHEMA) == {"response_format": wanted}
    own = {"response_format": {"type": "json_object"}}
    assert members(schema=SCHEMA, parameters=own) == own


def test_max_tokens_keeps_its_name():
    """The gateway renames it for the models that want another name."""
    assert members(model="gpt-5.1", parameters={"max_tokens": 5}) == {"max_tokens": 5}


@pytest.mark.parametrize(
    ("model", "url", "expected"),
    [
        ("gpt-audio", "data:audio/wav;base64,UklGRg==", {"data": "UklGRg==", "format": "wav"}),
        ("gpt-audio", "data:audio/x-wav;base64,UklGRg==", {"data": "UklGRg==", "format": "wav"}),
        ("gpt-audio", "data:audio/mpeg;base64,SUQz", {"data": "SUQz", "format": "mp3"}),
        ("gpt-audio", "data:;base64,SUQz", {"data": "SUQz", "format": "mp3"}),
        ("gemini-2.5-flash", "data:audio/flac;base64,Zkxh", {"data": "Zkxh", "format": "flac"}),
        (
            "qwen3-omni-flash",
            "data:audio/wav;base64,UklGRg==",
            {"data": "data:audio/wav;base64,UklGRg==", "format": "wav"},
        ),
    ],
)
def test_sound_inline(model, url, expected):
    """A sound's bytes go into `input_audio`, without the URL's prefix except for Qwen."""
    part = encoded(Media(kind="audio", url=url), model=model)["messages"][0]["content"][1]
    assert part == {"type": "input_audio", "input_audio": expected}


def test_pictures_inline_are_urls():
    """A picture's or a video's data URL stands where its URL would."""
    for kind in ("image", "video"):
        media = Media(kind=kind, url="data:x/y;base64,AA==")
        part = encoded(media)["messages"][0]["content"][1]
        assert part == {"type": f"{kind}_url", f"{kind}_url": {"url": media.url}}


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("https://i.example/a.png", None),
        ("data:image/png;base64,AA==", ("image/png", "AA==")),
        ("DATA:Image/PNG;charset=x;base64,AA==", ("image/png", "AA==")),
        ("data:,A%20cat", ("", "QSBjYXQ=")),
        ("data:text/plain", ("text/plain", "")),
    ],
)
def test_data_urls(url, expected):
    """A data URL is its type and its base64, whatever its form."""
    assert data_url.split(url) == expected


ENABLED, DISABLED = {"type": "enabled"}, {"type": "disabled"}


@pytest.mark.parametrize(
    ("model", "thinking", "expected"),
    [
        ("gemini-2.5-pro", "on", {"thinking": ENABLED}),
        ("gemini-2.5-pro", "off", {"thinking": DISABLED}),
        ("gemini-2.5-pro", "high", {"thinking": ENABLED, "reasoning_effort": "high"}),
        ("glm-4.5v", "on", {"thinking": ENABLED}),
        ("glm-4.5v", "off", {"thinking": DISABLED}),
        ("deepseek-v4-pro", "low", {"thinking": ENABLED}),
        ("qwen3-max", "on", {"enable_thinking": True}),
        ("Qwen3-VL-235b", "off", {"enable_thinking": False}),
        ("qwen3-max", "low", {"enable_thinking": True, "thinking_budget": 1024}),
        ("gpt-5-mini", "off", {"reasoning_effort": "minimal"}),
        ("gpt-5.1", "off", {"reasoning_effort": "none"}),
        ("gpt-5.1-codex", "off", {"reasoning_effort": "low"}),
        ("gpt-5.2-pro", "off", {"reasoning_effort": "high"}),
        ("gpt-5.1", "on", {"reasoning_effort": "medium"}),
        ("o3", "off", {"reasoning_effort": "low"}),
        ("o4-mini", "high", {"reasoning_effort": "high"}),
        ("doubao-seed-1-6-thinking-250715", "low", {"reasoning_effort": "low"}),
        ("claude-opus-4-6", "off", {"thinking": DISABLED}),
        ("claude-opus-4-6", "low", {"thinking": ENABLED | {"budget_tokens": 1024}, "max_tokens": 2048}),
        ("step-3", "medium", {"reasoning_effort": "medium"}),
        ("step-3", "on", {}),
        ("step-3", "off", {}),
    ],
)
def test_thinking(model, thinking, expected):
    """Each family is told in its own words; one that is not known, only how much."""
    assert members(model=model, thinking=thinking) == expected


@pytest.mark.parametrize("thinking", THINKING)
def test_every_degree_has_words(thinking):
    """No degree of thinking is unknown to a known family."""
    for model in ("gemini-2.5-pro", "claude-opus-4-6", "glm-4.6v", "qwen3-max", "gpt-5.1", "o3"):
        assert members(model=model, thinking=thinking)


def test_a_jobs_own_switch_wins():
    """A parameter that says it itself is not overruled."""
    own = {"enable_thinking": False}
    assert members(model="qwen3-max", thinking="on", parameters=own) == own


@pytest.mark.parametrize(
    ("parameters", "expected"),
    [
        ({"max_tokens": 300, "temperature": 0.2, "top_k": 5, "top_p": 0.9}, {"max_tokens": 4396}),
        ({"max_tokens": 5000, "top_p": 0.97}, {"max_tokens": 5000, "top_p": 0.97}),
        ({}, {"max_tokens": 5120}),
    ],
)
def test_claude_thinks_within_its_limits(parameters, expected):
    """Claude's budget leaves room for the answer, and stands beside no sampling that it refuses."""
    found = members(model="claude-sonnet-4-6", thinking="on", parameters=parameters)
    assert found.pop("thinking") == {"type": "enabled", "budget_tokens": 4096}
    assert found == expected


def test_claude_that_does_not_think_is_left_alone():
    """Without a budget every parameter stays."""
    own = {"max_tokens": 3, "temperature": 0.2}
    assert members(model="claude-sonnet-4-6", parameters=own) == own


@pytest.mark.parametrize("detail", ["low", "high"])
def test_how_much_of_pictures_is_to_be_seen(detail):
    """It stands beside the URL of a picture, and of no sound; `auto` is not sent (gateway notes 2.3)."""
    media = (Media(kind="image", url="https://h/a"), Media(kind="audio", url="https://h/b"))
    request = Request(model="m", dialect="chat", prompt="?", media=media, identity=media, detail=detail)
    image, audio = msgspec.json.decode(wire.DIALECTS["chat"].encode(request))["messages"][0]["content"][1:]
    assert image["image_url"] == {"url": "https://h/a", "detail": detail}
    assert audio["audio_url"] == {"url": "https://h/b"}
    assert request.key != dataclasses.replace(request, detail="auto").key


@pytest.mark.parametrize(("dialect", "place"), [("responses", "input"), ("generate_content", "generationConfig")])
def test_how_much_of_pictures_in_other_dialects(dialect, place):
    """The responses dialect says it with each picture, Gemini's own for all media together."""
    media = (Media(kind="image", url="https://h/a"),)
    request = Request(model="m", dialect=dialect, prompt="?", media=media, identity=media, detail="low")
    said = msgspec.json.decode(wire.DIALECTS[dialect].encode(request))[place]
    if dialect == "responses":
        assert said[0]["content"][1]["detail"] == "low"
    else:
        assert said["mediaResolution"] == "MEDIA_RESOLUTION_LOW"
