"""A picture made fit to send: what becomes of real files of every kind, told by their pixels and their bytes."""

import base64
import io
import random
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageCms

from mediascribe import models
from mediascribe.errors import MediaError
from mediascribe.job_sections import MediaSection
from mediascribe.media.shrink import QUALITIES, Inline, frames_of, shrink

ROOT = Path(__file__).parents[3]
MODELS = models.load(ROOT / "configs" / "models.toml")
SAMPLES = ROOT / "data" / "samples" / "images"
SECTION = MediaSection()
PLENTY = 10**7
GEMINI, GROK, QWEN_OMNI = (MODELS.get(name) for name in ("gemini-2.0-flash", "grok-4", "qwen3-omni-flash-2025-12-01"))
RED, GREEN, BLUE, WHITE = (220, 20, 20), (20, 200, 20), (20, 20, 220), (255, 255, 255)


def fit(content, *, model=GEMINI, most_bytes=PLENTY, **section):
    return shrink(content, model=model, section=MediaSection(**section), most_bytes=most_bytes)


def frames(content, *, model=GEMINI, most_bytes=PLENTY, **section):
    return frames_of(content, model=model, section=MediaSection(**section), most_bytes=most_bytes)


def refused(content, **how):
    with pytest.raises(MediaError) as caught:
        fit(content, **how)
    failure = caught.value.failure
    assert (failure.error_class, failure.unasked, failure.status) == ("media", True, "skipped")
    return failure


def stored(image, name, **options):
    file = io.BytesIO()
    image.save(file, name, **options)
    return file.getvalue()


def opened(inline):
    return Image.open(io.BytesIO(inline.content))


