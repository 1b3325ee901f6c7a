"""The four dialects over real HTTP: keys, bodies, errors, and a bill that is the same in all."""

from __future__ import annotations

import base64
import hashlib
import json

import httpx
import pytest

from mediascribe.sandbox import Behaviour, Seen


def error(answer):
    return answer.json()["error"]


@pytest.fixture
def root(sandbox):
    """The server's address without /v1."""
    return sandbox.url.removesuffix("/v1")


HELLO = {"contents": [{"parts": [{"text": "Hi"}]}]}
MESSAGE = {"model": "claude-opus-4-5-20251101", "max_tokens": 9, "messages": [{"role": "user", "content": "Hi"}]}


@pytest.mark.parametrize(
    ("path", "headers", "body", "status"),
    [
        ("/v1/messages", {"x-api-key": "sk-sandbox"}, MESSAGE, 200),
        ("/v1/messages", {"Authorization": "Bearer sk-sandbox"}, MESSAGE, 200),
        ("/v1/messages", {"x-api-key": "sk-other"}, MESSAGE, 401),
        ("/v1/messages", {"x-goog-api-key": "sk-sandbox"}, MESSAGE, 401),
        ("/v1beta/models/gemini-2.0-flash:generateContent", {"x-goog-api-key": "sk-sandbox"}, HELLO, 200),
        ("/v1/models/gemini-2.0-flash:generateContent", {"Authorization": "Bearer sandbox"}, HELLO, 200),
        ("/v1/models/gemini-2.0-flash:generateContent?key=sk-sandbox", {}, HELLO, 200),
        ("/v1beta/models/gemini-2.0-flash:streamGenerateContent?alt=sse&key=sk-sandbox", {}, HELLO, 200),
        ("/v1beta/models/gemini-2.0-flash:generateContent?key=sk-used-up", {}, HELLO, 401),
        ("/v1/responses", {"x-api-key": "sk-sandbox"}, {}, 401),
        ("/v1/responses", {"Authorization": "Bearer sk-sandbox"}, {"model": "gpt-5.2-pro", "input": "Hi"}, 200),
        ("/v1/chat/completions?key=sk-sandbox", {"x-api-key": "sk-sandbox"}, MESSAGE, 401),
        ("/v1beta/models/gemini-2.0-flash:countTokens", {"Authorization": "Bearer sk-sandbox"}, HELLO, 404),
    ],
)
def test_keys_and_paths(root, path, headers, body, status):
    """Each dialect takes the key where its vendor has it, and as a bearer token."""
    answer = httpx.post(root + path, headers=headers, json=body, trust_env=False)
    assert answer.status_code == status
    if status == 401:
        assert set(answer.json()) == {"error"}  # middleware speaks OpenAI's shape everywhere


@pytest.mark.parametrize("dialect", ["chat", "messages", "generate_content"])
def test_responses_only(ask_in, sandbox, dialect):
    """A model that is served for responses alone has no channel for another dialect: 503, in OpenAI's shape."""
    answer = ask_in(dialect, model="gpt-5.1-codex")
    assert (answer.status_code, error(answer)["code"]) == (503, "model_not_found")
    assert "gpt-5.1-codex" in error(answer)["message"]
    assert not sandbox.ledger()[0].billed


@pytest.mark.parametrize(
    ("dialect", "model"),
    [
        ("responses", "gemini-2.0-flash"),
        ("responses", "qwen3-omni-flash-2025-12-01"),
        ("messages", "gpt-4o"),
        ("generate_content", "claude-opus-4-5-20251101"),
    ],
)
def test_no_such_adapter(ask_in, dialect, model):
    """A channel whose adapter cannot translate the dialect is a 500 "not implemented"."""
    answer = ask_in(dialect, model=model)
    assert answer.status_code == 500
    assert error(answer)["message"].startswith("not implemented (request id: toio")
    assert error(answer).get("code", "convert_request_failed") == "convert_request_failed"


