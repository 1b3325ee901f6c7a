"""Streams of all dialects become the answers that they are unstreamed, or an error that says what to do."""

import json
from types import MappingProxyType

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from streams import (
    BILL,
    CHAT,
    DONE,
    GEMINI,
    MESSAGES,
    RESPONSES,
    STOP,
    STREAMS,
    USAGE,
    block_delta,
    block_start,
    delta,
    gemini,
    message_delta,
    message_start,
    response,
    sse,
)

from mediascribe import wire
from mediascribe.domain import Media, Request
from mediascribe.errors import (
    AttemptError,
    InDoubtError,
    PermanentError,
    RateLimitedError,
    StopRunError,
    TransientError,
)
from mediascribe.wire import Answer
from mediascribe.wire.stream import OUTCOMES, assemble

HEADERS = MappingProxyType({"content-type": "text/event-stream", "x-oneapi-request-id": "20261123"})
PING = b": PING\n\n"
LATE_ERROR = {"error": {"message": "upstream went away", "type": "upstream_error", "code": "do_request_failed"}}


def streamed(body, status=200, **headers):
    headers = {key.replace("_", "-"): value for key, value in headers.items()}
    return Answer(status=status, headers={**HEADERS, **headers}, body=body)


def assembled(body, dialect="chat"):
    return json.loads(assemble(streamed(body), dialect).body)


def refused(body, dialect="chat", status=200, **headers):
    with pytest.raises(AttemptError) as caught:
        assemble(streamed(body, status, **headers), dialect)
    return caught.value


def outcome(body, dialect, status=200):
    """What becomes of a stream: the answer, or the error."""
    try:
        return assemble(streamed(body, status), dialect)
    except AttemptError as error:
        return error


def asking(dialect, *kinds, model="m"):
    media = tuple(Media(kind=kind, url="https://example.org/1") for kind in kinds)
    return Request(model=model, dialect=dialect, prompt="What?", media=media, identity=media, stream=True)


def decoded(body, dialect="chat"):
    answer = assemble(streamed(body), dialect)
    return wire.DIALECTS[dialect].decode(answer, asking(dialect))


EVENTS = MappingProxyType({"chat": CHAT, "responses": RESPONSES, "messages": MESSAGES, "generate_content": GEMINI})
# How many bytes of each dialect's stream stand before its last text is safe.
SAFE = MappingProxyType(
    {
        "chat": len(sse(*CHAT[:4])),
        "responses": len(sse(*RESPONSES[:-1])),
        "messages": len(sse(*MESSAGES[:-2])),
        "generate_content": len(sse(*GEMINI[:-1])),
    }
)
DIALECTS = tuple(STREAMS)


@pytest.mark.parametrize("dialect", DIALECTS)
def test_decoders_know_nothing_of_streams(dialect):
    """Each dialect's own decoder reads the assembled answer."""
    completion = decoded(STREAMS[dialect], dialect)
    assert (completion.status, completion.text) == ("ok", "A cät sits.")
    assert completion.usage.total_tokens == (16 if dialect == "messages" else 13)  # 9 + 4, and 3 from Claude's cache
    assert completion.gateway_request_id == "20261123"


@pytest.mark.parametrize("dialect", DIALECTS)
def test_status_and_headers_stay(dialect):
    """Only the content type of an assembled answer is another."""
    answer = assemble(streamed(STREAMS[dialect], x_dashscope_partialresponse="true"), dialect)
    assert answer.status == 200
    assert answer.headers == {
        "content-type": "application/json",
        "x-oneapi-request-id": "20261123",
        "x-dashscope-partialresponse": "true",
    }


# Outcomes


def test_outcomes_have_a_last_row():
    """Whatever a stream shows, a row of the table fits it."""
    assert OUTCOMES[-1].signs == frozenset()


TEXT = sse(delta("A cat"))
FINISH = sse(delta(finish_reason="stop"))
BILLED = sse(BILL)
WITHOUT_BILL = {"id": "chatcmpl-1", "created": 1766735188, "model": "gpt-4o-2024-08-06"}


