"""Films made fit to send, in the way that the job wants (`choices.py`).

Rules of this file:

- A film that is fit already is not touched; one that only stands in the wrong container is copied into an MP4.
- What is written anew is H.264 and AAC in an MP4, upright, with the frames a second that the model looks at.
- What must be saved (`max_tokens`) is saved on frames a second, and on length only below one frame in 5 seconds.
"""

from __future__ import annotations

import heapq
import io
import itertools
import math
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from mediascribe.errors import MediaError
from mediascribe.media import reading
from mediascribe.media.choices import READS, Choice, choices, chosen, sent_size
from mediascribe.media.reading import opened, unfit
from mediascribe.media.shrink import Inline
from mediascribe.media.sound import ENDS_S, Form, bounds, heard, track
from mediascribe.media.token_rules import Facts

if TYPE_CHECKING:
    from collections.abc import Iterator

    from av import Packet, VideoFrame
    from av.video.stream import VideoStream

    from mediascribe.job_sections import MediaSection
    from mediascribe.media.pieces import Piece
    from mediascribe.models import Model

__all__ = ["Choice", "choices", "chosen", "film"]

MP4: Final = "video/mp4"
MOST_FPS: Final = 30.0  # of a model of which nothing is published

_SOON_S: Final = 0.001  # containers round times to as much
_QUALITIES: Final = (85, 70, 50, 35)
_BITS_PER_PIXEL: Final = 0.15  # what a picture that stands for a second needs to be good
_LEAST_PIXELS: Final = 10_000
_SHARES: Final = (0.9, 0.6, 0.35)  # of the bytes that there are: for the second and third time, where one missed
_SOUND_BITS: Final = 32_000  # a second, of each channel
_HURRY_FPS, _HURRY_FRAMES = 8.0, 4  # of so many and of so fast frames it does not matter which one is taken
_ODD: Final = 0.1  # no pixel is ten times as wide as high
_TICKS: Final = 90_000  # a second
_BARE: Final = {"fflags": "bitexact"}  # no word of the software


@dataclass(frozen=True, slots=True, kw_only=True)
class _Source:
    """What a film is, upright and with square pixels, and by how many quarters it is turned counterclockwise for that.

    `fit`: its H.264 and AAC may stay as they are; `mp4`: and so may the whole file, which is no QuickTime.
    """

    facts: Facts
    quarters: int
    fps: float
    sound: tuple[int, int] | None
    fit: bool
    mp4: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class _Plan:
    """What is made of a film: which of its seconds, how large, how many frames a second, in how many bytes."""

    content: bytes
    source: _Source
    size: tuple[int, int]
    fps: Fraction
    start_s: float
    end_s: float
    sound: tuple[int, int] | None
    most_bytes: int

    @property
    def times(self) -> Iterator[float]:
        """When the frames are shown in the film."""
        every = (self.start_s + float(number / self.fps) for number in itertools.count())
        return itertools.takewhile(lambda time_s: time_s < self.end_s - _SOON_S, every)


def film(
    content: bytes, *, model: Model | None, section: MediaSection, most_bytes: int, piece: Piece | None = None
) -> Inline | tuple[Inline, ...]:
    """The film in *content*, or *piece* of it, as it may be sent to *model* in *most_bytes*; or pictures of it.

    Where `max_tokens` shortens a film, pieces are to be laid over the seconds of its `chosen` way: none is cut here.
    Of `frames`, each piece has its share.

    Raises:
        MediaError: `corrupt`: it cannot be read; `no_film`: there is none in it, or none where it is cut; `too_large`:
            it does not fit; `too_long`: more would have to be decoded than is bearable.
    """
    source = _source(content)
    choice = chosen(source.facts, model=model, section=section)
    start_s, end_s = bounds(section, piece)
    seconds = source.facts.seconds if piece else choice.seconds
    reads = READS.get(model.family) if model else None
    plan = _Plan(
        content=content,
        source=source,
        size=sent_size(source.facts, model, section),
        fps=Fraction(choice.fps or reads or source.fps).limit_denominator(1000),
        start_s=start_s,
        end_s=min(end_s, (0 if piece else start_s) + (seconds or 0)),
        sound=heard(*source.sound, model) if source.sound else None,
        most_bytes=most_bytes,
    )
    if choice.frames is not None:
        share = min(1.0, (plan.end_s - plan.start_s) / choice.seconds) if choice.seconds else 1.0
        return _pictures(plan, max(1, round(choice.frames * share)))
    return _fit_already(plan, choice) or _made(plan)


