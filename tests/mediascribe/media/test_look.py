"""What the bytes of sounds, films and samples say: all of them, a head, or ranges read when wanted."""

import contextlib
import csv
import itertools
import random
import struct
from pathlib import Path

import av
import media_bytes
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mediascribe.domain import Failure
from mediascribe.errors import MediaError
from mediascribe.media.glimpse import BLOCK_BYTES, BLOCKS, READ_BYTES, of_bytes, of_ranges
from mediascribe.media.look import HEAD_BYTES, TAIL_BYTES, Looked, look, look_at_ranges, needs_more
from mediascribe.media.token_rules import Facts

SAMPLES = Path(__file__).parents[3] / "data" / "samples"
NEAR = pytest.approx(2.0, abs=0.1)  # encoders add a frame before or behind
FTYP = media_bytes.ftyp(b"isom")
BY_THE_END = ["opus", "ts"]
MP3_FRAME = b"\xff\xfb\x90\x00" + bytes(413)  # 128 kbit/s at 44.1 kHz: 144 * 128000 / 44100 = 417 bytes


def failure_of(content, **facts):
    with pytest.raises(MediaError) as refusal:
        look(content, **({"whole": True} | facts))
    return refusal.value.failure


def ranges_of(content, asked=None):
    """A reader of ranges of *content*, which notes what it was *asked*."""

    def read(start, length):
        if asked is not None:
            asked.append((start, length))
        return content[start : start + length]

    return read


# Sounds


@pytest.mark.wide
@pytest.mark.parametrize("kind", media_bytes.SOUNDS)
def test_a_sound_has_its_type_and_length(kind):
    """Every kind of sound is a sound of its own type, 2 seconds long, without size or picture."""
    looked = look(media_bytes.sound(kind), whole=True)
    assert looked == Looked(mime=media_bytes.SOUNDS[kind][3], kind="audio", seconds=looked.seconds)
    assert looked.seconds == NEAR


@pytest.mark.wide
@pytest.mark.parametrize(
    "kind", [kind for kind in media_bytes.SOUNDS if kind not in {*BY_THE_END, "m4a", "mp4", "mov", "3gp"}]
)
def test_the_head_of_a_sound_tells_its_length(kind):
    """Where a header or the bit rate tells, a head of 8 KiB is as good as the whole."""
    content = media_bytes.sound(kind)
    looked = look(content[:8192], whole=False, total_bytes=len(content))
    assert (looked.mime, looked.seconds) == (media_bytes.SOUNDS[kind][3], NEAR)
    assert needs_more(content[:8192], len(content)) is None


@pytest.mark.wide
@pytest.mark.parametrize("kind", ["mp3", "flac"])
def test_a_cover_is_no_film(kind):
    """A sound with a picture attached is a sound without a size."""
    looked = look(media_bytes.sound(kind, cover=True), whole=True)
    assert (looked.kind, looked.width, looked.seconds) == ("audio", None, NEAR)


def test_a_wav_has_the_length_that_its_header_says():
    """3.5 seconds are 3.5 seconds, from 100 bytes, whether the file's length is known or not."""
    content = media_bytes.wav(3.5, 16_000, 2)
    assert look(content, whole=True).seconds == 3.5
    assert look(content[:100], whole=False, total_bytes=len(content)).seconds == 3.5
    assert look(content[:100], whole=False).seconds == 3.5


def test_a_wav_that_was_written_as_a_stream_is_as_long_as_its_file():
    """Where the header does not know how long it is, the file's length tells; without that, nothing does."""
    content = media_bytes.wav(2.0)
    streamed = content[:4] + b"\xff" * 4 + content[8:40] + b"\xff" * 4 + content[44:]
    assert look(streamed[:4096], whole=False, total_bytes=len(content)).seconds == pytest.approx(2.0)
    assert look(streamed[:4096], whole=False).seconds is None


def test_a_wav_whose_header_was_never_completed_is_no_wreck():
    """A header that still says that nothing follows is one of a stream: the file's length tells."""
    content = media_bytes.wav(2.0)
    unfinished = content[:4] + struct.pack("<I", 36) + content[8:40] + bytes(4) + content[44:]
    assert look(unfinished[:4096], whole=False).seconds is None
    assert look(unfinished[:4096], whole=False).kind == "audio"
    assert look(unfinished, whole=True).seconds == pytest.approx(2.0)


