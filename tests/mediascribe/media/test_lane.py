"""Media are looked at, or fetched and made fit, before their row is asked."""

import asyncio
import base64
import hashlib
from contextlib import asynccontextmanager
from pathlib import Path

import media_bytes
import pytest
from films import RED, film, tone
from films import sound as sound_file
from media_hosts import MediaHost

from mediascribe import models
from mediascribe.domain import Media, Request
from mediascribe.errors import MediaError
from mediascribe.job_sections import MediaSection
from mediascribe.media.fetch import Fetcher
from mediascribe.media.guard import guard
from mediascribe.media.lane import MediaLane
from mediascribe.media.look import look
from mediascribe.media.places import Places
from mediascribe.media.pool import Pool
from mediascribe.wire import data_url

pytestmark = pytest.mark.wide
MODEL = models.load(Path("configs/models.toml")).get("gemini-2.0-flash")


@pytest.fixture(scope="module")
def host():
    with MediaHost() as running:
        yield running


def asked(*media):
    pairs = tuple(Media(kind=kind, url=url) for kind, url in media)
    return Request(model="gemini-2.0-flash", dialect="chat", prompt="?", media=pairs, identity=pairs)


@asynccontextmanager
async def lane(host, folder=None, **section):
    how = MediaSection(allow=["127.0.0.1"], ports=[host.port], **section)
    async with Fetcher(how, guard(how)) as fetcher, Pool() as pool:
        yield MediaLane(how, MODEL, "chat", Places(how, fetcher, folder), pool)


def content_of(url):
    return base64.b64decode(data_url.split(url)[1])


async def test_a_probed_medium_goes_by_its_url(host):
    """The request is as it was; size, bytes and hash of a small picture are known."""
    content = media_bytes.picture("jpeg", (640, 360))
    request = asked(("image", host.put("/a.jpg", content)))
    async with lane(host) as media:
        made = await media.prepare(request)
    (part,) = made.parts
    assert (part.request, part.piece, made.held_bytes) == (request, None, 0)
    assert (part.each[0].width, part.each[0].height) == (640, 360)
    assert (made.facts.width, made.facts.height, made.facts.bytes) == (640, 360, len(content))
    assert made.facts.sha256 == made.content == hashlib.sha256(content).hexdigest()


async def test_of_a_long_medium_only_the_ends_are_read(host):
    """A film whose index stands at its end is looked at by ranges; its hash is not known."""
    content = film((2, RED), size=(320, 240)) + b"\0\0\0\x08free" * 40_000
    host.put("/long.mp4", content)
    before = len(host.seen)
    async with lane(host) as media:
        made = await media.prepare(asked(("video", host.url + "/long.mp4")))
    assert made.facts.seconds == pytest.approx(2, abs=0.2)
    assert made.facts.sha256 is None
    assert all("range" in one.headers for one in host.seen[before:])


async def test_a_host_without_ranges_is_looked_at_too(host):
    """It gives its first bytes whatever was asked for: they are taken for no others."""
    content = film((2, RED), size=(320, 240)) + b"\0\0\0\x08free" * 40_000
    host.put("/plain.mp4", content, ranges=False)
    picture = media_bytes.padded_jpeg(media_bytes.picture("jpeg", (64, 48)), 60_000)
    host.put("/plain.jpg", picture, ranges=False)
    async with lane(host) as media:
        made = await media.prepare(asked(("video", host.url + "/plain.mp4")))
        assert made.facts.seconds in (None, pytest.approx(2, abs=0.2))
        made = await media.prepare(asked(("image", host.url + "/plain.jpg")))
        assert made.facts.width in (None, 64)


@pytest.mark.parametrize(
    ("kind", "path", "content", "code"),
    [
        ("image", "/none.jpg", None, "dead_link"),
        ("image", "/page.jpg", b"<!doctype html><p>sign in", "html"),
        ("image", "/empty.jpg", b"", "empty"),
        ("audio", "/a.wav", media_bytes.picture("png"), "wrong_kind"),
        ("image", "/a.gif", media_bytes.picture("gif"), "wrong_type"),
    ],
)
async def test_what_cannot_be_sent_says_why(host, kind, path, content, code):
    """Dead links, pages, nothing, the wrong kind, a type that the gateway refuses: found before anything is paid."""
    if content is not None:
        host.put(path, content)
    async with lane(host) as media:
        with pytest.raises(MediaError) as raised:
            await media.prepare(asked((kind, host.url + path)))
    assert (raised.value.failure.error_class, raised.value.failure.code) == ("media", code)
    assert raised.value.failure.status == "skipped"


