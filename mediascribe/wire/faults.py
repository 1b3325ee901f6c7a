"""From an HTTP answer that is an error to the exception that says what to do about it.

Rules of this file:

- `RULES` is read from the top, the first row that fits decides. Code and type decide before the status does: this
  gateway answers much that is permanent with 500, and an empty balance with 403 (gateway notes 2.5).
- The message's text decides nothing.
- A body may be empty, a web page, Chinese, or any JSON at all (gateway notes 5, trap 19).
"""

from __future__ import annotations

import html
import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

import msgspec

from mediascribe.domain import NO_USAGE, Failure
from mediascribe.errors import (
    AttemptError,
    InDoubtError,
    PermanentError,
    RateLimitedError,
    StopRunError,
    TransientError,
)
from mediascribe.redact import redact_text

if TYPE_CHECKING:
    from collections.abc import Container

    from mediascribe.domain import ErrorClass, Usage
    from mediascribe.wire import Answer

MESSAGE_LENGTH: Final = 300
READ_LENGTH: Final = 4096  # of a message, or of a body without JSON, more is not looked at
LONGEST_WAIT_S: Final = 31 * 86_400.0  # more than that is a point in time, not a wait
WEB_PAGE: Final = "<web page>"
FLAGGED: Final = "<flagged>"

_ANY: Final = range(1000)


@dataclass(frozen=True, slots=True)
class Rule:
    """An answer with one of `statuses` and, where there are `words`, one of them as its code or type."""

    statuses: Container[int]
    words: frozenset[str] | None
    error: type[AttemptError]
    error_class: ErrorClass


def _words(*words: str) -> frozenset[str]:
    return frozenset(words)


RULES: Final = (
    # Money. gateway notes 2.5: 403 with these codes; reliability notes 3: 402, 429 and 400 with those of the vendors.
    Rule(_ANY, _words("insufficient_user_quota", "pre_consume_token_quota_failed"), StopRunError, "quota"),
    Rule(_ANY, _words("insufficient_quota", "credit_balance_exhausted", "billing_error"), StopRunError, "quota"),
    Rule(_ANY, _words("enforced_spend_limit_reached"), StopRunError, "quota"),
    Rule({402}, None, StopRunError, "quota"),
    # The key. gateway notes 2.5 and 3.3; reliability notes 3: litellm says 400 no_db_connection to an unknown key.
    Rule({401}, None, StopRunError, "auth"),
    Rule(_ANY, _words("invalid_api_key", "authentication_error", "no_db_connection"), StopRunError, "auth"),
    # Content filters. gateway notes 2.5; reliability notes 3: a 403 that flags the input is about the row.
    Rule(_ANY, _words("sensitive_words_detected", "prompt_blocked", FLAGGED), PermanentError, "safety"),
    Rule(_ANY, _words("content_policy_violation", "image_content_policy_violation"), PermanentError, "safety"),
    # The job. gateway notes 2.5: 503 model_not_found and 500 model_price_error are permanent.
    Rule(_ANY, _words("model_not_found", "model_price_error"), StopRunError, "config"),
    # A web page did not come from the gateway, which refuses keys and models in JSON. reliability notes 3.
    Rule({403}, _words(WEB_PAGE), TransientError, "server"),
    Rule({403}, None, StopRunError, "auth"),
    Rule({404}, None, StopRunError, "config"),
    Rule(range(300, 400), None, StopRunError, "config"),  # reliability notes 3: a POST is not redirected
    # Media. gateway notes 2.5: 500; the rest are the vendor's codes (reliability notes 3: 400 bad media).
    Rule(_ANY, _words("convert_request_failed", "count_token_failed"), PermanentError, "media"),
    Rule(_ANY, _words("invalid_image", "invalid_image_url", "invalid_image_format"), PermanentError, "media"),
    Rule(_ANY, _words("image_parse_error", "failed_to_download_image"), PermanentError, "media"),
    # Too fast. gateway notes 2.5: possibly with an empty body; 3.3; reliability notes 3: litellm's own type.
    Rule({429}, None, RateLimitedError, "rate_limit"),
    Rule(_ANY, _words("rate_limit_error", "rate_limit_exceeded", "throttling_error"), RateLimitedError, "rate_limit"),
    # gateway notes 2.5.
    Rule(_ANY, _words("empty_response"), TransientError, "empty"),
    Rule(_ANY, _words("new_api_panic"), PermanentError, "server"),
    Rule(_ANY, _words("invalid_request", "read_request_body_failed"), PermanentError, "request"),
    Rule(_ANY, _words("api_not_implemented"), PermanentError, "request"),
    Rule({501}, None, PermanentError, "request"),
    Rule(range(200, 500), _words("invalid_request_error"), PermanentError, "request"),
    # Whoever gave up waiting at 504, the model may have answered (gateway notes 5, trap 22). reliability notes 3.
    Rule({504, 524}, None, InDoubtError, "server"),
    Rule({408, 409, 425}, None, TransientError, "server"),
    Rule(range(400, 500), None, PermanentError, "request"),
    Rule(_ANY, None, TransientError, "server"),
)

