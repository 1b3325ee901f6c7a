"""URLs with a query, many at a time: the same as `redact.redact_url` and `redact.canonical_url` make of each.

Signed URLs have half a dozen members each, with few names among them all. So what `redact` says of a name is asked once
for every name of a batch; what it says of a value, only where the value is long enough to be a secret.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pyarrow as pa
from pyarrow import compute

from mediascribe.redact import canonical_url, redact_url

if TYPE_CHECKING:
    from collections.abc import Callable

    from mediascribe.manifest.chunks import Array

    Mask = np.ndarray[Any, np.dtype[np.bool_]]
    Numbers = np.ndarray[Any, np.dtype[np.int64]]

_LISTS: Final[Any] = pa.ListArray
pc: Final[Any] = compute  # the stubs know no plain text beside an array
_LONG: Final = 24  # characters from which `redact` looks at a value
_HOST: Final = "https://h/"


def redacted(urls: Array) -> Array:
    """*urls*, none of them null, each of ASCII with one `?` or more and no `#`, without secrets."""
    members = _split(urls)
    named = _by_name(members, lambda name: redact_url(f"{_HOST}?{name}=x") != f"{_HOST}?{name}=x") & members.valued
    texts = pc.if_else(pa.array(named), pc.binary_join_element_wise(members.names, "REDACTED", "="), members.texts)
    texts = _one_by_one(texts, ~named & (members.lengths >= _LONG), redact_url)
    return _joined(members.bases, members.offsets, texts)


def canonical(urls: Array) -> Array:
    """*urls*, as for `redacted`, without what signing adds, and what remains of secrets as a hash."""
    members = _split(urls)
    signing = _by_name(members, lambda name: canonical_url(f"{_HOST}?{name}=x") == _HOST)
    beside = _by_name(members, lambda name: canonical_url(f"{_HOST}?{name}=x&sig=x") == _HOST)
    running = np.concatenate([[0], np.cumsum(signing)])
    signed = running[members.offsets[1:]] > running[members.offsets[:-1]]
    kept = ~(np.repeat(signed, np.diff(members.offsets)) & (signing | beside))
    secret = _by_name(members, lambda name: redact_url(f"{_HOST}?{name}=x") != f"{_HOST}?{name}=x") & members.valued
    texts = _one_by_one(members.texts, kept & (secret | (members.lengths >= _LONG)), canonical_url)
    offsets = np.concatenate([[0], np.cumsum(kept)])[members.offsets]
    return _joined(members.bases, offsets, texts.filter(pa.array(kept)))


@dataclass(frozen=True, slots=True)
class _Members:
    """The members of all queries, flat, with the place in `offsets` where each URL begins.

    `valued` says which have a `=`; `lengths` has the characters of the value, or of a member that is but a name.
    """

    bases: Array
    offsets: Numbers
    texts: Array
    names: Array
    valued: Mask
    lengths: Numbers


def _split(urls: Array) -> _Members:
    halves = pc.split_pattern(urls, "?", max_splits=1)
    queries = pc.list_element(halves, 1)
    mixed = pc.any(pc.match_substring(queries, ";")).as_py()
    listed = pc.split_pattern_regex(queries, "[&;]") if mixed else pc.split_pattern(queries, "&")
    empty = np.asarray(pc.equal(queries, ""))
    lengths = np.where(empty, 0, np.asarray(pc.list_value_length(listed)))
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    texts = listed.filter(pa.array(~empty)).flatten()
    pairs = pc.split_pattern(texts, "=", max_splits=1)
    names = pc.list_element(pairs, 0)
    valued = np.asarray(pc.list_value_length(pairs)) > 1
    named = np.asarray(pc.binary_length(names))
    values = np.asarray(pc.binary_length(texts)) - named - 1
    return _Members(pc.list_element(halves, 0), offsets, texts, names, valued, np.where(valued, values, named))


def _by_name(members: _Members, test: Callable[[str], bool]) -> Mask:
    """What *test* says of the name of each member; it is asked once for each name."""
    encoded = members.names.dictionary_encode()
    distinct: list[Any] = encoded.dictionary.to_pylist()
    answers = np.array([test(name) for name in distinct], dtype=bool)
    found: Mask = answers[np.asarray(encoded.indices)]
    return found


def _one_by_one(texts: Array, doubtful: Mask, rewrite: Callable[[str], str]) -> Array:
    """*texts* with the *doubtful* members as *rewrite* leaves them in a URL of their own."""
    if not doubtful.any():
        return texts
    mask = pa.array(doubtful)
    rewritten = [rewrite(f"{_HOST}?{member}").removeprefix(f"{_HOST}?") for member in texts.filter(mask).to_pylist()]
    replaced: Array = pc.replace_with_mask(texts, mask, pa.array(rewritten, pa.string()))
    return replaced


def _joined(bases: Array, offsets: Numbers, texts: Array) -> Array:
    """The URLs again; one without members has no `?` either."""
    queries = pc.binary_join(_LISTS.from_arrays(pa.array(offsets.astype(np.int32)), texts), "&")
    bare = pa.array(np.diff(offsets) == 0)
    urls: Array = pc.if_else(bare, bases, pc.binary_join_element_wise(bases, queries, "?"))
    return urls
