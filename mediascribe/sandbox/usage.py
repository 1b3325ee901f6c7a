"""Usage: the token counts as each model family's answers carry them (gateway notes 1.3, shapes A to I; 3).

In chat completions the shape is that of the model's family; each other dialect has one of its own.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mediascribe.sandbox.tokens import Tokens


def gemini(tokens: Tokens) -> dict[str, Any]:
    """Shape A: the gateway's own object; images and video are nowhere but in the total, zeros stand in for the rest."""
    return _built(tokens, text=tokens.text, audio=tokens.audio)


def claude(tokens: Tokens) -> dict[str, Any]:
    """Shape C: as A, without any split of the prompt."""
    return _built(tokens, text=0, audio=0)


def openai(tokens: Tokens) -> dict[str, Any]:
    """Shape E: passed through from upstream."""
    return _totals(tokens) | {
        "prompt_tokens_details": {"cached_tokens": 0, "audio_tokens": tokens.audio},
        "completion_tokens_details": {
            "reasoning_tokens": tokens.reasoning,
            "audio_tokens": 0,
            "accepted_prediction_tokens": 0,
            "rejected_prediction_tokens": 0,
        },
    }


def qwen_omni(tokens: Tokens) -> dict[str, Any]:
    """Shapes G and H: the kinds that came, each with its tokens."""
    kinds = {
        "audio_tokens": tokens.audio,
        "image_tokens": tokens.image,
        "text_tokens": tokens.text,
        "video_tokens": tokens.video,
    }
    return _totals(tokens) | {
        "prompt_tokens_details": {name: count for name, count in kinds.items() if count},
        "completion_tokens_details": {"text_tokens": tokens.completion},
    }


def deepseek(tokens: Tokens) -> dict[str, Any]:
    """Shape I: hits and misses of the prompt cache beside the details."""
    return _totals(tokens) | {
        "prompt_tokens_details": {"cached_tokens": 0},
        "prompt_cache_hit_tokens": 0,
        "prompt_cache_miss_tokens": tokens.prompt,
    }


def responses(tokens: Tokens) -> dict[str, Any]:
    """The shape of responses: reasoning apart, no modalities."""
    return {
        "input_tokens": tokens.prompt,
        "input_tokens_details": {"cached_tokens": 0},
        "output_tokens": tokens.completion,
        "output_tokens_details": {"reasoning_tokens": tokens.reasoning},
        "total_tokens": tokens.total,
    }


def messages(tokens: Tokens) -> dict[str, Any]:
    """Shape D: Anthropic's, with two members of the gateway's; thinking is a part of the output and not told apart."""
    return {
        "input_tokens": tokens.prompt,
        "cache_creation_input_tokens": 0,
        "cache_read_input_tokens": 0,
        "output_tokens": tokens.completion,
        "claude_cache_creation_5_m_tokens": 0,
        "claude_cache_creation_1_h_tokens": 0,
    }


def generate_content(tokens: Tokens) -> dict[str, Any]:
    """Google's `usageMetadata`: the prompt by modality, thoughts beside the candidates; what is 0 is left out."""
    modalities = {"TEXT": tokens.text, "IMAGE": tokens.image, "VIDEO": tokens.video, "AUDIO": tokens.audio}
    outputs = {"candidatesTokenCount": tokens.completion - tokens.reasoning, "thoughtsTokenCount": tokens.reasoning}
    return {
        "promptTokenCount": tokens.prompt,
        **{name: count for name, count in outputs.items() if count},
        "totalTokenCount": tokens.total,
        "promptTokensDetails": [{"modality": name, "tokenCount": count} for name, count in modalities.items() if count],
    }


def glm(tokens: Tokens) -> dict[str, Any]:
    """Shape J: totals, cached and reasoning tokens."""
    return _totals(tokens) | {
        "prompt_tokens_details": {"cached_tokens": 0},
        "completion_tokens_details": {"reasoning_tokens": tokens.reasoning},
    }


def _built(tokens: Tokens, *, text: int, audio: int) -> dict[str, Any]:
    return _totals(tokens) | {
        "prompt_tokens_details": {"cached_tokens": 0, "text_tokens": text, "audio_tokens": audio, "image_tokens": 0},
        "completion_tokens_details": {"text_tokens": 0, "audio_tokens": 0, "reasoning_tokens": tokens.reasoning},
        "output_tokens_details": {"text_tokens": 0, "audio_tokens": 0, "reasoning_tokens": 0},
        "input_tokens": 0,
        "output_tokens": 0,
        "input_tokens_details": None,
        "claude_cache_creation_5_m_tokens": 0,
        "claude_cache_creation_1_h_tokens": 0,
    }


def _totals(tokens: Tokens) -> dict[str, Any]:
    return {
        "prompt_tokens": tokens.prompt,
        "completion_tokens": tokens.completion,
        "total_tokens": tokens.total,
    }
