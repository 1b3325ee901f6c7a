"""Manifests in a bucket: what an address means, and how its objects are read; the bucket is in memory."""

from __future__ import annotations

import gzip
import io

import obstore
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from obstore.exceptions import GenericError, PermissionDeniedError
from obstore.store import MemoryStore

from mediascribe.errors import ConfigError, StoreError
from mediascribe.job_sections import ManifestSection
from mediascribe.manifest import objects, open_manifest, remote
from mediascribe.manifest.objects import Bucket
from mediascribe.manifest.sources import locate, open_bytes

pytestmark = pytest.mark.wide

HEADER = b"item_id,image_url\n"
ROWS = HEADER + b"a,https://cdn.example/a.jpg\nb,https://cdn.example/b.jpg\n"


@pytest.fixture
def memory(monkeypatch):
    """A bucket in memory, in the place of any."""
    store = MemoryStore()
    monkeypatch.setattr(remote, "connect", lambda address, timeout_s: store)  # noqa: ARG005 - the names of the real one
    return store


@pytest.fixture
def put(memory):
    """Put objects, empty ones unless said."""

    def _put(*keys, data=HEADER):
        for key in keys:
            obstore.put(memory, key, data)

    return _put


def found(path, told="auto"):
    """The names of a manifest's files."""
    return [str(file.path) for file in locate(path, told).files]


def ids(path, **section):
    """The ids of a manifest's items."""
    manifest = open_manifest(ManifestSection(path=path, **section), variables=frozenset())
    return [item.item_id for item in manifest.read()]


class TestPlaces:
    """What an address means."""

    @pytest.mark.parametrize("scheme", ["s3", "gs", "az", "S3"])
    def test_one_object(self, put, scheme):
        """Of each kind of store, its scheme in any case of letters."""
        put("rows/a.csv", "rows/b.csv")
        assert found(f"{scheme}://bucket/rows/a.csv") == [f"{scheme.lower()}://bucket/rows/a.csv"]

    @pytest.mark.parametrize("path", ["s3://bucket/", "s3://bucket"])
    def test_a_folder_has_what_a_local_one_has(self, put, path):
        """Known endings in the order of their names; nothing hidden, nothing of folders below."""
        put("b.csv.gz", "a.csv", "_c.csv", ".d.csv", "notes.txt", "below/e.csv", "f.tsv")
        assert found(path) == ["s3://bucket/a.csv", "s3://bucket/b.csv.gz", "s3://bucket/f.tsv"]
        assert found(path, "csv") == [*found(path), "s3://bucket/notes.txt"]

    @pytest.mark.parametrize(
        ("pattern", "keys"),
        [
            ("t*.csv", ["top.csv"]),
            ("rows/*.csv", ["rows/a.csv", "rows/b1.csv"]),
            ("rows/b?.csv", ["rows/b1.csv"]),
            ("rows/b[0-9].csv", ["rows/b1.csv"]),
            ("rows/**/*.csv", ["rows/a.csv", "rows/b1.csv", "rows/deep/er/c.csv"]),
            ("rows/**", ["rows/a.csv", "rows/b1.csv", "rows/deep/er/c.csv"]),
            ("*/*/*/c.csv", ["rows/deep/er/c.csv"]),
            ("rows/.*.csv", ["rows/.d.csv"]),
            ("odd[1].csv", ["odd[1].csv"]),
        ],
    )
    def test_a_pattern_matches_as_it_does_locally(self, put, pattern, keys):
        """A star ends at the next /, two stars do not; hidden names are named; a key of that very name comes first."""
        put("top.csv", "rows/a.csv", "rows/b1.csv", "rows/.d.csv", "rows/deep/er/c.csv", "odd[1].csv")
        assert found(f"s3://bucket/{pattern}") == [f"s3://bucket/{key}" for key in keys]

    @pytest.mark.parametrize(
        ("path", "says"),
        [
            ("s3://bucket/rows/itens.csv", "there is no such object; there is: s3://bucket/rows/items.csv"),
            ("s3://bucket/zzz", "s3://bucket/zzz: there is no such object"),
            ("s3://bucket/rows", "s3://bucket/rows: is a folder: write s3://bucket/rows/"),
            ("s3://bucket/other/", "is a folder without a manifest file"),
            ("s3://bucket/*.jsonl", "no object matches this pattern"),
            ("s3://bucket/rows/*", "is csv and items.jsonl is jsonl: name files of one format"),
            ("s3:///rows/items.csv", r"s3:/+rows/items.csv: write s3://bucket/key and nothing else"),
            ("http://cdn.example/items.csv", r"is no file on this machine, and in no bucket \(s3://, gs://, az://\)"),
            ("memory://bucket/items.csv", "is no file on this machine"),
        ],
    )
    def test_what_is_no_manifest_is_told(self, put, path, says):
        """With what there is instead."""
        put("rows/items.csv", "rows/items.jsonl")
        with pytest.raises(ConfigError, match=says):
            locate(path)

    @pytest.mark.parametrize("path", ["s3://AKIA:S3cret@bucket/a.csv", "s3://bucket/a.csv?X-Amz-Signature=S3cret"])
    def test_credentials_belong_in_the_environment(self, memory, path):  # noqa: ARG002 - nothing is to be connected to
        """An address with some is refused, and they are not repeated."""
        with pytest.raises(ConfigError, match="belong in the environment") as caught:
            locate(path)
        assert "S3cret" not in str(caught.value)

    def test_an_environment_that_says_too_little_is_told(self, monkeypatch):
        """What the store's client lacks."""

        def refuse(*_, **__):
            raise StoreError("no credentials for az://: set them")

        monkeypatch.setattr(remote, "connect", refuse)
        with pytest.raises(ConfigError, match=r"^az://bucket/a\.csv: no credentials for az://"):
            locate("az://bucket/a.csv")