@pytest.mark.parametrize(
    ("body", "usage"),
    [
        pytest.param(TEXT + FINISH + BILLED + DONE, USAGE, id="whole"),
        pytest.param(TEXT + FINISH + BILLED, USAGE, id="cut before [DONE]"),
        pytest.param(TEXT + FINISH + DONE, None, id="no usage"),
        pytest.param(TEXT + FINISH, None, id="cut before the usage"),
        pytest.param(TEXT + FINISH + BILLED[:-40], None, id="cut within the usage"),
        pytest.param(TEXT + FINISH + sse(LATE_ERROR), None, id="an error behind the end"),
        pytest.param(PING + TEXT + PING + FINISH + PING + BILLED + DONE, USAGE, id="comments everywhere"),
        pytest.param(sse({**delta("A cat", finish_reason="stop"), "usage": USAGE}), USAGE, id="all in one chunk"),
        pytest.param(sse(delta(finish_reason="stop")) + TEXT + BILLED + DONE, USAGE, id="the reason before the text"),
    ],
)
def test_kept(body, usage):
    """A stream in which the model said why it stopped is the answer, whatever became of its end."""
    got = assembled(body)
    assert got["choices"][0]["message"]["content"] == "A cat"
    assert got["choices"][0]["finish_reason"] == "stop"
    assert got.get("usage") == usage


CUT, EMPTY = "stream_cut", "stream_empty"


@pytest.mark.parametrize(
    ("body", "code", "tokens"),
    [
        pytest.param(TEXT + BILLED + DONE, CUT, 13, id="cut upstream, billed by an estimate"),
        pytest.param(TEXT + DONE, CUT, 0, id="cut upstream, no usage"),
        pytest.param(BILLED + DONE, CUT, 13, id="a usage alone"),
        pytest.param(TEXT, CUT, 0, id="cut between chunks"),
        pytest.param(TEXT + FINISH[:-20], CUT, 0, id="cut within the chunk that ends it"),
        pytest.param(TEXT[:60], CUT, 0, id="cut within the first chunk"),
        pytest.param(TEXT + TEXT[:60] + b"\n\n" + BILLED + DONE, CUT, 13, id="a chunk in the middle is cut"),
        pytest.param(TEXT + TEXT[:60] + b"\n\n" + FINISH + DONE, CUT, 0, id="and the reason comes behind it"),
        pytest.param(b'{"choices": [{"mess', CUT, 0, id="not streamed, and cut"),
        pytest.param(PING * 3, EMPTY, 0, id="only comments"),
        pytest.param(DONE, EMPTY, 0, id="only [DONE]"),
        pytest.param(b"data: PING\n\n", EMPTY, 0, id="only texts that are no JSON"),
        pytest.param(b"upstream error", EMPTY, 0, id="no events"),
        pytest.param(b"", EMPTY, 0, id="no body"),
    ],
)
def test_in_doubt(body, code, tokens):
    """A stream without a reason to stop is no answer and may have been billed; the usage that it has is kept."""
    error = refused(body)
    assert type(error) is InDoubtError
    assert (error.failure.error_class, error.failure.code, error.failure.http_status) == ("malformed", code, 200)
    assert error.failure.usage.total_tokens == tokens
    assert error.failure.gateway_request_id == "20261123"
    assert str(len(body)) in error.failure.message


def test_what_is_known_of_a_cut_stream():
    """A cut stream's failure names the model and the response as far as they are known."""
    failure = refused(TEXT).failure
    assert (failure.model_returned, failure.response_id) == ("gpt-4o-2024-08-06", "chatcmpl-1")


def faulty(kind, code):
    return {"error": {"message": "no (request id: 77)", "type": kind, "code": code}}


@pytest.mark.parametrize(
    ("said", "alone", "behind_text", "error_class"),
    [
        (LATE_ERROR, TransientError, InDoubtError, "server"),
        (faulty("overloaded_error", None), TransientError, InDoubtError, "server"),
        (faulty("rate_limit_error", None), RateLimitedError, InDoubtError, "rate_limit"),
        (faulty("new_api_error", "convert_request_failed"), PermanentError, PermanentError, "media"),
        (faulty("new_api_error", "model_not_found"), StopRunError, StopRunError, "config"),
        (faulty("new_api_error", "insufficient_user_quota"), StopRunError, StopRunError, "quota"),
    ],
)
def test_error_chunks(said, alone, behind_text, error_class):
    """An error in a stream is what its words say; behind text it is in doubt, unless the next try would fail too."""
    for before, expected in (
        (b"", alone),
        (PING, alone),
        (sse(delta("", role="assistant")), alone),
        (TEXT, behind_text),
    ):
        for body in (before + sse(said) + DONE, before + json.dumps(said).encode()):
            error = refused(body)
            assert type(error) is expected
            assert error.failure.error_class == error_class


