"""From an HTTP answer that is an error to the exception that says what to do about it.

Which error it is, `fault_table` says. A body may be empty, a web page, Chinese, or any JSON at all (gateway notes 5,
trap 19).
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
from mediascribe.wire import fault_table
from mediascribe.wire.fault_table import FLAGGED, TOLD_TO_WAIT, WEB_PAGE

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mediascribe.domain import ErrorClass, Usage
    from mediascribe.wire import Answer

MESSAGE_LENGTH: Final = 300
READ_LENGTH: Final = 4096  # of a message, or of a body without JSON, more is not looked at
LONGEST_WAIT_S: Final = 31 * 86_400.0  # more than that is a point in time, not a wait

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
    told = next((wait for wait in (wait_s(answer.headers, limited=False), said.wait_s) if wait is not None), None)
    signs = frozenset() if told is None else {TOLD_TO_WAIT}
    rule = fault_table.rule(said.status, said.words | signs)
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
        or answer.headers.get("x-request-id")
        or answer.headers.get("request-id"),
    )
    if told is None and error is RateLimitedError:
        told = wait_s(answer.headers, limited=True)
    return error(failure, wait_s=told)


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
    wait_s: float | None = None


def _said(answer: Answer) -> _Said:
    body = json_or_none(answer.body)
    if isinstance(body, list) and body:
        body = body[0]
    if not isinstance(body, Mapping):
        return _said_in_text(answer)
    error = body.get("error")
    inner: Mapping[str, Any] = error if isinstance(error, Mapping) else body
    code, kind = _word(inner.get("code")), _word(inner.get("type"))
    # Google's code is the status once more, and its status the code.
    status = _word(inner.get("status")) if inner is error and isinstance(inner.get("status"), str) else None
    details = list(_details(inner))
    words = {word.lower() for word in (code, kind, status, *(_word(one.get("reason")) for one in details)) if word}
    metadata = inner.get("metadata")
    if isinstance(metadata, Mapping) and "flagged_input" in metadata:
        words.add(FLAGGED)
    texts = (error, inner.get("message"), inner.get("detail"))
    return _Said(
        status=_status(answer.status, code),
        words=frozenset(words),
        code=status or code or kind,
        message=next((text for text in texts if isinstance(text, str)), ""),
        wait_s=next((wait for one in details if (wait := _delay(one)) is not None), None),
    )


def _details(error: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """Google's objects beside a message: reasons, and how long to wait."""
    details = error.get("details")
    return (one for one in details if isinstance(one, Mapping)) if isinstance(details, list) else iter(())


def _delay(detail: Mapping[str, Any]) -> float | None:
    delay = detail.get("retryDelay")
    return _duration(delay) if isinstance(delay, str) else None


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
    reset headers of rate limits only speak of a quota that is used up, so they are read where *limited*.
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
    time = datetime.fromisoformat(text) if text[:4].isdecimal() else parsedate_to_datetime(text)
    return time if time.tzinfo else time.replace(tzinfo=UTC)


def _reset(headers: Mapping[str, str]) -> float | None:
    """The longest reset among the quotas that are not known to have something left."""
    resets = [_reset_s(value, headers.get("date")) for left, value in _quotas(headers) if left in {"0", ""}]
    return max((wait for wait in resets if wait is not None), default=None)


def _quotas(headers: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """What is left of each quota, and when it refills, as OpenAI's and Anthropic's headers say it."""
    for name, value in headers.items():
        if name.startswith("x-ratelimit-reset-"):
            yield headers.get(name.replace("-reset-", "-remaining-", 1), "0"), value
        elif name.startswith("anthropic-ratelimit-") and name.endswith("-reset"):
            yield headers.get(f"{name.removesuffix('reset')}remaining", "0"), value


def _reset_s(value: str, now: str | None) -> float | None:
    """Seconds until *value*: a duration, or a time (RFC 3339)."""
    wait = _duration(value)
    return _until(value, now) if wait is None else wait


def _duration(text: str) -> float | None:
    """Seconds of `6m0s`, `1.5s`, `20ms` or a plain number."""
    parts = re.findall(r"(\d+(?:\.\d+)?)(ms|s|m|h|d)", text)
    if not parts or "".join(map("".join, parts)) != text:
        return _number(text)
    seconds = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0}
    return _number(str(sum(float(amount) * seconds[unit] for amount, unit in parts)))
