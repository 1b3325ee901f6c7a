"""Chat completions: the reference page's request and answer, and every way in which an answer is none."""

import json
from pathlib import Path

import pytest
from answers import answer_of
from hypothesis import example, given, settings
from hypothesis import strategies as st
from mutations import mutated

from mediascribe import wire
from mediascribe.domain import Completion, Media, Request
from mediascribe.errors import (
    AttemptError,
    InDoubtError,
    PermanentError,
    RateLimitedError,
    StopRunError,
    TransientError,
)
from mediascribe.wire import chat

ANSWERS = Path(__file__).parent / "answers"
REFERENCE = (ANSWERS / "gemini-2.0-flash.json").read_bytes()
IMAGE = Media(kind="image", url="https://s2.loli.net/2024/02/01/QSWVdw9bX56gj7O.jpg")
AUDIO = Media(kind="audio", url="https://cdn.openai.com/API/docs/audio/alloy.wav")
USAGE = {"prompt_tokens": 9, "completion_tokens": 4, "total_tokens": 13}


def asking(*media, model="gemini-2.0-flash", **more):
    return Request(
        model=model, dialect="chat", prompt="请分析下面附件的内容", media=media, identity=media, parameters={}, **more
    )


def decoded(body, *, model="gpt-4o", status=200, **headers):
    return chat.decode(answer_of(body, status, **headers), asking(IMAGE, model=model))


def saying(content="A cat.", finish_reason="stop", usage=None, **message):
    choice = {"index": 0, "message": {"role": "assistant", "content": content} | message}
    if finish_reason is not None:
        choice["finish_reason"] = finish_reason
    return {"id": "chatcmpl-1", "model": "m", "choices": [choice], "usage": USAGE if usage is None else usage}


def refused(body, **more):
    with pytest.raises(AttemptError) as caught:
        decoded(body, **more)
    return caught.value


# The request


def test_reference_request():
    """The body has the members and parts of the reference page, spelt right and in its order."""
    page = json.loads((ANSWERS / "gemini-2.0-flash.request.json").read_text())
    parameters = {"max_tokens": 2000, "temperature": 0.8, "top_p": 0.1}
    request = Request(
        model="gemini-2.0-flash",
        dialect="chat",
        prompt="请分析下面附件的内容",
        media=(IMAGE, AUDIO),
        identity=(IMAGE, AUDIO),
        parameters=parameters,
    )
    body = json.loads(chat.encode(request))
    assert page.pop("steam") is False
    assert body == page | {"stream": False}
    assert list(body) == ["model", "messages", "max_tokens", "temperature", "top_p", "stream"]
    assert [part["type"] for part in body["messages"][0]["content"]] == ["text", "image_url", "audio_url"]


def test_media_keep_the_items_order_and_a_system_message_comes_first():
    """Parts follow the item; the system message is a message of its own, before the user's."""
    video = Media(kind="video", url="https://v.example/a.mov")
    system, user = json.loads(chat.encode(asking(video, IMAGE, system="Be brief.")))["messages"]
    assert system == {"role": "system", "content": "Be brief."}
    assert user["content"][1:] == [
        {"type": "video_url", "video_url": {"url": video.url}},
        {"type": "image_url", "image_url": {"url": IMAGE.url}},
    ]


# Answers that are kept


def test_reference_answer():
    """The reference page's answer decodes to its text and to 1986 / 83 / 2069 tokens: 5 text, 175 audio, 1806 image."""
    completion = chat.decode(answer_of(REFERENCE), asking(IMAGE, AUDIO))
    assert completion.status == "ok"
    assert completion.text.startswith("The image depicts two people in an office setting.")
    assert completion.text.endswith("The color scheme is predominantly blue and white.")
    assert (completion.finish_reason, completion.reasoning) == ("stop", None)
    assert completion.model_returned == "gemini-2.0-flash"
    assert completion.response_id == "chatcmpl-toio20251226074613833316175pDor54M8"
    assert completion.gateway_request_id == "toio20251226074613833316175pDor54M8"
    usage = completion.usage
    assert (usage.prompt_tokens, usage.completion_tokens, usage.total_tokens) == (1986, 83, 2069)
    assert (usage.prompt_text_tokens, usage.prompt_audio_tokens, usage.prompt_image_tokens) == (5, 175, 1806)
    assert (usage.prompt_video_tokens, usage.cached_tokens, usage.source) == (0, 0, "derived")
    assert json.loads(usage.raw) == json.loads(REFERENCE)["usage"]


