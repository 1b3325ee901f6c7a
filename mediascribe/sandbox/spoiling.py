"""Spoiling: what faults make of an answer before it is written in a dialect; it is billed as it is then."""

from __future__ import annotations

import dataclasses
import json
from typing import TYPE_CHECKING, Any, Final

from mediascribe.sandbox import tokens as weigh

if TYPE_CHECKING:
    from mediascribe.sandbox.answer import Answer

HUGE_BYTES: Final = 12 * 2**20  # beyond any sane cap of a client
_ESTIMATES: Final = {"image": 520, "audio": 256, "video": 8192}  # gateway notes 2.4
_COMMENT: Final = "Caf\xe9 au lait, \xe0 c\xf4t\xe9. "


def blocked(answer: Answer) -> Answer:
    """Nothing said, nothing thought."""
    counts = dataclasses.replace(answer.tokens, completion=0, reasoning=0)
    return dataclasses.replace(answer, text="", reasoning="", tokens=counts)


def estimated(answer: Answer) -> Answer:
    """The gateway's own estimate in place of the tokens, without a mark: round numbers for each medium."""
    counts = dict.fromkeys(_ESTIMATES, 0)
    for part in answer.question.parts:
        counts[part.kind] += _ESTIMATES[part.kind]
    return dataclasses.replace(answer, tokens=dataclasses.replace(answer.tokens, **counts))


def unseen(answer: Answer) -> Answer:
    """An answer to the text alone: the media parts were dropped on the way (gateway notes 2.3 and trap 3)."""
    blind = _reworded(answer, "There is nothing attached that I could look at or listen to.")
    counts = dataclasses.replace(blind.tokens, image=0, audio=0, video=0)
    return dataclasses.replace(blind, tokens=counts)


def halved(answer: Answer) -> Answer:
    """Half as long, as if `max_tokens` had been that."""
    return answer.shortened(max(1, answer.tokens.completion // 2))


def broken_off(answer: Answer) -> Answer:
    """Half as long, without a reason to end, and estimated: the upstream's usage never came (gateway notes 2.4)."""
    return dataclasses.replace(estimated(halved(answer)), finish_reason=None)


def accented(answer: Answer) -> Answer:
    """With letters that are other bytes in Latin-1."""
    return dataclasses.replace(answer, text=_COMMENT + answer.text)


def padded(answer: Answer) -> Answer:
    """Very long, at the price of a short one."""
    return dataclasses.replace(answer, text=answer.text + " and so on" * (HUGE_BYTES // 10))


def fenced_json(answer: Answer) -> Answer:
    """Its JSON in a fence."""
    return _reworded(answer, f"```json\n{_to_json(_value(answer))}\n```")


def broken_json(answer: Answer) -> Answer:
    """Half of its JSON, as if that were all."""
    text = _to_json(_value(answer))
    return _reworded(answer, text[: len(text) // 2])


def wrong_schema(answer: Answer) -> Answer:
    """Its JSON without a required member; where there is none, a list around it."""
    value = _value(answer)
    required = (answer.question.schema or {}).get("required") or ["description"]
    missing = next((name for name in required if isinstance(value, dict) and name in value), None)
    if missing is None:
        return _reworded(answer, _to_json([value]))
    return _reworded(answer, _to_json({name: inner for name, inner in value.items() if name != missing}))


def _reworded(answer: Answer, text: str) -> Answer:
    counts = dataclasses.replace(answer.tokens, completion=answer.tokens.reasoning + max(1, weigh.of_text(text)))
    return dataclasses.replace(answer, text=text, tokens=counts)


def _value(answer: Answer) -> Any:  # noqa: ANN401 - JSON
    """The JSON in the answer; where it is prose, an object around it."""
    try:
        return json.loads(answer.text)
    except ValueError:
        return {"description": answer.text}


def _to_json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False)
