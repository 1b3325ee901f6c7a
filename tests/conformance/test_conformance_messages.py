"""Anthropic messages compared with Anthropic's own types: they read what we ask, and we read what they write."""

import json
from typing import get_args

import pytest
from answers import IMAGE, INLINE, SCHEMA, reported
from anthropic.types import Message, StopReason
from anthropic.types.message_create_params import MessageCreateParamsNonStreaming, MessageCreateParamsStreaming
from hypothesis import given, settings
from hypothesis import strategies as st
from messages_answers import USAGE, decoded, encoded, outcome_of, refused, text, thinking
from mutations import JSON, mutated, perhaps_cut
from pydantic import TypeAdapter

from mediascribe.domain import THINKING, Completion
from mediascribe.errors import AttemptError, InDoubtError, PermanentError, TransientError


def vendors(*content, stop_reason="end_turn", **more):
    """The vendor's own message, which refuses what its API cannot say."""
    whole = {
        "id": "msg_bdrk_01",
        "type": "message",
        "role": "assistant",
        "model": "claude-sonnet-4-5-20250929",
        "content": list(content),
        "stop_reason": stop_reason,
        "stop_sequence": None,
        "usage": USAGE,
    }
    return Message.model_validate(whole | more, strict=True)


# The request


@pytest.mark.parametrize("thinks", [None, *THINKING])
@pytest.mark.parametrize("schema", [None, SCHEMA])
@pytest.mark.parametrize("stream", [False, True])
def test_the_vendors_types_take_every_request(thinks, schema, stream):
    """A body validates against the vendor's request type, and nothing in it is unknown there."""
    parameters = {"max_completion_tokens": 300, "stop": ["END"], "metadata": {"user_id": "u"}}
    body = encoded(
        IMAGE, INLINE, system="Be brief.", thinking=thinks, schema=schema, stream=stream, parameters=parameters
    )
    adapter = TypeAdapter(MessageCreateParamsStreaming if stream else MessageCreateParamsNonStreaming)
    assert json.loads(adapter.dump_json(adapter.validate_python(body))) == body


# Answers that are kept


def test_an_answer():
    """The vendor's message gives its text, thoughts, ids, and the sum of its three input counts."""
    blocks = (thinking("Fur."), {"type": "redacted_thinking", "data": "eHg="}, thinking("Whiskers."))
    completion = decoded(vendors(*blocks, text("A cat"), text(" sits.")), x_oneapi_request_id="r1")
    assert (completion.status, completion.text, completion.reasoning) == ("ok", "A cat sits.", "Fur.\n\nWhiskers.")
    assert (completion.finish_reason, completion.model_returned) == ("end_turn", "claude-sonnet-4-5-20250929")
    assert (completion.response_id, completion.gateway_request_id) == ("msg_bdrk_01", "r1")
    usage = completion.usage
    assert (usage.prompt_tokens, usage.completion_tokens, usage.total_tokens) == (1600, 80, 1680)
    assert (usage.cached_tokens, usage.cache_write_tokens, usage.reasoning_tokens) == (400, 200, 50)
    assert (usage.source, completion.flags) == ("reported", ())


ENDS = {
    "end_turn": "ok",
    "stop_sequence": "ok",
    "tool_use": "ok",
    "pause_turn": "ok",
    "max_tokens": "truncated",
    "model_context_window_exceeded": "truncated",
    "refusal": "refused",
}


@pytest.mark.parametrize("stop_reason", get_args(StopReason))
def test_every_stop_reason_of_the_vendor_has_its_status(stop_reason):
    """Each has the status of gateway notes 3.3, the text is kept, and the vendor's own word too."""
    completion = decoded(vendors(text("A c"), stop_reason=stop_reason))
    assert (completion.status, completion.text, completion.finish_reason) == (ENDS[stop_reason], "A c", stop_reason)


@pytest.mark.parametrize(
    ("details", "expected"),
    [
        ({"type": "refusal", "category": "bio", "explanation": "Not this."}, "Not this."),
        ({"type": "refusal", "category": None, "explanation": None}, ""),
        (None, ""),
    ],
)
def test_a_refusal_is_an_answer(details, expected):
    """A refusal is paid for and kept, with the vendor's explanation where the model said nothing."""
    completion = decoded(vendors(stop_reason="refusal", stop_details=details))
    assert (completion.status, completion.text, completion.usage.total_tokens) == ("refused", expected, 1680)
    said = decoded(vendors(text("I cannot."), stop_reason="refusal", stop_details=details))
    assert (said.status, said.text) == ("refused", "I cannot.")


# Answers that are none


@pytest.mark.parametrize(
    ("body", "error", "error_class", "code"),
    [
        (vendors(), TransientError, "empty", None),
        (vendors(thinking("Hm.")), TransientError, "empty", None),
        (vendors(text(" \n")), TransientError, "empty", None),
        (vendors(stop_reason="tool_use"), TransientError, "empty", None),
        (vendors(stop_reason="pause_turn"), TransientError, "empty", None),
        (vendors(thinking("Hm."), stop_reason="max_tokens"), PermanentError, "empty", "max_tokens"),
    ],
)
def test_no_answer_to_keep(body, error, error_class, code):
    """What holds no text is an error whose failure carries the tokens that it cost."""
    found = refused(body)
    assert (type(found), found.failure.error_class, found.failure.code) == (error, error_class, code)
    assert (found.failure.usage.total_tokens, found.failure.http_status) == (1680, 200)


@pytest.mark.parametrize(
    ("body", "status", "error", "error_class"),
    [
        (vendors(text("A")).model_dump_json().encode()[:100], 200, InDoubtError, "malformed"),
        (vendors(text("A")), 500, TransientError, "server"),
    ],
)
def test_no_message_at_all(body, status, error, error_class):
    """A cut message, and a whole one under an error's status, are what they are in every dialect."""
    found = refused(body, status)
    assert (type(found), found.failure.error_class) == (error, error_class)


# Any answer

WHOLE = st.sampled_from(
    [
        vendors(thinking("Fur."), text("A cat.")),
        vendors(text("A c"), stop_reason="max_tokens"),
        vendors(stop_reason="refusal", stop_details={"type": "refusal", "explanation": "Not this."}),
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
    most = reported(raw, "input_tokens", "cache_creation_input_tokens", "cache_read_input_tokens")
    assert usage.prompt_tokens <= most
    assert usage.completion_tokens <= reported(raw, "output_tokens")
