"""Structured output: finding the JSON in an answer, validating it, its typed values, and asking once more."""

from __future__ import annotations

import copy
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from mediascribe import answer
from mediascribe.answer import Mismatch, Structured

SCENE = {
    "type": "object",
    "properties": {
        "label": {"type": "string"},
        "count": {"type": "integer"},
        "score": {"type": "number", "maximum": 1},
        "sharp": {"type": ["boolean", "null"]},
        "taken": {"type": "string", "format": "date-time"},
        "tags": {"type": "array", "items": {"type": "string"}},
        "box": {"$ref": "#/$defs/box"},
    },
    "required": ["label"],
    "additionalProperties": False,
    "$defs": {"box": {"type": "object", "properties": {"x": {"type": "integer"}}, "required": ["x"]}},
}
LOOSE = {"type": "object", "properties": {"a": {}, "b": {"enum": [1, "one"]}, "next": {"$ref": "#"}}}
UNION = {
    "type": "object",
    "properties": {"shape": {"anyOf": [{"$ref": "#/$defs/disc"}, {"type": "string"}]}},
    "required": ["shape"],
    "$defs": {
        "disc": {
            "type": "object",
            "properties": {"r": {"type": "number", "exclusiveMinimum": 0}, "name": {"type": "string"}},
            "required": ["r"],
        }
    },
}


LOADED = {name: answer.load_schema(one, None) for name, one in (("scene", SCENE), ("loose", LOOSE), ("union", UNION))}


@pytest.fixture(scope="module")
def schema():
    return LOADED["scene"]


CAT = '{"label":"cat"}'
FENCED = f"```json\n{CAT}\n```"


@pytest.mark.parametrize(
    "text",
    [
        CAT,
        f"\ufeff\n\n {CAT}\n",
        '{\n  "label" :\t"cat"\r\n}',
        FENCED,
        f"```\n{CAT}\n```",
        f"```json {CAT}```",
        f"```JSON\n{CAT}",
        f"Here you are:\n\n{FENCED}\n\nAnything else?",
        f"The picture shows {CAT}, I think.",
        f"A set {{a, b}}, an index [1], a {{ brace, then {CAT} and }} more.",
        f'The form is {{"label": …}}, so: {CAT}',
        f'I shall fill in {{"label": 1}} now: {CAT}',
        f'The form is {{"label": "like this"}}.\n{FENCED}',
        f"[Answer] {CAT}",
        f"{CAT}\n" + '{"label":"dog"}',
        '{"label":"dog","label":"cat"}',
        f"```python\n{{}}.get(1)\n```\n```json\n{CAT}\n```",
    ],
)
def test_reads(schema, text):
    """The object is found plain, in a fence and in prose; of members with one name the last counts."""
    assert answer.read(text, schema) == Structured(value={"label": "cat"}, json=CAT)


def test_fence_inside_a_text(schema):
    """A fence within a text of the answer is part of that text."""
    text = json.dumps({"label": f"write {FENCED}", "tags": ["```{}```"]})

    assert answer.read(text, schema).value["label"] == f"write {FENCED}"


def test_json_is_compact_and_sorted(schema):
    """The JSON has sorted members, no blanks, letters as they are, and escapes only for lone surrogates."""
    found = answer.read('{"label": "Käse \\ud800", "count": 2, "box": {"y": 1.50, "x": 1}}', schema)

    assert found.json == '{"box":{"x":1,"y":1.5},"count":2,"label":"Käse \\ud800"}'
    assert found.json.encode()


def test_null_for_absent(schema):
    """A null where an optional member wants something else counts as absent; where null is allowed it stays."""
    found = answer.read('{"label":"cat","score":null,"sharp":null,"box":{"x":1,"z":null}}', schema)

    assert found.value == {"label": "cat", "sharp": None, "box": {"x": 1, "z": None}}