@pytest.mark.parametrize(
    ("path", "body", "refusal"),
    [
        ("/responses", {"model": "gpt-4o"}, (500, "new_api_error", "field input is required")),
        ("/responses", {"model": "gpt-4o", "input": ""}, (500, "new_api_error", "field input is required")),
        ("/responses", {"model": "gpt-4o", "input": 7}, (400, "new_api_error", "unmarshal input")),
        ("/responses", {"model": "gpt-4o", "input": ["Hi"]}, (400, "new_api_error", "unmarshal a message")),
        (
            "/responses",
            {"model": "gpt-4o", "input": [{"content": [{"type": "video_url"}]}]},
            (400, "invalid_request_error", "Invalid value for a content part's type"),
        ),
        (
            "/responses",
            {"model": "gpt-4o", "input": [{"content": ["Hi"]}]},
            (400, "invalid_request_error", "Invalid value"),
        ),
        ("/messages", MESSAGE | {"max_tokens": None}, (400, "invalid_request_error", "max_tokens: Field required")),
        ("/messages", MESSAGE | {"messages": []}, (500, "new_api_error", "field messages is required")),
        (
            "/messages",
            MESSAGE | {"messages": [{"content": [{"type": "audio"}]}]},
            (400, "invalid_request_error", "Input tag 'audio'"),
        ),
        (
            "/messages",
            MESSAGE | {"messages": [{"content": [{"type": "image", "source": {"type": "url"}}]}]},
            (400, "invalid_request_error", "image.source.url: Field required"),
        ),
        (
            "/messages",
            MESSAGE | {"messages": [{"content": [{"type": "image"}]}]},
            (400, "invalid_request_error", "image.source.type: Field required"),
        ),
        ("/models/gemini-2.0-flash:generateContent", {}, (500, "new_api_error", "field contents is required")),
        ("/models/gemini-2.0-flash:generateContent", {"contents": "Hi"}, (400, "new_api_error", "unmarshal contents")),
        ("/models/gemini-2.0-flash:generateContent", {"contents": ["Hi"]}, (400, "new_api_error", "a message")),
        (
            "/models/gemini-2.0-flash:generateContent",
            {"contents": [{"parts": ["Hi"]}]},
            (400, "new_api_error", "unmarshal a part"),
        ),
        (
            "/models/gemini-2.0-flash:generateContent",
            HELLO | {"generationConfig": []},
            (400, "new_api_error", "generationConfig into an object"),
        ),
        (
            "/models/gemini-2.0-flash:generateContent",
            HELLO | {"generationConfig": {"maxOutputTokens": "9"}},
            (400, "new_api_error", "maxOutputTokens must be a whole number"),
        ),
    ],
)
def test_bad_requests(client, sandbox, path, body, refusal):
    """What is wrong with a request is said in the gateway's words, or in its vendor's."""
    status, kind, message = refusal
    answer = client.post(path, json=body)
    assert (answer.status_code, error(answer)["type"]) == (status, kind)
    assert message in error(answer)["message"]
    assert not sandbox.ledger()[0].billed


def test_errors_in_anthropics_shape(client):
    """Errors of /v1/messages have Anthropic's shape, except those of the middleware, which have OpenAI's."""
    missing = client.post("/messages", json=MESSAGE | {"max_tokens": None}).json()
    assert missing == {
        "type": "error",
        "error": {"type": "invalid_request_error", "message": "max_tokens: Field required"},
    }
    unknown = client.post("/messages", json=MESSAGE | {"model": "claude-9"})
    assert unknown.status_code == 503
    assert set(unknown.json()) == {"error"}


def picture_part(dialect, url=None, content=None):
    """An image as each dialect has it, by URL or inline."""
    text = base64.b64encode(content).decode() if content else None
    either = url or f"data:image/png;base64,{text}"
    if dialect == "chat":
        return {"type": "image_url", "image_url": {"url": either}}
    if dialect == "responses":
        return {"type": "input_image", "image_url": either}
    if dialect == "messages":
        inline = {"type": "base64", "media_type": "image/png", "data": text}
        return {"type": "image", "source": {"type": "url", "url": url} if url else inline}
    return {"fileData": {"fileUri": url}} if url else {"inline_data": {"mime_type": "image/png", "data": text}}


@pytest.fixture
def wide(samples, make):
    """A picture of 960 by 540 pixels, which is served as well."""
    content = make.image(960, 540)
    (samples / "wide.png").write_bytes(content)
    return content


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    "case",
    [
        ("gpt-5-mini", ("chat", "responses"), 827),  # 30 x 17 = 510 patches at 1.62: 826.2
        ("claude-opus-4-5-20251101", ("chat", "messages"), 692),
        ("gemini-2.0-flash", ("chat", "generate_content"), 1806),
    ],
)
def test_the_bill_is_the_same(ask_in, sandbox, wide, case, stream):
    """The same question costs the same in every dialect, whole or streamed, by URL or inline."""
    model, dialects, tokens = case
    for dialect in dialects:
        for how in ({"url": sandbox.media_url + "wide.png"}, {"content": wide}):
            assert ask_in(dialect, picture_part(dialect, **how), model=model, stream=stream).status_code == 200
    entries = sandbox.ledger()
    weights = {(entry.text_tokens, entry.image_tokens, entry.completion_tokens, entry.nano_usd) for entry in entries}
    assert len(weights) == 1
    assert entries[0].image_tokens == tokens
    assert [entry.dialect for entry in entries] == [dialect for dialect in dialects for _ in range(2)]
    assert {entry.stream for entry in entries} == {stream}
    assert {entry.prompt_sha256 for entry in entries} == {hashlib.sha256(b"Describe it.").hexdigest()}
    assert [entry.media[0].kind for entry in entries] == ["image"] * 4


