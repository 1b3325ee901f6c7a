"""Every fault in every dialect, whole and streamed: it has that dialect's shape, or is listed as making no sense."""

from __future__ import annotations

import json

import httpx
import pytest

from mediascribe.sandbox import Behaviour, Fault, chat, generate_content, messages, responses, spoiling
from mediascribe.sandbox.faults import FAULTS, Altered, Bare, bills, makes_sense
from mediascribe.sandbox.refusals import REFUSALS
from mediascribe.sandbox.replies import Reply

DIALECTS = {one.DIALECT.name: one.DIALECT for one in (chat, responses, messages, generate_content)}
TEXT = "The prompt has 2 words; no image, sound or video came with it."
NO = "I cannot help with describing this."

SENSELESS = {
    "chat": {"dialect_missing", "file_uri_refused", "part_unknown", "upstream_invalid"},
    "responses": {
        *("count_token_failed", "file_uri_refused", "media_failed", "upstream_invalid"),  # the vendor fetches
        *("empty_response_500", "list_200", "prompt_blocked_200", "prompt_blocked_400"),  # of other upstreams
        *("content_array", "empty_finish_reason", "think_tags", "stream_no_done"),  # no such member or event
    },
    "messages": {
        *("error_in_200", "file_uri_refused", "image_url_refused", "part_unknown"),
        *("empty_response_500", "list_200", "prompt_blocked_200", "prompt_blocked_400", "round_usage"),
        *("content_array", "content_filter", "no_choices", "no_message", "think_tags"),
    },
    "generate_content": {
        *("count_token_failed", "image_url_refused", "media_failed", "part_unknown", "upstream_invalid"),
        *("error_in_200", "list_200", "round_usage"),
        *("content_array", "refusal", "think_tags", "stream_no_done"),
    },
}


@pytest.mark.parametrize("dialect", DIALECTS)
def test_what_makes_no_sense(dialect):
    """Which faults make no sense in a dialect is as listed here, and faults of streams happen to streams alone."""
    streamed = {name for name in FAULTS if makes_sense(name, DIALECTS[dialect], stream=True)}
    whole = {name for name in FAULTS if makes_sense(name, DIALECTS[dialect], stream=False)}
    assert set(FAULTS) - streamed == SENSELESS[dialect]
    assert streamed - whole == {name for name in streamed if name.startswith("stream_")}


ALL = [(dialect, name, stream) for dialect in DIALECTS for name in FAULTS for stream in (False, True)]
SENSIBLE = [one for one in ALL if one[1] not in SENSELESS[one[0]] and (one[2] or not one[1].startswith("stream_"))]
MIDDLEWARE = {name for name, refusal in REFUSALS.items() if refusal.middleware}
AROUND = {"panic", "invalid_url", "not_implemented"}
UPSTREAM = {"upstream_unreachable", "bad_status", "bad_body", "prompt_blocked_400", "empty_response_500"}
BROKEN = {"reset_before", "reset_after", "cut_body", "stall", "stream_reset"}
UNREADABLE = {"cdn_524", "cut_json", "latin1", "huge_body", "gzip_bomb"}


def cases_of(name):
    return [one for one in SENSIBLE if one[1] == name]


def of_kind(*kinds, stream=None):
    names = [name for name, fate in FAULTS.items() if isinstance(fate, kinds)]
    return [one for one in SENSIBLE if one[1] in names and stream in {None, one[2]}]


@pytest.fixture
def play(sandbox, ask_in):
    """Ask in a dialect while one fault is played."""

    def asked(dialect, name, *, stream=False):
        sandbox.behave("*", Behaviour(faults=(Fault(name),), byte_pause_s=0))
        return ask_in(dialect, stream=stream)

    return asked


@pytest.mark.parametrize("dialect", DIALECTS)
def test_senseless_faults_are_not_played(play, sandbox, dialect):
    """What makes no sense is not played: the answer is a good one."""
    senseless = [one for one in ALL if one[0] == dialect and one not in SENSIBLE]
    for _, name, stream in senseless:
        assert play(dialect, name, stream=stream).status_code == 200, name
    assert [entry.stream for entry in sandbox.ledger()] == [stream for _, _, stream in senseless]
    assert {(entry.fault, entry.billed) for entry in sandbox.ledger()} == {(None, True)}


@pytest.mark.parametrize("name", REFUSALS)
def test_refusals(play, sandbox, name):
    """A refusal has its dialect's shape; it comes under a stream's type where the upstream had been asked before."""
    refusal = REFUSALS[name]
    for dialect, _, stream in cases_of(name):
        answer = play(dialect, name, stream=stream)
        body = answer.json()
        assert answer.status_code == refusal.status
        if dialect == "messages" and name not in MIDDLEWARE | AROUND:
            assert (list(body), body["type"], list(body["error"])) == (["type", "error"], "error", ["type", "message"])
        else:
            assert (list(body), body["error"]["code"]) == (["error"], refusal.code)
            assert ("param" in body["error"]) == (name not in MIDDLEWARE)
        late = stream and (refusal.relayed or name in UPSTREAM)
        assert answer.headers["Content-Type"] == ("text/event-stream" if late else "application/json")
    told = {(entry.fault, entry.status, entry.billed) for entry in sandbox.ledger()}
    assert told == {(name, refusal.status, False)}


