"""Take secrets out of what is stored or shown: URLs, and text that may quote them.

A query member is secret when its name says so (signatures, tokens, credentials of S3, GCS, Azure SAS and CloudFront) or
when its value looks like one: long and random. User names and passwords, and fragments, go entirely.
"""

from __future__ import annotations

import hashlib
import re
from urllib.parse import parse_qsl, quote, urlsplit, urlunsplit

REDACTED = "REDACTED"

_SECRET_NAME = re.compile(
    r"^(x-(amz|goog|oss|cos|ms)-.*|.*(sign|token|secret|passw|credential|api[-_]?key|auth|session).*"
    r"|sig|key|key-pair-id|policy|expires?|e|se|sp|sv|sr|st|spr|skoid|sktid|skt|ske|sks|skv|googleaccessid"
    r"|awsaccesskeyid|ossaccesskeyid|hmac|hash|code|jwt)$",
    re.IGNORECASE,
)
_RANDOM_VALUE = re.compile(r"^(?=.*\d)(?=.*[A-Za-z])[A-Za-z0-9+/_.=%~-]{24,}$")
_URL_IN_TEXT = re.compile(r"(?:https?|s3|gs|az)://[^\s'\"<>]+|data:[\w./+-]+(?:;[\w=.-]+)*,[^\s'\"<>]+", re.IGNORECASE)
_BEARER_IN_TEXT = re.compile(r"(?i)(bearer\s+)\S+|\bsk-[A-Za-z0-9_-]{8,}")


def redact_url(url: str) -> str:
    """*url* without user info and fragment, secret query values replaced; a data URL becomes its hash and length."""
    return _rewrite(url, keep_secret_names=True)


def canonical_url(url: str) -> str:
    """*url* as it identifies the media: like `redact_url`, but re-signing changes nothing, as secret members are gone."""
    return _rewrite(url, keep_secret_names=False)


def redact_text(text: str, *secrets: str) -> str:
    """*text* with every URL in it redacted, and bearer tokens and *secrets* gone."""
    for secret in secrets:
        if secret:
            text = text.replace(secret, REDACTED)
    text = _BEARER_IN_TEXT.sub(lambda found: (found[1] or "") + REDACTED, text)
    return _URL_IN_TEXT.sub(lambda found: redact_url(found[0]), text)


def _rewrite(url: str, *, keep_secret_names: bool) -> str:
    if url[:5].lower() == "data:":
        return _data_url(url)
    try:
        parts = urlsplit(url)
    except ValueError:
        return REDACTED
    host = parts.netloc.rpartition("@")[2]
    members = []
    for name, value in parse_qsl(parts.query, keep_blank_values=True):
        if not _is_secret(name, value):
            members.append(f"{quote(name)}={quote(value)}")
        elif keep_secret_names:
            members.append(f"{quote(name)}={REDACTED}")
    return urlunsplit((parts.scheme, host, parts.path, "&".join(members), ""))


def _is_secret(name: str, value: str) -> bool:
    return bool(_SECRET_NAME.match(name) or _RANDOM_VALUE.match(value))


def _data_url(url: str) -> str:
    head, _, body = url.partition(",")
    digest = hashlib.sha256(body.encode()).hexdigest()[:16]
    return f"{head},sha256={digest}&length={len(body)}"