_ADVICE: Final[Mapping[ErrorClass, str]] = MappingProxyType(
    {
        "auth": "check the key, and that it may use this model",
        "quota": "top up the balance or raise the key's quota, then run again",
        "config": "check `model` and `gateway.base_url` of the job",
    }
)


def fault(answer: Answer, *, usage: Usage = NO_USAGE) -> AttemptError:
    """The exception for an *answer* that is an error, whatever its status; *usage* is what it cost all the same."""
    said = _said(answer)
    rule = next(rule for rule in RULES if said.status in rule.statuses and (not rule.words or rule.words & said.words))
    error = _as_told(rule.error, answer.headers.get("x-should-retry"))
    message, request_id = _split_request_id(redact_text(on_one_line(said.message[:READ_LENGTH])))
    message = shorten(message) or f"the gateway answered {answer.status} and did not say why"
    if error is StopRunError and rule.error_class in _ADVICE:
        message = f"{message}; {_ADVICE[rule.error_class]}"
    failure = Failure(
        error_class=rule.error_class,
        message=message,
        code=said.code,
        http_status=answer.status,
        usage=usage,
        gateway_request_id=answer.headers.get("x-oneapi-request-id")
        or request_id
        or answer.headers.get("x-request-id"),
    )
    return error(failure, wait_s=wait_s(answer.headers, limited=error is RateLimitedError))


def _as_told(error: type[AttemptError], should_retry: str | None) -> type[AttemptError]:
    """*error*, unless the header x-should-retry says otherwise (reliability notes 3: it wins)."""
    if should_retry == "true" and error is PermanentError:
        return TransientError
    if should_retry == "false" and error in {TransientError, InDoubtError, RateLimitedError}:
        return PermanentError
    return error


# What the body says


@dataclass(frozen=True, slots=True, kw_only=True)
class _Said:
    status: int
    words: frozenset[str]
    code: str | None
    message: str


def _said(answer: Answer) -> _Said:
    body = json_or_none(answer.body)
    if isinstance(body, list) and body:
        body = body[0]
    if not isinstance(body, Mapping):
        return _said_in_text(answer)
    error = body.get("error")
    inner: Mapping[str, Any] = error if isinstance(error, Mapping) else body
    code, kind = _word(inner.get("code")), _word(inner.get("type"))
    words = {word.lower() for word in (code, kind) if word}
    metadata = inner.get("metadata")
    if isinstance(metadata, Mapping) and "flagged_input" in metadata:
        words.add(FLAGGED)
    texts = (error, inner.get("message"), inner.get("detail"))
    return _Said(
        status=_status(answer.status, code),
        words=frozenset(words),
        code=code or kind,
        message=next((text for text in texts if isinstance(text, str)), ""),
    )


def _said_in_text(answer: Answer) -> _Said:
    text = answer.body[:READ_LENGTH].decode("utf-8", errors="replace")
    if not is_web_page(answer):
        return _Said(status=answer.status, words=frozenset(), code=None, message=text)
    title = re.search(r"<title[^>]*>\s*([^<]+)", text, re.IGNORECASE)
    message = f"the gateway answered {answer.status} with a web page"
    message += f": {html.unescape(title[1])}" if title else ""
    return _Said(status=answer.status, words=frozenset({WEB_PAGE}), code=None, message=message)


