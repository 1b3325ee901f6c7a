"""The table of faults: which answer is which error.

Rules of this file:

- `RULES` is read from the top, the first row that fits decides. Code and type decide before the status does: this
  gateway answers much that is permanent with 500, and an empty balance with 403 (gateway notes 2.5).
- A word is lower-case: a code or type of the gateway (gateway notes 2.5), a type of Anthropic's (3.3), a status or a
  reason of Google's (3.4), or one of the signs below.
- The message's text decides nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from mediascribe.errors import (
    AttemptError,
    InDoubtError,
    PermanentError,
    RateLimitedError,
    StopRunError,
    TransientError,
)

if TYPE_CHECKING:
    from collections.abc import Container

    from mediascribe.domain import ErrorClass

# Signs: words for what no code says.
WEB_PAGE: Final = "<web page>"
FLAGGED: Final = "<flagged>"
TOLD_TO_WAIT: Final = "<told to wait>"

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
    Rule({402}, _words(TOLD_TO_WAIT), RateLimitedError, "rate_limit"),  # reliability notes 3: OpenRouter
    Rule({402}, None, StopRunError, "quota"),
    # The key. gateway notes 2.5 and 3.3; reliability notes 3: litellm says 400 no_db_connection to an unknown key.
    Rule({401}, None, StopRunError, "auth"),
    Rule(_ANY, _words("invalid_api_key", "authentication_error", "no_db_connection"), StopRunError, "auth"),
    Rule(_ANY, _words("api_key_invalid"), StopRunError, "auth"),  # Google's reason, with 400
    # Content filters. gateway notes 2.5; reliability notes 3: a 403 that flags the input is about the row.
    Rule(_ANY, _words("sensitive_words_detected", "prompt_blocked", FLAGGED), PermanentError, "safety"),
    Rule(_ANY, _words("content_policy_violation", "image_content_policy_violation"), PermanentError, "safety"),
    Rule(_ANY, _words("invalid_prompt", "bio_policy", "misalignment_policy_violation"), PermanentError, "safety"),
    # The job. gateway notes 2.5: 503 model_not_found and 500 model_price_error are permanent.
    Rule(_ANY, _words("model_not_found", "model_price_error"), StopRunError, "config"),
    Rule(_ANY, _words("not_found_error", "data_residency_mismatch"), StopRunError, "config"),
    # A web page did not come from the gateway, which refuses keys and models in JSON. reliability notes 3.
    Rule({403}, _words(WEB_PAGE), TransientError, "server"),
    Rule({403}, None, StopRunError, "auth"),
    Rule(_ANY, _words("permission_error", "permission_denied", "unauthenticated"), StopRunError, "auth"),
    Rule({404}, None, StopRunError, "config"),
    Rule(range(300, 400), None, StopRunError, "config"),  # reliability notes 3: a POST is not redirected
    # Media. gateway notes 2.5: 500; the rest are the vendor's codes (reliability notes 3: 400 bad media).
    Rule(_ANY, _words("convert_request_failed", "count_token_failed"), PermanentError, "media"),
    Rule(_ANY, _words("invalid_image", "invalid_image_url", "invalid_image_format"), PermanentError, "media"),
    Rule(_ANY, _words("image_parse_error", "failed_to_download_image"), PermanentError, "media"),
    Rule(_ANY, _words("invalid_base64_image", "invalid_image_mode", "image_too_large"), PermanentError, "media"),
    Rule(_ANY, _words("image_too_small", "image_file_too_large", "empty_image_file"), PermanentError, "media"),
    Rule(_ANY, _words("unsupported_image_media_type", "image_file_not_found"), PermanentError, "media"),
    # Too fast. gateway notes 2.5: possibly with an empty body; 3.3; reliability notes 3: litellm's own type.
    Rule({429}, None, RateLimitedError, "rate_limit"),
    Rule(_ANY, _words("rate_limit_error", "rate_limit_exceeded", "throttling_error"), RateLimitedError, "rate_limit"),
    Rule(_ANY, _words("resource_exhausted"), RateLimitedError, "rate_limit"),
    # gateway notes 2.5.
    Rule(_ANY, _words("empty_response"), TransientError, "empty"),
    Rule(_ANY, _words("new_api_panic"), PermanentError, "server"),
    Rule(_ANY, _words("invalid_request", "read_request_body_failed"), PermanentError, "request"),
    Rule(_ANY, _words("api_not_implemented", "request_too_large"), PermanentError, "request"),
    Rule({501}, None, PermanentError, "request"),
    Rule(range(200, 500), _words("invalid_request_error", "invalid_argument"), PermanentError, "request"),
    # Whoever gave up waiting at 504, the model may have answered (gateway notes 5, trap 22). reliability notes 3.
    Rule({504, 524}, None, InDoubtError, "server"),
    Rule(_ANY, _words("timeout_error", "deadline_exceeded"), InDoubtError, "server"),
    Rule(_ANY, _words("overloaded_error", "unavailable"), TransientError, "server"),
    Rule({408, 409, 425}, None, TransientError, "server"),
    Rule(range(400, 500), None, PermanentError, "request"),
    Rule(_ANY, None, TransientError, "server"),
)


def rule(status: int, words: frozenset[str]) -> Rule:
    """The row for an answer with *status* and *words*."""
    return next(row for row in RULES if status in row.statuses and (not row.words or row.words & words))