@pytest.mark.parametrize(
    ("response_id", "headers", "expected"),
    [
        ("chatcmpl-abc", {"x_oneapi_request_id": "def", "x_request_id": "ghi"}, "def"),
        ("chatcmpl-abc", {"x_request_id": "ghi"}, "abc"),
        ("msg_bdrk_01", {"x_request_id": "ghi"}, "ghi"),
        ("msg_bdrk_01", {}, None),
        (17, {}, None),
    ],
)
def test_request_id(response_id, headers, expected):
    """The gateway's request id is its header, or else what follows the prefix of the answer's id."""
    assert decoded(saying() | {"id": response_id}, **headers).gateway_request_id == expected


@pytest.mark.parametrize(
    ("message", "text", "reasoning"),
    [
        ({"content": "A cat."}, "A cat.", None),
        ({"content": "\n\r\n A cat.\n"}, " A cat.\n", None),
        ({"content": [{"type": "text", "text": "A "}, {"type": "image_url"}, {"text": "cat"}, "."]}, "A cat.", None),
        ({"content": "A cat.", "reasoning_content": ""}, "A cat.", None),
        ({"content": "\nA cat.", "reasoning_content": "Hm."}, "A cat.", "Hm."),
        ({"content": "A cat.", "reasoning": "Hm."}, "A cat.", "Hm."),
        ({"content": "<think>Hm.\nSo.</think>\n\nA cat."}, "A cat.", "Hm.\nSo."),
        ({"content": "\n<budget:thinking>\nHm.</budget:thinking>A cat."}, "A cat.", "Hm."),
        ({"content": "<think>1</think><think>2</think>A cat.", "reasoning_content": "0"}, "A cat.", "0\n\n1\n\n2"),
        ({"content": "<think></think>A cat."}, "A cat.", None),
        ({"content": "The tag <think>x</think> is quoted."}, "The tag <think>x</think> is quoted.", None),
        ({"content": None, "reasoning_content": "A cat."}, "A cat.", None),
        ({"content": "<think>A cat."}, "A cat.", None),
    ],
)
def test_text_and_reasoning(message, text, reasoning):
    """The text is found wherever it stands, without what the model thought before it."""
    completion = decoded(saying(**message))
    assert (completion.status, completion.text, completion.reasoning) == ("ok", text, reasoning)


@pytest.mark.parametrize(
    ("finish_reason", "status"),
    [
        ("stop", "ok"),
        ("STOP", "ok"),
        ("end_turn", "ok"),
        ("tool_calls", "ok"),
        ("pause_turn", "ok"),
        (None, "ok"),
        ("", "ok"),
        ("length", "truncated"),
        ("max_tokens", "truncated"),
        ("model_context_window_exceeded", "truncated"),
        ("content_filter", "refused"),
        ("refusal", "refused"),
        ("sensitive", "refused"),
    ],
)
def test_finish_reasons(finish_reason, status):
    """Each finish reason has its status, the text is kept, and the gateway's own word too."""
    completion = decoded(saying("A c", finish_reason))
    assert (completion.status, completion.text) == (status, "A c")
    assert completion.finish_reason == (finish_reason or None)


@pytest.mark.parametrize(
    "body",
    [
        saying(None, refusal="I cannot."),
        saying("", provider_specific_fields={"refusal": "I cannot."}),
        saying("", "length", refusal="I cannot."),
    ],
)
def test_refusals_are_answers(body):
    """A refusal is paid for and kept, with the model's words as the text."""
    completion = decoded(body)
    assert (completion.status, completion.text, completion.usage.total_tokens) == ("refused", "I cannot.", 13)


def test_a_filtered_answer_may_be_empty():
    """A content filter that left nothing is a refusal without words, not an empty answer."""
    completion = decoded(saying(None, "content_filter"))
    assert (completion.status, completion.text) == ("refused", "")


def test_dashscope_says_in_a_header_that_it_cut():
    """An answer cut after 180 s says `stop`; the header says the truth."""
    assert decoded(saying(), x_dashscope_partialresponse="true").status == "truncated"
    assert decoded(saying(), x_dashscope_partialresponse="false").status == "ok"


