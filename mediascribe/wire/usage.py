"""Tokens as billed, read from whatever a gateway reports.

Rules of this file (gateway notes 3.5 and 5):

- The dialect decides which members count: on chat completions `input_tokens` and its kin are zero placeholders.
- 0 may mean "not reported". What is no whole number from 0 to 10^9 is not reported.
- Totals win over parts: a part that cannot be true is dropped, and `source` becomes `estimated`.
- `total_tokens` is always prompt + completion. `completion_text_tokens` stays 0 where it is not reported.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final, TypeGuard

import msgspec

from mediascribe.domain import MEDIA_KINDS, NO_USAGE, Usage

if TYPE_CHECKING:
    from collections.abc import Collection

    from mediascribe.domain import Flag, MediaKind, UsageSource

_Alternatives = tuple[tuple[str, ...], ...]
_Counts = dict[str, int]
_Finding = tuple["UsageSource", "Flag | None"]

MAX_TOKENS: Final = 10**9

# dialect -> column -> alternatives, each a sum of members; the first alternative above 0 is the column's value. A
# member of a list is the count of that modality (gateway notes 3.4).
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
        "responses": {
            "prompt_tokens": (("input_tokens",),),
            "completion_tokens": (("output_tokens",),),
            "total_tokens": (("total_tokens",),),
            "cached_tokens": (("input_tokens_details.cached_tokens",),),
            "cache_write_tokens": (("input_tokens_details.cache_write_tokens",),),
            "prompt_text_tokens": (("input_tokens_details.text_tokens",),),
            "prompt_image_tokens": (("input_tokens_details.image_tokens",),),
            "prompt_audio_tokens": (("input_tokens_details.audio_tokens",),),
            "prompt_video_tokens": (("input_tokens_details.video_tokens",),),
            "completion_text_tokens": (("output_tokens_details.text_tokens",),),
            "completion_audio_tokens": (("output_tokens_details.audio_tokens",),),
            "reasoning_tokens": (("output_tokens_details.reasoning_tokens",),),
        },
        "messages": {
            "prompt_tokens": (("input_tokens",),),  # without the cache, which is added
            "completion_tokens": (("output_tokens",),),
            "total_tokens": (),
            "cached_tokens": (("cache_read_input_tokens",),),
            "cache_write_tokens": (
                ("cache_creation_input_tokens",),
                ("cache_creation.ephemeral_5m_input_tokens", "cache_creation.ephemeral_1h_input_tokens"),
                ("claude_cache_creation_5_m_tokens", "claude_cache_creation_1_h_tokens"),
            ),
            "prompt_text_tokens": (),
            "prompt_image_tokens": (),
            "prompt_audio_tokens": (),
            "prompt_video_tokens": (),
            "completion_text_tokens": (),
            "completion_audio_tokens": (),
            "reasoning_tokens": (("output_tokens_details.thinking_tokens",),),
        },
        "generate_content": {
            "prompt_tokens": (("promptTokenCount", "toolUsePromptTokenCount"),),
            "completion_tokens": (("candidatesTokenCount", "thoughtsTokenCount"),),
            "total_tokens": (("totalTokenCount",),),
            "cached_tokens": (("cachedContentTokenCount",),),
            "cache_write_tokens": (),
            "prompt_text_tokens": (("promptTokensDetails.TEXT", "toolUsePromptTokensDetails.TEXT"),),
            "prompt_image_tokens": (("promptTokensDetails.IMAGE", "toolUsePromptTokensDetails.IMAGE"),),
            "prompt_audio_tokens": (("promptTokensDetails.AUDIO", "toolUsePromptTokensDetails.AUDIO"),),
            "prompt_video_tokens": (("promptTokensDetails.VIDEO", "toolUsePromptTokensDetails.VIDEO"),),
            "completion_text_tokens": (("candidatesTokensDetails.TEXT",),),
            "completion_audio_tokens": (("candidatesTokensDetails.AUDIO",),),
            "reasoning_tokens": (("thoughtsTokenCount",),),
        },
    }
)

# The same with each member's path in steps.
_STEPS: Final = {
    dialect: [
        (column, [[tuple(path.split(".")) for path in paths] for paths in alternatives])
        for column, alternatives in columns.items()
    ]
    for dialect, columns in FIELDS.items()
}

# What the gateway writes per medium when nobody counted (gateway notes 2.4, 4.4 and trap 15).
GATEWAY_ESTIMATES: Final[Mapping[MediaKind, frozenset[int]]] = MappingProxyType(
    {"image": frozenset({520, 1047}), "audio": frozenset({256}), "video": frozenset({8192})}
)

# The dialects in which the gateway makes up what its upstream did not count (gateway notes 2.4).
ESTIMATED: Final = frozenset({"chat", "responses"})

_PROMPT_PARTS: Final = ("prompt_text_tokens", *(f"prompt_{kind}_tokens" for kind in MEDIA_KINDS))
_COMPLETION_PARTS: Final = ("completion_text_tokens", "completion_audio_tokens", "reasoning_tokens")
_TRUST: Final[Mapping[UsageSource, int]] = MappingProxyType({"reported": 0, "derived": 1, "estimated": 2, "missing": 3})
_CONTRADICTION: Final[_Finding] = ("estimated", "usage_inconsistent")


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """A usage, and what is odd about it."""

    usage: Usage
    flags: tuple[Flag, ...]


def normalise(raw: object, *, dialect: str, model: str, media_kinds: Collection[MediaKind]) -> Usage:
    """The usage that `read` finds in an answer that was not streamed."""
    return read(raw, dialect=dialect, model=model, media_kinds=media_kinds).usage


def read(raw: object, *, dialect: str, model: str, media_kinds: Collection[MediaKind], stream: bool = False) -> Reading:
    """The usage object *raw* in our columns; *model*, *media_kinds* and *stream* are what was asked for.

    `source` is `missing` without an object or with nothing but zeros in it, `derived` where a number was computed by
    subtraction, `estimated` where one is a guess or the object contradicts itself, else `reported`.
    """
    if not isinstance(raw, Mapping):
        return Reading(usage=NO_USAGE, flags=("no_usage",))
    counts = {column: _value(raw, alternatives) for column, alternatives in _STEPS[dialect]}
    if dialect == "messages" or (dialect == "chat" and _is_claude(model) and raw.get("usage_semantic") != "openai"):
        _add_cache(counts)
    found = []
    gemini = dialect == "chat" and model.lower().startswith("gemini")
    if gemini and stream and media_kinds:
        found.append(_drop_streamed_text(counts))
    found += [_settle_totals(counts), _drop_contradictions(counts)]
    if gemini:
        found.append(_derive_media(counts, media_kinds))
    if dialect in ESTIMATED:
        found.append(_doubt_estimates(counts, media_kinds))
    if not counts["total_tokens"]:
        found.append(("missing", "zero_usage"))
    source = max((finding[0] for finding in found), key=_TRUST.__getitem__)
    flags = tuple(dict.fromkeys(flag for _, flag in found if flag))
    return Reading(usage=Usage(source=source, raw=msgspec.json.encode(raw).decode(), **counts), flags=flags)


def _value(raw: Mapping[str, Any], alternatives: list[list[tuple[str, ...]]]) -> int:
    for paths in alternatives:
        value = 0
        for steps in paths:
            value += _count(raw, steps)
        if value:
            return value
    return 0


def _count(raw: Mapping[str, Any], steps: tuple[str, ...]) -> int:
    value: Any = raw
    for step in steps:
        if isinstance(value, dict):
            value = value.get(step)
        elif isinstance(value, list):
            value = sum(_tokens(one.get("tokenCount")) for one in value if _is_of(one, step))
        else:
            return 0
    return _tokens(value)


def _is_of(count: object, modality: str) -> TypeGuard[Mapping[str, Any]]:
    return isinstance(count, Mapping) and count.get("modality") == modality


def _tokens(value: object) -> int:
    if type(value) is float and value.is_integer():
        value = int(value)
    if type(value) is not int:  # a bool is none
        return 0
    return value if 0 < value <= MAX_TOKENS else 0


def _is_claude(model: str) -> bool:
    return model.lower().startswith("claude")


def _add_cache(counts: _Counts) -> None:
    """Claude's prompt excludes what came from or went to the cache (gateway notes 2.4).

    Later releases of the gateway include it, and then say `"usage_semantic": "openai"`.
    """
    cache = counts["cached_tokens"] + counts["cache_write_tokens"]
    if counts["total_tokens"] == counts["prompt_tokens"] + counts["completion_tokens"]:
        counts["total_tokens"] += cache
    counts["prompt_tokens"] += cache


def _drop_streamed_text(counts: _Counts) -> _Finding:
    """Drop the text count that streaming overwrites with the whole prompt's (gateway notes 2.4)."""
    if counts["prompt_text_tokens"] == 0 or counts["prompt_text_tokens"] != counts["prompt_tokens"]:
        return "reported", None
    counts["prompt_text_tokens"] = 0
    return "estimated", None