def test_null_for_absent_in_a_union():
    """So does one within a branch of a union."""
    found = answer.read('{"shape":{"r":2,"name":null}}', LOADED["union"])

    assert found.value == {"shape": {"r": 2}}


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("{}", "#: 'label' is a required property"),
        ('{"label":null}', "#/label: None is not of type 'string'"),
        ('{"label":5}', "#/label: 5 is not of type 'string'"),
        ('{"label":"a","box":{"x":"1"}}', "#/box/x: '1' is not of type 'integer'"),
        ('{"label":"a","tags":["b",null]}', "#/tags/1: None is not of type 'string'"),
        ('{"label":"a","a/b~":1}', "#: Additional properties are not allowed ('a/b~' was unexpected)"),
        ('[{"label":"a"},{"label":"b"}]', "#: [{'label': 'a'}, {'label': 'b'}] is not of type 'object'"),
        ('Both: [{"label":"a"}]', "#: [{'label': 'a'}] is not of type 'object'"),
        ('{"label":5} {"label":6}', "#/label: 5 is not of type 'string'"),
    ],
)
def test_mismatch(schema, text, problem):
    """An answer that does not validate has the first problem with its place."""
    assert answer.read(text, schema) == Mismatch(kind="schema", problems=(problem,))


def test_problem_within_a_union():
    """The problem of a union is that of its nearest branch, with the names escaped as JSON pointers want."""
    schema = answer.load_schema({"type": "object", "additionalProperties": UNION["$defs"]["disc"]}, None)

    assert answer.read('{"a/b~":{"r":0}}', schema).problems == (
        "#/a~1b~0/r: 0 is less than or equal to the minimum of 0",
    )


def test_three_problems(schema):
    """No more than three problems are told."""
    found = answer.read('{"label":1,"count":"1","score":2,"sharp":3,"tags":4}', schema)

    assert found.problems == (
        "#/label: 1 is not of type 'string'",
        "#/count: '1' is not of type 'integer'",
        "#/score: 2 is greater than the maximum of 1",
    )


def test_problems_are_short(schema):
    """A long value is shortened, and what is wrong with it stays; a signature in it does not."""
    (long,) = answer.read(json.dumps({"label": ["x" * 5000]}), schema).problems
    (signed,) = answer.read('{"label":["https://a.com/b?X-Amz-Signature=abc123"]}', schema).problems

    assert len(long) <= 200
    assert long.startswith("#/label: ['xxx")
    assert long.endswith("xxx'] is not of type 'string'")
    assert "abc123" not in signed


@pytest.mark.parametrize(
    "text",
    [
        '{"label":"ca',
        '{"label":"cat"',
        '{"label":"cat",',
        '{"label":',
        '{"label"',
        "{",
        '{"label":"cat","sharp":tru',
        '{"label":"cat","score":-',
        '{"label":"cat","score":0.',
        '{"label":"cat\\u00',
        '{"label":"cat\\',
        '{"label":"cat","tags":["a","b"]  \n',
        f"```json\n{CAT[:-1]}",
        'Here: {"label":"{}{}',
        '[{"label":"cat"},{"lab',
        'The form is {"label":"text"}.\n```json\n{"label":"c',
    ],
)
def test_cut(schema, text):
    """JSON that ends before its end is told as such, and no part of it is taken."""
    found = answer.read(text, schema)

    assert found == Mismatch(kind="cut_json", problems=(f"the JSON is cut off at character {len(text)}",))


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "there is no JSON object in the answer"),
        ("A cat.", "there is no JSON object in the answer"),
        ('"cat"', "there is no JSON object in the answer"),
        ("A fraction \\frac{}{}.", "there is no JSON object in the answer"),
        ('{"label":NaN}', "NaN is no number that JSON can hold"),
        ('{"label":-Infinity}', "-Infinity is no number that JSON can hold"),
        ('{"score":1e999}', "1e999 is no number that JSON can hold"),
        ('{"count":' + "9" * 309 + "}", f"{'9' * 18} … {'9' * 18} is no number that JSON can hold"),
        ('{"count":' + "9" * 9999 + "}", f"{'9' * 18} … {'9' * 18} is no number that JSON can hold"),
        ("{'label':'cat'}", "not valid JSON at line 1, column 2: Expecting property name enclosed in double quotes"),
        ('{"label":\n cat}', "not valid JSON at line 2, column 2: Expecting value"),
        ('{"label":"a\nb"}', "not valid JSON at line 1, column 12: Invalid control character at"),
        ('{"label":' + "[" * 32 + "]" * 32 + "}", "the JSON is nested deeper than 32 levels"),
        ('{"label":' * 33 + "!", "the JSON is nested deeper than 32 levels"),
        ('{"label":' * 99_999, "the JSON is nested deeper than 32 levels"),
    ],
)
def test_no_json(schema, text, problem):
    """A text without an object that can be parsed says why, as far as there is something like one."""
    assert answer.read(text, schema) == Mismatch(kind="no_json", problems=(problem,))


