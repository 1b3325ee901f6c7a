"""Schema v1, and a record as a row of it."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta, timezone

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mediascribe.columns import SCHEMA, USAGE_COLUMNS, schema, to_batch
from mediascribe.domain import NO_USAGE, Completion, Item, Media, Record
from mediascribe.errors import ConfigError

DESIGN_4 = """
item_id request_key run_id job shard row_number
media_kind media_urls model dialect prompt_id prompt_sha256 parameters_sha256 reason
status description answer_json reasoning finish_reason model_returned response_id gateway_request_id
error_class error_code http_status error_message
prompt_tokens completion_tokens total_tokens cached_tokens cache_write_tokens prompt_text_tokens prompt_image_tokens
prompt_audio_tokens prompt_video_tokens completion_text_tokens completion_audio_tokens reasoning_tokens
usage_source usage_json flags attempts wasted_tokens
cost_usd price_version answered_by saved_usd
media_bytes media_sha256 media_seconds media_width media_height
requested_at completed_at latency_s
"""
ANY_JSON = st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.lists(st.integers(), max_size=2)


def row_of(build, record, **facts):
    """The one row that *record* becomes."""
    return to_batch(build.facts(**facts), build.shard(), [record]).to_pylist()[0]


class TestSchema:
    """`SCHEMA` and `schema`."""

    def test_the_columns_are_those_of_the_design(self):
        """Schema v1 has the design's columns in the design's order."""
        assert SCHEMA.names == DESIGN_4.split()

    def test_tokens_are_whole_and_never_null(self):
        """One null would turn a token column into floats in pandas."""
        for name in (*USAGE_COLUMNS, "wasted_tokens"):
            assert SCHEMA.field(name) == pa.field(name, pa.int64(), nullable=False)

    def test_times_are_utc_in_microseconds(self):
        """Both moments have the type that every reader takes."""
        assert {SCHEMA.field(name).type for name in ("requested_at", "completed_at")} == {pa.timestamp("us", tz="UTC")}

    def test_carried_columns_stand_after_reason(self):
        """Carried columns keep their order, and may be null."""
        carried = schema({"b": "string", "a": "timestamp", "n": "int64", "x": "float64", "t": "bool"})
        at = carried.names.index("reason") + 1
        assert [(field.name, str(field.type), field.nullable) for field in list(carried)[at : at + 5]] == [
            ("b", "string", True),
            ("a", "timestamp[us, tz=UTC]", True),
            ("n", "int64", True),
            ("x", "double", True),
            ("t", "bool", True),
        ]
        assert [name for name in carried.names if name not in {"b", "a", "n", "x", "t"}] == SCHEMA.names

    @pytest.mark.parametrize(
        ("carry", "said"),
        [
            (["model"], "`model` collides with the dataset's own column `model`"),
            (["Status"], "`Status` collides with the dataset's own column `status`"),
            (["date"], "`date` collides with the column `date` that readers take from the folder's name"),
            (["Tag", "tag"], "`tag` collides with the carried column `Tag`"),
        ],
    )
    def test_a_carried_name_that_is_taken_is_refused(self, carry, said):
        """The message says by which column, and what to do."""
        with pytest.raises(ConfigError) as refused:
            schema(dict.fromkeys(carry, "string"))
        assert said in str(refused.value)
        assert str(refused.value).endswith("rename the column in the manifest")


class TestRows:
    """`to_batch`."""

    def test_a_completion_fills_its_columns(self, build):
        """Asked, answered, billed: each value stands in its column."""
        outcome = build.completion(
            status="truncated",
            text="A red",
            finish_reason="length",
            reasoning="red?",
            model_returned="gemini-2.0-flash-001",
            response_id="r1",
            gateway_request_id="g1",
        )
        row = row_of(build, build.record("a", 7, outcome=outcome, nano_usd=336_800, attempts=2, wasted_tokens=9))
        known = {name: value for name, value in row.items() if value is not None}
        assert known == dict.fromkeys(USAGE_COLUMNS, 0) | {
            "item_id": "a",
            "request_key": "key-a",
            "run_id": "20261123T014500Z-3fa9c1",
            "job": "demo",
            "shard": 0,
            "row_number": 7,
            "media_kind": "image",
            "media_urls": ["https://cdn.example/a.jpg"],
            "model": "gemini-2.0-flash",
            "dialect": "chat",
            "prompt_id": "default",
            "prompt_sha256": "9" * 64,
            "parameters_sha256": "8" * 64,
            "reason": "new",
            "status": "truncated",
            "description": "A red",
            "reasoning": "red?",
            "finish_reason": "length",
            "model_returned": "gemini-2.0-flash-001",
            "response_id": "r1",
            "gateway_request_id": "g1",
            "prompt_tokens": 263,
            "prompt_text_tokens": 5,
            "prompt_image_tokens": 258,
            "completion_tokens": 20,
            "total_tokens": 283,
            "usage_source": "reported",
            "usage_json": "{}",
            "flags": [],
            "attempts": 2,
            "wasted_tokens": 9,
            "cost_usd": 0.0003368,
            "price_version": "2026-11-01",
            "requested_at": datetime(2026, 11, 23, 1, 45, 0, tzinfo=UTC),
            "completed_at": datetime(2026, 11, 23, 1, 45, 1, 250_000, tzinfo=UTC),
            "latency_s": 1.25,
        }

    def test_a_refusal_keeps_its_text(self, build):
        """What a refused answer said is kept."""
        outcome = build.completion(status="refused", text="I cannot help with that.")
        row = row_of(build, build.record(outcome=outcome))
        assert (row["status"], row["description"]) == ("refused", "I cannot help with that.")

    def test_a_failure_fills_its_columns(self, build):
        """A failure has its class, code and message, and what it was billed."""
        outcome = build.failure(
            code="not_found",
            http_status=404,
            usage=build.usage(prompt_tokens=11),
            finish_reason="content_filter",
            model_returned="m",
            response_id="r",
            gateway_request_id="g",
        )
        row = row_of(build, build.record(outcome=outcome))
        names = ("status", "error_class", "error_code", "http_status", "error_message", "prompt_tokens")
        assert [row[name] for name in names] == [
            "failed",
            "media",
            "not_found",
            404,
            "HTTP 404 at https://cdn.example/a.jpg",
            11,
        ]
        ids = ("finish_reason", "model_returned", "response_id", "gateway_request_id", "description")
        assert [row[name] for name in ids] == ["content_filter", "m", "r", "g", None]

    def test_a_row_that_was_never_asked_costs_nobody_knows_what(self, build):
        """A skipped row has null cost, no media and no key; its token columns are 0, and their source says missing."""
        outcome = build.failure(error_class="row", message="no media")
        item = Item(item_id="a", row_number=3)
        row = row_of(build, Record(item=item, reason="new", outcome=outcome))
        assert row["status"] == "skipped"
        assert [row[name] for name in ("cost_usd", "price_version", "media_kind", "request_key")] == [None] * 4
        assert row["media_urls"] == []
        assert {row[name] for name in USAGE_COLUMNS} == {0}
        assert row["usage_source"] == NO_USAGE.source == "missing"

    def test_kinds_are_joined_in_one_order(self, build):
        """Two rows with the same kinds have the same `media_kind`, whatever the manifest's order."""
        media = tuple(Media(kind=kind, url="https://x.example/1") for kind in ("video", "audio", "image", "audio"))
        assert row_of(build, build.record(item=build.item(media=media)))["media_kind"] == "image+audio+video"

    def test_signatures_are_not_stored(self, build):
        """A signed URL loses its signature."""
        url = "https://b.example/a.jpg?X-Amz-Signature=abc&v=2"
        row = row_of(build, build.record(item=build.item(media=(Media(kind="image", url=url),))))
        assert row["media_urls"] == ["https://b.example/a.jpg?X-Amz-Signature=REDACTED&v=2"]

    def test_a_local_time_is_stored_as_utc(self, build):
        """The moment stays the same, whatever its offset."""
        noon = datetime(2026, 11, 23, 12, 0, tzinfo=timezone(timedelta(hours=2)))
        assert row_of(build, build.record(completed_at=noon))["completed_at"] == datetime(2026, 11, 23, 10, tzinfo=UTC)

    def test_a_lone_surrogate_becomes_a_question_mark(self, build):
        """Text that UTF-8 cannot hold does not lose a paid answer, in plain columns and in lists."""
        outcome = build.completion(text="ok \ud83d end", usage=build.usage(raw=None))
        media = (Media(kind="image", url="https://x.example/\udcff.jpg"),)
        row = row_of(build, build.record(outcome=outcome, item=build.item(media=media)))
        assert row["description"] == "ok ? end"
        assert row["media_urls"] == ["https://x.example/?.jpg"]
        assert row["usage_json"] is None

    @given(text=st.text(), reasoning=st.none() | st.text())
    @settings(max_examples=30)
    def test_text_comes_back_as_it_was(self, text, reasoning, build):
        """Any text survives the way into a row."""
        row = row_of(build, build.record(outcome=_said(text, reasoning)))
        assert (row["description"], row["reasoning"]) == (text, reasoning)


