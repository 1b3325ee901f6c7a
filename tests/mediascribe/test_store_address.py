"""Addresses: what an output names, and where the work of a bucket lies."""

from __future__ import annotations

from pathlib import Path

import pytest

from mediascribe.errors import ConfigError
from mediascribe.store import local_path
from mediascribe.store.address import Address, parse, work_root

OUT = Address(scheme="s3", bucket="b", prefix="out/")


@pytest.fixture(autouse=True)
def _plain(monkeypatch):
    for name in ("MEDIASCRIBE_WORK", "XDG_CACHE_HOME", "AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL", "AWS_ENDPOINT"):
        monkeypatch.delenv(name, raising=False)


@pytest.mark.parametrize(
    ("output", "place"),
    [
        ("s3://b/out", OUT),
        ("S3://b//out/", OUT),
        ("gs://my-bucket", Address(scheme="gs", bucket="my-bucket", prefix="")),
        ("az://c/a/b", Address(scheme="az", bucket="c", prefix="a/b/")),
        ("memory://", Address(scheme="memory", bucket="", prefix="")),
        ("data/out", Path("data/out")),
        (Path("data/out"), Path("data/out")),
        ("file:///a%20b", Path("/a b")),
        ("file://localhost/a", Path("/a")),
    ],
)
def test_an_output_is_a_folder_or_a_place_in_a_bucket(output, place):
    """Schemes are case-insensitive, and empty parts of a prefix mean nothing."""
    assert parse(output) == place


@pytest.mark.parametrize(
    ("output", "message"),
    [
        ("hdfs://x/y", "no store hdfs://; write a path, file:// or one of s3://, gs://, az://, memory://"),
        ("s3:///out", "there is no bucket ``; write s3://bucket/prefix"),
        ("gs://a b/out", "there is no bucket `a b`"),
        ("s3://b/../c", "a prefix has no `.` and no `..`"),
        ("file://host/a", "write file:///path, with three slashes"),
    ],
)
def test_another_address_is_refused(output, message):
    """The message says what to write."""
    with pytest.raises(ConfigError) as refused:
        parse(output)
    assert message in str(refused.value)


@pytest.mark.parametrize("output", ["s3://AKIAKEY:secret1@b/out", "az://c/out?sig=secret1", "gs://b/out#secret1"])
def test_credentials_in_an_address_are_refused_and_not_repeated(output):
    """They belong in the environment, and stand in no message."""
    with pytest.raises(ConfigError, match="belong in the environment") as refused:
        parse(output)
    assert "secret1" not in str(refused.value)


def test_a_tilde_is_the_home_folder(monkeypatch, tmp_path):
    """`~/out` lies in the home folder, not in a folder called `~`."""
    monkeypatch.setenv("HOME", str(tmp_path))
    assert local_path("~/out") == tmp_path / "out"


def test_a_bucket_is_no_local_folder():
    """Who needs a folder is told so."""
    with pytest.raises(ConfigError, match="output `s3://b/out` is no local folder"):
        local_path("s3://b/out")


class TestWorkRoot:
    """`work_root`."""

    def test_it_lies_where_the_environment_says(self, monkeypatch, tmp_path):
        """`MEDIASCRIBE_WORK` first, then the user's cache folder, then the one in the home folder."""
        monkeypatch.setenv("HOME", str(tmp_path / "home"))
        assert work_root(OUT).parent == tmp_path / "home/.cache/mediascribe"
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
        assert work_root(OUT).parent == tmp_path / "cache/mediascribe"
        monkeypatch.setenv("MEDIASCRIBE_WORK", str(tmp_path / "work"))
        assert work_root(OUT).parent == tmp_path / "work"

    def test_each_place_has_its_own(self, monkeypatch):
        """Another prefix, or a bucket of the same name elsewhere, is another place; the same one stays the same."""
        roots = [work_root(OUT), work_root(parse("s3://b/out2"))]
        monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9000")
        roots.append(work_root(OUT))
        assert len({root.name for root in roots}) == 3
        assert work_root(parse("s3://b/out/")) == work_root(OUT)
        assert work_root(OUT).name.startswith("b-")

    def test_without_a_home_the_variable_is_named(self, monkeypatch):
        """The message says what to set."""

        def homeless():
            raise RuntimeError

        monkeypatch.setattr(Path, "home", homeless)
        with pytest.raises(ConfigError, match="export MEDIASCRIBE_WORK="):
            work_root(OUT)