def _settle_totals(counts: _Counts) -> _Finding:
    """Make total = prompt + completion, filling in the one of the three that is not reported."""
    prompt, completion, total = counts["prompt_tokens"], counts["completion_tokens"], counts["total_tokens"]
    finding: _Finding = ("reported", None)
    if total > prompt + completion and not (prompt and completion):
        # With neither known it is a guess that all of it was prompt.
        finding = ("derived" if prompt or completion else "estimated", None)
        if prompt:
            completion = total - prompt
        else:
            prompt = total - completion
    elif total not in {0, prompt + completion}:
        finding = _CONTRADICTION
    counts.update(prompt_tokens=prompt, completion_tokens=completion, total_tokens=prompt + completion)
    return finding


def _drop_contradictions(counts: _Counts) -> _Finding:
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
        if _named(counts) <= prompt:
            break
        counts[part] = 0
    return ("reported", None) if counts == before else _CONTRADICTION


def _named(counts: _Counts) -> int:
    """Prompt tokens that belong to a kind."""
    text, image, audio, video = _PROMPT_PARTS
    return counts[text] + counts[image] + counts[audio] + counts[video]


def _derive_media(counts: _Counts, media_kinds: Collection[MediaKind]) -> _Finding:
    """Give Gemini's unnamed prompt tokens to the pictures or the video that were asked about.

    The gateway copies only Gemini's text and sound counts (gateway notes 2.4). Without a text count there is no split
    to complete. Asked about both, all of it counts as video: how it divides is nowhere reported.
    """
    remainder = counts["prompt_tokens"] - _named(counts)
    seen = {"image", "video"}.intersection(media_kinds)
    if remainder == 0 or counts["prompt_text_tokens"] == 0 or not seen:
        return "reported", None
    counts["prompt_video_tokens" if "video" in seen else "prompt_image_tokens"] += remainder
    return "estimated" if len(seen) > 1 else "derived", None


def _doubt_estimates(counts: _Counts, media_kinds: Collection[MediaKind]) -> _Finding:
    """Doubt a medium whose count, or the unnamed rest it must be in, is one of the gateway's own round numbers.

    A sound only where no text count stands beside it: 8 s of sound are honestly 256 tokens on Gemini.
    """
    rest = counts["prompt_tokens"] - _named(counts)
    for kind, numbers in GATEWAY_ESTIMATES.items():
        suspect = counts[f"prompt_{kind}_tokens"] in numbers or (kind in media_kinds and rest in numbers)
        if suspect and not (kind == "audio" and counts["prompt_text_tokens"]):
            return "estimated", "gateway_estimate"
    return "reported", None
