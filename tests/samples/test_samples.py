"""The committed samples are what data/samples/README.md says; sizes and durations are the generator's parameters."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
from collections import Counter
from pathlib import Path

import av
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image, ImageOps, UnidentifiedImageError

from mediascribe.job_sections import ManifestSection
from mediascribe.manifest import open_manifest

SAMPLES = Path(__file__).parents[2] / "data" / "samples"
COLUMNS = ["item_id", "image_url", "audio_url", "video_url", "title", "collection", "language", "weight"]
FORMATS = ["csv", "jsonl", "parquet"]

IMAGES = {  # format, width, height, Pillow's mode
    "lake.jpg": ("JPEG", 960, 640, "RGB"),
    "sunset.jpg": ("JPEG", 1024, 576, "RGB"),
    "forest.jpg": ("JPEG", 540, 960, "RGB"),
    "dunes.jpg": ("JPEG", 1600, 400, "RGB"),
    "island.webp": ("WEBP", 640, 640, "RGB"),
    "bokeh.webp": ("WEBP", 800, 600, "RGB"),
    "portrait.jpg": ("JPEG", 640, 480, "RGB"),
    "city.jpg": ("JPEG", 1024, 576, "RGB"),
    "aurora.png": ("PNG", 384, 256, "RGB"),
    "moon.jpg": ("JPEG", 600, 600, "L"),
    "oranges.jpg": ("JPEG", 600, 450, "CMYK"),
    "thumbnail.jpg": ("JPEG", 64, 48, "RGB"),
    "chart.png": ("PNG", 800, 600, "RGB"),
    "plan.png": ("PNG", 640, 480, "RGB"),
    "flag.png": ("PNG", 600, 400, "RGB"),
    "icon.png": ("PNG", 256, 256, "RGBA"),
    "page.png": ("PNG", 620, 877, "RGB"),
    "map.webp": ("WEBP", 720, 720, "RGB"),
    "diagram.jpg": ("JPEG", 720, 405, "RGB"),
}
SOUNDS = {  # codec, samples a second, channels, seconds
    "announcement.wav": ("pcm_s16le", 16_000, 1, 3.5),
    "interview.wav": ("pcm_u8", 16_000, 1, 7.0),
    "bell.wav": ("pcm_s16le", 16_000, 2, 2.5),
    "sweep.wav": ("pcm_s16le", 16_000, 1, 3.0),
    "click.wav": ("pcm_s16le", 16_000, 1, 2.0),
    "story.mp3": ("mp3", 22_050, 1, 6.0),
    "chord.mp3": ("mp3", 44_100, 2, 4.0),
    "melody.mp3": ("mp3", 44_100, 1, 5.0),
    "rain.mp3": ("mp3", 44_100, 2, 4.0),
}
FILMS = {  # width, height, frames, frames a second, whether there is sound
    "ball.mp4": (320, 240, 60, 15, True),
    "clock.mp4": (256, 144, 60, 10, False),
    "sunrise.mp4": (320, 180, 60, 12, False),
}
BAD_FILES = {"images/page.html", "images/not-an-image.jpg", "images/wheel.gif"}
BAD_URLS = {
    "bad-dead-link": "images/gone.jpg",
    "bad-web-page": "images/page.html",
    "bad-content": "images/not-an-image.jpg",
    "bad-type": "images/wheel.gif",
    "bad-empty-url": "",
    "bad-scheme": "ftp://example.com/a.jpg",
}


def rows_of(kind: str) -> list[dict]:
    path = SAMPLES / f"manifest.{kind}"
    match kind:
        case "csv":
            with path.open(encoding="utf-8", newline="") as file:
                return list(csv.DictReader(file))
        case "jsonl":
            return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
        case _:
            return pq.read_table(path).to_pylist()


def as_text(row: dict) -> dict[str, str]:
    return {name: "" if row.get(name) is None else str(row[name]) for name in COLUMNS}


def good_rows() -> list[dict]:
    return [row for row in rows_of("parquet") if row["collection"] != "bad"]


def sound_of(path: Path) -> np.ndarray:
    with av.open(str(path)) as container:
        return np.concatenate([frame.to_ndarray() for frame in container.decode(audio=0)], axis=1)


@pytest.mark.parametrize("name", IMAGES)
def test_an_image_decodes(name):
    """An image decodes whole, to the stated format, size and mode, and is not all of one colour."""
    with Image.open(SAMPLES / "images" / name) as image:
        image.load()
        assert (image.format, *image.size, image.mode) == IMAGES[name]
        assert np.asarray(image.convert("L")).std() > 10


def test_the_portrait_lies_on_its_side():
    """The portrait's EXIF orientation turns its 640 x 480 pixels into 480 x 640, the bright face above the jumper."""
    with Image.open(SAMPLES / "images" / "portrait.jpg") as image:
        assert image.getexif()[0x0112] == 6
        upright = ImageOps.exif_transpose(image)
    assert upright.size == (480, 640)
    face, jumper = upright.getpixel((220, 290)), upright.getpixel((240, 600))
    assert face[1] > jumper[1] + 50


