# ruff: noqa: RUF001 - the gateway's own words and brackets
"""Refusals: every error that the gateway answers, by name, and the two shapes that errors have (gateway notes 2.5).

The gateway refuses with these when a request deserves it, and on order, since each is a fault as well. Text in braces
is filled in; the defaults of `Refusal.filled` serve where nobody knows better.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from mediascribe.sandbox.replies import Reply, json_reply

MASKED_URL: Final = "https://***.com/***"
_NOT_FETCHED: Final = f"get file base64 from url '{MASKED_URL}' failed: connection refused"


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """One error answer.

    Middleware's errors have no `param`; an upstream's own words (`relayed`) have no request id behind them. Those that
    come from `around` the relay have OpenAI's shape in every dialect, as middleware's have; those that come `late` were
    made after the upstream had been asked, so in a stream its headers were out by then.
    """

    status: int
    message: str
    code: str | int | None = ""
    type: str = "new_api_error"
    middleware: bool = False
    relayed: bool = False
    around: bool = False
    after_upstream: bool = False
    why: str = ""

    @property
    def late(self) -> bool:
        """Whether the upstream had been asked."""
        return self.relayed or self.after_upstream

    def filled(self, *, model: str = "the model", limit: float = 60, why: str | None = None) -> Refusal:
        """The same with the names in its message replaced."""
        values = {"model": model, "limit": f"{limit:g}", "why": self.why if why is None else why}
        return dataclasses.replace(self, message=self.message.format_map(values))

    def told(self, request_id: str) -> str:
        """The message as it is sent."""
        return self.message if self.relayed else f"{self.message} (request id: {request_id})"


Shape = Callable[[Refusal, str], object]


def openai_error(refusal: Refusal, request_id: str) -> dict[str, Any]:
    """The body of *refusal* in all dialects but Anthropic's."""
    error: dict[str, Any] = {"message": refusal.told(request_id), "type": refusal.type}
    if not refusal.middleware:
        error["param"] = ""
    return {"error": error | {"code": refusal.code}}


def anthropic_error(refusal: Refusal, request_id: str) -> dict[str, Any]:
    """The body of *refusal* in Anthropic's dialect: the gateway's own words keep their type and lose their code."""
    if refusal.middleware or refusal.around:
        return openai_error(refusal, request_id)
    kind = _ANTHROPIC_TYPES.get(refusal.status, "api_error") if refusal.relayed else refusal.type
    return {"type": "error", "error": {"type": kind, "message": refusal.told(request_id)}}


_ANTHROPIC_TYPES: Final = {400: "invalid_request_error", 429: "rate_limit_error", 529: "overloaded_error"}


class RefusedError(Exception):
    """The request in hand ends with this answer."""

    def __init__(self, refusal: Refusal, *, retry_after_s: int | None = None, empty: bool = False) -> None:
        """Refuse with *refusal*, with a Retry-After header, or with its status and no body at all."""
        super().__init__(refusal.message)
        self.refusal = refusal
        self.retry_after_s = retry_after_s
        self.empty = empty

    def reply(self, request_id: str, shape: Shape = openai_error) -> Reply:
        """The answer as it is sent."""
        headers = {} if self.retry_after_s is None else {"Retry-After": str(self.retry_after_s)}
        if self.empty:
            return Reply(body=b"", status=self.refusal.status, headers=headers)
        return json_reply(shape(self.refusal, request_id), self.refusal.status, **headers)


def _upstream(status: int, message: str, kind: str = "upstream_error") -> Refusal:
    return Refusal(status=status, message=message, type=kind, code=kind, relayed=True)


