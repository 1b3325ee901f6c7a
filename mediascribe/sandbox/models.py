"""The models that the sandbox serves: what each takes, how it weighs, what it reports, what it costs.

Prices are whole nano-dollars for one token: 1 USD for a million tokens is 1000. They are the list prices of gateway
notes 4.5, except two that the notes do not have: DeepSeek's daytime list price, and for qwen3-omni-flash, which no
published list carries, figures of this sandbox's own. This table knows nothing of the price book of the client.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from mediascribe.sandbox import tokens as weigh
from mediascribe.sandbox import usage
from mediascribe.sandbox.look import Kind

if TYPE_CHECKING:
    from collections.abc import Callable

    from mediascribe.sandbox.tokens import Tokens, Weights

_LONG_PROMPT: Final = 200_000
_ALL: Final = frozenset[Kind](("image", "audio", "video"))
_IMAGES: Final = frozenset[Kind](("image",))
_NO_MEDIA: Final = frozenset[Kind]()


@dataclass(frozen=True, slots=True, kw_only=True)
class Rates:
    """Nano-dollars a token; text, images and video pay `input`."""

    input: int
    output: int
    audio: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ServedModel:
    """One row of the table; `rates` None means that the operator has set no price, `long` those above 200k tokens."""

    name: str
    vendor: str
    takes: frozenset[Kind]
    weights: Weights
    usage: Callable[[Tokens], dict[str, Any]]
    rates: Rates | None
    long: Rates | None = None

    @property
    def is_gemini(self) -> bool:
        """Whether the gateway's list of MIME types holds for it (gateway notes 2.3)."""
        return self.vendor == "Google"

    def charge(self, tokens: Tokens) -> int:
        """The nano-dollars that *tokens* cost."""
        rates = self.long if self.long and tokens.prompt > _LONG_PROMPT else self.rates
        if rates is None:
            raise ValueError(f"{self.name} has no price")
        plain = tokens.text + tokens.image + tokens.video
        return plain * rates.input + tokens.audio * rates.audio + tokens.completion * rates.output


def _gemini(name: str, rates: Rates, long: Rates | None = None) -> ServedModel:
    return ServedModel(
        name=name, vendor="Google", takes=_ALL, weights=weigh.GEMINI, usage=usage.gemini, rates=rates, long=long
    )


MODELS: Final[dict[str, ServedModel]] = {
    model.name: model
    for model in (
        _gemini("gemini-2.0-flash", Rates(input=100, audio=700, output=400)),
        _gemini("gemini-2.5-flash", Rates(input=300, audio=1000, output=2500)),
        _gemini("gemini-2.5-flash-lite", Rates(input=100, audio=300, output=400)),
        _gemini(
            "gemini-2.5-pro",
            Rates(input=1250, audio=1250, output=10_000),
            Rates(input=2500, audio=2500, output=15_000),
        ),
        ServedModel(
            name="gpt-4o-mini",
            vendor="OpenAI",
            takes=_IMAGES,
            weights=weigh.GPT_4O_MINI,
            usage=usage.openai,
            rates=Rates(input=150, audio=150, output=600),
        ),
        ServedModel(
            name="gpt-4o",
            vendor="OpenAI",
            takes=_IMAGES,
            weights=weigh.GPT_4O,
            usage=usage.openai,
            rates=Rates(input=2500, audio=2500, output=10_000),
        ),
        ServedModel(
            name="claude-sonnet-4-5-20250929",
            vendor="Anthropic",
            takes=_IMAGES,
            weights=weigh.CLAUDE,
            usage=usage.claude,
            rates=Rates(input=3000, audio=3000, output=15_000),
        ),
        ServedModel(
            name="qwen3-omni-flash-2025-12-01",
            vendor="Alibaba",
            takes=_ALL,
            weights=weigh.QWEN_OMNI,
            usage=usage.qwen_omni,
            rates=Rates(input=430, audio=3810, output=1660),
        ),
        ServedModel(
            name="deepseek-chat",
            vendor="DeepSeek",
            takes=_NO_MEDIA,
            weights=weigh.TEXT_ONLY,
            usage=usage.deepseek,
            rates=Rates(input=270, audio=270, output=1100),
        ),
        ServedModel(
            name="qwen2.5-omni-7b",
            vendor="Alibaba",
            takes=_ALL,
            weights=weigh.QWEN_OMNI,
            usage=usage.qwen_omni,
            rates=None,
        ),
    )
}


def listing() -> dict[str, Any]:
    """The answer of `GET /v1/models`: only models that have a price (gateway notes 2.2)."""
    rows = [
        {
            "id": model.name,
            "object": "model",
            "created": 1626777600,
            "owned_by": model.vendor.lower(),
            "supported_endpoint_types": ["openai"],
        }
        for model in MODELS.values()
        if model.rates
    ]
    return {"success": True, "object": "list", "data": rows}


def pricing() -> dict[str, Any]:
    """The answer of `GET /api/pricing`: a ratio of 1 is 2 USD for a million tokens of the prompt."""
    vendors = list(dict.fromkeys(model.vendor for model in MODELS.values()))
    rows = [
        {
            "model_name": model.name,
            "vendor_id": vendors.index(model.vendor) + 1,
            "quota_type": 0,
            "model_ratio": model.rates.input / 2000,
            "model_price": 0,
            "completion_ratio": model.rates.output / model.rates.input,
            "enable_groups": ["default"],
            "supported_endpoint_types": ["openai"],
        }
        for model in MODELS.values()
        if model.rates
    ]
    return {
        "success": True,
        "data": rows,
        "group_ratio": {"default": 1},
        "vendors": [{"id": place, "name": name} for place, name in enumerate(vendors, 1)],
    }
