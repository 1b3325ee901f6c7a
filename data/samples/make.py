"""Make the samples: `python data/samples/make.py [folder [name ...]]`.

Everything comes from seeds: on one machine a second run gives the same bytes, except for films, which x264 now and
then packs otherwise. JPEG, WebP, MP3 and MP4 also differ between versions of their encoders; what they show does not.
"""

from __future__ import annotations

import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import drawings
import films
import landscapes
import rows
import sounds
import things
from PIL import Image, ImageOps

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

TURNED = 6  # EXIF 2.32, 4.6.4 A: row 0 is the right side, column 0 the top
ORIENTATION = 0x0112
HTML = """<!DOCTYPE html>
<html lang="en">
<head><meta charset="utf-8"><title>Moved</title></head>
<body><h1>This picture has moved</h1><p>Please sign in to see it.</p></body>
</html>
"""


def main(arguments: Sequence[str]) -> None:
    """Make the samples that *arguments* name after a folder: all of them, and beside this file, without."""
    folder = Path(arguments[0]) if arguments else Path(__file__).parent
    for name in arguments[1:] or SAMPLES:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        SAMPLES[name](path)
        print(f"{name:<26}{path.stat().st_size:>9,} bytes")  # noqa: T201 - a script talks to its terminal


def jpeg(draw: Callable[[], Image.Image], quality: int, path: Path) -> None:
    """Store what *draw* gives as JPEG."""
    draw().save(path, "JPEG", quality=quality, optimize=True)


def turned_jpeg(draw: Callable[[], Image.Image], quality: int, path: Path) -> None:
    """Store what *draw* gives lying on its side, with the EXIF orientation that puts it upright."""
    exif = Image.Exif()
    exif[ORIENTATION] = TURNED
    draw().transpose(Image.Transpose.ROTATE_90).save(path, "JPEG", quality=quality, optimize=True, exif=exif)


def png(draw: Callable[[], Image.Image], path: Path) -> None:
    """Store what *draw* gives as PNG."""
    draw().save(path, "PNG", optimize=True)


def webp(draw: Callable[[], Image.Image], quality: int | None, path: Path) -> None:
    """Store what *draw* gives as WebP; without a *quality*, lossless."""
    draw().save(path, "WEBP", lossless=quality is None, quality=80 if quality is None else quality, method=6)


def gif(draw: Callable[[], Image.Image], path: Path) -> None:
    """Store what *draw* gives as GIF."""
    draw().save(path, "GIF")


def wav(play: Callable[[], sounds.Sound], rate: int, bits: int, path: Path) -> None:
    """Store what *play* gives as WAV."""
    sounds.write_wav(path, play(), rate, bits=bits)


def mp3(play: Callable[[], sounds.Sound], rate: int, bit_rate: int, path: Path) -> None:
    """Store what *play* gives as MP3."""
    sounds.write_mp3(path, play(), rate, bit_rate=bit_rate)


def web_page(path: Path) -> None:
    """Store a web page, whatever the file is called."""
    path.write_text(HTML, encoding="utf-8", newline="\n")


def thumbnail() -> Image.Image:
    """The lake, tiny."""
    return ImageOps.fit(landscapes.lake(), (64, 48))


SAMPLES: dict[str, Callable[[Path], None]] = {
    "images/lake.jpg": partial(jpeg, landscapes.lake, 80),
    "images/sunset.jpg": partial(jpeg, landscapes.sunset, 80),
    "images/forest.jpg": partial(jpeg, landscapes.forest, 80),
    "images/dunes.jpg": partial(jpeg, landscapes.dunes, 80),
    "images/island.webp": partial(webp, landscapes.island, 80),
    "images/bokeh.webp": partial(webp, things.bokeh, 80),
    "images/portrait.jpg": partial(turned_jpeg, things.portrait, 80),
    "images/city.jpg": partial(jpeg, things.city, 80),
    "images/aurora.png": partial(png, things.aurora),
    "images/moon.jpg": partial(jpeg, things.moon, 80),
    "images/oranges.jpg": partial(jpeg, things.oranges, 80),
    "images/thumbnail.jpg": partial(jpeg, thumbnail, 80),
    "images/chart.png": partial(png, drawings.chart),
    "images/plan.png": partial(png, drawings.plan),
    "images/flag.png": partial(png, drawings.flag),
    "images/icon.png": partial(png, drawings.icon),
    "images/page.png": partial(png, drawings.page),
    "images/map.webp": partial(webp, drawings.town_map, None),
    "images/diagram.jpg": partial(jpeg, drawings.diagram, 88),
    "images/page.html": web_page,
    "images/not-an-image.jpg": web_page,
    "images/wheel.gif": partial(gif, drawings.wheel),
    "audio/announcement.wav": partial(wav, sounds.announcement, sounds.SPEECH_RATE, 16),
    "audio/interview.wav": partial(wav, sounds.interview, sounds.SPEECH_RATE, 8),
    "audio/bell.wav": partial(wav, sounds.bell, sounds.SPEECH_RATE, 16),
    "audio/sweep.wav": partial(wav, sounds.sweep, sounds.SPEECH_RATE, 16),
    "audio/click.wav": partial(wav, sounds.click, sounds.SPEECH_RATE, 16),
    "audio/story.mp3": partial(mp3, sounds.story, sounds.VOICE_RATE, 48_000),
    "audio/chord.mp3": partial(mp3, sounds.chord, sounds.MUSIC_RATE, 96_000),
    "audio/melody.mp3": partial(mp3, sounds.melody, sounds.MUSIC_RATE, 64_000),
    "audio/rain.mp3": partial(mp3, sounds.rain, sounds.MUSIC_RATE, 112_000),
    "videos/ball.mp4": films.ball,
    "videos/clock.mp4": films.clock,
    "videos/sunrise.mp4": films.sunrise,
    "manifest.csv": rows.write_csv,
    "manifest.jsonl": rows.write_jsonl,
    "manifest.parquet": rows.write_parquet,
}

if __name__ == "__main__":
    main(sys.argv[1:])
