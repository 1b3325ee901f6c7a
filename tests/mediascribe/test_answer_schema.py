"""A job's JSON Schema: what is accepted, what is refused, and its columns."""

from __future__ import annotations

import datetime as dt
import json
import socket

import pytest

from mediascribe import answer_schema, columns
from mediascribe.answer_schema import load_schema
from mediascribe.errors import ConfigError


def loaded(properties, **more):
    return load_schema({"type": "object", "properties": properties, **more}, None, job_path="demo.toml")


def refused(schema):
    with pytest.raises(ConfigError) as caught:
        load_schema(schema, None, job_path="demo.toml")
    return str(caught.value)


def refused_file(path):
    with pytest.raises(ConfigError) as caught:
        load_schema(None, str(path), job_path="demo.toml")
    return str(caught.value)


def test_none():
    """A job without a schema has none."""
    assert load_schema(None, None) is None


def test_file(tmp_path):
    """A schema in a file is the same as one in the job."""
    schema = {"type": "object", "properties": {"label": {"type": "string"}}}
    path = tmp_path / "schema.json"
    path.write_text("\ufeff" + json.dumps(schema, indent=2), encoding="utf-8")

    assert load_schema(None, str(path)) == load_schema(schema, None)


def test_the_schema_is_a_copy():
    """What happens to the mapping afterwards does not reach the schema."""
    inline = {"type": "object", "properties": {}}
    schema = load_schema(inline, None)
    inline["type"] = "array"

    assert schema.schema == {"type": "object", "properties": {}}


def test_sha256_is_of_the_content():
    """The hash ignores the order of members, and changes with their values."""
    one = load_schema({"type": "object", "title": "a"}, None)

    assert one.sha256 == load_schema({"title": "a", "type": "object"}, None).sha256
    assert one.sha256 != load_schema({"title": "b", "type": "object"}, None).sha256


def test_missing_file(tmp_path):
    """A missing file is named with a similar one beside it."""
    (tmp_path / "scene.json").write_text("{}")

    message = refused_file(tmp_path / "scenes.json")

    assert message.startswith("demo.toml: `answer.schema_file`: ")
    assert message.endswith(f"scenes.json: there is no such file; in {tmp_path} there is: scene.json")


def test_missing_folder(tmp_path):
    """A file in a missing folder is refused with the folder that it counts from."""
    assert "there is no such file (counted from " in refused_file(tmp_path / "no" / "scene.json")


def test_unreadable_file(tmp_path):
    """A folder in the file's place, and bytes that are no text, are refused."""
    (tmp_path / "latin.json").write_bytes(b'{"title": "\xe9"}')

    assert "cannot be read" in refused_file(tmp_path)
    assert "cannot be read as UTF-8 text" in refused_file(tmp_path / "latin.json")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ('{"type":\n "object",}', ", line 2, column 11: not valid JSON: "),
        ("[" * 100_000, ": not valid JSON: "),
        ('{"maximum": ' + "9" * 5000 + "}", ": not valid JSON: "),
        ('["object"]', ": a schema is a JSON object, such as "),
        ('{"type": "object", "maximum": NaN}', ": is no JSON "),
    ],
)
def test_file_without_schema(tmp_path, text, says):
    """A file that holds no JSON object is refused with the place."""
    path = tmp_path / "schema.json"
    path.write_text(text)

    assert f"{path}{says}" in refused_file(path)


@pytest.mark.parametrize("value", [dt.date(2026, 1, 1), float("inf"), float("nan"), 2**70, "\ud800"])
def test_what_json_cannot_say(value):
    """What TOML can say and a request cannot is refused."""
    assert refused({"type": "object", "default": value}).startswith("demo.toml: `answer.schema`: is no JSON ")


@pytest.mark.parametrize(
    ("schema", "says"),
    [
        (
            {"type": "object", "properties": {"a": {"type": "strng"}}},
            "no valid JSON Schema at #/properties/a/type: 'strng' is not one of ['array', ",
        ),
        (
            {"type": "object", "properties": {"a/b": {"pattern": "("}}},
            "no valid JSON Schema at #/properties/a~1b/pattern: '(' is not a 'regex'",
        ),
        ({"properties": {}}, 'the top level must say "type": "object"'),
        ({"type": "array", "items": {}}, 'the top level must say "type": "object"'),
        ({"type": ["object", "null"]}, 'the top level must say "type": "object"'),
        (
            {"type": "object", "properties": {"a": {"$ref": "https://example.com/a.json"}}},
            "#/properties/a/$ref: `https://example.com/a.json` points outside the schema, and nothing is fetched",
        ),
        (
            {"type": "object", "items": {"$ref": "other.json#/$defs/a"}},
            "#/items/$ref: `other.json#/$defs/a` points outside the schema",
        ),
        ({"type": "object", "anyOf": [{"$ref": "#name"}]}, "#/anyOf/0/$ref: `#name` points outside the schema"),
        (
            {"type": "object", "not": {"$ref": "#/$defs/bx"}, "$defs": {"box": {}}},
            "#/not/$ref: there is no schema at `#/$defs/bx`; did you mean `#/$defs/box`?",
        ),
        ({"type": "object", "not": {"$ref": "#/zzz"}}, "#/not/$ref: there is no schema at `#/zzz`"),
        ({"type": "object", "items": {"$dynamicRef": "#a"}}, "#/items/$dynamicRef: not supported here"),
        ({"type": "object", "items": {"$id": "http://a/b"}}, "#/items/$id: not supported here"),
        ({"type": "object", "allOf": [{"$ref": "#"}]}, "the schema refers to itself without end"),
        (
            {"type": "object", "$defs": {"a": {"$ref": "#/$defs/b"}, "b": {"anyOf": [{"$ref": "#/$defs/a"}]}}},
            "the schema refers to itself without end",
        ),
        (
            {"type": "object", "properties": {"json": {"type": "string"}}},
            "#/properties/json: its column `answer_json` collides with the dataset's own column: rename the property",
        ),
        (
            {"type": "object", "properties": {"Label": {"type": "string"}, "label": {"type": "string"}}},
            "#/properties/label: its column `answer_label` collides with that of `Label`: rename the property",
        ),
        ({"type": "object", "properties": {"my label": {}}}, "#/properties/my label: a top-level property names a"),
    ],
)
def test_refused(schema, says):
    """A schema that cannot be used is refused with the place in it and what to do."""
    message = refused(schema)

    assert message.startswith("demo.toml: `answer.schema`: ")
    assert says in message


