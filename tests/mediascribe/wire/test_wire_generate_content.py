"""Google generateContent: what we ask, and every way in which an answer is none."""

import base64
import json

import pytest
from generate_content_answers import BILL, IMAGE, SCHEMA, asking, config, decoded, encoded, refused, said
from hypothesis import given, settings
from hypothesis import strategies as st
from mutations import mutated

from mediascribe.domain import Completion, Media
from mediascribe.errors import (
    AttemptError,
    InDoubtError,
    PermanentError,
    RateLimitedError,
    StopRunError,
    TransientError,
)
from mediascribe.wire import DIALECTS, Answer, generate_content

# The request


@pytest.mark.parametrize(
    ("base_url", "stream", "expected"),
    [
        ("https://g.example/v1", False, "https://g.example/v1beta/models/gemini-2.5-flash:generateContent"),
        ("https://g.example/v1beta", False, "https://g.example/v1beta/models/gemini-2.5-flash:generateContent"),
        (
            "https://g.example/v1",
            True,
            "https://g.example/v1beta/models/gemini-2.5-flash:streamGenerateContent?alt=sse",
        ),
    ],
)
def test_address(base_url, stream, expected):
    """The address names version, model and method."""
    assert generate_content.url(base_url, asking(stream=stream)) == expected


def test_a_model_cannot_change_the_address():
    """What stands in a model's name stays in its place."""
    assert generate_content.url("https://g.example/v1", asking(model="a?b#c")).endswith(
        "/models/a%3Fb%23c:generateContent"
    )


def test_parts():
    """The text comes first, then each medium: by its URL with its type, or its bytes."""
    inline = Media(kind="image", url="data:image/png;base64,iVBORw0KGgo=")
    assert encoded(IMAGE, inline)["contents"][0]["parts"] == [
        {"text": "What is this?"},
        {"fileData": {"fileUri": IMAGE.url, "mimeType": "image/png"}},
        {"inlineData": {"mimeType": "image/png", "data": "iVBORw0KGgo="}},
    ]


@pytest.mark.parametrize(
    ("kind", "url", "mime_type"),
    [
        ("image", "https://i.example/cat", "image/jpeg"),
        ("image", "https://i.example/cat.jpg", "image/jpeg"),
        ("image", "https://i.example/cat.webp?x=1", "image/webp"),
        ("audio", "https://a.example/a.wav", "audio/wav"),
        ("audio", "https://a.example/a.mp3", "audio/mpeg"),
        ("audio", "https://a.example/a.m4a", "audio/mp4"),
        ("video", "https://v.example/", "video/mp4"),
        ("video", "https://v.example/a.mov", "video/mov"),
        ("video", "https://[v.example/a.webm", "video/webm"),
    ],
)
def test_types_are_guessed_from_the_url(kind, url, mime_type):
    """The ending names the type, and without one the kind does."""
    part = encoded(Media(kind=kind, url=url))["contents"][0]["parts"][1]
    assert part["fileData"]["mimeType"] == mime_type


@pytest.mark.parametrize(
    ("url", "mime_type", "content"),
    [
        ("data:,A%20cat", "image/jpeg", b"A cat"),
        ("DATA:IMAGE/GIF;charset=x;base64,R0lG", "image/gif", b"GIF"),
    ],
)
def test_data_urls(url, mime_type, content):
    """A data URL's bytes go along as base64 whatever its own form is."""
    part = encoded(Media(kind="image", url=url))["contents"][0]["parts"][1]["inlineData"]
    assert (part["mimeType"], base64.b64decode(part["data"])) == (mime_type, content)


def test_nothing_to_configure():
    """Without parameters there is no configuration."""
    assert set(encoded()) == {"contents"}


def test_parameters_are_translated():
    """The words of chat completions become this dialect's; a single stop text becomes a list."""
    given = {"max_tokens": 1, "max_completion_tokens": 2, "top_k": 3, "stop": "END", "presence_penalty": 0.5}
    assert config(parameters=given) == {
        "maxOutputTokens": 2,
        "topK": 3,
        "stopSequences": ["END"],
        "presencePenalty": 0.5,
    }


def test_own_words_win():
    """A job that speaks this dialect's own words is taken at them."""
    given = {
        "max_tokens": 1,
        "maxOutputTokens": 2,
        "mediaResolution": "MEDIA_RESOLUTION_LOW",
        "generationConfig": {"thinkingConfig": {"thinkingBudget": 5}},
        "safetySettings": [{"category": "HARM_CATEGORY_HARASSMENT", "threshold": "OFF"}],
    }
    body = encoded(thinking="off", parameters=given)
    assert body["generationConfig"] == {
        "maxOutputTokens": 2,
        "mediaResolution": "MEDIA_RESOLUTION_LOW",
        "thinkingConfig": {"thinkingBudget": 5},
    }
    assert body["safetySettings"] == given["safetySettings"]
    assert "max_tokens" not in body


def test_schema():
    """A schema goes along as JSON Schema, and JSON is asked for."""
    assert config(schema=SCHEMA) == {"responseMimeType": "application/json", "responseJsonSchema": SCHEMA}


# Answers that are kept


