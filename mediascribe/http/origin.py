"""Origin: where an address is served, and what the request line and the Host header call it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

from mediascribe.errors import ConfigError

_PORTS: Final = {"http": 80, "https": 443}
_TARGET = re.compile(r"[!-~]+")


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """Scheme, host (ASCII; IPv6 without brackets) and port."""

    scheme: str
    host: str
    port: int

    @property
    def is_tls(self) -> bool:
        """Whether the connection is encrypted."""
        return self.scheme == "https"

    @property
    def authority(self) -> str:
        """What the Host header says."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == _PORTS[self.scheme] else f"{host}:{self.port}"


def origin_of(url: str) -> tuple[Origin, str]:
    """The origin of *url*, and the target to ask for there: path and query, without the fragment.

    Raises:
        ConfigError: this is no http(s) address, or one that cannot stand in a request line.
    """
    try:
        parts = urlsplit(url)
        host = _ascii(parts.hostname or "")
        port = parts.port
    except ValueError as error:  # a port that is none, brackets that do not close, a name too long for DNS
        raise ConfigError(f"the address has no usable host: {error}") from None
    if parts.scheme not in _PORTS or not host:
        raise ConfigError("the address is no http(s) URL with a host")
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    if not _TARGET.fullmatch(target):
        raise ConfigError("the address has characters that must be percent-encoded")
    return Origin(scheme=parts.scheme, host=host, port=_PORTS[parts.scheme] if port is None else port), target


def _ascii(host: str) -> str:
    """*host* as DNS knows it."""
    name = host if host.isascii() else host.encode("idna").decode()
    if not _TARGET.fullmatch(name or "-"):
        raise ValueError("blanks or control characters in the name")
    return name
