"""A manifest may be several files, plain or packed: one list of rows, in the order of the files' names."""

from __future__ import annotations

import gzip
import os

import pyarrow as pa
import pytest

from mediascribe.errors import ConfigError
from mediascribe.job_sections import ManifestSection
from mediascribe.manifest import batch, open_manifest

URL = "https://h/a"


def packed(text, name):
    content = text.encode()
    if name.endswith(".gz"):
        return gzip.compress(content, mtime=0)
    if name.lower().endswith((".zst", ".zstd")):
        return pa.compress(content, codec="zstd", asbytes=True)
    return content


@pytest.fixture
def put(tmp_path):
    """`put({name: text})`: these files in a folder, which it gives."""

    def _put(files):
        folder = tmp_path / "rows"
        folder.mkdir(exist_ok=True)
        for name, text in files.items():
            (folder / name).write_bytes(packed(text, name))
        return folder

    return _put


@pytest.fixture
def opened():
    """`opened(path, ...)`: the manifest there."""

    def _opened(path, **section):
        return open_manifest(ManifestSection(path=str(path), **section), variables=frozenset())

    return _opened


@pytest.mark.parametrize("name", ["a.csv", "a.csv.gz", "a.csv.zst", "a.CSV.ZSTD"])
def test_packed_csv(put, opened, name):
    """CSV is read from gzip and zstd as it is."""
    folder = put({name: f"item_id,image_url\n1,{URL}\n2,{URL}\n"})
    assert [item.item_id for item in opened(folder / name).read()] == ["1", "2"]


@pytest.mark.parametrize("name", ["a.jsonl", "a.ndjson.gz", "a.jsonl.zst"])
def test_packed_jsonl(put, opened, name):
    """So is JSONL."""
    folder = put({name: f'{{"item_id": "1", "image_url": "{URL}"}}\n{{"item_id": "2"}}\n'})
    assert [item.item_id for item in opened(folder / name).read()] == ["1", "2"]


@pytest.mark.parametrize("path", ["", "[a-z]*.csv*", "b*.csv"])
def test_several_files_are_one_manifest(put, opened, path):
    """In the order of their names, with running row numbers; their columns may stand in any order."""
    folder = put(
        {
            "b2.csv": f"image_url,item_id\n{URL},3\n",
            "b1.csv": f"item_id,image_url,more\n1,{URL},x\n2,ftp://h,x\n",
            "b3.csv": "item_id,image_url\n5\n",
            "_old.csv": "x",
            ".b.csv": "x",
            "README.md": "x",
        }
    )
    manifest = opened(folder / path)
    items = list(manifest.read())
    batches = list(manifest.checked(lambda _: None).batches())
    assert [(item.row_number, item.item_id) for item in items] == [(1, "1"), (2, "2"), (3, "3"), (4, "row-4")]
    assert items[1].problem.message.startswith("b1.csv, row 2, column `image_url`: 'ftp://h' has the scheme `ftp`")
    assert items[3].problem.message == "b3.csv, row 1: line 2 has 1 cells where the header has 2"
    assert [batch.item(row) for part in batches for row in part.to_pylist()] == items
    assert (manifest.format, manifest.path) == ("csv", folder / path)
    assert manifest.size_bytes == sum((folder / f"b{number}.csv").stat().st_size for number in (1, 2, 3))


def test_folders_below(put, opened, tmp_path):
    """A pattern with `**` looks into folders."""
    put({"a.csv": f"image_url\n{URL}\n"})
    assert len(list(opened(tmp_path / "**" / "*.csv").read())) == 1


def test_a_file_whose_name_is_a_pattern(put, opened):
    """A file that is there is meant, whatever characters its name has."""
    folder = put({"a[1].csv": f"image_url\n{URL}\n", "a1.csv": f"image_url\n{URL}\n{URL}\n"})
    assert len(list(opened(folder / "a[1].csv").read())) == 1


def test_a_told_format_takes_every_file(put, opened):
    """Where the job names the format, endings do not count."""
    folder = put({"a.txt": f"image_url\n{URL}\n", "b": f"image_url\n{URL}\n"})
    assert len(list(opened(folder, format="csv").read())) == 2


@pytest.mark.parametrize(
    ("files", "path", "message"),
    [
        ({"a.csv": "", "b.jsonl": ""}, "", "a.csv is csv and b.jsonl is jsonl: name files of one format"),
        ({"a.txt": ""}, "", "is a folder without a manifest file; known: .csv, .tsv, "),
        ({"a.txt": ""}, "*.csv", "no file matches this pattern"),
        ({"a.txt": ""}, "*", "its ending tells no format"),
        ({"a.parquet.zst": "x"}, "*", "Parquet inside zstd is not read; unpack it"),
        ({"a.csv": ""}, "ftp://b/*.csv", "is no file on this machine, and in no bucket"),
    ],
)
def test_files_that_are_no_manifest(put, opened, files, path, message):
    """The refusal says what was found."""
    folder = put(files)
    with pytest.raises(ConfigError) as caught:
        opened(path if "://" in path else folder / path)
    assert message in str(caught.value)


def test_a_later_file_without_a_column(put, opened):
    """It is named, with the column that the first file has."""
    manifest = opened(put({"a.csv": f"image_url\n{URL}\n", "b.csv": "x\n1\n"}))
    with pytest.raises(ConfigError, match=r"b\.csv: column `image_url` is gone: .* first file"):
        list(manifest.read())


def test_a_cut_zstd(put, opened):
    """A file that breaks off is named, with how it is packed."""
    folder = put({"a.jsonl.zst": "".join(f'{{"image_url": "https://h/{os.urandom(9).hex()}"}}\n' for _ in range(3000))})
    path = folder / "a.jsonl.zst"
    path.write_bytes(path.read_bytes()[:-500])
    with pytest.raises(ConfigError, match=r"a\.jsonl\.zst: cannot be read as jsonl, zstd: "):
        list(opened(path).read())


def test_the_fingerprint_of_several_files(put, opened):
    """Another file, another name or another content of any of them is another fingerprint."""
    folder = put({"a.csv": f"image_url\n{URL}\n", "b.csv": f"image_url\n{URL}\n"})
    first = opened(folder).fingerprint()
    (folder / "b.csv").rename(folder / "c.csv")
    renamed = opened(folder).fingerprint()
    put({"a.csv": f"image_url\n{URL}/x\n"})
    assert len({first, renamed, opened(folder).fingerprint()}) == 3
