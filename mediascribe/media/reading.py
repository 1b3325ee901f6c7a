"""How sounds and films are opened and read.

Rules of this file:

- A time is in seconds from the beginning of the whole medium, whatever its own clock begins with.
- The bytes may be hostile: nothing beyond them is opened, and a bounded amount of them is decoded.
- A damaged packet is left out, as players do; a medium of which much is damaged is refused.
"""

from __future__ import annotations

import io
import math
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final, TypeVar

import numpy as np

from mediascribe.domain import Failure
from mediascribe.errors import MediaError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from av import AudioFrame, VideoFrame
    from av.audio.stream import AudioStream
    from av.container import InputContainer
    from av.video.stream import VideoStream

    _Stream = TypeVar("_Stream", AudioStream, VideoStream)
    Samples = np.ndarray[Any, np.dtype[np.int16]]

MOST_S: Final = 24 * 3600.0
MOST_FRAMES: Final = 5_000_000
MOST_FRAME_PIXELS: Final = 8192 * 4608
MOST_PIXELS: Final = 500_000_000_000  # two hours and a bit of 1920 x 1080 at 30 a second

_FORMATS: Final = "wav,mp3,mov,mp4,m4a,matroska,webm,ogg,flac,aac,avi,flv,mpeg,mpegts,asf,aiff"
_MICROSECONDS: Final = 1_000_000  # of a container's own times
_BAD_PACKETS: Final = 10
_SEEK_S: Final = 5.0  # pictures further apart are sought, not read up to
_LAST_S: Final = 1.0  # for which a last picture stays of which nothing is said
_SOON_S: Final = 0.001  # containers round times to as much
_GAP_S: Final = 0.1  # less than this between two sounds is their clock's inexactness
_RUN_UP_S: Final = 1.0  # a decoder is in its stride after it


@contextmanager
def opened(content: bytes) -> Iterator[InputContainer]:
    """A container that may read *content* and nothing else: playlists and references to other files are refused.

    Raises:
        MediaError: it cannot be read, here or in the block.
    """
    import av  # noqa: PLC0415 - for those who send media of their own

    options = {"format_whitelist": _FORMATS, "protocol_whitelist": "none", "max_pixels": str(MOST_FRAME_PIXELS)}
    try:
        with av.open(io.BytesIO(content), mode="r", options=options, metadata_errors="replace") as container:
            yield container
    except (av.FFmpegError, ValueError, ArithmeticError, LookupError, RuntimeError) as error:
        raise unfit("corrupt", f"the medium cannot be read ({type(error).__name__}): mend or remove it") from error


def unfit(code: str, message: str) -> MediaError:
    """The error of a medium that cannot be sent."""
    return MediaError(Failure(error_class="media", code=code, message=message, unasked=True))


def sound_stream(container: InputContainer) -> AudioStream | None:
    """The sound in *container*, which a film may be without."""
    return next((_bounded(stream) for stream in container.streams.audio if stream.codec_context is not None), None)


def film_stream(container: InputContainer) -> VideoStream | None:
    """The film in *container*; the cover of a record is none."""
    from av.stream import Disposition  # noqa: PLC0415 - as above

    covers = Disposition.attached_pic | Disposition.timed_thumbnails
    for stream in container.streams.video:
        if stream.codec_context is not None and not stream.disposition & covers:
            return _bounded(stream)
    return None


def _bounded(stream: _Stream) -> _Stream:
    """*stream* with pictures of a bearable size, decoded by the thread that asks: the media lane has as many as do."""
    if not stream.codec_context.is_open:
        stream.codec_context.thread_count = 1
        stream.codec_context.options = {"max_pixels": str(MOST_FRAME_PIXELS)}
    return stream


def length_s(container: InputContainer, stream: AudioStream | VideoStream) -> float:
    """How long *container* says that it lasts; else, how far *stream* goes."""
    if container.duration and container.duration > 0:
        return container.duration / _MICROSECONDS
    ends = (packet.pts * packet.time_base for packet in container.demux(stream) if packet.pts is not None)
    return max(0.0, float(max(ends, default=0)) - _origin_s(container))


def _seek(container: InputContainer, stream: AudioStream | VideoStream, time_s: float) -> None:
    """Go on reading with the last key frame before *time_s*."""
    if time_s > 0 and stream.time_base:
        container.seek(int((time_s + _origin_s(container)) / stream.time_base), stream=stream)


def film_frames(container: InputContainer, stream: VideoStream) -> Iterator[tuple[float, VideoFrame]]:
    """The pictures of *stream*, each with its time."""
    origin_s, pixels = _origin_s(container), 0
    for frame in _decoded(container, stream):
        pixels += frame.width * frame.height
        if pixels > MOST_PIXELS:
            raise endless()
        yield _time_s(frame, origin_s), frame


