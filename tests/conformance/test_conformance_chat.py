"""Chat completions compared with OpenAI's own types: they read what we ask, and we read what they write."""

import pytest
from answers import SCHEMA
from chat_answers import asking, encoded
from openai.types.chat import ChatCompletion
from openai.types.chat.completion_create_params import (
    CompletionCreateParamsNonStreaming,
    CompletionCreateParamsStreaming,
)
from pydantic import TypeAdapter

from mediascribe.domain import Media
from mediascribe.wire import Answer, chat

IMAGE = Media(kind="image", url="https://i.example/cat.png")
SOUND = Media(kind="audio", url="data:audio/wav;base64,UklGRg==")


def as_openai_reads_it(body):
    """*body* through OpenAI's own request type, which drops what it does not know."""
    kind = CompletionCreateParamsStreaming if body["stream"] else CompletionCreateParamsNonStreaming
    reader = TypeAdapter(kind)  # what it gives reads the lists only when asked, and needs it until then
    read = dict(reader.validate_python(body))
    read["messages"] = [dict(message) for message in read["messages"]]
    for message in read["messages"]:
        if not isinstance(message["content"], str):
            message["content"] = [dict(part) for part in message["content"]]
    return read


@pytest.mark.parametrize("stream", [False, True])
def test_openais_types_read_the_request(stream):
    """Nothing in the request is unknown to OpenAI's own type, and nothing is missing from it."""
    parameters = {"max_tokens": 300, "temperature": 0.2, "stop": ["END"]}
    wishes = {"system": "Be brief.", "thinking": "low", "schema": SCHEMA, "stream": stream}
    body = encoded(IMAGE, SOUND, parameters=parameters, **wishes)
    assert as_openai_reads_it(body) == body


def test_openais_answer_is_read():
    """What OpenAI's own type writes is read, with the whole bill."""
    written = ChatCompletion.model_validate(
        {
            "id": "chatcmpl-1",
            "object": "chat.completion",
            "created": 1766735188,
            "model": "gpt-5.1-2025-11-13",
            "choices": [
                {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "A cat."}},
            ],
            "usage": {
                "prompt_tokens": 300,
                "completion_tokens": 80,
                "total_tokens": 380,
                "completion_tokens_details": {"reasoning_tokens": 64},
            },
        }
    )
    answer = Answer(status=200, headers={}, body=written.model_dump_json().encode())
    completion = chat.decode(answer, asking(IMAGE))
    assert (completion.status, completion.text, completion.model_returned) == ("ok", "A cat.", "gpt-5.1-2025-11-13")
    assert (completion.usage.total_tokens, completion.usage.reasoning_tokens) == (380, 64)
    assert completion.flags == ()
