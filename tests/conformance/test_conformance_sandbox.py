"""The vendors' own clients accept the sandbox's answers, whole and streamed, and read its usage and its errors."""

from __future__ import annotations

import base64
import json

import anthropic
import httpx
import openai
import pytest
from google import genai
from google.genai import errors, types

from mediascribe.sandbox import Behaviour, Fault

SAID = "The image is a PNG of 960 by 540 pixels, dark; its main colours are dark blue."
SCHEMA = {
    "type": "object",
    "properties": {"caption": {"type": "string"}, "dark": {"type": "boolean"}},
    "required": ["caption", "dark"],
    "additionalProperties": False,
}


@pytest.fixture
def picture(sandbox, samples, make):
    """The URL and the bytes of one picture."""
    content = make.image(960, 540)
    (samples / "wide.png").write_bytes(content)
    return sandbox.media_url + "wide.png", content


@pytest.fixture
def of_openai(sandbox):
    with httpx.Client(trust_env=False) as plain:
        yield openai.OpenAI(base_url=sandbox.url, api_key=sandbox.api_key, max_retries=0, http_client=plain)


@pytest.fixture
def of_anthropic(sandbox):
    with anthropic.DefaultHttpxClient(trust_env=False) as plain:
        root = sandbox.url.removesuffix("/v1")
        yield anthropic.Anthropic(base_url=root, api_key=sandbox.api_key, max_retries=0, http_client=plain)


@pytest.fixture
def of_google(sandbox):
    options = types.HttpOptions(base_url=sandbox.url.removesuffix("/v1"), client_args={"trust_env": False})
    with genai.Client(api_key=sandbox.api_key, http_options=options) as client:
        yield client


def data_url(content):
    return f"data:image/png;base64,{base64.b64encode(content).decode()}"


@pytest.mark.parametrize("inline", [False, True])
def test_openai_chat(of_openai, sandbox, picture, inline):
    """OpenAI's client reads a chat completion, and a stream of one, which add up to the same."""
    url = data_url(picture[1]) if inline else picture[0]
    asked = [{"type": "text", "text": "Describe."}, {"type": "image_url", "image_url": {"url": url}}]
    question = {"model": "gpt-4o", "messages": [{"role": "user", "content": asked}]}
    whole = of_openai.chat.completions.create(**question)
    assert whole.choices[0].message.content == SAID
    assert whole.usage.prompt_tokens == 3 + 85 + 4 * 170  # 2 x 2 tiles
    with of_openai.chat.completions.stream(**question, stream_options={"include_usage": True}) as stream:
        told = stream.get_final_completion()
    assert told.choices[0].message.content == SAID
    assert told.choices[0].finish_reason == "stop"
    assert told.usage == whole.usage
    assert [entry.stream for entry in sandbox.ledger()] == [False, True]


@pytest.mark.parametrize("inline", [False, True])
def test_openai_responses(of_openai, sandbox, picture, inline):
    """OpenAI's client reads a response, and its stream of events, which add up to the same."""
    url = data_url(picture[1]) if inline else picture[0]
    asked = [{"type": "input_text", "text": "Describe."}, {"type": "input_image", "image_url": url, "detail": "auto"}]
    question = {"model": "gpt-5.1-codex", "input": [{"role": "user", "content": asked}]}
    whole = of_openai.responses.create(**question, reasoning={"effort": "low", "summary": "auto"})
    assert whole.output_text == SAID
    assert whole.output[0].summary[0].text.startswith("There are 1 media")
    assert whole.usage.input_tokens == 3 + 70 + 4 * 140
    assert whole.usage.output_tokens_details.reasoning_tokens == sandbox.ledger()[0].reasoning_tokens > 0
    with of_openai.responses.stream(**question) as stream:
        kinds = [event.type for event in stream]
        told = stream.get_final_response()
    assert told.output_text == SAID
    assert told.usage.total_tokens == sandbox.ledger()[1].total_tokens
    assert kinds[0] == "response.created"
    assert kinds[-1] == "response.completed"
    assert "response.output_text.delta" in kinds


