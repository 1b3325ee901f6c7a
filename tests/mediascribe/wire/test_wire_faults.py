"""Every error that the gateway's notes list becomes the exception that says what to do about it."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mediascribe.domain import NO_USAGE, Usage
from mediascribe.errors import (
    AttemptError,
    InDoubtError,
    PermanentError,
    RateLimitedError,
    StopRunError,
    TransientError,
)
from mediascribe.wire import Answer
from mediascribe.wire.faults import fault, wait_s

NOW = {"date": "Mon, 23 Nov 2026 10:00:00 GMT"}


def answered(status, body=b"", **headers):
    body = body if isinstance(body, bytes) else json.dumps(body).encode()
    return Answer(status=status, headers={name.replace("_", "-"): value for name, value in headers.items()}, body=body)


def says(message="", code="", kind="new_api_error"):
    """An error body as the gateway makes it."""
    return {"error": {"message": message, "type": kind, "param": "", "code": code}}


def claude(kind):
    """An error body as Anthropic makes it."""
    return {"type": "error", "error": {"type": kind, "message": "no"}}


def google(code, status, *details):
    """An error body as Google makes it."""
    return {"error": {"code": code, "message": "no", "status": status, "details": list(details)}}


def retry_info(delay):
    return {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": delay}


PAGE = b"<!DOCTYPE html><html><head><title> 524: A timeout\n occurred </title></head></html>"


@pytest.mark.parametrize(
    ("status", "body", "error", "error_class"),
    [
        # gateway notes 2.5, row by row
        (401, says("无效的令牌"), StopRunError, "auth"),
        (401, says("该令牌额度已用尽"), StopRunError, "auth"),
        (403, says("用户额度不足", "insufficient_user_quota"), StopRunError, "quota"),
        (402, says("用户额度不足", "insufficient_user_quota"), StopRunError, "quota"),
        (403, says("", "pre_consume_token_quota_failed"), StopRunError, "quota"),
        (403, says("该令牌无权访问模型 gpt-4o"), StopRunError, "auth"),
        (503, says("无可用渠道", "model_not_found"), StopRunError, "config"),
        (500, says("", "get_channel_failed"), TransientError, "server"),
        (429, says("您已达到请求数限制"), RateLimitedError, "rate_limit"),
        (429, b"", RateLimitedError, "rate_limit"),
        (400, says("Invalid request, bad JSON"), PermanentError, "request"),
        (500, says("field messages is required", "invalid_request"), PermanentError, "request"),
        (413, says("", "read_request_body_failed"), PermanentError, "request"),
        (500, says("sensitive_words_detected", "sensitive_words_detected"), PermanentError, "safety"),
        (500, says("倍率或价格未配置", "model_price_error"), StopRunError, "config"),
        (500, says("get file base64 from url failed", "convert_request_failed"), PermanentError, "media"),
        (500, says("mime type is not supported", "count_token_failed"), PermanentError, "media"),
        (200, says("slow down", "rate_limit_exceeded", "requests"), RateLimitedError, "rate_limit"),
        (500, says("upstream error: do request failed", "do_request_failed"), TransientError, "server"),
        (502, says("openai_error", "bad_response_status_code"), TransientError, "server"),
        (500, says("", "bad_response_body"), TransientError, "server"),
        (400, says("request blocked by Gemini API: OTHER", "prompt_blocked"), PermanentError, "safety"),
        (500, says("", "empty_response"), TransientError, "empty"),
        (500, says("Panic detected", "new_api_panic"), PermanentError, "server"),
        (404, says("Invalid URL (POST /v1/chat)", None, "invalid_request_error"), StopRunError, "config"),
        (301, b"", StopRunError, "config"),
        (501, says("", "api_not_implemented"), PermanentError, "request"),
        (200, {"success": False, "message": "数据库错误"}, TransientError, "server"),
        # reliability notes 3
        (402, b"", StopRunError, "quota"),
        (429, says("", "insufficient_quota", "insufficient_quota"), StopRunError, "quota"),
        (429, says("", "credit_balance_exhausted"), StopRunError, "quota"),
        (400, says("", "enforced_spend_limit_reached"), StopRunError, "quota"),
        (400, says("", None, "no_db_connection"), StopRunError, "auth"),
        (401, says("", "invalid_api_key", "invalid_request_error"), StopRunError, "auth"),
        (400, says("", "invalid_image_url", "invalid_request_error"), PermanentError, "media"),
        (422, b"", PermanentError, "request"),
        (418, b"", PermanentError, "request"),
        (408, b"", TransientError, "server"),
        (409, b"", TransientError, "server"),
        (425, b"", TransientError, "server"),
        (500, b"", TransientError, "server"),
        (503, b"", TransientError, "server"),
        (504, b"", InDoubtError, "server"),
        (520, PAGE, TransientError, "server"),
        (524, PAGE, InDoubtError, "server"),
        # gateway notes 3.3: Anthropic's types, by status and inside a stream's 200
        (400, claude("invalid_request_error"), PermanentError, "request"),
        (401, claude("authentication_error"), StopRunError, "auth"),
        (402, claude("billing_error"), StopRunError, "quota"),
        (403, claude("permission_error"), StopRunError, "auth"),
        (404, claude("not_found_error"), StopRunError, "config"),
        (413, claude("request_too_large"), PermanentError, "request"),
        (429, claude("rate_limit_error"), RateLimitedError, "rate_limit"),
        (500, claude("api_error"), TransientError, "server"),
        (504, claude("timeout_error"), InDoubtError, "server"),
        (529, claude("overloaded_error"), TransientError, "server"),
        (200, claude("overloaded_error"), TransientError, "server"),
        (200, claude("permission_error"), StopRunError, "auth"),
        (200, claude("not_found_error"), StopRunError, "config"),
        (200, claude("request_too_large"), PermanentError, "request"),
        (200, claude("timeout_error"), InDoubtError, "server"),
        # gateway notes 3.4: Google's
        (400, google(400, "INVALID_ARGUMENT"), PermanentError, "request"),
        (400, google(400, "INVALID_ARGUMENT", {"reason": "API_KEY_INVALID"}), StopRunError, "auth"),
        (401, google(401, "UNAUTHENTICATED"), StopRunError, "auth"),
        (403, google(403, "PERMISSION_DENIED"), StopRunError, "auth"),
        (404, google(404, "NOT_FOUND"), StopRunError, "config"),
        (429, google(429, "RESOURCE_EXHAUSTED", "x", retry_info("34s")), RateLimitedError, "rate_limit"),
        (500, google(500, "INTERNAL"), TransientError, "server"),
        (503, google(503, "UNAVAILABLE"), TransientError, "server"),
        (504, google(504, "DEADLINE_EXCEEDED"), InDoubtError, "server"),
        (200, google(429, "RESOURCE_EXHAUSTED"), RateLimitedError, "rate_limit"),
        (200, google(None, "RESOURCE_EXHAUSTED"), RateLimitedError, "rate_limit"),
        (200, google(None, "INVALID_ARGUMENT"), PermanentError, "request"),
        (200, google(504, "DEADLINE_EXCEEDED"), InDoubtError, "server"),
        (200, [google(503, "UNAVAILABLE")], TransientError, "server"),
        (403, PAGE, TransientError, "server"),
        (403, {"error": {"code": 403, "metadata": {"flagged_input": "…"}}}, PermanentError, "safety"),
        # an error inside 200, by its own status
        (200, {"error": {"code": 429}}, RateLimitedError, "rate_limit"),
        (200, {"error": {"code": "400", "type": "x"}}, PermanentError, "request"),
        (200, says("", None, "invalid_request_error"), PermanentError, "request"),
        (200, [says("", "model_not_found")], StopRunError, "config"),
    ],
)
def test_table(status, body, error, error_class):
    """Status, code and type decide between stopping, failing, retrying and waiting."""
    found = fault(answered(status, body))
    assert (type(found), found.failure.error_class) == (error, error_class)
    assert found.failure.http_status == status
    assert found.failure.message


@pytest.mark.parametrize(
    ("body", "code", "message"),
    [
        (says("bad\n  image", "convert_request_failed"), "convert_request_failed", "bad image"),
        (says("bad", 1234), "1234", "bad"),
        (says("bad", None, "upstream_error"), "upstream_error", "bad"),
        ({"error": {"message": "bad", "code": True, "type": ["x"]}}, None, "bad"),
        ({"error": {"message": "bad", "code": 500, "status": "INTERNAL"}}, "INTERNAL", "bad"),
        ({"error": {"message": "bad", "code": 500, "status": 500}}, "500", "bad"),
        ({"message": "bad", "status": "error"}, None, "bad"),
        ({"error": "bad"}, None, "bad"),
        ({"detail": "bad"}, None, "bad"),
        ({"message": "bad", "code": "InternalError"}, "InternalError", "bad"),
        ({"error": {"message": {"text": "bad"}}}, None, "the gateway answered 500 and did not say why"),
        (b"", None, "the gateway answered 500 and did not say why"),
        (b"[]", None, "[]"),
        (b"upstream connect error", None, "upstream connect error"),
        (PAGE, None, "the gateway answered 500 with a web page: 524: A timeout occurred"),
        (b"<html></html>", None, "the gateway answered 500 with a web page"),
        (b"\xff\xfe", None, "\ufffd\ufffd"),
        ("内部错误".encode(), None, "内部错误"),
    ],
)
def test_what_the_body_says(body, code, message):
    """Code and message are found in every shape of body, and a plain sentence stands where there is none."""
    failure = fault(answered(500, body)).failure
    assert (failure.code, failure.message) == (code, message)


@pytest.mark.parametrize(
    ("status", "advice"), [(401, "check the key"), (402, "top up the balance"), (404, "check `model`")]
)
def test_what_stops_the_run_says_what_to_do(status, advice):
    """An error that ends the run ends in advice."""
    assert advice in fault(answered(status, says("no"))).failure.message


def test_long_messages_are_cut():
    """300 characters of the gateway's message are kept."""
    message = fault(answered(500, says("x" * 5000))).failure.message
    assert len(message) == 300
    assert message.endswith("x…")


