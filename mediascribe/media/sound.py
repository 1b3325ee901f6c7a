"""Sound made fit to send: of a type that the model takes, as fine as it hears, and no larger than it may be.

Rules of this file:

- A sound that is fit already is not touched: what is written anew loses a little.
- MP3 and WAV are what every model with ears takes (gateway notes 2.3 and 3.1): other types become one of them.
- Nothing is made so coarse that speech suffers: a sound that is then still too large is refused, and may be split.
"""

from __future__ import annotations

import io
import math
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, Any, Final

from mediascribe.media.reading import length_s, opened, samples, sound_stream, unfit
from mediascribe.media.shrink import Inline

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from av import AudioFrame, Packet
    from av.audio.stream import AudioStream
    from av.container import InputContainer, OutputContainer

    from mediascribe.job_sections import MediaSection
    from mediascribe.media.pieces import Piece
    from mediascribe.media.reading import Samples
    from mediascribe.models import Model

MP3: Final = "audio/mpeg"
WAV: Final = "audio/wav"
_SPELLINGS: Final = {"audio/mp3": MP3, "audio/x-wav": WAV, "audio/wave": WAV}

HEARD_RATE: Final = 16_000  # of Gemini, in one channel: more is thrown away unheard. Not stated by the site
RATES: Final = (16_000, 22_050, 24_000, 32_000, 44_100, 48_000)  # that MP3 has and every decoder knows
_COARSE: Final = 24_000  # rates up to this one go with lower bit rates
_SPEECH_BITS: Final = (64_000, 48_000, 32_000, 24_000, 16_000)  # a second; the last is the least for speech
_MUSIC_BITS: Final = (128_000, 96_000, 64_000, 48_000, 32_000)
_SAMPLE_BYTES: Final = 2
_HEADER_BYTES: Final = 4096
ENDS_S: Final = 0.05  # a clip that ends so near to the end leaves it


@dataclass(frozen=True, slots=True, kw_only=True)
class Form:
    """A way of writing a sound. `bits_per_s` is None where each sample is written as it is."""

    mime: str
    rate: int
    channels: int
    bits_per_s: int | None = None

    def bytes(self, seconds: float) -> int:
        """What *seconds* of it take, and a little more."""
        bits_per_s = self.bits_per_s or self.rate * self.channels * _SAMPLE_BYTES * 8
        return math.ceil(seconds * bits_per_s / 8) + _HEADER_BYTES


@dataclass(frozen=True, slots=True, kw_only=True)
class _Source:
    """What a sound is. `mime` is None for a type that has to become another; `exact`: nothing of it was lost so far."""

    mime: str | None
    exact: bool
    rate: int
    channels: int
    seconds: float


def sound(
    content: bytes, *, model: Model | None, section: MediaSection, most_bytes: int, piece: Piece | None = None
) -> Inline:
    """The sound in *content*, or *piece* of it, as it may be sent to *model* in *most_bytes*.

    A file passes untouched where its type is taken, nothing is cut off, and it has no more than *most_bytes*; but a WAV
    that is finer than the model hears is made as fine as it hears.

    Raises:
        MediaError: `corrupt`: it cannot be read; `no_sound`: there is none in it, or none where it is cut;
            `too_large`: it does not fit; `too_long`: more would have to be decoded than is bearable.
    """
    start_s, end_s = bounds(section, piece)
    with opened(content) as container:
        source = _source(container, content)
        types = _types(model)
        cut = start_s > 0 or end_s < source.seconds - ENDS_S
        if source.mime in types and not cut and len(content) <= most_bytes and not _too_fine(source, model):
            return Inline(mime=source.mime, content=content, width=None, height=None, seconds=source.seconds)
        seconds = max(0.0, min(end_s, source.seconds) - start_s)
        forms = list(_forms(source, model, types))
        likely = [form for form in forms if form.bytes(seconds) <= most_bytes]
        for form in likely or forms[-1:]:  # its length may be wrong
            blocks = samples(content, rate=form.rate, channels=form.channels, start_s=start_s, end_s=end_s)
            if made := _written(blocks, form, most_bytes):
                return Inline(mime=form.mime, content=made[0], width=None, height=None, seconds=made[1])
    said = f"{seconds:,.0f} s of sound do not fit into {most_bytes:,} bytes"
    raise unfit("too_large", f"{said}: cut it into pieces (media.split_s), or raise media.max_body_bytes")


def bounds(section: MediaSection, piece: Piece | None) -> tuple[float, float]:
    """From which second to which *section* and *piece* leave a medium; the end is infinite where none is set."""
    start_s, end_s = section.clip_s or (0.0, math.inf)
    if piece is None:
        return start_s, end_s
    return max(start_s, piece.start_s), min(end_s, piece.end_s)


def heard(rate: int, channels: int, model: Model | None) -> tuple[int, int]:
    """The rate and the channels that a sound needs, of which *model* is to miss nothing."""
    most = HEARD_RATE if _hears_less(model) else RATES[-1]
    enough = next((one for one in RATES if one >= rate), RATES[-1])
    return min(most, enough), 1 if _hears_less(model) else min(2, channels)


