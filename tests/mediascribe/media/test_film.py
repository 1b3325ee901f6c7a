from __future__ import annotations

import contextlib
import io
import random
from fractions import Fraction

import av
import films
import numpy as np
import pytest
from films import BLUE, GREEN, RED, WHITE
from hypothesis import given, settings
from hypothesis import strategies as st

from mediascribe.errors import MediaError
from mediascribe.job_sections import MediaSection
from mediascribe.media import pieces, reading, tokens
from mediascribe.media.film import Choice, choices, chosen, film
from mediascribe.media.pieces import Piece
from mediascribe.media.token_rules import Facts
from mediascribe.models import Model

PLENTY = 10**6
SCENES = ((1, RED), (1.5, GREEN), (1.5, BLUE))


def model(name="gemini-2.0-flash", family="gemini"):
    return Model(name=name, vendor="v", family=family, dialects=("chat",), media=("image", "audio", "video"))


GEMINI, OMNI, OTHER = model(), model("qwen2.5-omni-7b", "qwen"), model("doubao-1.8", "doubao")
HD = Facts(width=1280, height=720, seconds=100.0)


def made(content, model=GEMINI, most_bytes=PLENTY, piece=None, **section):
    return film(content, model=model, section=MediaSection(**section), most_bytes=most_bytes, piece=piece)


def shown(sent):
    """The colours of the lower right corner of each picture, in order."""
    return [films.nearest(pixels[-3, -3]) for _, pixels in films.pictures(sent.content)]


def streams(sent):
    """Kind, codec and seconds of each stream."""
    with av.open(io.BytesIO(sent.content)) as container:
        return [
            (one.type, one.codec_context.name, round(float(one.duration * one.time_base), 2))
            for one in container.streams
        ]


