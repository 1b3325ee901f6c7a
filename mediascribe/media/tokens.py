"""What a request weighs before it is sent: what to expect, and the most that it can come to.

The most is what a budget reserves, so it must never be too small. Rules of this file:

- A text has no more tokens than bytes. A medium has what its vendor's rule gives, where its size is known or the vendor
  caps it (`token_rules.py`); else it may fill the model's whole context, and so may what a job's parameters bring in.
- A prompt is never longer than the model's context: such a request is refused, and not billed.
- An answer is as long as the job allows where its thoughts are sure to be inside that; else as long as the model can.
- A model that the table does not know is taken for a large one (`CONTEXT_TOKENS`, `ANSWER_TOKENS`).
"""

from __future__ import annotations

import base64
import binascii
import io
import re
import struct
import warnings
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

import msgspec

from mediascribe.media.token_rules import NO_RULES, Facts, rules_of
from mediascribe.wire import data_url, messages, thinking
from mediascribe.wire.parameters import renamed

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mediascribe.domain import Media, MediaKind, Request
    from mediascribe.media.token_rules import Rules
    from mediascribe.models import Model

__all__ = ["Facts", "Weight", "answer_at_most", "at_most", "expected", "facts_of", "text_at_most", "weigh"]

# Of a model whose entry does not say: as much as Gemini takes, and answers.
CONTEXT_TOKENS: Final = 1_048_576
ANSWER_TOKENS: Final = 65_536

BYTES_PER_TOKEN: Final = 4
ANSWER_GUESS: Final = 200  # a description; the reference answer has 83
FRAME_TOKENS: Final = 16  # the marks around a message or a medium; vendors' own take 2 to 5
SCHEMA_TOKENS: Final = 512  # the words with which a vendor hands a schema to its model
# What the gateway writes where its upstream counted nothing (gateway notes 2.4).
ESTIMATES: Final[Mapping[MediaKind, int]] = MappingProxyType({"image": 520, "audio": 256, "video": 8192})
_COUNTED: Final = frozenset({"gemini", "claude"})  # families whose counts it never makes up

# Parameters that bring text into the prompt which is not in the request.
BRING_TEXT: Final = frozenset(
    {
        *("cachedContent", "cached_content", "conversation", "previous_response_id", "prompt"),
        *("enable_search", "plugins", "tools", "web_search", "web_search_options"),
    }
)
ANSWER_LIMITS: Final = ("max_tokens", "max_completion_tokens", "max_output_tokens", "maxOutputTokens")
# Families whose limit holds thoughts too (gateway notes 3.1 and 3.3, trap 9); Claude's is raised above its budget.
LIMIT_HOLDS_THOUGHTS: Final = frozenset({"openai", "gemini", "claude"})
# Of the others, names of models that think without being asked. Not stated by the site.
THINKS_UNASKED: Final = re.compile(r"(?!.*non-reasoning).*(think|reason|grok-4$|minimax-m|ernie-x|hunyuan-t|ring-|qvq)")

_HEADER_BYTES: Final = 2**16
_IMAGE_FORMATS: Final = ("PNG", "JPEG", "WEBP", "GIF")
_PCM: Final = frozenset({1, 3, 0xFFFE})  # formats whose bytes a second follow from the header


@dataclass(frozen=True, slots=True, kw_only=True)
class Weight:
    """What one request weighs, in tokens. `media` has what each kind can come to, `expected` None for what is unknown.

    `prompt` is the bound of the whole: no more than its parts together, and no more than the model's context.
    """

    text: int
    media: Mapping[MediaKind, int]
    answer: int
    prompt: int
    text_expected: int
    media_expected: tuple[int | None, ...] = ()

    @property
    def at_most_tokens(self) -> int:
        """Prompt and answer, at most."""
        return self.prompt + self.answer

    def expected_tokens(self, unknown_medium: int) -> int:
        """Prompt and answer as they may turn out, with *unknown_medium* for each medium of which nothing is known."""
        media = sum(unknown_medium if one is None else one for one in self.media_expected)
        return min(self.prompt, self.text_expected + media) + min(self.answer, ANSWER_GUESS)


def weigh(
    request: Request,
    model: Model | None,
    media_tokens: int | None = None,
    facts: Sequence[Facts] | None = None,
) -> Weight:
    """What *request* weighs for *model*, which is None where the table does not know it.

    *media_tokens* is the job's word for the most that a medium has; it goes before a rule that gives more. *facts* are
    those of the request's media, in order; without them, what its data URLs say.
    """
    rules = _rules(model, sharp=request.parameters.get("vl_high_resolution_images") is True)
    known = [facts_of(media) for media in request.media] if facts is None else facts
    media: dict[MediaKind, int] = {}
    guesses = []
    for one, fact in zip(request.media, known, strict=True):
        most = _at_most(one.kind, fact, model, rules)
        if media_tokens is not None:
            most = min(most, media_tokens)
        guess = rules.of(one.kind).expected(fact)
        guesses.append(guess if guess is None else min(guess, most))
        media[one.kind] = media.get(one.kind, 0) + most
    text, context = _text(request), _context(model)
    if BRING_TEXT & request.parameters.keys():
        text = context
    return Weight(
        text=text,
        media=media,
        answer=answer_at_most(request, model),
        prompt=min(context, text + sum(media.values())),
        text_expected=text_expected(request.prompt) + (text_expected(request.system) if request.system else 0),
        media_expected=tuple(guesses),
    )


