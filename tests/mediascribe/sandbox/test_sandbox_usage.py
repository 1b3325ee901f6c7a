"""The usage objects against those that are published (gateway notes 1.3)."""

from __future__ import annotations

import pytest

from mediascribe.sandbox import usage
from mediascribe.sandbox.models import MODELS, listing, pricing
from mediascribe.sandbox.tokens import Tokens

REFERENCE = Tokens(text=5, audio=175, image=1806, completion=83)


def test_gemini_is_the_reference_answer():
    """Shape A is the reference answer's usage, member for member and in order."""
    published = {
        "prompt_tokens": 1986,
        "completion_tokens": 83,
        "total_tokens": 2069,
        "prompt_tokens_details": {"cached_tokens": 0, "text_tokens": 5, "audio_tokens": 175, "image_tokens": 0},
        "completion_tokens_details": {"text_tokens": 0, "audio_tokens": 0, "reasoning_tokens": 0},
        "output_tokens_details": {"text_tokens": 0, "audio_tokens": 0, "reasoning_tokens": 0},
        "input_tokens": 0,
        "output_tokens": 0,
        "input_tokens_details": None,
        "claude_cache_creation_5_m_tokens": 0,
        "claude_cache_creation_1_h_tokens": 0,
    }
    assert usage.gemini(REFERENCE) == published
    assert list(usage.gemini(REFERENCE)) == list(published)


def test_reasoning_is_inside_completion():
    """Reasoning tokens are reported as a part of the completion (shape K)."""
    body = usage.gemini(Tokens(text=9, completion=492, reasoning=482))
    assert body["completion_tokens"] == 492
    assert body["completion_tokens_details"]["reasoning_tokens"] == 482
    assert body["total_tokens"] == 501


def test_claude_has_no_split():
    """Shape C has all members of A and no tokens by kind."""
    body = usage.claude(Tokens(text=21, completion=87))
    assert body["prompt_tokens"] == 21
    assert body["prompt_tokens_details"] == {
        "cached_tokens": 0,
        "text_tokens": 0,
        "audio_tokens": 0,
        "image_tokens": 0,
    }
    assert list(body) == list(usage.gemini(REFERENCE))


def test_openai_is_passed_through():
    """Shape E is the published one."""
    assert usage.openai(Tokens(text=19, completion=116)) == {
        "prompt_tokens": 19,
        "completion_tokens": 116,
        "total_tokens": 135,
        "prompt_tokens_details": {"cached_tokens": 0, "audio_tokens": 0},
        "completion_tokens_details": {
            "reasoning_tokens": 0,
            "audio_tokens": 0,
            "accepted_prediction_tokens": 0,
            "rejected_prediction_tokens": 0,
        },
    }


def test_qwen_names_the_kinds_that_came():
    """Shapes G and H are the published ones."""
    assert usage.qwen_omni(Tokens(text=21, image=1609, completion=46)) == {
        "prompt_tokens": 1630,
        "completion_tokens": 46,
        "total_tokens": 1676,
        "prompt_tokens_details": {"image_tokens": 1609, "text_tokens": 21},
        "completion_tokens_details": {"text_tokens": 46},
    }
    clip = usage.qwen_omni(Tokens(text=20, audio=234, video=6617, completion=87))
    assert clip["prompt_tokens"] == 6871
    assert clip["prompt_tokens_details"] == {"audio_tokens": 234, "text_tokens": 20, "video_tokens": 6617}


def test_deepseek_has_cache_members():
    """Shape I has hits and misses."""
    body = usage.deepseek(Tokens(text=10, completion=3))
    assert (body["prompt_cache_hit_tokens"], body["prompt_cache_miss_tokens"]) == (0, 10)
    assert body["prompt_tokens_details"] == {"cached_tokens": 0}


def test_reference_answer_costs_its_list_price():
    """The reference answer costs 0.0003368 USD (gateway notes 4.5)."""
    assert MODELS["gemini-2.0-flash"].charge(REFERENCE) == 336_800


def test_long_prompts_cost_more():
    """gemini-2.5-pro doubles its price above 200,000 tokens."""
    pro = MODELS["gemini-2.5-pro"]
    assert pro.charge(Tokens(text=200_000, completion=1)) == 200_000 * 1250 + 10_000
    assert pro.charge(Tokens(text=200_001, completion=1)) == 200_001 * 2500 + 15_000


def test_no_price_no_charge():
    """A model without a price charges nothing, not even 0."""
    with pytest.raises(ValueError, match="has no price"):
        MODELS["qwen2.5-omni-7b"].charge(REFERENCE)


