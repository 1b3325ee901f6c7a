from __future__ import annotations

import itertools
import math

import av
import films
import pytest
from films import BLUE, GREEN, RED
from hypothesis import given, settings
from hypothesis import strategies as st

from mediascribe.errors import MediaError
from mediascribe.media import reading as module
from mediascribe.media.pieces import Piece, pieces, scenes, silences
from mediascribe.media.reading import opened, samples, shown

SPEECH = ((1.0, 0.5), (0.5, 0), (1.5, 0.5), (0.4, 0), (0.6, 0.5))  # pauses from 1.0 to 1.5 and from 3.0 to 3.4


def spans(cut):
    return [(piece.start_s, piece.end_s) for piece in cut]


def test_a_medium_that_is_short_enough_is_one_piece():
    """What is no longer than a piece may be is one piece."""
    assert pieces(10, split_s=10) == (Piece(number=0, start_s=0, end_s=10),)


def test_without_marks_a_piece_ends_when_its_time_is_up():
    """Without marks each piece but the last is as long as it may be."""
    assert spans(pieces(25, split_s=10)) == [(0, 10), (10, 20), (20, 25)]


def test_a_piece_ends_at_the_last_mark_of_its_last_third():
    """Of two marks in the last third the later one is taken, of those before it none."""
    assert spans(pieces(25, split_s=10, marks=(5, 8, 9))) == [(0, 9), (9, 19), (19, 25)]


def test_a_mark_before_the_last_third_is_left_out():
    """A mark before the last third would make short pieces: the time decides."""
    assert spans(pieces(15, split_s=10, marks=(6,))) == [(0, 10), (10, 15)]


def test_a_mark_that_would_cost_a_piece_more_is_left_out():
    """20 seconds fit into two pieces of 10 only if both are full, whatever the marks say."""
    assert spans(pieces(20, split_s=10, marks=(9,))) == [(0, 10), (10, 20)]


def test_the_last_piece_is_no_shorter_than_a_second():
    """Where half a second would be left, the piece before gives up as much as makes it a second."""
    assert spans(pieces(10.5, split_s=10)) == [(0, 9.5), (9.5, 10.5)]


def test_pieces_of_a_clip_begin_where_it_begins():
    """A clip's pieces have the times of the whole medium."""
    assert spans(pieces(30, split_s=10, start_s=12)) == [(12, 22), (22, 30)]


@given(
    seconds=st.floats(0.5, 500),
    split_s=st.floats(1, 100),
    marks=st.lists(st.floats(0, 500), max_size=20),
)
@settings(max_examples=100, deadline=None)
def test_pieces_cover_the_medium_with_as_few_as_do(seconds, split_s, marks):
    """Pieces follow one another without gap, none is too long or needlessly short, and none could be spared."""
    cut = pieces(seconds, split_s=split_s, marks=marks)
    count = math.ceil(seconds / split_s)
    assert [piece.number for piece in cut] == list(range(count))
    assert (cut[0].start_s, cut[-1].end_s) == (0, seconds)
    assert all(before.end_s == after.start_s for before, after in itertools.pairwise(cut))
    least_s = min(1, seconds / count)
    assert all(least_s - 1e-6 <= piece.end_s - piece.start_s <= split_s + 1e-6 for piece in cut)


@pytest.mark.parametrize("kind", ["wav", "mp3", "mp4", "ogg"])
@pytest.mark.wide
def test_silences_are_the_middles_of_pauses(kind):
    """Pauses from 1.0 to 1.5 and from 3.0 to 3.4 seconds have their middles at 1.25 and 3.2, give or take a window."""
    assert silences(films.sound(films.tone(*SPEECH), kind)) == pytest.approx([1.25, 3.2], abs=0.05)


@pytest.mark.wide
def test_a_short_pause_is_no_silence():
    """A pause of a fifth of a second is one between words."""
    assert silences(films.sound(films.tone((1, 0.5), (0.2, 0), (1, 0.5)))) == []


@pytest.mark.wide
def test_what_is_loud_decides_what_is_quiet():
    """A pause in which something hums 34 dB below the speech is a pause."""
    assert silences(films.sound(films.tone((1, 0.5), (0.5, 0.01), (1, 0.5)))) == pytest.approx([1.25], abs=0.05)


