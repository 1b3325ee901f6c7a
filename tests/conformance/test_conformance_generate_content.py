"""Google generateContent compared with Google's own types: they read what we ask, and we read what they write."""

import json

import pytest
from generate_content_answers import IMAGE, SCHEMA, config, decoded, encoded, refused, said
from google.genai import types

from mediascribe.domain import Media
from mediascribe.wire import generate_content

# The request


def test_the_vendors_types_read_the_request():
    """Contents, system instruction and configuration are what the vendor's own types write again."""
    body = encoded(
        IMAGE,
        Media(kind="audio", url="data:audio/wav;base64,UklGRg=="),
        Media(kind="video", url="https://v.example/a.mov"),
        system="Be brief.",
        thinking="low",
        schema=SCHEMA,
        parameters={"max_tokens": 300, "temperature": 0.2, "top_p": 0.9, "stop": ["END"], "seed": 7},
    )
    written = [
        types.Content.model_validate(body["contents"][0]),
        types.Content.model_validate(body["systemInstruction"]),
        types.GenerationConfig.model_validate(body["generationConfig"]),
    ]
    again = [json.loads(value.model_dump_json(by_alias=True, exclude_none=True)) for value in written]
    assert again == [body["contents"][0], body["systemInstruction"], body["generationConfig"]]
    assert set(body) == {"contents", "systemInstruction", "generationConfig"}


def test_every_member_of_the_table_is_the_vendors():
    """What goes into the configuration is known there."""
    known = {
        field.alias or types.GenerationConfig.model_config["alias_generator"](name)
        for name, field in types.GenerationConfig.model_fields.items()
    }
    assert known >= generate_content.CONFIG_MEMBERS


@pytest.mark.parametrize(
    ("model", "thinking", "expected"),
    [
        ("gemini-2.5-flash", "off", {"thinkingBudget": 0}),
        ("gemini-2.5-pro", "off", {"thinkingBudget": 128}),
        ("gemini-2.5-flash", "on", {"thinkingBudget": -1, "includeThoughts": True}),
        ("gemini-2.5-pro", "low", {"thinkingBudget": 1024, "includeThoughts": True}),
        ("gemini-2.5-pro", "medium", {"thinkingBudget": 8192, "includeThoughts": True}),
        ("gemini-2.5-pro", "high", {"thinkingBudget": 24576, "includeThoughts": True}),
        ("gemini-3-flash-preview", "off", {"thinkingLevel": "minimal"}),
        ("Gemini-3.1-pro-preview", "off", {"thinkingLevel": "low"}),
        ("gemini-3-pro-preview", "on", {"includeThoughts": True}),
        ("gemini-3-flash-preview", "high", {"thinkingLevel": "high", "includeThoughts": True}),
    ],
)
def test_thinking(model, thinking, expected):
    """Gemini 3 has levels and the others budgets; the pro models cannot stop thinking."""
    found = config(model=model, thinking=thinking)["thinkingConfig"]
    assert found == expected
    assert types.ThinkingConfig.model_validate(found)


# Answers


def test_the_vendors_answer():
    """What the vendor's own types write is read: text, thoughts, ids, and the bill by modality."""
    thought = {"text": "Hm. ", "thought": True}
    written = types.GenerateContentResponse.model_validate(said(thought, thought, "A ", "cat."))
    body = written.model_dump_json(by_alias=True, exclude_none=True).encode()
    completion = decoded(body, x_oneapi_request_id="q-1")
    assert (completion.status, completion.text, completion.reasoning) == ("ok", "A cat.", "Hm. Hm.")
    assert (completion.model_returned, completion.response_id) == ("gemini-2.5-flash", "r-1")
    assert (completion.finish_reason, completion.gateway_request_id) == ("STOP", "q-1")
    usage = completion.usage
    assert (usage.prompt_tokens, usage.completion_tokens, usage.total_tokens) == (1986, 83, 2069)
    assert (usage.prompt_text_tokens, usage.prompt_image_tokens, usage.prompt_audio_tokens) == (5, 1806, 175)
    assert (usage.reasoning_tokens, usage.source, completion.flags) == (23, "reported", ())


def test_every_listed_reason_is_the_vendors():
    """The table has no word that the vendor does not know."""
    assert set(generate_content.ENDINGS) <= {reason.value for reason in types.FinishReason}


def test_a_blocked_prompt_says_why():
    """The vendor's reason and its explanation stand in the message, without what is secret."""
    feedback = {"blockReason": "PROHIBITED_CONTENT", "blockReasonMessage": "https://a.example/x?sign=s3cret%3D is bad"}
    written = types.GenerateContentResponse.model_validate({"promptFeedback": feedback})
    failure = refused(written.model_dump_json(by_alias=True, exclude_none=True).encode()).failure
    assert failure.finish_reason == "PROHIBITED_CONTENT"
    assert failure.message.startswith("the prompt or its media were blocked (PROHIBITED_CONTENT): https://a.example")
    assert "s3cret" not in failure.message
