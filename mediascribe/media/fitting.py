"""Fitting: the bytes of one medium made into what is sent of it, whole or in pieces. Blocks: for threads."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from mediascribe.media.fitness import REWRITABLE
from mediascribe.media.token_rules import Facts

if TYPE_CHECKING:
    from mediascribe.domain import MediaKind
    from mediascribe.job_sections import MediaSection
    from mediascribe.media.look import Looked
    from mediascribe.media.pieces import Piece
    from mediascribe.media.shrink import Inline
    from mediascribe.models import Model


@dataclass(frozen=True, slots=True, kw_only=True)
class Sent:
    """One thing to send, as a data URL; of which kind it is by now, and what is known of it."""

    kind: MediaKind
    url: str
    facts: Facts


@dataclass(frozen=True, slots=True, kw_only=True)
class Cut:
    """What is sent of one medium, or of one *piece* of it."""

    sent: tuple[Sent, ...]
    piece: Piece | None = None


def fit(content: bytes, looked: Looked, model: Model | None, section: MediaSection, most_bytes: int) -> list[Cut]:
    """The ways in which *content* is sent: one, or one for each of its pieces where the job splits what is long.

    Raises:
        MediaError: it cannot be made fit.
    """
    if looked.kind == "image":
        return [Cut(sent=_pictures(content, looked, model, section, most_bytes))]
    cuts = _pieces(content, looked, model, section)
    return [
        Cut(sent=_moving(content, looked, (model, section, most_bytes), piece), piece=piece if len(cuts) > 1 else None)
        for piece in cuts
    ]


def _pictures(
    content: bytes, looked: Looked, model: Model | None, section: MediaSection, most_bytes: int
) -> tuple[Sent, ...]:
    from mediascribe.media import shrink  # noqa: PLC0415 - Pillow, for those who send inline

    if looked.mime not in REWRITABLE and len(content) <= most_bytes:  # taken by the model, or it were refused by now
        made = [shrink.Inline(mime=looked.mime, content=content, width=looked.width, height=looked.height)]
    elif looked.frames:
        made = shrink.frames_of(content, model=model, section=section, most_bytes=most_bytes)
    else:
        made = [shrink.shrink(content, model=model, section=section, most_bytes=most_bytes)]
    return tuple(_sent("image", one) for one in made)


def _moving(
    content: bytes, looked: Looked, how: tuple[Model | None, MediaSection, int], piece: Piece | None
) -> tuple[Sent, ...]:
    from mediascribe.media import film, sound  # noqa: PLC0415 - PyAV, for those who send inline

    model, section, most_bytes = how
    if looked.kind == "audio":
        return (_sent("audio", sound.sound(content, model=model, section=section, most_bytes=most_bytes, piece=piece)),)
    made = film.film(content, model=model, section=section, most_bytes=most_bytes, piece=piece)
    return tuple(_sent("image", one) for one in made) if isinstance(made, tuple) else (_sent("video", made),)


def fps_of(looked: Looked, model: Model | None, section: MediaSection) -> float | None:
    """The frames a second of a film that the model is asked to read; None: as many as it reads by itself."""
    from mediascribe.media import choices  # noqa: PLC0415 - as above

    return choices.chosen(looked.facts(), model=model, section=section).fps if looked.kind == "video" else None


def _pieces(content: bytes, looked: Looked, model: Model | None, section: MediaSection) -> list[Piece | None]:
    """Where *content* is cut; one None where it is not."""
    from mediascribe.media import choices, pieces  # noqa: PLC0415 - as above

    clip = section.clip_s or (0.0, float("inf"))
    end_s = min(clip[1], looked.seconds or 0.0)
    if looked.kind == "video" and looked.seconds is not None:  # `max_tokens` may shorten it
        wanted_s = choices.chosen(looked.facts(), model=model, section=section).seconds
        end_s = min(end_s, clip[0] + (wanted_s or looked.seconds))
    if section.split_s is None or end_s - clip[0] <= section.split_s:
        return [None]
    marks: list[float] = []
    if section.split_at == "silence":
        marks = pieces.silences(content)
    elif section.split_at == "scene" and looked.kind == "video":
        marks = pieces.scenes(content)
    return list(pieces.pieces(end_s, split_s=section.split_s, marks=marks, start_s=clip[0]))


def _sent(kind: MediaKind, made: Inline) -> Sent:
    facts = Facts(width=made.width, height=made.height, seconds=made.seconds)
    return Sent(kind=kind, url=made.data_url(), facts=facts)
