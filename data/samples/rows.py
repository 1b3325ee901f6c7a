"""The manifest's rows, good and bad, and the three formats that they are written in."""

from __future__ import annotations

import csv
import json
from dataclasses import asdict, dataclass, fields
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.parquet as pq

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One row; its members are the columns, in their order. None is an empty cell."""

    item_id: str
    image_url: str | None = None
    audio_url: str | None = None
    video_url: str | None = None
    title: str
    collection: str
    language: str | None = None
    weight: int


COLUMNS = tuple(field.name for field in fields(Row))


def _image(item_id: str, url: str, title: str, collection: str, weight: int) -> Row:
    return Row(item_id=item_id, image_url=url, title=title, collection=collection, weight=weight)


def _audio(item_id: str, url: str, title: str, language: str | None, weight: int) -> Row:
    return Row(item_id=item_id, audio_url=url, title=title, collection="sounds", language=language, weight=weight)


def _video(item_id: str, url: str, title: str, weight: int) -> Row:
    return Row(item_id=item_id, video_url=url, title=title, collection="films", weight=weight)


GOOD = (
    _image("photo-01", "images/lake.jpg", "morning series, no. 1", "outdoors", 5),
    _image("photo-02", "images/sunset.jpg", "evening series, no. 3", "outdoors", 5),
    _image("photo-03", "images/forest.jpg", 'the tall one, called "Anna"', "outdoors", 3),
    _image("photo-04", "images/dunes.jpg", "wide view, first day", "outdoors", 3),
    _image("photo-05", "images/island.webp", "from above", "outdoors", 4),
    _image("photo-06", "images/bokeh.webp", "garden, 6 a.m.", "close", 2),
    _image("photo-07", "images/portrait.jpg", "portrait d'été, épreuve n° 2", "people", 1),
    _image("photo-08", "images/city.jpg", "城市,夜", "night", 4),
    _image("photo-09", "images/aurora.png", "night walk", "night", 2),
    _image("photo-10", "images/moon.jpg", "plate 17", "night", 2),
    _image("photo-11", "images/oranges.jpg", "kitchen, print file", "close", 1),
    _image("photo-12", "images/thumbnail.jpg", "contact sheet, frame 1", "outdoors", 1),
    _image("drawing-01", "images/chart.png", "weekly report, figure 2", "drawings", 3),
    _image("drawing-02", "images/plan.png", "offer 58, sheet A", "drawings", 3),
    _image("drawing-03", "images/flag.png", "emblem draft", "drawings", 1),
    _image("drawing-04", "images/icon.png", "app asset", "drawings", 1),
    _image("drawing-05", "images/page.png", "scan, p. 17", "drawings", 4),
    _image("drawing-06", "images/map.webp", "where we meet", "drawings", 2),
    _image("drawing-07", "images/diagram.jpg", "lesson four", "drawings", 2),
    _audio("sound-01", "audio/announcement.wav", "platform 2", "en", 4),
    _audio("sound-02", "audio/story.mp3", "il était une fois", "fr", 3),
    _audio("sound-03", "audio/bell.wav", "left, right", None, 1),
    _audio("sound-04", "audio/sweep.wav", "test signal", None, 1),
    _audio("sound-05", "audio/click.wav", "almost nothing", None, 1),
    _audio("sound-06", "audio/chord.mp3", "opening", None, 2),
    _audio("sound-07", "audio/melody.mp3", "Übung 3", None, 2),
    _audio("sound-08", "audio/rain.mp3", "window, afternoon", None, 2),
    _video("film-01", "videos/ball.mp4", "experiment 4", 6),
    _video("film-02", "videos/clock.mp4", "one turn", 6),
    _video("film-03", "videos/sunrise.mp4", "time lapse", 6),
    Row(
        item_id="pair-01",
        image_url="images/lake.jpg",
        audio_url="audio/interview.wav",
        title="on location, with sound",
        collection="pairs",
        language="en",
        weight=8,
    ),
    Row(
        item_id="pair-02",
        image_url="images/city.jpg",
        audio_url="audio/rain.mp3",
        title="from the window",
        collection="pairs",
        weight=8,
    ),
)

BAD = (
    _image("bad-dead-link", "images/gone.jpg", "a file that does not exist", "bad", 1),
    _image("bad-web-page", "images/page.html", "an HTML page served as an image", "bad", 1),
    _image("bad-content", "images/not-an-image.jpg", "an HTML page called .jpg", "bad", 1),
    _image("bad-type", "images/wheel.gif", "a type that the gateway does not take", "bad", 1),
    _image("bad-empty-url", "", "no URL at all", "bad", 1),
    _image("bad-scheme", "ftp://example.com/a.jpg", "a scheme that cannot be sent", "bad", 1),
    _image("photo-02", "images/dunes.jpg", "the id of another row", "bad", 1),
)

ROWS = GOOD + BAD


def write_csv(path: Path) -> None:
    """Every row as CSV (RFC 4180 quoting, UTF-8); an empty cell says nothing."""
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(asdict(row) for row in ROWS)


def write_jsonl(path: Path) -> None:
    """Every row as a JSON object; an empty cell is left out."""
    lines = (json.dumps(_filled(row), ensure_ascii=False) + "\n" for row in ROWS)
    path.write_text("".join(lines), encoding="utf-8", newline="\n")


def _filled(row: Row) -> dict[str, str | int]:
    return {name: value for name, value in asdict(row).items() if value is not None}


def write_parquet(path: Path) -> None:
    """Every row as Parquet: strings, and `weight` as int64; an empty cell is null."""
    types = [(name, pa.int64() if name == "weight" else pa.string()) for name in COLUMNS]
    pq.write_table(pa.Table.from_pylist([asdict(row) for row in ROWS], schema=pa.schema(types)), path)
