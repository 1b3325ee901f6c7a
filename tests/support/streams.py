"""Streams of all dialects that tell the same answer, as the vendors write them."""

import json
from types import MappingProxyType

DONE = b"data: [DONE]\n\n"
USAGE = {"prompt_tokens": 9, "completion_tokens": 4, "total_tokens": 13}


def sse(*chunks):
    """Chunks as events; those with a `type` are named by it, as vendors do."""
    named = ((f"event: {chunk['type']}\n" if "type" in chunk else "", json.dumps(chunk)) for chunk in chunks)
    return "".join(f"{name}data: {text}\n\n" for name, text in named).encode()


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
# The whole stream of each dialect.
STREAMS = MappingProxyType(
    {
        "chat": sse(*CHAT) + DONE,
        "responses": sse(*RESPONSES),
        "messages": sse(*MESSAGES),
        "generate_content": sse(*GEMINI),
    }
)