def test_what_takes_too_long_stays_unknown(monkeypatch):
    """A library that is out of patience leaves the length unknown, and the medium no wreck."""

    def give_up(*_args, **_options):
        raise av.ExitError(1, "Immediate exit requested")

    monkeypatch.setattr(av, "open", give_up)
    assert look(MP3_FRAME * 9, whole=True) == Looked(mime="audio/mpeg", kind="audio")


def test_an_mp3_of_constant_bit_rate_lasts_as_long_as_its_bytes():
    """100 frames of 1152 samples at 44.1 kHz are 2.61 s; without the file's length nobody knows."""
    content = MP3_FRAME * 100
    assert look(content, whole=True).seconds == pytest.approx(100 * 1152 / 44_100, abs=0.03)
    assert look(MP3_FRAME * 20, whole=False, total_bytes=41_700).seconds == pytest.approx(2.61, abs=0.03)
    assert look(MP3_FRAME * 20, whole=False).seconds is None


def test_an_mp3_behind_a_long_tag_wants_what_follows():
    """An ID3 tag that fills the head is read to its end and somewhat further."""
    content = media_bytes.id3(200_000) + MP3_FRAME * 400
    head = content[:HEAD_BYTES]
    assert look(head, whole=False, total_bytes=len(content)) == Looked(mime="audio/mpeg", kind="audio")
    start, length = needs_more(head, len(content))
    assert (start, start + length) == (HEAD_BYTES, 200_010 + HEAD_BYTES)
    longer = content[: start + length]
    assert look(longer, whole=False, total_bytes=len(content)).seconds == pytest.approx(10.45, abs=0.1)


def test_a_flac_has_its_length_before_its_cover():
    """The first 42 bytes of a FLAC tell its length; one that does not know it, or is cut before, is left to PyAV."""
    facts = 44_100 << 44 | 1 << 41 | 15 << 36 | 441_000  # samples a second, channels, bits, samples
    head = b"fLaC\0\0\0\x22" + bytes(10) + facts.to_bytes(8, "big") + bytes(16)
    assert look(head, whole=False, total_bytes=900_000).seconds == 10.0
    assert look(head[:25], whole=False).seconds is None
    assert look(head[:18] + bytes(24), whole=False).seconds is None


def test_amr_lasts_about_as_long_as_its_bytes():
    """A frame of AMR is 20 ms; FFmpeg takes its rate for a little less."""
    assert look(media_bytes.amr(10.0), whole=True).seconds == pytest.approx(10.0, rel=0.05)


# Films


@pytest.mark.wide
@pytest.mark.parametrize("kind", media_bytes.FILMS)
@pytest.mark.parametrize("silent", [False, True])
def test_a_film_has_type_size_length_and_sound(kind, silent):
    """Every kind of film is a film of its own type, 64 x 48, and says whether there is something to hear."""
    looked = look(media_bytes.film(kind, silent=silent), whole=True)
    assert (looked.mime, looked.kind) == (media_bytes.FILMS[kind][3], "video")
    assert (looked.width, looked.height, looked.has_sound, looked.frames) == (64, 48, not silent, None)
    if (kind, silent) != ("mpeg", True):  # two seconds of one colour: a single time stamp
        assert looked.seconds == NEAR


@pytest.mark.wide
@pytest.mark.parametrize(
    "kind", [kind for kind in media_bytes.FILMS if kind not in {"mp4", "mov", "3gp", "mpeg", "ts"}]
)
def test_the_head_of_a_film_tells_its_length(kind):
    """Where a header tells, a head of 16 KiB is as good as the whole."""
    content = media_bytes.film(kind)
    head = content[: min(16_384, len(content) - 4096)]
    assert look(head, whole=False, total_bytes=len(content)) == look(content, whole=True)
    assert needs_more(head, len(content)) is None


@pytest.mark.wide
@pytest.mark.parametrize("degrees", [90, -90, 180])
def test_a_film_is_as_large_as_it_is_shown(degrees):
    """A film that players turn by a quarter has its sides swapped."""
    looked = look(media_bytes.film(turned=degrees), whole=True)
    assert (looked.width, looked.height) == ((64, 48) if degrees == 180 else (48, 64))


