"""Proof: whether the media of a request were seen, by the tokens that they should have cost against those billed.

A gateway drops a part that it does not know without a word, and the model answers about nothing (gateway notes 0.2).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from mediascribe.media.tokens import expected, facts_of, text_expected

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mediascribe.domain import Completion, Request
    from mediascribe.media.token_rules import Facts
    from mediascribe.models import Model

# So many tokens cannot hide in the error about a text's own.
_SURE_TOKENS: Final = 200
# Of what a rule expects, where the vendor looked at all: 85 of 765 for a picture in low detail (gateway notes 4.2).
_LEAST_SHARE: Final = 0.1


def ignored(completion: Completion, request: Request, media: Sequence[Facts] | None, model: Model | None) -> bool:
    """Whether *completion* was billed without the *media* of *request*; False where nobody can tell.

    *media* is what is known of each; None: what data URLs say. The flag `media_ignored` is a suspicion: where the usage
    has no split, it is believed of media that are known to weigh much.
    """
    usage = completion.usage
    known = [facts_of(one) for one in request.media] if media is None else media
    weights = [expected(one.kind, facts, model) or 0 for one, facts in zip(request.media, known, strict=True)]
    if "media_ignored" in completion.flags:
        return bool(usage.prompt_text_tokens) or sum(weights) >= _SURE_TOKENS
    if not usage.prompt_tokens or usage.source == "estimated" or sum(weights) < _SURE_TOKENS:
        return False
    text = usage.prompt_text_tokens or text_expected(request.prompt + (request.system or ""))
    return not request.stream and usage.prompt_tokens - text < _LEAST_SHARE * sum(weights)