REFUSALS: Final[dict[str, Refusal]] = {
    "no_token": Refusal(status=401, message="未提供令牌", middleware=True),
    "unknown_token": Refusal(status=401, message="无效的令牌", middleware=True),
    "expired": Refusal(status=401, message="该令牌已过期", middleware=True),
    "disabled": Refusal(status=401, message="该令牌状态不可用", middleware=True),
    "used_up": Refusal(status=401, message="该令牌额度已用尽 RemainQuota = 0", middleware=True),
    "balance_empty": Refusal(status=403, message="用户额度不足, 剩余额度: ＄0.000000", code="insufficient_user_quota"),
    "pre_consume": Refusal(
        status=403,
        message="预扣费额度失败, token remain quota: ＄0.000000, need quota: ＄0.001000",
        code="pre_consume_token_quota_failed",
    ),
    "not_allowed": Refusal(status=403, message="该令牌无权访问模型 {model}", middleware=True),
    "model_not_found": Refusal(
        status=503,
        message="分组 default 下模型 {model} 无可用渠道（distributor）",
        code="model_not_found",
        middleware=True,
    ),
    "channel_failed": Refusal(
        status=500,
        message="获取分组 default 下模型 {model} 的可用渠道失败（retry）",
        code="get_channel_failed",
    ),
    "rate_limited": Refusal(
        status=429,
        message="您已达到请求数限制：1分钟内最多请求{limit}次",
        middleware=True,
    ),
    "bad_request": Refusal(
        status=400, message="Invalid request, {why}", why="unexpected end of JSON input", middleware=True
    ),
    "invalid_request": Refusal(status=500, message="{why}", why="field messages is required", code="invalid_request"),
    "too_large": Refusal(status=413, message="request body too large", code="read_request_body_failed"),
    "sensitive_words": Refusal(status=500, message="sensitive_words_detected", code="sensitive_words_detected"),
    "price_error": Refusal(
        status=500,
        message="模型 {model} 倍率或价格未配置，请联系管理员设置; Model {model} ratio or price not set",
        code="model_price_error",
    ),
    "media_failed": Refusal(status=500, message="{why}", why=_NOT_FETCHED, code="convert_request_failed"),
    "dialect_missing": Refusal(status=500, message="not implemented", code="convert_request_failed"),
    "image_url_refused": Refusal(
        status=400,
        message="Error while downloading the image: {why}",
        why="upstream status code: 404.",
        type="invalid_request_error",
        code="invalid_image_url",
        relayed=True,
    ),
    "file_uri_refused": Refusal(
        status=400,
        message="Cannot fetch content from the provided URL: {why}",
        why="URL_ERROR-ERROR_NOT_FOUND",
        type="",
        code=400,
        relayed=True,
    ),
    "part_unknown": Refusal(
        status=400,
        message="Invalid value for a content part's type. Supported values are: {why}.",
        why="input_text, input_image, input_file, input_audio",
        type="invalid_request_error",
        code="invalid_value",
        relayed=True,
    ),
    "upstream_invalid": Refusal(
        status=400,
        message="{why}",
        why="max_tokens: Field required",
        type="invalid_request_error",
        code="invalid_request_error",
        relayed=True,
    ),
    "count_token_failed": Refusal(status=500, message="{why}", why=_NOT_FETCHED, code="count_token_failed"),
    "error_in_200": _upstream(200, "The upstream is overloaded, try again later", "overloaded_error"),
    "upstream_unreachable": Refusal(
        status=500, message="upstream error: do request failed", code="do_request_failed", after_upstream=True
    ),
    "upstream_error": _upstream(500, "The upstream has had an internal error"),
    "bad_status": Refusal(
        status=502,
        message="openai_error",
        type="bad_response_status_code",
        code="bad_response_status_code",
        after_upstream=True,
    ),
    "bad_body": Refusal(
        status=500, message="unexpected end of JSON input", code="bad_response_body", after_upstream=True
    ),
    "prompt_blocked_400": Refusal(
        status=400,
        message="request blocked by Gemini API: PROHIBITED_CONTENT",
        code="prompt_blocked",
        after_upstream=True,
    ),
    "empty_response_500": Refusal(
        status=500, message="empty response from Gemini API", code="empty_response", after_upstream=True
    ),
    "panic": Refusal(
        status=500,
        message="Panic detected, error: runtime error: invalid memory address or nil pointer dereference",
        type="new_api_panic",
        code="new_api_panic",
        around=True,
    ),
    "invalid_url": Refusal(
        status=404, message="Invalid URL ({why})", why="POST /v1/nowhere", type="invalid_request_error", around=True
    ),
    "not_implemented": Refusal(status=501, message="API not implemented", code="api_not_implemented", around=True),
    "http_400": _upstream(400, "The upstream refuses this request", "invalid_request_error"),
    "http_408": _upstream(408, "The upstream timed out"),
    "http_429": Refusal(
        status=429, message="Resource has been exhausted (e.g. check quota).", type="", code=429, relayed=True
    ),
    "http_500": _upstream(500, "The upstream has had an internal error", "server_error"),
    "http_502": _upstream(502, "Bad gateway"),
    "http_503": _upstream(503, "The model is overloaded. Please try again later."),
    "http_504": _upstream(504, "The upstream did not answer in time"),
    "http_529": _upstream(529, "Overloaded", "overloaded_error"),
}


def refused(name: str, *, model: str = "the model", limit: float = 60, why: str | None = None) -> RefusedError:
    """The error to raise for the refusal called *name*."""
    return RefusedError(REFUSALS[name].filled(model=model, limit=limit, why=why))
