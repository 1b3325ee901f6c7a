"""Token counts in the words of Claude and Gemini."""

import pytest

from mediascribe.wire.usage import normalise


def usage_of(raw, dialect):
    return normalise(raw, dialect=dialect, model="a-model", media_kinds=())


@pytest.mark.parametrize(
    "raw",
    [
        {"cache_creation_input_tokens": 7, "cache_creation": {"ephemeral_5m_input_tokens": 7}},
        {"cache_creation": {"ephemeral_5m_input_tokens": 3, "ephemeral_1h_input_tokens": 4}},
        {"claude_cache_creation_5_m_tokens": 3, "claude_cache_creation_1_h_tokens": 4},
    ],
)
def test_claudes_cache_writes_have_three_names(raw):
    """What was written to Claude's cache is part of the prompt, and counted once."""
    usage = usage_of({"input_tokens": 20, "output_tokens": 1} | raw, "messages")
    assert (usage.cache_write_tokens, usage.prompt_tokens, usage.total_tokens) == (7, 27, 28)


def test_a_cached_prompt_alone_is_a_prompt():
    """Claude may read everything from its cache, and say 0 of the rest."""
    usage = usage_of({"input_tokens": 0, "cache_read_input_tokens": 900, "output_tokens": 5}, "messages")
    assert (usage.prompt_tokens, usage.cached_tokens, usage.total_tokens) == (900, 900, 905)


@pytest.mark.parametrize(
    "details", ["x", [1, {"modality": 5, "tokenCount": 5}], [{"modality": "IMAGE", "tokenCount": "5"}], [{}]]
)
def test_modalities_of_another_type_are_not_reported(details):
    """A list of counts may hold anything."""
    usage = usage_of({"promptTokenCount": 9, "promptTokensDetails": details}, "generate_content")
    assert (usage.prompt_tokens, usage.prompt_image_tokens, usage.source) == (9, 0, "reported")
