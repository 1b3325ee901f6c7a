"""README's ten questions run as they stand there, and SQL and pandas have the same answer."""

from __future__ import annotations

import ast
import re
from datetime import UTC, date, datetime
from pathlib import Path

import duckdb
import pandas as pd
import pytest

from mediascribe.domain import Media

README = Path(__file__).parents[2] / "README.md"
HEADING = "Ten questions"


def chapter():
    """The text under the heading, down to the next one; None where README has no such chapter."""
    found = re.search(
        rf"^#+ {HEADING}\n(.*?)(?=^#|\Z)", without_comments(README.read_text("utf-8")), re.MULTILINE | re.DOTALL
    )
    return found and found[1]


def without_comments(text):
    """*text* without lines of code that look like headings."""
    return re.sub(r"(?s)```.*?```", lambda block: re.sub(r"(?m)^#", " #", block[0]), text)


def questions(text):
    """The pairs of SQL and Python blocks; the first makes `asked`."""
    blocks = re.findall(r"```(sql|python)\n(.*?)```", text, re.DOTALL)
    assert [kind for kind, _ in blocks] == ["sql", "python"] * (len(blocks) // 2)
    return [(sql, python) for (_, sql), (_, python) in zip(blocks[::2], blocks[1::2], strict=True)]


def run_python(code, names):
    """Execute *code*, and give the value of its last line."""
    tree = ast.parse(code)
    last = tree.body[-1]
    if not isinstance(last, ast.Expr):
        exec(code, names)  # noqa: S102 - README's own code
        return None
    exec(compile(ast.Module(tree.body[:-1], []), README.name, "exec"), names)  # noqa: S102 - likewise
    return eval(compile(ast.Expression(last.value), README.name, "eval"), names)  # noqa: S307 - likewise


def comparable(rows):
    """*rows* in an order of their own, numbers rounded, what is unknown as None."""
    return sorted((tuple(map(plain, row)) for row in rows), key=repr)


def plain(value):
    """A cell, whatever library it is from."""
    if pd.isna(value):
        return None
    if isinstance(value, datetime):
        return value.date()
    if isinstance(value, str | date):
        return value
    return float(f"{float(value):.9e}")


@pytest.fixture
def output(store, build, publish):
    """Two runs: images and sounds, a cut answer, a failure, retries, a row without a price, an item asked twice."""
    sound = (Media(kind="audio", url="https://sounds.example/c.mp3"),)
    heard = build.usage(prompt_tokens=180, prompt_image_tokens=0, prompt_audio_tokens=175)
    publish(
        [
            build.record("a", 1, nano_usd=34_300),
            build.record("b", 2, nano_usd=50_000, attempts=2, wasted_tokens=90),
            build.record(item=build.item("c", 3, media=sound), outcome=build.completion(usage=heard), nano_usd=131_000),
            build.record("d", 4, outcome=build.completion(status="truncated"), nano_usd=40_000),
            build.record("e", 5, outcome=build.failure(), attempts=4),
        ],
        run_id="20261123T010000Z-aaaaaa",
    )
    later = datetime(2026, 11, 24, 2, tzinfo=UTC)
    publish([build.record("a", 1, nano_usd=35_000, completed_at=later)], run_id="20261124T010000Z-bbbbbb")
    publish([build.record("f", 1, completed_at=later)], run_id="20261124T020000Z-cccccc", model="other")
    return str(store.root)


def test_each_question_has_one_answer_in_sql_and_in_pandas(output):
    """Ten questions, each answered twice over the same rows."""
    if (text := chapter()) is None:
        pytest.skip(f"README has no chapter `{HEADING}` yet")
    prelude, *asked = questions(text.replace("data/demo", output))
    names = {}
    with duckdb.connect() as connection:
        connection.execute("set timezone = 'UTC'")
        connection.execute(prelude[0])
        run_python(prelude[1], names)
        assert len(asked) == 10
        for sql, python in asked:
            told = connection.execute(sql).fetchall()
            frame = run_python(python, names)
            assert comparable(told) == comparable(frame.itertuples(index=False, name=None)), sql
            assert told, sql