def test_error_behind_what_cannot_be_read():
    """Text that can only be read behind a broken chunk is text too."""
    assert type(refused(b'data: {"id\n\n' + TEXT + sse(LATE_ERROR))) is InDoubtError


def test_error_in_a_chunk_that_ends():
    """An error beats the reason that stands in the same chunk."""
    assert type(refused(TEXT + sse({**delta(finish_reason="error"), **LATE_ERROR}))) is InDoubtError


def test_error_keeps_what_is_known():
    """An error's failure has the usage, the ids and the wait of its stream."""
    said = faulty("rate_limit_error", None)
    error = refused(sse(delta(), BILL, said), retry_after="7")
    assert type(error) is RateLimitedError
    assert error.wait_s == 7
    assert error.failure.usage.total_tokens == 13
    assert (error.failure.response_id, error.failure.model_returned) == ("chatcmpl-1", "gpt-4o-2024-08-06")
    assert (error.failure.code, error.failure.message) == ("rate_limit_error", "no")
    assert error.failure.gateway_request_id == "20261123"


def test_pretty_error_with_a_stream_s_content_type():
    """An error body that is JSON over many lines, without `data:`, is that error."""
    body = json.dumps(faulty("new_api_error", "convert_request_failed"), indent=2).encode()
    assert refused(body).failure.error_class == "media"
    assert refused(PING + body, status=500).failure.error_class == "media"


def test_error_event_of_a_refused_request():
    """An error event is read under a status that is an error, too."""
    error = refused(sse({"type": "error", **faulty("overloaded_error", None)}), "messages", status=529)
    assert type(error) is TransientError
    assert error.failure.http_status == 529


UNSTREAMED = {"id": "chatcmpl-1", "choices": [{"index": 0, "message": {"content": "A cat"}, "finish_reason": "stop"}]}


@pytest.mark.parametrize("before", [b"", PING, b"\xef\xbb\xbf"])
def test_not_streamed_after_all(before):
    """An answer that is one JSON object is left to the decoder, without what stood before it."""
    answer = assemble(streamed(before + json.dumps(UNSTREAMED).encode()), "chat")
    assert json.loads(answer.body) == UNSTREAMED
    assert answer.headers["content-type"] == "application/json"


@pytest.mark.parametrize(
    ("body", "status"),
    [
        pytest.param(b"<!DOCTYPE html><html><script>\n{\ndata: 1\n</script></html>", 200, id="a web page"),
        pytest.param(b"  <html></html>", 502, id="a web page that is an error"),
        pytest.param(b"", 429, id="an empty 429"),
        pytest.param(b"bad gateway", 502, id="text"),
        pytest.param(TEXT, 500, id="a cut stream under an error's status"),
    ],
)
def test_left_to_the_decoder(body, status):
    """A web page, and an error's status without an error object, are for the decoder to name."""
    answer = streamed(body, status)
    assert assemble(answer, "chat") is answer


def test_empty_429_in_a_stream_is_a_rate_limit():
    """An empty 429 to a streamed request is waited for, as ever."""
    with pytest.raises(RateLimitedError):
        wire.DIALECTS["chat"].decode(streamed(b"", 429), asking("chat"))


# Chat


def said(*deltas, **more):
    return assembled(sse(*(delta(**one) for one in deltas), delta(finish_reason="stop"), BILL) + DONE)["choices"][0]


@pytest.mark.parametrize(
    ("deltas", "expected"),
    [
        pytest.param([{"text": "a"}, {"text": "b"}], {"content": "ab"}, id="strings"),
        pytest.param(
            [{"text": [{"type": "text", "text": "a"}, {"type": "image_url", "image_url": {}}]}, {"text": "b"}],
            {"content": "ab"},
            id="parts",
        ),
        pytest.param([{"text": ["a", 7]}, {"text": "b"}], {"content": "ab"}, id="parts that are strings"),
        pytest.param(
            [{"reasoning_content": "hm"}, {"reasoning_content": "m"}, {"text": "a"}],
            {"content": "a", "reasoning_content": "hmm"},
            id="reasoning_content",
        ),
        pytest.param([{"reasoning": "hm"}, {"text": "a"}], {"content": "a", "reasoning": "hm"}, id="reasoning"),
        pytest.param([{"refusal": "I "}, {"refusal": "won't"}], {"content": None, "refusal": "I won't"}, id="refusal"),
        pytest.param([{"role": "assistant"}], {"content": None}, id="nothing said"),
        pytest.param(
            [{"text": "a", "tool_calls": [{"index": 0, "function": {"arguments": "{"}}]}], {"content": "a"}, id="tools"
        ),
        pytest.param([{"text": "a"}, {"text": "other", "index": 1}], {"content": "a"}, id="a second choice"),
    ],
)
def test_chat_message(deltas, expected):
    """Each text of a message is the sum of its deltas, those of the first choice only."""
    assert said(*deltas)["message"] == {"role": "assistant", **expected}


