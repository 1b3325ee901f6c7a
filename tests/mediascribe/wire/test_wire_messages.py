"""Anthropic messages: what we ask, and what the gateway answers in their place."""

import base64

import pytest
from answers import IMAGE, INLINE, SCHEMA
from messages_answers import USAGE, asking, decoded, encoded, refused, text

from mediascribe.domain import Media
from mediascribe.errors import (
    ConfigError,
    InDoubtError,
    PermanentError,
    RateLimitedError,
    StopRunError,
    TransientError,
)
from mediascribe.wire import messages

# The request


def test_a_request():
    """Text first, then each picture by its URL or its bytes; the system message stands beside the messages."""
    assert encoded(IMAGE, INLINE, system="Be brief.", parameters={"temperature": 0.2, "top_p": 0.9}) == {
        "model": "claude-sonnet-4-5",
        "max_tokens": 1024,
        "system": "Be brief.",
        "messages": [
            {
                "role": "user",
                "content": [
                    {"type": "text", "text": "What is this?"},
                    {"type": "image", "source": {"type": "url", "url": IMAGE.url}},
                    {
                        "type": "image",
                        "source": {"type": "base64", "media_type": "image/png", "data": "iVBORw0KGgo="},
                    },
                ],
            }
        ],
        "temperature": 0.2,
        "top_p": 0.9,
        "stream": False,
    }


@pytest.mark.parametrize(
    ("url", "media_type", "content"),
    [
        ("data:image/jpeg;base64,/9j/4A==", "image/jpeg", b"\xff\xd8\xff\xe0"),
        ("DATA:image/WEBP;base64,UklGRg==", "image/webp", b"RIFF"),
        ("data:image/gif;charset=x;base64,R0lGODlh", "image/gif", b"GIF89a"),
        ("data:image/gif,GIF%389a", "image/gif", b"GIF89a"),
    ],
)
def test_a_data_url_is_taken_apart(url, media_type, content):
    """What a data URL says of its type and its bytes stands in two members; escaped bytes become base64."""
    source = encoded(Media(kind="image", url=url))["messages"][0]["content"][1]["source"]
    assert (source["type"], source["media_type"]) == ("base64", media_type)
    assert base64.b64decode(source["data"], validate=True) == content


@pytest.mark.parametrize(
    ("parameters", "expected"),
    [
        ({}, {"max_tokens": 1024}),
        ({"max_tokens": 300}, {"max_tokens": 300}),
        ({"max_completion_tokens": 300}, {"max_tokens": 300}),
        ({"max_completion_tokens": 300, "max_tokens": 200}, {"max_tokens": 200}),
        ({"stop": "END"}, {"max_tokens": 1024, "stop_sequences": ["END"]}),
        ({"stop": ["A", "B"]}, {"max_tokens": 1024, "stop_sequences": ["A", "B"]}),
        ({"stop": "A", "stop_sequences": ["B"]}, {"max_tokens": 1024, "stop_sequences": ["B"]}),
        ({"top_k": 5, "made_up": [1]}, {"max_tokens": 1024, "top_k": 5, "made_up": [1]}),
        ({"thinking": {"type": "enabled"}}, {"max_tokens": 1024, "thinking": {"type": "enabled"}}),
        ({"thinking": "on", "temperature": 0}, {"max_tokens": 1024, "thinking": "on", "temperature": 0}),
        ({"output_config": {"effort": "low"}}, {"max_tokens": 1024, "output_config": {"effort": "low"}}),
    ],
)
def test_parameters_in_this_dialects_words(parameters, expected):
    """The cap on tokens is always there, ends of text have another name, and the rest passes unchanged."""
    body = encoded(parameters=parameters)
    assert {name: value for name, value in body.items() if name not in {"model", "messages", "stream"}} == expected


@pytest.mark.parametrize(
    ("switch", "budget", "max_tokens"), [("low", 1024, 2048), ("on", 4096, 5120), ("medium", 4096, 5120)]
)
def test_thinking_has_a_budget_below_the_cap(switch, budget, max_tokens):
    """The default cap of 1024 is no larger than any budget, so it is left for the answer and added to it."""
    body = encoded(thinking=switch)
    assert body["thinking"] == {"type": "enabled", "budget_tokens": budget}
    assert body["max_tokens"] == max_tokens


@pytest.mark.parametrize(("given_cap", "max_tokens"), [(16_385, 16_385), (16_384, 32_768), (10, 16_394), ("10", "10")])
def test_a_cap_is_raised_only_where_it_must_be(given_cap, max_tokens):
    """A cap above the budget stays; what is no number is left for the gateway to refuse."""
    assert encoded(thinking="high", parameters={"max_tokens": given_cap})["max_tokens"] == max_tokens


def test_thinking_switched_off():
    """Switched off is said, and leaves the sampling alone."""
    body = encoded(thinking="off", parameters={"temperature": 0.2})
    assert (body["thinking"], body["max_tokens"], body["temperature"]) == ({"type": "disabled"}, 1024, 0.2)


@pytest.mark.parametrize(("top_p", "kept"), [(0.5, False), (0.95, True), (1, True)])
def test_no_odd_sampling_while_thinking(top_p, kept):
    """The vendor takes no temperature and no top_k beside thinking, and top_p from 0.95 only."""
    body = encoded(thinking="on", parameters={"temperature": 0.2, "top_k": 5, "top_p": top_p})
    assert {"temperature", "top_k"}.isdisjoint(body)
    assert ("top_p" in body) is kept


