"""Completions over real HTTP: what is answered and billed."""

from __future__ import annotations

import base64
import hashlib
from concurrent.futures import ThreadPoolExecutor

import pytest

from mediascribe.sandbox import Behaviour, Seen


def test_image_by_url(ask, samples, sandbox, make):
    """An image by URL is fetched, described, weighed by its tiles and billed at list price."""
    (samples / "wide.png").write_bytes(make.image(960, 540))
    url = sandbox.media_url + "wide.png"
    answer = ask(make.part("image", url + "?sig=secret"), text="Describe.", max_tokens=500, temperature=0.5)
    body = answer.json()
    text = body["choices"][0]["message"]["content"]
    assert answer.status_code == 200
    assert text == ("The image is a PNG of 960 by 540 pixels, dark; its main colours are dark blue.")
    assert body["usage"]["prompt_tokens"] == 3 + 1806  # "Describe." has 9 bytes
    assert body["usage"]["completion_tokens"] == 20  # 78 bytes
    assert body["model"] == "gemini-2.0-flash"
    assert body["choices"][0]["finish_reason"] == "stop"
    (entry,) = sandbox.ledger()
    assert entry.media == (Seen(kind="image", where=url.removeprefix("http://")),)
    assert (entry.prompt_tokens, entry.text_tokens, entry.image_tokens, entry.completion_tokens) == (1809, 3, 1806, 20)
    assert entry.nano_usd == 1809 * 100 + 20 * 400
    assert entry.prompt_sha256 == hashlib.sha256(b"Describe.").hexdigest()
    assert entry.parameters == {"max_tokens": 500, "temperature": 0.5}
    assert (entry.billed, entry.finished, entry.status, entry.fault) == (True, True, 200, None)


def test_request_id(ask, sandbox):
    """The request id is in the header, in the answer's id and in the ledger, and has the reference's shape."""
    answer = ask()
    request_id = answer.headers["X-Oneapi-Request-Id"]
    assert answer.json()["id"] == f"chatcmpl-{request_id}"
    assert sandbox.ledger()[0].request_id == request_id
    assert len(request_id) == len("toio20251226074613833316175pDor54M8")
    assert request_id.startswith("toio20")


def test_media_together(ask, sandbox, make):
    """Several media have one sentence each, and audio is billed at its own price."""
    answer = ask(
        make.part("image", make.data_url("image/png", make.image(300, 200, (250, 250, 250)))),
        make.part("audio", make.data_url("audio/wav", make.sound(7.0))),
        make.part("video", make.data_url("video/mp4", make.video(2, track=True))),
    )
    usage = answer.json()["usage"]
    text = answer.json()["choices"][0]["message"]["content"]
    assert text.count("The ") == 3
    assert "lasts 7.0 s (16000 Hz, mono) and is tonal at a loudness of -9.0 dBFS." in text
    assert "The video lasts 2.0 s: 16 frames of 64 by 48 pixels at 8 per second, with sound" in text
    assert usage["prompt_tokens_details"]["audio_tokens"] == 175 + 64
    assert usage["prompt_tokens_details"]["image_tokens"] == 0
    assert usage["prompt_tokens"] == 3 + 258 + 175 + 2 * 258 + 64
    (entry,) = sandbox.ledger()
    assert (entry.image_tokens, entry.audio_tokens, entry.video_tokens) == (258, 239, 516)
    assert entry.nano_usd == (3 + 258 + 516) * 100 + 239 * 700 + entry.completion_tokens * 400
    assert entry.media[1].where == "data:audio/wav;base64"


def test_silent_stereo_text(ask, make):
    """Silence has no loudness in the answer, and a mute video says so."""
    answer = ask(
        make.part("audio", make.data_url("audio/wav", make.sound(values=[0.0] * 100))),
        make.part("video", make.data_url("video/mp4", make.video(1))),
    )
    text = answer.json()["choices"][0]["message"]["content"]
    assert "and is silence. The video" in text
    assert "without sound" in text


def test_input_audio(ask, make):
    """Sound may come as `input_audio`."""
    inner = {"data": base64.b64encode(make.sound(1.0)).decode(), "format": "wav"}
    answer = ask({"type": "input_audio", "input_audio": inner})
    assert answer.json()["usage"]["prompt_tokens_details"]["audio_tokens"] == 25