class TestReading:
    """What is read."""

    @pytest.mark.parametrize(
        ("key", "packed"),
        [
            ("a.csv", bytes),
            ("a.csv.gz", gzip.compress),
            ("a.csv.zst", lambda data: pa.Codec("zstd").compress(data, asbytes=True)),
        ],
    )
    def test_packed_or_not_the_rows_are_the_same(self, put, key, packed):
        """What gzip and zstd packed is unpacked on the way."""
        put(key, data=packed(ROWS))
        assert ids(f"s3://bucket/{key}") == ["a", "b"]

    def test_jsonl_and_parquet(self, put):
        """Line by line, and from anywhere in the object."""
        put("a.jsonl", data=b'{"item_id": "j", "image_url": "https://cdn.example/j.jpg"}\n')
        to = io.BytesIO()
        table = pa.table({"item_id": ["p", "q"], "image_url": ["https://cdn.example/p.jpg"] * 2, "n": [1, 2]})
        pq.write_table(table, to, row_group_size=1)
        put("a.parquet", data=to.getvalue())
        assert (ids("s3://bucket/a.jsonl"), ids("s3://bucket/a.parquet")) == (["j"], ["p", "q"])
        items = open_manifest(ManifestSection(path="s3://bucket/a.parquet"), variables=frozenset()).checked(
            lambda _: None
        )
        assert items.column_type("n") == pa.int64()

    def test_several_files_are_one_manifest(self, put):
        """In the order of their names; a message names the object."""
        put("rows/2.csv", data=HEADER + b"c,no url\n")
        put("rows/1.csv", data=ROWS)
        manifest = open_manifest(ManifestSection(path="s3://bucket/rows/"), variables=frozenset())
        items = list(manifest.read())
        assert [item.item_id for item in items] == ["a", "b", "c"]
        assert "2.csv, row 1" in items[2].problem.message
        assert manifest.size_bytes == len(ROWS) + len(HEADER) + 9
        assert str(manifest.path) == "s3://bucket/rows/"

    def test_a_file_longer_than_a_block_is_read_in_pieces(self, put, monkeypatch):
        """Blocks of 16 bytes give the same rows; an empty object gives none."""
        monkeypatch.setattr(objects, "_BLOCK_BYTES", 16)
        put("a.csv", data=ROWS)
        put("empty.csv", data=b"")
        assert ids("s3://bucket/a.csv") == ["a", "b"]
        with open_bytes(locate("s3://bucket/empty.csv").files[0]) as stream:
            assert stream.read() == b""

    @pytest.mark.parametrize("key", ["a.csv", "a.csv.gz", "a.csv.zst", "a.parquet"])
    def test_an_object_that_is_replaced_is_not_mixed_up(self, put, key):
        """What was listed is read, or nothing, however it is packed."""
        put(key, data=ROWS)
        listed = locate(f"s3://bucket/{key}")
        put(key, data=ROWS + b"c,https://cdn.example/c.jpg\n")
        with pytest.raises(ConfigError, match="was replaced or removed while it was read: try again"):
            pq.read_schema(listed.files[0].path.native())
        if key != "a.parquet":
            with open_bytes(listed.files[0]) as stream, pytest.raises(ConfigError, match="was replaced or removed"):
                stream.read()


