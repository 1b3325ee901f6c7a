"""The section [media] of a job file."""

from __future__ import annotations

import re
from typing import Literal

from pydantic import Field, field_validator

from mediascribe.section import SANDBOX_URL, Section

_LAST_PORT = 65_535


class MediaSection(Section):
    """How media reach the gateway, and what is looked at before anything is paid."""

    mode: Literal["url", "probe", "inline"] = Field(
        "probe",
        description="url: pass each URL on unseen; probe: look at the media first; inline: fetch, shrink and send them",
    )
    base_url: str | None = Field(
        None,
        description="prefix of relative URLs: http(s), a folder of yours, or s3://bucket/prefix;"
        " `sandbox` serves data/samples",
    )
    allow: list[str] = Field(
        default_factory=list,
        description="private hosts, addresses or networks that may be reached all the same: media.corp, 10.2.0.0/16",
    )
    ports: list[int] = Field([80, 443], description="ports that may be reached")
    concurrency: int = Field(64, ge=1, le=2_000, description="media looked at or fetched at a time")
    per_host: int = Field(8, ge=1, le=1_000, description="of these, at one host")
    look_ahead: int = Field(256, ge=1, le=100_000, description="rows whose media may be ready before they are asked")
    bytes_ahead: int = Field(256 * 2**20, ge=2**20, description="bytes of media that may be held ready")
    timeout_s: float = Field(30.0, gt=0, description="seconds until a medium's host must have answered")
    redirects: int = Field(5, ge=0, le=20, description="redirects followed, each checked like the first address")
    max_bytes: int = Field(100 * 2**20, ge=1024, description="a longer medium is skipped")
    max_pixels: int = Field(100_000_000, ge=1, description="a picture with more pixels is skipped")
    max_seconds: float | None = Field(None, gt=0, description="a longer sound or film is skipped, or cut by `split_s`")
    opt_out: bool = Field(default=True, description="skip media whose host says X-Robots-Tag: noai")
    ignored: Literal["fail", "flag"] = Field(
        "fail", description="an answer that was billed without its media: fail the row, or flag the answer"
    )
    same_once: bool = Field(
        default=True, description="ask once about the same media and prompt; other rows get that answer"
    )
    max_side: int | None = Field(None, ge=16, description="inline: longest side in pixels; unset: best for the model")
    detail: Literal["auto", "low", "high"] = Field("auto", description="how much of pictures the model is to see")
    max_body_bytes: int = Field(
        20 * 2**20, ge=2**16, description="inline: a request may be this long, its media in base64 included"
    )
    fps: float | None = Field(None, gt=0, le=60, description="inline films: frames a second; unset: as the model reads")
    frames: int | None = Field(None, ge=1, le=3_600, description="inline films: send so many frames as pictures")
    clip_s: tuple[float, float] | None = Field(None, description="inline: only from this second to that one")
    split_s: float | None = Field(
        None, ge=1, description="longer sounds and films are cut into pieces of at most so many seconds"
    )
    split_at: Literal["time", "silence", "scene"] = Field("silence", description="where pieces are cut")
    join: Literal["text", "ask"] = Field("text", description="pieces become one description by joining, or by asking")
    max_tokens: int | None = Field(
        None, ge=1, description="inline: of one medium, at most; a film loses frames a second before it loses length"
    )

    @field_validator("base_url")
    @classmethod
    def _base_url_is_a_place(cls, value: str | None) -> str | None:
        if value in (None, SANDBOX_URL) or re.match(r"^(https?|s3|gs|az)://[^/\s?#@]+(/[^\s?#]*)?$", value):
            return value
        if re.match(r"^\.{0,2}/", value):
            return value
        raise ValueError(
            "is no http(s) URL without user, query and fragment, such as https://cdn.example.com/media, no"
            " s3://bucket/prefix, and no folder that begins with ./ or /"
        )

    @field_validator("clip_s", mode="before")
    @classmethod
    def _clip_is_a_pair(cls, value: object) -> object:
        """TOML has lists only."""
        return tuple(value) if isinstance(value, list) else value

    @field_validator("clip_s")
    @classmethod
    def _clip_has_a_length(cls, value: tuple[float, float] | None) -> tuple[float, float] | None:
        if value is not None and not 0 <= value[0] < value[1]:
            raise ValueError("wants two numbers of seconds, the later one second: [0, 30]")
        return value

    @field_validator("ports")
    @classmethod
    def _ports_are_ports(cls, value: list[int]) -> list[int]:
        if not all(1 <= port <= _LAST_PORT for port in value):
            raise ValueError("wants port numbers, 1 to 65535")
        return value