def test_bare_strings(ask, make):
    """An image may be a bare URL string, and its URL plain base64."""
    inner = base64.b64encode(make.image(10, 10)).decode()
    for url in (make.data_url("image/png", make.image(10, 10)), inner):
        assert ask({"type": "image_url", "image_url": url}).json()["usage"]["prompt_tokens"] == 3 + 258


def test_the_type_decides_the_kind(ask, make):
    """A sound in an image part is heard, as on the real gateway."""
    answer = ask(make.part("image", make.data_url("audio/wav", make.sound(1.0))))
    assert answer.json()["usage"]["prompt_tokens_details"]["audio_tokens"] == 25


def test_unknown_parts_vanish(ask):
    """Unknown and malformed parts are dropped without a word, and the answer shows it."""
    answer = ask(
        {"type": "sound_url", "sound_url": {"url": "http://x/y"}},
        {"type": "image_url"},
        {"type": "image_url", "image_url": {}},
        {"type": "input_audio", "input_audio": {"data": 1}},
        {"type": "text", "text": 7},
        {"type": ["text"]},
        "text",
    )
    assert answer.status_code == 200
    text = answer.json()["choices"][0]["message"]["content"]
    assert text == "The prompt has 2 words; no image, sound or video came with it."
    assert answer.json()["usage"]["prompt_tokens"] == 3


def test_texts_of_all_messages_count(client, sandbox):
    """Every text of every message is weighed; a message may have no content."""
    messages = [{"role": "system", "content": "Be brief."}, {"role": "assistant"}, {"role": "user", "content": "Hi"}]
    answer = client.post("/chat/completions", json={"model": "deepseek-chat", "messages": messages})
    assert answer.json()["usage"]["prompt_tokens"] == 3  # 9 + 1 + 2 bytes
    assert sandbox.ledger()[0].prompt_sha256 == hashlib.sha256(b"Be brief.\nHi").hexdigest()


def test_half_a_surrogate_pair(client):
    """Text that is none is weighed as a question mark."""
    body = rb'{"model": "gpt-4o", "messages": [{"role": "user", "content": "\ud800"}]}'
    assert client.post("/chat/completions", content=body).json()["usage"]["prompt_tokens"] == 1


@pytest.mark.parametrize("name", ["max_tokens", "max_completion_tokens"])
def test_length(ask, sandbox, name):
    """An answer that reaches max_tokens is cut, says so, and is billed for just that."""
    body = ask(**{name: 5}).json()
    assert body["choices"][0]["finish_reason"] == "length"
    assert body["choices"][0]["message"]["content"] == "The prompt has 2 wor"
    assert body["usage"]["completion_tokens"] == 5
    assert sandbox.ledger()[0].completion_tokens == 5


def test_max_tokens_zero_is_dropped(ask):
    """A max_tokens of 0 is no limit."""
    assert ask(max_tokens=0).json()["choices"][0]["finish_reason"] == "stop"


