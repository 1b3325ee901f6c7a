"""The schemas within a schema, and the strict form."""

from __future__ import annotations

import copy
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from mediascribe import answer
from mediascribe.subschemas import named, places, strict

SCENE = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "type": "object",
    "properties": {
        "label": {"type": "string", "description": "one word"},
        "mood": {"type": "string", "enum": ["calm", "wild"], "default": "calm"},
        "score": {"type": ["number", "null"]},
        "box": {"$ref": "#/$defs/box", "description": "where it is"},
        "others": {"type": "array", "items": {"$ref": "#/$defs/box"}},
        "note": {"anyOf": [{"type": "string"}, {"type": "null"}]},
    },
    "required": ["label"],
    "$defs": {"box": {"type": "object", "properties": {"x": {"type": "integer"}, "y": {"type": "integer"}}}},
}
NULL = {"type": "null"}
LOADED = answer.load_schema(SCENE, None)


def test_strict_form():
    """The strict form closes every object, requires every member, and makes the optional ones nullable."""
    xy = {"anyOf": [{"type": "integer"}, NULL]}

    assert strict(SCENE) == {
        "type": "object",
        "properties": {
            "label": {"type": "string", "description": "one word"},
            "mood": {"anyOf": [{"type": "string", "enum": ["calm", "wild"]}, NULL]},
            "score": {"type": ["number", "null"]},
            "box": {"anyOf": [{"anyOf": [{"$ref": "#/$defs/box"}], "description": "where it is"}, NULL]},
            "others": {"anyOf": [{"type": "array", "items": {"$ref": "#/$defs/box"}}, NULL]},
            "note": {"anyOf": [{"type": "string"}, NULL]},
        },
        "required": ["label", "mood", "score", "box", "others", "note"],
        "additionalProperties": False,
        "$defs": {
            "box": {
                "type": "object",
                "properties": {"x": xy, "y": xy},
                "required": ["x", "y"],
                "additionalProperties": False,
            }
        },
    }


def test_strict_leaves_its_argument():
    """The schema that is given stays as it is."""
    before = copy.deepcopy(SCENE)

    strict(SCENE)

    assert before == SCENE


@pytest.mark.wide
def test_strict_form_is_what_the_vendor_makes_of_it():
    """The vendor's own SDK finds nothing to change in the strict form."""
    ensure = pytest.importorskip("openai.lib._pydantic")._ensure_strict_json_schema  # noqa: SLF001 - its only home
    form = strict(SCENE)

    assert ensure(copy.deepcopy(form), path=(), root=copy.deepcopy(form)) == form


@pytest.mark.parametrize(
    "member",
    [
        {},
        True,
        {"type": "object"},
        {"type": ["object", "null"]},
        {"type": "object", "properties": {}, "additionalProperties": True},
        {"type": "object", "properties": {}, "additionalProperties": {"type": "string"}},
        {"type": "object", "properties": {"a": {"type": "string"}}, "required": ["b"]},
        {"type": "array", "items": True},
        {"type": "array", "items": {"type": "string"}, "uniqueItems": True},
        {"oneOf": [{"type": "string"}, {"type": "integer"}]},
        {"anyOf": [{"type": "string"}, True]},
        {"$ref": "#/$defs/a", "anyOf": [{"type": "string"}]},
        {"type": "string", "not": {"const": "x"}},
    ],
)
def test_no_strict_form(member):
    """What strict mode cannot say has no strict form."""
    assert strict({"type": "object", "properties": {"a": member}}) is None


def test_no_strict_form_of_a_union():
    """Strict mode allows no union at the top."""
    assert strict({"type": "object", "properties": {}, "anyOf": [{"type": "object", "properties": {}}]}) is None


@st.composite
def strict_answers(draw):
    number = st.none() | st.integers(-9, 9)
    box = st.fixed_dictionaries({"x": number, "y": number})
    return draw(
        st.fixed_dictionaries(
            {
                "label": st.text(max_size=5),
                "mood": st.sampled_from(["calm", "wild", None]),
                "score": number,
                "box": st.none() | box,
                "others": st.none() | st.lists(box, max_size=3),
                "note": st.none() | st.text(max_size=5),
            }
        )
    )


@settings(max_examples=60, deadline=None)
@given(strict_answers())
def test_strict_keeps_the_meaning(value):
    """An answer that fits the strict form reads as one that fits the schema."""
    assert Draft202012Validator(strict(SCENE)).is_valid(value)

    found = answer.read(json.dumps(value), LOADED)

    assert isinstance(found, answer.Structured)
    assert Draft202012Validator(SCENE).is_valid(found.value)
    assert {name for name, one in found.value.items() if one is None} <= {"score", "note"}


def test_places():
    """Every schema within a schema has its place, and no enumerated value or property name is taken for one."""
    schema = {
        "properties": {"a/b~c": {"anyOf": [{"type": "string"}, True]}, "items": {"items": {"enum": [{"items": {}}]}}},
        "additionalProperties": False,
        "properties~": {"x": {}},
        "const": {"properties": {"x": {}}},
    }

    assert {place for place, _ in places(schema)} == {
        "#",
        "#/properties/a~1b~0c",
        "#/properties/a~1b~0c/anyOf/0",
        "#/properties/items",
        "#/properties/items/items",
    }


def test_a_schema_is_called_strict_only_in_strict_form():
    """What strict mode cannot say is sent as it is, and not called strict: the vendor would refuse it."""
    said = named({"type": "object", "properties": {"a": {"type": "string"}}})
    assert said["strict"] is True
    assert said["schema"]["additionalProperties"] is False
    unsaid = {"type": "object", "properties": {"a": {"oneOf": [{"type": "string"}, {"type": "null"}]}}}
    assert named(unsaid) == {"name": "answer", "schema": unsaid, "strict": False}