def test_usage_that_is_nonsense_does_not_cost_the_answer():
    """Text beside a NaN, a number beyond any float or half a character is kept."""
    body = b'{"choices": [{"message": {"content": "A \\ud83d cat."}}], "usage": {"prompt_tokens": NaN, "x": 1e999}}'
    completion = decoded(body)
    assert (completion.text, completion.usage.source) == ("A ? cat.", "missing")


def test_a_null_error_is_none():
    """Some answers carry `"error": null` beside their choices."""
    assert decoded(saying() | {"error": None, "success": True}).text == "A cat."


# Answers that are none


@pytest.mark.parametrize(
    ("body", "error", "error_class", "code"),
    [
        (saying("", "stop"), TransientError, "empty", None),
        (saying(" \n", None), TransientError, "empty", None),
        (saying(None, "tool_calls"), TransientError, "empty", None),
        (saying({"text": "x"}), TransientError, "empty", None),
        (saying("", "length"), PermanentError, "empty", "length"),
        (saying("<think>So I", "length"), PermanentError, "empty", "length"),
        (saying("A c", "network_error"), TransientError, "server", "network_error"),
        (
            saying(
                "",
                reasoning_content="Hm.",
                usage=USAGE | {"completion_tokens_details": {"reasoning_tokens": 4}},
            ),
            TransientError,
            "empty",
            None,
        ),
        ({"usage": USAGE}, TransientError, "malformed", None),
        ({"choices": [], "usage": USAGE}, TransientError, "empty", None),
        ({"choices": None, "usage": USAGE}, TransientError, "empty", None),
        ({"choices": ["x"], "usage": USAGE}, TransientError, "empty", None),
        ({"choices": [{"message": "x"}], "usage": USAGE}, TransientError, "empty", None),
        ({"error": {"code": "model_not_found"}, "usage": USAGE}, StopRunError, "config", "model_not_found"),
        ({"success": False, "message": "slow", "code": 429, "usage": USAGE}, RateLimitedError, "rate_limit", "429"),
    ],
)
def test_no_answer_to_keep(body, error, error_class, code):
    """What holds no text is an error whose failure carries the tokens that it cost."""
    found = refused(body)
    assert (type(found), found.failure.error_class, found.failure.code) == (error, error_class, code)
    assert (found.failure.usage.total_tokens, found.failure.http_status) == (13, 200)


def test_failures_carry_what_is_known():
    """An empty answer's failure names the finish reason, the model and both ids."""
    failure = refused(saying(""), x_oneapi_request_id="r").failure
    assert (failure.finish_reason, failure.model_returned) == ("stop", "m")
    assert (failure.response_id, failure.gateway_request_id) == ("chatcmpl-1", "r")


@pytest.mark.parametrize(
    ("model", "usage", "error", "error_class"),
    [
        ("gemini-2.0-flash", {"prompt_tokens": 9, "completion_tokens": 0}, PermanentError, "safety"),
        ("gemini-2.0-flash", {"prompt_tokens": 9, "completion_tokens": 4}, TransientError, "empty"),
        ("gemini-2.0-flash", {}, TransientError, "empty"),
        ("qwen-vl-max", {"prompt_tokens": 9, "completion_tokens": 0}, TransientError, "empty"),
    ],
)
def test_no_choices(model, usage, error, error_class):
    """Gemini's `"choices": []` with a counted prompt and nothing written is a block; any other is empty."""
    found = refused({"choices": [], "usage": usage}, model=model)
    assert (type(found), found.failure.error_class) == (error, error_class)
    assert found.failure.code == ("prompt_blocked" if error_class == "safety" else None)


@pytest.mark.parametrize(
    ("body", "content_type", "error", "error_class"),
    [
        (b"<!doctype html><title>mixrouter</title>", "text/html; charset=utf-8", StopRunError, "config"),
        (b"\n<html>", "application/json", StopRunError, "config"),
        (b"Welcome", "text/html", StopRunError, "config"),
        (b"null", "application/json", TransientError, "malformed"),
        (b"[1]", "application/json", TransientError, "malformed"),
        (b'"ok"', "application/json", TransientError, "malformed"),
        (b"", "application/json", InDoubtError, "malformed"),
        (REFERENCE[:700], "application/json", InDoubtError, "malformed"),
        (b'{"choices": [{"message": {"content": "caf\xe9"}}]}', "application/json", InDoubtError, "malformed"),
        (b"[" * 100_000, "application/json", InDoubtError, "malformed"),
    ],
)
def test_no_json_object(body, content_type, error, error_class):
    """A web page means a wrong base URL, other JSON a fault, and a cut answer may have been billed."""
    found = refused(body, content_type=content_type)
    assert (type(found), found.failure.error_class) == (error, error_class)


