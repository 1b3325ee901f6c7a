"""Address: what a job's `output` names, a folder or a place in a bucket; and the local folder that goes with a bucket.

`/path`, `~/path` and `file:///path` are folders; `s3://bucket/prefix`, `gs://`, `az://` and `memory://` are not. No
credential stands in an address: the environment has them.
"""

from __future__ import annotations

import hashlib
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final
from urllib.parse import unquote, urlsplit

from mediascribe.errors import ConfigError
from mediascribe.redact import redact_url

if TYPE_CHECKING:
    from collections.abc import Mapping

WORK_VARIABLE: Final = "MEDIASCRIBE_WORK"
# What tells two buckets of one name apart.
_PLACES: Final[Mapping[str, tuple[str, ...]]] = {
    "s3": ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL", "AWS_ENDPOINT"),
    "gs": ("GOOGLE_BASE_URL",),
    "az": ("AZURE_STORAGE_ACCOUNT_NAME", "AZURE_STORAGE_ENDPOINT"),
    "memory": (),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    """A place in a bucket; `prefix` is empty or ends with `/`."""

    scheme: str
    bucket: str
    prefix: str

    @property
    def url(self) -> str:
        """The address as a person writes it, without `/` at its end."""
        return f"{self.scheme}://{self.bucket}/{self.prefix}".rstrip("/")


def parse(output: str | Path) -> Address | Path:
    """The bucket's place or the local folder (`~` expanded) that *output* names.

    Raises:
        ConfigError: it is of no known kind, names no bucket, or has credentials in it.
    """
    text = str(output)
    scheme = re.match(r"([A-Za-z][A-Za-z0-9+.-]*)://", text)
    if not scheme:
        return Path(output).expanduser()
    kind = scheme[1].lower()
    if kind == "file":
        return _file(text)
    if kind not in _PLACES:
        known = ", ".join(f"{name}://" for name in _PLACES)
        raise ConfigError(f"output `{redact_url(text)}`: no store {kind}://; write a path, file:// or one of {known}")
    rest = text[scheme.end() :]
    if re.search(r"[@?#]", rest):
        raise ConfigError(
            f"output `{redact_url(text)}`: write {kind}://bucket/prefix and nothing else;"
            " credentials and options belong in the environment"
        )
    bucket, _, prefix = rest.partition("/")
    parts = [part for part in prefix.split("/") if part]
    if kind != "memory" and not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", bucket):
        raise ConfigError(f"output `{text}`: there is no bucket `{bucket}`; write {kind}://bucket/prefix")
    if {".", ".."} & set(parts):
        raise ConfigError(f"output `{text}`: a prefix has no `.` and no `..`; write it out")
    return Address(scheme=kind, bucket=bucket, prefix="".join(f"{part}/" for part in parts))


def local_path(output: str | Path) -> Path:
    """The local folder that *output* names, `~` included.

    Raises:
        ConfigError: it names a place in a bucket, or nothing.
    """
    place = parse(output)
    if isinstance(place, Address):
        raise ConfigError(f"output `{place.url}` is no local folder: write a path")
    return place


def work_root(address: Address) -> Path:
    """The local folder of what is not, or not yet, in the bucket: the same one for the same place, on this machine.

    It lies under `MEDIASCRIBE_WORK`, else under the user's cache folder.

    Raises:
        ConfigError: there is no home folder either.
    """
    named = [f"{name}={value}" for name in _PLACES[address.scheme] if (value := os.environ.get(name))]
    digest = hashlib.sha256("\n".join([address.url, *named]).encode()).hexdigest()[:16]
    return _cache() / f"{address.bucket or address.scheme}-{digest}"


def _cache() -> Path:
    if chosen := os.environ.get(WORK_VARIABLE):
        return Path(chosen).expanduser()
    if cache := os.environ.get("XDG_CACHE_HOME"):
        return Path(cache) / "mediascribe"
    try:
        return Path.home() / ".cache" / "mediascribe"
    except RuntimeError:
        raise ConfigError(
            f"no home folder for journals: name a local folder that lasts with: export {WORK_VARIABLE}=/path"
        ) from None


def _file(url: str) -> Path:
    parts = urlsplit(url)
    if parts.netloc not in {"", "localhost"} or parts.query or parts.fragment:
        raise ConfigError(f"output `{redact_url(url)}`: write file:///path, with three slashes, or the path alone")
    return Path(unquote(parts.path))
