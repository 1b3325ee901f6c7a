"""The dialects' table, which headers a decoder wants, and which answers are streams."""

import json

import pytest

from mediascribe.domain import MEDIA_KINDS, Media, Request
from mediascribe.errors import AttemptError, RateLimitedError
from mediascribe.wire import DIALECTS, Answer, keep_header


def test_every_dialect_is_listed_under_its_name():
    """A job names a dialect by its key."""
    assert all(name == dialect.name for name, dialect in DIALECTS.items())
    assert list(DIALECTS) == ["chat", "responses", "messages", "generate_content"]


@pytest.mark.parametrize(
    ("name", "kept"),
    [
        ("Content-Type", True),
        ("X-Oneapi-Request-Id", True),
        ("retry-after-ms", True),
        ("X-RateLimit-Reset-Tokens", True),
        ("x-dashscope-partialresponse", True),
        ("request-id", True),
        ("anthropic-ratelimit-input-tokens-reset", True),
        ("Set-Cookie", False),
        ("authorization", False),
        ("server", False),
    ],
)
def test_headers_that_matter(name, kept):
    """Only headers that a decoder reads are kept, whatever their case."""
    assert keep_header(name) is kept


def asking(dialect, **more):
    return Request(model="a-model", dialect=dialect, prompt="What is this?", media=(), identity=(), **more)


@pytest.mark.parametrize("dialect", DIALECTS.values(), ids=DIALECTS)
def test_what_a_dialect_carries_it_encodes(dialect):
    """Every kind of media that a dialect says it carries has a form in its request, by URL and inline."""
    assert {"image"} <= set(dialect.carries) <= set(MEDIA_KINDS)
    for kind, ways in dialect.carries.items():
        for way in ways:
            url = {"url": "https://m.example/a", "inline": "data:x/y;base64,TUVESUE="}[way]
            media = (Media(kind=kind, url=url),)
            request = Request(model="m", dialect=dialect.name, prompt="What?", media=media, identity=media)
            body = dialect.encode(request).decode()
            assert url in body or (way == "inline" and "TUVESUE=" in body)


def test_what_no_dialect_carries():
    """Only chat completions and Google's own format take sound and video."""
    able = {kind: {name for name, dialect in DIALECTS.items() if kind in dialect.carries} for kind in MEDIA_KINDS}
    assert able["image"] == set(DIALECTS)
    assert able["audio"] == able["video"] == {"chat", "generate_content"}


@pytest.mark.parametrize("dialect", DIALECTS.values(), ids=DIALECTS)
def test_addresses_stay_below_the_base(dialect):
    """Every dialect's address stands beside the base URL's version."""
    assert dialect.url("https://g.example/v1", asking(dialect.name)).startswith("https://g.example/v1")


CHUNKS = [
    {"id": "c", "model": "m", "choices": [{"index": 0, "delta": {"role": "assistant", "content": "A "}}]},
    {"id": "c", "model": "m", "choices": [{"index": 0, "delta": {"content": "cat."}, "finish_reason": "stop"}]},
    {
        "id": "c",
        "model": "m",
        "choices": [],
        "usage": {"prompt_tokens": 9, "completion_tokens": 4, "total_tokens": 13},
    },
]
STREAM = "".join(f"data: {json.dumps(chunk)}\n\n" for chunk in CHUNKS) + "data: [DONE]\n\n"


@pytest.mark.parametrize(
    ("content_type", "stream", "body"),
    [
        ("text/event-stream", True, STREAM),
        ("text/event-stream; charset=utf-8", False, STREAM),
        ("application/json", True, STREAM),
        ("", True, f": PING\n\n{STREAM}"),
    ],
)
def test_streams_are_assembled_first(content_type, stream, body):
    """A stream is known by its type, or by its look where one was asked for."""
    answer = Answer(status=200, headers={"content-type": content_type}, body=body.encode())
    completion = DIALECTS["chat"].decode(answer, asking("chat", stream=stream))
    assert (completion.status, completion.text, completion.usage.total_tokens) == ("ok", "A cat.", 13)


@pytest.mark.parametrize("dialect", DIALECTS.values(), ids=DIALECTS)
@pytest.mark.parametrize("start", ["", "\n ", ": PING\n\n"])
def test_an_error_that_calls_itself_a_stream(dialect, start):
    """A JSON error sent as a stream is read as the error that it is."""
    body = start + json.dumps({"error": {"message": "slow", "type": "rate_limit_error", "code": "x"}})
    answer = Answer(status=429, headers={"content-type": "text/event-stream"}, body=body.encode())
    with pytest.raises(RateLimitedError):
        dialect.decode(answer, asking(dialect.name, stream=True))


@pytest.mark.parametrize("dialect", DIALECTS.values(), ids=DIALECTS)
def test_a_cut_stream_is_no_answer(dialect):
    """However a stream is cut, an attempt's error comes of it."""
    for end in (0, 3, 20):
        answer = Answer(status=200, headers={"content-type": "text/event-stream"}, body=b'data: {"id": "c"}\n\n'[:end])
        with pytest.raises(AttemptError):
            dialect.decode(answer, asking(dialect.name, stream=True))