@pytest.mark.parametrize("name", [name for name, fate in FAULTS.items() if isinstance(fate, Reply)])
def test_replies(play, sandbox, name):
    """A page or a body that is no answer is the same in all dialects."""
    for dialect, _, stream in cases_of(name):
        answer = play(dialect, name, stream=stream)
        assert (answer.status_code, answer.content) == (FAULTS[name].status, FAULTS[name].body)
    assert {entry.fault for entry in sandbox.ledger()} == {name}


@pytest.mark.parametrize("case", of_kind(Bare))
def test_bare_errors(play, sandbox, case):
    """An error may follow a keep-alive comment as a bare line of JSON, with status 200."""
    answer = play(case[0], case[1], stream=True)
    assert (answer.status_code, answer.headers["Content-Type"]) == (200, "text/event-stream")
    comment, line = answer.text.split("\n\n")
    assert comment == ": PING"
    assert "overloaded" in json.loads(line)["error"]["message"]
    assert not sandbox.ledger()[0].billed


@pytest.mark.parametrize("case", [one for one in SENSIBLE if one[1] in BROKEN - {"stall"}])
def test_broken_connections(play, sandbox, case):
    """A connection breaks in every dialect, whole and streamed."""
    with pytest.raises(httpx.TransportError):
        play(case[0], case[1], stream=case[2])
    sandbox.drain()
    (entry,) = sandbox.ledger()
    assert (entry.fault, entry.finished, entry.billed) == (case[1], False, bills(case[1]))


@pytest.mark.parametrize("case", [one for one in SENSIBLE if one[1] == "slow_body"])
def test_slow_bodies(play, sandbox, case):
    """An answer may come a byte at a time, and is whole in the end."""
    play(*case[:2], stream=case[2])
    assert sandbox.ledger()[0].finished


@pytest.mark.parametrize("case", [one for one in SENSIBLE if one[1] in UNREADABLE])
def test_unreadable(play, sandbox, case, monkeypatch):
    """Bytes may be spoilt in every dialect; a stream's keep its type."""
    dialect, name, stream = case
    monkeypatch.setattr(spoiling, "HUGE_BYTES", 100_000)
    answer = play(dialect, name, stream=stream)
    expected = "text/html" if name == "cdn_524" else "text/event-stream" if stream else "application/json"
    assert answer.headers["Content-Type"] == expected
    if name == "latin1":
        assert "Café au lait".encode("latin-1") in answer.content
        with pytest.raises(UnicodeDecodeError):
            answer.content.decode()
    if name in {"huge_body", "gzip_bomb"}:
        assert len(answer.content) > 100_000
    assert sandbox.ledger()[0].billed


def chat_parts(body):
    """Text, finish and usage of a chat completion."""
    choice = (body.get("choices") or [{}])[0]
    return choice.get("message", {}).get("content", ...), choice.get("finish_reason", ...), body.get("usage")


def responses_parts(body):
    (*_, item) = body.get("output") or [{}]
    content = item.get("content", ...)
    text = content[0].get("text", ...) if isinstance(content, list) else content
    return text, body.get("status", ...), body.get("usage")


def messages_parts(body):
    content = body.get("content", ...)
    if isinstance(content, list):
        content = "".join(block.get("text", "") for block in content)
    return content, body.get("stop_reason", ...), body.get("usage")


def google_parts(body):
    candidate = (body.get("candidates") or [{}])[0]
    content = candidate.get("content", ...)
    if isinstance(content, dict):
        content = "".join(part["text"] for part in content.get("parts", []) if not part.get("thought"))
    return content, candidate.get("finishReason", ...), body.get("usageMetadata")


PARTS = {
    "chat": chat_parts,
    "responses": responses_parts,
    "messages": messages_parts,
    "generate_content": google_parts,
}
GOOD = {"chat": "stop", "responses": "completed", "messages": "end_turn", "generate_content": "STOP"}
FULL = {"chat": "length", "responses": "incomplete", "messages": "max_tokens", "generate_content": "MAX_TOKENS"}
FENCED = f'```json\n{{"description": "{TEXT}"}}\n```'
BROKEN_JSON = f'{{"description": "{TEXT}"}}'[:40]