@pytest.mark.parametrize(
    ("reasons", "expected"),
    [((None, "length", None), "length"), (("", "stop", None), "stop"), (("stop", "content_filter"), "content_filter")],
)
def test_chat_finish_reason(reasons, expected):
    """The reason comes from whichever chunk has one; the last wins."""
    body = sse(*(delta("a", finish_reason=reason) for reason in reasons)) + DONE
    assert assembled(body)["choices"][0]["finish_reason"] == expected


@pytest.mark.parametrize(
    ("usages", "expected"),
    [
        pytest.param([None, None, USAGE], USAGE, id="in the last chunk"),
        pytest.param([USAGE, None, None], USAGE, id="in the first chunk"),
        pytest.param([{"prompt_tokens": 9}, {"prompt_tokens": 9, "x": [1]}], {"prompt_tokens": 9, "x": [1]}, id="last"),
        pytest.param([USAGE, {}, "none"], USAGE, id="empty ones and other types are none"),
    ],
)
def test_chat_usage(usages, expected):
    """The usage is the last object that there is, as it came."""
    chunks = [{**delta("a", finish_reason="stop"), "usage": usage} for usage in usages]
    assert assembled(sse(*chunks) + DONE)["usage"] == expected


def test_chat_usage_in_the_choice():
    """Without a usage of its own, a stream has that of its choice."""
    last = delta(finish_reason="stop")
    last["choices"][0]["usage"] = USAGE
    assert assembled(TEXT + sse(last) + DONE)["usage"] == USAGE


def test_chat_whole_message_at_the_end():
    """A last chunk that repeats the whole message as `chat.completion` says nothing twice."""
    last = {**UNSTREAMED, "object": "chat.completion"}
    assert assembled(TEXT + sse(last) + DONE)["choices"][0]["message"]["content"] == "A cat"


def test_chat_messages_in_the_place_of_deltas():
    """A `message` in a chunk is read like a `delta`."""
    pieces = [
        {"choices": [{"message": {"content": text}, "finish_reason": end}]}
        for text, end in (("A ", ""), ("cat", "stop"))
    ]
    assert assembled(sse(*pieces))["choices"][0]["message"]["content"] == "A cat"


def test_chat_ids_come_from_the_first_chunk_that_has_them():
    """`id`, `model` and `created` are those of the first chunk that has them, and are missing where none has."""
    nameless = {"choices": [{"delta": {"content": "a"}}], "id": "", "model": None, "created": 0}
    other = {**delta(finish_reason="stop"), "id": "other"}
    assert assembled(sse(nameless) + TEXT + sse(other)).items() >= WITHOUT_BILL.items()
    assert not assembled(sse({"choices": [{"finish_reason": "stop"}]})).keys() & WITHOUT_BILL.keys()


@pytest.mark.parametrize("audio_tokens", [175, 0])
def test_streamed_gemini_usage_derives_nothing_false(audio_tokens):
    """Streamed, Gemini's text count is the whole prompt (gateway notes 2.4): no image tokens are derived from it."""
    details = {"cached_tokens": 0, "text_tokens": 1986, "audio_tokens": audio_tokens, "image_tokens": 0}
    usage = {"prompt_tokens": 1986, "completion_tokens": 83, "total_tokens": 2069, "prompt_tokens_details": details}
    body = sse(delta("A cat", finish_reason="stop"), {**BILL, "usage": usage}) + DONE
    asked = asking("chat", "image", "audio", model="gemini-2.0-flash")
    got = wire.DIALECTS["chat"].decode(streamed(body), asked).usage
    assert (got.prompt_tokens, got.completion_tokens, got.total_tokens) == (1986, 83, 2069)
    assert (got.prompt_image_tokens, got.prompt_video_tokens, got.prompt_audio_tokens) == (0, 0, audio_tokens)
    assert json.loads(got.raw) == usage