class TestFingerprint:
    """`Source.fingerprint`."""

    @pytest.mark.parametrize(("path", "keys"), [("s3://b/r/1.csv", ["r/1.csv"]), ("s3://b/**", ["1.csv", "r/2.csv"])])
    def test_it_changes_with_the_object(self, put, path, keys):
        """Another writing has another one, the same has the same; of one that is gone there is none."""
        put(*keys)
        source = locate(path)
        before = source.fingerprint()
        assert locate(path).fingerprint() == before == source.fingerprint()
        put(keys[-1], data=ROWS)
        assert source.fingerprint() != before
        obstore.delete(source.files[-1].path.bucket.objects, keys[-1])
        with pytest.raises(ConfigError, match=rf"^s3://b/{keys[-1]}: is gone$"):
            source.fingerprint()

    def test_a_new_name_is_another_state_where_there_are_several(self, put, memory):
        """Files of a folder are told apart by name."""
        put("r/1.csv", "r/2.csv")
        before = locate("s3://b/r/").fingerprint()
        obstore.rename(memory, "r/2.csv", "r/3.csv")
        assert locate("s3://b/r/").fingerprint() != before


class TestFailures:
    """`Bucket`: what a store that fails is answered with."""

    @pytest.fixture
    def bucket(self, memory):
        """A bucket whose waits are taken down."""
        waited = []
        return Bucket(scheme="s3", name="b", objects=memory, attempts=3, pause=waited.append), waited

    def test_a_failure_is_tried_again(self, bucket, put, monkeypatch):
        """Two failures and then the bytes: two waits."""
        put("a.csv", data=ROWS)
        opened, waited = bucket
        file, told, real = opened.file("a.csv"), iter([True, True, False]), obstore.get

        def get(*args, **kwargs):
            if next(told):
                raise GenericError("HTTP 503")
            return real(*args, **kwargs)

        monkeypatch.setattr(obstore, "get", get)
        assert opened.get_range(file, 0, 7) == b"item_id"
        assert len(waited) == 2

    @pytest.mark.parametrize(
        ("error", "says"),
        [
            (GenericError("status code: 503"), "s3://b/a.csv: HTTP 503: try again later"),
            (
                PermissionDeniedError("status code: 403 <Code>AccessDenied</Code>"),
                r"permission denied \(HTTP 403 AccessDenied\): these credentials must be allowed to list and read",
            ),
        ],
    )
    def test_what_stays_is_told(self, bucket, monkeypatch, error, says):
        """In words that say what to do; reading needs no right to write."""

        def head(*_):
            raise error

        monkeypatch.setattr(obstore, "head", head)
        with pytest.raises(ConfigError, match=says):
            bucket[0].file("a.csv")

    def test_a_bucket_that_is_not_there_is_told(self, bucket, monkeypatch):
        """Listing it finds nothing at all, which is not an empty folder."""

        def refuse(*_):
            raise FileNotFoundError("status code: 404 <Code>NoSuchBucket</Code>")

        monkeypatch.setattr(obstore, "list_with_delimiter", refuse)
        with pytest.raises(ConfigError, match=r"s3://b/rows/: there is no such bucket \(HTTP 404 NoSuchBucket\)"):
            bucket[0].inside("rows/")

    def test_an_object_without_an_e_tag_is_told_by_its_time(self, bucket, put):
        """A store that gives none still tells one writing from another."""
        put("a.csv")
        opened, _ = bucket
        meta = obstore.head(opened.objects, "a.csv") | {"e_tag": None}
        first = opened._remote(meta)  # noqa: SLF001 - all stores that are at hand give one
        assert first.version.startswith("20")
        assert opened.get_range(first, 0, 4) == b"item"
