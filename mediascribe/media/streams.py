"""What the header of a sound or a film tells, read by PyAV: every container but those of `boxes`.

Rules of this file:

- The demuxer is the one that the first bytes named, so nothing is tried out; it may open nothing but these bytes.
- No decoder is ever opened, hostile bytes reach demuxers and parsers only; time and bytes are bounded.
- A length that follows from the end of a file is believed only where the end is there to see, and that there is no
  film in it only where all of it is, or its header lists the tracks.
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Final

from mediascribe.media.glimpse import Told

if TYPE_CHECKING:
    from av.container import InputContainer

    from mediascribe.media.glimpse import Glimpse

DEMUXERS: Final = {
    "audio/wav": "wav",
    "audio/mpeg": "mp3",
    "audio/flac": "flac",
    "audio/ogg": "ogg",
    "audio/aac": "aac",
    "audio/amr": "amr",
    "audio/aiff": "aiff",
    "audio/x-caf": "caf",
    "audio/x-ms-wma": "asf",
    "video/x-ms-wmv": "asf",
    "video/x-msvideo": "avi",
    "video/x-matroska": "matroska",
    "video/webm": "matroska",
    "video/x-flv": "flv",
    "video/ogg": "ogg",
    "video/mp2t": "mpegts",
    "video/mpeg": "mpeg",
}
# Whose length is the difference of the last time stamp and the first.
BY_THE_END: Final = frozenset({"audio/ogg", "video/ogg", "video/mp2t", "video/mpeg"})
# Whose tracks are known when a piece of each was seen: a head may have none of the pictures yet.
_AS_THEY_COME: Final = frozenset({"video/mp2t", "video/mpeg", "video/x-flv"})
_PER_S: Final = 1_000_000  # FFmpeg counts microseconds
_COVER: Final = 0x400  # `attached_pic`: a picture in a sound is no film
_OPTIONS: Final = {"protocol_whitelist": "none", "codec_whitelist": "none", "max_streams": "32"}
_PROBE_BYTES: Final = 2**16
_WAV_PROBE_BYTES: Final = 2**11  # its header says all, and FFmpeg takes 10 ms to look further
_RIFF_HEAD_BYTES: Final = 100  # a header without a sound
_MOST_S: Final = 10 * 366 * 24 * 3600.0  # a longer one is a broken header


def told(glimpse: Glimpse, mime: str) -> Told | None:
    """What the header of a sound or film of type *mime* tells; None: it is not all there, or is none."""
    import av  # noqa: PLC0415 - takes a fifth of a second

    if seconds := _flac_seconds(glimpse):
        return Told(seconds=seconds, film=False, sound=True)
    probe_bytes = _PROBE_BYTES
    if mime == "audio/wav":
        glimpse.total_bytes, probe_bytes = glimpse.total_bytes or _riff_bytes(glimpse), _WAV_PROBE_BYTES
    try:
        container = av.open(
            glimpse,
            mode="r",
            format=DEMUXERS[mime],
            options={**_OPTIONS, "probesize": str(probe_bytes)},
            metadata_errors="replace",
            timeout=glimpse.patience_s,
        )
    except av.ExitError:  # it took too long, which says nothing of the medium
        return Told()
    except (av.FFmpegError, ValueError):
        return None
    with container:
        seen = _told(container)
    if seen is None or glimpse.missing is None:
        return seen
    return dataclasses.replace(
        seen,
        seconds=None if mime in BY_THE_END else seen.seconds,
        film=seen.film or (None if mime in _AS_THEY_COME else False),
    )


def _flac_seconds(glimpse: Glimpse) -> float | None:
    """What the first block of a FLAC says; PyAV wants the cover behind it as well, which is longer than any head."""
    head = glimpse.at(0, 26)
    facts = int.from_bytes(head[18:], "big")  # 20 bits of samples a second, 8 of others, 36 of samples
    per_s, samples = facts >> 44, facts & 2**36 - 1
    return samples / per_s if head.startswith(b"fLaC") and len(head) == 26 and per_s else None  # noqa: PLR2004 - its end


def _riff_bytes(glimpse: Glimpse) -> int | None:
    """How long a RIFF file says that it is; None: it was written as a stream, whose header was never completed."""
    size = int.from_bytes(glimpse.at(4, 4), "little")
    return size + 8 if _RIFF_HEAD_BYTES < size < 0xFFFF_FFFF else None  # noqa: PLR2004 - all ones stand for unknown


def _told(container: InputContainer) -> Told | None:
    films = [one for one in container.streams.video if not one.disposition & _COVER]
    if not films and not container.streams.audio:
        return None
    seconds = (container.duration or 0) / _PER_S
    shown = films[0].codec_context if films else None  # None: a codec without a name
    return Told(
        width=shown.width or None if shown else None,
        height=shown.height or None if shown else None,
        seconds=seconds if 0 < seconds < _MOST_S else None,
        film=bool(films),
        sound=bool(container.streams.audio),
    )
