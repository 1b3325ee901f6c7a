"""OpenAI responses: what we ask, and what the gateway answers in their place."""

import pytest
from answers import IMAGE, INLINE, SCHEMA
from responses_answers import USAGE, asking, decoded, encoded, refused

from mediascribe.domain import Media
from mediascribe.errors import (
    ConfigError,
    InDoubtError,
    PermanentError,
    RateLimitedError,
    StopRunError,
    TransientError,
)
from mediascribe.wire import responses

# The request


def test_a_request():
    """Text first, then each picture with its URL as a plain string; the system message is `instructions`."""
    assert encoded(IMAGE, INLINE, system="Be brief.", parameters={"temperature": 0.2, "top_p": 0.9}) == {
        "model": "gpt-5.2-pro",
        "instructions": "Be brief.",
        "input": [
            {
                "role": "user",
                "content": [
                    {"type": "input_text", "text": "What is this?"},
                    {"type": "input_image", "image_url": IMAGE.url, "detail": "auto"},
                    {"type": "input_image", "image_url": INLINE.url, "detail": "auto"},
                ],
            }
        ],
        "temperature": 0.2,
        "top_p": 0.9,
        "stream": False,
    }


@pytest.mark.parametrize(
    ("parameters", "expected"),
    [
        ({"max_tokens": 300}, {"max_output_tokens": 300}),
        ({"max_completion_tokens": 300}, {"max_output_tokens": 300}),
        ({"max_completion_tokens": 300, "max_tokens": 200}, {"max_output_tokens": 300}),
        ({"max_output_tokens": 100, "max_tokens": 200}, {"max_output_tokens": 100}),
        ({"metadata": {"a": "b"}, "made_up": [1]}, {"metadata": {"a": "b"}, "made_up": [1]}),
        ({"reasoning": {"summary": "auto"}}, {"reasoning": {"summary": "auto"}}),
    ],
)
def test_parameters_in_this_dialects_words(parameters, expected):
    """The cap on tokens has another name here, the dialect's own name wins, and the rest passes unchanged."""
    body = encoded(parameters=parameters)
    assert {name: value for name, value in body.items() if name not in encoded()} == expected


def test_what_a_job_says_in_the_vendors_words_wins():
    """A job's own members stand beside those that are derived, and before them."""
    body = encoded(
        thinking="off",
        schema=SCHEMA,
        parameters={"reasoning": {"effort": "minimal", "summary": "auto"}, "text": {"verbosity": "low"}},
    )
    assert body["reasoning"] == {"effort": "minimal", "summary": "auto"}
    assert body["text"] == {
        "verbosity": "low",
        "format": {"type": "json_schema", "name": "answer", "schema": SCHEMA, "strict": True},
    }


@pytest.mark.parametrize("kind", ["audio", "video"])
def test_what_is_not_carried_is_not_sent(kind):
    """Sound and film are refused by name, never sent as something else or left out."""
    with pytest.raises(ConfigError, match=kind):
        responses.encode(asking(Media(kind=kind, url="https://m.example/a")))
    assert kind not in responses.CARRIES


def test_where_to_ask():
    """The address follows the base URL, and no header is wanted."""
    assert responses.url("https://g.example/v1", asking()) == "https://g.example/v1/responses"
    assert responses.HEADERS == {}
    assert dict(responses.CARRIES) == {"image": {"url", "inline"}}


# Answers that are kept


def test_lenient_reading():
    """A content that is a string, and items that are none, cost no answer."""
    body = {"output": [None, 3, {"type": "web_search_call"}, {"type": "message", "content": "A cat."}]}
    completion = decoded(body)
    assert (completion.text, completion.usage.source, completion.finish_reason) == ("A cat.", "missing", None)


# Answers that are none


@pytest.mark.parametrize(
    ("body", "error", "error_class", "code"),
    [
        ({"usage": USAGE}, TransientError, "malformed", None),
        ({"output": {"text": "A"}, "usage": USAGE}, TransientError, "malformed", None),
        ({"error": {"code": "model_not_found"}, "usage": USAGE}, StopRunError, "config", "model_not_found"),
        ({"type": "error", "code": "model_not_found", "usage": USAGE}, StopRunError, "config", "model_not_found"),
        ({"success": False, "code": 429, "usage": USAGE}, RateLimitedError, "rate_limit", "429"),
    ],
)
def test_no_answer_to_keep(body, error, error_class, code):
    """What holds no text is an error whose failure carries the tokens that it cost."""
    found = refused(body)
    assert (type(found), found.failure.error_class, found.failure.code) == (error, error_class, code)
    assert (found.failure.usage.total_tokens, found.failure.http_status) == (1676, 200)


@pytest.mark.parametrize(
    ("body", "status", "error", "error_class"),
    [
        (b"<!doctype html>", 200, StopRunError, "config"),
        (b"[1]", 200, TransientError, "malformed"),
        (b"", 200, InDoubtError, "malformed"),
        (b"", 429, RateLimitedError, "rate_limit"),
        ({"error": {"message": "no", "code": "convert_request_failed"}}, 500, PermanentError, "media"),
    ],
)
def test_no_response_at_all(body, status, error, error_class):
    """A web page, other JSON, a cut answer and an error's status are what they are in every dialect."""
    found = refused(body, status)
    assert (type(found), found.failure.error_class) == (error, error_class)