async def test_inline_media_are_shrunk_and_sent(host):
    """A gif of 1600 x 1200 goes as a type that the model takes, no larger than `max_side`, as a data URL."""
    host.put("/big.gif", media_bytes.picture("gif", (1600, 1200)))
    async with lane(host, mode="inline", max_side=800) as media:
        made = await media.prepare(asked(("image", host.url + "/big.gif")))
        (sent,) = made.parts[0].request.media
        found = look(content_of(sent.url), whole=True)
        assert (found.mime in MODEL.types, found.width, found.height) == (True, 800, 600)
        assert (made.facts.width, made.facts.height) == (1600, 1200)
        assert made.held_bytes == len(sent.url)
        media.release(made)


async def test_files_of_a_folder_go_inline_in_any_mode(host, tmp_path):
    """A relative URL below `base_url` is a file of ours, which no gateway can fetch."""
    (tmp_path / "a.png").write_bytes(media_bytes.picture("png"))
    async with lane(host, tmp_path, base_url=str(tmp_path)) as media:
        made = await media.prepare(asked(("image", f"{tmp_path}/a.png")))
    assert made.parts[0].request.media[0].url.startswith("data:image/")


async def test_a_data_url_is_looked_at(host):
    """In `probe` it stays as it is; what is no medium is found in it too."""
    url = "data:image/png;base64," + base64.b64encode(media_bytes.picture("png")).decode()
    async with lane(host) as media:
        made = await media.prepare(asked(("image", url)))
        assert made.parts[0].request.media[0].url == url
        with pytest.raises(MediaError):
            await media.prepare(asked(("image", "data:image/png;base64,AAAA")))


async def test_a_long_sound_is_cut_into_pieces(host):
    """Five seconds in pieces of two and a half at most, cut where it is silent; each piece is a request."""
    content = sound_file(tone((2, 440), (1, 0), (2, 440)))
    host.put("/long.wav", content)
    async with lane(host, mode="inline", split_s=3.0) as media:
        made = await media.prepare(asked(("audio", host.url + "/long.wav")))
        first, second = made.parts
        assert (first.piece.start_s, second.piece.end_s) == (0, pytest.approx(5, abs=0.1))
        assert first.piece.end_s == second.piece.start_s == pytest.approx(2.5, abs=0.3)
        assert [part.each[0].seconds for part in made.parts] == [pytest.approx(2.5, abs=0.4)] * 2
        media.release(made)
        host.put("/a.jpg", media_bytes.picture("jpeg"))
        with pytest.raises(MediaError, match="alone in its row"):
            await media.prepare(asked(("image", host.url + "/a.jpg"), ("audio", host.url + "/long.wav")))


async def test_several_media_have_one_name_together(host):
    """Bytes and names of two pictures are added up; there is no one size."""
    contents = [media_bytes.picture("jpeg", size) for size in ((64, 48), (48, 64))]
    urls = [host.put(f"/{place}.jpg", content) for place, content in enumerate(contents)]
    async with lane(host) as media:
        made = await media.prepare(asked(*(("image", url) for url in urls)))
        other = await media.prepare(asked(*(("image", url) for url in reversed(urls))))
    assert (made.facts.bytes, made.facts.width) == (sum(map(len, contents)), None)
    assert made.content not in (None, other.content)


async def test_media_ready_in_memory_are_bounded(host):
    """With room for one of two, the second waits until the first is released."""
    urls = [host.put(f"/room{n}.png", media_bytes.picture("png", (900 + n, 900), mode="RGB")) for n in (1, 2)]
    async with lane(host, mode="inline", bytes_ahead=2**20, max_bytes=2**20) as media:
        media._room._most = 1  # noqa: SLF001 - less than the least that a job may say
        first = await media.prepare(asked(("image", urls[0])))
        second = asyncio.create_task(media.prepare(asked(("image", urls[1]))))
        done, _ = await asyncio.wait([second], timeout=0.3)
        assert not done
        media.release(first)
        media.release(await second)
        with pytest.raises(MediaError):  # and what fails gives its room back
            await media.prepare(
                asked(
                    (
                        "image",
                        host.put("/bad.jpg", (broken := media_bytes.picture("jpeg", (900, 900)))[: len(broken) // 2]),
                    )
                )
            )
        media.release(await media.prepare(asked(("image", urls[0]))))
