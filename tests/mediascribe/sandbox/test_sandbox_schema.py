"""Structured answers: whatever the schema asks for, and a real validator agrees."""

from __future__ import annotations

from fractions import Fraction

import jsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mediascribe.sandbox.look import Clip, Picture, Sound
from mediascribe.sandbox.schema import Known, filled, known

PICTURE = Picture(width=640, height=480, format="PNG", colours=("red", "grey"), brightness="dark")
SOUND = Sound(duration_s=Fraction(7, 2), sample_rate=16_000, channels=1, loudness_dbfs=None, character="silence")
CLIP = Clip(duration_s=Fraction(2), frames=16, per_s=8.0, has_sound=True, first=PICTURE)
KNOWN = known("A red wall.", [PICTURE])


@pytest.mark.parametrize(
    ("schema", "value"),
    [
        ({"type": "string"}, "A red wall."),
        ({"type": "string", "maxLength": 5}, "A red"),
        ({"type": "string", "minLength": 14}, "A red wall...."),
        ({"type": "integer"}, 640),
        ({"type": "integer", "maximum": 10}, 10),
        ({"type": "integer", "multipleOf": 7, "minimum": 50}, 644),
        ({"type": "integer", "multipleOf": 7, "maximum": 50}, 49),
        ({"type": "integer", "exclusiveMaximum": 10}, 9),
        ({"type": "number"}, 1.0),
        ({"type": "number", "exclusiveMinimum": 0, "exclusiveMaximum": 1}, 0.5),
        ({"type": "number", "minimum": 0, "maximum": 0.25}, 0.25),
        ({"type": "boolean"}, True),
        ({"type": "null"}, None),
        ({"type": ["null", "integer"]}, 640),
        ({"type": "STRING"}, "A red wall."),
        ({"enum": ["b", "a"]}, "b"),
        ({"const": 7}, 7),
        ({"type": "array", "items": {"type": "boolean"}}, [True]),
        ({"type": "array", "items": {"type": "boolean"}, "minItems": 3}, [True] * 3),
        ({"type": "array", "maxItems": 0}, []),
        ({"type": "array", "prefixItems": [{"const": 1}, {"const": 2}], "minItems": 2}, [1, 2]),
        ({"items": {"type": "integer"}}, [640]),
        ({"properties": {"wall_colour": {"type": "string"}}}, {"wall_colour": "red"}),
        ({"properties": {"colors": {"type": "array", "items": {"type": "string"}}}}, {"colors": ["red"]}),
        ({"type": "object", "required": ["x"]}, {"x": "A red wall."}),
        ({"type": "object", "required": ["x"], "additionalProperties": {"type": "integer"}}, {"x": 640}),
        ({"anyOf": [{"type": "integer"}, {"type": "string"}]}, 640),
        ({"oneOf": [{"type": "string"}, {"type": "integer"}]}, "A red wall."),
        (
            {"allOf": [{"properties": {"a": {"const": 1}}, "required": ["a"]}, {"properties": {"b": {"const": 2}}}]},
            {"a": 1, "b": 2},
        ),
        ({"$ref": "#/$defs/a~1b", "$defs": {"a/b": {"const": 3}}}, 3),
        ({"type": "object", "properties": {"a": True, "b": {}}}, {"a": None, "b": "A red wall."}),
    ],
)
def test_filled(schema, value):
    """Each keyword is kept, with values from what is known."""
    assert filled(schema, KNOWN) == value


def test_validator_agrees():
    """A nested schema with optional members, references and bounds is satisfied."""
    thing = {"type": "object", "properties": {"name": {"type": "string"}, "parts": {"$ref": "#/$defs/things"}}}
    schema = {
        "$defs": {"thing": thing, "things": {"type": "array", "items": {"$ref": "#/$defs/thing"}}},
        "type": "object",
        "properties": {
            "things": {"$ref": "#/$defs/things"},
            "mood": {"type": ["string", "null"], "enum": ["calm", "wild", None]},
            "score": {"type": "number", "minimum": 0, "maximum": 1},
        },
        "required": ["things", "mood"],
        "additionalProperties": False,
    }
    value = filled(schema, KNOWN)
    jsonschema.validate(value, schema)
    assert set(value) == {"things", "mood", "score"}


def test_endless_schemas_end():
    """A schema that requires itself cannot be satisfied, and is given up; one that points to itself as well."""
    assert filled({"properties": {"a": {"$ref": "#"}}, "required": ["a"]}, KNOWN)
    assert filled({"$ref": "#"}, KNOWN) == "A red wall."
    assert filled({"$ref": "#/nowhere"}, KNOWN) == "A red wall."


def test_known():
    """Numbers and colours come from the first medium, and are made up without one."""
    assert Known(text="A red wall.", colours=("red", "grey"), number=640, seconds=1.0) == KNOWN
    assert known("x", [SOUND]) == Known(text="x", colours=("grey",), number=16_000, seconds=3.5)
    assert known("x", [CLIP]) == Known(text="x", colours=("red", "grey"), number=16, seconds=2.0)
    assert known("x", []) == Known(text="x")


def bounded(kind):
    """A schema for numbers between two bounds."""
    bounds = st.tuples(st.integers(-99, 999), st.integers(0, 9))
    return bounds.map(lambda pair: {"type": kind, "minimum": pair[0], "maximum": sum(pair)})


LEAVES = st.one_of(
    st.integers(0, 20).map(lambda most: {"type": "string", "maxLength": most}),
    bounded("integer"),
    bounded("number"),
    st.integers(-9, 9).map(lambda low: {"type": "number", "exclusiveMinimum": low, "exclusiveMaximum": low + 1}),
    st.sampled_from([{"type": "boolean"}, {"type": "null"}, {"enum": [3, "x"]}, {"type": ["string", "null"]}]),
)
SCHEMAS = st.recursive(
    LEAVES,
    lambda inner: st.one_of(
        st.builds(lambda items, least: {"type": "array", "items": items, "minItems": least}, inner, st.integers(0, 3)),
        st.builds(
            lambda members: {
                "type": "object",
                "properties": members,
                "required": list(members)[:2],
                "additionalProperties": False,
            },
            st.dictionaries(st.sampled_from(["a", "colour", "b", "c"]), inner),
        ),
        st.builds(lambda one, other: {"anyOf": [one, other]}, inner, inner),
    ),
    max_leaves=8,
)


@settings(max_examples=80)
@given(schema=SCHEMAS)
def test_any_schema(schema):
    """Whatever the schema, the answer satisfies it."""
    jsonschema.validate(filled(schema, KNOWN), schema)
