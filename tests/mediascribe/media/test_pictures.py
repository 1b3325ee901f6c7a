"""How large a picture is, by its header: the same as Pillow finds once it has decoded all of it."""

import io
import struct

import media_bytes
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageOps

from mediascribe.errors import MediaError
from mediascribe.media.look import look, needs_more

ANIMATED = ["gif", "png", "webp"]
TURNED = ["jpeg", "png", "webp", "tiff", "avif"]


def size(content, *, whole=True):
    looked = look(content, whole=whole)
    return looked.width, looked.height


def shown(content):
    """The size that Pillow shows."""
    return ImageOps.exif_transpose(Image.open(io.BytesIO(content))).size


@pytest.mark.parametrize("kind", media_bytes.PICTURES)
def test_a_picture_has_the_size_that_it_was_made_with(kind):
    """Type and size of every kind of picture are those that it was made with."""
    looked = look(media_bytes.picture(kind, (70, 30)), whole=True)
    assert (looked.mime, looked.kind) == (media_bytes.PICTURES[kind][1], "image")
    assert (looked.width, looked.height, looked.frames, looked.seconds) == (70, 30, None, None)


@pytest.mark.parametrize("kind", TURNED)
@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_picture_is_as_large_as_it_is_shown(kind, orientation):
    """Width and height are those after EXIF's orientation was applied: 5 to 8 lie on their side."""
    content = media_bytes.picture(kind, (70, 30), orientation=orientation)
    assert size(content) == shown(content) == ((30, 70) if orientation > 4 else (70, 30))


@pytest.mark.parametrize("kind", ANIMATED)
def test_the_frames_of_an_animated_picture_are_counted(kind):
    """Three frames are three, of a picture as large as each of them."""
    looked = look(media_bytes.picture(kind, (70, 30), frames=3), whole=True)
    assert (looked.width, looked.height, looked.frames) == (70, 30, 3)


@pytest.mark.parametrize("mode", ["L", "P", "RGBA", "CMYK", "1", "I;16"])
def test_colours_change_nothing(mode):
    """The size is found in grey, palette, transparent, printed, black and white, and 16-bit pictures."""
    kinds = {"CMYK": "jpeg", "RGBA": "webp"}
    file = io.BytesIO()
    Image.new(mode, (33, 44)).save(file, format=kinds.get(mode, "png"))
    assert size(file.getvalue()) == (33, 44)


def test_a_progressive_jpeg_has_its_size_elsewhere():
    """The frame header of a progressive JPEG is another one, and holds the size as well."""
    file = io.BytesIO()
    Image.new("RGB", (33, 44)).save(file, format="JPEG", progressive=True)
    assert size(file.getvalue()) == (33, 44)


def test_a_jpeg_may_be_padded_between_its_segments():
    """Fill bytes, markers without a length, and stray bytes between segments are passed over."""
    content = media_bytes.picture("jpeg", (70, 30))
    assert size(content[:2] + b"\xff\xff\xff\xd0\xff\x01\0\0" + content[2:]) == (70, 30)


def test_a_jpeg_says_what_is_wanted_of_it():
    """The size of a JPEG behind a long preview is found as soon as the head reaches there, and not before."""
    content = media_bytes.padded_jpeg(media_bytes.picture("jpeg", (70, 30)), 150_000)
    head = content[:65_536]
    assert size(head, whole=False) == (None, None)
    start, length = needs_more(head)
    assert start == 65_536
    assert length >= 65_536
    rounds = 0
    while more := needs_more(head):
        rounds, head = rounds + 1, head + content[more[0] : sum(more)]
    assert rounds <= 2
    assert size(head, whole=False) == (70, 30)


@pytest.mark.parametrize("kind", media_bytes.PICTURES)
def test_a_head_is_enough_for_a_size(kind):
    """A head without the pixels tells the size of every kind; a TIFF of Pillow's has its directory in front."""
    content = media_bytes.picture(kind, (300, 200))
    head = content[: min(1024, len(content) - 8)]
    assert size(head, whole=False) == (300, 200)
    assert needs_more(head, len(content)) is None


def test_a_tiff_has_its_directory_where_it_says():
    """A TIFF whose directory stands at its end wants the range there, and has its size with it."""
    tags = struct.pack("<H", 2) + struct.pack("<HHII", 256, 3, 1, 70) + struct.pack("<HHII", 257, 4, 1, 30)
    content = b"II*\0" + struct.pack("<I", 3_000_000) + bytes(3_000_000 - 8) + tags
    assert size(content) == (70, 30)
    assert size(content[:4096], whole=False) == (None, None)
    assert needs_more(content[:4096], len(content)) == (3_000_000, len(content) - 3_000_000)