def _source(content: bytes) -> _Source:
    """What the film in *content* is, the beginning of which is decoded to see that it is one."""
    with opened(content) as container:
        stream, sound = reading.film_stream(container), reading.sound_stream(container)
        if stream is None:
            raise unfit("no_film", "there is no film in it: correct the row's URL, or put a sound into audio_url")
        if (first := next(reading.film_frames(container, stream), None)) is None:
            raise unfit("corrupt", "its pictures cannot be decoded: mend or remove it")
        if (seconds := reading.length_s(container, stream) or 1.0) > reading.MOST_S:
            raise reading.endless()
        codecs = [one.codec_context.name for one in (stream, sound) if one]
        quarters = round(first[1].rotation / 90) % 4
        shape = stream.sample_aspect_ratio or 1
        width, height = round(stream.width * (shape if _ODD < shape < 1 / _ODD else 1)), stream.height
        fps = float(stream.average_rate or stream.guessed_rate or 1)
        return _Source(
            facts=Facts(
                width=height if quarters % 2 else width,
                height=width if quarters % 2 else height,
                seconds=seconds,
            ),
            quarters=quarters,
            fps=min(max(fps, 1.0), MOST_FPS),
            sound=(sound.rate, sound.channels) if sound else None,
            fit=codecs in (["h264"], ["h264", "aac"]) and container.format.name.startswith("mov,"),
            mp4=container.metadata.get("major_brand") != "qt  ",
        )


def _pictures(plan: _Plan, number: int) -> tuple[Inline, ...]:
    """*number* pictures as JPEG, from the middles of as many equal parts of the film; fewer where it has no more."""
    part_s = (plan.end_s - plan.start_s) / number
    times = [plan.start_s + part_s * (place + 0.5) for place in range(number)] if part_s > 0 else []
    for quality in _QUALITIES:
        made, before = [], None
        for frame in reading.shown(plan.content, times, hurried=part_s > 0 and _hurried(plan, part_s)):
            if frame is not before:
                made.append(_jpeg(_upright(frame, plan.size, plan.source.quarters, "rgb24"), quality))
            before = frame
        if not made:
            raise _no_film()
        if sum(map(len, made)) <= plan.most_bytes:
            width, height = plan.size
            return tuple(Inline(mime="image/jpeg", content=one, width=width, height=height) for one in made)
    raise unfit(
        "too_large",
        f"{number} pictures do not fit into {plan.most_bytes:,} bytes: lower media.frames or media.max_side",
    )


def _jpeg(frame: VideoFrame, quality: int) -> bytes:
    to = io.BytesIO()
    frame.to_image().save(to, "JPEG", quality=quality)  # type: ignore[no-untyped-call]  # av's types lack it
    return to.getvalue()


def _fit_already(plan: _Plan, choice: Choice) -> Inline | None:
    """The film as it is, or copied into an MP4, where nothing else is to be done to it."""
    source, facts = plan.source, plan.source.facts
    whole = plan.start_s <= 0 and plan.end_s >= (facts.seconds or 0) - ENDS_S and choice.way == "whole"
    if not whole or not source.fit or source.quarters or len(plan.content) > plan.most_bytes:
        return None
    try:
        content = plan.content if source.mp4 else _copied(plan.content)
    except MediaError:  # its packets are in no order that an MP4 could have
        return None
    if len(content) > plan.most_bytes:
        return None
    return Inline(mime=MP4, content=content, width=facts.width, height=facts.height, seconds=facts.seconds)


def _copied(content: bytes) -> bytes:
    """The film in *content* in an MP4, as it was written."""
    import av  # noqa: PLC0415 - for those who send media of their own

    file = io.BytesIO()
    with opened(content) as container, av.open(file, "w", format="mp4", container_options=_BARE) as out:
        kept = [one for one in (reading.film_stream(container), reading.sound_stream(container)) if one]
        copies = {one.index: out.add_stream_from_template(one) for one in kept}
        for packet in container.demux(*kept):
            if packet.dts is not None:
                packet.stream = copies[packet.stream_index]
                out.mux(packet)
    return file.getvalue()


