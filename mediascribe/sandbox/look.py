"""Look: what the real bytes of an image, a sound or a video say about themselves.

Everything an answer says comes from here, so a description that names the wrong size means that the wrong bytes came.
"""

from __future__ import annotations

import io
import struct
import warnings
import zlib
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Final, Literal

import av
import numpy as np
from PIL import Image

Kind = Literal["image", "audio", "video"]
KINDS: Final[tuple[Kind, ...]] = ("image", "audio", "video")
MAX_PIXELS: Final = 40_000_000
_IMAGE_FORMATS: Final = ("PNG", "JPEG", "WEBP", "GIF")
_STREAM_FORMATS: Final = "wav,mp3,mov,mp4,m4a,matroska,webm,ogg,flac,aac,avi,flv,mpeg,mpegts,asf,aiff"
_COLOURS: Final[dict[str, tuple[int, int, int]]] = {
    "black": (0, 0, 0),
    "dark grey": (70, 70, 70),
    "grey": (128, 128, 128),
    "light grey": (195, 195, 195),
    "white": (255, 255, 255),
    "red": (220, 30, 30),
    "dark red": (120, 10, 10),
    "pink": (245, 160, 180),
    "orange": (245, 140, 20),
    "brown": (120, 75, 40),
    "beige": (225, 205, 170),
    "yellow": (245, 225, 50),
    "olive": (120, 120, 30),
    "green": (40, 170, 60),
    "dark green": (10, 80, 30),
    "light green": (150, 220, 140),
    "turquoise": (50, 200, 190),
    "light blue": (140, 195, 240),
    "blue": (30, 90, 220),
    "dark blue": (15, 30, 110),
    "purple": (120, 40, 160),
}
_COLOUR_SHARE: Final = 0.1
_DARK, _BRIGHT = 85, 170
_SILENCE: Final = 1e-5  # RMS of full scale: -100 dBFS
_HEARD_S: Final = 10
_WINDOW: Final = 1024
_VOICE_HZ: Final = (200, 4000)
_NOISE_FLATNESS: Final = 0.1
_QUIET: Final = 0.1
_SPEECH_PAUSES: Final = 0.15


