"""Every fault of the table, over real HTTP."""

from __future__ import annotations

import gzip
import json

import httpx
import pytest

from mediascribe.sandbox import Behaviour, Fault
from mediascribe.sandbox.faults import FAULTS, bills
from mediascribe.sandbox.spoiling import HUGE_BYTES

TEXT = "The prompt has 2 words; no image, sound or video came with it."

REFUSED = {
    # name: status, code, in the message
    "no_token": (401, "", "未提供令牌 (request id: toio"),
    "unknown_token": (401, "", "无效的令牌"),
    "expired": (401, "", "该令牌已过期"),
    "disabled": (401, "", "该令牌状态不可用"),
    "used_up": (401, "", "该令牌额度已用尽"),
    "balance_empty": (403, "insufficient_user_quota", "用户额度不足"),
    "pre_consume": (403, "pre_consume_token_quota_failed", "预扣费额度失败"),
    "not_allowed": (403, "", "该令牌无权访问模型 gemini-2.0-flash"),
    "model_not_found": (503, "model_not_found", "模型 gemini-2.0-flash 无可用渠道"),
    "channel_failed": (500, "get_channel_failed", "gemini-2.0-flash"),
    "rate_limited": (429, "", "1分钟内最多请求60次"),
    "bad_request": (400, "", "Invalid request, "),
    "invalid_request": (500, "invalid_request", "field messages is required"),
    "too_large": (413, "read_request_body_failed", ""),
    "sensitive_words": (500, "sensitive_words_detected", "sensitive_words_detected"),
    "price_error": (500, "model_price_error", "模型 gemini-2.0-flash 倍率或价格未配置"),
    "media_failed": (500, "convert_request_failed", "get file base64 from url 'https://***.com/***' failed"),
    "image_url_refused": (400, "invalid_image_url", "Error while downloading"),
    "count_token_failed": (500, "count_token_failed", "https://***.com/***"),
    "error_in_200": (200, "overloaded_error", "overloaded"),
    "upstream_unreachable": (500, "do_request_failed", "upstream error: do request failed"),
    "upstream_error": (500, "upstream_error", "internal error"),
    "bad_status": (502, "bad_response_status_code", "openai_error"),
    "bad_body": (500, "bad_response_body", ""),
    "prompt_blocked_400": (400, "prompt_blocked", "request blocked by Gemini API: "),
    "empty_response_500": (500, "empty_response", ""),
    "panic": (500, "new_api_panic", "Panic detected, "),
    "invalid_url": (404, "", "Invalid URL (POST /v1/"),
    "not_implemented": (501, "api_not_implemented", ""),
    "http_400": (400, "invalid_request_error", ""),
    "http_408": (408, "upstream_error", ""),
    "http_429": (429, 429, "Resource has been exhausted"),
    "http_500": (500, "server_error", ""),
    "http_502": (502, "upstream_error", ""),
    "http_503": (503, "upstream_error", ""),
    "http_504": (504, "upstream_error", ""),
    "http_529": (529, "overloaded_error", ""),
}

REPLIED = {
    # name: status, start of the body
    "rate_limited_empty": (429, b""),
    "html_200": (200, b"<!doctype html>"),
    "cdn_502": (502, b"<!doctype html>"),
    "cdn_524": (524, b"<!doctype html>"),
    "success_false_200": (200, b'{"success":false,"message":'),
    "null_200": (200, b"null"),
    "list_200": (200, b'[{"error":'),
    "no_body_200": (200, b""),
}


def message(body):
    return body["choices"][0]["message"]