@pytest.mark.parametrize("inline", [False, True])
def test_anthropic_messages(of_anthropic, sandbox, picture, inline):
    """Anthropic's client, which sends x-api-key, reads a message and a stream of one."""
    encoded = {"type": "base64", "media_type": "image/png", "data": base64.b64encode(picture[1]).decode()}
    source = encoded if inline else {"type": "url", "url": picture[0]}
    asked = [{"type": "text", "text": "Describe."}, {"type": "image", "source": source}]
    question = {"model": "claude-opus-4-5-20251101", "messages": [{"role": "user", "content": asked}]}
    whole = of_anthropic.messages.create(**question, max_tokens=500)
    assert [block.text for block in whole.content] == [SAID]
    assert whole.stop_reason == "end_turn"
    assert whole.usage.input_tokens == 3 + 692  # 518,400 / 750 = 691.2
    thinking = {"type": "enabled", "budget_tokens": 1024}
    with of_anthropic.messages.stream(**question, max_tokens=2000, thinking=thinking) as stream:
        told = stream.get_final_message()
    assert [block.type for block in told.content] == ["thinking", "text"]
    assert told.content[1].text == SAID
    assert told.usage.input_tokens == whole.usage.input_tokens
    assert told.usage.output_tokens == sandbox.ledger()[1].completion_tokens > whole.usage.output_tokens


@pytest.mark.parametrize("inline", [False, True])
def test_google(of_google, sandbox, picture, inline):
    """Google's client, which sends x-goog-api-key, reads an answer and a stream of one, thoughts apart."""
    encoded = types.Part.from_bytes(data=picture[1], mime_type="image/png")
    image = encoded if inline else types.Part.from_uri(file_uri=picture[0], mime_type="image/png")
    question = {"model": "gemini-2.5-flash", "contents": ["Describe.", image]}
    whole = of_google.models.generate_content(**question)
    assert whole.text == SAID
    details = {row.modality.value: row.token_count for row in whole.usage_metadata.prompt_tokens_details}
    assert details == {"TEXT": 3, "IMAGE": 1806}
    config = types.GenerateContentConfig(thinking_config=types.ThinkingConfig(include_thoughts=True))
    chunks = list(of_google.models.generate_content_stream(**question, config=config))
    assert "".join(chunk.text or "" for chunk in chunks) == SAID
    last = chunks[-1].usage_metadata
    assert last.thoughts_token_count == sandbox.ledger()[1].reasoning_tokens > 0
    assert last.candidates_token_count + last.thoughts_token_count == sandbox.ledger()[1].completion_tokens
    assert chunks[-1].candidates[0].finish_reason == types.FinishReason.STOP
    assert {entry.dialect for entry in sandbox.ledger()} == {"generate_content"}


def test_google_hears(of_google, make):
    """Sound and video are counted by modality."""
    sound = types.Part.from_bytes(data=make.sound(2.0), mime_type="audio/wav")
    film = types.Part.from_bytes(data=make.video(2), mime_type="video/mp4")
    answer = of_google.models.generate_content(model="gemini-2.0-flash", contents=["Hi", sound, film])
    details = {row.modality.value: row.token_count for row in answer.usage_metadata.prompt_tokens_details}
    assert details == {"TEXT": 1, "AUDIO": 50, "VIDEO": 516}


