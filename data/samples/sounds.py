"""The sounds: speech-like, tonal and noise, and how they are stored.

A finished sound is an array of (samples, channels), from -1 to 1.
"""

from __future__ import annotations

import wave
from typing import TYPE_CHECKING, TypeAlias

import av
import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from pathlib import Path

Sound: TypeAlias = NDArray[np.float64]

SPEECH_RATE = 16_000
VOICE_RATE = 22_050
MUSIC_RATE = 44_100
MP3_FRAME = 1152
WIDE_BITS = 16  # PCM of 8 bits is unsigned, wider PCM signed
PAUSES = 0.16  # share of the syllables that a pause follows
HISSES = 0.4  # share of the syllables that a hiss begins
# The first three formants of five vowels in Hz, as Peterson and Barney (1952) measured them for men.
VOWELS = np.array([(730, 1090, 2440), (530, 1840, 2480), (270, 2290, 3010), (570, 840, 2410), (300, 870, 2240)])
FORMANT_WIDTH_HZ = (90, 110, 170)
FORMANT_GAIN = (1.0, 0.6, 0.3)


def announcement() -> Sound:
    """One voice, three and a half seconds."""
    return _mono(_speech(301, SPEECH_RATE, 3.5, 118))


def interview() -> Sound:
    """A question by one voice and the answer by another: exactly seven seconds."""
    question, answer = _speech(311, SPEECH_RATE, 2.8, 205, stretch=1.16), _speech(312, SPEECH_RATE, 4.2, 112)
    return _mono(np.concatenate([question, answer]))


def story() -> Sound:
    """A higher voice, six seconds."""
    return _mono(_speech(321, VOICE_RATE, 6.0, 190, stretch=1.14))