@pytest.mark.parametrize("wide", [False, True])
def test_the_index_of_an_mp4_tells_all(wide):
    """Length, size and tracks stand in the index, in numbers of 32 or 64 bits."""
    content = FTYP + media_bytes.mp4(seconds=12.5, size=(1920, 1080), wide=wide)
    expected = Looked(mime="video/mp4", kind="video", width=1920, height=1080, seconds=12.5, has_sound=True)
    assert look(content, whole=True) == look(content + bytes(1000), whole=False) == expected


def test_a_quarter_turn_stands_in_the_matrix():
    """A matrix with nothing on its diagonal lays the film on its side."""
    looked = look(FTYP + media_bytes.mp4(seconds=1, size=(1920, 1080), matrix=(0, 1, -1, 0)), whole=True)
    assert (looked.width, looked.height) == (1080, 1920)


def test_an_mp4_without_pictures_is_a_sound():
    """Tracks decide what brands leave open; what has neither picture nor sound is broken."""
    sound = FTYP + media_bytes.mp4(seconds=3, kinds=(b"soun",))
    assert look(sound, whole=True) == Looked(mime="audio/mp4", kind="audio", seconds=3.0)
    assert failure_of(FTYP + media_bytes.mp4(seconds=3, kinds=(b"text",))).code == "corrupt"


def test_an_m4a_with_pictures_of_its_chapters_is_a_sound():
    """The brand of a sound goes before a track of pictures."""
    looked = look(media_bytes.ftyp(b"M4A ") + media_bytes.mp4(seconds=3), whole=True)
    assert looked == Looked(mime="audio/mp4", kind="audio", seconds=3.0)


def test_an_mp4_in_fragments_says_its_length_elsewhere_or_not_at_all():
    """Without a length in its header, `mehd` has it, in 32 or 64 bits; else it is unknown, and no range would tell."""
    index = media_bytes.mp4()[8:]
    for head in (struct.pack(">II", 0, 4500), struct.pack(">IQ", 1 << 24, 4500)):
        more = media_bytes.box(b"mvex", media_bytes.box(b"mehd", head))
        assert look(FTYP + media_bytes.box(b"moov", index, more), whole=True).seconds == 4.5
    silent = FTYP + media_bytes.box(b"moov", index, media_bytes.box(b"mvex")) + bytes(90_000)
    assert look(silent[:HEAD_BYTES], whole=False).seconds is None
    assert needs_more(silent[:HEAD_BYTES], len(silent)) is None
    assert look(FTYP + media_bytes.mp4(), whole=True).seconds is None


def test_an_index_at_the_end_is_asked_for():
    """An MP4 whose index stands behind its pictures wants the range there; near by, all that lies between."""
    for pictures in (3_000_000, 300_000):
        content = FTYP + media_bytes.box(b"mdat", bytes(pictures)) + media_bytes.mp4(seconds=9)
        head = content[:HEAD_BYTES]
        assert look(head, whole=False, total_bytes=len(content)) == Looked(mime="video/mp4", kind="video")
        place = len(FTYP) + 8 + pictures
        start = place if pictures > 2**20 else HEAD_BYTES
        assert needs_more(head, len(content)) == (start, len(content) - start)
        assert needs_more(head) == (start, place + HEAD_BYTES - start)


def test_an_index_that_is_cut_wants_the_rest():
    """What a cut index still tells is told, and the rest is asked for."""
    content = FTYP + media_bytes.mp4(seconds=9)
    cut = content[: len(FTYP) + 130]
    assert look(cut, whole=False) == Looked(mime="video/mp4", kind="video", seconds=9.0)
    start, length = needs_more(cut, len(content))
    assert (start, start + length) == (len(cut), len(content))
    assert look(content, whole=True).width == 64
    half = content[: len(FTYP) + 16 + 18]  # in the middle of the length
    assert look(half, whole=False) == Looked(mime="video/mp4", kind="video")


def test_boxes_may_have_long_lengths_or_none():
    """A box may have its length in 64 bits, and the last one none at all; one shorter than its head ends the file."""
    pictures = struct.pack(">I4sQ", 1, b"mdat", 16 + 100) + bytes(100)
    index = media_bytes.mp4(seconds=9)
    assert look(FTYP + pictures + struct.pack(">I", 0) + index[4:], whole=True).seconds == 9.0
    assert failure_of(FTYP + struct.pack(">I4s", 4, b"free") + index).code == "corrupt"