# Responses


@pytest.mark.parametrize("status", ["completed", "incomplete", "failed"])
def test_responses_take_the_last_event(status):
    """The response of the event that ends the stream is the answer, for the decoder to name."""
    last = {"type": f"response.{status}", "sequence_number": 4, "response": response(status)}
    assert assembled(sse(*RESPONSES[:-1], last), "responses") == response(status)


def test_responses_with_an_empty_output():
    """A last response without output has that of the items that were done before (new-api issue 4362)."""
    last = {"type": "response.completed", "response": response(output=[])}
    assert assembled(sse(*RESPONSES[:-1], last), "responses") == response()


def test_responses_cut():
    """Without a last event there is no answer, and what the first one says is kept."""
    failure = refused(sse(*RESPONSES[:-1]), "responses").failure
    assert (failure.code, failure.response_id, failure.model_returned) == (CUT, "resp_1", "gpt-5.1-codex")
    assert refused(sse(*RESPONSES[:-1], {"type": "response.completed"}), "responses").failure.code == CUT


@pytest.mark.parametrize(("before", "expected"), [(RESPONSES[:1], RateLimitedError), (RESPONSES[:2], InDoubtError)])
def test_responses_error_events(before, expected):
    """OpenAI's flat error event is a fault of its code."""
    event = {"type": "error", "code": "rate_limit_exceeded", "message": "slow down", "param": None}
    error = refused(sse(*before, {**event, "sequence_number": 9}), "responses")
    assert type(error) is expected
    assert (error.failure.code, error.failure.message) == ("rate_limit_exceeded", "slow down")


# Messages


def message(*chunks):
    return assembled(sse(*chunks), "messages")


@pytest.mark.parametrize(
    ("start", "end", "expected"),
    [
        pytest.param({}, {"input_tokens": 0, "cache_read_input_tokens": 0}, (9, 3, 4), id="zeros at the end"),
        pytest.param({}, {"input_tokens": None, "cache_read_input_tokens": None}, (9, 3, 4), id="nulls at the end"),
        pytest.param({}, {"input_tokens": 9, "cache_read_input_tokens": 3}, (9, 3, 4), id="repeated"),
        pytest.param({"input_tokens": 0, "cache_read_input_tokens": 0}, {"input_tokens": 12}, (12, 0, 4), id="late"),
        pytest.param({}, {"output_tokens": 0}, (9, 3, 1), id="no output at the end"),
    ],
)
def test_messages_usage(start, end, expected):
    """The input side is told first, the output side last; a zero replaces nothing known."""
    usage = message(message_start(**start), block_start(0, "text", text="a"), message_delta(**end), STOP)["usage"]
    assert tuple(usage[member] for member in ("input_tokens", "cache_read_input_tokens", "output_tokens")) == expected


def test_messages_usage_with_parts():
    """Zeros in the parts of a usage replace nothing known either."""
    told = {"ephemeral_5m_input_tokens": 7, "ephemeral_1h_input_tokens": 0}
    later = {"ephemeral_5m_input_tokens": 0, "ephemeral_1h_input_tokens": 2}
    usage = message(message_start(cache_creation=told), message_delta(cache_creation=later), STOP)["usage"]
    assert usage["cache_creation"] == {"ephemeral_5m_input_tokens": 7, "ephemeral_1h_input_tokens": 2}


def test_messages_output_is_cumulative():
    """Of several counts of the output, the last holds."""
    got = message(message_start(), message_delta(None, output_tokens=2), message_delta(output_tokens=5), STOP)
    assert (got["usage"]["output_tokens"], got["stop_reason"]) == (5, "end_turn")


def test_messages_blocks():
    """Blocks stand in the order of their index; a block that starts with text goes on from there; tools stay empty."""
    got = message(
        message_start(),
        block_start(1, "tool_use", id="t", name="n", input={}),
        block_delta(1, "input_json_delta", partial_json='{"a"'),
        block_start(0, "text", text="A "),
        block_delta(0, "text_delta", text="cat"),
        block_delta(2, "text_delta", text="its start was lost"),
        message_delta(),
        STOP,
    )
    assert got["content"] == [
        {"type": "text", "text": "A cat"},
        {"type": "tool_use", "id": "t", "name": "n", "input": {}},
        {"type": "text", "text": "its start was lost"},
    ]