class TestChoices:
    def test_a_film_costs_what_its_rule_says(self):
        """100 s of Gemini: 100 frames of 258 and 3,200 of sound are 29,000 (gateway notes 4.1)."""
        assert choices(HD, model=GEMINI, section=MediaSection()) == (Choice(way="whole", seconds=100.0, tokens=29_000),)

    def test_a_clip_costs_its_share(self):
        """From second 90 on, 10 s are left: 10 x 290."""
        way = chosen(HD, model=GEMINI, section=MediaSection(clip_s=(90.0, 200.0)))
        assert (way.way, way.seconds, way.tokens) == ("clip", 10, 2900)

    def test_half_the_frames_cost_half_of_the_frames_and_all_of_the_sound(self):
        """50 frames of 258 and 3,200 of sound are 16,100: `fps` scales the frame part (gateway notes 4.1)."""
        assert chosen(HD, model=GEMINI, section=MediaSection(fps=0.5)).tokens == 16_100

    def test_more_frames_cost_more(self):
        """200 frames of 258 and 3,200 of sound are 54,800."""
        assert chosen(HD, model=GEMINI, section=MediaSection(fps=2.0)).tokens == 54_800

    def test_pictures_cost_as_pictures(self):
        """Each of 4 pictures of 16:9 has 6 tiles and an overview: 4 x 7 x 258 (gateway notes 1.3 and 4.1)."""
        way = chosen(HD, model=GEMINI, section=MediaSection(frames=4))
        assert (way.frames, way.tokens) == (4, 7224)

    def test_a_smaller_film_costs_less_where_pixels_count(self):
        """60 x 32 px of Qwen-Omni: (2 x 1 squares of 28) x 10 pairs, and 250 of sound (gateway notes 4.4)."""
        facts = Facts(width=640, height=340, seconds=10.0)
        steps = choices(facts, model=OMNI, section=MediaSection(max_side=60))
        assert [step.way for step in steps] == ["whole", "size"]
        assert steps[1].tokens == 2 * 1 * 10 + 250

    def test_the_cap_lowers_the_frames_before_the_length(self):
        """9,000 less 3,200 of sound leave 22 frames of 258 in 100 s; the length stays."""
        way = chosen(HD, model=GEMINI, section=MediaSection(max_tokens=9000))
        assert (way.fps, way.seconds, way.tokens) == (0.22, 100, 22 * 258 + 3200)
        assert way.said == "0.22 frames a second, to stay below 9,000 tokens"

    def test_below_a_frame_in_five_seconds_the_length_gives_way(self):
        """At 0.2 frames a second, 55 s have 11 frames of 258 and 1,760 of sound: 4,598; 56 s would have 12."""
        way = chosen(HD, model=GEMINI, section=MediaSection(max_tokens=4600))
        assert (way.fps, way.seconds, way.tokens) == (0.2, 55, 4598)
        assert "only 55 seconds" in way.said

    def test_a_film_keeps_a_second_whatever_the_cap(self):
        """A cap below one frame leaves a second, and says what that costs: 258 and 32."""
        way = chosen(HD, model=GEMINI, section=MediaSection(max_tokens=1))
        assert (way.seconds, way.tokens) == (1, 290)

    def test_a_cap_that_holds_changes_nothing(self):
        """A film that costs no more than it may is sent as it is."""
        assert chosen(HD, model=GEMINI, section=MediaSection(max_tokens=29_000)).way == "whole"

    def test_a_wish_below_the_least_is_granted_and_then_cut_in_length(self):
        """At 0.1 frames a second, 50 s have 5 frames of 258 and 1,600 of sound."""
        way = chosen(HD, model=GEMINI, section=MediaSection(fps=0.1, max_tokens=2890))
        assert (way.fps, way.seconds, way.tokens) == (0.1, 50, 2890)

    def test_the_cap_lowers_the_number_of_pictures(self):
        """4,000 tokens pay for 2 pictures of 1,806; 100 for none, and one is sent."""
        assert chosen(HD, model=GEMINI, section=MediaSection(frames=8, max_tokens=4000)).frames == 2
        assert chosen(HD, model=GEMINI, section=MediaSection(frames=8, max_tokens=100)).frames == 1

    @pytest.mark.parametrize("of", [None, OTHER])
    def test_where_no_rule_is_published_the_price_is_unknown(self, of):
        """Unknown is None, and no cap can be kept."""
        for more in ({}, {"fps": 0.5}, {"frames": 4}, {"max_tokens": 10}, {"clip_s": (0.0, 1.0)}):
            assert chosen(HD, model=of, section=MediaSection(**more)).tokens is None

    def test_an_unknown_length_has_no_price(self):
        """Of a film of which nothing is known, only the pictures' number is."""
        nothing = Facts()
        assert chosen(nothing, model=GEMINI, section=MediaSection(max_tokens=5, clip_s=(0.0, 5.0))).tokens is None
        assert chosen(nothing, model=GEMINI, section=MediaSection(frames=3)).frames == 3

    @given(
        seconds=st.floats(1, 5000),
        cap=st.integers(1, 400_000),
        of=st.sampled_from([GEMINI, OMNI, model("gemini-3-pro-preview")]),
    )
    @settings(max_examples=60, deadline=None)
    def test_the_cap_is_kept_or_a_second_is_left(self, seconds, cap, of):
        """Whatever the length, the way that is chosen costs no more than the cap, and as a rule no content is lost."""
        facts = Facts(width=640, height=360, seconds=seconds)
        way = chosen(facts, model=of, section=MediaSection(max_tokens=cap))
        assert way.tokens <= cap or way.seconds <= 1
        assert way.seconds == seconds or way.fps <= 0.2

    @pytest.mark.parametrize("of", [GEMINI, OMNI, model("qwen3-vl-plus", "qwen")])
    def test_the_own_rate_of_a_model_costs_what_the_estimator_says(self, of):
        """Asking for the frames that the model looks at anyway changes no price."""
        fps = 1.0 if of.family == "gemini" else 2.0
        assert chosen(HD, model=of, section=MediaSection(fps=fps)).tokens == tokens.expected("video", HD, of)