def _made(plan: _Plan) -> Inline:
    """The film as MP4 of H.264 and AAC, smaller where it has to be."""
    seconds = max(plan.end_s - plan.start_s, 1.0)
    need = _BITS_PER_PIXEL * min(1.0, math.sqrt(2 / plan.fps)) * plan.fps  # a second; frames that are near are alike
    for share in _SHARES:
        bits = plan.most_bytes * 8 * share / seconds
        sound = min(_SOUND_BITS * plan.sound[1], bits / 3) if plan.sound else 0
        if (pixels := (bits - sound) / need) < _LEAST_PIXELS:
            break
        scale = min(1.0, math.sqrt(pixels / math.prod(plan.size)))
        size = [max(2, round(side * scale / 2) * 2) for side in plan.size]
        if content := _encoded(plan, (size[0], size[1]), round(bits - sound), round(sound)):
            return Inline(mime=MP4, content=content, width=size[0], height=size[1], seconds=plan.end_s - plan.start_s)
    said = f"{seconds:,.0f} s of film do not fit into {plan.most_bytes:,} bytes"
    raise unfit("too_large", f"{said}: cut it into pieces (media.split_s), or raise media.max_body_bytes")


def _encoded(plan: _Plan, size: tuple[int, int], film_bits: int, sound_bits: int) -> bytes | None:
    """The film in so many bits a second, written as it is read; None where it comes to more bytes than it may."""
    import av  # noqa: PLC0415 - as above
    from av.codec.context import Flags  # noqa: PLC0415 - as above

    file = io.BytesIO()
    options = {"bf": "0", "crf": "28", "preset": "veryfast", "threads": "1", "g": str(math.ceil(plan.fps * 5))}
    options |= {"maxrate": str(film_bits), "bufsize": str(film_bits * 4)}
    with opened(plan.content), av.open(file, "w", format="mp4", container_options=_BARE) as out:
        stream = out.add_stream("libx264", rate=plan.fps, options=options)
        stream.width, stream.height, stream.pix_fmt = *size, "yuv420p"
        stream.codec_context.time_base = Fraction(1, _TICKS)
        stream.codec_context.flags |= Flags.frame_duration  # that of the last frame, so that the film ends when it ends
        tracks: list[Iterator[Packet[Any]]] = [_packets(plan, stream)]
        if plan.sound:
            form = Form(mime=MP4, rate=plan.sound[0], channels=plan.sound[1], bits_per_s=sound_bits)
            span = {"start_s": plan.start_s, "end_s": plan.end_s}
            tracks.append(
                track(out, form, reading.samples(plan.content, rate=form.rate, channels=form.channels, **span))
            )
        for packet in heapq.merge(*tracks, key=_decoded_s):
            out.mux(packet)
            if file.tell() > plan.most_bytes:
                return None
    content = file.getvalue()
    return content if len(content) <= plan.most_bytes else None


def _decoded_s(packet: Packet[Any]) -> Fraction:
    """When *packet* is decoded: the order in which a file has its tracks."""
    return (packet.dts or 0) * packet.time_base


def _packets(plan: _Plan, stream: VideoStream) -> Iterator[Packet[VideoStream]]:
    """The pictures of the film, as *stream* encodes them."""
    before = picture = None
    number = -1
    for number, frame in enumerate(reading.shown(plan.content, plan.times, hurried=_hurried(plan, 1 / plan.fps))):
        if number * stream.width * stream.height > reading.MOST_PIXELS:
            raise reading.endless()
        if picture is None or frame is not before:
            before, picture = frame, _upright(frame, (stream.width, stream.height), plan.source.quarters, "yuv420p")
        start = round(number / plan.fps * _TICKS)
        end = min(round((number + 1) / plan.fps * _TICKS), round((plan.end_s - plan.start_s) * _TICKS))
        picture.pts, picture.duration, picture.time_base = start, end - start, Fraction(1, _TICKS)
        yield from stream.encode(picture)
    if number < 0:
        raise _no_film()
    yield from stream.encode(None)


def _hurried(plan: _Plan, every_s: float | Fraction) -> bool:
    return plan.source.fps >= max(_HURRY_FPS, _HURRY_FRAMES / every_s)


def _upright(frame: VideoFrame, size: tuple[int, int], quarters: int, form: str) -> VideoFrame:
    """*frame* at *size*, turned."""
    import av  # noqa: PLC0415 - as above
    from av.video.frame import PictureType  # noqa: PLC0415 - as above

    if not quarters:
        frame = frame.reformat(*size, form, interpolation="AREA")
        frame.pict_type = PictureType.NONE  # the encoder chooses
        return frame
    width, height = size[::-1] if quarters % 2 else size
    pixels: Any = frame.reformat(width, height, "rgb24", interpolation="AREA").to_ndarray()
    turned = av.VideoFrame.from_ndarray(np.ascontiguousarray(np.rot90(pixels, quarters)), format="rgb24")
    return turned.reformat(format=form)


def _no_film() -> MediaError:
    return unfit("no_film", "there is no film in the seconds that are asked for: correct media.clip_s")