def expected(kind: MediaKind, facts: Facts, model: Model | None, *, sharp: bool = False) -> int | None:
    """What a medium probably weighs; None: unknown, the answers will tell. *sharp*: see `rules_of`."""
    return _rules(model, sharp=sharp).of(kind).expected(facts)


def at_most(kind: MediaKind, facts: Facts, model: Model | None, *, sharp: bool = False) -> int:
    """What a medium weighs at most; without a rule, the model's whole context. *sharp*: see `rules_of`."""
    return _at_most(kind, facts, model, _rules(model, sharp=sharp))


def text_expected(text: str) -> int:
    """What *text* probably weighs."""
    return max(1, len(text.encode(errors="replace")) // BYTES_PER_TOKEN)


def text_at_most(text: str) -> int:
    """What a message of *text* weighs at most: a token for each byte, and the marks around it."""
    return len(text.encode(errors="replace")) + FRAME_TOKENS


def answer_at_most(request: Request, model: Model | None) -> int:
    """What the answer to *request* weighs at most, its thoughts included."""
    longest = (model.answer_tokens if model else None) or ANSWER_TOKENS
    config = request.parameters.get("generationConfig")
    members = {**request.parameters, **(config if isinstance(config, Mapping) else {})}
    if request.model.lower().startswith("claude"):
        members = _claude(request, members)
    limits = [limit for name in ANSWER_LIMITS if (limit := _count(members.get(name)))]
    if limits and _holds(model, members, request.thinking == "off"):
        longest = max(limits)
    return longest * max(1, _count(members.get("candidateCount")))


def facts_of(media: Media) -> Facts:
    """What the beginning of a data URL says about *media*; nothing of any other URL.

    Pictures have their size in pixels. Of sounds, only WAV has its length: what others say of it may be wrong.
    """
    if media.kind == "video" or (inline := data_url.split(media.url)) is None:
        return Facts()
    content = inline[1]
    try:
        head = base64.b64decode(content[: _HEADER_BYTES // 3 * 4])
        if media.kind == "audio":
            return _wav(head, len(content) * 3 // 4)
        return _image(head) or _image(base64.b64decode(content)) or Facts()
    except binascii.Error:  # no base64: the gateway will say so
        return Facts()


def _rules(model: Model | None, *, sharp: bool) -> Rules:
    return rules_of(model.name, sharp=sharp) if model else NO_RULES


def _at_most(kind: MediaKind, facts: Facts, model: Model | None, rules: Rules) -> int:
    context, weight = _context(model), rules.of(kind).at_most(facts)
    if model is None or weight is None:
        return context
    return min(context, weight if model.family in _COUNTED else max(weight, ESTIMATES[kind]))


def _context(model: Model | None) -> int:
    return (model.context_tokens if model else None) or CONTEXT_TOKENS


def _text(request: Request) -> int:
    """What the texts of *request* weigh at most, and all that stands beside them."""
    text = text_at_most(request.prompt) + len(request.media) * FRAME_TOKENS
    if request.system is not None:
        text += text_at_most(request.system)
    if request.schema is not None:
        text += len(msgspec.json.encode(request.schema)) + SCHEMA_TOKENS
    return text


def _claude(request: Request, members: dict[str, Any]) -> dict[str, Any]:
    """*members* as they are sent to Claude, whose limit stands above its budget to think."""
    if request.dialect == "messages":
        members = {"max_tokens": messages.DEFAULT_MAX_TOKENS, **renamed(members, messages.RENAMED)}
    if request.thinking is not None:
        members = thinking.switch(request.model, request.thinking) | members
    return thinking.made_to_fit(members)


def _holds(model: Model | None, members: Mapping[str, Any], off: bool) -> bool:  # noqa: FBT001 - a fact, not a mode
    """Whether the limit of an answer is sure to hold its thoughts."""
    if model is None:
        return False
    if model.family in LIMIT_HOLDS_THOUGHTS:
        return True
    if model.thinking is None:
        return not THINKS_UNASKED.match(model.name.lower())
    switch = members.get("thinking")
    disabled = isinstance(switch, Mapping) and switch.get("type") == "disabled"
    return off or disabled or members.get("enable_thinking") is False


def _count(value: object) -> int:
    """A whole number above 0; 0 for anything else, which the gateway drops (gateway notes 2.3)."""
    return value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else 0


def _image(content: bytes) -> Facts | None:
    from PIL import Image  # noqa: PLC0415 - takes a twentieth of a second

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # nothing is decompressed here
        try:
            size = Image.open(io.BytesIO(content), formats=_IMAGE_FORMATS).size
        except (OSError, SyntaxError, ValueError, struct.error, zlib.error, Image.DecompressionBombError):
            return None
    return Facts(width=size[0], height=size[1])


def _wav(head: bytes, length: int) -> Facts:
    """The length of a WAV file of *length* bytes, all of which are taken for sound."""
    at = head.find(b"fmt ")
    if head[:4] != b"RIFF" or at < 0 or len(head) < at + 24:
        return Facts()
    tag, channels, rate, _, _, bits = struct.unpack_from("<HHIIHH", head, at + 8)
    per_s = channels * rate * (bits // 8)
    return Facts(seconds=length / per_s) if tag in _PCM and per_s else Facts()
