"""Tokens as billed, read from whatever a gateway reports.

Rules of this file (gateway notes 3.5 and 5):

- The dialect decides which members count: on chat completions `input_tokens` and its kin are zero placeholders.
- 0 may mean "not reported". What is no whole number from 0 to 10^9 is not reported.
- Totals win over parts: a part that cannot be true is dropped, and `source` becomes `estimated`.
- `total_tokens` is always prompt + completion. `completion_text_tokens` stays 0 where it is not reported.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

import msgspec

from mediascribe.domain import MEDIA_KINDS, NO_USAGE, Usage

if TYPE_CHECKING:
    from collections.abc import Collection

    from mediascribe.domain import MediaKind, UsageSource

_Alternatives = tuple[tuple[str, ...], ...]
_Counts = dict[str, int]

MAX_TOKENS: Final = 10**9

# dialect -> column -> alternatives, each a sum of members; the first alternative above 0 is the column's value.
FIELDS: Final[Mapping[str, Mapping[str, _Alternatives]]] = MappingProxyType(
    {
        "chat": {
            "prompt_tokens": (("prompt_tokens",),),
            "completion_tokens": (("completion_tokens",),),
            "total_tokens": (("total_tokens",),),
            "cached_tokens": (("prompt_tokens_details.cached_tokens",), ("prompt_cache_hit_tokens",)),
            "cache_write_tokens": (
                ("prompt_tokens_details.cache_write_tokens",),
                ("prompt_tokens_details.cached_creation_tokens",),
                ("cached_creation_tokens",),
                ("claude_cache_creation_5_m_tokens", "claude_cache_creation_1_h_tokens"),
            ),
            "prompt_text_tokens": (("prompt_tokens_details.text_tokens",),),
            "prompt_image_tokens": (("prompt_tokens_details.image_tokens",),),
            "prompt_audio_tokens": (("prompt_tokens_details.audio_tokens",),),
            "prompt_video_tokens": (("prompt_tokens_details.video_tokens",),),
            "completion_text_tokens": (("completion_tokens_details.text_tokens",),),
            "completion_audio_tokens": (("completion_tokens_details.audio_tokens",),),
            "reasoning_tokens": (("completion_tokens_details.reasoning_tokens",),),
        },
    }
)

# What the gateway writes per medium when nobody counted (gateway notes 2.4, 4.4 and trap 15).
GATEWAY_ESTIMATES: Final[Mapping[MediaKind, frozenset[int]]] = MappingProxyType(
    {"image": frozenset({520, 1047}), "audio": frozenset({256}), "video": frozenset({8192})}
)

_PROMPT_PARTS: Final = ("prompt_text_tokens", *(f"prompt_{kind}_tokens" for kind in MEDIA_KINDS))
_COMPLETION_PARTS: Final = ("completion_text_tokens", "completion_audio_tokens", "reasoning_tokens")
_TRUST: Final[Mapping[UsageSource, int]] = MappingProxyType({"reported": 0, "derived": 1, "estimated": 2})


def normalise(raw: object, *, dialect: str, model: str, media_kinds: Collection[MediaKind]) -> Usage:
    """The usage object *raw* in our columns; *model* and *media_kinds* are what was asked for.

    `source` is `missing` without an object or with nothing but zeros in it, `derived` where a number was computed by
    subtraction, `estimated` where one is a guess or the object contradicts itself, else `reported`.
    """
    if not isinstance(raw, Mapping):
        return NO_USAGE
    counts = {column: _value(raw, alternatives) for column, alternatives in FIELDS[dialect].items()}
    if dialect == "chat" and model.lower().startswith("claude") and raw.get("usage_semantic") != "openai":
        _add_cache(counts)
    found = [_settle_totals(counts), _drop_contradictions(counts)]
    if dialect == "chat" and model.lower().startswith("gemini"):
        found.append(_derive_media(counts, media_kinds))
    found.append(_doubt_estimates(counts, media_kinds))
    source = max(found, key=_TRUST.__getitem__) if counts["total_tokens"] else "missing"
    return Usage(source=source, raw=msgspec.json.encode(raw).decode(), **counts)


def _value(raw: Mapping[str, Any], alternatives: _Alternatives) -> int:
    for paths in alternatives:
        if value := sum(_count(raw, path) for path in paths):
            return value
    return 0


def _count(raw: Mapping[str, Any], path: str) -> int:
    value: Any = raw
    for step in path.split("."):
        if not isinstance(value, Mapping):
            return 0
        value = value.get(step)
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if not isinstance(value, int) or isinstance(value, bool):
        return 0
    return value if 0 < value <= MAX_TOKENS else 0


def _add_cache(counts: _Counts) -> None:
    """Claude's prompt excludes what came from or went to the cache (gateway notes 2.4).

    Later releases of the gateway include it, and then say `"usage_semantic": "openai"`.
    """
    cache = counts["cached_tokens"] + counts["cache_write_tokens"]
    if counts["total_tokens"] == counts["prompt_tokens"] + counts["completion_tokens"]:
        counts["total_tokens"] += cache
    counts["prompt_tokens"] += cache


def _settle_totals(counts: _Counts) -> UsageSource:
    """Make total = prompt + completion, filling in the one of the three that is not reported."""
    prompt, completion, total = counts["prompt_tokens"], counts["completion_tokens"], counts["total_tokens"]
    source: UsageSource = "reported"
    if total > prompt + completion and not (prompt and completion):
        # With neither known it is a guess that all of it was prompt.
        source = "derived" if prompt or completion else "estimated"
        if prompt:
            completion = total - prompt
        else:
            prompt = total - completion
    elif total not in {0, prompt + completion}:
        source = "estimated"
    counts.update(prompt_tokens=prompt, completion_tokens=completion, total_tokens=prompt + completion)
    return source


def _drop_contradictions(counts: _Counts) -> UsageSource:
    """Drop parts that are larger than their total, singly or together."""
    before = dict(counts)
    prompt, completion = counts["prompt_tokens"], counts["completion_tokens"]
    for part in (*_PROMPT_PARTS, "cached_tokens", "cache_write_tokens"):
        if counts[part] > prompt:
            counts[part] = 0
    for part in _COMPLETION_PARTS:
        if counts[part] > completion:
            counts[part] = 0
    if counts["cached_tokens"] + counts["cache_write_tokens"] > prompt:
        counts["cache_write_tokens"] = 0
    # The text is the least sure of the parts: streamed Gemini answers give it the whole prompt (gateway notes 2.4).
    for part in _PROMPT_PARTS:
        if sum(counts[one] for one in _PROMPT_PARTS) > prompt:
            counts[part] = 0
    return "reported" if counts == before else "estimated"


def _derive_media(counts: _Counts, media_kinds: Collection[MediaKind]) -> UsageSource:
    """Give Gemini's unnamed prompt tokens to the pictures or the video that were asked about.

    The gateway copies only Gemini's text and sound counts (gateway notes 2.4). Without a text count there is no split
    to complete. Asked about both, all of it counts as video: how it divides is nowhere reported.
    """
    remainder = counts["prompt_tokens"] - sum(counts[part] for part in _PROMPT_PARTS)
    seen = {"image", "video"}.intersection(media_kinds)
    if remainder == 0 or counts["prompt_text_tokens"] == 0 or not seen:
        return "reported"
    counts["prompt_video_tokens" if "video" in seen else "prompt_image_tokens"] += remainder
    return "estimated" if len(seen) > 1 else "derived"


def _doubt_estimates(counts: _Counts, media_kinds: Collection[MediaKind]) -> UsageSource:
    """Doubt a medium whose count, or the unnamed rest it must be in, is one of the gateway's own round numbers.

    A sound only where no text count stands beside it: 8 s of sound are honestly 256 tokens on Gemini.
    """
    rest = counts["prompt_tokens"] - sum(counts[part] for part in _PROMPT_PARTS)
    for kind, numbers in GATEWAY_ESTIMATES.items():
        suspect = counts[f"prompt_{kind}_tokens"] in numbers or (kind in media_kinds and rest in numbers)
        if suspect and not (kind == "audio" and counts["prompt_text_tokens"]):
            return "estimated"
    return "reported"
