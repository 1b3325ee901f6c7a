"""What is seen and heard in real bytes."""

from __future__ import annotations

import io
import struct
import zlib
from fractions import Fraction

import av
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from mediascribe.sandbox.look import KINDS, UnreadableError, look

RATE = 16_000


@pytest.mark.parametrize("name", ["PNG", "JPEG", "WEBP", "GIF"])
def test_picture(name, make):
    """An image shows its size, its format and its colour."""
    seen = look("image", make.image(640, 360, name=name))
    assert (seen.width, seen.height, seen.format) == (640, 360, name)
    assert seen.colours == ("dark blue",)
    assert seen.brightness == "dark"


def test_picture_of_two_colours():
    """Colours are named by share."""
    picture = Image.new("RGB", (100, 100), (255, 255, 255))
    picture.paste((220, 30, 30), (0, 0, 30, 100))
    file = io.BytesIO()
    picture.save(file, "PNG")
    seen = look("image", file.getvalue())
    assert seen.colours == ("white", "red")
    assert seen.brightness == "bright"


def test_many_colours_leave_the_most_frequent(make):
    """An image in which no colour has its share is named by the most frequent."""
    strips = Image.new("RGB", (48, 48))
    shades = [(0, 0, 0), (70, 70, 70), (128, 128, 128), (195, 195, 195), (255, 255, 255), (220, 30, 30), (120, 10, 10)]
    shades += [(245, 160, 180), (245, 140, 20), (120, 75, 40), (225, 205, 170), (245, 225, 50)]
    for place, shade in enumerate(shades):
        strips.paste(shade, (place * 4, 0, place * 4 + 4, 48))
    file = io.BytesIO()
    strips.save(file, "PNG")
    assert len(look("image", file.getvalue()).colours) == 1


def test_transparency_lies_on_white():
    """A transparent image looks white."""
    file = io.BytesIO()
    Image.new("RGBA", (50, 50), (0, 0, 0, 0)).save(file, "PNG")
    assert look("image", file.getvalue()).colours == ("white",)


def test_cut_picture(make):
    """Half an image is none."""
    whole = make.image(400, 400, name="JPEG")
    with pytest.raises(UnreadableError):
        look("image", whole[: len(whole) // 2])


@pytest.mark.parametrize("side", [7000, 20_000])
def test_bomb(side):
    """A picture with too many pixels is refused before it is decoded."""
    head = b"IHDR" + struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    content = b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + head + struct.pack(">I", zlib.crc32(head))
    content += struct.pack(">I", 0) + b"IDAT" + struct.pack(">I", zlib.crc32(b"IDAT"))
    with pytest.raises(UnreadableError, match=r"too large|Bomb"):
        look("image", content)


def test_sound(make):
    """A sine at half of full scale has -9.0 dBFS and is tonal; its length is exact."""
    heard = look("audio", make.sound(7.0))
    assert heard.duration_s == Fraction(7)
    assert (heard.sample_rate, heard.channels) == (RATE, 1)
    assert heard.loudness_dbfs == -9.0  # 20 log10(0.5 / sqrt 2) = -9.03
    assert heard.character == "tonal"


def test_noise(make):
    """White noise is noise."""
    assert look("audio", make.sound(values=np.random.default_rng(1).uniform(-0.5, 0.5, RATE))).character == "noise"


def test_speech_like(make):
    """A sound that comes in syllables is speech-like."""
    time = np.arange(2 * RATE) / RATE
    buzz = sum(np.sin(2 * np.pi * 120 * over * time) / over for over in range(1, 10))
    assert look("audio", make.sound(values=0.2 * buzz * (np.sin(2 * np.pi * 4 * time) > 0))).character == "speech-like"


def test_silence(make):
    """Silence has no loudness."""
    heard = look("audio", make.sound(values=np.zeros(500)))
    assert heard.loudness_dbfs is None
    assert heard.character == "silence"


def test_short_sound(make):
    """A sound shorter than one window is heard as well."""
    assert look("audio", make.sound(0.02)).duration_s == Fraction(1, 50)


def test_long_sound(make):
    """Of a long sound the beginning says what it resembles, all of it how loud it is."""
    tone = 0.5 * np.sin(2 * np.pi * 440 * np.arange(12 * RATE) / RATE)
    heard = look("audio", make.sound(values=np.concatenate((tone, np.zeros(12 * RATE)))))
    assert heard.character == "tonal"
    assert heard.loudness_dbfs == -12.0  # half of the energy: 3.01 less


def test_video(make):
    """A video shows its length, its frames and its first picture."""
    seen = look("video", make.video(2))
    assert (seen.duration_s, seen.frames, seen.per_s, seen.has_sound) == (2, 16, 8.0, False)
    assert (seen.first.width, seen.first.height, seen.first.colours) == (64, 48, ("red",))


def test_video_with_sound(make):
    """A sound track is noticed."""
    assert look("video", make.video(1, track=True)).has_sound


def test_video_without_index():
    """Where the container does not count its frames, they are counted."""
    file = io.BytesIO()
    with av.open(file, "w", format="matroska") as out:
        stream = out.add_stream("mpeg4", rate=8)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for _ in range(12):
            frame = av.VideoFrame.from_ndarray(np.zeros((48, 64, 3), np.uint8), format="rgb24")
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
    seen = look("video", file.getvalue())
    assert seen.frames == 12
    assert seen.duration_s == Fraction(3, 2)


def test_video_without_frames():
    """A video with a track and no frame is refused."""
    file = io.BytesIO()
    with av.open(file, "w", format="matroska") as out:
        stream = out.add_stream("mpeg4", rate=8)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        out.start_encoding()
    with pytest.raises(UnreadableError, match="invalid video content"):
        look("video", file.getvalue())


def test_video_too_large(make, monkeypatch):
    """A video with too many pixels is refused before it is decoded."""
    monkeypatch.setattr("mediascribe.sandbox.look.MAX_PIXELS", 64 * 48 - 1)
    with pytest.raises(UnreadableError):
        look("video", make.video(1))


def test_kind_must_be_there(make):
    """A sound is no video, a mute video no sound, and a WAV without samples nothing."""
    for kind, content in (("video", make.sound()), ("audio", make.video(1)), ("audio", make.sound(values=[]))):
        with pytest.raises(UnreadableError):
            look(kind, content)


def test_playlists_open_nothing(tmp_path, make):
    """A playlist that points to another file is refused."""
    other = tmp_path / "other.wav"
    other.write_bytes(make.sound())
    for content in (
        f"#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\n{other}\n",
        f"ffconcat version 1.0\nfile {other}\n",
    ):
        with pytest.raises(UnreadableError):
            look("audio", content.encode())


@settings(max_examples=60, deadline=None)
@given(
    kind=st.sampled_from(KINDS),
    head=st.sampled_from(
        [b"", b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"RIFF\x24\0\0\0WAVEfmt ", b"\0\0\0\x18ftypmp42"]
    ),
    tail=st.binary(max_size=200),
)
def test_any_bytes(kind, head, tail):
    """Bytes without meaning are refused, and never end in another error."""
    with pytest.raises(UnreadableError):
        look(kind, head + tail)
