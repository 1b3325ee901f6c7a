"""A manifest that cannot be what the job says is refused before anything is read: the file, the column, the nearest."""

from __future__ import annotations

import gzip

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from mediascribe.errors import ConfigError
from mediascribe.job_sections import ManifestSection
from mediascribe.manifest import open_manifest


@pytest.fixture
def with_header(tmp_path):
    """A CSV manifest of these columns, opened."""

    def _open(header, *, variables=(), **section):
        path = tmp_path / "items.csv"
        path.write_text(f"{header}\n")
        return open_manifest(ManifestSection(path=str(path), **section), variables=frozenset(variables))

    return _open


@pytest.fixture
def refused(with_header, tmp_path):
    """The lines of the refusal of a CSV manifest of these columns, without the folder."""

    def _refused(header, **more):
        with pytest.raises(ConfigError) as caught:
            with_header(header, **more)
        return str(caught.value).replace(f"{tmp_path}/", "").splitlines()

    return _refused


@pytest.fixture
def refused_file(tmp_path):
    """The refusal of a manifest of this name and content, without the folder."""

    def _refused(name, content=None, **section):
        path = tmp_path / name
        if content is not None:
            path.write_bytes(content)
        with pytest.raises(ConfigError) as caught:
            open_manifest(ManifestSection(path=str(path), **section), variables=frozenset())
        return str(caught.value).replace(f"{tmp_path}/", "").replace(str(tmp_path), "there")

    return _refused


def test_columns(with_header):
    """The columns are the file's, with white space around their names gone."""
    assert with_header("item_id, image_url ,title").columns == ("item_id", "image_url", "title")


@pytest.mark.parametrize("header", ["image_url", "audio_url", "video_url,x", "url,media_kind"])
def test_one_usual_media_column_is_enough(with_header, header):
    """Any of the usual media columns makes a manifest; the others may be missing, as may the id."""
    with_header(header)


@pytest.mark.parametrize(
    ("more", "line"),
    [
        ({"carry": {"titel": "string"}}, "has no column `titel` ([manifest] carry); did you mean `title`?"),
        ({"variables": ["tile"]}, "has no column `tile` (the prompt's {{ tile }}); did you mean `title`?"),
        ({"item_id": "id"}, "has no column `id` ([manifest] item_id)"),
        ({"image": ["image", "image_url"]}, "has no column `image` ([manifest] image); did you mean `image_url`?"),
        ({"video": ["clip"]}, "has no column `clip` ([manifest] video)"),
        ({"url": "link"}, "has no column `link` ([manifest] url)"),
        ({"media_kind": "kind"}, "has no column `kind` ([manifest] media_kind)"),
    ],
)
def test_a_column_that_the_job_names_must_be_there(refused, more, line):
    """A missing column is answered with where the job names it, the nearest name, and all names."""
    assert refused("image_url,title", **more) == [f"items.csv: {line}; its columns: image_url, title"]


def test_all_missing_columns_are_told(refused):
    """Every missing column has its line, in one refusal."""
    lines = refused("image_url", carry={"a": "string", "b": "int64"}, variables=["c"])

    assert [line.split(" (")[0] for line in lines] == [f"items.csv: has no column `{name}`" for name in "abc"]


def test_no_media_column(refused):
    """A manifest without any media column is told which ones would do."""
    (line,) = refused("item_id,title")

    assert line == (
        "items.csv: has no column of media: none of image_url, audio_url, video_url, nor url with media_kind;"
        " its columns: item_id, title"
    )


def test_url_without_kind(refused):
    """A `url` column alone does not say what it holds."""
    (line,) = refused("item_id,url")

    assert line == (
        "items.csv: has the column `url` without `media_kind`, which says of every row whether it is image, audio or"
        " video; add it, or name `url` in [manifest] image, audio or video; its columns: item_id, url"
    )


def test_url_of_something_else(with_header, refused):
    """Beside a media column a `url` may be anything, unless the job names it as media."""
    assert with_header("image_url,url").layout.pair is None
    assert "has the column `page` without `media_kind`" in refused("image_url,page", url="page")[0]


def test_kind_without_url(refused):
    """A `media_kind` column alone holds no media."""
    assert refused("media_kind,title")[0].startswith("items.csv: has no column of media: ")


def test_a_needed_column_twice(refused, with_header):
    """A column that is needed must be there once; of others, any number."""
    assert refused("image_url,image_url") == [
        "items.csv: has the column `image_url` twice; its columns: image_url, image_url"
    ]
    with_header("image_url,x,x")


def test_many_columns_are_not_all_listed(refused):
    """Of a wide manifest the first 30 columns are listed, and how many more there are."""
    (line,) = refused(",".join(f"c{number}" for number in range(42)))

    assert line.endswith("c28, c29 and 12 more")