def test_a_large_tiff_counts_in_64_bits():
    """A BigTIFF, in the other order of bytes, has the same tags."""
    tags = struct.pack(">Q", 2) + struct.pack(">HHQI4x", 256, 4, 1, 70) + struct.pack(">HHQH6x", 257, 3, 1, 30)
    assert size(b"MM\0+\0\x08\0\0" + struct.pack(">Q", 16) + tags) == (70, 30)


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"BM" + bytes(12) + struct.pack("<IHH", 12, 70, 30) + bytes(4), (70, 30)),
        (b"BM" + bytes(12) + struct.pack("<Iii", 40, 70, -30), (70, 30)),  # from the top down
        (media_bytes.png_head(70, 30, (b"iCCP", bytes(90_000))), (70, 30)),
        (media_bytes.png_head(70, 30, (b"eXIf", media_bytes.exif(6)[6:])), (30, 70)),
        (media_bytes.png_head(70, 30, (b"eXIf", b"XX broken")), (70, 30)),
        (b"\xff\x0a\0\0", (None, None)),  # JPEG XL: nobody takes it
    ],
)
def test_headers_written_by_hand(content, expected):
    """Old and odd headers have a size; what nobody takes needs none."""
    assert size(content) == expected


def test_an_animation_is_counted_as_far_as_it_is_seen():
    """A cut animation has the frames that were there to see, one that has a single frame is none."""
    content = media_bytes.picture("gif", (70, 30), frames=5)
    assert look(content[: len(content) // 2], whole=False).frames in {2, 3, 4}
    assert look(media_bytes.png_head(7, 3, (b"acTL", struct.pack(">II", 1, 0))), whole=True).frames is None


def test_no_more_than_a_thousand_frames_are_counted():
    """A hostile animation of a million frames is counted to a thousand."""
    frame = b"," + bytes(8) + b"\0" + b"\2" + b"\0"
    content = b"GIF89a" + struct.pack("<HH", 7, 3) + b"\x80\0\0" + bytes(6) + frame * 3000
    assert look(content, whole=True).frames == 1000


@pytest.mark.parametrize(
    "content",
    [
        b"\xff\xd8\xff\xd9",  # ends before it begins
        b"\xff\xd8\xff\xe0\0\x01",  # a segment shorter than its length
        b"\xff\xd8\xff\xda\0\x08",  # pixels without a size
        b"\xff\xd8\xff",
        b"\xff\xd8\xff" + b"\xff" * 500_000,
        b"\xff\xd8\xff\xc0\0\x0b\x08\0\0\0\0\3",  # no pixels
        b"\x89PNG\r\n\x1a\n",
        b"\x89PNG\r\n\x1a\n" + bytes(30),
        media_bytes.png_head(0, 30),
        b"GIF89a",
        b"RIFF\x1a\0\0\0WEBPVP8L\0\0\0\0\0\0\0\0\0\0",  # without its signature
        b"RIFF\x1a\0\0\0WEBPWHAT" + bytes(20),
        b"II*\0\x08\0\0\0",
        b"II*\0\x08\0\0\0\0\0",  # an empty directory
        media_bytes.ftyp(b"heic"),
        media_bytes.ftyp(b"heic") + media_bytes.box(b"meta", bytes(4), media_bytes.box(b"pitm", bytes(6))),
    ],
)
def test_a_broken_picture_cannot_be_opened(content):
    """A picture without a header that holds a size is `corrupt`."""
    with pytest.raises(MediaError, match="cannot be opened") as refusal:
        look(content, whole=True)
    assert refusal.value.failure.code == "corrupt"


@pytest.mark.parametrize("quarters", range(4))
@pytest.mark.parametrize("wide", [False, True])
def test_a_heic_is_as_large_as_its_main_picture_is_shown(quarters, wide):
    """A HEIC has the size of its main picture, not of its preview, turned as it says, in both widths of numbers."""
    looked = look(media_bytes.heic((70, 30), quarters=quarters, wide=wide), whole=True)
    assert looked.mime == "image/heic"
    assert (looked.width, looked.height) == ((30, 70) if quarters % 2 else (70, 30))


def test_a_heic_with_a_long_directory_wants_the_rest_of_it():
    """What the directory of a HEIC holds behind the head is asked for, and tells the size."""
    content = media_bytes.heic((70, 30), padding=90_000)
    assert size(content[:65_536], whole=False) == (None, None)
    start, length = needs_more(content[:65_536], len(content))
    assert start + length == len(content)
    assert size(content[:65_536] + content[start:], whole=False) == (70, 30)


def test_a_heic_that_links_nothing_has_no_size():
    """A directory whose links lead nowhere is broken."""
    links = struct.pack(">IIHBB", 0, 1, 1, 1, 0x85)
    kept = media_bytes.box(b"ipco", media_bytes.box(b"free"))
    parts = [
        media_bytes.box(b"pitm", bytes(4), b"\0\1"),
        media_bytes.box(b"iprp", kept, media_bytes.box(b"ipma", links)),
    ]
    with pytest.raises(MediaError):
        look(media_bytes.ftyp(b"heic") + media_bytes.box(b"meta", bytes(4), *parts), whole=True)


@pytest.mark.wide
@settings(max_examples=60, deadline=None)
@given(
    st.sampled_from(sorted(media_bytes.PICTURES)),
    st.tuples(st.integers(1, 400), st.integers(1, 400)),
    st.integers(1, 8),
)
def test_sizes_are_those_that_pillow_shows(kind, sides, orientation):
    """Whatever the kind, the sides and the orientation, the size is that of the picture that Pillow shows."""
    content = media_bytes.picture(kind, sides, orientation=orientation if kind in TURNED else None)
    assert size(content) == shown(content)