def test_messages_by_the_names_of_their_events():
    """Events whose data have no type are known by their names."""
    chunks = [(chunk["type"], {key: value for key, value in chunk.items() if key != "type"}) for chunk in MESSAGES]
    body = "".join(f"event: {name}\ndata: {json.dumps(chunk)}\n\n" for name, chunk in chunks).encode()
    assert assembled(body, "messages") == assembled(STREAMS["messages"], "messages")


@pytest.mark.parametrize(
    ("chunks", "code"),
    [
        pytest.param((*MESSAGES[:-2], STOP), CUT, id="message_stop without a reason"),
        pytest.param(MESSAGES[:-2], CUT, id="neither"),
        pytest.param(MESSAGES[:9], CUT, id="within a block"),
    ],
)
def test_messages_cut(chunks, code):
    """Without a stop reason there is no answer; the input side of the usage is kept."""
    failure = refused(sse(*chunks), "messages").failure
    assert (failure.code, failure.response_id) == (code, "msg_1")
    assert failure.usage.prompt_tokens == 12


def test_messages_cut_before_message_stop():
    """A stop reason is enough."""
    assert message(*MESSAGES[:-1]) == message(*MESSAGES)


@pytest.mark.parametrize(
    ("before", "expected"),
    [
        pytest.param(MESSAGES[:1], TransientError, id="before any block"),
        pytest.param(MESSAGES[:3], InDoubtError, id="behind thinking"),
        pytest.param((message_start(), block_start(0, "text", text="A")), InDoubtError, id="behind a block's start"),
    ],
)
def test_messages_overloaded(before, expected):
    """Anthropic's error event ends the stream; behind text it is in doubt."""
    event = {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}
    error = refused(sse(*before, event), "messages")
    assert type(error) is expected
    assert (error.failure.code, error.failure.usage.prompt_tokens) == ("overloaded_error", 12)


# generateContent


def test_generate_content_array():
    """Without `alt=sse` the chunks come as one array."""
    body = json.dumps(GEMINI, indent=1).encode()
    assert assembled(body, "generate_content") == assembled(STREAMS["generate_content"], "generate_content")
    assert refused(body[:-1], "generate_content").failure.code == CUT
    assert refused(json.dumps(GEMINI[:-1]).encode(), "generate_content").failure.code == CUT


def test_an_array_is_no_answer_elsewhere():
    """In another dialect an array is left to the decoder."""
    assert assembled(b"[1, 2]") == [1, 2]


def test_generate_content_parts():
    """Texts are joined with their like only; other parts, and members beside a text, stay as they are."""
    signed = {"text": "", "thoughtSignature": "sig"}
    picture = {"inlineData": {"mimeType": "image/png", "data": ""}}
    code = {"text": "d", "videoMetadata": {"fps": 1}}
    chunks = [gemini({"text": "a"}, {"text": "b"}), gemini(signed), gemini(picture), gemini({"text": "c"}, code)]
    body = assembled(sse(*chunks, gemini(finishReason="MAX_TOKENS")), "generate_content")
    assert body["candidates"] == [
        {
            "content": {
                "role": "model",
                "parts": [{"text": "ab", "thoughtSignature": "sig"}, picture, {"text": "c"}, code],
            },
            "finishReason": "MAX_TOKENS",
        }
    ]


def test_generate_content_without_parts():
    """A candidate that says nothing stays one, with its reason."""
    body = assembled(sse({"candidates": [{"finishReason": "SAFETY", "index": 0}]}), "generate_content")
    assert body == {"candidates": [{"finishReason": "SAFETY"}]}


def test_generate_content_blocked():
    """A blocked prompt has no candidate; its feedback, in whichever chunk, is the answer."""
    chunks = [{"promptFeedback": {"blockReason": "SAFETY"}}, {"usageMetadata": {"promptTokenCount": 9}}]
    assert assembled(sse(*chunks), "generate_content") == {**chunks[0], **chunks[1]}


def test_generate_content_cut():
    """Without a finish reason there is no answer, and the usage so far is kept."""
    failure = refused(sse(*GEMINI[:-1]), "generate_content").failure
    assert (failure.code, failure.response_id, failure.model_returned) == (CUT, "r1", "gemini-2.5-pro")
    assert failure.usage.prompt_tokens == 9


