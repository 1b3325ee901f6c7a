"""Markup: the page's one file, with a policy that lets nothing run or load but what is in it.

Rules of this file:

1. A string of a model, a manifest or a run reaches the page in a JSON block, in which no `<` is left, or through the
   template's own escaping; the script makes text nodes of it, and never markup.
2. The policy names the hash of each script and style, and no address at all: nothing can be loaded or sent.
"""

from __future__ import annotations

import base64
import hashlib
import importlib.resources
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

_SCRIPTS: Final = ("start.js", "money.js", "marks.js", "cards.js", "sheet.js")
_CHARTS: Final = "chart.umd.min.js"
_STYLE: Final = "page.css"
_ESCAPED: Final = str.maketrans(
    {"<": "\\u003c", ">": "\\u003e", "&": "\\u0026", "\u2028": "\\u2028", "\u2029": "\\u2029"}
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Heading:
    """What stands above the page."""

    output: str
    scope: str
    made_at: str


def markup(heading: Heading, blocks: Mapping[str, Any]) -> str:
    """The page: *blocks* become JSON elements of those ids, which the page's script reads."""
    from jinja2 import Environment, PackageLoader, StrictUndefined  # noqa: PLC0415 - for those who want a page

    environment = Environment(
        loader=PackageLoader(__package__), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )
    charts = _static(_CHARTS).partition("\n//# sourceMappingURL=")[0]
    script = "\n".join(_static(name) for name in _SCRIPTS)
    style = _static(_STYLE)
    return environment.get_template("page.html.j2").render(
        heading=heading,
        policy=policy(scripts=(charts, script), styles=(style,)),
        charts=charts,
        script=script,
        style=style,
        blocks={name: quoted_json(value) for name, value in blocks.items()},
    )


def policy(*, scripts: tuple[str, ...], styles: tuple[str, ...]) -> str:
    """A Content-Security-Policy that lets these *scripts* and *styles* run, media in the page show, and no more."""
    return "; ".join(
        (
            "default-src 'none'",
            f"script-src {' '.join(map(_hash, scripts))}",
            f"style-src {' '.join(map(_hash, styles))}",
            "img-src data:",
            "media-src data:",
            "base-uri 'none'",
            "form-action 'none'",
        )
    )


def quoted_json(value: Any) -> str:  # noqa: ANN401 - any JSON value
    """*value* as JSON that can stand inside an element: no character of it can end the element or begin another.

    Raises:
        ValueError: a number is not finite, which JSON cannot say.
    """
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False).translate(_ESCAPED)


def _hash(content: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()}'"


def _static(name: str) -> str:
    """A file of the folder `static`, without its last line end."""
    found = importlib.resources.files(__package__) / "static" / name
    return found.read_text(encoding="utf-8").replace("\r\n", "\n").rstrip("\n")
