"""Length: an answer made as short or as long as it may become, so that a client's estimates are put to the test."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Final

from mediascribe.sandbox import tokens as weigh

if TYPE_CHECKING:
    from collections.abc import Callable

    from mediascribe.sandbox.answer import Answer

MOST: Final = 8192  # the documented maximum of gemini-2.0-flash, where a request names none
_PROSE: Final = " and so on"


def chosen(manner: str, max_tokens: int | None, draw: Callable[[], float]) -> int:
    """The tokens of an answer made in *manner*, where *max_tokens* may be asked for; *draw* gives 0 up to 1."""
    most = max_tokens or MOST
    if manner == "random":
        return 1 + int(draw() * most)
    return {"least": 1, "most": most}[manner]


def of_tokens(answer: Answer, tokens: int) -> Answer:
    """*answer* cut or padded to exactly *tokens*; it ended by itself, unless it is as long as it might become.

    JSON is padded by spaces, and stays JSON.
    """
    reasoning = weigh.cut(answer.reasoning, tokens - 1)
    thought = weigh.of_text(reasoning)
    size = (tokens - thought) * weigh.BYTES_PER_TOKEN
    padding = _PROSE if answer.question.schema is None else " "
    missing = max(0, size - len(answer.text.encode()))
    text = weigh.cut(answer.text + padding * (missing // len(padding) + 1), tokens - thought)
    longest = tokens >= (answer.question.max_tokens or MOST)
    return dataclasses.replace(
        answer,
        text=text,
        reasoning=reasoning,
        finish_reason="length" if longest else "stop",
        tokens=dataclasses.replace(answer.tokens, completion=tokens, reasoning=thought),
    )
