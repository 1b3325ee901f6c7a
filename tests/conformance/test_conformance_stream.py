"""Streams compared with OpenAI's, Anthropic's and Google's own types: they read the events, and what they become."""

import json

import pytest
from anthropic.types import Message, RawMessageStreamEvent
from google.genai.types import GenerateContentResponse
from openai.types.chat import ChatCompletion, ChatCompletionChunk
from openai.types.responses import Response, ResponseStreamEvent
from pydantic import TypeAdapter
from streams import CHAT, GEMINI, MESSAGES, RESPONSES, STREAMS, USAGE, response

from mediascribe.wire import Answer
from mediascribe.wire.stream import assemble


def assembled(dialect):
    answer = Answer(status=200, headers={"content-type": "text/event-stream"}, body=STREAMS[dialect])
    return json.loads(assemble(answer, dialect).body)


@pytest.mark.parametrize("chunk", CHAT)
def test_chat_chunks_are_the_vendors(chunk):
    """The chunks of these tests are what OpenAI's SDK reads."""
    assert ChatCompletionChunk.model_validate(chunk, strict=True)


@pytest.mark.parametrize(
    ("of", "chunk"),
    [(ResponseStreamEvent, chunk) for chunk in RESPONSES]
    + [(RawMessageStreamEvent, chunk) for chunk in MESSAGES if chunk["type"] != "ping"]
    + [(GenerateContentResponse, chunk) for chunk in GEMINI],
)
def test_other_chunks_are_the_vendors(of, chunk):
    """The events of these tests are what OpenAI's, Anthropic's and Google's SDKs read."""
    assert TypeAdapter(of).validate_python(chunk)


def test_chat_conforms():
    """OpenAI's SDK reads the assembled answer: the whole text, the reason and the usage."""
    body = ChatCompletion.model_validate(assembled("chat"), strict=True)
    assert (body.id, body.created, body.model) == ("chatcmpl-1", 1766735188, "gpt-4o-2024-08-06")
    assert body.choices[0].message.content == "A cät sits."
    assert (body.choices[0].message.role, body.choices[0].finish_reason) == ("assistant", "stop")
    assert body.usage.model_dump(exclude_unset=True) == USAGE


def test_responses_conform():
    """OpenAI's SDK reads the assembled answer: it is the response of the last event."""
    body = Response.model_validate(assembled("responses"))
    assert (body.output_text, body.status) == ("A cät sits.", "completed")
    assert body.usage.model_dump(exclude_unset=True) == response()["usage"]


def test_messages_conform():
    """Anthropic's SDK reads the assembled answer: blocks with their texts, the reason, both sides of the usage."""
    body = Message.model_validate(assembled("messages"))
    assert [block.model_dump(exclude_unset=True) for block in body.content] == [
        {"type": "thinking", "thinking": "Cats sit.", "signature": "sig"},
        {"type": "text", "text": "A cät sits."},
    ]
    assert (body.id, body.model, body.stop_reason) == ("msg_1", "claude-sonnet-4-5", "end_turn")
    assert (body.usage.input_tokens, body.usage.cache_read_input_tokens, body.usage.output_tokens) == (9, 3, 4)


def test_generate_content_conforms():
    """Google's SDK reads the assembled answer: thoughts apart from text, the last usage."""
    body = GenerateContentResponse.model_validate(assembled("generate_content"))
    assert body.text == "A cät sits."
    assert [(part.text, part.thought) for part in body.candidates[0].content.parts] == [
        ("Cats sit.", True),
        ("A cät sits.", None),
    ]
    assert (body.candidates[0].finish_reason, body.model_version, body.response_id) == ("STOP", "gemini-2.5-pro", "r1")
    assert (body.usage_metadata.thoughts_token_count, body.usage_metadata.total_token_count) == (1, 13)
