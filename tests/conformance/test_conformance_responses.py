"""OpenAI responses compared with OpenAI's own types: they read what we ask, and we read what they write."""

import json
from typing import get_args

import pytest
from answers import IMAGE, INLINE, SCHEMA, reported
from hypothesis import given, settings
from hypothesis import strategies as st
from mutations import JSON, mutated, perhaps_cut
from openai.types.responses import Response
from openai.types.responses.response_create_params import (
    ResponseCreateParamsNonStreaming,
    ResponseCreateParamsStreaming,
)
from openai.types.responses.response_status import ResponseStatus
from openai.types.shared import ReasoningEffort
from pydantic import TypeAdapter
from responses_answers import USAGE, decoded, encoded, outcome_of, refused

from mediascribe.domain import THINKING, Completion, Request
from mediascribe.errors import AttemptError, InDoubtError, PermanentError, RateLimitedError, TransientError
from mediascribe.wire import responses


def said(text):
    return {"type": "output_text", "text": text, "annotations": [], "logprobs": []}


def refusing(text):
    return {"type": "refusal", "refusal": text}


def message(*content):
    return {"type": "message", "id": "msg_1", "role": "assistant", "status": "completed", "content": list(content)}


def thought(*summary, content=None):
    item = {"type": "reasoning", "id": "rs_1", "summary": [{"type": "summary_text", "text": one} for one in summary]}
    if content is not None:
        item["content"] = [{"type": "reasoning_text", "text": one} for one in content]
    return item


def vendors(*output, **more):
    """The vendor's own response object, which refuses what its API cannot say."""
    whole = {
        "id": "resp_1",
        "object": "response",
        "created_at": 1_766_735_188,
        "status": "completed",
        "model": "gpt-5.2-pro-2025-12-11",
        "output": list(output),
        "parallel_tool_calls": True,
        "tool_choice": "auto",
        "tools": [],
        "usage": USAGE,
    }
    return Response.model_validate(whole | more, strict=True)


# The request


@pytest.mark.parametrize("thinking", [None, *THINKING])
@pytest.mark.parametrize("schema", [None, SCHEMA])
@pytest.mark.parametrize("stream", [False, True])
def test_the_vendors_types_take_every_request(thinking, schema, stream):
    """A body validates against the vendor's request type, and nothing in it is unknown there."""
    parameters = {"max_tokens": 300, "temperature": 0.1, "top_p": 0.5, "store": False, "truncation": "auto"}
    body = encoded(
        IMAGE, INLINE, system="Be brief.", thinking=thinking, schema=schema, stream=stream, parameters=parameters
    )
    adapter = TypeAdapter(ResponseCreateParamsStreaming if stream else ResponseCreateParamsNonStreaming)
    assert json.loads(adapter.dump_json(adapter.validate_python(body))) == body


@pytest.mark.parametrize(
    ("model", "thinking", "effort"),
    [
        ("gpt-5.1", "off", "none"),
        ("gpt-5.1", "on", "medium"),
        ("gpt-5-mini", "off", "minimal"),
        ("o3-deep-research", "low", "low"),
        ("made-up", "off", "none"),
        ("made-up", "on", "medium"),
        ("made-up", "medium", "medium"),
        ("made-up", "high", "high"),
    ],
)
def test_thinking_is_an_effort(model, thinking, effort):
    """Each switch is one of the vendor's efforts; `none` is newer than gpt-5, which has `minimal` in its place."""
    request = Request(model=model, dialect="responses", prompt="?", media=(), identity=(), thinking=thinking)
    assert json.loads(responses.encode(request))["reasoning"] == {"effort": effort}
    assert effort in get_args(get_args(ReasoningEffort)[0])


# Answers that are kept


def test_an_answer():
    """The vendor's response gives its text, thoughts, ids and tokens."""
    body = vendors(thought("Fur.", "Whiskers."), message(said("A cat"), said(" sits.")))
    completion = decoded(body, x_oneapi_request_id="r1")
    assert (completion.status, completion.text, completion.reasoning) == ("ok", "A cat sits.", "Fur.\n\nWhiskers.")
    assert completion.text == body.output_text
    assert (completion.finish_reason, completion.model_returned) == ("completed", "gpt-5.2-pro-2025-12-11")
    assert (completion.response_id, completion.gateway_request_id) == ("resp_1", "r1")
    usage = completion.usage
    assert (usage.prompt_tokens, usage.completion_tokens, usage.total_tokens) == (1630, 46, 1676)
    assert (usage.cached_tokens, usage.cache_write_tokens, usage.reasoning_tokens) == (512, 64, 32)
    assert (usage.source, completion.flags) == ("reported", ())


@pytest.mark.parametrize(
    ("output", "text", "reasoning"),
    [
        ([message(said("A")), message(said("B"))], "AB", None),
        ([message(said("A")), thought(content=["Hm."])], "A", "Hm."),
        ([thought("Short.", content=["Long."]), thought("", "Then."), message(said("A"))], "A", "Short.\n\nThen."),
        ([thought(" "), message(said("A"))], "A", None),
    ],
)
def test_text_and_reasoning(output, text, reasoning):
    """Texts are joined as the vendor joins them; thoughts are the summaries, or else what was thought."""
    body = vendors(*output)
    completion = decoded(body)
    assert (completion.text, completion.reasoning) == (text, reasoning)
    assert completion.text == body.output_text


