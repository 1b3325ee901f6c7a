from __future__ import annotations

import io

import av
import films
import numpy as np
import pytest
from films import RED

from mediascribe.errors import MediaError
from mediascribe.job_sections import MediaSection
from mediascribe.media import pieces
from mediascribe.media.pieces import Piece
from mediascribe.media.sound import bounds, heard, sound
from mediascribe.models import Model

pytestmark = pytest.mark.wide

TONE = films.tone((2, 0.5))
PLENTY = 10**6


def model(family="gemini", **more):
    return Model(name=f"{family}-1", vendor="v", family=family, dialects=("chat",), media=("audio",), **more)


GEMINI, OTHER = model(), model("openai", types=("audio/wav", "audio/mpeg"))


def made(content, model=GEMINI, most_bytes=PLENTY, piece=None, **section):
    return sound(content, model=model, section=MediaSection(**section), most_bytes=most_bytes, piece=piece)


@pytest.mark.parametrize(("kind", "mime"), [("mp3", "audio/mpeg"), ("wav", "audio/wav")])
def test_what_is_fit_passes_untouched(kind, mime):
    """An MP3, or a WAV as fine as the model hears, is sent byte for byte."""
    content = films.sound(TONE, kind)
    sent = made(content)
    assert (sent.mime, sent.content, sent.seconds) == (mime, content, pytest.approx(2, abs=0.05))


@pytest.mark.parametrize("kind", ["m4a", "ogg", "webm", "ts"])
def test_other_types_become_mp3(kind):
    """What the gateway refuses to hand on to Gemini (gateway notes 2.3) is written anew, as long as before."""
    rate = 48_000 if kind == "ts" else films.RATE
    sent = made(films.sound(films.tone((2, 0.5), rate=rate), kind, rate))
    samples, rate = films.heard(sent.content)
    assert (sent.mime, rate, len(samples)) == ("audio/mpeg", 16_000, 1)
    assert sent.seconds == pytest.approx(2, abs=0.1)
    assert samples.shape[1] / rate == pytest.approx(2, abs=0.1)


def test_a_flac_becomes_a_wav_without_loss():
    """What lost nothing so far loses nothing now: the samples of a FLAC at 16 kHz are those of the WAV."""
    sent = made(films.sound(TONE, "flac"))
    assert sent.mime == "audio/wav"
    assert (np.rint(films.heard(sent.content)[0] * 32768) == TONE[:, 0]).all()


def test_a_flac_that_is_too_large_as_wav_becomes_mp3():
    """64,000 bytes of samples do not fit into 30,000, 2 seconds of 64 kbit/s do."""
    assert made(films.sound(TONE, "flac"), most_bytes=30_000).mime == "audio/mpeg"


def test_a_wav_finer_than_gemini_hears_is_made_as_fine():
    """44,100 Hz in two channels become 16,000 in one: 2 s x 16,000 x 2 bytes, and a header of 44."""
    sent = made(films.sound(films.tone((2, 0.5), rate=44_100, channels=2), "wav", 44_100))
    assert len(sent.content) == pytest.approx(64_044, abs=4)


def test_of_models_whose_ears_are_unknown_nothing_is_kept_from():
    """The same WAV goes untouched to a model of which nothing is published."""
    content = films.sound(films.tone((2, 0.5), rate=44_100, channels=2), "wav", 44_100)
    assert made(content, OTHER).content is content
    assert made(content, None).content is content


@pytest.mark.parametrize(
    ("rate", "channels", "model", "expected"),
    [
        (44_100, 2, GEMINI, (16_000, 1)),
        (8000, 1, GEMINI, (16_000, 1)),
        (44_100, 6, OTHER, (44_100, 2)),
        (96_000, 2, None, (48_000, 2)),
        (11_025, 1, OTHER, (16_000, 1)),
    ],
)
def test_a_sound_is_as_fine_as_is_heard(rate, channels, model, expected):
    """Gemini hears 16 kHz in one channel; others get the rate that is there, in two channels at most."""
    assert heard(rate, channels, model) == expected


def test_a_type_that_the_model_lacks_is_not_sent():
    """A model that takes WAV only gets a WAV, even of an MP3."""
    assert made(films.sound(TONE, "mp3"), model("omni", types=("audio/x-wav",))).mime == "audio/wav"


def test_a_wav_of_odd_samples_becomes_a_plain_one():
    """Samples of 24 bits are not what everyone reads."""
    file = io.BytesIO()
    with av.open(file, "w", format="wav") as out:
        stream = out.add_stream("pcm_s24le", rate=films.RATE, layout="mono")
        frame = av.AudioFrame.from_ndarray(TONE.reshape(1, -1), format="s16", layout="mono")
        frame.rate = films.RATE
        out.mux(stream.encode(frame))
    assert films.heard(made(file.getvalue()).content)[0].shape == (1, 32_000)


def test_a_clip_is_cut_to_the_sample():
    """From 0.25 to 1 second of 16 kHz are 12,000 samples, those that stood there."""
    sent = made(films.sound(TONE), clip_s=(0.25, 1.0))
    assert sent.seconds == pytest.approx(0.75)
    assert (np.rint(films.heard(sent.content)[0][0] * 32768) == TONE[4000:16_000, 0]).all()


