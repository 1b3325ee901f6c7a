"""Small media of every type, made on the spot: real ones with Pillow, PyAV and `wave`, and heads written by hand."""

from __future__ import annotations

import functools
import io
import struct
import wave
import zlib
from fractions import Fraction

import av
import numpy as np
from PIL import Image

PICTURES = {  # by kind: Pillow's name of the format, type
    "jpeg": ("JPEG", "image/jpeg"),
    "png": ("PNG", "image/png"),
    "webp": ("WEBP", "image/webp"),
    "lossless webp": ("WEBP", "image/webp"),
    "gif": ("GIF", "image/gif"),
    "bmp": ("BMP", "image/bmp"),
    "tiff": ("TIFF", "image/tiff"),
    "avif": ("AVIF", "image/avif"),
}
SOUNDS = {  # by kind: container, codec, samples a second, type
    "mp3": ("mp3", "libmp3lame", 44_100, "audio/mpeg"),
    "flac": ("flac", "flac", 44_100, "audio/flac"),
    "opus": ("ogg", "libopus", 48_000, "audio/ogg"),
    "m4a": ("ipod", "aac", 44_100, "audio/mp4"),
    "mp4": ("mp4", "aac", 44_100, "audio/mp4"),
    "mov": ("mov", "aac", 44_100, "audio/mp4"),
    "3gp": ("3gp", "aac", 44_100, "audio/3gpp"),
    "aac": ("adts", "aac", 44_100, "audio/aac"),
    "aiff": ("aiff", "pcm_s16be", 8_000, "audio/aiff"),
    "caf": ("caf", "pcm_s16le", 8_000, "audio/x-caf"),
    "wma": ("asf", "pcm_s16le", 8_000, "audio/x-ms-wma"),
    "webm": ("webm", "libopus", 48_000, "audio/webm"),
    "mkv": ("matroska", "aac", 44_100, "audio/x-matroska"),
    "ts": ("mpegts", "aac", 44_100, "audio/mp2t"),
}
FILMS = {  # by kind: container, codec of the pictures, of the sound, type
    "mp4": ("mp4", "libx264", "aac", "video/mp4"),
    "mov": ("mov", "libx264", "aac", "video/quicktime"),
    "3gp": ("3gp", "libx264", "aac", "video/3gpp"),
    "webm": ("webm", "libvpx", "libopus", "video/webm"),
    "mkv": ("matroska", "libx264", "aac", "video/x-matroska"),
    "avi": ("avi", "mpeg4", "libmp3lame", "video/x-msvideo"),
    "mpeg": ("mpeg", "mpeg2video", "mp2", "video/mpeg"),
    "ts": ("mpegts", "libx264", "aac", "video/mp2t"),
    "flv": ("flv", "libx264", "aac", "video/x-flv"),
    "wmv": ("asf", "wmv2", "libmp3lame", "video/x-ms-wmv"),
}
WIDTH, HEIGHT = 64, 48
PER_S = 25


@functools.cache
def picture(kind="jpeg", size=(WIDTH, HEIGHT), *, frames=1, orientation=None, mode="RGB"):
    """A picture of *kind*, of several *frames* if wanted, that EXIF wants shown in *orientation*."""
    file, more = io.BytesIO(), {}
    if orientation is not None:
        more["exif"] = exif(orientation)
    if kind == "lossless webp":
        more["lossless"] = True
    if frames > 1:
        rest = [_painted(size, number, mode) for number in range(1, frames)]
        more |= {"save_all": True, "append_images": rest, "duration": 100}
    _painted(size, 0, mode).save(file, format=PICTURES[kind][0], **more)
    return file.getvalue()


def _painted(size, number, mode):
    return Image.new("RGB", size, (200, 90 * number % 256, 60)).convert(mode)


def exif(orientation):
    """The EXIF block that says *orientation*."""
    tags = Image.Exif()
    tags[0x0112] = orientation
    return tags.tobytes()


def padded_jpeg(content, padding):
    """*content* with *padding* bytes of nothing in front of its size, as a camera's previews stand there."""
    sizes = [min(65_000, padding - at) for at in range(0, padding, 65_000)]
    segments = [b"\xff\xe2" + struct.pack(">H", size + 2) + bytes(size) for size in sizes]
    return b"".join((content[:2], *segments, content[2:]))


@functools.cache
def wav(seconds=1.0, rate=8_000, channels=1):
    """A sound as `wave` writes it: 16 bits."""
    file = io.BytesIO()
    with wave.open(file, "wb") as out:
        out.setnchannels(channels)
        out.setsampwidth(2)
        out.setframerate(rate)
        out.writeframes(_tone(seconds, rate).repeat(channels).tobytes())
    return file.getvalue()


@functools.cache
def sound(kind="mp3", seconds=2.0, *, cover=False):
    """A sound of *kind*, with a picture attached if wanted."""
    container, codec, rate, _ = SOUNDS[kind]
    file = io.BytesIO()
    with av.open(file, "w", format=container) as out:
        attached = _attached(out) if cover else None
        stream = out.add_stream(codec, rate=rate, layout="mono")
        if attached:
            out.mux(attached.encode(av.VideoFrame(48, 48, "yuvj420p")))
        _write_sound(out, stream, seconds, rate)
    return file.getvalue()


