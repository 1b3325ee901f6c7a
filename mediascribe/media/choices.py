"""What each way of sending a film costs, and the one that the job wants."""

from __future__ import annotations

import dataclasses
import math
from bisect import bisect_right
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Final, Literal

from mediascribe.media import token_rules
from mediascribe.media.sizes import best_size
from mediascribe.media.token_rules import Facts, rules_of

if TYPE_CHECKING:
    from mediascribe.job_sections import MediaSection
    from mediascribe.models import Model

# Frames a second that a family looks at (gateway notes 4.1 and 4.4); of others nothing is published.
READS: Final = {"gemini": 1.0, "qwen": 2.0}
LEAST_FPS: Final = 0.2


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """What one way of sending a film costs; None: unknown.

    `fps` is None where the model looks at as many frames a second as it likes. Else the file has so many; but a model
    may look at its own number of them all the same, so a request should ask for `fps` in a dialect that has a word for
    it (`videoMetadata.fps`, gateway notes 3.4; `fps` beside `video_url`, 3.1). `frames` is the number of pictures that
    go in place of the film, without its sound. `said` is what is done, for people; None where nothing is.
    """

    way: Literal["whole", "size", "clip", "fps", "frames"]
    fps: float | None = None
    frames: int | None = None
    seconds: float | None = None
    tokens: int | None = None
    said: str | None = None


def choices(facts: Facts, *, model: Model | None, section: MediaSection) -> tuple[Choice, ...]:
    """The ways of sending a film of *facts*: as it is, and each a step further by *section*; the last will be taken."""
    steps = [Choice(way="whole", seconds=facts.seconds, tokens=_tokens(facts, model))]
    if facts.width and facts.height and section.max_side and section.max_side < max(facts.width, facts.height):
        width, height = sent_size(facts, model, section)
        facts = dataclasses.replace(facts, width=width, height=height)
        steps.append(
            Choice(way="size", seconds=facts.seconds, tokens=_tokens(facts, model), said=f"{width} x {height} pixels")
        )
    if section.clip_s is not None and facts.seconds is not None:
        start_s, end_s = section.clip_s
        facts = dataclasses.replace(facts, seconds=max(0.0, min(end_s, facts.seconds) - start_s))
        said = f"only from second {start_s:g} to second {end_s:g}"
        steps.append(Choice(way="clip", seconds=facts.seconds, tokens=_tokens(facts, model), said=said))
    if section.frames is not None:
        steps.append(_stills(facts, model, section, section.frames))
    elif section.fps is not None or section.max_tokens is not None:
        steps.append(_slower(facts, model, section) or steps[-1])
    return tuple(steps)


def _tokens(facts: Facts, model: Model | None, fps: float | None = None) -> int | None:
    """A film of *facts* at *fps*: the frames of one that is longer or shorter by as much, and the sound of this one."""
    if model is None or facts.seconds is None:
        return None
    rules, reads = rules_of(model.name), READS.get(model.family)
    if fps is not None and reads is None:
        return None
    as_long = facts.seconds if fps is None or reads is None else facts.seconds * fps / reads
    whole = rules.video.expected(dataclasses.replace(facts, seconds=as_long))
    return whole and whole - _sound_tokens(as_long, model) + _sound_tokens(facts.seconds, model)


def _sound_tokens(seconds: float, model: Model) -> int:
    """The sound of a film, as the rule for films counts it."""
    if model.family == "gemini":
        return math.ceil(seconds * token_rules.GEMINI_SOUND_AT_MOST_PER_S)
    return rules_of(model.name).audio.expected(Facts(seconds=seconds)) or 0


def _stills(facts: Facts, model: Model | None, section: MediaSection, wanted: int) -> Choice:
    """Pictures in place of the film: as many as are wanted, or as may be paid for."""
    each, number = None, wanted
    if model is not None and facts.width and facts.height:
        width, height = sent_size(facts, model, section)
        each = rules_of(model.name).image.expected(Facts(width=width, height=height))
    if each and section.max_tokens is not None:
        number = max(1, min(wanted, section.max_tokens // each))
    said = f"{number} pictures in place of the film and its sound"
    return Choice(
        way="frames", frames=number, seconds=facts.seconds, tokens=each and each * number, said=said + _below(section)
    )


def _slower(facts: Facts, model: Model | None, section: MediaSection) -> Choice | None:
    """The frames a second that are wanted, or fewer, and less of the film, as may be paid for; None: no change."""
    most, reads = section.max_tokens, READS.get(model.family) if model else None
    asked = section.fps
    tokens = _tokens(facts, model, asked)
    way = partial(Choice, way="fps")
    if most is None or tokens is None or tokens <= most:
        return way(fps=asked, seconds=facts.seconds, tokens=tokens, said=_at(asked)) if asked else None
    top, cost = asked or reads or LEAST_FPS, partial(_tokens, model=model)
    rates = range(round(LEAST_FPS * 100), math.ceil(top * 100))
    if fitting := bisect_right(rates, most, key=lambda rate: cost(facts, fps=rate / 100) or 0):
        fps, seconds = rates[fitting - 1] / 100, facts.seconds
    else:
        fps, lengths = min(top, LEAST_FPS), range(1, math.ceil(facts.seconds or 0))
        fitting = bisect_right(
            lengths, most, key=lambda one: cost(dataclasses.replace(facts, seconds=one), fps=fps) or 0
        )
        seconds = min(max(1.0, float(fitting)), facts.seconds or 1.0)
    return way(
        fps=fps,
        seconds=seconds,
        tokens=cost(dataclasses.replace(facts, seconds=seconds), fps=fps),
        said=_at(fps) + (f", only {seconds:g} seconds" if seconds != facts.seconds else "") + _below(section),
    )


def _below(section: MediaSection) -> str:
    return f", to stay below {section.max_tokens:,} tokens" if section.max_tokens is not None else ""


def _at(fps: float | None) -> str:
    return f"{fps:g} frames a second"


def chosen(facts: Facts, *, model: Model | None, section: MediaSection) -> Choice:
    """How a film of *facts* will be sent."""
    return choices(facts, model=model, section=section)[-1]


def sent_size(facts: Facts, model: Model | None, section: MediaSection) -> tuple[int, int]:
    """The size at which a film of *facts* is sent."""
    return best_size(facts.width or 1, facts.height or 1, model=model, max_side=section.max_side, detail=section.detail)
