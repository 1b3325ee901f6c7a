"""Answer: a description written from what the bytes say, with the tokens that question and answer weigh."""

from __future__ import annotations

import dataclasses
import json
import math
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING

from mediascribe.sandbox import tokens as weigh
from mediascribe.sandbox.look import Facts, Picture, Sound
from mediascribe.sandbox.schema import filled, known
from mediascribe.sandbox.tokens import Tokens

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mediascribe.sandbox.models import ServedModel
    from mediascribe.sandbox.question import Question


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """One completed answer, before it is written in a dialect.

    `finish_reason` is `stop`, `length`, or None for one that broke off.
    """

    request_id: str
    model: ServedModel
    question: Question
    text: str
    reasoning: str
    finish_reason: str | None
    tokens: Tokens

    def shortened(self, tokens: int) -> Answer:
        """The answer cut off after *tokens*, reasoning first."""
        reasoning = weigh.cut(self.reasoning, tokens)
        text = weigh.cut(self.text, tokens - weigh.of_text(reasoning))
        counts = dataclasses.replace(self.tokens, completion=tokens, reasoning=weigh.of_text(reasoning))
        return dataclasses.replace(self, text=text, reasoning=reasoning, finish_reason="length", tokens=counts)


def answer(
    request_id: str, model: ServedModel, question: Question, facts: Sequence[Facts], *, endpoint: str = "openai"
) -> Answer:
    """The answer of *model* to *question*, whose media turned out to be *facts*, asked for at *endpoint*."""
    text = " ".join(map(sentence, facts)) if facts else _without_media(question)
    if question.schema is not None and model.keeps_schema(endpoint):
        text = json.dumps(filled(question.schema, known(text, facts)), ensure_ascii=False)
    reasoning = _reasoning(facts) if question.thinks else ""
    thought = weigh.of_text(reasoning)
    asked = prompt_tokens(model, question, facts)
    counts = dataclasses.replace(asked, completion=thought + max(1, weigh.of_text(text)), reasoning=thought)
    full = Answer(
        request_id=request_id,
        model=model,
        question=question,
        text=text,
        reasoning=reasoning,
        finish_reason="stop",
        tokens=counts,
    )
    limit = question.max_tokens
    return full if limit is None or counts.completion <= limit else full.shortened(limit)


def prompt_tokens(model: ServedModel, question: Question, facts: Sequence[Facts]) -> Tokens:
    """What *question* weighs for *model*."""
    counts = {"text": weigh.of_text("\n".join(question.texts)), "image": 0, "audio": 0, "video": 0}
    for part, fact in zip(question.parts, facts, strict=True):
        if isinstance(fact, Picture):
            counts["image"] += model.weights.image(fact.width, fact.height, low=part.low)
        elif isinstance(fact, Sound):
            counts["audio"] += model.weights.sound(fact.duration_s)
        else:
            frames, track = model.weights.video(fact)
            asked = 1 if part.fps is None else Fraction(part.fps) / model.weights.reads_per_s
            counts["video"] += math.ceil(frames * asked)
            counts["audio"] += track
    return Tokens(**counts)


def sentence(fact: Facts) -> str:
    """One sentence about one medium."""
    if isinstance(fact, Picture):
        return (
            f"The image is a {fact.format} of {fact.width} by {fact.height} pixels, {fact.brightness}; "
            f"its main colours are {_listed(fact.colours)}."
        )
    if isinstance(fact, Sound):
        channels = {1: "mono", 2: "stereo"}.get(fact.channels, f"{fact.channels} channels")
        loud = "" if fact.loudness_dbfs is None else f" at a loudness of {fact.loudness_dbfs} dBFS"
        return (
            f"The sound lasts {float(fact.duration_s):.1f} s ({fact.sample_rate} Hz, {channels}) "
            f"and is {fact.character}{loud}."
        )
    track = "with" if fact.has_sound else "without"
    return (
        f"The video lasts {float(fact.duration_s):.1f} s: {fact.frames} frames of {fact.first.width} by "
        f"{fact.first.height} pixels at {fact.per_s:g} per second, {track} sound; "
        f"it begins {fact.first.brightness}, mostly {fact.first.colours[0]}."
    )


def _without_media(question: Question) -> str:
    words = len(" ".join(question.texts).split())
    return f"The prompt has {words} words; no image, sound or video came with it."


def _reasoning(facts: Sequence[Facts]) -> str:
    return f"There are {len(facts)} media to look at. Size, light and sound are measured first, then put into words."


def _listed(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