def test_messages_hold_no_secrets():
    """Keys and signatures that the gateway quotes do not get into the message or the code."""
    text = "key sk-abcdefgh12345678 at https://a.example/x?sign=s3cret%3D"
    failure = fault(answered(400, says(text, text))).failure
    for stored in (failure.message, failure.code):
        assert "abcdefgh12345678" not in stored
        assert "s3cret" not in stored


@pytest.mark.parametrize(
    ("message", "headers", "request_id", "kept"),
    [
        ("bad (request id: 2025a)", {}, "2025a", "bad"),
        ("bad (request id: inner) (request id: outer)", {}, "outer", "bad"),
        ("bad (request id: 2025a)", {"x-oneapi-request-id": "2025b", "x-request-id": "c"}, "2025b", "bad"),
        ("bad", {"x-request-id": "c"}, "c", "bad"),
        ("bad", {"request-id": "d"}, "d", "bad"),
        ("bad (request id: )", {}, None, "bad"),
        ("(request id: x) is bad", {}, None, "(request id: x) is bad"),
    ],
)
def test_request_id(message, headers, request_id, kept):
    """The gateway's id comes from its header, or else from the end of its message, where it is cut off."""
    failure = fault(answered(500, says(message), **headers)).failure
    assert (failure.gateway_request_id, failure.message) == (request_id, kept)


