"""Pictures and players of local media."""

from __future__ import annotations

import base64
import io
from pathlib import Path

import pytest
from PIL import Image

from mediascribe.report.page import previews as module
from mediascribe.report.page.previews import PIXELS, local, previews

SAMPLES = Path(__file__).parents[3] / "data/samples"


def picture_of(made):
    """The picture of a preview, opened."""
    kind, _, content = made["picture"].partition(",")
    assert kind == "data:image/webp;base64"
    return Image.open(io.BytesIO(base64.b64decode(content)))


class TestLocal:
    """`local`."""

    @pytest.fixture
    def root(self, tmp_path):
        """A folder with one file, and a file beside the folder."""
        (tmp_path / "in/sub dir").mkdir(parents=True)
        (tmp_path / "in/sub dir/a.png").write_bytes(b"x")
        (tmp_path / "beside.png").write_bytes(b"x")
        (tmp_path / "in/link.png").symlink_to(tmp_path / "beside.png")
        return tmp_path / "in"

    @pytest.mark.parametrize("url", ["sub dir/a.png", "sub%20dir/a.png", "/sub%20dir/a.png?w=100"])
    def test_a_relative_url_is_found(self, root, url):
        """With escapes, a leading slash or a query, it is the file of that path."""
        assert local(url, root) == root / "sub dir/a.png"

    @pytest.mark.parametrize(
        "url",
        [
            "../beside.png",
            "sub%20dir/..%2F..%2Fbeside.png",
            "link.png",
            "https://cdn.example/sub%20dir/a.png",
            "//cdn.example/sub%20dir/a.png",
            "file:///etc/hostname",
            "data:image/png,sha256=0",
            "sub dir",
            "gone.png",
            "a%00b.png",
            "http://[",
        ],
    )
    def test_nothing_else_is(self, root, url):
        """No address, no file outside of the folder by any way, no folder, and no word that is no URL."""
        assert local(url, root) is None


class TestPreviews:
    """`previews`."""

    def test_a_picture_is_made_small(self):
        """960 x 640 pixels become 360 x 240."""
        (made,) = previews([["images/lake.jpg"]], SAMPLES)
        assert made.keys() == {"picture"}
        assert picture_of(made).size == (PIXELS, 240)

    def test_a_film_has_a_frame_and_a_player(self):
        """A short film is in the page, and shows one of its frames before it plays."""
        (made,) = previews([["videos/ball.mp4"]], SAMPLES)
        assert made["player"].startswith("data:video/mp4;base64,")
        assert max(picture_of(made).size) <= PIXELS

    def test_a_sound_has_a_player(self):
        """A short sound is in the page as it is."""
        (made,) = previews([["audio/story.mp3"]], SAMPLES)
        content = made["player"].removeprefix("data:audio/mpeg;base64,")
        assert base64.b64decode(content) == (SAMPLES / "audio/story.mp3").read_bytes()
        assert made.keys() == {"player"}

    def test_a_long_sound_has_none(self, monkeypatch):
        """What is longer than the page takes is left out."""
        monkeypatch.setattr(module, "PLAYED_BYTES", 1_000)
        assert previews([["audio/story.mp3"]], SAMPLES) == [None]

    def test_the_first_local_media_stand_for_the_row(self):
        """A row with an address and a file shows the file; one with nothing local shows nothing."""
        first, second = previews(
            [["https://cdn.example/a.jpg", "images/lake.jpg"], ["https://cdn.example/a.jpg"]], SAMPLES
        )
        assert first.keys() == {"picture"}
        assert second is None

    def test_what_is_no_picture_has_none(self, tmp_path):
        """A web page called .jpg, a broken film, a folder's worth of nothing: no preview, and no error."""
        (tmp_path / "broken.mp4").write_bytes(b"no film")
        (tmp_path / "page.jpg").write_bytes(b"<html>")
        (tmp_path / "cut.png").write_bytes((SAMPLES / "images/icon.png").read_bytes()[:60])
        found = previews([["page.jpg"], ["cut.png"], ["words.txt"]], tmp_path)
        assert found == [None, None, None]
        assert "picture" not in previews([["broken.mp4"]], tmp_path)[0]

    def test_a_film_without_pictures_has_none(self, tmp_path):
        """Sound in a film's clothes has no frame to show."""
        (tmp_path / "sound.mp4").write_bytes((SAMPLES / "audio/story.mp3").read_bytes())
        assert previews([["sound.mp4"]], tmp_path)[0].keys() == {"player"}

    def test_holes_stay_holes(self, tmp_path):
        """A picture with transparency keeps it."""
        Image.new("RGBA", (10, 10), (255, 0, 0, 0)).save(tmp_path / "a.png")
        (made,) = previews([["a.png"]], tmp_path)
        assert picture_of(made).convert("RGBA").getpixel((5, 5))[3] == 0

    def test_a_turned_photo_stands_upright(self, tmp_path):
        """EXIF orientation 6 makes 40 x 20 pixels 20 x 40."""
        exif = Image.Exif()
        exif[0x0112] = 6
        Image.new("RGB", (40, 20)).save(tmp_path / "a.jpg", exif=exif)
        assert picture_of(previews([["a.jpg"]], tmp_path)[0]).size == (20, 40)

    def test_so_many_files_at_most(self, monkeypatch):
        """Beyond the cap on files, rows have none."""
        monkeypatch.setattr(module, "FILES_MOST", 1)
        first, second = previews([["images/icon.png"], ["images/icon.png"]], SAMPLES)
        assert first
        assert second is None

    def test_so_many_bytes_at_most(self, monkeypatch):
        """With room for two pictures and a half, the third has none, and no later one is made."""
        (one,) = previews([["images/icon.png"]], SAMPLES)
        monkeypatch.setattr(module, "TOTAL_BYTES", int(len(one["picture"]) * 2.5))
        found = previews([["images/icon.png"]] * 40, SAMPLES)
        assert found == [one, one, *[None] * 38]