def test_the_icon_is_transparent():
    """The icon's corner shows what is behind it, its cloud does not."""
    with Image.open(SAMPLES / "images" / "icon.png") as image:
        assert image.getpixel((2, 2))[3] == 0
        assert image.getpixel((150, 190))[3] == 255


def test_the_highest_bar_is_friday():
    """Of the chart's bars only Friday's, 90 of 100 high, is orange."""
    with Image.open(SAMPLES / "images" / "chart.png") as image:
        pixels = np.asarray(image).astype(int)
    columns = np.flatnonzero((np.abs(pixels - (0xE2, 0x65, 0x3B)).sum(axis=2) < 6).sum(axis=0) > 300)
    assert (columns.min(), columns.max()) == pytest.approx((92 + 4 * 97, 92 + 4 * 97 + 62), abs=1)


@pytest.mark.parametrize("name", SOUNDS)
def test_a_sound_decodes(name):
    """A sound decodes to the stated rate, channels and duration, to a hundredth of a second in MP3, and is heard."""
    codec, rate, channels, seconds = SOUNDS[name]
    path = SAMPLES / "audio" / name
    with av.open(str(path)) as container:
        stream = container.streams.audio[0]
        assert stream.codec_context.codec.canonical_name == codec
        frames = list(container.decode(stream))
    assert {(frame.sample_rate, frame.layout.nb_channels) for frame in frames} == {(rate, channels)}
    tolerance = 0.01 if name.endswith(".mp3") else 0
    assert sum(frame.samples for frame in frames) / rate == pytest.approx(seconds, abs=tolerance, rel=0)
    assert np.ptp(sound_of(path).astype(float)) > 0


def test_the_click_is_alone():
    """The click begins at 1 s, is over after 10 ms, and there is nothing else."""
    heard = np.flatnonzero(sound_of(SAMPLES / "audio" / "click.wav"))
    assert 16_000 == heard.min() < heard.max() < 16_160


def test_the_sweep_rises():
    """The sweep crosses zero 20 times as often at its end (4 kHz) as at its start (200 Hz), within a quarter."""
    sound = sound_of(SAMPLES / "audio" / "sweep.wav")[0].astype(float)
    first, last = (np.count_nonzero(np.diff(np.signbit(part))) for part in (sound[:1600], sound[-1600:]))
    assert last / first == pytest.approx(20, rel=0.25)


