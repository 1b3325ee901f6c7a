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


def test_listing_leaves_out_what_has_no_price():
    """A model without a price is not listed."""
    names = {row["id"] for row in listing()["data"]}
    assert names == set(MODELS) - {"qwen2.5-omni-7b"}
    assert listing()["data"][0] == {
        "id": "gemini-2.0-flash",
        "object": "model",
        "created": 1626777600,
        "owned_by": "google",
        "supported_endpoint_types": ["openai"],
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
