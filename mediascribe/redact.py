"""Take secrets out of what is stored or shown: URLs, and text that may quote them.

A query member is secret when its name says so (signatures, tokens, credentials of S3, GCS, Azure SAS and CloudFront) or
when its value looks like one: long and random. User names and passwords, and fragments, go entirely.
"""

from __future__ import annotations

import hashlib
import re
from urllib.parse import unquote, urlsplit, urlunsplit

REDACTED = "REDACTED"

_SECRET_NAME = re.compile(
    r"^(x-(amz|goog|oss|cos|ms)-.*|.*(sign|token|secret|passw|credential|api[-_]?key|auth|session).*"
    r"|sig|key|key-pair-id|policy|expires?|e|se|sp|sv|sr|st|spr|skoid|sktid|skt|ske|sks|skv|googleaccessid"
    r"|awsaccesskeyid|ossaccesskeyid|hmac|hash|code|jwt)$",
    re.IGNORECASE,
)
_RANDOM_CHARACTERS = 24
_RANDOM_VALUE = re.compile(r"^(?=.*\d)(?=.*[A-Za-z])[A-Za-z0-9+/_.=%~-]{24,}$")
# What signing adds to a URL, and what it adds only beside that: alone, `policy` or `st` may well name the picture.
_SIGNATURE_NAME = re.compile(
    r"^(x-(amz|goog|oss|cos|ms)-.*|signature|sign|sig|hmac|jwt|(.*[-_])?token|credential|auth|authorization"
    r"|.*api[-_]?key|googleaccessid|awsaccesskeyid|ossaccesskeyid)$",
    re.IGNORECASE,
)
_BESIDE_SIGNATURE = re.compile(
    r"^(key-pair-id|policy|expires?|e|se|sp|sv|sr|st|spr|skoid|sktid|skt|ske|sks|skv)$", re.IGNORECASE
)
_USUAL_URL = re.compile(r"(https?://[A-Za-z0-9.:-]+(?:/[^\s?#]*)?)(?:\?([^\s#]*))?")
_AMPERSAND = re.compile(r"\\u0026|&amp;", re.IGNORECASE)
_URL_IN_TEXT = re.compile(
    r"[a-z][a-z0-9+.-]{0,15}://[^\s'\"<>]+|data:[\w./+-]*(?:;[\w=.-]+)*,[^\s'\"<>]+", re.IGNORECASE
)
_MEMBER_IN_TEXT = re.compile(r"(?<=[?&;])([^\s?&;=]+)=([^\s'\"<>&;]+)")
_BEARER_IN_TEXT = re.compile(r"(?i)(bearer\s+)\S+|\bsk-[A-Za-z0-9_-]{8,}")


def redact_url(url: str) -> str:
    """*url* without user info and fragment, secret query values replaced; a data URL becomes its hash and length."""
    return _rewrite(url, identity=False)


def canonical_url(url: str) -> str:
    """*url* as it identifies the media: without what a signature adds, so that signing it again changes nothing.

    Any other member stays, for it may be what names the media; where it could be a secret, it stays as a hash.
    """
    return _rewrite(url, identity=True)


def redact_text(text: str, *secrets: str) -> str:
    """*text* with every URL in it redacted, and bearer tokens and *secrets* gone."""
    for secret in secrets:
        if secret:
            text = text.replace(secret, REDACTED)
    text = _BEARER_IN_TEXT.sub(lambda found: (found[1] or "") + REDACTED, text)
    text = _AMPERSAND.sub("&", text)  # JSON and HTML write it in other ways, which would hide a member from us
    text = _URL_IN_TEXT.sub(lambda found: redact_url(found[0]), text)
    # Once more by member: a URL may be cut, relative, or have a quote in it, which is taken for its end.
    return _MEMBER_IN_TEXT.sub(lambda found: _redacted(found[0]), text)


def _rewrite(url: str, *, identity: bool) -> str:
    if url[:5].lower() == "data:":
        return _data_url(url)
    if usual := _USUAL_URL.fullmatch(url):  # a shortcut: taking it apart is most of the cost of a derived id
        base, query = usual[1], usual[2]
    else:
        try:
            parts = urlsplit(url)
        except ValueError:
            return REDACTED
        host = parts.netloc.rpartition("@")[2]
        base, query = urlunsplit((parts.scheme, host, parts.path, "", "")), parts.query
    if not query:
        return base
    members = re.split("[&;]", query)
    members = _identifying(members) if identity else [_redacted(member) for member in members]
    return f"{base}?{'&'.join(members)}" if members else base


def _redacted(member: str) -> str:
    name, equals, _ = member.partition("=")
    if not _is_secret(member):
        return member
    return f"{name}={REDACTED}" if equals else REDACTED


def _identifying(members: list[str]) -> list[str]:
    names = [unquote(member.partition("=")[0]) for member in members]
    signatures = {name for name in names if _SIGNATURE_NAME.match(name)}
    kept = [
        member
        for name, member in zip(names, members, strict=True)
        if not signatures or (name not in signatures and not _BESIDE_SIGNATURE.match(name))
    ]
    return [f"sha256:{_short_hash(member)}" if _is_secret(member) else member for member in kept]


def _is_secret(member: str) -> bool:
    name, equals, value = member.partition("=")
    if equals and _SECRET_NAME.match(unquote(name)):
        return True
    content = value if equals else name
    return len(content) >= _RANDOM_CHARACTERS and bool(_RANDOM_VALUE.match(unquote(content)))


def _data_url(url: str) -> str:
    head, comma, body = url.partition(",")
    if not comma:
        head, body = url[:5], url[5:]
    return f"{head},sha256={_short_hash(body)}&length={len(body)}"


def _short_hash(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:16]
