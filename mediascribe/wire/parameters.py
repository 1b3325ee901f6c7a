"""How a job's parameters become a body's members: in the dialect's words, and before what is derived."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def renamed(given: Mapping[str, Any], words: Mapping[str, str]) -> dict[str, Any]:
    """*given* with its names translated by *words*; a name that is the dialect's own already wins."""
    members = {new: given[old] for old, new in words.items() if old in given}
    return members | {name: value for name, value in given.items() if name not in words}


def with_own(derived: dict[str, Any], own: object) -> dict[str, Any]:
    """*derived*, and over it the members of what a job says itself, where that is an object; one level deep."""
    return {**derived, **own} if isinstance(own, Mapping) else derived