ANSWERED = {
    "prompt_blocked_200": lambda body: body["choices"] == [] and body["usage"]["completion_tokens"] == 0,
    "empty_content": lambda body: message(body)["content"] == "" and body["usage"]["completion_tokens"] == 16,
    "null_content": lambda body: message(body)["content"] is None,
    "no_content": lambda body: message(body) == {"role": "assistant"},
    "no_message": lambda body: list(body["choices"][0]) == ["index", "finish_reason"],
    "no_choices": lambda body: "choices" not in body and "usage" in body,
    "content_array": lambda body: message(body)["content"] == [{"type": "text", "text": TEXT}],
    "reasoning_only": lambda body: (message(body)["content"], message(body)["reasoning_content"]) == ("", TEXT),
    "think_tags": lambda body: message(body)["content"] == f"<think>Let me look at it.</think>\n\n{TEXT}",
    "no_finish_reason": lambda body: list(body["choices"][0]) == ["index", "message"],
    "empty_finish_reason": lambda body: body["choices"][0]["finish_reason"] == "",
    "vendor_finish_reason": lambda body: body["choices"][0]["finish_reason"] == "network_error",
    "content_filter": lambda body: (
        (body["choices"][0]["finish_reason"], message(body)["content"]) == ("content_filter", "")
    ),
    "refusal": lambda body: message(body)["content"] is None and message(body)["refusal"],
    "length": lambda body: (
        body["choices"][0]["finish_reason"] == "length"
        and message(body)["content"] == TEXT[:32]
        and body["usage"]["completion_tokens"] == 8
    ),
    "no_usage": lambda body: "usage" not in body and message(body)["content"] == TEXT,
    "zero_usage": lambda body: (
        body["usage"]["total_tokens"] == 0
        and body["usage"]["prompt_tokens_details"]["text_tokens"] == 0
        and body["usage"]["input_tokens_details"] is None
    ),
    "round_usage": lambda body: body["usage"]["prompt_tokens"] == 3,
    "media_dropped": lambda body: "nothing attached" in body["choices"][0]["message"]["content"],
    "renamed_model": lambda body: body["model"] == "gemini-2.0-flash-001",
    "fenced_json": lambda body: message(body)["content"] == f'```json\n{{"description": "{TEXT}"}}\n```',
    "broken_json": lambda body: (
        message(body)["content"] == f'{{"description": "{TEXT}"}}'[:40]
        and body["choices"][0]["finish_reason"] == "stop"
    ),
    "wrong_schema": lambda body: message(body)["content"] == "{}",
}

BROKEN = {
    "cut_json",
    "latin1",
    "huge_body",
    "gzip_bomb",
    "reset_before",
    "reset_after",
    "cut_body",
    "stall",
    "slow_body",
}

ELSEWHERE = {"dialect_missing", "file_uri_refused", "part_unknown", "upstream_invalid"}  # no faults of chat
STREAMED = {
    "stream_cut",
    "stream_reset",
    "stream_no_done",
    "stream_comments",
    "stream_error",
    "stream_error_bare",
    "stream_no_usage",
    "stream_split",
}


def test_every_fault_is_tested():
    """Each name of the table stands in exactly one list: of this file, or of those on dialects and streams."""
    assert sorted(FAULTS) == sorted([*REFUSED, *REPLIED, *ANSWERED, *BROKEN, *ELSEWHERE, *STREAMED])


@pytest.fixture
def play(sandbox, ask):
    """Ask while one fault is played."""

    def asked(name, *parts, **members):
        sandbox.behave("*", Behaviour(faults=(Fault(name),), **members))
        return ask(*parts)

    return asked


def entry_of(sandbox, name):
    (entry,) = sandbox.ledger()
    assert entry.fault == name
    assert entry.billed == bills(name)
    assert (entry.nano_usd > 0) == entry.billed
    return entry


@pytest.mark.parametrize("name", REFUSED)
def test_refusals(play, sandbox, name):
    """A refusal has the gateway's status, code and message, and bills nothing."""
    status, code, said = REFUSED[name]
    answer = play(name)
    error = answer.json()["error"]
    assert (answer.status_code, error["code"]) == (status, code)
    assert said in error["message"]
    assert error["type"] is not None
    entry = entry_of(sandbox, name)
    assert (entry.status, entry.billed, entry.finished) == (status, False, True)


@pytest.mark.parametrize("name", ["error_in_200", "upstream_error", "http_503"])
def test_upstream_words_have_no_request_id(play, name):
    """A relayed message ends without a request id, and the header has one all the same."""
    answer = play(name)
    assert "request id" not in answer.json()["error"]["message"]
    assert answer.headers["X-Oneapi-Request-Id"].startswith("toio")


@pytest.mark.parametrize("name", REPLIED)
def test_replies(play, sandbox, name):
    """A page, an empty body, or JSON that is no answer comes with its type."""
    status, start = REPLIED[name]
    answer = play(name)
    assert answer.status_code == status
    assert answer.content.startswith(start)
    assert answer.content or start == b""
    assert ("html" in answer.headers["Content-Type"]) == start.startswith(b"<")
    assert entry_of(sandbox, name).status == status