@pytest.mark.parametrize(
    ("status", "told", "error"),
    [
        (400, "true", TransientError),
        (500, "false", PermanentError),
        (524, "false", PermanentError),
        (429, "false", PermanentError),
        (429, "true", RateLimitedError),
        (401, "true", StopRunError),
        (500, "maybe", TransientError),
    ],
)
def test_should_retry_wins(status, told, error):
    """A gateway that says whether to retry is obeyed, except that nothing restarts a stopped run."""
    assert type(fault(answered(status, x_should_retry=told))) is error


def test_usage_is_kept():
    """What an error has cost stands in its failure."""
    usage = Usage(prompt_tokens=3, total_tokens=3, source="reported")
    assert fault(answered(500), usage=usage).failure.usage == usage
    assert fault(answered(500)).failure.usage == NO_USAGE


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({}, None),
        ({"retry-after-ms": "1500"}, 1.5),
        ({"retry-after-ms": "nan", "retry-after": "2.5"}, 2.5),
        ({"retry-after": "-1"}, None),
        ({"retry-after": "inf"}, None),
        ({"retry-after": "99999999999"}, None),
        ({"retry-after": "0"}, 0.0),
        ({"retry-after": "soon"}, None),
        ({"retry-after": "Mon, 23 Nov 2026 10:01:30 GMT"} | NOW, 90.0),
        ({"retry-after": "Mon, 23 Nov 2026 10:01:30 -0000"} | NOW, 90.0),
        ({"retry-after": "Mon, 23 Nov 2026 10:01:30 GMT"}, None),
        ({"retry-after": "Mon, 23 Nov 2026 09:59:59 GMT"} | NOW, None),
        ({"retry-after": "Mon, 23 Nov 99999999999999999999 09:59:59 GMT"} | NOW, None),
        ({"retry-after": "1", "llm_provider-retry-after": "7"}, 1.0),
        ({"llm_provider-retry-after": "7"}, 7.0),
        ({"x-ratelimit-reset-requests": "1s", "x-ratelimit-reset-tokens": "6m0s"}, 360.0),
        ({"x-ratelimit-reset-requests": "1s", "x-ratelimit-reset-tokens": "soon"}, 1.0),
        (
            {
                "x-ratelimit-reset-requests": "20ms",
                "x-ratelimit-remaining-requests": "0",
                "x-ratelimit-reset-tokens": "6m0s",
                "x-ratelimit-remaining-tokens": "149984",
            },
            0.02,
        ),
        ({"x-ratelimit-reset-requests": "1h1m1.5s"}, 3661.5),
        ({"x-ratelimit-reset-requests": "1d"}, 86_400.0),
        ({"x-ratelimit-reset-requests": "12"}, 12.0),
        ({"x-ratelimit-reset-requests": "1764000000"}, None),
        ({"retry-after": "3", "x-ratelimit-reset-requests": "60"}, 3.0),
        ({"anthropic-ratelimit-requests-reset": "2026-11-23T10:00:20Z"} | NOW, 20.0),
        ({"anthropic-ratelimit-requests-reset": "2026-11-23T10:00:20Z"}, None),
        ({"anthropic-ratelimit-requests-reset": "2026-11-23T09:59:20Z"} | NOW, None),
        ({"anthropic-ratelimit-requests-reset": "2026-11-23"} | NOW, None),
        ({"anthropic-ratelimit-requests-reset": "2026-99-23T10:00:20Z"} | NOW, None),
        (
            {
                "anthropic-ratelimit-requests-remaining": "49",
                "anthropic-ratelimit-requests-reset": "2026-11-23T10:00:20Z",
                "anthropic-ratelimit-input-tokens-remaining": "0",
                "anthropic-ratelimit-input-tokens-reset": "2026-11-23T12:00:40+02:00",
                "anthropic-ratelimit-output-tokens-limit": "8000",
            }
            | NOW,
            40.0,
        ),
        ({"retry-after": "3", "anthropic-ratelimit-tokens-reset": "2026-11-23T10:00:20Z"} | NOW, 3.0),
    ],
)
def test_wait(headers, expected):
    """The wait is read from the first header that names one; impossible ones name none."""
    found = fault(Answer(status=429, headers=headers, body=b""))
    assert found.wait_s == pytest.approx(expected) if expected is not None else found.wait_s is None


