"""Media over real HTTP: what is fetched, decoded and refused."""

from __future__ import annotations

import http.server
import socket
import threading

import pytest
from aiohttp import ClientTimeout

from mediascribe.sandbox import desk
from mediascribe.sandbox.fetch import Loaded
from mediascribe.sandbox.look import look


def error(answer):
    return answer.json()["error"]


@pytest.fixture
def origin():
    """An origin of media that answers as its `answers` say: path -> status, headers, body."""
    answers = {}

    class Origin(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            status, headers, body = answers[self.path]
            self.send_response_only(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *args):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Origin)
    server.answers = answers
    server.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def test_kind_not_taken(ask, sandbox, make):
    """A model refuses a kind that it does not take, in an upstream's words."""
    answer = ask(make.part("audio", make.data_url("audio/wav", make.sound())), model="gpt-4o")
    assert answer.status_code == 400
    assert error(answer)["type"] == "invalid_request_error"
    assert "request id" not in error(answer)["message"]
    assert not sandbox.ledger()[0].billed


def test_too_many_images(ask, make):
    """Seventeen images in one message are too many."""
    answer = ask(*[make.part("image", "http://x/y.png")] * 17)
    assert error(answer)["message"].startswith("too many images in the message, max allowed is 16")


@pytest.mark.parametrize(
    "case",
    [
        ("text/html; charset=utf-8", "/a.png", "mime type is not supported: 'text/html'"),
        ("image/gif", "/a.gif", "mime type is not supported: 'image/gif'"),
        ("audio/x-wav", "/a.wav", "mime type is not supported: 'audio/x-wav'"),
        (None, "/a.png", "mime type is not supported: ''"),
        ("application/octet-stream", "/a.bin", "'application/octet-stream'"),
        ("text/plain", "/a.txt", "mime type is not supported: 'text/plain'"),
        ("image/png", "/a.png", "invalid image content"),
    ],
)
def test_media_refused(ask, origin, make, case):
    """The origin's type decides; what it sends must be what it says; the URL is masked in the message."""
    mime, path, said = case
    origin.answers[path] = (404, {"Content-Type": mime} if mime else {}, b"<html></html>")
    answer = ask(make.part("image", origin.url + path))
    assert answer.status_code == 500
    assert error(answer)["code"] == "convert_request_failed"
    assert said in error(answer)["message"]
    assert "127.0.0.1" not in error(answer)["message"]


def test_type_by_name(ask, origin, make):
    """The name of the file decides when the origin says octet-stream, and its status does not matter."""
    origin.answers["/a.PNG?x=1"] = (404, {"Content-Type": "application/octet-stream"}, make.image(10, 10))
    assert ask(make.part("image", origin.url + "/a.PNG?x=1")).json()["usage"]["prompt_tokens"] == 3 + 258


def test_other_families_take_other_types(ask, origin, make):
    """The list of types is Gemini's: OpenAI takes a GIF."""
    origin.answers["/a"] = (200, {"Content-Type": "image/gif"}, make.image(10, 10, name="GIF"))
    assert ask(make.part("image", origin.url + "/a"), model="gpt-4o").status_code == 200


def test_media_too_large(ask, origin, make):
    """A download of more than 20 MB is refused with the gateway's message."""
    origin.answers["/a"] = (200, {"Content-Type": "image/png"}, bytes(20 * 2**20 + 1))
    said = error(ask(make.part("image", origin.url + "/a")))["message"]
    assert said.startswith("file size exceeds maximum allowed size: 20MB")


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("data:image/png;base64,aGVsbG8=", "invalid image content"),
        ("http://127.0.0.1:1/x.png", "get file base64 from url 'https://***.com/***' failed"),
        ("http://[/x.png", "get file base64 from url 'https://***.com/***' failed"),
        ("data:image/png;base64,@@@@", "decode base64 failed"),
        ("data:image/png,hello", "the data URL is not base64"),
        ("data:application/pdf;base64,aGVsbG8=", "mime type is not supported: 'application/pdf'"),
        ("not base64!", "decode base64 failed"),
    ],
)
def test_media_not_to_be_had(ask, url, said, make):
    """Media that cannot be fetched or decoded are 500 convert_request_failed."""
    answer = ask(make.part("image", url))
    assert answer.status_code == 500
    assert error(answer)["message"].startswith(said)


def test_media_that_take_too_long(ask, monkeypatch, make):
    """An origin that is silent for too long is given up."""
    monkeypatch.setattr("mediascribe.sandbox.fetch.TIMEOUT", ClientTimeout(total=0.05))
    with socket.create_server(("127.0.0.1", 0)) as silent:
        answer = ask(make.part("image", f"http://127.0.0.1:{silent.getsockname()[1]}/x.png"))
    assert "failed: timeout" in error(answer)["message"]


async def test_the_same_bytes_are_looked_at_once(make, monkeypatch):
    """Bytes seen before need no second look; the oldest are forgotten."""
    looks = []
    monkeypatch.setattr(desk, "_LOOKS_KEPT", 1)
    monkeypatch.setattr(desk, "look", lambda kind, content: looks.append(content) or look(kind, content))
    own = desk.Desk(api_key="sk-mine", samples=None)
    one, other = (Loaded(kind="image", content=make.image(side, side)) for side in (10, 20))
    seen = [await own.look(loaded) for loaded in (one, one, other, one)]
    assert [fact.width for fact in seen] == [10, 10, 20, 10]
    assert looks == [one.content, other.content, one.content]