def shown(content: bytes, times: Iterable[float], *, hurried: bool = False) -> Iterator[VideoFrame]:
    """What a film shows at each of *times*, which rise; it ends with the film.

    *hurried* says that the last frame before that others build on will do: a third of the work is saved.
    """
    with opened(content) as container:
        if (stream := film_stream(container)) is None:
            return
        stream.codec_context.skip_frame = "NONREF" if hurried else "DEFAULT"
        reader, held_s, held, seeks = film_frames(container, stream), -math.inf, None, True
        ahead = next(reader, None)
        for time_s in times:
            if seeks and ahead and time_s - ahead[0] > _SEEK_S:
                _seek(container, stream, time_s)
                reader, before_s = film_frames(container, stream), ahead[0]
                ahead = next(reader, None)
                seeks = ahead is not None and ahead[0] > before_s  # else there are no key frames to go to
            while ahead and ahead[0] <= time_s + _SOON_S:
                held_s, held = ahead
                ahead = next(reader, None)
            if ahead is not None:
                yield ahead[1] if held is None else held
            elif held is not None and time_s < held_s + _lasts_s(held):
                yield held
            else:
                return


def samples(
    content: bytes, *, rate: int, channels: int, start_s: float = 0.0, end_s: float = math.inf
) -> Iterator[Samples]:
    """The sound in *content* from *start_s* to *end_s*, cut to the sample: blocks of shape (samples, channels).

    What is missing in its beginning or middle is silence, so that times hold.
    """
    at, last = round(start_s * rate), round(min(end_s, MOST_S) * rate)
    with opened(content) as container:
        if (stream := sound_stream(container)) is None:
            return
        _seek(container, stream, start_s - _RUN_UP_S)
        for place, block in _placed(_resampled(container, stream, rate, channels), rate):
            end = min(last, place + len(block))
            while at < min(place, end):
                silent = min(rate, min(place, end) - at)
                yield np.zeros((silent, channels), np.int16)
                at += silent
            if at < end:
                yield block[at - place : end - place]
                at = end
            if at >= last:
                return


def _placed(blocks: Iterator[tuple[float, Samples]], rate: int) -> Iterator[tuple[int, Samples]]:
    """Each of *blocks* with the number of its first sample: one after the other, but where the file has a gap."""
    place = None
    for time_s, block in blocks:
        if time_s > MOST_S:
            raise endless()
        wanted = round(time_s * rate)
        if place is None or wanted - place > _GAP_S * rate:
            place = wanted
        yield place, block
        place += len(block)


def _resampled(
    container: InputContainer, stream: AudioStream, rate: int, channels: int
) -> Iterator[tuple[float, Samples]]:
    """The sound of *stream* as 16 bits at *rate*, each block with the time of the sound that it comes from."""
    import av  # noqa: PLC0415 - as above

    origin_s, form, resampler, time_s = _origin_s(container), None, None, 0.0
    layout = "mono" if channels == 1 else "stereo"

    def blocks(frame: AudioFrame | None) -> Iterator[tuple[float, Samples]]:
        made: AudioFrame
        for made in resampler.resample(frame) if resampler else ():
            yield time_s, made.to_ndarray().reshape(-1, channels)

    for frame in _decoded(container, stream):
        if form != (form := (frame.format.name, frame.layout.name, frame.sample_rate)):
            yield from blocks(None)
            resampler = av.AudioResampler(format="s16", layout=layout, rate=rate)
        time_s = _time_s(frame, origin_s)
        yield from blocks(frame)
    yield from blocks(None)


def _decoded(container: InputContainer, stream: AudioStream | VideoStream) -> Iterator[Any]:
    """The frames of *stream* from where *container* stands."""
    from av.error import InvalidDataError  # noqa: PLC0415 - as above

    seen = bad = 0
    for packet in container.demux(stream):
        try:
            frames = packet.decode()
        except InvalidDataError:
            bad += 1
            if bad > _BAD_PACKETS + seen // 10:
                raise
            continue
        seen += max(1, len(frames))
        if seen > MOST_FRAMES:
            raise endless()
        yield from frames


def endless() -> MediaError:
    """The error of a medium that would take too long to decode or to write."""
    most = f"{MOST_S / 3600:.0f} hours, {MOST_FRAMES:,} frames or {MOST_PIXELS:,} pixels"
    return unfit("too_long", f'the medium has more than {most}: send it by URL (media.mode = "probe"), or clip it')


def _lasts_s(frame: VideoFrame) -> float:
    """How long *frame* stays, if it is the last."""
    return float(frame.duration * (frame.time_base or 0)) or _LAST_S


def _origin_s(container: InputContainer) -> float:
    """What the container's clock says at its beginning."""
    return (container.start_time or 0) / _MICROSECONDS


def _time_s(frame: AudioFrame | VideoFrame, origin_s: float) -> float:
    return max(0.0, (frame.time or 0.0) - origin_s)
