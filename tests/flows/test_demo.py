"""The demo, as `make demo` runs it, and what README says of its results."""

import re
import textwrap
from pathlib import Path

import duckdb
import pandas as pd
import pytest

from mediascribe import dataset
from mediascribe.job import Job, load

README = Path(__file__).parents[2] / "README.md"
BAD = {
    "bad-dead-link": ("skipped", "media"),
    "bad-web-page": ("skipped", "media"),
    "bad-content": ("skipped", "media"),
    "bad-type": ("skipped", "media"),
    "bad-empty-url": ("skipped", "row"),
    "bad-scheme": ("skipped", "row"),
    "photo-02#39": ("skipped", "row"),
}


def results(folder):
    return {row["item_id"]: row for row in dataset.current(folder / "data/demo").to_pylist()}


def test_the_demo_under_an_embedded_prefect(place, cli, embedded):
    """No key and no server: 39 rows, each with its result; the second start asks nothing."""
    ended = cli("run", "configs/jobs/demo.toml", key=None, **embedded)
    assert ended.status == 0, ended
    assert ended.out.splitlines()[0] == "rows      39 (32 ok, 7 skipped)"
    assert "Traceback" not in ended.err
    again = cli("run", "configs/jobs/demo.toml", key=None, **embedded)
    assert again.out.startswith("nothing left to ask: every one of the 39 rows has its result in data/demo")

    rows = results(place)
    assert {name: (row["status"], row["error_class"]) for name, row in rows.items() if row["status"] != "ok"} == BAD
    assert all(row["description"] and row["cost_usd"] > 0 for row in rows.values() if row["status"] == "ok")
    pair = rows["pair-01"]
    assert (pair["media_kind"], pair["prompt_image_tokens"], pair["prompt_audio_tokens"]) == ("image+audio", 1806, 175)
    assert sum(row["prompt_video_tokens"] for row in rows.values()) > 0
    assert {row["usage_source"] for row in rows.values() if row["status"] == "ok"} == {"reported", "derived"}
    readme_one_liners_agree(place, len(rows))


def readme_one_liners_agree(place, count):
    """The pandas and DuckDB lines that README gives for the current results."""
    text = (
        README.read_text().replace('"data/demo/', f'"{place}/data/demo/').replace("'data/demo/", f"'{place}/data/demo/")
    )
    lines = re.search(r"    import pandas.*?(?=\n\nor `mediascribe)", text, re.DOTALL)[0]
    python, sql = textwrap.dedent(lines).split("\n\n")
    names = {}
    exec(python, names)  # noqa: S102 - README's own two lines
    assert len(names["rows"]) == count
    assert len(duckdb.sql(sql).fetchall()) == count
    assert names["rows"]["prompt_tokens"].dtype == "int64"
    assert pd.api.types.is_float_dtype(names["rows"]["cost_usd"])


@pytest.mark.parametrize("ending", ["jsonl", "parquet"])
def test_the_manifest_may_have_any_format(place, cli, ending):
    """The same rows as JSONL and as Parquet come to the same results."""
    job = place / "configs/jobs/demo.toml"
    job.write_text(job.read_text().replace("manifest.csv", f"manifest.{ending}"))
    ended = cli("run", "configs/jobs/demo.toml", key=None)
    assert ended.out.splitlines()[0] == "rows      39 (32 ok, 7 skipped)"
    assert {name: (row["status"], row["error_class"]) for name, row in results(place).items() if name in BAD} == BAD
    assert {type(row["weight"]) for row in results(place).values()} == {int}


def test_the_example_job_for_a_real_gateway_is_complete():
    """Every key that a job file may have stands in the example, as a line or as a comment."""
    path = README.parent / "configs/jobs/mixrouter.toml"
    text = path.read_text()
    load(path)
    for name, field in Job.model_fields.items():
        section = getattr(field.annotation, "model_fields", None)
        for key in {one.alias or own for own, one in section.items()} if section else {name}:
            assert key == "file" or re.search(rf"^((# )?{key} = |\[{key}\])", text, re.MULTILINE), key