@pytest.mark.parametrize("name", FILMS)
def test_a_film_decodes(name):
    """A film decodes to the stated size, rate and number of frames, and has a sound track or none."""
    width, height, count, per_s, has_sound = FILMS[name]
    with av.open(str(SAMPLES / "videos" / name)) as container:
        stream = container.streams.video[0]
        assert stream.codec_context.codec.canonical_name == "h264"
        assert stream.average_rate == per_s
        assert container.duration / av.time_base == pytest.approx(count / per_s, abs=0.05)
        assert [track.codec_context.codec.canonical_name for track in container.streams.audio] == ["aac"] * has_sound
        frames = list(container.decode(stream))
    assert [(frame.width, frame.height) for frame in frames] == [(width, height)] * count


def test_the_ball_beeps_when_it_bounces():
    """The ball's film is loud just after 0.4 s, 1.2 s, 2.0 s, 2.8 s and 3.6 s, and quiet just before."""
    sound = np.abs(sound_of(SAMPLES / "videos" / "ball.mp4")[0])
    for bounce_s in (0.4, 1.2, 2.0, 2.8, 3.6):
        before, after = (sound[int(44_100 * (bounce_s + shift)) :][:2205].max() for shift in (-0.1, 0.01))
        assert after > 0.3
        assert before < 0.01


def test_the_manifests_hold_the_same_rows():
    """CSV, JSONL and Parquet hold the same rows in the same order, under the same columns."""
    csv_rows, *others = ([as_text(row) for row in rows_of(kind)] for kind in FORMATS)
    assert [csv_rows] * 2 == others
    assert list(rows_of("csv")[0]) == list(rows_of("parquet")[0]) == COLUMNS


def test_the_manifests_types():
    """Parquet has strings and an int64 weight, JSONL leaves empty cells out, and neither drops an empty URL."""
    types = {name: pa.int64() if name == "weight" else pa.string() for name in COLUMNS}
    assert dict(zip(COLUMNS, pq.read_schema(SAMPLES / "manifest.parquet").types, strict=True)) == types
    assert all(None not in row.values() and isinstance(row["weight"], int) for row in rows_of("jsonl"))
    for kind in ("jsonl", "parquet"):
        assert [row["item_id"] for row in rows_of(kind) if row.get("image_url") == ""] == ["bad-empty-url"]


@pytest.mark.parametrize("kind", FORMATS)
def test_the_library_reads_the_manifest(kind):
    """Every row becomes an item, and only the two rows that cannot be asked have a problem."""
    section = ManifestSection(path=str(SAMPLES / f"manifest.{kind}"), carry={"weight": "int64", "language": "string"})
    items = list(open_manifest(section, variables=frozenset({"title"}), relative_urls=True).read())
    assert len(items) == len(rows_of("csv"))
    problems = {item.item_id: item.problem.code for item in items if item.problem}
    assert problems == {"bad-empty-url": "no_media", "bad-scheme": "bad_url"}
    assert [item.carried["weight"] for item in items] == [row["weight"] for row in rows_of("parquet")]


def test_the_good_rows_are_many_and_name_every_good_file():
    """At least 24 good rows with ids of their own name every good file of the folder, and nothing else."""
    rows = good_rows()
    assert len({row["item_id"] for row in rows}) == len(rows) >= 24
    named = {row[column] for row in rows for column in COLUMNS[1:4]} - {None}
    folders = {"images": IMAGES, "audio": SOUNDS, "videos": FILMS}
    assert named == {f"{folder}/{name}" for folder, names in folders.items() for name in names}
    found = {path.relative_to(SAMPLES).as_posix() for folder in folders for path in (SAMPLES / folder).iterdir()}
    assert found == named | BAD_FILES


def test_some_rows_have_two_media():
    """Two rows have an image and a sound; the first is the reference answer's 7 tiles and 7 seconds."""
    pairs = [(row["image_url"], row["audio_url"]) for row in good_rows() if row["image_url"] and row["audio_url"]]
    assert pairs == [("images/lake.jpg", "audio/interview.wav"), ("images/city.jpg", "audio/rain.mp3")]


