"""Media come from the web, from a folder of ours, from a bucket, or from the manifest itself; and from nowhere else."""

import base64

import obstore
import pytest
from obstore.store import MemoryStore

from mediascribe.errors import MediaError, StoreError
from mediascribe.job_sections import MediaSection
from mediascribe.media import places as places_module
from mediascribe.media.address import is_ours, is_web
from mediascribe.media.places import Places
from mediascribe.store.address import Address
from mediascribe.store.bucket import Bucket

pytestmark = pytest.mark.wide


def places(folder=None, **section):
    return Places(MediaSection(**section), None, folder)


async def code_of(waiting):
    with pytest.raises(MediaError) as raised:
        await waiting
    assert raised.value.failure.unasked
    return raised.value.failure.error_class, raised.value.failure.code


@pytest.mark.parametrize(
    ("url", "base_url", "web"),
    [
        ("https://h/a", None, True),
        ("HTTP://h/a", "./media", True),
        ("a.jpg", "https://h", True),
        ("a.jpg", "./media", False),
        ("a.jpg", "s3://bucket/media", False),
        ("s3://bucket/a.jpg", None, False),
        ("data:,a", None, False),
    ],
)
def test_what_a_gateway_can_fetch(url, base_url, web):
    """Only http(s), as it stands or by its base."""
    assert is_web(url, base_url) is web
    assert is_ours(base_url) is (base_url in {"./media", "s3://bucket/media"})


async def test_a_file_below_the_folder_is_read(tmp_path):
    """By ranges or whole, and no further than `max_bytes`."""
    (tmp_path / "a.bin").write_bytes(bytes(range(100)) * 20)
    there = places(tmp_path, max_bytes=1024)
    head = await there.get(f"{tmp_path}/a.bin", most_bytes=10)
    assert (head.content, head.whole, head.total_bytes) == (bytes(range(10)), False, 2000)
    assert (await there.get(f"{tmp_path}/a.bin", most_bytes=3, start=97)).content == bytes([97, 98, 99])
    assert (await there.get(f"{tmp_path}/a.bin", most_bytes=5000)).whole
    assert await code_of(there.whole(f"{tmp_path}/a.bin")) == ("media", "too_large")
    assert await code_of(there.get(f"{tmp_path}/none", most_bytes=1)) == ("media", "dead_link")


async def test_no_other_file_is_read(tmp_path):
    """Neither by `..`, nor by a link, nor by a whole path; and none without a folder."""
    (tmp_path / "secret").write_text("x")
    inside = tmp_path / "in"
    inside.mkdir()
    (inside / "link").symlink_to(tmp_path / "secret")
    there = places(inside)
    for path in (f"{inside}/../secret", f"{inside}/link", f"{tmp_path}/secret", "/etc/hostname"):
        assert await code_of(there.get(path, most_bytes=1)) == ("media", "refused_path")
    assert await code_of(places().get("secret", most_bytes=1)) == ("media", "refused_path")


async def test_a_data_url_is_its_own_place():
    """Its bytes are whole; what is no base64 is corrupt."""
    url = "data:image/png;base64," + base64.b64encode(b"abc").decode()
    found = await places().whole(url)
    assert (found.content, found.whole, found.content_type) == (b"abc", True, "image/png")
    assert await code_of(places().get("data:image/png;base64,@@@", most_bytes=9)) == ("media", "corrupt")


async def test_objects_are_read_by_ranges(monkeypatch):
    """An object of a bucket, by key; one that is not there is a dead link; a store that fails may be asked later."""
    objects = MemoryStore()
    obstore.put(objects, "photos/a.bin", b"0123456789")
    address = Address(scheme="s3", bucket="b", prefix="")
    monkeypatch.setattr(places_module, "_bucket", lambda *_: Bucket(address=address, objects=objects))
    there = places()
    found = await there.get("s3://b/photos/a.bin", most_bytes=4, start=2)
    assert (found.content, found.whole, found.total_bytes) == (b"2345", False, 10)
    assert (await there.whole("s3://b/photos/a.bin")).content == b"0123456789"
    assert (await there.get("s3://b/photos/a.bin", most_bytes=4, start=10)).content == b""
    assert await code_of(there.get("s3://b/photos/none", most_bytes=4)) == ("media", "dead_link")

    def gone(*_):
        raise FileNotFoundError

    monkeypatch.setattr(Bucket, "get_range", gone)
    assert await code_of(there.get("s3://b/photos/a.bin", most_bytes=4)) == ("media", "dead_link")

    def failing(*_):
        raise StoreError("no")

    monkeypatch.setattr(Bucket, "size", failing)
    assert await code_of(there.get("s3://b/photos/a.bin", most_bytes=4)) == ("network", "no_connection")


def test_a_bucket_is_opened_by_its_scheme():
    """As the store of results opens it."""
    assert places_module._bucket("memory", "x").address.bucket == "x"  # noqa: SLF001 - replaced elsewhere
