"""Server-sent events: lines, fields, events of two kinds, and the end."""

import codecs

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mediascribe.wire import sse
from mediascribe.wire.sse import Event


def texts(body):
    return [event.data for event in sse.events(body)]


@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\r"])
def test_line_ends(end):
    """Lines end with LF, CRLF or CR."""
    assert texts(end.join([b"data: a", b"", b"data: b", b"data: c", b"", b""])) == ["a", "b\nc"]


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        pytest.param(b"data: a\n\n", ["a"], id="with a space"),
        pytest.param(b"data:a\n\n", ["a"], id="without a space"),
        pytest.param(b"data:  a\n\n", [" a"], id="one space belongs to the field"),
        pytest.param(b"data: a\ndata: b\n\n", ["a\nb"], id="several data lines are one event"),
        pytest.param(b"data: a", ["a"], id="no line end at the end"),
        pytest.param(b"data: a\n", ["a"], id="no blank line at the end"),
        pytest.param(b"data: a\n\n\n\ndata: b\n\n", ["a", "b"], id="several blank lines"),
        pytest.param(b": PING\n\n: PING\n\ndata: a\n\n", ["a"], id="comments"),
        pytest.param(b"data: a\n: PING\ndata: b\n\n", ["a\nb"], id="a comment within an event"),
        pytest.param(b"id: 7\nretry: 3000\ndata: a\n\n", ["a"], id="id and retry"),
        pytest.param(b"data:\n\ndata\n\nevent: x\n\n", [], id="no text"),
        pytest.param(b"hello\nworld: x\n\ndata: a\n\n", ["a"], id="unknown fields"),
        pytest.param(codecs.BOM_UTF8 + b"data: a\n\n", ["a"], id="byte order mark"),
        pytest.param(b"data: \xff\xe9 ok\n\n", ["�� ok"], id="invalid UTF-8"),
        pytest.param("data: a\u2028b\x0bc\x85d\n\n".encode(), ["a\u2028b\x0bc\x85d"], id="other line ends are text"),
        pytest.param(b"", [], id="nothing"),
    ],
)
def test_texts(body, expected):
    """The text of each event is what its data lines say."""
    assert texts(body) == expected


def test_names():
    """A name belongs to the event that it stands in, and to no later one."""
    body = b"event: a\ndata: 1\n\ndata: 2\n\nevent: b\n\ndata: 3\n\nevent:\ndata: 4\n\ndata: 5\nevent: c\n\n"
    assert [event.name for event in sse.events(body)] == ["a", None, None, None, "c"]


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        pytest.param(
            b': PING\n\n{"error": {"message": "no"}}',
            [Event(kind="bare", data='{"error": {"message": "no"}}')],
            id="an error after a keep-alive",
        ),
        pytest.param(b'{\n\n "a": 1}\n', [Event(kind="bare", data='{\n\n "a": 1}\n')], id="a body that is JSON"),
        pytest.param(
            b': PING\n{\n\n "a": 1\n}\n: PING\n', [Event(kind="bare", data='{\n\n "a": 1\n}')], id="over many lines"
        ),
        pytest.param(
            b'data: {"a": 1}\n{"error": 1}\n',
            [Event(data='{"a": 1}'), Event(kind="bare", data='{"error": 1}')],
            id="close behind an event",
        ),
        pytest.param(
            b'event: error\n{"error": 1}\ndata: [DONE]\n\n',
            [Event(kind="bare", name="error", data='{"error": 1}'), Event(data="[DONE]")],
            id="with a name, and an event close behind",
        ),
        pytest.param(b'{"a": ', [Event(kind="bare", data='{"a": ')], id="cut"),
    ],
)
def test_bare_json(body, expected):
    """JSON without `data:` is an event of its own kind."""
    assert sse.events(body) == expected