@pytest.mark.wide
@pytest.mark.parametrize(("make", "kind"), [("sound", "opus"), ("film", "ts"), ("film", "mpeg")])
def test_what_has_its_length_at_the_end_wants_the_end(make, kind):
    """The last time stamp is the length: from a head it is unknown, and the end is asked for where that is known."""
    content = getattr(media_bytes, make)(kind)
    whole = look(content, whole=True)
    looked = look(content[:8192], whole=False, total_bytes=len(content))
    assert (looked.mime, looked.seconds) == (whole.mime, None)
    assert needs_more(content[:8192], len(content)) == (8192, len(content) - 8192)
    assert needs_more(content[:8192], 10 * TAIL_BYTES) == (9 * TAIL_BYTES, TAIL_BYTES)


@pytest.mark.wide
def test_a_head_without_pictures_may_be_the_head_of_a_film():
    """In a transport stream the pictures may come later: only the whole of it is sure to be a sound."""
    content = media_bytes.sound("ts")
    looked = look(content[:8192], whole=False, total_bytes=len(content))
    assert (looked.kind, looked.has_sound, look(content, whole=True).kind) == ("video", True, "audio")


@pytest.mark.wide
def test_a_film_without_a_length_is_not_chased():
    """A Matroska file that was written as a stream says its length nowhere: nothing more is asked for."""
    content = media_bytes.film("mkv", options=(("live", "1"),))
    looked = look(content[:8192], whole=False, total_bytes=len(content))
    assert (looked.width, looked.seconds) == (64, None)
    assert needs_more(content[:8192], len(content)) is None


@pytest.mark.wide
def test_a_codec_that_nobody_knows_has_no_size():
    """A film whose codec has no name is a film all the same."""
    content = media_bytes.film("mkv", silent=True).replace(b"V_MPEG4/ISO/AVC", b"V_NOBODY/KNOWS0")
    looked = look(content, whole=True)
    assert (looked.kind, looked.width, looked.seconds) == ("video", None, NEAR)


# Ranges


@pytest.mark.wide
@pytest.mark.parametrize("kind", media_bytes.FILMS)
def test_ranges_tell_what_the_whole_tells(kind):
    """A film read range by range is the film read at once."""
    content = media_bytes.film(kind)
    assert look_at_ranges(ranges_of(content), len(content)) == look(content, whole=True)


