"""How each family of models is told, through chat completions, whether to think (gateway notes 1.1 and 1.2)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final, Literal

if TYPE_CHECKING:
    from mediascribe.domain import Thinking

_Style = Literal["type", "type_and_effort", "budget", "enable", "effort"]

# A model's name -> what its family understands, and the least effort that it has a word for; the first row that fits.
FAMILIES: Final[tuple[tuple[str, _Style, str], ...]] = (
    (r"gemini", "type_and_effort", ""),
    (r"claude", "budget", ""),
    (r"glm|deepseek", "type", ""),
    (r"qwen|qwq|qvq", "enable", ""),
    (r"gpt-5(\.\d)?-pro", "effort", "high"),  # takes no other (third-party issue threads)
    (r"gpt-5(\.\d)?-codex", "effort", "low"),  # has no `none` (likewise)
    (r"gpt-5\.\d", "effort", "none"),
    (r"gpt-5|doubao", "effort", "minimal"),
    (r"o\d|gpt-oss", "effort", "low"),
)
EFFORTS: Final = frozenset({"low", "medium", "high"})

# Tokens to think with. Claude wants 1024 at least.
CLAUDE_BUDGETS: Final[Mapping[Thinking, int]] = MappingProxyType(
    {"on": 4096, "low": 1024, "medium": 4096, "high": 16_384}
)
QWEN_BUDGETS: Final[Mapping[Thinking, int]] = MappingProxyType({"low": 1024, "medium": 8192, "high": 24_576})
ROOM_TO_ANSWER: Final = 1024  # beside the budget, where the job sets no limit
LEAST_TOP_P: Final = 0.95  # of Claude while it thinks


def switch(model: str, thinking: Thinking) -> dict[str, Any]:
    """The members that tell *model*; a family that is not listed only understands how much, not whether."""
    family = next((family for family in FAMILIES if re.match(family[0], model.lower())), None)
    effort = {"reasoning_effort": thinking} if thinking in EFFORTS else {}
    if family is None:
        return effort
    on = thinking != "off"
    kind = {"type": "enabled" if on else "disabled"}
    match family[1]:
        case "type":
            return {"thinking": kind}
        case "type_and_effort":
            return {"thinking": kind, **effort}
        case "budget":
            return {"thinking": {**kind, "budget_tokens": CLAUDE_BUDGETS[thinking]} if on else kind}
        case "enable":
            budget = {"thinking_budget": QWEN_BUDGETS[thinking]} if effort else {}
            return {"enable_thinking": on, **budget}
        case _:
            only = {"reasoning_effort": "high"} if family[2] == "high" else None
            return only or effort or {"reasoning_effort": "medium" if on else family[2]}


def made_to_fit(members: Mapping[str, Any]) -> dict[str, Any]:
    """*members* as Claude takes them beside a budget to think with: room for the answer too, and no odd sampling."""
    thinking = members.get("thinking")
    budget = thinking.get("budget_tokens") if isinstance(thinking, Mapping) else None
    if not isinstance(budget, int):
        return dict(members)
    top_p, limit = members.get("top_p"), members.get("max_tokens")
    dropped = {"temperature", "top_k"}
    if isinstance(top_p, int | float) and top_p < LEAST_TOP_P:
        dropped.add("top_p")
    kept = {name: value for name, value in members.items() if name not in dropped}
    if limit is None or (isinstance(limit, int) and limit <= budget):
        kept["max_tokens"] = budget + (limit or ROOM_TO_ANSWER)
    return kept