def _source(container: InputContainer, content: bytes) -> _Source:
    """What the sound in *container* is, the beginning of which is decoded to see that it is one."""
    if (stream := sound_stream(container)) is None:
        raise unfit("no_sound", "there is no sound in it that can be heard: correct the row's URL, or its kind")
    codec, kind = stream.codec_context.name, container.format.name
    found = _Source(
        mime=MP3 if kind == "mp3" else WAV if kind == "wav" and codec == "pcm_s16le" else None,
        exact=codec.startswith(("pcm_", "flac", "alac")),
        rate=stream.rate,
        channels=stream.channels,
        seconds=length_s(container, stream),
    )
    if next(samples(content, rate=HEARD_RATE, channels=1), None) is None:
        raise unfit("corrupt", "its sound cannot be decoded: mend or remove it")
    return found


def _types(model: Model | None) -> tuple[str, ...]:
    """The types that *model* takes, of those that are written here."""
    known = [_SPELLINGS.get(mime, mime) for mime in (model.types if model else ())]
    return tuple(mime for mime in (MP3, WAV) if mime in known) or (MP3, WAV)


def _hears_less(model: Model | None) -> bool:
    return model is not None and model.family == "gemini"


def _too_fine(source: _Source, model: Model | None) -> bool:
    """Whether *source* has samples that *model* does not hear."""
    return source.mime == WAV and _hears_less(model) and (source.rate > HEARD_RATE or source.channels > 1)


def _forms(source: _Source, model: Model | None, types: tuple[str, ...]) -> Iterator[Form]:
    """The ways of writing *source* that *model* takes, the best first; the last ones are for speech."""
    rate, channels = heard(source.rate, source.channels, model)
    if WAV in types and (source.exact or MP3 not in types):
        yield Form(mime=WAV, rate=rate, channels=channels)
    if MP3 in types:
        for bits in _SPEECH_BITS if rate <= _COARSE else _MUSIC_BITS:
            yield Form(mime=MP3, rate=rate, channels=channels, bits_per_s=bits)
        if (rate, channels) != (HEARD_RATE, 1):
            for bits in _SPEECH_BITS[2:]:
                yield Form(mime=MP3, rate=HEARD_RATE, channels=1, bits_per_s=bits)
    elif (rate, channels) != (HEARD_RATE, 1):
        yield Form(mime=WAV, rate=HEARD_RATE, channels=1)


def _written(blocks: Iterator[Samples], form: Form, most_bytes: int) -> tuple[bytes, float] | None:
    """*blocks* as a file, and how many seconds it has; None where it comes to more than *most_bytes*."""
    import av  # noqa: PLC0415 - for those who send media of their own

    file, seconds = io.BytesIO(), 0.0
    kind, codec = ("mp3", "libmp3lame") if form.mime == MP3 else ("wav", "pcm_s16le")
    options = {"fflags": "bitexact"} | ({"id3v2_version": "0"} if form.mime == MP3 else {})
    with av.open(file, "w", format=kind, container_options=options) as out:
        stream: Any = out.add_stream(codec, rate=form.rate, layout=_layout(form.channels))
        if form.bits_per_s:
            stream.bit_rate = form.bits_per_s
            stream.codec_context.options = {"compression_level": "7"}  # the encoder's quicker half
        for frame in frames(blocks, form.rate):
            seconds += frame.samples / form.rate
            out.mux(stream.encode(frame))
            if file.tell() > most_bytes:
                return None
        if not seconds:
            raise unfit("no_sound", "there is no sound in the seconds that are asked for: correct media.clip_s")
        out.mux(stream.encode(None))
    content = file.getvalue()
    return (content, seconds) if len(content) <= most_bytes else None


def track(out: OutputContainer, form: Form, blocks: Iterable[Samples]) -> Iterator[Packet[AudioStream]]:
    """*blocks* as the sound of a film, a track of *out* that is there at once."""
    stream: Any = out.add_stream("aac", rate=form.rate, layout=_layout(form.channels))
    stream.bit_rate = form.bits_per_s

    def packets() -> Iterator[Packet[AudioStream]]:
        for frame in frames(blocks, form.rate):
            yield from stream.encode(frame)
        yield from stream.encode(None)

    return packets()


def frames(blocks: Iterable[Samples], rate: int) -> Iterator[AudioFrame]:
    """*blocks* of samples as an encoder takes them."""
    import av  # noqa: PLC0415 - for those who send media of their own

    count = 0
    for block in blocks:
        frame = av.AudioFrame.from_ndarray(block.reshape(1, -1), format="s16", layout=_layout(block.shape[1]))
        frame.rate, frame.pts, frame.time_base = rate, count, Fraction(1, rate)
        count += len(block)
        yield frame


def _layout(channels: int) -> str:
    return "mono" if channels == 1 else "stereo"