def _status(status: int, code: str | None) -> int:
    """The status that counts: an error inside 200 may carry its own as its code."""
    if status < 300 and code and re.fullmatch(r"[45]\d\d", code):  # noqa: PLR2004 - the end of the successes
        return int(code)
    return status


def _word(value: object) -> str | None:
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    return shorten(redact_text(value[:READ_LENGTH])) or None if isinstance(value, str) else None


def json_or_none(body: bytes) -> Any:  # noqa: ANN401 - any JSON value
    """The JSON value of *body*; None where it is none (or says null).

    An answer is not lost for a NaN among its tokens or half a character in its text: they become null and `?`.
    """
    try:
        return msgspec.json.decode(body)
    except (ValueError, RecursionError):
        pass
    try:
        value = json.loads(body, parse_constant=lambda _: None)
        return json.loads(json.dumps(value, ensure_ascii=False).encode(errors="replace"))
    except (ValueError, RecursionError):
        return None


def is_web_page(answer: Answer) -> bool:
    """Whether *answer* is HTML, by its first character or, that failing, by what it says it is."""
    start = answer.body.lstrip()[:1]
    return start == b"<" or (start not in {b"{", b"["} and "text/html" in answer.headers.get("content-type", ""))


def shorten(text: str) -> str:
    """*text* on one line, cut to what a table cell holds."""
    text = on_one_line(text)
    return text if len(text) <= MESSAGE_LENGTH else f"{text[: MESSAGE_LENGTH - 1]}…"


def on_one_line(text: str) -> str:
    """*text* with every run of white space, line ends included, as one blank."""
    return " ".join(text.split())


def _split_request_id(message: str) -> tuple[str, str | None]:
    """*message* without its ` (request id: …)`, and the id. Behind one gateway may stand another; the last is ours."""
    found = None
    while match := re.search(r" ?\(request id: ([^()]*)\)$", message):
        message, found = message[: match.start()], found or match[1].strip() or None
    return message, found


# How long to wait


def wait_s(headers: Mapping[str, str], *, limited: bool) -> float | None:
    """The seconds that the gateway asks for, in the order of reliability notes 3; None where it asks for none.

    A point in time counts from the answer's own `date` header, and counts for nothing without one. The
    `x-ratelimit-reset-*` headers only speak of a quota that is used up, so they are read where *limited*.
    """
    waits = [
        _number(headers.get("retry-after-ms"), scale=0.001),
        _number(headers.get("retry-after")),
        _until(headers.get("retry-after"), headers.get("date")),
        _number(headers.get("llm_provider-retry-after")),
        _reset(headers) if limited else None,
    ]
    return next((wait for wait in waits if wait is not None), None)


def _number(text: str | None, *, scale: float = 1.0) -> float | None:
    try:
        wait = float(text or "") * scale
    except ValueError:
        return None
    return wait if math.isfinite(wait) and 0 <= wait <= LONGEST_WAIT_S else None


def _until(then: str | None, now: str | None) -> float | None:
    try:
        wait = (_time(then or "") - _time(now or "")).total_seconds()
    except (ValueError, OverflowError):
        return None
    return wait if 0 <= wait <= LONGEST_WAIT_S else None


def _time(text: str) -> datetime:
    time = parsedate_to_datetime(text)
    return time if time.tzinfo else time.replace(tzinfo=UTC)


def _reset(headers: Mapping[str, str]) -> float | None:
    """The longest reset among the quotas that are not known to have something left."""
    prefix = "x-ratelimit-reset-"
    resets = [
        _duration(value)
        for name, value in headers.items()
        if name.startswith(prefix) and headers.get(f"x-ratelimit-remaining-{name[len(prefix) :]}", "0") in {"0", ""}
    ]
    return max((wait for wait in resets if wait is not None), default=None)


def _duration(text: str) -> float | None:
    """Seconds of `6m0s`, `1.5s`, `20ms` or a plain number."""
    parts = re.findall(r"(\d+(?:\.\d+)?)(ms|s|m|h|d)", text)
    if not parts or "".join(map("".join, parts)) != text:
        return _number(text)
    seconds = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0}
    return _number(str(sum(float(amount) * seconds[unit] for amount, unit in parts)))
