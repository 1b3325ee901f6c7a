"""Keys and bodies over real HTTP: what is refused, and how."""

from __future__ import annotations

import json
import socket

import httpx
import pytest


def error(answer):
    return answer.json()["error"]


@pytest.mark.parametrize(
    ("key", "status", "message", "code"),
    [
        (None, 401, "未提供令牌", ""),
        ("Basic abc", 401, "未提供令牌", ""),
        ("Bearer", 401, "未提供令牌", ""),
        ("Bearer sk-other", 401, "无效的令牌", ""),
        ("Bearer sk-schlüssel", 401, "无效的令牌", ""),
        ("Bearer sk-expired", 401, "该令牌已过期", ""),
        ("Bearer sk-disabled", 401, "该令牌状态不可用", ""),
        ("Bearer sk-used-up", 401, "该令牌额度已用尽", ""),
        ("Bearer sk-empty", 403, "用户额度不足", "insufficient_user_quota"),
    ],
)
def test_keys(sandbox, key, status, message, code):
    """A key is refused as the gateway refuses it, and the request stands in the ledger unbilled."""
    headers = {"Authorization": key.encode()} if key else {}
    answer = httpx.post(sandbox.url + "/chat/completions", headers=headers, content=b"{}", trust_env=False)
    assert answer.status_code == status
    assert error(answer)["message"].startswith(message)
    assert error(answer)["message"].endswith(f" (request id: {answer.headers['X-Oneapi-Request-Id']})")
    assert error(answer)["code"] == code
    assert sandbox.ledger()[0].status == status
    assert not sandbox.ledger()[0].billed


def test_prefix_of_the_key_is_optional(sandbox):
    """The key is accepted without sk- as well."""
    headers = {"Authorization": "bearer sandbox"}
    assert httpx.get(sandbox.url + "/models", headers=headers, trust_env=False).status_code == 200


GOOD = [{"role": "user", "content": "Hi"}]


@pytest.mark.parametrize(
    ("body", "refusal"),
    [
        (b"{", (400, "", "Invalid request, invalid JSON")),
        (b"\xff\xfe{", (400, "", "Invalid request, invalid JSON")),
        (b"[" * 100_000, (400, "", "Invalid request, invalid JSON")),
        (b"[]", (400, "", "cannot unmarshal the body")),
        (rb'{"model": "\ud800", "messages": []}', (503, "model_not_found", "模型 ? 无可用渠道")),
        ({"model": 7}, (400, "", "cannot unmarshal the body")),
        ({"messages": GOOD}, (500, "invalid_request", "model is required")),
        ({"model": "gemini-2.0-flash"}, (500, "invalid_request", "field messages is required")),
        ({"model": "gemini-2.0-flash", "messages": []}, (500, "invalid_request", "field messages is required")),
        ({"model": "gemini-2.0-flash", "messages": {}}, (400, "", "messages")),
        ({"model": "gemini-2.0-flash", "messages": ["Hi"]}, (400, "", "a message")),
        ({"model": "gemini-2.0-flash", "messages": [{"content": 7}]}, (400, "", "a message")),
        ({"model": "gemini-2.0-flash", "messages": GOOD, "max_tokens": "9"}, (400, "", "max_tokens")),
        ({"model": "gemini-2.0-flash", "messages": GOOD, "max_tokens": True}, (400, "", "max_tokens")),
        ({"model": "gemini-2.0-flash", "messages": GOOD, "max_tokens": -1}, (400, "", "max_tokens")),
        ({"model": "gemini-2.0-flash", "messages": GOOD, "stream": "yes"}, (400, "", "unmarshal stream")),
        ({"model": "gemini-9", "messages": GOOD}, (503, "model_not_found", "模型 gemini-9 无可用渠道")),
        ({"model": "qwen2.5-omni-7b", "messages": GOOD}, (500, "model_price_error", "倍率或价格未配置")),
        ({"model": "gemini-2.0-flash+slw=1", "messages": GOOD}, (400, "", "did you mean 'slow'")),
    ],
)
def test_bad_requests(client, sandbox, body, refusal):
    """What is wrong with a request has the gateway's status, code and message, and is not billed."""
    status, code, message = refusal
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    answer = client.post("/chat/completions", content=content)
    assert answer.status_code == status
    assert error(answer)["code"] == code
    assert message in error(answer)["message"]
    assert not sandbox.ledger()[0].billed


def test_param_is_missing_in_middleware_errors(client):
    """Errors of the middleware have no `param`, others have."""
    unknown = client.post("/chat/completions", json={"model": "gemini-9"})
    assert set(error(unknown)) == {"message", "type", "code"}
    empty = client.post("/chat/completions", json={"model": "gemini-2.0-flash"})
    assert set(error(empty)) == {"message", "type", "param", "code"}


def test_large_body_announced(sandbox):
    """A body announced as larger than 64 MB is refused before it is sent."""
    port = int(sandbox.url.split(":")[2].split("/")[0])
    head = f"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {sandbox.api_key}\r\n"
    with socket.create_connection(("127.0.0.1", port)) as line:
        line.sendall(f"{head}Content-Length: {64 * 2**20 + 1}\r\n\r\n".encode())
        assert b" 413 " in line.recv(1000)


def test_large_body_sent(client):
    """A body that turns out larger than 64 MB is refused as well."""
    answer = client.post("/chat/completions", content=(b" " * 2**20 for _ in range(65)))
    assert answer.status_code == 413
    assert error(answer)["code"] == "read_request_body_failed"


def test_unreadable_encoding(client):
    """A body that is not in the encoding it claims is a bad request."""
    answer = client.post("/chat/completions", content=b"{}", headers={"Content-Encoding": "gzip"})
    assert answer.status_code == 400