def test_missing_file(refused_file, tmp_path):
    """A manifest that is not there is answered with the nearest file that is."""
    (tmp_path / "items.csv").touch()

    assert refused_file("item.csv") == "item.csv: there is no such file; in there there is: items.csv"
    assert refused_file("absent/zzz.csv") == "absent/zzz.csv: there is no such file"


def test_missing_file_of_another_name(refused_file):
    """Where no file's name is near, none is suggested."""
    assert refused_file("zzz.csv") == "zzz.csv: there is no such file"


def test_folder(refused_file):
    """A folder without a manifest file is no manifest."""
    assert refused_file("") == (
        "there: is a folder without a manifest file; known: .csv, .tsv, .jsonl, .ndjson, .parquet"
    )


def test_remote_manifest():
    """A manifest elsewhere is not read from there."""
    with pytest.raises(ConfigError, match=r"^https://cdn\.example/items\.csv: is no file on this machine"):
        open_manifest(ManifestSection(path="https://cdn.example/items.csv"), variables=frozenset())


@pytest.mark.parametrize("name", ["items.json", "items", "items.gz", "items.csv.zip"])
def test_unknown_ending(refused_file, name):
    """An ending that tells no format is answered with those that do, and with the job's key."""
    assert refused_file(name, b"x") == (
        f"{name}: its ending tells no format; known: .csv, .tsv, .jsonl, .ndjson, .parquet;"
        " or set `format` in [manifest]"
    )


def test_parquet_in_gzip(refused_file):
    """Parquet within gzip is not read."""
    assert refused_file("items.parquet.gz", b"x").startswith("items.parquet.gz: Parquet inside gzip is not read")


def test_endings_in_any_case(tmp_path):
    """An ending counts in any case of letters."""
    path = tmp_path / "ITEMS.CSV.GZ"
    path.write_bytes(gzip.compress(b"image_url\n", mtime=0))

    assert open_manifest(ManifestSection(path=str(path)), variables=frozenset()).format == "csv"


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.csv", b"", "a.csv: is empty; a CSV manifest begins with a line of column names"),
        ("a.csv", b"\n\n", "a.csv: is empty; a CSV manifest begins with a line of column names"),
        ("a.csv", b"image_url,caf\xe9\n", "a.csv: line 1 is not UTF-8 text; save the file as UTF-8 CSV"),
        ("a.csv", gzip.compress(b"image_url\n", mtime=0), "a.csv: line 1 is not UTF-8 text"),
        ("a.csv", b'image_url,"x"y\n', "a.csv: line 1 is no CSV header: "),
        ("a.csv.gz", b"image_url\n", "a.csv.gz: cannot be read as csv, gzip: Not a gzipped file"),
        ("a.jsonl", b"", "a.jsonl: is empty; a JSONL manifest has one object a line"),
        ("a.jsonl", b"[1]\n{}\n", "a.jsonl: none of its lines is a JSON object with members; a JSONL manifest has"),
        ("a.jsonl.gz", b"{}", "a.jsonl.gz: cannot be read as jsonl, gzip: Not a gzipped file"),
        ("a.parquet", b"", "a.parquet: cannot be read as parquet: "),
        ("a.parquet", b"PAR1 and no more", "a.parquet: cannot be read as parquet: "),
    ],
)
def test_content_is_not_of_its_format(refused_file, name, content, message):
    """A file that does not hold what its ending says is refused with its name and the reason."""
    assert refused_file(name, content).startswith(message)


def test_cut_parquet(refused_file, tmp_path):
    """A Parquet file that was cut is refused."""
    pq.write_table(pa.table({"image_url": ["https://h/a"] * 1000}), tmp_path / "whole.parquet")
    whole = (tmp_path / "whole.parquet").read_bytes()

    assert refused_file("cut.parquet", whole[: len(whole) // 2]).startswith("cut.parquet: cannot be read as parquet: ")


def test_a_jsonl_column_beyond_the_first_rows(tmp_path):
    """A JSONL column counts where it is in the first 1,000 rows: one more, and it is not known."""
    path = tmp_path / "items.jsonl"
    section = ManifestSection(path=str(path))
    row, late = '{"image_url": "https://h/a"}\n', '{"image_url": "https://h/a", "title": "x"}\n'

    path.write_text(row * 999 + late)
    assert open_manifest(section, variables=frozenset(["title"])).columns == ("image_url", "title")
    path.write_text(row * 1000 + late)
    with pytest.raises(ConfigError, match="has no column `title`"):
        open_manifest(section, variables=frozenset(["title"]))