@pytest.mark.parametrize(
    ("details", "headers", "expected"),
    [
        ([retry_info("34.5s")], {}, 34.5),
        ([{"reason": "x"}, retry_info("34s"), retry_info("50s")], {}, 34.0),
        ([retry_info("34s")], {"retry-after": "5"}, 5.0),
        ([retry_info("34s")], {"x-ratelimit-reset-requests": "60"}, 34.0),
        ([retry_info("soon"), retry_info(3), "x"], {}, None),
        ("x", {}, None),
    ],
)
def test_google_says_in_the_body_how_long(details, headers, expected):
    """The delay in Google's details counts where no header names one."""
    body = {"error": {"code": 429, "status": "RESOURCE_EXHAUSTED", "details": details}}
    found = fault(Answer(status=429, headers=headers, body=json.dumps(body).encode()))
    assert (type(found), found.wait_s) == (RateLimitedError, expected)


@pytest.mark.parametrize(
    ("code", "headers", "error", "error_class"),
    [
        (402, {"retry_after": "30"}, RateLimitedError, "rate_limit"),
        (402, {}, StopRunError, "quota"),
        (402, {"retry_after": "soon"}, StopRunError, "quota"),
        ("billing_error", {"retry_after": "30"}, StopRunError, "quota"),
    ],
)
def test_a_402_that_names_a_wait_is_one(code, headers, error, error_class):
    """OpenRouter's 402 passes when it says so; a code that means an empty balance does not."""
    found = fault(answered(402, says("", code), **headers))
    assert (type(found), found.failure.error_class) == (error, error_class)
    assert found.wait_s == (30 if headers.get("retry_after") == "30" else None)


def test_quota_resets_do_not_delay_other_errors():
    """When a quota refills says nothing about a broken server."""
    assert wait_s({"x-ratelimit-reset-requests": "60"}, limited=False) is None


ERROR_MEMBERS = ("error", "message", "code", "type", "metadata", "success", "detail", "details", "status", "reason")
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | st.just({"retryDelay": "1s"}),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(ERROR_MEMBERS), inner, max_size=4),
    max_leaves=8,
)
HEADERS = st.dictionaries(
    st.sampled_from(
        ["retry-after", "retry-after-ms", "date", "x-ratelimit-reset-tokens", "anthropic-ratelimit-tokens-reset"]
    ),
    st.text(max_size=12) | st.from_regex(r"[0-9]{1,3}[smhd.]?[0-9a-z -]{0,4}", fullmatch=True),
)


@settings(max_examples=150, deadline=None)
@given(
    status=st.integers(100, 999),
    body=st.binary(max_size=40) | JSON.map(lambda value: json.dumps(value).encode()),
    headers=HEADERS,
)
def test_any_answer_is_some_fault(status, body, headers):
    """Whatever comes back becomes an attempt's error with a message and a possible wait."""
    found = fault(Answer(status=status, headers=headers, body=body))
    assert isinstance(found, AttemptError)
    assert found.failure.message
    assert found.wait_s is None or found.wait_s >= 0