@pytest.mark.wide
class TestFit:
    def test_a_film_that_is_fit_passes_untouched(self):
        """An MP4 of H.264 and AAC is sent byte for byte, with its size and length."""
        content = films.film(*SCENES, values=films.tone((4, 0.5)))
        sent = made(content)
        assert sent.content is content
        assert (sent.mime, sent.width, sent.height, sent.seconds) == ("video/mp4", 64, 48, pytest.approx(4))

    def test_a_quicktime_film_is_copied_into_an_mp4(self):
        """What Gemini's allow-list lacks (gateway notes 2.3) is put into another container, picture for picture."""
        content = films.film(*SCENES, kind="mov", values=films.tone((4, 0.5)))
        sent = made(content)
        assert [pixels.tobytes() for _, pixels in films.pictures(sent.content)] == [
            pixels.tobytes() for _, pixels in films.pictures(content)
        ]
        assert [kind for kind, *_ in streams(sent)] == ["video", "audio"]

    def test_a_film_that_cannot_be_copied_is_written_anew(self, monkeypatch):
        """Where the packets of a film do not fit into an MP4 as they are, or not into the bytes, it is decoded."""
        content = films.film((1, RED), (1, GREEN), kind="mov")

        def failing(_content):
            raise reading.unfit("corrupt", "no order")

        monkeypatch.setattr("mediascribe.media.film._copied", failing)
        assert shown(made(content)) == [RED, GREEN]
        monkeypatch.setattr("mediascribe.media.film._copied", lambda content: content * 2)
        assert shown(made(content, most_bytes=len(content))) == [RED, GREEN]

    @pytest.mark.parametrize("kind", ["mkv", "avi"])
    def test_other_containers_are_written_anew(self, kind):
        """A film in another container becomes an MP4 with a frame for each second that Gemini looks at."""
        sent = made(films.film((1.5, RED), (1.5, GREEN), kind=kind))
        assert (sent.mime, shown(sent)) == ("video/mp4", [RED, RED, GREEN])


