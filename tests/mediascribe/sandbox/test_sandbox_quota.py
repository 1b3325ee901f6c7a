"""Quotas, outages and answers of any length over real HTTP; the ledger stays exact."""

from __future__ import annotations

import asyncio
import json

import httpx
import pytest

from mediascribe.sandbox import Behaviour
from mediascribe.sandbox.length import MOST

TEXT = {"messages": [{"role": "user", "content": "Say something."}]}  # 14 bytes: 4 tokens


def test_a_question_needs_no_media(client, sandbox):
    """A text alone is answered, and billed by its length."""
    reply = client.post("/chat/completions", json={"model": "gemini-2.0-flash", **TEXT}).json()
    assert reply["usage"]["prompt_tokens"] == 4
    assert "no image, sound or video came with it" in reply["choices"][0]["message"]["content"]


def test_every_answer_tells_what_is_left(ask, sandbox):
    """Well answered, refused or failed: the headers are there, and the 429's own beside them."""
    sandbox.behave("*", Behaviour(requests_per_minute=2, rate_headers="openai", retry_after=True))
    replies = [ask(), ask(max_tokens=-1), ask()]
    assert [reply.status_code for reply in replies] == [200, 400, 429]
    assert [reply.headers["x-ratelimit-remaining-requests"] for reply in replies] == ["1", "0", "0"]
    assert replies[2].headers["retry-after"] == "60"
    assert "x-ratelimit-limit-tokens" not in replies[0].headers


def test_streams_tell_it_too(ask, sandbox):
    """A stream's headers have it."""
    sandbox.behave("*", Behaviour(tokens_per_minute=1000, rate_headers="anthropic"))
    told = ask(stream=True).headers
    assert int(told["anthropic-ratelimit-tokens-remaining"]) < 1000


async def test_requests_at_a_time(sandbox):
    """Of three at once, with room for two, one is refused; afterwards there is room again."""
    sandbox.behave("*", Behaviour(max_in_flight=2, latency_s=0.1))
    headers = {"Authorization": f"Bearer {sandbox.api_key}"}
    async with httpx.AsyncClient(base_url=sandbox.url, headers=headers, trust_env=False) as client:

        async def asked():
            reply = await client.post("/chat/completions", json={"model": "gemini-2.0-flash", **TEXT})
            return reply.status_code

        assert sorted(await asyncio.gather(asked(), asked(), asked())) == [200, 200, 429]
        assert await asked() == 200
    assert [entry.billed for entry in sandbox.ledger()].count(True) == 3


def test_an_outage_bills_nothing(ask, sandbox):
    """Every request meets it, whatever else the behaviour says, and none counts against a limit."""
    sandbox.behave("*", Behaviour(outage_s=60, requests_per_minute=1, rate_headers="openai"))
    replies = [ask() for _ in range(3)]
    assert [reply.status_code for reply in replies] == [503] * 3
    assert replies[2].headers["x-ratelimit-remaining-requests"] == "1"
    assert {(entry.fault, entry.billed) for entry in sandbox.ledger()} == {("http_503", False)}


def test_an_outage_may_reset(ask, sandbox):
    """The connection breaks, and nothing is billed."""
    sandbox.behave("*", Behaviour(outage_s=60, outage="reset_before"))
    with pytest.raises(httpx.TransportError):
        ask()
    sandbox.drain()
    (entry,) = sandbox.ledger()
    assert (entry.fault, entry.status, entry.billed) == ("reset_before", None, False)


@pytest.mark.parametrize("dialect", ["chat", "responses", "messages", "generate_content"])
@pytest.mark.parametrize(("manner", "tokens"), [("least", 1), ("most", 50)])
def test_answers_are_as_long_as_wanted(ask_in, sandbox, dialect, manner, tokens):
    """One token, or all that the request allows: billed to the token, in every dialect."""
    sandbox.behave("*", Behaviour(answer_tokens=manner))
    names = {"responses": "max_output_tokens", "messages": "max_tokens", "chat": "max_tokens"}
    limit = {names[dialect]: 50} if dialect in names else {"generationConfig": {"maxOutputTokens": 50}}
    assert ask_in(dialect, **limit).status_code == 200
    (entry,) = sandbox.ledger()
    assert (entry.completion_tokens, entry.billed) == (tokens, True)


def test_the_text_is_as_long_as_its_tokens(ask, sandbox):
    """Four bytes a token; the longest ends for its length, the shortest by itself."""
    sandbox.behave("*", Behaviour(answer_tokens="most"))
    longest = ask(max_tokens=100).json()["choices"][0]
    assert (len(longest["message"]["content"]), longest["finish_reason"]) == (400, "length")
    sandbox.behave("*", Behaviour(answer_tokens="least"))
    shortest = ask(max_tokens=100).json()["choices"][0]
    assert (shortest["message"]["content"], shortest["finish_reason"]) == ("The ", "stop")


def test_without_a_limit_the_models_own_counts(ask, sandbox):
    """8192 tokens, which is the documented maximum."""
    sandbox.behave("*", Behaviour(answer_tokens="most"))
    assert ask().json()["usage"]["completion_tokens"] == MOST == 8192


def test_random_lengths_are_repeatable(ask, sandbox):
    """From 1 to the limit, the same for the same seed."""

    def drawn():
        sandbox.reset()
        sandbox.behave("*", Behaviour(answer_tokens="random", seed=3))
        return [ask(max_tokens=500).json()["usage"]["completion_tokens"] for _ in range(8)]

    first = drawn()
    assert first == drawn()
    assert len(set(first)) > 4
    assert all(1 <= tokens <= 500 for tokens in first)


def test_padded_json_is_json(ask, sandbox):
    """An answer by a schema is padded by spaces."""
    sandbox.behave("*", Behaviour(answer_tokens="most"))
    schema = {"type": "object", "properties": {"description": {"type": "string"}}, "required": ["description"]}
    wanted = {"type": "json_schema", "json_schema": {"name": "a", "schema": schema}}
    reply = ask(max_tokens=200, response_format=wanted).json()
    assert reply["usage"]["completion_tokens"] == 200
    assert set(json.loads(reply["choices"][0]["message"]["content"])) == {"description"}


def test_thinking_is_part_of_the_length(ask, sandbox):
    """Reasoning leaves at least one token to the answer."""
    sandbox.behave("*", Behaviour(answer_tokens="least"))
    reply = ask(max_tokens=100, model="gemini-2.5-flash", reasoning_effort="high").json()
    assert reply["usage"]["completion_tokens"] == 1
    assert reply["choices"][0]["message"]["content"] == "The "
