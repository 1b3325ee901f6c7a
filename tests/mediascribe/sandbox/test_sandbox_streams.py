"""Streams over real HTTP: their events, how they add up, and how they break."""

from __future__ import annotations

import json

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mediascribe.sandbox import Behaviour, Fault
from mediascribe.sandbox.streams import Event, slices, split_oddly

TEXT = "The prompt has 2 words; no image, sound or video came with it."
DIALECTS = ("chat", "responses", "messages", "generate_content")


def events(answer):
    """The values behind `data:`, read as strictly as the sandbox writes them."""
    blocks = [block for block in answer.text.split("\n\n") if not block.startswith(":")]
    lines = [line for block in blocks for line in block.split("\n") if line.startswith("data: ")]
    return [line[6:] if line == "data: [DONE]" else json.loads(line[6:]) for line in lines]


def chat_text(chunks):
    deltas = [choice["delta"] for chunk in chunks if chunk != "[DONE]" for choice in chunk.get("choices", [])]
    return "".join(delta.get("content") or "" for delta in deltas)


TEXT_OF = {
    "chat": chat_text,
    "responses": lambda told: "".join(one["delta"] for one in told if one["type"] == "response.output_text.delta"),
    "messages": lambda told: "".join(
        one["delta"].get("text", "") for one in told if one["type"] == "content_block_delta"
    ),
    "generate_content": lambda told: "".join(
        part["text"] for one in told for part in one.get("candidates", [{}])[0].get("content", {}).get("parts", [])
    ),
}


@pytest.fixture
def play(sandbox, ask_in):
    """A stream that meets a fault."""

    def asked(dialect, name, *parts, **members):
        sandbox.behave("*", Behaviour(faults=(Fault(name),)))
        return ask_in(dialect, *parts, stream=True, **members)

    return asked


@pytest.mark.parametrize("dialect", DIALECTS)
def test_streams_add_up(ask_in, sandbox, dialect):
    """The pieces of a stream are the words of the answer, and there is more than one."""
    answer = ask_in(dialect, stream=True)
    told = events(answer)
    assert answer.headers["Content-Type"] == "text/event-stream"
    assert "Content-Length" not in answer.headers
    assert TEXT_OF[dialect](told) == TEXT
    assert len(told) >= 6  # 13 words, three at a time
    entry = sandbox.ledger()[0]
    assert (entry.stream, entry.finished, entry.status, entry.completion_tokens) == (True, True, 200, 16)


def test_chat(ask_in):
    """Role first, then reasoning, text, the reason to end, the usage with empty choices, and [DONE]."""
    told = events(ask_in("chat", stream=True, thinking={"type": "enabled"}))
    assert told[0]["choices"][0]["delta"] == {"role": "assistant", "content": ""}
    kinds = ["".join(chunk["choices"][0]["delta"]) for chunk in told[1:-3]]
    assert kinds == sorted(kinds, reverse=True)  # reasoning_content before content
    assert set(kinds) == {"reasoning_content", "content"}
    assert told[-3]["choices"][0]["finish_reason"] == "stop"
    assert told[-2]["choices"] == []
    assert told[-1] == "[DONE]"
    assert {chunk["object"] for chunk in told[:-1]} == {"chat.completion.chunk"}


def test_gemini_through_chat_has_no_split(ask_in, sandbox):
    """In a stream of Gemini through chat the text tokens are all of the prompt's; others are as they were."""
    usage = events(ask_in("chat", stream=True))[-2]["usage"]
    assert usage["prompt_tokens_details"]["text_tokens"] == usage["prompt_tokens"] == 3
    sandbox.reset()
    claude = events(ask_in("chat", stream=True, model="claude-opus-4-5-20251101"))[-2]["usage"]
    assert claude["prompt_tokens_details"]["text_tokens"] == 0


def test_gemini_overwrites_the_text_tokens(ask_in, make):
    """The overwritten text tokens hold the picture as well."""
    part = make.part("image", make.data_url("image/png", make.image(10, 10)))
    usage = events(ask_in("chat", part, stream=True))[-2]["usage"]
    assert usage["prompt_tokens_details"]["text_tokens"] == 3 + 258


@pytest.mark.parametrize(
    ("wish", "told"), [({}, True), ({"include_usage": True}, True), ({"include_usage": False}, False)]
)
def test_include_usage(ask_in, sandbox, wish, told):
    """The usage is left out where it is explicitly not wanted; the bill is not."""
    chunks = events(ask_in("chat", stream=True, stream_options=wish))[:-1]
    assert any("usage" in chunk for chunk in chunks) == told
    assert sandbox.ledger()[0].completion_tokens == 16