@pytest.mark.parametrize("name", ANSWERED)
def test_spoilt_answers(play, sandbox, name):
    """A spoilt answer is billed, and its usage, where there is one, is what was billed."""
    answer = play(name)
    body = answer.json()
    assert answer.status_code == 200
    assert ANSWERED[name](body)
    entry = entry_of(sandbox, name)
    if name not in {"no_usage", "zero_usage"}:
        assert body["usage"]["total_tokens"] == entry.total_tokens


def test_media_dropped(play, sandbox, make):
    """The picture is not seen, and not billed: three tokens of text in, as without it."""
    answer = play("media_dropped", make.part("image", make.data_url("image/png", make.image(960, 540))))
    assert answer.json()["usage"]["prompt_tokens"] == 3
    assert entry_of(sandbox, "media_dropped").image_tokens == 0


def test_round_usage(play, sandbox, make):
    """The gateway's estimate is 520 for an image, 256 for a sound, 8192 for a video, and is what it bills."""
    answer = play(
        "round_usage",
        make.part("image", make.data_url("image/png", make.image(960, 540))),
        make.part("audio", make.data_url("audio/wav", make.sound(1.0))),
        make.part("video", make.data_url("video/mp4", make.video(1))),
    )
    assert answer.json()["usage"]["prompt_tokens"] == 3 + 520 + 256 + 8192
    entry = entry_of(sandbox, "round_usage")
    assert (entry.image_tokens, entry.audio_tokens, entry.video_tokens) == (520, 256, 8192)


def test_cut_json(play, sandbox):
    """Half of an answer comes with a matching length."""
    answer = play("cut_json")
    assert answer.content.startswith(b'{"id":"chatcmpl-')
    with pytest.raises(json.JSONDecodeError):
        answer.json()
    assert entry_of(sandbox, "cut_json").finished


def test_latin1(play, sandbox):
    """An answer in Latin-1 is no UTF-8."""
    content = play("latin1").content
    with pytest.raises(UnicodeDecodeError):
        content.decode()
    assert json.loads(content.decode("latin-1"))["choices"][0]["message"]["content"].startswith("Café au lait")
    entry_of(sandbox, "latin1")


def test_huge_body(play, sandbox):
    """A huge answer is whole and true but for its length."""
    content = play("huge_body").content
    assert len(content) > HUGE_BYTES
    assert json.loads(content)["usage"]["completion_tokens"] == 16
    assert entry_of(sandbox, "huge_body").finished


def test_gzip_bomb(sandbox, client):
    """A small compressed answer unpacks to a huge one."""
    sandbox.behave("*", Behaviour(faults=(Fault("gzip_bomb"),)))
    body = {"model": "gemini-2.0-flash", "messages": [{"role": "user", "content": "Hi"}]}
    with client.stream("POST", "/chat/completions", json=body) as answer:
        raw = b"".join(answer.iter_raw())
    assert len(raw) < 100_000
    assert len(gzip.decompress(raw)) > HUGE_BYTES
    entry_of(sandbox, "gzip_bomb")


@pytest.mark.parametrize(("name", "billed"), [("reset_before", False), ("reset_after", True)])
def test_resets(play, sandbox, name, billed):
    """A reset connection has no status; it is billed when the request was handled before."""
    with pytest.raises(httpx.TransportError):
        play(name)
    entry = entry_of(sandbox, name)
    assert (entry.billed, entry.status, entry.finished) == (billed, None, False)


def test_cut_body(sandbox, client):
    """Half of the announced bytes arrive, and the request is billed."""
    sandbox.behave("*", Behaviour(faults=(Fault("cut_body"),)))
    body = {"model": "gemini-2.0-flash", "messages": [{"role": "user", "content": "Hi"}]}
    received = []
    with client.stream("POST", "/chat/completions", json=body) as answer, pytest.raises(httpx.RemoteProtocolError):
        received.extend(answer.iter_raw(1))
    assert len(received) == int(answer.headers["Content-Length"]) // 2
    entry = entry_of(sandbox, "cut_body")
    assert (entry.status, entry.finished) == (200, False)


def test_slow_body(play, sandbox):
    """An answer may come a byte at a time, whole in the end."""
    answer = play("slow_body", byte_pause_s=0)
    assert message(answer.json())["content"] == TEXT
    assert entry_of(sandbox, "slow_body").finished