@pytest.mark.wide
class TestMade:
    def test_frames_a_second(self):
        """Two a second of 1 s red, 1.5 s green and 1.5 s blue: 2, 3 and 3; it lasts as long as before."""
        sent = made(films.film(*SCENES, values=films.tone((4, 0.5))), fps=2.0)
        assert shown(sent) == [RED] * 2 + [GREEN] * 3 + [BLUE] * 3
        assert streams(sent) == [("video", "h264", 4), ("audio", "aac", 4)]

    def test_uneven_frames_become_even_ones(self):
        """Frames at 0, 0.25 and 2.5 s, at two a second: the second stays until the third is due."""
        content = films.film((0.25, RED), (2.25, GREEN), (0.5, BLUE), ticks=[0, 2, 20, 21, 22, 23])
        assert shown(made(content, fps=2.0)) == [RED, GREEN, GREEN, GREEN, GREEN, BLUE]

    def test_a_clip_has_its_pictures_and_its_sound(self):
        """From 1 to 2.5 s there is green only, and of tone, pause and tone the pause."""
        content = films.film(*SCENES, values=films.tone((1, 0.5), (1.5, 0), (1.5, 0.5)))
        sent = made(content, clip_s=(1.0, 2.5), fps=4.0)
        assert shown(sent) == [GREEN] * 6
        assert (sent.seconds, streams(sent)) == (1.5, [("video", "h264", 1.5), ("audio", "aac", 1.5)])
        assert float(np.abs(films.heard(sent.content)[0][:, 1600:-1600]).max()) < 0.02

    def test_a_piece_has_its_own_pictures(self):
        """The piece from 2.5 to 4 s is blue."""
        sent = made(films.film(*SCENES), piece=Piece(number=1, start_s=2.5, end_s=4))
        assert (shown(sent), sent.seconds) == ([BLUE, BLUE], 1.5)

    def test_pieces_of_a_film_make_the_whole(self):
        """Cut where the scenes change, each piece has its colour, and all of them the length of the film."""
        content = films.film(*SCENES)
        cut = pieces.pieces(4, split_s=1.5, marks=pieces.scenes(content))
        sent = [made(content, piece=piece, fps=8.0) for piece in cut]
        assert sum(one.seconds for one in sent) == pytest.approx(4)
        assert [set(shown(one)) for one in sent] == [{RED}, {GREEN}, {BLUE}]

    def test_the_longest_side_is_kept(self):
        """64 x 48 pixels become 32 x 24."""
        sent = made(films.film((2, RED)), max_side=32)
        assert (sent.width, sent.height, films.pictures(sent.content)[0][1].shape) == (32, 24, (24, 32, 3))

    @pytest.mark.parametrize(
        ("rotation", "white"),
        [(90, (-3, 2)), (180, (-3, -3)), (-90, (2, -3))],
    )
    def test_a_film_that_lies_on_its_side_is_put_upright(self, rotation, white):
        """The white upper left corner goes where a player that turns the film counterclockwise would show it."""
        sent = made(films.film((1, RED), rotation=rotation))
        pixels = films.pictures(sent.content)[0][1]
        corners = {place: films.nearest(pixels[place]) for place in ((2, 2), (2, -3), (-3, 2), (-3, -3))}
        assert corners == dict.fromkeys(corners, RED) | {white: WHITE}
        assert (sent.width, sent.height) == ((64, 48) if rotation == 180 else (48, 64))

    def test_pixels_become_square(self):
        """Pixels twice as wide as high make 64 of them 128 pixels wide."""
        sent = made(films.film((2, RED), shape=Fraction(2)), fps=1.0)
        assert (sent.width, sent.height) == (128, 48)

    def test_a_model_of_which_nothing_is_published_gets_all_frames(self):
        """Where it is unknown how many frames a model looks at, the film keeps its 8 a second."""
        assert len(shown(made(films.film((2, RED)), None, clip_s=(0.0, 1.5)))) == 12

    def test_the_cap_lowers_the_frames(self):
        """4 s of Gemini in 500 tokens: 128 of sound leave one frame; the sound stays."""
        sent = made(films.film(*SCENES, values=films.tone((4, 0.5))), max_tokens=500)
        assert shown(sent) == [RED]
        assert streams(sent) == [("video", "h264", 4), ("audio", "aac", 4)]

    def test_a_cap_that_needs_it_shortens_the_film(self):
        """300 tokens are one frame and a second of sound, and the film ends after it."""
        sent = made(films.film(*SCENES, values=films.tone((4, 0.5))), max_tokens=300)
        assert (sent.seconds, streams(sent)) == (1, [("video", "h264", 1), ("audio", "aac", 1)])

    def test_sound_of_gemini_is_as_fine_as_it_hears(self):
        """16 kHz in one channel, whatever it was."""
        sent = made(films.film((2, RED), values=films.tone((2, 0.5))), fps=1.0)
        samples, rate = films.heard(sent.content)
        assert (rate, len(samples)) == (16_000, 1)

    def test_a_film_written_twice_shows_the_same(self):
        """To the picture; the encoder of its sound may begin a byte longer or shorter."""
        content = films.film(*SCENES, values=films.tone((4, 0.5)))
        once, again = made(content, fps=2.0), made(content, fps=2.0)
        assert shown(once) == shown(again)
        assert once.seconds == again.seconds


