"""The schemas within a JSON Schema, and the form of it that OpenAI's strict mode wants.

Pure functions over a schema that `answer_schema.load_schema` found good.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

# The keywords that hold schemas, by how they hold them.
_MAPS: Final = frozenset({"$defs", "definitions", "dependentSchemas", "patternProperties", "properties"})
_LISTS: Final = frozenset({"allOf", "anyOf", "oneOf", "prefixItems"})
_SINGLES: Final = frozenset(
    {
        "additionalProperties",
        "contains",
        "else",
        "if",
        "items",
        "not",
        "propertyNames",
        "then",
        "unevaluatedItems",
        "unevaluatedProperties",
    }
)
# What strict mode refuses, or what would not mean the same once every member is there and no other is allowed.
_NOT_STRICT: Final = frozenset(
    {
        "allOf",
        "contains",
        "dependentRequired",
        "dependentSchemas",
        "else",
        "if",
        "maxProperties",
        "minProperties",
        "not",
        "oneOf",
        "patternProperties",
        "prefixItems",
        "propertyNames",
        "then",
        "unevaluatedItems",
        "unevaluatedProperties",
        "uniqueItems",
    }
)


def named(schema: Mapping[str, Any]) -> dict[str, Any]:
    """*schema* as OpenAI's formats name it: strict where strict mode can say it, else as it is and not strict.

    A schema that is called strict and is not in that mode's form is refused with a 400.
    """
    form = strict(schema)
    return {"name": "answer", "schema": form or schema, "strict": form is not None}


def strict(schema: Mapping[str, Any]) -> dict[str, Any] | None:
    """*schema* as OpenAI's strict mode wants it; None where that mode cannot say it.

    Every object is closed, and every member required: an optional one may be null instead. `answer.read` takes such a
    null for absent, so that what fits this form fits *schema*.
    """
    subschemas = [one for _, one in places(schema)]
    if "anyOf" in schema or not all(_has_strict_form(one) for one in subschemas):
        return None
    return _strict_form(schema)


def places(schema: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Every schema in *schema*, itself included, by its place: a JSON pointer behind `#`."""
    waiting: list[tuple[str, Mapping[str, Any]]] = [("#", schema)]
    while waiting:
        place, one = waiting.pop()
        yield place, one
        waiting += [(there, child) for _, there, child in children(place, one) if isinstance(child, Mapping)]


def children(place: str, schema: Mapping[str, Any]) -> Iterator[tuple[str, str, Any]]:
    """The schemas that stand directly in *schema*: keyword, place, and the schema or true or false."""
    for keyword, held in schema.items():
        if keyword in _MAPS and isinstance(held, Mapping):
            for name, one in held.items():
                yield keyword, f"{place}/{keyword}/{escaped(name)}", one
        elif keyword in _LISTS and isinstance(held, list):
            for number, one in enumerate(held):
                yield keyword, f"{place}/{keyword}/{number}", one
        elif keyword in _SINGLES:
            yield keyword, f"{place}/{keyword}", held


def escaped(name: str) -> str:
    """*name* as a step of a JSON pointer."""
    return name.replace("~", "~0").replace("/", "~1")


def _has_strict_form(schema: Mapping[str, Any]) -> bool:
    """Whether strict mode can say *schema*, its children aside."""
    if _NOT_STRICT & schema.keys() or {"$ref", "anyOf"} <= schema.keys():
        return False
    if not schema.keys() & {"type", "enum", "const", "anyOf", "$ref"}:
        return False
    free = schema.get("additionalProperties", False) is not False
    said = schema.get("type")
    if "properties" not in schema and ("object" in said if isinstance(said, list) else said == "object"):
        return False
    if not set(schema.get("required", ())) <= schema.get("properties", {}).keys():
        return False
    return not free and all(
        isinstance(one, Mapping) for key, _, one in children("", schema) if key != "additionalProperties"
    )


def _strict_form(schema: Mapping[str, Any]) -> dict[str, Any]:
    form = {keyword: held for keyword, held in schema.items() if keyword not in {"$id", "$schema", "default"}}
    for keyword in form.keys() & {"$defs", "definitions", "properties"}:
        form[keyword] = {name: _strict_form(one) for name, one in form[keyword].items()}
    if "anyOf" in form:
        form["anyOf"] = [_strict_form(one) for one in form["anyOf"]]
    if isinstance(form.get("items"), Mapping):
        form["items"] = _strict_form(form["items"])
    if "$ref" in form and len(form) > 1:  # strict mode wants a reference to stand alone
        form["anyOf"] = [{"$ref": form.pop("$ref")}]
    if "properties" in form:
        optional = form["properties"].keys() - set(form.get("required", ()))
        members = form["properties"].items()
        form["properties"] = {name: _nullable(one) if name in optional else one for name, one in members}
        form |= {"required": list(form["properties"]), "additionalProperties": False}
    return form


def _nullable(schema: dict[str, Any]) -> dict[str, Any]:
    null = {"type": "null"}
    if null in schema.get("anyOf", []) or ("enum" not in schema and "null" in schema.get("type", [])):
        return schema
    return {"anyOf": [schema, null]}
