"""Markdown tables of what was measured, and the options of benches that go step by step."""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """One measured number, what it should be, and whether it is."""

    step: str
    what: str
    value: float
    unit: str
    goal: str = ""
    good: bool = True


def say(line: str = "") -> None:
    """Print *line* at once: a bench is watched while it runs."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def head(*names: str) -> None:
    """Begin a table."""
    say()
    say(_line(names))
    say(_line(["---"] * len(names)))


def row(*cells: str) -> None:
    """One line of the table."""
    say(_line(cells))


def by_steps(about: str, steps: Mapping[str, object], measure: Callable[[str, bool], list[Figure]]) -> int:
    """Take the *steps* that the command line names; the exit status says whether every goal was met.

    *measure* gives the figures of a step by its name; its second argument says whether rough ones will do. Figures are
    told as they come, and in the end as one table, or as JSON.
    """
    wanted = _wanted(about, steps)
    found: list[Figure] = []
    for name in _chosen(wanted.only, steps):
        fresh = measure(name, wanted.quick)
        # Somebody else's work on the same cores makes everything late.
        fresh.append(Figure(step=name, what=f"load of {os.cpu_count()} cores", value=os.getloadavg()[0], unit=""))
        found += fresh
        sys.stderr.write("".join(f"{_line(_cells(one))}\n" for one in fresh))
    if wanted.json:
        say(json.dumps([dataclasses.asdict(one) for one in found], indent=1))
    else:
        figures(found)
    return 0 if all(one.good for one in found) else 1


def figures(found: Iterable[Figure]) -> None:
    """A table of figures and their goals."""
    head("step", "figure", "measured", "goal", "")
    for one in found:
        row(*_cells(one))


def _wanted(about: str, steps: Mapping[str, object]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=about)
    parser.add_argument("--quick", action="store_true", help="short steps: figures are rough")
    parser.add_argument(
        "--only", action="append", metavar="NAME", help=f"steps that have NAME in theirs: {list(steps)}"
    )
    parser.add_argument("--json", action="store_true", help="one JSON list instead of the table")
    wanted = parser.parse_args()
    if not _chosen(wanted.only, steps):
        parser.error(f"no step is called {wanted.only}; there are {list(steps)}")
    return wanted


def _chosen(words: Sequence[str] | None, steps: Mapping[str, object]) -> list[str]:
    return [name for name in steps if words is None or any(word in name for word in words)]


def _cells(one: Figure) -> list[str]:
    verdict = ("yes" if one.good else "**no**") if one.goal else ""
    return [one.step, one.what, f"{one.value:.4g} {one.unit}".strip(), one.goal, verdict]


def _line(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"