def test_system_prompts_come_first(client, sandbox):
    """A system prompt is weighed before the rest, wherever the dialect has it."""
    said = [{"role": "user", "content": "Hi"}]
    client.post("/chat/completions", json={"model": "gpt-4o", "messages": [{"role": "system", "content": "Be"}, *said]})
    client.post("/responses", json={"model": "gpt-4o", "instructions": "Be", "input": said})
    client.post("/messages", json=MESSAGE | {"system": [{"type": "text", "text": "Be"}]})
    config = {"system_instruction": {"parts": [{"text": "Be"}]}}
    client.post("/models/gemini-2.0-flash:generateContent", json=HELLO | config)
    assert [entry.text_tokens for entry in sandbox.ledger()] == [2] * 4  # "Be\nHi" has 5 bytes
    assert {entry.prompt_sha256 for entry in sandbox.ledger()} == {hashlib.sha256(b"Be\nHi").hexdigest()}


def test_parameters_in_the_ledger(ask_in, sandbox):
    """The ledger has the parameters as they came, without what is asked."""
    config = {"generationConfig": {"maxOutputTokens": 50}}
    ask_in("generate_content", **config)
    ask_in("messages", system="Be brief.", top_k=3)
    ask_in("responses", instructions="Be brief.", max_output_tokens=50)
    assert [entry.parameters for entry in sandbox.ledger()] == [
        config,
        {"max_tokens": 1000, "top_k": 3},
        {"max_output_tokens": 50},
    ]


@pytest.mark.parametrize(
    ("dialect", "members"),
    [
        ("chat", {"max_tokens": 5}),
        ("responses", {"max_output_tokens": 5}),
        ("messages", {"max_tokens": 5}),
        ("generate_content", {"generationConfig": {"maxOutputTokens": 5}}),
    ],
)
def test_length(ask_in, sandbox, dialect, members):
    """An answer ends at its limit in every dialect."""
    assert "The prompt has 2 wor" in ask_in(dialect, **members).text
    assert sandbox.ledger()[0].completion_tokens == 5


@pytest.mark.parametrize(
    ("dialect", "members", "thinks"),
    [
        ("chat", {"reasoning_effort": "low"}, True),
        ("chat", {"reasoning_effort": "minimal"}, False),
        ("responses", {"reasoning": {"effort": "high"}}, True),
        ("responses", {"reasoning": {"effort": "none"}}, False),
        ("messages", {"thinking": {"type": "adaptive"}}, True),
        ("messages", {"thinking": {"type": "disabled"}}, False),
        ("generate_content", {"generationConfig": {"thinkingConfig": {"thinkingLevel": "LOW"}}}, True),
        ("generate_content", {"generationConfig": {"thinkingConfig": {"thinkingBudget": 0}}}, False),
        ("generate_content", {"generation_config": {"thinking_config": {"thinking_budget": 512}}}, True),
    ],
)
def test_thinking(ask_in, sandbox, dialect, members, thinks):
    """Each dialect has its own switch for thinking, and untold thoughts are billed as well."""
    answer = ask_in(dialect, **members)
    assert (sandbox.ledger()[0].reasoning_tokens > 0) == thinks
    told = "There are 0 media to look at" in answer.text
    assert told == (thinks and dialect in {"chat", "messages"})


def test_all_tokens_thought_away(ask_in):
    """Where thinking spends the whole limit there is no text: no block in messages, no part in generateContent."""
    said = ask_in("messages", thinking={"type": "enabled"}, max_tokens=3).json()
    assert [block["type"] for block in said["content"]] == ["thinking"]
    assert said["stop_reason"] == "max_tokens"
    config = {"thinkingConfig": {"includeThoughts": False, "thinkingBudget": 9}, "maxOutputTokens": 3}
    silent = ask_in("generate_content", generationConfig=config).json()
    assert silent["candidates"][0] == {"content": {"role": "model"}, "index": 0, "finishReason": "MAX_TOKENS"}
    assert "candidatesTokenCount" not in silent["usageMetadata"]


def test_parts_that_say_nothing(ask_in, sandbox):
    """Documents and files are dropped, and so are an image without URL and Google's own thoughts."""
    assert ask_in("messages", {"type": "document", "source": {}}).status_code == 200
    assert ask_in("responses", {"type": "input_file"}, {"type": "input_image", "file_id": "f"}).status_code == 200
    assert ask_in("generate_content", {"text": "Hm", "thought": True}).status_code == 200
    assert [entry.prompt_tokens for entry in sandbox.ledger()] == [3, 3, 3]
    assert [entry.media for entry in sandbox.ledger()] == [()] * 3