class UnreadableError(Exception):
    """The bytes are no image, sound or video that can be looked at."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """An image: its size in pixels, its format, up to three colour names by share, how bright it is."""

    width: int
    height: int
    format: str
    colours: tuple[str, ...]
    brightness: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Sound:
    """A sound: its exact length, its loudness over all of it (None: silence), and what it resembles."""

    duration_s: Fraction
    sample_rate: int
    channels: int
    loudness_dbfs: float | None
    character: Literal["silence", "tonal", "speech-like", "noise"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Clip:
    """A video: its length, its frames, whether it has a sound track, and its first frame as a picture."""

    duration_s: Fraction
    frames: int
    per_s: float
    has_sound: bool
    first: Picture


Facts = Picture | Sound | Clip


def look(kind: Kind, content: bytes) -> Facts:
    """What *content* holds.

    Raises:
        UnreadableError: it holds no such medium, or a broken one.
    """
    if kind == "image":
        return _picture(content)
    try:
        with _opened(content) as container:
            return _sound(container) if kind == "audio" else _clip(container)
    except (av.FFmpegError, ValueError, ArithmeticError, StopIteration) as error:
        raise UnreadableError(f"invalid {kind} content: {type(error).__name__}") from error


def _picture(content: bytes) -> Picture:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            image = Image.open(io.BytesIO(content), formats=_IMAGE_FORMATS)
        width, height = image.size
        if width * height > MAX_PIXELS:
            raise UnreadableError(f"image of {width}x{height} pixels is too large")
        image.draft("RGB", (64, 64))
        pixels = _thumbnail(image)
    except (OSError, SyntaxError, ValueError, struct.error, zlib.error, Image.DecompressionBombError) as error:
        raise UnreadableError(f"invalid image content: {type(error).__name__}") from error
    return _described(pixels, width, height, str(image.format))


def _thumbnail(image: Image.Image) -> np.ndarray[Any, np.dtype[np.float64]]:
    """At most 48 by 48 pixels, transparent ones on white."""
    if image.mode in {"P", "PA", "LA", "RGBA"}:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    small = image.convert("RGB").resize((min(48, image.width), min(48, image.height)), Image.Resampling.BOX)
    return np.asarray(small, dtype=np.float64).reshape(-1, 3)


def _described(pixels: np.ndarray[Any, Any], width: int, height: int, name: str) -> Picture:
    palette = np.array(list(_COLOURS.values()), dtype=np.float64)
    nearest = np.argmin(((pixels[:, None, :] - palette[None, :, :]) ** 2).sum(axis=2), axis=1)
    counts = np.bincount(nearest, minlength=len(palette))
    order = np.argsort(-counts, kind="stable")[:3]
    names = list(_COLOURS)
    colours = [names[place] for place in order if counts[place] >= _COLOUR_SHARE * len(pixels)]
    luma = float((pixels @ np.array([0.299, 0.587, 0.114])).mean())
    brightness = "dark" if luma < _DARK else "bright" if luma > _BRIGHT else "of medium brightness"
    return Picture(
        width=width,
        height=height,
        format=name,
        colours=tuple(colours) or (names[int(order[0])],),
        brightness=brightness,
    )


def _opened(content: bytes) -> Any:  # noqa: ANN401 - PyAV's containers are untyped here
    """A container that may read *content* and nothing else: playlists and references to other files are refused."""
    options = {"format_whitelist": _STREAM_FORMATS, "protocol_whitelist": "none"}
    return av.open(io.BytesIO(content), mode="r", options=options, metadata_errors="replace")


def _sound(container: Any) -> Sound:  # noqa: ANN401 - likewise
    if not container.streams.audio:
        raise UnreadableError("there is no sound in it")
    stream = container.streams.audio[0]
    mono = av.AudioResampler(format="flt", layout="mono", rate=stream.rate)
    samples, energy, heard = 0, 0.0, np.zeros(0)
    for frame in container.decode(stream):
        samples += frame.samples
        for part in mono.resample(frame):
            values = part.to_ndarray().reshape(-1).astype(np.float64)
            energy += float(values @ values)
            if len(heard) < _HEARD_S * stream.rate:
                heard = np.concatenate((heard, values))
    if samples == 0:
        raise UnreadableError("there is no sound in it")
    rms = (energy / samples) ** 0.5
    return Sound(
        duration_s=Fraction(samples, stream.rate),
        sample_rate=stream.rate,
        channels=stream.channels,
        loudness_dbfs=round(20 * float(np.log10(rms)), 1) if rms > _SILENCE else None,
        character=_character(heard, stream.rate) if rms > _SILENCE else "silence",
    )


def _character(heard: np.ndarray[Any, Any], rate: int) -> Literal["tonal", "speech-like", "noise"]:
    """By two measures over windows: how flat the spectrum is where voices are, and the share of pauses."""
    whole = heard[: len(heard) // _WINDOW * _WINDOW] if len(heard) >= _WINDOW else np.resize(heard, _WINDOW)
    windows = whole.reshape(-1, _WINDOW)
    levels = np.sqrt((windows**2).mean(axis=1))
    loud = levels > _QUIET * levels.max()
    low, high = (int(hertz / rate * _WINDOW) for hertz in _VOICE_HZ)
    power = np.abs(np.fft.rfft(windows[loud] * np.hanning(_WINDOW), axis=1)[:, low : max(high, low + 2)]) ** 2 + 1e-12
    flatness = float(np.median(np.exp(np.log(power).mean(axis=1)) / power.mean(axis=1)))
    if flatness > _NOISE_FLATNESS:
        return "noise"
    return "speech-like" if 1 - loud.mean() > _SPEECH_PAUSES else "tonal"


def _clip(container: Any) -> Clip:  # noqa: ANN401 - likewise
    if not container.streams.video:
        raise UnreadableError("there is no video in it")
    stream = container.streams.video[0]
    if stream.width * stream.height > MAX_PIXELS:
        raise UnreadableError(f"video of {stream.width}x{stream.height} pixels is too large")
    first = next(container.decode(stream))
    frames, rate = _frames(container, stream), Fraction(stream.average_rate or 1)
    pixels = _thumbnail(first.to_image())
    return Clip(
        duration_s=Fraction(stream.duration * stream.time_base) if stream.duration else frames / rate,
        frames=frames,
        per_s=round(float(rate), 2),
        has_sound=bool(container.streams.audio),
        first=_described(pixels, first.width, first.height, "frame"),
    )


def _frames(container: Any, stream: Any) -> int:  # noqa: ANN401 - likewise
    """The number of frames, as the container's index says, else counted without decoding them."""
    if stream.frames:
        return int(stream.frames)
    container.seek(0)
    return sum(1 for packet in container.demux(stream) if packet.size)
