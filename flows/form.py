"""Form: the parameters of flows as a person can fill them in; Prefect makes the form of their schema.

Prefect sends the default of every field that nobody touched. Within a model, what may be left out has no default in
the schema, and so is an empty field; a parameter always has one, and so a choice between a text and none.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Final

from pydantic import Field

from mediascribe.domain import Reason
from mediascribe.means import Means
from mediascribe.report.progress import Style
from mediascribe.schedule import Rules
from mediascribe.wanted import Wanted

if TYPE_CHECKING:
    from pydantic import GetJsonSchemaHandler
    from pydantic.json_schema import JsonSchemaValue
    from pydantic_core import CoreSchema

_NULL: Final = {"type": "null"}


@dataclass(frozen=True, slots=True)
class Plain:
    """Marks a model: what may be left out of it is an empty field, and not a choice between a type and None."""

    def __get_pydantic_json_schema__(self, core_schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        """The schema of the type, and of the models in it, made plain."""
        schema = handler(core_schema)
        _plain(schema, handler)
        return schema


def _plain(schema: dict[str, Any], handler: GetJsonSchemaHandler) -> None:
    """Make *schema* plain, in place.

    A model or nothing stays a choice, since an empty model says something else than none; it gets the field's title.
    """
    kinds = [kind for kind in schema.get("anyOf", ()) if kind != _NULL]
    if kinds and "$ref" in kinds[0]:
        model = handler.resolve_ref_schema(kinds[0])
        model["title"] = schema.get("title", model["title"])
        _plain(model, handler)
    elif kinds:
        del schema["anyOf"]
        schema.update(kinds[0])  # a number that may be written as a text has one field, for the number
        if schema.get("default", ...) is None:
            del schema["default"]
    for field in handler.resolve_ref_schema(schema).get("properties", {}).values():
        _plain(field, handler)


def titled(title: str) -> Any:  # noqa: ANN401 - what pydantic says that it gives
    """Prefect gives every parameter its own name for a title; this one is laid over it."""
    return Field(json_schema_extra={"title": title})


JobField = Annotated[str, titled("Job")]
PlanField = Annotated[
    Annotated[None, Field(title="none")] | Annotated[str, Field(title="a plan")],
    titled("Plan"),
]
DeadlineField = Annotated[
    Annotated[None, Field(title="none")] | Annotated[str, Field(title="a time")],
    titled("Deadline"),
]
WorkersField = Annotated[
    Annotated[None, Field(title="none")] | Annotated[int, Field(title="a number", ge=1, le=1_000)],
    titled("Workers"),
]
ReasonsField = Annotated[tuple[Reason, ...], titled("Reasons")]
WantedField = Annotated[Wanted, Plain(), titled("Rows")]
MeansField = Annotated[Means, Plain(), titled("Budget and quota")]
RulesField = Annotated[Rules, Plain(), titled("Rules")]
ProgressField = Annotated[Style, titled("Progress")]