@pytest.mark.parametrize(
    ("status", "reason", "expected", "ended"),
    [
        ("completed", None, "ok", "completed"),
        ("incomplete", "max_output_tokens", "truncated", "max_output_tokens"),
        ("incomplete", "content_filter", "refused", "content_filter"),
        ("incomplete", "max_messages", "truncated", "max_messages"),
        ("incomplete", "steered", "truncated", "steered"),
        ("incomplete", None, "truncated", "incomplete"),
        (None, None, "ok", None),
    ],
)
def test_how_an_answer_ended(status, reason, expected, ended):
    """The status is a table's, the text is kept, and the gateway's own word too."""
    body = vendors(message(said("A c")), status=status, incomplete_details=reason and {"reason": reason})
    completion = decoded(body)
    assert (completion.status, completion.text, completion.finish_reason) == (expected, "A c", ended)


def test_an_unknown_status_is_kept_raw():
    """A word that no table knows costs no answer."""
    body = vendors(message(said("A cat."))).model_dump() | {"status": "finished"}
    assert (decoded(body).status, decoded(body).finish_reason) == ("ok", "finished")


def test_a_refusal_is_an_answer():
    """A refusal is paid for and kept, with the model's words as the text."""
    completion = decoded(vendors(message(said("Well."), refusing("I cannot "), refusing("say."))))
    assert (completion.status, completion.text, completion.usage.total_tokens) == ("refused", "I cannot say.", 1676)


def test_a_filtered_answer_may_be_empty():
    """A content filter that left nothing is a refusal without words."""
    body = vendors(status="incomplete", incomplete_details={"reason": "content_filter"})
    assert (decoded(body).status, decoded(body).text) == ("refused", "")


# Answers that are none


@pytest.mark.parametrize(
    ("body", "error", "error_class", "code"),
    [
        (vendors(), TransientError, "empty", None),
        (vendors(thought("Hm.")), TransientError, "empty", None),
        (vendors(message(said(" \n"))), TransientError, "empty", None),
        (
            vendors(thought("Hm."), status="incomplete", incomplete_details={"reason": "max_output_tokens"}),
            PermanentError,
            "empty",
            "max_output_tokens",
        ),
        (vendors(message(said("A")), status="failed"), TransientError, "server", "failed"),
        (vendors(status="in_progress"), TransientError, "malformed", "in_progress"),
        (vendors(status="queued"), TransientError, "malformed", "queued"),
        (vendors(message(said("A")), status="cancelled"), TransientError, "malformed", "cancelled"),
        (
            vendors(status="failed", error={"code": "rate_limit_exceeded", "message": "slow"}),
            RateLimitedError,
            "rate_limit",
            "rate_limit_exceeded",
        ),
        (
            vendors(status="failed", error={"code": "invalid_image_url", "message": "no"}),
            PermanentError,
            "media",
            "invalid_image_url",
        ),
        (
            vendors(status="failed", error={"code": "server_error", "message": "x"}),
            TransientError,
            "server",
            "server_error",
        ),
    ],
)
def test_no_answer_to_keep(body, error, error_class, code):
    """What holds no text is an error whose failure carries the tokens that it cost."""
    found = refused(body)
    assert (type(found), found.failure.error_class, found.failure.code) == (error, error_class, code)
    assert (found.failure.usage.total_tokens, found.failure.http_status) == (1676, 200)


@pytest.mark.parametrize("status", get_args(ResponseStatus))
def test_every_status_of_the_vendor_has_its_outcome(status):
    """Only what is complete, or cut, is an answer."""
    outcome = outcome_of(vendors(message(said("A")), status=status))
    assert isinstance(outcome, Completion) is (status in {"completed", "incomplete"})


@pytest.mark.parametrize(
    ("body", "status", "error", "error_class"),
    [
        (vendors(message(said("A"))).model_dump_json().encode()[:300], 200, InDoubtError, "malformed"),
        (vendors(message(said("A"))), 500, TransientError, "server"),
    ],
)
def test_no_response_at_all(body, status, error, error_class):
    """A cut response, and a whole one under an error's status, are what they are in every dialect."""
    found = refused(body, status)
    assert (type(found), found.failure.error_class) == (error, error_class)


# Any answer

WHOLE = st.sampled_from(
    [
        vendors(thought("Fur."), message(said("A cat."))),
        vendors(message(refusing("No.")), status="incomplete", incomplete_details={"reason": "max_output_tokens"}),
        vendors(status="failed", error={"code": "server_error", "message": "x"}),
    ]
).map(lambda body: body.model_dump(mode="json", exclude_unset=True))


@settings(max_examples=250, deadline=None)
@given(body=perhaps_cut(mutated(WHOLE, JSON, st.integers(0, 4))), status=st.sampled_from([200, 200, 200, 500]))
def test_any_answer_is_a_completion_or_an_attempts_error(body, status):
    """Whatever is wrong with an answer, decoding never raises anything else, and never makes tokens up."""
    outcome = outcome_of(body, status)
    usage = outcome.failure.usage if isinstance(outcome, AttemptError) else outcome.usage
    if isinstance(outcome, Completion):
        assert outcome.text.strip() or outcome.status == "refused"
    assert usage.total_tokens == usage.prompt_tokens + usage.completion_tokens
    assert 0 <= usage.cached_tokens + usage.cache_write_tokens <= usage.prompt_tokens
    assert 0 <= usage.reasoning_tokens <= usage.completion_tokens
    raw = json.loads(usage.raw or "{}")
    total = reported(raw, "total_tokens")
    assert usage.prompt_tokens <= max(reported(raw, "input_tokens"), total)
    assert usage.completion_tokens <= max(reported(raw, "output_tokens"), total)
