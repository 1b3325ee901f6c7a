"""Where long sounds and films are cut into pieces. Times are in seconds from the beginning of the whole medium."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from mediascribe.media.reading import film_frames, film_stream, opened, samples

if TYPE_CHECKING:
    from collections.abc import Sequence

LEAST_PIECE_S: Final = 1.0

_QUIET_RATE: Final = 8000
_WINDOW: Final = 400  # a twentieth of a second
_QUIET_WINDOWS: Final = 6
_QUIET: Final = 0.05  # of what is loud: 26 dB below
_SILENT: Final = 33.0  # of 32768: 60 dB below the loudest that there can be
_THUMBNAIL: Final = 16
_SCENE: Final = 30.0  # of 255, on average over a thumbnail


@dataclass(frozen=True, slots=True, kw_only=True)
class Piece:
    """A part of a long sound or film: its number, from 0 on, and from which second to which it goes."""

    number: int
    start_s: float
    end_s: float


def pieces(seconds: float, *, split_s: float, marks: Sequence[float] = (), start_s: float = 0.0) -> tuple[Piece, ...]:
    """The pieces of a medium from *start_s* to *seconds*: as few as do, each of *split_s* at most.

    A piece ends at the last of *marks* in its last third, if the others can then still take the rest; else where its
    time is up. None is shorter than a second, unless *split_s* is so short that some must be.
    """
    count = max(1, math.ceil((seconds - start_s) / split_s))
    least_s = min(LEAST_PIECE_S, (seconds - start_s) / count)
    edges = [start_s]
    for left in range(count - 1, 0, -1):
        earliest = max(edges[-1] + least_s, edges[-1] + split_s * 2 / 3, seconds - left * split_s)
        latest = min(edges[-1] + split_s, seconds - left * least_s)
        fitting = [mark for mark in marks if earliest <= mark <= latest]
        edges.append(max(fitting, default=latest))
    edges.append(seconds)
    return tuple(
        Piece(number=number, start_s=start, end_s=end) for number, (start, end) in enumerate(itertools.pairwise(edges))
    )


def silences(content: bytes) -> list[float]:
    """The middles of the pauses of a sound or film, in seconds; none where it has no sound.

    A pause is 0.3 s or longer and 26 dB quieter than what is loud in it.
    """
    levels: list[float] = []
    rest = np.zeros(0)
    for block in samples(content, rate=_QUIET_RATE, channels=1):
        rest = np.concatenate((rest, block.reshape(-1)))
        whole, rest = np.split(rest, [len(rest) // _WINDOW * _WINDOW])
        levels.extend(np.sqrt((whole.reshape(-1, _WINDOW) ** 2).mean(axis=1)))
    if not levels:
        return []
    quiet = np.array(levels) < max(_SILENT, _QUIET * float(np.percentile(levels, 90)))
    edges = np.flatnonzero(np.diff(np.concatenate(([False], quiet, [False]))))
    runs = zip(edges[::2], edges[1::2], strict=True)
    return [float(start + end) / 2 * _WINDOW / _QUIET_RATE for start, end in runs if int(end - start) >= _QUIET_WINDOWS]


def scenes(content: bytes) -> list[float]:
    """The seconds at which a film changes its scene; none where there is no film.

    Only key frames are looked at, since encoders put one where a scene begins: a cut between two of them is found at
    the second.
    """
    marks = []
    with opened(content) as container:
        if (stream := film_stream(container)) is None:
            return []
        stream.codec_context.skip_frame = "NONKEY"
        before = None
        for time_s, frame in film_frames(container, stream):
            small = frame.reformat(_THUMBNAIL, _THUMBNAIL, "rgb24", interpolation="AREA").to_ndarray().astype(np.int16)
            if before is not None and float(np.abs(small - before).mean()) > _SCENE:
                marks.append(time_s)
            before = small
    return marks
