"""Every fault of the sandbox, in every dialect in which it makes sense, is what gateway notes 2.5 say it is.

Real requests over real connections: what arrives is classified by type and class, never taken for an answer.
"""

import base64
import io

import pytest
from PIL import Image

from mediascribe.client import Client
from mediascribe.domain import Media, Request
from mediascribe.errors import (
    AttemptError,
    InDoubtError,
    PermanentError,
    RateLimitedError,
    StopRunError,
    TransientError,
)
from mediascribe.job_sections import GatewaySection
from mediascribe.sandbox import Behaviour, Fault, Sandbox
from mediascribe.sandbox.faults import FAULTS
from mediascribe.wire import DIALECTS

pytestmark = pytest.mark.wide

MODELS = {
    "chat": "gemini-2.0-flash",
    "responses": "gpt-5-mini",
    "messages": "claude-sonnet-4-5-20250929",
    "generate_content": "gemini-2.0-flash",
}
EXPECTED = {
    (StopRunError, "auth"): ["no_token", "unknown_token", "expired", "disabled", "used_up", "not_allowed"],
    (StopRunError, "quota"): ["balance_empty", "pre_consume"],
    (StopRunError, "config"): ["model_not_found", "price_error", "invalid_url", "html_200"],
    (RateLimitedError, "rate_limit"): ["rate_limited", "rate_limited_empty", "http_429"],
    (PermanentError, "request"): [
        *("bad_request", "invalid_request", "too_large", "not_implemented", "http_400"),
        *("file_uri_refused", "part_unknown", "upstream_invalid"),
    ],
    (PermanentError, "media"): ["media_failed", "count_token_failed", "dialect_missing", "image_url_refused"],
    (PermanentError, "safety"): ["sensitive_words", "prompt_blocked_400", "prompt_blocked_200"],
    (PermanentError, "server"): ["panic"],
    (PermanentError, "oversize"): ["huge_body", "gzip_bomb"],
    (TransientError, "server"): [
        *("channel_failed", "upstream_unreachable", "upstream_error", "bad_status", "bad_body", "error_in_200"),
        *("http_408", "http_500", "http_502", "http_503", "http_529", "cdn_502", "success_false_200"),
        "stream_error_bare",
    ],
    (TransientError, "malformed"): ["null_200", "list_200"],
    (TransientError, "empty"): ["empty_content", "empty_response_500"],
    (InDoubtError, "server"): ["http_504", "cdn_524", "stream_error"],
    (InDoubtError, "malformed"): ["no_body_200", "cut_json", "latin1", "stream_cut"],
    (InDoubtError, "network"): ["reset_before", "reset_after", "cut_body", "stream_reset"],
    (InDoubtError, "timeout"): ["stall", "slow_body"],
}
# Errors that the gateway itself writes in Anthropic's shape have no code, so that the status decides.
WITHOUT_CODE = {
    **dict.fromkeys(("balance_empty", "pre_consume"), (StopRunError, "auth")),
    **dict.fromkeys(
        ("invalid_request", "sensitive_words", "price_error", "media_failed", "count_token_failed", "dialect_missing"),
        (TransientError, "server"),
    ),
}
CASES = [
    (dialect, name, WITHOUT_CODE.get(name, met) if dialect == "messages" else met)
    for met, names in EXPECTED.items()
    for name in names
    for dialect in MODELS
]
FLAGGED = {"no_usage": "no_usage", "zero_usage": "zero_usage", "media_dropped": "media_ignored"}
KEPT = {
    "length": "truncated",
    "refusal": "refused",
    "renamed_model": "ok",
    "stream_comments": "ok",
    "stream_split": "ok",
}


@pytest.fixture(scope="module")
def gateway():
    with Sandbox() as sandbox:
        yield sandbox


@pytest.fixture
def ask(gateway):
    """`ask(dialect, fault)`: the completion or the error, and whether the fault was played in that dialect."""

    async def _ask(dialect, fault):
        gateway.reset()
        gateway.behave("*", Behaviour(faults=(Fault(fault),)))
        media = (Media(kind="image", url=picture()),)
        stream = fault.startswith("stream_")
        request = Request(
            model=MODELS[dialect], dialect=dialect, prompt="What is it?", media=media, identity=media, stream=stream
        )
        wire = DIALECTS[dialect]
        timeout_s = 0.3 if fault in {"stall", "slow_body"} else 20.0
        section = GatewaySection(base_url=gateway.url, total_timeout_s=timeout_s)
        async with Client(section, gateway.api_key, connections=1) as client:
            try:
                answer = await client.post(wire.url(client.base_url, request), wire.encode(request), wire.headers)
                outcome = wire.decode(answer, request)
            except AttemptError as error:
                outcome = error
        return outcome, gateway.ledger()[-1].fault == fault

    return _ask


def picture():
    """A picture large enough that every model bills tokens for it."""
    file = io.BytesIO()
    Image.new("RGB", (640, 480), "red").save(file, "PNG")
    return "data:image/png;base64," + base64.b64encode(file.getvalue()).decode()


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case[0]}-{case[1]}")
async def test_a_fault_is_never_taken_for_an_answer(ask, case):
    """Its type says what becomes of the row and the run, its class what the record says."""
    dialect, name, (kind, error_class) = case
    outcome, played = await ask(dialect, name)
    if played:
        assert isinstance(outcome, AttemptError)
        assert (type(outcome), outcome.failure.error_class) == (kind, error_class)
    else:
        assert not isinstance(outcome, AttemptError)


@pytest.mark.parametrize("dialect", MODELS)
@pytest.mark.parametrize("name", FLAGGED)
async def test_a_suspicious_answer_is_flagged(ask, dialect, name):
    """It is kept, and says what is wrong with it."""
    outcome, played = await ask(dialect, name)
    assert played
    assert (outcome.status, outcome.flags) == ("ok", (FLAGGED[name],))


@pytest.mark.parametrize("dialect", MODELS)
@pytest.mark.parametrize("name", KEPT)
async def test_an_odd_answer_is_still_an_answer(ask, dialect, name):
    """Cut, refused, renamed, or streamed in odd pieces: it has its status, and no flag."""
    outcome, played = await ask(dialect, name)
    assert outcome.flags == ()
    assert outcome.status == (KEPT[name] if played else "ok")


def test_every_fault_that_stands_in_for_an_answer_is_expected():
    """A fault that the sandbox learns must be told here what it is."""
    known = {name for names in EXPECTED.values() for name in names} | FLAGGED.keys() | KEPT.keys()
    oddities = {
        *("null_content", "no_content", "no_message", "no_choices", "content_array", "reasoning_only", "think_tags"),
        *("no_finish_reason", "empty_finish_reason", "vendor_finish_reason", "content_filter", "round_usage"),
        *("fenced_json", "broken_json", "wrong_schema", "stream_no_done", "stream_no_usage"),
    }  # the shapes of one dialect: tests of wire, and of structured answers
    assert FAULTS.keys() == known | oddities
