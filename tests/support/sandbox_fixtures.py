"""A running sandbox, a client for it, and media made on the spot."""

from __future__ import annotations

import base64
import io
import shutil
import wave
from typing import TYPE_CHECKING

import av
import httpx
import numpy as np
import pytest
from PIL import Image

from mediascribe.sandbox import Sandbox

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

RATE = 16_000


@pytest.fixture(scope="session")
def served(tmp_path_factory) -> Iterator[tuple[Sandbox, Path]]:
    """One running sandbox for all tests, and the folder that it serves."""
    folder = tmp_path_factory.mktemp("samples")
    with Sandbox(samples=folder) as running:
        yield running, folder


@pytest.fixture
def sandbox(served) -> Iterator[Sandbox]:
    """The sandbox as new."""
    served[0].reset()
    yield served[0]
    served[0].drain()


@pytest.fixture
def samples(served) -> Iterator[Path]:
    """The folder that the sandbox serves, empty in the end."""
    yield served[1]
    for path in served[1].iterdir():
        shutil.rmtree(path) if path.is_dir() else path.unlink()


@pytest.fixture(scope="session")
def opened(served) -> Iterator[httpx.Client]:
    """A client with the right key, for all tests."""
    headers = {"Authorization": f"Bearer {served[0].api_key}"}
    with httpx.Client(base_url=served[0].url, headers=headers, timeout=20, trust_env=False) as client:
        yield client


@pytest.fixture
def client(opened, sandbox) -> httpx.Client:
    """A client of the sandbox as new."""
    return opened


@pytest.fixture
def ask(client) -> Callable[..., httpx.Response]:
    """Ask the model about media, each one a part such as `image_part(url)`."""

    def asked(*parts, model="gemini-2.0-flash", text="Describe it.", **parameters):
        content = [{"type": "text", "text": text}, *parts]
        body = {"model": model, "messages": [{"role": "user", "content": content}], **parameters}
        return client.post("/chat/completions", json=body)

    return asked


MODEL_OF = {
    "chat": "gemini-2.0-flash",
    "responses": "gpt-4o",
    "messages": "claude-opus-4-5-20251101",
    "generate_content": "gemini-2.0-flash",
}


@pytest.fixture
def ask_in(client, sandbox) -> Callable[..., httpx.Response]:
    """Ask "Describe it." in a dialect, whole or as a stream; `parts` are that dialect's own content parts."""

    def asked(dialect, *parts, stream=False, model=None, **members):
        model = model or MODEL_OF[dialect]
        text = {"type": "text", "text": "Describe it."}
        if dialect == "generate_content":
            manner = "streamGenerateContent?alt=sse" if stream else "generateContent"
            url = f"{sandbox.url.removesuffix('v1')}v1beta/models/{model}:{manner}"
            return client.post(url, json={"contents": [{"parts": [{"text": "Describe it."}, *parts]}], **members})
        head = {"model": model, **({"stream": True} if stream else {}), **members}
        if dialect == "responses":
            content = [{"type": "input_text", "text": "Describe it."}, *parts]
            return client.post("/responses", json=head | {"input": [{"role": "user", "content": content}]})
        said = head | {"messages": [{"role": "user", "content": [text, *parts]}]}
        if dialect == "messages":
            return client.post("/messages", json={"max_tokens": 1000} | said)
        return client.post("/chat/completions", json=said)

    return asked


class Make:
    """Media and content parts, made on the spot."""

    @staticmethod
    def part(kind, url):
        """A content part: its kind and its URL."""
        return {"type": f"{kind}_url", f"{kind}_url": {"url": url}}

    @staticmethod
    def data_url(mime, content):
        """A data URL of a type and bytes."""
        return f"data:{mime};base64,{base64.b64encode(content).decode()}"

    @staticmethod
    def image(width, height, colour=(15, 30, 110), name="PNG"):
        """An image of one colour, as bytes."""
        file = io.BytesIO()
        Image.new("RGB", (width, height), colour).save(file, name)
        return file.getvalue()

    @staticmethod
    def sound(seconds=1.0, values=None):
        """A mono WAV of 16 bits at 16 kHz: samples from -1 to 1, or a sine at half of full scale for some seconds."""
        if values is None:
            values = 0.5 * np.sin(2 * np.pi * 440 * np.arange(int(seconds * RATE)) / RATE)
        file = io.BytesIO()
        with wave.open(file, "wb") as out:
            out.setparams((1, 2, RATE, 0, "NONE", ""))
            out.writeframes((np.asarray(values) * 32767).astype("<i2").tobytes())
        return file.getvalue()

    @staticmethod
    def video(seconds=2, colour=(220, 30, 30), *, track=False):
        """An MP4 of 64 by 48 pixels in one colour, 8 frames a second, with a sound track if wanted."""
        file = io.BytesIO()
        with av.open(file, "w", format="mp4") as out:
            pictures = out.add_stream("mpeg4", rate=8)
            pictures.width, pictures.height, pictures.pix_fmt = 64, 48, "yuv420p"
            voice = out.add_stream("aac", rate=RATE) if track else None
            for _ in range(seconds * 8):
                frame = av.VideoFrame.from_ndarray(np.full((48, 64, 3), colour, np.uint8), format="rgb24")
                out.mux(pictures.encode(frame))
            out.mux(pictures.encode(None))
            if voice:
                silence = np.zeros((1, seconds * RATE), np.float32)
                frame = av.AudioFrame.from_ndarray(silence, format="fltp", layout="mono")
                frame.rate = RATE
                out.mux(voice.encode(frame))
                out.mux(voice.encode(None))
        return file.getvalue()


@pytest.fixture
def make() -> Make:
    """Media and content parts."""
    return Make()