def test_of_a_long_film_a_few_ranges_are_read():
    """Of a film of 100 MB with its index at the end, the first range and the last ones are read, each once."""
    pictures, index = 100_000_000, media_bytes.mp4(seconds=3600)
    head = FTYP + struct.pack(">I4s", pictures + 8, b"mdat")
    total = len(head) + pictures + len(index)
    asked = []

    def read(start, length):
        asked.append(start)
        place = len(head) + pictures
        return (
            (head + bytes(BLOCK_BYTES))[start : start + length]
            if start < place - BLOCK_BYTES
            else (bytes(place - start) + index if start < place else index[start - place :])[:length]
        )

    assert look_at_ranges(read, total).seconds == 3600.0
    assert asked == [0, (total - len(index)) // BLOCK_BYTES * BLOCK_BYTES]


def test_a_picture_is_read_range_by_range():
    """The size of a JPEG behind a megabyte of previews is found, and no range is read twice."""
    content = media_bytes.padded_jpeg(media_bytes.picture("jpeg", (70, 30)), 1_000_000)
    asked = []
    assert look_at_ranges(ranges_of(content, asked), len(content)).width == 70
    assert len(asked) == len(set(asked)) == 4


def test_a_medium_that_wants_too_much_stays_unknown():
    """After 24 ranges nothing more is read, and what they did not tell is None."""
    content = media_bytes.padded_jpeg(media_bytes.picture("jpeg"), 40 * BLOCK_BYTES)
    asked = []
    assert look_at_ranges(ranges_of(content, asked), len(content)) == Looked(mime="image/jpeg", kind="image")
    assert len(asked) == BLOCKS == 24


@pytest.mark.parametrize(
    "content", [media_bytes.padded_jpeg(media_bytes.picture("jpeg"), 600_000), media_bytes.id3(600_000) + MP3_FRAME * 9]
)
def test_a_range_that_cannot_be_read_is_the_readers_failure(content):
    """What the reader says of a host goes before what was seen, and the host is not asked again."""
    asked = []

    def read(start, length):
        asked.append(start)
        if start:
            raise MediaError(Failure(error_class="timeout", message="slow", unasked=True))
        return content[:length]

    with pytest.raises(MediaError, match="slow"):
        look_at_ranges(read, len(content))
    assert asked == [0, BLOCK_BYTES]


def test_a_reader_that_gives_too_much_is_cut_and_too_little_is_noted():
    """More than was asked for is left aside; less is missing."""
    generous = of_ranges(lambda _start, _length: bytes(10_000), 100)
    assert (generous.at(90, 50), generous.missing) == (bytes(10), None)
    mean = of_ranges(lambda _start, _length: bytes(10), 100)
    assert (mean.at(0, 50), mean.missing) == (bytes(10), (10, 40))


def test_an_empty_medium_has_nothing_to_read():
    """A medium of 0 bytes is empty, and its host is not asked."""
    with pytest.raises(MediaError, match="0 bytes"):
        look_at_ranges(ranges_of(b"", asked := []), 0)
    assert asked == []


def test_who_reads_too_much_sees_no_more():
    """A demuxer that steps over a long file bit by bit is stopped."""
    glimpse = of_bytes(bytes(2 * READ_BYTES), 2 * READ_BYTES)
    read = sum(len(piece) for piece in iter(lambda: glimpse.read(65_536), b""))
    assert (read, glimpse.missing) == (READ_BYTES, (READ_BYTES, 65_536))
    assert (glimpse.tell(), glimpse.seek(-8, 2), glimpse.seek(4, 1)) == (
        READ_BYTES,
        2 * READ_BYTES - 8,
        2 * READ_BYTES - 4,
    )


# What is none


@pytest.mark.parametrize(
    ("content", "code", "says"),
    [
        (b"", "empty", "0 bytes"),
        (b"<!doctype html><title>404</title>", "html", "web page"),
        (b"<svg/>", "wrong_type", "convert it to PNG"),
        (b'{"error": 404}', "no_media", "JSON"),
        (b"<?xml version='1.0'?><Error/>", "no_media", "object store"),
        (b"not found", "no_media", "plain text"),
        (b"%PDF-1.7", "no_media", "PDF"),
        (b"PK\3\4", "no_media", "application/zip"),
        (b"#EXTM3U\n", "no_media", "playlist"),
        (b"\0\1\2\3", "no_media", "of no type that is known"),
        (b"RIFF\0\0\0\0WAVE", "corrupt", "begins like audio/wav"),
        (b"fLaC", "corrupt", "begins like audio/flac"),
        (b"\x1a\x45\xdf\xa3\x42\x82\x84webm", "corrupt", "begins like video/webm"),
        (FTYP, "corrupt", "begins like video/mp4"),
    ],
)
def test_what_is_no_medium_is_refused_with_its_reason(content, code, says):
    """Nothing, pages, error bodies, documents and wrecks are refused before anything is asked, each by its own code."""
    failure = failure_of(content)
    assert (failure.error_class, failure.code, failure.status) == ("media", code, "skipped")
    assert says in failure.message
    assert needs_more(content) is None or code == "corrupt"


def test_a_head_that_cannot_be_opened_may_be_the_head_of_a_good_medium():
    """A wreck is one only where nothing more is to come."""
    assert look(b"fLaC", whole=False, total_bytes=9000) == Looked(mime="audio/flac", kind="audio")
    assert look(b"fLaC", whole=False) == Looked(mime="audio/flac", kind="audio")
    assert needs_more(b"fLaC", 9000) == (4, 8996)


def test_facts_are_what_the_rules_of_tokens_take():
    """Width, height and seconds go on as they are."""
    looked = Looked(mime="video/mp4", kind="video", width=64, height=48, seconds=2.0, has_sound=True)
    assert looked.facts() == Facts(width=64, height=48, seconds=2.0)


# Samples


def test_the_samples_are_what_their_table_says():
    """Sizes and lengths of the samples are those of data/samples/README.md."""
    facts = {
        "images/portrait.jpg": (480, 640, None),  # upright
        "images/lake.jpg": (960, 640, None),
        "images/oranges.jpg": (600, 450, None),
        "images/bokeh.webp": (800, 600, None),
        "images/map.webp": (720, 720, None),
        "images/icon.png": (256, 256, None),
        "audio/interview.wav": (None, None, 7.0),
        "audio/story.mp3": (None, None, 6.0),
        "videos/ball.mp4": (320, 240, 4.0),
        "videos/clock.mp4": (256, 144, 6.0),
    }
    for name, expected in facts.items():
        content = (SAMPLES / name).read_bytes()
        looked = look(content[:HEAD_BYTES], whole=False, total_bytes=len(content))
        assert (looked.width, looked.height, looked.seconds) == expected, name


def test_every_sample_of_the_manifest_is_seen_by_its_head():
    """Each file that the manifest names is of the kind of its column, or one of the two web pages."""
    pages = set()
    with (SAMPLES / "manifest.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    for row, kind in itertools.product(rows, ("image", "audio", "video")):
        path = SAMPLES / row[f"{kind}_url"]
        if not path.is_file():
            continue
        if row["item_id"] in {"bad-web-page", "bad-content"}:
            assert failure_of(path.read_bytes()).code == "html"
            pages.add(path.name)
        else:
            assert look(path.read_bytes()[:4096], whole=False).kind == kind, path
    assert pages == {"page.html", "not-an-image.jpg"}


# Hostile bytes


def _pool():
    """Small media of many types, each with what is easily broken in its head."""
    yield from (media_bytes.picture(kind, orientation=6) for kind in ("jpeg", "png", "webp", "tiff", "avif"))
    yield from (media_bytes.picture(kind, frames=3) for kind in ("gif", "png", "webp"))
    yield from (media_bytes.heic(quarters=1), media_bytes.heic(wide=True), media_bytes.wav(0.1), media_bytes.amr(0.1))
    yield from (FTYP + media_bytes.mp4(seconds=3), FTYP + media_bytes.mp4(seconds=3, wide=True))
    yield from (media_bytes.sound(kind) for kind in media_bytes.SOUNDS)
    yield from (media_bytes.film(kind) for kind in media_bytes.FILMS)


def _spoilt(content, chance):
    """*content* with bytes flipped, put in, taken out and cut off, most of them near its beginning."""
    spoilt = bytearray(content)
    reach = chance.choice((64, 400, 4000))
    for _ in range(chance.randrange(1, 12)):
        at = chance.randrange(min(reach, len(spoilt)))
        match chance.randrange(5):
            case 0:
                spoilt[at] = chance.choice((0, 1, 0x7F, 0x80, 0xFF, chance.randrange(256)))
            case 1:
                spoilt[at : at + 4] = chance.choice((b"\xff" * 4, bytes(4), b"\x7f\xff\xff\xff", b"\0\0\0\1"))
            case 2:
                spoilt[at:at] = chance.randbytes(chance.randrange(1, 16))
            case 3 if len(spoilt) > 80:
                del spoilt[at : at + chance.randrange(1, 40)]
            case _:
                spoilt = spoilt[: max(1, at)] if chance.random() < 0.2 else spoilt
    return bytes(spoilt)


@pytest.fixture(scope="module")
def pool():
    return list(_pool())


@pytest.mark.wide
@settings(max_examples=300, deadline=None)
@given(seed=st.integers(0, 2**32))
def test_of_any_bytes_comes_a_look_or_a_media_error(pool, seed):
    """Cut and flipped bytes of every type are seen, or refused with a class; they never raise anything else."""
    chance = random.Random(seed)  # noqa: S311 - a seed, not a secret
    content = _spoilt(chance.choice(pool), chance)
    head = content[: chance.randrange(1, len(content) + 1)]
    ways = [
        lambda: look(content, whole=True),
        lambda: look(head, whole=False),
        lambda: look(head, whole=False, total_bytes=len(content)),
        lambda: look_at_ranges(ranges_of(content), len(content)),
    ]
    for way in ways:
        with contextlib.suppress(MediaError):
            looked = way()
            assert looked.seconds is None or looked.seconds > 0
            assert looked.width is None or looked.width > 0
    more = needs_more(head, len(content))
    assert more is None or (min(more) >= 0 and sum(more) <= len(content))