def test_responses(ask_in):
    """The events of a response are named, numbered, and end with all of it."""
    answer = ask_in("responses", stream=True)
    told = events(answer)
    assert [one["sequence_number"] for one in told] == list(range(len(told)))
    names = [line[7:] for line in answer.text.split("\n") if line.startswith("event: ")]
    assert names == [one["type"] for one in told]
    assert names[:4] == [
        "response.created",
        "response.in_progress",
        "response.output_item.added",
        "response.content_part.added",
    ]
    assert names[-4:] == [
        "response.output_text.done",
        "response.content_part.done",
        "response.output_item.done",
        "response.completed",
    ]
    assert told[-1]["response"]["output"][0]["content"][0]["text"] == TEXT
    assert told[0]["response"]["usage"] is None
    cut = events(ask_in("responses", stream=True, max_output_tokens=5))
    assert cut[-1]["type"] == "response.incomplete"


def test_messages(ask_in):
    """A message's stream has the input's usage in its first event, the output's in the last but one."""
    told = events(ask_in("messages", stream=True))
    assert [one["type"] for one in told[:3]] == ["message_start", "ping", "content_block_start"]
    assert [one["type"] for one in told[-3:]] == ["content_block_stop", "message_delta", "message_stop"]
    assert told[0]["message"]["usage"]["input_tokens"] == 3
    assert told[-2]["usage"] == {"output_tokens": 16}
    assert told[-2]["delta"]["stop_reason"] == "end_turn"


def test_generate_content(ask_in):
    """Google's chunks have the prompt's usage; the last has all of it and the reason to end, and no [DONE] follows."""
    told = events(ask_in("generate_content", stream=True))
    assert {one["usageMetadata"]["promptTokenCount"] for one in told} == {3}
    assert ["candidatesTokenCount" in one["usageMetadata"] for one in told] == [False] * (len(told) - 1) + [True]
    assert ["finishReason" in one["candidates"][0] for one in told] == [False] * (len(told) - 1) + [True]


@pytest.mark.parametrize("dialect", DIALECTS)
def test_cut(play, sandbox, dialect):
    """An upstream's cut leaves half of the text and no reason to end; chat ends in good order, with an estimate."""
    told = events(play(dialect, "stream_cut"))
    assert TEXT_OF[dialect](told) == TEXT[:32]
    entry = sandbox.ledger()[0]
    assert (entry.billed, entry.finished, entry.completion_tokens) == (True, True, 8)
    if dialect == "chat":
        assert told[-1] == "[DONE]"
        assert told[-2]["usage"]["completion_tokens"] == 8
        assert not any(choice["finish_reason"] for chunk in told[:-1] for choice in chunk["choices"])
    else:
        assert told[-1] != "[DONE]"
        last = {"responses": "response.output_text.delta", "messages": "content_block_delta"}
        assert told[-1].get("type") == last.get(dialect)
        assert "finishReason" not in json.dumps(told)


def test_a_cut_is_estimated(play, sandbox, make):
    """The estimate of a cut stream has round numbers for media, and is what is billed."""
    part = make.part("image", make.data_url("image/png", make.image(960, 540)))
    told = events(play("chat", "stream_cut", part))
    assert told[-2]["usage"]["prompt_tokens"] == 3 + 520
    assert sandbox.ledger()[0].image_tokens == 520


@pytest.mark.parametrize("dialect", DIALECTS)
def test_error_amidst(play, sandbox, dialect):
    """An error comes as an event after some text, and nothing follows; what was said is billed."""
    told = events(play(dialect, "stream_error"))
    assert TEXT.startswith(TEXT_OF[dialect](told[:-1]))
    assert TEXT_OF[dialect](told[:-1])
    assert "error" in (told[-1].get("type"), *told[-1])
    assert sandbox.ledger()[0].billed


@pytest.mark.parametrize("dialect", ["chat", "messages"])
def test_no_done(play, dialect):
    """The end mark is missing, and all else is there."""
    answer = play(dialect, "stream_no_done")
    assert TEXT_OF[dialect](events(answer)) == TEXT
    assert "[DONE]" not in answer.text
    assert "message_stop" not in answer.text


@pytest.mark.parametrize("dialect", DIALECTS)
def test_no_usage(play, sandbox, dialect):
    """A stream may tell no usage, and is billed all the same."""
    answer = play(dialect, "stream_no_usage")
    assert TEXT_OF[dialect](events(answer)) == TEXT
    assert "_tokens" not in answer.text.replace("max_output_tokens", "")
    assert "TokenCount" not in answer.text
    assert sandbox.ledger()[0].completion_tokens == 16


@pytest.mark.parametrize("dialect", DIALECTS)
def test_comments(play, dialect):
    """Comments stand before every event and disturb none."""
    answer = play(dialect, "stream_comments")
    assert answer.text.startswith(": PING\n\n")
    assert answer.text.count(": PING\n\n") == len(events(answer))
    assert TEXT_OF[dialect](events(answer)) == TEXT