@pytest.mark.wide
def test_a_film_without_sound_has_no_silences():
    """Where there is no sound, there are no pauses to cut at."""
    assert silences(films.film((1, RED))) == []


@pytest.mark.wide
def test_scenes_are_where_the_picture_changes():
    """Red for a second, green for two, blue: the scenes change at 1 and 3 seconds, not at the key frame between."""
    assert scenes(films.film((1, RED), (2, GREEN), (1, BLUE))) == [1.0, 3.0]


@pytest.mark.parametrize("kind", ["mp3", "mp4"])
@pytest.mark.wide
def test_a_cover_is_no_film(kind):
    """A sound with a picture attached has no scenes."""
    assert scenes(films.sound(films.tone((1, 0.5)), kind, cover=True)) == []


@pytest.mark.wide
def test_samples_are_cut_to_the_sample():
    """From 0.5 to 0.75 seconds at 16 kHz are the samples 8,000 to 12,000 of a WAV, unchanged."""
    tone = films.tone((1, 0.5))
    blocks = list(samples(films.sound(tone), rate=16_000, channels=1, start_s=0.5, end_s=0.75))
    assert [value for block in blocks for value in block[:, 0]] == tone[8000:12_000, 0].tolist()


@pytest.mark.wide
def test_a_sound_that_begins_late_begins_with_silence():
    """A track that sets in two seconds after the film is heard two seconds into it."""
    content = films.film((3, RED), values=films.tone((1, 0.5)), late_s=2)
    blocks = list(samples(content, rate=8000, channels=1))
    assert sum(map(len, blocks)) == pytest.approx(3 * 8000, abs=600)  # AAC fills its last block of 1,024
    assert not any(block.any() for block in blocks[:2])


@pytest.mark.wide
def test_a_time_far_away_is_refused():
    """A sound that claims to go on after two days is not filled up with silence."""
    content = films.film((1, RED), kind="mkv", values=films.tone((1, 0.5)), late_s=2 * 86_400)
    with pytest.raises(MediaError, match="24 hours") as caught:
        list(samples(content, rate=8000, channels=1, end_s=math.inf))
    assert caught.value.failure.code == "too_long"


@pytest.mark.wide
def test_the_same_sound_is_stereo_on_demand():
    """A mono sound asked for in two channels has the same in both."""
    blocks = list(samples(films.sound(films.tone((0.1, 0.5))), rate=16_000, channels=2))
    assert all((block[:, 0] == block[:, 1]).all() for block in blocks)


@pytest.mark.wide
def test_a_sound_that_changes_its_form_goes_on():
    """Two MP3s of different rates one after the other, as radio streams have them, are heard as one."""
    one, two = films.tone((1, 0.5)), films.tone((1, 0.5), rate=32_000)
    content = films.sound(one, "mp3") + films.sound(two, "mp3", 32_000)
    assert sum(map(len, samples(content, rate=16_000, channels=1))) == pytest.approx(32_000, rel=0.1)


def colours(content, times, **how):
    return [films.nearest(frame.to_ndarray(format="rgb24")[-1, -1]) for frame in shown(content, times, **how)]


@pytest.mark.wide
def test_what_is_shown_at_a_time_is_the_last_frame_before():
    """Red until 1 s and green until 2 s: at 0.99 s it is still red, at 1 s green, and at 2 s the film is over."""
    content = films.film((1, RED), (1, GREEN))
    assert colours(content, [0, 0.99, 1.0, 1.9, 2.0, 2.1]) == [RED, RED, GREEN, GREEN]


@pytest.mark.wide
def test_a_frame_of_a_film_with_uneven_times_stays_until_the_next():
    """Frames at 0, 0.25 and 3 s: at 2.9 s the second is still shown."""
    content = films.film((0.25, RED), (2.75, GREEN), (1, BLUE), ticks=[0, 2, 24])
    assert colours(content, [0.0, 0.2, 0.25, 2.9, 3.0]) == [RED, RED, GREEN, GREEN, BLUE]