class TestCarried:
    """Carried values."""

    @pytest.mark.parametrize(
        ("kind", "value", "stored"),
        [
            ("string", "x", "x"),
            ("string", 7, "7"),
            ("string", {"a": [True]}, '{"a": [true]}'),
            ("int64", 7, 7),
            ("int64", "7", 7),
            ("int64", 7.0, 7),
            ("int64", 7.5, None),
            ("int64", 2**63, None),
            ("int64", "seven", None),
            ("float64", 1, 1.0),
            ("float64", "1.5", 1.5),
            ("bool", True, True),
            ("bool", "FALSE", False),
            ("bool", "maybe", None),
            ("timestamp", "2026-11-23T12:00:00+02:00", datetime(2026, 11, 23, 10, tzinfo=UTC)),
            ("timestamp", "2026-11-23", datetime(2026, 11, 23, tzinfo=UTC)),
            ("timestamp", datetime(2026, 11, 23, tzinfo=UTC), datetime(2026, 11, 23, tzinfo=UTC)),
            ("timestamp", "today", None),
            ("timestamp", 7, None),
            ("string", None, None),
        ],
    )
    def test_a_value_takes_its_columns_type_or_is_null(self, build, kind, value, stored):
        """A value that does not fit its type is null, never an error: the answer beside it is paid for."""
        record = build.record(item=build.item(carried={"c": value}))
        assert row_of(build, record, carry={"c": kind})["c"] == stored

    def test_a_missing_value_is_null_and_a_further_one_is_not_stored(self, build):
        """The job says which columns there are, not the row."""
        row = row_of(build, build.record(item=build.item(carried={"x": 1})), carry={"c": "int64"})
        assert row["c"] is None
        assert "x" not in row

    @given(value=ANY_JSON, kind=st.sampled_from(["string", "int64", "float64", "bool", "timestamp"]))
    @settings(max_examples=100)
    def test_no_value_breaks_a_part(self, value, kind, build):
        """Whatever JSON a manifest carries, the row can be written."""
        record = build.record(item=build.item(carried={"c": value}))
        row_of(build, record, carry={"c": kind})


