"""The films: frames drawn one by one, with or without a sound track, stored as H.264 and AAC in MP4."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import av
import numpy as np
from PIL import Image, ImageDraw
from pixels import Size, flat, glow, grid, image, mix, noise, ramp, step
from sounds import Sound, frames, layout

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

FINE = 3  # a frame is drawn this many times too large
SOUND_RATE = 44_100
AAC_FRAME = 1024

BALL_SIZE = (320, 240)
BALL_PER_S = 15
BALL_FRAMES = 4 * BALL_PER_S
BOUNCE_S = 0.8  # from one touch of the floor to the next
FIRST_TOUCH_S = 0.4

CLOCK_SIZE = (256, 144)
CLOCK_PER_S = 10
CLOCK_FRAMES = 6 * CLOCK_PER_S

SUNRISE_SIZE = (320, 180)
SUNRISE_PER_S = 12
SUNRISE_FRAMES = 5 * SUNRISE_PER_S


def ball(path: Path) -> None:
    """A ball that bounces from left to right, with a beep at each bounce."""
    write(path, map(_ball_frame, range(BALL_FRAMES)), BALL_SIZE, BALL_PER_S, sound=_beeps())


def _ball_frame(number: int) -> Image.Image:
    time = number / BALL_PER_S
    rise = (time - FIRST_TOUCH_S) / BOUNCE_S % 1
    height = 4 * rise * (1 - rise)
    squash = 4 * max(0.0, 1 - height / 0.12)
    x, y = 30 + 260 * number / (BALL_FRAMES - 1), 186 - 130 * height + squash / 2
    large = Image.new("RGB", (BALL_SIZE[0] * FINE, BALL_SIZE[1] * FINE), "#dfe9f2")
    draw = ImageDraw.Draw(large)
    draw.rectangle(_large(0, 206, 320, 240), fill="#8a6f55")
    draw.ellipse(_large(x - 26 + 12 * height, 207, x + 26 - 12 * height, 217), fill="#6d563f")
    draw.ellipse(_large(x - 22 - squash, y - 22 + squash, x + 22 + squash, y + 22 - squash / 2), fill="#d8402f")
    draw.ellipse(_large(x - 12, y - 14, x - 3, y - 6), fill="#f5a79b")
    return large.resize(BALL_SIZE, Image.Resampling.BOX)


def _beeps() -> Sound:
    seconds = BALL_FRAMES / BALL_PER_S
    time = np.arange(round(seconds * SOUND_RATE)) / SOUND_RATE
    after = np.mod(time - FIRST_TOUCH_S, BOUNCE_S)
    beep = np.sin(2 * np.pi * 880 * after) * np.exp(-after * 22) * np.clip(after / 0.003, 0, 1)
    return (0.6 * beep * (time >= FIRST_TOUCH_S))[:, None]


def clock(path: Path) -> None:
    """A clock whose hand goes round once; silent."""
    write(path, map(_clock_frame, range(CLOCK_FRAMES)), CLOCK_SIZE, CLOCK_PER_S)


def _clock_frame(number: int) -> Image.Image:
    large = Image.new("RGB", (CLOCK_SIZE[0] * FINE, CLOCK_SIZE[1] * FINE), "#2f4858")
    draw = ImageDraw.Draw(large)
    draw.ellipse(_large(66, 10, 190, 134), fill="#f7f3e8", outline="#c9a24b", width=5 * FINE)
    for mark in range(12):
        inner = 44 if mark % 3 == 0 else 49
        draw.line((*_on_dial(mark / 12, inner), *_on_dial(mark / 12, 54)), fill="#2b2b2b", width=2 * FINE)
    draw.line((*_on_dial(10 / 12, 0), *_on_dial(10 / 12, 30)), fill="#2b2b2b", width=5 * FINE)
    draw.line((*_on_dial(0.15, 0), *_on_dial(0.15, 43)), fill="#2b2b2b", width=3 * FINE)
    turn = number / CLOCK_FRAMES
    draw.line((*_on_dial(turn, -10), *_on_dial(turn, 48)), fill="#c8322b", width=2 * FINE)
    draw.ellipse(_large(124, 68, 132, 76), fill="#c8322b")
    return large.resize(CLOCK_SIZE, Image.Resampling.BOX)


def _on_dial(turn: float, reach: float) -> tuple[float, float]:
    angle = 2 * math.pi * turn
    return (128 + reach * math.sin(angle)) * FINE, (72 - reach * math.cos(angle)) * FINE


def sunrise(path: Path) -> None:
    """The sun comes up behind hills; silent."""
    write(path, _sunrise_frames(SUNRISE_SIZE), SUNRISE_SIZE, SUNRISE_PER_S)


def _sunrise_frames(size: Size) -> Iterator[Image.Image]:
    x, y = grid(size)
    crests = [
        top - 0.16 * noise(seed, (size[0], 1), (4, 0), 5) for seed, top in ((401, 0.72), (402, 0.82), (403, 0.95))
    ]
    night, day = ramp(y, "#0d1738", "#3a2f5a", "#7a4658"), ramp(y, "#5f9fe0", "#bcdcf2", "#ffe9c0")
    for number in range(SUNRISE_FRAMES):
        share = number / (SUNRISE_FRAMES - 1)
        centre = (0.55, 0.85 - 0.55 * share)
        picture = night + (day - night) * share
        picture = picture + glow(size, centre, 0.32)[..., None] * flat("#c06020") * (1 - 0.6 * share)
        disc = np.hypot((x - centre[0]) * size[0] / size[1], y - centre[1])
        picture = mix(picture, flat("#fff0b8"), step(0.083, 0.075, disc))
        for crest, dark, light in zip(
            crests, ("#3a3a5c", "#252f40", "#0f1a1c"), ("#8aa4b8", "#5d8a5a", "#3a6a34"), strict=True
        ):
            picture = mix(picture, ramp(np.full((1, 1), share), dark, light), step(-0.002, 0.004, y - crest))
        yield image(picture)


def _large(*places: float) -> list[float]:
    return [place * FINE for place in places]


def write(path: Path, pictures: Iterator[Image.Image], size: Size, per_s: int, *, sound: Sound | None = None) -> None:
    """Store *pictures*, and *sound* at SOUND_RATE, at *path*."""
    with av.open(str(path), "w", format="mp4", options={"movflags": "+faststart", "fflags": "+bitexact"}) as container:
        film = container.add_stream("libx264", rate=per_s, options={"crf": "23", "preset": "slow", "threads": "1"})
        film.width, film.height, film.pix_fmt = *size, "yuv420p"
        track = (
            container.add_stream("aac", rate=SOUND_RATE, layout=layout(sound), bit_rate=64_000)
            if sound is not None
            else None
        )
        for picture in pictures:
            container.mux(film.encode(av.VideoFrame.from_image(picture)))
        container.mux(film.encode(None))
        if sound is not None and track is not None:
            for frame in frames(sound, SOUND_RATE, "fltp", AAC_FRAME):
                container.mux(track.encode(frame))
            container.mux(track.encode(None))
