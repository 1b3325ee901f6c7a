"""Section: one table of a job file; what all of them have in common."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict

SANDBOX_URL = "sandbox"


class Section(BaseModel):
    """One table of a job file: unknown keys are refused, and a value must have its type."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)