def test_what_a_job_says_in_the_vendors_words_wins():
    """A job's own thinking replaces the switch and gets room as well; its output_config stands beside the schema."""
    own = {"thinking": {"type": "enabled", "budget_tokens": 2000}, "output_config": {"effort": "low"}}
    body = encoded(thinking="high", schema=SCHEMA, parameters=own)
    assert (body["thinking"], body["max_tokens"]) == (own["thinking"], 3024)
    assert body["output_config"] == {"effort": "low", "format": {"type": "json_schema", "schema": SCHEMA}}


@pytest.mark.parametrize("kind", ["audio", "video"])
def test_what_is_not_carried_is_not_sent(kind):
    """Sound and film are refused by name, never sent as something else or left out."""
    with pytest.raises(ConfigError, match=kind):
        messages.encode(asking(Media(kind=kind, url="https://m.example/a")))
    assert kind not in messages.CARRIES


def test_where_to_ask():
    """The address follows the base URL, and the version is a header."""
    assert messages.url("https://g.example/v1", asking()) == "https://g.example/v1/messages"
    assert messages.HEADERS == {"anthropic-version": "2023-06-01"}
    assert dict(messages.CARRIES) == {"image": {"url", "inline"}}


# Answers that are kept


def test_the_gateways_own_usage():
    """The documentation's sample (gateway notes 1.3, usage D) counts 10 in and 12 out."""
    usage = {
        "input_tokens": 10,
        "cache_creation_input_tokens": 0,
        "cache_read_input_tokens": 0,
        "output_tokens": 12,
        "claude_cache_creation_5_m_tokens": 0,
        "claude_cache_creation_1_h_tokens": 0,
    }
    found = decoded({"content": [text("A cat.")], "usage": usage}).usage
    assert (found.prompt_tokens, found.completion_tokens, found.total_tokens, found.source) == (10, 12, 22, "reported")


@pytest.mark.parametrize("stop_reason", [None, "", "made_up", 7, ["max_tokens"]])
def test_other_stop_reasons_are_kept_raw(stop_reason):
    """A word that no table knows costs no answer; what is no word is none."""
    completion = decoded({"content": [text("A cat.")], "stop_reason": stop_reason})
    assert (completion.status, completion.finish_reason) == ("ok", "made_up" if stop_reason == "made_up" else None)


@pytest.mark.parametrize(
    "content", ["A cat.", [None, 3, {"type": "tool_use"}, {"type": "text", "text": None}, text("A cat.")]]
)
def test_lenient_reading(content):
    """A content that is a string, and blocks that are none, cost no answer."""
    completion = decoded({"content": content})
    assert (completion.text, completion.reasoning, completion.usage.source) == ("A cat.", None, "missing")


# Answers that are none


@pytest.mark.parametrize(
    ("body", "error", "error_class", "code"),
    [
        ({"usage": USAGE}, TransientError, "malformed", None),
        ({"content": None, "usage": USAGE}, TransientError, "malformed", None),
        ({"success": False, "code": 429, "usage": USAGE}, RateLimitedError, "rate_limit", "429"),
    ],
)
def test_no_answer_to_keep(body, error, error_class, code):
    """What holds no text is an error whose failure carries the tokens that it cost."""
    found = refused(body)
    assert (type(found), found.failure.error_class, found.failure.code) == (error, error_class, code)
    assert (found.failure.usage.total_tokens, found.failure.http_status) == (1680, 200)


@pytest.mark.parametrize(
    ("kind", "status", "error", "error_class"),
    [
        ("invalid_request_error", 400, PermanentError, "request"),
        ("authentication_error", 401, StopRunError, "auth"),
        ("billing_error", 402, StopRunError, "quota"),
        ("permission_error", 403, StopRunError, "auth"),
        ("not_found_error", 404, StopRunError, "config"),
        ("request_too_large", 413, PermanentError, "request"),
        ("rate_limit_error", 429, RateLimitedError, "rate_limit"),
        ("rate_limit_error", 200, RateLimitedError, "rate_limit"),
        ("api_error", 500, TransientError, "server"),
        ("overloaded_error", 529, TransientError, "server"),
        ("overloaded_error", 200, TransientError, "server"),
    ],
)
def test_the_vendors_errors(kind, status, error, error_class):
    """Each error of gateway notes 3.3 says what to do about it, inside a 200 as well."""
    found = refused({"type": "error", "error": {"type": kind, "message": "no"}, "request_id": "req_1"}, status)
    assert (type(found), found.failure.error_class, found.failure.code) == (error, error_class, kind)


@pytest.mark.parametrize(
    ("body", "status", "error", "error_class"),
    [
        (b"<!doctype html>", 200, StopRunError, "config"),
        (b"[1]", 200, TransientError, "malformed"),
        (b"", 200, InDoubtError, "malformed"),
        (b"", 429, RateLimitedError, "rate_limit"),
        ({"type": "error"}, 200, TransientError, "server"),
        ({"error": {"message": "no", "code": "model_not_found"}}, 503, StopRunError, "config"),
    ],
)
def test_no_message_at_all(body, status, error, error_class):
    """A web page, other JSON, a cut answer and the gateway's own errors are what they are in every dialect."""
    found = refused(body, status)
    assert (type(found), found.failure.error_class) == (error, error_class)