def test_json_sent_as_a_web_page_is_an_answer():
    """The body counts for more than its label."""
    assert decoded(saying(), content_type="text/html").text == "A cat."


def test_an_error_status_is_a_fault_even_beside_choices():
    """Only a success can hold an answer; what an error cost is kept."""
    found = refused(saying(), status=500)
    assert (type(found), found.failure.http_status, found.failure.usage.total_tokens) == (TransientError, 500, 13)


NAMES = st.sampled_from(
    [
        *("id", "model", "choices", "usage", "error", "success", "message", "content", "text", "refusal", "code"),
        *("finish_reason", "reasoning_content", "prompt_tokens", "prompt_tokens_details", "provider_specific_fields"),
    ]
)
JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=6)
    | st.sampled_from(["stop", "length", "content_filter", "network_error", "<think>"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=5),
    max_leaves=12,
)
CHOICES = st.fixed_dictionaries(
    {"choices": st.lists(st.fixed_dictionaries({"message": JSON, "finish_reason": JSON}) | JSON, max_size=2)},
    optional={"usage": JSON, "id": JSON, "error": JSON},
)


@settings(max_examples=150, deadline=None)
@given(body=JSON | CHOICES, status=st.sampled_from([200, 201, 400, 500]))
@example(body={"choices": [{"message": {"content": ["a"]}, "finish_reason": []}]}, status=200)
def test_any_json_is_a_completion_or_an_attempts_error(body, status):
    """Decoding any JSON gives a completion or raises an attempt's error, never anything else."""
    outcome = outcome_of(answer_of(body, status))
    if isinstance(outcome, AttemptError):
        assert outcome.failure.http_status == status
    else:
        assert isinstance(outcome, Completion)
        assert outcome.text.strip() or outcome.status == "refused"


def outcome_of(answer):
    try:
        return wire.DIALECTS["chat"].decode(answer, asking(IMAGE))
    except AttemptError as error:
        return error


@settings(max_examples=60, deadline=None)
@given(end=st.integers(0, len(REFERENCE) - 3))
def test_any_cut_of_the_reference_answer_is_in_doubt(end):
    """However early the answer breaks off, it is no answer, and it may have been billed."""
    with pytest.raises(InDoubtError):
        chat.decode(answer_of(REFERENCE[:end]), asking(IMAGE))


WHOLE = json.loads(REFERENCE)
ODD = JSON | st.sampled_from([-1, 10**12, 0.5, [], {}, [{}], "", "length", "content_filter"])


@settings(max_examples=200, deadline=None)
@given(body=mutated(st.just(WHOLE), ODD, st.integers(1, 3)))
def test_any_mutation_of_the_reference_answer_is_read_or_refused(body):
    """Whatever is changed in the answer, no token is counted that was not reported."""
    outcome = outcome_of(answer_of(body))
    usage = outcome.failure.usage if isinstance(outcome, AttemptError) else outcome.usage
    bill = body.get("usage")
    bill = bill if isinstance(bill, dict) else {}
    said = {name: count for name, count in bill.items() if isinstance(count, int | float) and count > 0}
    most = max(said.get("total_tokens", 0), said.get("prompt_tokens", 0) + said.get("completion_tokens", 0))
    assert min(getattr(usage, name) for name in usage.__slots__ if name.endswith("_tokens")) >= 0
    assert usage.total_tokens == usage.prompt_tokens + usage.completion_tokens <= most


def test_reference_cost():
    """At 0.10 USD a million tokens, 0.70 for sound and 0.40 for the answer, the reference answer costs 336,800 nano."""
    usage = chat.decode(answer_of(REFERENCE), asking(IMAGE, AUDIO)).usage
    rest = usage.prompt_tokens - usage.prompt_audio_tokens
    assert rest * 100 + usage.prompt_audio_tokens * 700 + usage.completion_tokens * 400 == 336_800
