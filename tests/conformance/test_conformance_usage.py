"""Token counts compared with OpenAI's, Anthropic's and Google's own types: what they write is read in full."""

import json

import pytest
from anthropic.types import OutputTokensDetails as ClaudesDetails
from anthropic.types import Usage as ClaudesUsage
from google.genai.types import GenerateContentResponseUsageMetadata as GooglesUsage
from google.genai.types import ModalityTokenCount
from openai.types.completion_usage import CompletionTokensDetails, CompletionUsage, PromptTokensDetails
from openai.types.responses.response_usage import InputTokensDetails, OutputTokensDetails, ResponseUsage

from mediascribe.domain import Usage
from mediascribe.wire.usage import normalise


def usage_of(raw, dialect):
    return normalise(raw, dialect=dialect, model="a-model", media_kinds=())


def counts(usage):
    """The columns that are not 0, and the source."""
    names = [name for name in Usage.__slots__ if name != "raw"]
    return {name: getattr(usage, name) for name in names if getattr(usage, name)}


@pytest.mark.parametrize(
    ("dialect", "written", "expected"),
    [
        (
            "chat",
            CompletionUsage(
                prompt_tokens=1000,
                completion_tokens=80,
                total_tokens=1080,
                prompt_tokens_details=PromptTokensDetails(
                    cached_tokens=300, cache_write_tokens=200, text_tokens=100, image_tokens=700, audio_tokens=200
                ),
                completion_tokens_details=CompletionTokensDetails(reasoning_tokens=50, text_tokens=30),
            ),
            {
                "prompt_tokens": 1000,
                "completion_tokens": 80,
                "total_tokens": 1080,
                "cached_tokens": 300,
                "cache_write_tokens": 200,
                "prompt_text_tokens": 100,
                "prompt_image_tokens": 700,
                "prompt_audio_tokens": 200,
                "completion_text_tokens": 30,
                "reasoning_tokens": 50,
            },
        ),
        (
            "responses",
            ResponseUsage(
                input_tokens=1000,
                input_tokens_details=InputTokensDetails(cached_tokens=300, cache_write_tokens=200),
                output_tokens=80,
                output_tokens_details=OutputTokensDetails(reasoning_tokens=50),
                total_tokens=1080,
            ),
            {
                "prompt_tokens": 1000,
                "completion_tokens": 80,
                "total_tokens": 1080,
                "cached_tokens": 300,
                "cache_write_tokens": 200,
                "reasoning_tokens": 50,
            },
        ),
        (
            "messages",
            ClaudesUsage(
                input_tokens=500,
                cache_creation_input_tokens=200,
                cache_read_input_tokens=300,
                output_tokens=80,
                output_tokens_details=ClaudesDetails(thinking_tokens=50),
            ),
            {
                "prompt_tokens": 1000,
                "completion_tokens": 80,
                "total_tokens": 1080,
                "cached_tokens": 300,
                "cache_write_tokens": 200,
                "reasoning_tokens": 50,
            },
        ),
        (
            "generate_content",
            GooglesUsage(
                prompt_token_count=990,
                tool_use_prompt_token_count=10,
                candidates_token_count=30,
                thoughts_token_count=50,
                cached_content_token_count=300,
                total_token_count=1080,
                prompt_tokens_details=[
                    ModalityTokenCount(modality="TEXT", token_count=90),
                    ModalityTokenCount(modality="IMAGE", token_count=258),
                    ModalityTokenCount(modality="VIDEO", token_count=516),
                    ModalityTokenCount(modality="AUDIO", token_count=126),
                ],
                tool_use_prompt_tokens_details=[ModalityTokenCount(modality="TEXT", token_count=10)],
                candidates_tokens_details=[ModalityTokenCount(modality="TEXT", token_count=30)],
            ),
            {
                "prompt_tokens": 1000,
                "completion_tokens": 80,
                "total_tokens": 1080,
                "cached_tokens": 300,
                "prompt_text_tokens": 100,
                "prompt_image_tokens": 258,
                "prompt_video_tokens": 516,
                "prompt_audio_tokens": 126,
                "completion_text_tokens": 30,
                "reasoning_tokens": 50,
            },
        ),
    ],
)
def test_the_vendors_usage(dialect, written, expected):
    """What the four vendors' own types write is read in full: 1000 tokens in, 80 out, 50 of them thought."""
    raw = json.loads(written.model_dump_json(by_alias=True, exclude_none=True))
    assert counts(usage_of(raw, dialect)) == expected | {"source": "reported"}