@pytest.mark.parametrize(
    ("finish", "status"),
    [
        ("STOP", "ok"),
        ("FINISH_REASON_UNSPECIFIED", "ok"),
        ("NEW_REASON", "ok"),
        (None, "ok"),
        ("MAX_TOKENS", "truncated"),
        *((reason, "refused") for reason in ("SAFETY", "RECITATION", "LANGUAGE", "OTHER", "BLOCKLIST", "SPII")),
        *((reason, "refused") for reason in ("PROHIBITED_CONTENT", "IMAGE_SAFETY", "MODEL_ARMOR")),
    ],
)
def test_finish_reasons(finish, status):
    """Each finish reason has its status; the text and the vendor's word are kept."""
    completion = decoded(said("A c", finish=finish))
    assert (completion.status, completion.text, completion.finish_reason) == (status, "A c", finish)


def test_a_filtered_answer_may_have_no_parts():
    """A safety stop without content is a refusal, with the vendor's explanation where it has one."""
    bare = said() | {"candidates": [{"finishReason": "SAFETY"}]}
    assert (decoded(bare).status, decoded(bare).text) == ("refused", "")
    bare["candidates"][0]["finishMessage"] = "Blocked."
    assert decoded(bare).text == "Blocked."


def test_the_table_of_dialects_decodes_it_too():
    """A JSON answer goes the same way through the dialects' table."""
    answer = Answer(status=200, headers={"content-type": "application/json"}, body=json.dumps(said("A cat.")).encode())
    assert DIALECTS["generate_content"].decode(answer, asking(IMAGE)).text == "A cat."


# Answers that are none


@pytest.mark.parametrize(
    ("body", "error", "error_class", "code"),
    [
        (said(finish="STOP"), TransientError, "empty", None),
        (said(" \n"), TransientError, "empty", None),
        (said({"text": "Hm.", "thought": True}), TransientError, "empty", None),
        (said({"inlineData": {"mimeType": "image/png", "data": ""}}), TransientError, "empty", None),
        (said(finish="MAX_TOKENS"), PermanentError, "empty", "MAX_TOKENS"),
        (said("A c", finish="MALFORMED_RESPONSE"), TransientError, "server", "MALFORMED_RESPONSE"),
        (said() | {"candidates": ["x"]}, TransientError, "empty", None),
        (said() | {"candidates": [{"content": {"parts": "x"}}]}, TransientError, "empty", None),
        (said() | {"candidates": []}, TransientError, "empty", None),
        (said() | {"candidates": None}, TransientError, "empty", None),
        ({"usageMetadata": BILL}, TransientError, "empty", None),
        (
            {"usageMetadata": BILL, "promptFeedback": {"blockReason": "SAFETY"}},
            PermanentError,
            "safety",
            "prompt_blocked",
        ),
        (
            {"usageMetadata": BILL, "error": {"code": 429, "status": "RESOURCE_EXHAUSTED"}},
            RateLimitedError,
            "rate_limit",
            "RESOURCE_EXHAUSTED",
        ),
    ],
)
def test_no_answer_to_keep(body, error, error_class, code):
    """What holds no text is an error whose failure carries the tokens that it cost."""
    found = refused(body)
    assert (type(found), found.failure.error_class, found.failure.code) == (error, error_class, code)
    assert (found.failure.usage.total_tokens, found.failure.http_status) == (2069, 200)


@pytest.mark.parametrize(
    ("body", "status", "error", "error_class"),
    [
        ({}, 200, TransientError, "malformed"),
        ({"promptFeedback": "x"}, 200, TransientError, "malformed"),
        ([said("A cat.")], 200, TransientError, "malformed"),
        (b"", 200, InDoubtError, "malformed"),
        (b"<html>", 200, StopRunError, "config"),
        (said("A cat."), 500, TransientError, "server"),
        ({"success": False, "message": "slow"}, 200, TransientError, "server"),
    ],
)
def test_no_object(body, status, error, error_class):
    """What is no answer of this dialect is a fault, and names its class."""
    found = refused(body, status=status)
    assert (type(found), found.failure.error_class) == (error, error_class)


# Mutated answers

WHOLE = said({"text": "Hm.", "thought": True}, "A cat.", promptFeedback={"blockReason": None})
ODD = (
    st.none()
    | st.booleans()
    | st.integers(-5, 10**12)
    | st.floats(allow_nan=False)
    | st.text(max_size=5)
    | st.sampled_from(["STOP", "SAFETY", "MAX_TOKENS", "MALFORMED_RESPONSE", [], {}, [{}], {"text": 1}])
)


@settings(max_examples=200, deadline=None)
@given(body=mutated(st.just(WHOLE), ODD, st.integers(1, 3)) | ODD, status=st.sampled_from([200, 200, 201, 429, 500]))
def test_any_mutation_is_a_completion_or_an_attempts_error(body, status):
    """Whatever is changed in an answer, it is read or refused, and no token is counted that was not reported."""
    answer = Answer(status=status, headers={"content-type": "application/json"}, body=json.dumps(body).encode())
    try:
        outcome = DIALECTS["generate_content"].decode(answer, asking(IMAGE))
    except AttemptError as error:
        usage = error.failure.usage
    else:
        assert isinstance(outcome, Completion)
        assert outcome.text.strip() or outcome.status == "refused"
        usage = outcome.usage
    bill = body.get("usageMetadata") if isinstance(body, dict) else None
    bill = bill.items() if isinstance(bill, dict) else ()
    bill = {name: max(count, 0) for name, count in bill if isinstance(count, int | float)}
    total = bill.pop("totalTokenCount", 0)
    assert min(getattr(usage, name) for name in usage.__slots__ if name.endswith("_tokens")) >= 0
    assert usage.total_tokens == usage.prompt_tokens + usage.completion_tokens <= max(total, sum(bill.values()))
