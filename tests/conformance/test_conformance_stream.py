"""Streams compared with OpenAI's, Anthropic's and Google's own types: they read the events, and what they become."""

import json
from types import MappingProxyType

import pytest
from anthropic.types import Message, RawMessageStreamEvent
from google.genai.types import GenerateContentResponse
from openai.types.chat import ChatCompletion, ChatCompletionChunk
from openai.types.responses import Response, ResponseStreamEvent
from pydantic import TypeAdapter

from mediascribe.wire import Answer
from mediascribe.wire.stream import assemble

DONE = b"data: [DONE]\n\n"
USAGE = {"prompt_tokens": 9, "completion_tokens": 4, "total_tokens": 13}


def sse(*chunks):
    """Chunks as events; those with a `type` are named by it, as vendors do."""
    named = ((f"event: {chunk['type']}\n" if "type" in chunk else "", json.dumps(chunk)) for chunk in chunks)
    return "".join(f"{name}data: {text}\n\n" for name, text in named).encode()


def assembled(dialect):
    answer = Answer(status=200, headers={"content-type": "text/event-stream"}, body=STREAMS[dialect])
    return json.loads(assemble(answer, dialect).body)


# The streams of the library's own tests


def delta(text=None, *, finish_reason=None, index=0, **more):
    said = {"content": text, **more} if text is not None else more
    return {
        "id": "chatcmpl-1",
        "object": "chat.completion.chunk",
        "created": 1766735188,
        "model": "gpt-4o-2024-08-06",
        "choices": [{"index": index, "delta": said, "finish_reason": finish_reason}],
    }


BILL = {**delta(), "choices": [], "usage": USAGE}
CHAT = (delta("", role="assistant"), delta("A "), delta("cät "), delta("sits."), delta(finish_reason="stop"), BILL)


def response(status="completed", **more):
    part = {"type": "output_text", "text": "A cät sits.", "annotations": []}
    item = {"id": "msg_1", "type": "message", "role": "assistant", "status": "completed", "content": [part]}
    return {
        "id": "resp_1",
        "object": "response",
        "created_at": 1766735188,
        "model": "gpt-5.1-codex",
        "status": status,
        "output": [item],
        "parallel_tool_calls": True,
        "tool_choice": "auto",
        "tools": [],
        "usage": {
            "input_tokens": 9,
            "input_tokens_details": {"cached_tokens": 2, "cache_write_tokens": 0},
            "output_tokens": 4,
            "output_tokens_details": {"reasoning_tokens": 1},
            "total_tokens": 13,
        },
        **more,
    }


def words(number, text):
    return {
        "type": "response.output_text.delta",
        "sequence_number": number,
        "item_id": "msg_1",
        "output_index": 0,
        "content_index": 0,
        "delta": text,
        "logprobs": [],
    }


RESPONSES = (
    {"type": "response.created", "sequence_number": 0, "response": response("in_progress", output=[], usage=None)},
    words(1, "A cät "),
    words(2, "sits."),
    {
        "type": "response.output_item.done",
        "sequence_number": 3,
        "output_index": 0,
        "item": response()["output"][0],
    },
    {"type": "response.completed", "sequence_number": 4, "response": response()},
)


def block_delta(index, kind, **more):
    return {"type": "content_block_delta", "index": index, "delta": {"type": kind, **more}}


def block_start(index, kind, **more):
    return {"type": "content_block_start", "index": index, "content_block": {"type": kind, **more}}


def message_start(**usage):
    message = {"id": "msg_1", "type": "message", "role": "assistant", "model": "claude-sonnet-4-5", "content": []}
    told = {"input_tokens": 9, "output_tokens": 1, "cache_read_input_tokens": 3, "cache_creation_input_tokens": 0}
    ending = {"stop_reason": None, "stop_sequence": None}
    return {"type": "message_start", "message": {**message, **ending, "usage": {**told, **usage}}}


def message_delta(stop_reason="end_turn", **usage):
    ending = {"stop_reason": stop_reason, "stop_sequence": None}
    return {"type": "message_delta", "delta": ending, "usage": {"output_tokens": 4, **usage}}


STOP = {"type": "message_stop"}
MESSAGES = (
    message_start(),
    block_start(0, "thinking", thinking="", signature=""),
    block_delta(0, "thinking_delta", thinking="Cats "),
    {"type": "ping"},
    block_delta(0, "thinking_delta", thinking="sit."),
    block_delta(0, "signature_delta", signature="sig"),
    {"type": "content_block_stop", "index": 0},
    block_start(1, "text", text=""),
    block_delta(1, "text_delta", text="A cät "),
    block_delta(1, "text_delta", text="sits."),
    {"type": "content_block_stop", "index": 1},
    message_delta(),
    STOP,
)


def gemini(*parts, **more):
    candidate = {"content": {"role": "model", "parts": list(parts)}, "index": 0, **more}
    counts = {"promptTokenCount": 9, "candidatesTokenCount": len(parts), "totalTokenCount": 9 + len(parts)}
    return {"candidates": [candidate], "usageMetadata": counts, "modelVersion": "gemini-2.5-pro", "responseId": "r1"}


GEMINI_END = {
    **gemini({"text": "sits."}, finishReason="STOP"),
    "usageMetadata": {"promptTokenCount": 9, "candidatesTokenCount": 3, "thoughtsTokenCount": 1, "totalTokenCount": 13},
}
GEMINI = (
    gemini({"text": "Cats ", "thought": True}),
    gemini({"text": "sit.", "thought": True}),
    gemini({"text": "A cät "}),
    GEMINI_END,
)
STREAMS = MappingProxyType(
    {
        "chat": sse(*CHAT) + DONE,
        "responses": sse(*RESPONSES),
        "messages": sse(*MESSAGES),
        "generate_content": sse(*GEMINI),
    }
)


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
