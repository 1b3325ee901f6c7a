"""A picture's file without its metadata: which segments and chunks stay, by hand-made files."""

import io

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from mediascribe.media.strip import stripped

TABLES = b"\xff\xdb\0\x04ab" + b"\xff\xc0\0\x04cd"
SCAN = b"\xff\xda\0\x03e" + b"data\xff\0more\xff\xd0again"
START, END = b"\xff\xd8", b"\xff\xd9"


def jpeg(*segments):
    return b"".join((START, *segments, END))


def segment(marker, payload):
    return b"\xff" + bytes([marker]) + (len(payload) + 2).to_bytes(2) + payload


def chunk(name, payload):
    return name + len(payload).to_bytes(4, "little") + payload + b"\0" * (len(payload) % 2)


def webp(*chunks):
    body = b"WEBP" + b"".join(chunks)
    return b"RIFF" + len(body).to_bytes(4, "little") + body


class TestJpeg:
    """Segments."""

    @pytest.mark.parametrize("marker", [0xE1, 0xE2, 0xED, 0xEE, 0xEF, 0xE0, 0xFE])
    def test_what_applications_say_goes(self, marker):
        """EXIF and XMP, ICC, Photoshop, anything else of an application, comments."""
        assert stripped(jpeg(segment(marker, b"secret"), TABLES, SCAN), "image/jpeg") == jpeg(TABLES, SCAN)

    def test_what_says_how_to_read_the_colours_stays(self):
        """Adobe's segment tells YCCK from CMYK."""
        file = jpeg(segment(0xEE, b"Adobe\0d\0\0\0\0\x02"), TABLES, SCAN)
        assert stripped(file, "image/jpeg") == file

    def test_jfif_loses_its_preview(self):
        """14 bytes stay: version, density, and a preview of no pixels."""
        head = b"JFIF\0\x01\x02\0\0\x01\0\x01"
        file = jpeg(segment(0xE0, head + b"\x01\x01rgb"), TABLES, SCAN)
        assert stripped(file, "image/jpeg") == jpeg(segment(0xE0, head + b"\0\0"), TABLES, SCAN)

    def test_all_scans_stay(self):
        """A progressive picture has tables between its scans."""
        file = jpeg(TABLES, SCAN, TABLES, SCAN)
        assert stripped(file, "image/jpeg") == file

    def test_what_follows_the_end_goes(self):
        """A film, a second picture, whatever."""
        file = jpeg(TABLES, SCAN)
        assert stripped(file + b"\xff\xd8 another", "image/jpeg") == file

    @pytest.mark.parametrize(
        "file",
        [
            START,
            jpeg(TABLES),  # no scan
            START + TABLES + SCAN,  # no end
            START + b"\xff\xe1\xff\xffcut",
            START + b"no segment" + SCAN,
        ],
    )
    def test_what_is_built_otherwise_is_left_to_others(self, file):
        """None: the file has to be decoded to say more."""
        assert stripped(file, "image/jpeg") is None


class TestPng:
    """Chunks."""

    def test_only_what_the_pixels_need_stays(self):
        """Head, palette, transparency, data, end; and nothing behind it."""
        head, tail = b"\x89PNG\r\n\x1a\n", b"after the end"

        def one(name, payload=b"xyz"):
            return len(payload).to_bytes(4) + name + payload + b"crc!"

        needed = [one(name) for name in (b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IDAT")]
        others = [one(name) for name in (b"eXIf", b"tEXt", b"iTXt", b"iCCP", b"tIME", b"acTL")]
        end = one(b"IEND", b"")
        file = head + needed[0] + b"".join(others) + b"".join(needed[1:]) + end + tail
        assert stripped(file, "image/png") == head + b"".join(needed) + end

    @pytest.mark.parametrize("cut", [8, 30, 60])
    def test_without_an_end_it_is_left_to_others(self, cut):
        """None for a cut file."""
        file = io.BytesIO()
        Image.new("L", (4, 4)).save(file, "PNG")
        assert stripped(file.getvalue()[:cut], "image/png") is None


class TestWebp:
    """Chunks of a RIFF file."""

    HEAD = chunk(b"VP8X", b"\x3e\0\0\0\x03\0\0\x03\0\0")

    @pytest.mark.parametrize("name", [b"VP8 ", b"VP8L"])
    def test_a_picture_alone_needs_no_more(self, name):
        """EXIF, XMP, ICC and the head that announces them go."""
        others = [chunk(other, b"secret!") for other in (b"EXIF", b"XMP ", b"ICCP")]
        picture = chunk(name, b"pixels!")
        assert stripped(webp(self.HEAD, *others, picture), "image/webp") == webp(picture)

    def test_transparency_beside_the_picture_needs_a_head(self):
        """The head then announces transparency (0x10) and nothing else."""
        alpha, picture = chunk(b"ALPH", b"abc"), chunk(b"VP8 ", b"pixels")
        head = chunk(b"VP8X", b"\x10\0\0\0\x03\0\0\x03\0\0")
        file = webp(self.HEAD, alpha, picture, chunk(b"EXIF", b"secret"))
        assert stripped(file, "image/webp") == webp(head, alpha, picture)

    def test_padding_that_is_missing_at_the_end_is_made_up(self):
        """A last chunk of odd length without its padding is whole all the same."""
        whole = webp(chunk(b"VP8L", b"odd"))
        assert stripped(whole[:-1], "image/webp") == whole

    @pytest.mark.parametrize("file", [b"RIFF", webp(HEAD, chunk(b"ANMF", b"frame")), webp(chunk(b"VP8 ", b"cut"))[:-3]])
    def test_what_has_no_picture_of_its_own_is_left_to_others(self, file):
        """None for an animation, and for a cut file."""
        assert stripped(file, "image/webp") is None


def test_other_types_are_left_to_others():
    """None for what is not stripped here."""
    assert stripped(b"GIF89a", "image/gif") is None


@pytest.mark.wide
@settings(max_examples=300, deadline=None)
@given(
    content=st.binary(max_size=200),
    start=st.sampled_from([b"", START, b"\x89PNG\r\n\x1a\n", b"RIFF\0\0\0\0WEBP", START + TABLES + SCAN]),
    mime=st.sampled_from(["image/jpeg", "image/png", "image/webp"]),
)
def test_whatever_the_bytes_are(content, start, mime):
    """Nothing is raised, and what was stripped once stays as it is."""
    once = stripped(start + content, mime)
    assert once is None or stripped(once, mime) == once
