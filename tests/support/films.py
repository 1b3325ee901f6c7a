"""Small sounds and films of known content, made on the spot."""

from __future__ import annotations

import io
from fractions import Fraction

import av
import numpy as np

RATE = 16_000
RED, GREEN, BLUE, WHITE = (200, 30, 30), (30, 170, 30), (30, 30, 200), (230, 230, 230)

_SOUNDS = {  # by kind: container, codec
    "wav": ("wav", "pcm_s16le"),
    "mp3": ("mp3", "libmp3lame"),
    "m4a": ("ipod", "aac"),
    "mp4": ("mp4", "aac"),
    "ogg": ("ogg", "libopus"),
    "flac": ("flac", "flac"),
    "webm": ("webm", "libopus"),
    "ts": ("mpegts", "libmp3lame"),
}
_FILMS = {  # by kind: container, its options
    "mp4": ("mp4", {}),
    "mov": ("mov", {}),
    "mkv": ("matroska", {}),
    "avi": ("avi", {}),
    "live": ("matroska", {"live": "1"}),  # as browsers record
}


def tone(*parts, rate=RATE, channels=1):
    """Samples of 16 bits: for each part its seconds and its loudness (0 is silence), a sine of 440 Hz."""
    loudness = np.concatenate([np.full(round(seconds * rate), level) for seconds, level in parts])
    wave = np.sin(2 * np.pi * 440 * np.arange(len(loudness)) / rate) * loudness
    return np.repeat((wave * 32767).astype(np.int16)[:, None], channels, axis=1)


def sound(values, kind="wav", rate=RATE, *, cover=False):
    """A file of *kind* that holds *values*, with a picture attached if wanted."""
    file = io.BytesIO()
    name, codec = _SOUNDS[kind]
    with av.open(file, "w", format=name) as out:
        stream = out.add_stream(codec, rate=rate, layout="mono" if values.shape[1] == 1 else "stereo")
        picture = _cover(out) if cover else None
        if picture:
            out.mux(picture.encode(av.VideoFrame.from_ndarray(np.full((48, 48, 3), RED, np.uint8), format="rgb24")))
            out.mux(picture.encode(None))
        out.mux(_encoded(stream, values, rate))
    return file.getvalue()


def _cover(out):
    stream = out.add_stream("mjpeg", rate=1)
    stream.width, stream.height, stream.pix_fmt = 48, 48, "yuvj420p"
    stream.disposition = av.stream.Disposition.attached_pic
    return stream


def film(*scenes, per_s=8, size=(64, 48), kind="mp4", **more):
    """A film of H.264: for each scene its seconds and its colour, with a key frame each second.

    More: `values`, the samples of its sound; `rotation`, the degrees by which players turn it counterclockwise;
    `ticks`, the times of its frames in 1/`per_s` of a second where they are not evenly spread; `late_s`, when its sound
    begins; `key_every`, the frames from one key frame to the next; `shape`, how wide a pixel is to its height.
    """
    file = io.BytesIO()
    name, container_options = _FILMS[kind]
    with av.open(file, "w", format=name, container_options=container_options) as out:
        options = {"sc_threshold": "0", "g": str(more.get("key_every", per_s)), "threads": "1", "crf": "10", "bf": "0"}
        stream = out.add_stream("libx264", rate=per_s, options=options)
        stream.width, stream.height, stream.pix_fmt = *size, "yuv420p"
        stream.codec_context.sample_aspect_ratio = more.get("shape", Fraction(1))
        if more.get("rotation"):
            stream.set_display_rotation(more["rotation"])
        voice = out.add_stream("aac", rate=RATE, layout="mono") if "values" in more else None
        colours = [colour for seconds, colour in scenes for _ in range(round(seconds * per_s))]
        for tick in more.get("ticks", range(len(colours))):
            out.mux(stream.encode(_still(colours[tick], size, tick, per_s)))
        out.mux(stream.encode(None))
        if voice:
            out.mux(_encoded(voice, more["values"], RATE, more.get("late_s", 0)))
    return file.getvalue()


def _still(colour, size, tick, per_s):
    """A frame of one colour, its upper left quarter white."""
    pixels = np.full((size[1], size[0], 3), colour, np.uint8)
    pixels[: size[1] // 2, : size[0] // 2] = WHITE
    frame = av.VideoFrame.from_ndarray(pixels, format="rgb24")
    frame.pts, frame.time_base = tick, Fraction(1, per_s)
    return frame


def _encoded(stream, values, rate, late_s=0):
    layout = "mono" if values.shape[1] == 1 else "stereo"
    frame = av.AudioFrame.from_ndarray(values.reshape(1, -1), format="s16", layout=layout)
    frame.rate, frame.pts, frame.time_base = rate, late_s * rate, Fraction(1, rate)
    return [*stream.encode(frame), *stream.encode(None)]


def emptied(content):
    """An MP4 that says what it holds, and holds zeros."""
    begin, end = content.index(b"mdat") + 4, content.index(b"moov") - 4
    return content[:begin] + bytes(end - begin) + content[end:]


def pictures(content):
    """The pictures of a film as it says them: time in seconds, and pixels as they are to be shown, rotation ignored."""
    with av.open(io.BytesIO(content)) as container:
        return [(frame.time, frame.to_ndarray(format="rgb24")) for frame in container.decode(video=0)]


def heard(content):
    """The samples of a file, from -1 to 1, as rows of channels, and their rate."""
    with av.open(io.BytesIO(content)) as container:
        resampler = av.AudioResampler(format="fltp")
        frames = [made for frame in container.decode(audio=0) for made in resampler.resample(frame)]
        return np.concatenate([frame.to_ndarray() for frame in frames], axis=1), frames[0].sample_rate


def nearest(pixel):
    """The colour of the above that *pixel* is nearest to."""
    return min(
        (RED, GREEN, BLUE, WHITE), key=lambda colour: sum((int(a) - b) ** 2 for a, b in zip(pixel, colour, strict=True))
    )