@pytest.mark.parametrize("dialect", DIALECTS)
def test_split(sandbox, ask_in, dialect):
    """The same events, with CRLF and no space behind the colon."""
    sandbox.behave("*", Behaviour(faults=(Fault("stream_split"),)))
    content = ask_in(dialect, stream=True).content
    assert b"data: " not in content
    assert content.count(b"\n") == content.count(b"\r\n")
    lines = [line[5:] for line in content.decode().split("\r\n") if line.startswith("data:")]
    assert TEXT_OF[dialect]([line if line == "[DONE]" else json.loads(line) for line in lines]) == TEXT


def test_split_in_a_character():
    """The cuts fall every seven bytes, also within a character."""
    pieces = split_oddly([Event(value={"text": "abcdefü"}).encoded()])
    assert pieces == [b'data:{"', b'text":"', b"abcdef\xc3", b'\xbc"}\r\n\r\n'[:7]]


@pytest.mark.parametrize("dialect", DIALECTS)
def test_reset(sandbox, ask_in, dialect):
    """The connection is reset in the middle: status 200, some bytes, and then an error; it is billed."""
    sandbox.behave("*", Behaviour(faults=(Fault("stream_reset"),)))
    with pytest.raises(httpx.TransportError):
        ask_in(dialect, stream=True)
    sandbox.drain()
    (entry,) = sandbox.ledger()
    assert (entry.billed, entry.status, entry.finished) == (True, 200, False)


def test_errors_under_a_streams_type(ask_in, sandbox):
    """What the gateway refuses before it asks the upstream is plain JSON; what comes later has a stream's type."""
    early = ask_in("chat", stream=True, max_tokens="9")
    assert early.headers["Content-Type"] == "application/json"
    sandbox.behave("*", Behaviour(faults=(Fault("http_503"),)))
    late = ask_in("chat", stream=True)
    assert (late.status_code, late.headers["Content-Type"]) == (503, "text/event-stream")
    assert late.json()["error"]["code"] == "upstream_error"
    assert ask_in("chat").headers["Content-Type"] == "application/json"


@pytest.mark.parametrize(
    ("dialect", "status"), [("chat", 500), ("messages", 500), ("responses", 400), ("generate_content", 400)]
)
def test_media_are_probed(ask_in, sandbox, dialect, status):
    """For a stream the gateway wants a 200 from the origin, where it fetches itself; else the vendor fails."""
    url = sandbox.media_url + "missing.png"
    part = {
        "chat": {"type": "image_url", "image_url": {"url": url}},
        "messages": {"type": "image", "source": {"type": "url", "url": url}},
        "responses": {"type": "input_image", "image_url": url},
        "generate_content": {"fileData": {"fileUri": url}},
    }
    answer = ask_in(dialect, part[dialect], stream=True)
    assert answer.status_code == status
    if dialect == "chat":
        assert answer.json()["error"]["code"] == "count_token_failed"
        assert ask_in(dialect, part[dialect]).json()["error"]["code"] == "convert_request_failed"


def test_chunk_pause(ask_in, sandbox):
    """A stream with pauses is whole in the end."""
    sandbox.behave("*", Behaviour(chunk_pause_s=0.001))
    assert chat_text(events(ask_in("chat", stream=True))) == TEXT


@pytest.mark.parametrize("faults", [(), (Fault("stream_reset"),)])
def test_client_that_leaves(sandbox, faults):
    """A client that leaves amidst a stream is billed, and the ledger says that not all of it arrived."""
    sandbox.behave("*", Behaviour(chunk_pause_s=0.05, faults=faults))
    body = {"model": "gemini-2.0-flash", "stream": True, "messages": [{"role": "user", "content": "Hi"}]}
    headers = {"Authorization": f"Bearer {sandbox.api_key}"}
    url = sandbox.url + "/chat/completions"
    with httpx.Client(trust_env=False) as client, client.stream("POST", url, json=body, headers=headers) as answer:
        next(answer.iter_raw())
    sandbox.drain()
    (entry,) = sandbox.ledger()
    assert (entry.billed, entry.finished, entry.status) == (True, False, None)


def test_content_that_is_a_list(play):
    """A content of parts comes as one delta."""
    told = events(play("chat", "content_array"))
    deltas = [choice["delta"] for chunk in told[:-1] for choice in chunk["choices"]]
    assert [{"type": "text", "text": TEXT}] in [delta.get("content") for delta in deltas]


def test_refusals_are_streamed(play):
    """A refusal has its own deltas."""
    told = events(play("responses", "refusal"))
    said = "".join(one["delta"] for one in told if one["type"] == "response.refusal.delta")
    assert said == "I cannot help with describing this."
    assert any(
        "refusal" in choice["delta"] for one in events(play("chat", "refusal"))[:-1] for choice in one["choices"]
    )


@settings(max_examples=80)
@given(text=st.text(max_size=400))
def test_slices_add_up(text):
    """Slices lose nothing, and are at most 64."""
    assert "".join(slices(text)) == text
    assert len(slices(text)) <= 64