def test_structured_output(of_openai, of_anthropic, of_google):
    """Each client's own way of asking for a schema is understood."""
    wish = {"type": "json_schema", "json_schema": {"name": "x", "schema": SCHEMA, "strict": True}}
    hello = [{"role": "user", "content": "Hi"}]
    said = [
        of_openai.chat.completions.create(model="gpt-4o", messages=hello, response_format=wish)
        .choices[0]
        .message.content,
        of_openai.responses.create(
            model="gpt-4o", input="Hi", text={"format": {"type": "json_schema", "name": "x", "schema": SCHEMA}}
        ).output_text,
        of_anthropic.messages.create(
            model="claude-opus-4-5-20251101",
            messages=hello,
            max_tokens=100,
            output_config={"format": {"type": "json_schema", "schema": SCHEMA}},
        )
        .content[0]
        .text,
        of_google.models.generate_content(
            model="gemini-2.0-flash",
            contents="Hi",
            config={"response_mime_type": "application/json", "response_json_schema": SCHEMA},
        ).text,
        of_google.models.generate_content(
            model="gemini-2.0-flash",
            contents="Hi",
            config={
                "response_mime_type": "application/json",
                "response_schema": {
                    "type": "OBJECT",
                    "properties": {"caption": {"type": "STRING"}, "dark": {"type": "BOOLEAN"}},
                },
            },
        ).text,
    ]
    expected = {"caption": "The prompt has 1 words; no image, sound or video came with it.", "dark": True}
    assert [json.loads(text) for text in said] == [expected] * 5


def test_errors_are_read(of_openai, of_anthropic, of_google, sandbox):
    """Each client makes its own error of a refusal."""
    hello = [{"role": "user", "content": "Hi"}]
    with pytest.raises(openai.InternalServerError, match="无可用渠道"):
        of_openai.chat.completions.create(model="gpt-5.2-pro", messages=hello)
    with pytest.raises(openai.InternalServerError, match="not implemented"):
        of_openai.responses.create(model="gemini-2.0-flash", input="Hi")
    sandbox.behave("*", Behaviour(faults=(Fault("http_529"),)))
    with pytest.raises(anthropic.APIStatusError, match="Overloaded") as overloaded:
        of_anthropic.messages.create(model="claude-opus-4-5-20251101", messages=hello, max_tokens=10)
    assert overloaded.value.body["error"]["type"] == "overloaded_error"
    with pytest.raises(errors.ServerError) as refused:
        of_google.models.generate_content(model="gemini-2.0-flash", contents="Hi")
    assert refused.value.code == 529


def test_errors_amidst_a_stream(of_openai, of_anthropic, of_google, sandbox):
    """An error event after some text is an error of each client."""
    sandbox.behave("*", Behaviour(faults=(Fault("stream_error"),)))
    hello = [{"role": "user", "content": "Hi"}]
    with pytest.raises(openai.APIError, match="overloaded"):
        list(of_openai.chat.completions.create(model="gpt-4o", messages=hello, stream=True))
    (*_, last) = of_openai.responses.create(model="gpt-4o", input="Hi", stream=True)
    assert (last.type, last.code) == ("error", "server_error")  # an event of its own here, which nobody raises
    with pytest.raises(anthropic.APIStatusError, match="Overloaded"):
        list(of_anthropic.messages.create(model="claude-opus-4-5-20251101", messages=hello, max_tokens=9, stream=True))
    with pytest.raises(errors.ServerError, match="overloaded"):
        list(of_google.models.generate_content_stream(model="gemini-2.0-flash", contents="Hi"))


@pytest.mark.parametrize("fault", ["stream_comments", "stream_split", "stream_no_done"])
def test_what_a_client_must_take(of_openai, of_anthropic, sandbox, fault):
    """Comments, odd splits and a missing end mark disturb no client that keeps to the standard."""
    sandbox.behave("*", Behaviour(faults=(Fault(fault),)))
    hello = [{"role": "user", "content": "Hi"}]
    told = of_openai.chat.completions.create(model="gpt-4o", messages=hello, stream=True)
    text = "".join(chunk.choices[0].delta.content or "" for chunk in told if chunk.choices)
    assert text == "The prompt has 1 words; no image, sound or video came with it."
    events = of_anthropic.messages.create(model="claude-opus-4-5-20251101", messages=hello, max_tokens=99, stream=True)
    assert text == "".join(event.delta.text for event in events if event.type == "content_block_delta")
    assert [entry.fault for entry in sandbox.ledger()] == [fault] * 2