def _attached(out):
    stream = out.add_stream("mjpeg", rate=1)
    stream.width, stream.height, stream.pix_fmt = 48, 48, "yuvj420p"
    stream.disposition = av.stream.Disposition.attached_pic
    return stream


@functools.cache
def film(kind="mp4", seconds=2.0, *, silent=False, turned=0, options=()):
    """A film of *kind*, 64 x 48 at 25 frames a second, with a sound unless *silent*, *turned* by so many degrees."""
    container, codec, sound_codec, _ = FILMS[kind]
    file = io.BytesIO()
    with av.open(file, "w", format=container, options=dict(options)) as out:
        pictures = out.add_stream(codec, rate=PER_S)
        pictures.width, pictures.height, pictures.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        if turned:
            pictures.set_display_rotation(turned)
        rate = 48_000 if sound_codec == "libopus" else 44_100
        stream = None if silent else out.add_stream(sound_codec, rate=rate, layout="mono")
        for number in range(round(seconds * PER_S)):
            frame = av.VideoFrame.from_ndarray(np.full((HEIGHT, WIDTH, 3), number % 256, np.uint8), format="rgb24")
            frame.pts, frame.time_base = number, Fraction(1, PER_S)
            out.mux(pictures.encode(frame))
        out.mux(pictures.encode(None))
        if stream:
            _write_sound(out, stream, seconds, rate)
    return file.getvalue()


def _write_sound(out, stream, seconds, rate):
    frame = av.AudioFrame.from_ndarray(_tone(seconds, rate)[None, :], format="s16", layout="mono")
    frame.sample_rate, frame.pts, frame.time_base = rate, 0, Fraction(1, rate)
    out.mux(stream.encode(frame))
    out.mux(stream.encode(None))


def _tone(seconds, rate):
    return (8000 * np.sin(2 * np.pi * 440 * np.arange(round(seconds * rate)) / rate)).astype(np.int16)


# Written by hand: what Pillow and PyAV do not write


def box(kind, *content):
    """A box of ISO/IEC 14496-12."""
    joined = b"".join(content)
    return struct.pack(">I4s", 8 + len(joined), kind) + joined


def ftyp(major, *compatible):
    """The first box of a file of brand *major*."""
    return box(b"ftyp", major, bytes(4), *compatible)


def mp4(*, seconds=None, size=(WIDTH, HEIGHT), matrix=(1, 0, 0, 1), kinds=(b"vide", b"soun"), wide=False):
    """The index (`moov`) of a film: its time scale is 1000; *wide* has it in 64 bits."""
    length = round((seconds or 0) * 1000)
    times = struct.pack(">QQIQ", 0, 0, 1000, length) if wide else struct.pack(">IIII", 0, 0, 1000, length)
    tracks = [_track(kind, size if kind == b"vide" else (0, 0), matrix, wide=wide) for kind in kinds]
    return box(b"moov", box(b"mvhd", struct.pack(">I", wide << 24), times, bytes(80)), *tracks)


def _track(kind, size, matrix, *, wide):
    a, b, c, d = (part << 16 for part in matrix)
    turn = struct.pack(">9i", a, b, 0, c, d, 0, 0, 0, 1 << 30)
    head = struct.pack(">I", wide << 24) + bytes(48 if wide else 36)
    shown = struct.pack(">II", size[0] << 16, size[1] << 16)
    return box(b"trak", box(b"tkhd", head, turn, shown), box(b"mdia", box(b"hdlr", bytes(8), kind, bytes(12))))


def heic(size=(WIDTH, HEIGHT), *, quarters=0, brands=(b"heic", b"mif1"), wide=False, padding=0):
    """The head of a HEIC: a main picture of *size* as stored, turned by *quarters*, and a smaller one before it."""
    main = 2
    kept = [_ispe((16, 12)), _ispe(size), box(b"irot", bytes([quarters]))]
    if wide:
        primary, links = struct.pack(">II", 1 << 24, main), struct.pack(">II", 1 << 24 | 1, 2)
        links += struct.pack(">IBH", 1, 1, 1) + struct.pack(">IBHH", main, 2, 2, 0x8003)
    else:
        primary, links = struct.pack(">IH", 0, main), struct.pack(">II", 0, 2)
        links += struct.pack(">HBB", 1, 1, 1) + struct.pack(">HBBB", main, 2, 2, 0x83)
    properties = box(b"iprp", box(b"ipco", *kept), box(b"ipma", links))
    skipped = [box(b"free", bytes(padding))] if padding else []
    return ftyp(brands[0], *brands) + box(b"meta", bytes(4), box(b"pitm", primary), *skipped, properties)


def _ispe(size):
    return box(b"ispe", bytes(4), struct.pack(">II", *size))


def png_head(width, height, *chunks):
    """A PNG up to its pixels: its header, and *chunks* of kind and content."""
    header = (b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(kind, content) for kind, content in (header, *chunks))


def _chunk(kind, content):
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def id3(size):
    """An ID3 tag with *size* bytes of nothing in it."""
    sizes = bytes(size >> shift & 0x7F for shift in (21, 14, 7, 0))
    return b"ID3\x04\0\0" + sizes + bytes(size)


def amr(seconds=1.0):
    """A sound of AMR at 12.2 kbit/s: a frame of 32 bytes for each 20 ms."""
    return b"#!AMR\n" + (b"\x3c" + bytes(31)) * round(seconds * 50)
