"""A TOML file of [[entries]] and nothing else, each of whose mistakes is told with file, line and key."""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mediascribe.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Form:
    """What messages call such a file and its entries: "a model table has [[model]] entries"."""

    file: str
    key: str
    entries: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One entry of a file: what it says, and where."""

    path: Path
    lines: tuple[str, ...]
    first_line: int
    table: dict[str, Any]

    def where(self, key: str) -> str:
        """`file:line` of *key*, or of the entry's head where it has no such key."""
        lines = (at for at, line in enumerate(self.lines) if re.match(rf"\s*[\"']?{re.escape(key)}[\"']?\s*=", line))
        return f"{self.path}:{self.first_line + next(lines, 0)}"

    def error(self, key: str, problem: str) -> ConfigError:
        """What is wrong with *key*: file, line, key, problem, value."""
        value = f" (it says '{self.table[key]}')" if key in self.table else ""
        return ConfigError(f"{self.where(key)}: `{key}` {problem}{value}")


def read(path: Path, form: Form, parse_float: Callable[[str], Any] = float) -> tuple[str, list[Entry]]:
    """The text of the file at *path*, and its entries in their order.

    Raises:
        ConfigError: the file is missing, no TOML, or has anything but such entries.
    """
    try:
        text = path.read_text(encoding="utf-8")
        tables = tomllib.loads(text, parse_float=parse_float)
    except (OSError, ValueError) as error:
        raise ConfigError(f"{path}: cannot be read as a {form.file} (TOML): {error}") from None
    found = tables.pop(form.key, [])
    if tables or not isinstance(found, list) or not all(isinstance(table, dict) for table in found):
        other = f", but this has `{next(iter(tables))}`" if tables else ""
        raise ConfigError(f"{path}: a {form.file} has [[{form.key}]] {form.entries} and nothing else{other}")
    lines = text.splitlines()
    heads = [number for number, line in enumerate(lines) if re.match(rf"\s*\[\[\s*{form.key}\s*\]\]", line)]
    heads += [len(lines)] * (len(found) + 1 - len(heads))  # an array written inline has no heads
    return text, [
        Entry(path=path, lines=tuple(lines[head:end]), first_line=head + 1, table=table)
        for table, head, end in zip(found, heads, heads[1:], strict=False)
    ]
