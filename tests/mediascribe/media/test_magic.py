"""What a medium is, by its first bytes: the registered marks of each type, and what stands in the place of media."""

import contextlib
import gzip
import struct

import media_bytes
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mediascribe.errors import MediaError
from mediascribe.media.look import look
from mediascribe.media.magic import Magic, id3_bytes, magic

# A frame of MPEG 1 layer III, 128 kbit/s at 44.1 kHz: 144 * 128000 / 44100 = 417 bytes.
MP3_FRAME = b"\xff\xfb\x90\x00" + bytes(413)
# An ADTS frame of 32 bytes: 32 << 5 in the 13 bits of its length.
AAC_FRAME = b"\xff\xf1\x50\x80" + struct.pack(">H", 32 << 5 | 0x1F) + b"\xfc" + bytes(25)
ASF = bytes.fromhex("3026b2758e66cf11a6d900aa0062ce6c") + bytes(14)
ASF_SOUND = bytes.fromhex("409e69f84d5bcf11a8fd00805f5c442b")
ASF_FILM = bytes.fromhex("c0ef19bc4d5bcf11a8fd00805f5c442b")
PACKETS = (b"G" + bytes(187)) * 3

MEDIA = [
    (b"\xff\xd8\xff\xe0\0\x10JFIF\0", "image/jpeg"),
    (b"\xff\xd8\xff\xdb\0\x43", "image/jpeg"),
    (b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", "image/png"),
    (b"GIF87a\1\0\1\0", "image/gif"),
    (b"GIF89a\1\0\1\0", "image/gif"),
    (b"RIFF\x1a\0\0\0WEBPVP8L", "image/webp"),
    (b"BM\x9a\0\0\0\0\0\0\0\x36\0\0\0\x28\0\0\0", "image/bmp"),
    (b"II*\0\x08\0\0\0", "image/tiff"),
    (b"MM\0*\0\0\0\x08", "image/tiff"),
    (b"II+\0\x08\0\0\0", "image/tiff"),
    (media_bytes.ftyp(b"heic", b"mif1"), "image/heic"),
    (media_bytes.ftyp(b"mif1", b"heic"), "image/heic"),
    (media_bytes.ftyp(b"mif1"), "image/heif"),
    (media_bytes.ftyp(b"avif", b"mif1"), "image/avif"),
    (media_bytes.ftyp(b"mif1", b"miaf", b"avif"), "image/avif"),
    (media_bytes.ftyp(b"avis", b"msf1"), "image/avif"),
    (b"\xff\x0a\x10", "image/jxl"),
    (b"\0\0\0\x0cJXL \r\n\x87\n", "image/jxl"),
    (b"\0\0\0\x0cjP  \r\n\x87\n", "image/jp2"),
    (b"\0\0\1\0\1\0\x10\x10", "image/vnd.microsoft.icon"),
    (b"8BPS\0\1", "image/vnd.adobe.photoshop"),
    (MP3_FRAME * 2, "audio/mpeg"),
    (b"\xff\xf3\x90\x00" + bytes(257) + b"\xff\xf3\x90\x00", "audio/mpeg"),  # MPEG 2: 72 * 80000 / 22050 = 261
    (b"\xff\xfd\x90\x00" + bytes(518) + b"\xff\xfd\x90\x00", "audio/mpeg"),  # layer II: 144 * 160000 / 44100 = 522
    (b"\xff\xff\x90\x00" + bytes(308) + b"\xff\xff\x90\x00", "audio/mpeg"),  # layer I: 12 * 288000 / 44100 = 78 slots
    (MP3_FRAME[:300], "audio/mpeg"),  # cut before the second
    (media_bytes.id3(200) + MP3_FRAME, "audio/mpeg"),
    (media_bytes.id3(100_000)[:4096], "audio/mpeg"),
    (media_bytes.id3(50) + b"fLaC\0", "audio/flac"),
    (media_bytes.id3(50) + AAC_FRAME, "audio/aac"),
    (AAC_FRAME * 2, "audio/aac"),
    (b"RIFF\x24\0\0\0WAVEfmt ", "audio/wav"),
    (b"RF64\xff\xff\xff\xffWAVEds64", "audio/wav"),
    (b"fLaC\0\0\0\x22", "audio/flac"),
    (b"OggS\0\2" + bytes(22) + b"OpusHead", "audio/ogg"),
    (b"OggS\0\2" + bytes(22) + b"\1vorbis", "audio/ogg"),
    (b"OggS\0\2" + bytes(22) + b"\x80theora", "video/ogg"),
    (media_bytes.ftyp(b"M4A ", b"isom"), "audio/mp4"),
    (media_bytes.ftyp(b"M4B "), "audio/mp4"),
    (b"#!AMR\n\x3c", "audio/amr"),
    (b"#!AMR-WB\n", "audio/amr"),
    (b"FORM\0\0\0\x2eAIFFCOMM", "audio/aiff"),
    (b"caff\0\1\0\0", "audio/x-caf"),
    (ASF + ASF_SOUND, "audio/x-ms-wma"),
    (ASF + ASF_SOUND + ASF_FILM, "video/x-ms-wmv"),
    (media_bytes.ftyp(b"isom", b"mp41"), "video/mp4"),
    (media_bytes.ftyp(b"iso6", b"mp41"), "video/mp4"),
    (media_bytes.ftyp(b"XAVC"), "video/mp4"),
    (media_bytes.ftyp(b"qt  "), "video/quicktime"),
    (b"\0\0\x10\0moov\0\0\0\x6cmvhd", "video/quicktime"),
    (media_bytes.ftyp(b"3gp4"), "video/3gpp"),
    (media_bytes.ftyp(b"3g2a"), "video/3gpp2"),
    (b"\x1a\x45\xdf\xa3\x9f\x42\x86\x81\1\x42\x82\x84webm", "video/webm"),
    (b"\x1a\x45\xdf\xa3\xa3\x42\x86\x81\1\x42\x82\x88matroska", "video/x-matroska"),
    (b"RIFF\0\0\1\0AVI LIST", "video/x-msvideo"),
    (b"\0\0\1\xba\x44\0\4", "video/mpeg"),
    (b"\0\0\1\xb3\x14\0\xf0", "video/mpeg"),
    (PACKETS, "video/mp2t"),
    (b"time" + PACKETS[:188] + b"time" + PACKETS[:188], "video/mp2t"),
    (b"FLV\1\5\0\0\0\x09", "video/x-flv"),
]
PAGES = [
    b"<!DOCTYPE html><html>",
    b"<!doctype HTML PUBLIC '-//W3C//DTD HTML 4.01//EN'>",
    b"\xef\xbb\xbf<!DocType Html>",
    b"\n\r\n\t  <HTML lang=en>",
    b"<!-- cached --><!--\n again --> <html>",
    b"<!-- a comment that does not end",
    b'<?xml version="1.0"?><!DOCTYPE html><html xmlns="http://www.w3.org/1999/xhtml">',
    b"<head><title>404 Not Found</title></head>",
    b"<body>gone</body>",
    b"<script>location='/login'</script>",
    b"<h1>Not Found</h1>",
    "<!doctype html><title>Größe</title>".encode("latin-1"),
    "<!doctype html>".encode("utf-16"),
    gzip.compress(b"<html><body>packed</body></html>", mtime=0),
    "<html><p>grö".encode()[:-1],  # cut in the middle of a letter
]
OTHERS = [
    (b'<svg xmlns="http://www.w3.org/2000/svg"/>', "image/svg+xml"),
    (b'<?xml version="1.0"?>\n<!-- drawn --><svg>', "image/svg+xml"),
    (b"<!DOCTYPE svg PUBLIC '-//W3C//DTD SVG 1.1//EN'>", "image/svg+xml"),
    (gzip.compress(b"<svg/>", mtime=0), "image/svg+xml"),
    (b'<?xml version="1.0"?><Error><Code>AccessDenied</Code></Error>', "application/xml"),
    (b'{"error": "not found"}', "application/json"),
    (b" [1]", "application/json"),
    (b"404 page not found\n", "text/plain"),
    (b"#EXTM3U\n#EXT-X-VERSION:3\n", "application/vnd.apple.mpegurl"),
    (b"G" * 10, "text/plain"),  # no sync bytes: they are too close
    (b"wordmoov", "text/plain"),  # no box: it would have two gigabytes
    (b"%PDF-1.7\n", "application/pdf"),
    (b"PK\3\4\x14\0", "application/zip"),
    (b"Rar!\x1a\7\1\0", "application/vnd.rar"),
    (gzip.compress(b"\xff\xd8\xff\xe0", mtime=0), "application/gzip"),
    (gzip.compress(b"words", mtime=0), "application/gzip"),
    (gzip.compress(gzip.compress(b"<html>", mtime=0), mtime=0), "application/gzip"),
    (b"\x1f\x8b\x08\xff broken", "application/gzip"),
]
UNKNOWN = [
    b"",
    b"   \n",
    b"\0\0\0\0",
    b"\xff",
    b"\xff\xfb",  # too short for a frame
    MP3_FRAME + b"\0\0\0\0" + MP3_FRAME,  # no second frame where the first one ends
    b"\xff\xfb\xf0\x00",  # a bit rate that does not exist
    b"\xff\xeb\x90\x00" + bytes(500),  # a version that does not exist
    AAC_FRAME[:3] + bytes(30),  # shorter than its own header
    b"\1\2\3\4 binary",
    b"\xff\xfe\0\xd8",  # UTF-16 that is none
    b"\xe9t\xe9 without a tag",
    b"BM is a word\0\0\0",
    b"RIFF\0\0\0\0ACON",
    b"FORM\0\0\0\0ILBM",
    b"ID3\4\0\0\xff\xff\xff\xff",
]


@pytest.mark.parametrize(("head", "mime"), MEDIA)
def test_a_medium_is_known_by_its_mark(head, mime):
    """Every type of picture, sound and film is called by its own name, and the name says its kind."""
    assert magic(head) == Magic(mime, mime.partition("/")[0])


@pytest.mark.parametrize("head", [head for head, _ in MEDIA])
def test_every_type_has_somebody_who_opens_it(head):
    """What is called a medium can be looked at, though its head be a few bytes."""
    with contextlib.suppress(MediaError):
        assert look(head, whole=False).kind


@pytest.mark.parametrize("page", PAGES)
def test_a_web_page_is_one_however_it_begins(page):
    """A web page is known behind marks of order, blanks, comments and a prolog, in any case, encoding and packing."""
    assert magic(page) == Magic("text/html", None)


@pytest.mark.parametrize(("head", "mime"), OTHERS)
def test_what_is_no_medium_has_no_kind(head, mime):
    """Drawings, error bodies, documents and archives have a name and no kind."""
    assert magic(head) == Magic(mime, None)


@pytest.mark.parametrize("head", UNKNOWN)
def test_what_nobody_knows_is_nothing(head):
    """Bytes without a mark, or with half of one, are of no type."""
    assert magic(head) is None


def test_a_tag_is_as_long_as_it_says():
    """An ID3 tag has 10 bytes, as many as 7 bits of each of four of these say, and 10 more where it has a foot."""
    tag = b"ID3\4\0\0\0\0\2\1"  # 2 * 128 + 1
    footed = b"ID3\4\0\x10\0\0\2\1"
    assert [id3_bytes(head) for head in (tag, footed, b"ID3", b"TAG")] == [267, 277, 0, 0]


@pytest.mark.wide
@settings(max_examples=300)
@given(
    st.one_of(
        st.binary(max_size=300),
        st.sampled_from([head for head, _ in MEDIA + OTHERS]).flatmap(
            lambda head: st.tuples(st.just(head), st.integers(0, 40), st.binary(max_size=8)).map(
                lambda cut: cut[0][: cut[1]] + cut[2] + cut[0][cut[1] :]
            )
        ),
    )
)
def test_any_bytes_have_a_type_or_none(head):
    """Whatever the bytes are, the answer is a type or none."""
    found = magic(head)
    assert found is None or found.kind in {None, "image", "audio", "video"}