@pytest.mark.parametrize("wish", [{"thinking": {"type": "enabled"}}, {"enable_thinking": True}])
def test_thinking(ask, sandbox, wish):
    """Reasoning is a part of the completion, and is spent first."""
    body = ask(**wish).json()
    reasoning = body["usage"]["completion_tokens_details"]["reasoning_tokens"]
    thought = body["choices"][0]["message"]["reasoning_content"]
    text = body["choices"][0]["message"]["content"]
    assert reasoning == -(-len(thought) // 4)
    assert body["usage"]["completion_tokens"] == reasoning + -(-len(text) // 4)
    cut = ask(**wish, max_tokens=1).json()
    assert cut["choices"][0]["message"]["content"] == ""
    assert cut["choices"][0]["finish_reason"] == "length"
    assert sandbox.ledger()[1].reasoning_tokens == 1


@pytest.mark.parametrize(
    ("model", "prompt"),
    [
        ("gpt-4o", 3 + 85 + 4 * 170),
        ("gpt-4o-mini", 3 + 2833 + 4 * 5667),
        ("claude-sonnet-4-5-20250929", 3 + 1399),
        ("qwen3-omni-flash-2025-12-01", 3 + 1026),
        ("gemini-2.5-pro", 3 + 5 * 258),
    ],
)
def test_models_weigh_by_their_rules(ask, model, prompt, make):
    """A picture of 1024 by 1024 pixels weighs by each family's rule (1,048,576 / 750 is 1398.1, 32 squares a side)."""
    answer = ask(make.part("image", make.data_url("image/png", make.image(1024, 1024))), model=model)
    assert answer.json()["usage"]["prompt_tokens"] == prompt


def test_low_detail(ask, make):
    """Low detail is weighed as such."""
    url = make.data_url("image/png", make.image(1024, 1024))
    answer = ask({"type": "image_url", "image_url": {"url": url, "detail": "low"}}, model="gpt-4o")
    assert answer.json()["usage"]["prompt_tokens"] == 3 + 85


def test_limits_refuse(ask, sandbox):
    """The third request of a minute of two is refused, unbilled, and a reset begins a new minute."""
    sandbox.behave("*", Behaviour(requests_per_minute=2, retry_after=True))
    assert [ask().status_code for _ in range(2)] == [200, 200]
    answer = ask()
    assert answer.status_code == 429
    assert 1 <= int(answer.headers["Retry-After"]) <= 60
    assert [entry.billed for entry in sandbox.ledger()] == [True, True, False]
    sandbox.reset()
    assert ask().status_code == 200
    assert len(sandbox.ledger()) == 1


def test_token_limit_refuses(ask, sandbox):
    """A minute's tokens are counted as they are billed."""
    tokens = ask().json()["usage"]["total_tokens"]
    sandbox.behave("gemini-2.0-flash", Behaviour(tokens_per_minute=2 * tokens, empty_429=True))
    answers = [ask() for _ in range(3)]
    assert [answer.status_code for answer in answers] == [200, 200, 429]
    assert answers[2].content == b""
    assert "Retry-After" not in answers[2].headers


def test_limits_by_name(ask, sandbox):
    """A model's name may carry its behaviour; the ledger and the answer have the plain name."""
    name = "gemini-2.0-flash+rpm=1"
    assert ask(model=name).json()["model"] == "gemini-2.0-flash"
    assert ask(model=name).status_code == 429
    assert ask().status_code == 200
    assert {entry.model for entry in sandbox.ledger()} == {"gemini-2.0-flash"}


def test_behaviour_of_a_model_comes_first(ask, sandbox):
    """A model's own behaviour replaces the one for all."""
    sandbox.behave("*", Behaviour(requests_per_minute=1))
    sandbox.behave("gemini-2.0-flash", Behaviour())
    assert [ask().status_code for _ in range(3)] == [200] * 3
    assert [ask(model="gpt-4o").status_code for _ in range(2)] == [200, 429]


def test_ledger_is_the_sum_of_the_answers(ask, sandbox, make):
    """Under load, limits and faults the ledger's sums are those of the usages that came back."""
    picture = make.part("image", make.data_url("image/png", make.image(400, 300)))
    tone = make.part("audio", make.data_url("audio/wav", make.sound(1.0)))
    name = "gemini-2.0-flash+slow=0.01+jitter=0.02+rpm=50+fault=http_500:0.2"
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda number: ask(picture if number % 2 else tone, model=name), range(60)))
    usages = [answer.json()["usage"] for answer in answers if answer.status_code == 200]
    entries = sandbox.ledger()
    assert len(entries) == 60
    assert [entry.number for entry in entries] == list(range(1, 61))
    assert sum(entry.billed for entry in entries) == len(usages) < 60
    assert sum(entry.prompt_tokens for entry in entries) == sum(usage["prompt_tokens"] for usage in usages)
    assert sum(entry.total_tokens for entry in entries) == sum(usage["total_tokens"] for usage in usages)
    assert sum(entry.nano_usd for entry in entries) == sum(
        (usage["prompt_tokens"] - usage["prompt_tokens_details"]["audio_tokens"]) * 100
        + usage["prompt_tokens_details"]["audio_tokens"] * 700
        + usage["completion_tokens"] * 400
        for usage in usages
    )
    assert all(entry.finished for entry in entries)
    assert 1 <= sandbox.max_in_flight <= 8
