"""The models that the sandbox serves: what each takes, how it weighs, what it reports, what it costs.

Prices are whole nano-dollars for one token: 1 USD for a million tokens is 1000. They are the list prices of gateway
notes 4.5 (gpt-5.1-codex as gpt-5.1), except three that the notes do not have: DeepSeek's daytime list price, OpenAI's
list price of gpt-5.2-pro, and for qwen3-omni-flash, which no published list carries, figures of this sandbox's own.
This table knows nothing of the price book of the client.

`endpoints` are the dialects that a model answers in, in the gateway's words. What a model is asked in another one ends
as it does there (`missing`): a model that is served for responses alone has no channel for the rest, any other has one
whose adapter cannot translate (gateway notes 2.5, 3.2).
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
_CHAT_AND_RESPONSES: Final = ("openai", "openai-response")
_RESPONSES_ONLY: Final = ("openai-response",)
_DROP_SCHEMAS: Final = frozenset({"Anthropic", "Zhipu"})


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
    endpoints: tuple[str, ...] = ("openai",)

    @property
    def missing(self) -> str:
        """The refusal for a question in a dialect that it does not have."""
        return "model_not_found" if self.endpoints == _RESPONSES_ONLY else "dialect_missing"

    def keeps_schema(self, endpoint: str) -> bool:
        """Whether a JSON Schema reaches it: chat drops it for Claude and GLM without a word (gateway notes 2.3)."""
        return endpoint != "openai" or self.vendor not in _DROP_SCHEMAS

    @property
    def is_gemini(self) -> bool:
        """Whether the gateway's list of MIME types holds for it (gateway notes 2.3)."""
        return self.vendor == "Google"

    def charge(self, tokens: Tokens) -> int:
        """The nano-dollars that *tokens* cost."""
        rates = self.rates_at(tokens.prompt)
        plain = tokens.text + tokens.image + tokens.video
        return plain * rates.input + tokens.audio * rates.audio + tokens.completion * rates.output

    def rates_at(self, prompt_tokens: int) -> Rates:
        """The rates beside a prompt of *prompt_tokens*."""
        rates = self.long if self.long and prompt_tokens > _LONG_PROMPT else self.rates
        if rates is None:
            raise ValueError(f"{self.name} has no price")
        return rates


def _gemini(name: str, rates: Rates, long: Rates | None = None, weights: Weights = weigh.GEMINI) -> ServedModel:
    return ServedModel(
        name=name,
        vendor="Google",
        takes=_ALL,
        weights=weights,
        usage=usage.gemini,
        rates=rates,
        long=long,
        endpoints=("gemini", "openai"),
    )


def _openai(
    name: str, weights: Weights, price: tuple[int, int], endpoints: tuple[str, ...] = _CHAT_AND_RESPONSES
) -> ServedModel:
    return ServedModel(
        name=name,
        vendor="OpenAI",
        takes=_IMAGES,
        weights=weights,
        usage=usage.openai,
        rates=Rates(input=price[0], audio=price[0], output=price[1]),
        endpoints=endpoints,
    )


def _claude(name: str, price: tuple[int, int]) -> ServedModel:
    return ServedModel(
        name=name,
        vendor="Anthropic",
        takes=_IMAGES,
        weights=weigh.CLAUDE,
        usage=usage.claude,
        rates=Rates(input=price[0], audio=price[0], output=price[1]),
        endpoints=("anthropic", "openai"),
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
        _gemini("gemini-3-flash-preview", Rates(input=500, audio=1000, output=3000), weights=weigh.GEMINI_3),
        _openai("gpt-4o-mini", weigh.GPT_4O_MINI, (150, 600)),
        _openai("gpt-4o", weigh.GPT_4O, (2500, 10_000)),
        _openai("gpt-5-mini", weigh.GPT_5_MINI, (250, 2000)),
        _openai("gpt-5.1-codex", weigh.GPT_5_1, (1250, 10_000), _RESPONSES_ONLY),
        _openai("gpt-5.2-pro", weigh.GPT_5_2, (21_000, 168_000), _RESPONSES_ONLY),
        _claude("claude-sonnet-4-5-20250929", (3000, 15_000)),
        _claude("claude-opus-4-5-20251101", (5000, 25_000)),
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
            name="glm-4.5v",
            vendor="Zhipu",
            takes=_IMAGES,
            weights=weigh.GLM,
            usage=usage.glm,
            rates=Rates(input=600, audio=600, output=1800),
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
            "supported_endpoint_types": list(model.endpoints),
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
            "supported_endpoint_types": list(model.endpoints),
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