def test_a_piece_has_its_own_sound():
    """Of a tone, a pause and a tone, the piece in the middle is the pause."""
    content = films.sound(films.tone((1, 0.5), (1, 0), (1, 0.5)), "mp3")
    sent = made(content, piece=Piece(number=1, start_s=1.1, end_s=1.9))
    assert sent.seconds == pytest.approx(0.8)
    assert float(np.abs(films.heard(sent.content)[0]).max()) < 0.02


def test_pieces_join_without_gap_or_overlap():
    """The pieces of a WAV, one after the other, have its samples, each once."""
    cut = pieces.pieces(2, split_s=1, marks=(0.77,))
    parts = [films.heard(made(films.sound(TONE), piece=piece).content)[0] for piece in cut]
    assert (np.rint(np.concatenate(parts, axis=1) * 32768)[0] == TONE[:, 0]).all()


def test_a_piece_of_a_clip_is_inside_of_it():
    """What `clip_s` leaves out is in no piece."""
    section = MediaSection(clip_s=(2.0, 9.0))
    assert bounds(section, Piece(number=0, start_s=0, end_s=5)) == (2, 5)
    assert bounds(section, Piece(number=1, start_s=5, end_s=10)) == (5, 9)


def test_a_clip_of_the_whole_leaves_it_untouched():
    """A clip that reaches beyond both ends changes nothing."""
    content = films.sound(TONE)
    assert made(content, clip_s=(0.0, 60.0)).content is content


@pytest.mark.parametrize(("most_bytes", "kbit"), [(24_000, 64), (18_000, 48), (10_000, 16)])
def test_the_bit_rate_follows_the_bytes(most_bytes, kbit):
    """2 seconds at 64 kbit/s are 16,000 bytes, at 48 12,000, at 16 4,000, with 4,096 to spare for a header."""
    sent = made(films.sound(TONE, "m4a"), most_bytes=most_bytes)
    assert len(sent.content) <= most_bytes
    with av.open(io.BytesIO(sent.content)) as container:
        assert container.streams.audio[0].codec_context.bit_rate == pytest.approx(kbit * 1000, rel=0.01)


def test_a_fine_sound_becomes_speech_rather_than_nothing():
    """Where 32 kbit/s, the least of music, do not fit, 24 at 16 kHz in one channel do."""
    content = films.sound(films.tone((2, 0.5), rate=44_100, channels=2), "m4a", 44_100)
    samples, rate = films.heard(made(content, OTHER, most_bytes=11_500).content)
    assert (rate, len(samples)) == (16_000, 1)


def test_a_model_of_wav_only_gets_speech_rather_than_nothing():
    """88,200 samples in two channels do not fit into 100,000 bytes, 32,000 in one do."""
    content = films.sound(films.tone((2, 0.5), rate=44_100, channels=2), "wav", 44_100)
    sent = made(content, model("omni", types=("audio/wav",)), most_bytes=100_000)
    assert len(sent.content) == pytest.approx(64_044, abs=4)


def test_what_does_not_fit_is_refused_with_advice():
    """2 seconds do not fit into 3,000 bytes at any rate at which speech is understood."""
    with pytest.raises(MediaError, match=r"2 s of sound do not fit into 3,000 bytes.*media.split_s") as caught:
        made(films.sound(TONE, "m4a"), most_bytes=3000)
    assert (caught.value.failure.code, caught.value.failure.unasked) == ("too_large", True)


def test_a_cover_is_not_sent_along_when_a_sound_is_written_anew():
    """Of a cut MP3 with a picture, the sound is sent."""
    sent = made(films.sound(TONE, "mp3", cover=True), clip_s=(0.0, 1.0))
    with av.open(io.BytesIO(sent.content)) as container:
        assert [stream.type for stream in container.streams] == ["audio"]


def test_the_sound_of_a_film_can_be_sent():
    """A film in an audio column is what is heard of it."""
    assert made(films.film((2, RED), values=TONE)).mime == "audio/mpeg"


def test_a_film_without_sound_is_no_sound():
    """Where nothing is heard, nothing is paid."""
    with pytest.raises(MediaError, match="no sound") as caught:
        made(films.film((1, RED)))
    assert caught.value.failure.code == "no_sound"


def test_a_clip_beyond_the_end_is_no_sound():
    """From second 5 to 6 of 2 seconds there is nothing."""
    with pytest.raises(MediaError, match=r"media.clip_s") as caught:
        made(films.sound(TONE), clip_s=(5.0, 6.0))
    assert caught.value.failure.code == "no_sound"


def test_a_header_without_sound_is_corrupt():
    """A WAV that ends with its header has nothing to decode."""
    with pytest.raises(MediaError) as caught:
        made(films.sound(TONE)[:44])
    assert caught.value.failure.code == "corrupt"


def test_a_sound_without_a_sample_is_corrupt():
    """A track whose sound is all zeros cannot be decoded."""
    with pytest.raises(MediaError, match="decoded") as caught:
        made(films.emptied(films.sound(TONE[:1000], "mp4")))
    assert caught.value.failure.code == "corrupt"


@pytest.mark.parametrize("kind", ["m4a", "flac"])
def test_the_same_bytes_give_the_same_bytes(kind):
    """A sound written twice is the same, so that its hash is."""
    content = films.sound(TONE, kind)
    assert made(content).content == made(content).content
