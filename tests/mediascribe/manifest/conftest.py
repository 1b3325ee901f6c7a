"""Manifests of every format, written and read back."""

from __future__ import annotations

import csv
import gzip
import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from mediascribe.job_sections import ManifestSection
from mediascribe.manifest import open_manifest


@pytest.fixture
def write(tmp_path):
    """`write(rows, form)`: rows, which have the same members, to a file of this format; gives its path."""

    def _write(rows, form="csv"):
        path = tmp_path / f"items.{form}"
        opener = gzip.open if form.endswith(".gz") else open
        if form == "parquet":
            pq.write_table(pa.Table.from_pylist(rows), path)
        elif form.startswith("jsonl"):
            with opener(path, "wt", encoding="utf-8") as stream:
                stream.writelines(json.dumps(row) + "\n" for row in rows)
        else:
            with opener(path, "wt", encoding="utf-8", newline="") as stream:
                writer = csv.DictWriter(stream, rows[0].keys(), delimiter="\t" if form == "tsv" else ",")
                writer.writeheader()
                writer.writerows(rows)
        return path

    return _write


@pytest.fixture
def opened():
    """`opened(path, variables=..., relative_urls=..., **section)`: the Manifest."""

    def _opened(path, *, variables=(), relative_urls=False, **section):
        return open_manifest(
            ManifestSection(path=str(path), **section), variables=frozenset(variables), relative_urls=relative_urls
        )

    return _opened


@pytest.fixture
def read(opened):
    """`read(path, ...)`: all Items."""

    def _read(path, **more):
        return list(opened(path, **more).read())

    return _read


@pytest.fixture
def only(write, read):
    """`only(row, form, ...)`: the Item of a manifest of one row."""

    def _only(row, form="jsonl", **more):
        (item,) = read(write([row], form), **more)
        return item

    return _only


@pytest.fixture
def problem(only):
    """`problem(row, form, ...)`: code and message of the problem of a manifest of one row."""

    def _problem(row, form="jsonl", **more):
        item = only(row, form, **more)
        assert item.problem.error_class == "row"
        return item.problem.code, item.problem.message

    return _problem