def test_kinds_that_are_not_taken(ask_in, make):
    """OpenAI's models hear nothing in responses."""
    sound = {"data": base64.b64encode(make.sound()).decode(), "format": "wav"}
    answer = ask_in("responses", {"type": "input_audio", "input_audio": sound})
    assert (answer.status_code, error(answer)["code"]) == (400, "invalid_value")


@pytest.mark.parametrize(
    ("dialect", "status", "said"),
    [
        ("chat", 500, "get file base64 from url 'https://***.com/***' failed"),
        ("messages", 500, "get file base64 from url 'https://***.com/***' failed"),
        ("responses", 400, "Error while downloading the image: "),
        ("generate_content", 400, "Cannot fetch content from the provided URL: "),
    ],
)
def test_media_not_to_be_had(ask_in, dialect, status, said):
    """The gateway fails to fetch for chat and messages, the vendor for the others, each in its own words."""
    answer = ask_in(dialect, picture_part(dialect, url="http://127.0.0.1:1/x.png?sig=secret"))
    assert answer.status_code == status
    assert error(answer)["message"].startswith(said)
    assert "secret" not in answer.text


@pytest.mark.parametrize("dialect", ["responses", "generate_content"])
def test_media_that_are_none(ask_in, dialect):
    """What is no picture is refused by the vendor."""
    answer = ask_in(dialect, picture_part(dialect, content=b"hello"))
    assert (answer.status_code, "invalid image content" in error(answer)["message"]) == (400, True)


def test_kinds_of_files(ask_in, sandbox):
    """The kind of a file is what its type says, else its name; an image by default."""
    uris = [
        {"fileUri": "http://127.0.0.1:1/a", "mimeType": "video/mp4"},
        {"fileUri": "http://127.0.0.1:1/a.mp3"},
        {"fileUri": "http://[/a.mp3"},
    ]
    ask_in("generate_content", *({"fileData": uri} for uri in uris))
    assert [medium.kind for medium in sandbox.ledger()[0].media] == ["video", "audio", "image"]
    assert sandbox.ledger()[0].media[2] == Seen(kind="image", where="no URL")


SCHEMA = {"type": "object", "properties": {"caption": {"type": "string"}}, "required": ["caption"]}
WISH = {"response_format": {"type": "json_schema", "json_schema": {"name": "x", "schema": SCHEMA}}}


@pytest.mark.parametrize("model", ["claude-opus-4-5-20251101", "glm-4.5v"])
def test_schemas_that_are_dropped(ask_in, model):
    """Chat drops the schema for Claude and GLM without a word, and the answer is prose."""
    text = ask_in("chat", model=model, **WISH).json()["choices"][0]["message"]["content"]
    assert text.startswith("The prompt has 2 words")


@pytest.mark.parametrize(
    ("dialect", "members"),
    [
        ("chat", {"response_format": {"type": "json_object"}}),
        ("responses", {"text": {"format": {"type": "json_object"}}}),
        ("generate_content", {"generationConfig": {"responseMimeType": "application/json"}}),
    ],
)
def test_any_object(ask_in, sandbox, dialect, members):
    """An answer in JSON may be asked for without a schema."""
    assert '{\\"description\\": \\"The prompt has 2 words' in ask_in(dialect, **members).text
    assert sandbox.ledger()[0].completion_tokens == 21  # 62 bytes and 19 around them


def test_faults_of_structured_output(ask_in, sandbox):
    """JSON comes in a fence, cut, or without a required member, and is billed as it comes."""
    told = {}
    for name in ("fenced_json", "broken_json", "wrong_schema"):
        model = f"gemini-2.0-flash+fault={name}"
        told[name] = ask_in("chat", model=model, **WISH).json()["choices"][0]["message"]["content"]
    full = json.dumps({"caption": "The prompt has 2 words; no image, sound or video came with it."})
    assert told == {"fenced_json": f"```json\n{full}\n```", "broken_json": full[:38], "wrong_schema": "{}"}
    assert [entry.completion_tokens for entry in sandbox.ledger()] == [23, 10, 1]  # 77 + 12, 38 and 2 bytes


def test_wrong_without_required_members(ask_in):
    """Where no member is required, the wrong answer is a list."""
    wish = {"response_format": {"type": "json_schema", "json_schema": {"schema": {"type": "array"}}}}
    answer = ask_in("chat", model="gemini-2.0-flash+fault=wrong_schema", **wish)
    said = json.loads(answer.json()["choices"][0]["message"]["content"])
    assert said == [["The prompt has 2 words; no image, sound or video came with it."]]


def test_limits_hold_for_all_dialects(ask_in, sandbox):
    """A minute is one minute, whatever the dialect."""
    sandbox.behave("*", Behaviour(requests_per_minute=2))
    model = "claude-opus-4-5-20251101"
    statuses = [ask_in(dialect, model=model).status_code for dialect in ("chat", "messages", "messages")]
    assert statuses == [200, 200, 429]