def test_deep_schema():
    """A schema beyond what the stack holds is refused, not a crash."""
    schema = {}
    for _ in range(400):
        schema = {"not": schema}

    assert "nested too deeply" in refused({"type": "object", "not": schema})


def test_local_references():
    """References within the schema are followed, percent-encoded ones and circles through a member included."""
    schema = loaded(
        {"a": {"$ref": "#/$defs/a%20b"}, "next": {"$ref": "#"}},
        **{"$id": "https://example.com/scene", "$defs": {"a b": {"type": "integer"}}},
    )

    assert schema.columns == {"answer_a": "int64"}
    assert schema.validator.is_valid({"a": 1, "next": {"a": 2}})
    assert not schema.validator.is_valid({"a": 1, "next": {"a": "2"}})


def test_nothing_is_fetched(monkeypatch):
    """The library is given no way to fetch a schema: one that slips through is an error, no request."""
    monkeypatch.setattr(socket, "socket", None)
    monkeypatch.setattr(answer_schema, "_check_references", lambda *_: None)
    schema = loaded({"a": {"type": "string", "allOf": [{"$ref": "http://127.0.0.1:9/a.json"}]}})

    with pytest.raises(Exception, match="Unresolvable"):
        schema.validator.is_valid({"a": "x"})


@pytest.mark.parametrize(
    ("member", "kind"),
    [
        ({"type": "string"}, "string"),
        ({"type": "integer"}, "int64"),
        ({"type": "number"}, "float64"),
        ({"type": "boolean"}, "bool"),
        ({"type": "string", "format": "date-time"}, "timestamp"),
        ({"type": "string", "format": "date"}, "string"),
        ({"type": ["string", "null"]}, "string"),
        ({"type": ["string", "null"], "format": "date-time"}, "timestamp"),
        ({"type": ["integer", "number"]}, "float64"),
        ({"anyOf": [{"type": "integer"}, {"type": "null"}]}, "int64"),
        ({"oneOf": [{"type": "null"}, {"type": "boolean"}]}, "bool"),
        ({"allOf": [{"type": "string"}]}, "string"),
        ({"enum": ["a", "b", None]}, "string"),
        ({"enum": [1, 2]}, "int64"),
        ({"enum": [1, 2.5]}, "float64"),
        ({"const": True}, "bool"),
        ({"$ref": "#/$defs/mood"}, "string"),
        ({"anyOf": [{"$ref": "#/$defs/mood"}, {"type": "null"}]}, "string"),
    ],
)
def test_columns(member, kind):
    """A scalar of one type has a column of that type, null aside."""
    assert loaded({"x": member}, **{"$defs": {"mood": {"enum": ["calm"]}}}).columns == {"answer_x": kind}


@pytest.mark.parametrize(
    "member",
    [
        {"type": "object"},
        {"type": "array"},
        {"type": "null"},
        {"type": ["string", "integer"]},
        {"anyOf": [{"type": "string"}, {"type": "boolean"}]},
        {"anyOf": [{"type": "string"}, {"type": "string", "format": "date-time"}]},
        {"anyOf": [{"type": "string"}, True]},
        {"allOf": [{"type": "string"}, {"minLength": 1}]},
        {"enum": ["a", 1]},
        {"enum": [True, 1]},
        {"minLength": 1},
        {},
        True,
    ],
)
def test_no_column(member):
    """What is no scalar, or of several types, has no column."""
    assert loaded({"x": member}).columns == {}


def test_an_object_may_be_called_json():
    """A property without a column takes no column's name."""
    assert loaded({"json": {"type": "object"}, "label": {"type": "string"}}).columns == {"answer_label": "string"}


def test_no_other_column_can_be_taken():
    """The dataset has no column of its own with the answer's prefix but `answer_json`."""
    assert [name for name in columns.SCHEMA.names if name.startswith(answer_schema.ANSWER_PREFIX)] == ["answer_json"]