def _said(text, reasoning):
    return Completion(status="ok", text=text, usage=NO_USAGE, reasoning=reasoning)


@pytest.mark.parametrize(
    ("kind", "value", "typed"),
    [
        ("int64", 2**63 - 1, 2**63 - 1),
        ("int64", -(2**63), -(2**63)),
        ("int64", 3.0, 3),
        ("int64", 2**63, None),
        ("float64", 10**300, 1e300),
        ("bool", False, False),
        ("string", "cat", "cat"),
        ("string", None, None),
        ("timestamp", "2026-03-01T12:00:00Z", datetime(2026, 3, 1, 12, tzinfo=UTC)),
        ("timestamp", "2026-03-01T12:00:00+02:00", datetime(2026, 3, 1, 10, tzinfo=UTC)),
        ("timestamp", "yesterday", None),
    ],
)
def test_the_scalars_of_a_structured_answer_are_typed_columns(build, kind, value, typed):
    """What a column cannot hold is null there, and stands in answer_json all the same."""
    text = json.dumps({"x": value})
    record = build.record(outcome=build.completion(text=text, answer_json=text))
    (row,) = to_batch(build.facts(answer={"answer_x": kind}), build.shard(), [record]).to_pylist()
    assert (row["answer_x"], row["answer_json"]) == (typed, text)


def test_an_answers_column_may_not_take_a_carried_ones_name():
    """Both would be in every row."""
    with pytest.raises(ConfigError, match=r"\[answer\] schema: `answer_x` collides with the carried column `answer_x`"):
        schema({"answer_x": "string"}, {"answer_x": "int64"})
