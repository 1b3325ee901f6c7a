"""Failure: what an object store's client says of a failed call, in words that tell a person what to do.

The client's own messages quote whole answers, with key ids and signed addresses in them: none of that is passed on.
Retry is decided by the client's types (`bucket.py`); the texts are read for people only.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from mediascribe.redact import redact_text

if TYPE_CHECKING:
    from collections.abc import Mapping

_KEYS: Final[Mapping[str, str]] = {
    "s3": "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY (and AWS_SESSION_TOKEN)",
    "gs": "GOOGLE_APPLICATION_CREDENTIALS",
    "az": "AZURE_STORAGE_ACCOUNT_NAME and AZURE_STORAGE_ACCOUNT_KEY",
}
_ENDPOINTS: Final[Mapping[str, tuple[str, str]]] = {
    "s3": ("AWS_ENDPOINT_URL", "AWS_ALLOW_HTTP"),
    "gs": ("GOOGLE_BASE_URL", "GOOGLE_ALLOW_HTTP"),
    "az": ("AZURE_STORAGE_ENDPOINT", "AZURE_ALLOW_HTTP"),
}
_BAD_KEYS: Final = frozenset(
    {"InvalidAccessKeyId", "SignatureDoesNotMatch", "ExpiredToken", "InvalidToken", "AuthenticationFailed"}
)
_NO_BUCKET: Final = frozenset({"NoSuchBucket", "ContainerNotFound"})
_OTHER_REGION: Final = frozenset(
    {"PermanentRedirect", "AuthorizationHeaderMalformed", "IllegalLocationConstraintException"}
)
_METADATA_SERVER: Final = "169.254.169.254"


def reason(error: Exception, scheme: str) -> str:
    """Why a call failed, and what to do about it."""
    from obstore.exceptions import PermissionDeniedError, UnauthenticatedError  # noqa: PLC0415 - folders need it not

    text = str(error)
    code, status = _found(r"<Code>(\w+)</Code>", text), _found(r"status code: (\d{3})", text)
    said = " ".join(filter(None, (status and f"HTTP {status}", code)))
    keys = _KEYS.get(scheme, "its credentials")
    if _METADATA_SERVER in text or "MissingAccount" in text:
        return f"no credentials for {scheme}://: set {keys} in the environment"
    if code in _BAD_KEYS or status == "401" or isinstance(error, UnauthenticatedError):
        return f"the credentials are refused ({said}): renew {keys}"
    if status == "403" or isinstance(error, PermissionDeniedError):
        return f"permission denied ({said}): these credentials must be allowed to list, read, write and delete here"
    if code in _NO_BUCKET or status == "404":
        return f"there is no such bucket ({said}): create it, or correct the name"
    if code in _OTHER_REGION:
        return f"the bucket is in another region ({said}): set AWS_REGION"
    return f"HTTP {said[5:]}: try again later" if status else _unheard(text, scheme)


def _unheard(text: str, scheme: str) -> str:
    """Why no answer came."""
    host = _found(r"(https?://[^/\s?]+)", text)
    at = f" at {redact_text(host)}" if host else ""
    endpoint, allow_http = _ENDPOINTS.get(scheme, ("the endpoint", "plain HTTP"))
    if "BadScheme" in text:
        return f"the endpoint{at} is not https: correct {endpoint}, or allow it with: export {allow_http}=true"
    if "kind: Timeout" in text:
        return f"no answer in time{at}: check the network, and try again"
    if "kind: Connect" in text:
        return f"nothing can be reached{at}: check the network and {endpoint}"
    return f"the connection{at} broke: check the network, and try again"


def _found(pattern: str, text: str) -> str | None:
    found = re.search(pattern, text)
    return found[1] if found else None
