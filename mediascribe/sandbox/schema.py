"""Schema: a JSON value that satisfies a JSON Schema, built from what is known about the media.

It knows the keywords that vendors' structured outputs take: types, members, elements, enumerations, alternatives,
references and bounds. A pattern, a format or a condition is beyond it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from mediascribe.sandbox.look import Clip, Facts, Picture

_DEEP: Final = 6
_TOO_DEEP: Final = 40
Schema = Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """What values are made of: a description, colours, a whole number and a length."""

    text: str
    colours: Sequence[str] = ("grey",)
    number: int = 1
    seconds: float = 1.0


def known(text: str, facts: Sequence[Facts]) -> Known:
    """What *facts*, described by *text*, offer."""
    if not facts:
        return Known(text=text)
    first = facts[0]
    if isinstance(first, Picture):
        return Known(text=text, colours=first.colours, number=first.width)
    colours = first.first.colours if isinstance(first, Clip) else ("grey",)
    number = first.frames if isinstance(first, Clip) else first.sample_rate
    return Known(text=text, colours=colours, number=number, seconds=round(float(first.duration_s), 1))


def filled(schema: Schema, known: Known) -> object:
    """A value that satisfies *schema*: all members, one element for a list, the first of a choice."""
    return _Filling(root=schema, known=known).value(schema, "", 0)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Filling:
    """One schema being filled: its root, to which references point."""

    root: Schema
    known: Known

    def value(self, schema: object, name: str, depth: int) -> object:
        """A value for *schema*, which is that of the member *name*."""
        if not isinstance(schema, Mapping) or depth > _TOO_DEEP:
            return None
        schema = self._plain(schema)
        if "const" in schema or schema.get("enum"):
            return schema["const"] if "const" in schema else schema["enum"][0]
        makers: Mapping[str | None, Callable[[], object]] = {
            "object": lambda: self._object(schema, depth),
            "array": lambda: self._array(schema, name, depth),
            "string": lambda: self._string(schema, name),
            "integer": lambda: self._number(schema, whole=True),
            "number": lambda: self._number(schema, whole=False),
            "boolean": lambda: True,
        }
        return makers.get(_kind(schema), lambda: None)()

    def _plain(self, schema: Schema) -> Schema:
        """*schema* without references and alternatives; members beside them stay."""
        for _ in range(_TOO_DEEP):
            if "$ref" in schema:
                schema = {**self._referred(str(schema["$ref"])), **_others(schema, "$ref")}
            elif wish := next((one for one in ("anyOf", "oneOf") if schema.get(one)), None):
                schema = _merged([_others(schema, wish), schema[wish][0]])
            elif schema.get("allOf"):
                schema = _merged([_others(schema, "allOf"), *map(self._plain, schema["allOf"])])
            else:
                break
        return schema

    def _referred(self, reference: str) -> Schema:
        found: Any = self.root
        for step in reference.removeprefix("#").strip("/").split("/"):
            found = found.get(step.replace("~1", "/").replace("~0", "~"), {}) if step else found
        return found if isinstance(found, Mapping) else {}

    def _object(self, schema: Schema, depth: int) -> dict[str, object]:
        members = schema.get("properties") or {}
        required = schema.get("required") or []
        wanted = [name for name in members if depth < _DEEP or name in required]
        made = {name: self.value(members[name], name, depth + 1) for name in wanted}
        extra = schema.get("additionalProperties")
        loose = [name for name in required if name not in members]
        return made | {name: self.value(extra, name, depth + 1) if extra else self.known.text for name in loose}

    def _array(self, schema: Schema, name: str, depth: int) -> list[object]:
        least = int(schema.get("minItems", 0))
        most = schema.get("maxItems", math.inf)
        count = least if depth >= _DEEP else min(max(1, least), most)
        heads = schema.get("prefixItems") or []
        items = schema.get("items", {"type": "string"})
        return [self.value(heads[at] if at < len(heads) else items, name, depth + 1) for at in range(int(count))]

    def _string(self, schema: Schema, name: str) -> str:
        is_colour = "colour" in name.lower() or "color" in name.lower()
        text = self.known.colours[0] if is_colour else self.known.text
        text = text.ljust(int(schema.get("minLength", 0)), ".")
        return text[: schema.get("maxLength")]

    def _number(self, schema: Schema, *, whole: bool) -> float:
        value: float = self.known.number if whole else self.known.seconds
        step = schema.get("multipleOf") or (1 if whole else 0)
        least, most = schema.get("minimum", -math.inf), schema.get("maximum", math.inf)
        above, below = schema.get("exclusiveMinimum", -math.inf), schema.get("exclusiveMaximum", math.inf)
        gap = step or (min(1.0, (below - above) / 2))
        value = min(max(value, least, above + gap), most, below - gap)
        value = math.ceil(value / step) * step if step else value
        value = value if value <= most else value - step
        return int(value) if whole else value


def _kind(schema: Schema) -> str | None:
    """The first type that is not null, in lower case (Google writes them large); a schema without one is guessed."""
    kinds = schema.get("type")
    kinds = [kinds] if isinstance(kinds, str) else kinds or []
    named = [str(kind).lower() for kind in kinds]
    guess = "object" if "properties" in schema else "array" if "items" in schema else "string"
    return next((kind for kind in named if kind != "null"), None if named else guess)


def _others(schema: Schema, name: str) -> Schema:
    return {key: value for key, value in schema.items() if key != name}


def _merged(schemas: Sequence[Any]) -> Schema:
    """One schema of many: the members of all, the required ones of all, else the last word."""
    merged: dict[str, Any] = {}
    for schema in schemas:
        members = {**merged.get("properties", {}), **schema.get("properties", {})}
        required = [*merged.get("required", []), *schema.get("required", [])]
        merged |= schema
        merged |= {"properties": members} if members else {}
        merged |= {"required": required} if required else {}
    return merged