def test_generate_content_error():
    """Google's error object is a fault of its code."""
    event = {"error": {"code": 429, "message": "slow down", "status": "RESOURCE_EXHAUSTED"}}
    assert type(refused(sse(event), "generate_content")) is RateLimitedError
    assert type(refused(json.dumps([event]).encode(), "generate_content")) is RateLimitedError
    assert type(refused(sse(GEMINI[0], event), "generate_content")) is InDoubtError


# Properties


@settings(max_examples=150, deadline=None)
@given(st.sampled_from(DIALECTS), st.floats(0, 1), st.sampled_from([b"", b"\n\n", DONE, b"\n\n" + DONE]))
def test_no_cut_gives_a_shorter_text(dialect, share, end):
    """A stream that is cut anywhere, and ended as the gateway ends it, gives the whole text or none."""
    body = STREAMS[dialect][: round(share * len(STREAMS[dialect]))]
    found = outcome(body + end, dialect)
    if isinstance(found, InDoubtError):
        assert len(body) < len(STREAMS[dialect])
    else:
        assert wire.DIALECTS[dialect].decode(found, asking(dialect)).text == "A cät sits."
        assert len(body) > SAFE[dialect]


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_events_lost_repeated_and_mixed(choose):
    """Whatever events come in whatever order, there is an answer or an `AttemptError`."""
    dialect = choose.draw(st.sampled_from(DIALECTS))
    events = [*EVENTS[dialect], *choose.draw(st.sampled_from(list(EVENTS.values()))), LATE_ERROR]
    drawn = choose.draw(st.lists(st.sampled_from(events), max_size=12))
    assert isinstance(outcome(sse(*drawn), dialect), Answer | AttemptError)


MEMBERS = (
    *("candidates", "choices", "content", "content_block", "delta", "error", "finishReason", "finish_reason", "id"),
    *("index", "item", "message", "model", "object", "output", "parts", "promptFeedback", "response", "role"),
    *("stop_reason", "text", "thinking", "thought", "type", "usage", "usageMetadata"),
)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 10**30) | st.floats() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from(MEMBERS), inner, max_size=4),
    max_leaves=12,
)


@settings(max_examples=150, deadline=None)
@given(st.sampled_from(DIALECTS), st.lists(JSON, max_size=5))
def test_members_of_any_type(dialect, values):
    """Every member may be missing or of another type."""
    for name in ("message_delta", "response.completed"):
        body = "".join(f"event: {name}\ndata: {json.dumps(value)}\n\n" for value in values).encode()
        assert isinstance(outcome(body, dialect), Answer | AttemptError)


@settings(max_examples=150, deadline=None)
@given(st.sampled_from(DIALECTS), st.binary(max_size=200), st.integers(0, 600), st.integers(100, 599))
def test_any_bytes_anywhere(dialect, noise, at, status):
    """Any bytes, alone or within a stream, give an answer or an `AttemptError`."""
    whole = STREAMS[dialect]
    for body in (noise, whole[:at] + noise + whole[at:]):
        assert isinstance(outcome(body, dialect, status), Answer | AttemptError)


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.wide
def test_deep_nesting(dialect):
    """JSON that is nested to the limit, or beyond it, gives an answer or stays in doubt."""
    for depth in (100, *range(850, 1000, 3), 5000):
        deep = json.loads("[" * 100 + "]" * 100) if depth == 100 else "DEEP"
        chunk = {"choices": [{"finish_reason": "stop"}], "usage": {"a": deep}, "candidates": [{"finishReason": "STOP"}]}
        chunk |= {
            "response": {"a": deep},
            "delta": {"stop_reason": "end_turn", "a": deep},
            "usageMetadata": {"a": deep},
        }
        for kind in ("response.completed", "message_delta"):
            body = sse(chunk | {"type": kind}).replace(b'"DEEP"', b"[" * depth + b"]" * depth)
            assert isinstance(outcome(body, dialect), Answer | InDoubtError)


@pytest.mark.wide
def test_long_streams_are_whole():
    """A stream of many chunks loses none."""
    body = sse(delta("ab")) * 5_000 + FINISH
    assert assembled(body)["choices"][0]["message"]["content"] == "ab" * 5_000