def _speech(seed: int, rate: int, seconds: float, pitch_hz: float, *, stretch: float = 1.0) -> Sound:
    """Babble: harmonics of a voice, shaped by moving formants, in syllables with hisses and pauses between.

    *stretch* multiplies the formants: a shorter throat has higher ones.
    """
    rng = np.random.default_rng(seed)
    time = np.arange(round(seconds * rate)) / rate
    starts = _syllables(rng, seconds)
    vowels = VOWELS[rng.integers(0, len(VOWELS), len(starts))] * stretch
    formants = [np.interp(time, starts + 0.08, vowels[:, number]) for number in range(3)]
    melody = 1 + 0.16 * np.interp(time, starts, rng.uniform(-1, 1, len(starts))) - 0.1 * time / seconds
    phase = np.cumsum(pitch_hz * melody) / rate
    voice = np.zeros_like(time)
    for harmonic in range(1, int(3800 // pitch_hz)):
        gain = _throat(harmonic * pitch_hz * melody, formants)
        voice += np.sin(2 * np.pi * harmonic * phase) * gain / harmonic**0.5
    loud, hiss = _envelopes(time, starts, rng)
    return _level(voice / np.abs(voice).max() * loud + _hiss(rng, time.size, rate) * hiss, 0.8)


def _syllables(rng: np.random.Generator, seconds: float) -> Sound:
    starts, now = [], 0.12
    while now < seconds - 0.35:
        starts.append(now)
        now += rng.uniform(0.16, 0.26) + (0.32 if rng.random() < PAUSES else 0)
    return np.array(starts)


def _throat(frequency: Sound, formants: list[Sound]) -> Sound:
    """How much of *frequency* the formants let through."""
    gain = np.full_like(frequency, 0.01)
    for formant, width, share in zip(formants, FORMANT_WIDTH_HZ, FORMANT_GAIN, strict=True):
        gain += share / (1 + ((frequency - formant) / width) ** 2)
    return gain


def _envelopes(time: Sound, starts: Sound, rng: np.random.Generator) -> tuple[Sound, Sound]:
    """The loudness of the voice, and that of the hiss that begins some syllables."""
    loud, hiss = np.zeros_like(time), np.zeros_like(time)
    for start in starts:
        place = time - start
        loud += rng.uniform(0.6, 1) * np.clip(place / 0.035, 0, 1) * np.clip((0.21 - place) / 0.09, 0, 1)
        if rng.random() < HISSES:
            hiss += 0.12 * np.exp(-(((place + 0.01) / 0.028) ** 2))
    return np.clip(loud, 0, 1), hiss


def _hiss(rng: np.random.Generator, size: int, rate: int) -> Sound:
    """Noise above 3 kHz."""
    spectrum = np.fft.rfft(rng.normal(0, 1, size))
    spectrum *= np.clip((np.fft.rfftfreq(size, 1 / rate) - 3000) / 2000, 0, 1)
    return _level(np.fft.irfft(spectrum, size), 1)


def sweep() -> Sound:
    """A tone that rises from 200 Hz to 4 kHz in three seconds."""
    time = np.arange(3 * SPEECH_RATE) / SPEECH_RATE
    growth = np.log(4000 / 200) / 3
    return _mono(0.6 * np.sin(2 * np.pi * 200 * np.expm1(growth * time) / growth) * _fade(time, 0.05))


def click() -> Sound:
    """Two seconds of silence with one click in the middle."""
    sound = np.zeros(2 * SPEECH_RATE)
    tail = np.arange(160)
    sound[SPEECH_RATE : SPEECH_RATE + tail.size] = 0.9 * np.exp(-tail / 18) * np.cos(tail * 1.4)
    return _mono(sound)


def bell() -> Sound:
    """A bell, struck on the left and on the right; stereo."""
    time = np.arange(round(2.5 * SPEECH_RATE)) / SPEECH_RATE
    strokes = [_bell(time - start, pitch_hz) for start, pitch_hz in ((0.05, 587.3), (1.15, 440.0))]
    left, right = strokes[0] + 0.25 * strokes[1], strokes[1] + 0.25 * strokes[0]
    return _level(np.stack([left, right], axis=1), 0.8)


def _bell(time: Sound, pitch_hz: float) -> Sound:
    partials = (
        (0.5, 0.4, 1.6),
        (1, 1, 2.2),
        (1.19, 0.6, 2.8),
        (1.5, 0.5, 3.4),
        (2, 0.7, 3.2),
        (2.74, 0.3, 5),
        (3.76, 0.2, 7),
    )
    after = np.clip(time, 0, None)
    tones = (
        gain * np.exp(-fall * after) * np.sin(2 * np.pi * pitch_hz * ratio * after) for ratio, gain, fall in partials
    )
    return np.asarray(sum(tones) * (time > 0))


def chord() -> Sound:
    """A C major chord that swells and fades, its notes spread from left to right; stereo, four seconds."""
    time = np.arange(4 * MUSIC_RATE) / MUSIC_RATE
    sound = np.zeros((time.size, 2))
    for number, pitch_hz in enumerate((130.81, 261.63, 329.63, 392.0, 523.25)):
        note = sum(
            np.sin(2 * np.pi * pitch_hz * (1 + 0.001 * number) * part * time) / part**1.7 for part in range(1, 7)
        )
        sound += np.asarray(note)[:, None] * (1 - 0.18 * number, 0.28 + 0.18 * number)
    return _level(sound * _fade(time, 1.2)[:, None], 0.7)


def melody() -> Sound:
    """Sixteen plucked notes in five seconds."""
    time = np.arange(5 * MUSIC_RATE) / MUSIC_RATE
    tune = (0, 4, 7, 12, 9, 7, 4, 2, 5, 9, 7, 4, 2, -1, 2, 0)
    sound = np.zeros_like(time)
    for number, semitones in enumerate(tune):
        after = time - 0.05 - 0.28 * number
        heard, pitch_hz = np.clip(after, 0, None), 293.66 * 2 ** (semitones / 12)
        for part in range(1, 9):
            fade = np.exp(-heard * (2.5 + 1.3 * part)) * (after > 0)
            sound += np.sin(2 * np.pi * pitch_hz * part * heard) * fade / part**1.2
    return _mono(_level(sound * np.clip((5 - time) / 0.1, 0, 1), 0.8))


def rain() -> Sound:
    """Steady rain with single drops near by; stereo, four seconds."""
    rng = np.random.default_rng(331)
    size = 4 * MUSIC_RATE
    spectrum = np.fft.rfft(rng.normal(0, 1, (size, 2)), axis=0)
    frequency = np.fft.rfftfreq(size, 1 / MUSIC_RATE)[:, None]
    sound = np.fft.irfft(spectrum * np.clip(frequency / 600, 0, 1) / (1 + (frequency / 3500) ** 2), size, axis=0)
    sound = _level(sound, 0.35)
    tail = np.arange(900) / MUSIC_RATE
    for start in rng.integers(0, size - tail.size, 90):
        drop = np.exp(-tail * 420) * np.sin(2 * np.pi * rng.uniform(1200, 4200) * tail) * rng.uniform(0.05, 0.5)
        sound[start : start + tail.size] += drop[:, None] * rng.uniform(0.2, 1, 2)
    return _level(sound, 0.8) * _fade(np.arange(size) / MUSIC_RATE, 0.3)[:, None]


def _fade(time: Sound, seconds: float) -> Sound:
    return np.clip(np.minimum(time, time[-1] - time) / seconds, 0, 1)


def _level(sound: Sound, peak: float) -> Sound:
    return sound * (peak / np.abs(sound).max())


def _mono(sound: Sound) -> Sound:
    return sound[:, None]


def write_wav(path: Path, sound: Sound, rate: int, *, bits: int = 16) -> None:
    """Store *sound* at *path* as PCM of 8 or 16 *bits*."""
    top = 2 ** (bits - 1) - 1
    whole = np.clip(np.round(sound * top), -top, top)
    with wave.open(str(path), "wb") as file:
        file.setnchannels(sound.shape[1])
        file.setsampwidth(bits // 8)
        file.setframerate(rate)
        file.writeframes((whole.astype("<i2") if bits >= WIDE_BITS else (whole + 128).astype("u1")).tobytes())


def write_mp3(path: Path, sound: Sound, rate: int, *, bit_rate: int) -> None:
    """Store *sound* at *path* as MP3."""
    with av.open(str(path), "w", format="mp3", options={"fflags": "+bitexact"}) as container:
        stream = container.add_stream("libmp3lame", rate=rate, layout=layout(sound), bit_rate=bit_rate)
        for frame in frames(sound, rate, "s16p", MP3_FRAME):
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))


def frames(sound: Sound, rate: int, sample_format: str, size: int) -> list[av.AudioFrame]:
    """*sound* in frames of *size* samples, the last one shorter, each with its time; format `s16p` or `fltp`."""
    columns = (sound.T * 32767).round().astype(np.int16) if sample_format == "s16p" else sound.T.astype(np.float32)
    made = []
    for start in range(0, columns.shape[1], size):
        part = np.ascontiguousarray(columns[:, start : start + size])
        frame = av.AudioFrame.from_ndarray(part, format=sample_format, layout=layout(sound))
        frame.sample_rate, frame.pts = rate, start
        made.append(frame)
    return made


def layout(sound: Sound) -> str:
    """`mono` or `stereo`."""
    return ("mono", "stereo")[sound.shape[1] - 1]