def corners(width=64, height=48):
    """Red, green, blue and white: top left, top right, bottom left, bottom right."""
    pixels = np.empty((height, width, 3), np.uint8)
    top, left = slice(None, height // 2), slice(None, width // 2)
    bottom, right = slice(height // 2, None), slice(width // 2, None)
    pixels[top, left], pixels[top, right], pixels[bottom, left], pixels[bottom, right] = RED, GREEN, BLUE, WHITE
    return pixels


def picture(width=64, height=48):
    return Image.fromarray(corners(width, height))


def noise(width, height, channels=3):
    return Image.fromarray(np.random.default_rng(7).integers(0, 256, (height, width, channels), np.uint8))


def exif(orientation=1):
    """EXIF with a place, a camera and an orientation."""
    made = Image.Exif()
    made[0x0112], made[0x010F] = orientation, "Camera of somebody"
    made.get_ifd(0x8825).update({1: "N", 2: (48.0, 51.0, 30.0), 3: "E", 4: (2.0, 17.0, 40.0)})
    return made


def shows(inline, at, colour):
    """Whether the picture has *colour* around the share *at* of its width and height."""
    image = opened(inline).convert("RGB")
    found = image.getpixel((int(at[0] * image.width), int(at[1] * image.height)))
    return all(abs(one - other) <= 12 for one, other in zip(found, colour, strict=True))


def shows_corners(inline):
    places = {(0.2, 0.2): RED, (0.8, 0.2): GREEN, (0.2, 0.8): BLUE, (0.8, 0.8): WHITE}
    return all(shows(inline, at, colour) for at, colour in places.items())


# How EXIF 2.3 defines the orientations: which side of the scene the stored first row and first column are.
AS_STORED = {
    1: lambda shown: shown,  # top, left
    2: lambda shown: shown[:, ::-1],  # top, right
    3: lambda shown: shown[::-1, ::-1],  # bottom, right
    4: lambda shown: shown[::-1],  # bottom, left
    5: lambda shown: shown.swapaxes(0, 1),  # left, top
    6: lambda shown: shown[:, ::-1].swapaxes(0, 1),  # right, top
    7: lambda shown: shown[::-1, ::-1].swapaxes(0, 1),  # right, bottom
    8: lambda shown: shown[::-1].swapaxes(0, 1),  # left, bottom
}


class TestOrientation:
    """What a camera held sideways has written."""

    @pytest.mark.parametrize("orientation", AS_STORED)
    def test_every_orientation_comes_out_upright(self, orientation):
        """The scene is shown as it was, with all four corners in their places."""
        file = stored(Image.fromarray(AS_STORED[orientation](corners())), "JPEG", quality=95, exif=exif(orientation))
        made = fit(file)
        assert (made.width, made.height) == opened(made).size == (64, 48)
        assert shows_corners(made)

    @pytest.mark.parametrize("name", ["PNG", "WEBP", "TIFF", "AVIF"])
    @pytest.mark.parametrize("max_side", [None, 32])
    def test_other_formats_too(self, name, max_side):
        """Whoever stores an orientation is turned once, before and after scaling."""
        file = stored(Image.fromarray(AS_STORED[6](corners())), name, exif=exif(6))
        made = fit(file, max_side=max_side)
        assert (made.width, made.height) == ((64, 48) if max_side is None else (32, 24))
        assert shows_corners(made)

    @pytest.mark.parametrize("orientation", [0, 9])
    def test_an_orientation_that_is_none_turns_nothing(self, orientation):
        """0 and 9 are no orientations: the file is as good as upright."""
        assert shows_corners(fit(stored(picture(), "JPEG", quality=95, exif=exif(orientation))))

    def test_a_broken_exif_is_no_reason_to_skip_a_picture(self):
        """A head of EXIF without sense leaves the picture as it is, and goes."""
        made = fit(stored(picture(), "JPEG", exif=b"Exif\0\0II*\0\xff\xff\xff\x7f" + b"\xff" * 40))
        assert shows_corners(made)
        assert b"Exif" not in made.content


class TestMetadata:
    """Nothing but the picture is sent."""

    @pytest.mark.parametrize("name", ["JPEG", "PNG", "WEBP"])
    @pytest.mark.parametrize("max_side", [None, 32])
    def test_place_camera_and_profile_are_gone(self, name, max_side):
        """GPS, EXIF, XMP and ICC are stripped from a file that is sent as it is, and from one made anew."""
        profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
        more = {"xmp": b"<x:xmpmeta>the photographer</x:xmpmeta>"} if name != "PNG" else {}
        made = fit(stored(picture(), name, exif=exif(), icc_profile=profile, **more), max_side=max_side)
        for secret in (b"Exif", b"eXIf", b"EXIF", b"Camera", b"photographer", b"ICC", b"iCCP"):
            assert secret not in made.content
        assert not opened(made).getexif()
        assert "icc_profile" not in opened(made).info

    @pytest.mark.parametrize(
        ("name", "options"),
        [
            ("JPEG", {"quality": 90}),
            ("JPEG", {"progressive": True, "quality": 70}),
            ("JPEG", {"restart_marker_blocks": 2}),
            ("PNG", {}),
            ("WEBP", {"quality": 60}),
            ("WEBP", {"lossless": True}),
        ],
    )
    def test_a_fit_file_keeps_its_pixels(self, name, options):
        """Stripping touches no pixel, and adds no byte."""
        plain = stored(noise(70, 50), name, **options)
        made = fit(stored(noise(70, 50), name, exif=exif(), **options))
        assert np.array_equal(np.asarray(opened(made)), np.asarray(Image.open(io.BytesIO(plain))))
        assert len(made.content) <= len(plain)

    @pytest.mark.parametrize("mode", ["L", "P", "LA", "1", "RGBA"])
    def test_modes_that_pass(self, mode):
        """Greyscale, palettes and transparency are sent as they are stored."""
        made = fit(stored(picture().convert(mode), "PNG"))
        assert opened(made).mode == mode

    def test_comments_and_what_follows_are_gone(self):
        """A comment, a preview in JFIF, and the film behind a "motion photo" are not sent."""
        file = stored(picture(), "JPEG", quality=95, comment=b"my house")
        made = fit(file + b"ftypmp42 a film of the same moment")
        assert shows_corners(made)
        assert b"my house" not in made.content
        assert b"ftyp" not in made.content

    def test_the_second_picture_of_an_mpo_is_gone(self):
        """Of a phone's picture with another beside it (depth, gain map), the first is sent, as JPEG."""
        file = stored(picture(), "MPO", save_all=True, append_images=[noise(64, 48)], quality=95)
        made = fit(file)
        assert (made.mime, opened(made).format) == ("image/jpeg", "JPEG")
        assert len(made.content) < len(file) / 2
        assert shows_corners(made)

    def test_a_text_chunk_is_gone_from_a_picture_made_anew(self):
        """What the original said in words is not written again."""
        file = stored(picture(200, 150).convert("P"), "GIF", comment=b"by somebody")
        assert b"somebody" not in fit(file).content


class TestColours:
    """What is sent is 8-bit sRGB."""

    def test_another_profile_is_converted(self):
        """In a profile whose red is green, red comes out green."""
        made = fit(stored(Image.new("RGB", (40, 30), (255, 0, 0)), "PNG", icc_profile=swapped_profile()))
        red, green, blue = opened(made).convert("RGB").getpixel((20, 15))
        assert (red < 10, green > 245, blue < 10) == (True, True, True)

    def test_transparency_survives_a_profile(self):
        """The colours change, what shows through does not."""
        made = fit(stored(Image.new("RGBA", (40, 30), (255, 0, 0, 100)), "PNG", icc_profile=swapped_profile()))
        red, green, _, alpha = opened(made).getpixel((20, 15))
        assert (red < 10, green > 245, alpha) == (True, True, 100)

    def test_a_profile_of_other_colours_is_ignored(self):
        """A profile of LAB in a picture in RGB says nothing about it."""
        profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")).tobytes()
        made = fit(stored(picture(), "JPEG", quality=95, icc_profile=profile))
        assert shows_corners(made)

    def test_a_broken_profile_is_ignored(self):
        """Bytes that are no profile are stripped, and the pixels stay as they are."""
        assert shows_corners(fit(stored(picture(), "JPEG", quality=95, icc_profile=b"no profile")))

    def test_cmyk(self):
        """Cyan ink alone is (0, 255, 255) on a screen."""
        made = fit(stored(Image.new("CMYK", (40, 30), (255, 0, 0, 0)), "JPEG", quality=95))
        assert opened(made).mode == "RGB"
        assert shows(made, (0.5, 0.5), (0, 255, 255))

    def test_16_bits_of_grey(self):
        """0, 32768 and 65535 of 65535 are 0, 128 and 255 of 255."""
        values = np.repeat(np.array([[0, 32768, 65535]], np.uint16), 20, axis=1).repeat(30, axis=0)
        made = fit(stored(Image.fromarray(values), "PNG"))
        image = opened(made)
        assert image.mode == "L"
        assert [image.getpixel((x, 15)) for x in (5, 30, 55)] == [0, 128, 255]

    def test_16_bits_of_colour(self):
        """A PNG of 16 bits a channel is sent with 8."""
        row = b"\0" + struct.pack(">3H", 65535, 32896, 0) * 20
        made = fit(png_of(20, 20, depth=16, colour=2, rows=row * 20))
        assert opened(made).getpixel((10, 10)) == (255, 128, 0)
        assert made.content[24] == 8

    def test_numbers_without_a_range_are_stretched(self):
        """Heights from -3.5 to 10 metres in a TIFF are shown from black to white; a hole is none of them."""
        heights = np.linspace(-3.5, 10, 40 * 30, dtype=np.float32).reshape(30, 40)
        image = opened(fit(stored(Image.fromarray(heights), "TIFF")))
        assert (image.getpixel((0, 0)), image.getpixel((39, 29))) == (0, 255)

    def test_numbers_all_alike_are_black(self):
        """Nothing is divided by nothing."""
        image = opened(fit(stored(Image.fromarray(np.full((30, 40), 7.0, np.float32)), "TIFF")))
        assert image.convert("L").getextrema() == (0, 0)

    def test_bilevel(self):
        """A fax is sent in greyscale."""
        made = fit(stored(picture().convert("1"), "TIFF"))
        assert opened(made).mode == "L"

    def test_what_showed_through_is_white_in_jpeg(self):
        """JPEG has no transparency: on white, where PNG would be longer."""
        image = noise(80, 60, 4)
        image.paste((0, 0, 0, 0), (0, 0, 40, 60))
        made = fit(stored(image, "TIFF"))
        assert made.mime == "image/jpeg"
        assert shows(made, (0.2, 0.5), WHITE)

    def test_an_icon_keeps_its_transparency(self):
        """PNG has transparency: a few colours on nothing stay on nothing."""
        image = Image.new("RGBA", (80, 60), (0, 0, 0, 0))
        image.paste((255, 0, 0, 255), (20, 20, 60, 40))
        made = fit(stored(image, "WEBP", lossless=True), model=GROK)
        assert (made.mime, opened(made).getpixel((0, 0))[3]) == ("image/png", 0)

    def test_transparency_that_hides_nothing_is_dropped(self):
        """A channel of nothing but 255 is no transparency."""
        image = picture().convert("RGBA")
        assert opened(fit(stored(image, "TIFF"))).mode == "RGB"


class TestTypes:
    """What the gateway or the model refuses is made anew."""

    @pytest.mark.parametrize("name", ["GIF", "BMP", "TIFF", "AVIF"])
    def test_refused_types_become_jpeg_or_png(self, name):
        """gif, bmp, tiff and avif are not on the gateway's list (gateway notes 2.3)."""
        made = fit(stored(picture(), name), model=None)
        assert made.mime in {"image/jpeg", "image/png"}
        assert opened(made).format == made.mime.removeprefix("image/").upper()
        assert shows_corners(made)

    @pytest.mark.parametrize(("model", "mime"), [(GEMINI, "image/webp"), (None, "image/webp"), (GROK, "image/jpeg")])
    def test_a_type_that_the_model_takes_passes(self, model, mime):
        """WebP is no type of Grok's; of an unknown model nothing is known that it refuses."""
        assert fit(stored(noise(64, 48), "WEBP"), model=model).mime == mime

    def test_drawings_become_png(self):
        """Few colours without loss: letters and lines stay clean, and PNG is the shorter one."""
        assert fit(stored(picture(), "BMP")).mime == "image/png"

    def test_photographs_become_jpeg(self):
        """Many colours: JPEG is the shorter one by far."""
        assert fit(stored(noise(64, 48), "BMP")).mime == "image/jpeg"

    def test_many_colours_in_few_bytes_become_png_where_that_is_shorter(self):
        """A mosaic of 3600 colours: PNG is tried, and is the shorter one."""
        mosaic = noise(60, 60).resize((300, 300), Image.Resampling.NEAREST)
        assert fit(stored(mosaic, "TIFF", compression="tiff_adobe_deflate")).mime == "image/png"

    def test_jpeg_stays_jpeg(self):
        """What was stored with loss does not become PNG, however few its colours are."""
        assert fit(stored(Image.new("L", (64, 48)), "JPEG"), max_side=32).mime == "image/jpeg"


class TestSize:
    """As large as the model sees, in as many bytes as there are."""

    @pytest.mark.parametrize("name", ["JPEG", "PNG", "WEBP", "TIFF"])
    def test_scaled_to_the_best_size(self, name):
        """A picture of 1024 x 768 is one of 768 x 576 for `max_side` 768; the scene stays whole."""
        made = fit(stored(picture(1024, 768), name), max_side=768)
        assert (made.width, made.height) == opened(made).size == (768, 576)
        assert shows_corners(made)

    def test_a_small_jpeg_of_a_large_one_shows_the_same(self):
        """Scaled while it is decoded, a picture is nowhere off by more than scaling it whole would be."""
        x, y = np.meshgrid(np.linspace(0, 6, 1000), np.linspace(0, 5, 750))
        waves = ((np.sin(x * y) + 1) * 127).astype(np.uint8)
        made = fit(stored(Image.fromarray(waves), "JPEG", quality=95), max_side=300)
        whole = np.asarray(Image.fromarray(waves).resize((300, 225), Image.Resampling.BICUBIC), float)
        assert np.abs(np.asarray(opened(made), float) - whole).mean() < 2

    def test_a_picture_is_never_enlarged(self):
        """A thumbnail stays one."""
        made = fit(stored(picture(20, 15), "BMP"))
        assert (made.width, made.height) == (20, 15)

    def test_worse_before_smaller(self):
        """Half the bytes: the same size, at a lower quality."""
        file = stored(noise(200, 150), "BMP")
        good = fit(file)
        made = fit(file, most_bytes=len(good.content) // 2)
        assert (made.width, made.height) == (200, 150)
        assert len(made.content) <= len(good.content) // 2

    def test_smaller_where_no_quality_is_low_enough(self):
        """Fewer bytes than the worst quality has: half the sides, and a good quality again."""
        image = noise(200, 150)
        worst = min(len(stored(image, "JPEG", quality=quality)) for quality in QUALITIES)
        made = fit(stored(image, "BMP"), most_bytes=worst - 1)
        assert (made.width, made.height) == (100, 75)
        assert len(made.content) < worst

    def test_a_file_above_the_bytes_does_not_pass(self):
        """A fit file that is too long is made anew."""
        file = stored(noise(200, 150), "PNG")
        made = fit(file, most_bytes=len(file) // 2)
        assert made.mime == "image/jpeg"

    def test_no_room_at_all(self):
        """Where an eighth of the size is too long, the row is skipped, and the message says what to raise."""
        failure = refused(stored(noise(200, 150), "PNG"), most_bytes=100)
        assert failure.code == "too_large"
        assert "100 are left for it; raise [media] max_body_bytes" in failure.message

    @pytest.mark.wide
    def test_the_vendors_own_cap(self):
        """GLM takes 5 MB in base64 (gateway notes 4.4): 3.9 MB do not pass as they are, though Gemini takes them."""
        file = stored(noise(1150, 1130), "PNG", compress_level=1)
        assert 3_750_000 < len(file) < 5_000_000
        assert fit(file).mime == "image/png"
        assert fit(file, model=MODELS.get("glm-4.6v")).mime == "image/jpeg"

    def test_equal_bytes_give_equal_bytes(self):
        """Two runs send the same, so that its hash is the same."""
        file = stored(noise(90, 70), "TIFF")
        assert fit(file) == fit(file)


class TestRefused:
    """What cannot be sent is skipped, with what to do."""

    @pytest.mark.parametrize("name", ["JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "AVIF"])
    @pytest.mark.parametrize("max_side", [None, 32])
    def test_a_cut_file(self, name, max_side):
        """The last third is missing: whether it would be scaled or not, it is not sent."""
        file = stored(noise(64, 48), name)
        assert refused(file[: len(file) * 2 // 3], max_side=max_side).code == "corrupt"

    @pytest.mark.parametrize("content", [b"", b"<html>gone</html>", b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n"])
    def test_no_picture(self, content):
        """The message says how much there was, and what would be opened."""
        failure = refused(content)
        assert failure.code == "corrupt"
        assert f"the picture of {len(content)} bytes cannot be read" in failure.message
        assert "JPEG, PNG, WEBP, GIF, BMP, TIFF, AVIF" in failure.message

    def test_a_pixel_bomb_is_not_decoded(self):
        """2.5 thousand million pixels in 100 bytes: refused by what the head says."""
        failure = refused(png_of(50_000, 50_000, depth=8, colour=2, rows=b""))
        assert failure.code == "too_many_pixels"
        assert "[media] max_pixels = 100,000,000" in failure.message

    def test_the_jobs_own_cap(self):
        """The message has the size and the cap."""
        failure = refused(stored(picture(), "PNG"), max_pixels=3000)
        assert "64 x 48 pixels, above [media] max_pixels = 3,000" in failure.message

    def test_pillows_own_cap(self):
        """What Pillow never decodes is refused, whatever the job allows."""
        failure = refused(png_of(20_000, 20_000, depth=8, colour=2, rows=b""), max_pixels=10**9)
        assert failure.code == "too_many_pixels"


class TestFrames:
    """An animated picture."""

    @pytest.mark.parametrize("name", ["GIF", "WEBP", "PNG", "AVIF"])
    def test_of_an_animation_the_first_frame(self, name):
        """`shrink` sends one picture, which moves no more."""
        made = fit(animation(name, 5))
        assert getattr(opened(made), "n_frames", 1) == 1
        assert level(made) == 0

    @pytest.mark.parametrize("name", ["GIF", "WEBP", "PNG", "AVIF"])
    def test_frames_are_the_middles_of_equal_stretches(self, name):
        """Of 12 frames in 4 s: one a second, the 2nd, 5th, 8th and 11th."""
        made = frames(animation(name, 12, each_ms=333))
        assert [level(one) for one in made] == [1, 4, 7, 10]

    @pytest.mark.parametrize(
        ("count", "each_ms", "section", "numbers"),
        [
            (12, 0, {}, [3, 9]),  # of unknown length: 2
            (12, 10, {}, [3, 9]),  # 0.12 s: still 2
            (24, 1000, {}, [1, 4, 7, 10, 13, 16, 19, 22]),  # 24 s: 8 at most
            (12, 1000, {"frames": 3}, [2, 6, 10]),
            (12, 1000, {"fps": 0.25}, [2, 6, 10]),
            (2, 5000, {}, [0, 1]),  # no more than there are
            (24, 1000, {"frames": 100}, [0, 2, 3, 5, 6, 8, 9, 11, 12, 14, 15, 17, 18, 20, 21, 23]),  # 16 at most
            (12, 1000, {"detail": "low"}, [0]),
            (12, 1000, {"max_tokens": 258 * 3}, [2, 6, 10]),  # 258 each (gateway notes 4.1)
            (12, 1000, {"max_tokens": 10}, [6]),
            (12, 1000, {"max_pixels": 64 * 48}, [0, 1, 2, 3]),  # 4 are decoded, 4 s
        ],
    )
    def test_how_many(self, count, each_ms, section, numbers):
        """One a second or what the section says, from 2 to 8, within its tokens and what is decoded."""
        assert [level(one) for one in frames(animation("GIF", count, each_ms), **section)] == numbers

    def test_one_medium_in_a_message(self):
        """A model that takes one medium gets one frame."""
        assert len(frames(animation("GIF", 12, 1000), model=QWEN_OMNI)) == 1

    def test_an_unknown_model_gets_frames(self):
        """Without a rule the tokens cap nothing."""
        assert len(frames(animation("GIF", 12, 1000), model=None, max_tokens=1)) == 8

    def test_they_share_the_bytes(self):
        """All together have no more bytes than one picture would have."""
        made = frames(animation("WEBP", 4, 1000), most_bytes=8000)
        assert sum(len(one.content) for one in made) <= 8000

    def test_a_still_picture_is_its_only_frame(self):
        """A picture that does not move is sent as `shrink` sends it; the pages of a TIFF are no frames."""
        still = stored(noise(64, 48), "JPEG")
        assert frames(still) == [fit(still)]
        pages = stored(picture(), "TIFF", save_all=True, append_images=[noise(64, 48)])
        assert len(frames(pages)) == 1

    def test_a_cut_animation(self):
        """A frame that is missing makes the whole corrupt."""
        file = animation("WEBP", 4, 1000)
        with pytest.raises(MediaError):
            frames(file[: len(file) // 2])


def test_the_data_url():
    """Type, base64, nothing else (RFC 2397)."""
    assert Inline(mime="image/png", content=b"\0\1", width=1, height=1).data_url() == "data:image/png;base64,AAE="


@pytest.mark.wide
@pytest.mark.parametrize("path", sorted(SAMPLES.glob("*.[jpw]*g*")), ids=lambda path: path.name)
def test_the_samples(path):
    """Each sample is sent whole or made anew, in no more than 1.3 times its bytes; the web page is refused."""
    content = path.read_bytes()
    if path.name == "not-an-image.jpg":
        assert refused(content).code == "corrupt"
        return
    made = fit(content)
    assert len(made.content) <= 1.3 * len(content)
    assert opened(made).size == (made.width, made.height)


@pytest.mark.wide
@settings(max_examples=400, deadline=None)
@given(seed=st.integers(0, 2**32), at=st.floats(0, 1), max_side=st.sampled_from([None, 32]))
def test_hostile_bytes(seed, at, max_side):
    """Whatever is cut and flipped in a file, it is sent or refused, and nothing else is raised."""
    rng = random.Random(seed)  # noqa: S311 - no secret
    content = bytearray(rng.choice(HOSTILE))
    for _ in range(rng.choice((0, 1, 3, 20))):
        content[int(len(content) * rng.random() ** 3)] = rng.randrange(256)
    content = bytes(content[: int(len(content) * at)] if rng.random() < 0.3 else content)
    section, codes = MediaSection(max_side=max_side), set()
    for work in (shrink, frames_of):
        try:
            work(content, model=GEMINI, section=section, most_bytes=PLENTY)
        except MediaError as error:
            codes.add(error.failure.code)
    assert codes <= {"corrupt", "too_many_pixels"}


def animation(name, count, each_ms=100):
    """Greys on a little noise, 10 levels apart, one a frame."""
    grain = np.asarray(noise(64, 48)) // 128
    made = [Image.fromarray((grain + number * 10).astype(np.uint8)) for number in range(count)]
    more = {"lossless": True} if name == "WEBP" else {}
    return stored(made[0], name, save_all=True, append_images=made[1:], duration=each_ms, **more)


def level(inline):
    """Which frame of `animation` this is."""
    return round((np.asarray(opened(inline).convert("L"), float).mean() - 0.5) / 10)


def swapped_profile():
    """The profile of sRGB with red and green exchanged, under another name."""
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    for old, new in ((b"rXYZ", b"TEMP"), (b"gXYZ", b"rXYZ"), (b"TEMP", b"gXYZ")):
        profile = profile.replace(old, new)
    return profile.replace("sRGB".encode("utf-16-be"), "tEST".encode("utf-16-be"))


def png_of(width, height, *, depth, colour, rows):
    """A PNG by hand."""
    head = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    chunks = [(b"IHDR", head), (b"IDAT", zlib.compress(rows)), (b"IEND", b"")]
    body = b"".join(
        struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data)) for name, data in chunks
    )
    return b"\x89PNG\r\n\x1a\n" + body


HOSTILE = [
    *(stored(picture(), name, exif=exif(6)) for name in ("JPEG", "PNG", "WEBP", "AVIF")),
    *(stored(noise(64, 48), name) for name in ("GIF", "BMP")),
    *(animation(name, 3) for name in ("GIF", "WEBP", "PNG")),
    stored(picture(), "JPEG", icc_profile=swapped_profile(), progressive=True),
    base64.b64decode("R0lGODlhAQABAIAAAP///wAAACwAAAAAAQABAAACAkQBADs="),
]