@pytest.mark.parametrize(
    ("dialect", "body", "expected"),
    [
        ("chat", b'data: {"a": 1}\n\ndata: [DONE]\n\n', True),
        ("chat", b'data: {"a": 1}\n\ndata:[DONE]', True),
        ("chat", b'data: {"a": 1}\ndata: [DONE]\n', True),
        ("chat", b"data: [DONE]\n\ndata: {}\n\ndata: {}\n\ndata: {}\n\n", True),
        ("chat", b'data: {"a": "[DONE]"}\n\n', False),
        ("chat", b'data: {"choices": [{"finish_reason": "stop"}]}\n\n', False),
        ("chat", b"", False),
        ("messages", b'event: message_stop\ndata: {"type": "message_stop"}\n\n', True),
        ("messages", b"event: message_stop\ndata: {}\n\n", True),
        ("messages", b'data: {"type": "message_stop"}\n\ndata: [DONE]\n\n', True),
        ("messages", b'data: {"type": "message_delta"}\n\n', False),
        ("messages", b"data: 7\n\n", False),
        ("messages", b"data: [DONE]\n\n", False),
        ("responses", b'data: {"type": "response.completed"}\n\n', True),
        ("responses", b'data: {"type": "response.failed"}\n\n', True),
        ("responses", b'data: {"type": "response.incomplete"}\n\n', True),
        ("responses", b'data: {"type": "response.output_text.delta"}\n\n', False),
        ("responses", b'data: {"type": []}\n\n', False),
        ("generate_content", b'data: {"candidates": [{"finishReason": "STOP"}]}\n\n', True),
        ("generate_content", b'[{"candidates": []}, {"candidates": [{"finishReason": "STOP"}]}]', True),
        ("generate_content", b'data: {"candidates": [{"content": {}}]}\n\n', False),
        ("generate_content", b'data: {"candidates": []}\n\n', False),
        ("generate_content", b"[]", False),
        ("generate_content", b'data: {"candidates": [{"finishReason": "ST', False),
    ],
)
def test_ended(dialect, body, expected):
    """Each dialect has its own sign at the end of a stream."""
    assert sse.ended(sse.events(body), dialect) is expected
    assert sse.read(body, dialect).ended is expected


def test_read_stops_at_an_error():
    """Chunks stand before an error object, and nothing after it is read."""
    found = sse.read(b'data: {"a": 1}\n\ndata: {"error": {"code": "x"}}\n\ndata: {"a": 2}\n\n', "chat")
    assert found.chunks == [{"a": 1}]
    assert found.error == b'{"error":{"code":"x"}}'


@pytest.mark.parametrize("said", [b'{"error": null, "a": 1}', b'{"error": "", "a": 1}', b'{"error": {}, "a": 1}'])
def test_an_empty_error_is_none(said):
    """An `error` member that says nothing is no error."""
    assert sse.read(b"data: " + said, "chat").error is None


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b'data: {"success": false, "message": "no"}', id="success is false"),
        pytest.param(b'data: {"type": "error", "code": "x", "message": "no"}', id="flat, of type error"),
        pytest.param(b'event: error\ndata: {"message": "no"}', id="named error"),
        pytest.param(b"event: error\ndata: upstream went away", id="named error, no JSON"),
        pytest.param(b'[{"error": {"code": 400}}]', id="in an array"),
    ],
)
def test_errors_in_other_words(body):
    """An error is known by its member, its type, its event's name, or `success`."""
    assert sse.read(body, "messages").error is not None


def test_read_past_what_cannot_be_read():
    """Chunks behind one that cannot be read are kept apart; texts that are no JSON at all are passed over."""
    found = sse.read(b'data: {"a": 1}\n\ndata: PING\n\ndata: {"a"\n\ndata: {"a": 3}\n\n', "chat")
    assert (found.chunks, found.later, found.is_broken) == ([{"a": 1}], [{"a": 3}], True)


def test_events_without_blank_lines():
    """Data lines that are JSON each for itself are chunks each for itself."""
    found = sse.read(b'data: {"a": 1}\ndata: {"a": 2}\ndata: [DONE]\n', "chat")
    assert (found.chunks, found.is_broken, found.ended) == ([{"a": 1}, {"a": 2}], False, True)


def test_lines_that_are_no_json():
    """An event of several lines whose first is no JSON is one chunk that cannot be read, or an error's text."""
    found = sse.read(b'data: {"a"\ndata: {"a": 2}\n\n', "chat")
    assert (found.chunks, found.later, found.is_broken) == ([], [], True)
    assert sse.read(b"event: error\ndata: upstream\ndata: went away\n\n", "chat").error == b"upstream\nwent away"


def test_a_name_is_the_missing_type():
    """A chunk without `type` has its event's name as that; one that has a type keeps it."""
    found = sse.read(b'event: a\ndata: {"x": 1}\n\nevent: b\ndata: {"type": "c"}\n\n', "messages")
    assert found.chunks == [{"type": "a", "x": 1}, {"type": "c"}]


@settings(max_examples=200, deadline=None)
@given(
    st.lists(st.text().filter(lambda text: not set(text) & {"\r", "\n"} and text), max_size=8),
    st.sampled_from(["\n", "\r\n", "\r"]),
)
def test_what_is_written_is_read(said, end):
    """Any text without line ends comes back from a stream as it went in."""
    body = "".join(f"event: x{end}data: {text}{end}{end}" for text in said).encode()
    assert texts(body) == said


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=300))
def test_any_bytes(body):
    """Any bytes are read without an error, and no event is empty."""
    assert all(event.data for event in sse.events(body))
    for dialect in ("chat", "responses", "messages", "generate_content"):
        sse.read(body, dialect)