@pytest.mark.wide
def test_a_film_that_begins_late_shows_its_first_frame():
    """Before the first frame the first frame is shown."""
    content = films.film((1, RED), (1, GREEN), ticks=[8, 9, 10], values=films.tone((2, 0.5)))
    assert colours(content, [0.0, 1.0]) == [GREEN, GREEN]


@pytest.mark.parametrize("hurried", [False, True])
@pytest.mark.wide
def test_times_far_apart_are_sought(hurried):
    """Over ten seconds of red, ten of green and two of blue, pictures 9 seconds apart are red, red, green."""
    content = films.film((10, RED), (10, GREEN), (2, BLUE), per_s=2)
    assert colours(content, [0.5, 9.5, 18.5, 21.0], hurried=hurried) == [RED, RED, GREEN, BLUE]


@pytest.mark.wide
def test_a_film_without_key_frames_to_go_to_is_read_on():
    """A film with a single key frame shows the same as one with many."""
    content = films.film((10, RED), (10, GREEN), (2, BLUE), per_s=2, key_every=1000)
    assert colours(content, [0.5, 9.5, 18.5, 21.0]) == [RED, RED, GREEN, BLUE]


@pytest.mark.wide
def test_a_sound_shows_nothing():
    """Where there is no film nothing is shown."""
    assert list(shown(films.sound(films.tone((1, 0.5))), [0.0])) == []


@pytest.mark.parametrize(
    "content",
    [b"", b"\0" * 4096, b"RIFF" + b"\xff" * 400, b"#EXTM3U\nfile:///etc/passwd\n", films.film((1, RED))[:400]],
    ids=["empty", "zeros", "riff", "playlist", "cut"],
)
@pytest.mark.wide
def test_what_cannot_be_read_is_corrupt(content):
    """Bytes that are no medium are refused before anything is sent, and nothing else is opened for them."""
    with pytest.raises(MediaError) as caught:
        scenes(content)
    failure = caught.value.failure
    assert (failure.error_class, failure.code, failure.unasked) == ("media", "corrupt", True)


def damaged(content, every):
    """*content* with one byte in *every* made another, its first and last kilobyte left alone."""
    spoilt = bytearray(content)
    for place in range(1000, len(spoilt) - 1000, every):
        spoilt[place] ^= 0xFF
    return bytes(spoilt)


@pytest.mark.wide
def test_a_little_damage_is_left_out():
    """A FLAC with one broken block is read all the same."""
    content = films.sound(films.tone((4, 0.5)), "flac")
    assert sum(map(len, samples(damaged(content, 20_000), rate=16_000, channels=1))) > 3 * 16_000


class Broken:
    """A container that has a packet without end, and a packet that cannot be decoded."""

    def demux(self, _stream):
        return itertools.repeat(self)

    def decode(self):
        raise av.error.InvalidDataError(1, "broken")


@pytest.mark.wide
def test_much_damage_is_refused():
    """Packet after packet that cannot be decoded is not read to the end."""
    with pytest.raises(av.error.InvalidDataError):
        list(module._decoded(Broken(), None))  # noqa: SLF001 - encoders write no such files


@pytest.mark.wide
def test_no_more_frames_are_decoded_than_are_bearable(monkeypatch):
    """The count of frames is bounded, whatever a file promises."""
    monkeypatch.setattr(module, "MOST_FRAMES", 7)
    with pytest.raises(MediaError, match="7 frames"):
        list(shown(films.film((1, RED)), [0.0, 0.99]))


@pytest.mark.wide
def test_no_more_pixels_are_decoded_than_are_bearable(monkeypatch):
    """The pixels of all frames together are bounded."""
    monkeypatch.setattr(module, "MOST_PIXELS", 5 * 64 * 48)
    with pytest.raises(MediaError, match="pixels"):
        list(shown(films.film((1, RED)), [0.0, 0.99]))


@pytest.mark.wide
def test_a_length_that_a_file_does_not_say_is_read():
    """A recording without a length, as browsers make them, is as long as its packets go."""
    content = films.film((2, RED), kind="live")
    with opened(content) as container:
        assert container.duration is None
        assert module.length_s(container, container.streams.video[0]) == pytest.approx(15 / 8)