# fault: what stands for the text, and for the reason to end, in the dialects in the order of GOOD; ... is: missing
ANSWERED = {
    "prompt_blocked_200": ([..., None, None, ...], [..., None, None, ...]),
    "empty_content": (["", "", "", ""], GOOD),
    "null_content": ([None, None, None, None], GOOD),
    "no_content": ([..., ..., ..., ""], GOOD),
    "no_message": ([..., ..., None, ...], GOOD),
    "no_choices": ([..., ..., None, ...], [..., "completed", None, ...]),
    "content_array": ([[{"type": "text", "text": TEXT}]], GOOD),
    "reasoning_only": (["", ..., "", ""], GOOD),
    "think_tags": ([f"<think>Let me look at it.</think>\n\n{TEXT}"], GOOD),
    "no_finish_reason": ([TEXT] * 4, [...] * 4),
    "empty_finish_reason": ([TEXT] * 4, [""] * 4),
    "vendor_finish_reason": (
        [TEXT] * 4,
        ["network_error", "incomplete", "model_context_window_exceeded", "MALFORMED_RESPONSE"],
    ),
    "content_filter": (["", ..., None, ...], ["content_filter", "incomplete", None, "SAFETY"]),
    "refusal": ([None, ..., ""], ["stop", "completed", "refusal"]),
    "length": ([TEXT[:32]] * 4, FULL),
    "no_usage": ([TEXT] * 4, GOOD),
    "zero_usage": ([TEXT] * 4, GOOD),
    "round_usage": ([TEXT] * 4, GOOD),
    "renamed_model": ([TEXT] * 4, GOOD),
    "fenced_json": ([FENCED] * 4, GOOD),
    "broken_json": ([BROKEN_JSON] * 4, GOOD),
    "wrong_schema": (["{}"] * 4, GOOD),
    "media_dropped": (["There is nothing attached that I could look at or listen to."] * 4, GOOD),
}


def test_every_altered_answer_is_looked_at():
    """Each altered answer stands in a list of this file."""
    altered = {name for name, fate in FAULTS.items() if isinstance(fate, Altered) and not name.startswith("stream_")}
    assert altered == set(ANSWERED) | UNREADABLE


@pytest.mark.parametrize("case", [one for one in of_kind(Altered, stream=False) if one[1] in ANSWERED])
def test_altered_answers(play, sandbox, case):
    """Text and reason to end are as the fault has them in the dialect, and the usage is what was billed."""
    dialect, name, _ = case
    answer = play(dialect, name)
    text, finish, usage = PARTS[dialect](answer.json())
    place = list(GOOD).index(dialect)
    texts, reasons = ANSWERED[name]
    assert answer.status_code == 200
    assert text == texts[place]
    assert finish == (list(reasons.values()) if isinstance(reasons, dict) else reasons)[place]
    (entry,) = sandbox.ledger()
    assert (entry.fault, entry.billed) == (name, True)
    if name in {"no_usage", "zero_usage"}:
        assert usage is None if name == "no_usage" else not counts(usage)
    else:
        assert counts(usage) == {count for count in (entry.prompt_tokens, entry.completion_tokens) if count}
    model = answer.json().get("model", answer.json().get("modelVersion"))
    assert model == entry.model + ("-001" if name == "renamed_model" else "")


def counts(usage):
    """The totals of prompt and answer, whatever they are called, but for zeros."""
    names = (
        ("prompt_tokens", "input_tokens", "promptTokenCount"),
        (
            "completion_tokens",
            "output_tokens",
            "candidatesTokenCount",
        ),
    )
    return {usage[name] for group in names for name in group if usage.get(name)}


def test_refusals_say_no(play):
    """A refusal is said where the vendor has a place for it, and safety gives no text."""
    assert play("chat", "refusal").json()["choices"][0]["message"]["refusal"] == NO
    assert play("responses", "refusal").json()["output"][0]["content"] == [{"type": "refusal", "refusal": NO}]
    blocked = play("generate_content", "prompt_blocked_200").json()
    assert blocked["promptFeedback"] == {"blockReason": "PROHIBITED_CONTENT"}
    assert play("responses", "content_filter").json()["incomplete_details"] == {"reason": "content_filter"}
    assert play("responses", "vendor_finish_reason").json()["incomplete_details"] == {"reason": "network_error"}
    assert play("messages", "reasoning_only").json()["content"][0]["thinking"] == TEXT
    thought = play("generate_content", "reasoning_only").json()["candidates"][0]["content"]["parts"]
    assert thought == [{"text": TEXT, "thought": True}]
    summary = play("responses", "reasoning_only").json()["output"][0]["summary"]
    assert summary == [{"type": "summary_text", "text": TEXT}]


@pytest.mark.parametrize("name", ANSWERED)
def test_altered_streams(play, sandbox, name):
    """A stream of an altered answer is a stream of events, billed, with the same words in it."""
    for dialect in [one[0] for one in cases_of(name) if one[2]]:
        answer = play(dialect, name, stream=True)
        assert (answer.status_code, answer.headers["Content-Type"]) == (200, "text/event-stream")
        values = [line[6:] for line in answer.text.split("\n") if line.startswith("data: ")]
        assert all(json.loads(value) for value in values if value != "[DONE]")
        assert ("usage" in answer.text) == (name != "no_usage" or dialect == "responses")
        assert ("-001" in answer.text) == (name == "renamed_model")
    told = {(entry.fault, entry.billed, entry.finished, entry.stream) for entry in sandbox.ledger()}
    assert told == {(name, True, True, True)}