def test_messages_is_shape_d():
    """Shape D is the published one."""
    assert usage.messages(Tokens(text=10, completion=12)) == {
        "input_tokens": 10,
        "cache_creation_input_tokens": 0,
        "cache_read_input_tokens": 0,
        "output_tokens": 12,
        "claude_cache_creation_5_m_tokens": 0,
        "claude_cache_creation_1_h_tokens": 0,
    }


def test_responses_counts_reasoning_apart():
    """The usage of responses has no modalities, and reasoning inside the output."""
    assert usage.responses(Tokens(text=5, image=700, completion=30, reasoning=20)) == {
        "input_tokens": 705,
        "input_tokens_details": {"cached_tokens": 0},
        "output_tokens": 30,
        "output_tokens_details": {"reasoning_tokens": 20},
        "total_tokens": 735,
    }


def test_google_tells_every_modality():
    """Google's usage has the prompt by modality, and the thoughts beside the candidates, not inside."""
    assert usage.generate_content(Tokens(text=5, image=258, audio=25, completion=30, reasoning=20)) == {
        "promptTokenCount": 288,
        "candidatesTokenCount": 10,
        "thoughtsTokenCount": 20,
        "totalTokenCount": 318,
        "promptTokensDetails": [
            {"modality": "TEXT", "tokenCount": 5},
            {"modality": "IMAGE", "tokenCount": 258},
            {"modality": "AUDIO", "tokenCount": 25},
        ],
    }
    assert list(usage.generate_content(Tokens(text=5))) == [
        "promptTokenCount",
        "totalTokenCount",
        "promptTokensDetails",
    ]


def test_glm_has_totals_alone():
    """Shape J has totals, cached and reasoning tokens."""
    body = usage.glm(Tokens(text=5, image=1047, completion=9, reasoning=2))
    assert (body["prompt_tokens"], body["total_tokens"]) == (1052, 1061)
    assert body["completion_tokens_details"] == {"reasoning_tokens": 2}


def test_endpoints_of_the_models():
    """Each listed model names the dialects that it answers in, also in the price list."""
    listed = {row["id"]: row["supported_endpoint_types"] for row in listing()["data"]}
    assert listed["gpt-5.1-codex"] == listed["gpt-5.2-pro"] == ["openai-response"]
    assert listed["gpt-5-mini"] == ["openai", "openai-response"]
    assert listed["claude-opus-4-5-20251101"] == ["anthropic", "openai"]
    assert listed["gemini-3-flash-preview"] == ["gemini", "openai"]
    assert listed["deepseek-chat"] == ["openai"]
    assert {row["model_name"]: row["supported_endpoint_types"] for row in pricing()["data"]} == listed


@pytest.mark.parametrize(
    ("model", "nano_usd"),
    [
        ("gpt-5.1-codex", 1000 * 1250 + 100 * 10_000),
        ("gpt-5.2-pro", 1000 * 21_000 + 100 * 168_000),
        ("gpt-5-mini", 1000 * 250 + 100 * 2000),
        ("claude-opus-4-5-20251101", 1000 * 5000 + 100 * 25_000),
        ("gemini-3-flash-preview", 1000 * 500 + 100 * 3000),
    ],
)
def test_list_prices(model, nano_usd):
    """A thousand tokens in and a hundred out cost the list price."""
    assert MODELS[model].charge(Tokens(text=1000, completion=100)) == nano_usd


def test_listing_leaves_out_what_has_no_price():
    """A model without a price is not listed."""
    names = {row["id"] for row in listing()["data"]}
    assert names == set(MODELS) - {"qwen2.5-omni-7b"}
    assert listing()["data"][0] == {
        "id": "gemini-2.0-flash",
        "object": "model",
        "created": 1626777600,
        "owned_by": "google",
        "supported_endpoint_types": ["gemini", "openai"],
    }


def test_pricing_ratios():
    """A ratio is USD per million tokens of input by 2, output is a multiple of it."""
    rows = {row["model_name"]: row for row in pricing()["data"]}
    flash = rows["gemini-2.0-flash"]
    assert (flash["quota_type"], flash["model_ratio"], flash["completion_ratio"]) == (0, 0.05, 4.0)
    assert rows["gpt-4o"]["model_ratio"] == 1.25
    vendors = {row["id"]: row["name"] for row in pricing()["vendors"]}
    assert vendors[rows["gpt-4o"]["vendor_id"]] == "OpenAI"
    assert pricing()["group_ratio"] == {"default": 1}
    assert "qwen2.5-omni-7b" not in rows