def noise(seconds, side=160):
    """A film of noise, which no encoder makes small."""
    pixels = np.random.default_rng(7).integers(0, 255, (seconds * 4, side, side, 3), np.uint8)
    file = io.BytesIO()
    with av.open(file, "w", format="mp4") as out:
        stream = out.add_stream("libx264", rate=4, options={"crf": "20", "preset": "ultrafast", "threads": "1"})
        stream.width, stream.height, stream.pix_fmt = side, side, "yuv420p"
        for one in pixels:
            out.mux(stream.encode(av.VideoFrame.from_ndarray(one, format="rgb24")))
        out.mux(stream.encode(None))
    return file.getvalue()


@pytest.mark.wide
class TestBytes:
    def test_a_film_that_is_too_large_is_made_smaller(self):
        """What does not fit as it is goes with the frames that the model looks at, and fewer bits."""
        content = noise(4)
        sent = made(content, most_bytes=60_000)
        assert len(content) > 60_000 >= len(sent.content)
        assert len(films.pictures(sent.content)) == 4

    def test_a_film_that_is_much_too_large_loses_pixels(self):
        """0.15 bits for each of 320 x 320 pixels are 7,680 bytes in 4 s, and nine tenths of 8,000 are less."""
        sent = made(noise(4, 320), most_bytes=8000)
        assert len(sent.content) <= 8000
        assert 200 < sent.width < 320

    def test_what_does_not_fit_is_refused_with_advice(self):
        """Not even a small picture a second fits into 1,000 bytes."""
        with pytest.raises(MediaError, match=r"4 s of film do not fit into 1,000 bytes.*media.split_s") as caught:
            made(noise(4), most_bytes=1000)
        assert (caught.value.failure.code, caught.value.failure.unasked) == ("too_large", True)

    def test_bits_that_an_encoder_overdraws_are_refused(self, monkeypatch):
        """Where even the last try comes to more bytes than there may be, the film is refused."""
        monkeypatch.setattr("mediascribe.media.film._LEAST_PIXELS", 1)
        with pytest.raises(MediaError, match="do not fit"):
            made(films.film((1, RED)), fps=8.0, most_bytes=700)


@pytest.mark.wide
class TestPictures:
    def test_pictures_are_spread_evenly(self):
        """Of 1 s red, 1.5 s green and 1.5 s blue, the middles of four quarters: 0.5, 1.5, 2.5 and 3.5 s."""
        sent = made(films.film(*SCENES), frames=4)
        assert [one.mime for one in sent] == ["image/jpeg"] * 4
        assert [shown(one)[0] for one in sent] == [RED, GREEN, BLUE, BLUE]
        assert {(one.width, one.height, one.seconds) for one in sent} == {(64, 48, None)}

    def test_pictures_of_a_clip_are_from_it(self):
        """From 1 to 2.5 s there is green only."""
        assert {shown(one)[0] for one in made(films.film(*SCENES), frames=3, clip_s=(1.0, 2.5))} == {GREEN}

    def test_pieces_share_the_pictures(self):
        """Of 4 pictures of 4 s, the first second has one and the other three have three."""
        first, rest = Piece(number=0, start_s=0, end_s=1), Piece(number=1, start_s=1, end_s=4)
        assert [len(made(films.film(*SCENES), frames=4, piece=piece)) for piece in (first, rest)] == [1, 3]

    def test_pictures_are_upright(self):
        """64 x 48 pixels, turned, are 48 x 64."""
        (sent,) = made(films.film((1, RED), rotation=90), frames=1)
        assert (sent.width, sent.height) == (48, 64)

    def test_the_same_picture_is_sent_once(self):
        """A film of two frames has two pictures, however many are asked for."""
        assert len(made(films.film((1, RED), (1, GREEN), ticks=[0, 8]), frames=10)) == 2

    def test_pictures_share_the_bytes(self):
        """A picture of noise has 20,000 bytes in good quality: four of them get a lower one for 40,000 bytes."""
        sent = made(noise(4), frames=4, most_bytes=40_000)
        assert sum(len(one.content) for one in sent) <= 40_000

    def test_pictures_that_do_not_fit_are_refused(self):
        """Four pictures of noise do not fit into 4,000 bytes."""
        with pytest.raises(MediaError, match=r"4 pictures do not fit into 4,000 bytes.*media.frames"):
            made(noise(4), frames=4, most_bytes=4000)


