"""Wanted: which of the rows that are due a run asks, as a person fills it in."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Final

from pydantic import BaseModel, ConfigDict, Field, model_validator

from mediascribe.domain import ErrorClass


class Wanted(BaseModel):
    """Which rows to ask, of those that are due; all conditions together."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    where: str | None = Field(
        None, title="Condition", description="SQL over columns of the manifest and of the current result"
    )
    since: datetime | None = Field(None, title="Answered since", description="the current result is of then, or later")
    until: datetime | None = Field(None, title="Answered before", description="the current result is older (UTC)")
    ids: list[str] | None = Field(None, title="Items", description="rows with these ids only")
    ids_file: str | None = Field(None, title="File of items", description="the same as a file, one id a line")
    error_classes: list[ErrorClass] | None = Field(
        None, title="Classes of failure", description="of the failed rows, those of these classes"
    )
    sample: int | None = Field(
        None, ge=1, title="Sample", description="so many rows at random, of each kind of media its share"
    )
    seed: int = Field(0, title="Seed", description="of the sample: another one draws other rows")
    limit: int | None = Field(None, ge=1, title="Limit", description="the first so many rows")

    @model_validator(mode="after")
    def _one_list(self) -> Wanted:
        if self.ids is not None and self.ids_file is not None:
            raise ValueError("has items twice: give a list of ids, or a file of them")
        return self

    @property
    def named(self) -> frozenset[str] | Path | None:
        """The ids to ask, or the file that has them; None: any."""
        if self.ids_file is not None:
            return Path(self.ids_file)
        return None if self.ids is None else frozenset(self.ids)

    @property
    def classes(self) -> frozenset[str] | None:
        """The classes of failure to ask; None: any."""
        return None if self.error_classes is None else frozenset(self.error_classes)


EVERYTHING: Final = Wanted()