def test_titles_exercise_csv():
    """One title has a comma and quotes, others are Chinese and French; CSV quotes what it must."""
    titles = {row["title"] for row in rows_of("csv")}
    assert {'the tall one, called "Anna"', "城市,夜", "portrait d'été, épreuve n° 2"} <= titles
    text = (SAMPLES / "manifest.csv").read_text(encoding="utf-8")
    assert '"the tall one, called ""Anna"""' in text
    assert "\r" not in text


def test_the_bad_rows_are_there():
    """Each kind of bad row is there once; the dead link is dead, the duplicate id names another image."""
    bad = [row for row in rows_of("parquet") if row["collection"] == "bad"]
    ids = Counter(row["item_id"] for row in rows_of("parquet"))
    assert [name for name, count in ids.items() if count > 1] == ["photo-02"]
    assert {row["item_id"]: row["image_url"] for row in bad} == BAD_URLS | {"photo-02": "images/dunes.jpg"}
    assert (len(bad), ids["photo-02"]) == (7, 2)
    assert not (SAMPLES / BAD_URLS["bad-dead-link"]).exists()


@pytest.mark.parametrize("name", ["page.html", "not-an-image.jpg"])
def test_a_web_page_is_no_image(name):
    """The web page is HTML under either name, and no picture to Pillow."""
    path = SAMPLES / "images" / name
    assert path.read_text(encoding="utf-8").startswith("<!DOCTYPE html>")
    with pytest.raises(UnidentifiedImageError):
        Image.open(path)


def test_the_unsupported_type_is_a_whole_gif():
    """The unsupported type is a whole GIF: only its type is at fault."""
    with Image.open(SAMPLES / "images" / "wheel.gif") as image:
        image.load()
        assert (image.format, image.size) == ("GIF", (160, 160))


def test_the_samples_are_small():
    """The folder is smaller than 2.5 MB, a film than 300 kB, a WAV than 4 s of 16 kHz stereo."""
    sizes = {
        path: path.stat().st_size for path in SAMPLES.rglob("*") if path.is_file() and "__pycache__" not in path.parts
    }
    assert sum(sizes.values()) < 2_500_000
    assert all(size <= 300_000 for path, size in sizes.items() if path.suffix == ".mp4")
    assert all(size <= 4 * 16_000 * 2 * 2 + 44 for path, size in sizes.items() if path.suffix == ".wav")


def test_the_readme_names_every_file():
    """The README of the samples says of every file what it is."""
    text = (SAMPLES / "README.md").read_text(encoding="utf-8")
    names = [path.name for path in SAMPLES.rglob("*.*") if path.is_file() and "__pycache__" not in path.parts]
    assert [name for name in names if name != "README.md" and f"{name}`" not in text] == []


REMADE = ["manifest.csv", "manifest.jsonl", "manifest.parquet", "images/flag.png", "audio/click.wav", "audio/sweep.wav"]


def make(folder: Path) -> Path:
    command = [sys.executable, "-B", str(SAMPLES / "make.py"), str(folder), *REMADE]
    printed = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    assert [line.split()[0] for line in printed.splitlines()] == REMADE
    return folder


def test_the_generator_repeats_itself(tmp_path):
    """Two runs give the same bytes, and what they give is what is committed, to the last bit or the one beside it."""
    first, second = make(tmp_path / "first"), make(tmp_path / "second")
    assert [(first / name).read_bytes() for name in REMADE] == [(second / name).read_bytes() for name in REMADE]
    for name in REMADE[:2]:
        assert (first / name).read_bytes() == (SAMPLES / name).read_bytes()
    assert pq.read_table(first / "manifest.parquet").equals(pq.read_table(SAMPLES / "manifest.parquet"))
    for name in REMADE[4:]:
        assert np.abs(sound_of(first / name).astype(int) - sound_of(SAMPLES / name)).max() <= 1
    drawn, committed = (np.asarray(Image.open(folder / REMADE[3])).astype(int) for folder in (first, SAMPLES))
    assert np.abs(drawn - committed).max() <= 1
