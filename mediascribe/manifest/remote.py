"""Remote: where a manifest lies in a bucket: one object, a folder of them, or a pattern that some match."""

from __future__ import annotations

import difflib
import fnmatch
import posixpath
import re
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from mediascribe.errors import ConfigError, StoreError
from mediascribe.manifest.objects import ATTEMPTS, Bucket
from mediascribe.redact import redact_url
from mediascribe.store.address import Address
from mediascribe.store.bucket import connect

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from mediascribe.manifest.objects import Remote

_FIRST_ATTEMPTS: Final = 2  # what is set up wrongly fails at once
_TIMEOUT_S: Final = 120.0
_PATTERN: Final = re.compile(r"[*?\[]")


def files(url: str, belongs: Callable[[str], bool]) -> list[Remote]:
    """The objects that *url* means: one; those in a folder, which ends with `/`; or those that a pattern matches.

    Of a folder those count whose name *belongs*; patterns are those of local paths (`**`: in folders below too).

    Raises:
        ConfigError: there are none, the address is none, or the store refuses or fails.
    """
    address, key = _parsed(url)
    try:
        objects = connect(address, timeout_s=_TIMEOUT_S)
    except StoreError as error:
        raise ConfigError(f"{url}: {error}") from None
    bucket = Bucket(scheme=address.scheme, name=address.bucket, objects=objects, attempts=_FIRST_ATTEMPTS)
    return [replace(one, bucket=replace(bucket, attempts=ATTEMPTS)) for one in _meant(bucket, url, key, belongs)]


def _meant(bucket: Bucket, url: str, key: str, belongs: Callable[[str], bool]) -> list[Remote]:
    """The objects in *bucket* that *key* means."""
    if not key or key.endswith("/"):
        found = [one for one in bucket.inside(key) if belongs(one.name)]
        if not found:
            raise ConfigError(f"{url}: is a folder without a manifest file")
    elif one := bucket.file(key):
        found = [one]
    elif _PATTERN.search(key):
        found = _matching(bucket, key)
        if not found:
            raise ConfigError(f"{url}: no object matches this pattern")
    else:
        raise ConfigError(f"{url}: {_absent(bucket, key)}")
    return found


def now(listed: Sequence[Remote]) -> Iterator[Remote]:
    """The files that were *listed*, all of one bucket, as they are by now.

    Raises:
        ConfigError: one is gone, or the store refuses or fails.
    """
    bucket = listed[0].bucket
    if len(listed) == 1:
        found = {listed[0].key: bucket.file(listed[0].key)}
    else:
        folder = posixpath.commonpath([one.key.rpartition("/")[0] for one in listed])
        found = {one.key: one for one in bucket.below(f"{folder}/" if folder else "")}
    for one in listed:
        again = found.get(one.key)
        if again is None:
            raise ConfigError(f"{one}: is gone")
        yield again


def _parsed(url: str) -> tuple[Address, str]:
    """The bucket and the key of *url*, which may be a pattern.

    Raises:
        ConfigError: there is no bucket, or it has credentials or options in it.
    """
    scheme, _, rest = url.partition("://")
    bucket, _, key = rest.partition("/")
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", bucket) or re.search(r"\?[^/]*=", key):
        raise ConfigError(
            f"{redact_url(url)}: write {scheme.lower()}://bucket/key and nothing else;"
            " credentials and options belong in the environment"
        )
    return Address(scheme=scheme.lower(), bucket=bucket, prefix=""), key


def _matching(bucket: Bucket, pattern: str) -> list[Remote]:
    """The objects that *pattern* matches; only the folder before its first wildcard is listed."""
    folder, slash, _ = _PATTERN.split(pattern, maxsplit=1)[0].rpartition("/")
    wanted = pattern.split("/")
    return [one for one in bucket.below(folder + slash) if _matches(one.key.split("/"), wanted)]


def _matches(parts: Sequence[str], wanted: Sequence[str]) -> bool:
    """Whether the *parts* of a key are what the *wanted* parts of a pattern say, as `glob` has it for paths."""
    if not wanted or not parts:
        return not parts and all(one == "**" for one in wanted)
    first, *later = wanted
    shown = first.startswith(".") or not parts[0].startswith(".")
    if first == "**":
        return _matches(parts, later) or (shown and _matches(parts[1:], wanted))
    return shown and fnmatch.fnmatchcase(parts[0], first) and _matches(parts[1:], later)


def _absent(bucket: Bucket, key: str) -> str:
    """Why *key* is no file, with what may have been meant."""
    if bucket.below(f"{key}/"):
        return f"is a folder: write {bucket.url(key)}/"
    folder = key[: key.rfind("/") + 1]
    names = [one.key for one in bucket.inside(folder)]
    nearest = difflib.get_close_matches(key, names, n=1)
    return "there is no such object" + (f"; there is: {bucket.url(nearest[0])}" if nearest else "")