@pytest.mark.wide
class TestRefused:
    @pytest.mark.parametrize("content", [b"", b"x" * 2000, films.film((1, RED))[:400]], ids=["empty", "text", "cut"])
    def test_what_cannot_be_read_is_corrupt(self, content):
        """Bytes that are no film are refused before anything is sent."""
        with pytest.raises(MediaError) as caught:
            made(content)
        assert (caught.value.failure.code, caught.value.failure.error_class) == ("corrupt", "media")

    @pytest.mark.parametrize(
        "content",
        [films.sound(films.tone((1, 0.5)), "mp4"), films.sound(films.tone((1, 0.5)), "mp3", cover=True)],
        ids=["mp4", "cover"],
    )
    def test_a_sound_is_no_film(self, content):
        """An MP4 with sound only, or a record with its cover, shows nothing."""
        with pytest.raises(MediaError, match="audio_url") as caught:
            made(content)
        assert caught.value.failure.code == "no_film"

    @pytest.mark.parametrize("more", [{}, {"frames": 2}], ids=["film", "pictures"])
    def test_a_clip_beyond_the_end_is_refused(self, more):
        """From second 9 to 10 of 4 seconds there is nothing."""
        with pytest.raises(MediaError, match=r"media.clip_s") as caught:
            made(films.film(*SCENES), clip_s=(9.0, 10.0), **more)
        assert caught.value.failure.code == "no_film"

    def test_a_film_without_a_picture_is_corrupt(self):
        """A track whose pictures are all zeros cannot be decoded."""
        content = films.emptied(films.film((1, RED)))
        with pytest.raises(MediaError, match="pictures") as caught:
            made(content)
        assert caught.value.failure.code == "corrupt"

    def test_a_film_of_days_is_refused(self):
        """A film that claims two days is neither read nor written to its end."""
        content = films.film((1, RED), kind="mkv", values=films.tone((1, 0.5)), late_s=2 * 86_400)
        with pytest.raises(MediaError, match="24 hours"):
            made(content)

    def test_no_more_is_written_than_is_bearable(self, monkeypatch):
        """The pixels of a film that is written are bounded like those that are read."""
        content = films.film((1, RED), ticks=[0, 7])
        monkeypatch.setattr(reading, "MOST_PIXELS", 5 * 64 * 48)
        with pytest.raises(MediaError, match="pixels"):
            made(content, fps=30.0)

    def test_a_film_of_giant_pictures_is_refused(self, monkeypatch):
        """A picture that would fill the memory is not decoded."""
        content = films.film((1, RED))
        monkeypatch.setattr(reading, "MOST_FRAME_PIXELS", 64 * 48 - 1)
        with pytest.raises(MediaError) as caught:
            made(content)
        assert caught.value.failure.code == "corrupt"

    @pytest.mark.long
    @pytest.mark.parametrize("seed", range(40))
    def test_spoilt_bytes_are_sent_or_refused(self, seed):
        """Whatever bytes are changed, the outcome is a film or a MediaError."""
        draw = random.Random(seed)  # noqa: S311 - the same bytes in each run
        for kind in ("mp4", "mov", "mkv", "avi"):
            spoilt = bytearray(films.film((1, RED), (1, GREEN), kind=kind, values=films.tone((2, 0.5))))
            for _ in range(draw.choice((1, 5, 30))):
                place = draw.randrange(min(len(spoilt), 1500)) * draw.choice((1, -1))
                spoilt[place] = draw.randrange(256)
            for more in ({"fps": 2.0}, {"frames": 3}):
                with contextlib.suppress(MediaError):
                    made(bytes(spoilt), **more)