def test_levels():
    """32 levels are read, through references as well; brackets within texts do not count."""
    schema = LOADED["loose"]
    text = '{"next":' * 31 + '{"a":"' + "[{" * 99 + '"}' + "}" * 31

    assert isinstance(answer.read(text, schema), Structured)


def test_a_schema_beyond_the_stack():
    """A schema that takes more of the stack than there is makes a mismatch, not a crash."""
    layers = {f"d{n}": {"$ref": f"#/$defs/d{n + 1}"} for n in range(99)} | {"d99": {"$ref": "#"}}
    members = {"a": {"$ref": "#/$defs/d0"}}
    schema = answer.load_schema({"type": "object", "properties": members, "$defs": layers}, None)

    found = answer.read('{"a":' * 31 + "{}" + "}" * 31, schema)

    assert found == Mismatch(kind="no_json", problems=("the JSON is nested deeper than 32 levels",))


@pytest.mark.parametrize(
    "unit",
    [
        "{",
        '{"',
        '{"a":',
        "[",
        '[{"',
        "```json\n",
        "```{",
        "` ",
        " ",
        '\\"',
        '{"a":1}',
        '{"a" []',
        "{} ",
        '```{"a":1}```',
    ],
)
def test_a_mebibyte_of_anything(schema, unit, monkeypatch):
    """A long text that is nearly JSON all along is no answer, and is told so without trying it from every place."""
    starts = []
    parsed = answer._parsed  # noqa: SLF001 - time is not to be tested, so the tries are
    monkeypatch.setattr(answer, "_parsed", lambda text, start: starts.append(start) or parsed(text, start))

    found = answer.read(unit * (2**20 // len(unit)), schema)

    assert isinstance(found, Mismatch)
    assert len(starts) <= 48


def wrapped(value, draw):
    indent = draw(st.sampled_from([None, 0, 2]))
    text = json.dumps(value, indent=indent, ensure_ascii=draw(st.booleans()))
    prose = st.text(st.characters(exclude_characters="{[`\ufeff", exclude_categories=["Cs"]), max_size=20)
    odd = st.sampled_from(["", "{a} ", "[1] ", "{ ", "x{} "])
    match draw(st.integers(0, 3)):
        case 0:
            return text
        case 1:
            return draw(st.sampled_from(["\ufeff", "\n\n", " \t"])) + text + draw(prose)
        case 2:
            return f"{draw(prose)}\n```{draw(st.sampled_from(['', 'json', 'JSON5 ']))}\n{text}\n```{draw(prose)}"
        case _:
            return f"A {draw(odd)}{draw(prose)} {text}{draw(prose)}"


numbers = st.integers(-(2**70), 2**70) | st.floats(allow_nan=False, allow_infinity=False)
anything = st.recursive(
    st.none() | st.booleans() | numbers | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=6,
)
scenes = st.fixed_dictionaries(
    {"label": st.text(max_size=8)},
    optional={
        "count": st.integers(),
        "score": st.floats(max_value=1, allow_nan=False, allow_infinity=False),
        "sharp": st.none() | st.booleans(),
        "taken": st.text(max_size=5),
        "tags": st.lists(st.text(max_size=5), max_size=3),
        "box": st.fixed_dictionaries({"x": st.integers()}, optional={"y": anything}),
    },
)
loose = st.fixed_dictionaries(
    {"a": anything}, optional={"b": st.sampled_from([1, "one"]), "next": st.fixed_dictionaries({"a": anything})}
)
unions = st.fixed_dictionaries(
    {"shape": st.text(max_size=5) | st.fixed_dictionaries({"r": st.floats(0, 9, exclude_min=True)})}
)
fitting = st.one_of(
    *(st.tuples(st.just(schema), one) for schema, one in zip(LOADED.values(), (scenes, loose, unions), strict=True))
)


@settings(max_examples=100, deadline=None)
@given(fitting, st.data())
def test_what_fits_is_read_back(case, more):
    """A value that fits its schema is read back equal, however it is written and wrapped."""
    schema, value = case
    assert Draft202012Validator(schema.schema).is_valid(value)

    found = answer.read(wrapped(value, more.draw), schema)

    assert isinstance(found, Structured)
    assert found.value == value
    assert json.loads(found.json) == value


@settings(max_examples=100, deadline=None)
@given(fitting, st.data())
def test_validation_is_that_of_the_library(case, more):
    """A value that was tampered with is accepted where the library accepts it, nulls for absent members aside."""
    schema, value = case
    value = copy.deepcopy(value)
    name = more.draw(st.sampled_from([*value, "count", "box", "b", "r"]))
    target = value[name] if isinstance(value.get(name), dict) and more.draw(st.booleans()) else value
    target[name] = more.draw(anything.filter(lambda one: one is not None and "null" not in json.dumps(one)))

    found = answer.read(json.dumps(value), schema)

    assert isinstance(found, Structured) == Draft202012Validator(schema.schema).is_valid(value)
    assert isinstance(found, Structured) or found.kind == "schema"


pieces = st.sampled_from(
    [
        "{",
        "}",
        "[",
        "]",
        '"',
        ":",
        ",",
        "\\",
        "\n",
        "`",
        "```json\n",
        '{"',
        '{"label":"a"',
        "1e9",
        "null",
        "\ufeff",
        "é",
    ]
)


@settings(max_examples=100, deadline=None)
@given(st.text() | st.lists(pieces | st.text(max_size=3), max_size=40).map("".join))
def test_any_text_is_read(text):
    """No text makes reading fail, and what is read fits."""
    schema = LOADED["scene"]
    found = answer.read(text, schema)

    if isinstance(found, Structured):
        assert schema.validator.is_valid(found.value)
    else:
        assert 1 <= len(found.problems) <= 3
        assert answer.repair_prompt("Describe.", text, found).encode()


def test_repair_prompt(schema):
    """The second prompt is the first, the problems, the answer, and what is wanted, the schema included if given."""
    text = '\nSure: {"label":5}'
    mismatch = answer.read(text, schema)
    asked = answer.repair_prompt("Describe it.", text, mismatch)

    assert asked == (
        "Describe it.\n\nAn earlier answer to this could not be used:\n- #/label: 5 is not of type 'string'\n\n"
        'The earlier answer was:\nSure: {"label":5}\n\n'
        "Answer again, correctly, with one JSON object. Write that object only: no prose, no code fence."
    )
    assert json.dumps(SCENE) in answer.repair_prompt("Describe it.", text, mismatch, schema)


def test_repair_prompt_is_bounded():
    """A long answer is quoted by its ends."""
    mismatch = Mismatch(kind="cut_json", problems=("the JSON is cut off",))
    asked = answer.repair_prompt("Describe it.", "a" * 5000 + "z" * 5000, mismatch)

    assert len(asked) < 2500
    assert "aaa … zzz" in asked
